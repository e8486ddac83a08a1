// The page's beginning: connects, picks the view for the address, and keeps the tab's title and icon true.
// Must not know what a view shows.
import { Component, html, render, useEffect, useRef, useState } from "./lib.js";
import { health } from "./health.js";
import { listen } from "./keys.js";
import { start } from "./live.js";
import { leftAt, useRoute } from "./router.js";
import { find } from "./routes.js";
import { Help, Shell } from "./shell.js";
import { store, subscribe, useStore } from "./store.js";
import { showHealth } from "./title.js";
import { Button, Empty, LinkButton, Notice, Spinner } from "./ui/parts.js";
import { Toasts } from "./ui/toast.js";
import SignIn from "./views/sign-in.js";

/** A view that breaks takes only itself down. */
class Fence extends Component {
  componentDidCatch(error) {
    console.error(error);
    this.setState({ error });
  }

  render({ children }, { error }) {
    if (!error) return children;
    return html`<div class="page"><${Notice} tone="bad" title="This view broke" live>
      <p>${String(error.message ?? error)}</p><p><${Button} small onClick=${() => this.setState({ error: null })}>Show it again<//></p><//></div>`;
  }
}

/** The views fetched so far, by route. */
const fetched = new Map();

function View({ route, parts, query }) {
  const [failed, setFailed] = useState(null);
  const [, again] = useState(0);
  useEffect(() => {
    if (fetched.has(route)) return;
    setFailed(null);
    route.view().then(
      (module) => {
        fetched.set(route, module.default);
        again((n) => n + 1);
      },
      (error) => setFailed(error),
    );
  }, [route]);
  const Chosen = fetched.get(route);
  if (Chosen) return html`<${Chosen} parts=${parts} query=${query} />`;
  if (failed) return html`<div class="page"><${Notice} tone="bad" title="This view could not be loaded"><p>${String(failed.message ?? failed)}</p><//></div>`;
  return html`<div class="page"><${Spinner} /></div>`;
}

function App() {
  useStore("conn");
  const { parts, query } = useRoute();
  const [help, setHelp] = useState(false);
  useEffect(() => listen({ help: () => setHelp(true) }), []);
  const at = parts[0] ?? "";
  const rest = parts.slice(1);
  const address = parts.join("\n");
  // A new address begins at its top, one that was left where it was left; the focus goes along, but at the first one.
  const first = useRef(true);
  useEffect(() => {
    scrollTo(0, leftAt());
    if (!first.current) document.getElementById("main")?.focus({ preventScroll: true });
    first.current = false;
  }, [address]);
  const signedOut = store.conn.state === "signed-out";
  const route = find(parts);
  return html`${signedOut
      ? html`<${SignIn} />`
      : html`<${Shell} at=${at} onHelp=${() => setHelp(true)}>
          ${route
            ? html`<${Fence} key=${`${route.at}/${address}`}><${View} route=${route} parts=${rest} query=${query} /><//>`
            : html`<div class="page"><${Empty} icon="search" title="There is no such page" action=${html`<${LinkButton} href="#/">To the overview<//>`} /></div>`}
        <//>`}
    ${help && html`<${Help} onClose=${() => setHelp(false)} />`}
    <${Toasts} />`;
}

let planned = false;
subscribe(["host", "checks", "workers", "queues", "conn"], () => {
  if (planned) return;
  planned = true;
  setTimeout(() => {
    planned = false;
    showHealth(health(store));
  }, 200);
});
render(html`<${App} />`, document.getElementById("app"));
start();
