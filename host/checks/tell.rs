//! The board's way to tell: a flip's event, the check's row and its alert, kept together; and what is held back while a parent is down.
//!
//! Must not decide what is told (`alert` does), and must not hold two shards' locks: a parent is looked at before its child's lock is
//! taken, or after.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::Timestamp;

use super::{
    Watch,
    alert::{Around, Certificate, Word},
    board::Board,
    check::{Check, TOLD_BYTES, clip},
    policy::Flip,
};
use crate::{
    facts::{self, Alert, AlertKind, CheckStatus, Level, Name},
    manifest::units::print_duration,
    store,
};

/// Whom alerts are about, as a person reads it; and which of them there are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Notice {
    pub policy: crate::manifest::spec::AlertPolicy,
    pub title: Option<String>,
    pub group: Option<String>,
    pub notes: Option<String>,
}

/// Checks that are down and not told, by the parent they wait for. May name some that no longer do: they are looked at when it is good.
#[derive(Debug, Default)]
pub(super) struct HeldBack {
    by_parent: Mutex<ByParent>,
    /// Whether there are any: every report asks.
    some: AtomicBool,
}

type ByParent = HashMap<Name, BTreeSet<(Name, Arc<str>)>>;

impl HeldBack {
    fn change<T>(&self, change: impl FnOnce(&mut ByParent) -> T) -> T {
        let mut held = self.by_parent.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut held);
        self.some.store(!held.is_empty(), Ordering::Relaxed);
        changed
    }

    fn add(&self, parent: &Name, child: &Name, subject: &Arc<str>) {
        self.change(|held| held.entry(parent.clone()).or_default().insert((child.clone(), subject.clone())));
    }

    fn waits(&self, parent: &str) -> bool {
        self.some.load(Ordering::Relaxed) && self.change(|held| held.contains_key(parent))
    }

    fn take(&self, parent: &str) -> BTreeSet<(Name, Arc<str>)> {
        self.change(|held| held.remove(parent).unwrap_or_default())
    }
}

/// A flip and what is known of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change<'c> {
    pub flip: Flip,
    /// Why, as far as it needs saying.
    pub why: &'c str,
    /// When the status before began.
    pub before: Timestamp,
    pub parent_bad: bool,
    /// No news: a check that begins well.
    pub quiet: bool,
}

impl Board {
    /// Writes what a flip changed, now and together.
    pub(super) fn flipped(&self, name: &Name, subject: &Arc<str>, check: &mut Check, watch: &Watch, change: Change<'_>) {
        let Change { flip, why, before, parent_bad, quiet } = change;
        let wall = self.clock.wall();
        let around = Around { policy: &watch.notice.policy, parent_bad, open: self.journal.alerting(), now: wall.as_millisecond() };
        let word = check.told.flip(flip.to, around);
        let first = first_line(why);
        let colon = if first.is_empty() { "" } else { ": " };
        let (from, to) = (flip.from.as_str(), flip.to.as_str());
        let mut message = format!("{subject} {from} -> {to}{colon}{first}");
        let alert = match word {
            Word::Nothing => None,
            Word::Hold => {
                if let Some(parent) = &watch.notice.policy.parent {
                    message.push_str(&format!(" (not alerted: its parent {parent} is down)"));
                    self.held.add(parent, name, subject);
                }
                None
            }
            Word::Tell { lasted } => {
                let mut alert =
                    about(name, subject, watch, AlertKind::Check, wall, flip.to, summary(subject, watch, flip.to, first, check, lasted));
                alert.from = Some(from.to_owned());
                alert.since = Some(wall);
                let ran = u64::try_from(wall.duration_since(before).as_millis()).ok();
                alert.before_ms = lasted.or(ran.filter(|_| flip.from != CheckStatus::Unknown));
                alert.detail = Some(why.to_owned());
                alert.evidence = check.evidence().cloned();
                Some(alert)
            }
        };
        let change = facts::Change { at: check.since(), from: flip.from, to: flip.to, detail: first.to_owned() };
        let row = check.row(name, subject, wall).ok();
        if quiet && alert.is_none() {
            // No event: the row and the change are all there is to keep.
            if let Some(row) = row {
                self.store.record_flip(row, change);
            }
            return;
        }
        let level = if flip.to == CheckStatus::Down { Level::Warn } else { Level::Info };
        let flip = store::Flip { check: row, change: Some(change), alert, told: None };
        self.journal.flip("check.changed", level, Some(name), message, flip);
    }

    /// Looks at the certificate that the last request saw.
    pub(super) fn certificate(&self, name: &Name, subject: &Arc<str>, check: &mut Check, watch: &Watch) {
        let Some(ends) = check.evidence().and_then(|evidence| evidence.certificate_expires) else { return };
        let wall = self.clock.wall();
        let around = Around { policy: &watch.notice.policy, parent_bad: false, open: self.journal.alerting(), now: wall.as_millisecond() };
        let Some(said) = check.told.certificate(ends.as_millisecond(), around) else { return };
        let left = ends.duration_since(wall).as_secs();
        let (to, level, words) = match said {
            Certificate::NearEnd if left < 0 => ("ended", Level::Warn, "its certificate has ended".to_owned()),
            Certificate::NearEnd => ("near-end", Level::Warn, format!("its certificate ends in {}", days(left))),
            Certificate::Renewed => ("renewed", Level::Info, format!("its certificate was renewed and is good for {}", days(left))),
        };
        let mut alert =
            about(name, subject, watch, AlertKind::Certificate, wall, CheckStatus::Up, format!("{}: {words}", who(subject, watch)));
        alert.to = to.to_owned();
        alert.since = Some(ends);
        alert.evidence = check.evidence().cloned();
        let check = check.row(name, subject, wall).ok();
        let flip = store::Flip { check, alert: Some(alert), ..store::Flip::default() };
        self.journal.flip("check.certificate", level, Some(name), format!("{subject}: {words}"), flip);
    }

