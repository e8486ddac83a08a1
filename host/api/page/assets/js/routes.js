// Which address shows which view. A view's file is fetched when it is first needed. Must not render.

/** @typedef {{ at: string, min: number, view: () => Promise<{ default: any }>, title: string }} Route
 * `at`: the first part of the address; `min`: how many more parts it needs. The first that fits counts. */

/** @type {Route[]} */
export const ROUTES = [
  { at: "", min: 0, view: () => import("./views/overview.js"), title: "Overview" },
  { at: "checks", min: 2, view: () => import("./views/check.js"), title: "Check" },
  { at: "checks", min: 0, view: () => import("./views/checks.js"), title: "Checks" },
  { at: "workers", min: 1, view: () => import("./views/worker.js"), title: "Worker" },
  { at: "workers", min: 0, view: () => import("./views/workers.js"), title: "Workers" },
  { at: "queues", min: 0, view: () => import("./views/queues.js"), title: "Queues" },
  { at: "monitors", min: 0, view: () => import("./views/monitors.js"), title: "Monitor" },
  { at: "edit", min: 0, view: () => import("./views/edit.js"), title: "Manifests" },
  { at: "files", min: 0, view: () => import("./views/edit.js"), title: "Manifests" },
  { at: "events", min: 0, view: () => import("./views/events.js"), title: "Events" },
  { at: "alerts", min: 0, view: () => import("./views/alerts.js"), title: "Alerts" },
];

/** @param {string[]} parts */
export function find(parts) {
  const [first = "", ...rest] = parts;
  return ROUTES.find((route) => route.at === first && rest.length >= route.min) ?? null;
}

/** The navigation: what stands in the side bar, and what of it fits a phone's bar. `g` and the letter goes there. */
export const NAV = [
  { at: "", text: "Overview", icon: "overview", letter: "o", phone: true },
  { at: "checks", text: "Checks", icon: "checks", letter: "c", phone: true },
  { at: "workers", text: "Workers", icon: "workers", letter: "w", phone: true },
  { at: "queues", text: "Queues", icon: "queues", letter: "q", phone: true },
  { at: "events", text: "Events", icon: "events", letter: "e" },
  { at: "alerts", text: "Alerts", icon: "alerts", letter: "a" },
  { at: "edit", also: "files", text: "Manifests", icon: "files", letter: "m" },
];
