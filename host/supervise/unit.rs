//! One supervised worker: what is deployed, its replicas, and the facts others read of it.
//!
//! Facts are written by the replicas' drivers and the schedule, and only read elsewhere.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::Notify;

use super::{Deployment, Services, replica::Replica};
use crate::{
    capability::{
        http::Outbound,
        log::{Log, cut},
        ping::Pings,
        services::Rights,
    },
    facts::{InstanceMode, Level, Name},
    manifest::spec::RunSpec,
    worker::{Context, Purpose},
};

/// How much of an error is kept as the last one, in bytes: a guest may say much.
const ERROR_BYTES: usize = 4 << 10;

/// A deployment with what its instances share.
#[derive(Debug)]
pub struct Deployed {
    pub deployment: Deployment,
    /// When its manifest last paused or resumed it, since it was deployed: replicas know nothing of that.
    pub paused_or_resumed: Option<Timestamp>,
    pub outbound: Arc<Outbound>,
    /// Made at the first instance, as most workers never have one.
    pub pings: OnceLock<Arc<Pings>>,
    pub rights: Arc<Rights>,
    /// The config as JSON, as `init` gets it.
    pub config: Arc<str>,
}

impl Deployed {
    pub fn run(&self) -> &RunSpec {
        &self.deployment.spec.run
    }

    /// Whether an instance lives on between events; a service's does whatever is written.
    pub fn mode(&self) -> InstanceMode {
        if self.is_service() { InstanceMode::Resident } else { self.run().instance }
    }

    /// Runs a command of its own, without a schedule.
    pub fn is_service(&self) -> bool {
        self.run().command.is_some() && self.run().schedule.is_none()
    }
}

#[derive(Debug)]
pub struct Unit {
    pub name: Name,
    deployed: RwLock<Arc<Deployed>>,
    replicas: Mutex<Vec<Arc<Replica>>>,
    pub facts: Facts,
    /// A replica came up or went down.
    pub moved: Notify,
    /// A tick is queued or running: one at a time, never piled up.
    ticking: AtomicBool,
    /// Another tick shall follow the one under way: the worker changed meanwhile.
    owed: AtomicBool,
}

/// Counts and last things, since the host started.
#[derive(Debug, Default)]
pub struct Facts {
    pub ok: AtomicU64,
    pub failed: AtomicU64,
    pub trapped: AtomicU64,
    pub restarts: AtomicU64,
    pub memory_peak: AtomicU64,
    pub sequence: AtomicU64,
    /// Ticks skipped in all, and since the last one that was handed over.
    pub missed: AtomicU64,
    pub missed_since: AtomicU64,
    /// Topic messages nobody could take, in all.
    pub messages_missed: AtomicU64,
    /// The last one was missed, too.
    behind: AtomicBool,
    /// Microseconds the last tick started late; negative before the first.
    lateness_us: AtomicI64,
    /// When the next tick is due, in milliseconds since the epoch; 0 for none.
    next_ms: AtomicI64,
    last: Mutex<Last>,
}

#[derive(Debug, Default, Clone)]
pub struct Last {
    pub error: Option<Box<str>>,
    pub trap: Option<Box<str>>,
}

