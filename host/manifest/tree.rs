//! A table as written: TOML values with the place each of them stands at.
//!
//! Must not know any field. The checks walk this tree by hand, since a derived reader would stop at the first error.

use std::borrow::Cow;

use toml::de::{DeTable, DeValue};

/// How deep tables and lists may nest, keys with dots included.
const MAX_DEPTH: usize = 32;

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// Byte offset in the block.
    Offset(usize),
    /// Laid below the block by `[defaults]`.
    Defaults,
    /// The table's header: for what is missing.
    Header,
}

#[derive(Debug, Clone)]
pub(super) struct Node<'t> {
    pub at: At,
    pub value: Value<'t>,
}

#[derive(Debug, Clone)]
pub(super) enum Value<'t> {
    Text(Cow<'t, str>),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Datetime(String),
    List(Vec<Node<'t>>),
    Table(Vec<Entry<'t>>),
    /// A number that 64 bits can't hold, or a value nested too deeply.
    Unusable {
        reason: &'static str,
        hint: &'static str,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Entry<'t> {
    pub key: Cow<'t, str>,
    pub at: At,
    pub node: Node<'t>,
}

/// Why a block is no TOML.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub at: Option<usize>,
    pub message: String,
}

/// Parses one block as a document of its own.
pub(super) fn parse(text: &str) -> Result<Vec<Entry<'_>>, SyntaxError> {
    let document = DeTable::parse(text).map_err(|e| SyntaxError { at: e.span().map(|s| s.start), message: e.message().to_owned() })?;
    Ok(entries(document.into_inner(), 0))
}

fn entries(table: DeTable<'_>, depth: usize) -> Vec<Entry<'_>> {
    let mut entries = Vec::with_capacity(table.len());
    for (key, value) in table {
        let at = At::Offset(key.span().start);
        entries.push(Entry { key: key.into_inner(), at, node: node(value, depth + 1) });
    }
    entries
}

fn node(spanned: toml::Spanned<DeValue<'_>>, depth: usize) -> Node<'_> {
    let at = At::Offset(spanned.span().start);
    let value = match spanned.into_inner() {
        _ if depth > MAX_DEPTH => Value::Unusable { reason: "is nested too deeply", hint: "flatten it" },
        DeValue::String(text) => Value::Text(text),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Unusable { reason: "is a number that doesn't fit in 64 bits", hint: "write it as text" },
        },
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(yes) => Value::Bool(yes),
        DeValue::Datetime(when) => Value::Datetime(when.to_string()),
        DeValue::Array(items) => Value::List(items.into_iter().map(|item| node(item, depth + 1)).collect()),
        DeValue::Table(table) => Value::Table(entries(table, depth)),
    };
    Node { at, value }
}

impl<'t> Node<'t> {
    /// What it is, in a person's words.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Text(_) => "text",
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Bool(_) => "true or false",
            Value::Datetime(_) => "a date",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
            Value::Unusable { .. } => "an unusable value",
        }
    }

    pub fn get(&self, key: &str) -> Option<&Node<'t>> {
        match &self.value {
            Value::Table(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node),
            _ => None,
        }
    }

    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let entries = if let Value::Table(entries) = &self.value { entries.as_slice() } else { &[] };
        entries.iter().map(|entry| &*entry.key)
    }
}
