//! The manifests folder as files: what is there, its text, and writes that are either whole or not there.
//!
//! Blocking: callers are on a blocking thread. Must not judge what a text says. Nothing unbounded is read, and no pipe is opened.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::OFlags;

use crate::{facts::Problem, manifest::MAX_FILE_BYTES};

/// Manifest files in one folder; more is a mistake, and would make every scan slow.
pub const MAX_FILES: usize = 20_000;

/// What tells that a file may have changed, without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// One name in the folder.
#[derive(Debug, Clone, PartialEq)]
pub enum Look {
    Absent,
    /// The stamp is the one the caller knows.
    Same,
    Text {
        text: Arc<str>,
        stamp: Stamp,
    },
    /// It is there, but can't be read as a manifest.
    Unusable {
        problem: Problem,
        stamp: Option<Stamp>,
    },
}

/// One file to write, or to take away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    pub file: Arc<str>,
    /// None removes it.
    pub text: Option<Arc<str>>,
    /// What was there when the edit was made; anything else by now is a conflict.
    pub was: Option<Stamp>,
}

/// Why edits were not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("the manifests folder is read-only: {0}")]
    ReadOnly(String),
    #[error("{0} changed while it was being edited; nothing was written: try again")]
    Changed(Arc<str>),
    #[error("the manifests folder can't be written: {0}")]
    Io(String),
}

/// Is this the name of a manifest? Hidden, backup and swap files are not.
pub fn is_manifest(name: &str) -> bool {
    name.ends_with(".toml") && !name.starts_with(['.', '#']) && name.len() > ".toml".len()
}

/// The manifests in a folder.
#[derive(Debug)]
pub struct Listing {
    /// Sorted.
    pub names: Vec<Arc<str>>,
    /// Names that can't be read as such.
    pub problems: Vec<Problem>,
}

/// Lists a folder. Err: the folder itself can't be read.
pub fn list(dir: &Path) -> Result<Listing, Box<Problem>> {
    let refused = |error: &io::Error| {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => "make the folder; until then everything keeps running as it was",
            io::ErrorKind::PermissionDenied => "let the user that skep runs as read it",
            _ => "until it can be read everything keeps running as it was",
        };
        Box::new(problem(&dir.display().to_string(), format!("the manifests folder can't be read: {error}"), hint))
    };
    let mut names = Vec::new();
    let mut problems = Vec::new();
    for entry in fs::read_dir(dir).map_err(|error| refused(&error))? {
        let entry = entry.map_err(|error| refused(&error))?;
        let name = entry.file_name();
        match name.to_str() {
            Some(name) if is_manifest(name) => names.push(Arc::from(name)),
            None if Path::new(&name).extension() == Some(OsStr::new("toml")) => {
                problems.push(problem(&name.to_string_lossy(), "the file's name is not UTF-8".into(), "rename it"));
            }
            _ => {}
        }
    }
    names.sort_unstable();
    if names.len() > MAX_FILES {
        let message = format!("{} manifests in one folder; at most {MAX_FILES} are read, in order of their names", names.len());
        problems.push(problem(&dir.display().to_string(), message, "put more workers into one file"));
        names.truncate(MAX_FILES);
    }
    Ok(Listing { names, problems })
}

/// Looks at one file; reads it when its stamp is not `known`.
pub fn look(dir: &Path, name: &str, known: Option<Stamp>) -> Look {
    let path = dir.join(name);
    let unusable = |message: String, hint: &str, stamp| Look::Unusable { problem: problem(name, message, hint), stamp };
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(_) if fs::symlink_metadata(&path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) => return Look::Absent,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return unusable("is a link to a file that is not there".into(), "mend or remove the link", None);
        }
        Err(error) => return unusable(format!("can't be read: {error}"), "let the user that skep runs as read it", None),
    };
    let stamp = Stamp::of(&metadata);
    if known == Some(stamp) {
        return Look::Same;
    }
    let stamp = Some(stamp);
    if metadata.is_dir() {
        return unusable("is a directory, not a manifest".into(), "rename it so that its name doesn't end in .toml, or remove it", stamp);
    }
    if !metadata.is_file() {
        return unusable("is not a regular file".into(), "put a text file in its place", stamp);
    }
    if metadata.len() > MAX_FILE_BYTES {
        return unusable(
            format!("has {} bytes; a manifest has at most {MAX_FILE_BYTES} (8 MiB)", metadata.len()),
            "split it into several files",
            stamp,
        );
    }
    match read(&path) {
        Ok((bytes, stamp)) if bytes.len() as u64 > MAX_FILE_BYTES => {
            unusable(format!("has more than {MAX_FILE_BYTES} bytes (8 MiB)"), "split it into several files", Some(stamp))
        }
        Ok((bytes, stamp)) => match String::from_utf8(bytes) {
            Ok(text) => Look::Text { text: text.into(), stamp },
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let line = 1 + error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count();
                unusable(format!("is not UTF-8 text (line {line}, byte {good})"), "save it as UTF-8", Some(stamp))
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Look::Absent,
        Err(error) => unusable(format!("can't be read: {error}"), "let the user that skep runs as read it", stamp),
    }
}

