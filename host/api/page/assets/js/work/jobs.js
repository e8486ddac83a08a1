// Jobs of one queue: what stands in it, one job in full, and what may be done with them: retry, cancel, purge, push.
// Must not keep payloads longer than they are shown.

import { html, useEffect, useState } from "../lib.js";
import { get, may, post, query, seg } from "../api.js";
import { link, navigate } from "../router.js";
import { useNow } from "../store.js";
import { confirm, Dialog } from "../ui/dialog.js";
import { act, toast, toastError } from "../ui/toast.js";
import { Button, Facts, Field, Mono, Notice, Section } from "../ui/parts.js";
import { Status } from "../ui/status.js";
import { Table } from "../ui/table.js";
import { ago, bytes, count, dateTime, millis, plural, until } from "../format.js";
import { Loaded, Trouble, useAgain, useLoad } from "./load.js";
import { excerpt, Payload } from "./text.js";

export const STATES = ["waiting", "running", "delayed", "dead", "done", "cancelled"];
const PAGE = 50;
const WATCH_MS = 1500;
const PEEKED_BYTES = 256 * 1024;

export const isOver = (job) => job.state === "done" || job.state === "dead" || job.state === "cancelled";
const canRetry = (job) => job.state === "dead" || job.state === "cancelled";

async function retry(job) {
  return act(post(`jobs/${seg(job.id)}/retry`), `Job ${short(job.id)} waits again, with all its attempts`);
}

async function cancel(job) {
  const text =
    job.state === "running"
      ? `${job.leased_by ?? "Its worker"} has it in hand and learns that it is gone when it finishes. Its result is dropped.`
      : "It does not run any more. A cancelled job can be retried while it is kept.";
  if (!(await confirm({ title: `Cancel job ${short(job.id)}?`, text, action: "Cancel the job", danger: true }))) return false;
  return act(post(`jobs/${seg(job.id)}/cancel`), `Job ${short(job.id)} is cancelled`);
}

/** The end of a UUIDv7 is what differs. */
export const short = (id) => `…${id.slice(-12)}`;

/** When something happens to it next, or did. */
function When({ job, now }) {
  if (job.state === "delayed") return html`<span title=${dateTime(job.due_at)}>${until(job.due_at, now)}</span>`;
  if (isOver(job)) return html`<span title=${dateTime(job.finished_at)}>${ago(job.finished_at ?? job.pushed_at, now)}</span>`;
  return html`<span title=${dateTime(job.pushed_at)}>pushed ${ago(job.pushed_at, now)}</span>`;
}

function Acts({ job, after }) {
  if (!may()) return null;
  const run = (what) => async () => (await what(job)) && after();
  return html`<span class="row-acts">
    ${canRetry(job) && html`<${Button} small onClick=${run(retry)} label=${`Retry job ${short(job.id)}`}>Retry<//>`}
    ${!isOver(job) && html`<${Button} small onClick=${run(cancel)} label=${`Cancel job ${short(job.id)}`}>Cancel<//>`}
  </span>`;
}

/** A page of jobs. Payloads come along where they are small together: up to 1 MiB each is nothing to fetch again and again. */
async function getJobs(path) {
  const jobs = await get(path);
  const size = jobs.reduce((sum, job) => sum + job.payload_bytes, 0);
  return jobs.length > 0 && size <= PEEKED_BYTES ? get(`${path}&peek=true`) : jobs;
}

/** The jobs of a queue in one state; loads again when the queue's row changes. */
export function JobList({ queue, state }) {
  const pathOf = (after) => `queues/${seg(queue.name)}/jobs${query({ state, limit: PAGE, after })}`;
  const path = pathOf(null);
  const first = useLoad(path, getJobs);
  const [more, setMore] = useState({ path: null, jobs: [], done: false, busy: false });
  const now = useNow(1000);
  useAgain([queue.pushed, queue.finished, queue[state]].join(), first.reload, 1500);
  const extra = more.path === path ? more : { jobs: [], done: false, busy: false };
  const older = async (after) => {
    setMore({ ...extra, path, busy: true });
    try {
      const jobs = await getJobs(pathOf(after));
      setMore({ path, jobs: [...extra.jobs, ...jobs], done: jobs.length < PAGE, busy: false });
    } catch (error) {
      toastError(error);
      setMore({ ...extra, path, busy: false });
    }
  };
  const reload = () => {
    setMore({ path: null, jobs: [], done: false, busy: false });
    first.reload();
  };
  const columns = [
    {
      id: "job",
      head: "Job",
      class: "card-start nowrap",
      cell: (job) => html`<a class="text-link mono" href=${link("queues", queue.name, job.id)} title=${job.id}>${short(job.id)}</a>`,
    },
    {
      id: "payload",
      head: "Payload",
      class: "card-wide",
      cell: (job) => html`<div class="job-payload">
        <span class="mono wrap-any">${excerpt(job.payload) || html`<span class="dim">${job.payload_bytes === 0 ? "empty" : bytes(job.payload_bytes)}</span>`}</span>
        ${job.progress && html`<p class="dim wrap-any">${job.progress}</p>`}
        ${job.last_error && html`<p class="job-error wrap-any">${job.last_error}</p>`}
      </div>`,
    },
    { id: "attempts", head: "Attempts", align: "end", hide: "phone", cell: (job) => `${job.attempts}/${job.max_attempts}` },
    { id: "who", head: state === "running" ? "With" : "Pushed by", hide: "phone", class: "hide-mid", cell: (job) => html`<span class="mono wrap-any">${(state === "running" && job.leased_by) || job.pushed_by}</span>` },
    { id: "when", head: state === "delayed" ? "Due" : "When", class: "card-end nowrap", cell: (job) => html`<${When} job=${job} now=${now} />` },
    { id: "acts", head: html`<span class="vh">Acts</span>`, align: "end", class: "card-wide", cell: (job) => html`<${Acts} job=${job} after=${reload} />` },
  ].filter((column) => column.id !== "acts" || (may() && state !== "done"));
  return html`<${Loaded} of=${first} what="The jobs">
    ${(jobs) => {
      const seen = new Set(jobs.map((job) => job.id));
      const rows = [...jobs, ...extra.jobs.filter((job) => !seen.has(job.id))];
      const full = jobs.length === PAGE && !extra.done;
      return html`<${Table} caption=${`${state} jobs of ${queue.name}`} columns=${columns} rows=${rows} rowKey=${(job) => job.id} empty=${html`<p class="dim none">No job is ${state}.</p>`} />
        ${full && html`<p class="more"><${Button} busy=${extra.busy} onClick=${() => older(rows.at(-1).id)}>Show more<//> <span class="dim">${count(rows.length)} of ${count(queue[state])}</span></p>`}`;
    }}
  <//>`;
}

