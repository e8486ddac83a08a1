//! The fleet: desired state with its generation, the pure diff, and the reconciler that carries it out.
//!
//! ```text
//!   folder, watch ─▶ files ─▶ resolve ─▶ desired ─▶ diff ─▶ commit ─▶ lower (runner, loader, archive)
//!   acts, changes, edits ──▶ texts ──┘   ▲
//!          plugins, components ─┘ (rollover: which bytes, and the way back)
//! ```
//!
//! The manifests folder is the only source of truth: whatever is asked for is written there and applied in one step. Pure: desired,
//! diff, edits, resolve, rollover. Must not know wasm, HTTP or SQL.

mod acts;
mod changes;
mod commit;
mod components;
pub mod desired;
pub mod diff;
mod edits;
mod fault;
mod files;
pub mod folder;
mod lower;
mod memory;
mod plugins;
mod reconciler;
mod resolve;
pub mod rollover;
pub mod watch;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use tokio::sync::{mpsc, oneshot, watch as watched};

use self::{
    changes::Shelf,
    desired::Desired,
    files::Book,
    reconciler::{Ask, Asked, Parts, Reconciler},
};
pub use self::{
    changes::{Declared, FileEdit, FileSummary, WorkerEdit, digest},
    lower::{Archive, Loader, Lower, Order, Part, Runner},
};
pub use crate::manifest::edit::Set;
use crate::{
    clock::Clock,
    facts::{Plan, Problem},
    journal::Journal,
    manifest::spec::Rate,
};

/// Asks that may wait for their turn; further askers wait themselves.
const ASKS_WAITING: usize = 64;

#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The request or a manifest is invalid; nothing was applied.
    #[error("{} problem(s); nothing was applied", .0.len())]
    Invalid(Vec<Problem>),
    #[error("{0}")]
    NotFound(String),
    /// 409: a read-only manifests folder, nothing to undo, a file changed meanwhile.
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    Internal(String),
}

/// One apply, as API and CLI send it.
#[derive(Debug, Clone, Default)]
pub struct ApplyRequest {
    /// Manifest text.
    pub text: String,
    /// Name of the apply set, for the file that new tables go to; none: the single worker's name, else `applied`.
    pub set: Option<String>,
    /// Remove every worker that `text` does not declare.
    pub prune: bool,
    /// Every table of `text` is new: one that stands somewhere already is a problem, not an update.
    pub fresh: bool,
    pub dry_run: bool,
}

/// Where the fleet looks.
#[derive(Debug, Clone)]
pub struct Settings {
    pub manifests: PathBuf,
    pub plugins: PathBuf,
    /// The `[defaults]` table of the node's own settings.
    pub defaults: Option<toml::Table>,
}

/// The fleet's state as others see it.
#[derive(Debug, Default)]
pub struct Status {
    pub generation: u64,
    /// All problems of the folder as it stands.
    pub problems: Vec<Problem>,
    pub desired: Arc<Desired>,
}

/// A cheap handle to the reconciler.
#[derive(Debug, Clone)]
pub struct Fleet {
    asks: mpsc::Sender<Asked>,
    status: watched::Receiver<Arc<Status>>,
    shelf: Shelf,
}

impl Fleet {
    /// Starts what the manifests folder declares, and keeps in line with it from then on. Answers when all workers are handed to the
    /// runner.
    pub async fn start<C: Part>(settings: Settings, lower: Lower<C>, journal: Journal, clock: Clock) -> Result<Self, FleetError> {
        let Settings { manifests, plugins, defaults } = settings;
        let (asks, asked) = mpsc::channel(ASKS_WAITING);
        let (tell, status) = watched::channel(Arc::default());
        let book = Arc::new(Mutex::new(Book::new(manifests.clone(), defaults)));
        let shelf = Shelf(book.clone());
        let parts = Parts { book, manifests, plugins, lower, journal, clock, status: tell, asks: asked };
        tokio::spawn(Reconciler::start(parts).await?.run());
        Ok(Self { asks, status, shelf })
    }

    /// Answers when the change is applied (workers handed to supervision), on disk, and synced.
    pub async fn apply(&self, request: ApplyRequest) -> Result<Plan, FleetError> {
        self.ask(Ask::Apply(request)).await
    }

    pub async fn delete_worker(&self, name: &str, dry_run: bool) -> Result<Plan, FleetError> {
        self.ask(Ask::Delete { worker: name.to_owned(), dry_run }).await
    }

    /// Puts a whole file there as it is given.
    pub async fn put_file(&self, edit: FileEdit) -> Result<Plan, FleetError> {
        self.ask(Ask::Put(edit)).await
    }

    /// Sets single values of one worker, or of one item of `each`.
    pub async fn change_worker(&self, edit: WorkerEdit) -> Result<Plan, FleetError> {
        self.ask(Ask::Change(edit)).await
    }

    /// All files of the folder, by name.
    pub async fn files(&self) -> Result<Vec<FileSummary>, FleetError> {
        self.shelf.files().await
    }

    /// One file's text.
    pub async fn file(&self, name: &str) -> Result<Arc<str>, FleetError> {
        self.shelf.text(name).await
    }

    /// What declares a worker, or an item of `each`, as the folder stands.
    pub async fn declared(&self, worker: &str) -> Result<Declared, FleetError> {
        self.shelf.declared(worker, &self.desired()).await
    }

    /// Goes back to the generation before.
    pub async fn undo(&self, dry_run: bool) -> Result<Plan, FleetError> {
        self.ask(Ask::Undo { dry_run }).await
    }

    /// Edits `paused` in the manifest.
    pub async fn set_paused(&self, name: &str, paused: bool) -> Result<Plan, FleetError> {
        self.ask(Ask::SetPaused { worker: name.to_owned(), paused }).await
    }

    /// Edits `replicas` in the manifest.
    pub async fn scale(&self, name: &str, replicas: u32) -> Result<Plan, FleetError> {
        self.ask(Ask::Scale { worker: name.to_owned(), replicas }).await
    }

    /// Edits `rate` of a limiter in the manifest; in force when this answers.
    pub async fn set_rate(&self, limiter: &str, rate: Rate) -> Result<Plan, FleetError> {
        self.ask(Ask::SetRate { limiter: limiter.to_owned(), rate }).await
    }

    /// Ends the reconciler after what it is at; workers run on. Everything asked later is refused.
    pub async fn stop(&self) {
        // An error says that it has stopped already.
        let _ = self.ask(Ask::Stop).await;
    }

    /// All problems of the folder as it stands.
    pub fn problems(&self) -> Vec<Problem> {
        self.status.borrow().problems.clone()
    }

    pub fn generation(&self) -> u64 {
        self.status.borrow().generation
    }

    /// What shall run, with where each worker stands now.
    pub fn desired(&self) -> Arc<Desired> {
        self.status.borrow().desired.clone()
    }

    /// The status, and every change of it.
    pub fn status(&self) -> watched::Receiver<Arc<Status>> {
        self.status.clone()
    }

    async fn ask(&self, ask: Ask) -> Result<Plan, FleetError> {
        let stopping = || FleetError::Internal("the host is stopping".to_owned());
        let (answer, answered) = oneshot::channel();
        self.asks.send((Box::new(ask), answer)).await.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())?
    }
}
