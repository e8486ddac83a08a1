//! A replica's state machine: what it does next, decided under one lock by plain code.
//!
//! ```text
//!                      ┌───────────────── restart, update ─────────────────┐
//!                      ▼                                                   │
//!   (create) ──▶ starting ──init ok──▶ ready ⇄ (lanes handle events) ──drain──▶ stopped
//!                   │ ▲                  │ crash                           ▲
//!          init err │ │ backoff over     ├──budget left──▶ starting        │ policy: never again
//!                   ▼ │                  ├──budget spent─▶ quarantined     │
//!                failed, quarantined ◀───┘      └───────────────────────────┘
//! ```
//!
//! Two kinds of work: *lanes*, each with one event in hand (one for a resident, up to `room` for a per-event replica), and at most one
//! *driver*, which starts, stops and waits out backoffs. Both end when there is nothing to do: an idle replica has no task at all.
//! A per-event replica is `ready` without an instance: each event makes its own. Must not await, and must not know wasm.

use std::collections::VecDeque;

use jiff::Timestamp;
use tokio::time::Instant;

pub use super::message::{JobEnd, JobSink, JobTicket, Message, Reply};
use super::policy::{Budget, Verdict};
use crate::{
    facts::{InstanceMode, WorkerState},
    manifest::spec::{RunSpec, Start},
};

/// Events that may wait for one replica.
pub const MAILBOX: usize = 1_024;
/// What they may carry together, in bytes: a thousand large payloads would fill the machine.
pub const MAILBOX_BYTES: usize = 16 << 20;
/// Events of a per-event replica that may run at once where its triggers say nothing: calls, mostly.
const ROOM: u32 = 64;

/// How a replica takes its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub mode: InstanceMode,
    /// Events in hand at once.
    pub room: u32,
    /// Started by its first event.
    pub lazy: bool,
    /// Runs a command of its own for as long as it lives; takes no events.
    pub service: bool,
}

impl Shape {
    pub fn of(run: &RunSpec) -> Self {
        let asked = run.jobs.as_ref().map_or(0, |jobs| jobs.concurrency) + run.http.as_ref().map_or(0, |http| http.concurrency);
        let service = run.command.is_some() && run.schedule.is_none();
        let room = match (run.instance, asked) {
            (InstanceMode::Resident, _) => 1,
            (InstanceMode::PerEvent, 0) => ROOM,
            (InstanceMode::PerEvent, asked) => asked,
        };
        Self { mode: run.instance, room, lazy: run.start == Start::Lazy && !service, service }
    }
}

/// A planned change that waits for the event in flight. The last one asked for wins, but nothing undoes a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Control {
    Restart,
    Drain,
    Remove,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Starting,
    Ready,
    Quarantined { until: Instant },
    Failed { until: Option<Instant> },
    Stopped,
    Gone,
}

/// What the driver does next.
#[derive(Debug)]
pub enum Next {
    /// Begin a fresh incarnation.
    Start,
    /// Hand this event to a lane of its own, then ask again.
    Spawn(Box<Message>),
    /// The driver is a lane now, with this event in hand.
    Lane(Box<Message>),
    /// Run the service's command until it ends or a change is asked for.
    Serve,
    /// Tell these that they will not be handled, then ask again.
    Refuse(VecDeque<Box<Message>>),
    /// Let the instance go (planned), then ask again.
    Stop,
    /// Nothing before this time.
    Sleep(Instant),
    /// Nothing at all: the driver ends.
    Park,
}

/// What became of an event that was offered.
#[derive(Debug)]
pub enum Offered {
    /// A lane is free: whoever offered it runs it.
    Lane(Box<Message>),
    /// It waits; a driver has to be started for it, or not.
    Queued {
        drive: bool,
    },
    Refused(Box<Message>, String),
}

/// What a lane does when its event is over.
#[derive(Debug)]
pub enum After {
    Lane(Box<Message>),
    /// Be the driver from now on.
    Drive,
    Done,
}

#[derive(Debug)]
pub struct Cell {
    pub phase: Phase,
    pub since: Timestamp,
    pub incarnation: u64,
    pub budget: Budget,
    pub control: Option<Control>,
    queue: VecDeque<Box<Message>>,
    queued_bytes: usize,
    shape: Shape,
    /// A driver is at work.
    driving: bool,
    /// Lanes at work.
    running: u32,
    /// There is an instance that lives between events.
    pub holding: bool,
    /// It was stopped by an operator, not by its restart policy.
    pub drained: bool,
}

