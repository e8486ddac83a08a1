//! Time, injected: the only file that reads the machine's clocks.
//!
//! Monotonic time is tokio's, so that tests pause and advance it; wall time follows it in tests and the system otherwise.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime},
};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// A cheap, copyable source of time.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Where wall time starts in tests; `None` reads the system's clock.
    fixed: Option<(Timestamp, Instant)>,
    /// How far somebody set the wall clock ahead since, in milliseconds; only in tests.
    set_ahead_ms: Option<&'static AtomicI64>,
}

impl Clock {
    /// The machine's own clocks.
    pub fn system() -> Self {
        Self { fixed: None, set_ahead_ms: None }
    }

    /// Wall time that starts at `start` and moves with tokio's (pausable) clock.
    pub fn starting_at(start: Timestamp) -> Self {
        Self { fixed: Some((start, Instant::now())), set_ahead_ms: None }
    }

    /// The same, with a wall clock that jumps when `ahead_ms` does, as one does that somebody sets.
    pub fn jumping(start: Timestamp, ahead_ms: &'static AtomicI64) -> Self {
        Self { set_ahead_ms: Some(ahead_ms), ..Self::starting_at(start) }
    }

    /// Monotonic now.
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// Wall time now.
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    pub fn wall(&self) -> Timestamp {
        match self.fixed {
            Some((start, at)) => {
                let ahead = self.set_ahead_ms.map_or(0, |ahead| ahead.load(Ordering::Relaxed));
                let wall = start.checked_add(at.elapsed()).and_then(|wall| wall.checked_add(SignedDuration::from_millis(ahead)));
                wall.unwrap_or(start)
            }
            None => Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH),
        }
    }

    /// Monotonic time of a wall time: now when it is past.
    pub fn instant_of(&self, at: Timestamp) -> Instant {
        let ahead = at.duration_since(self.wall());
        self.now() + Duration::try_from(ahead).unwrap_or(Duration::ZERO)
    }
}
