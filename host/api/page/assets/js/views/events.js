// What happened: events as they come, older ones on request, filtered; and the crashes (`events/traps`, `events/traps/ID`).
// Live ones are the store's; older pages are asked for. Must not keep more than it shows.

import { html, useMemo, useState } from "../lib.js";
import { get, query as asQuery } from "../api.js";
import { link, setQuery } from "../router.js";
import { useStore } from "../store.js";
import { useTitle } from "../title.js";
import { Button, Empty, PageHead, Search, Spinner, Tabs } from "../ui/parts.js";
import { StatusMark } from "../ui/status.js";
import { toastError } from "../ui/toast.js";
import { clock, count, dateTime, millis, plural } from "../format.js";
import { TrapList, TrapPage } from "../work/traps.js";

const PAGE = 100;
/** More than this on one page helps nobody: filter, or ask for older ones again. */
const MOST = 3000;
const LEVELS = ["info", "warn", "error"];
const RANK = { trace: 0, debug: 1, info: 2, warn: 3, error: 4 };

/** `check`, `worker`, `fleet`, … : what stands before the dot. */
const roomOf = (kind) => kind.split(".")[0];

function tabs(current) {
  return html`<${Tabs} label="What happened" tabs=${[
    { href: link("events"), text: "Events", current: current === "events" },
    { href: link("events", "traps"), text: "Traps", current: current === "traps" },
  ]} />`;
}

/** The day a row begins, where it differs from the one above. */
const dayOf = (at) => new Date(millis(at)).toLocaleDateString("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric" });

function EventRow({ event }) {
  const level = LEVELS.includes(event.level) ? event.level : "info";
  return html`<li class=${`event event-${level}`}>
    <span class="event-mark"><${StatusMark} of=${level} label=${level} size=${13} /></span>
    <time class="event-time" datetime=${event.at} title=${dateTime(event.at)}>${clock(event.at).split(", ").at(-1)}</time>
    <div class="event-body">
      <p class="wrap-any event-text">${event.message}</p>
      <p class="dim event-about">
        <span class="mono">${event.kind}</span>${event.worker && html` · <a class="mono wrap-any" href=${link("workers", event.worker)}>${event.worker}</a>`}
      </p>
    </div>
  </li>`;
}

function Filters({ query, rooms }) {
  const select = (key, label, options) => html`<label class="vh" for=${`events-${key}`}>${label}</label>
    <select id=${`events-${key}`} class="input" value=${query.get(key) ?? ""} onChange=${(event) => setQuery({ [key]: event.currentTarget.value })}>
      ${options.map(([value, text]) => html`<option value=${value} selected=${value === (query.get(key) ?? "")}>${text}</option>`)}
    </select>`;
  return html`<div class="toolbar">
    <${Search} label="Search events" placeholder="Message, kind or worker" value=${query.get("q") ?? ""} onInput=${(q) => setQuery({ q })} />
    ${select("level", "Least level", [["", "All levels"], ["warn", "Warnings and errors"], ["error", "Errors only"]])}
    ${select("kind", "Kind", [["", "All kinds"], ...rooms.map((room) => [room, room])])}
    ${query.get("worker") && html`<span class="chip">worker <span class="mono">${query.get("worker")}</span> <${Button} kind="quiet" small icon="close" label="Show all workers" onClick=${() => setQuery({ worker: null })} /></span>`}
  </div>`;
}

function matcher(query) {
  const words = (query.get("q") ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const least = RANK[query.get("level")] ?? 0;
  const kind = query.get("kind");
  const worker = query.get("worker");
  return (event) => {
    if (RANK[event.level] < least || (kind && roomOf(event.kind) !== kind) || (worker && event.worker !== worker)) return false;
    if (words.length === 0) return true;
    const hay = `${event.message}\n${event.kind}\n${event.worker ?? ""}`.toLowerCase();
    return words.every((word) => hay.includes(word));
  };
}

function Live({ query }) {
  useTitle("Events");
  const { host, events } = useStore("host", "events");
  const [older, setOlder] = useState({ events: [], busy: false, end: false });
  const all = useMemo(() => {
    // The live part may have been replaced by a newer snapshot: ids tell what is in both.
    const first = events[0]?.id ?? Infinity;
    return [...older.events.filter((event) => event.id < first), ...events];
  }, [events, older.events]);
  const rooms = useMemo(() => [...new Set(all.map((event) => roomOf(event.kind)))].sort(), [all]);
  const shown = useMemo(() => all.filter(matcher(query)).reverse().slice(0, MOST), [all, query]);
  const more = async () => {
    setOlder((was) => ({ ...was, busy: true }));
    try {
      const before = all[0]?.id;
      const page = await get(`events${asQuery({ before, limit: PAGE, worker: query.get("worker") })}`);
      setOlder((was) => ({ events: [...page.filter((event) => event.id < (was.events[0]?.id ?? Infinity)), ...was.events], busy: false, end: page.length === 0 }));
    } catch (error) {
      toastError(error);
      setOlder((was) => ({ ...was, busy: false }));
    }
  };
  if (!host) return html`<div class="page"><${PageHead} title="Events" /><${Spinner} /></div>`;
  const filtered = ["q", "level", "kind", "worker"].some((key) => query.get(key));
  let day = null;
  const rows = shown.map((event) => {
    const its = dayOf(event.at);
    const head = its !== day && html`<li key=${its} class="event-day"><h2>${its}</h2></li>`;
    day = its;
    return html`${head}<${EventRow} key=${event.id} event=${event} />`;
  });
  return html`<div class="page">
    <${PageHead} title="Events" sub="What happened on this host, newest first; new ones come by themselves." />
    ${tabs("events")}
    <${Filters} query=${query} rooms=${rooms} />
    <section class="panel" aria-label="Events">
      ${
        shown.length === 0
          ? html`<${Empty} icon="events" title=${filtered ? "No event of the loaded ones fits" : "Nothing happened yet"}>${filtered && "Look further back below, or loosen the filter."}<//>`
          : html`<ul class="events">${rows}</ul>`
      }
      <p class="more">
        ${older.end ? html`<span class="dim">That is all there is.</span>` : shown.length < MOST && html`<${Button} busy=${older.busy} onClick=${more}>Look further back<//>`}
        <span class="dim" role="status">${filtered ? `${count(shown.length)} of ${plural(all.length, "event")}` : plural(all.length, "event")}</span>
      </p>
    </section>
  </div>`;
}

function Traps() {
  useTitle("Traps");
  const { host } = useStore("host");
  return html`<div class="page">
    <${PageHead} title="Traps" sub="What is kept of each crash: cause, backtrace, input, last log lines." />
    ${tabs("traps")}
    <section class="panel cards" aria-label="Traps"><${TrapList} worker=${null} stamp=${host?.traps_today} limit=${100} /></section>
  </div>`;
}

export default function Events({ parts, query }) {
  const [what, id] = parts;
  if (what !== "traps") return html`<${Live} query=${query} />`;
  if (!id) return html`<${Traps} />`;
  const head = (title, actions) => html`<${PageHead} title=${title} back=${{ href: link("events", "traps"), text: "Traps" }}>${actions}<//>`;
  return html`<div class="page"><${TrapPage} id=${id} head=${head} /></div>`;
}