function JobFacts({ job, now }) {
  const kept = job.state === "dead" ? "Kept until somebody retries or purges it" : job.expires_at && `${dateTime(job.expires_at)}, ${until(job.expires_at, now)}`;
  return html`<${Facts} rows=${[
    ["State", html`<${Status} of=${job.state} />`],
    ["Attempts", `${job.attempts} of ${job.max_attempts}`],
    ["Pushed", html`${dateTime(job.pushed_at)}, ${ago(job.pushed_at, now)}, by <${Mono}>${job.pushed_by}<//>`],
    ["Due", isOver(job) ? null : `${dateTime(job.due_at)}, ${until(job.due_at, now)}`],
    ["With", job.leased_by && html`<${Mono}>${job.leased_by}<//>`],
    ["Over", job.finished_at && `${dateTime(job.finished_at)}, ${ago(job.finished_at, now)}`],
    ["Forgotten", kept],
    ["Priority", String(job.priority)],
    ["Unique key", job.unique_key && html`<${Mono}>${job.unique_key}<//>`],
    ["Id", html`<${Mono}>${job.id}<//>`],
  ]} />`;
}

/** One job in full; watched until it is over. */
export function JobPage({ id, queue }) {
  const job = useLoad(`jobs/${seg(id)}`);
  const now = useNow(1000);
  const going = job.data && !isOver(job.data);
  useEffect(() => {
    if (!going) return undefined;
    const timer = setInterval(() => document.hidden || job.reload(), WATCH_MS);
    return () => clearInterval(timer);
  }, [going, job.reload]);
  if (job.error?.status === 404) {
    return html`<${Notice} tone="info" title="This job is not there any more">
      <p class="dim">A finished job is forgotten when its result's time to live is over.</p>
      <p><a class="text-link" href=${link("queues", queue)}>Back to ${queue}</a></p>
    <//>`;
  }
  if (job.error && !job.data) return html`<${Trouble} error=${job.error} what="The job" again=${job.reload} />`;
  return html`<${Loaded} of=${{ ...job, error: null }} what="The job">
    ${(view) => html`<div class="stack">
      <${Section} title=${`Job ${short(view.id)}`} actions=${html`<${Acts} job=${view} after=${job.reload} />`}>
        <${JobFacts} job=${view} now=${now} />
      <//>
      ${view.progress && html`<${Section} title="Progress"><p class="wrap-any" aria-live="polite">${view.progress}</p><//>`}
      ${view.last_error && html`<${Section} title="Why the last attempt failed"><p class="job-error wrap-any">${view.last_error}</p><//>`}
      <${Section} title=${`Payload, ${bytes(view.payload_bytes)}`}><${Payload} label="Payload" of=${view.payload} empty="The payload is not kept." /><//>
      <${Section} title="Result"><${Payload} label="Result" of=${view.result} empty=${isOver(view) ? "It answered nothing." : "There is none before it is done."} /><//>
    </div>`}
  <//>`;
}

const PURGED = ["done", "cancelled", "dead", "delayed", "waiting"];

