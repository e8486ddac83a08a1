//! The queue's part of a batch: rows within the transaction, then, once it is committed, memory and answers in the same order.
//!
//! Must not change memory before the commit, but for what takes a job out of everybody's reach. If the commit fails, memory is as the
//! disk is: leases whose end was lost rest until the disk takes writes again, and nothing is given out meanwhile.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use rusqlite::Connection;
use uuid::Uuid;

use super::{
    Finished, NewJob, Outcome, Pushed,
    core::Core,
    memory::{Hold, Memory, Start},
    op::{Addressed, Finish, Lease, Op, Reply},
    policy::Tally,
    rows::{self, QueueId},
    timeline::Moment,
    timer,
    window::{Due, Place, Terms},
};
use crate::{
    facts::JobState,
    store::{
        StoreError, Surroundings, control,
        outbox::{self, Outbox},
        queue::Queue,
    },
};

/// Jobs of one queue that are not over.
pub const MAX_OPEN_JOBS: u64 = 10_000_000;
/// The disk is tried again after this long.
pub(super) const REST_MS: i64 = 1_000;

#[derive(Debug)]
pub(in crate::store) struct Writer {
    pub(super) core: Arc<Core>,
    next_seq: i64,
    skew: i64,
    /// The latest moment that work came from.
    pub(super) moment: Moment,
    pub(super) batch: Batch,
}

/// What follows a commit, in order.
#[derive(Default)]
pub(super) struct Batch {
    pub effects: Vec<Effect>,
    pub answers: Vec<Answer>,
    pub sums: BTreeMap<QueueId, Sum>,
    pub starts: Vec<Start>,
    /// The soonest moment that something happens by itself.
    pub wake: Option<i64>,
    /// The timer went: it is armed anew.
    pub rearm: bool,
    /// Something was written: a commit shows that the disk takes writes.
    pub wrote: bool,
    /// The wall clock jumped.
    pub skew: Option<i64>,
    /// What goes on in the next batch.
    pub again: Vec<Op>,
    /// Queues that jobs were put out of reach of.
    pub seized: Vec<QueueId>,
}

pub(super) type Answer = Box<dyn FnOnce(Result<(), &StoreError>) + Send>;

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").field("effects", &self.effects).field("sums", &self.sums).finish_non_exhaustive()
    }
}

/// How a batch changes a queue's counts.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Sum {
    pub counts: [i64; 6],
    pub pushed: u64,
    pub finished: u64,
}

#[derive(Debug)]
pub(super) enum Effect {
    /// Due, and nobody's.
    Ready(QueueId, Due),
    /// An attempt's end is durable; `back`: the job is due again with these attempts, as the lease has it.
    Ended { id: Uuid, attempt: u32, back: Option<Tally> },
    /// A lease from outside is durable.
    Leased { id: Uuid, attempt: u32, until: i64 },
    /// The job waits no longer: cancelled, purged, forgotten.
    Gone { id: Uuid, queue: QueueId, place: Place },
    /// Whoever waits for its end may look.
    Over(Uuid),
    /// A purge let go of the queue.
    Thawed(QueueId),
}

impl Writer {
    /// Reads what must be known before the first call.
    pub fn open(db: &Connection, writer: Arc<Queue<control::Work>>, surroundings: Surroundings) -> rusqlite::Result<Self> {
        db.set_prepared_statement_cache_capacity(64);
        let skew = rows::skew(db)?;
        let memory = Memory::new(rows::queues(db)?, rows::running(db)?);
        let wake = soonest(rows::next_wakes(db)?);
        let core = Arc::new(Core::new(memory, writer, surroundings, skew, wake, Outbox::new(outbox::was_open(db)?)));
        timer::ensure(&core);
        let moment = core.moment();
        Ok(Self { core, next_seq: rows::last_seq(db)? + 1, skew, moment, batch: Batch::default() })
    }

