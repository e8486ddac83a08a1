//! Facts as the live stream carries them: rows that are small, whole and cheap to compare. Times are milliseconds since 1970.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CheckStatus, CutOff, EventRecord, InstanceMode, LimiterView, Name, Problem, QueueView, WorkerState};

/// What the host itself has to say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LiveHost {
    pub version: String,
    /// Of desired state.
    pub generation: u64,
    pub ready: bool,
    pub started: i64,
    /// Where workers' routes answer.
    pub listen: String,
    /// Problems in the manifests folder.
    pub problems: Vec<Problem>,
    /// Records the store had to drop.
    pub store_dropped: u64,
    /// Crashes since midnight, by the host's time zone.
    pub traps_today: u64,
    /// A worker takes the queue `alerts`, or it is declared.
    pub alerts: bool,
    /// Maintenance windows that are open.
    pub maintenance: Vec<String>,
    /// Set while everything is down at once, which says more about this host's network than about what it watches.
    pub cut_off: Option<CutOffView>,
}

/// Since when this host reaches nothing any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CutOffView {
    pub since: i64,
    /// In a sentence.
    pub reason: String,
}

impl From<CutOff> for CutOffView {
    fn from(cut: CutOff) -> Self {
        Self { since: cut.since.as_millisecond(), reason: cut.reason }
    }
}

/// One worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LiveWorker {
    #[schema(value_type = String)]
    pub name: Name,
    pub title: Option<String>,
    pub group: Option<String>,
    pub notes: Option<String>,
    pub component: String,
    pub state: WorkerState,
    /// Replicas wanted, and those that run.
    pub desired: u32,
    pub running: u32,
    pub incarnation: u64,
    pub restarts: u64,
    pub last_error: Option<String>,
    pub triggers: Vec<String>,
    /// The next due tick.
    pub next: Option<i64>,
    pub lateness_ms: Option<f64>,
    pub missed: u64,
    pub since: i64,
    pub instance: InstanceMode,
    /// Events since the host started, by how they ended.
    pub ok: u64,
    pub failed: u64,
    pub trapped: u64,
    /// Events a second, over the last few.
    pub rate: f64,
    pub memory_peak_bytes: u64,
    pub file: String,
    pub line: u32,
    pub held_back: Option<String>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LiveCheck {
    #[schema(value_type = String)]
    pub worker: Name,
    pub subject: String,
    /// The worker's.
    pub title: Option<String>,
    pub group: Option<String>,
    pub status: CheckStatus,
    pub since: i64,
    pub latency_ms: Option<f64>,
    /// Time-weighted over 24 h, 0..1; null when nothing is known.
    pub uptime: Option<f64>,
    pub coverage: f64,
    pub last: Option<i64>,
    /// The first line, at most 200 bytes.
    pub detail: String,
    /// Results against the shown status so far, while a flip is being confirmed.
    pub confirming: u32,
    /// When the peer's certificate ends.
    pub certificate: Option<i64>,
    /// The newest results, oldest first, at most 30, separated by commas. Each is a letter (`u`p, de`g`raded, `d`own, u`n`known,
    /// `m`aintenance, `p`aused), the latency in microseconds in base 36 (nothing: none), a dot, and the milliseconds since the result
    /// before in base 36 (of the first: since 1970).
    pub beats: String,
}

/// What a follower starts from: everything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LiveSnapshot {
    pub version: u64,
    pub at: i64,
    pub host: LiveHost,
    pub workers: Vec<LiveWorker>,
    pub checks: Vec<LiveCheck>,
    pub queues: Vec<QueueView>,
    pub limiters: Vec<LimiterView>,
    /// The newest 100, oldest first.
    pub events: Vec<EventRecord>,
}

/// What changed since the frame before; rows are whole, and what is not named stayed as it was.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct LiveDelta {
    pub version: u64,
    pub at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<LiveHost>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<LiveWorker>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<LiveCheck>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub queues: Vec<QueueView>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limiters: Vec<LimiterView>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gone: Option<LiveGone>,
}

/// Rows that are no more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct LiveGone {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<String>,
    /// Worker and subject.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<(String, String)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub queues: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limiters: Vec<String>,
}
