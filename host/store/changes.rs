//! Every flip of a check, in control.db: written in the transaction of the check's row, so that a crash keeps both or neither.
//!
//! Must not judge. Bounded: the newest of each check, and of all together; a forgotten check's go with it.

use std::{collections::HashSet, sync::Arc};

use rusqlite::{Connection, params};

use super::rows::{clip, millis, timestamp};
use crate::facts::{Change, CheckStatus, Name};

pub(super) const STEP: &str = "
    CREATE TABLE changes (
        seq INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        worker TEXT NOT NULL,
        subject TEXT NOT NULL,
        from_status TEXT NOT NULL,
        to_status TEXT NOT NULL,
        detail TEXT NOT NULL
    );
    CREATE INDEX changes_check ON changes (worker, subject, seq);
";

/// Kept of one check, and of all.
const KEPT_A_CHECK: i64 = 200;
const KEPT: i64 = 50_000;
/// The bound of all is looked after once in this many: until then they may be this many more.
const LOOKED_AFTER: usize = 256;
/// Of a detail, in bytes.
const DETAIL_BYTES: usize = 200;

/// The checks of a batch that flipped, and when the bound of all was last looked after.
#[derive(Debug)]
pub(super) struct Keeper {
    since: usize,
}

impl Default for Keeper {
    fn default() -> Self {
        // At the first change of a run: the run before may have ended anywhere.
        Self { since: LOOKED_AFTER }
    }
}

pub(super) fn insert(db: &Connection, worker: &str, subject: &str, change: &Change) -> rusqlite::Result<()> {
    let Change { at, from, to, detail } = change;
    let line = clip(detail.lines().next().unwrap_or_default(), DETAIL_BYTES);
    db.prepare_cached("INSERT INTO changes (at, worker, subject, from_status, to_status, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![millis(*at), worker, subject, from.as_str(), to.as_str(), line])?;
    Ok(())
}

impl Keeper {
    /// Keeps the bounds after changes of these checks came in.
    pub fn prune(&mut self, db: &Connection, flipped: &[(Name, Arc<str>)]) -> rusqlite::Result<()> {
        let mut of_check = db.prepare_cached(
            "DELETE FROM changes WHERE worker = ?1 AND subject = ?2 AND seq <=
             (SELECT seq FROM changes WHERE worker = ?1 AND subject = ?2 ORDER BY seq DESC LIMIT 1 OFFSET ?3)",
        )?;
        for (worker, subject) in flipped.iter().collect::<HashSet<_>>() {
            of_check.execute(params![worker, subject, KEPT_A_CHECK])?;
        }
        self.since += flipped.len();
        if self.since >= LOOKED_AFTER {
            db.execute("DELETE FROM changes WHERE seq <= (SELECT seq FROM changes ORDER BY seq DESC LIMIT 1 OFFSET ?1)", [KEPT])?;
            self.since = 0;
        }
        Ok(())
    }
}

pub(super) fn forget(db: &Connection, checks: &[(Name, Arc<str>)]) -> rusqlite::Result<()> {
    let mut gone = db.prepare_cached("DELETE FROM changes WHERE worker = ?1 AND subject = ?2")?;
    for (worker, subject) in checks {
        gone.execute(params![worker, subject])?;
    }
    Ok(())
}

/// Newest first.
pub(super) fn list(db: &Connection, worker: &str, subject: &str) -> rusqlite::Result<Vec<Change>> {
    let mut rows = db.prepare_cached(
        "SELECT at, from_status, to_status, detail FROM changes WHERE worker = ?1 AND subject = ?2 ORDER BY seq DESC LIMIT ?3",
    )?;
    let status = |name: &str| CheckStatus::ALL.into_iter().find(|status| status.as_str() == name).unwrap_or(CheckStatus::Unknown);
    let changes = rows.query_map(params![worker, subject, KEPT_A_CHECK], |row| {
        Ok(Change {
            at: timestamp(row.get(0)?),
            from: status(row.get_ref(1)?.as_str()?),
            to: status(row.get_ref(2)?.as_str()?),
            detail: row.get(3)?,
        })
    })?;
    changes.collect()
}
