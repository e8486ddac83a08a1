// The last minute of a queue as two lines: jobs in, jobs out. Drawn by hand: it is sixty points.
// Must not be the only place where a number stands; the words beside it say the same.

import { html } from "../lib.js";
import { rate } from "../format.js";

const WIDTH = 600;
const HEIGHT = 72;
const SPAN_MS = 60_000;

function points(series, key, end, top) {
  return series.map((point) => {
    const x = WIDTH - ((end - point.at) / SPAN_MS) * WIDTH;
    const y = HEIGHT - 2 - (point[key] / top) * (HEIGHT - 6);
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  });
}

export function FlowChart({ series, now }) {
  if (series.length < 2) return html`<div class="flow flow-empty dim">Counting the first seconds…</div>`;
  const end = series.at(-1).at;
  const kept = series.filter((point) => end - point.at < SPAN_MS);
  const most = Math.max(...kept.map((point) => Math.max(point.in, point.out)));
  const top = Math.max(1, most);
  const incoming = points(kept, "in", end, top);
  const outgoing = points(kept, "out", end, top);
  const first = outgoing[0].split(",")[0];
  const area = `${first},${HEIGHT} ${outgoing.join(" ")} ${WIDTH},${HEIGHT}`;
  const label = `The last minute: at most ${rate(most)}. Newest at the right.`;
  return html`<figure class="flow">
    <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label=${label}>
      <polygon class="flow-area" points=${area} />
      <polyline class="flow-out" points=${outgoing.join(" ")} />
      <polyline class="flow-in" points=${incoming.join(" ")} />
    </svg>
    <figcaption class="dim"><span class="flow-key flow-key-in">pushed</span><span class="flow-key flow-key-out">finished</span><span class="end">${rate(top)} at the top, one minute</span></figcaption>
  </figure>`;
}
