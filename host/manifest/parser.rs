//! Whole files: each block checked once, remembered by its text, and put together with what only a whole file shows.
//!
//! The cache is what makes a change of one worker among 10,000 cost one block. Must not read files.

use std::{
    collections::{HashMap, hash_map},
    ops::Range,
    sync::Arc,
};

use super::{
    MAX_FILE_BYTES,
    block::{self, Checked, Made},
    blocks::{Kind, Split, split},
    defaults,
    spec::FileSpec,
    tree::Entry,
};
use crate::facts::Problem;

/// Problems listed of one file; the rest is counted.
const MOST_PROBLEMS: usize = 500;

/// What parsing one file gave. `spec` is `None` when there is any problem: nothing of a broken file is applied.
#[derive(Debug, Clone, Default)]
pub struct Parsed {
    pub spec: Option<FileSpec>,
    pub problems: Vec<Problem>,
}

/// Parses manifests; remembers unchanged `[[worker]]` blocks by their text, so that a change of one worker in a file of 10,000
/// costs one block.
#[derive(Debug, Default)]
pub struct Parser {
    defaults: Vec<Entry<'static>>,
    files: HashMap<String, Remembered>,
}

/// A file as it was parsed last.
#[derive(Debug)]
struct Remembered {
    name: Arc<str>,
    text: String,
    blocks: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    range: Range<usize>,
    line: u32,
    checked: Checked,
}

impl Parser {
    /// `defaults`: the `[defaults]` table of skep.toml (any worker field), applied below what the manifest says. Tables are merged
    /// key by key; lists and a schedule are taken whole. [`super::check_defaults`] says what is wrong with them.
    pub fn new(defaults: Option<toml::Table>) -> Self {
        Self { defaults: defaults.as_ref().map(defaults::entries).unwrap_or_default(), files: HashMap::new() }
    }

    /// Checks one file. `file` is its name for messages and origins.
    pub fn parse(&mut self, file: &str, text: &str) -> Parsed {
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_FILE_BYTES {
            self.forget(file);
            let message = format!("has {} bytes; at most {MAX_FILE_BYTES} are read", text.len());
            let hint = Some("split it into several files".to_owned());
            let problem = Problem { file: file.to_owned(), line: 0, column: 0, worker: None, field: None, message, hint };
            return Parsed { spec: None, problems: vec![problem] };
        }
        let before = self.files.remove(file);
        let name = before.as_ref().map_or_else(|| Arc::from(file), |before| Arc::clone(&before.name));
        let blocks = self.checked_blocks(&name, text, before);
        let parsed = put_together(file, &blocks);
        self.files.insert(file.to_owned(), Remembered { name, text: text.to_owned(), blocks });
        parsed
    }

    /// Forgets a file that is gone.
    pub fn forget(&mut self, file: &str) {
        self.files.remove(file);
    }

    /// Every block of `text`, taken from `before` where its text is the same.
    fn checked_blocks(&self, file: &Arc<str>, text: &str, before: Option<Remembered>) -> Vec<Known> {
        let splits = split(text);
        let (old_text, old) = before.map(|before| (before.text, before.blocks)).unwrap_or_default();
        let same = same_blocks(&splits, &old, &old_text);
        let mut old: Vec<Option<Known>> = old.into_iter().map(Some).collect();
        let mut start = 0;
        let known = splits.iter().zip(same).map(|(split, same)| {
            let range = start..start + split.text.len();
            start = range.end;
            let kept = same.and_then(|at| old.get_mut(at)).and_then(Option::take);
            let checked = match kept {
                None => block::check(split, file, &self.defaults),
                Some(kept) if kept.line == split.line => kept.checked,
                Some(mut kept) => {
                    move_to(&mut kept.checked.made, split.line + split.header_line);
                    kept.checked
                }
            };
            Known { range, line: split.line, checked }
        });
        known.collect()
    }
}

