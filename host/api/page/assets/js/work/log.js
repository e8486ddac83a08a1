// A worker's log as it is written: follows the host's stream, keeps the newest 1,000 lines, shows them as text.
// The stream is closed while nobody looks: browsers allow few connections to one host.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../lib.js";
import { seg } from "../api.js";
import { Button } from "../ui/parts.js";
import { clock, count, dateTime, plural } from "../format.js";

const KEPT = 1000;
/** Lines are shown in gulps: a worker that floods its log must not flood the page. */
const GULP_MS = 150;
const RETRY_MS = 3000;
const LEVELS = ["trace", "debug", "info", "warn", "error"];

/** Follows the log: `{ lines, state, missed }`. Each line gets a number of its own as key. */
function useLog(name) {
  const [shown, setShown] = useState({ lines: [], state: "opening", missed: 0 });
  useEffect(() => {
    let lines = [];
    let missed = 0;
    let state = "opening";
    let number = 0;
    let source = null;
    let gulp = null;
    let retry = null;
    const show = () => {
      gulp = null;
      setShown({ lines: lines.slice(-KEPT), state, missed });
    };
    const soon = () => {
      gulp ??= setTimeout(show, GULP_MS);
    };
    const close = () => {
      source?.close();
      source = null;
      clearTimeout(retry);
    };
    const open = () => {
      close();
      if (document.hidden) return;
      source = new EventSource(new URL(`api/v1/workers/${seg(name)}/logs?follow&limit=${KEPT}`, document.baseURI));
      source.addEventListener("open", () => {
        // Each stream begins with the newest lines, so what was there is replaced.
        lines = [];
        missed = 0;
        state = "live";
        soon();
      });
      source.addEventListener("line", (event) => {
        let line;
        try {
          line = JSON.parse(event.data);
        } catch {
          return;
        }
        lines.push({ ...line, number: number++ });
        if (lines.length > 2 * KEPT) lines = lines.slice(-KEPT);
        soon();
      });
      source.addEventListener("missed", (event) => {
        try {
          missed += JSON.parse(event.data).missed ?? 0;
        } catch {
          return;
        }
        soon();
      });
      source.addEventListener("error", () => {
        close();
        state = "lost";
        soon();
        retry = setTimeout(open, RETRY_MS);
      });
    };
    const look = () => (document.hidden ? close() : source || open());
    setShown({ lines: [], state: "opening", missed: 0 });
    open();
    document.addEventListener("visibilitychange", look);
    return () => {
      document.removeEventListener("visibilitychange", look);
      clearTimeout(gulp);
      close();
    };
  }, [name]);
  return shown;
}

function Line({ line, many }) {
  return html`<div class=${`log-line log-${line.level}`}>
    <time class="log-time" datetime=${line.at} title=${dateTime(line.at)}>${clock(line.at)}</time>
    <span class="log-level">${line.level}</span>
    ${many && html`<span class="log-source" title="Replica">/${line.replica}</span>`}
    <span class="log-text">${line.source !== "log" && html`<span class="log-from">${line.source}</span> `}${line.text}</span>
  </div>`;
}

/** Lines as `skep logs` prints them, for the clipboard or a file. */
const asText = (lines) => lines.map((line) => `${line.at}  ${line.level.padEnd(5)}  ${line.text}`).join("\n");

function save(name, lines) {
  const url = URL.createObjectURL(new Blob([asText(lines), "\n"], { type: "text/plain" }));
  const a = document.createElement("a");
  a.href = url;
  a.download = `${name.replaceAll("/", "-")}.log`;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Says how the stream is; the lines themselves are not announced, a flood of them would drown everything else. */
function State({ state, missed, frozen, fresh }) {
  if (frozen) return html`<span role="status">Paused, ${fresh > 0 ? plural(fresh, "new line") : "nothing new"}</span>`;
  const words = { opening: "Opening…", live: "Live", lost: "Connection lost, trying again" }[state];
  return html`<span role="status">${words}${missed > 0 && `, ${plural(missed, "line")} came too fast and ${missed === 1 ? "is" : "are"} not shown`}</span>`;
}

export function LiveLog({ worker }) {
  const { lines, state, missed } = useLog(worker.name);
  const [frozen, setFrozen] = useState(null);
  const [level, setLevel] = useState("trace");
  const [text, setText] = useState("");
  const [away, setAway] = useState(false);
  const box = useRef(null);
  const stick = useRef(true);

  const base = frozen ?? lines;
  const shown = useMemo(() => {
    const least = LEVELS.indexOf(level);
    const wanted = text.trim().toLowerCase();
    if (least <= 0 && !wanted) return base;
    return base.filter((line) => LEVELS.indexOf(line.level) >= least && (!wanted || line.text.toLowerCase().includes(wanted)));
  }, [base, level, text]);

  useLayoutEffect(() => {
    if (stick.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [shown]);

  const onScroll = (event) => {
    const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
    stick.current = scrollHeight - scrollTop - clientHeight < 24;
    setAway(!stick.current);
  };
  const newest = () => {
    stick.current = true;
    setAway(false);
    box.current.scrollTop = box.current.scrollHeight;
  };
  const last = frozen?.at(-1)?.number ?? -1;
  const fresh = frozen ? lines.filter((line) => line.number > last).length : 0;
  const many = worker.desired > 1;
  const empty = lines.length === 0 ? "Nothing logged yet." : "No line passes the filter.";

  return html`<section class="panel log" aria-label="Log">
    <div class="toolbar log-bar">
      <label class="vh" for="log-find">Find in the log</label>
      <input id="log-find" class="input grow" type="search" placeholder="Find in the log" value=${text} onInput=${(event) => setText(event.currentTarget.value)} />
      <label class="vh" for="log-least">Least level</label>
      <select id="log-least" class="input" value=${level} onChange=${(event) => setLevel(event.currentTarget.value)}>
        <option value="trace">All levels</option>
        ${LEVELS.slice(1).map((word) => html`<option value=${word}>${word}${word === "error" ? " only" : " and worse"}</option>`)}
      </select>
      <${Button} small onClick=${() => setFrozen(frozen ? null : lines)} aria-pressed=${String(frozen !== null)}>${frozen ? "Go on" : "Pause"}<//>
      <${Button} kind="quiet" small onClick=${() => save(worker.name, shown)} disabled=${shown.length === 0}>Save<//>
    </div>
    <div class="log-frame">
      <div class="log-lines" ref=${box} onScroll=${onScroll} tabindex="0" role="log" aria-live="off" aria-label=${`Log of ${worker.name}`}>
        ${shown.length === 0 && html`<p class="dim log-empty">${state === "opening" ? "Loading…" : empty}</p>`}
        ${shown.map((line) => html`<${Line} key=${line.number} line=${line} many=${many} />`)}
      </div>
      ${away && html`<button type="button" class="btn btn-small log-newest" onClick=${newest}>Newest lines ↓</button>`}
    </div>
    <p class="dim log-foot"><${State} state=${state} missed=${missed} frozen=${frozen !== null} fresh=${fresh} /> · ${count(shown.length)} of ${count(lines.length)} lines</p>
  </section>`;
}
