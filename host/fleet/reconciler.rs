//! The reconciler: one task that owns desired state and brings everything else in line with it.
//!
//! ```text
//!   API: apply, delete, undo, pause, scale ─┐                  ┌─▶ manifests folder (before anything else)
//!   folders: files that changed ────────────┼─▶ one at a time ─┼─▶ runner: remove, then create and update, in list order
//!   supervision: quarantined, failed ───────┤                  ├─▶ archive: the generation
//!   time: a probation ended ────────────────┘                  └─▶ status: generation, problems, desired state
//! ```
//!
//! What is slow (files, parsing) runs on blocking threads while this task waits; nothing here waits for a worker. Must not reach
//! below its [`Lower`] edge.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    time::sleep_until,
};

use super::{
    ApplyRequest, FileEdit, FleetError, Lower, Status, WorkerEdit,
    commit::{Cause, Saved},
    components::Table,
    desired::Desired,
    files::Book,
    lower::Part,
    memory::{self, Memory},
    resolve::Mode,
    watch::{Names, Touched, Watch},
};
use crate::{
    clock::Clock,
    facts::{Level, Plan, Problem},
    journal::Journal,
    manifest::spec::Rate,
    supervise::Fact,
};

/// What somebody asks for.
#[derive(Debug)]
pub enum Ask {
    Apply(ApplyRequest),
    Put(FileEdit),
    Change(WorkerEdit),
    Delete {
        worker: String,
        dry_run: bool,
    },
    Undo {
        dry_run: bool,
    },
    SetPaused {
        worker: String,
        paused: bool,
    },
    Scale {
        worker: String,
        replicas: u32,
    },
    SetRate {
        limiter: String,
        rate: Rate,
    },
    /// Ends the reconciler; workers stay as they are.
    Stop,
}

/// An ask, and where its answer goes.
pub type Asked = (Box<Ask>, oneshot::Sender<Result<Plan, FleetError>>);

/// Everything that makes the reconciler move.
enum Event {
    Asked(Asked),
    Touched(Touched),
    Fact(Fact),
    ProbationOver,
    /// Nobody can ask any more.
    Closed,
}

/// The owner of desired state.
pub struct Reconciler<C> {
    pub(super) manifests: PathBuf,
    pub(super) plugins: PathBuf,
    pub(super) lower: Lower<C>,
    pub(super) journal: Journal,
    pub(super) clock: Clock,
    /// Shared with the blocking thread that works on it at the moment, and with readers; never with another task that writes.
    book: Arc<Mutex<Book>>,
    pub(super) table: Table<C>,
    pub(super) applied: Arc<Desired>,
    pub(super) problems: Vec<Problem>,
    /// Problems that the journal told.
    pub(super) told: HashSet<Problem>,
    pub(super) saved: Saved,
    pub(super) status: watch::Sender<Arc<Status>>,
    asks: mpsc::Receiver<Asked>,
    touched: mpsc::Receiver<Touched>,
    facts: Option<broadcast::Receiver<Fact>>,
}

/// What a reconciler is made of.
pub struct Parts<C> {
    pub book: Arc<Mutex<Book>>,
    pub manifests: PathBuf,
    pub plugins: PathBuf,
    pub lower: Lower<C>,
    pub journal: Journal,
    pub clock: Clock,
    pub status: watch::Sender<Arc<Status>>,
    pub asks: mpsc::Receiver<Asked>,
}

impl<C: Part> Reconciler<C> {
    /// Brings up what the folder says, or what it last said that was good, and tells the status. Watches from before the first look.
    pub async fn start(parts: Parts<C>) -> Result<Self, FleetError> {
        let Parts { book, manifests, plugins, lower, journal, clock, status, asks } = parts;
        let watch = Watch::open(&manifests, &plugins).map_err(|error| {
            FleetError::Internal(format!(
                "can't watch the folders: {error} (fs.inotify.max_user_instances and max_user_watches may be used up)"
            ))
        })?;
        let (tell, touched) = mpsc::channel(1);
        tokio::spawn(watch.run(tell));
        let latest = lower.archive.latest().await.map_err(|error| FleetError::Internal(error.to_string()))?;
        let saved = latest.as_ref().map_or_else(Saved::default, |latest| Saved {
            number: latest.number,
            memory: Memory::of(latest),
            texts: memory::manifests(latest).cloned().collect(),
        });
        let mut this = Self {
            facts: Some(lower.runner.facts()),
            manifests,
            plugins,
            lower,
            journal,
            clock,
            book,
            table: Table::default(),
            applied: Arc::new(Desired::default().numbered(saved.number)),
            problems: Vec::new(),
            told: HashSet::new(),
            saved,
            status,
            asks,
            touched,
        };
        let kept = this.saved.texts.clone();
        let files = this.with_book(move |book| {
            book.rescan(&Names::All);
            book.restore(kept.iter());
            book.files.clone()
        });
        let proposal = this.propose(files.await?, Mode::Strict).await?;
        this.commit(proposal, Cause::Start, Vec::new()).await?;
        Ok(this)
    }

