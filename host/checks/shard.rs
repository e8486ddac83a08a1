//! A part of the board: the workers that share one lock, and what of them is not yet written.
//!
//! Must not judge or tell anything.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    Watch,
    check::{Check, Moment},
};
use crate::{facts::Name, store::Store};

/// How often a worker's refused reports are told again.
const REFUSED_EVERY: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
pub(super) struct Shard {
    pub workers: HashMap<Name, Worker>,
    /// Checks whose rows are behind.
    pub dirty: Vec<(Name, Arc<str>)>,
    pub touched: Touched,
}

/// Checks that changed since the live view last looked; nothing is noted while nobody follows it.
#[derive(Debug, Default)]
pub(super) struct Touched(Option<HashSet<(Name, Arc<str>)>>);

impl Touched {
    pub fn follow(&mut self, on: bool) {
        self.0 = on.then(HashSet::new);
    }

    pub fn note(&mut self, name: &Name, subject: &Arc<str>) {
        if let Some(touched) = &mut self.0 {
            touched.insert((name.clone(), subject.clone()));
        }
    }

    pub fn take(&mut self) -> HashSet<(Name, Arc<str>)> {
        self.0.as_mut().map(std::mem::take).unwrap_or_default()
    }
}

#[derive(Debug, Default)]
pub(super) struct Worker {
    /// None: kept from the run before, and nobody has said yet that the worker is still there.
    pub watch: Option<Watch>,
    /// As its manifest says: maintenance windows may name it.
    pub group: Option<Arc<str>>,
    pub checks: BTreeMap<Arc<str>, Check>,
    /// Its config changed: subjects are renewed with the first report of what runs now.
    pub renewing: bool,
    pub refused: Refused,
}

/// Reports past a bound: told at once, then counted.
#[derive(Debug, Default)]
pub(super) struct Refused {
    told: Option<Instant>,
    untold: u64,
}

impl Shard {
    /// The rows that are behind. Given to the store under the lock: a removal must come after them in its line.
    pub fn write(&mut self, store: &Store, wall: Timestamp) {
        let Self { workers, dirty, .. } = self;
        let rows = dirty.drain(..).filter_map(|(name, subject)| {
            let check = workers.get_mut(&name)?.checks.get_mut(&subject).filter(|check| check.dirty)?;
            check.row(&name, &subject, wall).ok()
        });
        store.record_checks(rows.collect());
    }

    /// Every check's row, and the seen time that history does not know of; answers how many rows.
    pub fn write_all(&mut self, store: &Store, at: Moment) -> usize {
        self.dirty.clear();
        let (mut rows, mut seen) = (Vec::new(), Vec::new());
        for (name, worker) in &mut self.workers {
            for (subject, check) in &mut worker.checks {
                seen.extend(check.seen(name, subject, at));
                rows.extend(check.row(name, subject, at.wall));
            }
        }
        let count = rows.len();
        store.record_checks(rows);
        store.record_seen(seen);
        count
    }
}

impl Refused {
    /// Counts one; answers what to say of those before, when it is time to say something.
    pub fn count(&mut self, now: Instant) -> Option<String> {
        if self.told.is_some_and(|told| now.duration_since(told) < REFUSED_EVERY) {
            self.untold += 1;
            return None;
        }
        self.told = Some(now);
        Some(match std::mem::take(&mut self.untold) {
            0 => String::new(),
            reports => format!("; {reports} more reports since this was last said"),
        })
    }
}

pub(super) fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
