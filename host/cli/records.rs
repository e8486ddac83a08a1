//! One thing at length: a worker, the reason of a state, a crash. Pure.

use super::{
    paint::{Ink, Paint, bytes, millis, safe, worker_ink},
    plan::problem_lines,
    show::log_line,
    table::{Cell, Edge, Record, Table},
};
use crate::facts::{InstanceMode, Problem, ReplicaView, TrapRecord, Why, WorkerView};

/// A worker, its replicas where there are several, then the problems of its manifest.
pub fn worker(view: &WorkerView, replicas: &[ReplicaView], problems: &[Problem], paint: &Paint) -> String {
    let mut record = Record::new();
    record.inked("name", Ink::Strong, &*view.name);
    record.maybe("title", view.title.as_deref());
    record.maybe("group", view.group.as_deref());
    record.maybe("notes", view.notes.as_deref());
    record.inked("state", worker_ink(view.state), format!("{} since {}", view.state.as_str(), paint.moment(view.since)));
    record.maybe("held back", view.held_back.as_deref());
    record.put("replicas", format!("{} of {} running", view.replicas.running, view.replicas.desired));
    record.put("incarnation", incarnation(view.incarnation));
    record.put("restarts", view.restarts.to_string());
    record.inked("last error", if view.last_error.is_some() { Ink::Bad } else { Ink::Plain }, view.last_error.as_deref().unwrap_or("-"));
    record.maybe("triggers", (!view.triggers.is_empty()).then(|| view.triggers.join(", ")));
    if let Some(plan) = &view.schedule {
        record.put("next tick", plan.next.map_or("-".to_owned(), |next| format!("{} ({})", paint.clock(next), paint.ahead(next))));
        record.put("last tick", plan.lateness_ms.map_or("none yet".to_owned(), |late| format!("{} late", millis(late))));
        record.put("missed ticks", plan.missed.to_string());
    }
    record.put(
        "instance",
        match view.instance {
            InstanceMode::Resident => "resident",
            InstanceMode::PerEvent => "per-event",
        },
    );
    let events = view.events;
    record.put("events", format!("{} ok, {} failed, {} trapped", events.ok, events.failed, events.trapped));
    record.put("memory peak", bytes(view.memory_peak_bytes));
    record.put("component", view.component.as_str());
    record.put("digest", view.digest.as_ref().map_or("-".to_owned(), ToString::to_string));
    record.put("declared", format!("{}:{}", view.file, view.line));
    record.put("config", serde_json::to_string_pretty(&*view.config).unwrap_or_default());
    let mut text = record.render(paint);
    if replicas.len() > 1 {
        text.push('\n');
        text.push_str(&replica_table(view, replicas, paint));
    }
    if !problems.is_empty() {
        text.push_str("\nproblems in its manifest:\n");
        text.extend(problems.iter().map(|problem| problem_lines(problem, paint)));
    }
    text
}

fn replica_table(of: &WorkerView, replicas: &[ReplicaView], paint: &Paint) -> String {
    let mut table = Table::new()
        .column("REPLICA", Edge::Left)
        .column("STATE", Edge::Left)
        .column("NOW", Edge::Left)
        .column("WAITING", Edge::Right)
        .column("SINCE", Edge::Left);
    for one in replicas {
        table.row(vec![
            Cell::from(format!("{}/{}", of.name, one.replica)),
            Cell::new(one.state.as_str(), worker_ink(one.state)),
            Cell::from(if one.busy { "busy" } else { "free" }),
            Cell::from(one.waiting.to_string()),
            Cell::from(paint.ago(one.since)),
        ]);
    }
    table.render(paint)
}

pub fn why(why: &Why, paint: &Paint) -> String {
    let state = paint.ink(worker_ink(why.state), why.state.as_str());
    let mut record = Record::new();
    record.put("cause", why.cause.as_str());
    if let Some(at) = why.next_restart {
        record.put("next restart", format!("{} ({})", paint.ahead(at), paint.clock(at)));
    }
    record.put("remedy", why.remedy.as_str());
    record.maybe("trap", why.trap.as_ref().map(|id| format!("skep trap {id}")));
    format!("{} is {state} since {}\n{}", safe(&why.worker), paint.moment(why.since), record.render(paint))
}

/// A crash: head, backtrace, input, the lines before it.
pub fn trap(trap: &TrapRecord, paint: &Paint) -> String {
    let mut record = Record::new();
    record.put("trap", trap.id.as_str());
    record.inked("worker", Ink::Strong, format!("{}/{}", trap.worker, trap.replica));
    record.put("when", paint.moment(trap.at));
    record.inked("cause", Ink::Bad, trap.cause.as_str());
    record.put("message", trap.message.as_str());
    record.maybe("panic", trap.panic.as_deref());
    record.put("event", format!("{}, after {}", trap.event, millis(trap.ran_ms)));
    record.put("incarnation", incarnation(trap.incarnation));
    record.put("memory peak", bytes(trap.memory_peak_bytes));
    record.put("component", format!("{}  {}", trap.component, trap.digest));
    record.put("config", trap.config_digest.to_string());
    let mut text = record.render(paint);
    let mut section = |title: &str, empty: &str, lines: Vec<String>| {
        text.push_str(&format!("\n{}\n", paint.ink(Ink::Strong, title)));
        if lines.is_empty() {
            text.push_str(&format!("  {}\n", paint.ink(Ink::Faint, empty)));
        }
        for line in lines {
            text.push_str("  ");
            text.push_str(line.trim_end_matches('\n'));
            text.push('\n');
        }
    };
    let width = trap.backtrace.len().saturating_sub(1).to_string().len();
    let frames = trap.backtrace.iter().enumerate().map(|(at, name)| format!("{at:>width$}  {}", safe(name))).collect();
    section("backtrace, innermost first", "none", frames);
    section("input", "empty", pretty(&trap.input).lines().map(safe).collect());
    section("last log lines", "none", trap.log.iter().map(|line| log_line(line, paint)).collect());
    text
}

/// JSON is laid out; anything else stays as it is.
fn pretty(input: &str) -> String {
    serde_json::from_str::<serde_json::Value>(input)
        .ok()
        .and_then(|value| serde_json::to_string_pretty(&value).ok())
        .unwrap_or_else(|| input.to_owned())
}

/// An incarnation as people read it: its count, and the start of the host that it counts within.
pub fn incarnation(epoch: u64) -> String {
    match epoch >> 32 {
        0 => epoch.to_string(),
        start => format!("{} since host start {start}", epoch & u64::from(u32::MAX)),
    }
}
