//! The writer's side of key-value state: what one change does to the rows, in the transaction of its batch.
//!
//! Revisions come from one counter for all keys, kept in the file: a key made anew goes on above what it had, so that a
//! compare-and-set with an old revision fails for ever. What each bucket holds is counted along, and written once a batch.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Statement, params};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    super::{StoreError, control::aside, jobs::timeline::Moment, rows::unsigned},
    Expect, MAX_BUCKET_BYTES, MAX_BUCKET_KEYS, Sums, Swapped, read,
};

pub(in crate::store) const STEP: &str = "
    -- Key-value entries. The value comes last: what stands before it is read without it.
    CREATE TABLE kv (
        bucket TEXT NOT NULL,
        key TEXT NOT NULL,
        revision INTEGER NOT NULL,
        expires_at INTEGER, -- on the queue's time line; NULL: never
        value BLOB NOT NULL,
        PRIMARY KEY (bucket, key)
    ) WITHOUT ROWID;
    CREATE INDEX kv_expiry ON kv (expires_at) WHERE expires_at IS NOT NULL;

    -- What each bucket holds, so that its bounds cost no counting; bytes of keys and values.
    CREATE TABLE kv_buckets (bucket TEXT PRIMARY KEY, keys INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID;

    -- The newest revision given to any key.
    INSERT INTO counts VALUES ('kv_revision', 0);
";

/// Expired rows that go at once: a sweep must not hold up the changes beside it.
const SLICE: i64 = 500;
/// Slices that a full bucket may cost the batch in which it is noticed.
const SLICES: usize = 20;
/// Buckets whose counts are at hand.
const REMEMBERED: usize = 1_000;

/// The longest decimal text of a number.
const NUMBER_BYTES: usize = 20;

/// One change and what it needs to be judged.
#[derive(Debug)]
pub(in crate::store) struct Op {
    pub bucket: Arc<str>,
    pub act: Act,
    /// The caller's time.
    pub moment: Moment,
    /// Given back with the op: what it holds in memory is bounded.
    pub _room: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
pub(in crate::store) enum Act {
    Set {
        key: String,
        value: Bytes,
        expires_at: Option<i64>,
        expect: Expect,
        slot: Slot<Swapped>,
    },
    Delete {
        key: String,
        slot: Slot<bool>,
    },
    Increment {
        keys: Vec<String>,
        by: i64,
        slot: Slot<Sums>,
    },
    /// Answers when the next key expires.
    Sweep {
        slot: Slot<Option<i64>>,
    },
}

impl Act {
    pub fn expires_at(&self) -> Option<i64> {
        match self {
            Self::Set { expires_at, .. } => *expires_at,
            _ => None,
        }
    }

    /// What it may add to its bucket at most.
    fn most(&self) -> Growth {
        match self {
            Self::Set { key, value, .. } => Growth { keys: 1, bytes: size(key.len() + value.len()) },
            Self::Increment { keys, .. } => {
                let bytes = keys.iter().map(|key| key.len() + NUMBER_BYTES).sum();
                Growth { keys: size(keys.len()), bytes: size(bytes) }
            }
            Self::Delete { .. } | Self::Sweep { .. } => Growth::default(),
        }
    }
}

/// Where the writer leaves what came of an op; the caller looks once the commit is answered.
#[derive(Debug)]
pub(in crate::store) struct Slot<T>(Arc<Mutex<Option<Result<T, StoreError>>>>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Slot<T> {
    fn fill(&self, outcome: Result<T, StoreError>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }

    pub fn take(&self) -> Result<T, StoreError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or(Err(StoreError::Closed))
    }
}

/// Prepared once a batch.
#[derive(Debug)]
pub(in crate::store) struct Statements<'db> {
    find: Statement<'db>,
    read: Statement<'db>,
    put: Statement<'db>,
    delete: Statement<'db>,
}

impl<'db> Statements<'db> {
    pub fn prepare(db: &'db Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            find: db.prepare("SELECT revision, expires_at, octet_length(value) FROM kv WHERE bucket = ?1 AND key = ?2")?,
            read: db.prepare("SELECT expires_at, value FROM kv WHERE bucket = ?1 AND key = ?2")?,
            put: db.prepare("INSERT OR REPLACE INTO kv (bucket, key, revision, expires_at, value) VALUES (?1, ?2, ?3, ?4, ?5)")?,
            delete: db.prepare("DELETE FROM kv WHERE bucket = ?1 AND key = ?2")?,
        })
    }
}

