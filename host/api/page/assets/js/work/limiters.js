// Limiters: what their manifest says, what is in force now, who waits, and another rate, live.
// A new rate is written into the manifest by the host; nothing is kept here.

import { html, useEffect, useState } from "../lib.js";
import { may, put, seg } from "../api.js";
import { Button, Empty } from "../ui/parts.js";
import { toast } from "../ui/toast.js";
import { useNow, useStore } from "../store.js";
import { count, millis, plural, until } from "../format.js";

/** "6/s", "1/2s", "600/m" → permits a second; null when it is no rate. */
export function perSecond(rate) {
  const parts = /^\s*(\d+(?:\.\d+)?)\s*\/\s*(\d*\.?\d*)\s*(ms|s|m|h|d)\s*$/.exec(rate);
  if (!parts) return null;
  const span = (parts[2] === "" ? 1 : Number(parts[2])) * { ms: 0.001, s: 1, m: 60, h: 3600, d: 86400 }[parts[3]];
  return span > 0 ? Number(parts[1]) / span : null;
}

/** A number with as many digits as it takes to see what it is. */
export function perSecondText(value) {
  if (value === 0) return "0/s";
  if (value >= 100) return `${count(value)}/s`;
  if (value >= 0.1) return `${Number(value.toFixed(2))}/s`;
  return `${Number((value * 60).toFixed(2))}/min`;
}

/** The same rate times a factor, in whole permits where that goes. */
export function scaled(rate, factor) {
  const parts = /^\s*(\d+)\s*\/\s*(.+?)\s*$/.exec(rate);
  if (!parts) return rate;
  return `${Math.max(1, Math.round(Number(parts[1]) * factor))}/${parts[2]}`;
}

function InForce({ limiter, now }) {
  const full = perSecond(limiter.rate);
  const share = full ? Math.min(1, limiter.effective_per_second / full) : 1;
  const paused = millis(limiter.paused_until);
  const waits = paused !== null && paused > now;
  const tone = waits ? "bad" : share < 0.995 ? "warn" : "ok";
  const words = waits
    ? `Paused by its peer, goes on ${until(paused, now)}`
    : share < 0.995
      ? "Recovers from a 429: its rate comes back step by step"
      : "In force as written";
  return html`<div class=${`force tone-${tone}`}>
    <p><strong class="force-rate">${perSecondText(limiter.effective_per_second)}</strong> in force now</p>
    <div class="meter" role="img" aria-label=${`${Math.round(share * 100)} percent of the configured rate`}><span style=${{ width: `${share * 100}%` }}></span></div>
    <p class="dim">${words}</p>
  </div>`;
}

function Control({ limiter }) {
  const [text, setText] = useState(limiter.rate);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const [touched, setTouched] = useState(false);
  // Somebody else set it meanwhile: what nobody edited here follows.
  useEffect(() => {
    if (!touched) setText(limiter.rate);
  }, [limiter.rate, touched]);
  const change = (value) => {
    setText(value);
    setTouched(value !== limiter.rate);
    setError(null);
  };
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      const plan = await put(`limiters/${seg(limiter.name)}`, { rate: text.trim() });
      toast(
        plan.applied
          ? `${limiter.name} is set to ${text.trim()}, written into ${plan.files.join(", ") || limiter.file} (generation ${plan.generation})`
          : `${limiter.name} has this rate already`,
        "ok",
      );
      setTouched(false);
      // The button that had the focus has nothing more to do.
      document.getElementById(`rate-${limiter.name}`)?.focus();
    } catch (failed) {
      setError([failed.message, failed.hint].filter(Boolean).join("; "));
    }
    setBusy(false);
  };
  const id = `rate-${limiter.name}`;
  return html`<form class="rate-form" onSubmit=${submit}>
    <label for=${id}>Rate</label>
    <div class="rate-row">
      <${Button} small label=${`÷2: halve the rate of ${limiter.name}`} onClick=${() => change(scaled(text, 0.5))}>÷2<//>
      <input id=${id} class="input mono" value=${text} size="7" autocomplete="off" spellcheck=${false} aria-invalid=${error ? "true" : undefined}
        aria-describedby=${`${id}-hint ${id}-error`} onInput=${(event) => change(event.currentTarget.value)} />
      <${Button} small label=${`×2: double the rate of ${limiter.name}`} onClick=${() => change(scaled(text, 2))}>×2<//>
      <${Button} type="submit" kind="primary" small busy=${busy} disabled=${!touched}>Set<//>
      ${touched && html`<${Button} kind="quiet" small onClick=${() => change(limiter.rate)}>Keep ${limiter.rate}<//>`}
    </div>
    <p class="field-error" id=${`${id}-error`} aria-live="polite">${error}</p>
    <p class="field-hint" id=${`${id}-hint`}>Permits in a span: 6/s, 600/m, 1/2s. In force at once, for those who wait too, and written into <span class="mono wrap-any">${limiter.file}:${limiter.line}</span>.</p>
  </form>`;
}

function Limiter({ limiter, now, queues }) {
  return html`<li class="panel limiter">
    <div class="limiter-head">
      <h2 class="mono wrap-any">${limiter.name}</h2>
      <span class="chip">configured ${limiter.rate}</span>
      ${limiter.burst > 1 && html`<span class="chip">burst ${count(limiter.burst)}</span>`}
    </div>
    <${InForce} limiter=${limiter} now=${now} />
    <p class="dim">
      ${limiter.waiting > 0 ? html`<strong>${plural(limiter.waiting, "request")}</strong> in line. ` : "Nobody waits. "}
      ${plural(limiter.permits, "permit")} since the host started.${queues.length > 0 && ` Paces ${plural(queues.length, "queue")}: ${queues.join(", ")}.`}
    </p>
    ${may() && html`<${Control} limiter=${limiter} />`}
  </li>`;
}

export function Limiters() {
  const { limiters, queues } = useStore("limiters", "queues", "host");
  const now = useNow(1000);
  const all = [...limiters.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  const paced = (name) => [...queues.values()].filter((queue) => queue.limiter === name).map((queue) => queue.name);
  if (all.length === 0) {
    return html`<${Empty} title="No limiter is declared">
      <p>A <code>[[limiter]]</code> in a manifest paces every worker and queue that names it.</p>
    <//>`;
  }
  return html`<ul class="limiters">${all.map((limiter) => html`<${Limiter} key=${limiter.name} limiter=${limiter} now=${now} queues=${paced(limiter.name)} />`)}</ul>`;
}
