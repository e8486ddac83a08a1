//! Edits of single values in one worker's table, or in one item of its `each`, and where such an item stands.
//!
//! Comments and everything that is not set stay. Must not check what a value says: the outcome is parsed like any manifest.

use std::ops::Range;

use toml::de::{DeTable, DeValue};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use super::{
    blocks::{Kind, Split},
    edit::{EditError, find, missing, parsed, replaced, still_toml},
    lexer::{Lines, What},
};

/// One value to put into a worker's table.
#[derive(Debug, Clone)]
pub struct Set {
    /// True: into the item that the worker is made of (`pinger/nas`), not into the table it shares with its siblings.
    pub of_item: bool,
    /// Keys with dots between; a number counts into a list: `config.urls.0.expect`.
    pub path: String,
    /// None takes it out.
    pub value: Option<Value>,
}

/// Sets values of a worker, in order.
pub fn change(text: &str, worker: &str, sets: &[Set]) -> Result<String, EditError> {
    let (parent, item) = of(worker);
    edited(text, parent, |table| {
        for set in sets {
            let path: Vec<&str> = set.path.split('.').collect();
            match item.filter(|_| set.of_item) {
                None => put(Tab::Headed(table), &path, set.value.as_ref())?,
                Some(item) => {
                    let (list, at) = position(table, item)?;
                    let item = element(table, &list, at).ok_or_else(|| unclear("the item"))?;
                    put(item, &path, set.value.as_ref())?;
                }
            }
        }
        Ok(())
    })
}

/// Takes one item out of the list that its worker's `each` names, with the comments right above it. A list stays, also an empty one.
pub fn remove_item(text: &str, worker: &str) -> Result<String, EditError> {
    let (parent, item) = of(worker);
    let item = item.ok_or_else(|| missing(Kind::Worker, worker))?;
    let (start, split) = find(text, Kind::Worker, parent).ok_or_else(|| missing(Kind::Worker, parent))?;
    let mut document = document(&split)?;
    let table = only(&mut document)?;
    let (list, at) = position(table, item)?;
    if matches!(entry(table, &list), Some(Item::ArrayOfTables(tables)) if tables.len() > 1) {
        let range = headed(split.text, &list).into_iter().nth(at).ok_or_else(|| unclear(&list))?;
        let below = text.get(start + range.end..).unwrap_or_default();
        let blank = below.len() - below.trim_start().len();
        let blank = below.get(..blank).and_then(|blank| blank.rfind('\n')).map_or(0, |feed| feed + 1);
        let mut out = replaced(text, start + range.start..start + range.end + blank, "");
        if out.len() == start + range.start {
            out.truncate(out.trim_end().len());
            out.push('\n');
        }
        return still_toml(out, Kind::Worker, parent);
    }
    edited(text, parent, |table| {
        let config = table.get_mut("config").ok_or_else(|| unclear("config"))?;
        if let Some(config) = config.as_table_mut() {
            config.set_implicit(false);
        }
        let config = config.as_table_like_mut().ok_or_else(|| unclear("config"))?;
        if let Some(Item::Value(Value::Array(values))) = config.get_mut(&list) {
            let removed = values.remove(at);
            if let (0, Some(first)) = (at, values.get_mut(0)) {
                first.decor_mut().set_prefix(removed.decor().prefix().cloned().unwrap_or_default());
            }
        } else {
            // Anew: the key in a header is spaced in another way.
            config.remove(&list);
            config.insert(&list, Item::Value(Value::Array(Array::new())));
        }
        Ok(())
    })
}

/// The text of one item (`pinger/nas`) with the comments right above it, and the line it starts on.
pub fn item_text<'t>(text: &'t str, worker: &str) -> Option<(&'t str, u32)> {
    let (parent, item) = of(worker);
    let (start, split) = find(text, Kind::Worker, parent)?;
    let mut document = document(&split).ok()?;
    let (list, at) = position(only(&mut document).ok()?, item?).ok()?;
    let range = headed(split.text, &list).into_iter().nth(at).or_else(|| within(&split, &list, at))?;
    let (range, before) = (start + range.start..start + range.end, text.get(..start + range.start)?);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    Some((text.get(range)?, u32::try_from(line).unwrap_or(u32::MAX)))
}

