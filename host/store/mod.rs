//! Kept facts: SQLite files, each set with one writer thread and group commit, behind handles that any room may hold.
//!
//! Must not know plugins or wasmtime. `control.db` (WAL, synchronous=FULL) keeps generations, traps, events and check states;
//! history lives in files of its own by day, with a writer of its own, so that a flood of results never delays a commit somebody
//! waits for. Callers of awaited writes are answered after the fsync of their batch; `record_*` never block and never fail the
//! caller: past a bound they are counted and dropped. A query sees what was recorded before it.
//!
//! ```text
//! record_* ─┐             ┌→ writer "store"   → control.db          ←┐
//! awaited  ─┴→ two queues ┴→ writer "history" → history/YYYY-MM-DD.db ┴─ two readers ← queries
//!               (bounded)                       history/rollup.db
//! ```

mod backup;
mod changes;
mod control;
mod database;
mod error;
mod events;
mod generations;
mod history;
mod jobs;
mod kv;
mod marks;
mod past;
mod queue;
mod reader;
mod rows;
mod seams;
mod traps;
mod writer;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use jiff::Timestamp;
use tokio::sync::{Semaphore, oneshot};

use self::{
    control::Control,
    history::History,
    queue::{Queue, Weigh},
    reader::Readers,
    seams::Epochs,
    traps::Found,
};
use crate::{
    clock::Clock,
    facts::{Beat, CheckStatus, EventRecord, Evidence, HistoryPoint, Name, TrapRecord},
};

pub use self::{
    backup::{CONTROL, HISTORY, Health, check_control, copy_control, examine},
    database::sqlite_version,
    error::StoreError,
    history::{Past, Sketch, Span},
    jobs::*,
    kv::*,
    marks::Deployed,
    seams::{DesiredLog, Leases},
};

/// Awaited writes in flight; more callers wait in line.
const ASKED_AT_ONCE: usize = 1_024;

#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// The data folder; made when absent.
    pub dir: PathBuf,
    /// Cap of all history files together, in bytes.
    pub history_bytes: u64,
    pub history_days: u32,
}

/// What the store has of the world beside the disk.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings {
    pub clock: Clock,
    /// From 0 to 1, by chance; tests take none.
    pub jitter: fn() -> f64,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self { clock: Clock::system(), jitter: fastrand::f64 }
    }
}

/// A generation of the manifests folder: all files as they were.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    pub number: u64,
    pub at: Timestamp,
    /// `apply`, `folder`, `undo`, …
    pub cause: String,
    /// Name and content; the store gives them back by name.
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
    /// What was wrong, kept for results that are not up.
    pub detail: Option<Box<str>>,
    /// How the time since the result before counts, in milliseconds (what is not named here was not seen).
    pub up_ms: u64,
    pub degraded_ms: u64,
    pub down_ms: u64,
}

/// Time up to `at` that no result tells: a silence, or the stretch up to a stop of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRow {
    pub worker: Name,
    pub subject: Arc<str>,
    pub at: Timestamp,
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

/// The newest results of one check, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Recent {
    pub worker: Name,
    pub subject: Arc<str>,
    pub beats: Vec<Beat>,
}

/// A cheap handle; clones share the writers. They end with the last handle, after what waits.
#[derive(Debug, Clone)]
pub struct Store(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    boot: u64,
    last_event: AtomicU64,
    epochs: Epochs,
    jobs: Arc<jobs::Core>,
    control: Arc<Queue<control::Work>>,
    history: Arc<Queue<history::Work>>,
    asked: Semaphore,
    readers: Readers,
    kv: kv::Room,
    /// Taken by the close that waits for them.
    writers: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.readers.rest();
        self.control.close();
        self.history.close();
    }
}

impl Store {
    /// Opens or makes the data folder's files, checks SQLite >= 3.51.3, runs migrations, counts the start.
    /// Blocking: call before the runtime serves.
    pub fn open(settings: StoreSettings) -> Result<Store, StoreError> {
        Self::open_in(settings, Surroundings::default())
    }

