// A text area for manifests: line numbers, marked lines with their problems, a Tab key that indents and a way out of it.
// Must not know what the text means; problems come from the host.

import { html, useLayoutEffect, useRef, useState } from "../lib.js";

/** Pixels; css/edit.css sets the same for the text area. */
const LINE = 20;
const PAD = 12;
const INDENT = "  ";

/** Replaces a range as if it had been typed, so that the browser's own undo takes it back. */
function type(area, from, to, text) {
  area.focus();
  area.setSelectionRange(from, to);
  const typed = text === "" ? document.execCommand("delete") : document.execCommand("insertText", false, text);
  if (typed) return;
  area.setRangeText(text, from, to, "end");
  area.dispatchEvent(new Event("input", { bubbles: true }));
}

const lineStart = (text, at) => text.lastIndexOf("\n", at - 1) + 1;

/** Indents the lines of the selection (or the place of the caret), or takes an indent back. */
function indent(area, back) {
  const { value, selectionStart: from, selectionEnd: to } = area;
  const start = lineStart(value, from);
  if (from === to && !back) return type(area, from, to, INDENT);
  const lines = value.slice(start, to).split("\n");
  const moved = lines.map((line) => (back ? line.replace(/^( {1,2}|\t)/, "") : line ? INDENT + line : line));
  const text = moved.join("\n");
  if (text === value.slice(start, to)) return undefined;
  type(area, start, to, text);
  const first = moved[0].length - lines[0].length;
  return area.setSelectionRange(Math.max(start, from + first), start + text.length);
}

/** A new line begins where the one above does. */
function feed(area) {
  const { value, selectionStart: from, selectionEnd: to } = area;
  const lead = /^[ \t]*/.exec(value.slice(lineStart(value, from), from))[0];
  if (!lead) return false;
  type(area, from, to, `\n${lead}`);
  return true;
}

function offsetOf(text, line) {
  let at = 0;
  for (let n = 1; n < line; n++) {
    const next = text.indexOf("\n", at);
    if (next < 0) return text.length;
    at = next + 1;
  }
  return at;
}

/** Puts the caret on a line (from 1) and shows it. */
export function goTo(area, line, column = 0) {
  if (!area) return;
  const at = offsetOf(area.value, line) + Math.max(0, column - 1);
  area.focus();
  area.setSelectionRange(at, at);
  area.scrollTop = Math.max(0, (line - 1) * LINE - area.clientHeight / 3);
}

const countLines = (text) => {
  let lines = 1;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) lines++;
  return lines;
};

/**
 * `marks`: Map line → sentence. `area`: a ref that gets the text area. `onReview` runs on Ctrl+S (or ⌘S). `stamp` changes whenever
 * `value` is not what was typed but other text.
 * Only the numbers and marks in view are drawn: a file may have many thousand lines.
 */
export function Editor({ id, label, value, stamp, onInput, marks, area, onReview, readOnly = false }) {
  const [view, setView] = useState({ top: 0, height: 400 });
  // After Esc the next Tab leaves the editor, as anywhere else on a page.
  const leaving = useRef(false);
  const lines = countLines(value);

  useLayoutEffect(() => {
    const node = area.current;
    if (!node) return undefined;
    const measure = () => setView({ top: node.scrollTop, height: node.clientHeight });
    measure();
    const watch = new ResizeObserver(measure);
    watch.observe(node);
    return () => watch.disconnect();
  }, []);
  // The text area holds what is typed; it is written to only when other text takes its place.
  useLayoutEffect(() => {
    const node = area.current;
    if (node && node.value !== value) node.value = value;
  }, [stamp]);

  const onKeyDown = (event) => {
    const node = event.currentTarget;
    const save = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s";
    if (save) {
      event.preventDefault();
      onReview?.();
    } else if (event.key === "Escape") {
      leaving.current = true;
    } else if (event.key === "Tab" && !event.ctrlKey && !event.altKey && !event.metaKey && !readOnly) {
      if (leaving.current) {
        leaving.current = false;
        return;
      }
      event.preventDefault();
      indent(node, event.shiftKey);
    } else if (event.key === "Enter" && !event.isComposing && !event.ctrlKey && !event.metaKey && !readOnly) {
      if (feed(node)) event.preventDefault();
    }
    if (event.key !== "Escape" && event.key !== "Shift") leaving.current = false;
  };

  const first = Math.max(1, Math.floor((view.top - PAD) / LINE));
  const last = Math.min(lines, first + Math.ceil(view.height / LINE) + 2);
  const rows = [];
  for (let line = first; line <= last; line++) rows.push(line);
  const digits = String(lines).length;

  return html`<div class="editor" style=${{ "--digits": digits }}>
    <div class="editor-gutter" aria-hidden="true">
      ${rows.map(
        (line) => html`<span key=${line} class=${marks.has(line) ? "editor-number marked" : "editor-number"} title=${marks.get(line)}
          style=${{ transform: `translateY(${PAD + (line - 1) * LINE - view.top}px)` }}>${line}</span>`,
      )}
    </div>
    <div class="editor-body">
      <div class="editor-marks" aria-hidden="true">
        ${rows.filter((line) => marks.has(line)).map(
          (line) => html`<span key=${line} class="editor-mark" style=${{ transform: `translateY(${PAD + (line - 1) * LINE - view.top}px)` }}></span>`,
        )}
      </div>
      <textarea ref=${area} id=${id} class="editor-text" aria-label=${label} aria-describedby=${`${id}-keys`} wrap="off" spellcheck="false"
        autocomplete="off" autocapitalize="off" autocorrect="off" readonly=${readOnly} aria-invalid=${marks.size > 0 ? "true" : undefined}
        defaultValue=${value} onInput=${(event) => onInput(event.currentTarget.value)} onKeyDown=${onKeyDown}
        onBlur=${() => (leaving.current = false)}
        onScroll=${(event) => setView({ top: event.currentTarget.scrollTop, height: event.currentTarget.clientHeight })}></textarea>
    </div>
  </div>`;
}

/** What the keys of an editor do; the text area points here. */
export function EditorKeys({ id }) {
  return html`<p class="dim editor-keys" id=${`${id}-keys`}>
    <kbd>Tab</kbd> indents; <kbd>Esc</kbd> <kbd>Tab</kbd> leaves the text; <kbd>Ctrl S</kbd> shows the plan
  </p>`;
}
