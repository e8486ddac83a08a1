//! A batch of results by check, its seen time spread over minutes, hours and days: pure arithmetic.
//!
//! Must not touch a file. Spans are UTC and named by their start in milliseconds since 1970.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::super::{
    ResultRow,
    rows::{micros, millis, signed},
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
#[derive(Debug, Clone, Copy, Default, PartialEq)]
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
    pub minutes: Spans,
    pub hours: Spans,
    pub days: Spans,
}

pub(super) type Check = (Name, Arc<str>);

/// Results of a batch by check.
#[derive(Debug, Default)]
pub(super) struct Bundle<'a> {
    pub checks: HashMap<Check, Gathered<'a>>,
}

impl<'a> Bundle<'a> {
    pub fn add(&mut self, check: Check, row: &'a ResultRow) {
        let gathered = self.checks.entry(check).or_default();
        gathered.results.push(row);
        let at = millis(row.at);
        spread(&mut gathered.minutes, row, at, MINUTE_MS, MINUTES_SPREAD_MS);
        spread(&mut gathered.hours, row, at, HOUR_MS, SPREAD_MS);
        spread(&mut gathered.days, row, at, DAY_MS, SPREAD_MS);
    }

    /// The days (their starts) that results of this batch belong to.
    pub fn days(&self) -> BTreeSet<i64> {
        self.checks.values().flat_map(|gathered| &gathered.results).map(|row| floor(millis(row.at), DAY_MS)).collect()
    }
}

pub(super) fn floor(at: i64, span: i64) -> i64 {
    at - at.rem_euclid(span)
}

/// Counts a result in its own span and its seen time in the spans right before it, as down, degraded and up going back.
fn spread(spans: &mut Spans, row: &ResultRow, at: i64, span: i64, furthest: i64) {
    let latency = micros(row.latency_ms);
    spans.entry(floor(at, span)).or_default().add(&Sums {
        results: 1,
        latencies: i64::from(latency.is_some()),
        latency_sum: latency.unwrap_or_default(),
        latency_min: latency,
        latency_max: latency,
        ..Sums::default()
    });
    let stop = at - furthest;
    let mut end = at;
    let kinds: [(u64, Field); 3] =
        [(row.down_ms, |sums| &mut sums.down_ms), (row.degraded_ms, |sums| &mut sums.degraded_ms), (row.up_ms, |sums| &mut sums.up_ms)];
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
