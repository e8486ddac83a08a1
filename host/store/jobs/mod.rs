//! The durable queue's public face: what callers hand over and get back.
//!
//! Must not know workers or wasm. At least once: a job is its holder's until it is finished, given back, or its lease ran out; every
//! lease is a new attempt, and whoever finishes with an older attempt's number is refused.

//!
//! | file | what it does |
//! |---|---|
//! | `handle` | the calls: checks what is handed over, takes leases, asks the writer |
//! | `alerts` | alerts of flips and of jobs given up |
//! | `core`, `memory` | what is shared: windows, leases, counts, who waits |
//! | `window`, `policy`, `timeline` | pure: which jobs are in memory, what becomes of one, what time it is |
//! | `op`, `writer`, `sweep`, `undo` | a batch's work: hot path; slices and the rest; a failed commit |
//! | `rows`, `views` | the tables, as statements; as a person sees them |
//! | `timer` | the one timer |

mod alerts;
mod core;
mod handle;
mod memory;
mod op;
pub mod policy;
mod rows;
mod sweep;
pub mod timeline;
mod timer;
mod undo;
mod views;
pub mod window;
mod writer;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::watch;
use uuid::Uuid;

pub use self::writer::MAX_OPEN_JOBS;
pub(super) use self::{
    core::Core,
    op::{Op, Told},
    rows::STEP,
    writer::Writer,
};

use super::StoreError;
use crate::facts::{JobState, JobView, QueueView};

/// The largest payload, and the largest result, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 1 << 20;
/// Jobs of one push, and their payloads together.
pub const MAX_PUSH_JOBS: usize = 1_000;
pub const MAX_PUSH_BYTES: usize = 16 << 20;
/// The longest unique key, in bytes.
pub const MAX_UNIQUE_KEY_BYTES: usize = 255;
/// The longest progress note, in bytes; the longest reason kept of a failed attempt.
pub const MAX_NOTE_BYTES: usize = 1 << 10;
/// The longest delay, backoff or time to live.
pub const MAX_SPAN: Duration = Duration::from_secs(366 * 86_400);

/// A job to be.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// [`Uuid::now_v7`].
    pub id: Uuid,
    pub queue: Arc<str>,
    pub payload: Bytes,
    pub delay: Duration,
    pub priority: i32,
    pub unique_key: Option<Box<str>>,
    /// None: as the queue's settings say when it matters.
    pub max_attempts: Option<u32>,
    pub backoff: Option<Duration>,
    pub result_ttl: Option<Duration>,
    /// A worker's name, or `@api`.
    pub pushed_by: Arc<str>,
}

impl NewJob {
    pub fn new(queue: Arc<str>, payload: Bytes, pushed_by: Arc<str>) -> Self {
        let (delay, priority) = (Duration::ZERO, 0);
        Self {
            id: Uuid::now_v7(),
            queue,
            payload,
            delay,
            priority,
            unique_key: None,
            max_attempts: None,
            backoff: None,
            result_ttl: None,
            pushed_by,
        }
    }
}

/// What became of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pushed {
    pub id: Uuid,
    /// False: a job with the same unique key was there, and this is its id.
    pub fresh: bool,
}

/// A job in somebody's hands.
#[derive(Debug, Clone, PartialEq)]
pub struct LeasedJob {
    pub id: Uuid,
    pub queue: Arc<str>,
    pub payload: Bytes,
    /// From 1. The fence: what finishes with another number is refused.
    pub attempt: u32,
    pub max_attempts: u32,
    pub priority: i32,
    pub unique_key: Option<Box<str>>,
    pub pushed_at: Timestamp,
}

/// How long a lease holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// As long as this host lives: for workers of its own, whose end it sees. After a restart of the host the job waits again.
    Host,
    /// Until this much time has passed without `extend`; survives a restart of the host. For outside workers.
    For(Duration),
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Done(Option<Vec<u8>>),
    /// Again after a backoff (or `after`), unless this was the last attempt: then it is dead.
    Retry {
        reason: String,
        after: Option<Duration>,
    },
    Dead(String),
    /// Never begun: back to its place at once, and the attempt doesn't count.
    Released,
}

/// What came of finishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// The outcome and all its pushes are durable.
    Recorded(JobState),
    /// The attempt was over before: lease lost, cancelled, or finished already. Nothing was written, nothing pushed.
    Stale,
}

