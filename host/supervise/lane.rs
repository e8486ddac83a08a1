//! The one piece of code that enters instances: as a *lane* with an event in hand, or as the *driver* that starts and stops them.
//!
//! Carries out what the cell decides, in one task, as long as there is something to do; one turns into the other at the end of an event
//! so that a crash is followed by the next incarnation without a change of tasks.

use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
};

use futures_util::FutureExt;
use tokio::time::Instant;

use super::{
    Fact, Services, SuperviseError,
    cell::{After, JobEnd, Message, Next, Phase, Reply},
    events::{offer_tick, pick},
    policy::Verdict,
    replica::{Held, Replica},
    unit::{Deployed, Unit},
};
use crate::{
    capability::{caller::Chain, log::Log},
    facts::{InstanceMode, Level, TrapCause, WorkerState},
    manifest::spec::RestartPolicy,
    worker::{Answer, Crash, Ended, Errand, Event, Handled, Instance},
};

/// What a task of a replica is at.
#[derive(Debug)]
pub enum Doing {
    Lane(Box<Message>),
    Drive,
}

pub struct Lane {
    replica: Arc<Replica>,
    unit: Arc<Unit>,
    services: Arc<Services>,
    in_lane: bool,
}

/// How an event went, as far as replies need to know.
type Gone = Result<Handled, SuperviseError>;

impl Lane {
    pub fn new(replica: &Arc<Replica>, unit: &Arc<Unit>, services: &Arc<Services>) -> Self {
        Self { replica: replica.clone(), unit: unit.clone(), services: services.clone(), in_lane: false }
    }

    pub async fn watched(mut self, doing: Doing) {
        if AssertUnwindSafe(self.work(doing)).catch_unwind().await.is_err() {
            self.replica.mend(&self.unit, &self.services, self.in_lane);
        }
    }

    async fn work(&mut self, mut doing: Doing) {
        loop {
            doing = match doing {
                Doing::Lane(message) => {
                    self.in_lane = true;
                    self.run(*message).await;
                    self.in_lane = false;
                    let after = self.replica.cell().lane_done();
                    self.services.changed();
                    match after {
                        After::Lane(message) => Doing::Lane(message),
                        After::Drive => Doing::Drive,
                        After::Done => return,
                    }
                }
                // Boxed: starts are rare, and what they hold would make the task of every event larger.
                Doing::Drive => match Box::pin(self.drive()).await {
                    Some(message) => Doing::Lane(message),
                    None => {
                        // Ready for its first event may be what became of it, too.
                        self.unit.moved.notify_waiters();
                        self.services.changed();
                        return;
                    }
                },
            };
        }
    }

    /// Until there is nothing to drive, or it is a lane with this event.
    async fn drive(&mut self) -> Option<Box<Message>> {
        loop {
            let now = self.services.clock.now();
            let next = self.replica.cell().next(now, || self.services.clock.wall());
            match next {
                Next::Start => self.start().await,
                Next::Spawn(message) => self.replica.spawn(&self.unit, &self.services, Doing::Lane(message)),
                Next::Lane(message) => return Some(message),
                Next::Serve => self.serve().await,
                Next::Refuse(queue) => self.refuse(queue),
                Next::Stop => self.stop().await,
                Next::Sleep(until) => {
                    self.services.changed();
                    // Either the backoff is over or somebody called; the cell decides which.
                    let _ = tokio::time::timeout_at(until, self.replica.wake.notified()).await;
                }
                Next::Park => return None,
            }
        }
    }

    /// A fresh incarnation; for a resident with its instance, since `init` is part of being ready.
    async fn start(&mut self) {
        let deployed = self.unit.deployed();
        match self.services.claim(&self.unit.name, self.replica.number).await {
            Ok(incarnation) => self.replica.cell().incarnation = incarnation,
            Err(error) => return self.ended(Ended::Unavailable(format!("no epoch from the store: {error}")), &deployed, End::Start),
        }
        let keeps = deployed.mode() == InstanceMode::Resident;
        if keeps {
            match self.instance(&deployed, None).await {
                Ok(instance) => {
                    self.unit.facts.memory_peak.fetch_max(instance.memory_peak_bytes(), Ordering::Relaxed);
                    self.replica.hold(Box::new(Held { instance, deployed: deployed.clone() }));
                }
                Err(ended) => return self.ended(*ended, &deployed, End::Start),
            }
        }
        let mut cell = self.replica.cell();
        cell.holding = keeps;
        cell.enter(Phase::Ready, self.services.clock.wall());
        drop(cell);
        if keeps {
            self.services.well(&self.unit, &deployed, true);
        }
        self.unit.moved.notify_waiters();
        self.services.changed();
    }

