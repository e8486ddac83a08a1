//! The arithmetic of a rate: when the next permit is due. Takes `now`, returns a decision.
//!
//! Two rules hold at once: permits are spaced by `per / count` (a virtual scheduling clock, GCRA, so that a burst is paid back),
//! and the permits remembered from the last `count` never let a sliding window of `per` hold more. After a 429 a third one holds:
//! no permit during the silence asked for, then wider spaces and no burst until the rate has [recovered](super::recovery).
//! Must not wait, lock or read a clock.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::recovery::Recovery;
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
    permits: u64,
    recovery: Recovery,
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
        let window = Window::new(rate, burst);
        Self { rate, burst, window, paid_at: None, given: VecDeque::new(), permits: 0, recovery: Recovery::default() }
    }

    pub fn rate(&self) -> Rate {
        self.rate
    }

    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// Permits given so far.
    pub fn permits(&self) -> u64 {
        self.permits
    }

    /// What is in force now, in permits a second; 0 during a silence.
    pub fn effective_per_second(&self, now: Instant) -> f64 {
        match self.recovery.silent_until(now) {
            Some(_) => 0.0,
            None => f64::from(self.rate.count) / self.rate.per.as_secs_f64() * self.share(now),
        }
    }

    /// Until when a peer asked for silence, while it did.
    pub fn paused_until(&self, now: Instant) -> Option<Instant> {
        self.recovery.silent_until(now)
    }

    /// A peer said "too many requests", and how long to wait if it said so.
    pub fn throttled(&mut self, now: Instant, retry_after: Option<Duration>) {
        self.recovery.throttled(now, retry_after, self.rate.per);
    }

    /// When the next permit is due: `now` when there is one.
    pub fn due(&self, now: Instant) -> Instant {
        let tolerance = if self.share(now) < 1.0 { TIMER_SLACK } else { self.window.tolerance };
        let by_spacing = self.paid_at.and_then(|at| at.checked_sub(tolerance)).unwrap_or(now);
        let by_window = match self.given.len().checked_sub(self.window.count).and_then(|oldest| self.given.get(oldest)) {
            Some(oldest) => *oldest + self.window.per,
            None => now,
        };
        let by_peer = self.recovery.silent_until(now).unwrap_or(now);
        now.max(by_spacing).max(by_window).max(by_peer)
    }

    /// Takes a permit, or says when one is due.
    pub fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let due = self.due(now);
        if due > now {
            return Err(due);
        }
        let share = self.share(now);
        let spacing = if share < 1.0 { self.window.spacing.div_f64(share) } else { self.window.spacing };
        self.paid_at = Some(self.paid_at.map_or(now, |at| at.max(now)) + spacing);
        self.given.push_back(now);
        self.permits += 1;
        self.forget();
        Ok(())
    }

    /// Another rate and burst, in force from here on; what was given before is reckoned as if they had been in force then. A silence
    /// and the recovery after it go on: the peer did not take its word back.
    pub fn set(&mut self, rate: Rate, burst: u32) {
        if (rate, burst) == (self.rate, self.burst) {
            return;
        }
        self.rate = rate;
        self.burst = burst;
        self.window = Window::new(rate, burst);
        self.forget();
        if let (Some(oldest), Some(newest)) = (self.given.front(), self.given.back()) {
            let replayed = self.given.iter().fold(*oldest, |paid, at| paid.max(*at) + self.window.spacing);
            // A debt larger than a full burst would be a fine for having been allowed more.
            self.paid_at = Some(replayed.min(*newest + self.window.tolerance + self.window.spacing));
        }
    }

    fn share(&self, now: Instant) -> f64 {
        self.recovery.share(now, self.rate.per)
    }

    fn forget(&mut self) {
        let surplus = self.given.len().saturating_sub(self.window.count);
        self.given.drain(..surplus);
    }
}
