//! control.db: what must survive a power cut. Its schema and its writer's side; the rows' own files are beside it.
//!
//! Must not be written from anywhere else: one connection, one transaction a batch, an fsync at its commit.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::{
    CheckRow, Deployed, Generation, StoreError, Surroundings, changes,
    database::{self, Schema},
    events, generations, jobs, kv, marks,
    queue::{Entry, Queue, Weigh},
    traps,
    writer::{Failures, Sink},
};
use crate::facts::{Change, EventRecord, Name, TrapRecord};

/// Recorded facts wait this long for company, so that a storm of them is a few dozen fsyncs a second and not thousands.
pub(super) const LINGER: Duration = Duration::from_millis(20);

pub(super) const SCHEMA: Schema =
    Schema { steps: &[STEP_1, jobs::STEP, kv::STEP, changes::STEP, marks::STEP], synchronous: "FULL", checkpoint: 1_000 };

const STEP_1: &str = "
    -- Counts of the data folder itself; 'boot': how often it was started.
    CREATE TABLE counts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

    -- Manifest files by content: generations share what did not change.
    CREATE TABLE blobs (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, size INTEGER NOT NULL, content TEXT NOT NULL);
    CREATE TABLE generations (number INTEGER PRIMARY KEY, at INTEGER NOT NULL, cause TEXT NOT NULL);
    CREATE TABLE generation_files (
        generation INTEGER NOT NULL REFERENCES generations (number) ON DELETE CASCADE,
        name TEXT NOT NULL,
        blob INTEGER NOT NULL,
        PRIMARY KEY (generation, name)
    ) WITHOUT ROWID;
    CREATE INDEX generation_files_blob ON generation_files (blob);

    CREATE TABLE traps (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        at INTEGER NOT NULL,
        worker TEXT NOT NULL,
        replica INTEGER NOT NULL,
        incarnation INTEGER NOT NULL,
        cause TEXT NOT NULL,
        message TEXT NOT NULL,
        size INTEGER NOT NULL,
        record TEXT NOT NULL -- JSON, whole
    );
    CREATE INDEX traps_worker ON traps (worker, seq);

    CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        kind TEXT NOT NULL,
        level TEXT NOT NULL,
        worker TEXT,
        message TEXT NOT NULL
    );

    CREATE TABLE checks (
        worker TEXT NOT NULL,
        subject TEXT NOT NULL,
        state TEXT NOT NULL, -- JSON
        PRIMARY KEY (worker, subject)
    ) WITHOUT ROWID;
";

#[derive(Debug)]
pub(super) enum Work {
    Event(Box<EventRecord>),
    Trap(Box<TrapRecord>),
    Check(Box<CheckRow>),
    /// A check's row and the change that made it what it is: both or neither.
    Flip(Box<(CheckRow, Change)>),
    Deployed(Box<Deployed>),
    /// The worker is gone.
    Undeployed(Name),
    Forget(Vec<(Name, Arc<str>)>),
    Generation(Box<Generation>),
    /// The queue's, which answers for itself.
    Jobs(jobs::Op),
    Kv(Box<kv::Op>),
    /// Nothing to write: answered when what came before is.
    Barrier,
}

impl Weigh for Work {
    fn bytes(&self) -> usize {
        match self {
            Self::Event(event) => size_of::<EventRecord>() + event.kind.len() + event.message.len(),
            Self::Trap(trap) => traps::bytes(trap),
            // A check's state is bounded by the checks room.
            Self::Check(row) => 1_024 + row.subject.len(),
            Self::Flip(flip) => 2_048 + flip.0.subject.len() + flip.1.detail.len(),
            Self::Deployed(_) | Self::Undeployed(_) => 512,
            Self::Forget(checks) => checks.len() * size_of::<(Name, Arc<str>)>(),
            Self::Jobs(op) => op.bytes(),
            // Only ever awaited, and bounded by their callers.
            Self::Generation(_) | Self::Kv(_) | Self::Barrier => 0,
        }
    }
}

/// The one connection that writes control.db.
#[derive(Debug)]
pub(super) struct Control {
    db: Connection,
    path: PathBuf,
    jobs: jobs::Writer,
    kv: kv::Ledger,
    changes: changes::Keeper,
    marks: marks::Keeper,
}

/// What the host must know of control.db before it serves.
#[derive(Debug)]
pub(super) struct Opened {
    pub control: Control,
    pub boot: u64,
    pub last_event: u64,
    pub jobs: Arc<jobs::Core>,
}

impl Control {
    /// Opens the file and counts this start, durably.
    pub fn open(path: &Path, queue: Arc<Queue<Work>>, surroundings: Surroundings) -> Result<Opened, StoreError> {
        let db = database::open(path, &SCHEMA)?;
        let boot = db
            .query_row(
                "INSERT INTO counts VALUES ('boot', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value",
                [],
                |row| row.get::<_, i64>(0),
            )
            .map_err(StoreError::sqlite("counting the start in", path))?;
        let last_event = events::last_id(&db).map_err(StoreError::sqlite("reading", path))?;
        let jobs = jobs::Writer::open(&db, queue, surroundings).map_err(StoreError::sqlite("reading", path))?;
        let core = jobs.core();
        let (changes, marks) = Default::default();
        let control = Self { db, path: path.to_owned(), jobs, kv: kv::Ledger::default(), changes, marks };
        Ok(Opened { control, boot: u64::try_from(boot).unwrap_or_default(), last_event, jobs: core })
    }

