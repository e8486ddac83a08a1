//! `each = "machines"`: one worker per item of a config list, with what the item overrides.
//!
//! Must not build workers: it hands items to `check`, which does.

use std::{borrow::Cow, collections::HashMap, sync::Arc, time::Duration};

use serde_json::Value as Json;

use super::{
    check,
    reader::{Field, Reader, Report},
    tree::{At, Entry, Node, Value},
    triggers::{self, optional},
};

/// Keys of an item that are the worker's own, and not part of its config.
const OVERRIDES: [&str; 5] = ["every", "title", "notes", "group", "payload"];

/// One item with the config that its worker sees: the parent's, the list reduced to this item, without [`OVERRIDES`].
#[derive(Debug)]
pub(super) struct Item<'n> {
    pub own: Overrides,
    pub config: Node<'n>,
}

/// What a worker of `each` has of its own; nothing, for a worker without `each`.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    pub name: Option<String>,
    pub every: Option<Duration>,
    pub title: Option<String>,
    pub notes: Option<String>,
    pub group: Option<String>,
    pub payload: Option<Arc<Json>>,
}

/// The items that `each` names; one with a problem is left out, since the problem is reported.
pub(super) fn items<'n>(each: &Field<'_>, config: &Node<'n>, report: &Report) -> Vec<Item<'n>> {
    let Some(key) = each.text("\"machines\"") else { return Vec::new() };
    let path = format!("config.{key}");
    let Some(list) = config.get(key) else {
        each.complain(format!("{path} doesn't exist"), Some(format!("add [[worker.config.{key}]] tables, one for each item")));
        return Vec::new();
    };
    let Value::List(written) = &list.value else {
        let message = format!("must be a list of tables, since each names it, not {}", list.kind());
        report.say(list.at, Some(&path), message, Some(format!("write [[worker.config.{key}]]")));
        return Vec::new();
    };
    let mut seen = HashMap::new();
    let mut items = Vec::with_capacity(written.len());
    for (i, node) in written.iter().enumerate() {
        let path = format!("{path}[{i}]");
        let Some(item) = item(node, &path, report, || reduced(config, key, list.at, node)) else {
            continue;
        };
        let name = item.own.name.clone().unwrap_or_default();
        if let Some(first) = seen.get(&name) {
            let message = format!("the name \"{name}\" is already taken by item {first}");
            report.say(node.at, Some(&format!("{path}.name")), message, Some("give one of them another name".to_owned()));
            continue;
        }
        seen.insert(name, i + 1);
        items.push(item);
    }
    items
}

fn item<'n>(node: &Node<'n>, path: &str, report: &Report, config: impl FnOnce() -> Node<'n>) -> Option<Item<'n>> {
    let Value::Table(entries) = &node.value else {
        report.say(node.at, Some(path), format!("must be a table, not {}", node.kind()), Some("write { name = \"nas\", … }".to_owned()));
        return None;
    };
    let mut table = Reader::new(entries, path, node.at, report);
    let name = table.need("name", "\"nas\"").and_then(|f| f.name("\"nas\"").map(str::to_owned));
    let every = optional(table.take("every"), triggers::every);
    let title = optional(table.take("title"), check::title);
    let notes = optional(table.take("notes"), check::notes);
    let group = optional(table.take("group"), check::group);
    let payload = optional(table.take("payload"), check::payload);
    // Whatever else an item has is the worker's own business.
    let own = Overrides { name: Some(name?), every: every?, title: title?, notes: notes?, group: group?, payload: payload? };
    Some(Item { own, config: config() })
}

fn reduced<'n>(config: &Node<'n>, key: &str, at: At, item: &Node<'n>) -> Node<'n> {
    let Value::Table(entries) = &config.value else {
        return config.clone();
    };
    let keep = |entry: &Entry<'n>| match entry.key == key {
        false => entry.clone(),
        true => Entry { key: Cow::clone(&entry.key), at: entry.at, node: Node { at, value: Value::List(vec![guests(item)]) } },
    };
    Node { at: config.at, value: Value::Table(entries.iter().map(keep).collect()) }
}

/// What of an item is for the guest: a new title must not restart it.
fn guests<'n>(item: &Node<'n>) -> Node<'n> {
    match &item.value {
        Value::Table(entries) => {
            let kept = entries.iter().filter(|entry| !OVERRIDES.contains(&&*entry.key)).cloned();
            Node { at: item.at, value: Value::Table(kept.collect()) }
        }
        _ => item.clone(),
    }
}