    /// The same, with times to live counted by `clock`.
    pub fn open_at(settings: StoreSettings, clock: Clock) -> Result<Store, StoreError> {
        Self::open_in(settings, Surroundings { clock, ..Surroundings::default() })
    }

    /// The same with a clock and a jitter of the caller's.
    pub fn open_in(settings: StoreSettings, surroundings: Surroundings) -> Result<Store, StoreError> {
        database::require_sqlite()?;
        let path = settings.dir.join(CONTROL);
        let folder = settings.dir.join(HISTORY);
        database::make_folder(&settings.dir)?;
        database::make_folder(&folder)?;
        let control = Arc::new(Queue::new(control::LINGER));
        let opened = Control::open(&path, control.clone(), surroundings)?;
        let kept = History::open(&folder, settings.history_bytes, settings.history_days)?;
        let history = Arc::new(Queue::new(history::LINGER));
        let mut shared = Shared {
            boot: opened.boot,
            last_event: AtomicU64::new(opened.last_event),
            epochs: Epochs::new(opened.boot),
            jobs: opened.jobs,
            control: control.clone(),
            history: history.clone(),
            asked: Semaphore::new(ASKED_AT_ONCE),
            readers: Readers::new(&path, &folder),
            kv: kv::Room::new(),
            writers: Mutex::default(),
        };
        let writers = vec![writer::spawn("store", opened.control, control)?, writer::spawn("history", kept, history)?];
        shared.writers = Mutex::new(writers);
        let store = Store(Arc::new(shared));
        store.sweep_first()?;
        Ok(store)
    }

    /// How many times this data folder was started, this one included: the high part of every incarnation's epoch.
    pub fn boot(&self) -> u64 {
        self.0.boot
    }

    pub async fn save_generation(&self, generation: Generation) -> Result<(), StoreError> {
        self.ask(&self.0.control, control::Work::Generation(Box::new(generation))).await
    }

    pub async fn latest_generation(&self) -> Result<Option<Generation>, StoreError> {
        self.0.readers.control(self.0.control.clone(), generations::latest).await
    }

    /// The newest kept generation before `number`.
    pub async fn generation_before(&self, number: u64) -> Result<Option<Generation>, StoreError> {
        self.0.readers.control(self.0.control.clone(), move |db| generations::before(db, number)).await
    }

    pub fn record_trap(&self, trap: Box<TrapRecord>) {
        self.0.control.record([control::Work::Trap(trap)]);
    }

    /// Newest first.
    pub async fn traps(&self, worker: Option<Name>, limit: usize) -> Result<Vec<TrapRecord>, StoreError> {
        self.0.readers.control(self.0.control.clone(), move |db| traps::list(db, worker.as_deref(), limit)).await
    }

    /// By full id or a unique start or end of at least 4 characters: ids made in one second share a prefix.
    pub async fn trap(&self, id: &str) -> Result<Option<TrapRecord>, StoreError> {
        let part = id.to_owned();
        match self.0.readers.control(self.0.control.clone(), move |db| traps::find(db, &part)).await? {
            Found::Nothing => Ok(None),
            Found::One(trap) => Ok(Some(*trap)),
            Found::Several(ids) => {
                Err(StoreError::Ambiguous(format!("several traps fit \"{id}\": {}; give more of the id", ids.join(", "))))
            }
        }
    }

    /// Crashes of the day that `at` is on, by the host's time zone. Answers from what is committed, in microseconds.
    pub fn traps_on_day(&self, at: Timestamp) -> Result<u64, StoreError> {
        self.0.readers.in_line(|db| traps::on_day(db, at))
    }

    pub fn record_event(&self, event: EventRecord) {
        self.0.last_event.fetch_max(event.id, Ordering::Relaxed);
        self.0.control.record([control::Work::Event(Box::new(event))]);
    }

    /// The newest `limit` with id < `before`, oldest first.
    pub async fn events(&self, before: Option<u64>, limit: usize) -> Result<Vec<EventRecord>, StoreError> {
        self.0.readers.control(self.0.control.clone(), move |db| events::list(db, before, limit)).await
    }

    /// The largest event id used so far.
    pub fn last_event_id(&self) -> u64 {
        self.0.last_event.load(Ordering::Relaxed)
    }

