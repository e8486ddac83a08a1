//! The part of a queue that is in memory: its first due jobs in the order they run, and how far it is known.
//!
//! Must not know disk, leases or time. The rule that holds: every due job up to the horizon is here or leased; those beyond it are on
//! disk only.

use std::collections::BTreeMap;

use bytes::Bytes;
use uuid::Uuid;

/// The order of a queue: highest priority first, then oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The priority, negated.
    pub rank: i64,
    pub seq: i64,
}

/// A due job.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    pub place: Place,
    pub id: Uuid,
    pub payload: Bytes,
    /// Attempts begun so far.
    pub attempts: u32,
    pub terms: Terms,
    pub unique_key: Option<Box<str>>,
    /// Milliseconds since 1970.
    pub pushed_at: i64,
}

/// What its push said (none: as the queue says), and what came since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    pub max_attempts: Option<u32>,
    pub backoff_ms: Option<u64>,
    pub result_ttl_ms: Option<u64>,
    /// Attempts that began and don't count; `max_attempts` is about the others.
    pub uncounted: u32,
}

impl Due {
    fn bytes(&self) -> usize {
        self.payload.len() + self.unique_key.as_ref().map_or(0, |key| key.len())
    }
}

/// How much a window may hold; by one job it may hold more bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub jobs: usize,
    pub bytes: usize,
}

/// Up to where a window knows its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Horizon {
    Nothing,
    UpTo(Place),
    All,
}

impl Horizon {
    fn covers(self, place: Place) -> bool {
        match self {
            Self::Nothing => false,
            Self::UpTo(last) => place <= last,
            Self::All => true,
        }
    }
}

#[derive(Debug)]
pub struct Window {
    jobs: BTreeMap<Place, Due>,
    bytes: usize,
    horizon: Horizon,
}

impl Window {
    /// Of a queue that is empty on disk.
    pub fn of_nothing() -> Self {
        Self { jobs: BTreeMap::new(), bytes: 0, horizon: Horizon::All }
    }

    /// Of a queue that nobody looked at yet.
    pub fn unknown() -> Self {
        Self { horizon: Horizon::Nothing, ..Self::of_nothing() }
    }

    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there may be jobs on disk that are not here.
    pub fn more(&self) -> bool {
        self.horizon != Horizon::All
    }

    /// Less than a quarter full, and there may be more on disk.
    pub fn low(&self, room: Room) -> bool {
        self.more() && (self.is_empty() || self.jobs.len() < room.jobs / 4 && self.bytes < room.bytes / 4)
    }

    pub fn horizon(&self) -> Horizon {
        self.horizon
    }

    /// A job that is due now and on disk. It is left there when its place is beyond the horizon.
    pub fn offer(&mut self, job: Due, room: Room) {
        if self.horizon.covers(job.place) {
            self.put(job);
            self.shrink(room);
        }
    }

    /// What a read from beyond the horizon brought: `upto` is the new horizon.
    pub fn extend(&mut self, jobs: Vec<Due>, upto: Horizon, room: Room) {
        jobs.into_iter().for_each(|job| self.put(job));
        self.horizon = upto;
        self.shrink(room);
    }

    pub fn pop(&mut self) -> Option<Due> {
        let (_, job) = self.jobs.pop_first()?;
        self.bytes -= job.bytes();
        Some(job)
    }

    pub fn remove(&mut self, place: Place) -> Option<Due> {
        let job = self.jobs.remove(&place)?;
        self.bytes -= job.bytes();
        Some(job)
    }

    /// Forgets all: they are on disk.
    pub fn clear(&mut self) {
        *self = Self::unknown();
    }

    fn put(&mut self, job: Due) {
        self.bytes += job.bytes();
        if let Some(twice) = self.jobs.insert(job.place, job) {
            self.bytes -= twice.bytes();
        }
    }

    /// The job that goes over the bytes stays, or a large one could never come in behind a small one.
    fn shrink(&mut self, room: Room) {
        while let Some((_, last)) = self.jobs.last_key_value() {
            let over = self.jobs.len() > room.jobs || self.bytes - last.bytes() >= room.bytes;
            if self.jobs.len() == 1 || !over {
                return;
            }
            if let Some((_, job)) = self.jobs.pop_last() {
                self.bytes -= job.bytes();
            }
            if let Some((last, _)) = self.jobs.last_key_value() {
                self.horizon = Horizon::UpTo(*last);
            }
        }
    }
}
