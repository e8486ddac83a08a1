// One check: how it stands, its past over four ranges, what changed, what failed last; and the few acts on it. The row itself is
// live from the store, its past is asked for again while the view is open. Must not decide what an act does.
import { html, useEffect, useMemo, useRef, useState } from "../lib.js";
import { del, get, may, post, query as ask, seg } from "../api.js";
import { date, dateTime, latency, millis, percent, plural, since } from "../format.js";
import { link, navigate, setQuery } from "../router.js";
import { hostNow, keyOf, nameOf, store, useNow, useStore } from "../store.js";
import { useTitle } from "../title.js";
import { BarsWalk } from "../ui/bars.js";
import { linesFor, LatencyChart } from "../ui/chart.js";
import { confirm } from "../ui/dialog.js";
import { Ago, Button, Choice, Empty, Facts, LinkButton, Mono, Notice, PageHead, Section, Spinner } from "../ui/parts.js";
import { Status, StatusMark, tone } from "../ui/status.js";
import { act, toast, toastError } from "../ui/toast.js";
import { Changes, Figures, LastFailure, phaseParts, Phases, UptimeWords } from "./check-parts.js";

const RANGES = [
  { id: "1h", text: "1 h", again: 15_000, words: "the last hour", ms: 3_600_000 },
  { id: "24h", text: "24 h", again: 60_000, words: "the last 24 hours", ms: 86_400_000 },
  { id: "30d", text: "30 d", again: 600_000, words: "the last 30 days", ms: 30 * 86_400_000 },
  { id: "1y", text: "1 y", again: 600_000, words: "the last year", ms: 365 * 86_400_000 },
];
const CERTIFICATE_SOON = 14;
/** The share of a day below which a check is young. */
const YOUNG = 0.06;

/** A host that has no /detail yet still has the history. */
async function olderDetail(worker, subject, range) {
  const until = new Date(hostNow()).toISOString();
  const from = new Date(hostNow() - range.ms).toISOString();
  const resolution = range.id === "1h" || range.id === "24h" ? "minute" : range.id === "30d" ? "hour" : "day";
  const [points, checks] = await Promise.all([get(`checks/history${ask({ worker, subject, from, until, resolution })}`), get(`checks${ask({ worker })}`)]);
  const check = checks.find((one) => one.subject === subject) ?? null;
  return { check, from, until, summary: null, points, changes: [], marks: [], failure: null };
}

/** The past of a check; asked for again every so often, and at once when it changes its state. */
function usePast(worker, subject, range, status) {
  const [past, set] = useState({ data: null, error: null, range: null });
  useEffect(() => {
    let over = false;
    let timer = null;
    const load = async () => {
      // Gone, or not there yet: nothing to ask for.
      if (!store.checks.has(keyOf(worker, subject))) return;
      try {
        let data;
        try {
          data = await get(`checks/detail${ask({ worker, subject, range: range.id })}`);
        } catch (error) {
          if (error.status !== 404 || !store.checks.has(keyOf(worker, subject))) throw error;
          data = await olderDetail(worker, subject, range);
        }
        if (!over) set({ data, error: null, range: range.id });
      } catch (error) {
        if (!over) set((was) => ({ data: was.data, error, range: was.range }));
      }
      if (!over) timer = setTimeout(load, range.again);
    };
    load();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [worker, subject, range.id, status]);
  return past;
}

function Acts({ worker, subject, row }) {
  const [busy, setBusy] = useState(null);
  if (!may()) return null;
  const owner = store.workers.get(worker);
  const paused = owner?.state === "paused";
  // An item of a list has no pause of its own.
  const item = worker.includes("/");
  const others = (store.checksOf.get(worker) ?? 1) - 1;
  const run = async (name, promise, done) => {
    setBusy(name);
    await act(promise(), done);
    setBusy(null);
  };
  const remove = async () => {
    setBusy("delete");
    let plan;
    try {
      plan = await del(`workers/${seg(worker)}?dry_run`);
    } catch (error) {
      setBusy(null);
      return toastError(error);
    }
    setBusy(null);
    const text = others
      ? `Worker “${worker}” reports ${plural(others + 1, "check")}; all of them go, with their history.`
      : "The check goes, and its history with it.";
    const body = html`<ul class="stack plan-lines">${plan.steps.map((step) => html`<li key=${step.worker}><strong>${step.verb}</strong> ${step.worker}${step.changes?.length ? `: ${step.changes.join(", ")}` : ""}</li>`)}
      ${plan.forgets?.map((one) => html`<li key=${`f ${one.worker}`}>forgets ${plural(one.checks, "check")} of ${one.worker}, since ${date(one.since)}</li>`)}
      ${plan.files?.length > 0 && html`<li class="dim">in ${plan.files.join(", ")}</li>`}</ul>`;
    if (!(await confirm({ title: `Delete ${worker}?`, text, body, action: "Delete", danger: true }))) return;
    if (await act(del(`workers/${seg(worker)}`), null)) {
      toast(`Deleted ${worker}`, "ok", "“skep undo” brings the manifest back");
      navigate("/checks");
    }
  };
  const name = row ? nameOf(row) : subject;
  return html`
    <${Button} icon="refresh" busy=${busy === "tick"} disabled=${paused} onClick=${() => run("tick", () => post(`workers/${seg(worker)}/tick`), `Asked ${name} now`)}>Check now<//>
    ${paused
      ? html`<${Button} icon="play" busy=${busy === "resume"} onClick=${() => run("resume", () => post(`workers/${seg(worker)}/resume`), `Resumed ${worker}`)}>Resume<//>`
      : !item && html`<${Button} icon="pause" busy=${busy === "pause"} onClick=${() => run("pause", () => post(`workers/${seg(worker)}/pause`), `Paused ${worker}`)}>Pause<//>`}
    <${LinkButton} icon="edit" href=${link("monitors", worker)}>Edit<//>
    <${Button} kind="danger" icon="trash" busy=${busy === "delete"} onClick=${remove}>Delete<//>`;
}

