// A plain table for lists of some hundred rows; ui/list.js has the one for ten thousand. Sorts what it is given when columns say how.
import { html, useLayoutEffect, useRef, useState } from "../lib.js";
import { Icon } from "./icons.js";

/** @typedef {{ id: string, head: any, cell: (row: any) => any, align?: "end", sort?: (row: any) => any, hide?: "phone", class?: string }} Column */

export function compare(a, b) {
  const noA = a === null || a === undefined;
  const noB = b === null || b === undefined;
  // What has no value stands at the end, whichever way it is sorted.
  if (noA || noB) return noA && noB ? 0 : noA ? Infinity : -Infinity;
  if (typeof a === "string") return a.localeCompare(String(b), "en", { numeric: true });
  return a < b ? -1 : a > b ? 1 : 0;
}

function ordered(rows, column, descending) {
  if (!column?.sort) return rows;
  return [...rows].sort((x, y) => {
    const order = compare(column.sort(x), column.sort(y));
    return descending && Number.isFinite(order) ? -order : order === Infinity ? 1 : order === -Infinity ? -1 : order;
  });
}

/** @param {{ caption: string, columns: Column[], rows: any[], rowKey: (row: any) => string, empty?: any, sort?: string, rowClass?: (row: any) => string }} props
 * sort: the column's id to begin with, "-id" for descending. */
export function Table({ caption, columns, rows, rowKey, empty, sort = "", rowClass }) {
  const [by, setBy] = useState(sort);
  const wrap = useRef(null);
  // What has to be scrolled sideways must be reachable by keyboard.
  useLayoutEffect(() => {
    const box = wrap.current;
    if (!box) return;
    if (box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  });
  const descending = by.startsWith("-");
  const column = columns.find((one) => one.id === by.replace(/^-/, ""));
  if (!rows.length && empty) return empty;
  const name = (one) => [one.align === "end" && "align-end num", one.hide === "phone" && "hide-phone", one.class].filter(Boolean).join(" ");
  const turn = (id) => setBy(by === id ? `-${id}` : id);
  return html`<div class="table-wrap" ref=${wrap}><table class="table">
    <caption class="vh">${caption}</caption>
    <thead><tr>${columns.map(
      (one) => html`<th key=${one.id} scope="col" class=${name(one)} aria-sort=${one === column ? (descending ? "descending" : "ascending") : undefined}>
        ${one.sort
          ? html`<button type="button" class="sort" onClick=${() => turn(one.id)}>${one.head}<span class="arrow"><${Icon} name="up" size=${12} /></span></button>`
          : one.head}</th>`,
    )}</tr></thead>
    <tbody>${ordered(rows, column, descending).map(
      (row) => html`<tr key=${rowKey(row)} class=${rowClass?.(row)}>${columns.map((one) => html`<td key=${one.id} class=${name(one)}>${one.cell(row)}</td>`)}</tr>`,
    )}</tbody>
  </table></div>`;
}
