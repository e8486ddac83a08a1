//! The writer's side of what is not the hot path: taking back, trying again, purging, what time brings, and reading windows up.
//!
//! Must not take long: what may touch many rows goes in slices, one a batch.

use std::time::Duration;

use rusqlite::Connection;
use uuid::Uuid;

use super::{
    memory::{self, Hold},
    op::{Finish, Lease, Op, Purge, Reply},
    policy::{Tally, Verdict},
    rows::{self, Stand},
    timeline::Moment,
    window::Place,
    writer::{Effect, MAX_OPEN_JOBS, Writer},
};
use crate::{facts::JobState, store::StoreError};

/// Rows that the timer moves or deletes in one batch, of each kind.
const SLICE: usize = 500;
/// Rows that a purge looks at in one batch.
const STRETCH: usize = 2_000;
/// Payloads that one lease from outside gives out together.
const LEASED_BYTES: usize = 16 << 20;

impl Writer {
    pub(super) fn cancel(&mut self, db: &Connection, id: Uuid, moment: Moment, reply: &mut Reply<Option<bool>>) -> rusqlite::Result<()> {
        let Some(stand) = rows::by_id(db, id)?.filter(|stand| !stand.expired(moment.line)) else {
            self.answer(reply, None);
            return Ok(());
        };
        if stand.state.over() {
            self.answer(reply, Some(false));
            return Ok(());
        }
        if stand.state == JobState::Waiting {
            rows::begun(db, stand.place.seq, self.seize(&stand))?;
        }
        let ttl = rows::millis_of(self.core.memory().terms(stand.queue, stand.terms).result_ttl);
        if ttl > 0 {
            let wake = moment.line.saturating_add(ttl);
            rows::turn(db, stand.place.seq, JobState::Cancelled, Some(wake), moment.wall, None)?;
            self.note_wake(JobState::Cancelled, wake);
        } else {
            rows::delete(db, stand.place.seq)?;
        }
        self.counted(stand.queue, Some(stand.state), (ttl > 0).then_some(JobState::Cancelled));
        self.gone(&stand);
        self.answer(reply, Some(true));
        Ok(())
    }

    /// Puts a waiting job out of everybody's reach, so that no attempt of it begins unseen. Answers how many have begun.
    fn seize(&mut self, stand: &Stand) -> u32 {
        let mut memory = self.core.memory();
        if let Some(lease) = memory.leases.get(&stand.id) {
            return lease.attempt;
        }
        memory.withdraw(stand.queue, stand.place);
        self.batch.seized.push(stand.queue);
        stand.attempts
    }

    pub(super) fn retry(&mut self, db: &Connection, id: Uuid, moment: Moment, reply: &mut Reply<Option<bool>>) -> rusqlite::Result<()> {
        let Some(stand) = rows::by_id(db, id)?.filter(|stand| !stand.expired(moment.line)) else {
            self.answer(reply, None);
            return Ok(());
        };
        if !matches!(stand.state, JobState::Dead | JobState::Cancelled) {
            self.answer(reply, Some(false));
            return Ok(());
        }
        if let Some(refusal) = self.refuse_retry(db, &stand, moment)? {
            self.refuse(reply, refusal);
            return Ok(());
        }
        rows::renew(db, stand.place.seq, moment.line)?;
        self.counted(stand.queue, Some(stand.state), Some(JobState::Waiting));
        self.batch.effects.push(Effect::Ready(stand.queue, rows::load(db, stand.place.seq)?));
        self.answer(reply, Some(true));
        Ok(())
    }

