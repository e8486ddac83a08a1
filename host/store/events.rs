//! Events and check states in control.db: small rows, bounded.
//!
//! Must not decide what is an event or how a check stands.

use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, params};

use super::{
    CheckRow,
    rows::{clip, json_error, millis, signed, timestamp, unsigned},
};
use crate::facts::{EventRecord, Level, Name};

/// Events kept.
const KEPT: i64 = 10_000;
/// Of an event's message, in bytes.
const MESSAGE_BYTES: usize = 4 << 10;

/// What batches write most, prepared once.
pub(super) struct Statements<'db> {
    event: CachedStatement<'db>,
    check: CachedStatement<'db>,
}

impl<'db> Statements<'db> {
    pub fn prepare(db: &'db Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            event: db.prepare_cached("INSERT OR REPLACE INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?,
            check: db.prepare_cached("INSERT INTO checks VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET state = excluded.state")?,
        })
    }
}

pub(super) fn insert(statements: &mut Statements<'_>, event: &EventRecord) -> rusqlite::Result<()> {
    statements.event.execute(params![
        signed(event.id),
        millis(event.at),
        event.kind,
        level_name(event.level),
        event.worker,
        clip(&event.message, MESSAGE_BYTES),
    ])?;
    Ok(())
}

pub(super) fn prune(db: &Connection) -> rusqlite::Result<()> {
    db.execute("DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?1", [KEPT])?;
    Ok(())
}

/// The newest `limit` with id < `before`, oldest first.
pub(super) fn list(db: &Connection, before: Option<u64>, limit: usize) -> rusqlite::Result<Vec<EventRecord>> {
    let mut rows = db.prepare("SELECT id, at, kind, level, worker, message FROM events WHERE id < ?1 ORDER BY id DESC LIMIT ?2")?;
    let events = rows.query_map(params![before.map_or(i64::MAX, signed), i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
        Ok(EventRecord {
            id: unsigned(row.get(0)?),
            at: timestamp(row.get(1)?),
            kind: row.get(2)?,
            level: level_of(row.get_ref(3)?.as_str()?),
            worker: row.get(4)?,
            message: row.get(5)?,
        })
    })?;
    let mut events: Vec<_> = events.collect::<rusqlite::Result<_>>()?;
    events.reverse();
    Ok(events)
}

pub(super) fn last_id(db: &Connection) -> rusqlite::Result<u64> {
    db.query_row("SELECT coalesce(max(id), 0) FROM events", [], |row| Ok(unsigned(row.get(0)?)))
}

pub(super) fn upsert_check(statements: &mut Statements<'_>, row: &CheckRow) -> rusqlite::Result<()> {
    let state = serde_json::to_string(&row.state).map_err(json_error)?;
    statements.check.execute(params![row.worker, row.subject, state])?;
    Ok(())
}

pub(super) fn checks(db: &Connection) -> rusqlite::Result<Vec<CheckRow>> {
    let mut rows = db.prepare("SELECT worker, subject, state FROM checks")?;
    let checks = rows.query_map([], |row| {
        let state = serde_json::from_str(row.get_ref(2)?.as_str()?).map_err(json_error)?;
        Ok(CheckRow { worker: row.get(0)?, subject: row.get(1)?, state })
    })?;
    checks.collect()
}

pub(super) fn forget_checks(db: &Connection, checks: &[(Name, Arc<str>)]) -> rusqlite::Result<()> {
    let mut gone = db.prepare("DELETE FROM checks WHERE worker = ?1 AND subject = ?2")?;
    for (worker, subject) in checks {
        gone.execute(params![worker, subject])?;
    }
    Ok(())
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

fn level_of(name: &str) -> Level {
    match name {
        "trace" => Level::Trace,
        "debug" => Level::Debug,
        "warn" => Level::Warn,
        "error" => Level::Error,
        _ => Level::Info,
    }
}
