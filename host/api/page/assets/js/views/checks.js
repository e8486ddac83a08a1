// All checks: searched, filtered, grouped and sorted; live. Ten thousand rows cost what is on screen.
// Must not draw a row itself (check-row.js) nor decide the order (checks-order.js).
import { html, useEffect, useMemo, useRef, useState } from "../lib.js";
import { may } from "../api.js";
import { count, plural } from "../format.js";
import { link, navigate, setQuery } from "../router.js";
import { keyOf, store, useNow, useStore } from "../store.js";
import { useTitle } from "../title.js";
import { pointAt, SIZE } from "../ui/bars.js";
import { VirtualGrid } from "../ui/list.js";
import { Button, Choice, Empty, Icon, LinkButton, PageHead, Search, Spinner } from "../ui/parts.js";
import { StatusMark } from "../ui/status.js";
import { hideTip } from "../ui/tip.js";
import { CheckRow, flashOfCheck } from "./check-row.js";
import { order } from "./checks-order.js";

const COLUMNS = [
  { id: "status", head: "Status", sort: true },
  { id: "name", head: "Check", sort: true },
  { id: "bars", head: html`Last 30 results<span class="vh">, newest right</span>` },
  { id: "uptime", head: "Uptime 24 h", sort: true, class: "num" },
  { id: "latency", head: "Latency", sort: true, class: "num" },
  { id: "spark", head: html`<span class="vh">Latency of the last results</span>` },
  { id: "last", head: "Last", sort: true, class: "num" },
];
const WIDE = "124px minmax(140px, 1fr) 182px 102px 76px 86px 78px";
const MIDDLE = "122px minmax(110px, 1fr) 150px 92px 72px 78px";
const SORTS = { name: "By name", status: "Worst first", uptime: "Lowest uptime", "-latency": "Slowest", "-last": "Newest result" };
/** Statuses move rows at most this often, figures less: a list that jumps can't be read. */
const REORDER_MS = 1000;
const RESORT_MS = 3000;
const MOVING = new Set(["latency", "last", "uptime"]);
const CLOSED = "skep.closed";

function closedGroups() {
  try {
    return new Set(JSON.parse(localStorage.getItem(CLOSED) ?? "[]"));
  } catch {
    return new Set();
  }
}

function useMedia(query) {
  const [matches, set] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const media = matchMedia(query);
    const listener = () => set(media.matches);
    media.addEventListener("change", listener);
    return () => media.removeEventListener("change", listener);
  }, [query]);
  return matches;
}

/** Grows when the order may have changed, but not faster than a person can follow. */
function useStamp(sort) {
  const kept = useRef({ at: 0, shape: -1, flips: -1, stamp: 0 });
  const was = kept.current;
  const at = performance.now();
  const every = MOVING.has(sort.replace(/^-/, "")) ? RESORT_MS : REORDER_MS;
  const moved = was.flips !== store.flips || (MOVING.has(sort.replace(/^-/, "")) && at - was.at > every);
  if (was.shape !== store.shape.checks || (moved && at - was.at > every)) {
    kept.current = { at, shape: store.shape.checks, flips: store.flips, stamp: was.stamp + 1 };
  }
  return kept.current.stamp;
}

function filters() {
  const c = store.counts.checks;
  const some = (id, text, mark, n) => ({ id, text, mark, count: count(n) });
  return [
    { id: "", text: "All", count: count(store.checks.size) },
    some("down", "Down", "down", c.down ?? 0),
    some("degraded", "Degraded", "degraded", c.degraded ?? 0),
    some("unknown", "Unknown", "unknown", c.unknown ?? 0),
    some("up", "Up", "up", c.up ?? 0),
    some("resting", "Resting", "paused", (c.paused ?? 0) + (c.maintenance ?? 0)),
  ].filter((choice) => choice.count !== "0" || choice.id === "" || choice.id === "up");
}

function GroupRow({ head, at, place, onToggle }) {
  const notUp = ["down", "degraded", "unknown"].filter((status) => head.counts[status]);
  return html`<div role="row" id=${at.id} aria-rowindex=${place + 2} aria-level="1" aria-expanded=${String(!head.closed)} style=${at.style}
    class=${at.active ? "grid-row group-row is-active" : "grid-row group-row"} onClick=${onToggle}>
    <div role="gridcell" class="group-cell"><span class=${head.closed ? "turn" : "turn open"}><${Icon} name="chevron" size=${15} /></span>
      <strong class="clip">${head.label}</strong><span class="dim">${plural(head.total, "check")}</span>
      ${notUp.map((status) => html`<span key=${status} class=${`badge tone-${status === "down" ? "bad" : status === "degraded" ? "warn" : "mute"}`}>
        <${StatusMark} of=${status} size=${11} />${head.counts[status]}<span class="word"> ${status}</span></span>`)}
      ${!notUp.length && html`<${StatusMark} of="up" size=${12} label="all up" />`}</div></div>`;
}

function None() {
  const add = may() && html`<div class="row"><${LinkButton} kind="primary" icon="plus" href="#/monitors/new">Add a monitor<//></div>`;
  return html`<${Empty} icon="checks" title="No checks yet" action=${add}>Add a URL or a machine to watch, or run a worker that reports checks.<//>`;
}

/** The row a person was at, for when they come back. */
let lastActive = -1;