/// For each new block the old one with the same text. Both ends are compared in order; what lies between is looked up.
fn same_blocks(new: &[Split<'_>], old: &[Known], old_text: &str) -> Vec<Option<usize>> {
    let text_of = |known: &Known| old_text.get(known.range.clone()).unwrap_or_default();
    let same = |(new, old): &(&Split<'_>, &Known)| new.text == text_of(old);
    let front = new.iter().zip(old).take_while(same).count();
    let most = new.len().min(old.len()) - front;
    let back = new.iter().rev().zip(old.iter().rev()).take(most).take_while(same).count();
    let mut between: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, known) in old.iter().enumerate().take(old.len() - back).skip(front) {
        between.entry(text_of(known)).or_default().push(at);
    }
    let find = |(at, split): (usize, &Split<'_>)| match at {
        _ if at < front => Some(at),
        _ if at >= new.len() - back => Some(old.len() - (new.len() - at)),
        _ => between.get_mut(split.text).and_then(Vec::pop),
    };
    new.iter().enumerate().map(find).collect()
}

/// A block that only moved keeps its specs but for the line. Specs that are in use elsewhere are copied, not changed.
fn move_to(made: &mut Made, line: u32) {
    match made {
        Made::Nothing => {}
        Made::Worker(spec) => Arc::make_mut(spec).origin.line = line,
        Made::Workers(specs) => specs.iter_mut().for_each(|spec| Arc::make_mut(spec).origin.line = line),
        Made::Limiter(spec) => Arc::make_mut(spec).origin.line = line,
        Made::Queue(spec) => Arc::make_mut(spec).origin.line = line,
        Made::Maintenance(spec) => Arc::make_mut(spec).origin.line = line,
    }
}

/// The file's spec, or all its problems; names that are taken twice show only here.
fn put_together(file: &str, blocks: &[Known]) -> Parsed {
    let mut spec = FileSpec { workers: Vec::with_capacity(blocks.len()), ..FileSpec::default() };
    let mut problems = Vec::new();
    let mut names: HashMap<(Kind, &str), u32> = HashMap::with_capacity(blocks.len());
    for Known { line, checked, .. } in blocks {
        problems.extend(checked.problems.iter().map(|problem| Problem { line: problem.line + line, ..problem.clone() }));
        if let Some(name) = checked.name.as_deref() {
            let (below, _) = checked.name_at;
            match names.entry((checked.kind, name)) {
                hash_map::Entry::Vacant(free) => _ = free.insert(line + below),
                hash_map::Entry::Occupied(first) => problems.push(taken(file, checked, line, *first.get())),
            }
        }
        match &checked.made {
            Made::Nothing => {}
            Made::Worker(worker) => spec.workers.push(Arc::clone(worker)),
            Made::Workers(workers) => spec.workers.extend(workers.iter().cloned()),
            Made::Limiter(limiter) => spec.limiters.push(Arc::clone(limiter)),
            Made::Queue(queue) => spec.queues.push(Arc::clone(queue)),
            Made::Maintenance(window) => spec.maintenance.push(Arc::clone(window)),
        }
    }
    if problems.is_empty() {
        return Parsed { spec: Some(spec), problems };
    }
    problems.sort_by_key(|problem| (problem.line, problem.column));
    Parsed { spec: None, problems: bounded(problems) }
}

/// The name of a table stands in the file already, on line `first`.
fn taken(file: &str, checked: &Checked, block_line: &u32, first: u32) -> Problem {
    let (below, column) = checked.name_at;
    let name = checked.name.as_deref().unwrap_or_default();
    let worker = checked.kind == Kind::Worker;
    Problem {
        file: file.to_owned(),
        line: block_line + below,
        column,
        worker: worker.then(|| name.to_owned()),
        field: Some(if worker { "name".to_owned() } else { format!("{}.name", checked.kind.as_str()) }),
        message: format!("the name \"{name}\" is already taken on line {first}"),
        hint: Some("give one of them another name".to_owned()),
    }
}

fn bounded(mut problems: Vec<Problem>) -> Vec<Problem> {
    let more = problems.len().saturating_sub(MOST_PROBLEMS);
    problems.truncate(MOST_PROBLEMS);
    if let Some(last) = problems.last().filter(|_| more > 0) {
        let message = format!("and {more} more problems in this file");
        problems.push(Problem { worker: None, field: None, message, hint: None, ..last.clone() });
    }
    problems
}