    /// `chain`: whose calls led to the event it is made for.
    async fn instance(&self, deployed: &Deployed, chain: Option<Arc<Chain>>) -> Result<Instance, Box<Ended>> {
        let runtime = self.services.engines.get(deployed.deployment.component.kind);
        let keeps = deployed.mode() == InstanceMode::Resident;
        let place =
            if keeps {
                // A resident keeps its place: waiting for one could take for ever, so a full pool is an error that is shown.
                runtime.residents.clone().try_acquire_owned().map_err(|_| {
                    Ended::Unavailable("no room for another resident instance; raise limits.residents in skep.toml".to_owned())
                })?
            } else {
                runtime.events.clone().acquire_owned().await.map_err(|_| Ended::Unavailable("the host is stopping".to_owned()))?
            };
        let purpose = self.unit.purpose(deployed, &self.services, self.replica.number);
        let log = Log::new(self.replica.log(&self.unit, &self.services));
        let context = self.unit.context(deployed, &self.services, log, self.replica.number);
        let errand = Errand { event: self.services.next_event(), chain, ..Errand::default() };
        Instance::start(purpose, context, place, errand).await
    }

    async fn run(&mut self, message: Message) {
        if message.abandoned() {
            return;
        }
        let Message { event, due, mut reply, tick, .. } = message;
        reply.begin();
        let is_tick = matches!(event, Event::Tick { .. });
        let call = event.chain().and_then(|chain| chain.call);
        let end = match event {
            Event::Http(_) => End::Request,
            _ => End::Event,
        };
        let gone = match self.replica.take_held() {
            Some(held) => self.hand_over(held.instance, &held.deployed, event, due, end).await,
            None => {
                let deployed = self.unit.deployed();
                match self.instance(&deployed, event.chain().cloned()).await {
                    Ok(instance) => self.hand_over(instance, &deployed, event, due, end).await,
                    Err(ended) => self.failed(*ended, &deployed, End::Start),
                }
            }
        };
        drop(tick);
        if is_tick && self.unit.pay_tick() {
            // Refused only where ticks can't be handled now: then it is not owed any more.
            offer_tick(&self.unit, &self.services, self.services.clock.now(), self.services.clock.wall());
        }
        if let Some(call) = call {
            self.services.waits.answered(call);
        }
        reply_with(reply, gone);
    }

    async fn hand_over(&mut self, instance: Instance, deployed: &Arc<Deployed>, event: Event, due: Instant, end: End) -> Gone {
        let is_tick = matches!(event, Event::Tick { .. });
        if is_tick {
            self.unit.facts.late(self.services.clock.now().saturating_duration_since(due));
        }
        match instance.handle(event, self.services.next_event()).await {
            Ok((instance, mut handled)) => {
                // An error's sentence is shown to people.
                handled.answer = handled.answer.map_err(|reason| self.services.journal.masked(reason));
                self.answered(Some(instance), deployed, &handled.answer);
                Ok(handled)
            }
            Err(ended) => match *ended {
                Ended::Exited { normal } if is_tick && deployed.run().command.is_some() => Ok(self.ran(normal, deployed)),
                ended => self.failed(ended, deployed, end),
            },
        }
    }

    /// A command that ran to its end, on schedule: its status is its answer, and no crash whatever it is. Only whether there shall be
    /// another run is the policy's.
    fn ran(&mut self, normal: bool, deployed: &Arc<Deployed>) -> Handled {
        let answer = if normal { Ok(Vec::new()) } else { Err("the command exited with a failure".to_owned()) };
        self.answered(None, deployed, &answer);
        let enough = match deployed.run().restart.policy {
            RestartPolicy::Permanent => false,
            RestartPolicy::Transient => normal,
            RestartPolicy::Temporary => true,
        };
        if enough {
            self.ended(Ended::Exited { normal }, deployed, End::Event);
        }
        Handled { answer, job: None }
    }

