//! How one check stands, from its results alone: hysteresis as plain data.
//!
//! Must not read a clock, wait or touch anything: every method takes what it needs and answers what changed.
//!
//! ```text
//!              up, degraded: at once                   confirm × down
//!   (nothing) ───────────────────────→ up, degraded ──────────────────→ down
//!       │                                ↑      │  ↖─────────────────────│ ↑
//!       └─ confirm × down ───────────────│──────│──── recover × good ────┘ │
//!                                        │      ↓ two unknown, or silence  │
//!                          a good result └─ unknown ──────────────────────┘ confirm × down,
//!                                           (what it was is remembered)      or silence past valid_for
//! ```
//!
//! - Good is up or degraded. Up shows degraded after `confirm` degraded results in a row, degraded shows up after `recover` ups.
//! - An unknown result says nothing about the thing watched: it neither lengthens nor ends a row. Two in a row show unknown; what the
//!   check was stays remembered, so a down check still needs `recover` good results, and one bad result shows it down again.
//! - Silence ends the rows that were being counted: results from before and after it are not in a row. Silence past `valid_for` is
//!   down without confirming (it has waited long enough), and `recover` good results end it like any other.
//! - When everything fails at once, `guard` may hold a fall for a few results, or count failures as unknown.
//! - `paused` and `maintenance` cover what is shown; below them everything goes on, and shows again when they are lifted.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Watch;
use crate::facts::CheckStatus;

/// Unknown results in a row that show unknown.
const UNKNOWNS: u32 = 2;
/// Intervals of silence that show unknown.
const SILENT_INTERVALS: u32 = 2;
/// The longest wait before a confirming tick.
const RECHECK_AT_MOST: Duration = Duration::from_secs(10);

/// A change of what is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flip {
    pub from: CheckStatus,
    pub to: CheckStatus,
}

/// What one result led to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Judgement {
    pub flip: Option<Flip>,
    /// A flip is being confirmed: look again after this.
    pub recheck: Option<Duration>,
}

/// The last thing that was certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reach {
    Up,
    Degraded,
    Down,
}

/// One check's machine. Serialises to what must survive a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    reach: Option<Reach>,
    /// Unknown covers `reach`: silent, or could not be tried.
    hidden: bool,
    /// Results in a row, by what they were. Good ones are up or degraded.
    downs: u32,
    goods: u32,
    ups: u32,
    degradeds: u32,
    unknowns: u32,
    shown: CheckStatus,
    since: Timestamp,
}

impl Machine {
    pub fn new(now: Timestamp) -> Self {
        Self { reach: None, hidden: false, downs: 0, goods: 0, ups: 0, degradeds: 0, unknowns: 0, shown: CheckStatus::Unknown, since: now }
    }

    pub fn shown(&self) -> CheckStatus {
        self.shown
    }

    /// When it entered the shown status.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// What would be shown without maintenance or pause.
    pub fn below(&self) -> CheckStatus {
        match self.reach {
            _ if self.hidden => CheckStatus::Unknown,
            None => CheckStatus::Unknown,
            Some(Reach::Up) => CheckStatus::Up,
            Some(Reach::Degraded) => CheckStatus::Degraded,
            Some(Reach::Down) => CheckStatus::Down,
        }
    }

    /// Results against the shown status so far, while a flip is being confirmed.
    pub fn confirming(&self) -> u32 {
        match self.reach {
            _ if self.shown != self.below() => 0,
            None => self.downs,
            Some(Reach::Up) => self.downs.max(self.degradeds),
            Some(Reach::Degraded) => self.downs.max(self.ups),
            Some(Reach::Down) => self.goods,
        }
    }

    /// Takes one result. Statuses that no result can have count as unknown.
    pub fn result(&mut self, status: CheckStatus, watch: &Watch, now: Timestamp) -> Judgement {
        self.count(status);
        self.settle(status, watch);
        let flip = self.show(watch, now);
        let wants = !matches!(status, CheckStatus::Unknown) && self.confirming() > 0;
        Judgement { flip, recheck: watch.interval.filter(|_| wants).map(recheck_after) }
    }

    /// One more failure would show it down.
    pub fn would_fall(&self, watch: &Watch) -> bool {
        let known = self.reach == Some(Reach::Down);
        self.below() != CheckStatus::Down && (known || self.downs.saturating_add(1) >= watch.policy.confirm.max(1))
    }

    /// How often [`Machine::hold`] held this fall already.
    pub fn held(&self, watch: &Watch) -> u32 {
        let needed = if self.reach == Some(Reach::Down) { 0 } else { watch.policy.confirm.max(1) - 1 };
        self.downs.saturating_sub(needed)
    }

