// One manifest as text: edited, checked while typing, its plan shown, then applied. The host checks; this shows where it hurts.
// Must not write anything before a plan was seen.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../lib.js";
import { may } from "../api.js";
import { link, navigate } from "../router.js";
import { Button, Field, LinkButton, Notice } from "../ui/parts.js";
import { confirm } from "../ui/dialog.js";
import { toast } from "../ui/toast.js";
import { plural } from "../format.js";
import { Editor, EditorKeys, goTo } from "./editor.js";
import { nameFault, readFile, writeFile } from "./files.js";
import { isIdle, PlanView, ProblemLine, useReview } from "./plan.js";

const CHECK_MS = 700;
/** Larger texts are checked when the plan is asked for, not at each pause. */
const CHECK_CHARS = 256 * 1024;
const PROBLEMS_SHOWN = 100;

/** What the host says of the text as it is now: `{ state: "idle" | "checking" | "fine" | "bad", problems, error }`. */
function useCheck(name, text, { base, changed }) {
  const [check, setCheck] = useState({ state: "idle", problems: [], error: null });
  useEffect(() => {
    if (!changed || !name || text.length > CHECK_CHARS || !may()) return undefined;
    let over = false;
    const timer = setTimeout(async () => {
      setCheck((was) => ({ ...was, state: "checking" }));
      try {
        await writeFile(name, text, { base, dry: true });
        if (!over) setCheck({ state: "fine", problems: [], error: null });
      } catch (error) {
        // Only what is wrong with the text is told while typing; all else waits for the plan.
        if (!over) setCheck({ state: error.status === 422 ? "bad" : "idle", problems: error.problems, error: error.status === 422 ? error : null });
      }
    }, CHECK_MS);
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [name, text, base, changed]);
  return check;
}

function Problems({ problems, file, onGo }) {
  const here = problems.filter((problem) => problem.file === file || problem.file === "-" || problem.file === "body");
  const elsewhere = problems.filter((problem) => !here.includes(problem));
  const list = (some, go) => html`<ul class="problems">${some.slice(0, PROBLEMS_SHOWN).map((problem) => html`<${ProblemLine} problem=${problem} onGo=${go} />`)}</ul>`;
  return html`
    ${here.length > 0 && list(here, onGo)}
    ${elsewhere.length > 0 && html`<p class="dim below-head">In other files:</p>${list(elsewhere, null)}`}
    ${problems.length > PROBLEMS_SHOWN && html`<p class="dim">… and ${problems.length - PROBLEMS_SHOWN} more</p>`}`;
}

/** Somebody else changed the file: what to do about it, without losing what was typed. */
function Conflict({ error, name, onReload, onRebase }) {
  return html`<${Notice} tone="warn" title="It can't be applied as things stand" live>
    <p class="wrap-any">${error.message}</p>
    ${error.hint && html`<p class="dim wrap-any">${error.hint}</p>`}
    <p class="dim">If ${name} changed meanwhile: take the newer text and lose yours, or keep yours and see what it would do to the newer one.</p>
    <div class="row"><${Button} small onClick=${onRebase}>Keep mine, look again<//><${Button} small kind="danger" onClick=${onReload}>Take the newer text<//></div>
  <//>`;
}

const STATES = { idle: "", checking: "Checking…", fine: "No problem found", bad: "" };

/**
 * `file`: { name, text, base }; a new one has base "" and its name is asked for. `taken`: names that are there already.
 * `line`: where to begin. `problems`: what the folder says of the file as it is on disk.
 */
export function EditFile({ file, isNew = false, taken = new Set(), line = 0, problems: known = [], after }) {
  const [name, setName] = useState(file.name);
  const [nameError, setNameError] = useState(null);
  const [base, setBase] = useState(file.base);
  const [saved, setSaved] = useState(file.text);
  const [text, setText] = useState(file.text);
  const [stamp, setStamp] = useState(0);
  const area = useRef(null);
  const panel = useRef(null);
  const changed = isNew || text !== saved;
  const review = useReview((dry) => writeFile(name, text, { base, dry }));
  const check = useCheck(name, text, { base, changed: text !== saved });

  const other = review.error && review.error.status !== 422 ? review.error : null;
  const told = text !== saved ? check.problems : known;
  // A plan is the newer word: what was wrong before it is not any more.
  const problems = review.error?.problems?.length > 0 ? review.error.problems : review.plan || other ? [] : told;
  const marks = useMemo(() => {
    const map = new Map();
    for (const problem of problems) {
      if (problem.line > 0 && problem.file === name) map.set(problem.line, map.has(problem.line) ? `${map.get(problem.line)}; ${problem.message}` : problem.message);
    }
    return map;
  }, [problems, name]);

  useEffect(() => {
    if (line > 0) goTo(area.current, line);
  }, [line]);
  useLayoutEffect(() => {
    if (review.plan) panel.current?.focus();
  }, [review.plan]);
  useEffect(() => {
    const first = review.error?.problems?.find((problem) => problem.file === name && problem.line > 0);
    if (first) goTo(area.current, first.line, first.column);
  }, [review.error]);
  useEffect(() => {
    if (text === saved) return undefined;
    const ask = (event) => event.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [text === saved]);

  const onInput = (value) => {
    setText(value);
    review.drop();
  };
  /** Other text than what was typed takes its place. */
  const replace = (value) => {
    onInput(value);
    setStamp((n) => n + 1);
  };
  const onReview = () => {
    if (!may() || !changed) return;
    const fault = isNew ? nameFault(name, taken) : null;
    setNameError(fault);
    if (fault) document.getElementById("file-name")?.focus();
    else review.review();
  };
  const onApply = async () => {
    const plan = await review.apply();
    if (!plan) return;
    toast(`${name} is written, in force as generation ${plan.generation}`, "ok");
    if (isNew) return navigate(link("edit", name));
    const now = await readFile(name).catch(() => ({ text, base: null }));
    setSaved(now.text);
    setBase(now.base);
    replace(now.text);
    return after?.();
  };
  const onRebase = async () => {
    const now = await readFile(name).catch(() => null);
    if (now) setBase(now.base);
    review.drop();
  };
  const onReload = async () => {
    const now = await readFile(name).catch(() => null);
    if (!now) return;
    setSaved(now.text);
    setBase(now.base);
    replace(now.text);
  };
  const onDiscard = async () => {
    const text = "What you typed since the last time it was applied is lost.";
    if (await confirm({ title: "Discard your changes?", text, action: "Discard", danger: true })) replace(saved);
  };

  return html`<div class="stack">
    ${
      isNew &&
      html`<${Field} id="file-name" label="File name" hint="In the manifests folder." error=${nameError}>
        ${(control) => html`<input ...${control} class="input mono file-name" value=${name} autocomplete="off" spellcheck="false"
          onInput=${(event) => (setName(event.currentTarget.value.trim()), setNameError(null), review.drop())} />`}
      <//>`
    }
    <div class=${problems.length > 0 || review.plan ? "edit-split" : ""}>
      <section class="panel edit-panel" aria-label="The text">
        <${Editor} id="manifest" label=${`Text of ${name}`} value=${text} stamp=${stamp} onInput=${onInput} marks=${marks} area=${area} onReview=${onReview} readOnly=${!may()} />
        <div class="edit-foot">
          ${may() ? html`<${EditorKeys} id="manifest" />` : html`<p class="dim editor-keys" id="manifest-keys">This session only reads.</p>`}
          <span class="dim end" role="status">${[text === saved && !isNew ? "As on disk" : STATES[check.state], problems.length > 0 && plural(problems.length, "problem")].filter(Boolean).join(", ")}</span>
        </div>
      </section>
      ${
        (problems.length > 0 || review.plan) &&
        html`<div class="edit-side stack">
          ${
            review.plan &&
            html`<section class="panel plan-panel" ref=${panel} tabindex="-1" aria-label="The plan">
              <div class="panel-head"><h2>${isIdle(review.plan) ? "Nothing to do" : "What this would do"}</h2></div>
              <div class="body stack">
                <${PlanView} plan=${review.plan} />
                <div class="row">
                  ${!isIdle(review.plan) && html`<${Button} kind="primary" busy=${review.busy === "apply"} onClick=${onApply}>Apply<//>`}
                  <${Button} onClick=${review.drop}>Go on editing<//>
                </div>
              </div>
            </section>`
          }
          ${problems.length > 0 && html`<section class="panel" aria-label="Problems"><div class="panel-head"><h2>${plural(problems.length, "problem")}</h2></div><div class="body"><${Problems} problems=${problems} file=${name} onGo=${(problem) => goTo(area.current, problem.line, problem.column)} /></div></section>`}
        </div>`
      }
    </div>
    ${other && (other.status === 409 ? html`<${Conflict} error=${other} name=${name} onReload=${onReload} onRebase=${onRebase} />` : html`<${Notice} tone="bad" title="It could not be done" live><p class="wrap-any">${other.message}</p>${other.hint && html`<p class="dim">${other.hint}</p>`}<//>`)}
    ${
      may() &&
      !review.plan &&
      html`<div class="row">
        <${Button} kind="primary" busy=${review.busy === "review"} disabled=${!changed} onClick=${onReview}>Show the plan<//>
        ${isNew ? html`<${LinkButton} href=${link("edit")}>Cancel<//>` : text !== saved && html`<${Button} kind="quiet" onClick=${onDiscard}>Discard changes<//>`}
      </div>`
    }
  </div>`;
}
