// The form of a monitor: what a person fills in to watch a URL or a machine, as values, fields and the body that is sent.
// Must not send anything; and checks no more than what is empty, for the host says the rest better.

import { html, useRef } from "../lib.js";
import { store } from "../store.js";
import { Field } from "../ui/parts.js";

export const EMPTY = {
  kind: "url",
  name: "",
  title: "",
  group: "",
  notes: "",
  every: "30s",
  url: "",
  address: "",
  tcp: "",
  expect: "",
  contains: "",
  timeout: "",
  parent: "",
  lan: "",
};

const OF_URL = ["url", "expect", "contains"];
const OF_MACHINE = ["address", "tcp"];
const BOTH = ["name", "title", "group", "notes", "timeout", "parent"];

/** A name as manifests take it. */
function slug(text) {
  const plain = text.normalize("NFKD").toLowerCase().replace(/[\u0300-\u036f]/g, "").replace(/[^a-z0-9]+/g, "-");
  const name = plain.replace(/^-+/, "").slice(0, 57).replace(/-+$/, "");
  return /^\d+$/.test(name) ? `m-${name}` : name;
}

/** What to call it as long as nobody says: made from the title, and not yet another's. Without a title the host finds a name. */
export function suggestName(title) {
  const name = slug(title);
  if (!name || !store.workers.has(name)) return name;
  for (let n = 2; ; n++) if (!store.workers.has(`${name}-${n}`)) return `${name}-${n}`;
}

/** The values of the form, from what the host knows of a monitor. */
export function valuesOf(given) {
  const values = { ...EMPTY };
  for (const key of Object.keys(EMPTY)) {
    if (given[key] !== null && given[key] !== undefined) values[key] = String(given[key]);
  }
  // Nobody said no: another address may need it, and the host sees that by itself.
  if (given.lan === false) values.lan = "";
  return values;
}

/** The body: only what is filled in and belongs to the kind. Whether a name is of a private network the host tells by its looks, unless
 * somebody said so (`lan`). */
export function bodyOf(values) {
  const body = { kind: values.kind, every: values.every.trim() };
  for (const key of [...(values.kind === "url" ? OF_URL : OF_MACHINE), ...BOTH]) {
    const text = key === "notes" || key === "contains" ? values[key] : values[key].trim();
    if (text === "") continue;
    body[key] = key === "tcp" && /^\d+$/.test(text) ? Number(text) : text;
  }
  if (values.lan !== "") body.lan = values.lan === "true";
  return body;
}

/** What is plainly missing: field → sentence. */
export function missing(values) {
  const wrong = {};
  if (values.kind === "url" && !values.url.trim()) wrong.url = "Write the URL to ask, such as https://example.com/.";
  if (values.kind === "machine" && !values.address.trim()) wrong.address = "Write a name or an address, such as nas.lan or 192.168.1.10.";
  if (values.kind === "machine" && values.tcp.trim() && !/^\d{1,5}$/.test(values.tcp.trim())) wrong.tcp = "A port is a number from 1 to 65535.";
  if (!values.every.trim()) wrong.every = "Say how often, such as 30s.";
  return wrong;
}

/** The host's words, which go on from a field's name, as sentences of their own. */
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? "" : ".");

/** field → sentence with hint, from the host's 422; what fits no field comes under "". */
export function wrongOf(error, known = EMPTY) {
  const wrong = {};
  const add = (field, text) => (wrong[field] = wrong[field] ? `${wrong[field]} ${text}` : text);
  for (const problem of error.problems ?? []) {
    const field = (problem.field ?? "").split(".").at(-1);
    const text = [sentence(problem.message), problem.hint && sentence(problem.hint)].filter(Boolean).join(" ");
    add(field in known && field !== "kind" ? field : "", text);
  }
  if ((error.problems ?? []).length === 0) wrong[""] = [error.message, error.hint].filter(Boolean).map(sentence).join(" ");
  return wrong;
}

const EVERY = ["10s", "30s", "1m", "5m", "15m", "1h"];

function Interval({ control, value, onChange }) {
  return html`<div class="row">
    <input ...${control} class="input short" value=${value} autocomplete="off" spellcheck="false" onInput=${(event) => onChange(event.currentTarget.value)} />
    <div class="seg" role="group" aria-label="Common intervals">
      ${EVERY.map((every) => html`<button type="button" key=${every} aria-pressed=${String(every === value.trim())} onClick=${() => onChange(every)}>${every}</button>`)}
    </div>
  </div>`;
}

function Kind({ value, onChange, fixed }) {
  const kinds = [
    ["url", "A URL", "Asks it and looks at status, text, time and certificate."],
    ["machine", "A machine", "Pings it, or connects to a TCP port."],
  ];
  return html`<fieldset class="kinds">
    <legend class="vh">What to watch</legend>
    ${kinds.map(
      ([id, title, text]) => html`<label key=${id} class=${`kind ${value === id ? "chosen" : ""}`}>
        <input type="radio" name="monitor-kind" value=${id} checked=${value === id} disabled=${fixed && value !== id} onChange=${() => onChange(id)} />
        <span><strong>${title}</strong><br /><span class="dim">${text}</span></span>
      </label>`,
    )}
  </fieldset>`;
}

