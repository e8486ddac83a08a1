//! A check's past as API, page and CLI show it: points, a summary over a range, changes, marks and the last failure.
//!
//! Must not compute: plain data only.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CheckStatus, CheckView, Evidence, Name};

/// One point of a check's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HistoryPoint {
    /// Start of the span.
    pub at: Timestamp,
    pub span_s: u64,
    pub results: u64,
    pub up_ms: u64,
    pub degraded_ms: u64,
    pub down_ms: u64,
    pub latency_min_ms: Option<f64>,
    pub latency_avg_ms: Option<f64>,
    pub latency_max_ms: Option<f64>,
    /// Percentiles are within 3.2 %; null where most results are of before this host kept them.
    #[serde(default)]
    pub latency_p50_ms: Option<f64>,
    #[serde(default)]
    pub latency_p95_ms: Option<f64>,
    #[serde(default)]
    pub latency_p99_ms: Option<f64>,
}

/// How far back to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Range {
    /// In points of a minute.
    #[serde(rename = "1h")]
    Hour,
    /// In points of five minutes.
    #[serde(rename = "24h")]
    Day,
    /// In points of three hours.
    #[serde(rename = "30d")]
    Month,
    /// In points of a day.
    #[serde(rename = "1y")]
    Year,
}

/// A check over a range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CheckDetail {
    /// As it stands now; its own `uptime` and `coverage` are of the last 24 h to the millisecond.
    pub check: CheckView,
    pub range: Range,
    /// Where the first point may begin.
    pub from: Timestamp,
    pub until: Timestamp,
    /// The width of a point: `1m`, `5m`, `3h` or `1d`.
    pub resolution: String,
    pub summary: Summary,
    /// Oldest first; spans in which nothing was seen are left out.
    pub points: Vec<HistoryPoint>,
    /// The newest changes of state, newest first, at most 200; those of before the range, too.
    pub changes: Vec<Change>,
    /// What was changed about the worker within the range, newest first.
    pub marks: Vec<Mark>,
    /// The last kept result that was not up, whatever came after it; null when there is none.
    pub failure: Option<Failure>,
}

/// A whole range in one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Summary {
    /// Of the time that was seen, the share that was up or degraded, 0..1; null when nothing was seen.
    pub uptime: Option<f64>,
    /// The share of the whole range that was seen, 0..1.
    pub coverage: f64,
    pub results: u64,
    /// Null when no result had a latency.
    pub latency: Option<LatencySummary>,
}

/// Latencies of a range. Percentiles are within 3.2 %, the others exact.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LatencySummary {
    /// Percentiles are null where most results are of before this host kept them.
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub min_ms: f64,
    pub avg_ms: f64,
    pub max_ms: f64,
}

/// A check's change of state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    pub at: Timestamp,
    pub from: CheckStatus,
    pub to: CheckStatus,
    /// Why, in a line; empty when there was nothing to say.
    pub detail: String,
}

/// Something that was done to a worker: charts show it, because what follows may be due to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mark {
    pub at: Timestamp,
    /// `created`, `config changed`, `component sha256:… → sha256:…`, `component back to sha256:…`.
    pub text: String,
}

/// A result that was not up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    pub at: Timestamp,
    pub status: CheckStatus,
    /// At most 512 bytes; empty for results of before this host kept it.
    pub detail: String,
    pub evidence: Option<Evidence>,
}

/// What goes with a worker that a plan removes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Forgets {
    #[schema(value_type = String)]
    pub worker: Name,
    /// Its checks, whose history goes with them.
    pub checks: usize,
    /// When the oldest of them began.
    pub since: Timestamp,
}
