// One queue: what it holds, how fast it fills and empties, its jobs by state, one job in full.
// Must not count anything itself: numbers are the live store's.

import { html, useState } from "../lib.js";
import { may } from "../api.js";
import { link } from "../router.js";
import { useNow, useStore } from "../store.js";
import { useTitle } from "../title.js";
import { Button, Facts, Notice, PageHead, Section } from "../ui/parts.js";
import { StatusMark, tone } from "../ui/status.js";
import { count, duration, rate } from "../format.js";
import { JobList, JobPage, oldest, PurgeDialog, PushDialog, STATES } from "./jobs.js";
import { ratesOf, seriesOf, useRates } from "./rates.js";
import { FlowChart } from "./spark.js";

/** The states with their counts; each shows its jobs below. */
function StateTabs({ queue, state }) {
  return html`<nav class="state-tabs" aria-label="Jobs by state">
    ${STATES.map((one) => {
      const loud = one === "dead" && queue.dead > 0;
      return html`<a key=${one} href=${`${link("queues", queue.name)}?state=${one}`} class=${`state-tab tone-${tone(one)} ${loud ? "loud" : ""}`}
        aria-current=${one === state ? "page" : undefined}>
        <span class="state-word"><${StatusMark} of=${one} size=${12} />${one}</span>
        <span class="state-count">${count(queue[one])}</span>
      </a>`;
    })}
  </nav>`;
}

/** The state a person most likely came for. */
function usualState(queue) {
  return ["dead", "running", "waiting", "delayed"].find((state) => queue[state] > 0) ?? "done";
}

function Names({ kind, names, none }) {
  if (names.length === 0) return html`<span class="dim">${none}</span>`;
  return names.map((name, n) => html`${n > 0 && ", "}<a class="text-link mono" href=${link(kind, name)}>${name}</a>`);
}

function Flow({ queue, now }) {
  useRates();
  const flow = ratesOf(queue.name);
  const age = oldest(queue, now);
  const left = flow.out > 0 && flow.out > flow.in && queue.waiting > 0 ? (queue.waiting / (flow.out - flow.in)) * 1000 : null;
  return html`<${Section} title="Flow">
    <div class="flow-numbers">
      <p><span class="big">${rate(flow.in)}</span><span class="dim">pushed</span></p>
      <p><span class="big">${rate(flow.out)}</span><span class="dim">finished</span></p>
      <p><span class="big">${age === null ? "–" : duration(age)}</span><span class="dim">oldest waiting</span></p>
      <p><span class="big">${left === null ? "–" : duration(left)}</span><span class="dim">until empty, at this pace</span></p>
    </div>
    <${FlowChart} series=${seriesOf(queue.name)} now=${now} />
  <//>`;
}

function Settings({ queue }) {
  return html`<${Section} title="Settings in force">
    <${Facts} rows=${[
      ["Workers", html`<${Names} kind="workers" names=${queue.workers} none="None of this host; anything that speaks HTTP may lease its jobs" />`],
      ["Limiter", queue.limiter ? html`<a class="text-link mono" href=${`${link("queues")}?show=limiters`}>${queue.limiter}</a>` : html`<span class="dim">None</span>`],
      ["Attempts", `${queue.max_attempts}, then dead`],
      ["Backoff", `${duration(queue.backoff_ms)}, doubled each time`],
      ["Result kept", duration(queue.result_ttl_ms)],
      [
        "Declared",
        queue.file
          ? html`<a class="text-link mono" href=${`${link("edit", queue.file)}?line=${queue.line}`}>${queue.file}:${queue.line}</a>`
          : html`<span class="dim">Nowhere: it has the defaults</span>`,
      ],
    ]} />
  <//>`;
}

export function QueuePage({ name, job, query }) {
  useTitle(name);
  const { queues } = useStore("queues", "host");
  const now = useNow(1000);
  const [dialog, setDialog] = useState(null);
  const queue = queues.get(name);
  const back = job ? { href: link("queues", name), text: name } : { href: link("queues"), text: "Queues" };
  if (!queue) {
    return html`<div class="page">
      <${PageHead} title=${name} back=${back} />
      <${Notice} tone="info" title="There is no such queue"><p>A push makes one, and so does a worker that takes jobs from it.</p><//>
    </div>`;
  }
  if (job) {
    return html`<div class="page">
      <${PageHead} title="Job" sub=${html`<span class="mono wrap-any">${job}</span>`} back=${back} />
      <${JobPage} id=${job} queue=${name} />
    </div>`;
  }
  const asked = query.get("state");
  const state = STATES.includes(asked) ? asked : usualState(queue);
  const close = () => setDialog(null);
  return html`<div class="page">
    <${PageHead} title=${name} back=${back}>
      ${may() && html`<${Button} icon="plus" onClick=${() => setDialog("push")}>Push a job<//><${Button} kind="danger" icon="trash" onClick=${() => setDialog("purge")}>Purge…<//>`}
    <//>
    <div class="split">
      <${Flow} queue=${queue} now=${now} />
      <${Settings} queue=${queue} />
    </div>
    <section class="panel cards" aria-label="Jobs">
      <${StateTabs} queue=${queue} state=${state} />
      <${JobList} key=${state} queue=${queue} state=${state} />
    </section>
    ${dialog === "push" && html`<${PushDialog} queue=${queue} onClose=${close} />`}
    ${dialog === "purge" && html`<${PurgeDialog} queue=${queue} onClose=${close} />`}
  </div>`;
}