const groups = () => [...new Set([...store.workers.values()].map((worker) => worker.group).filter(Boolean))].sort();
const names = () => [...store.checks.values()].map((check) => check.worker).filter((name, n, all) => all.indexOf(name) === n);

/** All fields. `set(field, value)`; `wrong`: field → sentence; `fixed`: it exists, so kind and name stay; `item`: one of an `each`. */
export function MonitorFields({ values, set, wrong, fixed, item, disabled }) {
  const more = useRef(fixed || ["expect", "contains", "timeout", "parent", "lan"].some((key) => values[key]));
  const opened = more.current || ["expect", "contains", "timeout", "parent", "lan"].some((key) => wrong[key]);
  const text = (key, label, hint, props = {}) => html`<${Field} id=${`m-${key}`} label=${label} hint=${hint} error=${wrong[key]} optional=${props.optional}>
    ${(control) => html`<input ...${control} class=${`input ${props.mono ? "mono" : ""} ${props.short ? "short" : ""}`} value=${values[key]} placeholder=${props.placeholder}
      autocomplete="off" autocapitalize="off" spellcheck="false" type=${props.type ?? "text"} inputmode=${props.inputmode} list=${props.list} readonly=${props.readonly}
      autofocus=${props.autofocus} onInput=${(event) => set(key, event.currentTarget.value)} />`}
  <//>`;
  const url = values.kind === "url";
  return html`<fieldset class="stack plain" disabled=${disabled}>
    <legend class="vh">Monitor</legend>
    <${Kind} value=${values.kind} onChange=${(kind) => set("kind", kind)} fixed=${fixed} />
    ${
      url
        ? text("url", "URL", "With http:// or https://.", { type: "url", placeholder: "https://example.com/", autofocus: !fixed, inputmode: "url" })
        : html`<div class="fields-address">
            ${text("address", "Name or address", "A host name, an IPv4 or an IPv6 address.", { placeholder: "nas.lan", autofocus: !fixed, mono: true })}
            ${text("tcp", "TCP port", "Empty: ping it.", { inputmode: "numeric", optional: true, short: true })}
          </div>`
    }
    <div class="fields-2">
      ${text("title", "Title", "For people. May be changed any time.", { optional: true, placeholder: url ? "Our shop" : "NAS in the cellar" })}
      ${text("name", "Name", fixed ? "Its id; it stays." : "Its id for good: a-z, 0-9 and -. Empty: made from the title.", { mono: true, readonly: fixed })}
    </div>
    <${Field} id="m-every" label="How often" error=${wrong.every}>
      ${(control) => html`<${Interval} control=${control} value=${values.every} onChange=${(every) => set("every", every)} />`}
    <//>
    <div class="fields-2">
      ${text("group", "Group", "Checks of one group stand together.", { optional: true, list: "m-groups" })}
      <datalist id="m-groups">${groups().map((group) => html`<option value=${group} />`)}</datalist>
      <${Field} id="m-notes" label="Notes" hint="Where it stands, whom to call." error=${wrong.notes} optional>
        ${(control) => html`<textarea ...${control} class="input notes-input" rows="2" value=${values.notes} onInput=${(event) => set("notes", event.currentTarget.value)}></textarea>`}
      <//>
    </div>
    <details class="more-fields" open=${opened}>
      <summary>What counts as up${url ? ", timeout" : " and the timeout"}, what it depends on</summary>
      <div class="stack">
        ${
          url &&
          html`<div class="fields-2">
            ${text("expect", "Expected status", "Such as 200, or 200-399,418. Empty: 200-399.", { optional: true, mono: true })}
            ${text("contains", "Text it must contain", "Anywhere in the answer's body, in this very spelling.", { optional: true })}
          </div>`
        }
        <div class="fields-2">
          ${text("timeout", "Timeout", url ? "Empty: 5s." : "For the last answer. Empty: 2s.", { optional: true, short: true })}
          ${!item && text("parent", "Depends on", "Another monitor's name: while that is down, this one raises no alert.", { optional: true, mono: true, list: "m-names" })}
          <datalist id="m-names">${names().slice(0, 500).map((name) => html`<option value=${name} />`)}</datalist>
        </div>
        <div class="field">
          <label class="row"><input id="m-lan" class="tick" type="checkbox" checked=${values.lan === "true"} aria-describedby="m-lan-hint"
            onChange=${(event) => set("lan", String(event.currentTarget.checked))} /> Its name leads into a private network</label>
          ${wrong.lan && html`<p class="field-error">${wrong.lan}</p>`}
          <p class="field-hint" id="m-lan-hint">Names that turn out to be private addresses are refused without it. Addresses, and names such as nas.lan, need no tick.</p>
        </div>
      </div>
    </details>
  </fieldset>`;
}
