// How fast a queue fills and empties: jobs a second from what the live store counted over the last seconds.
// One sampler serves all views while at least one of them is open. Must not fetch anything.

import { useEffect, useReducer } from "../lib.js";
import { hostNow, store } from "../store.js";

/** Samples are a second apart; the window is what "now" means here. */
const WINDOW = 10;
/** A minute of them is kept, for the line of a queue's page. */
const KEPT = 61;

/** queue → [{ at, pushed, finished }], oldest first */
const samples = new Map();
const watchers = new Set();
let timer = null;

function sample() {
  const at = hostNow();
  for (const [name, queue] of store.queues) {
    let list = samples.get(name);
    const last = list?.at(-1);
    // Counters begin again when the host does.
    if (!list || queue.pushed < last.pushed || queue.finished < last.finished || at - last.at > 10_000) samples.set(name, (list = []));
    list.push({ at, pushed: queue.pushed, finished: queue.finished });
    if (list.length > KEPT) list.shift();
  }
  for (const name of samples.keys()) if (!store.queues.has(name)) samples.delete(name);
  watchers.forEach((watcher) => watcher());
}

/** Renders again each second with new samples. */
export function useRates() {
  const [, again] = useReducer((n) => n + 1, 0);
  useEffect(() => {
    const watcher = () => again();
    watchers.add(watcher);
    if (!timer) {
      sample();
      timer = setInterval(sample, 1000);
    }
    return () => {
      watchers.delete(watcher);
      if (watchers.size > 0) return;
      clearInterval(timer);
      timer = null;
    };
  }, []);
}

const slope = (from, to, key) => Math.max(0, ((to[key] - from[key]) * 1000) / (to.at - from.at));

/** `{ in, out }` in jobs a second; null before there are two samples. */
export function ratesOf(name) {
  const list = samples.get(name);
  if (!list || list.length < 2) return { in: null, out: null };
  const from = list[Math.max(0, list.length - 1 - WINDOW)];
  const to = list.at(-1);
  if (to.at <= from.at) return { in: null, out: null };
  return { in: slope(from, to, "pushed"), out: slope(from, to, "finished") };
}

/** Both rates second by second, oldest first: `[{ at, in, out }]`. */
export function seriesOf(name) {
  const list = samples.get(name) ?? [];
  const series = [];
  for (let n = 1; n < list.length; n++) {
    if (list[n].at > list[n - 1].at) {
      series.push({ at: list[n].at, in: slope(list[n - 1], list[n], "pushed"), out: slope(list[n - 1], list[n], "finished") });
    }
  }
  return series;
}
