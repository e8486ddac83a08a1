//! Checks: what workers watch, whether it is up, and for how much of the last day.
//!
//! `policy` (hysteresis), `uptime` (time-weighted arithmetic), `windows` (maintenance) and `guard` (is it this host that is cut off?)
//! are pure; the board owns every check's state, its keeper the one timer for silence and windows. Must not run workers: it asks for a confirming tick through [`Recheck`] and tells flips as events.

mod beats;
mod board;
mod check;
mod cutoff;
pub mod guard;
mod keeper;
mod maintenance;
pub mod place;
pub mod policy;
mod shard;
pub mod uptime;
pub mod windows;

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use jiff::Timestamp;
use tokio::task::AbortHandle;

use self::{board::Board, check::BEATS};
use crate::{
    clock::Clock,
    facts::{CheckStatus, CheckView, CutOff, Evidence, LiveCheck, MaintenanceView, Name},
    journal::Journal,
    manifest::spec::{CheckPolicy, MaintenanceSpec},
    store::{Store, StoreError},
};

/// One report of a worker's.
#[derive(Debug, Clone)]
pub struct Report {
    pub worker: Name,
    pub subject: String,
    /// Up, Degraded, Down or Unknown.
    pub status: CheckStatus,
    pub latency_ms: Option<f64>,
    pub detail: String,
    /// After this silence the check is down (push checks).
    pub valid_for: Option<Duration>,
    pub at: Timestamp,
    pub evidence: Option<Box<Evidence>>,
}

/// What the board knows of a worker beyond its reports.
#[derive(Debug, Clone, PartialEq)]
pub struct Watch {
    pub policy: CheckPolicy,
    /// The schedule's interval (for cron: the gap to the next tick): twice its silence is unknown; none: never silent.
    pub interval: Option<Duration>,
    pub paused: bool,
    pub maintenance: bool,
}

/// "Tick this worker at this time as well": a flip is being confirmed.
#[derive(Debug, Clone, PartialEq)]
pub struct Recheck {
    pub worker: Name,
    pub after: Duration,
}

/// A cheap handle to all checks; its keeper ends with the last one.
#[derive(Debug, Clone)]
pub struct Checks {
    board: Arc<Board>,
    _keeper: Arc<Keeper>,
}

#[derive(Debug)]
struct Keeper(AbortHandle);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Checks {
    /// Loads what was kept and starts the silence timer. `rechecks` gets confirming ticks.
    ///
    /// A kept check shows once its worker is named by [`Checks::watch`]; one whose worker never is goes after a day.
    pub async fn start(
        store: Store,
        journal: Journal,
        clock: Clock,
        rechecks: tokio::sync::mpsc::UnboundedSender<Recheck>,
    ) -> Result<Checks, StoreError> {
        let kept = store.load_checks().await?;
        let board = Arc::new(Board::new(store.clone(), journal, clock, rechecks));
        kept.iter().for_each(|row| board.restore(row));
        board.arm_all();
        if !kept.is_empty() {
            tokio::spawn(remember(Arc::downgrade(&board), store));
        }
        let keeper = tokio::spawn(keeper::run(Arc::downgrade(&board)));
        Ok(Checks { board, _keeper: Arc::new(Keeper(keeper.abort_handle())) })
    }

    /// Never blocks. A worker may have 1,000 subjects of up to 2,048 bytes; of a detail the first 4 KiB are kept.
    pub fn report(&self, report: Report) {
        self.board.report(report);
    }

    /// Tells or changes how a worker's checks are judged; also names the worker as existing. Reports of others are dropped.
    pub fn watch(&self, worker: &Name, watch: Watch) {
        self.board.watch(worker, None, watch);
    }

    /// The same for a worker of a group, which maintenance windows may name.
    pub fn watch_in(&self, worker: &Name, group: Option<&str>, watch: Watch) {
        self.board.watch(worker, group, watch);
    }

    /// Takes the declared maintenance windows instead of those before; in force when this returns.
    pub fn declare_windows(&self, windows: Vec<Arc<MaintenanceSpec>>) {
        self.board.declare_windows(windows);
    }

    /// All maintenance windows, in file and list order.
    pub fn maintenance(&self) -> Vec<MaintenanceView> {
        self.board.maintenance()
    }

    /// The names of the windows that are open now.
    pub fn open_windows(&self) -> Vec<String> {
        self.board.open_windows()
    }

    /// Whether "everything is down at once" counts as this host being cut off (the default).
    pub fn set_guard(&self, on: bool) {
        self.board.set_guard(on);
    }

    /// Whether this host seems cut off from what it watches; the internet before the local network.
    pub fn cut_off(&self) -> Option<CutOff> {
        self.board.cut_off()
    }

    /// The worker's config changed: what it hasn't reported two intervals (at least 20 s) after its first report is gone.
    pub fn renew(&self, worker: &str) {
        self.board.renew(worker);
    }

    /// The worker is gone: its checks and their history go too.
    pub fn remove(&self, worker: &str) {
        self.board.remove(worker);
    }

    /// All workers of a start are named. An item that its list lost while the host was off goes as if it were removed now; of other
    /// workers that are not named any more, a moved file or a folder not mounted yet may be the cause: their checks stay a day.
    pub fn settle(&self) {
        self.board.settle();
    }

    /// Checks of all workers or one, by worker and subject.
    pub fn views(&self, worker: Option<&str>) -> Vec<CheckView> {
        self.board.views(worker)
    }

    /// One check as it stands; what the store tells of its past from now on reaches up to this moment.
    pub fn look(&self, worker: &str, subject: &str) -> Option<CheckView> {
        self.board.look(worker, subject)
    }

    /// How many checks each worker has, and when the oldest of them began; of workers that have any.
    pub fn held(&self) -> std::collections::HashMap<Name, (usize, Timestamp)> {
        self.board.held()
    }

    /// The live view follows: from now on (or no longer) changed checks are noted for [`Checks::touched`]. It has one follower.
    pub fn follow(&self, on: bool) {
        self.board.follow(on);
    }

    /// Checks that changed since this was last asked, as they are now; none: gone.
    pub fn touched(&self) -> Vec<(Name, Arc<str>, Option<LiveCheck>)> {
        self.board.touched()
    }

    /// The same of all checks, or one worker's, whether they changed or not.
    pub fn live(&self, worker: Option<&str>) -> Vec<(Name, Arc<str>, Option<LiveCheck>)> {
        self.board.live(worker)
    }

    /// Moves whenever a view may have changed.
    pub fn changed(&self) -> tokio::sync::watch::Receiver<u64> {
        self.board.changed()
    }

    /// Writes what is not written yet.
    pub async fn flush(&self) {
        self.board.flush().await;
    }
}

/// The results of the run before, put into the views without holding up the start.
async fn remember(board: Weak<Board>, store: Store) {
    match store.recent_of_all(BEATS).await {
        Ok(recent) => {
            if let Some(board) = board.upgrade() {
                board.remember(&recent);
            }
        }
        Err(error) => tracing::warn!("checks start without their last results: {error}"),
    }
}
