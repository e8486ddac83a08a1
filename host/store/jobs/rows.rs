//! The queue's tables in control.db, and the few statements that move a job between its states.
//!
//! Must not decide anything: what becomes of a job is in the policy, in which order things happen is the writer's.
//!
//! A job that a worker of this host runs is still `WAITING` here: such leases end with the host, so they live in memory only.

use std::time::Duration;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::{
    NewJob,
    policy::{Tally, Verdict},
    window::{Due, Horizon, Place, Terms},
};
use crate::{
    facts::JobState,
    store::rows::{signed, unsigned},
};

/// States are numbered so that each index covers one stretch: what a timer moves, what is due, what is over, what holds its unique key.
pub(in crate::store) const STEP: &str = "
    -- Counts by state as the rows below have them, kept with every batch.
    CREATE TABLE queues (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        delayed INTEGER NOT NULL,
        waiting INTEGER NOT NULL,
        running INTEGER NOT NULL,
        done INTEGER NOT NULL,
        dead INTEGER NOT NULL,
        cancelled INTEGER NOT NULL
    );

    CREATE TABLE jobs (
        seq INTEGER PRIMARY KEY, -- in the order of the pushes, never used twice
        id BLOB NOT NULL, -- UUIDv7
        queue INTEGER NOT NULL,
        state INTEGER NOT NULL, -- 1 delayed, 2 running (leased from outside), 3 waiting or run by this host, 4 done, 5 cancelled, 6 dead
        rank INTEGER NOT NULL, -- the priority, negated
        attempts INTEGER NOT NULL, -- never fewer for a row that somebody outside may still know: they are the fence
        uncounted INTEGER NOT NULL DEFAULT 0, -- of these: given back, lost to a full disk, or before a retry
        due_at INTEGER NOT NULL, -- on the queue's time line, as is:
        wake_at INTEGER, -- when it is due, its lease runs out, or it is forgotten
        pushed_at INTEGER NOT NULL, -- on the wall clock, as is:
        finished_at INTEGER,
        max_attempts INTEGER, -- null: as the queue says, as are:
        backoff INTEGER,
        result_ttl INTEGER,
        unique_key TEXT,
        pushed_by TEXT NOT NULL,
        holder TEXT,
        last_error TEXT,
        result BLOB,
        payload BLOB NOT NULL
    );
    CREATE UNIQUE INDEX jobs_id ON jobs (id);
    CREATE UNIQUE INDEX jobs_key ON jobs (queue, unique_key) WHERE unique_key IS NOT NULL AND state < 5;
    CREATE INDEX jobs_due ON jobs (queue, rank, seq) WHERE state = 3;
    CREATE INDEX jobs_timed ON jobs (wake_at) WHERE state < 3;
    CREATE INDEX jobs_kept ON jobs (wake_at) WHERE state BETWEEN 4 AND 5;
    CREATE INDEX jobs_dead ON jobs (queue, seq) WHERE state = 6;
";

/// A queue's number in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::store) struct QueueId(pub i64);

pub(super) fn code(state: JobState) -> i64 {
    match state {
        JobState::Delayed => 1,
        JobState::Running => 2,
        JobState::Waiting => 3,
        JobState::Done => 4,
        JobState::Cancelled => 5,
        JobState::Dead => 6,
    }
}

pub(super) fn state_of(code: i64) -> JobState {
    match code {
        1 => JobState::Delayed,
        2 => JobState::Running,
        3 => JobState::Waiting,
        4 => JobState::Done,
        5 => JobState::Cancelled,
        _ => JobState::Dead,
    }
}

/// Its place in `JobState::ALL`.
pub(super) fn place_of(state: JobState) -> usize {
    match state {
        JobState::Delayed => 0,
        JobState::Waiting => 1,
        JobState::Running => 2,
        JobState::Done => 3,
        JobState::Dead => 4,
        JobState::Cancelled => 5,
    }
}

impl Terms {
    pub fn of(job: &NewJob) -> Self {
        let span = |span: Option<Duration>| span.map(|span| unsigned(millis_of(span)));
        Self { max_attempts: job.max_attempts, backoff_ms: span(job.backoff), result_ttl_ms: span(job.result_ttl), uncounted: 0 }
    }
}

/// What a change of one job must know of it.
#[derive(Debug, Clone)]
pub(super) struct Stand {
    pub id: Uuid,
    pub queue: QueueId,
    pub place: Place,
    pub state: JobState,
    pub attempts: u32,
    pub wake_at: Option<i64>,
    pub terms: Terms,
    pub unique_key: Option<Box<str>>,
}

