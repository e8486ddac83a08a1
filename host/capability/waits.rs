//! How long limiters made one event wait. Shared by all capabilities that wait for permits, and read by whoever times the event.
//!
//! Must not wait itself.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::clock::Clock;

/// One event's waits, several at once counted once. Made once an instance, [`reset`](Waits::reset) before each event.
#[derive(Debug)]
pub struct Waits {
    clock: Clock,
    sum: Mutex<Sum>,
    /// A permit of the limiter that this worker's requests go through was taken before the event began.
    prepaid: AtomicBool,
}

#[derive(Debug, Default)]
struct Sum {
    event: u64,
    running: usize,
    since: Option<Instant>,
    over: Duration,
}

impl Waits {
    pub fn new(clock: Clock) -> Self {
        Self { clock, sum: Mutex::default(), prepaid: AtomicBool::new(false) }
    }

    /// Forgets the event before.
    pub fn reset(&self) {
        let mut sum = self.sum();
        *sum = Sum { event: sum.event + 1, ..Sum::default() };
        self.prepaid.store(false, Ordering::Relaxed);
    }

    /// The event's first request is paid for.
    pub fn prepay(&self) {
        self.prepaid.store(true, Ordering::Relaxed);
    }

    /// Whether this request is paid for; the next one is not.
    pub fn take_prepaid(&self) -> bool {
        self.prepaid.swap(false, Ordering::Relaxed)
    }

    /// Time this event has spent waiting for limiters, a wait still running included: it counts in neither timeout nor latency.
    pub fn waited(&self) -> Duration {
        let sum = self.sum();
        sum.over + sum.since.map_or(Duration::ZERO, |since| self.clock.now().duration_since(since))
    }

    /// Counts as waiting until the answer is dropped.
    pub fn wait(self: &Arc<Self>) -> Wait {
        let mut sum = self.sum();
        sum.running += 1;
        sum.since.get_or_insert_with(|| self.clock.now());
        Wait { event: sum.event, waits: Arc::clone(self) }
    }

    fn sum(&self) -> MutexGuard<'_, Sum> {
        self.sum.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A wait for a limiter.
#[derive(Debug)]
pub struct Wait {
    event: u64,
    waits: Arc<Waits>,
}

impl Drop for Wait {
    fn drop(&mut self) {
        let now = self.waits.clock.now();
        let mut sum = self.waits.sum();
        // One that outlived its event delays no other.
        if sum.event == self.event {
            sum.running -= 1;
            if sum.running == 0
                && let Some(since) = sum.since.take()
            {
                sum.over += now.duration_since(since);
            }
        }
    }
}
