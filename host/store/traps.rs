//! Trap records: the newest thousand, at most a hundred of one worker, found by a short id.
//!
//! Must not look into a record: what is listed stands in columns, the rest is kept whole as JSON.

use std::collections::{HashMap, HashSet};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{json_error, millis, signed, unsigned};
use crate::facts::TrapRecord;

/// Records kept in all, of one worker, and their bytes together.
const KEPT: i64 = 1_000;
const KEPT_A_WORKER: usize = 100;
const KEPT_BYTES: i64 = 64 << 20;
/// The shortest part of an id that is looked up.
const SHORTEST_ID: usize = 4;
/// Days whose crashes stay counted.
const COUNTED_DAYS: i64 = 7;
/// How many ids an ambiguous one lists.
const LISTED: usize = 5;

/// What a part of an id led to.
#[derive(Debug)]
pub(super) enum Found {
    Nothing,
    One(Box<TrapRecord>),
    /// Some of the ids it fits.
    Several(Vec<String>),
}

/// Roughly what a record holds in memory.
pub(super) fn bytes(trap: &TrapRecord) -> usize {
    let log: usize = trap.log.iter().map(|line| size_of_val(line) + line.text.len()).sum();
    let backtrace: usize = trap.backtrace.iter().map(|name| size_of_val(name) + name.len()).sum();
    size_of_val(trap) + trap.message.len() + trap.panic.as_ref().map_or(0, String::len) + trap.input.len() + log + backtrace
}

/// Of a batch, in its order, what is worth writing: the newest of each worker.
pub(super) fn newest<'a>(batch: &[(usize, &'a TrapRecord)]) -> Vec<(usize, &'a TrapRecord)> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut kept: Vec<_> = batch
        .iter()
        .rev()
        .filter(|(_, trap)| {
            let count = counts.entry(&*trap.worker).or_default();
            *count += 1;
            *count <= KEPT_A_WORKER
        })
        .copied()
        .collect();
    kept.reverse();
    kept
}

pub(super) fn insert(db: &Connection, trap: &TrapRecord) -> rusqlite::Result<()> {
    let record = serde_json::to_string(trap).map_err(json_error)?;
    db.prepare(
        "INSERT OR REPLACE INTO traps (id, at, worker, replica, incarnation, cause, message, size, record)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        trap.id,
        millis(trap.at),
        trap.worker,
        trap.replica,
        signed(trap.incarnation),
        trap.cause.as_str(),
        trap.message,
        i64::try_from(record.len()).unwrap_or(i64::MAX),
        record,
    ])?;
    Ok(())
}

/// Counts crashes by the day they happened on, in the host's time zone; records past the bounds count as well. Old days go.
pub(super) fn count<'a>(db: &Connection, traps: impl Iterator<Item = &'a TrapRecord>) -> rusqlite::Result<()> {
    let mut days: HashMap<Date, i64> = HashMap::new();
    for trap in traps {
        *days.entry(day(trap.at)).or_default() += 1;
    }
    let mut more = db.prepare("INSERT INTO counts VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value")?;
    for (day, traps) in &days {
        more.execute(params![counter(*day), traps])?;
    }
    // Dates sort as text.
    if let Some(oldest) = days.keys().max().and_then(|day| day.checked_sub(jiff::Span::new().days(COUNTED_DAYS)).ok()) {
        db.execute("DELETE FROM counts WHERE name LIKE 'traps %' AND name < ?1", [counter(oldest)])?;
    }
    Ok(())
}

/// Crashes of the day that `at` is on.
pub(super) fn on_day(db: &Connection, at: Timestamp) -> rusqlite::Result<u64> {
    let found = db.query_row("SELECT value FROM counts WHERE name = ?1", [counter(day(at))], |row| row.get(0)).optional()?;
    Ok(found.map_or(0, unsigned))
}

fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::system()).date()
}

fn counter(day: Date) -> String {
    format!("traps {day}")
}

/// Keeps the bounds after records of `workers` came in.
pub(super) fn prune<'a>(db: &Connection, workers: impl Iterator<Item = &'a str>) -> rusqlite::Result<()> {
    let mut of_worker =
        db.prepare("DELETE FROM traps WHERE seq IN (SELECT seq FROM traps WHERE worker = ?1 ORDER BY seq DESC LIMIT -1 OFFSET ?2)")?;
    for worker in workers.collect::<HashSet<_>>() {
        of_worker.execute(params![worker, i64::try_from(KEPT_A_WORKER).unwrap_or(i64::MAX)])?;
    }
    db.execute("DELETE FROM traps WHERE seq IN (SELECT seq FROM traps ORDER BY seq DESC LIMIT -1 OFFSET ?1)", [KEPT])?;
    db.execute(
        "DELETE FROM traps WHERE seq IN
         (SELECT seq FROM (SELECT seq, sum(size) OVER (ORDER BY seq DESC) AS upto FROM traps) WHERE upto > ?1)",
        [KEPT_BYTES],
    )?;
    Ok(())
}

/// Newest first.
pub(super) fn list(db: &Connection, worker: Option<&str>, limit: usize) -> rusqlite::Result<Vec<TrapRecord>> {
    let mut rows = db.prepare("SELECT record FROM traps WHERE ?1 IS NULL OR worker = ?1 ORDER BY seq DESC LIMIT ?2")?;
    let records = rows.query_map(params![worker, i64::try_from(limit).unwrap_or(i64::MAX)], |row| row.get::<_, String>(0))?;
    records.map(|record| parse(&record?)).collect()
}

/// By full id, or by a start or end of it: ids made in one moment start alike.
pub(super) fn find(db: &Connection, id: &str) -> rusqlite::Result<Found> {
    let id = id.trim().to_ascii_lowercase();
    if id.len() < SHORTEST_ID {
        return Ok(Found::Nothing);
    }
    let mut rows = db.prepare(
        "SELECT id, record FROM traps WHERE substr(id, 1, length(?1)) = ?1 OR substr(id, -length(?1)) = ?1
         ORDER BY id = ?1 DESC, seq DESC LIMIT ?2",
    )?;
    let mut found: Vec<(String, String)> = rows
        .query_map(params![id, i64::try_from(LISTED).unwrap_or(i64::MAX)], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    match found.as_slice() {
        [] => Ok(Found::Nothing),
        [(whole, record), rest @ ..] if rest.is_empty() || *whole == id => Ok(Found::One(Box::new(parse(record)?))),
        _ => Ok(Found::Several(found.drain(..).map(|(id, _)| id).collect())),
    }
}

fn parse(record: &str) -> rusqlite::Result<TrapRecord> {
    serde_json::from_str(record).map_err(json_error)
}
