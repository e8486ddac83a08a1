// Calls a worker's call-handler and shows the answer, as text. Must not keep what was sent.

import { html, useState } from "../lib.js";
import { ApiError, query, seg } from "../api.js";
import { Dialog } from "../ui/dialog.js";
import { Button, Field, Notice } from "../ui/parts.js";
import { bytes, latency } from "../format.js";
import { Block, hexDump, pretty } from "./text.js";

const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/;

/** The answer is bytes of any kind, so the request is made here: api.js reads JSON and text only. */
async function call(name, method, payload) {
  const url = new URL(`api/v1/workers/${seg(name)}/call${query({ method })}`, document.baseURI);
  const headers = { "content-type": "application/octet-stream" };
  let answer;
  try {
    answer = await fetch(url, { method: "POST", body: payload, headers, cache: "no-store" });
  } catch {
    throw new ApiError(0, "the host does not answer");
  }
  const data = new Uint8Array(await answer.arrayBuffer());
  const text = new TextDecoder().decode(data);
  if (answer.ok) {
    let plain = null;
    try {
      plain = new TextDecoder("utf-8", { fatal: true }).decode(data);
    } catch {
      // Bytes, then.
    }
    if (plain !== null && !CONTROL.test(plain)) return { text: pretty(plain), size: data.length };
    const binary = Array.from(data, (byte) => String.fromCharCode(byte)).join("");
    return { text: hexDump(btoa(binary)), size: data.length };
  }
  let said = {};
  try {
    said = JSON.parse(text);
  } catch {
    // Not the host's own words; the status has to do.
  }
  throw new ApiError(answer.status, said.error ?? `the host answered ${answer.status}`, said.hint);
}

export function CallDialog({ worker, onClose }) {
  const [method, setMethod] = useState("");
  const [payload, setPayload] = useState("");
  const [busy, setBusy] = useState(false);
  const [missing, setMissing] = useState(null);
  const [outcome, setOutcome] = useState(null);
  const submit = async (event) => {
    event?.preventDefault();
    if (!method.trim()) return setMissing("Say which method.");
    setBusy(true);
    setOutcome(null);
    const from = performance.now();
    try {
      setOutcome({ answer: await call(worker.name, method.trim(), payload), took: performance.now() - from });
    } catch (error) {
      setOutcome({ error, took: performance.now() - from });
    }
    setBusy(false);
    return undefined;
  };
  const actions = html`<${Button} onClick=${onClose}>Close<//>
    <${Button} kind="primary" busy=${busy} onClick=${submit}>Call<//>`;
  return html`<${Dialog} title=${`Call ${worker.name}`} onClose=${onClose} actions=${actions}>
    <form class="stack" onSubmit=${submit}>
      <${Field} id="call-method" label="Method" error=${missing} hint="As the worker names it.">
        ${(control) => html`<input ...${control} class="input mono" value=${method} autocomplete="off" autocapitalize="off" spellcheck="false" autofocus
          onInput=${(event) => (setMethod(event.currentTarget.value), setMissing(null))} />`}
      <//>
      <${Field} id="call-payload" label="Payload" hint="Sent as it is, at most 1 MiB. May be empty.">
        ${(control) => html`<textarea ...${control} class="input mono" rows="4" value=${payload} spellcheck="false"
          onInput=${(event) => setPayload(event.currentTarget.value)}></textarea>`}
      <//>
      <button class="vh" type="submit" tabindex="-1" aria-hidden="true">Call</button>
    </form>
    <div aria-live="polite" class="stack">
      ${busy && html`<p class="dim">Waiting for the answer…</p>`}
      ${outcome?.error && html`<${Notice} tone="bad"><p class="wrap-any">${outcome.error.message}</p>${outcome.error.hint && html`<p class="dim">${outcome.error.hint}</p>`}<//>`}
      ${
        outcome?.answer &&
        html`<p class="dim">Answered ${bytes(outcome.answer.size)} after ${latency(outcome.took)}.</p>
          <${Block} label="Answer" text=${outcome.answer.text} empty="An empty answer." />`
      }
    </div>
  <//>`;
}
