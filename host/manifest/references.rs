//! What only all files together show: names taken twice, and limiters and workers that are referred to but declared nowhere.
//!
//! Must not check what a file alone can tell.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use super::{
    hints::nearest,
    parents, routes,
    spec::{Destination, FileSpec, Origin, WorkerSpec},
};
use crate::facts::Problem;

/// Checks over all files at once: names unique, limiters and workers that are referred to exist. Problems name the later file.
///
/// Hand over what runs: of a broken file its last good spec, or what that file declares is missed elsewhere. A queue needs no
/// declaration and a worker may be called before it exists, so neither is asked for. Workers of `each` are known by their parent's
/// name, too.
pub fn check_all(files: &[(Arc<str>, &FileSpec)]) -> Vec<Problem> {
    let mut names = Names::default();
    let mut problems = Vec::new();
    for (file, spec) in files {
        let workers = spec.workers.iter().map(|worker| ("worker", parent(&worker.name), &worker.origin));
        let limiters = spec.limiters.iter().map(|limiter| ("limiter", limiter.name.as_str(), &limiter.origin));
        let queues = spec.queues.iter().map(|queue| ("queue", queue.name.as_str(), &queue.origin));
        let windows = spec.maintenance.iter().map(|window| ("maintenance", window.name.as_str(), &window.origin));
        for (kind, name, origin) in workers.chain(limiters).chain(queues).chain(windows) {
            problems.extend(names.declare(file, kind, name, origin));
        }
    }
    let limiters: HashSet<&str> = files.iter().flat_map(|(_, spec)| &spec.limiters).map(|limiter| limiter.name.as_str()).collect();
    let workers = files.iter().flat_map(|(_, spec)| &spec.workers).flat_map(|worker| [&*worker.name, parent(&worker.name)]).collect();
    let known = Known { limiters, workers };
    problems.extend(routes::taken_twice(files));
    problems.extend(parents::wrong(files));
    for (file, spec) in files {
        for worker in &spec.workers {
            problems.extend(known.of_worker(file, worker));
        }
        for queue in &spec.queues {
            problems.extend(queue.limiter.iter().filter_map(|limiter| known.limiter(file, &queue.origin, None, "queue.limiter", limiter)));
        }
    }
    // Items of one `each` say the same thing many times.
    let mut seen = HashSet::new();
    problems.retain(|problem| seen.insert(problem.clone()));
    problems
}

/// The name that a manifest writes: `pinger` of `pinger/nas`.
pub(super) fn parent(name: &str) -> &str {
    name.split_once('/').map_or(name, |(parent, _)| parent)
}

/// Who declared a name first.
#[derive(Default)]
struct Names<'s> {
    first: HashMap<(&'static str, &'s str), (&'s Arc<str>, u32)>,
}

impl<'s> Names<'s> {
    fn declare(&mut self, file: &'s Arc<str>, kind: &'static str, name: &'s str, origin: &Origin) -> Option<Problem> {
        let (first_file, first_line) = match self.first.entry((kind, name)) {
            Entry::Vacant(free) => {
                free.insert((file, origin.line));
                return None;
            }
            Entry::Occupied(taken) => *taken.get(),
        };
        // Within one file the parser has looked; what meets here are items of one `each`.
        if first_file == file {
            return None;
        }
        let worker = (kind == "worker").then(|| name.to_owned());
        let field = if worker.is_some() { "name".to_owned() } else { format!("{kind}.name") };
        let message = format!("the name \"{name}\" is already taken by {first_file}:{first_line}");
        Some(problem(file, origin.line, worker, &field, message, "give one of them another name".to_owned()))
    }
}

struct Known<'s> {
    limiters: HashSet<&'s str>,
    workers: HashSet<&'s str>,
}

impl Known<'_> {
    fn of_worker(&self, file: &str, worker: &WorkerSpec) -> Vec<Problem> {
        let grants = &worker.run.grants;
        let name = Some(parent(&worker.name).to_owned());
        let http = grants.http.iter().flat_map(|http| &http.limiter).map(|limiter| ("grants.http.limiter", limiter));
        let acquire = grants.limiter_acquire.iter().map(|limiter| ("grants.limiter.acquire", limiter));
        let set_rate = grants.limiter_set_rate.iter().map(|limiter| ("grants.limiter.set_rate", limiter));
        let limiters = http.chain(acquire).chain(set_rate);
        let mut problems: Vec<_> =
            limiters.filter_map(|(field, limiter)| self.limiter(file, &worker.origin, name.clone(), field, limiter)).collect();
        for destination in grants.http.iter().flat_map(|http| &http.allow) {
            let Destination::Worker(wanted) = destination else { continue };
            if !self.workers.contains(wanted.as_str()) {
                let hint = match nearest(wanted, self.workers.iter().copied()) {
                    Some(near) => format!("did you mean \"worker:{near}\"?"),
                    None => "declare it, or take the entry out".to_owned(),
                };
                let message = format!("there is no worker \"{wanted}\"");
                problems.push(problem(file, worker.origin.line, name.clone(), "grants.http.allow", message, hint));
            }
        }
        problems
    }

    fn limiter(&self, file: &str, origin: &Origin, worker: Option<String>, field: &str, wanted: &str) -> Option<Problem> {
        if self.limiters.contains(wanted) {
            return None;
        }
        let hint = match nearest(wanted, self.limiters.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("declare it: [[limiter]] name = \"{wanted}\", rate = \"5/s\""),
        };
        Some(problem(file, origin.line, worker, field, format!("there is no limiter \"{wanted}\""), hint))
    }
}

pub(super) fn problem(file: &str, line: u32, worker: Option<String>, field: &str, message: String, hint: String) -> Problem {
    Problem { file: file.to_owned(), line, column: 0, worker, field: Some(field.to_owned()), message, hint: Some(hint) }
}
