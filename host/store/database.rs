//! Opening one SQLite file of skep's: who may read it, whether it is ours, which schema it has, how it syncs.
//!
//! Must not know what the tables are for. A file that is not what it should be is refused, never repaired or overwritten.

use std::{
    fs::{self, DirBuilder, OpenOptions, Permissions},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use super::StoreError;

/// "skep" in ASCII: tells our files from other applications' databases.
const APPLICATION_ID: i64 = 0x736b_6570;
/// Before this version a WAL reset could corrupt the database.
const OLDEST_SQLITE: i32 = 3_051_003;
/// An operator's `sqlite3` may hold the file for a moment.
const BUSY: Duration = Duration::from_secs(5);
/// Files up to this size are read through once at start; larger ones would delay it.
const CHECKED_BYTES: u64 = 16 << 20;

/// The schema of one kind of file and how it is synced.
#[derive(Debug)]
pub(super) struct Schema {
    /// Step n leads from `user_version` n to n + 1. Steps are only ever appended.
    pub steps: &'static [&'static str],
    /// `FULL`: a commit survives a power cut. `NORMAL`: it survives a crash of the host.
    pub synchronous: &'static str,
    /// Pages in the WAL that make a commit move them into the database.
    pub checkpoint: u32,
}

/// The SQLite that is linked, e.g. `3.51.3`.
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

pub(super) fn require_sqlite() -> Result<(), StoreError> {
    if rusqlite::version_number() >= OLDEST_SQLITE {
        return Ok(());
    }
    Err(StoreError::Unsupported(format!(
        "SQLite {} is linked, but 3.51.3 or later is needed (older ones can corrupt a WAL): build with the bundled one",
        sqlite_version()
    )))
}

/// Makes a folder only its owner may enter; one that is there keeps the rights its owner gave it.
pub(super) fn make_folder(path: &Path) -> Result<(), StoreError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(StoreError::io("making the folder", path))
}

/// Opens or makes a file for its one writer.
pub(super) fn open(path: &Path, schema: &Schema) -> Result<Connection, StoreError> {
    make_private(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let mut db = Connection::open_with_flags(path, flags).map_err(StoreError::sqlite("opening", path))?;
    db.busy_timeout(BUSY).map_err(StoreError::sqlite("opening", path))?;
    let version = vet(&db, path, schema)?;
    settings(&db, path, schema)?;
    migrate(&mut db, version, schema).map_err(StoreError::sqlite("bringing to this version", path))?;
    Ok(db)
}

/// Opens a file that its writer made, for queries only.
pub(super) fn open_read_only(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let db = Connection::open_with_flags(path, flags).map_err(StoreError::sqlite("opening", path))?;
    db.busy_timeout(BUSY).map_err(StoreError::sqlite("opening", path))?;
    Ok(db)
}

/// SQLite's companions beside a database file.
pub(super) fn companions(path: &Path) -> [PathBuf; 2] {
    ["-wal", "-shm"].map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}

/// SQLite gives the WAL the rights of the file beside it, so it is enough to make the file itself private.
fn make_private(path: &Path) -> Result<(), StoreError> {
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map_err(StoreError::io("opening", path))?;
    let mode = file.metadata().map_err(StoreError::io("looking at", path))?.permissions().mode();
    if mode & 0o177 != 0 {
        file.set_permissions(Permissions::from_mode(0o600)).map_err(StoreError::io("making private", path))?;
    }
    Ok(())
}

/// Refuses what is damaged, somebody else's or newer; answers the schema version.
pub(super) fn vet(db: &Connection, path: &Path, schema: &Schema) -> Result<usize, StoreError> {
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(StoreError::sqlite("reading", path));
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    let owner = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    if tables == 0 && owner == 0 && version == 0 {
        return Ok(0);
    }
    if owner != APPLICATION_ID {
        return Err(StoreError::corrupt(path, "is a database, but not one of skep's"));
    }
    let known = schema.steps.len();
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    if version > known {
        return Err(StoreError::Corrupt(format!(
            "{} was written by a newer skep (schema {version}, this one knows {known}): run that version again, or restore a backup made before the upgrade",
            path.display()
        )));
    }
    if fs::metadata(path).map_err(StoreError::io("looking at", path))?.len() <= CHECKED_BYTES {
        let verdict: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(StoreError::sqlite("checking", path))?;
        if verdict != "ok" {
            return Err(StoreError::corrupt(path, &format!("is damaged ({})", verdict.trim())));
        }
    }
    Ok(version)
}

fn settings(db: &Connection, path: &Path, schema: &Schema) -> Result<(), StoreError> {
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(StoreError::sqlite("opening", path))?;
    if mode != "wal" {
        return Err(StoreError::Unsupported(format!(
            "{}: its file system can't share memory between connections (SQLite's WAL): put the data folder on a local disk",
            path.display()
        )));
    }
    db.execute_batch(&format!(
        "PRAGMA synchronous = {}; PRAGMA wal_autocheckpoint = {}; PRAGMA journal_size_limit = 8388608;
         PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;",
        schema.synchronous, schema.checkpoint
    ))
    .map_err(StoreError::sqlite("setting up", path))
}

fn migrate(db: &mut Connection, version: usize, schema: &Schema) -> rusqlite::Result<()> {
    for (done, step) in schema.steps.iter().enumerate().skip(version) {
        // One transaction a step: a crash leaves the file at a version that exists.
        let step_by = db.transaction()?;
        step_by.execute_batch(step)?;
        step_by.pragma_update(None, "application_id", APPLICATION_ID)?;
        step_by.pragma_update(None, "user_version", i64::try_from(done + 1).unwrap_or(i64::MAX))?;
        step_by.commit()?;
    }
    Ok(())
}
