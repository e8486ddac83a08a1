// All workers, a row each: state, replicas, incarnation, restarts, memory, events a second, lateness, next tick, last error.
// Only the rows in view exist, so that thousands are no trouble. Must not act on any of them; their own pages do.

import { html, useEffect, useMemo, useState } from "../lib.js";
import { may } from "../api.js";
import { link, navigate, setQuery } from "../router.js";
import { useFlash, useNow, useStore } from "../store.js";
import { useTitle } from "../title.js";
import { Choice, Empty, LinkButton, PageHead, Search, Spinner } from "../ui/parts.js";
import { VirtualGrid } from "../ui/list.js";
import { Status, StatusMark } from "../ui/status.js";
import { bytes, count, latency, plural, rate, until } from "../format.js";
import { incarnation, incarnationWords } from "../work/words.js";
import { BAD, order, RESTLESS } from "../work/workers-order.js";

const STATES = ["running", "starting", "draining", "quarantined", "failed", "paused", "stopped"];

/** How much fits beside the navigation: each size has its columns and their widths. */
const SIZES = [
  { media: matchMedia("(max-width: 720px)"), phone: true, height: 60, template: "minmax(0, 1fr) auto", columns: ["name", "state"] },
  {
    media: matchMedia("(max-width: 960px)"),
    height: 52,
    template: "112px minmax(100px, 1fr) 62px 66px 70px",
    columns: ["state", "name", "replicas", "rate", "next"],
  },
  {
    media: matchMedia("(max-width: 1160px)"),
    height: 52,
    template: "112px minmax(120px, 1fr) 62px 66px 66px 72px 70px",
    columns: ["state", "name", "replicas", "rate", "restarts", "memory", "next"],
  },
  {
    media: matchMedia("all"),
    height: 52,
    template: "116px minmax(140px, 1fr) 66px 72px 68px 60px 74px 70px 72px",
    columns: ["state", "name", "replicas", "rate", "restarts", "incarnation", "memory", "lateness", "next"],
  },
];

const sizeNow = () => SIZES.find((size) => size.media.matches);

function useSize() {
  const [size, set] = useState(sizeNow);
  useEffect(() => {
    const listener = () => set(sizeNow());
    SIZES.forEach((one) => one.media.addEventListener("change", listener));
    return () => SIZES.forEach((one) => one.media.removeEventListener("change", listener));
  }, []);
  return size;
}

const HEADS = {
  state: "State",
  name: "Worker",
  replicas: "Replicas",
  rate: "Events",
  restarts: "Restarts",
  incarnation: "Incarn.",
  memory: "Memory",
  lateness: "Late",
  next: "Next tick",
};
const columnsOf = (size) => size.columns.map((id) => ({ id, head: HEADS[id], sort: true, class: id === "state" || id === "name" ? undefined : "num" }));

/** The second line of a row: what went wrong as long as it matters, else what makes it run. */
function Line({ worker }) {
  const trouble = worker.held_back ?? (BAD.has(worker.state) || worker.state === "draining" ? worker.last_error : null);
  if (trouble) return html`<span class="worker-error clip" title=${trouble}>${trouble}</span>`;
  const name = worker.title ? html`<span class="mono">${worker.name}</span>` : null;
  const triggers = worker.triggers.join(", ");
  return html`<span class="dim clip">${name}${name && triggers && " · "}${triggers}${worker.last_error && html` · <span title=${worker.last_error}>last error: ${worker.last_error}</span>`}</span>`;
}

const zero = (n, text) => (n ? text : html`<span class="faint">${text}</span>`);

const CELLS = {
  state: (worker) => html`<${Status} of=${worker.state} />`,
  name: (worker) => html`<a class="clip strong" tabindex="-1" href=${link("workers", worker.name)}>${worker.title ?? worker.name}</a>`,
  replicas: (worker) => {
    const low = worker.running < worker.desired && !["paused", "stopped"].includes(worker.state);
    return html`<span class=${low ? "tone-warn lit-text" : undefined}>${worker.running}/${worker.desired}</span>`;
  },
  rate: (worker) => zero(worker.rate, rate(worker.rate)),
  restarts: (worker) => zero(worker.restarts, count(worker.restarts)),
  incarnation: (worker) => html`<span title=${incarnationWords(worker.incarnation)}>${count(incarnation(worker.incarnation))}</span>`,
  memory: (worker) => zero(worker.memory_peak_bytes, bytes(worker.memory_peak_bytes)),
  lateness: (worker) => zero(worker.lateness_ms, latency(worker.lateness_ms)),
  next: (worker, now) => (worker.next === null ? html`<span class="faint">–</span>` : until(worker.next, now)),
};

function Cells({ worker, now, size }) {
  return html`
    ${size.columns.map((id) => html`<div key=${id} role="gridcell" class=${id === "name" ? "worker-name" : id === "state" ? undefined : "num"}>${CELLS[id](worker, now)}</div>`)}
    <div role="gridcell" class="worker-line clip"><${Line} worker=${worker} /></div>`;
}

function PhoneCells({ worker }) {
  return html`
    <div role="gridcell" class="worker-name"><a class="clip strong" tabindex="-1" href=${link("workers", worker.name)}>${worker.title ?? worker.name}</a><${Line} worker=${worker} /></div>
    <div role="gridcell" class="worker-side"><${Status} of=${worker.state} /><span class="dim">${worker.running}/${worker.desired} · ${rate(worker.rate)}</span></div>`;
}

