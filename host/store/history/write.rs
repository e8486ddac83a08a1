//! Writes a gathered batch into one file, in one transaction.
//!
//! Must not choose the file.

use std::collections::HashSet;

use rusqlite::{Connection, Statement, Transaction, TransactionBehavior, functions::FunctionFlags, params};

use super::{
    super::{
        ResultRow, StoreError,
        rows::{clip, json_error, micros, millis, unsigned},
    },
    files::{HistoryFile, Ids, Interner, Known, day_end},
    gather::{Bundle, Check, DAY_MS, Sums, floor},
    sketch::Sketch,
};
use crate::facts::CheckStatus;

/// Of a result's detail, in bytes.
const DETAIL_BYTES: usize = 512;

/// The SQL function that adds two sketches up. Only upserts name it: no schema needs it to be read.
const MERGE: &str = "merge_sketches";

/// Gives a connection the function.
pub(super) fn teach(db: &Connection) -> rusqlite::Result<()> {
    db.create_scalar_function(MERGE, 2, FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_UTF8, |arguments| {
        let [one, other] = [arguments.get_raw(0), arguments.get_raw(1)].map(|value| value.as_blob_or_null().ok().flatten());
        Ok(match (one, other) {
            (Some(one), Some(other)) => {
                let mut sum = Sketch::read(one);
                sum.merge(&Sketch::read(other));
                sum.bytes()
            }
            (one, other) => one.or(other).map(<[u8]>::to_vec),
        })
    })
}

/// Results of `day` and the minutes they fill.
pub(super) fn day(file: &mut HistoryFile, bundle: &Bundle<'_>, day: i64) -> Result<(), StoreError> {
    file.transact(|db, ids| {
        let mut interner = Interner::prepare(db)?;
        let mut insert = db.prepare("INSERT INTO results VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)")?;
        let mut head = db.prepare("UPDATE checks SET last = ?2, failure = coalesce(?3, failure) WHERE id = ?1")?;
        let mut minutes = db.prepare(&upsert("minutes"))?;
        for (check, gathered) in &bundle.checks {
            let spans = gathered.minutes.range(day..day_end(day));
            let mut results = gathered.results.iter().filter(|row| floor(millis(row.at), DAY_MS) == day).peekable();
            if spans.clone().next().is_none() && results.peek().is_none() {
                continue;
            }
            let mut known = interner.known(ids, check)?;
            if results.peek().is_some() {
                let mut failure = None;
                for row in results {
                    known.last = Some(insert_result(&mut insert, known, row)?);
                    failure = known.last.filter(|_| row.status != CheckStatus::Up).or(failure);
                }
                head.execute(params![known.id, known.last, failure])?;
                ids.set(check, known);
            }
            add_spans(&mut minutes, known.id, spans)?;
        }
        Ok(())
    })
}

/// The hours and days that the batch fills.
pub(super) fn rollup(file: &mut HistoryFile, bundle: &Bundle<'_>) -> Result<(), StoreError> {
    file.transact(|db, ids| {
        let mut interner = Interner::prepare(db)?;
        let mut hours = db.prepare(&upsert("hours"))?;
        let mut days = db.prepare(&upsert("days"))?;
        for (check, gathered) in &bundle.checks {
            let known = interner.known(ids, check)?;
            add_spans(&mut hours, known.id, gathered.hours.range(..))?;
            add_spans(&mut days, known.id, gathered.days.range(..))?;
        }
        Ok(())
    })
}

/// Takes the names away; what they named is nobody's and goes with its file.
pub(super) fn forget(file: &mut HistoryFile, checks: &HashSet<Check>) -> Result<(), StoreError> {
    file.ids.clear();
    file.transact(|db, _| {
        let mut gone = db.prepare("DELETE FROM checks WHERE worker = ?1 AND subject = ?2")?;
        for (worker, subject) in checks {
            gone.execute(params![worker, subject])?;
        }
        Ok(())
    })
}