/// What a queue does where a push says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSettings {
    pub max_attempts: u32,
    /// Before the second attempt; doubled for each one after, with jitter, at most an hour.
    pub backoff: Duration,
    pub result_ttl: Duration,
}

/// Which jobs of a queue.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    pub queue: Option<String>,
    pub state: Option<JobState>,
    /// Only those after this one, in the order of the listing.
    pub after: Option<Uuid>,
    pub limit: usize,
}

/// The durable queue.
///
/// A call does its work whether or not its future is polled to the end; the future only tells what came of it.
pub trait Jobs: Send + Sync + 'static {
    /// All or none; answers once they are durable.
    fn push(&self, jobs: Vec<NewJob>) -> BoxFuture<'static, Result<Vec<Pushed>, StoreError>>;

    /// Up to `max` due jobs, highest priority first, then oldest. Waits for nothing: empty when there is none, or none in memory yet,
    /// and `ready` moves once there is. With [`Term::For`] the lease becomes durable in passing; `lease_for` waits for that.
    fn lease(&self, queue: &str, max: usize, holder: &Arc<str>, term: Term) -> Vec<LeasedJob>;

    /// How many jobs `lease` could hand out now; a lower bound, but 0 only when there is none at hand.
    fn due(&self, queue: &str) -> usize;

    /// The same for outside workers: answers once the leases are durable.
    fn lease_for(
        &self,
        queue: &str,
        max: usize,
        holder: &Arc<str>,
        term: Duration,
    ) -> BoxFuture<'static, Result<Vec<LeasedJob>, StoreError>>;

    /// Moves whenever the queue has a due job that nobody holds and had none before; so lease until nothing comes, then wait for it.
    /// Never polled: one timer stands behind all delayed jobs.
    fn ready(&self, queue: &str) -> watch::Receiver<u64>;

    /// Ends an attempt and pushes what goes with it, in one transaction. A lease lost meanwhile makes it [`Finished::Stale`].
    fn finish(&self, id: Uuid, attempt: u32, outcome: Outcome, pushes: Vec<NewJob>) -> BoxFuture<'static, Result<Finished, StoreError>>;

    /// Holds the lease for `term` from now; false when the attempt is over.
    fn extend(&self, id: Uuid, attempt: u32, term: Duration) -> BoxFuture<'static, Result<bool, StoreError>>;

    /// Kept in memory only. False when the attempt is over.
    fn progress(&self, id: Uuid, attempt: u32, note: String) -> bool;

    /// Whether the attempt still holds its job: false once it was cancelled.
    fn holds(&self, id: Uuid, attempt: u32) -> bool;

    /// With payload and result. None: unknown, or its time to live is over.
    fn job(&self, id: Uuid) -> BoxFuture<'static, Result<Option<JobView>, StoreError>>;

    /// Waits until the job is over; its view then. None: unknown.
    fn wait(&self, id: Uuid) -> BoxFuture<'static, Result<Option<JobView>, StoreError>>;

    /// First what runs, then what waits in the order it would run, what is delayed, the dead, and what is kept for a while, these newest first. With payloads where `peek`.
    fn jobs(&self, filter: JobFilter, peek: bool) -> BoxFuture<'static, Result<Vec<JobView>, StoreError>>;

    /// False: it was over already. None: unknown.
    fn cancel(&self, id: Uuid) -> BoxFuture<'static, Result<Option<bool>, StoreError>>;

    /// A dead or cancelled job waits again with all its attempts. False: it isn't dead or cancelled. None: unknown.
    fn retry(&self, id: Uuid) -> BoxFuture<'static, Result<Option<bool>, StoreError>>;

    /// Forgets jobs of a queue in these states (running ones never); answers how many.
    fn purge(&self, queue: &str, states: &[JobState]) -> BoxFuture<'static, Result<u64, StoreError>>;

    /// Every queue that is declared or has jobs; `limiter`, `workers`, `file` and `line` are left for whoever knows them.
    fn queues(&self) -> BoxFuture<'static, Result<Vec<QueueView>, StoreError>>;

    /// The settings of all declared queues, whenever one of them changed. Others have the defaults.
    fn configure(&self, queues: Vec<(Arc<str>, QueueSettings)>, default: QueueSettings);
}
