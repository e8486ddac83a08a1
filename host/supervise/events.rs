//! Events on their way to workers: ticks, calls, requests and jobs are offered to a replica that is free, or has the shortest queue.
//!
//! Must not enter an instance, and must not decide who may call whom.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};

use super::{
    Services, SuperviseError, Supervisor, Ticked,
    cell::{Message, Reply},
    message::JobTicket,
    replica::Replica,
    unit::Unit,
};
use crate::worker::{Answer, Event, HttpEvent, JobEvent, MAX_METHOD_BYTES, MAX_PAYLOAD_BYTES};

impl Supervisor {
    /// Offers a due tick to a free replica.
    pub fn tick(&self, name: &str, due: Instant, scheduled: jiff::Timestamp) -> Ticked {
        let Some(unit) = self.unit(name) else { return Ticked::NoWorker };
        let ticked = offer_tick(&unit, &self.services, due, scheduled);
        if ticked == Ticked::Skipped {
            self.missed(name, 1);
        }
        ticked
    }

    /// The first tick of a worker that is new or changed: when one of before the change is under way, this one follows it.
    pub fn first_tick(&self, name: &str, due: Instant, scheduled: jiff::Timestamp) -> Ticked {
        let Some(unit) = self.unit(name) else { return Ticked::NoWorker };
        // Owed before it is tried: the one under way may end in between.
        unit.owe_tick();
        let ticked = offer_tick(&unit, &self.services, due, scheduled);
        if ticked == Ticked::Sent {
            unit.pay_tick();
        }
        ticked
    }

    /// One call through the mailbox; `replica` none: a free one. Past `deadline` the answer is abandoned; the call itself is not.
    pub async fn call(
        &self,
        name: &str,
        replica: Option<u32>,
        method: String,
        payload: Vec<u8>,
        deadline: Duration,
    ) -> Result<Answer, SuperviseError> {
        let unit = self.unit(name).ok_or_else(|| SuperviseError::NotFound(name.to_owned()))?;
        callable(&unit, &method, &payload)?;
        let pinned = replica.is_some();
        let replica = self.replica(&unit, replica)?;
        let (reply, answer) = oneshot::channel();
        let message = Message {
            event: Event::Call { method, payload, chain: None },
            due: self.services.clock.now(),
            reply: Reply::Caller(reply),
            tick: None,
            pinned,
        };
        replica.post_here(&unit, &self.services, Box::new(message)).await.map_err(|(_, refusal)| refusal)?;
        match tokio::time::timeout(deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(SuperviseError::Refused(format!("worker \"{name}\" went away before it answered"))),
            Err(_) => Err(SuperviseError::Timeout),
        }
    }

    /// Hands an HTTP request to a free replica (`replica`: to that one). The response comes through the event's own channel; what is
    /// answered here tells how the event ended, which may be later: its body streams.
    pub fn request(
        &self,
        name: &str,
        replica: Option<u32>,
        event: Box<HttpEvent>,
    ) -> Result<oneshot::Receiver<Result<Answer, SuperviseError>>, SuperviseError> {
        let unit = self.unit(name).ok_or_else(|| SuperviseError::NotFound(name.to_owned()))?;
        let pinned = replica.is_some();
        let replica = self.replica(&unit, replica)?;
        let (reply, answer) = oneshot::channel();
        let message =
            Message { event: Event::Http(event), due: self.services.clock.now(), reply: Reply::Caller(reply), tick: None, pinned };
        replica.post(&unit, &self.services, Box::new(message)).map_err(|(_, refusal)| refusal)?;
        Ok(answer)
    }

    /// Hands a leased job to a free replica. Err: it was not taken; the ticket has told so.
    pub fn job(&self, name: &str, event: JobEvent, ticket: JobTicket) -> Result<(), SuperviseError> {
        let unit = self.unit(name).ok_or_else(|| SuperviseError::NotFound(name.to_owned()))?;
        let replica = self.replica(&unit, None)?;
        let message = Message {
            event: Event::Job(Box::new(event)),
            due: self.services.clock.now(),
            reply: Reply::Job(ticket),
            tick: None,
            pinned: false,
        };
        replica.post(&unit, &self.services, Box::new(message)).map_err(|(_, refusal)| refusal)
    }