export default function Checks({ query }) {
  useStore("checks", "host");
  useTitle("Checks");
  const now = useNow(1000);
  const phone = useMedia("(max-width: 720px)");
  const middle = useMedia("(max-width: 1160px)");
  const [closed, setClosed] = useState(closedGroups);
  const [cursor, setCursor] = useState({ key: null, place: null });
  const text = query.get("q") ?? "";
  const status = query.get("status") ?? "";
  const sort = query.get("sort") ?? "name";
  const grouped = (query.get("group") ?? "yes") === "yes";
  const stamp = useStamp(sort);
  const { entries, heads, matched, groups } = useMemo(
    () => order(store.checks, { text, status, sort, closed, grouped }),
    [stamp, text, status, sort, closed, grouped],
  );
  useEffect(() => hideTip, []);

  if (!store.host) return html`<div class="page"><${PageHead} title="Checks" /><${Spinner} /></div>`;

  const toggle = (name) => {
    const next = new Set(closed);
    if (!next.delete(name)) next.add(name);
    setClosed(next);
    try {
      localStorage.setItem(CLOSED, JSON.stringify([...next].slice(-200)));
    } catch {
      // Closed for this page only, then.
    }
  };
  const open = (index) => {
    const entry = entries[index];
    if (typeof entry !== "string") return toggle(entry.group);
    const check = store.checks.get(entry);
    if (check) navigate(link("checks", check.worker, check.subject));
  };
  const side = (index, by, element) => {
    const entry = entries[index];
    if (typeof entry !== "string") return entry.closed === by > 0 && toggle(entry.group);
    const at = cursor.key === entry ? cursor.place : SIZE;
    const place = Math.max(0, Math.min(SIZE - 1, at + by));
    setCursor({ key: entry, place });
    const svg = element?.querySelector(".bars");
    if (svg) pointAt(svg, place, store.checks.get(entry)?.beats);
  };
  const click = (event, index) => {
    if (event.target.closest("a")) return;
    // A tap on a bar asks for that result, not for the check.
    if (event.target.closest(".bars") && matchMedia("(hover: none)").matches) return;
    if (!getSelection().isCollapsed) return;
    open(index);
  };
  const template = phone ? undefined : middle ? MIDDLE : WIDE;
  const second = Math.floor(now / 1000);
  const row = (index, at) => {
    const entry = entries[index];
    if (typeof entry !== "string") return html`<${GroupRow} key=${at.slot} head=${entry} at=${at} place=${index} onToggle=${() => toggle(entry.group)} />`;
    const check = store.checks.get(entry);
    // Gone a moment ago: its place stays until the order is made anew.
    if (!check) return html`<div key=${at.slot} role="row" id=${at.id} class="grid-row" style=${at.style}><div role="gridcell"></div></div>`;
    return html`<${CheckRow} key=${at.slot} check=${check} now=${now} second=${second} at=${at} place=${index} flash=${flashOfCheck(check)}
      cursor=${at.active && cursor.key === entry ? cursor.place : null} template=${template} onOpen=${(event) => click(event, index)} />`;
  };

  const total = store.checks.size;
  const sub = total ? `${plural(total, "check")}${groups > 1 ? ` in ${plural(groups, "group")}` : ""}${matched !== total ? `, ${count(matched)} shown` : ""}` : null;
  return html`<div class="page checks-page">
    <${PageHead} title="Checks" sub=${sub}>${may() && total > 0 && html`<${LinkButton} kind="primary" icon="plus" href="#/monitors/new">Add a monitor<//>`}<//>
    ${total === 0
      ? html`<div class="panel"><${None} /></div>`
      : html`<div class="toolbar">
            <${Search} label="Search checks" value=${text} onInput=${(value) => setQuery({ q: value })} />
            <div class="scroll-x"><${Choice} label="Status" options=${filters()} value=${status} onChange=${(id) => setQuery({ status: id })} /></div>
            <div class="row end-wide">
              ${phone && html`<label class="row dim">Sort <select class="input" value=${sort} onChange=${(event) => setQuery({ sort: event.target.value })}>
                ${Object.entries(SORTS).map(([id, words]) => html`<option key=${id} value=${id}>${words}</option>`)}</select></label>`}
              ${(groups > 1 || !grouped) && html`<${Button} kind="quiet" small aria-pressed=${String(grouped)} icon=${grouped ? "down" : "queues"} onClick=${() => setQuery({ group: grouped ? "no" : null })}>${grouped ? "Grouped" : "One list"}<//>`}
            </div>
          </div>
          <div class="panel">${matched
            ? html`<${VirtualGrid} label="Checks" columns=${COLUMNS} count=${entries.length} rowHeight=${phone ? 92 : 48} heads=${heads} headHeight=${40} role=${heads.length ? "treegrid" : "grid"} template=${template}
                row=${row} onOpen=${open} onSide=${side} active=${lastActive} onActive=${(index) => (lastActive = index)} sort=${sort} onSort=${(id) => setQuery({ sort: id })} topInset=${phone ? 60 : 50} />`
            : html`<${Empty} icon="search" title="No check fits" action=${html`<${Button} onClick=${() => setQuery({ q: null, status: null })}>Show all<//>`}>
                Of ${plural(total, "check")}, none ${text ? `matches “${text}”` : ""}${text && status ? " and " : ""}${status ? `is ${status}` : ""}.<//>`}</div>`}
  </div>`;
}