    fn failed(&mut self, ended: Ended, deployed: &Deployed, end: End) -> Gone {
        let reason = self.services.journal.masked(ended.sentence());
        let error = match &ended {
            Ended::Crashed(Crash { cause: TrapCause::Timeout, .. }) => SuperviseError::Overran(reason),
            Ended::Crashed(_) | Ended::Exited { .. } => SuperviseError::Crashed(reason),
            Ended::Refused(_) | Ended::Unavailable(_) => {
                SuperviseError::Refused(format!("worker \"{}\" could not take it: {reason}", self.unit.name))
            }
        };
        self.ended(ended, deployed, end);
        Err(error)
    }

    fn answered(&mut self, instance: Option<Instance>, deployed: &Arc<Deployed>, answer: &Answer) {
        let facts = &self.unit.facts;
        if let Some(instance) = &instance {
            facts.memory_peak.fetch_max(instance.memory_peak_bytes(), Ordering::Relaxed);
        }
        let mut cell = self.replica.cell();
        match answer {
            Ok(_) => {
                facts.ok.fetch_add(1, Ordering::Relaxed);
                cell.budget.succeeded(self.services.clock.now());
            }
            Err(reason) => {
                facts.failed.fetch_add(1, Ordering::Relaxed);
                facts.set_error(reason);
            }
        }
        // What the cell knows of is kept; the mode may have changed meanwhile.
        if let Some(instance) = instance.filter(|_| cell.holding) {
            self.replica.hold(Box::new(Held { instance, deployed: deployed.clone() }));
        }
        drop(cell);
        if answer.is_ok() {
            self.services.well(&self.unit, deployed, false);
        }
    }

    /// A service's command, until it ends or a change is asked for: only that drops a running call.
    async fn serve(&mut self) {
        let Some(held) = self.replica.take_held() else {
            return self.ended(Ended::Unavailable("its instance is gone".to_owned()), &self.unit.deployed(), End::Start);
        };
        let Held { instance, deployed } = *held;
        let mut running = std::pin::pin!(instance.serve(self.services.next_event()));
        let ended = loop {
            let asked = self.replica.wake.notified();
            if self.replica.cell().control.is_some() {
                break None;
            }
            tokio::select! {
                ended = running.as_mut() => break Some(ended),
                () = asked => {}
            }
        };
        match ended {
            None => self.replica.cell().holding = false,
            Some(ended) => self.ended(*ended, &deployed, End::Event),
        }
    }

