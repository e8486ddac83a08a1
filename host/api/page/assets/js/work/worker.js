// The facts of one worker's page: why it stands as it does, its numbers, replicas, checks, config, grants and limits, manifest text.
// Must not act on the worker; views/worker.js has the buttons.

import { html } from "../lib.js";
import { may, seg } from "../api.js";
import { link } from "../router.js";
import { Facts, LinkButton, Mono, Section } from "../ui/parts.js";
import { Bars } from "../ui/bars.js";
import { Status, StatusMark } from "../ui/status.js";
import { Table } from "../ui/table.js";
import { bytes, count, dateTime, latency, millis, percent, plural, rate, since, until } from "../format.js";
import { isMonitor } from "./acts.js";
import { Loaded, useAgain, useLoad } from "./load.js";
import { Block, DigestText } from "./text.js";
import { trapLink } from "./traps.js";
import { incarnation, incarnationWords } from "./words.js";

/** What a state change or a new trap makes worth asking again. */
const standing = (worker) => [worker.state, worker.since, worker.incarnation, worker.trapped, worker.running, worker.desired, worker.file, worker.line].join();

function Why({ worker, now }) {
  const of = useLoad(`workers/${seg(worker.name)}/why`);
  useAgain(standing(worker), of.reload);
  return html`<${Section} title="Why it stands as it does">
    <${Loaded} of=${of} what="The reason">
      ${(why) => html`<${Facts} rows=${[
        ["State", html`<${Status} of=${why.state} /> <span class="dim">${since(why.since, now)}</span>`],
        ["Cause", html`<span class="wrap-any">${why.cause}</span>`],
        ["Next try", why.next_restart && html`<strong>${until(why.next_restart, now)}</strong> <span class="dim">${dateTime(why.next_restart)}</span>`],
        ["What to do", html`<span class="wrap-any">${why.remedy}</span>`],
        ["Newest trap", why.trap && html`<a class="text-link" href=${trapLink(why.trap)}>See the record</a>`],
        ["Last error", worker.last_error && !why.cause.includes(worker.last_error) ? html`<span class="wrap-any">${worker.last_error}</span>` : null],
      ]} />`}
    <//>
  <//>`;
}

function Numbers({ worker, now }) {
  const low = worker.running < worker.desired && !["paused", "stopped"].includes(worker.state);
  const tiles = [
    ["Replicas", `${worker.running}/${worker.desired}`, low ? "fewer run than shall" : "running of desired", low ? "warn" : null],
    ["Events", rate(worker.rate), `${count(worker.ok)} well, ${count(worker.failed)} failed`, null],
    ["Restarts", count(worker.restarts), `incarnation ${incarnationWords(worker.incarnation)}`, worker.restarts > 0 ? "warn" : null],
    ["Trapped", count(worker.trapped), "events that crashed", worker.trapped > 0 ? "bad" : null],
    ["Memory peak", bytes(worker.memory_peak_bytes), worker.instance === "resident" ? "resident instance" : "instance per event", null],
  ];
  if (worker.next !== null || worker.lateness_ms !== null) {
    const missed = worker.missed > 0 ? `, ${plural(worker.missed, "tick")} skipped` : "";
    tiles.push(["Next tick", worker.next === null ? "–" : until(worker.next, now), `last one ${latency(worker.lateness_ms)} late${missed}`, worker.missed > 0 ? "warn" : null]);
  }
  return html`<dl class="numbers">
    ${tiles.map(([label, value, note, tone]) => html`<div class=${`number ${tone ? `tone-${tone} lit` : ""}`}><dt>${label}</dt><dd><span class="big">${value}</span><span class="dim">${note}</span></dd></div>`)}
  </dl>`;
}

function Replicas({ worker, now }) {
  const of = useLoad(`workers/${seg(worker.name)}/replicas`);
  useAgain(`${standing(worker)} ${worker.ok + worker.failed}`, of.reload, 2000);
  const columns = [
    { id: "replica", head: "Replica", sort: (row) => row.replica, cell: (row) => html`<span title=${`In this state ${since(row.since, now)}`}>${row.replica}</span>` },
    { id: "state", head: "State", cell: (row) => html`<${Status} of=${row.state} />` },
    { id: "busy", head: "Now", cell: (row) => (row.busy ? html`<strong>busy</strong>` : html`<span class="dim">free</span>`) },
    { id: "waiting", head: "Waiting", align: "end", hide: "phone", sort: (row) => row.waiting, cell: (row) => count(row.waiting) },
    { id: "incarnation", head: "Incarn.", align: "end", hide: "phone", cell: (row) => html`<span title=${incarnationWords(row.incarnation)}>${count(incarnation(row.incarnation))}</span>` },
  ];
  return html`<${Section} title="Replicas" flush>
    <${Loaded} of=${of} what="The replicas">
      ${(rows) => html`<${Table} caption="Replicas" columns=${columns} rows=${rows} rowKey=${(row) => String(row.replica)} empty=${html`<p class="none dim">None runs.</p>`} />`}
    <//>
  <//>`;
}

