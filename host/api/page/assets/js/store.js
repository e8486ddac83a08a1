// What is known of the host: one snapshot kept up to date by deltas, and the subscriptions of the views. Rows are the wire's own
// objects and are never mutated, only replaced. Must not fetch anything (live.js feeds it) and must not touch the document.
import { useEffect, useReducer, useState } from "./lib.js";

const EVENTS_KEPT = 500;
/** How long a changed row is lit up. */
const FLASH_MS = 1600;
const MARKS_KEPT = 1000;
const TOPICS = ["host", "workers", "checks", "queues", "limiters", "events", "conn"];

export const keyOf = (worker, subject) => worker + "\n" + subject;

export const store = {
  /** @type {null | Record<string, any>} */
  host: null,
  /** @type {null | "admin" | "read"} */
  access: null,
  workers: new Map(),
  checks: new Map(),
  queues: new Map(),
  limiters: new Map(),
  /** @type {Record<string, any>[]} oldest first */
  events: [],
  counts: { checks: {}, workers: {}, waiting: 0, dead: 0 },
  conn: { state: "connecting", lastFrame: 0, since: Date.now() },
  /** When a row last changed, by this page's monotonic clock; `flip`: when its status did. */
  changed: { workers: new Map(), checks: new Map() },
  /** Grows with each added or removed row, so that views know when to order anew. */
  shape: { workers: 0, checks: 0, queues: 0, limiters: 0 },
  /** How many checks a worker has. */
  checksOf: new Map(),
  /** Grows when a check changed its status, name or group. */
  flips: 0,
};

// The host's clock: what the last frame said, and how long ago that was here.
let clockAt = 0;
let clockSeen = 0;

/** The host's clock in milliseconds since 1970; this machine's until the host spoke. */
export function hostNow() {
  return clockAt ? clockAt + (performance.now() - clockSeen) : Date.now();
}

function tick(at) {
  if (typeof at !== "number") return;
  clockAt = at;
  clockSeen = performance.now();
}

const dirty = new Set();
const subscribers = Object.fromEntries(TOPICS.map((topic) => [topic, new Set()]));
let planned = false;

/** Tells the views at the next frame; a hidden page has no frames, so a timer does it there. */
function touch(topic) {
  dirty.add(topic);
  if (planned) return;
  planned = true;
  if (document.hidden) setTimeout(flush, 250);
  else requestAnimationFrame(flush);
}

document.addEventListener("visibilitychange", () => planned && setTimeout(flush, 0));

function flush() {
  if (!planned) return;
  planned = false;
  const topics = [...dirty];
  dirty.clear();
  const told = new Set();
  for (const topic of topics) {
    for (const subscriber of subscribers[topic]) {
      if (told.has(subscriber)) continue;
      told.add(subscriber);
      subscriber();
    }
  }
}

export function subscribe(topics, subscriber) {
  topics.forEach((topic) => subscribers[topic].add(subscriber));
  return () => topics.forEach((topic) => subscribers[topic].delete(subscriber));
}

/** Renders again when one of the topics changed. */
export function useStore(...topics) {
  const [, again] = useReducer((n) => n + 1, 0);
  useEffect(() => subscribe(topics, () => again()), []);
  return store;
}

const tickers = new Map();

/** Renders again every `every` milliseconds; gives the host's time. One timer serves all. */
export function useNow(every = 1000) {
  const [now, set] = useState(hostNow);
  useEffect(() => {
    let ticker = tickers.get(every);
    if (!ticker) {
      ticker = { all: new Set(), id: setInterval(() => document.hidden || ticker.all.forEach((f) => f(hostNow())), every) };
      tickers.set(every, ticker);
    }
    ticker.all.add(set);
    return () => {
      ticker.all.delete(set);
      if (ticker.all.size) return;
      clearInterval(ticker.id);
      tickers.delete(every);
    };
  }, [every]);
  return now;
}

/** The class of a row that just changed. Two names take turns, so that the animation begins again. */
export function flashOf(table, key) {
  const mark = store.changed[table]?.get(key);
  if (!mark || performance.now() - mark.at > FLASH_MS) return "";
  return (mark.flip ? "flip-" : "flash-") + (mark.turn ? "a" : "b");
}

export function useFlash(table, key) {
  return flashOf(table, key);
}

function light(table, key, flip) {
  const marks = store.changed[table];
  const before = marks.get(key);
  const at = performance.now();
  // A change of status stays visible though results keep coming.
  const held = before && before.flip && at - before.at < FLASH_MS;
  if (held && !flip) return;
  marks.set(key, { at, flip, turn: before ? !before.turn : true });
  if (marks.size > MARKS_KEPT) sweep(marks, at);
}

/** Marks come in the order of their time, but for rows that changed twice; a flood of them lights nothing up. */
function sweep(marks, at) {
  for (const [key, mark] of marks) if (at - mark.at > FLASH_MS) marks.delete(key);
  if (marks.size > MARKS_KEPT) marks.clear();
}

