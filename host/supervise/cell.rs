//! A replica's state machine: what it does next, decided under one lock by plain code.
//!
//! ```text
//!                      ┌───────────────── restart, update ─────────────────┐
//!                      ▼                                                   │
//!   (create) ──▶ starting ──init ok──▶ ready ⇄ (handles one event) ──drain──▶ stopped
//!                   │ ▲                  │ crash                           ▲
//!          init err │ │ backoff over     ├──budget left──▶ starting        │ policy: never again
//!                   ▼ │                  ├──budget spent─▶ quarantined     │
//!                failed, quarantined ◀───┘      └───────────────────────────┘
//! ```
//!
//! A per-event replica is `ready` without an instance: each event makes its own. Must not await, and must not know wasm.

use std::collections::VecDeque;

use jiff::Timestamp;
use tokio::{sync::oneshot, time::Instant};

use super::{
    SuperviseError,
    policy::{Budget, Verdict},
};
use crate::{
    facts::{InstanceMode, WorkerState},
    worker::{Answer, Event},
};

/// Events that may wait for one replica.
pub const MAILBOX: usize = 1_024;
/// What they may carry together, in bytes: a thousand large payloads would fill the machine.
pub const MAILBOX_BYTES: usize = 16 << 20;

/// One event on its way to a replica, with whoever waits for the answer.
#[derive(Debug)]
pub struct Message {
    pub event: Event,
    pub due: Instant,
    pub reply: Option<oneshot::Sender<Result<Answer, SuperviseError>>>,
    /// Freed when the event is over, however it ends.
    pub tick: Option<super::unit::TickGuard>,
}

impl Message {
    /// Whoever asked is gone: nobody wants the answer.
    pub fn abandoned(&self) -> bool {
        self.reply.as_ref().is_some_and(oneshot::Sender::is_closed)
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
    /// Hand this event over.
    Run(Box<Message>),
    /// Tell these that they will not be handled, then ask again.
    Refuse(VecDeque<Box<Message>>),
    /// Let the instance go (planned), then ask again.
    Stop,
    /// Nothing before this time.
    Sleep(Instant),
    /// Nothing until somebody calls.
    Wait,
    /// Nothing at all: the driver ends, whoever posts next starts another.
    Park,
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
    mode: InstanceMode,
    /// A driver task is at work.
    driving: bool,
    /// The driver holds an instance.
    pub holding: bool,
    /// An event is with the guest.
    pub busy: bool,
    /// It was stopped by an operator, not by its restart policy.
    pub drained: bool,
}

impl Cell {
    pub fn new(budget: Budget, mode: InstanceMode, now: Timestamp) -> Self {
        Self {
            phase: Phase::Starting,
            since: now,
            incarnation: 0,
            budget,
            control: None,
            queue: VecDeque::new(),
            queued_bytes: 0,
            mode,
            driving: false,
            holding: false,
            busy: false,
            drained: false,
        }
    }

    /// A new deployment: its budget is whole. Takes effect with the restart that goes with it.
    pub fn redeploy(&mut self, budget: Budget, mode: InstanceMode) {
        self.budget = budget;
        self.mode = mode;
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
    pub fn release_driver(&mut self) {
        self.driving = false;
    }

    /// Takes an event in, or says why not.
    pub fn accept(&mut self, message: Box<Message>) -> Result<(), (Box<Message>, String)> {
        if self.control > Some(Control::Restart) {
            return Err((message, "is draining".to_owned()));
        }
        // A restart that is asked for leads out of every state.
        let phase = if self.control == Some(Control::Restart) { Phase::Starting } else { self.phase };
        let refusal = match phase {
            Phase::Starting | Phase::Ready => {
                let bytes = self.queued_bytes + message.event.bytes();
                if (self.queue.len() >= MAILBOX || bytes > MAILBOX_BYTES) && !self.sweep(message.event.bytes()) {
                    let waiting = self.queue.len();
                    return Err((message, format!("has {waiting} events waiting already, as many as fit")));
                }
                self.queued_bytes += message.event.bytes();
                self.queue.push_back(message);
                return Ok(());
            }
            Phase::Quarantined { .. } => "is quarantined".to_owned(),
            Phase::Failed { .. } => "failed to start".to_owned(),
            Phase::Stopped | Phase::Gone => "is stopped".to_owned(),
        };
        Err((message, refusal))
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

    /// Whether nothing is queued or in flight.
    pub fn idle(&self) -> bool {
        self.queue.is_empty() && !self.busy
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
            Phase::Starting => Next::Start,
            Phase::Ready => match self.queue.pop_front() {
                Some(message) => {
                    self.queued_bytes -= message.event.bytes();
                    self.busy = true;
                    Next::Run(message)
                }
                None if self.mode == InstanceMode::Resident => Next::Wait,
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
                Next::Start
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
            Verdict::Restart if self.mode == InstanceMode::Resident => self.enter(Phase::Starting, wall),
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
