//! A FIFO rate limiter that any task may share: permits in the order they were asked for, at a rate that can change live.
//!
//! State machine: *resting* (nobody waits: no task, no timer) → *driving* (somebody waits: one task with exactly one armed timer,
//! for the next permit or the first deadline, whichever comes sooner) → resting. A waiter that is dropped or late leaves a
//! tombstone; tombstones are swept once they are the majority, so that giving up a place costs O(1) amortised.
//!
//! Knows nothing of workers, HTTP or manifests' text, and is useful alone; the arithmetic is [`policy`]'s and [`recovery`]'s.
//!
//! ```
//! # use std::time::Duration;
//! # use skep::{clock::Clock, limiter::{Limiter, NoPermit}};
//! # use tokio::time::Instant;
//! # async fn example() -> Result<(), NoPermit> {
//! // Never more than 6 in any sliding second; one at a time.
//! let limiter = Limiter::new("6/s".parse().unwrap(), 1, Clock::system());
//! // Any number of tasks may wait, each for as long as it likes; they are served in the order they came.
//! limiter.acquire(Instant::now() + Duration::from_secs(30)).await?;
//! // Faster from here on, also for those who wait.
//! limiter.set_rate("60/s".parse().unwrap());
//! // A peer answered 429 with `Retry-After: 2`: nobody gets a permit for 2 s, then half the rate, then slowly all of it.
//! limiter.throttled(Some(Duration::from_secs(2)));
//! assert_eq!(limiter.standing().effective_per_second, 0.0);
//! # Ok(())
//! # }
//! ```

mod named;
pub mod policy;
pub mod recovery;

pub use self::named::{Limiters, Named};

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep_until},
};

use self::policy::Policy;
use crate::{clock::Clock, manifest::spec::Rate};

/// A cheap handle; clones share one queue.
#[derive(Debug, Clone)]
pub struct Limiter {
    shared: Arc<Shared>,
}

#[derive(Debug, thiserror::Error)]
#[error("no permit within the deadline")]
pub struct NoPermit;

/// How a limiter stands at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// As it was set.
    pub rate: Rate,
    pub burst: u32,
    /// What is in force, in permits a second: lower than the rate while it recovers from a 429, 0 while it is paused.
    pub effective_per_second: f64,
    /// Until when a peer asked for silence.
    pub paused_until: Option<Instant>,
    pub waiting: usize,
    /// Permits given so far.
    pub permits: u64,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    line: Mutex<Line>,
    /// Wakes the driver to look again: the rate changed, a sooner deadline came, or the line emptied.
    changed: Notify,
}

/// Who waits, in order.
#[derive(Debug)]
struct Line {
    policy: Policy,
    /// By ascending `seq`; a waiter without `answer` is a tombstone.
    waiters: VecDeque<Waiter>,
    tombstones: usize,
    /// Deadlines of the waiters; of those no longer waiting too, until they come up or are swept.
    deadlines: BinaryHeap<Reverse<(Instant, u64)>>,
    next_seq: u64,
    driving: bool,
}

#[derive(Debug)]
struct Waiter {
    seq: u64,
    deadline: Instant,
    answer: Option<oneshot::Sender<Result<(), NoPermit>>>,
}

impl Limiter {
    pub fn new(rate: Rate, burst: u32, clock: Clock) -> Self {
        let line = Line {
            policy: Policy::new(rate, burst),
            waiters: VecDeque::new(),
            tombstones: 0,
            deadlines: BinaryHeap::new(),
            next_seq: 0,
            driving: false,
        };
        Self { shared: Arc::new(Shared { clock, line: Mutex::new(line), changed: Notify::new() }) }
    }

    /// Waits in FIFO order; a waiter that is dropped or too late gives its place up.
    pub async fn acquire(&self, deadline: Instant) -> Result<(), NoPermit> {
        let (mut place, answer) = match self.enter(deadline) {
            Entered::Answered(answer) => return answer,
            Entered::Waiting(place, answer) => (place, answer),
        };
        let answer = answer.await.unwrap_or(Err(NoPermit));
        place.left = true;
        answer
    }

    /// Takes a permit when one is due and nobody waits for it.
    pub fn try_acquire(&self) -> bool {
        let mut line = self.shared.lock();
        line.waiting() == 0 && line.policy.take(self.shared.clock.now()).is_ok()
    }

    /// Another rate, in force at once, also for those who wait.
    pub fn set_rate(&self, rate: Rate) {
        let mut line = self.shared.lock();
        let burst = line.policy.burst();
        line.policy.set(rate, burst);
        self.shared.changed.notify_one();
    }

    /// Another burst, in force at once.
    pub fn set_burst(&self, burst: u32) {
        let mut line = self.shared.lock();
        let rate = line.policy.rate();
        line.policy.set(rate, burst);
        self.shared.changed.notify_one();
    }

    /// A peer answered "too many requests", and how long to wait if it said so (at most 10 minutes count; without it 1 s, doubled each
    /// time). Until then nobody gets a permit, afterwards half of what was in force, then a little more every second.
    pub fn throttled(&self, retry_after: Option<Duration>) {
        // Nobody is woken: a driver that wakes too early looks again.
        self.shared.lock().policy.throttled(self.shared.clock.now(), retry_after);
    }

