// A check's latency over time, drawn by uPlot, which is fetched when a chart is first shown. Down and degraded spans are shaded and
// have a strip of their own at the foot (full height down, half degraded); time that nobody saw is hatched; marks are numbered lines.
// Must not fetch data, and must not be the only way to it: the view has a table.
import { html, useEffect, useRef, useState } from "../lib.js";
import { latency } from "../format.js";
import { Spinner } from "./parts.js";

let loading = null;

/** uPlot and its style sheet, once. */
function uplot() {
  if (!loading) {
    const sheet = document.createElement("link");
    sheet.rel = "stylesheet";
    sheet.href = new URL("../../vendor/uplot/uPlot.min.css", import.meta.url).href;
    document.head.append(sheet);
    loading = import("../../vendor/uplot/uPlot.esm.js").then((module) => module.default);
    loading.catch(() => {
      loading = null;
    });
  }
  return loading;
}

const HEIGHT = 260;
const STRIP = 8;

/**
 * Columns for uPlot: seconds, and one array a line; a null between points that do not follow each other breaks the line.
 * @param {any[]} points
 */
export function columns(points, lines) {
  const x = [];
  const y = lines.map(() => []);
  let end = null;
  for (const point of points) {
    const at = Date.parse(point.at) / 1000;
    if (end !== null && at > end + 1) {
      x.push(end);
      y.forEach((column) => column.push(null));
    }
    // Each point stands in the middle of its span.
    x.push(at + point.span_s / 2);
    lines.forEach((line, n) => y[n].push(point[line.field] ?? null));
    end = at + point.span_s;
  }
  return [x, ...y];
}

/** What can be drawn: percentiles where the host has them, else average and maximum. */
export function linesFor(points) {
  const some = (field) => points.some((point) => point[field] !== null && point[field] !== undefined);
  if (some("latency_p50_ms")) {
    return [
      { field: "latency_p50_ms", label: "p50", color: "--ok-fill", width: 2 },
      { field: "latency_p95_ms", label: "p95", color: "--info-fill", width: 1.4 },
      { field: "latency_p99_ms", label: "p99", color: "--accent", width: 1.2, dash: [5, 3] },
    ];
  }
  return [
    { field: "latency_avg_ms", label: "average", color: "--ok-fill", width: 2 },
    { field: "latency_max_ms", label: "maximum", color: "--accent", width: 1.2, dash: [5, 3] },
  ];
}

/** Stretches of the range without any result, in seconds: [from, until]. */
export function unseen(points, from, until) {
  const out = [];
  let end = from;
  // Less than half a point is only where the range was cut.
  const least = (points[0]?.span_s ?? 0) / 2 + 1;
  for (const point of points) {
    const at = Date.parse(point.at) / 1000;
    if (at > end + least) out.push([end, at]);
    end = Math.max(end, at + point.span_s);
  }
  if (until > end + least) out.push([end, until]);
  return out;
}

/** Stretches with time down or degraded; neighbours of a kind are one. */
export function notUp(points) {
  const out = [];
  for (const point of points) {
    if (!point.down_ms && !point.degraded_ms) continue;
    const from = Date.parse(point.at) / 1000;
    const down = point.down_ms > 0;
    const last = out.at(-1);
    if (last && last.down === down && from <= last.until + 1) last.until = from + point.span_s;
    else out.push({ from, until: from + point.span_s, down });
  }
  return out;
}

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function hatch(ctx, color) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const pen = tile.getContext("2d");
  pen.strokeStyle = color;
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(0, 8);
  pen.lineTo(8, 0);
  pen.stroke();
  return ctx.createPattern(tile, "repeat");
}

/** Shades what was not up, behind the lines. */
function shade(data) {
  return (u) => {
    const { ctx } = u;
    const { left, top, width, height } = u.bbox;
    const ratio = devicePixelRatio;
    const x = (seconds) => Math.max(left, Math.min(left + width, u.valToPos(seconds, "x", true)));
    const block = (from, until, fill, from_y, tall) => {
      const a = x(from);
      const b = Math.max(a + ratio, x(until));
      ctx.fillStyle = fill;
      ctx.fillRect(a, from_y, b - a, tall);
    };
    ctx.save();
    const lines = hatch(ctx, css("--line-strong"));
    for (const [from, until] of unseen(data.points, data.from, data.until)) block(from, until, lines, top, height);
    for (const { from, until, down } of notUp(data.points)) {
      const fill = css(down ? "--bad-fill" : "--warn-fill");
      const strip = (down ? STRIP : STRIP / 2) * ratio;
      ctx.globalAlpha = 0.16;
      block(from, until, fill, top, height);
      ctx.globalAlpha = 1;
      block(from, until, fill, top + height - strip, strip);
    }
    ctx.restore();
  };
}

const DAY_S = 86_400;
const hm = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const dm = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const my = new Intl.DateTimeFormat("en-GB", { month: "short", year: "numeric" });

