//! Facts as people and programs read them: one JSON type a fact, used by the store, the API and the CLI alike.
//!
//! Must not decide anything and must not reach into a room: plain data only. Times are RFC 3339, durations are milliseconds
//! (`_ms`), sizes are bytes (`_bytes`), shares are 0..1.

mod history;
mod live;
mod watch;
mod work;

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::{
    history::{Change, CheckDetail, Failure, Forgets, HistoryPoint, LatencySummary, Mark, Range, Summary},
    live::{CutOffView, LiveCheck, LiveDelta, LiveGone, LiveHost, LiveSnapshot, LiveWorker},
    watch::{CutOff, MaintenanceView, Network},
    work::{BucketView, JobState, JobView, KvView, LimiterView, Payload, QueueView, Traffic},
};

/// A worker's name; `parent/item` where it comes from `each`.
pub type Name = Arc<str>;

/// A component's identity: `sha256:` and 64 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, example = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
pub struct Digest(pub Arc<str>);

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a worker stands. One table for API, CLI, metrics and page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WorkerState {
    /// Being built: compiled, or its first incarnation is in `init`.
    Starting,
    /// Ready for events.
    Running,
    /// Crashed too often; waits out a backoff before the next try.
    Quarantined,
    /// Finishes the event in flight and takes no more.
    Draining,
    /// `paused = true`: kept, but gets no ticks.
    Paused,
    /// Ended as planned (drained, or a transient or temporary worker that is done).
    Stopped,
    /// Can't run as declared (init returned an error, component doesn't load); a change is needed.
    Failed,
}

impl WorkerState {
    pub const ALL: [WorkerState; 7] =
        [Self::Starting, Self::Running, Self::Quarantined, Self::Draining, Self::Paused, Self::Stopped, Self::Failed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Quarantined => "quarantined",
            Self::Draining => "draining",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

/// What a check says of the thing it watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    Up,
    Degraded,
    Down,
    /// Not known: could not be tried, or silent for two intervals.
    Unknown,
    Maintenance,
    Paused,
}

impl CheckStatus {
    pub const ALL: [CheckStatus; 6] = [Self::Up, Self::Degraded, Self::Down, Self::Unknown, Self::Maintenance, Self::Paused];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Unknown => "unknown",
            Self::Maintenance => "maintenance",
            Self::Paused => "paused",
        }
    }
}

/// Desired and running replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplicaCount {
    pub desired: u32,
    pub running: u32,
}

/// One replica of a worker, as `GET /workers/{name}/replicas` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplicaView {
    /// From 1.
    pub replica: u32,
    pub state: WorkerState,
    /// An event is with it.
    pub busy: bool,
    /// Events that wait for it.
    pub waiting: u64,
    /// Grows over host restarts too.
    pub incarnation: u64,
    pub since: Timestamp,
}

/// A worker's schedule as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScheduleView {
    /// `30s`; null for cron.
    pub every: Option<String>,
    /// The cron expression with its time zone; null for an interval.
    pub cron: Option<String>,
    /// The next due tick; null while paused, stopped or failed.
    pub next: Option<Timestamp>,
    /// How late the last tick started, in milliseconds; null before the first.
    pub lateness_ms: Option<f64>,
    /// Ticks skipped because the one before still ran.
    pub missed: u64,
}

/// Counts of events since the host started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventCounts {
    /// Handled with an ok result.
    pub ok: u64,
    /// Answered `err`.
    pub failed: u64,
    /// Ended by a trap (timeouts and out-of-memory included).
    pub trapped: u64,
    /// Topic messages it could not take: it was down, or its mailbox full.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missed_messages: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// One worker, as `skep get workers -o json` and the API show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkerView {
    #[schema(value_type = String)]
    pub name: Name,
    pub title: Option<String>,
    pub group: Option<String>,
    pub notes: Option<String>,
    /// The component as the manifest names it.
    pub component: String,
    /// What runs; null when nothing could be loaded yet.
    pub digest: Option<Digest>,
    pub state: WorkerState,
    pub replicas: ReplicaCount,
    /// The newest incarnation over all replicas. Grows over host restarts too.
    pub incarnation: u64,
    /// Restarts after crashes since the host started.
    pub restarts: u64,
    /// The last thing that went wrong, in a sentence; null when nothing did.
    pub last_error: Option<String>,
    /// The manifest's config table.
    #[schema(value_type = Object)]
    pub config: Arc<serde_json::Value>,
    /// What makes the host call it, for people: `every 30s`, `queue work`, `http /metrics`, `topic orders.*`, `calls`, `service`.
    #[serde(default)]
    pub triggers: Vec<String>,
    pub schedule: Option<ScheduleView>,
    /// When it entered this state.
    pub since: Timestamp,
    pub instance: InstanceMode,
    pub events: EventCounts,
    /// The largest memory of any instance so far.
    pub memory_peak_bytes: u64,
    /// Where it is declared.
    pub file: String,
    pub line: u32,
    /// Set while the file on disk is broken or a new component was refused, and this is the last good version.
    pub held_back: Option<String>,
}

/// Whether instances live between events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceMode {
    Resident,
    PerEvent,
}

/// The phases of one HTTP request, as the host measured them; null where a phase did not happen (a pooled connection has no dns,
/// connect and tls).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Phases {
    pub dns_ms: Option<f64>,
    pub connect_ms: Option<f64>,
    pub tls_ms: Option<f64>,
    pub first_byte_ms: Option<f64>,
    pub total_ms: Option<f64>,
}

