//! One replica and its driver: the one task that owns its instance and carries out what the cell decides.
//!
//! An idle per-event replica has no driver: whoever posts an event starts one, and it ends when there is nothing left to do.

use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, atomic::Ordering},
};

use futures_util::FutureExt;
use tokio::{sync::Notify, time::Instant};

use super::{
    Fact, Services, SuperviseError,
    cell::{Cell, Control, Message, Next, Phase},
    offer_tick,
    policy::{Budget, Verdict},
    unit::{Deployed, Unit},
};
use crate::{
    capability::log::{Log, LogTarget, Meter},
    facts::{InstanceMode, Level, TrapCause, WorkerState},
    worker::{Answer, Crash, Ended, Event, Instance},
};

#[derive(Debug)]
pub struct Replica {
    pub number: u32,
    cell: Mutex<Cell>,
    wake: Notify,
    /// Made at the first instance: most replicas of a large fleet are idle.
    log: OnceLock<Arc<LogTarget>>,
}

impl Replica {
    pub fn new(number: u32, deployed: &Deployed, services: &Services) -> Self {
        let run = deployed.run();
        let cell = Cell::new(Budget::new(run.restart, run.instance), run.instance, services.clock.wall());
        Self { number, cell: Mutex::new(cell), wake: Notify::new(), log: OnceLock::new() }
    }

    pub fn cell(&self) -> MutexGuard<'_, Cell> {
        self.cell.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an event, or answers why not.
    pub fn post(
        self: &Arc<Self>,
        unit: &Arc<Unit>,
        services: &Arc<Services>,
        message: Box<Message>,
    ) -> Result<(), (Box<Message>, SuperviseError)> {
        let accepted = self.cell().accept(message);
        match accepted {
            Ok(()) => {
                self.kick(unit, services);
                Ok(())
            }
            Err((message, reason)) => Err((message, SuperviseError::Refused(self.refusal(unit, &reason)))),
        }
    }

    fn refusal(&self, unit: &Unit, reason: &str) -> String {
        let name = &unit.name;
        let which = if unit.replicas().len() > 1 { format!("{name}/{}", self.number) } else { name.to_string() };
        let remedy = match self.cell().state() {
            WorkerState::Quarantined | WorkerState::Failed => format!("; skep why {name} says why, skep restart {name} starts it at once"),
            WorkerState::Stopped => format!("; skep restart {name} starts it"),
            _ => String::new(),
        };
        format!("worker \"{which}\" {reason}{remedy}")
    }

    /// Asks for a planned change after the event in flight.
    pub fn ask(self: &Arc<Self>, unit: &Arc<Unit>, services: &Arc<Services>, control: Control) {
        self.cell().ask(control);
        self.kick(unit, services);
    }

    /// A new deployment: fresh budget, then a restart.
    pub fn redeploy(self: &Arc<Self>, unit: &Arc<Unit>, services: &Arc<Services>, deployed: &Deployed) {
        let run = deployed.run();
        let mut cell = self.cell();
        cell.redeploy(Budget::new(run.restart, run.instance), run.instance);
        cell.ask(Control::Restart);
        drop(cell);
        self.kick(unit, services);
    }

    /// Sees to it that a driver looks at the cell.
    pub fn kick(self: &Arc<Self>, unit: &Arc<Unit>, services: &Arc<Services>) {
        if self.cell().claim_driver() {
            let (replica, unit, services) = (self.clone(), unit.clone(), services.clone());
            let driver = Driver { replica, deployed: unit.deployed(), unit, services, instance: None };
            tokio::spawn(driver.watched());
        } else {
            self.wake.notify_one();
        }
    }

    /// The driver itself is gone: a fault of this host's, which must not take the worker along.
    fn mend(self: &Arc<Self>, unit: &Arc<Unit>, services: &Arc<Services>) {
        const REASON: &str = "a fault in the host ended it; the host's log says more";
        let (now, jitter) = (services.clock.now(), services.jitter());
        {
            let mut cell = self.cell();
            cell.busy = false;
            let verdict = cell.budget.refused(now, jitter);
            cell.settle(verdict, true, services.clock.wall());
            cell.release_driver();
        }
        unit.facts.set_error(REASON);
        services.journal.event("worker.failed", Level::Error, Some(&unit.name), REASON);
        self.kick(unit, services);
    }

    fn log(&self, unit: &Unit, services: &Services) -> Arc<LogTarget> {
        let make = || {
            Arc::new(LogTarget {
                journal: services.journal.clone(),
                clock: services.clock,
                worker: unit.name.clone(),
                replica: self.number,
                meter: Mutex::new(Meter::default()),
            })
        };
        self.log.get_or_init(make).clone()
    }
}

struct Driver {
    replica: Arc<Replica>,
    /// What the instance at hand was made from, or would be: an update may have come since.
    deployed: Arc<Deployed>,
    unit: Arc<Unit>,
    services: Arc<Services>,
    instance: Option<Instance>,
}

