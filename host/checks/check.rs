//! One check: its machine, its uptime and what a person sees of it.
//!
//! Must not know other checks or write anything: it is told the time and answers what to do.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    Report, Watch,
    beats::{self, Compact},
    guard::{Question, Verdict},
    place::{self, Place},
    policy::{self, Flip, Judgement, Machine},
    uptime::{Kind, Seen, Uptime},
};
use crate::{
    facts::{Beat, CheckStatus, CheckView, Evidence, LiveCheck, Name, Network},
    store::{CheckRow, ResultRow, SeenRow},
};

/// Results kept for a view.
pub(super) const BEATS: usize = 30;
/// Of a report's detail: kept for a view, and over a restart.
const DETAIL_BYTES: usize = 4 << 10;
const DETAIL_BYTES_SAVED: usize = 512;
/// Seen time is told to history with the next result, and no later than this: a killed host loses no more of it.
const TOLD_WITHIN: Duration = Duration::from_secs(60 * 60);
/// A check nobody reports any more is gone after this; a push check, whose silence is the news, after a month.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);
const PUSH_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The shortest time a subject has to show up again after its worker's config changed: a slow target may take its event's whole timeout.
const RENEWAL_AT_LEAST: Duration = Duration::from_secs(20);
/// Of a detail, in an event or a row: the first line, at most this long.
pub(super) const TOLD_BYTES: usize = 200;
/// The longest silence that a guest may ask for.
const VALID_FOR_AT_MOST: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// The two clocks at one moment: deadlines go by the one that never jumps, what people read by the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub now: Instant,
    pub wall: Timestamp,
}

/// What came due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// Silent for this long.
    Silent(Option<Flip>, Duration),
    /// Time went by that history knows nothing of.
    Untold,
    /// Not reported for so long that it isn't a check any more.
    Gone,
}

#[derive(Debug)]
pub(super) struct Check {
    machine: Machine,
    uptime: Uptime,
    last: Option<Timestamp>,
    latency_ms: Option<f64>,
    valid_for: Option<Duration>,
    detail: Box<str>,
    evidence: Option<Box<Evidence>>,
    beats: VecDeque<Compact>,
    /// The remote host it watches.
    place: Option<Place>,
    /// When it failed last, in a row of failures.
    failed: Option<Instant>,
    /// Where silence counts from: the last result, or when host or worker came back.
    heard: Instant,
    /// This silence was judged already.
    silent: bool,
    /// The last result is of this run, and from after the last pause: time may count by it.
    current: bool,
    /// Must be reported until then: its worker's config changed, and it may not be in it any more.
    renew_until: Option<Instant>,
    /// Seen time that no history row has told yet, since when there may be some, and whether there is more every moment.
    untold: Seen,
    accounted: Instant,
    counting: bool,
    /// When it was first reported.
    began: Timestamp,
    /// The earliest deadline that the board's heap holds for it.
    pub armed: Option<Instant>,
    /// Changed since its row was written.
    pub dirty: bool,
}

/// What survives a restart.
#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    machine: Machine,
    uptime: Uptime,
    last: Option<Timestamp>,
    latency_ms: Option<f64>,
    valid_for_ms: Option<u64>,
    detail: String,
    /// Its host's name led to an address of the local network.
    #[serde(default)]
    lan: bool,
    /// None in rows of before it was kept.
    #[serde(default)]
    began: Option<Timestamp>,
}

impl Check {
    pub fn new(subject: &str, at: Moment) -> Self {
        Self {
            machine: Machine::new(at.wall),
            uptime: Uptime::new(at.wall.as_millisecond()),
            last: None,
            latency_ms: None,
            valid_for: None,
            detail: Box::default(),
            evidence: None,
            beats: VecDeque::new(),
            place: place::of(subject),
            failed: None,
            heard: at.now,
            silent: false,
            current: false,
            renew_until: None,
            untold: Seen::default(),
            accounted: at.now,
            counting: false,
            began: at.wall,
            armed: None,
            dirty: false,
        }
    }

    /// As it was when the host stopped; silence counts from now, and the time between is unseen.
    pub fn restore(row: &CheckRow, at: Moment) -> Result<Self, serde_json::Error> {
        let saved = Saved::deserialize(&row.state)?;
        let began = saved.began.or(saved.last).unwrap_or_else(|| saved.machine.since());
        let new = Self::new(&row.subject, at);
        let network = |place| if saved.lan { Place { network: Network::Lan, ..place } } else { place };
        Ok(Self {
            place: new.place.map(network),
            began: began.min(saved.machine.since()),
            machine: saved.machine,
            uptime: saved.uptime,
            last: saved.last,
            latency_ms: saved.latency_ms,
            valid_for: saved.valid_for_ms.map(Duration::from_millis),
            detail: saved.detail.into(),
            ..new
        })
    }

