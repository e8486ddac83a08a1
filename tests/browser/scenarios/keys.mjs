// Everything by keyboard: to a view, into a list, to a row, to its results, back.

import { assert, manifest, PAGE, signIn, site, withPage } from "../scenario.mjs";

const web = await site(() => ({}));
const urls = Array.from({ length: 20 }, (_, n) => `"${web.origin}/${n}"`).join(", ");
manifest(
    "many.toml",
    `[[worker]]
name = "many"
component = "poller.wasm"
schedule = { every = "1s" }
config = { urls = [${urls}] }
grants = { http = { allow = ["config:urls"] } }
`,
);

await withPage({}, async (page) => {
    await signIn(page);
    await page.getByRole("navigation").first().waitFor();
    await page.keyboard.press("g");
    await page.keyboard.press("c");
    await page.waitForURL(/#\/checks/);
    await page.getByRole("row").filter({ hasText: `${web.origin}/19` }).waitFor({ timeout: 60_000 });
    await page.keyboard.press("/");
    await page.keyboard.type("/17");
    await page.getByRole("row").filter({ hasText: `${web.origin}/0` }).waitFor({ state: "detached" });
    await page.keyboard.press("Escape");
    await page.getByRole("grid").focus();
    await page.keyboard.press("ArrowDown");
    const active = await page.evaluate(() => document.activeElement.getAttribute("aria-activedescendant"));
    assert.ok(active, "a row is the active one, and a screen reader is told which");
    await page.keyboard.press("ArrowLeft");
    await page.getByText(/up.*(ms|µs)/).first().waitFor();
    await page.keyboard.press("Enter");
    await page.waitForURL(/#\/checks\/many\//);
    await page.keyboard.press("?");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    assert.ok(page.url().startsWith(PAGE));
});
await web.close();
