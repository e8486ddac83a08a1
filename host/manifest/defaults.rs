//! `[defaults]` of skep.toml: fields that lie below what every worker's manifest says.
//!
//! Must not read skep.toml: the host's settings hand the table over.

use std::borrow::Cow;

use super::{
    check,
    reader::{Reader, Report},
    spec::Origin,
    tree::{At, Entry, Node, Value},
};
use crate::facts::Problem;

/// Everything wrong with `defaults`, so that it can be said once and not for every worker. `file` is where they are written.
pub fn check_defaults(file: &str, defaults: &toml::Table) -> Vec<Problem> {
    let report = Report::default();
    let mut fields = entries(defaults);
    if defaults.contains_key("name") {
        report.say(At::Header, Some("name"), "can't have a default", Some("every worker has a name of its own".to_owned()));
    }
    // What only a whole worker can answer: its name and component, and what its config holds.
    fields.retain(|entry| entry.key != "name" && entry.key != "each");
    fields.iter_mut().filter(|entry| entry.key == "grants").for_each(|entry| without_lookups(&mut entry.node));
    lay_below(&mut fields, &[text("name", "defaults"), text("component", "defaults.wasm")]);
    check::worker(Reader::new(&fields, "", At::Header, &report), &Origin::default());
    let problem = |found: super::reader::Found| Problem {
        file: file.to_owned(),
        line: 0,
        column: 0,
        worker: None,
        field: Some(format!("defaults.{}", found.field.unwrap_or_default())),
        message: found.message,
        hint: found.hint,
    };
    report.into_found().into_iter().map(problem).collect()
}

/// The table as a tree; its values have no places of their own.
pub(super) fn entries(table: &toml::Table) -> Vec<Entry<'static>> {
    table.iter().map(|(key, value)| Entry { key: Cow::Owned(key.clone()), at: At::Defaults, node: node(value) }).collect()
}

/// Lays `below` under what `written` says. Tables are merged key by key; a schedule is taken whole, for it has one of two forms.
pub(super) fn lay_below(written: &mut Vec<Entry<'_>>, below: &[Entry<'static>]) {
    for default in below {
        match written.iter_mut().find(|entry| entry.key == default.key) {
            None => written.push(default.clone()),
            Some(entry) if entry.key == "schedule" => {}
            Some(entry) => {
                if let (Value::Table(written), Value::Table(below)) = (&mut entry.node.value, &default.node.value) {
                    lay_below(written, below);
                }
            }
        }
    }
}

fn node(value: &toml::Value) -> Node<'static> {
    let value = match value {
        toml::Value::String(text) => Value::Text(Cow::Owned(text.clone())),
        toml::Value::Integer(number) => Value::Integer(*number),
        toml::Value::Float(number) => Value::Float(*number),
        toml::Value::Boolean(yes) => Value::Bool(*yes),
        toml::Value::Datetime(when) => Value::Datetime(when.to_string()),
        toml::Value::Array(items) => Value::List(items.iter().map(node).collect()),
        toml::Value::Table(table) => Value::Table(entries(table)),
    };
    Node { at: At::Defaults, value }
}

fn text(key: &'static str, value: &'static str) -> Entry<'static> {
    Entry { key: Cow::Borrowed(key), at: At::Defaults, node: Node { at: At::Defaults, value: Value::Text(Cow::Borrowed(value)) } }
}

/// Takes `config:…` out of every `allow` list.
fn without_lookups(grants: &mut Node<'_>) {
    let Value::Table(grants) = &mut grants.value else { return };
    for grant in grants {
        let Value::Table(fields) = &mut grant.node.value else { continue };
        for allow in fields.iter_mut().filter(|field| field.key == "allow") {
            if let Value::List(items) = &mut allow.node.value {
                items.retain(|item| !matches!(&item.value, Value::Text(text) if text.starts_with("config:")));
            }
        }
    }
}