    /// The row to keep; accounts for the time up to now, so that a restart loses none that was seen.
    pub fn row(&mut self, worker: &Name, subject: &Arc<str>, wall: Timestamp) -> Result<CheckRow, serde_json::Error> {
        self.dirty = false;
        self.untold.add(self.uptime.settle(wall.as_millisecond()));
        let state = serde_json::to_value(Saved {
            machine: self.machine.clone(),
            uptime: self.uptime.clone(),
            last: self.last,
            latency_ms: self.latency_ms,
            valid_for_ms: self.valid_for.map(millis),
            detail: clip(&self.detail, DETAIL_BYTES_SAVED).to_owned(),
            lan: self.place.as_ref().is_some_and(|place| place.network == Network::Lan),
            began: Some(self.began),
        })?;
        Ok(CheckRow { worker: worker.clone(), subject: subject.clone(), state })
    }

    /// The seen time that history does not know of yet, if there is any.
    pub fn seen(&mut self, worker: &Name, subject: &Arc<str>, at: Moment) -> Option<SeenRow> {
        self.untold.add(self.uptime.settle(at.wall.as_millisecond()));
        self.accounted = at.now;
        let Seen { up_ms, degraded_ms, down_ms } = std::mem::take(&mut self.untold);
        let row = SeenRow { worker: worker.clone(), subject: subject.clone(), at: at.wall, up_ms, degraded_ms, down_ms };
        (up_ms > 0 || degraded_ms > 0 || down_ms > 0).then_some(row)
    }

    /// Takes a report; answers what it led to and its row for history. `verdict`: how a failure counts.
    pub fn report(&mut self, report: Report, subject: &Arc<str>, watch: &Watch, now: Instant, verdict: Verdict) -> (Judgement, ResultRow) {
        self.heard = now;
        self.silent = false;
        self.current = true;
        self.renew_until = None;
        self.last = Some(report.at);
        self.latency_ms = report.latency_ms.or(self.latency_ms);
        self.valid_for = report.valid_for.filter(|quiet| !quiet.is_zero()).map(|quiet| quiet.min(VALID_FOR_AT_MOST));
        self.detail = clip(&report.detail, DETAIL_BYTES).into();
        self.evidence.clone_from(&report.evidence);
        if self.beats.len() >= BEATS {
            self.beats.pop_front();
        }
        // What fails in a window was meant to, or may as well have been.
        let kept = if watch.maintenance && report.status != CheckStatus::Up { CheckStatus::Maintenance } else { report.status };
        self.beats.push_back(Compact::new(report.at, kept, report.latency_ms));
        let judgement = match verdict {
            Verdict::Down => self.machine.result(report.status, watch, report.at),
            Verdict::Hold => self.machine.hold(watch),
            Verdict::CutOff => self.machine.cut_off(watch, report.at),
        };
        match report.status {
            CheckStatus::Down => self.failed = Some(now),
            CheckStatus::Unknown if verdict == Verdict::Down => {}
            _ => self.failed = None,
        }
        self.account(watch, report.at);
        let told = std::mem::take(&mut self.untold);
        self.accounted = now;
        let failed = report.status != CheckStatus::Up && !report.detail.is_empty();
        let row = ResultRow {
            worker: report.worker,
            subject: subject.clone(),
            at: report.at,
            status: kept,
            latency_ms: report.latency_ms,
            evidence: report.evidence,
            detail: failed.then(|| clip(&report.detail, DETAIL_BYTES_SAVED).into()),
            up_ms: told.up_ms,
            degraded_ms: told.degraded_ms,
            down_ms: told.down_ms,
        };
        (judgement, row)
    }

    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// A connection showed where its host is.
    pub fn met(&mut self, evidence: Option<&Evidence>) {
        let Some(address) = evidence.and_then(|evidence| place::connected(evidence.address.as_deref()?)) else { return };
        let Some(place) = &mut self.place else { return };
        match place::network(address) {
            Some(network) => place.network = network,
            // This machine's own, whatever the name.
            None => self.place = None,
        }
    }

    /// Good was the last thing that was certain of it.
    pub fn was_well(&self) -> bool {
        self.valid_for.is_none() && self.machine.was_well()
    }

    /// What to ask the guard of a failure; None: it counts whatever the guard knows. `cut_off`: failures say nothing just now.
    pub fn question(&self, watch: &Watch, cut_off: bool) -> Option<Question> {
        let stands = self.machine.below() == CheckStatus::Down;
        let asks = !stands && (cut_off || self.machine.would_fall(watch));
        asks.then(|| Question { before: self.failed, held: self.machine.held(watch) })
    }

    /// Its worker is judged otherwise from now on; `resumed`: it was paused, so silence counts from now.
    pub fn watched(&mut self, watch: &Watch, resumed: bool, at: Moment) -> Option<Flip> {
        if resumed {
            self.heard = at.now;
            self.silent = false;
            self.current = false;
        }
        let flip = self.machine.show(watch, at.wall);
        self.account(watch, at.wall);
        flip
    }

    /// Its worker's config changed, and the worker has reported since.
    pub fn renew(&mut self, watch: &Watch, now: Instant) {
        let interval = watch.interval.unwrap_or(LIFE);
        self.renew_until = now.checked_add(interval.saturating_mul(2).max(RENEWAL_AT_LEAST));
    }