    fn refuse_retry(&mut self, db: &Connection, stand: &Stand, moment: Moment) -> rusqlite::Result<Option<StoreError>> {
        if let Some(key) = &stand.unique_key
            && let Some(other) = rows::by_key(db, stand.queue, key)?
        {
            if !other.expired(moment.line) {
                return Ok(Some(StoreError::Refused(format!(
                    "the job {} took the unique key \"{key}\" meanwhile: purge or cancel it first, or leave this one",
                    other.id
                ))));
            }
            self.forget(db, &other)?;
        }
        let added = self.batch.sums.get(&stand.queue).map_or(0, |sum| sum.counts.iter().take(3).sum::<i64>());
        let memory = self.core.memory();
        let line = memory.lines.get(&stand.queue);
        let open = line.map_or(0, |line| u64::try_from(line.open() + added).unwrap_or_default());
        Ok(line.filter(|_| open >= MAX_OPEN_JOBS).map(|line| StoreError::crowded(&line.name, open, MAX_OPEN_JOBS)))
    }

    pub(super) fn purge(&mut self, db: &Connection, purge: &mut Purge) -> rusqlite::Result<()> {
        let upto = match purge.upto {
            Some(upto) => upto,
            None => *purge.upto.insert(rows::last_seq(db)?),
        };
        let stretch = rows::stretch(db, purge.after, upto, STRETCH)?;
        for stand in &stretch {
            let wanted = stand.queue == purge.queue && stand.state != JobState::Running && purge.states.contains(&stand.state);
            // A job that waits on disk may be in a worker's hands.
            if wanted && !self.core.memory().leases.contains_key(&stand.id) {
                self.forget(db, stand)?;
                purge.purged += 1;
            }
        }
        match stretch.last() {
            Some(last) if stretch.len() == STRETCH => {
                let states = std::mem::take(&mut purge.states);
                let reply = purge.reply.take();
                self.batch.again.push(Op::Purge(Purge { after: last.place.seq, states, reply, ..*purge }));
            }
            _ => {
                if purge.states.contains(&JobState::Waiting) {
                    self.batch.effects.push(Effect::Thawed(purge.queue));
                }
                self.answer(&mut purge.reply, purge.purged);
            }
        }
        Ok(())
    }

    /// What time has brought: jobs that are due, leases that ran out, jobs kept long enough.
    pub(super) fn due(&mut self, db: &Connection, moment: Moment) -> rusqlite::Result<()> {
        self.batch.rearm = true;
        if self.core.memory().stalled {
            rows::probe(db)?;
            self.batch.wrote = true;
        }
        for stand in rows::timed(db, moment.line, SLICE)? {
            self.ripe(db, &stand, moment)?;
        }
        for stand in rows::outlived(db, moment.line, SLICE)? {
            self.forget(db, &stand)?;
        }
        Ok(())
    }

    fn ripe(&mut self, db: &Connection, stand: &Stand, moment: Moment) -> rusqlite::Result<()> {
        let (seq, queue) = (stand.place.seq, stand.queue);
        if stand.state == JobState::Running {
            self.batch.effects.push(Effect::Ended { id: stand.id, attempt: stand.attempts, back: None });
            if stand.attempts >= self.core.memory().terms(queue, stand.terms).max_attempts {
                let reason = "the lease of the last attempt ran out";
                rows::turn(db, seq, JobState::Dead, None, moment.wall, Some(reason))?;
                self.counted(queue, Some(JobState::Running), Some(JobState::Dead));
                self.sum(queue).finished += 1;
                self.batch.effects.push(Effect::Over(stand.id));
                self.given_up(db, queue, stand.id, stand.attempts.saturating_sub(stand.terms.uncounted), reason, moment)?;
                return Ok(());
            }
            rows::turn(db, seq, JobState::Waiting, None, moment.wall, Some("the lease ran out"))?;
        } else {
            rows::turn(db, seq, JobState::Waiting, None, moment.wall, None)?;
        }
        self.counted(queue, Some(stand.state), Some(JobState::Waiting));
        self.batch.effects.push(Effect::Ready(queue, rows::load(db, seq)?));
        Ok(())
    }

