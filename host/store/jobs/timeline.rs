//! The queue's own time line: milliseconds that move with the monotonic clock, so that a jump of the wall clock neither holds a
//! delayed job back nor lets it go early.
//!
//! Must not read clocks. What is due is kept on this line; how far it lies from the wall clock is kept beside it, so that a later start
//! finds the line again from the wall clock.

use jiff::Timestamp;
use tokio::time::Instant;

/// A difference worth writing down; clocks are trimmed by less all the time.
const JUMP_MS: i64 = 1_000;

/// One moment, on the line and on the wall, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment {
    pub line: i64,
    pub wall: i64,
}

impl Moment {
    /// How far the wall clock is ahead of the line.
    pub fn skew(self) -> i64 {
        self.wall.saturating_sub(self.line)
    }

    /// The skew to keep from now on, where it is no longer `kept`.
    pub fn jumped(self, kept: i64) -> Option<i64> {
        let skew = self.skew();
        (skew.abs_diff(kept) > JUMP_MS.unsigned_abs()).then_some(skew)
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Timeline {
    origin: Instant,
    start: i64,
}

impl Timeline {
    /// Goes on where the line of an earlier start is now, by the wall clock.
    pub fn new(origin: Instant, wall: Timestamp, skew: i64) -> Self {
        Self { origin, start: wall.as_millisecond().saturating_sub(skew) }
    }

    pub fn moment(&self, now: Instant, wall: Timestamp) -> Moment {
        let passed = i64::try_from(now.saturating_duration_since(self.origin).as_millis()).unwrap_or(i64::MAX);
        Moment { line: self.start.saturating_add(passed), wall: wall.as_millisecond() }
    }

    /// The first instant whose moment is at `line` or after it.
    pub fn instant(&self, line: i64) -> Instant {
        let ahead = u64::try_from(line.saturating_sub(self.start)).unwrap_or_default();
        self.origin + std::time::Duration::from_millis(ahead)
    }
}
