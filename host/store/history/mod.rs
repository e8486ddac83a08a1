//! History: what checks saw, raw by day and rolled up, within a cap of bytes and days.
//!
//! Must not vacuum or index its way out: room is made by deleting whole files, the oldest first. Batches come once a second while
//! results flow; a crash of the host loses at most the one being gathered.

mod files;
mod gather;
mod past;
mod read;
mod sketch;
mod write;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use self::{
    files::{DAY_SCHEMA, HistoryFile, Key, ROLLUP_SCHEMA},
    gather::{Bundle, Check},
};
use super::{
    ResultRow, SeenRow, StoreError, database,
    queue::{Entry, Weigh},
    writer::{Failures, Sink},
};
use crate::facts::Name;

pub(super) use self::{
    past::past,
    read::{points, recent, recent_of_all},
};
pub use self::{
    past::{Past, Span},
    sketch::Sketch,
};

/// Results wait this long for company while they flow.
pub(super) const LINGER: Duration = Duration::from_secs(1);

pub(super) const ROLLUP: &str = "rollup.db";
/// Day files open for writing: today's, and another day's for results from around midnight.
const OPEN: usize = 2;
/// Of the byte cap: what hours and days may take, and how large a day's file grows before it goes on in another part.
const ROLLUP_SHARE: u64 = 4;
const PART_SHARE: u64 = 8;

#[derive(Debug)]
pub(super) enum Work {
    Result(ResultRow),
    Seen(SeenRow),
    Forget(Vec<(Name, Arc<str>)>),
    /// Nothing to write: answered when what came before is committed, or durable.
    Barrier {
        durable: bool,
    },
}

impl Weigh for Work {
    fn bytes(&self) -> usize {
        match self {
            Self::Result(row) => {
                let evidence = row.evidence.as_ref();
                size_of::<Self>()
                    + row.detail.as_ref().map_or(0, |detail| detail.len())
                    + evidence.map_or(0, |evidence| size_of_val(&**evidence) + evidence.excerpt.as_ref().map_or(0, String::len))
            }
            Self::Seen(_) => size_of::<Self>(),
            Self::Forget(checks) => checks.len() * size_of::<(Name, Arc<str>)>(),
            Self::Barrier { .. } => 0,
        }
    }
}

/// Where the day files are, in the order of time.
pub(super) fn day_files(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    Ok(files::list(folder)?.into_keys().map(|key| key.path(folder)).collect())
}

/// All files of the history folder, for their one writer.
#[derive(Debug)]
pub(super) struct History {
    folder: PathBuf,
    bytes: u64,
    days: usize,
    rollup: HistoryFile,
    /// Open day files, the one used last at the end.
    open: Vec<(Key, HistoryFile)>,
    /// Sizes of all day files, those open as of the last batch.
    sizes: BTreeMap<Key, u64>,
}

impl History {
    pub fn open(folder: &Path, bytes: u64, days: u32) -> Result<Self, StoreError> {
        let rollup = HistoryFile::open(folder.join(ROLLUP), &ROLLUP_SCHEMA)?;
        let days = usize::try_from(days).unwrap_or(usize::MAX).max(1);
        let sizes = files::list(folder)?;
        Ok(Self { folder: folder.to_owned(), bytes, days, rollup, open: Vec::new(), sizes })
    }

    fn results(&mut self, bundle: &Bundle<'_>) -> Result<(), StoreError> {
        if bundle.checks.is_empty() {
            return Ok(());
        }
        let days = bundle.days();
        for day in &days {
            write::day(self.day_file(*day)?, bundle, *day)?;
        }
        // Seen time from before midnight belongs to the day before, if that is still kept.
        let minutes = bundle.checks.values().flat_map(|gathered| gathered.minutes.keys());
        let earlier: BTreeSet<i64> = minutes.map(|at| gather::floor(*at, gather::DAY_MS)).filter(|day| !days.contains(day)).collect();
        for day in earlier {
            if self.newest_part(day).is_some() {
                write::day(self.day_file(day)?, bundle, day)?;
            }
        }
        write::rollup(&mut self.rollup, bundle)?;
        self.make_room()
    }

    /// The file a day's rows go to; begins it, or its next part, where needed.
    fn day_file(&mut self, day: i64) -> Result<&mut HistoryFile, StoreError> {
        let mut key = Key { day, part: self.newest_part(day).unwrap_or(1) };
        if self.sizes.get(&key).is_some_and(|size| *size > self.bytes / PART_SHARE) {
            key.part += 1;
        }
        let (key, file) = match self.open.iter().position(|(open, _)| *open == key) {
            Some(index) => self.open.remove(index),
            None => self.open_day(key)?,
        };
        self.sizes.entry(key).or_default();
        if self.open.len() >= OPEN {
            self.retire(0);
        }
        self.open.push((key, file));
        self.open.last_mut().map(|(_, file)| file).ok_or(StoreError::Closed)
    }

