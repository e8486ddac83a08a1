// The frame around every view: brand with the state of the whole, navigation, connection, theme, help. Must not show a view's facts.
import { html, useEffect, useState } from "./lib.js";
import { badges, health } from "./health.js";
import { clock, duration } from "./format.js";
import { connect } from "./live.js";
import { signOut } from "./api.js";
import { NAV } from "./routes.js";
import { store, useNow, useStore } from "./store.js";
import { act } from "./ui/toast.js";
import { Button, Icon } from "./ui/parts.js";
import { Dialog } from "./ui/dialog.js";
import { Skep } from "./ui/icons.js";
import { StatusMark } from "./ui/status.js";

const LEVELS = { ok: "ok", warn: "degraded", bad: "bad", mute: "unknown" };

/** The whole in one or two words, with its shape; leads to the overview. */
function WholeState() {
  useStore("host", "checks", "workers", "queues", "conn");
  const whole = health(store);
  return html`<a class=${`side-state tone-${whole.level}`} href="#/" title=${whole.text} style=${{ background: "var(--tone-soft)", color: "var(--tone)" }}>
    <${StatusMark} of=${LEVELS[whole.level]} size=${13} /><span class="clip">${whole.word}</span></a>`;
}

/** Reads a change of the whole aloud, once it has held for a moment. */
function Announcer() {
  useStore("host", "checks", "workers", "queues", "conn");
  const { text } = health(store);
  const [said, say] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => say(text), 2000);
    return () => clearTimeout(timer);
  }, [text]);
  return html`<div class="vh" role="status">${said}</div>`;
}

function Badge({ of }) {
  const entry = badges(store)[of];
  if (!entry || !entry[0]) return null;
  return html`<span class=${`badge tone-${entry[1]}`}>${entry[0]}<span class="vh"> ${entry[2]}</span></span>`;
}

function Nav({ at, entries, icons = 18 }) {
  useStore("host", "checks", "workers", "queues");
  return entries.map((entry) => html`<a key=${entry.at} href=${`#/${entry.at}`} aria-current=${entry.at === at || entry.also === at ? "page" : undefined}>
    <${Icon} name=${entry.icon} size=${icons} />${entry.text}<${Badge} of=${entry.at} /></a>`);
}

function Connection() {
  useStore("conn", "host");
  const { state } = store.conn;
  const words = { live: "Live", resting: "Resting", connecting: "Connecting…", stale: "Not connected", "signed-out": "Signed out" };
  return html`<div class="conn"><span class=${`dot ${state}`} aria-hidden="true"></span><span>${words[state]}</span>
    ${store.host && html`<span class="faint end">v${store.host.version}</span>`}</div>`;
}

const THEMES = ["auto", "light", "dark"];
const THEME_ICON = { auto: "auto", light: "sun", dark: "moon" };

function kept() {
  return document.documentElement.dataset.theme ?? "auto";
}

function Theme() {
  const [theme, set] = useState(kept);
  const turn = () => {
    const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    if (next === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem("skep.theme", next);
    } catch {
      // Kept for this page only, then.
    }
    set(next);
    dispatchEvent(new Event("skep:theme"));
  };
  return html`<${Button} kind="quiet" icon=${THEME_ICON[theme]} label=${`Colours: ${theme}. Change`} onClick=${turn} />`;
}

function Tools({ onHelp }) {
  return html`<div class="side-tools"><${Theme} /><${Button} kind="quiet" icon="help" label="Keyboard shortcuts" onClick=${onHelp} />
    <${Button} kind="quiet" icon="out" label="Sign out" onClick=${() => act(signOut())} /></div>`;
}

/** Says plainly that what is shown is old, and since when. */
function Banner() {
  useStore("conn");
  useNow(1000);
  const { state, lastFrame } = store.conn;
  if (state !== "stale") return null;
  return html`<div class="banner" role="alert"><${Icon} name="warn" /><span class="grow">Connection lost ${duration(Date.now() - lastFrame)} ago;
    what you see is from ${clock(lastFrame)}. Trying again…</span><${Button} small onClick=${connect}>Try now<//></div>`;
}

function Notes() {
  useStore("host", "conn");
  const { host, conn } = store;
  if (!host || conn.state !== "live") return null;
  const open = host.maintenance ?? [];
  return html`${open.length > 0 && html`<div class="banner tone-info"><${StatusMark} of="maintenance" /><span>Maintenance: ${open.join(", ")}. Checks in it raise no alarm.</span></div>`}`;
}

const KEYS = [
  ["/", "search in the view"],
  ["g o", "go to the overview"],
  ["g c", "go to checks"],
  ["g w", "go to workers"],
  ["g q", "go to queues"],
  ["g e", "go to events"],
  ["g a", "go to alerts"],
  ["g m", "go to manifests"],
  ["j k or ↓ ↑", "move in a list"],
  ["← →", "go through the results of a row"],
  ["Enter", "open"],
  ["Esc", "close, or clear the search"],
  ["?", "this help"],
];

export function Help({ onClose }) {
  return html`<${Dialog} title="Keyboard shortcuts" onClose=${onClose}><dl class="keys">${KEYS.map(
    ([keys, what]) => html`<dt key=${keys}>${keys.split(" ").map((key) => (key === "or" ? " or " : html`<kbd>${key}</kbd> `))}</dt><dd>${what}</dd>`,
  )}</dl><//>`;
}

/** The rest of the navigation, on a phone. */
function More({ at, onHelp, onClose }) {
  useEffect(() => {
    const close = () => onClose();
    addEventListener("hashchange", close);
    return () => removeEventListener("hashchange", close);
  }, []);
  return html`<${Dialog} title="More" onClose=${onClose}><nav class="nav" aria-label="More"><${Nav} at=${at} entries=${NAV.filter((entry) => !entry.phone)} /></nav>
    <div class="side-foot"><${Connection} /><${Tools} onHelp=${onHelp} /></div><//>`;
}

export function Shell({ at, children, onHelp }) {
  useStore("conn");
  const [more, setMore] = useState(false);
  const stale = store.conn.state === "stale";
  const inMore = NAV.some((entry) => !entry.phone && entry.at === at);
  const toMain = (event) => {
    event.preventDefault();
    document.getElementById("main").focus();
  };
  return html`
    <a class="skip" href="#main" onClick=${toMain}>Skip to the content</a>
    <header class="top"><a class="brand" href="#/"><${Skep} size=${22} />skep</a><${WholeState} /></header>
    <div class="shell">
      <header class="side">
        <a class="brand" href="#/" aria-label="skep: overview"><${Skep} size=${26} />skep</a>
        <${WholeState} />
        <nav class="nav" aria-label="Main"><${Nav} at=${at} entries=${NAV} /></nav>
        <div class="side-foot"><${Connection} /><${Tools} onHelp=${onHelp} /></div>
      </header>
      <main id="main" class=${stale ? "main is-stale" : "main"} tabindex="-1"><${Announcer} /><${Banner} /><${Notes} />${children}</main>
    </div>
    <nav class="bottom" aria-label="Main, compact"><${Nav} at=${at} entries=${NAV.filter((entry) => entry.phone)} icons=${20} />
      <button type="button" aria-haspopup="dialog" aria-current=${inMore ? "page" : undefined} onClick=${() => setMore(true)}><${Icon} name="more" size=${20} />More</button></nav>
    ${more && html`<${More} at=${at} onHelp=${onHelp} onClose=${() => setMore(false)} />`}`;
}
