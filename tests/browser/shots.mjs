// The README's three pictures, of a running host.
//
//   SKEP_PAGE=http://127.0.0.1:7700 SKEP_TOKEN=$(cat .skep/admin.token) node tests/browser/shots.mjs CHECK
//
// CHECK is the part of the address after `#/checks/` of the check to show on a phone, such as `pages/http%3A%2F%2F127.0.0.1…`.

import fs from "node:fs";
import { fileURLToPath } from "node:url";
import { signIn, withPage } from "./browser.mjs";

const folder = fileURLToPath(new URL("shots/", import.meta.url));
fs.mkdirSync(folder, { recursive: true });

async function shoot(name, view, options) {
    await withPage(options, async (page) => {
        await signIn(page);
        await page.goto(`${process.env.SKEP_PAGE}/#/${view}`);
        await page.getByRole("heading").first().waitFor();
        // Charts and the first deltas.
        await page.waitForTimeout(2_500);
        await page.screenshot({ path: `${folder}${name}.png` });
    });
}

await shoot("overview", "", { viewport: { width: 1280, height: 860 }, colorScheme: "dark" });
await shoot("checks", "checks", { viewport: { width: 1280, height: 860 }, colorScheme: "light" });
await shoot("phone", `checks/${process.argv[2]}`, { viewport: { width: 390, height: 860 }, colorScheme: "light", hasTouch: true, deviceScaleFactor: 1.5 });