const count = (counts, word, by) => {
  counts[word] = (counts[word] ?? 0) + by;
};

function putCheck(row, quiet) {
  const key = keyOf(row.worker, row.subject);
  const before = store.checks.get(key);
  store.checks.set(key, row);
  if (before) count(store.counts.checks, before.status, -1);
  else {
    store.shape.checks++;
    store.checksOf.set(row.worker, (store.checksOf.get(row.worker) ?? 0) + 1);
  }
  count(store.counts.checks, row.status, 1);
  if (quiet) return;
  const flip = !before || before.status !== row.status;
  if (flip || before.group !== row.group || before.title !== row.title) store.flips++;
  light("checks", key, flip);
}

function putWorker(row, quiet) {
  const before = store.workers.get(row.name);
  store.workers.set(row.name, row);
  if (before) count(store.counts.workers, before.state, -1);
  else store.shape.workers++;
  count(store.counts.workers, row.state, 1);
  if (!quiet) light("workers", row.name, !before || before.state !== row.state);
}

function putQueue(row) {
  const before = store.queues.get(row.name);
  if (!before) store.shape.queues++;
  store.counts.waiting += row.waiting - (before?.waiting ?? 0);
  store.counts.dead += row.dead - (before?.dead ?? 0);
  store.queues.set(row.name, row);
}

function putLimiter(row) {
  if (!store.limiters.has(row.name)) store.shape.limiters++;
  store.limiters.set(row.name, row);
}

const PUT = { workers: putWorker, checks: putCheck, queues: putQueue, limiters: putLimiter };

function drop(table, id) {
  const key = table === "checks" ? keyOf(id[0], id[1]) : id;
  const before = store[table].get(key);
  if (!before) return;
  store[table].delete(key);
  store.shape[table]++;
  if (table === "checks") {
    count(store.counts.checks, before.status, -1);
    store.changed.checks.delete(key);
    const left = store.checksOf.get(before.worker) - 1;
    if (left) store.checksOf.set(before.worker, left);
    else store.checksOf.delete(before.worker);
    store.flips++;
  } else if (table === "workers") {
    count(store.counts.workers, before.state, -1);
    store.changed.workers.delete(key);
  } else if (table === "queues") {
    store.counts.waiting -= before.waiting;
    store.counts.dead -= before.dead;
  }
}

/** Replaces everything. */
export function takeSnapshot(frame) {
  tick(frame.at);
  for (const table of Object.keys(PUT)) {
    store[table].clear();
    store.shape[table]++;
  }
  store.changed.workers.clear();
  store.changed.checks.clear();
  store.checksOf.clear();
  store.counts = { checks: {}, workers: {}, waiting: 0, dead: 0 };
  store.flips++;
  store.host = frame.host;
  for (const [table, put] of Object.entries(PUT)) {
    for (const row of frame[table] ?? []) put(row, true);
    touch(table);
  }
  store.events = frame.events ?? [];
  touch("events");
  touch("host");
}

/** Applies what changed. */
export function takeDelta(frame) {
  tick(frame.at);
  if (frame.host) {
    store.host = frame.host;
    touch("host");
  }
  for (const [table, put] of Object.entries(PUT)) {
    const rows = frame[table];
    const gone = frame.gone?.[table];
    if (!rows && !gone) continue;
    for (const id of gone ?? []) drop(table, id);
    for (const row of rows ?? []) put(row, false);
    touch(table);
  }
  if (frame.events?.length) {
    store.events = [...store.events, ...frame.events].slice(-EVENTS_KEPT);
    touch("events");
  }
}

export function takeBeat(frame) {
  tick(frame.at);
}

/** What a person calls a check: its worker's title, or its subject where that would not tell it from others. */
export function nameOf(check) {
  return check.title && store.checksOf.get(check.worker) === 1 ? check.title : check.subject;
}

/** What else tells which one it is. */
export function placeOf(check) {
  if (!check.title) return check.worker;
  return store.checksOf.get(check.worker) === 1 ? check.subject : check.title;
}

/** Only how many of each, while the page is hidden; the next snapshot counts anew. */
export function takeCounts(host) {
  store.counts = { ...store.counts, checks: { ...host.checks }, workers: { ...host.workers } };
  touch("host");
}

/** @param {Partial<typeof store.conn>} change */
export function setConn(change) {
  const state = change.state ?? store.conn.state;
  const since = state === store.conn.state ? store.conn.since : Date.now();
  store.conn = { ...store.conn, ...change, since };
  touch("conn");
}

/** What the host lets this page do: "admin" or "read". */
export function setAccess(access) {
  if (store.access === access) return;
  store.access = access;
  touch("host");
}

/** May this page act, or only look? Until the host said so: only look. */
export const may = () => store.access === "admin" && store.conn.state !== "signed-out";
