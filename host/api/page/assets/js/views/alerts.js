// Alerts: whether somebody sends them, what was sent lately and what became of it, a test, and how to switch them on.
// Must not send anything itself but the test; the worker that takes the queue `alerts` does.

import { html, useEffect, useRef, useState } from "../lib.js";
import { get, may, post, seg } from "../api.js";
import { link } from "../router.js";
import { useNow, useStore } from "../store.js";
import { useTitle } from "../title.js";
import { Button, Choice, Empty, LinkButton, Notice, PageHead, Section, Spinner } from "../ui/parts.js";
import { Status, StatusMark } from "../ui/status.js";
import { Table } from "../ui/table.js";
import { toastError } from "../ui/toast.js";
import { ago, dateTime, plural } from "../format.js";
import { isOver } from "../work/jobs.js";
import { Loaded, Trouble, useAgain, useLoad } from "../work/load.js";
import { Block } from "../work/text.js";
import { NOTIFIER } from "../work/templates.js";

const QUEUE = "alerts";
const WATCH_MS = 700;
/** After this long a test is not late but stuck. */
const PATIENCE_MS = 60_000;

/** Pushes a test alert and follows its job until it is over. `{ start, job, error, late }` */
function useTest() {
  const [state, setState] = useState({ id: null, job: null, error: null, late: false, busy: false });
  const timer = useRef(null);
  useEffect(() => () => clearTimeout(timer.current), []);
  const follow = async (id, from) => {
    try {
      const job = await get(`jobs/${seg(id)}`);
      const over = isOver(job);
      const late = !over && performance.now() - from > PATIENCE_MS;
      setState((was) => ({ ...was, job, late, busy: !over && !late }));
      if (!over && !late) timer.current = setTimeout(() => follow(id, from), WATCH_MS);
    } catch (error) {
      setState((was) => ({ ...was, error, busy: false }));
    }
  };
  const start = async () => {
    clearTimeout(timer.current);
    setState({ id: null, job: null, error: null, late: false, busy: true });
    try {
      const { id } = await post("alerts/test");
      setState((was) => ({ ...was, id }));
      follow(id, performance.now());
    } catch (error) {
      toastError(error);
      setState((was) => ({ ...was, error, busy: false }));
    }
  };
  return { ...state, start };
}

function TestOutcome({ test }) {
  const { job, error, late, busy, id } = test;
  if (!busy && !job && !error) return null;
  if (error) return html`<${Notice} tone="bad" title="The test could not be sent" live><p class="wrap-any">${error.message}</p>${error.hint && html`<p class="dim">${error.hint}</p>`}<//>`;
  const see = id && html`<p><a class="text-link" href=${link("queues", QUEUE, id)}>See its job</a></p>`;
  if (job?.state === "done") return html`<${Notice} tone="ok" title="The test went out" live><p>It was delivered, or put into a batch that goes in a moment. Did you see it?</p>${see}<//>`;
  if (job?.state === "dead" || job?.state === "cancelled") {
    return html`<${Notice} tone="bad" title="The test was given up" live><p class="wrap-any">${job.last_error ?? "Nobody said why."}</p>${see}<//>`;
  }
  if (late) return html`<${Notice} tone="warn" title="Still not delivered after a minute" live><p class="wrap-any">${job?.last_error ?? "It waits in the queue: does its worker run?"}</p>${see}<//>`;
  const word = !job ? "is on its way" : job.state === "running" ? "is being sent" : job.last_error ? "failed and is tried again" : "waits for its turn";
  return html`<div class="notice tone-info" role="status"><span class="spinner"></span><div class="grow"><p>The test ${word}…</p>${job?.last_error && html`<p class="dim wrap-any">${job.last_error}</p>`}</div></div>`;
}

/** States that have a shape of their own; anything else is told by the alert's kind. */
const SHAPED = new Set(["up", "degraded", "down", "unknown", "running", "quarantined", "failed", "stopped", "dead"]);

function Flip({ alert }) {
  if (!SHAPED.has(alert.to)) return html`<span class="badge tone-mute">${alert.kind}</span>`;
  return html`<span class="flip-words">${alert.from && html`<span class="dim">${alert.from}</span><span aria-hidden="true">→</span><span class="vh"> to </span>`}<${Status} of=${alert.to} /></span>`;
}

/** Where an alert's subject has its page. */
function aboutLink(alert) {
  if (alert.kind === "check" && alert.worker && alert.subject) return link("checks", alert.worker, alert.subject);
  if (alert.kind === "certificate" && alert.worker && alert.subject) return link("checks", alert.worker, alert.subject);
  if (alert.kind === "job") return alert.subject ? link("queues", alert.subject) : link("queues");
  if (alert.worker) return link("workers", alert.worker);
  return null;
}

/** "Delivered" may be into a batch: its worker took it over for good. */
const DELIVERY = { done: "delivered", running: "being sent", waiting: "waits", delayed: "tried again later", dead: "given up", cancelled: "cancelled" };

