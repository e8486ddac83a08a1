// Every view, light and dark, wide and on a phone: nothing that a screen reader would stumble over, nothing wider than the screen.

import fs from "node:fs";
import { fileURLToPath } from "node:url";
import { assert, manifest, noFaults, PAGE, signIn, site, withPage } from "../scenario.mjs";

const AXE = fs.readFileSync(fileURLToPath(new URL("../node_modules/axe-core/axe.min.js", import.meta.url)), "utf8");

const web = await site((request) => (request.url === "/broken" ? { status: 500, body: "no" } : {}));
manifest(
    "views.toml",
    `[[worker]]
name = "sites"
title = "Our sites"
group = "Web"
component = "poller.wasm"
schedule = { every = "1s" }
checks = { confirm = 1 }
config = { urls = ["${web.origin}/fine", "${web.origin}/broken"] }
grants = { http = { allow = ["config:urls"] } }

[[worker]]
name = "crasher"
component = "crash.wasm"
schedule = { every = "1s" }
config = { mode = "panic" }

[[limiter]]
name = "upstream"
rate = "6/s"

[[queue]]
name = "work"
limiter = "upstream"
`,
);

const VIEWS = {
    "": "heading",
    checks: "row",
    [`checks/sites/${encodeURIComponent(`${web.origin}/broken`)}`]: "heading",
    workers: "row",
    "workers/sites": "heading",
    "workers/crasher": "heading",
    queues: "row",
    "queues/work": "heading",
    events: "heading",
    alerts: "heading",
    files: "heading",
    "files/views.toml": "heading",
    "monitors/new": "heading",
    "monitors/sites": "heading",
};

async function look(page, context, name) {
    const devtools = await context.newCDPSession(page);
    // Past the page's own policy, which lets no foreign script in.
    await devtools.send("Runtime.evaluate", { expression: AXE });
    const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
    const grave = found.violations.filter(({ impact }) => impact === "serious" || impact === "critical");
    const said = grave.map(({ id, help, nodes }) => `${id}: ${help} (${nodes[0].target.join(" ")})`);
    assert.deepEqual(said, [], `${name}: what axe finds serious`);
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(wider <= 0, `${name} is ${wider} px wider than the screen`);
    await devtools.detach();
}

for (const [how, options] of [
    ["light", { colorScheme: "light" }],
    ["dark", { colorScheme: "dark" }],
    ["phone", { viewport: { width: 360, height: 740 }, hasTouch: true, colorScheme: "light", reducedMotion: "reduce" }],
]) {
    await withPage(options, async (page, context) => {
        await signIn(page);
        for (const [view, sign] of Object.entries(VIEWS)) {
            await page.goto(`${PAGE}/#/${view}`);
            await page.getByRole(sign).first().waitFor();
            await page.waitForLoadState("networkidle").catch(() => {});
            await look(page, context, `#/${view} (${how})`);
        }
        // The form can't show a monitor of two URLs, and says so.
        noFaults(page, ["409"]);
    });
}
await web.close();