    fn transact(&mut self, batch: &mut [Entry<Work>], failures: &mut Failures) -> rusqlite::Result<()> {
        if batch.iter().all(|entry| matches!(entry.work, Work::Barrier)) {
            return Ok(());
        }
        self.jobs.prepare(&self.db, jobs_of(batch))?;
        let mut statements = events::Statements::prepare(&self.db)?;
        let transaction = Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate)?;
        let mut kv_statements = None;
        let mut traps = Vec::new();
        let mut events = false;
        let (mut flipped, mut marked) = (Vec::new(), Vec::new());
        for (index, entry) in batch.iter_mut().enumerate() {
            let outcome = match &mut entry.work {
                Work::Event(event) => {
                    events = true;
                    events::insert(&mut statements, event)
                }
                Work::Trap(trap) => {
                    traps.push((index, &**trap));
                    Ok(())
                }
                Work::Check(row) => events::upsert_check(&mut statements, row),
                Work::Flip(flip) => {
                    let (row, change) = &**flip;
                    flipped.push((row.worker.clone(), row.subject.clone()));
                    aside(&transaction, |db| {
                        events::upsert_check(&mut statements, row)?;
                        changes::insert(db, &row.worker, &row.subject, change)
                    })
                }
                Work::Deployed(deployed) => marks::note(&transaction, deployed).map(|new| {
                    if new {
                        marked.push(deployed.worker.clone());
                    }
                }),
                Work::Undeployed(worker) => marks::forget(&transaction, worker),
                Work::Forget(checks) => aside(&transaction, |db| {
                    events::forget_checks(db, checks)?;
                    changes::forget(db, checks)
                }),
                Work::Generation(generation) => aside(&transaction, |db| generations::save(db, generation)),
                // What goes wrong here is the disk's fault, and all of the batch's.
                Work::Jobs(op) => {
                    self.jobs.perform(&transaction, op)?;
                    Ok(())
                }
                Work::Kv(op) => {
                    self.jobs.notice(&transaction, op.moment)?;
                    let statements = match &mut kv_statements {
                        Some(statements) => statements,
                        none => none.insert(kv::Statements::prepare(&self.db)?),
                    };
                    self.kv.apply(&transaction, statements, op)
                }
                Work::Barrier => Ok(()),
            };
            self.alone(index, outcome, failures)?;
        }
        // Traps go in together: a crash loop may bring more of them in a batch than are kept.
        let kept = traps::newest(&traps);
        for (index, trap) in &kept {
            self.alone(*index, traps::insert(&transaction, trap), failures)?;
        }
        if !kept.is_empty() {
            traps::count(&transaction, traps.iter().map(|(_, trap)| *trap))?;
            traps::prune(&transaction, kept.iter().map(|(_, trap)| &*trap.worker))?;
        }
        if events {
            events::prune(&transaction)?;
        }
        if !flipped.is_empty() {
            self.changes.prune(&transaction, &flipped)?;
        }
        if !marked.is_empty() {
            self.marks.prune(&transaction, &marked)?;
        }
        self.jobs.conclude(&transaction)?;
        if kv_statements.is_some() {
            self.kv.settle(&transaction)?;
        }
        transaction.commit()
    }

    /// Keeps a failure to its entry, unless SQLite gave the whole transaction up (disk full, I/O error).
    fn alone(&self, index: usize, outcome: rusqlite::Result<()>, failures: &mut Failures) -> rusqlite::Result<()> {
        match outcome {
            Err(error) if self.db.is_autocommit() => Err(error),
            Err(error) => {
                failures.push(index, StoreError::sqlite("writing", &self.path)(error));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

impl Sink for Control {
    type Work = Work;

    fn write(&mut self, batch: &mut [Entry<Work>], failures: &mut Failures) -> Result<(), StoreError> {
        let written = self.transact(batch, failures).map_err(StoreError::sqlite("writing", &self.path));
        match &written {
            Ok(()) => {
                if let Err(error) = self.jobs.committed(&self.db).map_err(StoreError::sqlite("reading", &self.path)) {
                    tracing::error!("the queue can't read on: {error}");
                }
            }
            Err(error) => {
                self.jobs.failed(jobs_of(batch), error);
                self.kv.forget();
            }
        }
        written
    }
}

fn jobs_of(batch: &mut [Entry<Work>]) -> impl Iterator<Item = &mut jobs::Op> {
    batch.iter_mut().filter_map(|entry| match &mut entry.work {
        Work::Jobs(op) => Some(op),
        _ => None,
    })
}

/// Several statements that count as one: all of them or none, whatever becomes of their neighbours in the batch.
pub(super) fn aside(db: &Connection, write: impl FnOnce(&Connection) -> rusqlite::Result<()>) -> rusqlite::Result<()> {
    db.execute_batch("SAVEPOINT entry")?;
    let written = write(db);
    match written {
        Ok(()) => db.execute_batch("RELEASE entry"),
        // With the transaction gone the savepoint is gone too.
        Err(error) if db.is_autocommit() => Err(error),
        Err(error) => db.execute_batch("ROLLBACK TO entry; RELEASE entry").and(Err(error)),
    }
}
