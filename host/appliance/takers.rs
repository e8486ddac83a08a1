//! Who takes alerts: the workers of the queue `alerts` that are not paused, or whoever declared it. Opens and shuts the store's outbox.

use std::{collections::HashSet, sync::Arc};

use crate::{
    facts::Name,
    manifest::spec::{QueueSpec, WorkerSpec},
    store::{ALERTS, Store},
};

#[derive(Debug)]
pub struct Takers {
    store: Store,
    workers: HashSet<Name>,
    declared: bool,
    /// The manifests were read once: until then what was true when the host stopped holds, or what flips first would go unheard.
    settled: bool,
}

impl Takers {
    pub fn new(store: Store) -> Self {
        Self { store, workers: HashSet::new(), declared: false, settled: false }
    }

    pub fn worker(&mut self, spec: &WorkerSpec) {
        let takes = !spec.live.paused && spec.run.jobs.as_ref().is_some_and(|jobs| jobs.queue == ALERTS);
        let changed = if takes { self.workers.insert(spec.name.clone()) } else { self.workers.remove(&spec.name) };
        if changed {
            self.tell();
        }
    }

    pub fn gone(&mut self, worker: &str) {
        if self.workers.remove(worker) {
            self.tell();
        }
    }

    pub fn queues(&mut self, specs: &[Arc<QueueSpec>]) {
        self.declared = specs.iter().any(|spec| spec.name == ALERTS);
        self.tell();
    }

    pub fn settle(&mut self) {
        self.settled = true;
        self.tell();
    }

    fn tell(&self) {
        let open = self.declared || !self.workers.is_empty();
        if open || self.settled {
            self.store.open_outbox(open);
        }
    }
}
