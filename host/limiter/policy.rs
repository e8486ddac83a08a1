//! The arithmetic of a rate: when the next permit is due. Takes `now`, returns a decision.
//!
//! Two rules hold at once: permits are spaced by `per / count` (a virtual scheduling clock, GCRA, so that a burst is paid back),
//! and the permits remembered from the last `count` never let a sliding window of `per` hold more. Must not wait, lock or read a
//! clock.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::manifest::spec::Rate;

/// The most permits remembered. A larger rate is kept in a proportionally shorter window, which is stricter, never looser.
const MAX_REMEMBERED: u32 = 4096;

/// How much sooner than its spacing a permit may come: timers fire up to two milliseconds late, and without this a steady caller
/// would lose that much on every permit. The sliding window holds regardless.
const TIMER_SLACK: Duration = Duration::from_millis(2);

/// Longest span taken seriously; keeps every sum of times in range.
const MAX_PER: Duration = Duration::from_secs(366 * 24 * 3600);

/// When permits are due.
#[derive(Debug)]
pub struct Policy {
    rate: Rate,
    burst: u32,
    window: Window,
    /// When the virtual clock has paid back all permits given so far.
    paid_at: Option<Instant>,
    /// The newest permits, oldest first; at most `window.count`.
    given: VecDeque<Instant>,
}

/// A rate made ready for reckoning.
#[derive(Debug, Clone, Copy)]
struct Window {
    count: usize,
    per: Duration,
    spacing: Duration,
    /// How far the virtual clock may run ahead before a permit has to wait.
    tolerance: Duration,
}

impl Window {
    fn new(rate: Rate, burst: u32) -> Self {
        let shrink = rate.count.div_ceil(MAX_REMEMBERED).max(1);
        let count = (rate.count / shrink).max(1);
        let per = rate.per.clamp(Duration::from_nanos(1), MAX_PER) / shrink;
        // Rounded up: `count` spacings never fall short of the window.
        let nanos = per.as_nanos().div_ceil(u128::from(count));
        let spacing = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let tolerance = (spacing * (burst.clamp(1, count) - 1)).max(TIMER_SLACK);
        Self { count: usize::try_from(count).unwrap_or(usize::MAX), per, spacing, tolerance }
    }
}

impl Policy {
    /// `burst` permits may come at once after a rest, but never more than `rate.count` in any sliding `rate.per`.
    pub fn new(rate: Rate, burst: u32) -> Self {
        Self { rate, burst, window: Window::new(rate, burst), paid_at: None, given: VecDeque::new() }
    }

    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// When the next permit is due: `now` when there is one.
    pub fn due(&self, now: Instant) -> Instant {
        let by_spacing = self.paid_at.and_then(|at| at.checked_sub(self.window.tolerance)).unwrap_or(now);
        let by_window = match self.given.len().checked_sub(self.window.count).and_then(|oldest| self.given.get(oldest)) {
            Some(oldest) => *oldest + self.window.per,
            None => now,
        };
        now.max(by_spacing).max(by_window)
    }

    /// Takes a permit, or says when one is due.
    pub fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let due = self.due(now);
        if due > now {
            return Err(due);
        }
        self.paid_at = Some(self.paid_at.map_or(now, |at| at.max(now)) + self.window.spacing);
        self.given.push_back(now);
        self.forget();
        Ok(())
    }

    /// Another rate, in force from here on; what was given before is reckoned as if it had been in force then.
    pub fn set_rate(&mut self, rate: Rate) {
        self.rate = rate;
        self.window = Window::new(rate, self.burst);
        self.forget();
        if let (Some(oldest), Some(newest)) = (self.given.front(), self.given.back()) {
            let replayed = self.given.iter().fold(*oldest, |paid, at| paid.max(*at) + self.window.spacing);
            // A debt larger than a full burst would be a fine for having been allowed more.
            self.paid_at = Some(replayed.min(*newest + self.window.tolerance + self.window.spacing));
        }
    }

    fn forget(&mut self) {
        let surplus = self.given.len().saturating_sub(self.window.count);
        self.given.drain(..surplus);
    }
}