/// Reads at most one byte more than a manifest may have, from a regular file only.
fn read(path: &Path) -> io::Result<(Vec<u8>, Stamp)> {
    // What was a file a moment ago may be a pipe by now: opening one must not wait for its writer.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(MAX_FILE_BYTES)).unwrap_or_default());
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok((bytes, Stamp::of(&metadata)))
}

/// Carries out all edits: every new text is on disk before the first file changes its name, and the folder is synced once.
/// The stamps of what was written come back.
pub fn write(dir: &Path, edits: &[Edit]) -> Result<BTreeMap<Arc<str>, Stamp>, WriteError> {
    for edit in edits {
        let now = fs::metadata(dir.join(&*edit.file)).ok().map(|metadata| Stamp::of(&metadata));
        if now != edit.was {
            return Err(WriteError::Changed(edit.file.clone()));
        }
    }
    let mut drafts = Vec::new();
    for edit in edits {
        if let Some(text) = &edit.text {
            drafts.push(Draft::make(dir, &edit.file, text)?);
        }
    }
    let mut stamps = BTreeMap::new();
    for draft in drafts {
        let (file, stamp) = draft.publish()?;
        stamps.insert(file, stamp);
    }
    for edit in edits.iter().filter(|edit| edit.text.is_none()) {
        match fs::remove_file(dir.join(&*edit.file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refusal(&error, &edit.file)),
            _ => {}
        }
    }
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| refusal(&error, "the folder"))?;
    Ok(stamps)
}

/// A synced text under a name that nobody reads; gone again unless it is published.
struct Draft {
    name: Arc<str>,
    at: PathBuf,
    to: PathBuf,
    file: File,
    published: bool,
}

impl Draft {
    fn make(dir: &Path, name: &Arc<str>, text: &str) -> Result<Self, WriteError> {
        let to = dir.join(&**name);
        // A link stays a link: what it points at is replaced.
        let to = if to.is_symlink() { fs::canonicalize(&to).map_err(|error| refusal(&error, name))? } else { to };
        let at = to.with_file_name(format!(".{name}.skep-new"));
        let mode = fs::metadata(&to).ok().map(|metadata| metadata.permissions().mode());
        let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644)
            .custom_flags(flags)
            .open(&at)
            .map_err(|error| refusal(&error, name))?;
        let mut draft = Self { name: name.clone(), at, to, file, published: false };
        draft.fill(text, mode).map_err(|error| refusal(&error, name))?;
        Ok(draft)
    }

    fn fill(&mut self, text: &str, mode: Option<u32>) -> io::Result<()> {
        self.file.write_all(text.as_bytes())?;
        if let Some(mode) = mode {
            self.file.set_permissions(fs::Permissions::from_mode(mode & 0o7777))?;
        }
        self.file.sync_all()
    }

    fn publish(mut self) -> Result<(Arc<str>, Stamp), WriteError> {
        fs::rename(&self.at, &self.to).map_err(|error| refusal(&error, &self.name))?;
        self.published = true;
        // Through the handle: the path may belong to somebody else's newer file by now.
        let metadata = self.file.metadata().map_err(|error| refusal(&error, &self.name))?;
        Ok((self.name.clone(), Stamp::of(&metadata)))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published {
            // Best effort: it is hidden, and the next write of this file starts it over.
            let _ = fs::remove_file(&self.at);
        }
    }
}

fn refusal(error: &io::Error, what: &str) -> WriteError {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => WriteError::ReadOnly(format!("{what}: {error}")),
        _ => WriteError::Io(format!("{what}: {error}")),
    }
}

fn problem(file: &str, message: String, hint: &str) -> Problem {
    Problem { file: file.to_owned(), line: 0, column: 0, worker: None, field: None, message, hint: Some(hint.to_owned()) }
}
