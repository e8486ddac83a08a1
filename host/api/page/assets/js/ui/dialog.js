// Modal dialogs on the browser's own <dialog>: it traps the focus, closes on Escape and gives the focus back.
// Must not hold anything but the question at hand.
import { html, render, useLayoutEffect, useRef } from "../lib.js";
import { Button, freshId } from "./parts.js";

/** Shown for as long as it is rendered. `actions` stand at the foot; onClose: Escape, the cross, or a click outside. */
export function Dialog({ title, onClose, children, actions, wide }) {
  const ref = useRef(null);
  const id = useRef(freshId("dialog"));
  useLayoutEffect(() => {
    const back = document.activeElement;
    ref.current.showModal();
    return () => back?.isConnected && back.focus?.();
  }, []);
  return html`<dialog class=${wide ? "dialog wide" : "dialog"} ref=${ref} aria-labelledby=${id.current}
    onCancel=${(event) => {
      event.preventDefault();
      onClose();
    }}
    onMouseDown=${(event) => event.target === ref.current && onClose()}>
    <div class="dialog-in">
      <div class="dialog-head"><h2 id=${id.current} class="grow wrap-any">${title}</h2><${Button} kind="quiet" small icon="close" label="Close" onClick=${onClose} /></div>
      <div class="dialog-body">${children}</div>
      ${actions && html`<div class="dialog-foot">${actions}</div>`}
    </div>
  </dialog>`;
}

/** Asks, and gives true or false. `danger` for what takes something away; the focus is on Cancel then. */
export function confirm({ title, text, action = "Go on", danger = false, body = null, wide = false }) {
  return new Promise((resolve) => {
    const host = document.createElement("div");
    document.body.append(host);
    const end = (answer) => {
      render(null, host);
      host.remove();
      resolve(answer);
    };
    render(
      html`<${Dialog} title=${title} wide=${wide} onClose=${() => end(false)} actions=${[
        html`<${Button} key="no" onClick=${() => end(false)} autofocus=${danger}>Cancel<//>`,
        html`<${Button} key="yes" kind=${danger ? "danger" : "primary"} class=${danger ? "solid" : ""} onClick=${() => end(true)} autofocus=${!danger}>${action}<//>`,
      ]}>${text && html`<p>${text}</p>`}${body}<//>`,
      host,
    );
  });
}
