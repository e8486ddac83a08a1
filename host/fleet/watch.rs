//! Tells which files of the manifests and plugins folders changed, once they are whole and quiet. By inotify, never by polling.
//!
//! Must not read or judge the files. A folder that is gone is looked for again, with growing pauses, only while it is gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::StreamExt;
use inotify::{EventMask, EventOwned, EventStream, Inotify, WatchDescriptor, WatchMask};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::folder;

/// Changes are told once nothing happened for this long …
pub const QUIET: Duration = Duration::from_millis(50);
/// … or this long after the first.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// A new file that is still not closed after this long is looked at as it is (a link made from a nameless file never is).
pub const OVERDUE: Duration = Duration::from_secs(10);
/// Names told one by one; past this the whole folder is to be looked at.
const NAMES_TOLD: usize = 4_096;
/// How soon and how seldom a folder that is gone is looked for.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);
/// Room for some hundred events.
const BUFFER_BYTES: usize = 16 << 10;

/// Which files to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    These(BTreeSet<Arc<str>>),
    All,
}

impl Default for Names {
    fn default() -> Self {
        Self::These(BTreeSet::new())
    }
}

impl Names {
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::These(names) if names.is_empty())
    }

    fn add(&mut self, name: &Arc<str>) {
        if let Self::These(names) = self {
            names.insert(name.clone());
            if names.len() > NAMES_TOLD {
                *self = Self::All;
            }
        }
    }
}

/// What changed in both folders since it was told last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    pub manifests: Names,
    pub plugins: Names,
}

impl Touched {
    pub fn is_empty(&self) -> bool {
        self.manifests.is_empty() && self.plugins.is_empty()
    }

    fn of(&mut self, place: Place) -> &mut Names {
        match place {
            Place::Manifests => &mut self.manifests,
            Place::Plugins => &mut self.plugins,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Manifests,
    Plugins,
}

/// What one event says of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// A new file, whose content is still to come.
    Created,
    /// Whole: closed after writing, moved here, linked, moved away or deleted.
    Whole,
    /// Permissions or times.
    Attributes,
}

/// Collects events until they are quiet. Pure: takes `now`.
///
/// A name that was only created is held until its writer closes it, so that half a file is never looked at for its being new.
#[derive(Debug, Default)]
pub struct Settler {
    ready: Touched,
    unfinished: BTreeMap<(Place, Arc<str>), Instant>,
    /// When the first and the last event of this batch came.
    span: Option<(Instant, Instant)>,
}

impl Settler {
    pub fn note(&mut self, place: Place, name: &str, notice: Notice, now: Instant) {
        let key = (place, Arc::from(name));
        match notice {
            Notice::Created => {
                if let Names::These(names) = self.ready.of(place) {
                    names.remove(&key.1);
                }
                self.unfinished.insert(key, now);
                if self.unfinished.len() > NAMES_TOLD {
                    self.unfinished.clear();
                    return self.all(place, now);
                }
            }
            Notice::Attributes if self.unfinished.contains_key(&key) => {}
            Notice::Whole | Notice::Attributes => {
                self.unfinished.remove(&key);
                self.ready.of(place).add(&key.1);
            }
        }
        self.happened(now);
    }

    /// Events were lost, or the folder is another one: everything is to be looked at.
    pub fn all(&mut self, place: Place, now: Instant) {
        *self.ready.of(place) = Names::All;
        self.happened(now);
    }

    fn happened(&mut self, now: Instant) {
        let first = self.span.map_or(now, |(first, _)| first);
        self.span = (!self.ready.is_empty()).then_some((first, now));
    }

    /// When to tell; None when there is nothing to tell.
    pub fn due(&self) -> Option<Instant> {
        let quiet = self.span.map(|(first, last)| (last + QUIET).min(first + PATIENCE));
        let overdue = self.unfinished.values().min().map(|since| *since + OVERDUE);
        quiet.into_iter().chain(overdue).min()
    }

    /// What is to be told now.
    pub fn take(&mut self, now: Instant) -> Touched {
        self.span = None;
        let mut ready = std::mem::take(&mut self.ready);
        self.unfinished.retain(|(place, name), since| {
            let wait = *since + OVERDUE > now;
            if !wait {
                ready.of(*place).add(name);
            }
            wait
        });
        ready
    }
}

/// Both folders under watch.
#[derive(Debug)]
pub struct Watch {
    events: EventStream<Vec<u8>>,
    folders: [Folder; 2],
    settler: Settler,
    retry: Option<(Instant, Duration)>,
}

#[derive(Debug)]
struct Folder {
    place: Place,
    dir: PathBuf,
    /// None while the folder is gone.
    watched: Option<WatchDescriptor>,
}

impl Watch {
    /// Watches from now on; a folder that isn't there yet is waited for. Err: inotify itself refuses.
    pub fn open(manifests: &Path, plugins: &Path) -> io::Result<Self> {
        let events = Inotify::init()?.into_event_stream(vec![0; BUFFER_BYTES])?;
        let folder = |place, dir: &Path| Folder { place, dir: dir.to_owned(), watched: None };
        let folders = [folder(Place::Manifests, manifests), folder(Place::Plugins, plugins)];
        let mut watch = Self { events, folders, settler: Settler::default(), retry: None };
        watch.attach()?;
        watch.settler.take(Instant::now());
        Ok(watch)
    }