impl Driver {
    async fn watched(self) {
        let (replica, unit, services) = (self.replica.clone(), self.unit.clone(), self.services.clone());
        if AssertUnwindSafe(self.drive()).catch_unwind().await.is_err() {
            replica.mend(&unit, &services);
        }
    }

    async fn drive(mut self) {
        loop {
            let now = self.services.clock.now();
            let next = self.replica.cell().next(now, || self.services.clock.wall());
            match next {
                Next::Start => self.start().await,
                Next::Run(message) => self.run(*message).await,
                Next::Refuse(queue) => self.refuse(queue),
                Next::Stop => self.stop().await,
                Next::Sleep(until) => {
                    self.services.changed();
                    // Either the backoff is over or somebody called; the cell decides which.
                    let _ = tokio::time::timeout_at(until, self.replica.wake.notified()).await;
                }
                Next::Wait => self.replica.wake.notified().await,
                Next::Park => {
                    self.services.changed();
                    return;
                }
            }
        }
    }

    /// A fresh incarnation; for a resident with its instance, since `init` is part of being ready.
    async fn start(&mut self) {
        self.deployed = self.unit.deployed();
        match self.services.claim(&self.unit.name, self.replica.number).await {
            Ok(incarnation) => self.replica.cell().incarnation = incarnation,
            Err(error) => return self.ended(Ended::Unavailable(format!("no epoch from the store: {error}")), true),
        }
        if self.deployed.run().instance == InstanceMode::Resident {
            match self.instance().await {
                Ok(instance) => {
                    self.unit.facts.memory_peak.fetch_max(instance.memory_peak_bytes(), Ordering::Relaxed);
                    self.instance = Some(instance);
                }
                Err(ended) => return self.ended(*ended, true),
            }
        }
        let mut cell = self.replica.cell();
        cell.holding = self.instance.is_some();
        cell.enter(Phase::Ready, self.services.clock.wall());
        drop(cell);
        self.services.changed();
    }

    async fn instance(&mut self) -> Result<Instance, Box<Ended>> {
        self.deployed = self.unit.deployed();
        let deployed = &self.deployed;
        let runtime = self.services.engines.get(deployed.deployment.component.kind);
        let place =
            match deployed.run().instance {
                // A resident keeps its place: waiting for one could take for ever, so a full pool is an error that is shown.
                InstanceMode::Resident => runtime.residents.clone().try_acquire_owned().map_err(|_| {
                    Ended::Unavailable("no room for another resident instance; raise limits.residents in skep.toml".to_owned())
                })?,
                InstanceMode::PerEvent => {
                    runtime.events.clone().acquire_owned().await.map_err(|_| Ended::Unavailable("the host is stopping".to_owned()))?
                }
            };
        let purpose = self.unit.purpose(deployed, &self.services, self.replica.number);
        let log = Log::new(self.replica.log(&self.unit, &self.services));
        let context = self.unit.context(deployed, &self.services, log);
        Instance::start(purpose, context, place).await
    }

    async fn run(&mut self, message: Message) {
        if message.abandoned() {
            self.replica.cell().busy = false;
            return;
        }
        let Message { event, due, reply, tick } = message;
        let is_tick = matches!(event, Event::Tick { .. });
        let (result, fresh) = match self.instance.take() {
            Some(instance) => (Ok(instance), false),
            None => (self.instance().await, true),
        };
        let result = match result {
            Ok(instance) => {
                if is_tick {
                    self.unit.facts.late(self.services.clock.now().saturating_duration_since(due));
                }
                instance.handle(event).await.map_err(|ended| (ended, false))
            }
            Err(ended) => Err((ended, fresh)),
        };
        let answer = match result {
            Ok((instance, answer)) => {
                // An error's sentence is shown to people.
                let answer = answer.map_err(|reason| self.services.journal.masked(reason));
                self.answered(instance, &answer);
                Ok(answer)
            }
            Err((ended, starting)) => {
                let reason = self.services.journal.masked(ended.sentence());
                let error = match *ended {
                    Ended::Crashed(Crash { cause: TrapCause::Timeout, .. }) => SuperviseError::Overran(reason),
                    Ended::Crashed(_) | Ended::Exited { .. } => SuperviseError::Crashed(reason),
                    Ended::Refused(_) | Ended::Unavailable(_) => {
                        SuperviseError::Refused(format!("worker \"{}\" could not take it: {reason}", self.unit.name))
                    }
                };
                self.ended(*ended, starting);
                Err(error)
            }
        };
        self.replica.cell().busy = false;
        drop(tick);
        if is_tick && self.unit.pay_tick() {
            // Refused only where ticks can't be handled now: then it is not owed any more.
            offer_tick(&self.unit, &self.services, self.services.clock.now(), self.services.clock.wall());
        }
        if let Some(reply) = reply {
            // The caller may have given up meanwhile.
            let _ = reply.send(answer);
        }
        self.services.changed();
    }

