// What a person may do with one worker, in words: each act says what it does before it hurts and what happened afterwards.
// Must not decide whether an act is possible beyond what the worker's row says; the host has the last word.

import { html, useState } from "../lib.js";
import { del, post, query, seg } from "../api.js";
import { confirm, Dialog } from "../ui/dialog.js";
import { act, toast } from "../ui/toast.js";
import { Button, Field } from "../ui/parts.js";
import { planned } from "./plan.js";

const path = (name, verb) => `workers/${seg(name)}/${verb}`;

export const isItem = (worker) => worker.name.includes("/");
export const isScheduled = (worker) => (worker.triggers ?? []).some((trigger) => /^(every|cron)\b/.test(trigger));
/** What the form of monitors can show; whether it can show all of it the host says. */
export const isMonitor = (worker) => worker.component === "poller.wasm" || worker.component === "pinger.wasm";
export const takesCalls = (worker) => (worker.triggers ?? []).includes("calls");

/** One tick at once. */
export function tick(worker) {
  return act(post(path(worker.name, "tick")), `${worker.name} ticks now`);
}

export async function restart(worker) {
  const text =
    worker.instance === "resident"
      ? "Each replica gets a fresh incarnation after its event in flight. What it keeps in memory only is gone; jobs and key-value state stay."
      : "Each replica gets a fresh incarnation after its event in flight. Jobs and key-value state stay.";
  if (!(await confirm({ title: `Restart ${worker.name}?`, text, action: "Restart" }))) return;
  await act(post(path(worker.name, "restart")), `${worker.name} restarts after its event in flight`);
}

export async function drain(worker) {
  const text = "It finishes its event in flight, takes no more, and stops. It stays stopped until somebody restarts it.";
  if (!(await confirm({ title: `Drain ${worker.name}?`, text, action: "Drain", danger: true }))) return;
  await act(post(path(worker.name, "drain")), `${worker.name} finishes its event in flight, then stops`);
}

export async function pause(worker) {
  const text = `It gets no ticks, and its checks show as paused, until somebody resumes it. This is written into ${worker.file} as paused = true.`;
  if (!(await confirm({ title: `Pause ${worker.name}?`, text, action: "Pause" }))) return;
  await act(post(path(worker.name, "pause")), `${worker.name} is paused, written into ${worker.file}`);
}

export function resume(worker) {
  return act(post(path(worker.name, "resume")), `${worker.name} is resumed, written into ${worker.file}`);
}

/** Takes it out of its manifest, once the plan was seen. Gives the applied plan, or null. */
export function remove(worker) {
  return planned({
    title: `Delete ${worker.title ?? worker.name}?`,
    text: `The worker ends after its event in flight and is taken out of ${worker.file}.`,
    action: "Delete",
    danger: true,
    done: `${worker.name} is deleted`,
    run: (dry) => del(`workers/${seg(worker.name)}${dry ? query({ dry_run: true }) : ""}`),
  });
}

/** Asks for a number of replicas and writes it. */
export function ScaleDialog({ worker, onClose }) {
  const [wanted, setWanted] = useState(String(worker.desired));
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event?.preventDefault();
    const replicas = Number(wanted);
    if (!/^\d+$/.test(wanted.trim()) || replicas < 1) return setError("A whole number from 1.");
    if (replicas < worker.running) {
      const text = `${worker.running - replicas} of ${worker.running} running replicas end after their event in flight.`;
      if (!(await confirm({ title: `Scale ${worker.name} down to ${replicas}?`, text, action: "Scale down" }))) return undefined;
    }
    setBusy(true);
    try {
      const plan = await post(`${path(worker.name, "scale")}${query({ replicas })}`);
      toast(plan.applied ? `${worker.name} is scaled to ${replicas} (generation ${plan.generation})` : `${worker.name} has ${replicas} already`, "ok");
      onClose();
    } catch (failed) {
      setError([failed.message, failed.problems?.[0]?.message, failed.hint].filter(Boolean).join(" "));
      setBusy(false);
    }
    return undefined;
  };
  const actions = html`<${Button} onClick=${onClose}>Cancel<//>
    <${Button} kind="primary" busy=${busy} onClick=${submit}>Scale<//>`;
  return html`<${Dialog} title=${`Scale ${worker.name}`} onClose=${onClose} actions=${actions}>
    <form class="stack" onSubmit=${submit}>
      <${Field} id="scale-replicas" label="Replicas that shall run" error=${error} hint=${`Written into ${worker.file} as replicas. ${worker.running} run now.`}>
        ${(control) => html`<input ...${control} class="input num-input" type="number" min="1" max="1000" step="1" inputmode="numeric" value=${wanted}
          onInput=${(event) => (setWanted(event.currentTarget.value), setError(null))} />`}
      <//>
    </form>
  <//>`;
}