    /// Runs until nobody listens.
    pub async fn run(mut self, told: mpsc::Sender<Touched>) {
        loop {
            let due = self.settler.due();
            let retry = self.retry.map(|(at, _)| at);
            tokio::select! {
                event = self.events.next() => match event {
                    Some(Ok(event)) => self.take_in(&event, Instant::now()),
                    Some(Err(error)) => {
                        tracing::error!("watching the folders failed: {error}; looking at all files again");
                        tokio::time::sleep(RETRY_FIRST).await;
                        self.all(Instant::now());
                    }
                    None => return,
                },
                () = until(due) => {
                    if told.send(self.settler.take(Instant::now())).await.is_err() {
                        return;
                    }
                }
                () = until(retry) => {
                    if let Err(error) = self.attach() {
                        tracing::warn!("a folder can't be watched: {error}");
                    }
                }
                () = told.closed() => return,
            }
        }
    }

    /// Watches every folder that isn't watched. What can't be watched yet is tried again later.
    fn attach(&mut self) -> io::Result<()> {
        let mask = WatchMask::CLOSE_WRITE
            | WatchMask::MOVED_FROM
            | WatchMask::MOVED_TO
            | WatchMask::CREATE
            | WatchMask::DELETE
            | WatchMask::ATTRIB
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF
            | WatchMask::ONLYDIR;
        let now = Instant::now();
        let mut watches = self.events.watches();
        let mut refused = None;
        for folder in self.folders.iter_mut().filter(|folder| folder.watched.is_none()) {
            match watches.add(&folder.dir, mask) {
                Ok(descriptor) => {
                    folder.watched = Some(descriptor);
                    self.settler.all(folder.place, now);
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied => {}
                    _ => refused = Some(error),
                },
            }
        }
        let missing = self.folders.iter().any(|folder| folder.watched.is_none());
        self.retry = missing.then(|| {
            let pause = self.retry.map_or(RETRY_FIRST, |(_, pause)| (pause * 2).min(RETRY_LAST));
            (now + pause, pause)
        });
        refused.map_or(Ok(()), Err)
    }

    fn all(&mut self, now: Instant) {
        for folder in &self.folders {
            self.settler.all(folder.place, now);
        }
    }

    fn take_in(&mut self, event: &EventOwned, now: Instant) {
        if event.mask.contains(EventMask::Q_OVERFLOW) {
            return self.all(now);
        }
        for folder in self.folders.iter_mut().filter(|folder| folder.watched.as_ref() == Some(&event.wd)) {
            if event.mask.intersects(EventMask::DELETE_SELF | EventMask::MOVE_SELF | EventMask::IGNORED | EventMask::UNMOUNT) {
                if event.mask.contains(EventMask::MOVE_SELF) {
                    // The watch would follow the folder to its new place. It may be gone by now, which is as good.
                    let _ = self.events.watches().remove(event.wd.clone());
                }
                folder.watched = None;
                self.retry = Some((now + RETRY_FIRST, RETRY_FIRST));
                self.settler.all(folder.place, now);
                continue;
            }
            let Some(name) = event.name.as_ref().and_then(|name| name.to_str()) else {
                continue;
            };
            match folder.concerns(name) {
                Concern::Nothing => {}
                Concern::Everything => self.settler.all(folder.place, now),
                Concern::Name => self.settler.note(folder.place, name, folder.notice(event.mask, name), now),
            }
        }
    }
}

enum Concern {
    Nothing,
    Name,
    Everything,
}

impl Folder {
    fn concerns(&self, name: &str) -> Concern {
        // Folders that are swapped as a whole behind links (`..data`) change every file without an event of its own.
        if name.starts_with("..") {
            return Concern::Everything;
        }
        let ours = match self.place {
            Place::Manifests => folder::is_manifest(name),
            Place::Plugins => !name.starts_with(['.', '#']) && !name.ends_with('~'),
        };
        if ours { Concern::Name } else { Concern::Nothing }
    }

    fn notice(&self, mask: EventMask, name: &str) -> Notice {
        if mask.contains(EventMask::CREATE) && !mask.contains(EventMask::ISDIR) {
            // A link is whole as it appears; a new file of one name only will be closed by its writer.
            let unfinished = std::fs::symlink_metadata(self.dir.join(name)).is_ok_and(|file| file.is_file() && file.nlink() == 1);
            return if unfinished { Notice::Created } else { Notice::Whole };
        }
        if mask.contains(EventMask::ATTRIB) { Notice::Attributes } else { Notice::Whole }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
