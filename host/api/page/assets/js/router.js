// Routes live in the address's hash: "#/checks/WORKER/SUBJECT?q=x". Parts are percent-encoded one by one, so that names and
// subjects may contain anything. Must not know which views there are (routes.js does).
import { useEffect, useState } from "./lib.js";

/** @typedef {{ path: string, parts: string[], query: URLSearchParams }} Route */

/** "#/a/b" of plain parts. */
export function link(...parts) {
  return "#/" + parts.map((part) => encodeURIComponent(part)).join("/");
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** @returns {Route} */
export function route() {
  const hash = location.hash.replace(/^#\/?/, "");
  const cut = hash.indexOf("?");
  const path = cut < 0 ? hash : hash.slice(0, cut);
  return {
    path,
    parts: path.split("/").filter(Boolean).map(decoded),
    query: new URLSearchParams(cut < 0 ? "" : hash.slice(cut + 1)),
  };
}

/** Goes to "/workers", "#/workers" or what `link` made. */
export function navigate(to) {
  location.hash = to.replace(/^#/, "");
}

const listeners = new Set();
const tell = () => listeners.forEach((listener) => listener());

// Where each entry of the history was scrolled to: an entry that was here before has a number in its state.
const scrolled = new Map();
let entry = null;

function arrive() {
  entry = history.state?.entry ?? null;
  if (entry !== null) return;
  entry = Date.now();
  history.replaceState({ ...history.state, entry }, "");
}

history.scrollRestoration = "manual";
arrive();
addEventListener("hashchange", () => {
  scrolled.set(entry, scrollY);
  arrive();
  tell();
});

/** Where this entry was left: 0 when it is new. */
export const leftAt = () => scrolled.get(entry) ?? 0;

/** Changes the query without a new entry in the history; null or "" removes a key. */
export function setQuery(change) {
  const { path, query } = route();
  for (const [key, value] of Object.entries(change)) {
    if (value === null || value === "") query.delete(key);
    else query.set(key, value);
  }
  const text = query.toString();
  history.replaceState(history.state, "", "#/" + path + (text ? "?" + text : ""));
  tell();
}

/** @returns {Route} the route, kept up to date */
export function useRoute() {
  const [now, set] = useState(route);
  useEffect(() => {
    const listener = () => set(route());
    listeners.add(listener);
    listener();
    return () => listeners.delete(listener);
  }, []);
  return now;
}