    fn answered(&mut self, instance: Instance, answer: &Answer) {
        let facts = &self.unit.facts;
        facts.memory_peak.fetch_max(instance.memory_peak_bytes(), Ordering::Relaxed);
        match answer {
            Ok(_) => {
                facts.ok.fetch_add(1, Ordering::Relaxed);
                self.replica.cell().budget.succeeded(self.services.clock.now());
            }
            Err(reason) => {
                facts.failed.fetch_add(1, Ordering::Relaxed);
                facts.set_error(reason);
            }
        }
        // What the cell knows of is kept; the mode may have changed meanwhile.
        if self.replica.cell().holding {
            self.instance = Some(instance);
        }
    }

    /// An instance is over, or could not be made: policy decides what follows.
    fn ended(&mut self, ended: Ended, starting: bool) {
        let (services, unit) = (self.services.clone(), self.unit.clone());
        let (now, wall, jitter) = (services.clock.now(), services.clock.wall(), services.jitter());
        // Of what ended: it may be an update that is waiting for this very end, and has nothing to do with it.
        let digest = self.deployed.deployment.component.digest.clone();
        self.instance = None;
        let (verdict, failed, planned, incarnation) = {
            let mut cell = self.replica.cell();
            let planned = cell.control.is_some();
            let (verdict, failed) = match &ended {
                // A restart, an update or an end follows anyway: this is recorded, and decides nothing.
                _ if planned => (Verdict::Restart, false),
                Ended::Crashed(_) => (cell.budget.crashed(now, jitter), false),
                Ended::Exited { normal } => (cell.budget.exited(*normal, now, jitter), false),
                Ended::Refused(_) => (cell.budget.refused(now, jitter), true),
                // Not the guest's doing: an event is lost, or the start is tried again later.
                Ended::Unavailable(_) if starting && cell.phase == Phase::Starting => (cell.budget.refused(now, jitter), true),
                Ended::Unavailable(_) => (Verdict::Restart, false),
            };
            cell.settle(verdict, failed, wall);
            (verdict, failed, planned, cell.incarnation)
        };
        let sentence = services.journal.masked(ended.sentence());
        if let Ended::Crashed(crash) = ended {
            self.crashed(crash, incarnation);
        } else {
            unit.facts.set_error(&sentence);
        }
        let verb = |until: Instant| format!("next try in {}", short(until.saturating_duration_since(now)));
        match verdict {
            Verdict::Restart if !planned && self.deployed.run().instance == InstanceMode::Resident => {
                unit.facts.restarts.fetch_add(1, Ordering::Relaxed);
            }
            Verdict::Restart => {}
            Verdict::Quarantine { until } if failed => {
                services.journal.event("worker.failed", Level::Error, Some(&unit.name), format!("{sentence}; {}", verb(until)));
                services.tell(Fact::Failed { worker: unit.name.clone(), digest, reason: sentence });
            }
            Verdict::Quarantine { until } => {
                let message = format!("quarantined after crashing too often: {sentence}; {}", verb(until));
                services.journal.event("worker.quarantined", Level::Error, Some(&unit.name), message);
                services.tell(Fact::Quarantined { worker: unit.name.clone(), digest });
            }
            Verdict::Stop => services.journal.event("worker.stopped", Level::Warn, Some(&unit.name), format!("not restarted: {sentence}")),
        }
        services.changed();
    }

    fn crashed(&self, crash: Crash, incarnation: u64) {
        let unit = &self.unit;
        unit.facts.trapped.fetch_add(1, Ordering::Relaxed);
        unit.facts.memory_peak.fetch_max(crash.memory_peak_bytes, Ordering::Relaxed);
        self.services.recorder.record(unit.clone(), crash, incarnation);
    }

    /// A planned end of the instance.
    async fn stop(&mut self) {
        if let Some(instance) = self.instance.take()
            && let Some(ended) = instance.stop().await
            && let Ended::Crashed(crash) = *ended
        {
            // Recorded, but no reason to restart what is stopping anyway.
            let incarnation = self.replica.cell().incarnation;
            self.crashed(crash, incarnation);
        }
        self.replica.cell().holding = false;
    }

    /// Whoever waits behind an end that is not followed by a restart is told now.
    fn refuse(&self, queue: VecDeque<Box<Message>>) {
        for message in queue {
            if let Some(reply) = message.reply {
                // The caller may have given up meanwhile.
                let _ =
                    reply.send(Err(SuperviseError::Refused(format!("worker \"{}\" went down before the event's turn", self.unit.name))));
            } else {
                self.unit.facts.miss(1);
            }
        }
    }
}

/// A duration as people say it.
pub(super) fn short(duration: std::time::Duration) -> String {
    let rounded = if duration.as_secs() >= 10 {
        std::time::Duration::from_secs(duration.as_secs())
    } else {
        std::time::Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    };
    crate::manifest::units::print_duration(rounded)
}
