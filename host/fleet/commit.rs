//! From a set of files to what runs: propose (check everything, change nothing), then commit (in one go, in order).
//!
//! Must not edit texts or answer askers; those come with `acts`.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{
    FleetError, Status,
    components::Rolled,
    desired::{Desired, Unit},
    diff::Change,
    fault::short,
    files::File,
    folder::Stamp,
    lower::{Order, Part},
    memory::{self, Memory},
    reconciler::{Reconciler, blocking},
    resolve::{Mode, Named, Proposal, resolve},
};
use crate::{
    facts::{Level, Plan, Problem, Step, Verb},
    store::Generation,
};

/// Problems told in the journal at once; the status has them all.
const PROBLEMS_TOLD: usize = 20;

/// Why something changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    Start,
    Folder,
    Component,
    Rollback,
    Apply,
    Edit,
    Delete,
    Pause,
    Scale,
    Rate,
    /// The generation whose texts came back.
    Undo(u64),
}

impl Cause {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Folder => "folder",
            Self::Component => "component",
            Self::Rollback => "rollback",
            Self::Apply => "apply",
            Self::Edit => "edit",
            Self::Delete => "delete",
            Self::Pause => "pause",
            Self::Scale => "scale",
            Self::Rate => "rate",
            Self::Undo(_) => "undo",
        }
    }
}

/// The newest generation as it was kept.
#[derive(Debug, Clone, Default)]
pub struct Saved {
    pub number: u64,
    pub memory: Memory,
    pub texts: BTreeMap<Arc<str>, Arc<str>>,
}

impl<C: Part> Reconciler<C> {
    /// Checks these files with all they need; loads components that are not loaded, and changes nothing else.
    pub(super) async fn propose(&mut self, files: BTreeMap<Arc<str>, File>, mode: Mode) -> Result<Proposal, FleetError> {
        let named = Named::by(&files);
        let unknown = named.all.iter().filter(|name| !self.table.knows(name));
        // What a new text names is looked at again: a component may have been put there a moment before its manifest.
        let look = unknown.chain(&named.fresh).cloned().collect();
        self.table.look(look, false, &self.plugins, &*self.lower.loader, &self.saved.memory).await;
        for pinned in &named.pins {
            // Bytes that are nowhere are the worker's problem, told by `resolve`.
            self.table.keep(pinned, &*self.lower.loader).await;
        }
        let (table, applied) = (self.table.clone(), self.applied.clone());
        let folder = self.with_book(|book| book.folder.clone()).await?;
        blocking(move || resolve(files, folder, &table, &applied, mode)).await
    }

    /// Makes a proposal come true. `written`: files of it that were just written, with their stamps.
    pub(super) async fn commit(&mut self, proposal: Proposal, cause: Cause, written: Vec<(Arc<str>, Stamp)>) -> Result<(), FleetError> {
        let (named, rolling, running) = (Named::by(&proposal.files), proposal.rolling(), proposal.running());
        let Proposal { mut files, refused: _, rolls, desired, changes, problems } = proposal;
        for (name, stamp) in written {
            if let Some(file) = files.get_mut(&name) {
                file.stamp = Some(stamp);
            }
        }
        let texts = files.iter().filter_map(|(name, file)| Some((name.clone(), file.good.as_ref()?.text.clone()))).collect();
        self.with_book(move |book| book.files = files).await?;
        let rolled = self.table.commit(&rolls, &rolling, self.clock.now());
        let memory = self.table.memory(match cause {
            Cause::Undo(to) => Some(to),
            _ => None,
        });
        let steps = changes.iter().any(|change| change.verb().is_some());
        // The very first start is a generation, too, also of an empty folder: what follows can be undone.
        let first = self.saved.number == 0;
        let moved = first || texts != self.saved.texts || !memory.same_components(&self.saved.memory) || (steps && cause != Cause::Start);
        let number = self.applied.generation() + u64::from(moved);
        let before = std::mem::replace(&mut self.applied, Arc::new(desired.numbered(number)));
        self.carry_out(&before, &changes, cause == Cause::Start);
        self.tell(problems);
        self.tell_rolled(&rolled, &changes);
        if moved || steps {
            self.journal.event("fleet.applied", Level::Info, None, counts(&changes, &self.applied));
        }
        self.publish();
        self.table.forget_others(&named.all);
        if self.table.retain(&running) || cause == Cause::Start {
            self.prune().await;
        }
        if moved { self.save(Saved { number, memory, texts }, cause).await } else { Ok(()) }
    }

    /// Hands all changes to the runner: removals first, the rest in file and list order.
    fn carry_out(&self, before: &Desired, changes: &[Change], at_start: bool) {
        let runner = &self.lower.runner;
        let limiters = self.applied.limiters();
        if limiters != before.limiters() {
            runner.limiters(limiters);
        }
        let queues = self.applied.queues();
        if queues != before.queues() {
            runner.queues(queues);
        }
        // A window that goes with its workers must not show what it covered once more.
        let (gone, rest): (Vec<_>, Vec<_>) = changes.iter().partition(|change| matches!(change, Change::Remove(_)));
        gone.into_iter().for_each(|change| runner.remove(change.worker()));
        let maintenance = self.applied.maintenance();
        if maintenance != before.maintenance() {
            runner.maintenance(maintenance);
        }
        for change in rest {
            match change {
                Change::Remove(_) => {}
                Change::Create(unit) => _ = self.order(unit).map(|order| runner.create(order, at_start)),
                Change::Update { to, .. } | Change::Roll { to, .. } => _ = self.order(to).map(|order| runner.update(order)),
                Change::Amend { to, .. } | Change::Note { to, .. } => _ = self.order(to).map(|order| runner.amend(order)),
            }
        }
    }

