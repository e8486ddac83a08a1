//! The owner of every check, in shards, so that a listing never holds up all reporters.
//!
//! Must not wait for anything: reports come from the middle of workers' events. What is due is the keeper's, see `keeper`.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, atomic::AtomicBool},
};

use jiff::Timestamp;
use tokio::{
    sync::{mpsc::UnboundedSender, watch},
    time::Instant,
};

use super::{
    Recheck, Report, Watch,
    check::{Check, Due, Moment, TOLD_BYTES, clip},
    guard::Guard,
    keeper::Deadlines,
    policy::Flip,
    shard::{Shard, Worker, lock},
    windows::Windows,
};
use crate::{
    clock::Clock,
    facts::{Change, CheckStatus, CheckView, Level, LiveCheck, Name},
    journal::Journal,
    manifest::units::print_duration,
    store::{CheckRow, Recent, Store},
};

const SHARDS: usize = 16;
/// Subjects one worker may report, and their length in bytes.
const SUBJECTS: usize = 1_000;
const SUBJECT_BYTES: usize = 2_048;
/// Rows given to the store before it is waited for: its queue is bounded.
const ROWS_AT_ONCE: usize = 10_000;

#[derive(Debug)]
pub(super) struct Board {
    pub shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    pub deadlines: Deadlines,
    pub windows: Mutex<Windows>,
    pub guard: Mutex<Guard>,
    pub guarding: AtomicBool,
    changed: watch::Sender<u64>,
    store: Store,
    pub journal: Journal,
    pub clock: Clock,
    pub rechecks: UnboundedSender<Recheck>,
}

impl Board {
    pub fn new(store: Store, journal: Journal, clock: Clock, rechecks: UnboundedSender<Recheck>) -> Self {
        Self {
            shards: Default::default(),
            hasher: RandomState::new(),
            deadlines: Deadlines::default(),
            windows: Mutex::default(),
            guard: Mutex::default(),
            guarding: AtomicBool::new(true),
            changed: watch::channel(0).0,
            store,
            journal,
            clock,
            rechecks,
        }
    }

    /// Puts a check back as it was kept.
    pub fn restore(&self, row: &CheckRow) {
        match Check::restore(row, self.moment()) {
            Ok(check) => {
                self.recall(row, &check);
                let mut shard = self.shard(&row.worker);
                shard.workers.entry(row.worker.clone()).or_default().checks.insert(row.subject.clone(), check);
            }
            Err(error) => tracing::warn!(worker = &*row.worker, subject = &*row.subject, "a kept check starts anew: {error}"),
        }
    }

    /// Puts results of the run before into the views.
    pub fn remember(&self, recent: &[Recent]) {
        for Recent { worker, subject, beats } in recent {
            let mut guard = self.shard(worker);
            let Shard { workers, touched, .. } = &mut *guard;
            if let Some(check) = workers.get_mut(worker).and_then(|worker| worker.checks.get_mut(subject)) {
                check.remember(beats);
                touched.note(worker, subject);
            }
        }
        self.moved();
    }

    pub fn report(&self, mut report: Report) {
        let now = self.clock.now();
        let name = report.worker.clone();
        let mut guard = self.shard(&name);
        let Shard { workers, dirty, touched } = &mut *guard;
        // Not watched: a report that was under way when its worker was removed.
        let Some(worker) = workers.get_mut(&name) else { return };
        let Some(watch) = worker.watch.clone() else { return };
        let known = worker.checks.get_key_value(&*report.subject).map(|(subject, _)| subject.clone());
        let first = known.is_none();
        let subject = match known {
            Some(subject) => subject,
            None if report.subject.len() > SUBJECT_BYTES || worker.checks.len() >= SUBJECTS => {
                if let Some(more) = worker.refused.count(now) {
                    let bounds = format!("{name} reports more than {SUBJECTS} subjects, or longer ones than {SUBJECT_BYTES} bytes");
                    self.journal.event("check.refused", Level::Warn, Some(&name), format!("{bounds}: those are not kept{more}"));
                }
                return;
            }
            None => Arc::from(&*report.subject),
        };
        if std::mem::take(&mut worker.renewing) {
            for (subject, check) in &mut worker.checks {
                check.renew(&watch, now);
                self.arm(&name, subject, check, &watch);
            }
        }
        let at = Moment { now, wall: report.at };
        let check = worker.checks.entry(subject.clone()).or_insert_with(|| Check::new(&subject, at));
        let weight = self.weigh(&mut report, check, &watch, at);
        let (judgement, row) = check.report(report, &subject, &watch, now, weight);
        self.store.record_results(vec![row]);
        match judgement.flip {
            Some(flip) => {
                // A check that begins well is no news.
                if !first || flip.to == CheckStatus::Down {
                    self.tell(&name, &subject, flip, check.detail());
                }
                let why = first_line(check.detail()).to_owned();
                self.keep_flip(&name, &subject, check, flip, why);
            }
            None => self.soil(&name, &subject, check, dirty),
        }
        self.arm(&name, &subject, check, &watch);
        touched.note(&name, &subject);
        if let Some(after) = judgement.recheck {
            // Nobody there to tick it: the host is on its way down.
            let _ = self.rechecks.send(Recheck { worker: name, after });
        }
        drop(guard);
        self.moved();
    }