/// Makes room in the rollups: their oldest sixteenth, hours before days. Freed pages are used again, the file doesn't shrink.
pub(super) fn trim_rollup(file: &mut HistoryFile, bytes: u64) -> Result<(), StoreError> {
    let used = "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    let used = file.db.query_row(used, [], |row| row.get(0)).map_err(StoreError::sqlite("reading", &file.path))?;
    if unsigned(used) <= bytes {
        return Ok(());
    }
    file.transact(|db, _| {
        for table in ["hours", "days"] {
            let (first, last): (Option<i64>, Option<i64>) =
                db.query_row(&format!("SELECT min(at), max(at) FROM {table}"), [], |row| Ok((row.get(0)?, row.get(1)?)))?;
            if let (Some(first), Some(last)) = (first, last)
                && first < last
            {
                db.execute(&format!("DELETE FROM {table} WHERE at <= ?1"), [first + (last - first) / 16])?;
                return Ok(());
            }
        }
        Ok(())
    })
}

impl HistoryFile {
    fn transact(&mut self, write: impl FnOnce(&Connection, &mut Ids) -> rusqlite::Result<()>) -> Result<(), StoreError> {
        let Self { db, path, ids } = self;
        let transaction = Transaction::new_unchecked(db, TransactionBehavior::Immediate).map_err(StoreError::sqlite("writing", path))?;
        let written = write(&transaction, ids).and_then(|()| transaction.commit());
        written.map_err(|error| {
            ids.clear();
            StoreError::sqlite("writing", path)(error)
        })
    }
}

fn insert_result(insert: &mut Statement<'_>, known: Known, row: &ResultRow) -> rusqlite::Result<i64> {
    let phases = row.evidence.as_ref().map(|evidence| evidence.phases).unwrap_or_default();
    let failed = row.status != CheckStatus::Up;
    let evidence = match &row.evidence {
        Some(evidence) if failed => Some(serde_json::to_string(evidence).map_err(json_error)?),
        _ => None,
    };
    let detail = row.detail.as_deref().filter(|_| failed).map(|detail| clip(detail, DETAIL_BYTES));
    insert.insert(params![
        millis(row.at),
        known.id,
        known.last,
        status_code(row.status),
        micros(row.latency_ms),
        micros(phases.dns_ms),
        micros(phases.connect_ms),
        micros(phases.tls_ms),
        micros(phases.first_byte_ms),
        micros(phases.total_ms),
        evidence,
        detail,
    ])
}

fn add_spans<'a>(upsert: &mut Statement<'_>, check: i64, spans: impl Iterator<Item = (&'a i64, &'a Sums)>) -> rusqlite::Result<()> {
    for (at, sums) in spans {
        upsert.execute(params![
            at,
            check,
            sums.results,
            sums.up_ms,
            sums.degraded_ms,
            sums.down_ms,
            sums.latencies,
            sums.latency_sum,
            sums.latency_min,
            sums.latency_max,
            sums.sketch.bytes(),
        ])?;
    }
    Ok(())
}

/// Adds to a span; SQLite's min and max of a null are null, so the other side stands in.
fn upsert(table: &str) -> String {
    format!(
        "INSERT INTO {table} VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO UPDATE SET
            results = results + excluded.results,
            up_ms = up_ms + excluded.up_ms,
            degraded_ms = degraded_ms + excluded.degraded_ms,
            down_ms = down_ms + excluded.down_ms,
            latencies = latencies + excluded.latencies,
            latency_sum_us = latency_sum_us + excluded.latency_sum_us,
            latency_min_us = min(coalesce(latency_min_us, excluded.latency_min_us), coalesce(excluded.latency_min_us, latency_min_us)),
            latency_max_us = max(coalesce(latency_max_us, excluded.latency_max_us), coalesce(excluded.latency_max_us, latency_max_us)),
            sketch = {MERGE}(sketch, excluded.sketch)"
    )
}

fn status_code(status: CheckStatus) -> i64 {
    match status {
        CheckStatus::Up => 0,
        CheckStatus::Degraded => 1,
        CheckStatus::Down => 2,
        CheckStatus::Unknown => 3,
        CheckStatus::Maintenance => 4,
        CheckStatus::Paused => 5,
    }
}

pub(super) fn status_of(code: i64) -> CheckStatus {
    CheckStatus::ALL.into_iter().find(|status| status_code(*status) == code).unwrap_or(CheckStatus::Unknown)
}