    /// A damaged file stays for a person to look at: the day goes on in the next part.
    fn open_day(&self, mut key: Key) -> Result<(Key, HistoryFile), StoreError> {
        loop {
            match HistoryFile::open(key.path(&self.folder), &DAY_SCHEMA) {
                Ok(file) => return Ok((key, file)),
                Err(StoreError::Corrupt(sentence)) => {
                    tracing::error!("history goes on in another file: {sentence}");
                    key.part = key.part.checked_add(1).ok_or(StoreError::Corrupt(sentence))?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn newest_part(&self, day: i64) -> Option<u32> {
        self.sizes.range(Key { day, part: 0 }..=Key { day, part: u32::MAX }).next_back().map(|(key, _)| key.part)
    }

    fn retire(&mut self, index: usize) {
        let (key, file) = self.open.remove(index);
        let path = file.path.clone();
        file.retire();
        self.sizes.insert(key, files::size(&path));
    }

    /// Deletes the oldest files past the caps, never the newest; trims the rollups to their share.
    fn make_room(&mut self) -> Result<(), StoreError> {
        for (key, file) in &self.open {
            self.sizes.insert(*key, file.size());
        }
        write::trim_rollup(&mut self.rollup, self.bytes / ROLLUP_SHARE)?;
        let mut total = self.sizes.values().sum::<u64>() + self.rollup.size();
        let mut days = self.sizes.keys().map(|key| key.day).collect::<BTreeSet<_>>().len();
        while self.sizes.len() > 1 && (total > self.bytes || days > self.days) {
            let Some((key, size)) = self.sizes.pop_first() else { break };
            total -= size;
            days -= usize::from(self.newest_part(key.day).is_none());
            self.open.retain(|(open, _)| *open != key);
            self.delete(key)?;
        }
        Ok(())
    }

    fn delete(&self, key: Key) -> Result<(), StoreError> {
        let path = key.path(&self.folder);
        for path in database::companions(&path).iter().chain([&path]) {
            match fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(StoreError::io("deleting", path)(error)),
                _ => {}
            }
        }
        Ok(())
    }

    fn forget_all(&mut self, gone: Gone, failures: &mut Failures) {
        if let Err(error) = self.forget(&gone.checks) {
            for index in gone.entries {
                failures.push(index, error.again());
            }
        }
    }

    /// Takes checks out of every file.
    fn forget(&mut self, checks: &HashSet<Check>) -> Result<(), StoreError> {
        if checks.is_empty() {
            return Ok(());
        }
        let mut outcome = write::forget(&mut self.rollup, checks);
        for key in self.sizes.keys().copied().collect::<Vec<_>>() {
            let forgotten = match self.open.iter_mut().find(|(open, _)| *open == key) {
                Some((_, file)) => write::forget(file, checks),
                None => HistoryFile::open(key.path(&self.folder), &DAY_SCHEMA).and_then(|mut file| {
                    let forgotten = write::forget(&mut file, checks);
                    file.retire();
                    forgotten
                }),
            };
            // A damaged file gives no names to queries either.
            if !matches!(forgotten, Err(StoreError::Corrupt(_))) {
                outcome = outcome.and(forgotten);
            }
        }
        outcome
    }

    fn sync(&self) -> Result<(), StoreError> {
        for file in self.open.iter().map(|(_, file)| file).chain([&self.rollup]) {
            // With synchronous=NORMAL only a checkpoint syncs; one that a reader holds up has still synced the WAL.
            file.db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).map_err(StoreError::sqlite("syncing", &file.path))?;
        }
        Ok(())
    }
}

impl Sink for History {
    type Work = Work;

    fn write(&mut self, batch: &mut [Entry<Work>], failures: &mut Failures) -> Result<(), StoreError> {
        let mut bundle = Bundle::default();
        let mut gone = Gone::default();
        for (index, entry) in batch.iter().enumerate() {
            let check = match &entry.work {
                Work::Result(row) => Some((row.worker.clone(), row.subject.clone())),
                Work::Seen(row) => Some((row.worker.clone(), row.subject.clone())),
                Work::Forget(_) | Work::Barrier { .. } => None,
            };
            if check.as_ref().is_some_and(|check| gone.checks.contains(check)) {
                // It is back: what it was goes first.
                self.forget_all(std::mem::take(&mut gone), failures);
            }
            match (&entry.work, check) {
                (Work::Result(row), Some(check)) => bundle.add(check, row),
                (Work::Seen(row), Some(check)) => bundle.add_seen(check, row),
                (Work::Forget(checks), _) => {
                    for check in checks {
                        bundle.checks.remove(check);
                        gone.checks.insert(check.clone());
                    }
                    gone.entries.push(index);
                }
                _ => {}
            }
        }
        self.forget_all(gone, failures);
        self.results(&bundle)?;
        if batch.iter().any(|entry| matches!(entry.work, Work::Barrier { durable: true })) {
            self.sync()?;
        }
        Ok(())
    }
}

/// Forgettings of a batch, done together: each opens every file.
#[derive(Debug, Default)]
struct Gone {
    checks: HashSet<Check>,
    entries: Vec<usize>,
}