function Certificate({ ends, now }) {
  const days = Math.floor((ends - now) / 86_400_000);
  const state = days < 0 ? "down" : days < CERTIFICATE_SOON ? "degraded" : "up";
  return html`<span class=${`row tone-${tone(state)}`}><${StatusMark} of=${state} size=${13} />${days < 0 ? "expired" : `${plural(days, "day")} left`} <span class="dim">until ${date(ends)}</span></span>`;
}

function Now({ row, check, now }) {
  const evidence = check?.evidence;
  const pending = row.last === null;
  const rows = [
    ["Detail", row.detail && html`<span class="wrap-any">${row.detail}</span>`],
    ["Last result", html`<${Ago} at=${row.last} none="waiting for the first" />`],
    ["Latency", latency(row.latency_ms)],
    ["Confirming", row.confirming ? `${plural(row.confirming, "result")} against “${row.status}” so far` : null],
    ["Uptime 24 h", html`<${UptimeWords} uptime=${row.uptime} coverage=${row.coverage} />`],
    ["Certificate", row.certificate && html`<${Certificate} ends=${row.certificate} now=${now} />`],
    ["Address", evidence?.address && html`<${Mono}>${evidence.address}<//>`],
    ["HTTP status", evidence?.http_status],
    ["Worker", html`<a class="text-link wrap-any" href=${link("workers", row.worker)}>${row.worker}</a>`],
    ["Group", row.group],
  ];
  return html`<${Section} title="Now"><div class="stack">
    <div>${pending ? html`<p class="dim">Loading… the first result has not come yet.</p>` : html`<${BarsWalk} beats=${row.beats} />`}</div>
    <${Facts} rows=${rows} />
    ${phaseParts(evidence?.phases).length > 0 && html`<div><h3>The last request</h3><${Phases} phases=${evidence.phases} /></div>`}
  </div><//>`;
}

/** The chart in a sentence, for those who can't see it. */
function told(range, data) {
  const { summary } = data;
  const figures = summary?.latency ? `median ${latency(summary.latency.p50_ms)}, 95th percentile ${latency(summary.latency.p95_ms)}, 99th ${latency(summary.latency.p99_ms)}` : "no latencies";
  return `Latency over ${range.words}: ${figures}; ${plural(data.points.filter((point) => point.down_ms > 0).length, "span")} with down time`;
}

