//! Time, injected: the only file that reads the machine's clocks.
//!
//! Monotonic time is tokio's, so that tests pause and advance it; wall time follows it in tests and the system otherwise.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::time::Instant;

/// A cheap, copyable source of time.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Where wall time starts in tests; `None` reads the system's clock.
    fixed: Option<(Timestamp, Instant)>,
}

impl Clock {
    /// The machine's own clocks.
    pub fn system() -> Self {
        Self { fixed: None }
    }

    /// Wall time that starts at `start` and moves with tokio's (pausable) clock.
    pub fn starting_at(start: Timestamp) -> Self {
        Self { fixed: Some((start, Instant::now())) }
    }

    /// Monotonic now.
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// Wall time now.
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    pub fn wall(&self) -> Timestamp {
        match self.fixed {
            Some((start, at)) => start.checked_add(at.elapsed()).unwrap_or(start),
            None => Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH),
        }
    }

    /// Monotonic time of a wall time: now when it is past.
    pub fn instant_of(&self, at: Timestamp) -> Instant {
        let ahead = at.duration_since(self.wall());
        self.now() + Duration::try_from(ahead).unwrap_or(Duration::ZERO)
    }
}
