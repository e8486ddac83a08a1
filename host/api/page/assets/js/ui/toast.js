// Short messages that go by themselves: what an act came to. Errors stay until they are closed.
// Must not be the only place where a lasting fact is shown.
import { html, useEffect, useState } from "../lib.js";
import { Button } from "./parts.js";
import { StatusMark } from "./status.js";

let next = 0;
let all = [];
let tell = () => {};

function set(list) {
  all = list;
  tell(list);
}

const drop = (id) => set(all.filter((toast) => toast.id !== id));

/** tone: "ok" | "info" | "warn" | "bad". */
export function toast(text, tone = "ok", hint = null) {
  const id = ++next;
  set([...all.slice(-3), { id, text, tone, hint }]);
  if (tone !== "bad") setTimeout(() => drop(id), 5000);
}

/** @param {import("../api.js").ApiError} error */
export function toastError(error) {
  if (error.status === 401) return;
  const first = error.problems?.[0];
  toast(first ? `${error.message}: ${first.message}` : error.message, "bad", error.hint ?? first?.hint ?? null);
}

/** Waits for an act and says what became of it; true when it was done. */
export async function act(promise, done) {
  try {
    await promise;
    if (done) toast(done, "ok");
    return true;
  } catch (error) {
    toastError(error);
    return false;
  }
}

const MARK = { ok: "up", info: "info", warn: "degraded", bad: "down" };

export function Toasts() {
  const [list, setList] = useState(all);
  useEffect(() => {
    tell = setList;
    return () => {
      tell = () => {};
    };
  }, []);
  return html`<div class="toasts" role="region" aria-label="Messages" aria-live="polite">${list.map(
    (one) => html`<div class=${`toast tone-${one.tone}`} key=${one.id} role=${one.tone === "bad" ? "alert" : undefined}>
      <${StatusMark} of=${MARK[one.tone]} size=${15} />
      <div class="grow"><div>${one.text}</div>${one.hint && html`<div class="dim">${one.hint}</div>`}</div>
      <${Button} kind="quiet" small icon="close" label="Close" onClick=${() => drop(one.id)} /></div>`,
  )}</div>`;
}
