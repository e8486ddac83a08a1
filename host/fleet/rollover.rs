//! Roll-over of one component file: which bytes run, which ran before, and until when the new ones can still be taken back.
//!
//! ```text
//!                 offer (new bytes on disk)
//!   proven(A) ───────────────────────────────▶ on probation(B, before: A) ──── ten minutes pass ────▶ proven(B)
//!       ▲                                                │
//!       └──────── fault (quarantined or failed on B) ────┘   B is refused until the file says something else
//! ```
//!
//! Pure: takes `now`, holds no bytes, loads nothing.

use std::time::Duration;

use tokio::time::Instant;

use crate::facts::Digest;

/// How long new bytes can be taken back.
pub const PROBATION: Duration = Duration::from_secs(600);

/// Bytes that are not tried again, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub digest: Digest,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Rollover {
    current: Digest,
    /// The bytes to go back to, and until when.
    before: Option<(Digest, Instant)>,
    refused: Option<Refusal>,
}

impl Rollover {
    /// Bytes that count as proven.
    pub fn new(current: Digest) -> Self {
        Self { current, before: None, refused: None }
    }

    /// Takes over what an earlier run of the host refused.
    pub fn refusing(mut self, refused: Option<Refusal>) -> Self {
        self.refused = refused.filter(|refused| refused.digest != self.current);
        self
    }

    pub fn current(&self) -> &Digest {
        &self.current
    }

    pub fn refused(&self) -> Option<&Refusal> {
        self.refused.as_ref()
    }

    /// When the bytes at hand are proven; None when they are.
    pub fn deadline(&self) -> Option<Instant> {
        self.before.as_ref().map(|(_, until)| *until)
    }

    /// The bytes that must stay at hand.
    pub fn held(&self) -> impl Iterator<Item = &Digest> {
        std::iter::once(&self.current).chain(self.before.as_ref().map(|(digest, _)| digest))
    }

    /// The file holds these bytes now. A refusal stands only as long as the file says the same.
    pub fn seen(&mut self, digest: &Digest) {
        self.refused.take_if(|refused| refused.digest != *digest);
    }

    /// Should these bytes, found in the file, be run?
    pub fn wants(&self, digest: &Digest) -> bool {
        *digest != self.current && self.refused.as_ref().is_none_or(|refused| refused.digest != *digest)
    }

    /// Runs new bytes from now on. What is gone back to is always the last proven one.
    pub fn roll(&mut self, to: Digest, now: Instant) {
        if to == self.current {
            return;
        }
        let replaced = std::mem::replace(&mut self.current, to);
        let (proven, _) = self.before.take().filter(|(_, until)| *until > now).unwrap_or((replaced, now));
        self.before = (proven != self.current).then_some((proven, now + PROBATION));
    }

    /// The proven bytes to go back to when `digest` turned out bad; None when it is proven itself, or not what runs.
    pub fn way_back(&self, digest: &Digest, now: Instant) -> Option<&Digest> {
        let (proven, until) = self.before.as_ref()?;
        (*digest == self.current && now < *until).then_some(proven)
    }

    /// Goes back; false when there is no way back.
    pub fn fault(&mut self, digest: &Digest, reason: String, now: Instant) -> bool {
        let Some(proven) = self.way_back(digest, now).cloned() else {
            return false;
        };
        self.refused = Some(Refusal { digest: std::mem::replace(&mut self.current, proven), reason });
        self.before = None;
        true
    }

    /// Ends a probation that is over.
    pub fn expire(&mut self, now: Instant) {
        self.before.take_if(|(_, until)| *until <= now);
    }
}
