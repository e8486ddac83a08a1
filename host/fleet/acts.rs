//! What people ask for: apply, delete, undo, pause, scale, another rate. Each edits the folder's texts, and the edit is applied as it is written.
//!
//! An act is refused as a whole when anything it touches has a problem afterwards, or anything else gets a new one. Must not change
//! desired state by any other way than texts.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use super::{
    ApplyRequest, FleetError,
    commit::{Cause, steps, unchanged},
    edits::{self, Placement, Texts},
    files::{File, Key},
    folder::{self, Edit, WriteError},
    lower::Part,
    memory,
    reconciler::Reconciler,
    resolve::{Mode, Proposal},
};
use crate::{
    facts::{Plan, Problem},
    manifest::{
        MAX_FILE_BYTES,
        edit::{self, Kind},
        spec::{FileSpec, Rate},
    },
};

/// What an applied text is called where its problems are told.
const TEXT: &str = "-";
/// Where tables go that have no better place.
const APPLIED: &str = "applied";
/// The longest name of an apply set.
const SET_NAME_CHARS: usize = 64;

type Files = BTreeMap<Arc<str>, File>;

impl<C: Part> Reconciler<C> {
    pub(super) async fn apply(&mut self, request: ApplyRequest) -> Result<Plan, FleetError> {
        let ApplyRequest { text, set, prune, fresh, dry_run } = request;
        let label = set.clone().unwrap_or_else(|| TEXT.to_owned());
        if text.len() as u64 > MAX_FILE_BYTES {
            let message = format!("has {} bytes; at most {MAX_FILE_BYTES} (8 MiB) are applied at once", text.len());
            return Err(FleetError::Invalid(vec![problem(&label, None, message, "apply it in several parts")]));
        }
        let home = home(set.as_deref(), &text)?;
        let name = label.clone();
        let placed = self.with_book(move |book| {
            let placement = edits::place(&book.files, &text, &home, prune)?;
            let stands = |key: &&Key| book.files.values().any(|file| file.tables().contains(key));
            if let Some((kind, taken)) = placement.declared.iter().filter(|_| fresh).find(stands) {
                let message = format!("there is a {} \"{taken}\" already", kind.as_str());
                return Err(FleetError::Invalid(vec![problem(&name, Some("name"), message, "choose another name")]));
            }
            if placement.odd {
                // No file will show what is wrong with it.
                let (spec, mut problems) = book.check(&name, &text);
                problems.extend(spec.iter().flat_map(|spec| undeclared(spec, &placement.declared, &name)));
                if !problems.is_empty() {
                    return Err(FleetError::Invalid(problems));
                }
            }
            Ok(placement)
        });
        let placement = placed.await??;
        let texts = placement.texts.clone();
        let (proposal, texts) = self.consider(texts, Mode::Strict, |problem| placement.translate(problem, &label)).await?;
        if prune {
            left_over(&proposal, &placement)?;
        }
        self.act(proposal, texts, Cause::Apply, dry_run).await
    }

    pub(super) async fn delete(&mut self, worker: &str, dry_run: bool) -> Result<Plan, FleetError> {
        if worker.contains('/') && self.applied.unit(worker).is_some() {
            return self.delete_item(worker, dry_run).await;
        }
        let key = (Kind::Worker, worker.to_owned());
        let (file, text) = self.stands(&key).await?;
        let texts = vec![(file.clone(), edits::without(&file, &text, &key))];
        let (proposal, texts) = self.consider(texts, Mode::Lenient, |problem| problem).await?;
        self.act(proposal, texts, Cause::Delete, dry_run).await
    }

    pub(super) async fn set_paused(&mut self, worker: &str, paused: bool) -> Result<Plan, FleetError> {
        self.set((Kind::Worker, worker.to_owned()), "paused", paused.into(), Cause::Pause).await
    }

    pub(super) async fn scale(&mut self, worker: &str, replicas: u32) -> Result<Plan, FleetError> {
        self.set((Kind::Worker, worker.to_owned()), "replicas", i64::from(replicas).into(), Cause::Scale).await
    }

    pub(super) async fn set_rate(&mut self, limiter: &str, rate: Rate) -> Result<Plan, FleetError> {
        self.set((Kind::Limiter, limiter.to_owned()), "rate", rate.to_string().into(), Cause::Rate).await
    }

    async fn set(&mut self, key: Key, field: &str, value: toml_edit::Value, cause: Cause) -> Result<Plan, FleetError> {
        let (file, text) = self.stands(&key).await?;
        let (kind, name) = &key;
        let edited =
            edit::set_field_of(&text, *kind, name, field, value).map_err(|error| FleetError::Conflict(format!("{file}: {error}")))?;
        let (proposal, texts) = self.consider(vec![(file, Some(edited.into()))], Mode::Lenient, |problem| problem).await?;
        self.act(proposal, texts, cause, false).await
    }

