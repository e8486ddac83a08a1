//! Desired state: every worker that shall run, with the component bytes it shall run on, and the generation that says so.
//!
//! Pure data with an index by name. Must not read files, know where a text came from, or start anything.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::{
    facts::{Digest, Name},
    manifest::spec::{FileSpec, LimiterSpec, MaintenanceSpec, QueueSpec, WorkerSpec},
};

/// One worker as it shall run.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    pub spec: Arc<WorkerSpec>,
    /// The component bytes; what `spec.run.component` stands for at this moment.
    pub digest: Digest,
    /// Why this is not what the files on disk say, when it is not.
    pub held_back: Option<Arc<str>>,
}

/// Everything that shall run. Cheap to share behind an `Arc`, never changed in place.
#[derive(Debug, Clone, Default)]
pub struct Desired {
    generation: u64,
    files: BTreeMap<Arc<str>, Arc<FileSpec>>,
    units: Vec<Unit>,
    index: HashMap<Name, usize>,
}

impl Desired {
    /// Merges checked files, in file and list order. `unit` says what a worker runs on; a worker it has no answer for is left out.
    /// Of two workers with one name the first stands: the check over all files refused the other.
    pub fn new(
        generation: u64,
        files: BTreeMap<Arc<str>, Arc<FileSpec>>,
        mut unit: impl FnMut(&str, &Arc<WorkerSpec>) -> Option<Unit>,
    ) -> Self {
        let workers = files.values().map(|spec| spec.workers.len()).sum();
        let mut units = Vec::with_capacity(workers);
        let mut index = HashMap::with_capacity(workers);
        for (file, spec) in &files {
            for worker in &spec.workers {
                if index.contains_key(&worker.name) {
                    continue;
                }
                if let Some(unit) = unit(file, worker) {
                    index.insert(worker.name.clone(), units.len());
                    units.push(unit);
                }
            }
        }
        Self { generation, files, units, index }
    }

    /// The same state under another number.
    pub fn numbered(mut self, generation: u64) -> Self {
        self.generation = generation;
        self
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// All workers in file and list order.
    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    /// One worker, with where it stands now: `spec.origin` of the newest text, also after a move that touched nothing.
    pub fn unit(&self, name: &str) -> Option<&Unit> {
        self.index.get(name).and_then(|at| self.units.get(*at))
    }

    /// What each file declares.
    pub fn files(&self) -> &BTreeMap<Arc<str>, Arc<FileSpec>> {
        &self.files
    }

    /// All declared queues, in file and list order.
    pub fn queues(&self) -> Vec<Arc<QueueSpec>> {
        self.files.values().flat_map(|spec| &spec.queues).cloned().collect()
    }

    /// All maintenance windows, in file and list order.
    pub fn maintenance(&self) -> Vec<Arc<MaintenanceSpec>> {
        self.files.values().flat_map(|spec| &spec.maintenance).cloned().collect()
    }

    /// All named limiters, in file and list order.
    pub fn limiters(&self) -> Vec<Arc<LimiterSpec>> {
        self.files.values().flat_map(|spec| &spec.limiters).cloned().collect()
    }
}
