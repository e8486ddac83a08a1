//! What was done to workers, in control.db: created, another component, another config. Charts show it beside what followed.
//!
//! A mark is made by comparing what runs now with what the newest mark says ran, so that telling the same twice, also over a restart,
//! marks nothing, and what was changed while the host was off is marked at its start. Must not know why something changed.

use std::collections::HashSet;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{millis, timestamp};
use crate::facts::{Digest, Mark, Name};

pub(super) const STEP: &str = "
    CREATE TABLE marks (
        seq INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        worker TEXT NOT NULL,
        component TEXT NOT NULL, -- what ran from then on: its digest, and the config's
        config TEXT NOT NULL,
        text TEXT NOT NULL
    );
    CREATE INDEX marks_worker ON marks (worker, seq);
";

/// Kept of one worker, and of all; the newest of each worker, which says what ran, goes last.
const KEPT_A_WORKER: i64 = 50;
const KEPT: i64 = 50_000;
/// The bound of all is looked after once in this many.
const LOOKED_AFTER: usize = 1_024;

/// What a worker runs on from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    pub worker: Name,
    pub at: Timestamp,
    pub component: Digest,
    /// Of the config's text: what it says is nobody's business here.
    pub config: Digest,
}

#[derive(Debug)]
pub(super) struct Keeper {
    since: usize,
}

impl Default for Keeper {
    fn default() -> Self {
        Self { since: LOOKED_AFTER }
    }
}

/// Marks what is new; answers whether anything was.
pub(super) fn note(db: &Connection, deployed: &Deployed) -> rusqlite::Result<bool> {
    let Deployed { worker, at, component, config } = deployed;
    let mut newest = db.prepare_cached("SELECT component, config FROM marks WHERE worker = ?1 ORDER BY seq DESC LIMIT 1")?;
    let before: Option<(String, String)> = newest.query_row([worker], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let text = match before {
        None => "created".to_owned(),
        Some((was, told)) => {
            let swapped = if was == *component.0 { None } else { Some(swap(db, worker, &was, &component.0)?) };
            let configured = (told != *config.0).then(|| "config changed".to_owned());
            let changes: Vec<String> = swapped.into_iter().chain(configured).collect();
            if changes.is_empty() {
                return Ok(false);
            }
            changes.join(", ")
        }
    };
    let mut insert = db.prepare_cached("INSERT INTO marks (at, worker, component, config, text) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    insert.execute(params![millis(*at), worker, &*component.0, &*config.0, text])?;
    Ok(true)
}

/// What ran right before the one that is replaced has been gone back to, by whomever.
fn swap(db: &Connection, worker: &str, was: &str, now: &str) -> rusqlite::Result<String> {
    let mut earlier = db.prepare_cached("SELECT component FROM marks WHERE worker = ?1 AND component <> ?2 ORDER BY seq DESC LIMIT 1")?;
    let earlier: Option<String> = earlier.query_row([worker, was], |row| row.get(0)).optional()?;
    Ok(match earlier {
        Some(earlier) if earlier == now => format!("component back to {}", short(now)),
        _ => format!("component {} → {}", short(was), short(now)),
    })
}

/// A digest as a sentence shows it.
fn short(digest: &str) -> String {
    digest.get(.."sha256:".len() + 12).map_or_else(|| digest.to_owned(), |start| format!("{start}…"))
}

impl Keeper {
    /// Keeps the bounds after marks of these workers came in.
    pub fn prune(&mut self, db: &Connection, marked: &[Name]) -> rusqlite::Result<()> {
        let mut of_worker = db.prepare_cached(
            "DELETE FROM marks WHERE worker = ?1 AND seq <=
             (SELECT seq FROM marks WHERE worker = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
        )?;
        for worker in marked.iter().collect::<HashSet<_>>() {
            of_worker.execute(params![worker, KEPT_A_WORKER])?;
        }
        self.since += marked.len();
        if self.since < LOOKED_AFTER {
            return Ok(());
        }
        self.since = 0;
        let surplus = db.query_row("SELECT count(*) - ?1 FROM marks", [KEPT], |row| row.get::<_, i64>(0))?;
        if surplus > 0 {
            db.execute(
                "DELETE FROM marks WHERE seq IN (SELECT seq FROM marks AS mark
                 ORDER BY EXISTS (SELECT 1 FROM marks WHERE worker = mark.worker AND seq > mark.seq) DESC, seq LIMIT ?1)",
                [surplus],
            )?;
        }
        Ok(())
    }
}

pub(super) fn forget(db: &Connection, worker: &str) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM marks WHERE worker = ?1")?.execute([worker])?;
    Ok(())
}

/// Newest first.
pub(super) fn list(db: &Connection, worker: &str, from: Timestamp) -> rusqlite::Result<Vec<Mark>> {
    let mut rows = db.prepare_cached("SELECT at, text FROM marks WHERE worker = ?1 AND at >= ?2 ORDER BY seq DESC LIMIT ?3")?;
    let marks =
        rows.query_map(params![worker, millis(from), KEPT_A_WORKER], |row| Ok(Mark { at: timestamp(row.get(0)?), text: row.get(1)? }))?;
    marks.collect()
}
