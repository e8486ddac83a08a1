//! Which version of each file and component runs: everything that is valid as it is on disk, the last good version of the rest.
//!
//! ```text
//!   file on disk ── reads and parses? ── its components usable? ── agrees with all other files? ──▶ applied
//!                        │ no                  │ no                       │ no
//!                        └─────────────────────┴──────────────────────────┴──▶ refused: the last good version stays, if any
//! ```
//!
//! Pure. Nothing of a refused file is applied, and no other file waits for it. A refusal may change what the others are checked
//! against, so they are checked again until nothing more is refused.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{
    components::{Rolls, Table},
    desired::{Desired, Unit},
    diff::{self, Change},
    fault::Fault,
    files::{File, Good, bounded},
    lower::Part,
};
use crate::{
    facts::{Digest, Problem},
    manifest::{
        self,
        spec::{FileSpec, WorkerSpec},
    },
};

/// How strict a changed file is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Every component it names must be usable as its file stands.
    Strict,
    /// A worker that keeps its component may keep the bytes it runs on: pausing a worker is no time to refuse it for a lost file.
    Lenient,
}

/// What the folder comes to.
#[derive(Debug)]
pub struct Proposal {
    /// All files, with what is good from now on.
    pub files: BTreeMap<Arc<str>, File>,
    /// Files whose text on disk is not applied.
    pub refused: HashSet<Arc<str>>,
    pub rolls: Rolls,
    pub desired: Desired,
    pub changes: Vec<Change>,
    /// All problems, in file and line order.
    pub problems: Vec<Problem>,
}

/// One file in the version under consideration.
struct Chosen {
    file: Arc<str>,
    spec: Arc<FileSpec>,
    /// Not applied yet.
    fresh: bool,
}

/// Works out the proposal. `folder`: problems of the folder itself; `applied`: what runs now.
pub fn resolve<C: Part>(
    mut files: BTreeMap<Arc<str>, File>,
    folder: Vec<Problem>,
    table: &Table<C>,
    applied: &Desired,
    mode: Mode,
) -> Proposal {
    let own = files.iter().filter(|(_, file)| file.parsed.is_none() && !file.problems.is_empty());
    let mut refused: BTreeMap<Arc<str>, Vec<Problem>> = own.map(|(name, file)| (name.clone(), file.problems.to_vec())).collect();
    let (chosen, rolls, shown) = loop {
        let chosen = choose(&files, &refused);
        let rolls = table.rolls(chosen.iter().flat_map(|chosen| &chosen.spec.workers));
        let judge = Judge { table, rolls: &rolls, applied, mode };
        let mut shown: BTreeMap<Arc<str>, Vec<Problem>> = BTreeMap::new();
        let before = refused.len();
        for Chosen { file, spec, fresh } in &chosen {
            let (problems, blocks) = judge.file(file, spec);
            match (*fresh && blocks, problems.is_empty()) {
                (true, _) => _ = refused.insert(file.clone(), problems),
                (false, false) => _ = shown.insert(file.clone(), problems),
                (false, true) => {}
            }
        }
        if refused.len() > before {
            continue;
        }
        let fresh: HashSet<&str> = chosen.iter().filter(|chosen| chosen.fresh).map(|chosen| &*chosen.file).collect();
        for problem in across(&chosen) {
            let of = if fresh.contains(problem.file.as_str()) { &mut refused } else { &mut shown };
            of.entry(problem.file.as_str().into()).or_default().push(problem);
        }
        if refused.len() == before {
            break (chosen, rolls, shown);
        }
    };
    for Chosen { file, spec, .. } in chosen.iter().filter(|chosen| chosen.fresh) {
        if let Some(file) = files.get_mut(file) {
            file.good = file.text.clone().map(|text| Good { text, spec: spec.clone() });
        }
    }
    let judge = Judge { table, rolls: &rolls, applied, mode };
    let specs = chosen.into_iter().map(|chosen| (chosen.file, chosen.spec)).collect();
    let desired = judge.desired(specs, &refused);
    let problems = refused.values().chain(shown.values()).flat_map(|problems| bounded(problems.clone()));
    let mut problems: Vec<Problem> = folder.into_iter().chain(problems).collect();
    problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    let changes = diff::diff(applied, &desired);
    Proposal { files, refused: refused.into_keys().collect(), rolls, desired, changes, problems }
}

/// The version of each file to try: what is on disk, or the last good one when that was refused.
fn choose(files: &BTreeMap<Arc<str>, File>, refused: &BTreeMap<Arc<str>, Vec<Problem>>) -> Vec<Chosen> {
    let pick = |(name, file): (&Arc<str>, &File)| {
        let parsed = file.parsed.as_ref().filter(|_| !refused.contains_key(name) && !file.settled());
        let (spec, fresh) = match (parsed, &file.good) {
            (Some(parsed), _) => (parsed.clone(), true),
            (None, Some(good)) => (good.spec.clone(), false),
            (None, None) => return None,
        };
        Some(Chosen { file: name.clone(), spec, fresh })
    };
    files.iter().filter_map(pick).collect()
}

