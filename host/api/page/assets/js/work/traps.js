// Trap records: what is kept of a crash, as a list and one in full. All of a record is text of a guest and shown as such.

import { html } from "../lib.js";
import { query, seg } from "../api.js";
import { link } from "../router.js";
import { useNow } from "../store.js";
import { Button, Empty, Facts, Mono, Notice, Section } from "../ui/parts.js";
import { Table } from "../ui/table.js";
import { ago, bytes, clock, dateTime, latency } from "../format.js";
import { Loaded, useAgain, useLoad } from "./load.js";
import { Block, copy, DigestText, pretty } from "./text.js";
import { incarnation, incarnationWords } from "./words.js";

/** A cause in words a person knows, and how bad it is. */
const CAUSES = {
  trap: "crashed",
  "out-of-memory": "out of memory",
  "stack-overflow": "stack overflow",
  timeout: "took too long",
  limit: "passed a limit",
  host: "the host failed the call",
};

export const Cause = ({ of }) => html`<span class=${`badge tone-${of === "host" ? "warn" : "bad"}`}>${CAUSES[of] ?? of}</span>`;

const firstLine = (text) => text.split("\n").find((line) => line.trim()) ?? "";

/** What the guest said is worth more than what the engine says. A panic's own sentence stands below its place. */
function headline(trap) {
  if (!trap.panic) return trap.message;
  const lines = trap.panic.split("\n").filter((line) => line.trim());
  return lines.length > 1 && /^(thread .* )?panicked at /.test(lines[0]) ? lines[1] : lines[0];
}

export const trapLink = (id) => link("events", "traps", id);

/** Records, newest first; of one worker, or of all. `stamp` changes when there is reason to look again. */
export function TrapList({ worker, stamp, limit = 50 }) {
  const of = useLoad(`traps${query({ worker, limit })}`);
  const now = useNow(1000);
  useAgain(stamp, of.reload, 2000);
  const columns = [
    {
      id: "at",
      head: "When",
      class: "card-end",
      sort: (trap) => Date.parse(trap.at),
      cell: (trap) => html`<a class="text-link" href=${trapLink(trap.id)} title=${dateTime(trap.at)}>${ago(trap.at, now)}</a>`,
    },
    { id: "worker", head: "Worker", hide: "phone", cell: (trap) => html`<a class="mono wrap-any" href=${link("workers", trap.worker)}>${trap.worker}</a>` },
    { id: "cause", head: "Cause", class: "card-start", cell: (trap) => html`<${Cause} of=${trap.cause} />` },
    {
      id: "what",
      head: "What",
      class: "card-wide",
      cell: (trap) => html`<span class="wrap-any trap-what">${headline(trap)}</span>${!worker && html`<p class="only-phone dim mono wrap-any">${trap.worker}</p>`}`,
    },
    { id: "event", head: "In", hide: "phone", cell: (trap) => html`<span class="mono wrap-any">${trap.event}</span>` },
    { id: "incarnation", head: "Incarnation", align: "end", hide: "phone", cell: (trap) => html`<span title=${incarnationWords(trap.incarnation)}>${incarnation(trap.incarnation)}</span>` },
    { id: "ran", head: "Ran", align: "end", hide: "phone", sort: (trap) => trap.ran_ms, cell: (trap) => latency(trap.ran_ms) },
  ].filter((column) => !worker || column.id !== "worker");
  const none = html`<${Empty} icon="checks" title="No crash is on record">${worker ? "It has not trapped since records are kept." : "Nothing here has trapped since records are kept."}<//>`;
  return html`<${Loaded} of=${of} what="The trap records">
    ${(traps) => html`<${Table} caption="Trap records, newest first" columns=${columns} rows=${traps} rowKey=${(trap) => trap.id} empty=${none} />
      ${traps.length === limit && html`<p class="more dim">The newest ${limit} are shown.</p>`}`}
  <//>`;
}

function Frames({ frames }) {
  if (frames.length === 0) return html`<p class="dim">There is none: the component has no names, or the host ended it from outside.</p>`;
  return html`<ol class="frames" tabindex="0" role="list" aria-label="Backtrace, innermost first">
    ${frames.map((frame, n) => html`<li class="frame"><span class="frame-number" aria-hidden="true">${n}</span><code class="wrap-any">${frame}</code></li>`)}
  </ol>`;
}

/** The log lines before it, oldest first. */
function LastLines({ lines }) {
  if (lines.length === 0) return html`<p class="dim">It had logged nothing.</p>`;
  return html`<div class="log-lines log-short" tabindex="0" role="group" aria-label="Last log lines">
    ${lines.map(
      (line, n) => html`<div key=${n} class=${`log-line log-${line.level}`}>
        <time class="log-time" datetime=${line.at} title=${dateTime(line.at)}>${clock(line.at)}</time>
        <span class="log-level">${line.level}</span>
        <span class="log-text">${line.source !== "log" && html`<span class="log-from">${line.source}</span> `}${line.text}</span>
      </div>`,
    )}
  </div>`;
}

function Record({ trap }) {
  const now = useNow(1000);
  const title = headline(trap);
  // What stands in the title needs no second telling.
  const said = trap.panic ? trap.panic.split("\n").filter((line) => line !== title).join("\n").trim() : "";
  return html`<div class="stack">
    <${Notice} tone=${trap.cause === "host" ? "warn" : "bad"} title=${title}>
      ${said && html`<pre class="trap-said wrap-any">${said}</pre>`}
      ${trap.panic && html`<p class="dim wrap-any">${trap.message}</p>`}
    <//>
    <div class="split">
      <${Section} title="Backtrace, innermost first"><${Frames} frames=${trap.backtrace} /><//>
      <${Section} title="Facts">
        <${Facts} rows=${[
          ["Worker", html`<a class="text-link mono wrap-any" href=${link("workers", trap.worker)}>${trap.worker}</a>`],
          ["When", `${dateTime(trap.at)}, ${ago(trap.at, now)}`],
          ["Cause", html`<${Cause} of=${trap.cause} /> <span class="dim mono">${trap.cause}</span>`],
          ["In", html`<${Mono}>${trap.event}<//>`],
          ["Ran for", latency(trap.ran_ms)],
          ["Memory peak", bytes(trap.memory_peak_bytes)],
          ["Replica", `${trap.replica}, incarnation ${incarnationWords(trap.incarnation)}`],
          ["Component", html`<${Mono}>${trap.component}<//>`],
          ["Its digest", html`<${DigestText} of=${trap.digest} />`],
          ["Config digest", html`<${DigestText} of=${trap.config_digest} />`],
          ["Id", html`<${Mono}>${trap.id}<//>`],
        ]} />
      <//>
    </div>
    <${Section} title="What it was given"><${Block} label="Input" text=${pretty(trap.input)} raw=${trap.input} empty="Nothing." /><//>
    <${Section} title="Its last log lines" flush><${LastLines} lines=${trap.log} /><//>
  </div>`;
}

/** One record, by id. */
export function TrapPage({ id, head }) {
  const of = useLoad(`traps/${seg(id)}`);
  const actions = of.data && html`<${Button} small onClick=${() => copy(JSON.stringify(of.data, null, 2))}>Copy as JSON<//>`;
  return html`${head(of.data ? firstLine(`${of.data.worker} ${CAUSES[of.data.cause] ?? of.data.cause}`) : "Trap", actions)}
    <${Loaded} of=${of} what="The trap record">${(trap) => html`<${Record} trap=${trap} />`}<//>`;
}
