//! Key-value queries, on connections that can't write.
//!
//! Must not count what has expired: a row stays until it is swept, but nobody sees it.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    super::{
        jobs::timeline::Moment,
        rows::{timestamp, unsigned},
    },
    KvEntry, MAX_LISTED_BYTES,
};
use crate::facts::BucketView;

const COLUMNS: &str = "key, value, revision, expires_at";

pub(super) fn get(db: &Connection, bucket: &str, key: &str, now: Moment) -> rusqlite::Result<Option<KvEntry>> {
    let sql = "SELECT key, value, revision, expires_at FROM kv WHERE bucket = ?1 AND key = ?2 AND (expires_at IS NULL OR expires_at > ?3)";
    db.query_row(sql, params![bucket, key, now.line], |row| entry(row, now)).optional()
}

/// By key in byte order, which is how SQLite compares text.
pub(super) fn entries(
    db: &Connection,
    bucket: &str,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
    now: Moment,
) -> rusqlite::Result<Vec<KvEntry>> {
    let (compare, from) = match after {
        Some(after) if after >= prefix => (">", after),
        _ => (">=", prefix),
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM kv WHERE bucket = ?1 AND key {compare} ?2 AND (expires_at IS NULL OR expires_at > ?3) ORDER BY key LIMIT ?4"
    );
    let mut found = Vec::new();
    let mut bytes = 0;
    let mut query = db.prepare(&sql)?;
    let rows = query.query_map(params![bucket, from, now.line, i64::try_from(limit).unwrap_or(i64::MAX)], |row| entry(row, now))?;
    for row in rows {
        let row = row?;
        bytes += row.key.len() + row.value.len();
        if !row.key.starts_with(prefix) || bytes > MAX_LISTED_BYTES {
            break;
        }
        found.push(row);
    }
    Ok(found)
}

/// Buckets that hold something, by name.
pub(super) fn buckets(db: &Connection, now: i64) -> rusqlite::Result<Vec<BucketView>> {
    let mut query = db.prepare(
        "SELECT bucket, kept.keys - coalesce(expired.keys, 0) AS keys, kept.bytes - coalesce(expired.bytes, 0)
         FROM kv_buckets AS kept LEFT JOIN (
             SELECT bucket, count(*) AS keys, sum(octet_length(key) + octet_length(value)) AS bytes
             FROM kv WHERE expires_at <= ?1 GROUP BY bucket
         ) AS expired USING (bucket)
         WHERE kept.keys > coalesce(expired.keys, 0) ORDER BY bucket",
    )?;
    let rows =
        query.query_map([now], |row| Ok(BucketView { name: row.get(0)?, keys: unsigned(row.get(1)?), bytes: unsigned(row.get(2)?) }))?;
    rows.collect()
}

/// When the next key expires, or the first one that is not swept yet did.
pub(super) fn next_expiry(db: &Connection) -> rusqlite::Result<Option<i64>> {
    db.query_row("SELECT min(expires_at) FROM kv WHERE expires_at IS NOT NULL", [], |row| row.get(0))
}

fn entry(row: &Row<'_>, now: Moment) -> rusqlite::Result<KvEntry> {
    Ok(KvEntry {
        key: row.get(0)?,
        value: Bytes::from(row.get::<_, Vec<u8>>(1)?),
        revision: unsigned(row.get(2)?),
        expires_at: row.get::<_, Option<i64>>(3)?.map(|at| timestamp(at.saturating_add(now.skew()))),
    })
}
