// The pieces of a check's detail: phases, changes, evidence, points as a table. What they are given is what they show.
// Must not fetch.
import { html, useState } from "../lib.js";
import { clock, count, dateTime, duration, latency, millis, percent } from "../format.js";
import { Ago, Facts, Mono, Section } from "../ui/parts.js";
import { Status, StatusMark } from "../ui/status.js";
import { Table } from "../ui/table.js";

const PHASES = [
  ["dns_ms", "DNS", "name looked up"],
  ["connect_ms", "Connect", "TCP connected"],
  ["tls_ms", "TLS", "secured"],
  ["first_byte_ms", "First byte", "waiting for the answer"],
];

/** The phases that happened, and the rest up to the total, as parts of a whole. */
export function phaseParts(phases) {
  if (!phases) return [];
  const parts = PHASES.filter(([field]) => typeof phases[field] === "number").map(([field, name, words]) => ({ field, name, words, ms: phases[field] }));
  const sum = parts.reduce((total, part) => total + part.ms, 0);
  if (typeof phases.total_ms === "number" && phases.total_ms > sum) parts.push({ field: "rest", name: "Rest", words: "the answer read", ms: phases.total_ms - sum });
  return parts;
}

export function Phases({ phases }) {
  const parts = phaseParts(phases);
  if (!parts.length) return null;
  const sum = parts.reduce((total, part) => total + part.ms, 0);
  const words = parts.map((part) => `${part.name} ${latency(part.ms)}`).join(", ");
  return html`<div class="phases"><div class="phase-bar" role="img" aria-label=${`Phases of the request: ${words}`}>${parts.map(
    (part) => html`<span key=${part.field} class=${`phase phase-${part.field}`} style=${{ flexGrow: String(Math.max(part.ms / sum, 0.004)) }} title=${`${part.name}: ${latency(part.ms)}`}></span>`,
  )}</div>
  <ul class="phase-list" aria-hidden="true">${parts.map(
    (part) => html`<li key=${part.field}><span class=${`phase-key phase-${part.field}`}></span>${part.name} <span class="dim">${latency(part.ms)}</span></li>`,
  )}<li class="end">Total <span class="dim">${latency(phases.total_ms ?? sum)}</span></li></ul></div>`;
}

/** "99.95 % of the 82 % of the time that was seen" */
export function UptimeWords({ uptime, coverage }) {
  if (uptime === null || uptime === undefined) return html`<span class="dim">nothing seen yet</span>`;
  if (coverage >= 0.9995) return html`<strong>${percent(uptime)}</strong> of the time`;
  return html`<strong>${percent(uptime)}</strong> <span class="dim">of the ${percent(coverage)} of the time that was seen</span>`;
}

export function Changes({ changes, now }) {
  const [all, setAll] = useState(false);
  const shown = all ? changes : changes.slice(0, 12);
  // How long it was so: until the next change, the first one until now.
  const rows = shown.map((change, n) => ({ ...change, n, lasted: (n === 0 ? now : millis(changes[n - 1].at)) - millis(change.at) }));
  const columns = [
    { id: "at", head: "When", cell: (row) => html`<time datetime=${row.at} title=${dateTime(row.at)}>${clock(row.at)}</time>` },
    { id: "to", head: "State", cell: (row) => html`<span class="row nowrap"><span class="vh">from ${row.from} to </span><${Status} of=${row.to} /></span><span class="only-phone dim wrap-any">${row.detail}</span>` },
    { id: "from", head: "Before", hide: "phone", cell: (row) => html`<span class="dim">${row.from}</span>` },
    { id: "lasted", head: "Lasted", align: "end", cell: (row) => (row.n === 0 ? html`<span class="dim">so far </span>${duration(row.lasted)}` : duration(row.lasted)) },
    { id: "detail", head: "Why", hide: "phone", class: "wrap-any", cell: (row) => row.detail || html`<span class="faint">–</span>` },
  ];
  return html`<${Section} title="Changes of state" flush class="changes">
    <${Table} caption="Changes of state, newest first" columns=${columns} rows=${rows} rowKey=${(row) => `${row.at} ${row.n}`}
      empty=${html`<p class="body dim">None yet: it has been in one state since it was first seen.</p>`} />
    ${changes.length > shown.length && html`<p class="needs-more"><button type="button" class="linkish" onClick=${() => setAll(true)}>Show all ${count(changes.length)}</button></p>`}
  <//>`;
}

export function LastFailure({ failure }) {
  if (!failure) return html`<${Section} title="Last failure" class="failure"><p class="all-well"><${StatusMark} of="ok" size=${15} /> None kept.</p><//>`;
  const { evidence } = failure;
  const rows = [
    ["When", html`<${Ago} at=${failure.at} /> <span class="dim">${dateTime(failure.at)}</span>`],
    ["What", html`<${Status} of=${failure.status} />`],
    ["Why", failure.detail && html`<span class="wrap-any">${failure.detail}</span>`],
    ["Address", evidence?.address && html`<${Mono}>${evidence.address}<//>`],
    ["HTTP status", evidence?.http_status],
    ["Reached", reached(evidence)],
  ];
  return html`<${Section} title="Last failure" class="failure"><div class="stack"><${Facts} rows=${rows} />
    <${Phases} phases=${evidence?.phases} />
    ${evidence?.excerpt && html`<div><h3 id="excerpt">How the answer began <span class="faint">as text, secrets masked</span></h3><pre class="code wrap excerpt" tabindex="0" aria-labelledby="excerpt">${evidence.excerpt}</pre></div>`}
  </div><//>`;
}

/** How far the request came, in words. */
function reached(evidence) {
  if (!evidence) return null;
  const done = phaseParts(evidence.phases).map((part) => part.field);
  if (evidence.http_status) return "an answer came";
  if (done.includes("tls_ms")) return "secured, but no answer came";
  if (done.includes("connect_ms")) return "connected, but no further";
  if (done.includes("dns_ms")) return "its name was found, but no connection came about";
  return evidence.address ? "no connection came about" : null;
}

/** The chart's figures, for those who do not look at charts. */
export function Figures({ points, lines }) {
  const [open, setOpen] = useState(false);
  const columns = [
    { id: "at", head: "From", cell: (row) => dateTime(row.at) },
    { id: "results", head: "Results", align: "end", cell: (row) => count(row.results) },
    ...lines.map((line) => ({ id: line.field, head: line.label, align: "end", cell: (row) => latency(row[line.field]) })),
    { id: "down", head: "Down", align: "end", cell: (row) => (row.down_ms ? duration(row.down_ms) : "–") },
    { id: "degraded", head: "Degraded", align: "end", hide: "phone", cell: (row) => (row.degraded_ms ? duration(row.degraded_ms) : "–") },
  ];
  return html`<details class="figures" onToggle=${(event) => setOpen(event.target.open)}><summary>As a table</summary>
    ${open && html`<${Table} caption="Figures of the chart, newest first" columns=${columns} rows=${[...points].reverse()} rowKey=${(row) => row.at} />`}</details>`;
}