    /// A failure that is counted but doesn't show yet: others are asked first.
    pub fn hold(&mut self, watch: &Watch) -> Judgement {
        self.count(CheckStatus::Down);
        let covered = watch.paused || watch.maintenance;
        Judgement { flip: None, recheck: watch.interval.filter(|_| !covered).map(recheck_after) }
    }

    /// A failure that is this host's own: unknown, and those before it in the row were no better founded.
    pub fn cut_off(&mut self, watch: &Watch, now: Timestamp) -> Judgement {
        self.downs = 0;
        self.result(CheckStatus::Unknown, watch, now)
    }

    /// Good was the last thing that was certain.
    pub fn was_well(&self) -> bool {
        matches!(self.reach, Some(Reach::Up | Reach::Degraded))
    }

    /// The silence that [`patience`] named has passed.
    pub fn silence(&mut self, verdict: CheckStatus, watch: &Watch, now: Timestamp) -> Option<Flip> {
        (self.downs, self.goods, self.ups, self.degradeds, self.unknowns) = (0, 0, 0, 0, 0);
        if verdict == CheckStatus::Down {
            self.reach = Some(Reach::Down);
            self.hidden = false;
        } else {
            self.hidden = true;
        }
        self.show(watch, now)
    }

    /// Shows what stands under `watch`, which may have changed.
    pub fn show(&mut self, watch: &Watch, now: Timestamp) -> Option<Flip> {
        let to = match (watch.paused, watch.maintenance) {
            (true, _) => CheckStatus::Paused,
            (false, true) => CheckStatus::Maintenance,
            (false, false) => self.below(),
        };
        let from = std::mem::replace(&mut self.shown, to);
        (from != to).then(|| {
            self.since = now;
            Flip { from, to }
        })
    }

    fn count(&mut self, status: CheckStatus) {
        let more = |row: u32| row.saturating_add(1);
        match status {
            CheckStatus::Up => (self.downs, self.goods, self.ups, self.degradeds) = (0, more(self.goods), more(self.ups), 0),
            CheckStatus::Degraded => (self.downs, self.goods, self.ups, self.degradeds) = (0, more(self.goods), 0, more(self.degradeds)),
            CheckStatus::Down => (self.downs, self.goods, self.ups, self.degradeds) = (more(self.downs), 0, 0, 0),
            CheckStatus::Unknown | CheckStatus::Maintenance | CheckStatus::Paused => {
                self.unknowns = more(self.unknowns);
                return;
            }
        }
        self.unknowns = 0;
    }

    fn settle(&mut self, status: CheckStatus, watch: &Watch) {
        let confirm = watch.policy.confirm.max(1);
        let recover = watch.policy.recover.max(1);
        let said = match status {
            CheckStatus::Up => Reach::Up,
            CheckStatus::Degraded => Reach::Degraded,
            CheckStatus::Down => Reach::Down,
            CheckStatus::Unknown | CheckStatus::Maintenance | CheckStatus::Paused => {
                self.hidden |= self.unknowns >= UNKNOWNS;
                return;
            }
        };
        let reach = match (self.reach, said) {
            (was, now) if was == Some(now) => now,
            (_, Reach::Down) if self.downs >= confirm => Reach::Down,
            (_, Reach::Down) => return,
            (Some(Reach::Down), good) if self.goods >= recover => good,
            (Some(Reach::Down), _) => return,
            // With nothing certain on show there is nothing to confirm against.
            (None, good) => good,
            (Some(_), good) if self.hidden => good,
            (Some(Reach::Up), Reach::Degraded) if self.degradeds >= confirm => Reach::Degraded,
            (Some(Reach::Degraded), Reach::Up) if self.ups >= recover => Reach::Up,
            (Some(_), _) => return,
        };
        self.reach = Some(reach);
        self.hidden = false;
    }
}

/// How soon a flip being confirmed is looked at again.
pub fn recheck_after(every: Duration) -> Duration {
    (every / 4).min(RECHECK_AT_MOST)
}

/// How long a check may be silent, and what it is after that; none: for ever.
pub fn patience(watch: &Watch, valid_for: Option<Duration>) -> Option<(Duration, CheckStatus)> {
    match (valid_for, watch.interval) {
        (Some(valid_for), _) => Some((valid_for, CheckStatus::Down)),
        (None, Some(interval)) => Some((interval.saturating_mul(SILENT_INTERVALS), CheckStatus::Unknown)),
        (None, None) => None,
    }
}
