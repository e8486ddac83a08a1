//! The queue's calls, on the store's handle.
//!
//! Must not block: what needs the disk is put before the writer at once, and the future only waits for its answer.

use std::{sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, ready};
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use super::{
    Finished, JobFilter, Jobs, LeasedJob, MAX_PUSH_JOBS, MAX_SPAN, NewJob, Outcome, Pushed, QueueSettings, Term,
    core::Core,
    memory::Hold,
    op::{Addressed, Finish, Lease, Op, Purge, Reply},
    policy, rows, timer, views,
};
use crate::{
    facts::{JobState, JobView, QueueView},
    store::{Store, StoreError},
};

/// Different queues that jobs lie in or somebody asked about.
const MAX_QUEUES: usize = 10_000;

type Answer<T> = BoxFuture<'static, Result<T, StoreError>>;

impl Core {
    /// Puts work before the writer now; the future waits for its answer.
    fn ask<T: Send + 'static>(&self, op: impl FnOnce(Reply<T>) -> Op) -> Answer<T> {
        let (reply, answered) = oneshot::channel();
        match self.put(op(Some(reply))) {
            Ok(()) => Box::pin(async move { answered.await.map_err(|_| StoreError::Closed)? }),
            Err(error) => refused(error),
        }
    }

    fn address(&self, jobs: Vec<NewJob>) -> Result<Vec<Addressed>, StoreError> {
        if let Some(refusal) = policy::refuse_push(&jobs) {
            return Err(StoreError::TooLarge(refusal));
        }
        let mut memory = self.memory();
        let mut addressed = Vec::with_capacity(jobs.len());
        for job in jobs {
            if !memory.names.contains_key(&job.queue) && !memory.room_for_another(MAX_QUEUES) {
                return Err(StoreError::TooLarge(format!(
                    "the queue {} would be one of more than {MAX_QUEUES}: use fewer queues, and keys or payloads to tell jobs apart",
                    job.queue
                )));
            }
            addressed.push((memory.queue(&job.queue), job));
        }
        Ok(addressed)
    }

    /// Takes an attempt out of its holder's hands, to end it.
    fn ending(&self, id: Uuid, attempt: u32, outcome: Outcome, pushes: Vec<Addressed>) -> Option<Finish> {
        let moment = self.moment();
        let mut memory = self.memory();
        let lease = memory.held(id, attempt)?;
        lease.hold = Hold::Pending;
        let lease = memory.leases.get(&id)?;
        let (verdict, tally) = self.judge(&memory, lease, outcome);
        let ttl_ms = rows::millis_of(memory.terms(lease.queue, lease.job.terms).result_ttl);
        let (queue, seq, outside) = (lease.queue, lease.job.place.seq, lease.until.is_some());
        Some(Finish { id, seq, queue, attempt, outside, verdict, tally, ttl_ms, pushes, moment, reply: None })
    }
}

fn refused<T: Send + 'static>(error: StoreError) -> Answer<T> {
    Box::pin(ready(Err(error)))
}

impl Jobs for Store {
    fn push(&self, jobs: Vec<NewJob>) -> Answer<Vec<Pushed>> {
        let core = self.jobs_core();
        timer::ensure(core);
        // An end of an attempt is never turned away like this: it frees memory.
        if let Some(error) = core.crowded().filter(|_| !jobs.is_empty()) {
            return refused(error);
        }
        match core.address(jobs) {
            Ok(jobs) if jobs.is_empty() => Box::pin(ready(Ok(Vec::new()))),
            Ok(jobs) => {
                let moment = core.moment();
                core.ask(|reply| Op::Push { jobs, moment, reply })
            }
            Err(error) => refused(error),
        }
    }

    fn due(&self, queue: &str) -> usize {
        let core = self.jobs_core();
        let mut memory = core.memory();
        let due = memory.at_hand(queue);
        drop(memory);
        if due.refill {
            let _ = core.put(Op::Refill);
        }
        due.jobs
    }

    fn lease(&self, queue: &str, max: usize, holder: &Arc<str>, term: Term) -> Vec<LeasedJob> {
        let core = self.jobs_core();
        timer::ensure(core);
        let mut memory = core.memory();
        let Some(id) = memory.names.get(queue).copied() else { return Vec::new() };
        let taken = memory.take(id, max, usize::MAX, holder, Hold::Held);
        let moment = core.moment();
        if let Term::For(term) = term {
            let term_ms = rows::millis_of(term.min(MAX_SPAN));
            for (_, job) in &taken.jobs {
                if let Some(lease) = memory.leases.get_mut(&job.id) {
                    lease.until = Some(moment.line.saturating_add(term_ms));
                }
            }
            // In line before whatever ends these leases.
            let _ = core.put(Op::Lease(Lease {
                queue: id,
                max,
                holder: holder.clone(),
                term_ms,
                taken: taken.jobs.clone(),
                moment,
                reply: None,
            }));
        }
        let begun = !taken.jobs.is_empty() && !std::mem::replace(&mut memory.starts_asked, true);
        drop(memory);
        // A closed store writes nothing down, and finishes nothing either.
        if begun {
            core.mention(Op::Starts);
        }
        if taken.refill {
            let _ = core.put(Op::Refill);
        }
        if !taken.doomed.is_empty() {
            for (place, job, tally) in taken.doomed {
                let _ = core.put(Op::Finish(Finish::doomed(id, place, job, tally, moment)));
            }
        }
        taken.jobs.into_iter().map(|(_, job)| job).collect()
    }

