// What the whole comes to: one level, one sentence, and what needs attention, worst first. Pure functions of the store.
// Must not render; the words here are the ones a person reads first, so they name numbers and things, not moods.
import { link } from "./router.js";
import { count, millis, plural } from "./format.js";
import { nameOf, placeOf } from "./store.js";

const CERTIFICATE_MS = 14 * 24 * 3_600_000;
const LISTED = 200;

/** `text`: the sentence; `also`: what is less urgent; `word`: the same in a word or two.
 * @typedef {{ level: "ok"|"warn"|"bad"|"mute", text: string, also?: string, word: string }} Health */

const list = (parts) => (parts.length < 2 ? parts.join("") : parts.slice(0, -1).join(", ") + " and " + parts.at(-1));

/** "2 of 14 checks are down" */
function ofAll(down, all) {
  if (all === 1) return "the check is down";
  if (down === all) return `all ${plural(all, "check")} are down`;
  return `${count(down)} of ${plural(all, "check")} ${down === 1 ? "is" : "are"} down`;
}

let soon = { at: 0, checks: null, n: 0 };

/** Certificates about to end; all checks are looked at, so not more often than it can matter. */
function certificatesSoon(store) {
  const at = Date.now();
  if (soon.checks === store.shape.checks && at - soon.at < 10_000) return soon.n;
  let n = 0;
  for (const check of store.checks.values()) if (check.certificate && check.certificate - at < CERTIFICATE_MS) n++;
  soon = { at, checks: store.shape.checks, n };
  return n;
}

const first = (text) => text[0].toUpperCase() + text.slice(1);

/** @returns {Health} */
export function health(store) {
  const { host, counts, conn } = store;
  if (conn.state === "signed-out") return { level: "mute", text: "Signed out", word: "" };
  if (!host) return { level: "mute", text: "Looking…", word: "connecting" };
  if (conn.state === "stale") return { level: "mute", text: "Connection lost", word: "stale" };
  const c = counts.checks;
  const w = counts.workers;
  const bad = [];
  if (c.down) bad.push(ofAll(c.down, store.checks.size));
  if (w.failed) bad.push(`${plural(w.failed, "worker")} failed`);
  if (w.quarantined) bad.push(`${plural(w.quarantined, "worker")} quarantined`);
  const warn = [];
  if (c.degraded) warn.push(`${plural(c.degraded, "check")} degraded`);
  if (counts.dead) warn.push(`${plural(counts.dead, "dead job")}`);
  if (host.problems.length) warn.push(plural(host.problems.length, "manifest problem"));
  const certificates = certificatesSoon(store);
  if (certificates) warn.push(`${plural(certificates, "certificate")} about to end`);
  if (host.cut_off) {
    return { level: "bad", text: "This host is cut off from the network", also: `${host.cut_off.reason}; what it can't reach is unknown, not down`, word: "cut off" };
  }
  if (bad.length) {
    const workers = (w.failed ?? 0) + (w.quarantined ?? 0);
    const word = c.down ? `${count(c.down)} down` : w.failed ? `${count(workers)} failed` : `${count(workers)} quarantined`;
    return { level: "bad", text: first(list(bad)), also: warn.length ? `Also ${list(warn)}` : "", word };
  }
  if (c.unknown) warn.push(`${plural(c.unknown, "check")} unknown`);
  if (warn.length) return { level: "warn", text: first(list(warn)), word: warn.length > 1 ? plural(warn.length, "concern") : warn[0] };
  if (!host.ready) return { level: "mute", text: "The host is starting", word: "starting" };
  const checks = store.checks.size;
  const quiet = (c.paused ?? 0) + (c.maintenance ?? 0);
  if (!checks && !store.workers.size) return { level: "mute", text: "Nothing runs here yet", word: "empty" };
  if (!checks) return { level: "ok", text: store.workers.size === 1 ? "The worker is well" : `All ${store.workers.size} workers are well`, word: "all well" };
  if (quiet === checks) return { level: "mute", text: "All checks rest", word: "resting" };
  const seen = checks - quiet;
  const text = seen === 1 ? "The check is up" : `All ${plural(seen, "check")} are up`;
  return { level: "ok", text: quiet ? `${text}, ${quiet} at rest` : text, word: "all well" };
}