function Recent({ recent, now }) {
  const columns = [
    { id: "at", head: "When", class: "nowrap card-end", cell: (alert) => html`<span title=${dateTime(alert.at)}>${ago(alert.at, now)}</span>` },
    { id: "flip", head: "What", class: "card-start", cell: (alert) => html`<${Flip} alert=${alert} />` },
    {
      id: "summary",
      head: "Alert",
      class: "card-wide",
      cell: (alert) => {
        const href = aboutLink(alert);
        return html`<div class="alert-summary">
          ${href ? html`<a class="wrap-any" href=${href}>${alert.summary}</a>` : html`<span class="wrap-any">${alert.summary}</span>`}
          ${alert.last_error && html`<p class="job-error wrap-any">${alert.last_error}</p>`}
        </div>`;
      },
    },
    {
      id: "delivery",
      head: "Delivery",
      class: "card-wide card-row",
      cell: (alert) => html`<a class="delivery" href=${link("queues", QUEUE, alert.id)}><${Status} of=${alert.state} word=${DELIVERY[alert.state] ?? alert.state} /></a>
        ${alert.attempts > 1 && html`<p class="dim">${plural(alert.attempts, "attempt")}</p>`}`,
    },
  ];
  const none = html`<${Empty} icon="alerts" title="No alert yet">One is sent when a check goes down or comes back, a worker is quarantined or fails, a job is dead, or a certificate is about to end.<//>`;
  return html`<${Section} title="Recent alerts" flush class="cards"><${Table} caption="Recent alerts, newest first" columns=${columns} rows=${recent} rowKey=${(alert) => alert.id} empty=${none} /><//>`;
}

/** What to do so that alerts are sent. */
function SwitchOn() {
  const [kind, setKind] = useState("ntfy");
  return html`<${Section} title="Switch alerts on">
    <div class="stack">
      <p>A worker that takes the queue <code>alerts</code> sends them; the plugin <code>notifier</code> is made for it. Choose where they go:</p>
      <div class="scroll-x"><${Choice} label="Where alerts go" value=${kind} onChange=${setKind} options=${Object.entries(NOTIFIER).map(([id, { title }]) => ({ id, text: title }))} /></div>
      <p class="dim">${NOTIFIER[kind].text}</p>
      <${Block} label="Manifest of the notifier" text=${NOTIFIER[kind].toml} />
      ${may() && html`<p><${LinkButton} kind="primary" icon="edit" href=${`${link("edit", "new")}?template=notifier-${kind}`}>Edit and apply it here<//></p>`}
    </div>
  <//>`;
}

function Standing({ alerts, test }) {
  const { on, workers, queue, left_out: leftOut = 0 } = alerts;
  const behind = queue ? queue.waiting + queue.delayed : 0;
  if (!on) {
    return html`<${Notice} tone="warn" title="Alerts are off: nobody sends them">
      <p>No worker takes the queue <code>alerts</code>, so no alert is made. What flips now is not told later either.</p>
    <//>`;
  }
  return html`<section class="panel standing" aria-label="How alerts stand">
    <div class="standing-mark tone-ok"><${StatusMark} of="up" size=${22} /></div>
    <div class="grow">
      <p class="standing-title">Alerts are on</p>
      <p class="dim">${workers.length === 0 ? "Taken from outside this host." : "Sent by "}${workers.map((name, n) => html`${n > 0 && ", "}<a class="text-link mono" href=${link("workers", name)}>${name}</a>`)}${workers.length > 0 && "."}
        ${leftOut > 0 && html` <strong>${plural(leftOut, "alert")} left out</strong>, because too many waited.`}
        ${queue && html` ${behind > 0 ? html`<strong>${plural(behind, "alert")} on the way</strong>` : "None on the way"}${queue.dead > 0 && html`, <a class="text-link" href=${`${link("queues", QUEUE)}?state=dead`}>${queue.dead} given up</a>`}.`}
      </p>
    </div>
    ${may() && html`<${Button} icon="alerts" busy=${test.busy} onClick=${test.start}>Send a test<//>`}
  </section>`;
}

export default function Alerts() {
  useTitle("Alerts");
  const { host, queues } = useStore("host", "queues");
  const now = useNow(1000);
  const of = useLoad("alerts");
  const test = useTest();
  const queue = queues.get(QUEUE);
  const stamp = queue ? [queue.pushed, queue.finished, queue.waiting, queue.delayed, queue.dead, queue.running].join() : "";
  useAgain(`${stamp} ${host?.alerts} ${test.job?.state}`, of.reload);
  if (!host) return html`<div class="page"><${PageHead} title="Alerts" /><${Spinner} /></div>`;
  return html`<div class="page">
    <${PageHead} title="Alerts" sub="What tells you when nobody looks at this page." />
    ${of.error && !of.data ? html`<${Trouble} error=${of.error} what="The alerts" again=${of.reload} />` : null}
    ${(of.data || !of.error) && html`<${Loaded} of=${{ ...of, error: null }} what="The alerts">
      ${(alerts) => html`
        <${Standing} alerts=${alerts} test=${test} />
        <${TestOutcome} test=${test} />
        ${!alerts.on && html`<${SwitchOn} />`}
        <${Recent} recent=${alerts.recent} now=${now} />`}
    <//>`}
  </div>`;
}