    pub fn record_results(&self, rows: Vec<ResultRow>) {
        self.0.history.record(rows.into_iter().map(history::Work::Result));
    }

    pub fn record_checks(&self, rows: Vec<CheckRow>) {
        self.0.control.record(rows.into_iter().map(|row| control::Work::Check(Box::new(row))));
    }

    pub async fn load_checks(&self) -> Result<Vec<CheckRow>, StoreError> {
        self.0.readers.control(self.0.control.clone(), events::checks).await
    }

    /// Forgets checks that are gone, their history included.
    pub async fn forget_checks(&self, checks: Vec<(Name, Arc<str>)>) -> Result<(), StoreError> {
        self.ask(&self.0.control, control::Work::Forget(checks.clone())).await?;
        self.ask(&self.0.history, history::Work::Forget(checks)).await
    }

    /// The same without waiting, in line with what was recorded before and comes after.
    pub fn record_forgotten(&self, checks: Vec<(Name, Arc<str>)>) {
        self.0.control.record([control::Work::Forget(checks.clone())]);
        self.0.history.record([history::Work::Forget(checks)]);
    }

    /// Points that have results or seen time, oldest first; spans that begin in `from..until`, the newest 50,000 at most.
    pub async fn history(
        &self,
        worker: &str,
        subject: &str,
        from: Timestamp,
        until: Timestamp,
        resolution: Resolution,
    ) -> Result<Vec<HistoryPoint>, StoreError> {
        let (worker, subject) = (worker.to_owned(), subject.to_owned());
        let query = move |folder: &std::path::Path| history::points(folder, &worker, &subject, from, until, resolution);
        self.0.readers.history(self.0.history.clone(), query).await
    }

    /// The newest results, oldest first.
    pub async fn recent(&self, worker: &str, subject: &str, limit: usize) -> Result<Vec<Beat>, StoreError> {
        let (worker, subject) = (worker.to_owned(), subject.to_owned());
        self.0.readers.history(self.0.history.clone(), move |folder| history::recent(folder, &worker, &subject, limit)).await
    }

    /// The newest results of every check in the newest few files.
    pub async fn recent_of_all(&self, limit: usize) -> Result<Vec<Recent>, StoreError> {
        self.0.readers.history(self.0.history.clone(), move |folder| history::recent_of_all(folder, limit)).await
    }

    /// Waits until everything recorded so far is on disk.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let control = self.ask(&self.0.control, control::Work::Barrier);
        let history = self.ask(&self.0.history, history::Work::Barrier { durable: true });
        let (control, history) = tokio::join!(control, history);
        control.and(history)
    }

    /// Flushes and ends the writers; later writes answer `Closed`.
    pub async fn close(&self) -> Result<(), StoreError> {
        let writers = std::mem::take(&mut *self.0.writers.lock().unwrap_or_else(PoisonError::into_inner));
        if writers.is_empty() {
            return Ok(());
        }
        let flushed = self.flush().await;
        self.0.readers.rest();
        self.0.control.close();
        self.0.history.close();
        let ended = tokio::task::spawn_blocking(|| writers.into_iter().for_each(|writer| drop(writer.join())));
        ended.await.map_err(|_| StoreError::Closed)?;
        flushed
    }

    /// Records dropped because the writers could not keep up or the disk refused them.
    pub fn dropped(&self) -> u64 {
        self.0.control.dropped() + self.0.history.dropped()
    }

    fn jobs_core(&self) -> &Arc<jobs::Core> {
        &self.0.jobs
    }

    /// Runs a query that sees everything recorded before it.
    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.0.readers.control(self.0.control.clone(), query).await
    }

    fn epochs(&self) -> &Epochs {
        &self.0.epochs
    }

    /// Answers after the commit of the batch that held the work.
    async fn ask<W: Weigh>(&self, queue: &Queue<W>, work: W) -> Result<(), StoreError> {
        let _permit = self.0.asked.acquire().await.map_err(|_| StoreError::Closed)?;
        let (reply, answered) = oneshot::channel();
        queue.ask(work, reply)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }
}