/**
 * @typedef {{ key: string, state: string, word?: string, title: string, kind: string, since: ?number, reason: string, href: string }} Need
 * @returns {{ needs: Need[], more: number }}
 */
export function attention(store, now) {
  const { host } = store;
  if (!host) return { needs: [], more: 0 };
  const needs = [];
  const add = (rank, need) => needs.push({ rank, ...need });
  if (host.cut_off) {
    add(0, { key: "cut", state: "down", word: "cut off", kind: "host", title: "Cut off from the network", since: host.cut_off.since, reason: `${host.cut_off.reason}. Checks are unknown, not down.`, href: "#/events" });
  }
  for (const check of store.checks.values()) {
    const of = { key: `c ${check.worker}\n${check.subject}`, kind: placeOf(check), title: nameOf(check), href: link("checks", check.worker, check.subject) };
    if (check.status === "down") add(1, { ...of, state: "down", since: check.since, reason: check.detail });
    else if (check.status === "degraded") add(4, { ...of, state: "degraded", since: check.since, reason: check.detail });
    else if (check.status === "unknown" && check.last !== null && !host.cut_off) add(8, { ...of, state: "unknown", since: check.since, reason: check.detail || "no result for two intervals" });
    if (check.certificate && check.certificate - now < CERTIFICATE_MS) {
      const days = Math.floor((check.certificate - now) / 86_400_000);
      const reason = days < 0 ? "its certificate has expired" : `its certificate ends in ${plural(days, "day")}`;
      add(days < 3 ? 3 : 6, { ...of, key: `x ${of.key}`, state: days < 3 ? "down" : "degraded", word: "certificate", since: null, reason });
    }
  }
  for (const worker of store.workers.values()) {
    const of = { key: `w ${worker.name}`, kind: "worker", title: worker.title || worker.name, href: link("workers", worker.name) };
    if (worker.state === "failed" || worker.state === "quarantined") {
      add(2, { ...of, state: worker.state, since: worker.since, reason: worker.last_error || "no reason known" });
    } else if (worker.held_back) add(5, { ...of, state: "degraded", word: "held back", since: null, reason: worker.held_back });
  }
  host.problems.forEach((problem, n) => {
    const place = problem.line ? `${problem.file}:${problem.line}` : problem.file;
    add(5, { key: `p ${n}`, state: "degraded", word: "problem", kind: "manifest", title: place, since: null, reason: problem.message + (problem.hint ? ` (${problem.hint})` : ""), href: link("edit", problem.file) });
  });
  for (const queue of store.queues.values()) {
    if (queue.dead) add(7, { key: `q ${queue.name}`, state: "dead", kind: "queue", title: queue.name, since: null, reason: `${plural(queue.dead, "job")} given up`, href: link("queues", queue.name) });
  }
  if (host.store_dropped) {
    add(7, { key: "dropped", state: "degraded", word: "records", kind: "host", title: "Records lost", since: null, reason: `the store dropped ${plural(host.store_dropped, "record")}: the disk is slow or full`, href: "#/events" });
  }
  // Newest first within a rank: what just broke is what is being worked on.
  needs.sort((a, b) => a.rank - b.rank || (millis(b.since) ?? 0) - (millis(a.since) ?? 0) || (a.title < b.title ? -1 : 1));
  return { needs: needs.slice(0, LISTED), more: Math.max(0, needs.length - LISTED) };
}

/** How many of a part need attention, for the navigation. */
export function badges(store) {
  const { counts, host } = store;
  return {
    checks: [counts.checks.down ?? 0, "bad", "down"],
    workers: [(counts.workers.failed ?? 0) + (counts.workers.quarantined ?? 0), "bad", "failed or quarantined"],
    queues: [counts.dead, "warn", "dead jobs"],
    edit: [host?.problems.length ?? 0, "warn", "manifest problems"],
  };
}
