//! A batch of results by check, its seen time spread over minutes, hours and days: pure arithmetic.
//!
//! Must not touch a file. Spans are UTC and named by their start in milliseconds since 1970.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    super::{
        ResultRow, SeenRow,
        rows::{micros, millis, signed, unsigned},
    },
    sketch::Sketch,
};
use crate::facts::Name;

pub(super) const MINUTE_MS: i64 = 60_000;
pub(super) const HOUR_MS: i64 = 60 * MINUTE_MS;
pub(super) const DAY_MS: i64 = 24 * HOUR_MS;

/// How far back the seen time of one result is spread; a check that reports once a month still fills its days.
const SPREAD_MS: i64 = 40 * DAY_MS;
/// The same for minutes: further back there is nothing to see at that resolution.
const MINUTES_SPREAD_MS: i64 = DAY_MS;

/// What a span adds up to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sums {
    pub results: i64,
    pub up_ms: i64,
    pub degraded_ms: i64,
    pub down_ms: i64,
    /// Results that had a latency; the sum, least and greatest of those, in microseconds.
    pub latencies: i64,
    pub latency_sum: i64,
    pub latency_min: Option<i64>,
    pub latency_max: Option<i64>,
    /// All of them by size; of rows that were written before there were sketches, none.
    pub sketch: Sketch,
}

impl Sums {
    pub fn add(&mut self, other: &Sums) {
        self.results += other.results;
        self.up_ms += other.up_ms;
        self.degraded_ms += other.degraded_ms;
        self.down_ms += other.down_ms;
        self.latencies += other.latencies;
        self.latency_sum = self.latency_sum.saturating_add(other.latency_sum);
        self.latency_min = [self.latency_min, other.latency_min].into_iter().flatten().min();
        self.latency_max = self.latency_max.max(other.latency_max);
        self.sketch.merge(&other.sketch);
    }

    fn count(&mut self, latency: Option<i64>) {
        self.results += 1;
        if let Some(micros) = latency {
            self.latencies += 1;
            self.latency_sum = self.latency_sum.saturating_add(micros);
            self.latency_min = Some(self.latency_min.map_or(micros, |least| least.min(micros)));
            self.latency_max = self.latency_max.max(latency);
            self.sketch.add(unsigned(micros));
        }
    }
}

/// Where a kind of seen time is summed.
type Field = fn(&mut Sums) -> &mut i64;

/// Sums by the start of their span.
pub(super) type Spans = BTreeMap<i64, Sums>;

/// What one batch brings for one check.
#[derive(Debug, Default)]
pub(super) struct Gathered<'a> {
    pub results: Vec<&'a ResultRow>,
    /// Days of seen time that came without a result.
    seen: BTreeSet<i64>,
    pub minutes: Spans,
    pub hours: Spans,
    pub days: Spans,
}

impl Gathered<'_> {
    /// Counts a result in its own spans.
    fn count(&mut self, at: i64, latency: Option<i64>) {
        self.minutes.entry(floor(at, MINUTE_MS)).or_default().count(latency);
        self.hours.entry(floor(at, HOUR_MS)).or_default().count(latency);
        self.days.entry(floor(at, DAY_MS)).or_default().count(latency);
    }

    fn spread(&mut self, at: i64, seen: Seen) {
        spread(&mut self.minutes, at, seen, MINUTE_MS, MINUTES_SPREAD_MS);
        spread(&mut self.hours, at, seen, HOUR_MS, SPREAD_MS);
        spread(&mut self.days, at, seen, DAY_MS, SPREAD_MS);
    }
}

pub(super) type Check = (Name, Arc<str>);

/// Up, degraded and down, in milliseconds.
type Seen = [u64; 3];

/// A batch by check.
#[derive(Debug, Default)]
pub(super) struct Bundle<'a> {
    pub checks: HashMap<Check, Gathered<'a>>,
}

impl<'a> Bundle<'a> {
    pub fn add(&mut self, check: Check, row: &'a ResultRow) {
        let at = millis(row.at);
        let gathered = self.checks.entry(check).or_default();
        gathered.results.push(row);
        gathered.count(at, micros(row.latency_ms));
        gathered.spread(at, [row.up_ms, row.degraded_ms, row.down_ms]);
    }

    /// Time that no result tells.
    pub fn add_seen(&mut self, check: Check, row: &SeenRow) {
        let at = millis(row.at);
        let gathered = self.checks.entry(check).or_default();
        gathered.seen.insert(floor(at - 1, DAY_MS));
        gathered.spread(at, [row.up_ms, row.degraded_ms, row.down_ms]);
    }

    /// The days (their starts) that rows of this batch belong to.
    pub fn days(&self) -> BTreeSet<i64> {
        let results = self.checks.values().flat_map(|gathered| &gathered.results).map(|row| floor(millis(row.at), DAY_MS));
        results.chain(self.checks.values().flat_map(|gathered| &gathered.seen).copied()).collect()
    }
}

pub(super) fn floor(at: i64, span: i64) -> i64 {
    at - at.rem_euclid(span)
}

/// Spreads seen time over the spans right before `at`, as down, degraded and up going back.
fn spread(spans: &mut Spans, at: i64, seen: Seen, span: i64, furthest: i64) {
    let stop = at - furthest;
    let mut end = at;
    let [up, degraded, down] = seen;
    let kinds: [(u64, Field); 3] =
        [(down, |sums| &mut sums.down_ms), (degraded, |sums| &mut sums.degraded_ms), (up, |sums| &mut sums.up_ms)];
    for (length, field) in kinds {
        let start = end.saturating_sub(signed(length)).max(stop);
        while end > start {
            let begins = floor(end - 1, span);
            let from = begins.max(start);
            *field(spans.entry(begins).or_default()) += end - from;
            end = from;
        }
    }
}