impl Cell {
    pub fn new(budget: Budget, shape: Shape, now: Timestamp) -> Self {
        Self {
            phase: Phase::Starting,
            since: now,
            incarnation: 0,
            budget,
            control: None,
            queue: VecDeque::new(),
            queued_bytes: 0,
            shape,
            driving: false,
            running: 0,
            holding: false,
            drained: false,
        }
    }

    /// A new deployment: its budget is whole. Takes effect with the restart that goes with it.
    pub fn redeploy(&mut self, budget: Budget, shape: Shape) {
        self.budget = budget;
        self.shape = shape;
    }

    pub fn enter(&mut self, phase: Phase, at: Timestamp) {
        self.phase = phase;
        self.since = at;
    }

    /// Whether a driver has to be started; marks it as started.
    pub fn claim_driver(&mut self) -> bool {
        !std::mem::replace(&mut self.driving, true)
    }

    /// The driver is gone.
    fn release_driver(&mut self) {
        self.driving = false;
    }

    /// A lane, or the driver, is gone without a word.
    pub fn lost(&mut self, was_lane: bool) {
        match was_lane {
            true => self.running = self.running.saturating_sub(1),
            false => self.driving = false,
        }
    }

    /// Takes an event in, or says why not.
    pub fn offer(&mut self, message: Box<Message>) -> Offered {
        if self.shape.service {
            return Offered::Refused(message, "runs a command of its own and takes no events".to_owned());
        }
        if self.control > Some(Control::Restart) {
            return Offered::Refused(message, "is draining".to_owned());
        }
        if self.queue.is_empty() && self.lane_free() {
            self.running += 1;
            return Offered::Lane(message);
        }
        // A restart that is asked for leads out of every state.
        let phase = if self.control == Some(Control::Restart) { Phase::Starting } else { self.phase };
        let refusal = match phase {
            Phase::Starting | Phase::Ready => {
                let bytes = self.queued_bytes + message.event.bytes();
                if (self.queue.len() >= MAILBOX || bytes > MAILBOX_BYTES) && !self.sweep(message.event.bytes()) {
                    let waiting = self.queue.len();
                    return Offered::Refused(message, format!("has {waiting} events waiting already, as many as fit"));
                }
                self.queued_bytes += message.event.bytes();
                self.queue.push_back(message);
                // A lane that ends looks into the queue by itself.
                return Offered::Queued { drive: self.running == 0 && self.claim_driver() };
            }
            Phase::Quarantined { .. } => "is quarantined".to_owned(),
            Phase::Failed { .. } => "failed to start".to_owned(),
            Phase::Stopped | Phase::Gone => "is stopped".to_owned(),
        };
        Offered::Refused(message, refusal)
    }

    fn lane_free(&self) -> bool {
        self.phase == Phase::Ready && self.control.is_none() && self.running < self.shape.room
    }

    /// The next event for a free lane.
    fn take(&mut self) -> Option<Box<Message>> {
        let message = if self.lane_free() { self.queue.pop_front() } else { None }?;
        self.queued_bytes -= message.event.bytes();
        self.running += 1;
        Some(message)
    }

    /// A lane's event is over.
    pub fn lane_done(&mut self) -> After {
        self.running -= 1;
        if let Some(message) = self.take() {
            return After::Lane(message);
        }
        let calm = self.phase == Phase::Ready && self.control.is_none();
        // A change waits for the last lane.
        let early = self.control.is_some() && self.running > 0;
        if !calm && !early && self.claim_driver() { After::Drive } else { After::Done }
    }

    /// Gives up the places of events whose callers have gone; answers whether one more of this size fits now.
    fn sweep(&mut self, bytes: usize) -> bool {
        self.queue.retain(|message| !message.abandoned());
        self.queued_bytes = self.queue.iter().map(|message| message.event.bytes()).sum();
        self.queue.len() < MAILBOX && self.queued_bytes + bytes <= MAILBOX_BYTES
    }

    pub fn ask(&mut self, control: Control) {
        if self.control != Some(Control::Remove) && self.phase != Phase::Gone {
            self.control = Some(control);
        }
    }

    /// Whether events are taken now, or as soon as it is started.
    pub fn open(&self) -> bool {
        let leads_up = self.control == Some(Control::Restart) || matches!(self.phase, Phase::Ready | Phase::Starting);
        leads_up && self.control <= Some(Control::Restart) && !self.shape.service
    }

