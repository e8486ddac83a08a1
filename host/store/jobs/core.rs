//! What callers, the timer and the writer thread share: the memory behind its lock, the clock's time line, the way to the writer.
//!
//! Must not hold the lock while it waits for anything.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use jiff::Timestamp;
use tokio::sync::watch;

use super::{
    Outcome,
    memory::{Lease, Memory},
    op::Op,
    policy::{self, Tally, Verdict},
    timeline::{Moment, Timeline},
};
use crate::{
    clock::Clock,
    store::{StoreError, Surroundings, control, outbox::Outbox, queue::Queue, rows::timestamp},
};

#[derive(Debug)]
pub(in crate::store) struct Core {
    memory: Mutex<Memory>,
    writer: Arc<Queue<control::Work>>,
    pub(super) clock: Clock,
    pub(super) jitter: fn() -> f64,
    timeline: Timeline,
    /// How far the wall clock is ahead of the time line, as it was seen last.
    skew: AtomicI64,
    /// When the timer goes next, on the time line.
    pub(super) alarm: watch::Sender<Option<i64>>,
    pub(super) timer: AtomicBool,
    pub(in crate::store) outbox: Outbox,
}

impl Core {
    pub(super) fn new(
        memory: Memory,
        writer: Arc<Queue<control::Work>>,
        surroundings: Surroundings,
        skew: i64,
        wake: Option<i64>,
        outbox: Outbox,
    ) -> Self {
        let Surroundings { clock, jitter } = surroundings;
        let timeline = Timeline::new(clock.now(), clock.wall(), skew);
        Self {
            memory: Mutex::new(memory),
            writer,
            clock,
            jitter,
            timeline,
            skew: AtomicI64::new(skew),
            alarm: watch::Sender::new(wake),
            timer: AtomicBool::new(false),
            outbox,
        }
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::store) fn moment(&self) -> Moment {
        self.timeline.moment(self.clock.now(), self.clock.wall())
    }

    /// What an attempt's end makes of its job: judged by the attempts that count.
    pub(super) fn judge(&self, memory: &Memory, lease: &Lease, outcome: Outcome) -> (Verdict, Tally) {
        let uncounted = lease.job.terms.uncounted;
        let terms = memory.terms(lease.queue, lease.job.terms);
        let counting = lease.attempt.saturating_sub(uncounted);
        let max_attempts = terms.max_attempts.saturating_sub(uncounted);
        let verdict = policy::verdict(outcome, counting, max_attempts, terms.backoff, (self.jitter)());
        let given_back = counting.saturating_sub(verdict.attempts);
        // Whoever leases from outside may say a thing twice. A worker of this host can't, so its number is free again.
        let tally = match lease.until {
            Some(_) => Tally { attempts: lease.attempt, uncounted: uncounted + given_back },
            None => Tally { attempts: lease.attempt - given_back, uncounted },
        };
        (verdict, tally)
    }

    pub(in crate::store) fn timeline(&self) -> Timeline {
        self.timeline
    }

    /// The writer goes at once.
    pub(super) fn put(&self, op: Op) -> Result<(), StoreError> {
        self.writer.put(control::Work::Jobs(op))
    }

    /// Why nothing big should be put in now.
    pub(super) fn crowded(&self) -> Option<StoreError> {
        self.writer.crowded().then(|| StoreError::Busy("the disk is behind with what was pushed before: try again shortly".into()))
    }

    /// The writer goes when it has company, or after a moment.
    pub(super) fn mention(&self, op: Op) {
        self.writer.record([control::Work::Jobs(op)]);
    }

    /// The timer goes no later than this.
    pub(super) fn wake_by(&self, line: i64) {
        self.alarm.send_if_modified(|alarm| {
            let sooner = alarm.is_none_or(|alarm| line < alarm);
            if sooner {
                *alarm = Some(line);
            }
            sooner
        });
    }

    pub(super) fn skewed(&self, skew: i64) {
        self.skew.store(skew, Ordering::Relaxed);
    }

    /// Now, by the wall clock as it was seen last: times that are shown don't flicker.
    pub(in crate::store) fn seen(&self) -> Moment {
        let line = self.moment().line;
        Moment { line, wall: line.saturating_add(self.skew.load(Ordering::Relaxed)) }
    }

    /// A time on the line, as the wall clock would say it.
    pub(super) fn on_the_wall(&self, line: i64) -> Timestamp {
        timestamp(line.saturating_add(self.skew.load(Ordering::Relaxed)))
    }

    pub(super) fn writer(&self) -> Arc<Queue<control::Work>> {
        self.writer.clone()
    }
}