    /// Runs until it is stopped or nobody can ask any more.
    pub async fn run(mut self) {
        loop {
            let done = match self.next().await {
                Event::Asked((ask, answer)) => {
                    if matches!(*ask, Ask::Stop) {
                        // The asker may have gone; it is stopped all the same.
                        let _ = answer.send(Ok(self.unchanged()));
                        return;
                    }
                    let outcome = self.answer(*ask).await;
                    let _ = answer.send(outcome);
                    continue;
                }
                Event::Touched(touched) => self.touched(touched).await,
                Event::Fact(fact) => self.heard(fact).await,
                Event::ProbationOver => {
                    self.proven().await;
                    continue;
                }
                Event::Closed => return,
            };
            if let Err(error) = done {
                self.journal.event("fleet.failed", Level::Error, None, error.to_string());
            }
        }
    }

    async fn next(&mut self) -> Event {
        let probation = self.table.deadline();
        loop {
            let heard = async {
                match &mut self.facts {
                    Some(facts) => facts.recv().await,
                    None => std::future::pending().await,
                }
            };
            let over = async {
                match probation {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                asked = self.asks.recv() => return asked.map_or(Event::Closed, Event::Asked),
                Some(touched) = self.touched.recv() => return Event::Touched(touched),
                fact = heard => match fact {
                    Ok(fact) => return Event::Fact(fact),
                    // The newest facts are still to come, and one is enough for a component.
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => self.facts = None,
                },
                () = over => return Event::ProbationOver,
            }
        }
    }

    async fn answer(&mut self, ask: Ask) -> Result<Plan, FleetError> {
        // What changed on disk a moment ago comes first: edits are made on what is there.
        self.touched(Touched { manifests: Names::All, plugins: Names::default() }).await?;
        match ask {
            Ask::Apply(request) => self.apply(request).await,
            Ask::Put(edit) => self.put(edit).await,
            Ask::Change(edit) => self.change(edit).await,
            Ask::Delete { worker, dry_run } => self.delete(&worker, dry_run).await,
            Ask::Undo { dry_run } => self.undo(dry_run).await,
            Ask::SetPaused { worker, paused } => self.set_paused(&worker, paused).await,
            Ask::Scale { worker, replicas } => self.scale(&worker, replicas).await,
            Ask::SetRate { limiter, rate } => self.set_rate(&limiter, rate).await,
            Ask::Stop => Ok(self.unchanged()),
        }
    }

    /// Files changed on disk.
    async fn touched(&mut self, touched: Touched) -> Result<(), FleetError> {
        let Touched { manifests, plugins } = touched;
        let rescanned = if manifests.is_empty() { false } else { self.with_book(move |book| book.rescan(&manifests)).await? };
        let known = match plugins {
            Names::All => self.table.names(),
            Names::These(names) => names.into_iter().filter(|name| self.table.knows(name)).collect(),
        };
        let reloaded = !known.is_empty();
        if reloaded {
            self.table.look(known, true, &self.plugins, &*self.lower.loader, &self.saved.memory).await;
        }
        if !rescanned && !reloaded {
            return Ok(());
        }
        let files = self.with_book(|book| book.files.clone()).await?;
        let proposal = self.propose(files, Mode::Strict).await?;
        self.commit(proposal, if rescanned { Cause::Folder } else { Cause::Component }, Vec::new()).await
    }

    /// A worker failed on its bytes: new ones are taken back.
    async fn heard(&mut self, fact: Fact) -> Result<(), FleetError> {
        let (worker, digest, what) = match fact {
            Fact::Quarantined { worker, digest } => (worker, digest, "was quarantined on it".to_owned()),
            Fact::Failed { worker, digest, reason } => (worker, digest, format!("failed on it: {reason}")),
        };
        let Some(unit) = self.applied.unit(&worker).filter(|unit| unit.digest == digest && unit.spec.run.digest.is_none()) else {
            return Ok(());
        };
        let component = unit.spec.run.component.clone();
        let now = self.clock.now();
        let workers = self.applied.units().iter().map(|unit| &unit.spec);
        let Some(back) = self.table.way_back(&component, &digest, now, workers) else {
            return Ok(());
        };
        let reason = format!("worker \"{worker}\" {what}");
        if !self.table.fault(&component, &digest, reason.clone(), now) {
            return Ok(());
        }
        let message = format!("{component}: {digest} is taken back ({reason}); all its workers go back to {back}");
        self.journal.event("component.rolled-back", Level::Error, Some(&worker), message);
        let files = self.with_book(|book| book.files.clone()).await?;
        let proposal = self.propose(files, Mode::Strict).await?;
        self.commit(proposal, Cause::Rollback, Vec::new()).await
    }

    /// Works on the folder's files on a blocking thread.
    pub(super) async fn with_book<T: Send + 'static>(&self, work: impl FnOnce(&mut Book) -> T + Send + 'static) -> Result<T, FleetError> {
        let book = self.book.clone();
        blocking(move || work(&mut book.lock().unwrap_or_else(PoisonError::into_inner))).await
    }
}

/// Runs `work` where it may block.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, FleetError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| FleetError::Internal(format!("the fleet's work was cut short: {error}")))
}
