//! Queries over history: each opens the files it needs, read-only, and closes them again, so that no file outlives its deletion.
//!
//! Must not write.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Statement, params};

use super::{
    super::{
        Recent, Resolution, StoreError, database,
        rows::{from_micros, millis, timestamp, unsigned},
    },
    ROLLUP,
    files::{self, Key, SKETCHED, day_end},
    gather::{Check, DAY_MS, HOUR_MS, MINUTE_MS, Spans, Sums, floor},
    sketch::Sketch,
    write::status_of,
};
use crate::facts::{Beat, HistoryPoint};

/// Points of one answer (the file that passes it is read to its end), and results of one.
const POINTS: usize = 50_000;
const RESULTS: usize = 10_000;
/// Files looked into for the newest results of all checks at start.
const RECENT_FILES: usize = 3;

/// Spans of `resolution` that begin in `from..until`, oldest first.
pub(in super::super) fn points(
    folder: &Path,
    worker: &str,
    subject: &str,
    from: Timestamp,
    until: Timestamp,
    resolution: Resolution,
) -> Result<Vec<HistoryPoint>, StoreError> {
    let spans = spans(folder, (worker, subject), from, until, resolution)?;
    Ok(spans.into_iter().map(|(at, sums)| point(at, length(resolution), &sums)).collect())
}

/// How long a span is, in milliseconds.
pub(super) fn length(resolution: Resolution) -> i64 {
    match resolution {
        Resolution::Minute => MINUTE_MS,
        Resolution::Hour => HOUR_MS,
        Resolution::Day => DAY_MS,
    }
}

/// The sums behind [`points`].
pub(super) fn spans(
    folder: &Path,
    check: (&str, &str),
    from: Timestamp,
    until: Timestamp,
    resolution: Resolution,
) -> Result<Spans, StoreError> {
    let span = length(resolution);
    let table = match resolution {
        Resolution::Minute => "minutes",
        Resolution::Hour => "hours",
        Resolution::Day => "days",
    };
    let until = millis(until);
    let from = floor(millis(from).saturating_add(span - 1), span);
    let paths: Vec<PathBuf> = match resolution {
        Resolution::Minute => {
            let days = day_files(folder)?.into_iter().rev().filter(|(key, _)| key.day < until && day_end(key.day) > from);
            days.map(|(_, path)| path).collect()
        }
        Resolution::Hour | Resolution::Day => vec![folder.join(ROLLUP)],
    };
    let mut spans = Spans::new();
    for path in paths {
        if spans.len() >= POINTS {
            break;
        }
        look(&path, |db, version| add_spans(db, version, &mut spans, check, table, span, from..until))?;
    }
    Ok(spans)
}

/// The newest results of one check, oldest first.
pub(in super::super) fn recent(folder: &Path, worker: &str, subject: &str, limit: usize) -> Result<Vec<Beat>, StoreError> {
    let limit = limit.min(RESULTS);
    let mut beats = Vec::new();
    for (_, path) in day_files(folder)?.into_iter().rev() {
        if beats.len() >= limit {
            break;
        }
        look(&path, |db, _| {
            let last: Option<Option<i64>> = db
                .query_row("SELECT last FROM checks WHERE worker = ?1 AND subject = ?2", [worker, subject], |row| row.get(0))
                .optional()?;
            follow(&mut chain(db)?, last.flatten(), limit, &mut beats)
        })?;
    }
    beats.reverse();
    Ok(beats)
}

/// The newest results of every check, from the newest few files.
pub(in super::super) fn recent_of_all(folder: &Path, limit: usize) -> Result<Vec<Recent>, StoreError> {
    let mut all: HashMap<Check, Vec<Beat>> = HashMap::new();
    for (_, path) in day_files(folder)?.into_iter().rev().take(RECENT_FILES) {
        look(&path, |db, _| add_recent(db, &mut all, limit.min(RESULTS)))?;
    }
    let recent = all.into_iter().map(|((worker, subject), mut beats)| {
        beats.reverse();
        Recent { worker, subject, beats }
    });
    Ok(recent.collect())
}

pub(super) fn day_files(folder: &Path) -> Result<Vec<(Key, PathBuf)>, StoreError> {
    Ok(files::list(folder)?.into_keys().map(|key| (key, key.path(folder))).collect())
}

/// Looks into one file, of any version there was. One that was deleted since the folder was listed, or that its writer is just making,
/// has nothing to tell.
pub(super) fn look(path: &Path, query: impl FnOnce(&Connection, i64) -> rusqlite::Result<()>) -> Result<(), StoreError> {
    let looked = database::open_read_only(path).and_then(|db| {
        let version: rusqlite::Result<i64> = db.query_row("PRAGMA user_version", [], |row| row.get(0));
        let looked = version.and_then(|version| if version == 0 { Ok(()) } else { query(&db, version) });
        looked.map_err(StoreError::sqlite("reading", path))
    });
    match looked {
        Err(_) if !path.exists() => Ok(()),
        looked => looked,
    }
}

