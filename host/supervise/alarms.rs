//! Workers in trouble, as alerts: told once when one is quarantined or can't start, and once when it runs again.
//!
//! What was told is kept, so that a restart of the host neither tells it again nor forgets the all-clear. Must not decide what becomes
//! of a worker.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{
    Services,
    unit::{Deployed, Unit},
};
use crate::{
    facts::{Alert, AlertKind, Level, Name, WorkerState},
    manifest::units::print_duration,
    store::{Flip, ToldRow},
};

/// Workers whose trouble was told.
#[derive(Debug, Default)]
pub struct Alarms {
    told: Mutex<HashMap<Name, Alarm>>,
    /// How many: every good event asks.
    some: AtomicUsize,
}

#[derive(Debug, Clone)]
struct Alarm {
    state: String,
    /// Milliseconds since 1970.
    since: i64,
    /// A start is enough to be well again: it could not start, or something else runs now.
    by_start: bool,
}

impl Alarms {
    fn told(&self) -> MutexGuard<'_, HashMap<Name, Alarm>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut HashMap<Name, Alarm>) -> T) -> T {
        let mut told = self.told();
        let changed = change(&mut told);
        self.some.store(told.len(), Ordering::Relaxed);
        changed
    }

    /// What was told before the host stopped.
    pub fn recall(&self, rows: Vec<ToldRow>) {
        let alarm = |(state, since): (String, i64)| Alarm { by_start: state == WorkerState::Failed.as_str(), state, since };
        let rows = rows.into_iter().filter_map(|row| Some((row.worker, alarm(row.state?))));
        self.change(|told| told.extend(rows));
    }

    /// Another component or config runs from now on.
    pub fn renew(&self, worker: &str) {
        if let Some(alarm) = self.told().get_mut(worker) {
            alarm.by_start = true;
        }
    }
}

impl Services {
    /// A worker was quarantined or can't start: the event, and the alert unless that was told.
    pub(super) fn alarm(&self, unit: &Unit, deployed: &Deployed, state: WorkerState, sentence: &str, message: String) {
        let (kind, words) = match state {
            WorkerState::Failed => ("worker.failed", "can't start"),
            _ => ("worker.quarantined", "crashed too often"),
        };
        let wall = self.clock.wall();
        let fresh = self.journal.alerting()
            && self.alarms.change(|told| {
                let fresh = !told.contains_key(&unit.name);
                let by_start = state == WorkerState::Failed;
                told.entry(unit.name.clone()).or_insert_with(|| Alarm {
                    state: state.as_str().to_owned(),
                    since: wall.as_millisecond(),
                    by_start,
                });
                fresh
            });
        let mut flip = Flip::default();
        if fresh {
            let first = sentence.lines().next().unwrap_or_default();
            let summary = format!("{}: worker {} {words}: {first}", state.as_str(), called(unit, deployed));
            flip.alert = Some(Alert {
                from: Some(WorkerState::Running.as_str().to_owned()),
                detail: Some(sentence.to_owned()),
                since: Some(wall),
                ..about(unit, deployed, state, wall, summary)
            });
            flip.told = Some(ToldRow { worker: unit.name.clone(), state: Some((state.as_str().to_owned(), wall.as_millisecond())) });
        }
        self.journal.flip(kind, Level::Error, Some(&unit.name), message, flip);
    }

    /// A worker handled an event, or a resident of it started.
    pub(super) fn well(&self, unit: &Unit, deployed: &Deployed, started: bool) {
        if self.alarms.some.load(Ordering::Relaxed) == 0 {
            return;
        }
        let over = |alarm: &Alarm| !started || alarm.by_start;
        if !self.alarms.told().get(&unit.name).is_some_and(over) {
            return;
        }
        // One replica is well; another may not be.
        let trouble = |state| matches!(state, WorkerState::Quarantined | WorkerState::Failed);
        if unit.with_replicas(|all| all.iter().any(|replica| trouble(replica.cell().state()))) {
            return;
        }
        let Some(alarm) = self.alarms.change(|told| told.remove(&unit.name)) else { return };
        let wall = self.clock.wall();
        let lasted = u64::try_from(wall.as_millisecond().saturating_sub(alarm.since)).unwrap_or_default();
        let after = print_duration(Duration::from_secs(lasted / 1_000));
        let alert = Alert {
            from: Some(alarm.state.clone()),
            since: Some(wall),
            before_ms: Some(lasted),
            ..about(unit, deployed, WorkerState::Running, wall, format!("running again: worker {} after {after}", called(unit, deployed)))
        };
        let message = format!("runs again after {after}; it was {}", alarm.state);
        let told = Some(ToldRow { worker: unit.name.clone(), state: None });
        self.journal.flip("worker.recovered", Level::Info, Some(&unit.name), message, Flip { alert: Some(alert), told, ..Flip::default() });
    }

    /// A worker is gone: whatever was told of it is no more.
    pub(super) fn forget_alarm(&self, worker: &Name) {
        if self.alarms.change(|told| told.remove(worker)).is_some() {
            self.store.record_told(ToldRow { worker: worker.clone(), state: None });
        }
    }
}

fn about(unit: &Unit, deployed: &Deployed, to: WorkerState, at: jiff::Timestamp, summary: String) -> Alert {
    let live = &deployed.deployment.spec.live;
    Alert {
        worker: Some(unit.name.clone()),
        title: live.title.clone(),
        group: live.group.clone(),
        notes: live.notes.clone(),
        ..Alert::new(AlertKind::Worker, at, to.as_str(), summary)
    }
}

/// `pages (Our pages)`.
fn called(unit: &Unit, deployed: &Deployed) -> String {
    deployed.deployment.spec.live.title.as_ref().map_or_else(|| unit.name.to_string(), |title| format!("{} ({title})", unit.name))
}