    /// Brings back the texts of the newest generation that had other ones; each further undo goes one more back.
    pub(super) async fn undo(&mut self, dry_run: bool) -> Result<Plan, FleetError> {
        let mut number = self.saved.memory.undone_to.unwrap_or(self.saved.number);
        let (to, before) = loop {
            let generation = self.lower.archive.before(number).await.map_err(|error| FleetError::Internal(error.to_string()))?;
            let Some(generation) = generation else {
                return Err(FleetError::Conflict("there is no earlier generation to go back to".to_owned()));
            };
            number = generation.number;
            let texts: BTreeMap<Arc<str>, Arc<str>> = memory::manifests(&generation).cloned().collect();
            if texts != self.saved.texts {
                break (number, texts);
            }
        };
        let mut texts: Texts = Vec::new();
        for (name, text) in before.iter().filter(|(name, text)| self.saved.texts.get(*name) != Some(*text)) {
            texts.push((name.clone(), Some(text.clone())));
        }
        texts.extend(self.saved.texts.keys().filter(|name| !before.contains_key(*name)).map(|name| (name.clone(), None)));
        let (proposal, texts) = self.consider(texts, Mode::Lenient, |problem| problem).await?;
        self.act(proposal, texts, Cause::Undo(to), dry_run).await
    }

    /// The file and text in which a table stands.
    pub(super) async fn stands(&self, key: &Key) -> Result<(Arc<str>, Arc<str>), FleetError> {
        let wanted = key.clone();
        let found = self.with_book(move |book| {
            let file = book.files.iter().find(|(_, file)| file.tables().contains(&wanted));
            file.and_then(|(name, file)| Some((name.clone(), file.text.clone()?)))
        });
        if let Some(found) = found.await? {
            return Ok(found);
        }
        let (kind, worker) = key;
        if *kind == Kind::Limiter {
            let known = self.applied.limiters().into_iter().find(|limiter| limiter.name == *worker);
            let missing = || FleetError::NotFound(format!("no limiter \"{worker}\""));
            return Err(known.map_or_else(missing, |limiter| edits::unreadable(&limiter.origin.file)));
        }
        match (self.applied.unit(worker), worker.split_once('/')) {
            (Some(_), Some((parent, _))) => Err(FleetError::Conflict(format!(
                "\"{worker}\" is an item of worker \"{parent}\" (each): change \"{parent}\", or its item in the manifest"
            ))),
            (Some(unit), None) => Err(edits::unreadable(&unit.spec.origin.file)),
            (None, _) => Err(FleetError::NotFound(format!("no worker \"{worker}\""))),
        }
    }

    /// Checks what these texts would lead to. Texts that change nothing are left out of what comes back.
    pub(super) async fn consider(
        &mut self,
        texts: Texts,
        mode: Mode,
        translate: impl Fn(Problem) -> Problem,
    ) -> Result<(Proposal, Texts), FleetError> {
        let drafted = self.with_book(move |book| {
            let same = |(name, text): &(Arc<str>, Option<Arc<str>>)| match book.files.get(name) {
                Some(file) => file.text.is_some() && file.text == *text,
                None => text.is_none(),
            };
            let texts: Texts = texts.into_iter().filter(|entry| !same(entry)).collect();
            (book.draft(&texts), texts)
        });
        let (files, texts): (Files, Texts) = drafted.await?;
        let proposal = self.propose(files, mode).await?;
        let edited: HashSet<&str> = texts.iter().map(|(name, _)| &**name).collect();
        let known: HashSet<_> = self.problems.iter().map(wherever).collect();
        let to_blame = |problem: &&Problem| match edited.contains(problem.file.as_str()) {
            true => proposal.refused.contains(problem.file.as_str()),
            false => !known.contains(&wherever(problem)),
        };
        let mut problems: Vec<Problem> = proposal.problems.iter().filter(to_blame).cloned().map(translate).collect();
        problems.sort_by(in_order);
        if problems.is_empty() { Ok((proposal, texts)) } else { Err(FleetError::Invalid(problems)) }
    }

    /// Writes the texts and applies what they lead to, or only tells the plan.
    pub(super) async fn act(&mut self, proposal: Proposal, texts: Texts, cause: Cause, dry_run: bool) -> Result<Plan, FleetError> {
        let plan = Plan {
            generation: self.applied.generation(),
            applied: false,
            steps: steps(&proposal.changes),
            unchanged: unchanged(&proposal.changes, &proposal.desired),
            files: texts.iter().map(|(name, _)| name.to_string()).collect(),
            forgets: Vec::new(),
        };
        if dry_run || (texts.is_empty() && plan.steps.is_empty()) {
            return Ok(plan);
        }
        let written = if texts.is_empty() { Vec::new() } else { self.write(texts).await? };
        self.commit(proposal, cause, written).await?;
        Ok(Plan { generation: self.applied.generation(), applied: true, ..plan })
    }

