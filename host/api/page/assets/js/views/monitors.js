// Add or edit a monitor without writing TOML: a form, the plan, then "Apply". `monitors/new`, `monitors/WORKER`.
// Must not write manifests itself; the host turns the form into one.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../lib.js";
import { may, post, put, query as asQuery, seg } from "../api.js";
import { link, navigate } from "../router.js";
import { store, useStore } from "../store.js";
import { useTitle } from "../title.js";
import { Button, LinkButton, Notice, PageHead, Spinner } from "../ui/parts.js";
import { toast } from "../ui/toast.js";
import { remove } from "../work/acts.js";
import { Loaded, useLoad } from "../work/load.js";
import { isIdle, PlanView, useReview } from "../work/plan.js";
import { bodyOf, EMPTY, missing, MonitorFields, suggestName, valuesOf, wrongOf } from "../work/monitor-form.js";

/** Fields in the order they stand, to put the focus on the first one that is wrong. */
const ORDER = ["url", "address", "tcp", "title", "name", "every", "group", "notes", "expect", "contains", "timeout", "parent", "lan"];

function focusFirst(wrong) {
  const field = ORDER.find((key) => wrong[key]);
  requestAnimationFrame(() => document.getElementById(field ? `m-${field}` : "m-wrong")?.focus());
}

/** What the review step shows: what would be done, and two ways on. */
function Review({ review, onApply, what }) {
  const panel = useRef(null);
  useLayoutEffect(() => panel.current?.focus(), []);
  const idle = isIdle(review.plan);
  return html`<section class="panel plan-panel" ref=${panel} tabindex="-1" aria-label="The plan">
    <div class="panel-head"><h2>${idle ? "Nothing to do" : `This would ${what}`}</h2></div>
    <div class="body stack">
      ${idle ? html`<p>It is declared like this already.</p>` : html`<${PlanView} plan=${review.plan} />`}
      <div class="row">
        ${!idle && html`<${Button} kind="primary" busy=${review.busy === "apply"} onClick=${onApply}>Apply<//>`}
        <${Button} onClick=${review.drop}>Back to the form<//>
      </div>
    </div>
  </section>`;
}

function Form({ start, worker, base = null, item = false }) {
  const fixed = Boolean(worker);
  const [values, setValues] = useState(start);
  // The name follows the title until a person writes one.
  const [named, setNamed] = useState(fixed);
  const [wrong, setWrong] = useState({});
  const path = fixed ? `monitors/${seg(worker)}` : "monitors";
  const review = useReview((dry) => (fixed ? put : post)(`${path}${asQuery({ dry_run: dry ? true : null, base })}`, bodyOf(values)));

  const set = (field, value) => {
    if (field === "name") setNamed(value !== "");
    const follows = field === "title" && !named ? { name: suggestName(value) } : null;
    setValues((was) => ({ ...was, [field]: value, ...follows }));
    setWrong(({ [field]: _, "": __, ...rest }) => rest);
    review.drop();
  };
  useEffect(() => {
    if (!review.error) return;
    const found = wrongOf(review.error);
    setWrong(found);
    focusFirst(found);
  }, [review.error]);

  const onReview = async (event) => {
    event?.preventDefault();
    const empty = missing(values);
    setWrong(empty);
    if (Object.keys(empty).length > 0) return focusFirst(empty);
    return review.review();
  };
  const onApply = async () => {
    const steps = review.plan.steps;
    const plan = await review.apply();
    if (!plan) return;
    const made = worker ?? steps.find((step) => step.verb === "create")?.worker;
    toast(`${values.title || made || values.name} is ${fixed ? "changed" : "added"}, written into ${plan.files.join(", ")} (generation ${plan.generation})`, "ok");
    navigate(made ? link("workers", made) : "/checks");
  };

  const count = Object.keys(wrong).filter((key) => key !== "").length;
  return html`<form class="panel monitor" onSubmit=${onReview} novalidate>
      <div class="body stack">
        ${wrong[""] && html`<div id="m-wrong" tabindex="-1"><${Notice} tone="bad" title="It can't be done like this" live><p class="wrap-any">${wrong[""]}</p><//></div>`}
        <${MonitorFields} values=${values} set=${set} wrong=${wrong} fixed=${fixed} item=${item} disabled=${!may()} />
        ${
          !review.plan &&
          may() &&
          html`<div class="row">
            <${Button} type="submit" kind="primary" busy=${review.busy === "review"}>Show the plan<//>
            <${LinkButton} href=${worker ? link("workers", worker) : "#/checks"}>Cancel<//>
            <span class="field-error" role="status">${count > 0 && `${count === 1 ? "One field needs" : `${count} fields need`} another look.`}</span>
          </div>`
        }
      </div>
    </form>
    ${review.plan && html`<${Review} review=${review} onApply=${onApply} what=${fixed ? "change" : "add"} />`}`;
}

function ReadOnly() {
  return html`<${Notice} tone="info" title="This session only reads"><p>Sign in with the admin token to add or edit monitors.</p><//>`;
}

function New() {
  useTitle("Add a monitor");
  return html`<div class="page narrow">
    <${PageHead} title="Add a monitor" sub="Written as a manifest; nothing happens before you saw the plan." back=${{ href: "#/checks", text: "Checks" }} />
    ${may() ? html`<${Form} start=${EMPTY} />` : html`<${ReadOnly} />`}
    <p class="dim">Need more, such as headers, redirects or many URLs at once? <a class="text-link" href=${link("edit", "new")}>Write a manifest</a>.</p>
  </div>`;
}

/** A monitor that says more than the form can is edited as text. */
function NotSoSimple({ error, worker }) {
  const row = store.workers.get(worker);
  return html`<${Notice} tone="info" title="The form can't show all of this one">
    <p class="wrap-any">${error.message}</p>
    ${error.hint && html`<p class="dim wrap-any">${error.hint}</p>`}
    ${row && html`<p><${LinkButton} icon="edit" href=${`${link("edit", row.file)}?line=${row.line}`}>Edit its manifest<//></p>`}
  <//>`;
}

function Edit({ worker }) {
  const of = useLoad(`monitors/${seg(worker)}`);
  const row = store.workers.get(worker);
  useTitle(`Edit ${worker}`);
  const onDelete = async () => (await remove(row)) && navigate("/checks");
  return html`<div class="page narrow">
    <${PageHead} title=${`Edit ${row?.title ?? worker}`} sub=${html`<span class="mono">${worker}</span>`} back=${{ href: link("workers", worker), text: worker }}>
      ${may() && row && html`<${Button} kind="danger" icon="trash" onClick=${onDelete}>Delete…<//>`}
    <//>
    ${!may() && html`<${ReadOnly} />`}
    ${
      of.error && !of.data
        ? html`<${NotSoSimple} error=${of.error} worker=${worker} />`
        : html`<${Loaded} of=${of} what="The monitor">${(given) => html`<${Form} key=${given.base} start=${valuesOf(given)} worker=${worker} base=${given.base} item=${given.item} />`}<//>`
    }
  </div>`;
}

export default function Monitors({ parts }) {
  const { host } = useStore("host", "workers");
  const [worker] = parts;
  if (!host) return html`<div class="page"><${Spinner} /></div>`;
  if (!worker || worker === "new") return html`<${New} />`;
  return html`<${Edit} key=${worker} worker=${worker} />`;
}
