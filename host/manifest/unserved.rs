//! Keys that this build checks but does not serve: the one list, shorter with every trigger and capability that arrives.
//!
//! Must not check values: what is listed here is already known to be right.

use super::spec::{FileSpec, Origin, Start, WorkerSpec};
use crate::facts::Problem;

/// A worker's key, and how to see in a spec that it is used.
type Key = (&'static str, fn(&WorkerSpec) -> bool);

const WORKER_KEYS: &[Key] = &[
    ("jobs", |worker| worker.run.jobs.is_some()),
    ("http", |worker| worker.run.http.is_some()),
    ("topics", |worker| !worker.run.topics.is_empty()),
    ("command", |worker| worker.run.command.is_some()),
    ("start", |worker| worker.run.start == Start::Lazy),
    ("approve", |worker| worker.run.approve),
    ("grants.queue", |worker| !worker.run.grants.queue_push.is_empty()),
    ("grants.kv", |worker| !worker.run.grants.kv.is_empty()),
    ("grants.call", |worker| !worker.run.grants.call.is_empty()),
    ("grants.publish", |worker| !worker.run.grants.publish.is_empty()),
    ("grants.limiter", |worker| !worker.run.grants.limiter_acquire.is_empty() || !worker.run.grants.limiter_set_rate.is_empty()),
];

/// Keys this build checks but does not serve yet: for each such key in `spec` a problem that says "not in this build".
pub fn not_in_this_build(spec: &FileSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut before = None;
    for worker in &spec.workers {
        let (parent, item) = worker.name.split_once('/').unwrap_or((&worker.name, ""));
        // Items of one `each` share their keys: they are said once.
        if item.is_empty() || before != Some(parent) {
            let used = WORKER_KEYS.iter().filter(|(_, used)| used(worker));
            problems.extend(used.map(|(key, _)| problem(&worker.origin, Some(parent), key)));
        }
        before = Some(parent);
    }
    problems.extend(spec.queues.iter().map(|queue| problem(&queue.origin, None, "[[queue]]")));
    problems.extend(spec.maintenance.iter().map(|window| problem(&window.origin, None, "[[maintenance]]")));
    problems.sort_by_key(|problem| problem.line);
    problems
}

fn problem(origin: &Origin, worker: Option<&str>, key: &str) -> Problem {
    Problem {
        file: origin.file.to_string(),
        line: origin.line,
        column: 0,
        worker: worker.map(str::to_owned),
        field: Some(key.to_owned()),
        message: "not in this build".to_owned(),
        hint: Some("take it out, or run a build that serves it".to_owned()),
    }
}
