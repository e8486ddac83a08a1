// Keeps the store up to date over GET /api/v1/live: a snapshot, then deltas and beats. Reconnects by itself, and says "stale" once
// nothing came for 12 s (the host sends a beat every 5 s). A page that nobody looks at gives its connection back (a browser has six
// for a host) and only asks for the counts now and then, for title and icon. Must not render anything.
import { setAccess, setConn, store, takeBeat, takeCounts, takeDelta, takeSnapshot } from "./store.js";

const STALE_MS = 12_000;
const REST_AFTER_MS = 60_000;
const GLANCE_MS = 15_000;
const BACKOFF_MS = [250, 500, 1000, 2000, 4000, 8000];

let source = null;
let retry = null;
let failures = 0;
let rest = null;
/** When the last frame came, by the monotonic clock: a laptop that slept must notice. */
let heard = 0;

function frame(take) {
  return (event) => {
    let data;
    try {
      data = JSON.parse(event.data);
    } catch {
      return again();
    }
    heard = performance.now();
    failures = 0;
    take(data);
    // One write of the state a frame would re-render the shell ten times a second; only a change does.
    if (store.conn.state !== "live") setConn({ state: "live" });
    store.conn.lastFrame = Date.now();
  };
}

function close() {
  source?.close();
  source = null;
  clearTimeout(retry);
  clearTimeout(rest);
  retry = rest = null;
}

function open() {
  close();
  heard = performance.now();
  source = new EventSource(new URL("api/v1/live", document.baseURI));
  source.addEventListener("snapshot", frame(takeSnapshot));
  source.addEventListener("delta", frame(takeDelta));
  source.addEventListener("beat", frame(takeBeat));
  source.addEventListener("error", again);
  if (!store.access) askAccess();
}

/** Who this page is to the host; the stream is one for all, and does not say. */
async function askAccess() {
  try {
    const answer = await fetch(new URL("api/v1/session", document.baseURI), { cache: "no-store" });
    if (answer.ok) setAccess((await answer.json()).access);
  } catch {
    // The stream will notice, too, and ask again.
  }
}

/** The stream broke: finds out whether the session is over, else tries again, later each time. */
async function again() {
  close();
  const wait = BACKOFF_MS[Math.min(failures++, BACKOFF_MS.length - 1)];
  // What was heard a moment ago is not stale yet: a host that restarts is back within a second or two.
  retry = setTimeout(open, wait + Math.random() * wait * 0.3);
  try {
    const answer = await fetch(new URL("api/v1/host", document.baseURI), { cache: "no-store" });
    if (answer.status === 401) signedOut();
  } catch {
    // The host does not answer: the watch below says so.
  }
}

/** Shows the sign-in view and waits there. */
export function signedOut() {
  close();
  // Who signs in next may be allowed something else.
  setAccess(null);
  setConn({ state: "signed-out" });
}

/** Begins, or begins again at once (after signing in, or when a person asks). */
export function connect() {
  failures = 0;
  if (store.conn.state === "signed-out") setConn({ state: "connecting" });
  open();
}

/** Hidden for a while: no stream, a glance every so often. */
async function glance() {
  close();
  if (store.conn.state === "signed-out") return;
  setConn({ state: "resting" });
  rest = setTimeout(glance, GLANCE_MS);
  try {
    const answer = await fetch(new URL("api/v1/host", document.baseURI), { cache: "no-store" });
    if (answer.status === 401) signedOut();
    else if (answer.ok && store.conn.state === "resting") takeCounts(await answer.json());
  } catch {
    if (store.conn.state === "resting") setConn({ state: "stale" });
  }
}

function seenOrNot() {
  if (document.hidden) {
    clearTimeout(rest);
    rest = setTimeout(glance, REST_AFTER_MS);
    return;
  }
  clearTimeout(rest);
  rest = null;
  if (!source && store.conn.state !== "signed-out") connect();
  else watch();
}

function watch() {
  const { state } = store.conn;
  if (state === "signed-out" || state === "resting") return;
  const silent = performance.now() - heard > STALE_MS;
  const broken = !source && store.conn.lastFrame && Date.now() - store.conn.lastFrame > 4000;
  if (state === "live" && (silent || broken)) setConn({ state: "stale" });
  // A connection that says nothing any more is as good as none.
  if (silent && source) again();
}

export function start() {
  open();
  setInterval(watch, 1000);
  addEventListener("online", connect);
  document.addEventListener("visibilitychange", seenOrNot);
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => event.persisted && connect());
}
