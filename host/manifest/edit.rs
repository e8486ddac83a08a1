//! Edits of a manifest's text that keep every comment and untouched byte.
//!
//! Works on text alone, by block: must not check what a manifest says, and must not write files.

use std::ops::Range;

pub use super::{
    blocks::Kind,
    values::{Set, change, item_text, remove_item},
};

use toml::de::DeTable;

use super::{
    blocks::{MAX_NESTING, Split, split},
    tree,
};

/// Why an edit can't be made.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    #[error("{0} is not declared in this file")]
    NotFound(String),
    #[error("the text can't be edited: {0}")]
    Syntax(String),
}

/// One top-level table with the comments that stand right above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block<'t> {
    pub kind: Kind,
    /// `name = "…"` of the table, when it has one.
    pub name: Option<String>,
    pub text: &'t str,
}

/// All top-level tables in order. Their texts put together are `text` again: blank lines and loose comments belong to the block
/// before them.
pub fn blocks(text: &str) -> Vec<Block<'_>> {
    split(text).into_iter().map(|split| Block { kind: split.kind, name: split.read_name(), text: split.text }).collect()
}

/// The text of one worker's block in `text`, or None: the comments right above it, its header, and all of its fields and
/// sub-tables. Blank lines and loose comments after it are not its own.
pub fn worker_block<'t>(text: &'t str, worker: &str) -> Option<&'t str> {
    let (_, split) = find(text, Kind::Worker, worker)?;
    Some(split.core())
}

/// The same block, and the line on which it starts.
pub fn worker_place<'t>(text: &'t str, worker: &str) -> Option<(&'t str, u32)> {
    let (_, split) = find(text, Kind::Worker, worker)?;
    Some((split.core(), split.line))
}

/// Puts `block` where the table of the same kind and name stands, else at the end. Comments right above the old table stay when
/// the new one brings none.
pub fn put_block(text: &str, block: &Block<'_>) -> Result<String, EditError> {
    let new = single(block)?;
    let name = new.read_name().unwrap_or_default();
    let out = match find(text, new.kind, &name) {
        None => appended(text, block.text.trim_end()),
        Some((at, old)) => {
            // Without comments of its own the new table goes below the old one's.
            let start = at + if new.header == 0 { old.header } else { 0 };
            let end = at + old.body_end;
            let feed = if new.core().ends_with('\n') || end == text.len() { "" } else { "\n" };
            replaced(text, start..end, &[new.core(), feed].concat())
        }
    };
    // An open string above would swallow what is put below it.
    match find(&out, new.kind, &name) {
        Some((_, put)) if put.core().trim_end().ends_with(new.core().trim_end()) => Ok(out),
        _ => Err(EditError::Syntax("a string or bracket above is not closed".to_owned())),
    }
}

/// Takes a worker's block out, with the comments right above it and the blank lines right below.
pub fn remove_worker(text: &str, worker: &str) -> Result<String, EditError> {
    let (at, split) = find(text, Kind::Worker, worker).ok_or_else(|| missing(Kind::Worker, worker))?;
    let end = at + split.body_end;
    let below = text.get(end..).unwrap_or_default();
    let blank = below.len() - below.trim_start().len();
    // Blank lines go whole: the indent of the line behind them stays.
    let blank = below.get(..blank).and_then(|b| b.rfind('\n')).map_or(0, |feed| feed + 1);
    let mut out = replaced(text, at..end + blank, "");
    if out.len() == at {
        let kept = out.trim_end().len();
        out.truncate(kept);
        if !out.is_empty() {
            out.push('\n');
        }
    }
    Ok(out)
}

/// Sets one top-level field of a worker (`paused`, `replicas`), keeping the rest of its block.
pub fn set_field(text: &str, worker: &str, field: &str, value: toml_edit::Value) -> Result<String, EditError> {
    set_field_of(text, Kind::Worker, worker, field, value)
}

/// The same for a table of any kind: `rate` of a limiter.
pub fn set_field_of(text: &str, kind: Kind, name: &str, field: &str, value: toml_edit::Value) -> Result<String, EditError> {
    let (at, split) = find(text, kind, name).ok_or_else(|| missing(kind, name))?;
    let value = value.decorated("", "").to_string();
    let edited = match field_of(&split, field)? {
        Some(place) => replaced(text, at + place.value.start..at + place.value.end, &value),
        None => {
            let before = at + split.fields_end;
            let feed = if text.contains("\r\n") { "\r\n" } else { "\n" };
            let lead = if text.get(..before).is_some_and(|t| t.ends_with('\n')) { "" } else { feed };
            replaced(text, before..before, &format!("{lead}{field} = {value}{feed}"))
        }
    };
    still_toml(edited, kind, name)
}

