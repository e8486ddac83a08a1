//! A worker read back as a form: only where the form's fields say all that matters of it.
//!
//! Pure. Keys that the form does not know (headers, redirects, packets) are no reason to refuse: an edit leaves them alone.

use serde_json::Value;

use super::{Kind, Monitor};
use crate::{
    fleet::Declared,
    manifest::{
        spec::{Schedule, WorkerSpec},
        units::print_duration,
    },
};

/// The form's fields; Err: what is more than a form can show.
pub(super) fn monitor(spec: &WorkerSpec, declared: &Declared) -> Result<Monitor, String> {
    let run = &spec.run;
    let kind = [Kind::Url, Kind::Machine].into_iter().find(|kind| kind.component() == &*run.component);
    let kind = kind.ok_or_else(|| format!("it runs {}, which watches neither a URL nor a machine", run.component))?;
    let Some(Schedule::Every(every)) = &run.schedule else { return Err("it has no interval".to_owned()) };
    if run.jobs.is_some() || run.http.is_some() || !run.topics.is_empty() || run.command.is_some() {
        return Err("it does more than watch".to_owned());
    }
    let (watched, follows) = match kind {
        Kind::Url => (target(&run.config, "urls"), "config:urls"),
        Kind::Machine => (target(&run.config, "machines"), "config:machines.address"),
    };
    let watched = watched.ok_or_else(|| "it watches more than one".to_owned())?;
    if !declared.table.contains(follows) {
        return Err(format!("its grants name destinations one by one, and not as \"{follows}\""));
    }
    let lan = match kind {
        Kind::Url => run.grants.http.as_ref().is_some_and(|grant| grant.lan),
        Kind::Machine => run.grants.ping.as_ref().is_some_and(|grant| grant.lan),
    };
    // What the item itself says stands over what the config says for all.
    let value = |key: &str| watched.get(key).or_else(|| run.config.get(key));
    let text = |key: &str| match value(key) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let address = match watched {
        Value::String(url) => Some(url.clone()),
        _ => text(if kind == Kind::Url { "url" } else { "address" }),
    };
    let address = Some(address.ok_or_else(|| "it does not say what it watches".to_owned())?);
    let (of_url, of_machine) = (|key: &str| text(key).filter(|_| kind == Kind::Url), kind == Kind::Machine);
    Ok(Monitor {
        kind,
        name: spec.name.to_string(),
        title: spec.live.title.clone(),
        group: spec.live.group.clone(),
        notes: spec.live.notes.clone(),
        every: print_duration(*every),
        url: address.clone().filter(|_| kind == Kind::Url),
        address: address.filter(|_| of_machine),
        tcp: value("tcp").filter(|_| of_machine).and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok()),
        expect: of_url("expect"),
        contains: of_url("contains"),
        timeout: text("timeout"),
        parent: parent(&declared.table),
        lan,
    })
}

/// `checks.parent` as it is written; items have their list's.
fn parent(table: &str) -> Option<String> {
    let document: toml::Table = table.parse().ok()?;
    let worker = document.get("worker")?.as_array()?.first()?;
    worker.get("checks")?.get("parent")?.as_str().map(str::to_owned)
}

/// The one thing of a list.
pub(super) fn target<'c>(config: &'c Value, list: &str) -> Option<&'c Value> {
    match config.get(list)?.as_array()?.as_slice() {
        [one] => Some(one),
        _ => None,
    }
}
