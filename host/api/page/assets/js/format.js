// Numbers and times as people read them. Pure, but for the host's clock where no time is given.
import { hostNow } from "./store.js";

const S = 1000;
const MIN = 60 * S;
const HOUR = 60 * MIN;
const DAY = 24 * HOUR;

const number = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const timeOfDay = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dayAndTime = new Intl.DateTimeFormat("en-GB", { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dayOnly = new Intl.DateTimeFormat("en-GB", { year: "numeric", month: "short", day: "numeric" });

/** RFC 3339 (or a number, or null) to milliseconds. */
export function millis(time) {
  if (time === null || time === undefined) return null;
  if (typeof time === "number") return time;
  const ms = Date.parse(time);
  return Number.isNaN(ms) ? null : ms;
}

/** "5 s", "3 min", "2 h 5 min", "4 d 2 h". */
export function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  const abs = Math.abs(ms);
  if (abs < S) return `${Math.round(abs)} ms`;
  if (abs < MIN) return `${Math.floor(abs / S)} s`;
  if (abs < HOUR) return `${Math.floor(abs / MIN)} min`;
  if (abs < DAY) return two(Math.floor(abs / HOUR), "h", Math.floor((abs % HOUR) / MIN), "min");
  if (abs < 60 * DAY) return two(Math.floor(abs / DAY), "d", Math.floor((abs % DAY) / HOUR), "h");
  return `${Math.floor(abs / DAY)} d`;
}

const two = (a, unitA, b, unitB) => (b ? `${a} ${unitA} ${b} ${unitB}` : `${a} ${unitA}`);

/** "just now", "5 s ago". */
export function ago(at, now = hostNow()) {
  const ms = millis(at);
  if (ms === null) return "never";
  const past = now - ms;
  return past < S ? "just now" : `${duration(past)} ago`;
}

/** "for 5 min": how long something is so. */
export function since(at, now = hostNow()) {
  const ms = millis(at);
  if (ms === null) return "";
  return now - ms < S ? "just now" : `for ${duration(now - ms)}`;
}

/** "in 5 s", or "due". */
export function until(at, now = hostNow()) {
  const ms = millis(at);
  if (ms === null) return "–";
  return ms - now < S ? "due" : `in ${duration(ms - now)}`;
}

/** "12:03:11", with the day when it isn't today. */
export function clock(at) {
  const ms = millis(at);
  if (ms === null) return "–";
  const date = new Date(ms);
  return date.toDateString() === new Date().toDateString() ? timeOfDay.format(date) : dayAndTime.format(date);
}

export function dateTime(at) {
  const ms = millis(at);
  return ms === null ? "–" : dayAndTime.format(new Date(ms));
}

export function date(at) {
  const ms = millis(at);
  return ms === null ? "–" : dayOnly.format(new Date(ms));
}

/** "0.42 ms", "12 ms", "1.3 s". */
export function latency(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${(ms / 1000).toFixed(2)} s`;
  return `${(ms / 1000).toFixed(1)} s`;
}

/** "100 %", "99.95 %"; never rounds up to 100 what is less. */
export function percent(share) {
  if (share === null || share === undefined) return "–";
  const hundred = share * 100;
  if (hundred >= 100) return "100 %";
  if (hundred > 0 && hundred < 0.01) return "< 0.01 %";
  const digits = hundred >= 99 ? 2 : hundred >= 10 ? 1 : 2;
  const factor = 10 ** digits;
  const cut = Math.floor(hundred * factor) / factor;
  return `${Number.isInteger(cut) && cut < 99 ? cut : cut.toFixed(digits)} %`;
}

export const count = (n) => (n === null || n === undefined ? "–" : number.format(n));

/** "1 job", "3 jobs", "2 checks". */
export function plural(n, one, many = one + "s") {
  return `${count(n)} ${n === 1 ? one : many}`;
}

export function bytes(n) {
  if (n === null || n === undefined) return "–";
  if (n < 1024) return `${n} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = n;
  let unit = -1;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** Events a second. */
export function rate(perSecond) {
  if (perSecond === null || perSecond === undefined) return "–";
  if (perSecond === 0) return "0/s";
  if (perSecond < 0.95) return `${(perSecond * 60).toFixed(perSecond < 0.1 ? 1 : 0)}/min`;
  return `${perSecond < 10 ? perSecond.toFixed(1) : number.format(perSecond)}/s`;
}
