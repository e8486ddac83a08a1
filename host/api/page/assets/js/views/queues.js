// Queues and limiters: what waits, how fast it moves, what paces it; `queues/NAME` and `queues/NAME/JOB` show one of them in full.

import { html } from "../lib.js";
import { link, setQuery } from "../router.js";
import { useNow, useStore } from "../store.js";
import { useTitle } from "../title.js";
import { Choice, Empty, PageHead, Search, Spinner } from "../ui/parts.js";
import { StatusMark } from "../ui/status.js";
import { Table } from "../ui/table.js";
import { count, duration, plural, rate } from "../format.js";
import { Limiters } from "../work/limiters.js";
import { oldest } from "../work/jobs.js";
import { QueuePage } from "../work/queue.js";
import { ratesOf, useRates } from "../work/rates.js";

/** On a phone a row is a card, and its numbers say what they count. */
const named = (word, what) => html`<span class="card-word">${word}</span>${what}`;
const number = (queue, key) => (queue[key] > 0 ? count(queue[key]) : html`<span class="faint">0</span>`);

function columns(now) {
  return [
    {
      id: "name",
      head: "Queue",
      class: "card-wide",
      sort: (queue) => queue.name,
      cell: (queue) => html`<a class="text-link mono wrap-any" href=${link("queues", queue.name)}>${queue.name}</a>
        <p class="only-phone dim">${queue.running} running, ${queue.delayed} delayed, ${queue.done} done</p>`,
    },
    { id: "waiting", head: "Waiting", align: "end", sort: (queue) => queue.waiting, cell: (queue) => named("waiting", number(queue, "waiting")) },
    { id: "running", head: "Running", align: "end", hide: "phone", sort: (queue) => queue.running, cell: (queue) => number(queue, "running") },
    { id: "delayed", head: "Delayed", align: "end", hide: "phone", class: "hide-mid", sort: (queue) => queue.delayed, cell: (queue) => number(queue, "delayed") },
    {
      id: "dead",
      head: "Dead",
      align: "end",
      sort: (queue) => queue.dead,
      cell: (queue) =>
        queue.dead > 0
          ? named("dead", html`<a class="badge tone-bad" href=${`${link("queues", queue.name)}?state=dead`}><${StatusMark} of="dead" size=${11} />${count(queue.dead)}</a>`)
          : named("dead", number(queue, "dead")),
    },
    { id: "done", head: "Done", align: "end", hide: "phone", class: "hide-mid", sort: (queue) => queue.done, cell: (queue) => number(queue, "done") },
    { id: "in", head: "In", align: "end", hide: "phone", class: "hide-mid", sort: (queue) => ratesOf(queue.name).in, cell: (queue) => rate(ratesOf(queue.name).in) },
    { id: "out", head: "Out", align: "end", sort: (queue) => ratesOf(queue.name).out, cell: (queue) => named("out", rate(ratesOf(queue.name).out)) },
    {
      id: "oldest",
      head: "Oldest",
      align: "end",
      sort: (queue) => oldest(queue, now),
      cell: (queue) => {
        const age = oldest(queue, now);
        return named("oldest", age === null ? html`<span class="faint">–</span>` : duration(age));
      },
    },
    {
      id: "workers",
      head: "Workers",
      hide: "phone",
      class: "hide-mid",
      cell: (queue) =>
        queue.workers.length === 0
          ? html`<span class="faint">none</span>`
          : html`<span class="queue-workers">${queue.workers.slice(0, 2).map((name, n) => html`${n > 0 && ", "}<a class="mono" href=${link("workers", name)}>${name}</a>`)}${queue.workers.length > 2 && ` and ${queue.workers.length - 2} more`}</span>`,
    },
    { id: "limiter", head: "Limiter", hide: "phone", class: "hide-mid", cell: (queue) => (queue.limiter ? html`<span class="mono">${queue.limiter}</span>` : html`<span class="faint">none</span>`) },
  ];
}

function QueueTable({ queues, wanted }) {
  useRates();
  const now = useNow(1000);
  const rows = [...queues.values()]
    .filter((queue) => !wanted || queue.name.toLowerCase().includes(wanted) || queue.workers.some((worker) => worker.toLowerCase().includes(wanted)))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const none = wanted
    ? html`<${Empty} icon="queues" title="No queue is called so" />`
    : html`<${Empty} icon="queues" title="No queue yet">A push makes one, and so does a worker with <code>jobs = { queue = "NAME" }</code>.<//>`;
  return html`<section class="panel cards queue-cards"><${Table} caption="Queues" columns=${columns(now)} rows=${rows} rowKey=${(queue) => queue.name} empty=${none} /></section>`;
}

function List({ query }) {
  useTitle("Queues");
  const { host, queues, limiters, counts } = useStore("queues", "limiters", "host");
  const show = query.get("show") === "limiters" ? "limiters" : "queues";
  const wanted = (query.get("q") ?? "").trim().toLowerCase();
  if (!host) return html`<div class="page"><${PageHead} title="Queues" /><${Spinner} /></div>`;
  const sub = `${plural(counts.waiting, "job")} wait${counts.waiting === 1 ? "s" : ""}, ${count(counts.dead)} dead`;
  return html`<div class="page">
    <${PageHead} title="Queues" sub=${sub} />
    <div class="toolbar">
      <${Choice} label="Show" value=${show} onChange=${(id) => setQuery({ show: id === "queues" ? null : id, q: null })}
        options=${[{ id: "queues", text: "Queues", count: queues.size }, { id: "limiters", text: "Limiters", count: limiters.size }]} />
      ${show === "queues" && html`<${Search} label="Search queues" placeholder="Name or worker" value=${query.get("q") ?? ""} onInput=${(q) => setQuery({ q })} />`}
    </div>
    ${show === "queues" ? html`<${QueueTable} queues=${queues} wanted=${wanted} />` : html`<${Limiters} />`}
  </div>`;
}

export default function Queues({ parts, query }) {
  const [name, job] = parts;
  return name ? html`<${QueuePage} key=${name} name=${name} job=${job} query=${query} />` : html`<${List} query=${query} />`;
}
