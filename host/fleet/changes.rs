//! Edits that people make on what stands there: a whole file, or single values of one worker. And what stands there, to be read first.
//!
//! Whoever read a text before changing it says so by its digest: when it is another by now, nothing is written. Must not change desired
//! state by any other way than texts.

use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use super::{
    FleetError, acts,
    commit::Cause,
    desired::Desired,
    edits,
    files::{Book, Key},
    folder,
    lower::Part,
    reconciler::{Reconciler, blocking},
    resolve::Mode,
};
use crate::{
    facts::Plan,
    manifest::{
        MAX_FILE_BYTES,
        edit::{self, Kind, Set},
    },
};

/// A longer name is no file's.
const FILE_NAME_BYTES: usize = 200;

/// A whole file as somebody wants it.
#[derive(Debug, Clone, Default)]
pub struct FileEdit {
    pub file: String,
    /// Blank: the file goes.
    pub text: String,
    /// The digest of the text that was edited; empty: there was no such file; none: whatever there is.
    pub base: Option<String>,
    pub dry_run: bool,
}

/// Single values of one worker as somebody wants them.
#[derive(Debug, Clone, Default)]
pub struct WorkerEdit {
    pub worker: String,
    pub sets: Vec<Set>,
    /// As of [`FileEdit`], of the file in which it stands.
    pub base: Option<String>,
    pub dry_run: bool,
}

/// One file of the manifests folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSummary {
    pub name: Arc<str>,
    /// Named tables, in order.
    pub tables: Vec<Key>,
    /// None when it can't be read.
    pub base: Option<String>,
}

/// What declares one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    pub file: Arc<str>,
    pub line: u32,
    /// The worker's table, or its item of `each`, with the comments right above it.
    pub text: String,
    /// The whole table; more than `text` for an item.
    pub table: String,
    pub item: bool,
    /// The digest of the whole file's text.
    pub base: String,
}

/// What a text is known by.
pub fn digest(text: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(text.as_bytes()).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The folder's texts as the reconciler saw them last, for reading.
#[derive(Debug, Clone)]
pub(super) struct Shelf(pub Arc<Mutex<Book>>);

impl Shelf {
    async fn with<T: Send + 'static>(&self, look: impl FnOnce(&Book) -> T + Send + 'static) -> Result<T, FleetError> {
        let book = self.0.clone();
        blocking(move || look(&book.lock().unwrap_or_else(PoisonError::into_inner))).await
    }

    pub async fn files(&self) -> Result<Vec<FileSummary>, FleetError> {
        self.with(|book| {
            let files = book.files.iter().map(|(name, file)| FileSummary {
                name: name.clone(),
                tables: file.tables().to_vec(),
                base: file.text.as_deref().map(digest),
            });
            files.collect()
        })
        .await
    }

    pub async fn text(&self, file: &str) -> Result<Arc<str>, FleetError> {
        let name = file.to_owned();
        let text = self.with(move |book| book.files.get(name.as_str()).map(|file| file.text.clone())).await?;
        match text {
            Some(Some(text)) => Ok(text),
            Some(None) => Err(edits::unreadable(file)),
            None => Err(FleetError::NotFound(format!("no file \"{file}\" in the manifests folder"))),
        }
    }

    pub async fn declared(&self, worker: &str, desired: &Desired) -> Result<Declared, FleetError> {
        let (parent, item) = (acts::parent(worker).to_owned(), worker.contains('/'));
        let (name, key) = (worker.to_owned(), (Kind::Worker, parent));
        let found = self.with(move |book| {
            let (file, text) =
                book.files.iter().find_map(|(name, file)| Some((name, file.text.as_ref()?)).filter(|_| file.tables().contains(&key)))?;
            let (block, line) = if item { edit::item_text(text, &name) } else { edit::worker_place(text, &key.1) }?;
            let table = edit::worker_block(text, &key.1).unwrap_or_default().to_owned();
            Some(Declared { file: file.clone(), line, text: block.to_owned(), table, item, base: digest(text) })
        });
        match (found.await?, desired.unit(worker)) {
            (Some(found), _) => Ok(found),
            (None, Some(unit)) => Err(edits::unreadable(&unit.spec.origin.file)),
            (None, None) => Err(FleetError::NotFound(format!("no worker \"{worker}\""))),
        }
    }
}