    /// Waits until some replica takes events.
    pub async fn until_open(&self, name: &str) {
        loop {
            // A worker that isn't there yet comes with a change of desired state, which whoever asks hears of.
            let Some(unit) = self.unit(name) else { return std::future::pending().await };
            let mut moved = std::pin::pin!(unit.moved.notified());
            moved.as_mut().enable();
            if unit.with_replicas(|all| all.iter().any(|replica| replica.cell().open())) {
                return;
            }
            moved.await;
        }
    }

    pub(super) fn replica(&self, unit: &Unit, number: Option<u32>) -> Result<Arc<Replica>, SuperviseError> {
        match number {
            None => pick(unit).ok_or_else(|| SuperviseError::Refused(format!("worker \"{}\" has no replica", unit.name))),
            Some(number) => unit.replica(number).ok_or_else(|| SuperviseError::NotFound(format!("{}/{number}", unit.name))),
        }
    }

    /// Counts ticks that came due while nobody could offer them.
    pub fn missed(&self, name: &str, count: u64) {
        if count > 0
            && let Some(unit) = self.unit(name)
        {
            unit.facts.miss(count);
        }
    }
}

/// Hands a tick to a free replica; does not count when there is none.
pub(super) fn offer_tick(unit: &Arc<Unit>, services: &Arc<Services>, due: Instant, scheduled: jiff::Timestamp) -> Ticked {
    if services.closing.load(Ordering::Acquire) {
        return Ticked::Skipped;
    }
    let Some(guard) = unit.claim_tick() else { return Ticked::Skipped };
    let Some(replica) = pick(unit) else { return Ticked::Skipped };
    let missed = unit.facts.missed_since.swap(0, Ordering::Relaxed);
    let sequence = unit.facts.sequence.fetch_add(1, Ordering::Relaxed) + 1;
    let message =
        Message { event: Event::Tick { scheduled, sequence, missed }, due, reply: Reply::Nobody, tick: Some(guard), pinned: false };
    match replica.post(unit, services, Box::new(message)) {
        Ok(()) => Ticked::Sent,
        // Nothing was told to anybody; undone before the refused message frees the worker for the next tick.
        Err(_refused) => {
            unit.facts.missed_since.fetch_add(missed, Ordering::Relaxed);
            unit.facts.sequence.fetch_sub(1, Ordering::Relaxed);
            Ticked::Skipped
        }
    }
}

/// Whether a worker takes such a call at all.
pub(super) fn callable(unit: &Unit, method: &str, payload: &[u8]) -> Result<(), SuperviseError> {
    if method.len() > MAX_METHOD_BYTES {
        let bytes = method.len();
        return Err(SuperviseError::TooLarge(format!("the method's name has {bytes} bytes; it has at most {MAX_METHOD_BYTES}")));
    }
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(SuperviseError::TooLarge(format!(
            "the payload has {} bytes; a call carries at most {MAX_PAYLOAD_BYTES} (1 MiB)",
            payload.len()
        )));
    }
    if !unit.deployed().deployment.component.surface.call {
        let name = &unit.name;
        return Err(SuperviseError::Refused(format!("worker \"{name}\" answers no calls: its component exports no call-handler")));
    }
    Ok(())
}

/// A free replica if there is one, else the one with the shortest queue among those that run.
pub(super) fn pick(unit: &Unit) -> Option<Arc<Replica>> {
    unit.with_replicas(|replicas| match replicas {
        [] => None,
        [only] => Some(only.clone()),
        several => several
            .iter()
            .min_by_key(|replica| {
                let cell = replica.cell();
                (!cell.open(), cell.running() as usize + cell.waiting())
            })
            .cloned(),
    })
}