fn add_spans(
    db: &Connection,
    version: i64,
    spans: &mut Spans,
    (worker, subject): (&str, &str),
    table: &str,
    span: i64,
    within: std::ops::Range<i64>,
) -> rusqlite::Result<()> {
    let check: Option<i64> =
        db.query_row("SELECT id FROM checks WHERE worker = ?1 AND subject = ?2", [worker, subject], |row| row.get(0)).optional()?;
    let bounds: (Option<i64>, Option<i64>) =
        db.query_row(&format!("SELECT min(at), max(at) FROM {table}"), [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (Some(check), (Some(first), Some(last))) = (check, bounds) else {
        return Ok(());
    };
    let sketch = if version >= SKETCHED { "sketch" } else { "NULL" };
    // Rows stand in the order of time, for the sake of writes: each span of one check is a seek of its own.
    let mut rows = db.prepare(&format!(
        "WITH RECURSIVE spans (at) AS (SELECT ?1 WHERE ?1 < ?2 UNION ALL SELECT at + ?3 FROM spans WHERE at + ?3 < ?2)
         SELECT t.at, results, up_ms, degraded_ms, down_ms, latencies, latency_sum_us, latency_min_us, latency_max_us, {sketch}
         FROM spans CROSS JOIN {table} t ON t.at = spans.at AND t.check_id = ?4"
    ))?;
    let end = within.end.min(last.saturating_add(1));
    let newest = end.saturating_sub(span.saturating_mul(i64::try_from(POINTS).unwrap_or(i64::MAX)));
    let mut rows = rows.query(params![within.start.max(first).max(floor(newest, span)), end, span, check])?;
    while let Some(row) = rows.next()? {
        spans.entry(row.get(0)?).or_default().add(&Sums {
            results: row.get(1)?,
            up_ms: row.get(2)?,
            degraded_ms: row.get(3)?,
            down_ms: row.get(4)?,
            latencies: row.get(5)?,
            latency_sum: row.get(6)?,
            latency_min: row.get(7)?,
            latency_max: row.get(8)?,
            sketch: row.get_ref(9)?.as_blob_or_null()?.map(Sketch::read).unwrap_or_default(),
        });
    }
    Ok(())
}

fn add_recent(db: &Connection, all: &mut HashMap<Check, Vec<Beat>>, limit: usize) -> rusqlite::Result<()> {
    let mut chain = chain(db)?;
    let mut checks = db.prepare("SELECT worker, subject, last FROM checks")?;
    let mut rows = checks.query([])?;
    while let Some(row) = rows.next()? {
        let (worker, subject): (Arc<str>, Arc<str>) = (row.get(0)?, row.get(1)?);
        follow(&mut chain, row.get(2)?, limit, all.entry((worker, subject)).or_default())?;
    }
    Ok(())
}

fn chain(db: &Connection) -> rusqlite::Result<Statement<'_>> {
    db.prepare("SELECT at, status, latency_us, previous FROM results WHERE id = ?1")
}

/// Walks a check's results back in time until there are `limit`.
fn follow(chain: &mut Statement<'_>, mut last: Option<i64>, limit: usize, beats: &mut Vec<Beat>) -> rusqlite::Result<()> {
    while let Some(id) = last
        && beats.len() < limit
    {
        let found = chain.query_row([id], |row| {
            let beat = Beat { at: timestamp(row.get(0)?), status: status_of(row.get(1)?), latency_ms: from_micros(row.get(2)?) };
            Ok((beat, row.get(3)?))
        });
        let Some((beat, previous)) = found.optional()? else { break };
        beats.push(beat);
        last = previous;
    }
    Ok(())
}

pub(super) fn point(at: i64, span: i64, sums: &Sums) -> HistoryPoint {
    HistoryPoint {
        at: timestamp(at),
        span_s: unsigned(span / 1_000),
        results: unsigned(sums.results),
        up_ms: unsigned(sums.up_ms),
        degraded_ms: unsigned(sums.degraded_ms),
        down_ms: unsigned(sums.down_ms),
        latency_min_ms: from_micros(sums.latency_min),
        latency_avg_ms: average(sums),
        latency_max_ms: from_micros(sums.latency_max),
        latency_p50_ms: percentile(sums, 0.5),
        latency_p95_ms: percentile(sums, 0.95),
        latency_p99_ms: percentile(sums, 0.99),
    }
}

pub(super) fn average(sums: &Sums) -> Option<f64> {
    (sums.latencies > 0).then(|| sums.latency_sum as f64 / sums.latencies as f64 / 1_000.0)
}

/// None, too, where most latencies are of before there were sketches: of the few that are not it would be a guess.
pub(super) fn percentile(sums: &Sums, share: f64) -> Option<f64> {
    if sums.sketch.total().saturating_mul(2) < unsigned(sums.latencies) {
        return None;
    }
    let micros = i64::try_from(sums.sketch.percentile(share)?).unwrap_or(i64::MAX);
    // The least and the greatest are known exactly, and a sketch answers the middle of a range that holds them.
    let micros = micros.max(sums.latency_min.unwrap_or(0)).min(sums.latency_max.unwrap_or(i64::MAX));
    from_micros(Some(micros))
}
