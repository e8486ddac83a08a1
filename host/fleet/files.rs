//! Every manifest file as it is on disk and as it was when it was last good.
//!
//! Blocking: reads and parses. Must not decide which version runs; that needs all files and components together (`resolve`).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use super::{
    folder::{self, Look, Stamp},
    watch::Names,
};
use crate::{
    facts::Problem,
    manifest::{
        self, Parser,
        edit::{self, Kind},
        spec::FileSpec,
    },
};

/// Problems kept of one file; the rest is counted.
const PROBLEMS_KEPT: usize = 1_000;

/// A table's kind and name.
pub type Key = (Kind, String);

/// A text that was applied.
#[derive(Debug, Clone)]
pub struct Good {
    pub text: Arc<str>,
    pub spec: Arc<FileSpec>,
}

/// One manifest file. Cheap to clone: a draft of the folder is a clone of all of them.
#[derive(Debug, Clone, Default)]
pub struct File {
    pub stamp: Option<Stamp>,
    /// None when it can't be read.
    pub text: Option<Arc<str>>,
    /// What the text declares; None when it has problems.
    pub parsed: Option<Arc<FileSpec>>,
    /// The file's own problems: of reading and parsing it.
    pub problems: Arc<[Problem]>,
    pub good: Option<Good>,
    tables: Arc<OnceLock<Vec<Key>>>,
}

impl File {
    /// Is what is on disk what is applied?
    pub fn settled(&self) -> bool {
        matches!((&self.text, &self.good), (Some(text), Some(good)) if Arc::ptr_eq(text, &good.text) || **text == *good.text)
    }

    /// The named tables of the text, also of one with problems.
    pub fn tables(&self) -> &[Key] {
        self.tables.get_or_init(|| {
            let blocks = self.text.as_deref().map(edit::blocks).unwrap_or_default();
            blocks.into_iter().filter(|block| block.kind != Kind::Other).filter_map(|block| Some((block.kind, block.name?))).collect()
        })
    }
}

/// The manifests folder, with the parse cache.
#[derive(Debug)]
pub struct Book {
    dir: PathBuf,
    parser: Parser,
    pub files: BTreeMap<Arc<str>, File>,
    /// Problems of the folder itself.
    pub folder: Vec<Problem>,
    /// Could the folder be listed when it was last tried?
    readable: bool,
}

impl Book {
    pub fn new(dir: PathBuf, defaults: Option<toml::Table>) -> Self {
        Self { dir, parser: Parser::new(defaults), files: BTreeMap::new(), folder: Vec::new(), readable: false }
    }

    /// Looks at the folder again; true when a text or a problem changed. Named files are read whatever their stamp says: two writes
    /// within one tick of the file system's clock look alike.
    pub fn rescan(&mut self, names: &Names) -> bool {
        match names {
            Names::These(names) => {
                // A folder that is gone keeps everything: it is not the same as a folder without files.
                let there = fs::metadata(&self.dir).is_ok_and(|dir| dir.is_dir());
                let mut changed = false;
                for name in names {
                    changed |= self.revisit(name, None, there);
                }
                changed
            }
            Names::All => {
                let (names, folder) = match folder::list(&self.dir) {
                    Ok(listing) => (Some(listing.names), listing.problems),
                    Err(problem) => (None, vec![*problem]),
                };
                let mut changed = std::mem::replace(&mut self.folder, folder) != self.folder;
                self.readable = names.is_some();
                let Some(names) = names else { return changed };
                for name in &names {
                    let known = self.files.get(name).and_then(|file| file.stamp);
                    changed |= self.revisit(name, known, true);
                }
                let names: BTreeSet<_> = names.into_iter().collect();
                let gone: Vec<_> = self.files.keys().filter(|name| !names.contains(*name)).cloned().collect();
                for name in gone {
                    changed |= self.forget(&name);
                }
                changed
            }
        }
    }

    fn revisit(&mut self, name: &Arc<str>, known: Option<Stamp>, forget: bool) -> bool {
        let (text, stamp, problems) = match folder::look(&self.dir, name, known) {
            Look::Same => return false,
            Look::Absent => return forget && self.forget(name),
            Look::Text { text, stamp } => (Some(text), Some(stamp), None),
            Look::Unusable { problem, stamp } => (None, stamp, Some(problem)),
        };
        if let Some(file) = self.files.get_mut(name) {
            let same = match &problems {
                None => file.text == text,
                Some(problem) => file.text.is_none() && *file.problems == [problem.clone()],
            };
            if same {
                file.stamp = stamp;
                return false;
            }
        }
        let good = self.files.get(name).and_then(|file| file.good.clone());
        let file = match (text, problems) {
            (Some(text), _) => File { stamp, good, ..self.parse(name, text) },
            (None, problem) => File { stamp, good, problems: problem.into_iter().collect(), ..File::default() },
        };
        self.files.insert(name.clone(), file);
        true
    }

    fn forget(&mut self, name: &str) -> bool {
        self.parser.forget(name);
        self.files.remove(name).is_some()
    }

    /// A file with this text. Not put among the files.
    fn parse(&mut self, name: &str, text: Arc<str>) -> File {
        let parsed = self.parser.parse(name, &text);
        let mut problems = parsed.problems;
        if let Some(spec) = &parsed.spec {
            problems.extend(manifest::not_in_this_build(spec));
        }
        let spec = parsed.spec.filter(|_| problems.is_empty()).map(Arc::new);
        File { text: Some(text), parsed: spec, problems: bounded(problems).into(), ..File::default() }
    }

    /// Takes over what was good when the host last ran; for files that are still there, or all when the folder can't be read.
    pub fn restore<'a>(&mut self, kept: impl Iterator<Item = (&'a Arc<str>, &'a Arc<str>)>) {
        for (name, text) in kept {
            if self.readable && !self.files.contains_key(name) {
                continue;
            }
            let on_disk = self.files.get(name).filter(|file| file.text.as_ref() == Some(text)).and_then(|file| file.parsed.clone());
            let Some(spec) = on_disk.or_else(|| self.parse(name, text.clone()).parsed) else {
                continue;
            };
            self.files.entry(name.clone()).or_default().good = Some(Good { text: text.clone(), spec });
        }
    }

    /// All files as they would be after these texts were written (None: removed). Changes nothing.
    pub fn draft(&mut self, texts: &[(Arc<str>, Option<Arc<str>>)]) -> BTreeMap<Arc<str>, File> {
        let mut files = self.files.clone();
        for (name, text) in texts {
            match text {
                Some(text) => {
                    let before = files.get(name);
                    let (stamp, good) = (before.and_then(|file| file.stamp), before.and_then(|file| file.good.clone()));
                    files.insert(name.clone(), File { stamp, good, ..self.parse(name, text.clone()) });
                }
                None => {
                    files.remove(name);
                }
            }
        }
        files
    }

    /// The problems of a text that is no file (yet), and what it declares.
    pub fn check(&mut self, label: &str, text: &str) -> (Option<Arc<FileSpec>>, Vec<Problem>) {
        let file = self.parse(label, text.into());
        self.parser.forget(label);
        (file.parsed, file.problems.to_vec())
    }
}

/// The first problems, and how many more there are.
pub fn bounded(mut problems: Vec<Problem>) -> Vec<Problem> {
    let more = problems.len().saturating_sub(PROBLEMS_KEPT);
    problems.truncate(PROBLEMS_KEPT);
    if let Some(last) = problems.last().filter(|_| more > 0) {
        let message = format!("and {more} more problems in this file");
        problems.push(Problem { message, hint: None, field: None, worker: None, ..last.clone() });
    }
    problems
}
