//! Supervision: workers, their replicas and incarnations, and what happens when one crashes.
//!
//! `policy` decides (pure), `cell` is a replica's state machine (plain code under one lock), `lane` carries it out, `replica` is the way
//! in, `unit` is one worker with its facts; `waits` knows who waits for whom. Nobody else enters an instance. Knows no manifests folder and no schedule.

pub mod cell;
mod directory;
mod events;
mod lane;
mod message;
pub mod policy;
mod recorder;
mod replica;
mod unit;
mod view;
mod waits;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{broadcast, watch},
    time::Instant,
};

pub use self::message::{JobEnd, JobSink, JobTicket};
use self::{
    cell::{Control, Phase},
    directory::Registry,
    recorder::Recorder,
    replica::Replica,
    unit::{Deployed, Unit},
    waits::Waits,
};
use crate::{
    capability::{
        http::Outbound,
        services::{Rights, Services as Capabilities},
    },
    checks::Checks,
    clock::Clock,
    facts::{Digest, Level, Name, ReplicaView, Why, WorkerView},
    journal::Journal,
    manifest::{spec::WorkerSpec, units::print_duration},
    store::{Leases, Store, StoreError},
    worker::{Component, Engines},
};

/// How far a listener of facts may fall behind.
const FACT_SLACK: usize = 1_024;

/// One worker as it shall run.
#[derive(Debug, Clone)]
pub struct Deployment {
    pub spec: Arc<WorkerSpec>,
    pub component: Arc<Component>,
    /// Why this is not what the files on disk say, when it is not.
    pub held_back: Option<Arc<str>>,
}

/// What reconciling needs to hear from supervision.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// A replica entered quarantine while running this component.
    Quarantined { worker: Name, digest: Digest },
    /// `init` returned an error, or no instance could be made.
    Failed { worker: Name, digest: Digest, reason: String },
}

/// Operator acts on a running worker; they change no desired state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// A fresh incarnation of every replica, after the event in flight; leaves quarantine, failed and stopped.
    Restart,
    /// Finish the event in flight, take no more, then `stopped`.
    Drain,
    /// Check now: one tick at once, outside the phase.
    Tick,
}

/// Why an act or a call can't be done.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    #[error("no worker \"{0}\"")]
    NotFound(String),
    /// The worker is there but can't do it now, or at all; the sentence says why.
    #[error("{0}")]
    Refused(String),
    /// The payload is beyond its bound.
    #[error("{0}")]
    TooLarge(String),
    /// The event ended in a crash.
    #[error("the worker crashed: {0}")]
    Crashed(String),
    /// The event ran out of its own time, which ended it.
    #[error("the worker ran out of time: {0}")]
    Overran(String),
    #[error("no answer in time")]
    Timeout,
}

/// What came of offering a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ticked {
    Sent,
    /// One is queued or running still, or the worker is down: skipped and counted.
    Skipped,
    NoWorker,
}

/// What the host gives supervision to work with.
#[derive(Debug)]
pub struct Services {
    pub engines: Arc<Engines>,
    pub clock: Clock,
    pub journal: Journal,
    pub checks: Checks,
    pub store: Store,
    recorder: Recorder,
    facts: broadcast::Sender<Fact>,
    changed: watch::Sender<u64>,
    /// What guests may ask of the host.
    capabilities: Arc<Capabilities>,
    waits: Waits,
    /// The topics that workers listen to.
    listeners: RwLock<BTreeMap<Name, Box<[String]>>>,
    events: AtomicU64,
    /// The host is on its way down: nothing is started any more.
    closing: AtomicBool,
    /// Off in tests: backoffs are exact.
    jitter: bool,
}

impl Services {
    /// Needs a runtime: starts the recorder.
    pub fn new(
        engines: Arc<Engines>,
        clock: Clock,
        journal: Journal,
        checks: Checks,
        store: Store,
        capabilities: Arc<Capabilities>,
        jitter: bool,
    ) -> Self {
        let recorder = Recorder::start(Some(store.clone()), journal.clone(), clock);
        let (facts, changed) = (broadcast::channel(FACT_SLACK).0, watch::channel(0).0);
        let (waits, listeners, events, closing) = Default::default();
        Self { engines, clock, journal, checks, store, recorder, facts, changed, capabilities, waits, listeners, events, closing, jitter }
    }

    fn changed(&self) {
        // Every event passes here: nobody watching, nothing to tell.
        if self.changed.receiver_count() > 0 {
            self.changed.send_modify(|generation| *generation += 1);
        }
    }

    fn tell(&self, fact: Fact) {
        // Nobody listening is fine.
        let _ = self.facts.send(fact);
    }