/// Checks over all files. What is applied already comes first, so that the newcomer is to blame.
fn across(chosen: &[Chosen]) -> Vec<Problem> {
    let (fresh, applied): (Vec<&Chosen>, Vec<&Chosen>) = chosen.iter().partition(|chosen| chosen.fresh);
    let all: Vec<_> = applied.into_iter().chain(fresh).map(|chosen| (chosen.file.clone(), &*chosen.spec)).collect();
    manifest::check_all(&all)
}

struct Judge<'a, C> {
    table: &'a Table<C>,
    rolls: &'a Rolls,
    applied: &'a Desired,
    mode: Mode,
}

impl<C: Part> Judge<'_, C> {
    /// The component problems of one file, the same one once, and whether they stand in the way of applying it.
    fn file(&self, file: &str, spec: &FileSpec) -> (Vec<Problem>, bool) {
        let mut problems: Vec<(Problem, usize)> = Vec::new();
        let mut known: HashMap<(&'static str, String), usize> = HashMap::new();
        let mut blocks = false;
        for worker in &spec.workers {
            let choice = self.table.choose(&worker.run, self.rolls);
            let Some(fault) = choice.fault else { continue };
            blocks |= choice.digest.is_none() || (fault.blocks && !self.may_keep(worker));
            let message = fault.about(&worker.run.component);
            let at = *known.entry((fault.field, message.clone())).or_insert(problems.len());
            match problems.get_mut(at) {
                Some((_, more)) => *more += 1,
                None => {
                    let problem = Problem {
                        file: file.to_owned(),
                        line: worker.origin.line,
                        column: 0,
                        worker: Some(worker.name.to_string()),
                        field: Some(fault.field.to_owned()),
                        message,
                        hint: fault.hint,
                    };
                    problems.push((problem, 0));
                }
            }
        }
        let told = problems.into_iter().map(|(mut problem, more)| {
            if more > 0 {
                let workers = if more == 1 { "worker" } else { "workers" };
                problem.message = format!("{} (the same for {more} more {workers} of this file)", problem.message);
            }
            problem
        });
        (told.collect(), blocks)
    }

    fn may_keep(&self, worker: &WorkerSpec) -> bool {
        let now = self.applied.unit(&worker.name).map(|unit| &unit.spec.run);
        self.mode == Mode::Lenient && now.is_some_and(|now| now.component == worker.run.component && now.digest == worker.run.digest)
    }

    fn desired(&self, specs: BTreeMap<Arc<str>, Arc<FileSpec>>, refused: &BTreeMap<Arc<str>, Vec<Problem>>) -> Desired {
        let of_file = |problems: &Vec<Problem>| {
            problems.first().map(|problem| Arc::from(format!("the file has problems and is not applied: {problem}")))
        };
        let held: HashMap<&str, Arc<str>> = refused.iter().filter_map(|(file, problems)| Some((&**file, of_file(problems)?))).collect();
        Desired::new(self.applied.generation(), specs, |file, worker| {
            let choice = self.table.choose(&worker.run, self.rolls);
            let of_component = |fault: Fault| Arc::from(fault.about(&worker.run.component));
            let held_back = held.get(file).cloned().or_else(|| choice.fault.map(of_component));
            Some(Unit { spec: worker.clone(), digest: choice.digest?, held_back })
        })
    }
}

impl Proposal {
    /// Component files that a worker without a pin runs on: those that roll.
    pub fn rolling(&self) -> HashSet<Arc<str>> {
        let units = self.desired.units().iter().filter(|unit| unit.spec.run.digest.is_none());
        units.map(|unit| unit.spec.run.component.clone()).collect()
    }

    /// The bytes that workers run on.
    pub fn running(&self) -> HashSet<Digest> {
        self.desired.units().iter().map(|unit| unit.digest.clone()).collect()
    }
}

/// What manifests ask of the components room.
#[derive(Debug, Default)]
pub struct Named {
    /// Component files that any version of a file names.
    pub all: HashSet<Arc<str>>,
    /// Those that a text names that is not applied (yet).
    pub fresh: HashSet<Arc<str>>,
    /// Bytes that a worker is pinned to.
    pub pins: HashSet<Digest>,
}

impl Named {
    pub fn by(files: &BTreeMap<Arc<str>, File>) -> Self {
        let mut named = Self::default();
        for file in files.values() {
            let settled = file.settled();
            if let Some(parsed) = &file.parsed {
                named.add(parsed, !settled);
            }
            if let Some(good) = file.good.as_ref().filter(|_| !settled) {
                named.add(&good.spec, false);
            }
        }
        named
    }

    fn add(&mut self, spec: &FileSpec, fresh: bool) {
        let mut last: Option<&Arc<str>> = None;
        for worker in &spec.workers {
            self.pins.extend(worker.run.digest.clone());
            let name = &worker.run.component;
            // Ten thousand workers in a row on one component are one look.
            if last.is_some_and(|last| last == name) {
                continue;
            }
            last = Some(name);
            self.all.insert(name.clone());
            if fresh {
                self.fresh.insert(name.clone());
            }
        }
    }
}