impl<C: Part> Reconciler<C> {
    pub(super) async fn put(&mut self, edit: FileEdit) -> Result<Plan, FleetError> {
        let FileEdit { file, text, base, dry_run } = edit;
        let invalid = |message: String, hint: &str| {
            let field = Some("file");
            Err(FleetError::Invalid(vec![acts::problem(&file, field, message, hint)]))
        };
        if text.len() as u64 > MAX_FILE_BYTES {
            return invalid(format!("has {} bytes; at most {MAX_FILE_BYTES} (8 MiB) are read", text.len()), "split it into several files");
        }
        let name: Arc<str> = file.as_str().into();
        let wanted = name.clone();
        let before = self.with_book(move |book| book.files.get(&wanted).map(|file| file.text.clone())).await?;
        if before.is_none() && !may_be_made(&file) {
            let hint = "letters, digits, \"-\", \"_\" and \".\", with .toml at its end, e.g. watch.toml";
            return invalid(format!("\"{file}\" can't be the name of a manifest"), hint);
        }
        let before = match before {
            Some(None) => return Err(edits::unreadable(&file)),
            Some(Some(text)) => Some(text),
            None => None,
        };
        same(&file, before.as_deref(), base.as_deref())?;
        let text = (!text.trim().is_empty()).then(|| Arc::from(text));
        let (proposal, texts) = self.consider(vec![(name, text)], Mode::Strict, |problem| problem).await?;
        self.act(proposal, texts, Cause::Edit, dry_run).await
    }

    pub(super) async fn change(&mut self, change: WorkerEdit) -> Result<Plan, FleetError> {
        let WorkerEdit { worker, sets, base, dry_run } = change;
        let (file, text) = self.stands(&(Kind::Worker, acts::parent(&worker).to_owned())).await?;
        same(&file, Some(&text), base.as_deref())?;
        let edited = edit::change(&text, &worker, &sets).map_err(|error| unedited(&file, error))?;
        let (proposal, texts) = self.consider(vec![(file, Some(edited.into()))], Mode::Lenient, |problem| problem).await?;
        self.act(proposal, texts, Cause::Edit, dry_run).await
    }

    /// An item of `each` leaves its list.
    pub(super) async fn delete_item(&mut self, worker: &str, dry_run: bool) -> Result<Plan, FleetError> {
        let (file, text) = self.stands(&(Kind::Worker, acts::parent(worker).to_owned())).await?;
        let edited = edit::remove_item(&text, worker).map_err(|error| unedited(&file, error))?;
        let (proposal, texts) = self.consider(vec![(file, Some(edited.into()))], Mode::Lenient, |problem| problem).await?;
        self.act(proposal, texts, Cause::Delete, dry_run).await
    }
}

fn unedited(file: &str, error: edit::EditError) -> FleetError {
    match error {
        edit::EditError::NotFound(_) => FleetError::NotFound(format!("{file}: {error}")),
        edit::EditError::Syntax(_) => FleetError::Conflict(format!("{file}: {error}")),
    }
}

/// Refuses an edit of a text that is another by now.
fn same(file: &str, now: Option<&str>, base: Option<&str>) -> Result<(), FleetError> {
    let changed = match (base, now) {
        (None, _) => false,
        (Some(""), now) => now.is_some(),
        (Some(base), now) => now.is_none_or(|now| digest(now) != base),
    };
    if changed { Err(FleetError::Conflict(format!("{file} was changed meanwhile; nothing was written: look at it again"))) } else { Ok(()) }
}

fn may_be_made(name: &str) -> bool {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    plain && name.len() <= FILE_NAME_BYTES && folder::is_manifest(name)
}
