//! What "too many requests" does to a rate: silence, then half the rate, then back to all of it in small steps (AIMD). Pure: takes
//! `now`, returns a decision.
//!
//! ```text
//!  whole ──throttled──▶ silent ──its end──▶ recovering ──16 windows at most──▶ whole
//!                        │  ▲                   │
//!        (longer only) ──┘  └─────throttled─────┘   each time half of what was in force, at least 1/16 of the rate
//! ```
//!
//! Several answers during one silence are one event: they were on their way together. Must not wait, lock or read a clock.

use std::time::Duration;

use tokio::time::Instant;

/// The longest silence one answer can ask for.
pub const MAX_SILENCE: Duration = Duration::from_secs(600);
/// The silence after an answer that names none; doubled each time until the rate is whole again.
pub const FIRST_SILENCE: Duration = Duration::from_secs(1);
/// The least share of a rate that stays in force.
pub const MIN_SHARE: f64 = 1.0 / 16.0;

/// Windows of a rate from nothing to all of it; half takes half as many.
const WINDOWS: f64 = 16.0;
/// A window that is shorter or longer than this counts as this: neither 1,000 in a blink nor a day for a day's rate.
const SHORTEST_WINDOW: Duration = Duration::from_secs(1);
const LONGEST_WINDOW: Duration = Duration::from_secs(60);

/// How much of a rate is in force.
#[derive(Debug, Default)]
pub struct Recovery {
    /// None: never throttled, or whole again.
    cut: Option<Cut>,
}

#[derive(Debug, Clone, Copy)]
struct Cut {
    /// When the silence ends and the recovery begins.
    until: Instant,
    /// The share in force at that moment.
    share: f64,
    /// The silence after the next answer that names none.
    silence: Duration,
}

impl Recovery {
    /// A peer said "too many", and how long to wait if it said so. `per` is the rate's window.
    pub fn throttled(&mut self, now: Instant, wait: Option<Duration>, per: Duration) {
        // Waiting no time at all is what led here.
        let wait = wait.filter(|wait| !wait.is_zero()).map(|wait| wait.min(MAX_SILENCE));
        if let Some(cut) = self.cut.as_mut().filter(|cut| cut.until > now) {
            cut.until = cut.until.max(now + wait.unwrap_or_default());
            return;
        }
        let share = self.share(now, per);
        let silence = self.cut.filter(|_| share < 1.0).map_or(FIRST_SILENCE, |cut| cut.silence);
        self.cut = Some(Cut {
            until: now + wait.unwrap_or(silence),
            share: (share / 2.0).max(MIN_SHARE),
            silence: if wait.is_some() { silence } else { (silence * 2).min(MAX_SILENCE) },
        });
    }

    /// The share of the rate that counts now, from [`MIN_SHARE`] to 1; during a silence the one that it ends with.
    pub fn share(&self, now: Instant, per: Duration) -> f64 {
        self.cut.map_or(1.0, |cut| {
            let window = per.clamp(SHORTEST_WINDOW, LONGEST_WINDOW).as_secs_f64();
            let regained = now.saturating_duration_since(cut.until).as_secs_f64() / (WINDOWS * window);
            (cut.share + regained).min(1.0)
        })
    }

    /// The end of the silence, while there is one.
    pub fn silent_until(&self, now: Instant) -> Option<Instant> {
        self.cut.map(|cut| cut.until).filter(|until| *until > now)
    }
}
