//! The README's table: what criterion's means don't show (percentiles, memory, whole-host figures), with the machine's facts.
//!
//! Command: `make bench`, or `cargo bench --bench table [-- FILTER]` after `make plugins`. Everything runs on loopback, bounded in
//! count and time. Each row says its target and whether this run reached it; one run on a shared machine is noisy.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bench that can't go on fails; it measures real time and prints its table"
)]

mod data;
mod host;
mod inside;
mod jobs;
mod limiter;
mod page;
mod polls;
mod requests;
#[path = "../support/mod.rs"]
mod support;

/// One figure of the table.
pub struct Row {
    pub figure: String,
    pub reached: String,
    pub target: String,
    pub met: Option<bool>,
}

impl Row {
    pub fn new(figure: &str, reached: impl Into<String>, target: &str, met: bool) -> Self {
        Self { figure: figure.into(), reached: reached.into(), target: target.into(), met: Some(met) }
    }

    /// What needs a program that is not here; `remedy` says how it gets here.
    pub fn skipped(figure: &str, remedy: impl Into<String>, target: &str) -> Self {
        Self { figure: figure.into(), reached: remedy.into(), target: target.into(), met: None }
    }
}

/// Measures some rows.
type Section = fn() -> Vec<Row>;

fn main() {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with("--")).unwrap_or_default();
    let sections: [(&str, Section); 18] = [
        ("requests", requests::requests),
        ("jobs-resident", jobs::resident),
        ("jobs-per-event", jobs::per_event),
        ("jobs-single", jobs::single),
        ("jobs-latency", jobs::latency),
        ("jobs-memory", data::memory),
        ("kv", data::kv),
        ("registry", inside::registry),
        ("limiter", limiter::limiter),
        ("events", inside::events),
        ("residents", inside::residents),
        ("idle", host::idle),
        ("apply", host::apply),
        ("lateness", host::lateness),
        ("start", host::start),
        ("polls", polls::polls),
        ("followers", page::followers),
        ("page", page::page),
    ];
    if filter.is_empty() {
        println!("{}\n\n| figure | reached | target | |\n|---|---|---|---|", machine());
        // Each in a process of its own: no section sees memory or threads of another's.
        for (name, _) in sections {
            let status = std::process::Command::new(std::env::current_exe().unwrap()).arg(name).status().unwrap();
            assert!(status.success(), "{name}: {status}");
        }
        return;
    }
    for (name, section) in sections {
        if !name.contains(&filter) {
            continue;
        }
        for row in section() {
            let met = match row.met {
                Some(true) => "ok",
                Some(false) => "missed",
                None => "",
            };
            println!("| {} | {} | {} | {met} |", row.figure, row.reached, row.target);
        }
    }
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cores} cores of {model}, Linux {}, skep {} on wasmtime 48", kernel.trim(), env!("CARGO_PKG_VERSION"))
}
