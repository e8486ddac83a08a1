//! What a broker or a cluster engine would bring another implementation of: the desired state's log, and ownership.
//!
//! Must not mention SQLite. Rooms that may one day run on several machines take these traits, not the store.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::{Generation, Store, StoreError};
use crate::facts::Name;

/// The log of desired states: every generation, the newest ones kept.
pub trait DesiredLog: Send + Sync {
    /// Answers once the generation is durable.
    fn save_generation(&self, generation: Generation) -> impl Future<Output = Result<(), StoreError>> + Send;
    fn latest_generation(&self) -> impl Future<Output = Result<Option<Generation>, StoreError>> + Send;
    /// The newest kept generation before `number`.
    fn generation_before(&self, number: u64) -> impl Future<Output = Result<Option<Generation>, StoreError>> + Send;
}

/// Who owns a replica. An epoch stamps every write of one incarnation, so that an older one's can be refused.
pub trait Leases: Send + Sync {
    /// A larger epoch than any claim of this replica got before, over restarts too.
    fn claim(&self, worker: &Name, replica: u32) -> impl Future<Output = Result<u64, StoreError>> + Send;
}

impl DesiredLog for Store {
    fn save_generation(&self, generation: Generation) -> impl Future<Output = Result<(), StoreError>> + Send {
        Store::save_generation(self, generation)
    }

    fn latest_generation(&self) -> impl Future<Output = Result<Option<Generation>, StoreError>> + Send {
        Store::latest_generation(self)
    }

    fn generation_before(&self, number: u64) -> impl Future<Output = Result<Option<Generation>, StoreError>> + Send {
        Store::generation_before(self, number)
    }
}

impl Leases for Store {
    fn claim(&self, worker: &Name, replica: u32) -> impl Future<Output = Result<u64, StoreError>> + Send {
        std::future::ready(Ok(self.epochs().claim(worker, replica)))
    }
}

/// Replicas whose counters are remembered one by one.
const REMEMBERED: usize = 100_000;

/// Epochs without a write each: the start's number in the high half (counted durably at open), a counter in the low one.
#[derive(Debug)]
pub(super) struct Epochs {
    boot: u64,
    counters: Mutex<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    claims: HashMap<(Name, u32), u64>,
    /// Where a replica that isn't remembered goes on: no counter was ever higher.
    floor: u64,
}

impl Epochs {
    pub fn new(boot: u64) -> Self {
        Self { boot, counters: Mutex::default() }
    }

    fn claim(&self, worker: &Name, replica: u32) -> u64 {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let replica = (worker.clone(), replica);
        if counters.claims.len() >= REMEMBERED && !counters.claims.contains_key(&replica) {
            counters.floor = counters.claims.values().copied().max().unwrap_or_default();
            counters.claims.clear();
        }
        let floor = counters.floor;
        let counter = counters.claims.entry(replica).or_insert(floor);
        *counter += 1;
        (self.boot << 32) + *counter
    }
}
