//! Workers by name, as guests see each other: who is there, calls, casts and messages.
//!
//! Must not decide who may call whom; refuses only calls that would never be answered.

use std::{
    collections::BTreeMap,
    iter,
    sync::{Arc, PoisonError, RwLock, Weak},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::{
    Services, SuperviseError, Supervisor, Units,
    cell::{Message, Reply},
    replica::Replica,
    unit::Unit,
    waits::Waiting,
};
use crate::{
    capability::{
        caller::Caller,
        services::{CallFault, Directory, Member},
    },
    facts::{Level, Name},
    manifest::topics,
    worker::Event,
};

/// Supervision as capabilities see it; does not keep it alive.
pub struct Registry {
    services: Weak<Services>,
    units: Weak<RwLock<BTreeMap<Name, Arc<Unit>>>>,
}

impl Registry {
    pub fn of(supervisor: &Supervisor) -> Self {
        Self { services: Arc::downgrade(&supervisor.services), units: Arc::downgrade(&supervisor.units) }
    }

    fn supervisor(&self) -> Option<Supervisor> {
        let units: Units = self.units.upgrade()?;
        Some(Supervisor { services: self.services.upgrade()?, units })
    }
}

impl Supervisor {
    /// The replicas of a worker; none: there is no such worker.
    pub fn members(&self, name: &str) -> Option<Vec<Member>> {
        self.unit(name).map(|unit| members(&unit))
    }

    /// Whether this event may wait for that replica. The chain is looked at by name, so that a loop is refused however many replicas
    /// and instances its workers have.
    pub(super) fn may_wait<'w>(&'w self, caller: &Caller, unit: &Unit, target: &Arc<Replica>) -> Result<Option<Waiting<'w>>, CallFault> {
        let chain = || iter::once(&caller.worker).chain(caller.chain.iter().flat_map(|chain| chain.workers()));
        if chain().any(|worker| *worker == unit.name) {
            let way: Vec<&str> = chain().map(|worker| &**worker).collect();
            let way: Vec<&str> = way.into_iter().rev().chain([&*unit.name]).collect();
            return Err(CallFault::Cycle(format!("{} would wait for itself: {}", unit.name, way.join(" → "))));
        }
        let from = self.unit(&caller.worker).and_then(|unit| unit.replica(caller.replica));
        // An event of a worker that is gone meanwhile blocks nobody.
        let Some(from) = from else { return Ok(None) };
        match self.services.waits.begin(&from, caller.event, caller.serves(), target) {
            Some(waiting) => Ok(Some(waiting)),
            None => Err(CallFault::Cycle(format!(
                "{} waits, in the end, for {}: neither would ever answer; let one of them cast instead of call",
                unit.name, caller.worker
            ))),
        }
    }

    /// The replica meant, and whether it is the only one meant.
    fn target(&self, name: &str) -> Result<(Arc<Unit>, Arc<Replica>, bool), CallFault> {
        let missing = || CallFault::NotFound(format!("there is no worker \"{name}\""));
        if let Some(unit) = self.unit(name) {
            let replica = self.replica(&unit, None).map_err(fault)?;
            return Ok((unit, replica, false));
        }
        // A name in full goes first: items of `each` have a slash, too.
        let (worker, number) = name.rsplit_once('/').ok_or_else(missing)?;
        let unit = self.unit(worker).ok_or_else(missing)?;
        let number = number.parse().map_err(|_| missing())?;
        let replica = unit.replica(number).ok_or_else(missing)?;
        Ok((unit, replica, true))
    }

    async fn call_from(
        &self,
        caller: &Caller,
        name: &str,
        method: String,
        payload: Vec<u8>,
        deadline: Duration,
    ) -> Result<Vec<u8>, CallFault> {
        let (unit, replica, pinned) = self.target(name)?;
        callable(&unit, &method, &payload)?;
        let waiting = self.may_wait(caller, &unit, &replica)?;
        let (reply, answer) = oneshot::channel();
        let event = Event::Call { method, payload, chain: Some(caller.link(waiting.as_ref().map(Waiting::call))) };
        let message = Message { event, due: self.services.clock.now(), reply: Reply::Caller(reply), tick: None, pinned };
        replica.post_here(&unit, &self.services, Box::new(message)).await.map_err(|(_, refusal)| fault(refusal))?;
        match tokio::time::timeout(deadline, answer).await {
            Ok(Ok(Ok(answer))) => answer.map_err(CallFault::Failed),
            Ok(Ok(Err(error))) => Err(fault(error)),
            Ok(Err(_)) => Err(CallFault::Unavailable(format!("worker \"{name}\" went away before it answered"))),
            Err(_) => Err(CallFault::Timeout(format!("worker \"{name}\" did not answer in time; the call itself goes on"))),
        }
    }

    fn cast_from(&self, caller: &Caller, name: &str, method: String, payload: Vec<u8>) -> Result<(), CallFault> {
        let (unit, replica, pinned) = self.target(name)?;
        callable(&unit, &method, &payload)?;
        // Nobody waits for a cast, so none can close a loop; the chain ends here.
        let event = Event::Call { method, payload, chain: None };
        let message = Message { event, due: self.services.clock.now(), reply: Reply::Nobody, tick: None, pinned };
        tracing::trace!(from = %caller.worker, to = name, "cast");
        replica.post(&unit, &self.services, Box::new(message)).map_err(|(_, refusal)| fault(refusal))
    }

    /// Remembers what a worker listens to; nothing: it listens no more.
    pub(super) fn listen(&self, name: &Name, patterns: &[String]) {
        let mut listeners = self.services.listeners.write().unwrap_or_else(PoisonError::into_inner);
        match patterns {
            [] => drop(listeners.remove(name)),
            patterns => drop(listeners.insert(name.clone(), patterns.into())),
        }
    }

    /// Hands a message to one replica of each worker that listens; answers how many took it.
    fn spread(&self, topic: &str, payload: Vec<u8>) -> u32 {
        let listening: Vec<_> = {
            let listeners = self.services.listeners.read().unwrap_or_else(PoisonError::into_inner);
            let listens = |patterns: &[String]| patterns.iter().any(|pattern| topics::covers(pattern, topic));
            listeners.iter().filter(|(_, patterns)| listens(patterns)).filter_map(|(name, _)| self.unit(name)).collect()
        };
        let (topic, payload): (Arc<str>, Arc<[u8]>) = (topic.into(), payload.into());
        let mut taken = 0;
        for unit in listening {
            let event = Event::Message { topic: topic.clone(), payload: payload.clone() };
            let message = Message { event, due: self.services.clock.now(), reply: Reply::Nobody, tick: None, pinned: false };
            let posted = self
                .replica(&unit, None)
                .and_then(|replica| replica.post(&unit, &self.services, Box::new(message)).map_err(|(_, refusal)| refusal));
            match posted {
                Ok(()) => {
                    taken += 1;
                    unit.facts.keeps_up();
                }
                Err(refusal) => {
                    // Said once a stretch: a flood of messages must not become a flood of events.
                    if unit.facts.miss_message() {
                        let sentence = format!("misses messages on {topic}: {refusal}");
                        unit.facts.set_error(&sentence);
                        self.services.journal.event("topic.missed", Level::Warn, Some(&unit.name), sentence);
                    }
                }
            }
        }
        taken
    }
}

