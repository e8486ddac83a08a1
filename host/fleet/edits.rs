//! Where the tables of an applied text go, and the texts that come of it.
//!
//! Pure. Works by block, in one pass a file, so that 10,000 tables cost no more than reading them. Every byte that no table of the
//! text replaces stays. Must not check what a text says: the outcome is parsed like any file.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{
    FleetError,
    files::{File, Key},
};
use crate::{
    facts::Problem,
    manifest::edit::{self, Kind},
};

/// New texts by file; None: the file goes.
pub type Texts = Vec<(Arc<str>, Option<Arc<str>>)>;

/// What an apply comes to.
#[derive(Debug, Default)]
pub struct Placement {
    pub texts: Texts,
    /// The named tables of the text.
    pub declared: HashSet<Key>,
    /// The text says something that no table of it shows (a table without a name or twice, keys before the first table), and is not
    /// written as it stands: its own problems are to be looked for.
    pub odd: bool,
    places: Vec<Place>,
}

/// Lines of a file that came from lines of the text.
#[derive(Debug)]
struct Place {
    file: Arc<str>,
    line: u32,
    lines: u32,
    own_line: u32,
}

impl Placement {
    /// The problem as the text's author sees it: on the text's own lines where they are to blame.
    pub fn translate(&self, mut problem: Problem, label: &str) -> Problem {
        let hit =
            |place: &&Place| *place.file == *problem.file && problem.line.checked_sub(place.line).is_some_and(|below| below < place.lines);
        if let Some(place) = self.places.iter().find(hit) {
            problem.line = problem.line - place.line + place.own_line;
            problem.file = label.to_owned();
        }
        problem
    }
}

/// One named table of an applied text.
struct Incoming<'t> {
    key: Key,
    text: &'t str,
    line: u32,
}

/// Puts every table of `text` where the one of its kind and name stands, else into `home`. `prune`: every other named table goes.
pub fn place(files: &BTreeMap<Arc<str>, File>, text: &str, home: &Arc<str>, prune: bool) -> Result<Placement, FleetError> {
    let (incoming, unnamed) = tables(text);
    let declared: HashSet<Key> = incoming.iter().map(|table| table.key.clone()).collect();
    let mut odd = unnamed || declared.len() < incoming.len();
    let mut stands: HashMap<&Key, &Arc<str>> = HashMap::new();
    for (name, file) in files {
        for key in file.tables().iter().filter(|key| declared.contains(*key)) {
            stands.entry(key).or_insert(name);
        }
    }
    let mut placement = Placement::default();
    let mut work: BTreeMap<&Arc<str>, Work<'_>> = BTreeMap::new();
    for table in &incoming {
        match stands.get(&table.key) {
            Some(file) => _ = work.entry(*file).or_default().put.insert(&table.key, table),
            None => work.entry(home).or_default().append.push(table),
        }
    }
    if prune {
        let leftover = files.iter().filter(|(_, file)| file.tables().iter().any(|key| !declared.contains(key)));
        for (name, _) in leftover {
            work.entry(name).or_default().drop_others = true;
        }
    }
    for (name, work) in work {
        let current = match files.get(name) {
            Some(File { text: None, .. }) => return Err(unreadable(name)),
            Some(File { text: Some(current), .. }) => &**current,
            None => "",
        };
        let all_new = current.trim().is_empty() && work.append.len() == incoming.len();
        let outcome = if all_new {
            odd = false;
            placement.places.push(Place { file: name.clone(), line: 1, lines: u32::MAX, own_line: 1 });
            text.to_owned()
        } else {
            let mut splice =
                Splice { file: name, out: String::with_capacity(current.len() + text.len()), line: 1, places: &mut placement.places };
            splice.run(current, &work, &declared);
            splice.out
        };
        placement.texts.push((name.clone(), kept(outcome)));
    }
    Ok(Placement { declared, odd, ..placement })
}

/// A file's text without some of its tables; None when nothing is left.
pub fn without(name: &Arc<str>, text: &str, key: &Key) -> Option<Arc<str>> {
    let mut splice = Splice { file: name, out: String::with_capacity(text.len()), line: 1, places: &mut Vec::new() };
    let work = Work { drop: Some(key), ..Work::default() };
    splice.run(text, &work, &HashSet::new());
    kept(splice.out)
}