function Checks({ checks, now }) {
  if (checks.length === 0) return null;
  const shown = checks.slice(0, 50);
  return html`<${Section} title="Its checks" flush>
    <ul class="mini-checks">
      ${shown.map(
        (check) => html`<li key=${check.subject} class="mini-check">
          <a class="mini-check-name" href=${link("checks", check.worker, check.subject)}><${StatusMark} of=${check.status} label=${check.status} /><span class="clip">${check.subject}</span></a>
          <span class="mini-check-bars"><${Bars} beats=${check.beats} now=${now} /></span>
          <span class="num">${latency(check.latency_ms)}</span>
          <span class="num dim" title="Uptime, 24 h">${percent(check.uptime)}</span>
        </li>`,
      )}
    </ul>
    ${checks.length > shown.length && html`<p class="more"><a class="text-link" href=${`${link("checks")}?q=${encodeURIComponent(checks[0].worker)}`}>All ${count(checks.length)}</a></p>`}
  <//>`;
}

/** The lines of a worker's table that grant something or set a bound: as written, without what is around them. */
export function permissions(text) {
  const kept = [];
  let inside = false;
  let open = 0;
  for (const line of text.split("\n")) {
    const header = /^\s*\[+\s*([^\]]+?)\s*\]+/.exec(line);
    if (open <= 0 && header) inside = /(^|\.)(grants|limits|restart)(\.|$)/.test(header[1]);
    const begins = open <= 0 && /^\s*(grants|limits|restart|concurrency|replicas|instance)\b.*=/.test(line);
    if (inside || begins || open > 0) {
      kept.push(line);
      // Brackets inside strings and comments don't open anything.
      const bare = line.replace(/"(?:\\.|[^"\\])*"|'[^']*'/g, "").replace(/#.*$/, "");
      if (!header) open = Math.max(0, open) + (bare.match(/[[{]/g) ?? []).length - (bare.match(/[\]}]/g) ?? []).length;
    }
  }
  return kept.join("\n").trim();
}

const NO_GRANTS = "It is granted nothing beside its triggers, its log, its checks and its own key-value bucket; limits are the defaults.";

/** Config, grants and limits: the first as the host took it, the others as they are written. */
function Declared({ worker }) {
  const view = useLoad(`workers/${seg(worker.name)}`);
  // An item of `each` has the grants and limits of the table it shares with its siblings.
  const manifest = useLoad(`workers/${seg(worker.name.split("/")[0])}/manifest`);
  const changed = `${worker.file}:${worker.line} ${worker.incarnation} ${worker.title} ${worker.notes}`;
  useAgain(changed, () => (view.reload(), manifest.reload()));
  return html`<div class="split">
    <${Section} title="Config">
      <${Loaded} of=${view} what="The config">
        ${(data) => html`<${Block} label="Config" text=${isEmpty(data.config) ? "" : JSON.stringify(data.config, null, 2)} empty="It has none." />
          <div class="below"><${Facts} rows=${[
            ["Component", html`<${Mono}>${data.component}<//>`],
            ["Digest", data.digest && html`<${DigestText} of=${data.digest} />`],
            ["Instance", data.instance === "resident" ? "resident: lives between events" : "per event: a fresh one each"],
            ["Schedule", data.schedule?.cron ?? (data.schedule?.every ? `every ${data.schedule.every}` : null)],
          ]} /></div>`}
      <//>
    <//>
    <${Section} title="Grants and limits, as written">
      <${Loaded} of=${manifest} what="The manifest">
        ${(data) => html`<${Block} label="Grants and limits" text=${permissions(data.text)} empty=${NO_GRANTS} />`}
      <//>
    <//>
  </div>`;
}

const isEmpty = (config) => config === null || (typeof config === "object" && Object.keys(config).length === 0);

export function Overview({ worker, checks, now }) {
  return html`<div class="stack">
    ${worker.notes && html`<${Section} title="Notes"><p class="notes wrap-any">${worker.notes}</p><//>`}
    <${Numbers} worker=${worker} now=${now} />
    <div class="split">
      <${Why} worker=${worker} now=${now} />
      <${Replicas} worker=${worker} now=${now} />
    </div>
    <${Checks} checks=${checks} now=${millis(now)} />
    <${Declared} worker=${worker} />
  </div>`;
}

/** Its table as it stands in the file. */
export function ManifestTab({ worker }) {
  const of = useLoad(`workers/${seg(worker.name)}/manifest`);
  useAgain(`${worker.file}:${worker.line} ${worker.incarnation}`, of.reload);
  return html`<${Loaded} of=${of} what="The manifest">
    ${(data) => html`<${Section} title=${`${data.file}, line ${data.line}`} actions=${html`
        ${may() && isMonitor(worker) && html`<${LinkButton} small href=${link("monitors", worker.name)}>Edit as a form<//>`}
        <${LinkButton} small icon=${may() ? "edit" : "files"} href=${`${link("edit", data.file)}?line=${data.line}`}>${may() ? "Edit the file" : "See the file"}<//>`}>
      ${data.item && html`<p class="dim below-head">This is the item's own table. Triggers, grants and defaults stand in the table of <a class="text-link mono" href=${link("workers", worker.name.split("/")[0])}>${worker.name.split("/")[0]}</a>.</p>`}
      <${Block} label="Manifest" text=${data.text} />
    <//>`}
  <//>`;
}
