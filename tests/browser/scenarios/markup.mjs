// Names, URLs, answers, log lines and crash texts full of markup show as the text they are.

import { assert, manifest, noFaults, PAGE, signIn, site, withPage } from "../scenario.mjs";

const EVIL = `<img src=x onerror="window.pwned=1"><script>window.pwned=2</script>&lt;b&gt;"'`;
const web = await site(() => ({ status: 500, body: EVIL }));
const url = `${web.origin}/?q=<script>window.pwned=3</script>&a="'`;
const toml = (text) => JSON.stringify(text);
manifest(
    "evil.toml",
    `[[worker]]
name = "evil"
title = ${toml(EVIL)}
group = ${toml(`<img src=x onerror="window.pwned=4"><b>`)}
notes = ${toml(EVIL)}
component = "poller.wasm"
schedule = { every = "1s" }
checks = { confirm = 1 }
config = { urls = [{ url = ${toml(url)}, name = ${toml(EVIL)} }] }
grants = { http = { allow = ["config:urls"] } }

[[worker]]
name = "chatty"
title = ${toml(EVIL)}
component = "echo.wasm"
`,
);
// A file that does not parse: its problem quotes what is wrong.
manifest("broken.toml", `[[worker]]\nname = ${toml(EVIL)}\n`);

await withPage({}, async (page) => {
    await signIn(page);
    await page.goto(`${PAGE}/#/checks`);
    await page.getByRole("row").filter({ hasText: "<img src=x" }).first().waitFor({ timeout: 60_000 });
    const views = ["", "checks", `checks/evil/${encodeURIComponent(url)}`, "workers", "workers/evil", "queues", "events", "alerts", "files", "files/evil.toml", "files/broken.toml", "monitors/evil"];
    for (const view of views) {
        await page.goto(`${PAGE}/#/${view}`);
        await page.getByRole("heading").first().waitFor();
        await page.waitForLoadState("networkidle").catch(() => {});
        assert.equal(await page.evaluate(() => window.pwned), undefined, `#/${view} ran markup`);
        const made = await page.evaluate(() => document.querySelectorAll("img[src=x], body script:not([src])").length);
        assert.equal(made, 0, `#/${view} made elements of text`);
    }
    // It is there to be read, letter by letter: in the title and in the evidence of the last failure.
    await page.goto(`${PAGE}/#/checks/evil/${encodeURIComponent(url)}`);
    await page.getByText("window.pwned=2").first().waitFor();
    // The form can't show all of this monitor, and says so.
    noFaults(page, ["409"]);
});
await web.close();
