// A grid of any length of which only the visible rows exist. It scrolls with the page. One element holds the focus and names the
// active row, so that a row that leaves the screen doesn't take the focus with it. Must not know what a row shows.
import { Component, html } from "../lib.js";
import { Icon } from "./icons.js";

/** Rows drawn above and below what is visible. */
const AROUND = 4;
/** Kept free at the foot when a row is brought into view: a phone's bar stands there. */
const FOOT = 72;
let ids = 0;

/**
 * @typedef {{ id: string, head: any, sort?: boolean, class?: string, label?: string }} GridColumn
 * Props: label; columns; count; rowHeight; heads, headHeight: the places of rows that begin a group, ascending, and their height;
 * template (CSS grid columns); role: "grid", or "treegrid" when rows open and close;
 * row(index, { id, active, style, slot }) → vnode with role="row"; onOpen(index, event); onSide?(index, by, element): left and right;
 * onSort?(id), sort ("id" or "-id"); active: the row that is active at first;
 * onActive?(index); stamp: anything that changes when rows must be drawn again.
 */
export class VirtualGrid extends Component {
  constructor(props) {
    super(props);
    this.id = `grid-${++ids}`;
    this.state = { first: 0, last: 30, active: props.active ?? -1 };
    this.body = null;
    this.planned = 0;
    this.onScroll = () => {
      if (!this.planned) this.planned = requestAnimationFrame(() => this.measure());
    };
    this.onKey = this.onKey.bind(this);
    this.onGlobalKey = this.onGlobalKey.bind(this);
  }

  componentDidMount() {
    addEventListener("scroll", this.onScroll, { passive: true });
    addEventListener("resize", this.onScroll);
    addEventListener("keydown", this.onGlobalKey);
    this.measure();
  }

  componentWillUnmount() {
    removeEventListener("scroll", this.onScroll);
    removeEventListener("resize", this.onScroll);
    removeEventListener("keydown", this.onGlobalKey);
    cancelAnimationFrame(this.planned);
  }

  componentDidUpdate(before) {
    const now = this.props;
    if (before.count !== now.count || before.rowHeight !== now.rowHeight || before.heads !== now.heads) this.measure();
  }

  /** How many heads stand before a row. */
  headsBefore(index) {
    const { heads = [] } = this.props;
    let low = 0;
    let high = heads.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (heads[middle] < index) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Where a row begins, in pixels from the body's top. */
  topOf(index) {
    const { rowHeight, headHeight = rowHeight } = this.props;
    return index * rowHeight - this.headsBefore(index) * (rowHeight - headHeight);
  }

  /** The row that covers a place: the last one that begins at it or above. */
  rowAt(y) {
    let low = 0;
    let high = this.props.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.topOf(middle) <= y) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }

  measure() {
    this.planned = 0;
    if (!this.body) return;
    const { count } = this.props;
    const above = Math.max(0, -this.body.getBoundingClientRect().top);
    const first = Math.max(0, this.rowAt(above) - AROUND);
    const last = Math.min(count, this.rowAt(above + innerHeight) + 1 + AROUND);
    if (first !== this.state.first || last !== this.state.last) this.setState({ first, last });
  }

  /** Makes a row the active one, and visible. */
  go(index, focus = true) {
    const { count, onActive } = this.props;
    if (!count) return;
    const active = Math.max(0, Math.min(count - 1, index));
    if (focus && document.activeElement !== this.base) this.base.focus({ preventScroll: true });
    this.setState({ active });
    onActive?.(active);
    const body = this.body.getBoundingClientRect().top;
    const top = body + this.topOf(active);
    const end = body + this.topOf(active + 1);
    const head = this.props.topInset ?? 96;
    if (top < head) scrollBy(0, top - head);
    else if (end > innerHeight - FOOT) scrollBy(0, end - innerHeight + FOOT);
  }

  /** "j" and "k" begin at the first row when nothing is focused. */
  onGlobalKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    if (document.activeElement !== document.body && document.activeElement?.id !== "main") return;
    if (event.key !== "j" && event.key !== "k") return;
    event.preventDefault();
    this.go(this.state.active < 0 ? this.state.first : this.state.active);
  }

  onKey(event) {
    if (event.target !== this.base || event.ctrlKey || event.altKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(innerHeight / this.props.rowHeight) - 3);
    const { active } = this.state;
    const moves = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    const by = moves[event.key];
    if (by !== undefined) {
      event.preventDefault();
      const to = active + by;
      return this.go(to === Infinity ? this.props.count - 1 : to === -Infinity ? 0 : to);
    }
    if (active < 0) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.props.onOpen?.(active, event);
    } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      event.preventDefault();
      this.props.onSide?.(active, event.key === "ArrowLeft" ? -1 : 1, document.getElementById(this.rowId(active)));
    }
  }

  rowId(index) {
    return `${this.id}-${index}`;
  }

  head() {
    const { columns, sort = "", onSort, template } = this.props;
    const by = sort.replace(/^-/, "");
    return html`<div class="grid-head" role="rowgroup"><div role="row" aria-rowindex="1" class="grid-row-head" style=${{ gridTemplateColumns: template }}>
      ${columns.map((column) => {
        const sorted = column.id === by;
        return html`<div key=${column.id} role="columnheader" class=${column.class} aria-sort=${sorted ? (sort.startsWith("-") ? "descending" : "ascending") : undefined}>
          ${column.sort
            ? html`<button type="button" class="sort" onClick=${() => onSort(sort === column.id ? `-${column.id}` : column.id)}>${column.head}
                <span class="arrow"><${Icon} name="up" size=${12} /></span></button>`
            : column.head}</div>`;
      })}</div></div>`;
  }

  render({ label, count, row, columns, role = "grid" }, { first, last, active }) {
    const rows = [];
    const slots = last - first || 1;
    for (let index = first; index < Math.min(last, count); index++) {
      // Keyed by place modulo the window: scrolling writes into rows that exist, instead of making new ones.
      const slot = index % slots;
      const top = this.topOf(index);
      const style = { transform: `translateY(${top}px)`, height: `${this.topOf(index + 1) - top}px` };
      rows.push(row(index, { id: this.rowId(index), active: index === active, slot, style }));
    }
    return html`<div class="grid" role=${role} aria-label=${label} aria-rowcount=${count + 1} aria-colcount=${columns.length} tabindex="0"
      aria-activedescendant=${active >= first && active < last ? this.rowId(active) : undefined} onKeyDown=${this.onKey}
      onFocus=${() => this.state.active < 0 && count && this.setState({ active: first })}>
      ${this.head()}
      <div class="grid-body" role="rowgroup" ref=${(element) => (this.body = element)} style=${{ height: `${this.topOf(count)}px` }}>${rows}</div>
    </div>`;
  }
}
