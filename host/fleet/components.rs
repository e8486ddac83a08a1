//! The components that manifests name: what their files hold, which bytes run, and what stands in the way of running what a file holds.
//!
//! Loads through [`Loader`]; decides by [`Rollover`]. Must not touch a worker.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::Path,
    sync::Arc,
};

use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use super::{
    fault::{Fault, short},
    folder::Stamp,
    lower::{Loader, Part},
    memory::Memory,
    plugins,
    rollover::Rollover,
};
use crate::{
    facts::Digest,
    manifest::spec::{RunSpec, WorkerSpec},
};

/// Components read and compiled side by side.
const LOADS_AT_ONCE: usize = 4;

/// What a worker runs on, and what there is to say about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// None: nothing it could run on.
    pub digest: Option<Digest>,
    pub fault: Option<Fault>,
}

/// Which components change their bytes, and why others with new bytes don't.
#[derive(Debug, Clone, Default)]
pub struct Rolls {
    to: BTreeMap<Arc<str>, Digest>,
    blocked: BTreeMap<Arc<str>, String>,
}

/// A component whose workers now run on other bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rolled {
    pub component: Arc<str>,
    pub from: Digest,
    pub to: Digest,
}

#[derive(Debug, Clone)]
struct Entry {
    /// None while the file is missing.
    stamp: Option<Stamp>,
    file: Result<Digest, Fault>,
    /// None until a worker runs on it.
    rollover: Option<Rollover>,
}

impl Entry {
    fn current(&self) -> Option<&Digest> {
        self.rollover.as_ref().map(Rollover::current).or(self.file.as_ref().ok())
    }

    /// New bytes that shall run.
    fn wanted(&self) -> Option<&Digest> {
        let found = self.file.as_ref().ok()?;
        self.rollover.as_ref()?.wants(found).then_some(found)
    }
}

/// Every component that a manifest names.
#[derive(Debug)]
pub struct Table<C> {
    entries: BTreeMap<Arc<str>, Entry>,
    loaded: HashMap<Digest, Arc<C>>,
}

impl<C> Default for Table<C> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), loaded: HashMap::new() }
    }
}

impl<C> Clone for Table<C> {
    fn clone(&self) -> Self {
        Self { entries: self.entries.clone(), loaded: self.loaded.clone() }
    }
}

impl<C: Part> Table<C> {
    pub fn knows(&self, component: &str) -> bool {
        self.entries.contains_key(component)
    }

    pub fn names(&self) -> BTreeSet<Arc<str>> {
        self.entries.keys().cloned().collect()
    }

    pub fn get(&self, digest: &Digest) -> Option<Arc<C>> {
        self.loaded.get(digest).cloned()
    }

    /// Looks at these components' files and loads what changed; `afresh` reads them even when they seem unchanged.
    /// What a file can't give any more is taken from the bytes that `memory` names.
    pub async fn look(&mut self, names: BTreeSet<Arc<str>>, afresh: bool, dir: &Path, loader: &dyn Loader<C>, memory: &Memory) {
        let known: Vec<_> =
            names.into_iter().map(|name| (self.entries.get(&name).filter(|_| !afresh).map(|entry| entry.stamp), name)).collect();
        let loads = stream::iter(known).map(|(known, name)| async move {
            let stamp = plugins::stamp(dir, &name).await;
            if known == Some(stamp) {
                return None;
            }
            let found = plugins::load(dir, &name, loader).await;
            Some((name, stamp, found))
        });
        let mut loads = loads.buffer_unordered(LOADS_AT_ONCE);
        while let Some(done) = loads.next().await {
            let Some((name, stamp, found)) = done else { continue };
            let file = found.map(|component| {
                let digest = component.digest().clone();
                self.loaded.entry(digest.clone()).or_insert(component);
                digest
            });
            let before = match self.entries.remove(&name) {
                Some(entry) => entry.rollover,
                None => self.remembered(&name, loader, memory).await,
            };
            let rollover = before.map(|mut rollover| {
                if let Ok(digest) = &file {
                    rollover.seen(digest);
                }
                rollover
            });
            self.entries.insert(name, Entry { stamp, file, rollover });
        }
    }

