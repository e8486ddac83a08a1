//! `skep inspect`: what a component offers and wants, and which manifest lines follow from it. Pure.

use serde::Serialize;

use super::paint::{Ink, Paint, safe};
use crate::worker::Surface;

/// What `skep inspect -o json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    pub exports: Vec<String>,
    pub imports: Vec<String>,
    /// Manifest lines that make the host call it.
    pub triggers: Vec<Need>,
    /// Grants that its imports can use; without them those calls answer `denied`.
    pub grants: Vec<Need>,
}

/// A manifest key, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Need {
    pub key: String,
    pub because: String,
}

pub fn inspect(surface: &Surface) -> Inspection {
    let need = |key: &str, because: &str| Need { key: key.to_owned(), because: because.to_owned() };
    let triggers = [
        (surface.schedule, need("schedule = { every = \"30s\" }", "exports schedule-handler")),
        (surface.jobs, need("jobs = { queue = \"…\" }", "exports job-handler")),
        (surface.http, need("http = { routes = [\"/…\"] }", "exports wasi:http/incoming-handler")),
        (surface.messages, need("topics = [\"….*\"]", "exports message-handler")),
        (
            surface.command,
            need("command = { args = [\"…\"] }", "exports wasi:cli/run: one run a tick of its schedule; without one it is a service"),
        ),
        (surface.call, need("no key needed", "exports call-handler: `skep call`, and workers granted to call it")),
    ];
    let mut grants: Vec<Need> = Vec::new();
    for import in &surface.imports {
        let Some((key, because)) = grant_for(import) else { continue };
        if !grants.iter().any(|known| known.key == key) {
            grants.push(need(key, because));
        }
    }
    Inspection {
        exports: surface.exports.clone(),
        imports: surface.imports.clone(),
        triggers: triggers.into_iter().filter(|(serves, _)| *serves).map(|(_, need)| need).collect(),
        grants,
    }
}

/// The grant an import can use. Log, checks, the worker's own kv bucket and base WASI need none.
fn grant_for(import: &str) -> Option<(&'static str, &'static str)> {
    let interface = import.split('@').next().unwrap_or(import);
    Some(match interface {
        "wasi:http/outgoing-handler" | "wasi:http/client" => ("http = { allow = [\"https://…\"] }", "requests over HTTP"),
        "skep:worker/ping" => ("ping = { allow = [\"…\"] }", "ICMP echo and TCP connect times"),
        "skep:worker/queue" => ("queue = { push = [\"…\"] }", "pushing jobs"),
        "skep:worker/kv" => ("kv = [\"…\"]", "buckets beside its own"),
        "skep:worker/registry" => ("call = [\"…\"]", "calling other workers"),
        "skep:worker/limiter" => ("limiter = { acquire = [\"…\"] }", "permits of a named limiter"),
        "skep:worker/topics" => ("publish = [\"…\"]", "publishing messages"),
        _ => return None,
    })
}

pub fn render(of: &Inspection, paint: &Paint) -> String {
    let mut text = String::new();
    let mut section = |title: &str, empty: &str, lines: Vec<String>| {
        text.push_str(&paint.ink(Ink::Strong, title));
        text.push('\n');
        if lines.is_empty() {
            text.push_str(&format!("  {}\n", paint.ink(Ink::Faint, empty)));
        }
        for line in lines {
            text.push_str(&format!("  {line}\n"));
        }
    };
    let needs = |all: &[Need]| {
        let width = all.iter().map(|need| need.key.chars().count()).max().unwrap_or(0);
        all.iter().map(|need| format!("{:width$}  {}", need.key, paint.ink(Ink::Faint, &format!("# {}", need.because)))).collect()
    };
    section("exports", "nothing", of.exports.iter().map(|name| safe(name)).collect());
    section("imports", "nothing", of.imports.iter().map(|name| safe(name)).collect());
    section("triggers it can serve", "none: no manifest can use it", needs(&of.triggers));
    section("grants it may ask for", "none needed", needs(&of.grants));
    text
}