    fn jitter(&self) -> f64 {
        if self.jitter { fastrand::f64() } else { 0.0 }
    }

    /// A number no other event of this host has.
    fn next_event(&self) -> u64 {
        self.events.fetch_add(1, Ordering::Relaxed)
    }

    async fn claim(&self, worker: &Name, replica: u32) -> Result<u64, StoreError> {
        Leases::claim(&self.store, worker, replica).await
    }
}

/// A cheap handle to all workers of this host.
#[derive(Debug, Clone)]
pub struct Supervisor {
    services: Arc<Services>,
    units: Units,
}

type Units = Arc<RwLock<BTreeMap<Name, Arc<Unit>>>>;

impl Supervisor {
    /// Workers find each other through it from here on.
    pub fn new(services: Services) -> Self {
        let supervisor = Self { services: Arc::new(services), units: Arc::default() };
        // The first one stays: a host has one supervisor.
        let _ = supervisor.services.capabilities.directory.set(Arc::new(Registry::of(&supervisor)));
        supervisor
    }

    /// Starts a worker that wasn't there.
    pub fn create(&self, deployment: Deployment, outbound: Arc<Outbound>) {
        let deployed = deployed(deployment, outbound, &self.services);
        let unit = Arc::new(Unit::new(deployed.clone()));
        self.units.write().unwrap_or_else(PoisonError::into_inner).insert(unit.name.clone(), unit.clone());
        self.listen(&unit.name, &deployed.run().topics);
        self.resize(&unit, &deployed);
        self.services.changed();
    }

    /// Replaces spec or component; replicas restart after their event in flight.
    pub fn update(&self, deployment: Deployment, outbound: Arc<Outbound>) {
        let Some(unit) = self.unit(&deployment.spec.name) else { return self.create(deployment, outbound) };
        let deployed = deployed(deployment, outbound, &self.services);
        unit.set_deployed(deployed.clone());
        self.listen(&unit.name, &deployed.run().topics);
        for replica in unit.replicas() {
            replica.redeploy(&unit, &self.services, &deployed);
        }
        self.resize(&unit, &deployed);
        self.services.changed();
    }

    /// Live fields only: no replica is restarted; their number may change.
    pub fn amend(&self, deployment: Deployment) {
        let Some(unit) = self.unit(&deployment.spec.name) else { return };
        let before = unit.deployed();
        let turned = deployment.spec.live.paused != before.deployment.spec.live.paused;
        let deployed = Arc::new(Deployed {
            deployment,
            paused_or_resumed: if turned { Some(self.services.clock.wall()) } else { before.paused_or_resumed },
            outbound: before.outbound.clone(),
            pings: before.pings.clone(),
            rights: before.rights.clone(),
            config: before.config.clone(),
        });
        unit.set_deployed(deployed.clone());
        self.resize(&unit, &deployed);
        self.services.changed();
    }

    /// Ends a worker after its event in flight.
    pub fn remove(&self, name: &str) {
        let removed = self.units.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        let Some(unit) = removed else { return };
        self.listen(&unit.name, &[]);
        for replica in unit.take_replicas() {
            replica.ask(&unit, &self.services, Control::Remove);
        }
        self.services.changed();
    }

    fn resize(&self, unit: &Arc<Unit>, deployed: &Deployed) {
        let count = deployed.deployment.spec.live.replicas;
        let (fresh, extra) = unit.resize(count, |number| Arc::new(Replica::new(number, deployed, &self.services)));
        for replica in fresh {
            replica.kick(unit, &self.services);
        }
        for replica in extra {
            replica.ask(unit, &self.services, Control::Remove);
        }
    }

    pub fn act(&self, name: &str, act: Act) -> Result<(), SuperviseError> {
        let unit = self.unit(name).ok_or_else(|| SuperviseError::NotFound(name.to_owned()))?;
        let control = match act {
            Act::Tick => {
                if unit.deployed().run().schedule.is_none() {
                    return Err(SuperviseError::Refused(format!("worker \"{name}\" has no schedule, so there is nothing to tick")));
                }
                return match self.tick(name, self.services.clock.now(), self.services.clock.wall()) {
                    Ticked::Sent => Ok(()),
                    _ => Err(SuperviseError::Refused(format!("worker \"{name}\" can't tick now: {}", self.reason(&unit)))),
                };
            }
            Act::Restart if self.services.closing.load(Ordering::Acquire) => {
                return Err(SuperviseError::Refused("the host is stopping".to_owned()));
            }
            Act::Restart => Control::Restart,
            Act::Drain => Control::Drain,
        };
        for replica in unit.replicas() {
            replica.ask(&unit, &self.services, control);
        }
        let kind = if control == Control::Restart { "worker.restarting" } else { "worker.draining" };
        self.services.journal.event(kind, Level::Info, Some(&unit.name), "asked for by an operator");
        self.services.changed();
        Ok(())
    }

