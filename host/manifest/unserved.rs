//! Keys that this build checks but does not serve: the one list, shorter with every trigger and capability that arrives.
//!
//! Must not check values: what is listed here is already known to be right.

use super::spec::{FileSpec, Origin, WorkerSpec};
use crate::facts::Problem;

/// A worker's key, and how to see in a spec that it is used.
type Key = (&'static str, fn(&WorkerSpec) -> bool);

const WORKER_KEYS: &[Key] = &[("approve", |worker| worker.run.approve)];

/// Keys this build checks but does not serve yet: for each such key in `spec` a problem that says "not in this build".
pub fn not_in_this_build(spec: &FileSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut before = None;
    for worker in &spec.workers {
        let (parent, item) = worker.name.split_once('/').unwrap_or((&worker.name, ""));
        // Items of one `each` share their keys: they are said once.
        if item.is_empty() || before != Some(parent) {
            let used = WORKER_KEYS.iter().filter(|(_, used)| used(worker));
            problems.extend(used.map(|(key, _)| problem(&worker.origin, parent, key)));
        }
        before = Some(parent);
    }
    problems.sort_by_key(|problem| problem.line);
    problems
}

fn problem(origin: &Origin, worker: &str, key: &str) -> Problem {
    Problem {
        file: origin.file.to_string(),
        line: origin.line,
        column: 0,
        worker: Some(worker.to_owned()),
        field: Some(key.to_owned()),
        message: "not in this build".to_owned(),
        hint: Some("take it out, or run a build that serves it".to_owned()),
    }
}