    /// None can't be: a unit only names bytes that are loaded.
    fn order(&self, unit: &Unit) -> Option<Order<C>> {
        let component = self.table.get(&unit.digest)?;
        Some(Order { spec: unit.spec.clone(), component, held_back: unit.held_back.clone() })
    }

    async fn save(&mut self, saved: Saved, cause: Cause) -> Result<(), FleetError> {
        let kept = |why: String| {
            FleetError::Internal(format!("applied, but generation {} can't be kept for undo and restart: {why}", saved.number))
        };
        let mut files: Vec<_> = saved.texts.iter().map(|(name, text)| (name.clone(), text.clone())).collect();
        files.push((memory::FILE.into(), saved.memory.text().map_err(&kept)?.into()));
        let generation = Generation { number: saved.number, at: self.clock.wall(), cause: cause.as_str().to_owned(), files };
        self.lower.archive.save(generation).await.map_err(|error| kept(error.to_string()))?;
        self.saved = saved;
        Ok(())
    }

    /// Tells new problems once, and files that are rid of theirs.
    fn tell(&mut self, problems: Vec<Problem>) {
        let now: HashSet<Problem> = problems.iter().cloned().collect();
        let new: Vec<&Problem> = problems.iter().filter(|problem| !self.told.contains(*problem)).collect();
        for problem in new.iter().take(PROBLEMS_TOLD) {
            let worker = problem.worker.as_deref().map(Arc::from);
            self.journal.event("manifest.refused", Level::Error, worker.as_ref(), problem.to_string());
        }
        if let Some(more) = new.len().checked_sub(PROBLEMS_TOLD).filter(|more| *more > 0) {
            self.journal.event("manifest.refused", Level::Error, None, format!("and {more} more problems"));
        }
        let still: HashSet<&str> = now.iter().map(|problem| problem.file.as_str()).collect();
        let mut mended: Vec<&str> = self.told.iter().map(|problem| problem.file.as_str()).filter(|file| !still.contains(file)).collect();
        mended.sort_unstable();
        mended.dedup();
        for file in mended {
            self.journal.event("manifest.accepted", Level::Info, None, format!("{file}: all problems are gone"));
        }
        self.told = now;
        self.problems = problems;
    }

    fn tell_rolled(&self, rolled: &[Rolled], changes: &[Change]) {
        let mut moved: HashMap<&str, usize> = HashMap::new();
        for change in changes {
            if let Change::Roll { from, to } | Change::Update { from, to } = change
                && from.digest != to.digest
            {
                *moved.entry(&to.spec.run.component).or_default() += 1;
            }
        }
        for Rolled { component, from, to } in rolled {
            if let Some(workers) = moved.get(&**component) {
                let message = format!("{component}: {} -> {}, {workers} worker(s) after their event in flight", short(from), short(to));
                self.journal.event("component.rolled", Level::Info, None, message);
            }
        }
    }

    pub(super) fn publish(&self) {
        let status = Status { generation: self.applied.generation(), problems: self.problems.clone(), desired: self.applied.clone() };
        self.status.send_replace(Arc::new(status));
    }

    /// A probation is over: what could have been gone back to may go.
    pub(super) async fn proven(&mut self) {
        self.table.expire(self.clock.now());
        let running = self.applied.units().iter().map(|unit| unit.digest.clone()).collect();
        if self.table.retain(&running) {
            self.prune().await;
        }
    }

    async fn prune(&self) {
        self.lower.loader.prune(&self.table.digests()).await;
    }

    /// The plan of doing nothing.
    pub(super) fn unchanged(&self) -> Plan {
        let unchanged = self.applied.units().len();
        Plan { generation: self.applied.generation(), applied: false, steps: Vec::new(), unchanged, files: Vec::new(), forgets: Vec::new() }
    }
}

/// `2 created, 1 updated, 9997 unchanged`.
fn counts(changes: &[Change], applied: &Desired) -> String {
    let words =
        [(Verb::Remove, "removed"), (Verb::Create, "created"), (Verb::Update, "updated"), (Verb::Roll, "rolled"), (Verb::Amend, "amended")];
    let count = |verb| changes.iter().filter(|change| change.verb() == Some(verb)).count();
    let touched: Vec<String> =
        words.into_iter().map(|(verb, word)| (count(verb), word)).filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    let unchanged = format!("{} unchanged", unchanged(changes, applied));
    touched.into_iter().chain([unchanged]).collect::<Vec<_>>().join(", ")
}

/// Workers that stay as they are.
pub(super) fn unchanged(changes: &[Change], to: &Desired) -> usize {
    let touched = changes.iter().filter(|change| !matches!(change.verb(), None | Some(Verb::Remove))).count();
    to.units().len() - touched.min(to.units().len())
}

/// The lines of a plan.
pub(super) fn steps(changes: &[Change]) -> Vec<Step> {
    changes.iter().filter_map(Change::step).collect()
}