function WorkerRow({ worker, at, index, now, size }) {
  const flash = useFlash("workers", worker.name);
  const open = (event) => event.target.closest("a") || getSelection()?.toString() || navigate(link("workers", worker.name));
  return html`<div id=${at.id} role="row" aria-rowindex=${index + 2} class=${`grid-row worker-row ${at.active ? "is-active" : ""} ${flash}`}
    style=${{ ...at.style, gridTemplateColumns: size.template }} onClick=${open}>
    ${size.phone ? html`<${PhoneCells} worker=${worker} />` : html`<${Cells} worker=${worker} now=${now} size=${size} />`}
  </div>`;
}

function GroupRow({ head, at, index }) {
  return html`<div id=${at.id} role="row" aria-rowindex=${index + 2} class=${`grid-row group-row ${at.active ? "is-active" : ""}`} style=${at.style}>
    <div role="gridcell" class="group-cell">
      <strong class="clip">${head.group || "No group"}</strong>
      <span class="dim">${plural(head.total, "worker")}</span>
      ${STATES.filter((state) => state !== "running" && head.counts[state]).map((state) => html`<span class="group-count"><${StatusMark} of=${state} size=${12} />${head.counts[state]} ${state}</span>`)}
    </div>
  </div>`;
}

function StateFilter({ counts, total, value }) {
  const present = STATES.filter((state) => counts[state] > 0 || state === value);
  const options = [{ id: "", text: "All", count: total }, ...present.map((state) => ({ id: state, text: state, mark: state, count: counts[state] ?? 0 }))];
  return html`<${Choice} label="State" value=${value} options=${options} onChange=${(state) => setQuery({ state })} />`;
}

function GroupFilter({ groups, value }) {
  if (groups.length < 2 && !value) return null;
  return html`<label class="vh" for="worker-group">Group</label>
    <select id="worker-group" class="input" value=${value} onChange=${(event) => setQuery({ group: event.currentTarget.value })}>
      <option value="">All groups</option>
      ${groups.map((group) => html`<option value=${group} selected=${group === value}>${group}</option>`)}
    </select>`;
}

function List({ workers, shape, counts, wish }) {
  const size = useSize();
  const now = useNow(1000);
  const beat = Math.floor(now / 3000);
  const restless = RESTLESS.has(wish.sort.replace(/^-/, "")) ? beat : 0;
  const states = JSON.stringify(counts);
  const { entries, matched } = useMemo(() => order(workers, wish), [shape, states, restless, wish.text, wish.state, wish.group, wish.sort]);
  if (workers.size === 0) {
    return html`<${Empty} icon="workers" title="No worker runs here" action=${html`<${LinkButton} kind="primary" icon="plus" href=${link("monitors", "new")}>Add a monitor<//>`}>
      Put a manifest into the manifests folder, or add one here.
    <//>`;
  }
  if (matched === 0) {
    return html`<${Empty} icon="search" title="No worker fits" action=${html`<${LinkButton} href=${link("workers")}>Show all ${count(workers.size)}<//>`} />`;
  }
  const row = (index, at) => {
    const entry = entries[index];
    if (typeof entry !== "string") return html`<${GroupRow} key=${at.slot} head=${entry} at=${at} index=${index} />`;
    const worker = workers.get(entry);
    return worker && html`<${WorkerRow} key=${at.slot} worker=${worker} at=${at} index=${index} now=${now} size=${size} />`;
  };
  const onOpen = (index) => typeof entries[index] === "string" && navigate(link("workers", entries[index]));
  return html`<section class="panel worker-grid" aria-label="Workers">
    <${VirtualGrid} label="Workers" columns=${columnsOf(size)} template=${size.template} count=${entries.length} rowHeight=${size.height}
      row=${row} onOpen=${onOpen} sort=${wish.sort} onSort=${(sort) => setQuery({ sort: sort === "name" ? null : sort })} stamp=${now} />
  </section>
  <p class="vh" role="status">${plural(matched, "worker")} shown</p>`;
}

export default function Workers({ query }) {
  useTitle("Workers");
  const { host, workers, counts, shape } = useStore("host", "workers");
  const groups = useMemo(() => [...new Set([...workers.values()].map((worker) => worker.group).filter(Boolean))].sort(), [shape.workers]);
  if (!host) return html`<div class="page"><${PageHead} title="Workers" /><${Spinner} /></div>`;
  const wish = { text: query.get("q") ?? "", state: query.get("state") ?? "", group: query.get("group") ?? "", sort: query.get("sort") ?? "name" };
  const bad = (counts.workers.failed ?? 0) + (counts.workers.quarantined ?? 0);
  const sub = `${count(counts.workers.running ?? 0)} of ${plural(workers.size, "worker")} running${bad > 0 ? `, ${bad} need${bad === 1 ? "s" : ""} attention` : ""}`;
  return html`<div class="page">
    <${PageHead} title="Workers" sub=${sub}>
      ${may() && html`<${LinkButton} icon="files" href=${link("edit", "new")}>New manifest<//><${LinkButton} kind="primary" icon="plus" href=${link("monitors", "new")}>Add a monitor<//>`}
    <//>
    <div class="toolbar">
      <${Search} label="Search workers" placeholder="Name, title, trigger, error" value=${wish.text} onInput=${(q) => setQuery({ q })} />
      <${GroupFilter} groups=${groups} value=${wish.group} />
      <div class="scroll-x"><${StateFilter} counts=${counts.workers} total=${workers.size} value=${wish.state} /></div>
    </div>
    <${List} workers=${workers} shape=${shape.workers} counts=${counts.workers} wish=${wish} />
  </div>`;
}
