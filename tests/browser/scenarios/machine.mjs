// A machine is added in the page, seen up, taken away and seen down, edited and deleted: in one page, which is never loaded again.

import { assert, machine, markPage, noFaults, PAGE, signIn, withPage } from "../scenario.mjs";

/** The row of a check in the list, by what it is called. */
const row = (page, title) => page.getByRole("row").filter({ hasText: title });

const shows = async (page, title, status) => {
    await row(page, title).getByText(status, { exact: true }).waitFor({ timeout: 60_000 });
};

await withPage({}, async (page) => {
    const first = await machine();
    await signIn(page);
    const sameDocument = await markPage(page);

    await page.getByRole("link", { name: "Checks" }).first().click();
    await page.getByRole("link", { name: "Add a monitor" }).first().click();
    await page.getByText("A machine", { exact: true }).click();
    await page.getByLabel("Name or address").fill("127.0.0.1");
    await page.getByLabel(/^TCP port/).fill(String(first.port));
    await page.getByLabel(/^Title/).fill("Cellar box");
    assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "cellar-box", "the name follows the title");
    await page.getByLabel("How often").fill("1 parsec");
    await page.getByRole("button", { name: "Show the plan" }).click();
    // What is wrong stands beside its field, and the field has the focus.
    const every = page.getByLabel("How often");
    await page.waitForFunction(() => document.activeElement?.id === "m-every");
    assert.equal(await every.getAttribute("aria-invalid"), "true");
    await every.fill("1s");
    await page.getByRole("button", { name: "Show the plan" }).click();
    const plan = page.getByRole("region", { name: "The plan" });
    await plan.getByText("cellar-box").first().waitFor();
    await plan.getByRole("button", { name: "Apply" }).click();

    await page.getByRole("link", { name: "Checks" }).first().click();
    await shows(page, "Cellar box", "up");
    await first.close();
    await shows(page, "Cellar box", "down");

    // Another address: the watcher follows at once.
    const second = await machine();
    await row(page, "Cellar box").click();
    await page.getByRole("link", { name: /^Edit/ }).first().click();
    await page.getByLabel(/^TCP port/).fill(String(second.port));
    await page.getByRole("button", { name: "Show the plan" }).click();
    await plan.getByRole("button", { name: "Apply" }).click();
    await page.getByRole("link", { name: "Checks" }).first().click();
    await shows(page, "Cellar box", "up");

    await row(page, "Cellar box").click();
    await page.getByRole("button", { name: /^Delete/ }).first().click();
    const sure = page.getByRole("dialog");
    await sure.getByText(/history/).first().waitFor();
    await sure.getByRole("button", { name: /^Delete/ }).click();
    await sure.waitFor({ state: "detached" });
    await page.goto(`${PAGE}/#/checks`);
    await row(page, "Cellar box").waitFor({ state: "detached" });
    await second.close();
    await sameDocument();
    // The browser logs the refusal of the form as a failed request.
    noFaults(page, ["422"]);
});