    /// `watch.maintenance` counts beside what the open windows cover.
    pub fn watch(&self, name: &Name, group: Option<&str>, mut watch: Watch) {
        {
            // Held until the worker is told: no window opens or closes in between.
            let windows = self.windows();
            watch.maintenance |= windows.covers(name, group);
            let mut guard = self.shard(name);
            let worker = guard.workers.entry(name.clone()).or_default();
            if worker.group.as_deref() != group {
                worker.group = group.map(Arc::from);
            }
            self.judge_by(name, &mut guard, watch, self.moment());
        }
        self.moved();
    }

    /// A worker's checks are judged by another watch from now on.
    pub fn judge_by(&self, name: &Name, shard: &mut Shard, watch: Watch, at: Moment) {
        let Shard { workers, touched, .. } = shard;
        let Some(worker) = workers.get_mut(name) else { return };
        let resumed = worker.watch.as_ref().is_some_and(|before| before.paused) && !watch.paused;
        for (subject, check) in &mut worker.checks {
            if let Some(flip) = check.watched(&watch, resumed, at) {
                // What covers a check or lifts speaks for itself; what shows from under it may need its reason.
                let why = if matches!(flip.to, CheckStatus::Down | CheckStatus::Degraded) { check.detail() } else { "" };
                self.tell(name, subject, flip, why);
                let why = first_line(why).to_owned();
                self.keep_flip(name, subject, check, flip, why);
                self.store.record_seen(check.seen(name, subject, at).into_iter().collect());
            }
            self.arm(name, subject, check, &watch);
            touched.note(name, subject);
        }
        worker.watch = Some(watch);
    }

    pub fn renew(&self, name: &str) {
        if let Some(worker) = self.shard(name).workers.get_mut(name) {
            worker.renewing = true;
        }
    }

    pub fn remove(&self, name: &str) {
        {
            let mut guard = self.shard(name);
            let Some((name, worker)) = guard.workers.remove_entry(name) else {
                return;
            };
            worker.checks.keys().for_each(|subject| guard.touched.note(&name, subject));
            // Told to the store under the lock: a worker of that name that comes back writes after it.
            self.store.record_forgotten(worker.checks.into_keys().map(|subject| (name.clone(), subject)).collect());
        }
        self.moved();
    }

    pub fn settle(&self) {
        let parent = |name: &Name| name.split_once('/').map(|(parent, _)| Arc::<str>::from(parent));
        let named = |declared: bool| -> Vec<Name> {
            let of = |shard: &Mutex<Shard>| -> Vec<Name> {
                let shard = lock(shard);
                shard.workers.iter().filter(|(_, worker)| worker.watch.is_some() == declared).map(|(name, _)| name.clone()).collect()
            };
            self.shards.iter().flat_map(of).collect()
        };
        let parents: HashSet<Arc<str>> = named(true).iter().filter_map(parent).collect();
        let gone = named(false).into_iter().filter(|name| parent(name).is_some_and(|parent| parents.contains(&parent)));
        gone.for_each(|name| self.remove(&name));
    }