/// `pinger/nas` is item nas of pinger.
fn of(worker: &str) -> (&str, Option<&str>) {
    worker.split_once('/').map_or((worker, None), |(parent, item)| (parent, Some(item)))
}

fn unclear(what: &str) -> EditError {
    EditError::Syntax(format!("{what} is not written in a way that can be edited here; edit the file"))
}

fn document(split: &Split<'_>) -> Result<DocumentMut, EditError> {
    parsed(split)?;
    split.core().parse().map_err(|error: toml_edit::TomlError| EditError::Syntax(error.message().to_owned()))
}

/// The one table of a block.
fn only(document: &mut DocumentMut) -> Result<&mut Table, EditError> {
    let list = document.get_mut(Kind::Worker.as_str()).and_then(Item::as_array_of_tables_mut);
    list.and_then(|list| list.get_mut(0)).ok_or_else(|| unclear("the worker"))
}

fn edited(text: &str, worker: &str, edit: impl FnOnce(&mut Table) -> Result<(), EditError>) -> Result<String, EditError> {
    let (at, split) = find(text, Kind::Worker, worker).ok_or_else(|| missing(Kind::Worker, worker))?;
    let core = split.core();
    let mut document = document(&split)?;
    edit(only(&mut document)?)?;
    let mut out = document.to_string();
    if core.contains("\r\n") {
        out = out.replace("\r\n", "\n").replace('\n', "\r\n");
    }
    still_toml(replaced(text, at..at + core.len(), &out), Kind::Worker, worker)
}

/// What `config` has for a key.
fn entry<'d>(table: &'d Table, list: &str) -> Option<&'d Item> {
    table.get("config")?.as_table_like()?.get(list)
}

/// The list that `each` names, and where the item of this name stands in it.
fn position(table: &Table, item: &str) -> Result<(String, usize), EditError> {
    let list = table.get("each").and_then(Item::as_str).ok_or_else(|| unclear("each"))?;
    let named = |table: &dyn TableLike| table.get("name").and_then(Item::as_str) == Some(item);
    let at = match entry(table, list) {
        Some(Item::ArrayOfTables(tables)) => tables.iter().position(|table| named(table)),
        Some(Item::Value(Value::Array(values))) => {
            values.iter().position(|value| value.as_inline_table().is_some_and(|table| named(table)))
        }
        _ => None,
    };
    at.map(|at| (list.to_owned(), at)).ok_or_else(|| EditError::NotFound(format!("item \"{item}\" of config.{list}")))
}

fn element<'d>(table: &'d mut Table, list: &str, at: usize) -> Option<Tab<'d>> {
    match table.get_mut("config")?.as_table_like_mut()?.get_mut(list)? {
        Item::ArrayOfTables(tables) => tables.get_mut(at).map(Tab::Headed),
        Item::Value(Value::Array(values)) => values.get_mut(at).and_then(Value::as_inline_table_mut).map(Tab::Inline),
        _ => None,
    }
}

/// A table with a header, or one in braces: they space what is put into them in their own ways.
enum Tab<'d> {
    Headed(&'d mut Table),
    Inline(&'d mut InlineTable),
}

impl Tab<'_> {
    fn inner(&mut self) -> &mut dyn TableLike {
        match self {
            Self::Headed(table) => *table,
            Self::Inline(table) => *table,
        }
    }

    /// Puts the blanks before commas and the brace where a person would.
    fn space(&mut self) {
        let Self::Inline(table) = self else { return };
        let (last, closing) = (table.len().saturating_sub(1), table.trailing().as_str().is_none_or(str::is_empty));
        for (at, (_, value)) in table.iter_mut().enumerate() {
            let decor = value.decor_mut();
            if decor.suffix().and_then(toml_edit::RawString::as_str).is_none_or(|suffix| suffix.trim_matches(' ').is_empty()) {
                decor.set_suffix(if at == last && closing { " " } else { "" });
            }
        }
    }
}

