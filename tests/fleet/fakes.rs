//! The fleet's lower edge, faked: a runner, a loader and an archive that only remember.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use futures_util::future::BoxFuture;
use sha2::{Digest as _, Sha256};
use skep::{
    facts::Digest,
    fleet::{Archive, Loader, Order, Part, Runner},
    manifest::spec::{LimiterSpec, MaintenanceSpec, QueueSpec, RunSpec},
    store::{Generation, StoreError},
    supervise::Fact,
    worker::ComponentError,
};
use tokio::sync::broadcast;

/// A component: a file that starts with `component` and names the triggers it serves.
pub struct FakePart {
    digest: Digest,
    text: String,
}

impl Part for FakePart {
    fn digest(&self) -> &Digest {
        &self.digest
    }

    fn can_serve(&self, run: &RunSpec) -> Result<(), String> {
        match run.schedule.is_some() && !self.text.contains("schedule") {
            true => Err("schedule needs the export schedule-handler".into()),
            false => Ok(()),
        }
    }
}

pub fn digest_of(text: &str) -> Digest {
    let hex: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    Digest(format!("sha256:{hex}").into())
}

#[derive(Default)]
pub struct FakeLoader {
    kept: Mutex<BTreeMap<Digest, Arc<FakePart>>>,
}

impl Loader<FakePart> for FakeLoader {
    fn load_file<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Arc<FakePart>, ComponentError>> {
        Box::pin(async move {
            let text = fs::read_to_string(path).unwrap();
            if !text.starts_with("component") {
                let path = path.display().to_string();
                return Err(ComponentError::Invalid { path, reason: "is text, not a WebAssembly component".into() });
            }
            let part = Arc::new(FakePart { digest: digest_of(&text), text });
            self.kept.lock().unwrap().insert(part.digest.clone(), part.clone());
            Ok(part)
        })
    }

    fn load_digest<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Option<Arc<FakePart>>> {
        Box::pin(async move { self.kept.lock().unwrap().get(digest).cloned() })
    }

    fn prune<'a>(&'a self, _used: &'a [Digest]) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}

/// One worker as the runner has it.
#[derive(Clone)]
pub struct Running {
    pub order: Arc<Order<FakePart>>,
    /// Counts creates and updates: what a person would see as restarts.
    pub incarnation: u32,
    pub at_start: bool,
}

pub struct FakeRunner {
    pub calls: Mutex<Vec<String>>,
    pub running: Mutex<BTreeMap<String, Running>>,
    pub limiters: Mutex<Vec<Arc<LimiterSpec>>>,
    pub facts: broadcast::Sender<Fact>,
}

impl FakeRunner {
    pub fn new() -> Self {
        Self { calls: Mutex::default(), running: Mutex::default(), limiters: Mutex::default(), facts: broadcast::channel(16).0 }
    }

    fn told(&self, call: &str, order: Order<FakePart>, at_start: bool) {
        let name = order.spec.name.to_string();
        self.calls.lock().unwrap().push(format!("{call} {name}"));
        let mut running = self.running.lock().unwrap();
        let before = running.get(&name);
        assert_eq!(call == "create", before.is_none(), "{call} {name}: created twice or changed before it was created");
        let incarnation = before.map_or(0, |before| before.incarnation) + u32::from(call != "amend");
        running.insert(name, Running { order: Arc::new(order), incarnation, at_start });
    }
}

impl Runner<FakePart> for FakeRunner {
    fn create(&self, order: Order<FakePart>, at_start: bool) {
        self.told("create", order, at_start);
    }

    fn update(&self, order: Order<FakePart>) {
        self.told("update", order, false);
    }

    fn amend(&self, order: Order<FakePart>) {
        self.told("amend", order, false);
    }

    fn remove(&self, name: &str) {
        self.calls.lock().unwrap().push(format!("remove {name}"));
        assert!(self.running.lock().unwrap().remove(name).is_some(), "{name} was removed but did not run");
    }

    fn limiters(&self, limiters: Vec<Arc<LimiterSpec>>) {
        self.calls.lock().unwrap().push("limiters".into());
        *self.limiters.lock().unwrap() = limiters;
    }

    fn queues(&self, _: Vec<Arc<QueueSpec>>) {
        self.calls.lock().unwrap().push("queues".into());
    }

    fn maintenance(&self, _: Vec<Arc<MaintenanceSpec>>) {
        self.calls.lock().unwrap().push("maintenance".into());
    }

    fn facts(&self) -> broadcast::Receiver<Fact> {
        self.facts.subscribe()
    }
}

#[derive(Default)]
pub struct FakeArchive {
    pub generations: Mutex<Vec<Generation>>,
}

impl Archive for FakeArchive {
    fn save(&self, generation: Generation) -> BoxFuture<'_, Result<(), StoreError>> {
        self.generations.lock().unwrap().push(generation);
        Box::pin(async { Ok(()) })
    }

    fn latest(&self) -> BoxFuture<'_, Result<Option<Generation>, StoreError>> {
        let latest = self.generations.lock().unwrap().last().cloned();
        Box::pin(async move { Ok(latest) })
    }

    fn before(&self, number: u64) -> BoxFuture<'_, Result<Option<Generation>, StoreError>> {
        let before = self.generations.lock().unwrap().iter().rev().find(|generation| generation.number < number).cloned();
        Box::pin(async move { Ok(before) })
    }
}