/// Takes one top-level field out of a worker's block, with its line; nothing changes when it isn't there.
pub fn remove_field(text: &str, worker: &str, field: &str) -> Result<String, EditError> {
    let (at, split) = find(text, Kind::Worker, worker).ok_or_else(|| missing(Kind::Worker, worker))?;
    let Some(place) = field_of(&split, field)? else {
        return Ok(text.to_owned());
    };
    let below = split.text.get(place.value.end..).unwrap_or_default();
    let end = place.value.end + below.find('\n').map_or(below.len(), |feed| feed + 1);
    still_toml(replaced(text, at + place.line..at + end, ""), Kind::Worker, worker)
}

/// Where a field stands in its block.
struct Place {
    /// Start of its line.
    line: usize,
    value: Range<usize>,
}

/// Finds a field that is written as `field = value`; one with a header or a dotted key can't be edited so.
fn field_of(split: &Split<'_>, field: &str) -> Result<Option<Place>, EditError> {
    parsed(split)?;
    let document = DeTable::parse(split.text).map_err(|error| EditError::Syntax(error.message().to_owned()))?;
    let list = document.get_ref().values().next().and_then(|value| value.get_ref().as_array());
    let table = list.and_then(|list| list.first()).and_then(|table| table.get_ref().as_table());
    let entry = table.and_then(|table| table.iter().find(|(key, _)| key.get_ref() == field));
    let Some((key, value)) = entry.map(|(key, value)| (key.span().start, value.span())) else {
        return Ok(None);
    };
    let line = split.text.get(..key).and_then(|before| before.rfind('\n')).map_or(0, |feed| feed + 1);
    let before = split.text.get(line..value.start).unwrap_or_default();
    if !before.trim_end().ends_with('=') || before.contains('\n') {
        return Err(EditError::Syntax(format!("{field} is a table of its own")));
    }
    Ok(Some(Place { line, value }))
}

pub(super) fn missing(kind: Kind, name: &str) -> EditError {
    EditError::NotFound(format!("{} \"{name}\"", kind.as_str()))
}

pub(super) fn find<'t>(text: &'t str, kind: Kind, name: &str) -> Option<(usize, Split<'t>)> {
    let mut at = 0;
    split(text).into_iter().find_map(|split| {
        let start = at;
        at += split.text.len();
        (split.kind == kind && split.read_name().as_deref() == Some(name)).then_some((start, split))
    })
}

/// The one named table that `block` holds.
fn single<'t>(block: &Block<'t>) -> Result<Split<'t>, EditError> {
    let wrong = |why: &str| Err(EditError::Syntax(why.to_owned()));
    let mut splits = split(block.text).into_iter();
    match (splits.next(), splits.next()) {
        (Some(one), None) if one.kind == Kind::Other => {
            wrong("only [[worker]], [[limiter]], [[queue]] and [[maintenance]] tables can be put")
        }
        (Some(one), None) if one.read_name().is_none() => wrong("the table has no name"),
        (Some(one), None) => parsed(&one).map(|_| one),
        (None, _) => wrong("there is no table"),
        (_, Some(_)) => wrong("one table at a time"),
    }
}

pub(super) fn parsed<'t>(split: &Split<'t>) -> Result<Vec<tree::Entry<'t>>, EditError> {
    if split.nesting > MAX_NESTING {
        return Err(EditError::Syntax("too many brackets within brackets".to_owned()));
    }
    tree::parse(split.text).map_err(|error| EditError::Syntax(error.message))
}

/// Refuses an edit whose outcome no longer parses.
pub(super) fn still_toml(text: String, kind: Kind, name: &str) -> Result<String, EditError> {
    match find(&text, kind, name).map(|(_, split)| parsed(&split).map(|_| ())) {
        Some(Ok(())) => Ok(text),
        Some(Err(error)) => Err(error),
        None => Err(EditError::Syntax("the field can't be set".to_owned())),
    }
}

pub(super) fn replaced(text: &str, range: Range<usize>, with: &str) -> String {
    let (before, after) = (text.get(..range.start).unwrap_or_default(), text.get(range.end..).unwrap_or_default());
    [before, with, after].concat()
}

/// `block` at the end of `text`, a blank line between.
fn appended(text: &str, block: &str) -> String {
    let between = match text {
        _ if text.trim().is_empty() => return format!("{block}\n"),
        _ if text.ends_with("\n\n") || text.ends_with("\n\r\n") => "",
        _ if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    [text, between, block, "\n"].concat()
}
