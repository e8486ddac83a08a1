//! Maintenance on the board: open windows cover the checks of their workers, by the keeper's one timer.
//!
//! Must not work out windows (that is `windows`). Lock order: windows, then a shard, then deadlines.

use std::{
    sync::{Arc, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    Watch,
    board::Board,
    shard::lock,
    windows::{Turn, Windows},
};
use crate::{
    facts::{Level, MaintenanceView},
    manifest::spec::MaintenanceSpec,
};

/// A window to come is aimed at anew at least this often, so that a clock that was set, or a machine that slept, is noticed.
const AIM_AGAIN: Duration = Duration::from_secs(60);
/// Selectors named in an event.
const NAMED: usize = 10;

impl Board {
    pub fn declare_windows(&self, specs: Vec<Arc<MaintenanceSpec>>) {
        let mut windows = self.windows();
        let turns = windows.declare(specs, self.clock.wall());
        // Also without a turn: an open window may cover others than before.
        self.cover(&windows, &turns);
    }

    /// The next edge may have come.
    pub fn turn_windows(&self) {
        let mut windows = self.windows();
        let turns = windows.turn(self.clock.wall());
        if turns.is_empty() {
            self.aim(&windows);
        } else {
            self.cover(&windows, &turns);
        }
    }

    pub fn maintenance(&self) -> Vec<MaintenanceView> {
        self.windows().views(self.clock.wall())
    }

    pub fn open_windows(&self) -> Vec<String> {
        self.windows().open()
    }

    fn cover(&self, windows: &Windows, turns: &[Turn]) {
        turns.iter().for_each(|turn| self.tell_turn(turn));
        let at = self.moment();
        for shard in &self.shards {
            let mut guard = lock(shard);
            let turned = guard.workers.iter().filter_map(|(name, worker)| {
                let watch = worker.watch.as_ref()?;
                let maintenance = windows.covers(name, worker.group.as_deref());
                (watch.maintenance != maintenance).then(|| (name.clone(), Watch { maintenance, ..watch.clone() }))
            });
            for (name, watch) in turned.collect::<Vec<_>>() {
                self.judge_by(&name, &mut guard, watch, at);
            }
        }
        self.aim(windows);
        self.moved();
    }

    fn aim(&self, windows: &Windows) {
        let (now, wall) = (self.clock.now(), self.clock.wall());
        let edge = windows.next_edge(wall);
        self.deadlines.turn_at(edge.map(|edge| self.clock.instant_of(edge).min(now + AIM_AGAIN)));
    }

    fn tell_turn(&self, turn: &Turn) {
        let MaintenanceSpec { name, workers, .. } = &*turn.spec;
        let Some(span) = turn.opened else {
            self.journal.event("maintenance.closed", Level::Info, None, format!("{name} is over"));
            return;
        };
        let named: Vec<&str> = workers.iter().take(NAMED).map(String::as_str).collect();
        let whom = match workers.len().checked_sub(named.len()) {
            _ if named.is_empty() => "all workers".to_owned(),
            None | Some(0) => named.join(", "),
            Some(more) => format!("{} and {more} more", named.join(", ")),
        };
        self.journal.event("maintenance.opened", Level::Info, None, format!("{name} is open until {}, for {whom}", span.until));
    }

    pub(super) fn windows(&self) -> MutexGuard<'_, Windows> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
