//! Keeping control.db safe: a consistent copy of it, and whether a file is sound.
//!
//! Must not change the file it looks at. What is damaged is said, never repaired.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, InterruptHandle};

use super::{StoreError, control, database, history};

/// The file that keeps what must survive.
pub const CONTROL: &str = "control.db";
/// The folder of its history files.
pub const HISTORY: &str = "history";

/// How often a look that goes on past its time is interrupted.
const AGAIN: Duration = Duration::from_millis(20);

/// What a look at a file found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    Sound,
    /// With a sentence.
    Damaged(String),
    /// Nothing wrong as far as the time reached.
    Unfinished,
}

/// Copies control.db as it stands at one moment, its host running or not, and makes sure that the copy is sound and on disk.
/// `to` must not be there. Blocking.
pub fn copy_control(data: &Path, to: &Path) -> Result<(), StoreError> {
    let path = data.join(CONTROL);
    let db = database::open_read_only(&path)?;
    database::vet(&db, &path, &control::SCHEMA)?;
    // Made first, so that nobody else may ever read it; SQLite takes an empty file.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(StoreError::io("making", to))?;
    db.execute("VACUUM INTO ?1", [to.display().to_string()]).map_err(StoreError::sqlite("copying", &path))?;
    file.sync_all().map_err(StoreError::io("syncing", to))?;
    check_control(to)
}

/// Refuses a file that a host could not run on: damaged, somebody else's, or of a newer skep. Reads all of it. Blocking.
pub fn check_control(path: &Path) -> Result<(), StoreError> {
    // SQLite would make an empty one of a file that isn't there only when writing; this names what is missing.
    File::open(path).map_err(StoreError::io("opening", path))?;
    let db = database::open_read_only(path)?;
    database::vet(&db, path, &control::SCHEMA)?;
    match verdict(&db, path)? {
        None => Ok(()),
        Some(how) => Err(StoreError::corrupt(path, &format!("is damaged ({how})"))),
    }
}

/// Looks at control.db and every history file that is there, the newest last, for at most `within` altogether. Blocking.
pub fn examine(data: &Path, within: Duration) -> Vec<(PathBuf, Health)> {
    let folder = data.join(HISTORY);
    let mut files = vec![data.join(CONTROL), folder.join(history::ROLLUP)];
    files.retain(|path| path.exists());
    files.extend(history::day_files(&folder).unwrap_or_default());
    let watch = Arc::new(Watch::default());
    let (done, rings) = mpsc::channel::<()>();
    let thread = thread::spawn({
        let watch = watch.clone();
        move || watch.run(&rings, within)
    });
    let found = files
        .into_iter()
        .map(|path| {
            let health = look(&path, &watch);
            (path, health)
        })
        .collect();
    drop(done);
    drop(thread.join());
    found
}

/// One clock for all looks: when it rings, the one at hand is cut short and the others are not begun.
#[derive(Default)]
struct Watch {
    over: AtomicBool,
    at_hand: Mutex<Option<InterruptHandle>>,
}

impl Watch {
    fn run(&self, rings: &mpsc::Receiver<()>, within: Duration) {
        let mut wait = within;
        while rings.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            self.over.store(true, Ordering::Relaxed);
            if let Some(look) = &*self.at_hand.lock().unwrap_or_else(PoisonError::into_inner) {
                look.interrupt();
            }
            // A look that was just about to begin is not cut short by an interruption: once more, then.
            wait = AGAIN;
        }
    }

    fn hand(&self, look: InterruptHandle) {
        *self.at_hand.lock().unwrap_or_else(PoisonError::into_inner) = Some(look);
    }
}

fn look(path: &Path, watch: &Watch) -> Health {
    if watch.over.load(Ordering::Relaxed) {
        return Health::Unfinished;
    }
    let looked = database::open_read_only(path).and_then(|db| {
        watch.hand(db.get_interrupt_handle());
        verdict(&db, path)
    });
    match looked {
        Ok(None) => Health::Sound,
        Ok(Some(how)) => Health::Damaged(format!("is damaged ({how})")),
        Err(StoreError::Sqlite { source, .. }) if source.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => Health::Unfinished,
        Err(error) => Health::Damaged(error.to_string()),
    }
}

/// What SQLite finds wrong with a file first, if anything.
fn verdict(db: &Connection, path: &Path) -> Result<Option<String>, StoreError> {
    let verdict: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(StoreError::sqlite("checking", path))?;
    // Its words are long and begin with a line about the table.
    Ok((verdict != "ok").then(|| verdict.split_whitespace().collect::<Vec<_>>().join(" ")))
}
