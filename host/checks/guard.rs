//! Whether it is this host that is cut off when everything it watches fails at once.
//!
//! Must not read a clock, wait or touch checks: it hears how remote hosts answered, and answers how a failure counts.
//!
//! ```text
//!   a check is about to be down ─▶ did any host of its network answer since its failure before? ─ yes ─▶ down
//!                                    │ no
//!                                    ├─ fewer than 3 hosts answered lately ─────────────────────────────▶ down
//!                                    ├─ all others failed since the last answer, 2 at least ─────────────▶ cut off: unknown
//!                                    └─ some were not asked since ─▶ hold for at most 2 results, ask 3 of them ─▶ the same question;
//!                                                                    then 2 others that failed are enough, with fewer it is down
//!   cut off ── any host of the network answers ─▶ connected
//! ```
//!
//! - A host answers when a check of it is good, or fails in a way that shows a connection: a site that answers 500 proves the network.
//! - Hosts count, not checks: ten pages of one server are one host. Lately is within an hour before the last answer.
//! - Internet and local network are judged apart. In doubt it is down: an alert may come late, never not at all.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

use super::place::Place;
use crate::facts::{CutOff, Name, Network};

/// With fewer hosts of a network the guard never speaks.
pub const HOSTS_AT_LEAST: usize = 3;
/// Other hosts that must have failed too.
pub const WITNESSES: usize = 2;
/// Results that a flip is held for while other hosts are asked.
pub const HOLDS: u32 = 2;
/// Hosts asked at once, and how soon others are.
const PROBES: usize = 3;
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// A host that answered this long before the last answer was known to be well.
pub const LATELY: Duration = Duration::from_secs(60 * 60);
/// Hosts not heard of for this long are forgotten, at the latest when there are twice as many as after the last time.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);
const FORGET_FROM: usize = 1_024;
/// Hosts remembered at all: subjects are guests' words.
const MOST: usize = 65_536;

/// How a failure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As what it is.
    Down,
    /// It doesn't flip the check yet.
    Hold,
    /// As unknown.
    CutOff,
}

/// A failure that would show a check down.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    /// When the check failed before, in this row; none: it didn't.
    pub before: Option<Instant>,
    /// Results that its flip was held for already.
    pub held: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub verdict: Verdict,
    /// Workers that should ask their hosts now.
    pub probes: Vec<Name>,
    /// This question found out that the host is cut off: news.
    pub begins: bool,
}

/// The network answers again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected {
    pub network: Network,
    pub host: Arc<str>,
    pub since: Timestamp,
}

#[derive(Debug, Default)]
pub struct Guard {
    hosts: HashMap<Arc<str>, Seen>,
    internet: Side,
    lan: Side,
    /// Hosts are forgotten when there are this many.
    forget_at: usize,
}

/// What is known of a host.
#[derive(Debug)]
struct Seen {
    network: Network,
    /// Whoever asked it last.
    worker: Name,
    answered: Option<Instant>,
    heard: Instant,
}

/// One network.
#[derive(Debug, Default)]
struct Side {
    /// The newest answer of any host.
    answered: Option<(Instant, Timestamp)>,
    /// Hosts that answered lately, and failed since the newest answer.
    failed: HashSet<Arc<str>>,
    /// Hosts that answered lately, counted when somebody asks.
    known: Option<usize>,
    probed: Option<Instant>,
    cut: Option<Cut>,
}

#[derive(Debug)]
struct Cut {
    since: Timestamp,
    /// The last failure: what nobody asks any more is not cut off.
    failed: Instant,
}

impl Guard {
    /// A host answered, or is known to have been well.
    pub fn answered(&mut self, place: &Place, worker: &Name, now: Instant, wall: Timestamp) -> Option<Connected> {
        if let Some(seen) = self.seen(place, worker, now) {
            seen.answered = Some(now);
        }
        let side = self.side_mut(place.network);
        side.answered = Some((now, wall));
        side.known = None;
        side.failed.clear();
        let cut = side.cut.take()?;
        Some(Connected { network: place.network, host: place.host.clone(), since: cut.since })
    }

    /// A host failed in a way that may be the network's.
    pub fn failed(&mut self, place: &Place, worker: &Name, now: Instant) {
        let newest = self.side(place.network).answered.map(|(newest, _)| newest);
        let well = self.seen(place, worker, now).is_some_and(|seen| seen.well(place.network, newest));
        let side = self.side_mut(place.network);
        if well {
            side.failed.insert(place.host.clone());
        }
        side.cut.take_if(|cut| now.duration_since(cut.failed) > LATELY);
        if let Some(cut) = &mut side.cut {
            cut.failed = now;
        }
    }

