// The heartbeat bar and the sparkline of a check: one small SVG each, a path per status. Status is told by height and form as well
// as by colour. Must not decode more than it draws, nor hold state for rows.
import { html, useState } from "../lib.js";
import { decodeBeats, places } from "../beats.js";
import { ago, clock, latency } from "../format.js";
import { hostNow } from "../store.js";
import { hideTip, showTip } from "./tip.js";

export { decodeBeats };

export const SIZE = 30;
const STEP = 6;
const HEIGHT = 24;
const WIDTH = SIZE * STEP - 2;

const bar = (x, top, height, width = 4) => `M${x} ${top}h${width}v${height}h${-width}z`;
const FORMS = {
  up: (x) => bar(x, 4, 16),
  // Broken in the middle.
  degraded: (x) => bar(x, 4, 6.5) + bar(x, 13.5, 6.5),
  // Taller than all others.
  down: (x) => bar(x - 0.5, 0, 24, 5),
  // A short stump.
  unknown: (x) => bar(x, 9, 6),
  // Half, at the foot.
  maintenance: (x) => bar(x, 12, 8),
  // Two dots.
  paused: (x) => bar(x, 7, 3) + bar(x, 14, 3),
  none: (x) => bar(x + 1, 11, 2, 2),
};

/** "up, 12 ms, 12:03:11" */
export function beatWords(beat) {
  if (!beat) return "no data";
  return [beat.status, beat.latency !== null && latency(beat.latency), clock(beat.at)].filter(Boolean).join(", ");
}

function summary(beats, now) {
  if (!beats.length) return "no results yet";
  const counts = {};
  for (const beat of beats) counts[beat.status] = (counts[beat.status] ?? 0) + 1;
  const newest = beats.at(-1);
  const parts = Object.entries(counts).map(([status, n]) => `${n} ${status}`);
  const took = newest.latency === null ? "" : ` ${latency(newest.latency)},`;
  return `last ${beats.length} results: ${parts.join(", ")}; newest ${newest.status},${took} ${ago(newest.at, now)}`;
}

/** Where the cursor of a bar stands over the window, and what to say there. */
export function pointAt(svg, index, text) {
  const beat = places(decodeBeats(text), SIZE)[index];
  const box = svg.getBoundingClientRect();
  showTip(box.left + ((index + 0.5) / SIZE) * box.width, box.top, beatWords(beat));
}

function onMove(event, text) {
  const svg = event.currentTarget;
  const box = svg.getBoundingClientRect();
  const index = Math.floor(((event.clientX - box.left) / box.width) * SIZE);
  if (index >= 0 && index < SIZE) pointAt(svg, index, text);
}

/** A finger that is lifted leaves what it asked for to be read. */
const onLeave = (event) => event.pointerType !== "touch" && hideTip();

/** @param {{ beats: string, now: number, cursor?: ?number }} props cursor: the place the keyboard is at, from 0 */
export function Bars({ beats: text, now = hostNow(), cursor = null, ...rest }) {
  const beats = decodeBeats(text);
  const paths = {};
  places(beats, SIZE).forEach((beat, n) => {
    const form = beat ? beat.status : "none";
    paths[form] = (paths[form] ?? "") + FORMS[form](n * STEP);
  });
  return html`<svg class="bars" viewBox=${`-1 0 ${WIDTH + 2} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label=${summary(beats, now)}
    onPointerMove=${(event) => onMove(event, text)} onPointerDown=${(event) => onMove(event, text)} onPointerLeave=${onLeave} ...${rest}>
    ${Object.keys(FORMS).map((form) => paths[form] && html`<path key=${form} class=${`beat-${form}`} d=${paths[form]} />`)}
    ${cursor !== null && html`<rect class="beat-cursor" x=${cursor * STEP - 1} y="0.5" width="6" height=${HEIGHT - 1} rx="1" />`}
  </svg>`;
}

/** A bar that stands alone and can be gone through with the arrow keys. */
export function BarsWalk({ beats }) {
  const [cursor, setCursor] = useState(null);
  const onKeyDown = (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, Home: -SIZE, End: SIZE }[event.key];
    if (!by) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(SIZE - 1, (cursor ?? SIZE) + by));
    setCursor(next);
    pointAt(event.currentTarget, next, beats);
  };
  const leave = () => {
    setCursor(null);
    hideTip();
  };
  return html`<${Bars} beats=${beats} cursor=${cursor} tabindex="0" onKeyDown=${onKeyDown} onBlur=${leave} class="bars bars-wide" />`;
}

const SPARK_W = 84;
const SPARK_H = 22;

/** Latency of the same results; a gap where there was none. Decoration beside the figure, so hidden from screen readers. */
export function Sparkline({ beats: text }) {
  const beats = decodeBeats(text);
  const values = beats.map((beat) => beat.latency).filter((value) => value !== null);
  if (values.length < 2) return html`<svg class="spark" width=${SPARK_W} height=${SPARK_H} aria-hidden="true"></svg>`;
  const top = Math.max(...values);
  const low = Math.min(...values);
  // A quiet line should look quiet: what varies by less than a third of itself doesn't fill the height.
  const span = Math.max(top - low, top * 0.35) || 1;
  const step = (SPARK_W - 4) / (SIZE - 1);
  let path = "";
  let pen = "M";
  beats.forEach((beat, n) => {
    if (beat.latency === null) {
      pen = "M";
      return;
    }
    const x = 2 + (SIZE - beats.length + n) * step;
    const y = SPARK_H - 3 - ((beat.latency - low) / span) * (SPARK_H - 6);
    path += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = "L";
  });
  return html`<svg class="spark" width=${SPARK_W} height=${SPARK_H} viewBox=${`0 0 ${SPARK_W} ${SPARK_H}`} aria-hidden="true"><path d=${path} /></svg>`;
}
