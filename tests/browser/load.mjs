// How fast the list of checks is there, and what the page's scripts hold in memory. Prints one JSON object.
//
//   SKEP_PAGE=http://127.0.0.1:7700 SKEP_TOKEN=$(cat .skep/admin.token) node tests/browser/load.mjs
//
// From the navigation to the first rows of the list on screen, in a browser that has been there before; the median of five.

import { signIn, withPage } from "./browser.mjs";

const RUNS = 5;

const said = await withPage({}, async (page, context) => {
    await signIn(page);
    const devtools = await context.newCDPSession(page);
    await devtools.send("Performance.enable");
    const times = [];
    let heap = 0;
    for (let run = 0; run < RUNS; run++) {
        await page.goto("about:blank");
        await page.goto(`${process.env.SKEP_PAGE}/#/checks`, { waitUntil: "commit" });
        // Taken in the page: how long the driver takes is not the page's fault.
        const ready = await page.evaluate(
            () =>
                new Promise((resolve) => {
                    const look = () => {
                        const rows = document.querySelectorAll('.check-row');
                        if (rows.length >= 5) requestAnimationFrame(() => resolve(performance.now()));
                        else requestAnimationFrame(look);
                    };
                    look();
                }),
        );
        times.push(ready);
        await devtools.send("HeapProfiler.collectGarbage");
        const { metrics } = await devtools.send("Performance.getMetrics");
        heap = Math.max(heap, metrics.find((metric) => metric.name === "JSHeapUsedSize").value);
    }
    const checks = await page.evaluate(async () => (await import("./page/js/store.js")).store.checks.size);
    times.sort((a, b) => a - b);
    return { checks, ready_ms: times[Math.floor(RUNS / 2)], slowest_ms: times[RUNS - 1], heap_bytes: heap };
});
console.log(JSON.stringify(said));
