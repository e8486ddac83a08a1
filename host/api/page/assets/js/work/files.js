// The manifests folder as the API gives it: its files, one file's text with what it stands on, and the change of one.
// Must not know how a text is edited or shown.

import { ApiError, put, query, seg } from "../api.js";

/** A file's text, and the base that a change of it names, so that nobody's edit is lost. */
export async function readFile(name) {
  let answer;
  try {
    answer = await fetch(new URL(`api/v1/files/${seg(name)}`, document.baseURI), { cache: "no-store", headers: { accept: "text/plain, application/json" } });
  } catch {
    throw new ApiError(0, "the host does not answer", "is it running?");
  }
  const text = await answer.text();
  if (!answer.ok) {
    let said = {};
    try {
      said = JSON.parse(text);
    } catch {
      // Not the host's own words; the status has to do.
    }
    throw new ApiError(answer.status, said.error ?? `the host answered ${answer.status}`, said.hint, said.problems ?? []);
  }
  return { text, base: (answer.headers.get("etag") ?? "").replace(/^W\/|"/g, "") || null };
}

/** Writes a file, or tells what that would do; blank text removes it. `base`: the digest of what was read, "" for a file that must not be there. */
export function writeFile(name, text, { base = null, dry = false } = {}) {
  return put(`files/${seg(name)}${query({ dry_run: dry ? true : null, base })}`, text);
}

/** Why a name can't be a manifest's; null when it can. */
export function nameFault(name, taken) {
  if (!name) return "It needs a name, such as my-worker.toml.";
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)) return "Letters, digits, - , _ and . only; the first one no dot.";
  if (!name.endsWith(".toml")) return "Manifests end with .toml.";
  if (name.length > 69) return "That is too long.";
  if (taken.has(name)) return "There is a file of this name: open it instead.";
  return null;
}

const KIND_WORDS = { worker: ["worker", "workers"], limiter: ["limiter", "limiters"], queue: ["queue", "queues"], maintenance: ["maintenance window", "maintenance windows"] };

/** What a file declares, in words: `tables` are [{ kind, name }], or names alone. */
export function tableWords(tables) {
  if (!Array.isArray(tables) || tables.length === 0) return "";
  const counts = new Map();
  for (const table of tables) {
    const kind = typeof table === "string" ? "table" : table.kind;
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return [...counts].map(([kind, n]) => `${n} ${(KIND_WORDS[kind] ?? [kind, `${kind}s`])[n === 1 ? 0 : 1]}`).join(", ");
}

export const tableName = (table) => (typeof table === "string" ? table : table.name);