    /// Whether failures of this network count as unknown.
    pub fn is_cut_off(&self, network: Network) -> bool {
        self.side(network).cut.is_some()
    }

    /// How a failure counts that was just told by [`Guard::failed`], and would show its check down.
    pub fn judge(&mut self, place: &Place, question: Question, now: Instant) -> Answer {
        let plain = |verdict| Answer { verdict, probes: Vec::new(), begins: false };
        let known = self.known(place.network);
        let side = self.side_mut(place.network);
        if side.cut.is_some() {
            return plain(Verdict::CutOff);
        }
        let Some((newest, wall)) = side.answered else { return plain(Verdict::Down) };
        if question.before.is_some_and(|before| newest > before) || known < HOSTS_AT_LEAST {
            return plain(Verdict::Down);
        }
        let others = side.failed.len() - usize::from(side.failed.contains(&place.host));
        let (all_asked, patient) = (side.failed.len() >= known, question.held < HOLDS);
        if others >= WITNESSES && (all_asked || !patient) {
            side.cut = Some(Cut { since: wall, failed: now });
            return Answer { begins: true, ..plain(Verdict::CutOff) };
        }
        if !patient {
            return plain(Verdict::Down);
        }
        Answer { probes: self.probes(place.network, now), ..plain(Verdict::Hold) }
    }

    /// What a person is told; none: this network answers, or nobody asks it any more.
    pub fn cut_off(&mut self, network: Network, now: Instant) -> Option<CutOff> {
        let known = self.known(network);
        let side = self.side(network);
        let cut = side.cut.as_ref().filter(|cut| now.duration_since(cut.failed) <= LATELY)?;
        let (failed, away, at) = (side.failed.len(), network.as_str(), cut.since.strftime("%H:%M"));
        let reason = format!("this host seems cut off from {away}: {failed} of {known} hosts stopped answering since {at} UTC");
        Some(CutOff { network, since: cut.since, reason })
    }

    /// Workers of hosts that were not asked since the newest answer.
    fn probes(&mut self, network: Network, now: Instant) -> Vec<Name> {
        let side = self.side(network);
        if side.probed.is_some_and(|probed| now.duration_since(probed) < PROBE_EVERY) {
            return Vec::new();
        }
        let newest = side.answered.map(|(newest, _)| newest);
        let mut probes = Vec::new();
        for (host, seen) in &self.hosts {
            if seen.well(network, newest) && !side.failed.contains(host) && !probes.contains(&seen.worker) {
                probes.push(seen.worker.clone());
            }
            if probes.len() >= PROBES {
                break;
            }
        }
        self.side_mut(network).probed = Some(now);
        probes
    }

    fn known(&mut self, network: Network) -> usize {
        let side = self.side(network);
        if let Some(known) = side.known {
            return known;
        }
        let newest = side.answered.map(|(newest, _)| newest);
        let known = self.hosts.values().filter(|seen| seen.well(network, newest)).count();
        self.side_mut(network).known = Some(known);
        known
    }

    /// The host's place in the books; none when they are full.
    fn seen(&mut self, place: &Place, worker: &Name, now: Instant) -> Option<&mut Seen> {
        if !self.hosts.contains_key(&place.host) {
            self.forget(now);
            if self.hosts.len() >= MOST {
                return None;
            }
        }
        let new = || Seen { network: place.network, worker: worker.clone(), answered: None, heard: now };
        let seen = self.hosts.entry(place.host.clone()).or_insert_with(new);
        if seen.network != place.network {
            seen.network = place.network;
            (self.internet.known, self.lan.known) = (None, None);
            self.internet.failed.remove(&place.host);
            self.lan.failed.remove(&place.host);
        }
        if seen.worker != *worker {
            seen.worker = worker.clone();
        }
        seen.heard = now;
        Some(seen)
    }

    fn forget(&mut self, now: Instant) {
        if self.hosts.len() < self.forget_at.max(FORGET_FROM) {
            return;
        }
        self.hosts.retain(|_, seen| now.duration_since(seen.heard) < REMEMBERED);
        self.forget_at = self.hosts.len() * 2;
        (self.internet.known, self.lan.known) = (None, None);
    }

    fn side(&self, network: Network) -> &Side {
        match network {
            Network::Internet => &self.internet,
            Network::Lan => &self.lan,
        }
    }

    fn side_mut(&mut self, network: Network) -> &mut Side {
        match network {
            Network::Internet => &mut self.internet,
            Network::Lan => &mut self.lan,
        }
    }
}

impl Seen {
    /// It answered lately, the newest answer of its network being that old.
    fn well(&self, network: Network, newest: Option<Instant>) -> bool {
        self.network == network && self.answered.zip(newest).is_some_and(|(own, newest)| newest.duration_since(own) <= LATELY)
    }
}
