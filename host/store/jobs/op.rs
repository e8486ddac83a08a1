//! What the queue asks of the writer thread, each with whoever waits for its answer.
//!
//! Must not be answered before its commit.

use std::sync::Arc;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::{
    Finished, LeasedJob, NewJob, Pushed,
    policy::{Tally, Verdict},
    rows::QueueId,
    timeline::Moment,
};
use crate::{facts::JobState, store::StoreError};

pub(super) type Reply<T> = Option<oneshot::Sender<Result<T, StoreError>>>;

/// A queue and what goes into it.
pub(super) type Addressed = (QueueId, NewJob);

#[derive(Debug)]
pub(in crate::store) enum Op {
    Push {
        jobs: Vec<Addressed>,
        moment: Moment,
        reply: Reply<Vec<Pushed>>,
    },
    Finish(Finish),
    Lease(Lease),
    Extend {
        id: Uuid,
        seq: i64,
        attempt: u32,
        until: i64,
        moment: Moment,
        reply: Reply<bool>,
    },
    Cancel {
        id: Uuid,
        moment: Moment,
        reply: Reply<Option<bool>>,
    },
    Retry {
        id: Uuid,
        moment: Moment,
        reply: Reply<Option<bool>>,
    },
    Purge(Purge),
    /// The timer: what is due by now.
    Due {
        moment: Moment,
    },
    /// Attempts have begun: write those down that last.
    Starts,
    /// A window runs low.
    Refill,
}

#[derive(Debug)]
pub(in crate::store) struct Finish {
    pub id: Uuid,
    pub seq: i64,
    pub queue: QueueId,
    pub attempt: u32,
    /// Leased from outside: its row says so.
    pub outside: bool,
    pub verdict: Verdict,
    pub tally: Tally,
    /// How long it is kept where it is done.
    pub ttl_ms: i64,
    pub pushes: Vec<Addressed>,
    pub moment: Moment,
    pub reply: Reply<Finished>,
}

#[derive(Debug)]
pub(in crate::store) struct Lease {
    pub queue: QueueId,
    pub max: usize,
    pub holder: Arc<str>,
    pub term_ms: i64,
    /// Taken from the window before the batch begins; or before, where nobody waits for it.
    pub taken: Vec<(i64, LeasedJob)>,
    pub moment: Moment,
    pub reply: Reply<Vec<LeasedJob>>,
}

/// An alert on its way into its queue, with the rows of its flip.
#[derive(Debug)]
pub(in crate::store) struct Told {
    pub queue: QueueId,
    pub job: NewJob,
    pub moment: Moment,
}

impl Told {
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.job.payload.len()
    }
}

/// Goes over the table in slices, each a batch's part.
#[derive(Debug)]
pub(in crate::store) struct Purge {
    pub queue: QueueId,
    pub states: Vec<JobState>,
    /// Where it stands, and up to where the table went when it began.
    pub after: i64,
    pub upto: Option<i64>,
    pub purged: u64,
    pub moment: Moment,
    pub reply: Reply<u64>,
}

impl Op {
    /// Roughly what it holds in memory.
    pub fn bytes(&self) -> usize {
        let pushes: &[Addressed] = match self {
            Self::Push { jobs, .. } => jobs,
            Self::Finish(finish) => &finish.pushes,
            _ => &[],
        };
        let result = match self {
            Self::Finish(finish) => finish.verdict.result.as_ref().map_or(0, Vec::len),
            _ => 0,
        };
        size_of::<Self>() + result + pushes.iter().map(|(_, job)| size_of::<Addressed>() + job.payload.len()).sum::<usize>()
    }

    /// Answers that nothing came of it.
    pub fn refuse(&mut self, error: &StoreError) {
        fn say<T>(reply: &mut Reply<T>, error: &StoreError) {
            if let Some(reply) = reply.take() {
                // A caller that stopped waiting is fine.
                let _ = reply.send(Err(error.again()));
            }
        }
        match self {
            Self::Push { reply, .. } => say(reply, error),
            Self::Finish(finish) => say(&mut finish.reply, error),
            Self::Lease(lease) => say(&mut lease.reply, error),
            Self::Extend { reply, .. } => say(reply, error),
            Self::Cancel { reply, .. } | Self::Retry { reply, .. } => say(reply, error),
            Self::Purge(purge) => say(&mut purge.reply, error),
            Self::Due { .. } | Self::Starts | Self::Refill => {}
        }
    }

    pub fn moment(&self) -> Option<Moment> {
        match self {
            Self::Push { moment, .. } | Self::Extend { moment, .. } | Self::Cancel { moment, .. } | Self::Retry { moment, .. } => {
                Some(*moment)
            }
            Self::Due { moment } => Some(*moment),
            Self::Finish(finish) => Some(finish.moment),
            Self::Lease(lease) => Some(lease.moment),
            Self::Purge(purge) => Some(purge.moment),
            Self::Starts | Self::Refill => None,
        }
    }
}
