//! What can go wrong with kept facts, one sentence a case, naming the file and the way out.
//!
//! Must not hold anything that ties an error to a connection: one failed commit answers many callers.

use std::path::Path;

use rusqlite::{ErrorCode, ffi::SQLITE_IOERR_SHMSIZE};

use super::CONTROL;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk or the database said no.
    #[error("{what}: {source}")]
    Sqlite { what: String, source: rusqlite::Error },
    #[error("{what}: {source}")]
    Io { what: String, source: std::io::Error },
    /// The file is there but is not what it should be; the sentence says the way out.
    #[error("{0}")]
    Corrupt(String),
    /// The linked SQLite or the file system lacks what the store stands on.
    #[error("{0}")]
    Unsupported(String),
    /// A short id that fits several records; the sentence lists them.
    #[error("{0}")]
    Ambiguous(String),
    /// What a caller handed over is past a bound; the sentence names it.
    #[error("{0}")]
    TooLarge(String),
    /// What a caller handed over makes no sense; the sentence says why.
    #[error("{0}")]
    Invalid(String),
    /// More waits than may: for the disk, or in a queue.
    #[error("{0}")]
    Busy(String),
    /// No room is left on the disk; nothing was written.
    #[error("{0}")]
    Full(String),
    /// Not as things stand; the sentence says what is in the way.
    #[error("{0}")]
    Refused(String),
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// For `map_err`: what was tried with which file.
    pub(super) fn sqlite(what: &str, path: &Path) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::corrupt(path, "is not a database"),
            Some(ErrorCode::DatabaseCorrupt) => Self::corrupt(path, "is damaged"),
            Some(ErrorCode::DiskFull) => Self::full(what, path),
            // The memory that its connections share is a file too, and found no room.
            _ if extended(&source) == Some(SQLITE_IOERR_SHMSIZE) => Self::full(what, path),
            _ => Self::Sqlite { what: format!("{what} {}", path.display()), source },
        }
    }

    pub(super) fn io(what: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { what: format!("{what} {}", path.display()), source }
    }

    fn full(what: &str, path: &Path) -> Self {
        Self::Full(format!("{what} {}: no room is left on its disk, nothing was written; free some and try again", path.display()))
    }

    pub(super) fn corrupt(path: &Path, how: &str) -> Self {
        let command = if path.ends_with(CONTROL) { " (skep restore FOLDER --force)" } else { "" };
        Self::Corrupt(format!(
            "{0} {how}: skep doctor looks closer; restore it from a backup{command}, or move it aside (with {0}-wal and -shm) to start empty",
            path.display()
        ))
    }

    pub(super) fn crowded(queue: &str, open: u64, bound: u64) -> Self {
        Self::Busy(format!(
            "the queue {queue} has {open} jobs that are not over, and at most {bound} fit: let workers catch up, or purge it"
        ))
    }

    /// The same failure for the next caller of a batch (the sources can't be cloned).
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Sqlite { what, source } => Self::Sqlite { what: what.clone(), source: sqlite_again(source) },
            Self::Io { what, source } => Self::Io { what: what.clone(), source: std::io::Error::new(source.kind(), source.to_string()) },
            Self::Corrupt(sentence) => Self::Corrupt(sentence.clone()),
            Self::Unsupported(sentence) => Self::Unsupported(sentence.clone()),
            Self::Ambiguous(sentence) => Self::Ambiguous(sentence.clone()),
            Self::TooLarge(sentence) => Self::TooLarge(sentence.clone()),
            Self::Invalid(sentence) => Self::Invalid(sentence.clone()),
            Self::Busy(sentence) => Self::Busy(sentence.clone()),
            Self::Full(sentence) => Self::Full(sentence.clone()),
            Self::Refused(sentence) => Self::Refused(sentence.clone()),
            Self::Closed => Self::Closed,
        }
    }
}

fn extended(source: &rusqlite::Error) -> Option<i32> {
    source.sqlite_error().map(|error| error.extended_code)
}

fn sqlite_again(source: &rusqlite::Error) -> rusqlite::Error {
    match source {
        rusqlite::Error::SqliteFailure(code, message) => rusqlite::Error::SqliteFailure(*code, message.clone()),
        other => rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ERROR), Some(other.to_string())),
    }
}
