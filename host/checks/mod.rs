//! Checks: what workers watch, whether it is up, and for how much of the last day.
//!
//! `policy` (hysteresis) and `uptime` (time-weighted arithmetic) are pure; the board here owns every check's state.
//! Must not run workers: it asks for a confirming tick through [`Recheck`] and tells flips as events.
//!
//! (skeleton)

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{
    clock::Clock,
    facts::{CheckStatus, CheckView, Evidence, Name},
    journal::Journal,
    manifest::spec::CheckPolicy,
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

/// A cheap handle to all checks.
#[derive(Debug, Clone)]
pub struct Checks {}

#[allow(unused_variables, clippy::allow_attributes_without_reason, clippy::todo, clippy::unused_async)] // skeleton
impl Checks {
    /// Loads what was kept and starts the silence timer. `rechecks` gets confirming ticks.
    pub async fn start(store: Store, journal: Journal, clock: Clock, rechecks: tokio::sync::mpsc::UnboundedSender<Recheck>) -> Result<Checks, StoreError> {
        todo!()
    }
    /// Never blocks.
    pub fn report(&self, report: Report) {
        todo!()
    }
    /// Tells or changes how a worker's checks are judged; also names the worker as existing.
    pub fn watch(&self, worker: &Name, watch: Watch) {
        todo!()
    }
    /// The worker is gone: its checks and their history go too.
    pub fn remove(&self, worker: &str) {
        todo!()
    }
    /// Checks of all workers or one, by worker and subject.
    pub fn views(&self, worker: Option<&str>) -> Vec<CheckView> {
        todo!()
    }
    /// Moves whenever a view may have changed.
    pub fn changed(&self) -> tokio::sync::watch::Receiver<u64> {
        todo!()
    }
    /// Writes what is not written yet.
    pub async fn flush(&self) {
        todo!()
    }
}

const _: Option<Arc<()>> = None;