    /// What ran before the host started, when its bytes were kept.
    async fn remembered(&mut self, name: &str, loader: &dyn Loader<C>, memory: &Memory) -> Option<Rollover> {
        let digest = memory.digests.get(name)?;
        self.keep(digest, loader).await.then(|| Rollover::new(digest.clone()).refusing(memory.refused(name)))
    }

    /// Loads kept bytes; false when there are none.
    pub async fn keep(&mut self, digest: &Digest, loader: &dyn Loader<C>) -> bool {
        if !self.loaded.contains_key(digest) {
            let Some(component) = loader.load_digest(digest).await else {
                return false;
            };
            self.loaded.insert(digest.clone(), component);
        }
        true
    }

    /// Which components change their bytes when exactly `workers` run: all workers of a file roll, or none.
    pub fn rolls<'a>(&self, workers: impl Iterator<Item = &'a Arc<WorkerSpec>>) -> Rolls {
        let mut rolls = Rolls::default();
        for (name, entry) in &self.entries {
            if let Some(digest) = entry.wanted() {
                rolls.to.insert(name.clone(), digest.clone());
            }
        }
        if rolls.to.is_empty() {
            return rolls;
        }
        for worker in workers.filter(|worker| worker.run.digest.is_none()) {
            let name = &worker.run.component;
            let Some(component) = rolls.to.get(name).and_then(|digest| self.loaded.get(digest)) else {
                continue;
            };
            if let Err(reason) = component.can_serve(&worker.run) {
                let reason = format!("has {}, which can't serve worker \"{}\": {reason}", short(component.digest()), worker.name);
                rolls.to.remove(name);
                rolls.blocked.insert(name.clone(), reason);
            }
        }
        rolls
    }

    /// What a worker runs on once `rolls` happened.
    pub fn choose(&self, run: &RunSpec, rolls: &Rolls) -> Choice {
        let Some(entry) = self.entries.get(&run.component) else {
            return Choice { digest: None, fault: Some(Fault::component("was not looked at", None)) };
        };
        let mut choice = match &run.digest {
            Some(pinned) => self.pinned(entry, pinned),
            None => unpinned(entry, &run.component, rolls),
        };
        let serves = choice.digest.as_ref().and_then(|digest| self.loaded.get(digest)).map(|component| component.can_serve(run));
        match serves {
            Some(Ok(())) => {}
            Some(Err(reason)) => {
                choice = Choice { digest: None, fault: Some(Fault::component(format!("can't serve this worker: {reason}"), None)) }
            }
            None => choice.digest = None,
        }
        choice
    }

    fn pinned(&self, entry: &Entry, pinned: &Digest) -> Choice {
        let kept = self.loaded.contains_key(pinned).then(|| pinned.clone());
        let fault = match &entry.file {
            Ok(found) if found == pinned => None,
            Ok(found) => Some(Fault {
                field: "digest",
                message: format!("has {found}, not the pinned {pinned}"),
                hint: Some(format!("write digest = \"{found}\" if that is the right file, else put the pinned one back")),
                blocks: true,
            }),
            Err(fault) => Some(fault.keeping(kept.as_ref())),
        };
        Choice { digest: kept, fault }
    }

    /// Makes `rolls` come true for the components that `used` names; the others start over when they are used again.
    pub fn commit(&mut self, rolls: &Rolls, used: &HashSet<Arc<str>>, now: Instant) -> Vec<Rolled> {
        let mut rolled = Vec::new();
        for (name, entry) in &mut self.entries {
            let Some(current) = entry.current().cloned().filter(|_| used.contains(name)) else {
                entry.rollover = None;
                continue;
            };
            let rollover = entry.rollover.get_or_insert_with(|| Rollover::new(current.clone()));
            if let Some(to) = rolls.to.get(name) {
                rollover.roll(to.clone(), now);
                rolled.push(Rolled { component: name.clone(), from: current, to: to.clone() });
            }
        }
        rolled
    }

    /// Forgets components that no manifest names.
    pub fn forget_others(&mut self, named: &HashSet<Arc<str>>) {
        self.entries.retain(|name, _| named.contains(name));
    }

    /// Forgets bytes that neither a worker, a file nor a way back needs. True when some went.
    pub fn retain(&mut self, running: &HashSet<Digest>) -> bool {
        let entries = self.entries.values();
        let held = entries.flat_map(|entry| entry.file.iter().chain(entry.rollover.iter().flat_map(Rollover::held)));
        let held: HashSet<&Digest> = held.chain(running).collect();
        let before = self.loaded.len();
        self.loaded.retain(|digest, _| held.contains(digest));
        self.loaded.len() < before
    }

    /// All bytes that must stay loadable.
    pub fn digests(&self) -> Vec<Digest> {
        self.loaded.keys().cloned().collect()
    }

    /// The way back from bytes that turned out bad, when every one of `workers` can take it.
    pub fn way_back<'a>(
        &self,
        name: &str,
        digest: &Digest,
        now: Instant,
        mut workers: impl Iterator<Item = &'a Arc<WorkerSpec>>,
    ) -> Option<Digest> {
        let to = self.entries.get(name)?.rollover.as_ref()?.way_back(digest, now)?;
        let component = self.loaded.get(to)?;
        workers
            .all(|worker| *worker.run.component != *name || worker.run.digest.is_some() || component.can_serve(&worker.run).is_ok())
            .then(|| to.clone())
    }

    /// Goes back. False when there is no way.
    pub fn fault(&mut self, name: &str, digest: &Digest, reason: String, now: Instant) -> bool {
        self.entries.get_mut(name).and_then(|entry| entry.rollover.as_mut()).is_some_and(|rollover| rollover.fault(digest, reason, now))
    }

    /// When the next probation ends.
    pub fn deadline(&self) -> Option<Instant> {
        self.entries.values().filter_map(|entry| entry.rollover.as_ref()?.deadline()).min()
    }

    /// Ends probations that are over.
    pub fn expire(&mut self, now: Instant) {
        self.entries.values_mut().filter_map(|entry| entry.rollover.as_mut()).for_each(|rollover| rollover.expire(now));
    }

    /// What a later start must know.
    pub fn memory(&self, undone_to: Option<u64>) -> Memory {
        let mut memory = Memory::default();
        memory.undone_to = undone_to;
        for (name, entry) in &self.entries {
            let Some(rollover) = &entry.rollover else { continue };
            memory.digests.insert(name.clone(), rollover.current().clone());
            if let Some(refusal) = rollover.refused() {
                memory.refuse(name.clone(), refusal);
            }
        }
        memory
    }
}

fn unpinned(entry: &Entry, name: &str, rolls: &Rolls) -> Choice {
    if let Some(to) = rolls.to.get(name) {
        return Choice { digest: Some(to.clone()), fault: None };
    }
    let current = entry.current();
    let refused = entry.rollover.as_ref().and_then(Rollover::refused).filter(|refused| entry.file.as_ref() == Ok(&refused.digest));
    let fault = match (&entry.file, rolls.blocked.get(name), refused) {
        (Err(fault), _, _) => Some(fault.keeping(current)),
        (Ok(_), Some(reason), _) => Some(Fault { blocks: false, ..Fault::component(reason.clone(), None).keeping(current) }),
        (Ok(found), None, Some(refused)) => {
            let message = format!("has {}, which was taken back: {}", short(found), refused.reason);
            let hint = Some("it is tried again when the file changes".to_owned());
            Some(Fault { blocks: false, ..Fault::component(message, hint).keeping(current) })
        }
        (Ok(_), None, None) => None,
    };
    Choice { digest: current.cloned(), fault }
}