    fn lease_for(&self, queue: &str, max: usize, holder: &Arc<str>, term: Duration) -> Answer<Vec<LeasedJob>> {
        let core = self.jobs_core();
        timer::ensure(core);
        let (moment, holder, term_ms) = (core.moment(), holder.clone(), rows::millis_of(term.min(MAX_SPAN)));
        let Some(queue) = core.memory().names.get(queue).copied() else { return Box::pin(ready(Ok(Vec::new()))) };
        let max = max.min(MAX_PUSH_JOBS);
        core.ask(|reply| Op::Lease(Lease { queue, max, holder, term_ms, taken: Vec::new(), moment, reply }))
    }

    fn ready(&self, queue: &str) -> watch::Receiver<u64> {
        let core = self.jobs_core();
        timer::ensure(core);
        let mut memory = core.memory();
        let id = memory.watched(queue);
        let room = memory.whole_room();
        let unread = memory.lines.get(&id).is_some_and(|line| line.needs_refill(room)) && memory.low.insert(id);
        let ready = memory.lines.get(&id).map_or_else(|| watch::channel(0).1, |line| line.ready.subscribe());
        drop(memory);
        if unread {
            let _ = core.put(Op::Refill);
        }
        ready
    }

    fn finish(&self, id: Uuid, attempt: u32, outcome: Outcome, pushes: Vec<NewJob>) -> Answer<Finished> {
        let core = self.jobs_core();
        if let Some(refusal) = policy::refuse_outcome(&outcome) {
            return refused(StoreError::TooLarge(refusal));
        }
        let pushes = match core.address(pushes) {
            Ok(pushes) => pushes,
            Err(error) => return refused(error),
        };
        match core.ending(id, attempt, outcome, pushes) {
            Some(finish) => core.ask(|reply| Op::Finish(Finish { reply, ..finish })),
            None => Box::pin(ready(Ok(Finished::Stale))),
        }
    }

    fn extend(&self, id: Uuid, attempt: u32, term: Duration) -> Answer<bool> {
        let core = self.jobs_core();
        let moment = core.moment();
        let until = moment.line.saturating_add(rows::millis_of(term.min(MAX_SPAN)));
        let lease = core.memory().held(id, attempt).map(|lease| (lease.job.place.seq, lease.until.is_some()));
        match lease {
            Some((seq, true)) => core.ask(|reply| Op::Extend { id, seq, attempt, until, moment, reply }),
            // A lease of this host needs no extending.
            held => Box::pin(ready(Ok(held.is_some()))),
        }
    }

    fn progress(&self, id: Uuid, attempt: u32, note: String) -> bool {
        let mut memory = self.jobs_core().memory();
        let held = memory.held(id, attempt);
        held.map(|lease| lease.note = Some(policy::note(&note).into())).is_some()
    }

    fn holds(&self, id: Uuid, attempt: u32) -> bool {
        self.jobs_core().memory().held(id, attempt).is_some()
    }

    fn job(&self, id: Uuid) -> Answer<Option<JobView>> {
        let store = self.clone();
        Box::pin(async move { views::job(&store, id).await })
    }

    fn wait(&self, id: Uuid) -> Answer<Option<JobView>> {
        let store = self.clone();
        Box::pin(async move { views::wait(&store, id).await })
    }

    fn jobs(&self, filter: JobFilter, peek: bool) -> Answer<Vec<JobView>> {
        let store = self.clone();
        Box::pin(async move { views::list(&store, filter, peek).await })
    }

    fn cancel(&self, id: Uuid) -> Answer<Option<bool>> {
        let core = self.jobs_core();
        let moment = core.moment();
        core.ask(|reply| Op::Cancel { id, moment, reply })
    }

    fn retry(&self, id: Uuid) -> Answer<Option<bool>> {
        let core = self.jobs_core();
        let moment = core.moment();
        core.ask(|reply| Op::Retry { id, moment, reply })
    }

    fn purge(&self, queue: &str, states: &[JobState]) -> Answer<u64> {
        let core = self.jobs_core();
        let Some(queue) = core.memory().names.get(queue).copied() else { return Box::pin(ready(Ok(0))) };
        let (states, moment) = (states.to_vec(), core.moment());
        core.ask(|reply| Op::Purge(Purge { queue, states, after: 0, upto: None, purged: 0, moment, reply }))
    }

    fn queues(&self) -> Answer<Vec<QueueView>> {
        let store = self.clone();
        Box::pin(async move { views::queues(&store).await })
    }

    fn configure(&self, queues: Vec<(Arc<str>, QueueSettings)>, default: QueueSettings) {
        let core = self.jobs_core();
        timer::ensure(core);
        let mut memory = core.memory();
        memory.default = default;
        memory.lines.values_mut().for_each(|line| line.settings = None);
        for (name, settings) in queues {
            let id = memory.queue(&name);
            if let Some(line) = memory.lines.get_mut(&id) {
                line.settings = Some(settings);
            }
        }
    }
}