    pub fn core(&self) -> Arc<Core> {
        self.core.clone()
    }

    /// Before the transaction: disk and memory say the same, so jobs can be taken for those who lease from outside, and what a purge
    /// goes over is taken out of reach.
    pub fn prepare<'a>(&mut self, db: &Connection, ops: impl Iterator<Item = &'a mut Op>) -> rusqlite::Result<()> {
        for op in ops {
            self.moment = op.moment().unwrap_or(self.moment);
            match op {
                Op::Lease(lease) if lease.reply.is_some() => self.take(db, lease)?,
                Op::Purge(purge) if purge.states.contains(&JobState::Waiting) => self.core.memory().freeze(purge.queue, true),
                _ => {}
            }
        }
        Ok(())
    }

    /// Within the transaction. An error fails the whole batch.
    pub fn perform(&mut self, db: &Connection, op: &mut Op) -> rusqlite::Result<()> {
        if let Some(moment) = op.moment() {
            self.notice(db, moment)?;
        }
        match op {
            Op::Push { jobs, moment, reply } => self.push(db, jobs, *moment, reply),
            Op::Finish(finish) => self.finish(db, finish),
            Op::Lease(lease) => self.lease(db, lease),
            Op::Extend { id, seq, attempt, until, reply, .. } => {
                let extended = rows::extend(db, *seq, *attempt, *until)?;
                if extended {
                    self.wake_by(*until);
                    self.batch.effects.push(Effect::Leased { id: *id, attempt: *attempt, until: *until });
                }
                self.answer(reply, extended);
                Ok(())
            }
            Op::Cancel { id, moment, reply } => self.cancel(db, *id, *moment, reply),
            Op::Retry { id, moment, reply } => self.retry(db, *id, *moment, reply),
            Op::Purge(purge) => self.purge(db, purge),
            Op::Due { moment } => self.due(db, *moment),
            Op::Starts | Op::Refill => Ok(()),
        }
    }

    /// Keeps a jump of the wall clock, whoever sees it first.
    pub fn notice(&mut self, db: &Connection, moment: Moment) -> rusqlite::Result<()> {
        if let Some(skew) = moment.jumped(self.batch.skew.unwrap_or(self.skew)) {
            rows::keep_skew(db, skew)?;
            self.batch.skew = Some(skew);
        }
        Ok(())
    }

    /// Last in the transaction: attempts that have begun, and the counts.
    pub fn conclude(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let mut starts = std::mem::take(&mut self.core.memory().aged);
        if !starts.is_empty() {
            // A start whose end is on its way is not worth a write.
            let mut memory = self.core.memory();
            starts.retain(|start| memory.held(start.id, start.attempt).is_some());
        }
        self.batch.starts = starts;
        for start in &self.batch.starts {
            rows::begun(db, start.seq, start.attempt)?;
        }
        for (queue, sum) in self.batch.sums.iter().filter(|(_, sum)| sum.counts != [0; 6]) {
            let name = self.core.memory().lines.get(queue).map(|line| line.name.clone());
            rows::count(db, *queue, name.as_deref().unwrap_or_default(), &sum.counts)?;
        }
        Ok(())
    }

    fn push(&mut self, db: &Connection, jobs: &mut Vec<Addressed>, moment: Moment, reply: &mut Reply<Vec<Pushed>>) -> rusqlite::Result<()> {
        if let Some(refusal) = self.over_bound(jobs) {
            self.refuse(reply, refusal);
            return Ok(());
        }
        let pushed = self.add(db, std::mem::take(jobs), moment)?;
        self.answer(reply, pushed);
        Ok(())
    }

    pub(super) fn add(&mut self, db: &Connection, jobs: Vec<Addressed>, moment: Moment) -> rusqlite::Result<Vec<Pushed>> {
        self.batch.wrote = true;
        jobs.into_iter()
            .map(|(queue, job)| {
                let (id, state) = (job.id, if job.delay.is_zero() { JobState::Waiting } else { JobState::Delayed });
                let due_at = moment.line.saturating_add(rows::millis_of(job.delay));
                let mut fresh = self.insert(db, queue, &job, state, due_at, moment)?;
                if !fresh && let Some(key) = &job.unique_key {
                    if let Some(other) = rows::by_key(db, queue, key)? {
                        if !other.expired(moment.line) {
                            return Ok(Pushed { id: other.id, fresh: false });
                        }
                        // Its time is over, only its row is still there.
                        self.forget(db, &other)?;
                    }
                    fresh = self.insert(db, queue, &job, state, due_at, moment)?;
                }
                Ok(Pushed { id, fresh })
            })
            .collect()
    }

    fn insert(
        &mut self,
        db: &Connection,
        queue: QueueId,
        job: &NewJob,
        state: JobState,
        due_at: i64,
        moment: Moment,
    ) -> rusqlite::Result<bool> {
        let seq = self.next_seq;
        if !rows::insert(db, seq, queue, job, state, due_at, moment.wall)? {
            return Ok(false);
        }
        self.next_seq += 1;
        self.sum(queue).pushed += 1;
        self.counted(queue, None, Some(state));
        if state == JobState::Delayed {
            self.wake_by(due_at);
        } else {
            self.batch.effects.push(Effect::Ready(
                queue,
                Due {
                    place: Place { rank: rows::rank(job.priority), seq },
                    id: job.id,
                    payload: job.payload.clone(),
                    attempts: 0,
                    terms: Terms::of(job),
                    unique_key: job.unique_key.clone(),
                    pushed_at: moment.wall,
                },
            ));
        }
        Ok(true)
    }

    fn finish(&mut self, db: &Connection, finish: &mut Finish) -> rusqlite::Result<()> {
        if let Some(refusal) = self.over_bound(&finish.pushes) {
            let reason = refusal.to_string();
            self.refuse(&mut finish.reply, refusal);
            finish.pushes.clear();
            let mut memory = self.core.memory();
            let Some(lease) = memory.leases.get_mut(&finish.id).filter(|lease| lease.attempt == finish.attempt) else { return Ok(()) };
            if finish.outside {
                // As if it had not been tried: its holder may end it another way.
                lease.hold = Hold::Held;
                return Ok(());
            }
            // Nobody else would ever end it.
            let Some(lease) = memory.leases.get(&finish.id) else { return Ok(()) };
            (finish.verdict, finish.tally) = self.core.judge(&memory, lease, Outcome::Retry { reason, after: None });
        }
        self.batch.wrote = true;
        let (state, moment) = (finish.verdict.state, finish.moment);
        let due_at = (state == JobState::Delayed).then(|| moment.line.saturating_add(rows::millis_of(finish.verdict.delay)));
        let wake_at = if state == JobState::Done { Some(moment.line.saturating_add(finish.ttl_ms)) } else { due_at };
        let ending = rows::Ending { line: moment.line, wall: moment.wall, due_at, wake_at };
        let held = rows::Held { attempt: finish.attempt, outside: finish.outside };
        let (id, attempt, queue) = (finish.id, finish.attempt, finish.queue);
        if !rows::finish(db, finish.seq, held, &finish.verdict, finish.tally, ending)? {
            self.batch.effects.push(Effect::Ended { id, attempt, back: None });
            self.answer(&mut finish.reply, Finished::Stale);
            return Ok(());
        }
        let kept = state != JobState::Done || finish.ttl_ms > 0;
        let before = if finish.outside { JobState::Running } else { JobState::Waiting };
        self.counted(queue, Some(before), kept.then_some(state));
        if kept && let Some(wake) = wake_at {
            self.note_wake(state, wake);
        }
        let back = (state == JobState::Waiting && !finish.outside).then_some(finish.tally);
        self.batch.effects.push(Effect::Ended { id, attempt, back });
        if state == JobState::Waiting && finish.outside {
            self.batch.effects.push(Effect::Ready(queue, rows::load(db, finish.seq)?));
        }
        if state.over() {
            self.sum(queue).finished += 1;
            self.batch.effects.push(Effect::Over(id));
        }
        if state == JobState::Dead {
            let tries = finish.tally.attempts.saturating_sub(finish.tally.uncounted);
            self.given_up(db, queue, id, tries, finish.verdict.error.as_deref().unwrap_or_default(), moment)?;
        }
        self.add(db, std::mem::take(&mut finish.pushes), moment)?;
        self.answer(&mut finish.reply, Finished::Recorded(state));
        Ok(())
    }

    fn lease(&mut self, db: &Connection, lease: &mut Lease) -> rusqlite::Result<()> {
        let until = lease.moment.line.saturating_add(lease.term_ms);
        let mut jobs = Vec::with_capacity(lease.taken.len());
        for (seq, job) in &lease.taken {
            self.batch.wrote = true;
            if !rows::lease(db, *seq, job.attempt, &lease.holder, until)? {
                continue;
            }
            jobs.push(job.clone());
            self.wake_by(until);
            self.counted(lease.queue, Some(JobState::Waiting), Some(JobState::Running));
            self.batch.effects.push(Effect::Leased { id: job.id, attempt: job.attempt, until });
        }
        self.answer(&mut lease.reply, jobs);
        Ok(())
    }

    /// Why these pushes would take a queue over its bound.
    fn over_bound(&self, jobs: &[Addressed]) -> Option<StoreError> {
        let (first, _) = jobs.first()?;
        let memory = self.core.memory();
        let over = |queue: QueueId, adding: usize| {
            let line = memory.lines.get(&queue)?;
            let batch = self.batch.sums.get(&queue).map_or(0, |sum| sum.counts.iter().take(3).sum());
            let open = u64::try_from(line.open() + batch).unwrap_or_default();
            (open + adding as u64 > MAX_OPEN_JOBS).then(|| StoreError::crowded(&line.name, open, MAX_OPEN_JOBS))
        };
        if jobs.iter().all(|(queue, _)| queue == first) {
            return over(*first, jobs.len());
        }
        let mut adding: BTreeMap<QueueId, usize> = BTreeMap::new();
        jobs.iter().for_each(|(queue, _)| *adding.entry(*queue).or_default() += 1);
        adding.into_iter().find_map(|(queue, adding)| over(queue, adding))
    }

    pub(super) fn sum(&mut self, queue: QueueId) -> &mut Sum {
        self.batch.sums.entry(queue).or_default()
    }

    /// A row went from one state to another; none: it wasn't there, or is no longer.
    pub(super) fn counted(&mut self, queue: QueueId, from: Option<JobState>, to: Option<JobState>) {
        let counts = &mut self.sum(queue).counts;
        for (state, by) in [(from, -1), (to, 1)] {
            if let Some(count) = state.and_then(|state| counts.get_mut(rows::place_of(state))) {
                *count += by;
            }
        }
    }

    pub(super) fn wake_by(&mut self, line: i64) {
        self.batch.wake = Some(self.batch.wake.map_or(line, |wake| wake.min(line)));
    }

    /// What is only forgotten goes with others of its second.
    pub(super) fn note_wake(&mut self, state: JobState, line: i64) {
        self.wake_by(if state.over() { whole_second(line) } else { line });
    }

    pub(super) fn answer<T: Send + 'static>(&mut self, reply: &mut Reply<T>, answer: T) {
        if let Some(reply) = reply.take() {
            // A caller that stopped waiting is fine.
            self.batch.answers.push(Box::new(move |outcome| drop(reply.send(outcome.map(|()| answer).map_err(StoreError::again)))));
        }
    }

    pub(super) fn refuse<T: Send + 'static>(&mut self, reply: &mut Reply<T>, refusal: StoreError) {
        if let Some(reply) = reply.take() {
            self.batch.answers.push(Box::new(move |_| drop(reply.send(Err(refusal)))));
        }
    }

    /// After the commit: memory, then answers; then windows that run low are read up. An error is one of reading: what was written is
    /// answered for, and the reading is tried again.
    pub fn committed(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let batch = std::mem::take(&mut self.batch);
        if let Some(skew) = batch.skew {
            self.skew = skew;
            self.core.skewed(skew);
        }
        self.apply(&batch.sums, batch.effects, batch.wrote);
        for answer in batch.answers {
            answer(Ok(()));
        }
        for op in batch.again {
            // A closed store purges no further.
            let _ = self.core.put(op);
        }
        let read = self.read_on(db, batch.rearm, batch.wake);
        if read.is_err() {
            self.core.alarm.send_replace(Some(self.moment.line.saturating_add(REST_MS)));
        }
        read
    }

    fn read_on(&mut self, db: &Connection, rearm: bool, wake: Option<i64>) -> rusqlite::Result<()> {
        if rearm {
            self.core.alarm.send_replace(soonest(rows::next_wakes(db)?));
        } else if let Some(wake) = wake {
            self.core.wake_by(wake);
        }
        self.refill(db)
    }

    fn apply(&mut self, sums: &BTreeMap<QueueId, Sum>, effects: Vec<Effect>, wrote: bool) {
        let mut memory = self.core.memory();
        for (queue, sum) in sums {
            if let Some(line) = memory.lines.get_mut(queue) {
                line.counts.iter_mut().zip(sum.counts).for_each(|(count, by)| *count += by);
                line.pushed += sum.pushed;
                line.finished += sum.finished;
            }
        }
        for effect in effects {
            match effect {
                Effect::Ready(queue, job) => memory.offer(queue, job),
                Effect::Ended { id, attempt, back } => {
                    if let Some(lease) = memory.unlease(id, attempt)
                        && let Some(tally) = back
                    {
                        memory.offer(lease.queue, lease.back(tally));
                    }
                }
                Effect::Leased { id, attempt, until } => {
                    let lease = memory.leases.get_mut(&id).filter(|lease| lease.attempt == attempt);
                    let first = lease.and_then(|lease| {
                        lease.job.payload = Bytes::new();
                        // An end may be on its way already.
                        if lease.until.replace(until).is_none() {
                            lease.hold = Hold::Held;
                        }
                        (!std::mem::replace(&mut lease.on_disk, true)).then_some(lease.queue)
                    });
                    if let Some(line) = first.and_then(|queue| memory.lines.get_mut(&queue)) {
                        line.leased -= 1;
                    }
                }
                Effect::Gone { id, queue, place } => {
                    let attempt = memory.leases.get(&id).map(|lease| lease.attempt);
                    match attempt {
                        Some(attempt) => drop(memory.unlease(id, attempt)),
                        None => memory.withdraw(queue, place),
                    }
                }
                Effect::Over(id) => memory.wake(id),
                Effect::Thawed(queue) => memory.freeze(queue, false),
            }
        }
        let lost = if wrote && memory.stalled { memory.resume(self.moment) } else { Vec::new() };
        let fresh = std::mem::take(&mut memory.fresh);
        memory.aged.extend(fresh);
        let last = !memory.aged.is_empty();
        memory.starts_asked = last;
        drop(memory);
        for finish in lost {
            // A closed store gives nothing out any more.
            let _ = self.core.put(Op::Finish(finish));
        }
        if last {
            self.core.mention(Op::Starts);
        }
    }
}

/// The next alarm, where what is only forgotten goes with others of its second.
fn soonest((timed, kept): (Option<i64>, Option<i64>)) -> Option<i64> {
    timed.into_iter().chain(kept.map(whole_second)).min()
}

fn whole_second(line: i64) -> i64 {
    line.saturating_add(999) / 1_000 * 1_000
}
