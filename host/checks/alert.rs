//! Which flips of a check are told: plain data. A check remembers what was told of it, so that a restart tells nothing twice.
//!
//! Must not read a clock, wait or touch anything: every method takes what it needs and answers what to tell.
//!
//! | what a check turns | told, where its policy says so |
//! |---|---|
//! | down | unless that was told before; while its parent is down it is held back, and told once the parent is good and it is down still |
//! | degraded | with `alert = ["down", "degraded"]`; else it counts as good |
//! | good (up, or degraded) | only if trouble was told before: whoever was not alarmed needs no all-clear |
//! | unknown, maintenance, paused | never: nothing is known, or somebody said so himself. What was told stays told |

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{facts::CheckStatus, manifest::spec::AlertPolicy};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Trouble {
    Down,
    Degraded,
}

/// What whoever is told knows of one check. Serialises to what must survive a restart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// None: that all is well.
    trouble: Option<Trouble>,
    /// When that began, in milliseconds since 1970.
    since: i64,
    /// It is down and nobody was told, because its parent is.
    held: bool,
    /// The end of a certificate that was told of, and whether a newer one was.
    certificate: Option<(i64, bool)>,
}

/// What to do about a flip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    Nothing,
    /// `lasted`: how long the trouble did that is over, in milliseconds.
    Tell {
        lasted: Option<u64>,
    },
    /// Its parent is down.
    Hold,
}

/// What to say of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    NearEnd,
    Renewed,
}

/// How things stand around a flip.
#[derive(Debug, Clone, Copy)]
pub struct Around<'p> {
    pub policy: &'p AlertPolicy,
    /// The parent is down, about to be, or in maintenance.
    pub parent_bad: bool,
    /// Somebody takes alerts.
    pub open: bool,
    /// Milliseconds since 1970.
    pub now: i64,
}

impl Told {
    /// The check shows `to` now.
    pub fn flip(&mut self, to: CheckStatus, around: Around<'_>) -> Word {
        let Around { policy, parent_bad, open, now } = around;
        let means = match to {
            CheckStatus::Down if policy.down => Some(Trouble::Down),
            CheckStatus::Degraded if policy.degraded => Some(Trouble::Degraded),
            CheckStatus::Up | CheckStatus::Degraded => None,
            CheckStatus::Down | CheckStatus::Unknown | CheckStatus::Maintenance | CheckStatus::Paused => {
                self.held = false;
                return Word::Nothing;
            }
        };
        let was = self.trouble;
        self.held = false;
        if was == means {
            return Word::Nothing;
        }
        if !open {
            // Nobody hears it: then nobody expects an all-clear either.
            self.trouble = None;
            return Word::Nothing;
        }
        if means == Some(Trouble::Down) && parent_bad {
            self.held = true;
            return Word::Hold;
        }
        self.trouble = means;
        if was.is_none() {
            self.since = now;
        }
        let lasted = u64::try_from(now.saturating_sub(self.since)).ok().filter(|_| means.is_none());
        // An all-clear that nobody wants any more is not given.
        if means.is_none() && !policy.down && !policy.degraded { Word::Nothing } else { Word::Tell { lasted } }
    }

    /// Its parent is good again, or gone; the check shows `shown` since `since`.
    pub fn release(&mut self, shown: CheckStatus, since: i64, around: Around<'_>) -> Word {
        if !std::mem::take(&mut self.held) || shown != CheckStatus::Down {
            return Word::Nothing;
        }
        let word = self.flip(shown, Around { parent_bad: false, ..around });
        if matches!(word, Word::Tell { .. }) {
            self.since = since;
        }
        word
    }

    pub fn held(&self) -> bool {
        self.held
    }

    /// A certificate that ends then was seen.
    pub fn certificate(&mut self, ends: i64, around: Around<'_>) -> Option<Certificate> {
        let notice = millis(around.policy.certificate.filter(|_| around.open)?);
        let near = ends.saturating_sub(around.now) <= notice;
        match self.certificate {
            // A site of several machines shows now this one, now that one.
            Some((told, _)) if told == ends => None,
            _ if near => {
                self.certificate = Some((ends, false));
                Some(Certificate::NearEnd)
            }
            Some((told, false)) if ends > told => {
                self.certificate = Some((told, true));
                Some(Certificate::Renewed)
            }
            _ => None,
        }
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