function Past({ past, range, onRange }) {
  const { data, error } = past;
  // Oldest first, as they stand in the chart.
  const marks = useMemo(() => [...(data?.marks ?? [])].reverse(), [data]);
  const lines = useMemo(() => linesFor(data?.points ?? []), [data]);
  const body = () => {
    if (!data) return error ? html`<${Notice} tone="bad" title="The past could not be read"><p>${error.message}</p><//>` : html`<${Spinner} />`;
    if (!data.points.length) return html`<${Empty} icon="clock" title="Nothing seen in ${range.words}">The line begins with the first result.<//>`;
    return html`<${LatencyChart} points=${data.points} marks=${marks} from=${Date.parse(data.from) / 1000} until=${Date.parse(data.until) / 1000} label=${told(range, data)} />
      ${marks.length > 0 && html`<ol class="marks">${marks.map((mark, n) => html`<li key=${`${mark.at}${n}`}><span class="mark-no" aria-hidden="true">${n + 1}</span>
        <span><time class="dim" datetime=${mark.at}>${dateTime(mark.at)}</time> <span class="wrap-any">${mark.text}</span></span></li>`)}</ol>`}
      <div class="row legend dim"><span class="key key-down"></span>down <span class="key key-degraded"></span>degraded <span class="key key-unseen"></span>not seen</div>
      <${Figures} points=${data.points} lines=${lines} />`;
  };
  const { summary } = data ?? {};
  return html`<section class="panel past" aria-label="Past"><div class="panel-head"><h2>Latency</h2><div class="row end"><${Choice} label="Range" options=${RANGES} value=${range.id} onChange=${onRange} /></div></div>
    <div class="body stack">
      ${summary && html`<dl class="figures-row">
        <div><dt>Uptime</dt><dd>${summary.uptime === null ? "–" : percent(summary.uptime)}</dd></div>
        <div><dt>Seen</dt><dd>${percent(summary.coverage)}</dd></div>
        <div><dt>p50</dt><dd>${latency(summary.latency?.p50_ms)}</dd></div><div><dt>p95</dt><dd>${latency(summary.latency?.p95_ms)}</dd></div>
        <div><dt>p99</dt><dd>${latency(summary.latency?.p99_ms)}</dd></div><div><dt>Max</dt><dd>${latency(summary.latency?.max_ms)}</dd></div></dl>
        <p class="dim">Over ${range.words}: up <${UptimeWords} uptime=${summary.uptime} coverage=${summary.coverage} />, by ${plural(summary.results, "result")}.</p>`}
      ${body()}
    </div></section>`;
}

export default function Check({ parts, query }) {
  useStore("checks", "workers", "host");
  const now = useNow(1000);
  const [worker, subject] = parts;
  const row = store.checks.get(keyOf(worker, subject));
  const usual = useRef(null);
  // What is young begins with an hour: of a day there would be little to see.
  if (row && usual.current === null) usual.current = row.coverage < YOUNG ? RANGES[0] : RANGES[1];
  const range = RANGES.find((one) => one.id === query.get("range")) ?? usual.current ?? RANGES[1];
  const past = usePast(worker, subject, range, row?.status);
  const was = useRef(null);
  if (row) was.current = nameOf(row);
  const name = was.current ?? subject;
  useTitle(row ? `${name} ${row.status}` : name);
  const back = { href: "#/checks", text: "Checks" };
  if (!store.host) return html`<div class="page"><${PageHead} title=${name} back=${back} /><${Spinner} /></div>`;
  if (!row) {
    return html`<div class="page"><${PageHead} title=${name} back=${back} /><div class="panel"><${Empty} icon="checks" title=${was.current ? "This check is gone" : "There is no such check"}
      action=${html`<${LinkButton} href="#/checks">All checks<//>`}>Its worker was deleted, or does not report it any more.<//></div></div>`;
  }
  const pending = row.last === null;
  const sub = html`<span class="row"><${Status} of=${pending ? "pending" : row.status} word=${pending ? "waiting for the first result" : row.status} size=${16} />
    ${!pending && html`<span>${since(row.since, now)}</span>`}${name !== subject && html`<span class="dim wrap-any">${subject}</span>`}</span>`;
  return html`<div class="page">
    <${PageHead} title=${name} back=${back} sub=${sub}><${Acts} worker=${worker} subject=${subject} row=${row} /><//>
    <div class="check-split">
      <div class="stack aside"><${Now} row=${row} check=${past.data?.check} now=${now} />${past.data && html`<${LastFailure} failure=${past.data.failure} />`}</div>
      <div class="stack"><${Past} past=${past} range=${range} onRange=${(id) => setQuery({ range: id })} />
        ${past.data && html`<${Changes} changes=${past.data.changes} now=${now} />`}</div>
    </div></div>`;
}
