// Every state as a word, a shape and a tone, so that none is told by colour alone. One table for checks, workers, jobs and levels.
// Must not decide what a state means for the whole (health.js does).
import { html } from "../lib.js";

/** state → [tone, shape] */
const STATES = {
  // checks
  up: ["ok", "tick"],
  degraded: ["warn", "triangle"],
  down: ["bad", "cross"],
  unknown: ["mute", "query"],
  maintenance: ["info", "wrench"],
  paused: ["mute", "pause"],
  pending: ["mute", "dots"],
  // workers
  starting: ["info", "dots"],
  running: ["ok", "tick"],
  quarantined: ["bad", "cell"],
  draining: ["info", "drain"],
  stopped: ["mute", "square"],
  failed: ["bad", "cross"],
  // jobs
  delayed: ["mute", "clock"],
  waiting: ["info", "dots"],
  done: ["ok", "tick"],
  dead: ["bad", "cross"],
  cancelled: ["mute", "square"],
  // levels of events and log lines
  trace: ["mute", "small"],
  debug: ["mute", "small"],
  info: ["info", "small"],
  warn: ["warn", "triangle"],
  error: ["bad", "cross"],
  // overall
  ok: ["ok", "tick"],
  bad: ["bad", "cross"],
  mute: ["mute", "query"],
  stale: ["mute", "query"],
};

const known = (state) => STATES[state] ?? ["mute", "query"];

/** "ok" | "warn" | "bad" | "info" | "mute" */
export const tone = (state) => known(state)[0];

// Drawn on 16 × 16: a filled outline in the tone, and what stands in it cut out of it in the panel's colour.
const SHAPES = {
  tick: () => html`<circle cx="8" cy="8" r="7" /><path class="cut" d="M4.8 8.2l2.2 2.3 4.2-4.7" />`,
  triangle: () => html`<path d="M8 1.2l7 12.9H1z" /><path class="cut" d="M8 5.8v4M8 12v.2" />`,
  cross: () => html`<rect x="1.4" y="1.4" width="13.2" height="13.2" rx="2.4" /><path class="cut" d="M5.2 5.2l5.6 5.6M10.8 5.2l-5.6 5.6" />`,
  query: () => html`<circle class="line" cx="8" cy="8" r="6.2" /><path class="line" d="M6.2 6.4c.1-2.2 3.7-2.2 3.7.1 0 1.3-1.9 1.4-1.9 2.7M8 11.4v.1" />`,
  wrench: () => html`<path d="M8 .9L15.1 8 8 15.1.9 8z" /><path class="cut" d="M5.4 8h5.2" />`,
  pause: () => html`<rect x="3.2" y="2.4" width="3.4" height="11.2" rx="1" /><rect x="9.4" y="2.4" width="3.4" height="11.2" rx="1" />`,
  dots: () => html`<circle cx="2.8" cy="8" r="1.8" /><circle cx="8" cy="8" r="1.8" /><circle cx="13.2" cy="8" r="1.8" />`,
  cell: () => html`<path d="M8 .8l6.4 3.6v7.2L8 15.2l-6.4-3.6V4.4z" /><path class="cut" d="M8 4.6v4.2M8 11.2v.2" />`,
  drain: () => html`<path class="line" d="M8 2v9M4 7.4L8 11.6l4-4.2M2.6 14.4h10.8" />`,
  square: () => html`<rect class="line" x="2.4" y="2.4" width="11.2" height="11.2" rx="1.6" />`,
  clock: () => html`<circle class="line" cx="8" cy="8" r="6.2" /><path class="line" d="M8 4.4V8l2.4 1.6" />`,
  small: () => html`<circle cx="8" cy="8" r="3" />`,
};

/** The shape alone; the word must stand beside it, or be given as `label`. */
export function StatusMark({ of, size = 14, label }) {
  const [toned, shape] = known(of);
  return html`<svg class=${`mark tone-${toned}`} width=${size} height=${size} viewBox="0 0 16 16" role=${label ? "img" : undefined}
    aria-label=${label} aria-hidden=${label ? undefined : "true"}>${SHAPES[shape]()}</svg>`;
}

/** Shape and word. */
export function Status({ of, word = of, size }) {
  return html`<span class=${`status tone-${tone(of)}`}><${StatusMark} of=${of} size=${size} />${word}</span>`;
}