/// What the host saw of a request, attached to a check's result.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    pub phases: Phases,
    /// The address connected to, with port.
    pub address: Option<String>,
    /// HTTP status; null when no answer came.
    pub http_status: Option<u16>,
    /// When the peer's certificate ends.
    pub certificate_expires: Option<Timestamp>,
    /// The start of the answer's body, secrets masked; only for results that are not `up`.
    pub excerpt: Option<String>,
}

/// One check, as `skep checks -o json` and the API show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CheckView {
    #[schema(value_type = String)]
    pub worker: Name,
    pub subject: String,
    pub status: CheckStatus,
    /// Latency of the last result that had one.
    pub latency_ms: Option<f64>,
    /// When it entered this status.
    pub since: Timestamp,
    /// Time-weighted over 24 h, 0..1; null when nothing is known.
    pub uptime: Option<f64>,
    /// The share of those 24 h that was seen, 0..1.
    pub coverage: f64,
    /// When the last result came.
    pub last: Option<Timestamp>,
    pub detail: String,
    pub evidence: Option<Evidence>,
    /// Results against the shown status so far, while a flip is being confirmed.
    pub confirming: u32,
    /// The newest results, oldest first, at most 30.
    pub recent: Vec<Beat>,
}

/// One result in a check's recent history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Beat {
    pub at: Timestamp,
    pub status: CheckStatus,
    pub latency_ms: Option<f64>,
}

/// A line of a worker's log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    pub at: Timestamp,
    #[schema(value_type = String)]
    pub worker: Name,
    pub replica: u32,
    pub level: Level,
    /// `log`, `stdout`, `stderr` or `host`.
    pub source: String,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// Something that happened, as `skep events` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventRecord {
    /// Counts up within this host's data folder.
    pub id: u64,
    pub at: Timestamp,
    /// `worker.started`, `worker.trapped`, `worker.quarantined`, `check.changed`, `manifest.refused`, `fleet.applied`, …
    pub kind: String,
    pub level: Level,
    #[schema(value_type = Option<String>)]
    pub worker: Option<Name>,
    pub message: String,
}

/// Why an event ended in a trap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TrapCause {
    /// The guest panicked or executed `unreachable`.
    Trap,
    OutOfMemory,
    StackOverflow,
    /// The event's time was over (an endless loop, or a wait that never ended).
    Timeout,
    /// A bound of the host was passed (handles, bytes in one call).
    Limit,
    /// The host failed the call: not the guest's fault.
    Host,
}

impl TrapCause {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::OutOfMemory => "out-of-memory",
            Self::StackOverflow => "stack-overflow",
            Self::Timeout => "timeout",
            Self::Limit => "limit",
            Self::Host => "host",
        }
    }
}

/// What is kept of a crash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrapRecord {
    /// UUIDv7.
    pub id: String,
    pub at: Timestamp,
    #[schema(value_type = String)]
    pub worker: Name,
    pub replica: u32,
    pub incarnation: u64,
    pub cause: TrapCause,
    /// The engine's sentence, e.g. `wasm trap: wasm unreachable instruction executed`.
    pub message: String,
    /// The panic message the guest printed, when it printed one.
    pub panic: Option<String>,
    /// Function names, innermost first.
    pub backtrace: Vec<String>,
    /// `init`, `tick`, `call METHOD`, …
    pub event: String,
    /// The event's input as text (JSON where it is structured), at most 16 KiB; bytes that are not text as hex.
    pub input: String,
    /// The last log lines before the trap, oldest first, at most 20.
    pub log: Vec<LogLine>,
    pub component: String,
    pub digest: Digest,
    /// sha256 of the config, so that two traps can be compared.
    pub config_digest: Digest,
    pub memory_peak_bytes: u64,
    /// How long the event had run.
    pub ran_ms: f64,
}

/// `skep why NAME`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Why {
    #[schema(value_type = String)]
    pub worker: Name,
    pub state: WorkerState,
    pub since: Timestamp,
    /// What led to this state, in a sentence.
    pub cause: String,
    /// When it is tried again; null when nothing is planned.
    pub next_restart: Option<Timestamp>,
    /// What a person can do, in a sentence.
    pub remedy: String,
    /// The newest trap record, if any.
    pub trap: Option<String>,
}

/// One problem in a manifest, with the place and a way out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    pub file: String,
    /// From 1; 0 when the problem is the file itself.
    pub line: u32,
    /// From 1; 0 when unknown.
    pub column: u32,
    /// The worker (or limiter, queue) it stands in, when known.
    pub worker: Option<String>,
    /// Dotted path of the field, e.g. `schedule.every`.
    pub field: Option<String>,
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.line > 0 && self.column > 0 {
            write!(f, ":{}", self.column)?;
        }
        f.write_str(": ")?;
        if let Some(worker) = &self.worker {
            write!(f, "worker \"{worker}\": ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " (hint: {hint})")?;
        }
        Ok(())
    }
}

/// What a change does to one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    Create,
    /// New spec; the worker restarts after its event in flight.
    Update,
    /// Title, notes, group, payload, paused or checks: no restart.
    Amend,
    /// New component bytes.
    Roll,
    Remove,
}

/// One line of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    pub verb: Verb,
    #[schema(value_type = String)]
    pub worker: Name,
    /// The fields that differ, e.g. `schedule.every: 30s -> 10s`.
    pub changes: Vec<String>,
}

/// What an apply, diff, delete or undo does or did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// The generation it led to; the current one for a dry run.
    pub generation: u64,
    /// False for a dry run or when nothing changed.
    pub applied: bool,
    pub steps: Vec<Step>,
    /// Workers that stay as they are.
    pub unchanged: usize,
    /// Files in the manifests folder that were written or removed.
    pub files: Vec<String>,
    /// Removed workers whose checks and history go, too.
    #[serde(default)]
    pub forgets: Vec<Forgets>,
}
