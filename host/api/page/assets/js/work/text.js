// Bytes and JSON as people read them. Everything ends up as text nodes: what a guest wrote is never markup.

import { html, useState } from "../lib.js";
import { Button } from "../ui/parts.js";
import { toast } from "../ui/toast.js";
import { bytes } from "../format.js";

/** Past this a browser's layout, not the reader, is what suffers. */
const SHOWN_CHARS = 64 * 1024;

/** Text, indented when it is JSON. Numbers too long for a double would be changed by that: such text stays as it is. */
export function pretty(text) {
  const head = text.trimStart()[0];
  if (head !== "{" && head !== "[") return text;
  if (/\d{16,}/.test(text)) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** Base64 as a hex dump with the characters that can be read beside it. */
export function hexDump(base64, most = 4096) {
  let raw;
  try {
    raw = atob(base64);
  } catch {
    return base64;
  }
  const lines = [];
  for (let at = 0; at < Math.min(raw.length, most); at += 16) {
    const row = raw.slice(at, at + 16);
    const hex = Array.from(row, (c) => c.charCodeAt(0).toString(16).padStart(2, "0")).join(" ");
    const plain = Array.from(row, (c) => (c >= " " && c <= "~" ? c : ".")).join("");
    lines.push(`${at.toString(16).padStart(6, "0")}  ${hex.padEnd(47)}  ${plain}`);
  }
  if (raw.length > most) lines.push(`… ${bytes(raw.length - most)} more`);
  return lines.join("\n");
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied", "ok");
  } catch {
    toast("The browser did not allow copying: select the text and copy it.", "warn");
  }
}

/** A block of text that scrolls by keyboard, cut where it is endless, with its label and a copy button. */
export function Block({ label, text, raw = text, empty = "Empty." }) {
  const [all, setAll] = useState(false);
  if (!text) return html`<p class="dim">${empty}</p>`;
  const cut = !all && text.length > SHOWN_CHARS;
  return html`<div class="block">
    <${Button} kind="quiet" small class="block-copy" onClick=${() => copy(raw)} label=${`Copy ${label}`}>Copy<//>
    <pre class="code" tabindex="0" role="group" aria-label=${label}>${cut ? text.slice(0, SHOWN_CHARS) : text}</pre>
    ${cut && html`<${Button} small onClick=${() => setAll(true)}>Show all (${bytes(text.length)})<//>`}
  </div>`;
}

/** A job's payload or result: `{ text }`, `{ base64 }` or nothing. */
export function Payload({ label, of, empty }) {
  if (!of) return html`<p class="dim">${empty}</p>`;
  if (of.base64 !== undefined) {
    return html`<${Block} label=${label} text=${hexDump(of.base64)} raw=${of.base64} empty="Zero bytes." />`;
  }
  return html`<${Block} label=${label} text=${pretty(of.text)} raw=${of.text} empty="Zero bytes." />`;
}

/** What can be read in bytes, the rest as dots. */
function readable(base64, most) {
  try {
    return atob(base64.slice(0, Math.ceil(most / 3) * 4)).replace(/[^ -~]+/g, "·");
  } catch {
    return "";
  }
}

/** A payload's first words, for a row of a table. */
export function excerpt(of, most = 120) {
  if (!of) return "";
  const text = of.text ?? readable(of.base64, most);
  const line = text.slice(0, most * 2).replace(/\s+/g, " ").trim();
  return line.length > most ? `${line.slice(0, most)}…` : line;
}

/** A digest's first digits; the whole one on hover and for copying. */
export function DigestText({ of }) {
  const digits = of.replace(/^sha256:/, "");
  return html`<span class="mono" title=${of}>${digits.slice(0, 12)}</span>${" "}
    <${Button} kind="quiet" small onClick=${() => copy(of)} label="Copy the whole digest">Copy<//>`;
}