    fn reason(&self, unit: &Unit) -> String {
        let state = view::state(unit, &unit.deployed());
        match unit.replicas().iter().any(|replica| !replica.cell().idle()) {
            true => "an event is running; it is checked when that one is over".to_owned(),
            false => format!("it is {}", state.as_str()),
        }
    }

    /// Tells when the next tick is due, for people to see.
    pub fn set_next(&self, name: &str, at: Option<jiff::Timestamp>) {
        if let Some(unit) = self.unit(name) {
            unit.facts.set_next(at);
        }
    }

    fn unit(&self, name: &str) -> Option<Arc<Unit>> {
        self.units.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn all(&self) -> Vec<Arc<Unit>> {
        self.units.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Trap records lost because crashes came faster than they could be written down.
    pub fn traps_lost(&self) -> u64 {
        self.services.recorder.lost()
    }

    /// All workers by name.
    pub fn views(&self) -> Vec<WorkerView> {
        self.all().iter().map(|unit| view::worker(unit)).collect()
    }

    pub fn view(&self, name: &str) -> Option<WorkerView> {
        self.unit(name).map(|unit| view::worker(&unit))
    }

    /// A worker's replicas, by number.
    pub fn replicas(&self, name: &str) -> Option<Vec<ReplicaView>> {
        self.unit(name).map(|unit| view::replicas(&unit))
    }

    /// The spec a worker runs by.
    pub fn spec(&self, name: &str) -> Option<Arc<WorkerSpec>> {
        self.unit(name).map(|unit| unit.deployed().deployment.spec.clone())
    }

    pub fn why(&self, name: &str) -> Option<Why> {
        self.unit(name).map(|unit| view::why(&unit, self.services.clock))
    }

    pub fn facts(&self) -> broadcast::Receiver<Fact> {
        self.services.facts.subscribe()
    }

    /// Moves whenever any fact about any worker changed.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.services.changed.subscribe()
    }

    /// Drains every worker; answers how many had to be left busy at the deadline.
    pub async fn drain(&self, deadline: Duration) -> usize {
        let until = self.services.clock.now() + deadline;
        self.services.closing.store(true, Ordering::Release);
        let units = self.all();
        // What was asked before is done first, with all workers still there: an event in flight may need another one's answer.
        let at_work = |unit: &Arc<Unit>| unit.with_replicas(|all| all.iter().any(|replica| !replica.cell().idle()));
        let left = self.settled(&units, at_work, until).await;
        for unit in &units {
            for replica in unit.replicas() {
                replica.ask(unit, &self.services, Control::Drain);
            }
        }
        let up = |unit: &Arc<Unit>| unit.with_replicas(|all| all.iter().any(|replica| replica.cell().phase != Phase::Stopped));
        // Out of time: those that are idle stop by themselves, in no time.
        if left > 0 { left } else { self.settled(&units, up, until).await }
    }

    /// Waits until no unit is `busy`; answers how many are at the deadline.
    async fn settled(&self, units: &[Arc<Unit>], busy: impl Fn(&Arc<Unit>) -> bool, until: Instant) -> usize {
        let mut changed = self.changed();
        // One after the other: each is looked at once, and again only while it is the one waited for.
        for (done, unit) in units.iter().enumerate() {
            loop {
                changed.mark_unchanged();
                if !busy(unit) {
                    break;
                }
                if tokio::time::timeout_at(until, changed.changed()).await.is_err() {
                    return units.iter().skip(done).filter(|unit| busy(unit)).count();
                }
            }
        }
        0
    }
}

fn deployed(deployment: Deployment, outbound: Arc<Outbound>, services: &Services) -> Arc<Deployed> {
    let config = deployment.spec.run.config.to_string().into();
    let (worker, grants) = (deployment.spec.name.clone(), deployment.spec.run.grants.clone());
    let rights = Arc::new(Rights { worker, grants, services: services.capabilities.clone() });
    Arc::new(Deployed { deployment, paused_or_resumed: None, outbound, pings: OnceLock::new(), rights, config })
}

/// A duration as people say it.
fn short(duration: Duration) -> String {
    let rounded = if duration.as_secs() >= 10 {
        Duration::from_secs(duration.as_secs())
    } else {
        Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    };
    print_duration(rounded)
}
