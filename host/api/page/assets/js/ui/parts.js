// Small components without state of their own that every view uses. Must not read the store, but for the host's clock in Ago.
import { html } from "../lib.js";
import { useNow } from "../store.js";
import { ago, dateTime, millis } from "../format.js";
import { Icon } from "./icons.js";
import { StatusMark } from "./status.js";

export { Icon };

let ids = 0;
/** An id for label and control; keep it in useRef or useMemo. */
export const freshId = (prefix = "id") => `${prefix}-${++ids}`;

const classes = (...names) => names.filter(Boolean).join(" ");

/** kind: "primary" | "danger" | "quiet"; small; icon: a name of icons.js; label: for an icon alone. */
export function Button({ kind, small, icon, label, busy, children, class: extra, type = "button", ...rest }) {
  const alone = icon && !children;
  return html`<button type=${type} class=${classes("btn", kind && `btn-${kind}`, small && "btn-small", alone && "btn-icon", extra)}
    aria-label=${label} title=${alone ? label : undefined} aria-busy=${busy ? "true" : undefined} ...${rest} disabled=${rest.disabled || busy}>
    ${icon && html`<${Icon} name=${icon} size=${small ? 15 : 17} />`}${children}</button>`;
}

export function LinkButton({ kind, small, icon, label, children, class: extra, ...rest }) {
  return html`<a class=${classes("btn", kind && `btn-${kind}`, small && "btn-small", extra)} aria-label=${label} ...${rest}>
    ${icon && html`<${Icon} name=${icon} size=${small ? 15 : 17} />`}${children}</a>`;
}

export const Tiles = ({ children, label = "At a glance" }) => html`<section class="tiles" aria-label=${label}>${children}</section>`;

/** A count with its word; `tone` and `loud` when it asks for attention. */
export function Tile({ label, value, note, tone, mark, loud, href }) {
  const inside = html`<span class="tile-label">${mark && html`<${StatusMark} of=${mark} size=${13} />`}${label}</span>
    <span class="tile-value">${value}</span>${note && html`<span class="tile-note clip">${note}</span>`}`;
  // A zero of something bad is no alarm: its mark goes grey.
  const name = classes("tile", tone && `tone-${tone}`, loud && "loud", value === "0" && "zero");
  return href ? html`<a class=${name} href=${href}>${inside}</a>` : html`<div class=${name}>${inside}</div>`;
}

/** A label, its control, a hint and an error. `children` is called with the attributes that tie the control to them. */
export function Field({ id, label, hint, error, optional, children }) {
  const described = classes(hint && `${id}-hint`, error && `${id}-error`);
  const control = { id, "aria-describedby": described || undefined, "aria-invalid": error ? "true" : undefined };
  return html`<div class="field">
    <label for=${id}>${label}${optional && html` <span class="faint">(optional)</span>`}</label>
    ${children(control)}
    ${error && html`<p class="field-error" id=${`${id}-error`}><${StatusMark} of="error" size=${12} /><span>${error}</span></p>`}
    ${hint && html`<p class="field-hint" id=${`${id}-hint`}>${hint}</p>`}
  </div>`;
}

export function Empty({ icon = "workers", title, children, action }) {
  return html`<div class="empty"><${Icon} name=${icon} size=${40} /><p class="empty-title">${title}</p>${children && html`<p>${children}</p>`}${action}</div>`;
}

/** tone: "ok" | "warn" | "bad" | "info". */
export function Notice({ tone = "info", title, children, live }) {
  const mark = { ok: "up", warn: "degraded", bad: "down", info: "info", mute: "unknown" }[tone];
  return html`<div class=${`notice tone-${tone}`} role=${live ? "alert" : undefined}><${StatusMark} of=${mark} size=${16} />
    <div class="grow">${title && html`<p class="notice-title">${title}</p>`}${children}</div></div>`;
}

export const Spinner = ({ text = "Loading…" }) => html`<div class="loading" role="status"><span class="spinner"></span>${text}</div>`;

/** A panel with a heading. */
export function Section({ title, actions, children, flush, id, level = 2, class: extra }) {
  return html`<section class=${classes("panel", extra)} aria-label=${title} id=${id}>
    ${title && html`<div class="panel-head">${level === 3 ? html`<h3>${title}</h3>` : html`<h2>${title}</h2>`}${actions && html`<div class="row end">${actions}</div>`}</div>`}
    ${flush ? children : html`<div class="body">${children}</div>`}
  </section>`;
}

/** The view's heading; `back` = { href, text }. */
export function PageHead({ title, sub, back, mark, children }) {
  return html`<header class="page-head">
    <div class="titles">
      ${back && html`<a class="crumb" href=${back.href}><${Icon} name="back" size=${14} />${back.text}</a>`}
      <h1 class="wrap-any">${mark}${title}</h1>${sub && html`<div class="sub">${sub}</div>`}
    </div>
    ${children && html`<div class="actions">${children}</div>`}
  </header>`;
}

/** [[term, what]…]; rows whose what is null, undefined or "" are left out. */
export function Facts({ rows }) {
  return html`<dl class="facts">${rows
    .filter(([, what]) => what !== null && what !== undefined && what !== "")
    .map(([term, what]) => html`<dt key=${term}>${term}</dt><dd>${what}</dd>`)}</dl>`;
}

export const Mono = ({ children }) => html`<code class="wrap-any">${children}</code>`;

/** "5 s ago", kept up to date; the full time on hover. */
export function Ago({ at, none = "never" }) {
  const now = useNow(1000);
  const ms = millis(at);
  if (ms === null) return html`<span class="faint">${none}</span>`;
  return html`<time datetime=${new Date(ms).toISOString()} title=${dateTime(ms)}>${ago(ms, now)}</time>`;
}

/** Choices of which one holds: options = [{ id, text, count? }]. */
export function Choice({ label, options, value, onChange }) {
  return html`<div class="seg" role="group" aria-label=${label}>${options.map(
    (option) => html`<button type="button" key=${option.id} aria-pressed=${String(option.id === value)} onClick=${() => onChange(option.id)}>
      ${option.mark && html`<${StatusMark} of=${option.mark} size=${12} />`}${option.text}
      ${option.count !== undefined && html`<span class="faint">${option.count}</span>`}</button>`,
  )}</div>`;
}

/** Tabs that are links (each has its own address): [{ href, text, current, badge? }]. */
export function Tabs({ label, tabs }) {
  return html`<nav class="tabs" aria-label=${label}>${tabs.map(
    (tab) => html`<a key=${tab.href} href=${tab.href} aria-current=${tab.current ? "page" : undefined}>${tab.text}</a>`,
  )}</nav>`;
}

/** A box to search in; "/" anywhere focuses it (the shell looks for [data-search]). */
export function Search({ label, value, onInput, placeholder }) {
  return html`<div class="search"><${Icon} name="search" size=${15} />
    <input class="input" type="search" data-search aria-label=${label} placeholder=${placeholder ?? label} value=${value} autocomplete="off" spellcheck="false"
      onInput=${(event) => onInput(event.target.value)}
      onKeyDown=${(event) => event.key === "Escape" && (value ? onInput("") : event.target.blur())} />
    ${!value && html`<kbd aria-hidden="true">/</kbd>`}</div>`;
}