fn members(unit: &Unit) -> Vec<Member> {
    let member = |replica: &Arc<Replica>| {
        let cell = replica.cell();
        Member {
            worker: unit.name.clone(),
            replica: replica.number,
            state: cell.state().as_str(),
            busy: cell.running() > 0,
            waiting: u32::try_from(cell.waiting()).unwrap_or(u32::MAX),
        }
    };
    unit.replicas().iter().map(member).collect()
}

fn callable(unit: &Unit, method: &str, payload: &[u8]) -> Result<(), CallFault> {
    super::events::callable(unit, method, payload).map_err(fault)
}

fn fault(error: SuperviseError) -> CallFault {
    let sentence = error.to_string();
    match error {
        SuperviseError::NotFound(_) => CallFault::NotFound(sentence),
        SuperviseError::TooLarge(_) => CallFault::TooLarge(sentence),
        SuperviseError::Timeout => CallFault::Timeout(sentence),
        SuperviseError::Refused(_) | SuperviseError::Crashed(_) | SuperviseError::Overran(_) => CallFault::Unavailable(sentence),
    }
}

impl Directory for Registry {
    fn whereis(&self, name: &str) -> Option<Vec<Member>> {
        let supervisor = self.supervisor()?;
        if let Some(members) = supervisor.members(name) {
            return Some(members);
        }
        let (worker, number) = name.rsplit_once('/')?;
        let number: u32 = number.parse().ok()?;
        let found: Vec<_> = supervisor.members(worker)?.into_iter().filter(|member| member.replica == number).collect();
        (!found.is_empty()).then_some(found)
    }

    fn members(&self, wanted: &dyn Fn(&str) -> bool) -> Vec<Member> {
        let Some(supervisor) = self.supervisor() else { return Vec::new() };
        supervisor.all().iter().filter(|unit| wanted(&unit.name)).flat_map(|unit| members(unit)).collect()
    }

    fn call<'a>(
        &'a self,
        caller: &'a Caller,
        name: &'a str,
        method: String,
        payload: Vec<u8>,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Vec<u8>, CallFault>> {
        Box::pin(async move {
            let supervisor = self.supervisor().ok_or_else(stopping)?;
            supervisor.call_from(caller, name, method, payload, deadline).await
        })
    }

    fn cast(&self, caller: &Caller, name: &str, method: String, payload: Vec<u8>) -> Result<(), CallFault> {
        self.supervisor().ok_or_else(stopping)?.cast_from(caller, name, method, payload)
    }

    fn publish(&self, _: &Caller, topic: &str, payload: Vec<u8>) -> u32 {
        self.supervisor().map_or(0, |supervisor| supervisor.spread(topic, payload))
    }
}

fn stopping() -> CallFault {
    CallFault::Unavailable("the host is stopping".to_owned())
}
