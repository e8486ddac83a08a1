// One GET and what came of it: data, error, loading. The newest request wins; nothing is set once the view is gone.
// Must not know what is loaded.

import { html, useCallback, useEffect, useRef, useState } from "../lib.js";
import { get } from "../api.js";
import { Button, Notice, Spinner } from "../ui/parts.js";

const NOTHING = { path: null, data: null, error: null, loading: true };

/** Loads `path` (null: nothing) and again when it changes or `reload()` is called; old data stays until new data is there. `how` is steady. */
export function useLoad(path, how = get) {
  const [state, setState] = useState(NOTHING);
  const turn = useRef(0);
  const reload = useCallback(async () => {
    const mine = ++turn.current;
    if (!path) return;
    const kept = (was) => (was.path === path ? was.data : null);
    setState((was) => ({ path, data: kept(was), error: kept(was) ? was.error : null, loading: true }));
    try {
      const data = await how(path);
      if (mine === turn.current) setState({ path, data, error: null, loading: false });
    } catch (error) {
      if (mine === turn.current) setState((was) => ({ path, data: kept(was), error, loading: false }));
    }
  }, [path, how]);
  useEffect(() => {
    reload();
    return () => {
      turn.current++;
    };
  }, [reload]);
  const fresh = state.path === path ? state : NOTHING;
  return { data: fresh.data, error: fresh.error, loading: fresh.loading, reload };
}

/**
 * Calls `again` when `value` changes (not the first time), at most once in `pause` ms and not while nobody looks; the last change is
 * never lost.
 */
export function useAgain(value, again, pause = 1000) {
  const first = useRef(true);
  const last = useRef(0);
  const latest = useRef(again);
  latest.current = again;
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return undefined;
    }
    const wait = Math.max(0, last.current + pause - performance.now());
    const run = () => {
      if (document.hidden) return;
      document.removeEventListener("visibilitychange", run);
      last.current = performance.now();
      latest.current();
    };
    const timer = setTimeout(() => {
      if (document.hidden) document.addEventListener("visibilitychange", run);
      else run();
    }, wait);
    return () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", run);
    };
  }, [value, pause]);
}

/** A sentence about what went wrong, with what to do about it. */
export function Trouble({ error, what = "This", again }) {
  return html`<${Notice} tone="bad" title=${`${what} could not be loaded`}>
    <p class="wrap-any">${error.message}</p>
    ${error.hint && html`<p class="dim">${error.hint}</p>`}
    ${again && html`<p><${Button} small onClick=${again}>Try again<//></p>`}
  <//>`;
}

/** Children (a function of the data) once there is data; before that a word, and trouble as words. */
export function Loaded({ of, what, children }) {
  if (of.data !== null && of.data !== undefined) {
    return html`${of.error && html`<${Trouble} error=${of.error} what=${what} again=${of.reload} />`}${children(of.data)}`;
  }
  if (of.error) return html`<${Trouble} error=${of.error} what=${what} again=${of.reload} />`;
  return html`<${Spinner} />`;
}