impl Stand {
    /// Kept no longer, only not deleted yet.
    pub fn expired(&self, line: i64) -> bool {
        self.state.over() && self.wake_at.is_some_and(|at| at <= line)
    }
}

const STAND: &str = "id, queue, rank, seq, state, attempts, wake_at, max_attempts, backoff, result_ttl, uncounted, unique_key";

pub(super) fn stand(row: &Row<'_>) -> rusqlite::Result<Stand> {
    Ok(Stand {
        id: Uuid::from_bytes(row.get(0)?),
        queue: QueueId(row.get(1)?),
        place: Place { rank: row.get(2)?, seq: row.get(3)? },
        state: state_of(row.get(4)?),
        attempts: row.get(5)?,
        wake_at: row.get(6)?,
        terms: terms(row, 7)?,
        unique_key: row.get(11)?,
    })
}

fn terms(row: &Row<'_>, first: usize) -> rusqlite::Result<Terms> {
    let span = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(unsigned));
    let (backoff_ms, result_ttl_ms) = (span(first + 1)?, span(first + 2)?);
    Ok(Terms { max_attempts: row.get(first)?, backoff_ms, result_ttl_ms, uncounted: row.get(first + 3)? })
}

pub(super) fn by_id(db: &Connection, id: Uuid) -> rusqlite::Result<Option<Stand>> {
    db.prepare_cached(&format!("SELECT {STAND} FROM jobs WHERE id = ?1"))?.query_row([id.as_bytes()], stand).optional()
}

pub(super) fn by_key(db: &Connection, queue: QueueId, key: &str) -> rusqlite::Result<Option<Stand>> {
    let sql = format!("SELECT {STAND} FROM jobs WHERE queue = ?1 AND unique_key = ?2 AND unique_key IS NOT NULL AND state < 5");
    db.prepare_cached(&sql)?.query_row(params![queue.0, key], stand).optional()
}

pub(super) fn running(db: &Connection) -> rusqlite::Result<Vec<(Stand, Option<String>)>> {
    let mut rows = db.prepare(&format!("SELECT {STAND}, holder FROM jobs WHERE state < 3 AND state = 2"))?;
    rows.query_map([], |row| Ok((stand(row)?, row.get(12)?)))?.collect()
}

/// Jobs whose time has come: due, or out of their lease.
pub(super) fn timed(db: &Connection, line: i64, limit: usize) -> rusqlite::Result<Vec<Stand>> {
    let sql = format!("SELECT {STAND} FROM jobs WHERE state < 3 AND wake_at <= ?1 ORDER BY wake_at LIMIT ?2");
    db.prepare_cached(&sql)?.query_map(params![line, limit as i64], stand)?.collect()
}

/// Jobs that are over and kept no longer.
pub(super) fn outlived(db: &Connection, line: i64, limit: usize) -> rusqlite::Result<Vec<Stand>> {
    let sql = format!("SELECT {STAND} FROM jobs WHERE state BETWEEN 4 AND 5 AND wake_at <= ?1 ORDER BY wake_at LIMIT ?2");
    db.prepare_cached(&sql)?.query_map(params![line, limit as i64], stand)?.collect()
}

/// A stretch of the whole table, from after `seq`.
pub(super) fn stretch(db: &Connection, after: i64, upto: i64, limit: usize) -> rusqlite::Result<Vec<Stand>> {
    let sql = format!("SELECT {STAND} FROM jobs NOT INDEXED WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3");
    db.prepare_cached(&sql)?.query_map(params![after, upto, limit as i64], stand)?.collect()
}

/// When the next of [`timed`], and the next of [`outlived`], comes.
pub(super) fn next_wakes(db: &Connection) -> rusqlite::Result<(Option<i64>, Option<i64>)> {
    let soonest = |sql: &str| db.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional();
    let timed = soonest("SELECT wake_at FROM jobs WHERE state < 3 AND wake_at IS NOT NULL ORDER BY wake_at LIMIT 1")?;
    let kept = soonest("SELECT wake_at FROM jobs WHERE state BETWEEN 4 AND 5 AND wake_at IS NOT NULL ORDER BY wake_at LIMIT 1")?;
    Ok((timed, kept))
}

const DUE: &str = "rank, seq, id, payload, attempts, max_attempts, backoff, result_ttl, uncounted, unique_key, pushed_at";

fn due(row: &Row<'_>) -> rusqlite::Result<Due> {
    Ok(Due {
        place: Place { rank: row.get(0)?, seq: row.get(1)? },
        id: Uuid::from_bytes(row.get(2)?),
        payload: Bytes::copy_from_slice(row.get_ref(3)?.as_blob()?),
        attempts: row.get(4)?,
        terms: terms(row, 5)?,
        unique_key: row.get(9)?,
        pushed_at: row.get(10)?,
    })
}

