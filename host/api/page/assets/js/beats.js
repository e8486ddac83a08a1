// The wire's beats ("u3k.m6xq1z2c,d.7ps": letter, latency in µs, gap in ms, both in base 36), decoded for what is on screen only.
// Pure. Must not keep what it decoded: ten thousand rows of objects would cost more than the page may use.

/** @typedef {{ at: number, status: string, latency: ?number }} Beat latency in ms */

const WORDS = { u: "up", g: "degraded", d: "down", n: "unknown", m: "maintenance", p: "paused" };

/** @returns {Beat[]} oldest first */
export function decodeBeats(text) {
  if (!text) return [];
  const beats = [];
  let at = 0;
  for (const part of text.split(",")) {
    const dot = part.indexOf(".");
    at += parseInt(part.slice(dot + 1), 36);
    beats.push({ at, status: WORDS[part[0]] ?? "unknown", latency: dot > 1 ? parseInt(part.slice(1, dot), 36) / 1000 : null });
  }
  return beats;
}

/** At most this many empty places for one silence. */
const SILENCE_SHOWN = 3;

/**
 * The places of a bar, oldest first, newest right: a beat, or null where nothing is known: before the first one, and where
 * results failed to come (the host was off). @returns {(Beat|null)[]}
 */
export function places(beats, size) {
  const gaps = beats.slice(1).map((beat, n) => beat.at - beats[n].at);
  const usual = [...gaps].sort((a, b) => a - b)[gaps.length >> 1] ?? 0;
  const out = [];
  beats.forEach((beat, n) => {
    const silent = n && usual ? Math.min(SILENCE_SHOWN, Math.round(gaps[n - 1] / usual) - 1) : 0;
    // A late result or two is no silence.
    if (silent >= SILENCE_SHOWN) for (let k = 0; k < silent; k++) out.push(null);
    out.push(beat);
  });
  const shown = out.slice(-size);
  return [...Array(size - shown.length).fill(null), ...shown];
}