    /// An instance is over, or could not be made: policy decides what follows.
    fn ended(&mut self, ended: Ended, deployed: &Deployed, end: End) {
        let (services, unit) = (self.services.clone(), self.unit.clone());
        let (now, wall, jitter) = (services.clock.now(), services.clock.wall(), services.jitter());
        // Of what ended: it may be an update that is waiting for this very end, and has nothing to do with it.
        let digest = deployed.deployment.component.digest.clone();
        let mode = deployed.mode();
        let (verdict, failed, planned, incarnation) = {
            let mut cell = self.replica.cell();
            let planned = cell.control.is_some();
            let (verdict, failed) = match &ended {
                // A restart, an update or an end follows anyway: this is recorded, and decides nothing.
                _ if planned => (Verdict::Restart, false),
                // Any visitor could bring a trap about: it costs the request.
                Ended::Crashed(_) | Ended::Exited { .. } if end == End::Request && mode == InstanceMode::PerEvent => {
                    (Verdict::Restart, false)
                }
                Ended::Crashed(_) => (cell.budget.crashed(now, jitter), false),
                Ended::Exited { normal } => (cell.budget.exited(*normal, now, jitter), false),
                Ended::Refused(_) => (cell.budget.refused(now, jitter), true),
                // Not the guest's doing: an event is lost, or the start is tried again later.
                Ended::Unavailable(_) if end == End::Start && cell.phase == Phase::Starting => (cell.budget.refused(now, jitter), true),
                Ended::Unavailable(_) => (Verdict::Restart, false),
            };
            cell.settle(verdict, failed, wall);
            (verdict, failed, planned, cell.incarnation)
        };
        let sentence = services.journal.masked(ended.sentence());
        // People are told what the guest said, where it said anything.
        let said = match &ended {
            Ended::Crashed(crash) if matches!(verdict, Verdict::Quarantine { .. }) => services.journal.masked(crash.said()),
            _ => sentence.clone(),
        };
        // Done, and meant to be: nothing went wrong.
        let well = verdict == Verdict::Stop && matches!(ended, Ended::Exited { normal: true });
        if let Ended::Crashed(crash) = ended {
            self.crashed(crash, incarnation);
        } else if !well {
            unit.facts.set_error(&sentence);
        }
        let verb = |until: Instant| format!("next try in {}", super::short(until.saturating_duration_since(now)));
        match verdict {
            Verdict::Restart if !planned && mode == InstanceMode::Resident => {
                unit.facts.restarts.fetch_add(1, Ordering::Relaxed);
            }
            Verdict::Restart => {}
            Verdict::Quarantine { until } if failed => {
                services.alarm(&unit, deployed, WorkerState::Failed, &sentence, format!("{sentence}; {}", verb(until)));
                services.tell(Fact::Failed { worker: unit.name.clone(), digest, reason: sentence });
            }
            Verdict::Quarantine { until } => {
                let message = format!("quarantined after crashing too often: {sentence}; {}", verb(until));
                services.alarm(&unit, deployed, WorkerState::Quarantined, &said, message);
                services.tell(Fact::Quarantined { worker: unit.name.clone(), digest });
            }
            Verdict::Stop => {
                let level = if well { Level::Info } else { Level::Warn };
                services.journal.event("worker.stopped", level, Some(&unit.name), format!("not restarted: {sentence}"));
            }
        }
        unit.moved.notify_waiters();
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
        if let Some(held) = self.replica.take_held()
            && let Some(ended) = held.instance.stop(self.services.next_event()).await
            && let Ended::Crashed(crash) = *ended
        {
            // Recorded, but no reason to restart what is stopping anyway.
            let incarnation = self.replica.cell().incarnation;
            self.crashed(crash, incarnation);
        }
        self.replica.cell().holding = false;
    }

    /// Whoever waits behind an end that is not followed by a restart is handled by another replica, or told now.
    fn refuse(&self, queue: VecDeque<Box<Message>>) {
        for mut message in queue {
            let other = pick(&self.unit).filter(|other| !message.pinned && !Arc::ptr_eq(other, &self.replica) && other.cell().open());
            if let Some(other) = other {
                match other.post(&self.unit, &self.services, message) {
                    Ok(()) => continue,
                    Err((back, _)) => message = back,
                }
            }
            let Message { event, reply, .. } = *message;
            if matches!(event, Event::Tick { .. }) {
                self.unit.facts.miss(1);
            }
            reply_with(reply, Err(SuperviseError::Refused(format!("worker \"{}\" went down before the event's turn", self.unit.name))));
        }
    }
}

/// What was going on when an instance ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Start,
    Event,
    Request,
}

/// Tells whoever waits; a caller may have given up meanwhile.
fn reply_with(reply: Reply, gone: Gone) {
    match (reply, gone) {
        (Reply::Nobody, _) => {}
        (Reply::Caller(caller), gone) => drop(caller.send(gone.map(|handled| handled.answer))),
        (Reply::Job(ticket), Ok(Handled { job: Some(job), .. })) => ticket.end(JobEnd::Answered(job)),
        // What runs now handles no jobs: an update came in between.
        (Reply::Job(ticket), Ok(Handled { job: None, .. })) => ticket.end(JobEnd::NotTaken),
        (Reply::Job(ticket), Err(SuperviseError::Refused(_))) => ticket.end(JobEnd::NotTaken),
        (Reply::Job(ticket), Err(error)) => ticket.end(JobEnd::Crashed(error.to_string())),
    }
}