pub(super) fn load(db: &Connection, seq: i64) -> rusqlite::Result<Due> {
    db.prepare_cached(&format!("SELECT {DUE} FROM jobs WHERE seq = ?1"))?.query_row([seq], due)
}

/// Due jobs of a queue from beyond a horizon, up to a number of them or of payload bytes, and the new horizon.
pub(super) fn beyond(db: &Connection, queue: QueueId, from: Horizon, jobs: usize, bytes: usize) -> rusqlite::Result<(Vec<Due>, Horizon)> {
    let from = match from {
        Horizon::Nothing => Place { rank: i64::MIN, seq: 0 },
        Horizon::UpTo(place) => place,
        Horizon::All => return Ok((Vec::new(), Horizon::All)),
    };
    let sql = format!("SELECT {DUE} FROM jobs WHERE state = 3 AND queue = ?1 AND (rank, seq) > (?2, ?3) ORDER BY rank, seq");
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params![queue.0, from.rank, from.seq])?;
    let (mut found, mut held) = (Vec::new(), 0_usize);
    while let Some(row) = rows.next()? {
        let job = due(row)?;
        let place = job.place;
        held = held.saturating_add(job.payload.len());
        found.push(job);
        if found.len() >= jobs || held >= bytes {
            return Ok((found, Horizon::UpTo(place)));
        }
    }
    Ok((found, Horizon::All))
}

/// False: its id or its unique key is there already.
pub(super) fn insert(
    db: &Connection,
    seq: i64,
    queue: QueueId,
    job: &NewJob,
    state: JobState,
    due_at: i64,
    wall: i64,
) -> rusqlite::Result<bool> {
    let span = |span: Option<Duration>| span.map(millis_of);
    let mut statement = db.prepare_cached(
        "INSERT INTO jobs (seq, id, queue, state, rank, attempts, due_at, wake_at, pushed_at, max_attempts, backoff, result_ttl,
                           unique_key, pushed_by, payload)
         VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) ON CONFLICT DO NOTHING",
    )?;
    let changed = statement.execute(params![
        seq,
        job.id.as_bytes(),
        queue.0,
        code(state),
        rank(job.priority),
        due_at,
        (state == JobState::Delayed).then_some(due_at),
        wall,
        job.max_attempts,
        span(job.backoff),
        span(job.result_ttl),
        job.unique_key.as_deref(),
        &*job.pushed_by,
        &*job.payload,
    ])?;
    Ok(changed > 0)
}

/// Ends an attempt. False: it was over before; a retry in between shows in `uncounted`, which had been below every open attempt.
pub(super) fn finish(db: &Connection, seq: i64, held: Held, verdict: &Verdict, tally: Tally, at: Ending) -> rusqlite::Result<bool> {
    if verdict.state == JobState::Done && at.wake_at.is_some_and(|wake| wake <= at.line) {
        let mut gone =
            db.prepare_cached("DELETE FROM jobs WHERE seq = ?1 AND state = ?2 AND uncounted < ?3 AND (state = 3 OR attempts = ?3)")?;
        return Ok(gone.execute(params![seq, held.state(), held.attempt])? > 0);
    }
    let mut ended = db.prepare_cached(
        "UPDATE jobs SET state = ?4, attempts = ?5, wake_at = ?6, due_at = coalesce(?7, due_at), finished_at = ?8, holder = NULL,
                         last_error = coalesce(?9, last_error), result = ?10, uncounted = ?11
         WHERE seq = ?1 AND state = ?2 AND uncounted < ?3 AND (state = 3 OR attempts = ?3)",
    )?;
    let changed = ended.execute(params![
        seq,
        held.state(),
        held.attempt,
        code(verdict.state),
        tally.attempts,
        at.wake_at,
        at.due_at,
        verdict.state.over().then_some(at.wall),
        verdict.error,
        verdict.result,
        tally.uncounted,
    ])?;
    Ok(changed > 0)
}

/// The lease that an attempt is held by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub attempt: u32,
    pub outside: bool,
}

impl Held {
    fn state(self) -> i64 {
        code(if self.outside { JobState::Running } else { JobState::Waiting })
    }
}

/// The times that go with an attempt's end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    pub line: i64,
    pub wall: i64,
    pub due_at: Option<i64>,
    pub wake_at: Option<i64>,
}