    pub fn views(&self, only: Option<&str>) -> Vec<CheckView> {
        let wall = self.clock.wall();
        let mut views = Vec::new();
        let mut add = |name: &Name, worker: &Worker| {
            if worker.watch.is_some() {
                views.extend(worker.checks.iter().map(|(subject, check)| check.view(name, subject, wall)));
            }
        };
        if let Some(only) = only {
            if let Some((name, worker)) = self.shard(only).workers.get_key_value(only) {
                add(name, worker);
            }
        } else {
            for shard in &self.shards {
                lock(shard).workers.iter().for_each(|(name, worker)| add(name, worker));
            }
        }
        views.sort_unstable_by(|a, b| (&a.worker, &a.subject).cmp(&(&b.worker, &b.subject)));
        views
    }

    /// One check as it stands, after all of its seen time was told to history.
    pub fn look(&self, name: &str, subject: &str) -> Option<CheckView> {
        let at = self.moment();
        let mut guard = self.shard(name);
        let (name, worker) = guard.workers.get_key_value(name)?;
        let name = name.clone();
        worker.watch.as_ref()?;
        let subject = worker.checks.get_key_value(subject)?.0.clone();
        let worker = guard.workers.get_mut(&name)?;
        let check = worker.checks.get_mut(&subject)?;
        self.store.record_seen(check.seen(&name, &subject, at).into_iter().collect());
        Some(check.view(&name, &subject, at.wall))
    }

    /// How many checks each worker has, and since when; of workers that have any.
    pub fn held(&self) -> HashMap<Name, (usize, Timestamp)> {
        let mut held = HashMap::new();
        for shard in &self.shards {
            for (name, worker) in &lock(shard).workers {
                if let Some(since) = worker.checks.values().map(Check::began).min() {
                    held.insert(name.clone(), (worker.checks.len(), since));
                }
            }
        }
        held
    }

    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// From now on (or no longer) changed checks are noted for [`Board::touched`].
    pub fn follow(&self, on: bool) {
        self.shards.iter().for_each(|shard| lock(shard).touched.follow(on));
    }

    /// Checks that changed since this was last asked, as they are now; none: gone.
    pub fn touched(&self) -> Vec<(Name, Arc<str>, Option<LiveCheck>)> {
        let wall = self.clock.wall();
        let mut all = Vec::new();
        for shard in &self.shards {
            let mut guard = lock(shard);
            for (name, subject) in guard.touched.take() {
                let worker = guard.workers.get(&name).filter(|worker| worker.watch.is_some());
                let row = worker.and_then(|worker| worker.checks.get(&subject)).map(|check| check.live(&name, &subject, wall));
                all.push((name, subject, row));
            }
        }
        all
    }

    /// The same of all checks, or one worker's.
    pub fn live(&self, only: Option<&str>) -> Vec<(Name, Arc<str>, Option<LiveCheck>)> {
        let wall = self.clock.wall();
        let mut all = Vec::new();
        let mut add = |name: &Name, worker: &Worker| {
            if worker.watch.is_some() {
                all.extend(worker.checks.iter().map(|(s, check)| (name.clone(), s.clone(), Some(check.live(name, s, wall)))));
            }
        };
        match only {
            Some(only) => {
                if let Some((name, worker)) = self.shard(only).workers.get_key_value(only) {
                    add(name, worker);
                }
            }
            None => self.shards.iter().for_each(|shard| lock(shard).workers.iter().for_each(|(name, worker)| add(name, worker))),
        }
        all
    }

    /// A check's deadline has come, or came once and moved on since.
    pub fn due(&self, name: &Name, subject: &Arc<str>, armed: Instant) {
        let at = self.moment();
        {
            let mut guard = self.shard(name);
            let Shard { workers, touched, .. } = &mut *guard;
            let Some(worker) = workers.get_mut(name) else { return };
            let Some(check) = worker.checks.get_mut(subject) else { return };
            if check.armed != Some(armed) {
                return;
            }
            check.armed = None;
            touched.note(name, subject);
            let watch = worker.watch.clone().unwrap_or_else(unwatched);
            match check.due(&watch, at) {
                Due::Nothing => {}
                Due::Silent(flip, quiet) => {
                    self.store.record_seen(check.seen(name, subject, at).into_iter().collect());
                    match flip {
                        Some(flip) => {
                            let why = format!("no result for {}", print_duration(quiet));
                            self.tell(name, subject, flip, &why);
                            self.keep_flip(name, subject, check, flip, why);
                        }
                        None => self.keep(name, subject, check),
                    }
                }
                Due::Untold => self.store.record_seen(check.seen(name, subject, at).into_iter().collect()),
                Due::Gone => {
                    worker.checks.remove(subject);
                    self.store.record_forgotten(vec![(name.clone(), subject.clone())]);
                }
            }
            if let Some(check) = worker.checks.get_mut(subject) {
                self.arm(name, subject, check, &watch);
            }
        }
        self.moved();
    }

