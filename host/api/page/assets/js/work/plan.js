// What a change would do, before it is done: the steps of a plan, and the way from "dry run" to "applied".
// Must not decide what a change means; the host says.

import { html, useState } from "../lib.js";
import { confirm } from "../ui/dialog.js";
import { toast, toastError } from "../ui/toast.js";
import { dateTime, millis, plural } from "../format.js";

/** As `skep diff` words them. */
const VERBS = {
  create: { sign: "+", tone: "ok", word: "create", says: "A new worker starts." },
  update: { sign: "~", tone: "warn", word: "update", says: "Restarts after its event in flight." },
  amend: { sign: "~", tone: "info", word: "amend", says: "No restart." },
  roll: { sign: "~", tone: "warn", word: "roll", says: "New component, one replica after the other." },
  remove: { sign: "−", tone: "bad", word: "remove", says: "Ends after its event in flight." },
};
const STEPS_SHOWN = 50;
const CHANGES_SHOWN = 12;

/** True when applying would do nothing at all. */
export const isIdle = (plan) => plan.steps.length === 0 && plan.files.length === 0;

function Step({ step }) {
  const verb = VERBS[step.verb] ?? { sign: "~", tone: "info", word: step.verb, says: "" };
  const more = step.changes.length - CHANGES_SHOWN;
  return html`<li class="plan-step">
    <span class="plan-sign tone-${verb.tone}" aria-hidden="true">${verb.sign}</span>
    <div class="grow">
      <p><strong>${verb.word}</strong> <span class="mono wrap-any">${step.worker}</span> <span class="dim">${verb.says}</span></p>
      ${
        step.changes.length > 0 &&
        html`<ul class="plan-changes mono">
          ${step.changes.slice(0, CHANGES_SHOWN).map((change) => html`<li class="wrap-any">${change}</li>`)}
          ${more > 0 && html`<li class="dim">… and ${more} more</li>`}
        </ul>`
      }
    </div>
  </li>`;
}

/** What a removal takes along for good. */
function forgets({ worker, checks, since }) {
  return `The history of ${worker} since ${dateTime(millis(since))} (${plural(checks, "check")}) is deleted with it, and undo does not bring it back.`;
}

/** A plan in words: its steps, its files, what stays. `files` in the host's plan are those it would write or remove. */
export function PlanView({ plan }) {
  const more = plan.steps.length - STEPS_SHOWN;
  return html`<div class="plan">
    ${
      plan.steps.length > 0
        ? html`<ul class="plan-steps">
            ${plan.steps.slice(0, STEPS_SHOWN).map((step) => html`<${Step} step=${step} />`)}
            ${more > 0 && html`<li class="dim">… and ${plural(more, "step")} more</li>`}
          </ul>`
        : html`<p>${plan.files.length > 0 ? "No worker changes: only text does." : "Nothing would change."}</p>`
    }
    ${(plan.forgets ?? []).slice(0, STEPS_SHOWN).map((gone) => html`<p class="wrap-any">${forgets(gone)}</p>`)}
    <p class="dim plan-foot">
      ${plan.files.length > 0 && html`Writes <span class="mono wrap-any">${plan.files.join(", ")}</span>. `}
      ${plan.unchanged > 0 && `${plural(plan.unchanged, "worker")} stay${plan.unchanged === 1 ? "s" : ""} as ${plan.unchanged === 1 ? "it is" : "they are"}.`}
    </p>
  </div>`;
}

/** Asks the host what `run(true)` would do, shows it, and runs `run(false)` when told to. Gives the plan applied, or null. */
export async function planned({ title, action, danger = false, text, done, run }) {
  let plan;
  try {
    plan = await run(true);
  } catch (error) {
    toastError(error);
    return null;
  }
  if (isIdle(plan)) {
    toast("Nothing to do: it is so already.", "info");
    return null;
  }
  const body = html`<${PlanView} plan=${plan} />`;
  if (!(await confirm({ title, text, action, danger, body }))) return null;
  try {
    const applied = await run(false);
    toast(`${done} (generation ${applied.generation})`, "ok");
    return applied;
  } catch (error) {
    toastError(error);
    return null;
  }
}

/** The same inside a page: `review()` asks, `apply()` does; any edit `drop()`s the plan. Errors come back as they are. */
export function useReview(run) {
  const [state, setState] = useState({ plan: null, error: null, busy: null });
  const step = async (busy, dry) => {
    setState((was) => ({ ...was, error: null, busy }));
    try {
      const plan = await run(dry);
      setState({ plan: dry ? plan : null, error: null, busy: null });
      return plan;
    } catch (error) {
      setState({ plan: null, error, busy: null });
      return null;
    }
  };
  return {
    ...state,
    review: () => step("review", true),
    apply: () => step("apply", false),
    drop: () => setState((was) => (was.plan || was.error ? { plan: null, error: null, busy: null } : was)),
  };
}

/** One problem of a manifest: where (a place in the text at hand, or a link), what, what to write instead. */
export function ProblemLine({ problem, onGo, href }) {
  const whole = problem.line > 0 ? `${problem.file}:${problem.line}` : problem.file;
  const place = problem.line > 0 && onGo ? `line ${problem.line}` : whole;
  const about = [problem.worker && `${problem.worker}`, problem.field].filter(Boolean).join(" · ");
  return html`<li class="problem">
    ${
      onGo && problem.line > 0
        ? html`<button type="button" class="btn btn-quiet btn-small" onClick=${() => onGo(problem)}>${place}</button>`
        : href
          ? html`<a class="btn btn-quiet btn-small mono" href=${href}>${place}</a>`
          : html`<span class="badge tone-bad">${place}</span>`
    }
    <div class="grow">
      <p class="wrap-any">${about && html`<span class="mono">${about}</span>: `}${problem.message}</p>
      ${problem.hint && html`<p class="dim wrap-any">${problem.hint}</p>`}
    </div>
  </li>`;
}
