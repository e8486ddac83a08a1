//! How well the stream from the host does, and what the time is there. Pure.

/// The host says something every 5 s; after this nothing it said can be trusted to be so still.
pub const SILENCE_MS: i64 = 12_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Where the host answers.
    pub place: String,
    /// Nothing was heard yet.
    fresh: bool,
    /// When the last frame came, by this machine's clock.
    last: i64,
    /// How far the host's clock is ahead of this one's.
    ahead: i64,
    /// Why there is no connection.
    lost: Option<String>,
}

/// What to say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State<'a> {
    Connecting,
    Live,
    /// For so many milliseconds; why, where that is known.
    Stale(i64, Option<&'a str>),
}

impl Link {
    pub fn new(place: String) -> Self {
        Self { place, fresh: true, last: 0, ahead: 0, lost: None }
    }

    /// A frame came that the host sent at `at`; here it was `wall`.
    pub fn heard(&mut self, at: i64, wall: i64) {
        self.fresh = false;
        self.last = wall;
        self.ahead = at.saturating_sub(wall);
        self.lost = None;
    }

    pub fn lost(&mut self, reason: String) {
        self.lost = Some(reason);
    }

    /// The host's time.
    pub fn now(&self, wall: i64) -> i64 {
        wall.saturating_add(self.ahead)
    }

    pub fn state(&self, wall: i64) -> State<'_> {
        let silent = wall.saturating_sub(self.last).max(0);
        match &self.lost {
            None if self.fresh => State::Connecting,
            Some(reason) => State::Stale(if self.fresh { 0 } else { silent }, Some(reason)),
            None if silent >= SILENCE_MS => State::Stale(silent, None),
            None => State::Live,
        }
    }
}
