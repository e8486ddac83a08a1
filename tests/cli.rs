//! The command line as a user sees it: help, tables, plans, problems, records, exit codes; and the settings below it.

mod binary; // through the real executable
mod help; // verbs, flags and names
mod plans; // plans, problems, manifest files
mod records; // a worker, a trap, why, inspect, doctor
mod settings; // flags, environment, skep.toml
mod tables; // listings
mod work; // queues, jobs, keys, limiters

use jiff::Timestamp;
use skep::{cli::paint::Paint, facts::Problem};

fn at(time: &str) -> Timestamp {
    format!("2026-11-21T{time}Z").parse().unwrap()
}

fn paint() -> Paint {
    Paint::plain(at("06:03:00"))
}

fn problem(file: &str, line: u32, worker: Option<&str>, field: Option<&str>, message: &str, hint: Option<&str>) -> Problem {
    let own = |text: Option<&str>| text.map(str::to_owned);
    Problem { file: file.into(), line, column: 3, worker: own(worker), field: own(field), message: message.into(), hint: own(hint) }
}