    pub fn standing(&self) -> Standing {
        let now = self.shared.clock.now();
        let line = self.shared.lock();
        let policy = &line.policy;
        Standing {
            rate: policy.rate(),
            burst: policy.burst(),
            effective_per_second: policy.effective_per_second(now),
            paused_until: policy.paused_until(now),
            waiting: line.waiting(),
            permits: policy.permits(),
        }
    }

    pub fn rate(&self) -> Rate {
        self.shared.lock().policy.rate()
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.shared.lock().waiting()
    }

    fn enter(&self, deadline: Instant) -> Entered {
        let now = self.shared.clock.now();
        let mut line = self.shared.lock();
        if line.waiting() == 0 && line.policy.take(now).is_ok() {
            return Entered::Answered(Ok(()));
        }
        if deadline <= now {
            return Entered::Answered(Err(NoPermit));
        }
        let (answer, answered) = oneshot::channel();
        let seq = line.next_seq;
        line.next_seq += 1;
        let soonest = line.deadlines.peek().is_none_or(|Reverse((first, _))| deadline < *first);
        line.waiters.push_back(Waiter { seq, deadline, answer: Some(answer) });
        line.deadlines.push(Reverse((deadline, seq)));
        if !line.driving {
            line.driving = true;
            tokio::spawn(drive(Arc::clone(&self.shared)));
        } else if soonest {
            self.shared.changed.notify_one();
        }
        Entered::Waiting(Place { shared: Arc::clone(&self.shared), seq, left: false }, answered)
    }
}

enum Entered {
    Answered(Result<(), NoPermit>),
    Waiting(Place, oneshot::Receiver<Result<(), NoPermit>>),
}

/// A place in the line, given up when dropped.
struct Place {
    shared: Arc<Shared>,
    seq: u64,
    /// The line has answered: there is no place to give up.
    left: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.left && self.shared.lock().give_up(self.seq) {
            self.shared.changed.notify_one();
        }
    }
}

/// Serves the line until it is empty. The only timer of a limiter is armed here.
async fn drive(shared: Arc<Shared>) {
    loop {
        let Some(next) = shared.lock().serve(shared.clock.now()) else { return };
        tokio::select! {
            () = sleep_until(next) => {}
            () = shared.changed.notified() => {}
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn waiting(&self) -> usize {
        self.waiters.len() - self.tombstones
    }

    /// Hands out what is due and turns the late away; answers when to look again, or None when nobody waits.
    fn serve(&mut self, now: Instant) -> Option<Instant> {
        while let Some(front) = self.waiters.front_mut() {
            let late = front.deadline < now;
            let waits = front.answer.is_some();
            if waits && !late && self.policy.due(now) > now {
                break;
            }
            match self.waiters.pop_front().and_then(|waiter| waiter.answer) {
                None => self.tombstones -= 1,
                Some(answer) => {
                    let taken = answer.send(if late { Err(NoPermit) } else { Ok(()) }).is_ok();
                    // Neither the late nor those who are gone take a permit.
                    if taken && !late {
                        let _ = self.policy.take(now);
                    }
                }
            }
        }
        self.turn_away(now);
        self.sweep();
        if self.waiters.is_empty() {
            self.driving = false;
            return None;
        }
        let due = self.policy.due(now);
        Some(self.deadlines.peek().map_or(due, |Reverse((deadline, _))| due.min(*deadline)))
    }

    /// Answers everybody whose deadline has come.
    fn turn_away(&mut self, now: Instant) {
        while let Some(Reverse((deadline, seq))) = self.deadlines.peek().copied() {
            if deadline > now {
                return;
            }
            self.deadlines.pop();
            if let Some(answer) = self.tombstone(seq) {
                let _ = answer.send(Err(NoPermit));
            }
        }
    }

    /// Takes a waiter's answer out of the line.
    fn tombstone(&mut self, seq: u64) -> Option<oneshot::Sender<Result<(), NoPermit>>> {
        let index = self.waiters.binary_search_by_key(&seq, |waiter| waiter.seq).ok()?;
        let answer = self.waiters.get_mut(index)?.answer.take()?;
        self.tombstones += 1;
        Some(answer)
    }

    /// Answers whether the line is empty now.
    fn give_up(&mut self, seq: u64) -> bool {
        self.tombstone(seq);
        self.sweep();
        self.waiters.is_empty()
    }

    /// Forgets tombstones, and deadlines of those who wait no longer, once they are the majority.
    fn sweep(&mut self) {
        if self.tombstones * 2 > self.waiters.len() {
            self.waiters.retain(|waiter| waiter.answer.is_some());
            self.tombstones = 0;
        }
        if self.deadlines.len() > self.waiters.len() * 2 {
            let Self { waiters, deadlines, .. } = self;
            deadlines.retain(|Reverse((_, seq))| waiters.binary_search_by_key(seq, |waiter| waiter.seq).is_ok());
        }
    }
}