    /// Writes the rows that are behind.
    pub fn write(&self) {
        let wall = self.clock.wall();
        self.shards.iter().for_each(|shard| lock(shard).write(&self.store, wall));
    }

    /// All rows, written and on disk: also those without news, for the time seen since they were last written.
    pub async fn flush(&self) {
        let at = self.moment();
        let mut waiting = 0;
        for shard in &self.shards {
            waiting += lock(shard).write_all(&self.store, at);
            if waiting > ROWS_AT_ONCE {
                waiting = 0;
                self.sync().await;
            }
        }
        self.sync().await;
    }

    async fn sync(&self) {
        if let Err(error) = self.store.flush().await {
            tracing::error!("checks could not be written: {error}");
        }
    }

    /// Puts every restored check's deadline in place: a worker that is never named again must not stay for ever.
    pub fn arm_all(&self) {
        for shard in &self.shards {
            for (name, worker) in &mut lock(shard).workers {
                let watch = worker.watch.clone().unwrap_or_else(unwatched);
                worker.checks.iter_mut().for_each(|(subject, check)| self.arm(name, subject, check, &watch));
            }
        }
    }

    fn arm(&self, name: &Name, subject: &Arc<str>, check: &mut Check, watch: &Watch) {
        // A deadline that moves away is left where it is and looked at when it comes: reports touch no shared heap.
        if let Some(deadline) = check.deadline(watch)
            && check.armed.is_none_or(|armed| deadline < armed)
        {
            check.armed = Some(deadline);
            self.deadlines.add(deadline, name, subject);
        }
    }

    fn tell(&self, name: &Name, subject: &str, flip: Flip, why: &str) {
        let level = if flip.to == CheckStatus::Down { Level::Warn } else { Level::Info };
        let why = first_line(why);
        let colon = if why.is_empty() { "" } else { ": " };
        let (from, to) = (flip.from.as_str(), flip.to.as_str());
        self.journal.event("check.changed", level, Some(name), format!("{subject} {from} -> {to}{colon}{why}"));
    }

    /// Writes a check's row now, with the change that led to it.
    fn keep_flip(&self, name: &Name, subject: &Arc<str>, check: &mut Check, flip: Flip, why: String) {
        if let Ok(row) = check.row(name, subject, self.clock.wall()) {
            self.store.record_flip(row, Change { at: check.since(), from: flip.from, to: flip.to, detail: why });
        }
    }

    /// Writes a check's row now.
    fn keep(&self, name: &Name, subject: &Arc<str>, check: &mut Check) {
        if let Ok(row) = check.row(name, subject, self.clock.wall()) {
            self.store.record_checks(vec![row]);
        }
    }

    /// Leaves a check's row to the next batch.
    fn soil(&self, name: &Name, subject: &Arc<str>, check: &mut Check, dirty: &mut Vec<(Name, Arc<str>)>) {
        if std::mem::replace(&mut check.dirty, true) {
            return;
        }
        if dirty.is_empty() {
            self.deadlines.write_soon(self.clock.now());
        }
        dirty.push((name.clone(), subject.clone()));
    }

    pub fn moved(&self) {
        self.changed.send_modify(|generation| *generation += 1);
    }

    pub fn moment(&self) -> Moment {
        Moment { now: self.clock.now(), wall: self.clock.wall() }
    }

    fn shard(&self, name: &str) -> MutexGuard<'_, Shard> {
        let [first, ..] = &self.shards;
        let index = self.hasher.hash_one(name) as usize % SHARDS;
        lock(self.shards.get(index).unwrap_or(first))
    }
}

/// Of a detail, what an event or a change says.
fn first_line(detail: &str) -> &str {
    clip(detail.lines().next().unwrap_or_default(), TOLD_BYTES)
}

/// How a check is judged whose worker nobody named since the start: never silent, gone after a day.
fn unwatched() -> Watch {
    Watch { policy: Default::default(), interval: None, paused: false, maintenance: false }
}