/// A row as it stands, expired or not.
struct Old {
    revision: u64,
    expires_at: Option<i64>,
    bytes: i64,
}

/// A number on its way from the row it was to the row it will be.
struct Number<'op> {
    key: &'op str,
    expires_at: Option<i64>,
    /// Of the row it replaces.
    old_bytes: Option<i64>,
    sum: i64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    keys: i64,
    bytes: i64,
    changed: bool,
}

/// What a change adds to its bucket.
#[derive(Debug, Clone, Copy, Default)]
struct Growth {
    keys: i64,
    bytes: i64,
}

/// What the writer knows by heart of the rows; forgotten whenever a transaction is.
#[derive(Debug, Default)]
pub(in crate::store) struct Ledger {
    revision: Option<i64>,
    /// `revision` is not in the file yet.
    moved: bool,
    buckets: HashMap<Arc<str>, Bucket>,
    /// No row expires before this one; none: not known.
    next_expiry: Option<i64>,
    /// This batch has swept in passing.
    swept: bool,
}

impl Ledger {
    /// The transaction is gone: what it wrote is not there.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Does one op. An error leaves nothing of it behind.
    pub fn apply(&mut self, db: &Connection, statements: &mut Statements<'_>, op: &Op) -> rusqlite::Result<()> {
        let Op { bucket, act, moment: Moment { line: now, .. }, .. } = op;
        if !self.swept && self.next_expiry(db)? <= *now {
            self.swept = true;
            self.sweep(db, *now)?;
        }
        self.make_room(db, bucket, act.most(), *now)?;
        match act {
            Act::Set { key, value, expires_at, expect, slot } => {
                let outcome = self.set(db, statements, bucket, key, value, (*expires_at, *now), *expect)?;
                slot.fill(outcome);
            }
            Act::Delete { key, slot } => slot.fill(Ok(self.delete(db, statements, bucket, key, *now)?)),
            Act::Increment { keys, by, slot } => slot.fill(self.increment(db, statements, bucket, keys, *by, *now)?),
            Act::Sweep { slot } => slot.fill(Ok(Some(self.next_expiry(db)?).filter(|next| *next < i64::MAX))),
        }
        Ok(())
    }