/** Which states to forget, with how many jobs that are now. */
export function PurgeDialog({ queue, onClose }) {
  const [states, setStates] = useState(() => new Set(queue.dead > 0 ? ["dead"] : ["done"]));
  const [busy, setBusy] = useState(false);
  const total = [...states].reduce((sum, state) => sum + queue[state], 0);
  const flip = (state) => {
    const next = new Set(states);
    if (!next.delete(state)) next.add(state);
    setStates(next);
  };
  const submit = async () => {
    setBusy(true);
    try {
      const { purged } = await post(`queues/${seg(queue.name)}/purge`, { states: [...states] });
      toast(`${plural(purged, "job")} of ${queue.name} ${purged === 1 ? "is" : "are"} forgotten`, "ok");
      onClose();
    } catch (error) {
      toastError(error);
      setBusy(false);
    }
  };
  const actions = html`<${Button} onClick=${onClose}>Keep them<//>
    <${Button} kind="danger" class="solid" busy=${busy} disabled=${states.size === 0} onClick=${submit}>Forget ${plural(total, "job")}<//>`;
  return html`<${Dialog} title=${`Purge ${queue.name}`} onClose=${onClose} actions=${actions}>
    <p>Forgets jobs for good: payloads, results and all. Running jobs stay.</p>
    <fieldset class="choices">
      <legend class="vh">States to forget</legend>
      ${PURGED.map(
        (state) => html`<label class="choice">
          <input type="checkbox" checked=${states.has(state)} onChange=${() => flip(state)} />
          <${Status} of=${state} /> <span class="end num">${count(queue[state])}</span>
        </label>`,
      )}
    </fieldset>
    ${(states.has("waiting") || states.has("delayed")) && html`<${Notice} tone="warn"><p>Waiting and delayed jobs have not been done yet: what they stand for is lost.</p><//>`}
  <//>`;
}

/** Gives the queue a job by hand. */
export function PushDialog({ queue, onClose }) {
  const [form, setForm] = useState({ payload: "", delay: "", priority: "", unique_key: "" });
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const set = (key) => (event) => {
    const { value } = event.currentTarget;
    setForm((was) => ({ ...was, [key]: value }));
    setError(null);
  };
  const submit = async (event) => {
    event?.preventDefault();
    const body = { payload: form.payload };
    if (form.delay.trim()) body.delay = form.delay.trim();
    if (form.unique_key.trim()) body.unique_key = form.unique_key.trim();
    if (form.priority.trim()) {
      if (!/^-?\d+$/.test(form.priority.trim())) return setError({ field: "priority", text: "A whole number." });
      body.priority = Number(form.priority);
    }
    setBusy(true);
    try {
      const [pushed] = await post(`queues/${seg(queue.name)}/jobs`, body);
      toast(pushed.fresh ? `Job ${short(pushed.id)} is pushed` : `A job with this key is there already: ${short(pushed.id)}`, pushed.fresh ? "ok" : "info");
      onClose();
      navigate(link("queues", queue.name, pushed.id));
    } catch (failed) {
      const field = /^(payload|delay|priority|unique_key)\b/.exec(failed.message)?.[1] ?? null;
      setError({ field, text: [failed.message, failed.hint].filter(Boolean).join("; ") });
      setBusy(false);
    }
    return undefined;
  };
  const of = (field) => (error?.field === field ? error.text : null);
  const input = (key, label, hint, props = {}) => html`<${Field} id=${`push-${key}`} label=${label} hint=${hint} error=${of(key)}>
    ${(control) => html`<input ...${control} class="input" value=${form[key]} autocomplete="off" onInput=${set(key)} ...${props} />`}
  <//>`;
  const actions = html`<${Button} onClick=${onClose}>Cancel<//><${Button} kind="primary" busy=${busy} onClick=${submit}>Push<//>`;
  return html`<${Dialog} title=${`Push a job to ${queue.name}`} onClose=${onClose} actions=${actions}>
    <form class="stack" onSubmit=${submit}>
      <${Field} id="push-payload" label="Payload" hint="Text or JSON, as the worker expects it; at most 1 MiB." error=${of("payload")}>
        ${(control) => html`<textarea ...${control} class="input mono" rows="5" value=${form.payload} spellcheck="false" autofocus onInput=${set("payload")}></textarea>`}
      <//>
      <div class="fields-3">
        ${input("delay", "Delay", "Such as 30s. Empty: at once.")}
        ${input("priority", "Priority", "Higher runs first.", { inputmode: "numeric" })}
        ${input("unique_key", "Unique key", "At most one job with it.")}
      </div>
      <p class="field-error" aria-live="polite">${error && error.field === null ? error.text : ""}</p>
      <button class="vh" type="submit" tabindex="-1" aria-hidden="true">Push</button>
    </form>
  <//>`;
}

/** How old the oldest waiting job is; null when none waits. */
export function oldest(queue, now) {
  const at = millis(queue.oldest_waiting_at);
  return at === null || queue.waiting === 0 ? null : Math.max(0, now - at);
}