/** Times below the chart: the day stands under the first time of it. */
function times(u, ticks, axis, space, step) {
  let day = "";
  return ticks.map((tick) => {
    const at = new Date(tick * 1000);
    if (step >= 28 * DAY_S) return my.format(at);
    if (step >= DAY_S) return dm.format(at);
    const today = dm.format(at);
    const text = today === day ? hm.format(at) : `${hm.format(at)}\n${today}`;
    day = today;
    return text;
  });
}

/** A dashed line and a number for each mark, oldest first; the numbers are told below the chart. */
function lines(data) {
  return (u) => {
    const { ctx } = u;
    const { left, top, width, height } = u.bbox;
    const ratio = devicePixelRatio;
    ctx.save();
    ctx.font = `600 ${11 * ratio}px ${css("--sans")}`;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    data.marks.forEach((mark, n) => {
      const x = u.valToPos(Date.parse(mark.at) / 1000, "x", true);
      if (x < left || x > left + width) return;
      ctx.strokeStyle = ctx.fillStyle = css("--dim");
      ctx.lineWidth = ratio;
      ctx.setLineDash([3 * ratio, 3 * ratio]);
      ctx.beginPath();
      ctx.moveTo(x, top + 8 * ratio);
      ctx.lineTo(x, top + height);
      ctx.stroke();
      ctx.setLineDash([]);
      ctx.beginPath();
      ctx.arc(x, top + 8 * ratio, 8 * ratio, 0, 7);
      ctx.fill();
      ctx.fillStyle = css("--panel");
      ctx.fillText(String(n + 1), x, top + 8.5 * ratio);
    });
    ctx.restore();
  };
}

function options(data, series, width) {
  const axis = { stroke: css("--dim"), grid: { stroke: css("--line"), width: 1 }, ticks: { show: false }, font: `12px ${css("--sans")}` };
  const any = data.points.some((point) => series.some((line) => typeof point[line.field] === "number"));
  const range = (u, low, high) => (high === null || high === undefined ? [0, 1] : [0, high * 1.08]);
  return {
    width,
    height: HEIGHT,
    ms: 1e-3,
    padding: [8, 8, 0, 0],
    cursor: { points: { size: 6 }, drag: { x: false, y: false } },
    legend: { live: true },
    scales: { x: { time: true, range: () => [data.from, data.until] }, y: { range } },
    axes: [{ ...axis, space: 70, size: 44, values: times }, { ...axis, size: 62, grid: { ...axis.grid, show: any }, values: (u, ticks) => (!any ? [] : ticks.map((tick) => (tick === 0 ? "0" : latency(tick)))) }],
    series: [
      { label: "Time", value: (u, at) => (at === null || at === undefined ? "–" : new Date(at * 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" })) },
      ...series.map((line) => ({
        label: line.label,
        stroke: css(line.color),
        width: line.width,
        dash: line.dash,
        spanGaps: false,
        points: { show: data.points.length < 40, size: 4, fill: css(line.color) },
        value: (u, value) => latency(value),
      })),
    ],
    hooks: { drawClear: [shade(data)], draw: [lines(data)] },
  };
}

/** @param {{ points: any[], marks: any[], from: number, until: number, label: string }} props from and until in seconds; label: the chart in a sentence */
export function LatencyChart({ points, marks, from, until, label }) {
  const host = useRef(null);
  const [failed, setFailed] = useState(false);
  const [ready, setReady] = useState(false);
  useEffect(() => {
    let chart = null;
    let over = false;
    let watch = null;
    const series = linesFor(points);
    const data = { points, marks, from, until };
    const draw = (Plot) => {
      chart?.destroy();
      chart = new Plot(options(data, series, host.current.clientWidth), columns(points, series), host.current);
    };
    uplot().then(
      (Plot) => {
        if (over) return;
        draw(Plot);
        setReady(true);
        watch = new ResizeObserver(() => {
          const width = host.current?.clientWidth;
          if (width && chart && Math.abs(width - chart.width) > 1) chart.setSize({ width, height: HEIGHT });
        });
        watch.observe(host.current);
      },
      () => over || setFailed(true),
    );
    const repaint = () => uplot().then((Plot) => over || draw(Plot));
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    addEventListener("skep:theme", repaint);
    scheme.addEventListener("change", repaint);
    return () => {
      over = true;
      removeEventListener("skep:theme", repaint);
      scheme.removeEventListener("change", repaint);
      watch?.disconnect();
      chart?.destroy();
    };
  }, [points, marks, from, until]);
  return html`<figure class="chart" role="group" aria-label=${label}><div ref=${host} class="chart-host"></div>
    ${!ready && !failed && html`<${Spinner} text="Drawing…" />`}
    ${failed && html`<p class="dim">The chart could not be loaded; the table below has the same figures.</p>`}</figure>`;
}
