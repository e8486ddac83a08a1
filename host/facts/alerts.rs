//! Facts about alerts: what a flip tells people, as the queue `alerts` carries it and the API lists it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Evidence, JobState, Name, QueueView};

/// What flipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlertKind {
    Check,
    /// A worker was quarantined, failed to start, or runs again after that.
    Worker,
    /// A job of another queue is dead.
    Job,
    /// A certificate nears its end, or was renewed after that was said.
    Certificate,
    Host,
    /// Somebody asked for it, to see it arrive.
    Test,
    /// Several in one message; made by the worker that takes alerts, never by the host.
    Batch,
}

/// One alert: the payload of a job in the queue `alerts`, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Alert {
    /// The flip's id, a UUID (version 7): the job's id and its unique key as well.
    pub id: String,
    pub kind: AlertKind,
    pub at: Timestamp,
    /// The host it comes from.
    pub host: String,
    /// One sentence, for a phone: `down: https://example.com/ (Front door): connection refused, 3 tries`.
    pub summary: String,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub worker: Option<Name>,
    #[serde(default)]
    pub title: Option<String>,
    #[serde(default)]
    pub group: Option<String>,
    #[serde(default)]
    pub notes: Option<String>,
    /// What is watched; of a job, its queue.
    #[serde(default)]
    pub subject: Option<String>,
    /// A state of that kind: `up`, `running`, …
    #[serde(default)]
    pub from: Option<String>,
    #[serde(default)]
    pub to: String,
    /// What is known of the reason, at most 2 KiB.
    #[serde(default)]
    pub detail: Option<String>,
    /// When the state began; of a certificate, when it ends.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// How long the state before lasted; of a recovery, how long the trouble did.
    #[serde(default)]
    pub before_ms: Option<u64>,
    /// What the host saw of the last request, secrets masked.
    #[serde(default)]
    pub evidence: Option<Evidence>,
}

impl Alert {
    /// Id and host are put in where it is stored.
    pub fn new(kind: AlertKind, at: Timestamp, to: &str, summary: String) -> Self {
        Self {
            id: String::new(),
            kind,
            at,
            host: String::new(),
            summary,
            worker: None,
            title: None,
            group: None,
            notes: None,
            subject: None,
            from: None,
            to: to.to_owned(),
            detail: None,
            since: None,
            before_ms: None,
            evidence: None,
        }
    }
}

/// One alert and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertView {
    pub id: String,
    pub at: Timestamp,
    pub kind: AlertKind,
    #[schema(value_type = Option<String>)]
    pub worker: Option<Name>,
    pub subject: Option<String>,
    pub from: Option<String>,
    pub to: String,
    pub summary: String,
    /// Of its job: `done` once the worker that takes alerts has delivered it, or put it into a batch.
    pub state: JobState,
    pub attempts: u32,
    pub last_error: Option<String>,
}

/// `GET /api/v1/alerts`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertsView {
    /// Somebody takes the queue `alerts`: a worker that isn't paused, or whoever declared it. Only then is anything put into it.
    pub on: bool,
    /// Workers that take it.
    pub workers: Vec<String>,
    pub queue: Option<QueueView>,
    /// Left out since the host started, because nobody took those that wait.
    pub left_out: u64,
    /// Of the last day and those not delivered, newest first, at most 100.
    pub recent: Vec<AlertView>,
}
