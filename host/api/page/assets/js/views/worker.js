// One worker: how it stands and why, what it does, its log, its crashes, its manifest, and what may be done with it.
// Must not decide what an act means; work/acts.js words them, the host does them.

import { html, useEffect, useState } from "../lib.js";
import { may } from "../api.js";
import { link, navigate } from "../router.js";
import { store, useNow, useStore } from "../store.js";
import { useTitle } from "../title.js";
import { Button, LinkButton, Notice, PageHead, Spinner, Tabs } from "../ui/parts.js";
import { Status } from "../ui/status.js";
import { since } from "../format.js";
import { drain, isItem, isMonitor, isScheduled, pause, remove, restart, resume, ScaleDialog, takesCalls, tick } from "../work/acts.js";
import { CallDialog } from "../work/call.js";
import { LiveLog } from "../work/log.js";
import { TrapList } from "../work/traps.js";
import { ManifestTab, Overview } from "../work/worker.js";

const TABS = [
  ["overview", "Overview"],
  ["log", "Log"],
  ["traps", "Traps"],
  ["manifest", "Manifest"],
];

const checksOf = (name) => [...store.checks.values()].filter((check) => check.worker === name);

/** What can be done with a worker in this state; all else would be refused. An item of `each` shares pause and replicas with its siblings. */
function Acts({ worker }) {
  const [dialog, setDialog] = useState(null);
  if (!may()) return null;
  const close = () => setDialog(null);
  const paused = worker.state === "paused";
  const over = worker.state === "stopped" || worker.state === "failed";
  const gone = async () => (await remove(worker)) && navigate("/workers");
  return html`
    ${isScheduled(worker) && !paused && !over && html`<${Button} icon="play" onClick=${() => tick(worker)}>Check now<//>`}
    ${!isItem(worker) && (paused ? html`<${Button} kind="primary" icon="play" onClick=${() => resume(worker)}>Resume<//>` : html`<${Button} icon="pause" onClick=${() => pause(worker)}>Pause<//>`)}
    <${Button} icon="refresh" onClick=${() => restart(worker)}>Restart<//>
    ${takesCalls(worker) && html`<${Button} icon="link" onClick=${() => setDialog("call")}>Call…<//>`}
    ${!isItem(worker) && html`<${Button} onClick=${() => setDialog("scale")}>Scale…<//>`}
    ${worker.state !== "stopped" && html`<${Button} onClick=${() => drain(worker)}>Drain<//>`}
    <${LinkButton} icon="edit" href=${isMonitor(worker) ? link("monitors", worker.name) : `${link("edit", worker.file)}?line=${worker.line}`}>Edit<//>
    <${Button} kind="danger" icon="trash" onClick=${gone}>Delete…<//>
    ${dialog === "call" && html`<${CallDialog} worker=${worker} onClose=${close} />`}
    ${dialog === "scale" && html`<${ScaleDialog} worker=${worker} onClose=${close} />`}
  `;
}

/** A worker that was added a moment ago may not have come yet. */
const GRACE_MS = 1500;

function Missing({ name }) {
  const [early, setEarly] = useState(true);
  useEffect(() => {
    const timer = setTimeout(() => setEarly(false), GRACE_MS);
    return () => clearTimeout(timer);
  }, []);
  const items = [...store.workers.keys()].filter((other) => other.startsWith(`${name}/`)).slice(0, 12);
  return html`<div class="page">
    <${PageHead} title=${name} back=${{ href: link("workers"), text: "Workers" }} />
    ${early && items.length === 0 ? html`<${Spinner} />` : html`<${Notice} tone="info" title=${items.length > 0 ? "It has one worker an item" : "There is no such worker"}>
      ${
        items.length > 0
          ? html`<ul class="plain-list">${items.map((item) => html`<li><a class="text-link mono wrap-any" href=${link("workers", item)}>${item}</a></li>`)}</ul>`
          : html`<p>It was deleted, or its manifest has a problem that keeps it from starting: <a class="text-link" href=${link("edit")}>see the manifests</a>.</p>`
      }
    <//>`}
  </div>`;
}

export default function Worker({ parts, query }) {
  const [name] = parts;
  useTitle(name);
  const { host, workers } = useStore("host", "workers", "checks");
  const now = useNow(1000);
  const worker = workers.get(name);
  if (!host) return html`<div class="page"><${Spinner} /></div>`;
  if (!worker) return html`<${Missing} name=${name} />`;
  const asked = query.get("tab");
  const tab = TABS.some(([id]) => id === asked) ? asked : "overview";
  const address = link("workers", name);
  const tabs = TABS.map(([id, text]) => ({
    href: id === "overview" ? address : `${address}?tab=${id}`,
    text: id === "traps" && worker.trapped > 0 ? html`${text} <span class="badge tone-bad">${worker.trapped}</span>` : text,
    current: id === tab,
  }));
  const sub = html`<span class="head-line">
    <${Status} of=${worker.state} /> <span>${since(worker.since, now)}</span>
    ${worker.title && html`<span class="mono wrap-any">${name}</span>`}
    ${worker.group && html`<a class="chip" href=${`${link("workers")}?group=${encodeURIComponent(worker.group)}`}>${worker.group}</a>`}
    ${worker.triggers.map((trigger) => html`<span class="chip clip">${trigger}</span>`)}
  </span>`;
  return html`<div class="page">
    <${PageHead} title=${worker.title ?? name} sub=${sub} back=${{ href: link("workers"), text: "Workers" }}>
      <${Acts} worker=${worker} />
    <//>
    ${worker.held_back && html`<${Notice} tone="warn" title="Not the newest version runs"><p class="wrap-any">${worker.held_back}</p><//>`}
    <${Tabs} label="Of this worker" tabs=${tabs} />
    ${tab === "overview" && html`<${Overview} worker=${worker} checks=${checksOf(name)} now=${now} />`}
    ${tab === "log" && html`<${LiveLog} key=${name} worker=${worker} />`}
    ${tab === "traps" && html`<section class="panel cards" aria-label="Traps"><${TrapList} worker=${name} stamp=${worker.trapped} /></section>`}
    ${tab === "manifest" && html`<${ManifestTab} worker=${worker} />`}
  </div>`;
}
