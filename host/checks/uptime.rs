//! For how much of the last day a check was up: time-weighted arithmetic in milliseconds.
//!
//! Must not read a clock or know why a check stands as it does. Time nobody saw (the host was off, the check unknown, paused or in
//! maintenance) is neither up nor down: it lowers `coverage`, never `uptime`.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// The window that figures look at.
pub const WINDOW_MS: i64 = 24 * 60 * 60 * 1_000;
/// Segments kept; past it the older half is merged in pairs, so that what blurs is what leaves the window first.
pub const SEGMENTS: usize = 512;

/// What a stretch of seen time counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Up,
    Degraded,
    Down,
}

/// Seen time, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    pub up_ms: u64,
    pub degraded_ms: u64,
    pub down_ms: u64,
}

impl Seen {
    fn of(kind: Kind, ms: u64) -> Self {
        let mut seen = Self::default();
        match kind {
            Kind::Up => seen.up_ms = ms,
            Kind::Degraded => seen.degraded_ms = ms,
            Kind::Down => seen.down_ms = ms,
        }
        seen
    }

    pub fn add(&mut self, other: Seen) {
        self.up_ms = self.up_ms.saturating_add(other.up_ms);
        self.degraded_ms = self.degraded_ms.saturating_add(other.degraded_ms);
        self.down_ms = self.down_ms.saturating_add(other.down_ms);
    }

    /// The part of it that falls on `part` of `whole` milliseconds.
    fn share(self, part: u64, whole: u64) -> Self {
        let of = |ms: u64| u64::try_from(u128::from(ms) * u128::from(part) / u128::from(whole.max(1))).unwrap_or(u64::MAX);
        Self { up_ms: of(self.up_ms), degraded_ms: of(self.degraded_ms), down_ms: of(self.down_ms) }
    }
}

/// `uptime` 0..1, none when nothing was seen; `coverage` 0..1 of the window: a check of an hour
/// covers a twenty-fourth of a day, and does not say more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    pub uptime: Option<f64>,
    pub coverage: f64,
}

/// A stretch of wall time and what was seen of it. Times are milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
struct Segment {
    start: i64,
    end: i64,
    seen: Seen,
}

type Written = (i64, i64, u64, u64, u64);

impl From<Written> for Segment {
    fn from((start, end, up_ms, degraded_ms, down_ms): Written) -> Self {
        Self { start, end, seen: Seen { up_ms, degraded_ms, down_ms } }
    }
}

impl From<Segment> for Written {
    fn from(Segment { start, end, seen }: Segment) -> Self {
        (start, end, seen.up_ms, seen.degraded_ms, seen.down_ms)
    }
}

impl Segment {
    fn length(&self) -> u64 {
        between(self.start, self.end)
    }

    /// What was seen between `from` and `until`: exact for a segment of one kind, in proportion for a merged one.
    fn within(&self, from: i64, until: i64) -> Seen {
        self.seen.share(between(self.start.max(from), self.end.min(until)), self.length())
    }
}

/// What the time from the cursor on counts as, until the next mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Running {
    kind: Kind,
    /// No longer than to here: then it is unseen.
    until: Option<i64>,
}

/// The seen time of one check. Serialises to what must survive a restart; time while the host is off is unseen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Uptime {
    /// Up to here time is accounted for.
    cursor: i64,
    segments: VecDeque<Segment>,
    #[serde(skip)]
    running: Option<Running>,
}

impl Uptime {
    pub fn new(now: i64) -> Self {
        Self { cursor: now, segments: VecDeque::new(), running: None }
    }

    /// Accounts for the time up to `now`; from here on it counts as `kind` (none: unseen), no longer than `until`.
    /// Answers what the time since the last mark added.
    pub fn mark(&mut self, now: i64, kind: Option<Kind>, until: Option<i64>) -> Seen {
        let seen = self.settle(now);
        self.running = kind.map(|kind| Running { kind, until });
        seen
    }

    /// Accounts for the time up to `now` without changing what it counts as.
    pub fn settle(&mut self, now: i64) -> Seen {
        if now < self.cursor {
            self.turn_back(now);
            return Seen::default();
        }
        let seen = match self.stretch(now) {
            Some((kind, segment)) => {
                self.push(kind, segment);
                segment.seen
            }
            None => Seen::default(),
        };
        self.cursor = now;
        while self.segments.front().is_some_and(|oldest| oldest.end <= now.saturating_sub(WINDOW_MS)) {
            self.segments.pop_front();
        }
        seen
    }

    /// The figures of the window that ends now.
    pub fn figures(&self, now: i64) -> Figures {
        let now = now.max(self.cursor);
        let start = now.saturating_sub(WINDOW_MS);
        let mut seen = Seen::default();
        let running = self.stretch(now).map(|(_, segment)| segment);
        for segment in self.segments.iter().chain(&running).filter(|segment| segment.end > start) {
            seen.add(segment.within(start, now));
        }
        let good = seen.up_ms.saturating_add(seen.degraded_ms);
        let known = good.saturating_add(seen.down_ms);
        Figures { uptime: (known > 0).then(|| ratio(good, known)), coverage: ratio(known, between(start, now)).min(1.0) }
    }

    /// How many segments are held.
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// The running stretch up to `now`, if there is one.
    fn stretch(&self, now: i64) -> Option<(Kind, Segment)> {
        let Running { kind, until } = self.running?;
        let end = until.map_or(now, |until| until.min(now));
        (end > self.cursor).then(|| (kind, Segment { start: self.cursor, end, seen: Seen::of(kind, between(self.cursor, end)) }))
    }

    fn push(&mut self, kind: Kind, segment: Segment) {
        if let Some(last) = self.segments.back_mut()
            && last.end == segment.start
            && last.seen == Seen::of(kind, last.length())
        {
            last.end = segment.end;
            last.seen = Seen::of(kind, last.length());
            return;
        }
        self.segments.push_back(segment);
        if self.segments.len() > SEGMENTS {
            self.merge_older_half();
        }
    }

    fn merge_older_half(&mut self) {
        let newer = self.segments.split_off(self.segments.len() / 2);
        let mut older = std::mem::take(&mut self.segments).into_iter();
        while let Some(mut segment) = older.next() {
            if let Some(next) = older.next() {
                segment.end = next.end;
                segment.seen.add(next.seen);
            }
            self.segments.push_back(segment);
        }
        self.segments.extend(newer);
    }

    /// The wall clock went back: what lies after it will be lived again, and counts then.
    fn turn_back(&mut self, now: i64) {
        while self.segments.back().is_some_and(|last| last.start >= now) {
            self.segments.pop_back();
        }
        if let Some(last) = self.segments.back_mut()
            && last.end > now
        {
            last.seen = last.within(last.start, now);
            last.end = now;
        }
        let back = self.cursor.saturating_sub(now);
        if let Some(Running { until: Some(until), .. }) = &mut self.running {
            *until = until.saturating_sub(back);
        }
        self.cursor = now;
    }
}

fn between(start: i64, end: i64) -> u64 {
    u64::try_from(end.saturating_sub(start)).unwrap_or_default()
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