    /// When it must be looked at if nothing is reported until then. A paused check has no deadline.
    pub fn deadline(&self, watch: &Watch) -> Option<Instant> {
        if watch.paused {
            return None;
        }
        let untold = if self.counting { self.accounted.checked_add(TOLD_WITHIN) } else { None };
        [self.silence(watch), self.renew_until, self.end(watch), untold].into_iter().flatten().min()
    }

    fn silence(&self, watch: &Watch) -> Option<Instant> {
        policy::patience(watch, self.valid_for).filter(|_| !self.silent).and_then(|(quiet, _)| self.heard.checked_add(quiet))
    }

    /// Judges the silence so far.
    pub fn due(&mut self, watch: &Watch, at: Moment) -> Due {
        if self.deadline(watch).is_none_or(|deadline| deadline > at.now) {
            return Due::Nothing;
        }
        if [self.renew_until, self.end(watch)].into_iter().flatten().any(|end| end <= at.now) {
            return Due::Gone;
        }
        if self.silence(watch).is_none_or(|silence| silence > at.now) {
            return Due::Untold;
        }
        self.silent = true;
        let Some((quiet, verdict)) = policy::patience(watch, self.valid_for) else {
            return Due::Nothing;
        };
        let flip = self.machine.silence(verdict, watch, at.wall);
        self.account(watch, at.wall);
        Due::Silent(flip, quiet)
    }

    /// Puts older results before those that came since the start.
    pub fn remember(&mut self, older: &[Beat]) {
        let room = BEATS.saturating_sub(self.beats.len());
        let first = self.beats.front().map_or(i64::MAX, |beat| beat.at);
        for beat in older.iter().rev().filter(|beat| beat.at.as_millisecond() < first).take(room) {
            self.beats.push_front(Compact::new(beat.at, beat.status, beat.latency_ms));
        }
    }

    pub fn detail(&self) -> &str {
        &self.detail
    }

    pub fn since(&self) -> Timestamp {
        self.machine.since()
    }

    pub fn began(&self) -> Timestamp {
        self.began
    }

    pub fn view(&self, worker: &Name, subject: &Arc<str>, wall: Timestamp) -> CheckView {
        let figures = self.uptime.figures(wall.as_millisecond());
        CheckView {
            worker: worker.clone(),
            subject: subject.to_string(),
            status: self.machine.shown(),
            latency_ms: self.latency_ms,
            since: self.machine.since(),
            uptime: figures.uptime,
            coverage: figures.coverage,
            last: self.last,
            detail: self.detail.to_string(),
            evidence: self.evidence.as_deref().cloned(),
            confirming: self.machine.confirming(),
            recent: self.beats.iter().map(|beat| beat.view()).collect(),
        }
    }

    /// The row of the live view; its worker's title and group are for others to add.
    pub fn live(&self, worker: &Name, subject: &Arc<str>, wall: Timestamp) -> LiveCheck {
        let figures = self.uptime.figures(wall.as_millisecond());
        let evidence = self.evidence.as_deref();
        LiveCheck {
            worker: worker.clone(),
            subject: subject.to_string(),
            title: None,
            group: None,
            status: self.machine.shown(),
            since: self.machine.since().as_millisecond(),
            latency_ms: self.latency_ms,
            uptime: figures.uptime,
            coverage: figures.coverage,
            last: self.last.map(Timestamp::as_millisecond),
            detail: clip(self.detail.lines().next().unwrap_or_default(), TOLD_BYTES).to_owned(),
            confirming: self.machine.confirming(),
            certificate: evidence.and_then(|seen| seen.certificate_expires).map(Timestamp::as_millisecond),
            beats: beats::written(self.beats.iter()),
        }
    }

    /// From now on time counts as what is shown, as long as the last result (or a silence that is down) stands for it.
    fn account(&mut self, watch: &Watch, wall: Timestamp) {
        let kind = match self.machine.shown() {
            CheckStatus::Up => Some(Kind::Up),
            CheckStatus::Degraded => Some(Kind::Degraded),
            CheckStatus::Down => Some(Kind::Down),
            CheckStatus::Unknown | CheckStatus::Maintenance | CheckStatus::Paused => None,
        }
        .filter(|_| self.current || self.silent);
        self.counting = kind.is_some();
        let until = match (self.last, policy::patience(watch, self.valid_for)) {
            (Some(last), Some((quiet, _))) if !self.silent => {
                Some(last.as_millisecond().saturating_add(i64::try_from(quiet.as_millis()).unwrap_or(i64::MAX)))
            }
            _ => None,
        };
        self.untold.add(self.uptime.mark(wall.as_millisecond(), kind, until));
    }

    /// When a check that nobody reports any more is gone.
    fn end(&self, watch: &Watch) -> Option<Instant> {
        let shortest = if self.valid_for.is_some() { PUSH_LIFE } else { LIFE };
        let quiet = policy::patience(watch, self.valid_for).map_or(Duration::ZERO, |(quiet, _)| quiet);
        self.heard.checked_add(shortest.max(quiet.saturating_mul(2)))
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The start of a text, cut between characters.
pub(super) fn clip(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}
