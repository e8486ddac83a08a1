// The host goes away under an open page: the page says so, and finds back by itself, without being loaded again.

import { act, assert, manifest, markPage, PAGE, signIn, site, withPage } from "../scenario.mjs";

const web = await site(() => ({}));
const watched = (title) => `[[worker]]
name = "front"
title = "${title}"
component = "poller.wasm"
schedule = { every = "1s" }
config = { urls = ["${web.origin}/"] }
grants = { http = { allow = ["config:urls"] } }
`;
manifest("front.toml", watched("Before"));

await withPage({}, async (page) => {
    await signIn(page);
    await page.goto(`${PAGE}/#/checks`);
    const sameDocument = await markPage(page);
    await page.getByRole("row").filter({ hasText: "Before" }).getByText("up", { exact: true }).waitFor({ timeout: 60_000 });
    await act("kill");
    await page.getByRole("alert").filter({ hasText: "Connection lost" }).waitFor({ timeout: 30_000 });
    assert.ok(await page.getByRole("row").filter({ hasText: "Before" }).isVisible(), "what was known stays to be read");
    manifest("front.toml", watched("After"));
    await act("start");
    await page.getByRole("row").filter({ hasText: "After" }).getByText("up", { exact: true }).waitFor({ timeout: 60_000 });
    await page.getByRole("alert").filter({ hasText: "Connection lost" }).waitFor({ state: "detached" });
    await sameDocument();
    const thrown = page.faults.filter((fault) => fault.startsWith("thrown"));
    assert.deepEqual(thrown, []);
});
await web.close();
