// Chromium for tests and benches: Debian's, headless, with a profile of its own that goes with it.

import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { chromium } from "playwright-core";

const FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/** Runs `work` with a page; whatever the page logs as an error or throws is collected in `page.faults`. */
export async function withPage(options, work) {
    const profile = fs.mkdtempSync(path.join(os.tmpdir(), "skep-chromium-"));
    const context = await chromium.launchPersistentContext(profile, {
        executablePath: process.env.SKEP_CHROMIUM ?? "/usr/bin/chromium",
        headless: true,
        args: FLAGS,
        viewport: { width: 1280, height: 800 },
        ...options,
    });
    try {
        const page = context.pages()[0] ?? (await context.newPage());
        page.faults = [];
        page.on("pageerror", (error) => page.faults.push(`thrown: ${error.message}`));
        page.on("console", (message) => {
            if (message.type() === "error") page.faults.push(`console: ${message.text()}`);
        });
        page.setDefaultTimeout(20_000);
        return await work(page, context);
    } finally {
        await context.close();
        fs.rmSync(profile, { recursive: true, force: true });
    }
}

/** Signs in as the login link does. */
export async function signIn(page) {
    const answer = await page.goto(`${process.env.SKEP_PAGE}/login?token=${process.env.SKEP_TOKEN}`);
    if (!answer.ok()) throw new Error(`signing in: ${answer.status()}`);
}
