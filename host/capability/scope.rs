//! What every capability of a worker works in: its rights, the event in hand, and what happens only when a job is acknowledged.
//!
//! Shared by all capabilities, so that none has to know another. One an instance, [`begin`](Scope::begin) before each event. Small: ten
//! thousand residents have one each.

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use super::{
    bindings::skep::worker::errors::Error,
    caller::{Caller, Chain},
    grant::{self, Denied, Wish},
    services::{Directory, Rights, Services},
    waits::Waits,
};
use crate::{
    facts::Name,
    store::{MAX_PUSH_BYTES, MAX_PUSH_JOBS, NewJob, StoreError},
};

/// The longest a guest waits for anything in one call.
pub const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// One instance's way to the host's services.
#[derive(Debug)]
pub struct Scope {
    pub(super) rights: Arc<Rights>,
    pub(super) caller: Caller,
    pub(super) waits: Arc<Waits>,
    hand: Option<Box<Hand>>,
}

/// The job in hand.
#[derive(Debug)]
struct Hand {
    id: Uuid,
    attempt: u32,
    /// What is pushed when it is acknowledged, and its payloads' size.
    pushes: Vec<NewJob>,
    bytes: usize,
}

impl Scope {
    /// For one instance of a replica; `waits` are its events'.
    pub fn new(rights: Arc<Rights>, replica: u32, waits: Arc<Waits>) -> Self {
        let caller = Caller { worker: rights.worker.clone(), replica, event: 0, chain: None };
        Self { rights, caller, waits, hand: None }
    }

    /// A new event, whose calls led to it, and the job in hand with its attempt. What the one before left to push is forgotten.
    pub fn begin(&mut self, event: u64, chain: Option<Arc<Chain>>, job: Option<(Uuid, u32)>) {
        self.caller.event = event;
        self.caller.chain = chain;
        self.hand = job.map(|(id, attempt)| Box::new(Hand { id, attempt, pushes: Vec::new(), bytes: 0 }));
    }

    /// The event is over: what it left to be pushed with its acknowledgement, if it acknowledges (`retry` doesn't).
    pub fn take_pushes(&mut self) -> Vec<NewJob> {
        self.caller.chain = None;
        self.hand.take().map(|hand| hand.pushes).unwrap_or_default()
    }

    /// Who acts in this event.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    pub(super) fn worker(&self) -> &Name {
        &self.rights.worker
    }

    pub(super) fn services(&self) -> &Services {
        &self.rights.services
    }

    pub(super) fn directory(&self) -> Result<&Arc<dyn Directory>, Error> {
        let directory = self.rights.services.directory.get();
        directory.ok_or_else(|| Error::Unavailable("the host is still starting".to_owned()))
    }

    /// Asks the grants.
    pub(super) fn may(&self, wish: Wish<'_>) -> Result<(), Error> {
        grant::may(&self.rights.worker, &self.rights.grants, wish).map_err(|denied| match denied {
            Denied::Nonsense(sentence) => Error::Invalid(sentence),
            Denied::NotGranted { .. } => Error::Denied(denied.to_string()),
        })
    }

    /// The job in hand and its attempt; `what` needs one.
    pub(super) fn job(&self, what: &str) -> Result<(Uuid, u32), Error> {
        let hand = self.hand.as_ref().ok_or_else(|| no_job(what))?;
        Ok((hand.id, hand.attempt))
    }

    /// Keeps jobs until the one in hand is acknowledged: all or none.
    pub(super) fn push_on_ack(&mut self, jobs: Vec<NewJob>) -> Result<(), Error> {
        let hand = self.hand.as_mut().ok_or_else(|| no_job("on-ack"))?;
        let (count, bytes) = (hand.pushes.len() + jobs.len(), hand.bytes + jobs.iter().map(|job| job.payload.len()).sum::<usize>());
        if count > MAX_PUSH_JOBS {
            return Err(Error::TooLarge(format!("that makes {count} jobs pushed on ack; one event takes at most {MAX_PUSH_JOBS}")));
        }
        if bytes > MAX_PUSH_BYTES {
            return Err(Error::TooLarge(format!(
                "that makes {bytes} bytes pushed on ack; one event takes at most {MAX_PUSH_BYTES} (16 MiB)"
            )));
        }
        hand.bytes = bytes;
        hand.pushes.extend(jobs);
        Ok(())
    }
}

fn no_job(what: &str) -> Error {
    Error::Invalid(format!("{what} is for the time a job is handled (job-handler.handle), and there is no job in hand"))
}

/// The store's no, without the host's paths: guests may send on what they read.
pub(super) fn unkept(error: StoreError) -> Error {
    match error {
        StoreError::TooLarge(sentence) => Error::TooLarge(sentence),
        StoreError::Invalid(sentence) => Error::Invalid(sentence),
        StoreError::Busy(sentence) | StoreError::Ambiguous(sentence) => Error::Unavailable(sentence),
        StoreError::Refused(sentence) => Error::Conflict(sentence),
        StoreError::Full(_) => Error::Unavailable("the host's disk is full: nothing was kept; try again once there is room".to_owned()),
        StoreError::Sqlite { source, .. } => Error::Unavailable(format!("the host's database: {source}")),
        StoreError::Io { source, .. } => Error::Unavailable(format!("the host's disk: {source}")),
        StoreError::Corrupt(_) | StoreError::Unsupported(_) => {
            Error::Unavailable("the host's database can't be used: its log says why".to_owned())
        }
        StoreError::Closed => Error::Unavailable("the host is stopping".to_owned()),
    }
}

/// At most `max` bytes of `what`.
pub(super) fn bounded(what: &str, bytes: usize, max: usize) -> Result<(), Error> {
    if bytes <= max {
        return Ok(());
    }
    let shown = if max.is_multiple_of(1 << 20) { format!(" ({} MiB)", max >> 20) } else { String::new() };
    Err(Error::TooLarge(format!("{what} has {bytes} bytes; at most {max}{shown} are taken")))
}

/// How long a guest may wait that asked for `timeout_ms`.
pub(super) fn patience(timeout_ms: u64) -> Duration {
    Duration::from_millis(timeout_ms).min(LONGEST_WAIT)
}