    /// What waits for a parent, from the run before.
    pub(super) fn still_held(&self, name: &Name, subject: &Arc<str>, check: &mut Check, watch: &Watch) {
        if !check.told.held() {
            return;
        }
        match &watch.notice.policy.parent {
            Some(parent) => self.held.add(parent, name, subject),
            None => self.let_go(name, subject, check, watch, "it has no parent any more"),
        }
    }

    /// Something about a worker's checks moved: those that wait for it may be told now.
    pub(super) fn release(&self, parent: &str) {
        if !self.held.waits(parent) || self.bad(parent) {
            return;
        }
        for (name, subject) in self.held.take(parent) {
            let mut guard = self.shard(&name);
            let Some(worker) = guard.workers.get_mut(&name) else { continue };
            let (Some(watch), Some(check)) = (worker.watch.clone(), worker.checks.get_mut(&subject)) else { continue };
            if watch.notice.policy.parent.as_deref() == Some(parent) {
                self.let_go(&name, &subject, check, &watch, &format!("its parent {parent} is down no longer"));
            }
        }
    }

    fn let_go(&self, name: &Name, subject: &Arc<str>, check: &mut Check, watch: &Watch, why: &str) {
        let (wall, since) = (self.clock.wall(), check.since());
        let around = Around { policy: &watch.notice.policy, parent_bad: false, open: self.journal.alerting(), now: wall.as_millisecond() };
        let word = check.told.release(check.shown(), since.as_millisecond(), around);
        let alert = matches!(word, Word::Tell { .. }).then(|| {
            let first = first_line(check.detail());
            let mut alert = about(
                name,
                subject,
                watch,
                AlertKind::Check,
                wall,
                CheckStatus::Down,
                summary(subject, watch, CheckStatus::Down, first, check, None),
            );
            alert.since = Some(since);
            alert.detail = Some(check.detail().to_owned());
            alert.evidence = check.evidence().cloned();
            alert
        });
        let check = check.row(name, subject, wall).ok();
        if alert.is_none() {
            return self.store.record_checks(check.into_iter().collect());
        }
        let message = format!("{subject} is down still, and alerted now: {why}");
        self.journal.flip("check.alerted", Level::Warn, Some(name), message, store::Flip { check, alert, ..store::Flip::default() });
    }

    /// The parent of a worker, where its checks are as bad as to explain any of its children.
    pub(super) fn bad_parent(&self, name: &Name) -> bool {
        let watch = self.shard(name).workers.get(name).and_then(|worker| worker.watch.clone());
        watch.is_some_and(|watch| self.bad_parent_of(&watch))
    }

    pub(super) fn bad_parent_of(&self, watch: &Watch) -> bool {
        watch.notice.policy.parent.as_ref().is_some_and(|parent| self.bad(parent))
    }

    /// All its checks are down, failing right now, or in maintenance.
    pub(super) fn bad(&self, worker: &str) -> bool {
        let guard = self.shard(worker);
        let checks = guard.workers.get(worker).map(|worker| &worker.checks);
        checks.is_some_and(|checks| !checks.is_empty() && checks.values().all(Check::bad))
    }
}

fn about(name: &Name, subject: &str, watch: &Watch, kind: AlertKind, at: Timestamp, to: CheckStatus, summary: String) -> Alert {
    let notice = &watch.notice;
    Alert {
        worker: Some(name.clone()),
        title: notice.title.clone(),
        group: notice.group.clone(),
        notes: notice.notes.clone(),
        subject: Some(subject.to_owned()),
        ..Alert::new(kind, at, to.as_str(), summary)
    }
}

/// `https://example.com/ (Front door)`.
fn who(subject: &str, watch: &Watch) -> String {
    let subject = clip(subject, TOLD_BYTES);
    watch.notice.title.as_ref().map_or_else(|| subject.to_owned(), |title| format!("{subject} ({title})"))
}

fn summary(subject: &str, watch: &Watch, to: CheckStatus, why: &str, check: &Check, lasted: Option<u64>) -> String {
    let who = who(subject, watch);
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    let after = lasted.map_or_else(String::new, |ms| format!(" after {}", for_people(ms)));
    match to {
        CheckStatus::Down => match check.tries() {
            tries @ 2.. => format!("down: {who}{why}, {tries} tries"),
            _ => format!("down: {who}{why}"),
        },
        CheckStatus::Up => format!("up again: {who}{after}"),
        other if lasted.is_some() => format!("{} again: {who}{after}{why}", other.as_str()),
        other => format!("{}: {who}{why}", other.as_str()),
    }
}

fn first_line(text: &str) -> &str {
    clip(text.lines().next().unwrap_or_default(), TOLD_BYTES)
}

fn days(seconds: i64) -> String {
    match seconds / 86_400 {
        0 => format!("{} h", seconds / 3_600),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

/// Seconds are enough where it took longer than one.
fn for_people(ms: u64) -> String {
    let ms = if ms >= 1_000 { ms / 1_000 * 1_000 } else { ms };
    print_duration(std::time::Duration::from_millis(ms))
}
