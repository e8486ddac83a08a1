// Which checks are shown, in which order, under which groups. Pure functions over the store's rows; ten thousand of them in some
// milliseconds. Must not keep rows: it gives keys.
import { compare } from "../ui/table.js";
import { nameOf } from "../store.js";

/** How bad a status is, worst first. */
const RANK = { down: 0, degraded: 1, unknown: 2, up: 3, maintenance: 4, paused: 5 };
export const RESTING = new Set(["maintenance", "paused"]);

/** Numbers in names in their order, without the cost of a collator for each comparison. */
const natural = (text) => text.toLowerCase().replace(/\d+/g, (digits) => digits.padStart(9, "0"));

const VALUES = {
  name: (check) => natural(nameOf(check)),
  status: (check) => RANK[check.status] ?? 9,
  uptime: (check) => check.uptime,
  latency: (check) => check.latency_ms,
  last: (check) => check.last,
  since: (check) => check.since,
};

/** What a person may have typed: every word must be somewhere in the row. */
function matcher(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return () => true;
  return (check) => {
    const hay = `${check.title ?? ""}\n${check.subject}\n${check.worker}\n${check.group ?? ""}\n${check.detail}`.toLowerCase();
    return words.every((word) => hay.includes(word));
  };
}

const shown = (status, check) => !status || (status === "resting" ? RESTING.has(check.status) : check.status === status);

/**
 * @typedef {{ group: ?string, label: string, total: number, counts: Record<string, number>, closed: boolean }} GroupHead
 * @param {Map<string, any>} checks
 * @param {{ text: string, status: string, sort: string, closed: Set<string>, grouped: boolean }} wish
 * @returns {{ entries: (string|GroupHead)[], heads: number[], matched: number, groups: number }} keys of checks, and heads where groups
 * begin; `heads` are their places
 */
export function order(checks, wish) {
  const matches = matcher(wish.text);
  const value = VALUES[wish.sort.replace(/^-/, "")] ?? VALUES.name;
  const sign = wish.sort.startsWith("-") ? -1 : 1;
  const rows = [];
  for (const [key, check] of checks) {
    if (shown(wish.status, check) && matches(check)) rows.push({ key, by: value(check), check });
  }
  const byName = wish.sort === "name" || wish.sort === "-name";
  rows.sort((a, b) => {
    const first = order2(a.by, b.by, sign);
    if (first || byName) return first;
    return a.key < b.key ? -1 : 1;
  });
  const groups = new Map();
  for (const row of rows) {
    const group = row.check.group ?? "";
    let list = groups.get(group);
    if (!list) groups.set(group, (list = []));
    list.push(row);
  }
  if (!wish.grouped || groups.size < 2) return { entries: rows.map((row) => row.key), heads: [], matched: rows.length, groups: groups.size };
  // Named groups by name, what has none at the end.
  const names = [...groups.keys()].sort((a, b) => (a === "") - (b === "") || compare(a, b));
  const entries = [];
  const heads = [];
  for (const name of names) {
    const list = groups.get(name);
    const counts = {};
    for (const { check } of list) counts[check.status] = (counts[check.status] ?? 0) + 1;
    const closed = wish.closed.has(name);
    heads.push(entries.length);
    entries.push({ group: name, label: name || "No group", total: list.length, counts, closed });
    if (!closed) for (const row of list) entries.push(row.key);
  }
  return { entries, heads, matched: rows.length, groups: groups.size };
}

function order2(a, b, sign) {
  // What has no value stands last either way.
  const noA = a === null || a === undefined;
  const noB = b === null || b === undefined;
  if (noA || noB) return noA - noB;
  return a < b ? -sign : a > b ? sign : 0;
}
