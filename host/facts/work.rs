//! Facts about work that waits: jobs, queues, key-value entries, limiters.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Name;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Not due yet: pushed with a delay, or waiting out a backoff.
    Delayed,
    /// Due, not started.
    Waiting,
    /// Leased.
    Running,
    /// Finished with success; kept for its result's time to live.
    Done,
    /// Given up; kept until somebody retries or purges it.
    Dead,
    /// Taken back; kept as a done one is.
    Cancelled,
}

impl JobState {
    pub const ALL: [JobState; 6] = [Self::Delayed, Self::Waiting, Self::Running, Self::Done, Self::Dead, Self::Cancelled];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delayed => "delayed",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    /// Nothing more will happen to it by itself.
    pub fn over(self) -> bool {
        matches!(self, Self::Done | Self::Dead | Self::Cancelled)
    }
}

/// Bytes as JSON shows them: as text where they are UTF-8 without control characters other than tab and line ends, else in base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Payload {
    Text(String),
    Base64(String),
}

impl Payload {
    pub fn of(bytes: &[u8]) -> Self {
        let plain = |char: char| !char.is_control() || matches!(char, '\t' | '\n' | '\r');
        match std::str::from_utf8(bytes) {
            Ok(text) if text.chars().all(plain) => Self::Text(text.to_owned()),
            _ => Self::Base64(STANDARD.encode(bytes)),
        }
    }

    /// The bytes it stands for. Err: it isn't base64, in a sentence.
    pub fn into_bytes(self) -> Result<Vec<u8>, String> {
        match self {
            Self::Text(text) => Ok(text.into_bytes()),
            Self::Base64(text) => STANDARD.decode(text).map_err(|error| format!("is not base64: {error}")),
        }
    }
}

/// One job, as `skep queue status -o json` and the API show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobView {
    /// A UUID (version 7).
    pub id: String,
    pub queue: String,
    pub state: JobState,
    /// Higher runs first.
    pub priority: i32,
    /// Attempts begun so far.
    pub attempts: u32,
    pub max_attempts: u32,
    pub unique_key: Option<String>,
    /// Who pushed it: a worker's name, or `@api`, which is no name of a worker.
    pub pushed_by: String,
    pub pushed_at: Timestamp,
    /// When it is due, or was.
    pub due_at: Timestamp,
    /// When it was over.
    pub finished_at: Option<Timestamp>,
    /// When the queue forgets it; null while it isn't over, and for dead ones.
    pub expires_at: Option<Timestamp>,
    /// Who has it leased: `worker/n`, or the name an outside worker gave.
    pub leased_by: Option<String>,
    /// What the running attempt said last.
    pub progress: Option<String>,
    /// Why the last attempt failed, when it did.
    pub last_error: Option<String>,
    pub payload_bytes: u64,
    /// Only where one job is asked for, or a peek.
    pub payload: Option<Payload>,
    /// What the worker answered; only where one job is asked for.
    pub result: Option<Payload>,
}

/// One queue, as `skep queue ls -o json` and the API show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueueView {
    pub name: String,
    pub delayed: u64,
    pub waiting: u64,
    pub running: u64,
    pub done: u64,
    pub dead: u64,
    pub cancelled: u64,
    /// When the oldest waiting job was pushed.
    pub oldest_waiting_at: Option<Timestamp>,
    /// Jobs pushed and jobs finished (done or dead) since the host started.
    pub pushed: u64,
    pub finished: u64,
    /// Settings in force.
    pub max_attempts: u32,
    pub backoff_ms: u64,
    pub result_ttl_ms: u64,
    /// The limiter its jobs wait for.
    pub limiter: Option<String>,
    /// Workers of this host that take its jobs.
    pub workers: Vec<String>,
    /// Where it is declared; null for a queue that lives by the defaults.
    pub file: Option<String>,
    pub line: Option<u32>,
}

/// One key-value entry, as `skep kv get -o json` and the API show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KvView {
    pub bucket: String,
    pub key: String,
    pub value: Payload,
    pub revision: u64,
    pub expires_at: Option<Timestamp>,
}

/// One bucket of key-value entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BucketView {
    pub name: String,
    pub keys: u64,
    pub bytes: u64,
}

/// One named limiter, as `skep limiter ls -o json` and the API show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LimiterView {
    pub name: String,
    /// As its manifest says, such as `6/s`.
    pub rate: String,
    /// What is in force now, in permits a second: lower than the rate while it recovers from a 429, 0 while it is paused.
    pub effective_per_second: f64,
    pub burst: u32,
    /// Who waits for a permit.
    pub waiting: u64,
    /// Permits given since the host started.
    pub permits: u64,
    /// Until when a peer asked for silence (429, Retry-After).
    pub paused_until: Option<Timestamp>,
    /// Where it is declared.
    pub file: String,
    pub line: u32,
}

/// What HTTP requests on the workers' routes came to, since the host started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traffic {
    /// None: requests that no worker has a route for.
    pub worker: Option<Name>,
    /// Requests with the worker now, waiting or running.
    pub in_flight: u32,
    /// Answers by the status's first digit: `answers[1]` are the 2xx.
    pub answers: [u64; 5],
    /// Answers that broke off after their head was sent; among `answers`, too.
    pub cut: u64,
    /// Clients that left before there was an answer.
    pub left: u64,
    /// Bytes of bodies sent.
    pub bytes: u64,
}
