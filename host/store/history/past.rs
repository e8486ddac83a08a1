//! The past of one check over a range: points of a width, one summary of all of it, and the last result that was not up.
//!
//! Must not write. The summary is of the same rows as the points, so that a chart and the figures above it agree.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::{
    super::{
        Resolution, StoreError,
        rows::{from_micros, json_error, millis, timestamp, unsigned},
    },
    files::SKETCHED,
    gather::{Spans, Sums, floor},
    read::{average, day_files, length, look, percentile, point, spans},
    write::status_of,
};
use crate::facts::{CheckStatus, Failure, HistoryPoint, LatencySummary, Summary};

/// Results gone through in a file whose failures are not pointed to.
const WALKED: usize = 10_000;

/// What to look at.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub from: Timestamp,
    pub until: Timestamp,
    /// The rows that are read, and how many of them make a point.
    pub resolution: Resolution,
    pub rows: u32,
}

impl Span {
    /// `until`, and as far back that whole points hold `length_ms` at least: no row lies half inside.
    pub fn before(until: Timestamp, length_ms: i64, resolution: Resolution, rows: u32) -> Self {
        let from = floor(millis(until).saturating_sub(length_ms), length(resolution).saturating_mul(i64::from(rows.max(1))));
        Self { from: timestamp(from), until, resolution, rows }
    }

    /// Of one point, in milliseconds.
    pub fn point_ms(&self) -> i64 {
        length(self.resolution).saturating_mul(i64::from(self.rows.max(1)))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// Oldest first; none where nothing was seen.
    pub points: Vec<HistoryPoint>,
    pub summary: Summary,
    pub failure: Option<Failure>,
}

pub(in super::super) fn past(folder: &Path, worker: &str, subject: &str, span: Span) -> Result<Past, StoreError> {
    let rows = spans(folder, (worker, subject), span.from, span.until, span.resolution)?;
    let width = span.point_ms();
    let (mut points, mut whole) = (Spans::new(), Sums::default());
    for (at, sums) in &rows {
        whole.add(sums);
        points.entry(floor(*at, width)).or_default().add(sums);
    }
    Ok(Past {
        points: points.iter().map(|(at, sums)| point(*at, width, sums)).collect(),
        summary: summary(&whole, unsigned(millis(span.until).saturating_sub(millis(span.from)))),
        failure: failure(folder, worker, subject)?,
    })
}

/// Uptime is of what was seen, coverage says how much of `whole_ms` that is.
fn summary(sums: &Sums, whole_ms: u64) -> Summary {
    let good = unsigned(sums.up_ms.saturating_add(sums.degraded_ms));
    let known = good.saturating_add(unsigned(sums.down_ms));
    let ratio = |part: u64, whole: u64| part as f64 / whole as f64;
    Summary {
        uptime: (known > 0).then(|| ratio(good, known)),
        coverage: if whole_ms == 0 { 0.0 } else { ratio(known, whole_ms).min(1.0) },
        results: unsigned(sums.results),
        latency: average(sums).map(|avg_ms| LatencySummary {
            p50_ms: percentile(sums, 0.5),
            p95_ms: percentile(sums, 0.95),
            p99_ms: percentile(sums, 0.99),
            min_ms: from_micros(sums.latency_min).unwrap_or(avg_ms),
            avg_ms,
            max_ms: from_micros(sums.latency_max).unwrap_or(avg_ms),
        }),
    }
}

/// The newest kept result that was not up.
fn failure(folder: &Path, worker: &str, subject: &str) -> Result<Option<Failure>, StoreError> {
    let mut found = None;
    for (_, path) in day_files(folder)?.into_iter().rev() {
        look(&path, |db, version| {
            found = failure_in(db, version, worker, subject)?;
            Ok(())
        })?;
        if found.is_some() {
            break;
        }
    }
    Ok(found)
}

fn failure_in(db: &Connection, version: i64, worker: &str, subject: &str) -> rusqlite::Result<Option<Failure>> {
    let (pointer, detail) = if version >= SKETCHED { ("failure", "detail") } else { ("last", "NULL") };
    let mut at = db
        .query_row(&format!("SELECT {pointer} FROM checks WHERE worker = ?1 AND subject = ?2"), [worker, subject], |row| {
            row.get::<_, Option<i64>>(0)
        })
        .optional()?
        .flatten();
    let mut result = db.prepare(&format!("SELECT at, status, {detail}, evidence, previous FROM results WHERE id = ?1"))?;
    for _ in 0..WALKED {
        let Some(id) = at else { break };
        let looked = result.query_row([id], |row| {
            let status = status_of(row.get(1)?);
            if status == CheckStatus::Up {
                return Ok((None, row.get(4)?));
            }
            let evidence = row.get_ref(3)?.as_str_or_null()?.map(serde_json::from_str).transpose().map_err(json_error)?;
            let detail = row.get::<_, Option<String>>(2)?.unwrap_or_default();
            Ok((Some(Failure { at: timestamp(row.get(0)?), status, detail, evidence }), None))
        });
        match looked.optional()? {
            Some((Some(failure), _)) => return Ok(Some(failure)),
            Some((None, previous)) => at = previous,
            None => break,
        }
    }
    Ok(None)
}
