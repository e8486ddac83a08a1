// The first thing a person sees: is all well, and if not, what and why. One sentence, the counts, then what needs attention, worst
// first; what happened last beside it. Must not act on anything: each line leads to where one can.
import { html, useMemo, useRef } from "../lib.js";
import { may } from "../api.js";
import { attention, health } from "../health.js";
import { ago, clock, count, since } from "../format.js";
import { hostNow, store, useNow, useStore } from "../store.js";
import { useTitle } from "../title.js";
import { Empty, Icon, LinkButton, Section, Spinner, Tile } from "../ui/parts.js";
import { StatusMark } from "../ui/status.js";
import { Skep } from "../ui/icons.js";

const MARK = { ok: "ok", warn: "degraded", bad: "bad", mute: "unknown" };
const EVENTS_SHOWN = 12;
/** Gathering what needs attention walks all checks: not ten times a second. */
const GATHER_MS = 500;

/** When anything last changed its state. */
function lastChange(now) {
  let newest = 0;
  for (const check of store.checks.values()) if (check.since > newest && check.last !== null) newest = check.since;
  return newest ? `Last change of a check ${ago(newest, now)}` : "";
}

function Headline({ now }) {
  const whole = health(store);
  const { host } = store;
  const bits = [whole.also || lastChange(now), `host up ${since(host.started, now)}`].filter(Boolean).join(" · ");
  return html`<header class=${`headline tone-${whole.level}`}>
    <${StatusMark} of=${MARK[whole.level]} size=${34} />
    <div class="grow"><h1 class="wrap-any">${whole.text}</h1><p class="dim">${bits[0].toUpperCase() + bits.slice(1)}</p></div>
  </header>`;
}

/** The counts: four of checks, four of work. */
function Counts() {
  const { counts, host } = store;
  const c = counts.checks;
  const w = counts.workers;
  const resting = (c.paused ?? 0) + (c.maintenance ?? 0);
  const check = (state, label, tone, note) => {
    const n = c[state] ?? 0;
    return html`<${Tile} key=${state} label=${label} value=${count(n)} mark=${state} tone=${tone} loud=${n > 0 && (tone === "bad" || tone === "warn")} note=${note} href=${`#/checks?status=${state}`} />`;
  };
  const broken = (w.quarantined ?? 0) + (w.failed ?? 0);
  const of = (n) => html`<span class="of"> of ${count(n)}</span>`;
  return html`<section aria-label="Counts" class="tiles four">
    ${check("up", "Checks up", "ok", resting ? `${count(resting)} at rest` : null)}
    ${check("degraded", "Degraded", "warn")}
    ${check("down", "Down", "bad")}
    ${check("unknown", "Unknown", "mute")}
    <${Tile} label="Workers running" mark="running" value=${html`${count(w.running ?? 0)}${of(store.workers.size)}`} tone="ok" note=${w.paused ? `${count(w.paused)} paused` : null} href="#/workers" />
    <${Tile} label=${w.failed && !w.quarantined ? "Failed" : "Quarantined"} mark="quarantined" value=${count(broken)} tone="bad" loud=${broken > 0}
      note=${w.failed && w.quarantined ? `${count(w.failed)} of them failed` : null} href="#/workers" />
    <${Tile} label="Jobs waiting" mark="waiting" value=${count(counts.waiting)} tone="warn" loud=${counts.dead > 0} note=${counts.dead ? `${count(counts.dead)} dead` : null} href="#/queues" />
    <${Tile} label="Traps today" mark=${host.traps_today ? "degraded" : "ok"} value=${count(host.traps_today)} tone="warn" loud=${host.traps_today > 0} href="#/events/traps" />
  </section>`;
}

function Need({ need, now }) {
  return html`<li><a class=${`need tone-${{ down: "bad", degraded: "warn", unknown: "mute", dead: "warn" }[need.state] ?? "bad"}`} href=${need.href}>
    <span class="need-state"><${StatusMark} of=${need.state} size=${15} /><span>${need.word ?? need.state}</span></span>
    <span class="need-what"><span class="clip"><span class="need-title">${need.title}</span> <span class="need-kind">${need.kind}</span></span>
      <span class="need-reason clip" title=${need.reason}>${need.reason}</span></span>
    <span class="need-since num">${need.since ? since(need.since, now) : ""}</span>
    <${Icon} name="chevron" size=${15} />
  </a></li>`;
}

function useNeeds() {
  const kept = useRef({ at: -GATHER_MS, found: { needs: [], more: 0 } });
  const at = performance.now();
  if (at - kept.current.at >= GATHER_MS) kept.current = { at, found: attention(store, hostNow()) };
  return kept.current.found;
}

function Needs({ now }) {
  const { needs, more } = useNeeds();
  if (!needs.length) {
    return html`<${Section} title="Needs attention"><p class="all-well"><${StatusMark} of="ok" size=${15} /> Nothing. Down checks, failing workers, broken manifests and dead jobs would stand here.</p><//>`;
  }
  const title = html`Needs attention <span class="faint">${count(needs.length + more)}</span>`;
  return html`<section class="panel" aria-label="Needs attention"><div class="panel-head"><h2>${title}</h2></div>
    <ul class="needs">${needs.map((need) => html`<${Need} key=${need.key} need=${need} now=${now} />`)}</ul>
    ${more > 0 && html`<p class="needs-more"><a class="text-link" href="#/checks?status=down&group=no">and ${count(more)} more</a></p>`}</section>`;
}

function LastEvents({ now }) {
  useStore("events");
  const newest = useMemo(() => store.events.slice(-EVENTS_SHOWN).reverse(), [store.events]);
  return html`<${Section} title="What happened" flush actions=${html`<a class="text-link" href="#/events">All events</a>`}>
    ${newest.length
      ? html`<ol class="happened">${newest.map((event) => html`<li key=${event.id}><${StatusMark} of=${event.level} size=${13} label=${event.level} />
          <span class="grow"><span class="happened-text">${event.worker && html`<strong>${event.worker}</strong> `}${event.message}</span>
          <time class="faint" title=${clock(event.at)} datetime=${event.at}>${ago(event.at, now)}</time></span></li>`)}</ol>`
      : html`<p class="body dim">Nothing yet.</p>`}
  <//>`;
}

function Welcome() {
  return html`<div class="panel welcome"><div class="empty"><${Skep} size=${64} /><h1 class="empty-title">An empty skep</h1>
    <p>Nothing is watched and nothing runs yet. Add a URL or a machine here, or put a manifest into the manifests folder and its component beside it.</p>
    ${may() && html`<div class="row"><${LinkButton} kind="primary" icon="plus" href="#/monitors/new">Add a monitor<//><${LinkButton} icon="files" href="#/edit">Write a manifest<//></div>`}
  </div></div>`;
}

export default function Overview() {
  useStore("host", "checks", "workers", "queues", "conn");
  useTitle("Overview");
  const now = useNow(1000);
  const { host } = store;
  if (!host) return html`<div class="page"><h1 class="vh">Overview</h1><${Spinner} text="Asking the host…" /></div>`;
  const empty = !store.checks.size && !store.workers.size;
  const problems = host.problems.length > 0;
  if (empty && !problems) return html`<div class="page"><${Welcome} /></div>`;
  return html`<div class="page overview">
    <${Headline} now=${now} />
    <${Counts} />
    <div class="over-split"><${Needs} now=${now} /><${LastEvents} now=${now} /></div>
  </div>`;
}