    /// Deletes a row that nobody holds.
    pub(super) fn forget(&mut self, db: &Connection, stand: &Stand) -> rusqlite::Result<()> {
        rows::delete(db, stand.place.seq)?;
        self.counted(stand.queue, Some(stand.state), None);
        self.gone(stand);
        Ok(())
    }

    fn gone(&mut self, stand: &Stand) {
        if !stand.state.over() {
            self.batch.effects.push(Effect::Gone { id: stand.id, queue: stand.queue, place: stand.place });
        }
        self.batch.effects.push(Effect::Over(stand.id));
    }

    /// Before the transaction: what a lease from outside gets.
    pub(super) fn take(&mut self, db: &Connection, lease: &mut Lease) -> rusqlite::Result<()> {
        self.refill_one(db, lease.queue)?;
        let taken = self.core.memory().take(lease.queue, lease.max, LEASED_BYTES, &lease.holder, Hold::Pending);
        lease.taken = taken.jobs;
        self.doom(lease.queue, taken.doomed, lease.moment);
        Ok(())
    }

    /// Jobs that the host went down with in their last attempt: they are not tried for ever.
    fn doom(&mut self, queue: rows::QueueId, doomed: Vec<(Place, Uuid, Tally)>, moment: Moment) {
        for finish in doomed.into_iter().map(|(place, id, tally)| Finish::doomed(queue, place, id, tally, moment)) {
            self.batch.again.push(Op::Finish(finish));
        }
    }

    /// Reads windows up that run low: after a commit, when disk and memory say the same.
    pub(super) fn refill(&mut self, db: &Connection) -> rusqlite::Result<()> {
        loop {
            // Each round moves a window's horizon on: jobs that are leased may have been all it found.
            let Some(queue) = self.core.memory().low.iter().next().copied() else { return Ok(()) };
            self.refill_one(db, queue)?;
        }
    }

    fn refill_one(&mut self, db: &Connection, queue: rows::QueueId) -> rusqlite::Result<()> {
        let (horizon, room) = {
            let mut memory = self.core.memory();
            let room = memory.whole_room();
            match memory.lines.get(&queue).filter(|line| line.needs_refill(room)) {
                Some(line) => (line.window.horizon(), memory.room(queue)),
                None => {
                    memory.low.remove(&queue);
                    return Ok(());
                }
            }
        };
        let (jobs, upto) = rows::beyond(db, queue, horizon, room.jobs, room.bytes)?;
        let mut memory = self.core.memory();
        // First: a window that is still low says so again.
        memory.low.remove(&queue);
        memory.extend(queue, jobs, upto);
        Ok(())
    }
}

impl Finish {
    pub(super) fn doomed(queue: rows::QueueId, place: Place, id: Uuid, tally: Tally, moment: Moment) -> Self {
        let error = Some("the host went down during the last attempt".to_owned());
        let verdict = Verdict { state: JobState::Dead, attempts: tally.attempts, delay: Duration::ZERO, error, result: None };
        let attempt = tally.attempts;
        Self { id, seq: place.seq, queue, attempt, outside: false, verdict, tally, ttl_ms: 0, pushes: Vec::new(), moment, reply: None }
    }

    /// An attempt of this host whose end the disk did not take: what it did is unknown, so it goes again and doesn't count.
    pub(super) fn lost(lease: &memory::Lease, moment: Moment) -> Self {
        let tally = Tally { attempts: lease.attempt, uncounted: lease.job.terms.uncounted + 1 };
        let error = Some("the disk took no writes when the attempt ended, so what it did was not kept".to_owned());
        let verdict = Verdict { state: JobState::Waiting, attempts: lease.attempt, delay: Duration::ZERO, error, result: None };
        Self {
            id: lease.job.id,
            seq: lease.job.place.seq,
            queue: lease.queue,
            attempt: lease.attempt,
            outside: false,
            verdict,
            tally,
            ttl_ms: 0,
            pushes: Vec::new(),
            moment,
            reply: None,
        }
    }
}
