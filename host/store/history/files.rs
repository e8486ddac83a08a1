//! The files of the history folder: their names, their schemas, the ids they give to checks.
//!
//! `YYYY-MM-DD.db` holds a day's results and minutes, `YYYY-MM-DD.2.db` goes on when that grew large, `rollup.db` holds hours and
//! days. Must not decide what is deleted.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use jiff::{civil::Date, tz::TimeZone};
use rusqlite::{Connection, OptionalExtension, Statement};

use super::{
    super::{
        StoreError,
        database::{self, Schema},
        rows::timestamp,
    },
    gather::{Check, DAY_MS},
    write,
};

/// Checks whose ids one file keeps at hand; past it they are read again.
const KNOWN: usize = 65_536;

/// Small, because a WAL counts against the byte cap: 1 MiB.
const CHECKPOINT: u32 = 256;

pub(super) const DAY_SCHEMA: Schema = Schema { steps: &[DAY_1, DAY_2], synchronous: "NORMAL", checkpoint: CHECKPOINT };

const DAY_1: &str = "
    -- Ids are never used twice: what a forgotten check left behind stays nobody's.
    CREATE TABLE checks (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        worker TEXT NOT NULL,
        subject TEXT NOT NULL,
        last INTEGER, -- its newest row in results
        UNIQUE (worker, subject)
    );
    -- Appended only; each row names the one before it of the same check, which costs less than an index.
    CREATE TABLE results (
        id INTEGER PRIMARY KEY,
        at INTEGER NOT NULL, -- milliseconds since 1970
        check_id INTEGER NOT NULL,
        previous INTEGER,
        status INTEGER NOT NULL, -- 0 up, 1 degraded, 2 down, 3 unknown, 4 maintenance, 5 paused
        latency_us INTEGER,
        dns_us INTEGER, connect_us INTEGER, tls_us INTEGER, first_byte_us INTEGER, total_us INTEGER,
        evidence TEXT -- JSON; for results that are not up
    );
    CREATE TABLE minutes (
        at INTEGER NOT NULL, -- the span's start, milliseconds since 1970
        check_id INTEGER NOT NULL,
        results INTEGER NOT NULL,
        up_ms INTEGER NOT NULL, degraded_ms INTEGER NOT NULL, down_ms INTEGER NOT NULL,
        latencies INTEGER NOT NULL, latency_sum_us INTEGER NOT NULL, latency_min_us INTEGER, latency_max_us INTEGER,
        PRIMARY KEY (at, check_id)
    ) WITHOUT ROWID;
    CREATE VIEW readable AS
        SELECT strftime('%FT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS time, worker, subject,
            CASE status WHEN 0 THEN 'up' WHEN 1 THEN 'degraded' WHEN 2 THEN 'down' ELSE 'unknown' END AS status,
            latency_us / 1000.0 AS latency_ms, evidence
        FROM results JOIN checks ON checks.id = check_id;
";

/// From this version on there are sketches, details and pointers to the last failure.
pub(super) const SKETCHED: i64 = 2;

/// What a file of version 1 knows of failures is looked up once.
const DAY_2: &str = "
    ALTER TABLE minutes ADD COLUMN sketch BLOB; -- latencies by size, see sketch.rs
    ALTER TABLE results ADD COLUMN detail TEXT; -- for results that are not up
    ALTER TABLE checks ADD COLUMN failure INTEGER; -- its newest row in results that is not up
    UPDATE checks SET failure = newest.id
        FROM (SELECT check_id, max(id) AS id FROM results WHERE status <> 0 GROUP BY check_id) AS newest
        WHERE newest.check_id = checks.id;
";

pub(super) const ROLLUP_SCHEMA: Schema = Schema { steps: &[ROLLUP_1, ROLLUP_2], synchronous: "NORMAL", checkpoint: CHECKPOINT };

const ROLLUP_1: &str = "
    CREATE TABLE checks (id INTEGER PRIMARY KEY AUTOINCREMENT, worker TEXT NOT NULL, subject TEXT NOT NULL, last INTEGER, UNIQUE (worker, subject));
    CREATE TABLE hours (
        at INTEGER NOT NULL, check_id INTEGER NOT NULL, results INTEGER NOT NULL,
        up_ms INTEGER NOT NULL, degraded_ms INTEGER NOT NULL, down_ms INTEGER NOT NULL,
        latencies INTEGER NOT NULL, latency_sum_us INTEGER NOT NULL, latency_min_us INTEGER, latency_max_us INTEGER,
        PRIMARY KEY (at, check_id)
    ) WITHOUT ROWID;
    CREATE TABLE days (
        at INTEGER NOT NULL, check_id INTEGER NOT NULL, results INTEGER NOT NULL,
        up_ms INTEGER NOT NULL, degraded_ms INTEGER NOT NULL, down_ms INTEGER NOT NULL,
        latencies INTEGER NOT NULL, latency_sum_us INTEGER NOT NULL, latency_min_us INTEGER, latency_max_us INTEGER,
        PRIMARY KEY (at, check_id)
    ) WITHOUT ROWID;
";

const ROLLUP_2: &str = "
    ALTER TABLE hours ADD COLUMN sketch BLOB;
    ALTER TABLE days ADD COLUMN sketch BLOB;
";

/// Which file: the day's start in milliseconds since 1970, and the part from 1. In the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub day: i64,
    pub part: u32,
}