    async fn write(&self, texts: Texts) -> Result<Vec<(Arc<str>, folder::Stamp)>, FleetError> {
        let dir = self.manifests.clone();
        let written = self.with_book(move |book| {
            let was = |name: &str| book.files.get(name).and_then(|file| file.stamp);
            let edits: Vec<Edit> = texts.into_iter().map(|(file, text)| Edit { was: was(&file), file, text }).collect();
            folder::write(&dir, &edits)
        });
        match written.await? {
            Ok(stamps) => Ok(stamps.into_iter().collect()),
            Err(error @ (WriteError::ReadOnly(_) | WriteError::Changed(_))) => Err(FleetError::Conflict(error.to_string())),
            Err(error @ WriteError::Io(_)) => Err(FleetError::Internal(error.to_string())),
        }
    }
}

/// As a person reads them.
pub(super) fn in_order(a: &Problem, b: &Problem) -> std::cmp::Ordering {
    (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column))
}

/// A problem without its place: an edit above moves lines.
fn wherever(problem: &Problem) -> (&str, Option<&str>, Option<&str>, &str) {
    (&problem.file, problem.worker.as_deref(), problem.field.as_deref(), &problem.message)
}

/// The file for tables that stand nowhere yet.
fn home(set: Option<&str>, text: &str) -> Result<Arc<str>, FleetError> {
    let name = match set {
        Some(set) => {
            let stem = set.strip_suffix(".toml").unwrap_or(set);
            let plain = stem.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
            if !plain || stem.is_empty() || stem.starts_with('.') || stem.len() > SET_NAME_CHARS {
                let message = format!("\"{set}\" can't be the name of an apply set");
                let hint = "use letters, digits, \"-\", \"_\" and \".\", 64 at most: it becomes a file name";
                return Err(FleetError::Invalid(vec![problem(set, Some("set"), message, hint)]));
            }
            stem.to_owned()
        }
        None => {
            let mut workers = edit::blocks(text).into_iter().filter(|block| block.kind == Kind::Worker);
            match (workers.next().and_then(|worker| worker.name), workers.next()) {
                (Some(only), None) if !only.contains(['/', '\0']) && !only.starts_with(['.', '#']) => only,
                _ => APPLIED.to_owned(),
            }
        }
    };
    Ok(format!("{name}.toml").into())
}

/// What a text declares without a table of its own.
fn undeclared(spec: &FileSpec, declared: &HashSet<Key>, label: &str) -> Vec<Problem> {
    let hidden = names(spec).filter(|key| !declared.contains(key));
    hidden
        .map(|(_, name)| {
            let message = format!("\"{name}\" is declared inside another value");
            problem(label, None, message, "write it as a table of its own, such as [[worker]]")
        })
        .collect()
}

/// A prune must leave nothing that the text doesn't declare; in a file that can't be edited it would.
fn left_over(proposal: &Proposal, placement: &Placement) -> Result<(), FleetError> {
    let left = |spec: &FileSpec| names(spec).find(|key| !placement.declared.contains(key));
    match proposal.desired.files().iter().find_map(|(file, spec)| Some((file, left(spec)?))) {
        None => Ok(()),
        Some((file, (_, name))) => Err(FleetError::Conflict(format!(
            "{file} is broken on disk, so \"{name}\" can't be pruned from it: mend the file or remove it first"
        ))),
    }
}

/// The tables behind a spec; the workers of one `each` share theirs.
fn names(spec: &FileSpec) -> impl Iterator<Item = Key> {
    let workers = spec.workers.iter().map(|worker| (Kind::Worker, parent(&worker.name).to_owned()));
    let limiters = spec.limiters.iter().map(|limiter| (Kind::Limiter, limiter.name.clone()));
    let queues = spec.queues.iter().map(|queue| (Kind::Queue, queue.name.clone()));
    workers.chain(limiters).chain(queues).chain(spec.maintenance.iter().map(|window| (Kind::Maintenance, window.name.clone())))
}

/// The worker whose table declares this one.
pub(super) fn parent(worker: &str) -> &str {
    worker.split_once('/').map_or(worker, |(parent, _)| parent)
}

pub(super) fn problem(file: &str, field: Option<&str>, message: String, hint: &str) -> Problem {
    let field = field.map(str::to_owned);
    Problem { file: file.to_owned(), line: 0, column: 0, worker: None, field, message, hint: Some(hint.to_owned()) }
}