fn put(mut table: Tab<'_>, path: &[&str], value: Option<&Value>) -> Result<(), EditError> {
    let Some((key, rest)) = path.split_first() else { return Ok(()) };
    let inner = table.inner();
    if rest.is_empty() {
        match (inner.get_mut(key), value) {
            (Some(Item::Value(old)), Some(new)) => replace(old, new),
            (Some(Item::None) | None, Some(new)) => {
                inner.insert(key, Item::Value(new.clone()));
                table.space();
            }
            (Some(_), Some(_)) => return Err(unclear(key)),
            (Some(_), None) => {
                inner.remove(key);
                table.space();
            }
            (None, None) => {}
        }
        return Ok(());
    }
    if !inner.contains_key(key) {
        if value.is_none() {
            return Ok(());
        }
        inner.insert(key, Item::Value(Value::InlineTable(InlineTable::new())));
        table.space();
    }
    match table.inner().get_mut(key) {
        Some(Item::Table(below)) => put(Tab::Headed(below), rest, value),
        Some(Item::Value(Value::InlineTable(below))) => put(Tab::Inline(below), rest, value),
        Some(Item::Value(Value::Array(list))) => counted(key, rest, |at, rest| match (list.get_mut(at), rest.is_empty(), value) {
            (Some(old), true, Some(new)) => Ok(replace(old, new)),
            (Some(Value::InlineTable(below)), false, _) => put(Tab::Inline(below), rest, value),
            _ => Err(unclear(key)),
        }),
        Some(Item::ArrayOfTables(list)) => counted(key, rest, |at, rest| match list.get_mut(at) {
            Some(below) if !rest.is_empty() => put(Tab::Headed(below), rest, value),
            _ => Err(unclear(key)),
        }),
        _ => Err(unclear(key)),
    }
}

fn counted(key: &str, path: &[&str], go_on: impl FnOnce(usize, &[&str]) -> Result<(), EditError>) -> Result<(), EditError> {
    let (at, rest) = path.split_first().ok_or_else(|| unclear(key))?;
    go_on(at.parse().map_err(|_| unclear(key))?, rest)
}

/// The comment behind a value stays.
fn replace(old: &mut Value, new: &Value) {
    let decor = old.decor().clone();
    *old = new.clone();
    *old.decor_mut() = decor;
}

/// Where the tables `[[worker.config.LIST]]` of a block stand, each with the comments right above it and its own sub-tables.
fn headed(block: &str, list: &str) -> Vec<Range<usize>> {
    let head = format!("[[worker.config.{list}]]");
    let below = [format!("[worker.config.{list}."), format!("[[worker.config.{list}.")];
    let (mut ranges, mut above, mut open): (Vec<Range<usize>>, _, _) = (Vec::new(), None, false);
    let mut lines = Lines::new(block);
    while let Some(line) = lines.next() {
        match line.what {
            What::Blank => above = None,
            What::Comment => above = above.or(Some(line.range.start)),
            What::Header(_) => {
                let written: String = block.get(line.range.clone()).unwrap_or_default().chars().filter(|c| !c.is_whitespace()).collect();
                if written.starts_with(&head) {
                    ranges.push(above.unwrap_or(line.range.start)..line.range.end);
                    open = true;
                } else {
                    open = open && below.iter().any(|below| written.starts_with(below));
                }
                above = None;
            }
            What::Statement { .. } => above = None,
        }
        if let (true, None, Some(last)) = (open, above, ranges.last_mut())
            && block.get(line.range.clone()).is_some_and(|line| !line.trim().is_empty())
        {
            last.end = line.range.end;
        }
    }
    ranges
}

/// Where an item in braces stands.
fn within(split: &Split<'_>, list: &str, at: usize) -> Option<Range<usize>> {
    let document = DeTable::parse(split.core()).ok()?;
    let worker = document.get_ref().get("worker")?.get_ref().as_array()?.first()?.get_ref().as_table()?;
    let config = worker.get("config")?.get_ref().as_table()?;
    match config.get(list)?.get_ref() {
        DeValue::Array(items) => items.iter().nth(at).map(toml::Spanned::span),
        _ => None,
    }
}
