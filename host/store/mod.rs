//! Kept facts: one SQLite writer thread with group commit, behind handles that any room may hold.
//!
//! Must not know plugins or wasmtime. `control.db` (WAL, synchronous=FULL) keeps generations, traps, events and check states;
//! history lives in files of its own by day. Callers of awaited writes are answered after the fsync of their batch; `record_*`
//! never block and never fail the caller: past a bound they are counted and dropped.

use std::{path::PathBuf, sync::Arc};

use jiff::Timestamp;

use crate::facts::{Beat, CheckStatus, EventRecord, Evidence, HistoryPoint, Name, TrapRecord};

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk or the database said no.
    #[error("{what}: {source}")]
    Sqlite { what: String, source: rusqlite::Error },
    #[error("{what}: {source}")]
    Io { what: String, source: std::io::Error },
    /// The file is there but is not what it should be; the sentence says the way out.
    #[error("{0}")]
    Corrupt(String),
    #[error("the store is closed")]
    Closed,
}

#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// The data folder; made when absent.
    pub dir: PathBuf,
    /// Cap of all history files together, in bytes.
    pub history_bytes: u64,
    pub history_days: u32,
}

/// A generation of the manifests folder: all files as they were.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    pub number: u64,
    pub at: Timestamp,
    /// `apply`, `folder`, `undo`, …
    pub cause: String,
    pub files: Vec<(Arc<str>, Arc<str>)>,
}

/// One check's state as it must survive a restart.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct CheckRow {
    pub worker: Name,
    pub subject: Arc<str>,
    /// The check's machine and uptime, serialised by the checks room.
    pub state: serde_json::Value,
}

/// One result on its way into history.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultRow {
    pub worker: Name,
    pub subject: Arc<str>,
    pub at: Timestamp,
    pub status: CheckStatus,
    pub latency_ms: Option<f64>,
    pub evidence: Option<Box<Evidence>>,
    /// How the time since the result before counts, in milliseconds (what is not named here was not seen).
    pub up_ms: u64,
    pub degraded_ms: u64,
    pub down_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    Minute,
    Hour,
    Day,
}

/// A cheap handle; clones share one writer.
#[derive(Debug, Clone)]
pub struct Store {}

#[allow(unused_variables, clippy::unused_async, clippy::allow_attributes_without_reason, clippy::todo)] // skeleton
impl Store {
    /// Opens or makes the data folder's files, checks SQLite >= 3.51.3, runs migrations, counts the start.
    /// Blocking: call before the runtime serves.
    pub fn open(settings: StoreSettings) -> Result<Store, StoreError> {
        todo!()
    }

    /// How many times this data folder was started, this one included: the high part of every incarnation's epoch.
    pub fn boot(&self) -> u64 {
        todo!()
    }

    pub async fn save_generation(&self, generation: Generation) -> Result<(), StoreError> {
        todo!()
    }
    pub async fn latest_generation(&self) -> Result<Option<Generation>, StoreError> {
        todo!()
    }
    /// The newest kept generation before `number`.
    pub async fn generation_before(&self, number: u64) -> Result<Option<Generation>, StoreError> {
        todo!()
    }

    pub fn record_trap(&self, trap: Box<TrapRecord>) {
        todo!()
    }
    pub async fn traps(&self, worker: Option<Name>, limit: usize) -> Result<Vec<TrapRecord>, StoreError> {
        todo!()
    }
    /// By full id or a unique prefix of at least 4 characters... suffixes count too: ids made in one second share a prefix.
    pub async fn trap(&self, id: &str) -> Result<Option<TrapRecord>, StoreError> {
        todo!()
    }

    pub fn record_event(&self, event: EventRecord) {
        todo!()
    }
    /// The newest `limit` with id < `before`, oldest first.
    pub async fn events(&self, before: Option<u64>, limit: usize) -> Result<Vec<EventRecord>, StoreError> {
        todo!()
    }
    /// The largest event id used so far.
    pub fn last_event_id(&self) -> u64 {
        todo!()
    }

    pub fn record_results(&self, rows: Vec<ResultRow>) {
        todo!()
    }
    pub fn record_checks(&self, rows: Vec<CheckRow>) {
        todo!()
    }
    pub async fn load_checks(&self) -> Result<Vec<CheckRow>, StoreError> {
        todo!()
    }
    /// Forgets checks that are gone, their history included.
    pub async fn forget_checks(&self, checks: Vec<(Name, Arc<str>)>) -> Result<(), StoreError> {
        todo!()
    }
    pub async fn history(
        &self,
        worker: &str,
        subject: &str,
        from: Timestamp,
        until: Timestamp,
        resolution: Resolution,
    ) -> Result<Vec<HistoryPoint>, StoreError> {
        todo!()
    }
    pub async fn recent(&self, worker: &str, subject: &str, limit: usize) -> Result<Vec<Beat>, StoreError> {
        todo!()
    }

    /// Waits until everything recorded so far is on disk.
    pub async fn flush(&self) -> Result<(), StoreError> {
        todo!()
    }
    /// Flushes and ends the writer.
    pub async fn close(&self) -> Result<(), StoreError> {
        todo!()
    }

    /// Records dropped because the writer could not keep up.
    pub fn dropped(&self) -> u64 {
        todo!()
    }
}

/// Ownership with an epoch that only grows, over host restarts too.
pub trait Leases {
    fn claim(&self, worker: &str, replica: u32) -> u64;
}

impl Leases for Store {
    fn claim(&self, _worker: &str, _replica: u32) -> u64 {
        0
    }
}