impl Facts {
    pub fn last(&self) -> Last {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_error(&self, error: &str) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).error = Some(cut(error, ERROR_BYTES).into());
    }

    /// Counts ticks that nobody handled.
    pub fn miss(&self, ticks: u64) {
        self.missed.fetch_add(ticks, Ordering::Relaxed);
        self.missed_since.fetch_add(ticks, Ordering::Relaxed);
    }

    /// Counts a message that was missed; whether it is the first of a stretch.
    pub fn miss_message(&self) -> bool {
        self.messages_missed.fetch_add(1, Ordering::Relaxed);
        !self.behind.swap(true, Ordering::Relaxed)
    }

    pub fn keeps_up(&self) {
        self.behind.store(false, Ordering::Relaxed);
    }

    pub fn set_trap(&self, summary: &str, trap: &str) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.error = Some(cut(summary, ERROR_BYTES).into());
        last.trap = Some(trap.into());
    }

    pub fn late(&self, by: Duration) {
        self.lateness_us.store(i64::try_from(by.as_micros()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    #[allow(clippy::cast_precision_loss, reason = "microseconds of a delay fit a float")]
    pub fn lateness_ms(&self) -> Option<f64> {
        match self.lateness_us.load(Ordering::Relaxed) {
            us if us < 0 || self.sequence.load(Ordering::Relaxed) == 0 => None,
            us => Some(us as f64 / 1_000.0),
        }
    }

    pub fn set_next(&self, at: Option<Timestamp>) {
        self.next_ms.store(at.map_or(0, Timestamp::as_millisecond), Ordering::Relaxed);
    }

    pub fn next(&self) -> Option<Timestamp> {
        match self.next_ms.load(Ordering::Relaxed) {
            0 => None,
            ms => Timestamp::from_millisecond(ms).ok(),
        }
    }
}

/// Frees a worker for its next tick when this one is over, however it ends.
#[derive(Debug)]
pub struct TickGuard(Arc<Unit>);

impl Drop for TickGuard {
    fn drop(&mut self) {
        self.0.ticking.store(false, Ordering::Release);
    }
}

impl Unit {
    pub fn new(deployed: Arc<Deployed>) -> Self {
        Self {
            name: deployed.deployment.spec.name.clone(),
            deployed: RwLock::new(deployed),
            replicas: Mutex::default(),
            facts: Facts { lateness_us: AtomicI64::new(-1), ..Facts::default() },
            moved: Notify::new(),
            ticking: AtomicBool::new(false),
            owed: AtomicBool::new(false),
        }
    }

    pub fn deployed(&self) -> Arc<Deployed> {
        self.deployed.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_deployed(&self, deployed: Arc<Deployed>) {
        *self.deployed.write().unwrap_or_else(PoisonError::into_inner) = deployed;
    }

    pub fn replicas(&self) -> Vec<Arc<Replica>> {
        self.with_replicas(<[_]>::to_vec)
    }

    pub fn replica(&self, number: u32) -> Option<Arc<Replica>> {
        self.with_replicas(|all| all.iter().find(|replica| replica.number == number).cloned())
    }

    pub fn with_replicas<T>(&self, look: impl FnOnce(&[Arc<Replica>]) -> T) -> T {
        look(&self.replicas.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes replicas up to `count`; answers the new ones and the ones now too many.
    pub fn resize(&self, count: u32, make: impl Fn(u32) -> Arc<Replica>) -> (Vec<Arc<Replica>>, Vec<Arc<Replica>>) {
        let mut replicas = self.replicas.lock().unwrap_or_else(PoisonError::into_inner);
        let keep = count as usize;
        let extra = if replicas.len() > keep { replicas.split_off(keep) } else { Vec::new() };
        let first = u32::try_from(replicas.len()).unwrap_or(u32::MAX).saturating_add(1);
        let fresh: Vec<_> = (first..=count).map(make).collect();
        replicas.extend(fresh.iter().cloned());
        replicas.shrink_to_fit();
        (fresh, extra)
    }

    pub fn take_replicas(&self) -> Vec<Arc<Replica>> {
        std::mem::take(&mut *self.replicas.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The right to queue a tick; none while one is queued or running.
    pub fn claim_tick(self: &Arc<Self>) -> Option<TickGuard> {
        self.ticking.compare_exchange(false, true, Ordering::AcqRel, Ordering::Acquire).is_ok().then(|| TickGuard(self.clone()))
    }

    pub fn owe_tick(&self) {
        self.owed.store(true, Ordering::Release);
    }

    /// Whether a tick was owed; it no longer is.
    pub fn pay_tick(&self) -> bool {
        self.owed.swap(false, Ordering::AcqRel)
    }

    /// What a fresh instance of `replica` is made from.
    pub fn purpose(&self, deployed: &Deployed, services: &Services, replica: u32) -> Arc<Purpose> {
        Arc::new(Purpose {
            engines: services.engines.clone(),
            component: deployed.deployment.component.clone(),
            worker: self.name.clone(),
            replica,
            config: deployed.config.clone(),
            timeout: deployed.run().limits.timeout,
        })
    }

    pub fn context(self: &Arc<Self>, deployed: &Deployed, services: &Services, log: Log, replica: u32) -> Context {
        let note = {
            let (unit, log, journal) = (self.clone(), log.clone(), services.journal.clone());
            Arc::new(move |sentence: &str| {
                log.line(Level::Warn, "host", sentence);
                unit.facts.set_error(&journal.masked(sentence.to_owned()));
            })
        };
        Context {
            note,
            worker: self.name.clone(),
            checks: services.checks.clone(),
            clock: services.clock,
            outbound: deployed.outbound.clone(),
            log,
            replica,
            pings: deployed
                .pings
                .get_or_init(|| services.capabilities.pinger.worker(&self.name, deployed.run().grants.ping.as_ref()))
                .clone(),
            rights: deployed.rights.clone(),
            command: deployed.run().command.clone().map(Box::new),
            memory_bytes: deployed.run().limits.memory_bytes,
        }
    }
}
