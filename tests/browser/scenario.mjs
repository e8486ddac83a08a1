// What scenarios share: acts on the host, servers to watch, assertions that say what was seen.

import net from "node:net";
import http from "node:http";
import fs from "node:fs";
import path from "node:path";
import assert from "node:assert/strict";

export { assert };
export { signIn, withPage } from "./browser.mjs";

export const { SKEP_PAGE: PAGE, SKEP_LOGIN: LOGIN, SKEP_TOKEN: TOKEN, SKEP_READ_TOKEN: READ_TOKEN, SKEP_DATA: DATA, SKEP_LISTEN: LISTEN } = process.env;

/** Asks the test for an act on the host: `kill`, `start` or `restart`; waits until it is done. */
export async function act(what) {
    console.log(`do ${what}`);
    const answer = await new Promise((resolve) => process.stdin.once("data", resolve).resume());
    // Listened to no longer: an open pipe would keep this script from ending.
    process.stdin.pause();
    assert.equal(String(answer).trim(), "done");
}

/** Drops a manifest into the folder, as an editor does. */
export function manifest(name, text) {
    fs.writeFileSync(path.join(DATA, `${name}.aside`), text);
    fs.renameSync(path.join(DATA, `${name}.aside`), path.join(DATA, "manifests", name));
}

/** A TCP port that answers while it is open. */
export async function machine(port = 0) {
    const server = net.createServer((socket) => socket.end());
    const sockets = new Set();
    server.on("connection", (socket) => {
        sockets.add(socket);
        socket.on("error", () => {});
        socket.on("close", () => sockets.delete(socket));
    });
    await new Promise((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve));
    return {
        port: server.address().port,
        close: () => new Promise((resolve) => (sockets.forEach((socket) => socket.destroy()), server.close(resolve))),
    };
}

/** A web site that answers with `answer(request)` → { status, body, type }. */
export async function site(answer) {
    const server = http.createServer((request, response) => {
        const { status = 200, body = "ok", type = "text/html" } = answer(request);
        response.writeHead(status, { "content-type": type }).end(body);
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    return {
        origin: `http://127.0.0.1:${server.address().port}`,
        close: () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))),
    };
}

/** The page stays the one that was loaded: no reload happened since. */
export async function markPage(page) {
    await page.evaluate(() => (window.sameDocument = true));
    return async () => assert.equal(await page.evaluate(() => window.sameDocument), true, "the page was reloaded");
}

/** Fails when the page threw or logged an error, but for those that `expected` names. */
export function noFaults(page, expected = []) {
    const unexpected = page.faults.filter((fault) => !expected.some((part) => fault.includes(part)));
    assert.deepEqual(unexpected, [], "the page threw or logged errors");
}