    /// Writes what was counted along, before the commit.
    pub fn settle(&mut self, db: &Connection) -> rusqlite::Result<()> {
        self.swept = false;
        if let (true, Some(revision)) = (std::mem::take(&mut self.moved), self.revision) {
            db.execute("UPDATE counts SET value = ?1 WHERE name = 'kv_revision'", [revision])?;
        }
        for (name, bucket) in self.buckets.iter_mut().filter(|(_, bucket)| bucket.changed) {
            bucket.changed = false;
            if bucket.keys == 0 {
                db.execute("DELETE FROM kv_buckets WHERE bucket = ?1", [name])?;
            } else {
                db.execute("INSERT OR REPLACE INTO kv_buckets VALUES (?1, ?2, ?3)", params![name, bucket.keys, bucket.bytes])?;
            }
        }
        if self.buckets.len() > REMEMBERED {
            self.buckets.clear();
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one op")]
    fn set(
        &mut self,
        db: &Connection,
        statements: &mut Statements<'_>,
        bucket: &Arc<str>,
        key: &str,
        value: &[u8],
        (expires_at, now): (Option<i64>, i64),
        expect: Expect,
    ) -> rusqlite::Result<Result<Swapped, StoreError>> {
        let old = find(statements, bucket, key)?;
        let revision = old.as_ref().filter(|old| live(old.expires_at, now)).map(|old| old.revision);
        let as_expected = match expect {
            Expect::Anything => true,
            Expect::Absent => revision.is_none(),
            Expect::Revision(expected) => revision == Some(expected),
        };
        if !as_expected {
            return Ok(Ok(Swapped::Conflict(revision)));
        }
        let grown = Growth::of(old.map(|old| old.bytes), key, value.len());
        if let Err(refusal) = self.admit(db, bucket, grown)? {
            return Ok(Err(refusal));
        }
        let revision = self.next_revision(db)?;
        statements.put.execute(params![bucket, key, revision, expires_at, value])?;
        self.count(db, bucket, grown)?;
        // Unknown stays unknown: what is there may expire earlier.
        self.next_expiry = self.next_expiry.map(|next| next.min(expires_at.unwrap_or(i64::MAX)));
        Ok(Ok(Swapped::Set(unsigned(revision))))
    }

    fn delete(
        &mut self,
        db: &Connection,
        statements: &mut Statements<'_>,
        bucket: &Arc<str>,
        key: &str,
        now: i64,
    ) -> rusqlite::Result<bool> {
        let Some(old) = find(statements, bucket, key)? else { return Ok(false) };
        statements.delete.execute(params![bucket, key])?;
        self.count(db, bucket, Growth { keys: -1, bytes: -(size(key.len()) + old.bytes) })?;
        Ok(live(old.expires_at, now))
    }

    /// Adds everything up first: a key that says no must leave the others as they were.
    fn increment(
        &mut self,
        db: &Connection,
        statements: &mut Statements<'_>,
        bucket: &Arc<str>,
        keys: &[String],
        by: i64,
        now: i64,
    ) -> rusqlite::Result<Result<Sums, StoreError>> {
        let mut numbers: Vec<Number<'_>> = Vec::with_capacity(keys.len());
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut sums = Vec::with_capacity(keys.len());
        for key in keys {
            let place = match places.get(key.as_str()) {
                Some(place) => *place,
                None => {
                    let Some(number) = read_number(statements, bucket, key, now)? else {
                        return Ok(Ok(Sums::NotANumber(key.clone())));
                    };
                    numbers.push(number);
                    // One key, the usual case, needs no looking up.
                    if keys.len() > 1 {
                        places.insert(key, numbers.len() - 1);
                    }
                    numbers.len() - 1
                }
            };
            let Some(number) = numbers.get_mut(place) else { continue };
            let Some(sum) = number.sum.checked_add(by) else { return Ok(Ok(Sums::Overflow(key.clone()))) };
            number.sum = sum;
            sums.push(sum);
        }
        let texts: Vec<String> = numbers.iter().map(|number| number.sum.to_string()).collect();
        let grown = numbers.iter().zip(&texts).map(|(number, text)| Growth::of(number.old_bytes, number.key, text.len()));
        let grown = grown.fold(Growth::default(), Growth::and);
        if let Err(refusal) = self.admit(db, bucket, grown)? {
            return Ok(Err(refusal));
        }
        let mut write = |db: &Connection| {
            for (number, text) in numbers.iter().zip(&texts) {
                let revision = self.next_revision(db)?;
                statements.put.execute(params![bucket, number.key, revision, number.expires_at, text.as_bytes()])?;
            }
            Ok(())
        };
        // A single statement is all or none by itself.
        if texts.len() > 1 {
            aside(db, write)?
        } else {
            write(db)?
        }
        self.count(db, bucket, grown)?;
        Ok(Ok(Sums::Sums(sums)))
    }

    /// Takes out a slice of what has expired, the oldest first.
    fn sweep(&mut self, db: &Connection, now: i64) -> rusqlite::Result<()> {
        let gone: Vec<(Arc<str>, i64)> = db
            .prepare(
                "DELETE FROM kv WHERE (bucket, key) IN (SELECT bucket, key FROM kv WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)
                 RETURNING bucket, octet_length(key) + octet_length(value)",
            )?
            .query_map(params![now, SLICE], |row| Ok((row.get::<_, String>(0)?.into(), row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for (bucket, bytes) in gone {
            self.count(db, &bucket, Growth { keys: -1, bytes: -bytes })?;
        }
        self.next_expiry = None;
        Ok(())
    }

    /// What has expired must not keep a bucket full.
    fn make_room(&mut self, db: &Connection, bucket: &Arc<str>, most: Growth, now: i64) -> rusqlite::Result<()> {
        for _ in 0..SLICES {
            if self.admit(db, bucket, most)?.is_ok() || self.next_expiry(db)? > now {
                break;
            }
            self.sweep(db, now)?;
        }
        Ok(())
    }

    fn next_expiry(&mut self, db: &Connection) -> rusqlite::Result<i64> {
        if let Some(next) = self.next_expiry {
            return Ok(next);
        }
        let next = read::next_expiry(db)?.unwrap_or(i64::MAX);
        self.next_expiry = Some(next);
        Ok(next)
    }

    fn next_revision(&mut self, db: &Connection) -> rusqlite::Result<i64> {
        let newest = match self.revision {
            Some(newest) => newest,
            None => db.query_row("SELECT value FROM counts WHERE name = 'kv_revision'", [], |row| row.get(0))?,
        };
        self.revision = Some(newest + 1);
        self.moved = true;
        Ok(newest + 1)
    }

    fn bucket(&mut self, db: &Connection, name: &Arc<str>) -> rusqlite::Result<&mut Bucket> {
        if !self.buckets.contains_key(name) {
            let kept = db
                .query_row("SELECT keys, bytes FROM kv_buckets WHERE bucket = ?1", [name], |row| {
                    Ok(Bucket { keys: row.get(0)?, bytes: row.get(1)?, changed: false })
                })
                .optional()?;
            self.buckets.insert(name.clone(), kept.unwrap_or_default());
        }
        Ok(self.buckets.entry(name.clone()).or_default())
    }

    fn count(&mut self, db: &Connection, name: &Arc<str>, grown: Growth) -> rusqlite::Result<()> {
        let bucket = self.bucket(db, name)?;
        bucket.keys += grown.keys;
        bucket.bytes += grown.bytes;
        bucket.changed = true;
        Ok(())
    }

    /// Whether a bucket may grow by this much.
    fn admit(&mut self, db: &Connection, name: &Arc<str>, grown: Growth) -> rusqlite::Result<Result<(), StoreError>> {
        let bucket = *self.bucket(db, name)?;
        let past = |now: i64, more: i64, most: u64| more > 0 && unsigned(now + more) > most;
        if past(bucket.keys, grown.keys, MAX_BUCKET_KEYS) {
            return Ok(Err(StoreError::TooLarge(format!(
                "the bucket \"{name}\" has {} keys, and no bucket may have more than {MAX_BUCKET_KEYS}: delete some, give them a time to live, or use another bucket",
                bucket.keys
            ))));
        }
        if past(bucket.bytes, grown.bytes, MAX_BUCKET_BYTES) {
            return Ok(Err(StoreError::TooLarge(format!(
                "the bucket \"{name}\" holds {} bytes, and no bucket may hold more than {MAX_BUCKET_BYTES} (1 GiB): delete some, give them a time to live, or use another bucket",
                bucket.bytes
            ))));
        }
        Ok(Ok(()))
    }
}

impl Growth {
    /// A key that gets a value, where a row of `old` value bytes may be.
    fn of(old: Option<i64>, key: &str, value: usize) -> Self {
        match old {
            Some(old) => Self { keys: 0, bytes: size(value) - old },
            None => Self { keys: 1, bytes: size(key.len()) + size(value) },
        }
    }

    fn and(self, other: Self) -> Self {
        Self { keys: self.keys + other.keys, bytes: self.bytes + other.bytes }
    }
}

fn live(expires_at: Option<i64>, now: i64) -> bool {
    expires_at.is_none_or(|at| at > now)
}

fn size(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn find(statements: &mut Statements<'_>, bucket: &str, key: &str) -> rusqlite::Result<Option<Old>> {
    let old = statements
        .find
        .query_row(params![bucket, key], |row| Ok(Old { revision: unsigned(row.get(0)?), expires_at: row.get(1)?, bytes: row.get(2)? }));
    old.optional()
}

/// None: there is something, but no number.
fn read_number<'op>(statements: &mut Statements<'_>, bucket: &str, key: &'op str, now: i64) -> rusqlite::Result<Option<Number<'op>>> {
    let mut rows = statements.read.query(params![bucket, key])?;
    let Some(row) = rows.next()? else { return Ok(Some(Number { key, expires_at: None, old_bytes: None, sum: 0 })) };
    let expires_at: Option<i64> = row.get(0)?;
    let value = row.get_ref(1)?.as_bytes()?;
    let old_bytes = Some(size(value.len()));
    if !live(expires_at, now) {
        return Ok(Some(Number { key, expires_at: None, old_bytes, sum: 0 }));
    }
    let sum = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    Ok(sum.map(|sum| Number { key, expires_at, old_bytes, sum }))
}
