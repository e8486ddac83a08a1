// Which workers are shown, in which order, under which groups. Pure; five thousand of them in some milliseconds.
// Gives names and group heads, never rows: rows change while the order stands.

import { compare } from "../ui/table.js";

/** How much a state asks for attention, most first. */
const RANK = { failed: 0, quarantined: 1, starting: 2, draining: 3, stopped: 4, paused: 5, running: 6 };
export const BAD = new Set(["failed", "quarantined"]);

/** Numbers in names in their order, without a collator for each comparison. */
const natural = (text) => text.toLowerCase().replace(/\d+/g, (digits) => digits.padStart(9, "0"));

const VALUES = {
  name: (worker) => natural(worker.title ?? worker.name),
  state: (worker) => RANK[worker.state] ?? 9,
  replicas: (worker) => worker.running,
  rate: (worker) => worker.rate,
  restarts: (worker) => worker.restarts,
  incarnation: (worker) => worker.incarnation,
  memory: (worker) => worker.memory_peak_bytes,
  lateness: (worker) => worker.lateness_ms,
  next: (worker) => worker.next,
};

/** Values that change all the time: their order is made anew now and then, not at each change. */
export const RESTLESS = new Set(["rate", "memory", "lateness", "next", "incarnation"]);

function matcher(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return () => true;
  return (worker) => {
    const hay = [worker.name, worker.title, worker.group, worker.component, worker.last_error, worker.file, ...worker.triggers].join("\n").toLowerCase();
    return words.every((word) => hay.includes(word));
  };
}

const wanted = (state, worker) => !state || (state === "attention" ? BAD.has(worker.state) || Boolean(worker.held_back) : worker.state === state);

/**
 * `wish`: { text, state, group, sort: "name" | "-rate" | … }.
 * Gives `{ entries, matched }`; an entry is a name, or `{ group, total, counts }` where a group begins.
 */
export function order(workers, wish) {
  const matches = matcher(wish.text);
  const by = wish.sort.replace(/^-/, "");
  const value = VALUES[by] ?? VALUES.name;
  const sign = wish.sort.startsWith("-") ? -1 : 1;
  const rows = [];
  for (const worker of workers.values()) {
    if (!wanted(wish.state, worker) || (wish.group && worker.group !== wish.group) || !matches(worker)) continue;
    rows.push({ name: worker.name, value: value(worker), group: worker.group ?? "", state: worker.state });
  }
  rows.sort((a, b) => {
    const none = (a.value === null) - (b.value === null);
    if (none || a.value === null) return none || (a.name < b.name ? -1 : 1);
    if (a.value !== b.value) return sign * (a.value < b.value ? -1 : 1);
    return a.name < b.name ? -1 : 1;
  });
  const groups = new Map();
  for (const row of rows) {
    if (!groups.has(row.group)) groups.set(row.group, []);
    groups.get(row.group).push(row);
  }
  // Groups make sense in the order of names only: whoever sorts by a number wants the largest of all.
  if (by !== "name" || groups.size < 2) return { entries: rows.map((row) => row.name), matched: rows.length };
  const names = [...groups.keys()].sort((a, b) => (a === "") - (b === "") || compare(a, b));
  const entries = [];
  for (const name of names) {
    const members = groups.get(name);
    const counts = {};
    for (const member of members) counts[member.state] = (counts[member.state] ?? 0) + 1;
    entries.push({ group: name, total: members.length, counts }, ...members.map((member) => member.name));
  }
  return { entries, matched: rows.length };
}