/// The problem of a file that an edit would have to read first.
pub fn unreadable(name: &str) -> FleetError {
    FleetError::Conflict(format!("{name} can't be read, so it can't be edited: mend it or move it out of the manifests folder first"))
}

/// A file with neither tables nor comments goes.
fn kept(text: String) -> Option<Arc<str>> {
    (!text.trim().is_empty()).then(|| text.into())
}

/// The named tables, and whether there is anything else but comments.
fn tables(text: &str) -> (Vec<Incoming<'_>>, bool) {
    let mut line = 1;
    let mut tables = Vec::new();
    let mut unnamed = false;
    for block in edit::blocks(text) {
        let at = line;
        line += feeds(block.text);
        match block.name.filter(|_| block.kind != Kind::Other) {
            Some(name) => tables.push(Incoming { key: (block.kind, name), text: block.text, line: at }),
            None => unnamed |= !block.text.lines().all(loose),
        }
    }
    (tables, unnamed)
}

/// A blank line or a comment.
fn loose(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

/// What happens to one file.
#[derive(Default)]
struct Work<'t> {
    put: HashMap<&'t Key, &'t Incoming<'t>>,
    append: Vec<&'t Incoming<'t>>,
    drop: Option<&'t Key>,
    /// All tables that the text doesn't declare go.
    drop_others: bool,
}

/// Writes one file's new text, counting lines.
struct Splice<'s> {
    file: &'s Arc<str>,
    out: String,
    line: u32,
    places: &'s mut Vec<Place>,
}

impl Splice<'_> {
    fn run(&mut self, current: &str, work: &Work<'_>, declared: &HashSet<Key>) {
        for block in edit::blocks(current) {
            let key = block.name.filter(|_| block.kind != Kind::Other).map(|name| (block.kind, name));
            let Some(key) = key else {
                self.push(block.text);
                continue;
            };
            if let Some(new) = work.put.get(&key) {
                let (old, new_parts) = (Parts::of(block.text), Parts::of(new.text));
                // Without comments of its own the new table goes below the old one's.
                let above = if new_parts.above.is_empty() { old.above } else { new_parts.above };
                self.push(above);
                self.table(new_parts.table, new.line + feeds(new_parts.above));
                self.push(old.below);
            } else if work.drop != Some(&key) && (!work.drop_others || declared.contains(&key)) {
                self.push(block.text);
            }
        }
        for new in &work.append {
            let apart = match &self.out {
                out if out.is_empty() || out.ends_with("\n\n") => "",
                out if out.ends_with('\n') => "\n",
                _ => "\n\n",
            };
            self.push(apart);
            let parts = Parts::of(new.text);
            self.push(parts.above);
            self.table(parts.table, new.line + feeds(parts.above));
        }
    }

    fn push(&mut self, text: &str) {
        self.out.push_str(text);
        self.line += feeds(text);
    }

    fn table(&mut self, table: &str, own_line: u32) {
        let line = self.line;
        self.push(table);
        if !table.ends_with('\n') {
            self.push("\n");
        }
        self.places.push(Place { file: self.file.clone(), line, lines: self.line - line, own_line });
    }
}

/// A block's comments right above its header, the table itself, and the blank lines and loose comments below.
struct Parts<'t> {
    above: &'t str,
    table: &'t str,
    below: &'t str,
}

impl<'t> Parts<'t> {
    fn of(block: &'t str) -> Self {
        let lines = || block.split_inclusive('\n');
        let above: usize = lines().take_while(|line| !line.trim_start().starts_with('[')).map(str::len).sum();
        let below: usize = lines().rev().take_while(|line| loose(line)).map(str::len).sum();
        let (head, rest) = block.split_at_checked(above).unwrap_or((block, ""));
        let (table, below) = rest.len().checked_sub(below).and_then(|end| rest.split_at_checked(end)).unwrap_or((rest, ""));
        Self { above: head, table, below }
    }
}

fn feeds(text: &str) -> u32 {
    u32::try_from(text.bytes().filter(|byte| *byte == b'\n').count()).unwrap_or(u32::MAX)
}
