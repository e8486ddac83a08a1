//! Restart policy as pure data: takes `now`, answers what happens next. No clock, no lock, no I/O.
//!
//! ```text
//!             crash, budget left                    crash, budget spent
//!   running ─────────────────────▶ running (fresh) ─────────────────────▶ quarantined ──backoff over──▶ on probation
//!      ▲                                                                      ▲                              │
//!      │                                                                      └──────────── any crash ───────┤
//!      └───────────────────────────── a healthy stretch ─────────────────────────────────────────────────────┘
//! ```
//!
//! A *resident* replica restarts at once up to `intensity` times within `period`. A *per-event* replica loses only the event, and is
//! quarantined after `intensity` traps within `period` with no success between. Backoff doubles from 1 s to 5 min while it keeps
//! crashing; a healthy stretch (`period`, or the last backoff when that is longer) gives the whole budget back.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::{
    facts::InstanceMode,
    manifest::spec::{RestartPolicy, RestartSpec},
};

const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(300);
/// How much of a backoff jitter may take away, so that a fleet that failed together does not return together.
const JITTER_SHARE: f64 = 0.25;

/// What happens after an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A fresh incarnation (resident) or instance (per event) at once.
    Restart,
    /// Not before this time.
    Quarantine { until: Instant },
    /// Never again: temporary, or transient and done.
    Stop,
}

/// One replica's restart budget.
#[derive(Debug, Clone)]
pub struct Budget {
    spec: RestartSpec,
    mode: InstanceMode,
    /// Crashes that still count, at most `intensity + 1`.
    crashes: VecDeque<Instant>,
    /// Quarantines in a row.
    strikes: u32,
    /// Since when it is on probation: out of quarantine, not proven healthy.
    probation: Option<Instant>,
}

impl Budget {
    pub fn new(spec: RestartSpec, mode: InstanceMode) -> Self {
        Self { spec, mode, crashes: VecDeque::new(), strikes: 0, probation: None }
    }

    /// A trap, a timeout, an exit with a failure. `jitter` is 0..1, zero in tests.
    pub fn crashed(&mut self, now: Instant, jitter: f64) -> Verdict {
        if self.spec.policy == RestartPolicy::Temporary {
            return Verdict::Stop;
        }
        self.recover(now);
        self.crashes.push_back(now);
        while self.crashes.front().is_some_and(|at| now.saturating_duration_since(*at) > self.spec.period) {
            self.crashes.pop_front();
        }
        let intensity = self.spec.intensity as usize;
        let spent = match self.mode {
            InstanceMode::Resident => self.crashes.len() > intensity,
            InstanceMode::PerEvent => self.crashes.len() >= intensity.max(1),
        };
        if spent || self.probation.is_some() { self.quarantine(now, jitter) } else { Verdict::Restart }
    }

    /// The guest ended by itself.
    pub fn exited(&mut self, normal: bool, now: Instant, jitter: f64) -> Verdict {
        match (self.spec.policy, normal) {
            (RestartPolicy::Temporary, _) | (RestartPolicy::Transient, true) => Verdict::Stop,
            // A permanent worker that keeps ending is restarted under the same budget as one that crashes: no tight loop.
            (RestartPolicy::Permanent, true) | (_, false) => self.crashed(now, jitter),
        }
    }

    /// `init` answered an error: tried again later, since the reason may lie outside, but never at once.
    pub fn refused(&mut self, now: Instant, jitter: f64) -> Verdict {
        if self.spec.policy == RestartPolicy::Temporary { Verdict::Stop } else { self.quarantine(now, jitter) }
    }

    /// An event was handled.
    pub fn succeeded(&mut self, now: Instant) {
        if self.mode == InstanceMode::PerEvent {
            self.crashes.clear();
        }
        self.recover(now);
    }

    /// The backoff is over: what follows is on probation.
    pub fn released(&mut self, now: Instant) {
        self.probation = Some(now);
        self.crashes.clear();
    }

    /// A whole budget, as of a new replica.
    pub fn renew(&mut self) {
        *self = Self::new(self.spec, self.mode);
    }

    /// How long it must run well before the budget is whole again.
    fn healthy_stretch(&self) -> Duration {
        self.spec.period.max(backoff(self.strikes.saturating_sub(1)))
    }

    fn recover(&mut self, now: Instant) {
        if self.probation.is_some_and(|since| now.saturating_duration_since(since) >= self.healthy_stretch()) {
            self.probation = None;
            self.strikes = 0;
        }
    }

    fn quarantine(&mut self, now: Instant, jitter: f64) -> Verdict {
        let wait = backoff(self.strikes).mul_f64(1.0 - JITTER_SHARE * jitter.clamp(0.0, 1.0));
        self.strikes = self.strikes.saturating_add(1);
        self.probation = None;
        self.crashes.clear();
        Verdict::Quarantine { until: now + wait }
    }
}

fn backoff(strikes: u32) -> Duration {
    // 2^9 s is past the cap.
    FIRST_BACKOFF.saturating_mul(1 << strikes.min(9)).min(MAX_BACKOFF)
}
