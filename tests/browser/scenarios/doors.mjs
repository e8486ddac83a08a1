// Signing in: the printed link, a token in the box, one that is wrong, one that only reads; and out again.

import { assert, LOGIN, manifest, PAGE, READ_TOKEN, TOKEN, withPage } from "../scenario.mjs";

manifest("echo.toml", `[[worker]]\nname = "echo"\ncomponent = "echo.wasm"\n`);

const restart = (page) => page.getByRole("button", { name: /^Restart/ });

await withPage({}, async (page) => {
    await page.goto(`${PAGE}/`);
    await page.getByLabel("Token").fill("not a token at all, though long enough");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText(/not known|wrong|refused/i).first().waitFor();
    await page.getByLabel("Token").fill(TOKEN);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("navigation").first().waitFor();
    const stored = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
    assert.ok(!stored.includes(TOKEN), "no script can read the token");
    await page.goto(`${PAGE}/#/workers/echo`);
    await restart(page).first().waitFor();
    await page.getByRole("button", { name: "Sign out" }).first().click();
    await page.getByLabel("Token").waitFor();
});

await withPage({}, async (page) => {
    await page.goto(LOGIN);
    await page.getByRole("navigation").first().waitFor();
    assert.ok(!page.url().includes(TOKEN), "the token does not stay in the address bar");
});

await withPage({}, async (page) => {
    await page.goto(`${PAGE}/login?token=${READ_TOKEN}`);
    await page.goto(`${PAGE}/#/workers/echo`);
    await page.getByRole("heading", { name: /echo/ }).first().waitFor();
    await page.waitForLoadState("networkidle").catch(() => {});
    assert.equal(await restart(page).count(), 0, "who only reads sees no buttons that act");
    const status = await page.evaluate(async () => (await fetch("api/v1/workers/echo/restart", { method: "POST" })).status);
    assert.equal(status, 403, "and the host would refuse them");
});