impl Key {
    pub fn path(self, folder: &Path) -> PathBuf {
        let date = timestamp(self.day).to_zoned(TimeZone::UTC).date();
        folder.join(if self.part == 1 { format!("{date}.db") } else { format!("{date}.{}.db", self.part) })
    }

    fn parse(name: &str) -> Option<Self> {
        let stem = name.strip_suffix(".db")?;
        let (date, part) = match stem.split_once('.') {
            Some((date, part)) => (date, part.parse().ok().filter(|part| *part > 1)?),
            None => (stem, 1),
        };
        let date: Date = date.parse().ok()?;
        let day = date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond();
        Some(Self { day, part })
    }
}

/// The day files of the folder and their sizes; what else lies there is not ours.
pub(super) fn list(folder: &Path) -> Result<BTreeMap<Key, u64>, StoreError> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(StoreError::io("listing", folder))? {
        let entry = entry.map_err(StoreError::io("listing", folder))?;
        if let Some(key) = entry.file_name().to_str().and_then(Key::parse) {
            files.insert(key, size(&key.path(folder)));
        }
    }
    Ok(files)
}

/// Bytes of a database with its companions; nothing for what is not there.
pub(super) fn size(path: &Path) -> u64 {
    let of = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    of(path) + database::companions(path).iter().map(|path| of(path)).sum::<u64>()
}

/// One file open for writing.
#[derive(Debug)]
pub(super) struct HistoryFile {
    pub db: Connection,
    pub path: PathBuf,
    pub ids: Ids,
}

impl HistoryFile {
    pub fn open(path: PathBuf, schema: &Schema) -> Result<Self, StoreError> {
        let db = database::open(&path, schema)?;
        write::teach(&db).map_err(StoreError::sqlite("setting up", &path))?;
        Ok(Self { db, path, ids: Ids::default() })
    }

    pub fn size(&self) -> u64 {
        size(&self.path)
    }

    /// Leaves one plain file, as an operator would copy it. A reader may be in the way: then its WAL stays, which is as good.
    pub fn retire(self) {
        let _ = self.db.busy_timeout(std::time::Duration::ZERO);
        let _ = self.db.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()));
    }
}

/// What a file knows a check by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub id: i64,
    /// Its newest result in this file.
    pub last: Option<i64>,
}

/// Ids of checks in one file, as far as they are at hand.
#[derive(Debug, Default)]
pub(super) struct Ids(HashMap<Check, Known>);

impl Ids {
    pub fn set(&mut self, check: &Check, known: Known) {
        if self.0.len() >= KNOWN && !self.0.contains_key(check) {
            self.0.clear();
        }
        self.0.insert(check.clone(), known);
    }

    /// After a rollback or a forgetting nothing at hand is sure.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// Looks checks up in a file and adds new ones; prepared once a batch.
#[derive(Debug)]
pub(super) struct Interner<'db> {
    find: Statement<'db>,
    add: Statement<'db>,
}

impl<'db> Interner<'db> {
    pub fn prepare(db: &'db Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            find: db.prepare("SELECT id, last FROM checks WHERE worker = ?1 AND subject = ?2")?,
            add: db.prepare("INSERT INTO checks (worker, subject) VALUES (?1, ?2)")?,
        })
    }

    pub fn known(&mut self, ids: &mut Ids, check: &Check) -> rusqlite::Result<Known> {
        if let Some(known) = ids.0.get(check) {
            return Ok(*known);
        }
        let found = self.find.query_row([&check.0, &check.1], |row| Ok(Known { id: row.get(0)?, last: row.get(1)? })).optional()?;
        let known = match found {
            Some(known) => known,
            None => Known { id: self.add.insert([&check.0, &check.1])?, last: None },
        };
        ids.set(check, known);
        Ok(known)
    }
}

/// The end of a day in milliseconds since 1970.
pub(super) fn day_end(day: i64) -> i64 {
    day.saturating_add(DAY_MS)
}