/// Any other change of state.
pub(super) fn turn(
    db: &Connection,
    seq: i64,
    state: JobState,
    wake_at: Option<i64>,
    wall: i64,
    error: Option<&str>,
) -> rusqlite::Result<()> {
    let mut turned = db.prepare_cached(
        "UPDATE jobs SET state = ?2, wake_at = ?3, finished_at = ?4, holder = NULL, last_error = coalesce(?5, last_error) WHERE seq = ?1",
    )?;
    turned.execute(params![seq, code(state), wake_at, state.over().then_some(wall), error])?;
    Ok(())
}

/// As if it had just been pushed, but for the numbers of its attempts: whoever still has an old one must not pass for a new one.
pub(super) fn renew(db: &Connection, seq: i64, line: i64) -> rusqlite::Result<()> {
    let mut renewed = db.prepare_cached(
        "UPDATE jobs SET state = 3, uncounted = attempts, wake_at = NULL, due_at = ?2, finished_at = NULL, result = NULL WHERE seq = ?1",
    )?;
    renewed.execute(params![seq, line])?;
    Ok(())
}

/// False: the job was taken back meanwhile.
pub(super) fn lease(db: &Connection, seq: i64, attempt: u32, holder: &str, until: i64) -> rusqlite::Result<bool> {
    let sql = "UPDATE jobs SET state = 2, attempts = ?2, holder = ?3, wake_at = ?4 WHERE seq = ?1 AND state = 3 AND uncounted < ?2";
    Ok(db.prepare_cached(sql)?.execute(params![seq, attempt, holder, until])? > 0)
}

/// False: the attempt is over.
pub(super) fn extend(db: &Connection, seq: i64, attempt: u32, until: i64) -> rusqlite::Result<bool> {
    let mut extended = db.prepare_cached("UPDATE jobs SET wake_at = ?3 WHERE seq = ?1 AND state = 2 AND attempts = ?2")?;
    Ok(extended.execute(params![seq, attempt, until])? > 0)
}

/// That an attempt on this host has begun.
pub(super) fn begun(db: &Connection, seq: i64, attempt: u32) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE jobs SET attempts = ?2 WHERE seq = ?1 AND state = 3")?.execute(params![seq, attempt])?;
    Ok(())
}

pub(super) fn delete(db: &Connection, seq: i64) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM jobs WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}

/// Adds to a queue's counts, in the order of `JobState::ALL`.
pub(super) fn count(db: &Connection, queue: QueueId, name: &str, by: &[i64; 6]) -> rusqlite::Result<()> {
    let mut counted = db.prepare_cached(
        "INSERT INTO queues VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (id) DO UPDATE SET
         delayed = delayed + excluded.delayed, waiting = waiting + excluded.waiting, running = running + excluded.running,
         done = done + excluded.done, dead = dead + excluded.dead, cancelled = cancelled + excluded.cancelled",
    )?;
    let [delayed, waiting, running, done, dead, cancelled] = by;
    counted.execute(params![queue.0, name, delayed, waiting, running, done, dead, cancelled])?;
    Ok(())
}

/// Every queue with its counts.
pub(super) fn queues(db: &Connection) -> rusqlite::Result<Vec<(QueueId, String, [i64; 6])>> {
    // A queue without jobs is known by whoever names it.
    db.execute("DELETE FROM queues WHERE delayed + waiting + running + done + dead + cancelled = 0", [])?;
    let mut rows = db.prepare("SELECT id, name, delayed, waiting, running, done, dead, cancelled FROM queues")?;
    let queues = rows.query_map([], |row| {
        let counts = [row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?];
        Ok((QueueId(row.get(0)?), row.get(1)?, counts))
    })?;
    queues.collect()
}

pub(super) fn last_seq(db: &Connection) -> rusqlite::Result<i64> {
    db.query_row("SELECT coalesce(max(seq), 0) FROM jobs", [], |row| row.get(0))
}

/// How far the wall clock was ahead of the time line; zero before the first jump.
pub(super) fn skew(db: &Connection) -> rusqlite::Result<i64> {
    let skew = db.query_row("SELECT value FROM counts WHERE name = 'skew'", [], |row| row.get(0)).optional()?;
    Ok(skew.unwrap_or_default())
}

pub(super) fn keep_skew(db: &Connection, skew: i64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO counts VALUES ('skew', ?1) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    db.prepare_cached(sql)?.execute([skew])?;
    Ok(())
}

/// A write for its own sake: whether the disk takes any.
pub(super) fn probe(db: &Connection) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE counts SET value = value WHERE name = 'boot'")?.execute([])?;
    Ok(())
}

pub(super) fn rank(priority: i32) -> i64 {
    -i64::from(priority)
}

pub(super) fn millis_of(span: Duration) -> i64 {
    signed(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}