    /// Whether nothing is queued or in flight.
    pub fn idle(&self) -> bool {
        self.queue.is_empty() && self.running == 0
    }

    /// Events with the guest.
    pub fn running(&self) -> u32 {
        self.running
    }

    /// No event more could be handled before one of those at work is over.
    pub fn full(&self) -> bool {
        let changing = self.control.is_some() && self.running > 0;
        self.running >= self.shape.room || changing || self.phase == Phase::Starting && self.driving
    }

    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// The events that will not be handled any more.
    pub fn drop_queue(&mut self) -> VecDeque<Box<Message>> {
        self.queued_bytes = 0;
        std::mem::take(&mut self.queue)
    }

    /// `wall` is asked only when the phase changes: most calls just hand over the next event.
    pub fn next(&mut self, now: Instant, wall: impl Fn() -> Timestamp) -> Next {
        if let Some(control) = self.control {
            if control > Control::Restart && !self.queue.is_empty() {
                return Next::Refuse(self.drop_queue());
            }
            if self.running > 0 {
                // The last lane drives on.
                return self.park();
            }
            if self.holding {
                return Next::Stop;
            }
            self.control = None;
            self.drained = control == Control::Drain;
            match control {
                Control::Restart => {
                    // Somebody mended something, or thinks so: what was held against it is forgotten.
                    self.budget.renew();
                    self.enter(Phase::Starting, wall());
                }
                Control::Drain => self.enter(Phase::Stopped, wall()),
                Control::Remove => self.enter(Phase::Gone, wall()),
            }
        }
        match self.phase {
            Phase::Starting if self.shape.lazy && self.queue.is_empty() => self.park(),
            Phase::Starting => Next::Start,
            Phase::Ready if self.shape.service && self.holding => Next::Serve,
            Phase::Ready => match self.take() {
                Some(message) if self.shape.room == 1 => {
                    self.release_driver();
                    Next::Lane(message)
                }
                Some(message) => Next::Spawn(message),
                None => self.park(),
            },
            // Down: whoever waits behind the end is told now, not when it comes back.
            _ if !self.queue.is_empty() => Next::Refuse(self.drop_queue()),
            Phase::Quarantined { until } | Phase::Failed { until: Some(until) } => {
                if now < until {
                    return Next::Sleep(until);
                }
                self.budget.released(now);
                self.enter(Phase::Starting, wall());
                if self.shape.lazy { self.park() } else { Next::Start }
            }
            Phase::Failed { until: None } | Phase::Stopped | Phase::Gone => self.park(),
        }
    }

    fn park(&mut self) -> Next {
        self.release_driver();
        Next::Park
    }

    /// Carries out what the policy said of an end. `failed`: `init` refused, rather than crashed.
    pub fn settle(&mut self, verdict: Verdict, failed: bool, wall: Timestamp) {
        self.holding = false;
        match verdict {
            Verdict::Restart if self.shape.mode == InstanceMode::Resident || self.shape.service => self.enter(Phase::Starting, wall),
            // The next event makes its own instance: nothing to enter.
            Verdict::Restart => {}
            Verdict::Quarantine { until } if failed => self.enter(Phase::Failed { until: Some(until) }, wall),
            Verdict::Quarantine { until } => self.enter(Phase::Quarantined { until }, wall),
            Verdict::Stop if failed => self.enter(Phase::Failed { until: None }, wall),
            Verdict::Stop => self.enter(Phase::Stopped, wall),
        }
    }

    /// As people see it.
    pub fn state(&self) -> WorkerState {
        match self.phase {
            Phase::Stopped | Phase::Gone => WorkerState::Stopped,
            _ if self.control > Some(Control::Restart) => WorkerState::Draining,
            // Nothing has asked for it yet: ready for its first event.
            Phase::Starting if self.shape.lazy && !self.driving && self.queue.is_empty() => WorkerState::Running,
            Phase::Starting => WorkerState::Starting,
            Phase::Ready => WorkerState::Running,
            Phase::Quarantined { .. } => WorkerState::Quarantined,
            Phase::Failed { .. } => WorkerState::Failed,
        }
    }

    pub fn next_try(&self) -> Option<Instant> {
        match self.phase {
            Phase::Quarantined { until } | Phase::Failed { until: Some(until) } => Some(until),
            _ => None,
        }
    }
}
