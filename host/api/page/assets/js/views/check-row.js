// One row of the list of checks: a line on a wide screen, a card on a narrow one (the style sheet decides). Draws again only when
// its check, its light, the second or the cursor changed. Must not hold state.
import { Component, html } from "../lib.js";
import { ago, duration, latency, percent, plural, since } from "../format.js";
import { link } from "../router.js";
import { flashOf, keyOf, nameOf, placeOf } from "../store.js";
import { Bars, Sparkline } from "../ui/bars.js";
import { Status, tone } from "../ui/status.js";

/** Below this much seen, the uptime says so. */
const SEEN_WELL = 0.95;
const DAY_MS = 86_400_000;

/** A young check has seen so many minutes, an older one so much of the day. */
const seen = (coverage) => (coverage < 0.5 ? duration(coverage * DAY_MS) : percent(coverage));

function Uptime({ check }) {
  if (check.uptime === null) return html`<span class="faint">–</span>`;
  const partly = check.coverage < SEEN_WELL;
  const words = `${percent(check.uptime)} of the ${percent(check.coverage)} of 24 hours that was seen`;
  return html`<span title=${words}>${percent(check.uptime)}</span>
    ${partly && html`<span class="seen" title=${words}><span class="vh">, </span>${seen(check.coverage)} seen</span>`}`;
}

/** What stands under the name: why it is not up, else where it is. */
function under(check, now) {
  if (check.confirming) return `${plural(check.confirming, "result")} say otherwise, confirming`;
  const place = placeOf(check);
  if (check.status === "up" || check.last === null || !check.detail) return place;
  return `${since(check.since, now)}: ${check.detail}`;
}

export class CheckRow extends Component {
  shouldComponentUpdate(next) {
    const now = this.props;
    return (
      next.check !== now.check || next.second !== now.second || next.flash !== now.flash || next.place !== now.place ||
      next.at.active !== now.at.active || next.cursor !== now.cursor || next.at.style.transform !== now.at.style.transform || next.template !== now.template
    );
  }

  render({ check, now, at, place, cursor, flash, template, onOpen }) {
    const href = link("checks", check.worker, check.subject);
    const pending = check.last === null;
    const not = check.status !== "up" && !pending;
    return html`<div role="row" id=${at.id} aria-rowindex=${place + 2} aria-selected=${at.active ? "true" : "false"} style=${{ ...at.style, gridTemplateColumns: template }}
      class=${`grid-row check-row ${flash} ${at.active ? "is-active" : ""} tone-${tone(check.status)}`} onClick=${onOpen} data-href=${href}>
      <div role="gridcell" class="c-status"><${Status} of=${pending ? "pending" : check.status} word=${pending ? "waiting" : check.status} /></div>
      <div role="gridcell" class="c-name"><a class="clip c-title" href=${href} tabindex="-1">${nameOf(check)}</a>
        <span class=${not ? "clip c-under tinted" : "clip c-under"}>${under(check, now)}</span></div>
      <div role="gridcell" class="c-bars">${pending ? html`<span class="faint">Loading…</span>` : html`<${Bars} beats=${check.beats} now=${now} cursor=${cursor} />`}</div>
      <div role="gridcell" class="c-uptime num"><${Uptime} check=${check} /></div>
      <div role="gridcell" class="c-latency num">${latency(check.latency_ms)}</div>
      <div role="gridcell" class="c-spark"><${Sparkline} beats=${check.beats} /></div>
      <div role="gridcell" class="c-last num dim">${pending ? "–" : ago(check.last, now)}</div>
    </div>`;
  }
}

export const flashOfCheck = (check) => flashOf("checks", keyOf(check.worker, check.subject));
