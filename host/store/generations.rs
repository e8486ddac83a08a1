//! Generations of the manifests folder: what it held, by content, so that fifty of them share what did not change.
//!
//! Must not read the folder itself or understand a manifest.

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest as _, Sha256};

use super::{
    Generation,
    rows::{millis, timestamp, unsigned},
};

/// Generations kept.
const KEPT: i64 = 50;
/// Bytes of all kept files together; past it the oldest generations go first, down to the two that `undo` needs.
const KEPT_BYTES: i64 = 128 << 20;
const KEPT_AT_LEAST: i64 = 2;

/// Saves a generation (again, when its number is there already) and drops what is too old.
pub(super) fn save(db: &Connection, generation: &Generation) -> rusqlite::Result<()> {
    let number = i64::try_from(generation.number).unwrap_or(i64::MAX);
    db.execute("DELETE FROM generations WHERE number = ?1", [number])?;
    db.execute("INSERT INTO generations VALUES (?1, ?2, ?3)", params![number, millis(generation.at), generation.cause])?;
    let mut blob = db.prepare("INSERT INTO blobs (digest, size, content) VALUES (?1, ?2, ?3) ON CONFLICT (digest) DO NOTHING")?;
    let mut file = db.prepare("INSERT INTO generation_files SELECT ?1, ?2, id FROM blobs WHERE digest = ?3")?;
    for (name, content) in &generation.files {
        let digest = Sha256::digest(content.as_bytes());
        blob.execute(params![digest.as_slice(), i64::try_from(content.len()).unwrap_or(i64::MAX), content])?;
        file.execute(params![number, name, digest.as_slice()])?;
    }
    prune(db)
}

pub(super) fn latest(db: &Connection) -> rusqlite::Result<Option<Generation>> {
    newest_below(db, i64::MAX)
}

/// The newest kept generation before `number`.
pub(super) fn before(db: &Connection, number: u64) -> rusqlite::Result<Option<Generation>> {
    newest_below(db, i64::try_from(number).unwrap_or(i64::MAX))
}

fn newest_below(db: &Connection, number: i64) -> rusqlite::Result<Option<Generation>> {
    let head = db
        .query_row("SELECT number, at, cause FROM generations WHERE number < ?1 ORDER BY number DESC LIMIT 1", [number], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get(2)?))
        })
        .optional()?;
    let Some((number, at, cause)) = head else { return Ok(None) };
    let mut files = db.prepare(
        "SELECT f.name, b.content FROM generation_files f JOIN blobs b ON b.id = f.blob WHERE f.generation = ?1 ORDER BY f.name",
    )?;
    let files = files.query_map([number], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    Ok(Some(Generation { number: unsigned(number), at: timestamp(at), cause, files }))
}

fn prune(db: &Connection) -> rusqlite::Result<()> {
    db.execute("DELETE FROM generations WHERE number NOT IN (SELECT number FROM generations ORDER BY number DESC LIMIT ?1)", [KEPT])?;
    sweep(db)?;
    loop {
        let (kept, bytes): (i64, i64) =
            db.query_row("SELECT (SELECT count(*) FROM generations), (SELECT coalesce(sum(size), 0) FROM blobs)", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        if kept <= KEPT_AT_LEAST || bytes <= KEPT_BYTES {
            return Ok(());
        }
        db.execute("DELETE FROM generations WHERE number = (SELECT min(number) FROM generations)", [])?;
        sweep(db)?;
    }
}

/// Drops contents that no kept generation names.
fn sweep(db: &Connection) -> rusqlite::Result<()> {
    db.execute("DELETE FROM blobs WHERE NOT EXISTS (SELECT 1 FROM generation_files f WHERE f.blob = blobs.id)", [])?;
    Ok(())
}
