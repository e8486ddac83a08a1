//! One replica: its cell, the instance it keeps between events, and the ways in.
//!
//! Whoever offers an event to a free replica runs it on its own task, up to the first wait: most calls never change tasks.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    task::Poll,
};

use tokio::sync::Notify;

use super::{
    Services, SuperviseError,
    cell::{Cell, Control, Message, Offered, Shape},
    lane::{Doing, Lane},
    policy::Budget,
    unit::{Deployed, Unit},
};
use crate::{
    capability::log::{LogTarget, Meter},
    facts::{Level, WorkerState},
    worker::Instance,
};

/// An instance that lives between events.
pub struct Held {
    pub instance: Instance,
    /// What it was made from: an update may have come since.
    pub deployed: Arc<Deployed>,
}

pub struct Replica {
    pub number: u32,
    cell: Mutex<Cell>,
    /// The lane or driver at work takes it; boxed, since most replicas of a large fleet keep none.
    held: Mutex<Option<Box<Held>>>,
    /// Wakes a driver that sleeps or serves.
    pub wake: Notify,
    /// Made at the first instance: most replicas of a large fleet are idle.
    log: OnceLock<Arc<LogTarget>>,
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica").field("number", &self.number).field("cell", &self.cell).finish_non_exhaustive()
    }
}

impl Replica {
    pub fn new(number: u32, deployed: &Deployed, services: &Services) -> Self {
        let run = deployed.run();
        let cell = Cell::new(Budget::new(run.restart, deployed.mode()), Shape::of(run), services.clock.wall());
        Self { number, cell: Mutex::new(cell), held: Mutex::default(), wake: Notify::new(), log: OnceLock::new() }
    }

    pub fn cell(&self) -> MutexGuard<'_, Cell> {
        self.cell.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn take_held(&self) -> Option<Box<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub fn hold(&self, held: Box<Held>) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
    }

    /// Queues an event or starts a task for it, or answers why not.
    pub fn post(
        self: &Arc<Self>,
        unit: &Arc<Unit>,
        services: &Arc<Services>,
        message: Box<Message>,
    ) -> Result<(), (Box<Message>, SuperviseError)> {
        if let Some(doing) = self.offer(unit, message)? {
            self.spawn(unit, services, doing);
        }
        Ok(())
    }

    /// The same on the caller's own task as far as it goes without waiting: saves two task switches where the guest answers at once.
    pub async fn post_here(
        self: &Arc<Self>,
        unit: &Arc<Unit>,
        services: &Arc<Services>,
        message: Box<Message>,
    ) -> Result<(), (Box<Message>, SuperviseError)> {
        if let Some(doing) = self.offer(unit, message)? {
            let mut lane: Pin<Box<_>> = Box::pin(Lane::new(self, unit, services).watched(doing));
            let done = poll_fn(|cx| Poll::Ready(lane.as_mut().poll(cx).is_ready())).await;
            if !done {
                // From its first wait on it is nobody's but its own: a caller that goes away must not take it along.
                tokio::spawn(lane);
            }
        }
        Ok(())
    }

    fn offer(&self, unit: &Unit, message: Box<Message>) -> Result<Option<Doing>, (Box<Message>, SuperviseError)> {
        let offered = self.cell().offer(message);
        match offered {
            Offered::Lane(message) => Ok(Some(Doing::Lane(message))),
            Offered::Queued { drive } => Ok(drive.then_some(Doing::Drive)),
            Offered::Refused(message, reason) => Err((message, SuperviseError::Refused(self.refusal(unit, &reason)))),
        }
    }

    pub fn spawn(self: &Arc<Self>, unit: &Arc<Unit>, services: &Arc<Services>, doing: Doing) {
        tokio::spawn(Lane::new(self, unit, services).watched(doing));
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
        cell.redeploy(Budget::new(run.restart, deployed.mode()), Shape::of(run));
        cell.ask(Control::Restart);
        drop(cell);
        self.kick(unit, services);
    }

    /// Sees to it that a driver looks at the cell.
    pub fn kick(self: &Arc<Self>, unit: &Arc<Unit>, services: &Arc<Services>) {
        if self.cell().claim_driver() {
            self.spawn(unit, services, Doing::Drive);
        } else {
            self.wake.notify_one();
        }
    }

    /// A lane or the driver itself is gone: a fault of this host's, which must not take the worker along.
    pub fn mend(self: &Arc<Self>, unit: &Arc<Unit>, services: &Arc<Services>, was_lane: bool) {
        const REASON: &str = "a fault in the host ended it; the host's log says more";
        let (now, jitter) = (services.clock.now(), services.jitter());
        {
            let mut cell = self.cell();
            let verdict = cell.budget.refused(now, jitter);
            cell.settle(verdict, true, services.clock.wall());
            cell.lost(was_lane);
        }
        drop(self.take_held());
        unit.facts.set_error(REASON);
        services.journal.event("worker.failed", Level::Error, Some(&unit.name), REASON);
        self.kick(unit, services);
    }

    pub fn log(&self, unit: &Unit, services: &Services) -> Arc<LogTarget> {
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
