//! A monitor as a worker's table: a new one as text, a changed one as the values that differ.
//!
//! Pure. What a form does not know is never touched, and neither is what stays the same.

use std::{fmt::Write as _, time::Duration};

use serde_json::Value as Json;
use toml_edit::{InlineTable, Value};

use super::{Kind, Monitor, MonitorView, simple::target};
use crate::{
    fleet::Set,
    manifest::{
        spec::{Limits, WorkerSpec},
        units::{parse_duration, print_duration},
    },
};

/// The table of a new monitor.
pub(super) fn write(monitor: &Monitor) -> String {
    let mut out = "[[worker]]\n".to_owned();
    let mut field = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            let _ = writeln!(out, "{key} = {value}");
        }
    };
    let text = |text: &Option<String>| text.as_deref().map(Value::from);
    field("name", Some(monitor.name.as_str().into()));
    field("title", text(&monitor.title));
    field("group", text(&monitor.group));
    field("notes", text(&monitor.notes));
    field("component", Some(monitor.kind.component().into()));
    field("schedule", Some(table([("every", Some(monitor.every.as_str().into()))])));
    let time = event_time(monitor.kind, monitor.timeout.as_deref());
    field("limits", time.map(|time| table([("timeout", Some(print_duration(time).into()))])));
    field("checks", text(&monitor.parent).map(|parent| table([("parent", Some(parent))])));
    let tcp = monitor.tcp.map(|port| i64::from(port).into());
    let (config, grant, follows) = match monitor.kind {
        Kind::Url => {
            let urls = Value::from_iter(monitor.url.iter().map(String::as_str));
            let rules = [("expect", text(&monitor.expect)), ("contains", text(&monitor.contains)), ("timeout", text(&monitor.timeout))];
            (table([("urls", Some(urls))].into_iter().chain(rules)), "http", "config:urls")
        }
        Kind::Machine => {
            let machine = table([
                ("name", Some(monitor.name.as_str().into())),
                ("address", text(&monitor.address)),
                ("tcp", tcp),
                ("timeout", text(&monitor.timeout)),
            ]);
            (table([("machines", Some(Value::from_iter([machine])))]), "ping", "config:machines.address")
        }
    };
    field("config", Some(config));
    let allow = Value::from_iter([follows]);
    let grant_table = table([("allow", Some(allow)), ("lan", monitor.lan.then(|| true.into()))]);
    field("grants", Some(table([(grant, Some(grant_table))])));
    out
}

fn table<'k>(entries: impl IntoIterator<Item = (&'k str, Option<Value>)>) -> Value {
    let given = entries.into_iter().filter_map(|(key, value)| Some((key, value?)));
    Value::InlineTable(given.collect::<InlineTable>())
}

/// What one event may take when a timeout is longer than the usual limit has room for: a URL's counts for connecting, for the first byte
/// and for the body, each.
fn event_time(kind: Kind, timeout: Option<&str>) -> Option<Duration> {
    let timeout = parse_duration(timeout?).ok()?;
    let second = Duration::from_secs(1);
    let all = match kind {
        Kind::Url => timeout * 3 + second,
        Kind::Machine => timeout + second * 2,
    };
    (all > Limits::default().timeout).then_some(all)
}

/// The values that make one monitor the other.
pub(super) fn differences(spec: &WorkerSpec, now: &MonitorView, wanted: &Monitor) -> Vec<Set> {
    let (item, now) = (now.item, &now.monitor);
    let mut sets = Vec::new();
    let mut set = |of_item: bool, path: &str, value: Option<Value>| sets.push(Set { of_item, path: path.to_owned(), value });
    let text = |text: &Option<String>| text.as_deref().map(Value::from);
    for (key, before, after) in
        [("title", &now.title, &wanted.title), ("group", &now.group, &wanted.group), ("notes", &now.notes, &wanted.notes)]
    {
        if before != after {
            set(item, key, text(after));
        }
    }
    if differ(Some(&now.every), Some(&wanted.every)) {
        set(item, if item { "every" } else { "schedule.every" }, Some(wanted.every.as_str().into()));
    }
    if now.parent != wanted.parent {
        set(false, "checks.parent", text(&wanted.parent));
    }
    let config = &spec.run.config;
    let list = if wanted.kind == Kind::Url { "urls" } else { "machines" };
    let own = target(config, list);
    // An item's own keys are the item's; a worker's one URL or machine may have a key, or its config for it.
    let place = |key: &str| match own {
        _ if item => key.to_owned(),
        Some(own) if own.get(key).is_some() || (own.is_object() && config.get(key).is_none()) => format!("config.{list}.0.{key}"),
        _ => format!("config.{key}"),
    };
    if now.url != wanted.url {
        let path = if own.is_some_and(Json::is_string) { "config.urls.0" } else { "config.urls.0.url" };
        set(false, path, text(&wanted.url));
    }
    if now.address != wanted.address {
        set(item, &place("address"), text(&wanted.address));
    }
    if now.tcp != wanted.tcp {
        set(item, &place("tcp"), wanted.tcp.map(|port| i64::from(port).into()));
    }
    for (key, before, after) in [("expect", &now.expect, &wanted.expect), ("contains", &now.contains, &wanted.contains)] {
        if before != after {
            set(item, &place(key), text(after));
        }
    }
    if differ(now.timeout.as_ref(), wanted.timeout.as_ref()) {
        set(item, &place("timeout"), text(&wanted.timeout));
        let needed = event_time(wanted.kind, wanted.timeout.as_deref()).filter(|time| *time > spec.run.limits.timeout);
        if let Some(time) = needed {
            set(false, "limits.timeout", Some(print_duration(time).into()));
        }
    }
    if now.lan != wanted.lan {
        let grant = if wanted.kind == Kind::Url { "grants.http.lan" } else { "grants.ping.lan" };
        set(false, grant, wanted.lan.then(|| true.into()));
    }
    sets
}

/// Whether two spans differ, however they are written.
fn differ(before: Option<&String>, after: Option<&String>) -> bool {
    let read = |text: Option<&String>| text.map(|text| parse_duration(text).map_err(|_| text.clone()));
    read(before) != read(after)
}
