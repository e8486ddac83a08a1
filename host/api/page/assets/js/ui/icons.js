// Line icons, 24 × 24, drawn with the text's colour; always beside a word or a label, so hidden from screen readers.
// Must not carry meaning of their own.
import { html } from "../lib.js";

const PATHS = {
  overview: "M4 13h6V4H4zM14 20h6v-9h-6zM4 20h6v-3H4zM14 7h6V4h-6z",
  checks: "M3 12h4l3 8 4-16 3 8h4",
  workers: "M12 2.5l8.2 4.75v9.5L12 21.5l-8.2-4.75v-9.5zM12 8.2l3.3 1.9v3.8L12 15.8l-3.3-1.9v-3.8z",
  queues: "M4 6h16M4 12h16M4 18h10",
  events: "M5 4v16M5 6h4M5 12h4M5 18h4M13 6h7M13 12h7M13 18h5",
  alerts: "M6 16V11a6 6 0 0 1 12 0v5l2 2H4zM10 21h4",
  edit: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  files: "M6 3h8l4 4v14H6zM14 3v4h4M9 12h6M9 16h6",
  plus: "M12 5v14M5 12h14",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l5 5",
  close: "M6 6l12 12M18 6L6 18",
  chevron: "M9 6l6 6-6 6",
  down: "M6 9l6 6 6-6",
  up: "M6 15l6-6 6 6",
  back: "M15 6l-6 6 6 6",
  play: "M7 4.5v15l12-7.5z",
  pause: "M8 5v14M16 5v14",
  refresh: "M20 11a8 8 0 1 0-2.3 6.3M20 5v6h-6",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10 11v5M14 11v5",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M19 5l-2 2M7 17l-2 2",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z",
  auto: "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18",
  help: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM9.5 9.5c.2-3 5-3 5 0 0 2-2.5 2-2.5 4M12 16.8v.1",
  out: "M10 4H5v16h5M14 8l5 4-5 4M19 12H9",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  link: "M9 15l6-6M8 12l-2 2a3.5 3.5 0 0 0 5 5l2-2M16 12l2-2a3.5 3.5 0 0 0-5-5l-2 2",
  lock: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  warn: "M12 4l9 16H3zM12 10v4M12 17v.1",
  clock: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7v5l3 2",
};

/** @param {{ name: keyof typeof PATHS, size?: number }} props */
export function Icon({ name, size = 18 }) {
  return html`<svg width=${size} height=${size} viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width=${name === "more" ? 3 : 1.7}
    stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
}

/** The mark: a skep, the woven hive, in four coils with its door. */
export function Skep({ size = 24 }) {
  return html`<svg class="skep" width=${size} height=${size} viewBox="0 0 32 32" fill="currentColor" aria-hidden="true">
    <rect x="11" y="2" width="10" height="5.6" rx="2.8" /><rect x="6.5" y="8.8" width="19" height="5.6" rx="2.8" />
    <rect x="4" y="15.6" width="24" height="5.6" rx="2.8" />
    <path d="M5.8 22.4h6.4c-1 1.1-1.4 2.2-1.4 3.4V28h-5a2.8 2.8 0 0 1 0-5.6zM19.8 22.4h6.4a2.8 2.8 0 0 1 0 5.6h-5v-2.2c0-1.2-.4-2.3-1.4-3.4z" />
  </svg>`;
}
