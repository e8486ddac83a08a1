//! The guard on the board: results of remote hosts are weighed before they count.
//!
//! Must not decide anything (that is `guard`). Its lock is the last one taken, and short.

use std::{
    sync::{MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use super::{
    Recheck, Report, Watch,
    board::Board,
    check::{Check, Moment, clip},
    guard::{Answer, Connected, Guard, Verdict},
};
use crate::{
    facts::{CheckStatus, CutOff, Evidence, Level, Network},
    manifest::units::print_duration,
    store::CheckRow,
};

/// Of an error, in an event.
const ERROR_BYTES: usize = 200;

/// News of the connection itself, for whoever must hear of it.
enum Connection {
    Lost { cut: CutOff, error: String },
    Back { connected: Connected, after: Duration },
}

impl Board {
    pub fn set_guard(&self, on: bool) {
        self.guarding.store(on, Ordering::Relaxed);
    }

    pub fn cut_off(&self) -> Option<CutOff> {
        let now = self.clock.now();
        let mut guard = self.guard();
        [Network::Internet, Network::Lan].into_iter().find_map(|network| guard.cut_off(network, now))
    }

    /// A kept check that was well is a host known to answer: so a host that starts without a network has something to compare with.
    pub fn recall(&self, row: &CheckRow, check: &Check) {
        if let Some(place) = check.place().filter(|_| check.was_well()) {
            self.guard().answered(place, &row.worker, self.clock.now(), self.clock.wall());
        }
    }

    /// How a report counts; one that counts as unknown says so, and why, from here on.
    pub fn weigh(&self, report: &mut Report, check: &mut Check, watch: &Watch, at: Moment) -> Verdict {
        // Silence is a push check's failure, and its reports come from inside.
        let pushed = report.valid_for.is_some_and(|quiet| !quiet.is_zero());
        if pushed || !self.guarding.load(Ordering::Relaxed) {
            return Verdict::Down;
        }
        check.met(report.evidence.as_deref());
        let Some(place) = check.place() else { return Verdict::Down };
        match report.status {
            CheckStatus::Down if !report.evidence.as_deref().is_some_and(connected) => {}
            CheckStatus::Up | CheckStatus::Degraded | CheckStatus::Down => {
                let connected = self.guard().answered(place, &report.worker, at.now, at.wall);
                if let Some(connected) = connected {
                    let after = Duration::try_from(at.wall.duration_since(connected.since)).unwrap_or_default();
                    self.tell_connection(&Connection::Back { connected, after });
                }
                return Verdict::Down;
            }
            CheckStatus::Unknown | CheckStatus::Maintenance | CheckStatus::Paused => return Verdict::Down,
        }
        let (Answer { verdict, probes, begins }, cut) = {
            let mut guard = self.guard();
            // Planned work at home is no sign of anything.
            if (watch.maintenance || watch.paused) && !guard.is_cut_off(place.network) {
                return Verdict::Down;
            }
            guard.failed(place, &report.worker, at.now);
            let Some(question) = check.question(watch, guard.is_cut_off(place.network)) else { return Verdict::Down };
            (guard.judge(place, question, at.now), guard.cut_off(place.network, at.now))
        };
        for worker in probes {
            // Nobody there to tick it: the host is on its way down.
            let _ = self.rechecks.send(Recheck { worker, after: Duration::ZERO });
        }
        if let (Verdict::CutOff, Some(cut)) = (verdict, cut) {
            let error = clip(report.detail.lines().next().unwrap_or_default(), ERROR_BYTES).to_owned();
            report.status = CheckStatus::Unknown;
            report.detail = sentence(&cut, &error);
            if begins {
                self.tell_connection(&Connection::Lost { cut, error });
            }
        }
        verdict
    }

    /// The one place that tells of the connection: a real outage of everything must reach the owner, too.
    fn tell_connection(&self, news: &Connection) {
        match news {
            Connection::Lost { cut, error } => self.journal.event("host.cut-off", Level::Warn, None, sentence(cut, error)),
            Connection::Back { connected: Connected { network, host, .. }, after } => {
                let after = print_duration(Duration::from_secs(after.as_secs().max(1)));
                let message = format!("{} answers again after {after}: {host} was first", network.as_str());
                self.journal.event("host.connected", Level::Warn, None, message);
            }
        }
    }

    fn guard(&self) -> MutexGuard<'_, Guard> {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection, or even an answer: whatever is wrong there, the network is not.
fn connected(evidence: &Evidence) -> bool {
    evidence.http_status.is_some() || evidence.phases.connect_ms.is_some()
}

fn sentence(cut: &CutOff, error: &str) -> String {
    if error.is_empty() { cut.reason.clone() } else { format!("{}; last error: {error}", cut.reason) }
}
