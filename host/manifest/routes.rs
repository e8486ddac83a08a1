//! HTTP routes that two workers want: one request can't go to both.
//!
//! Must not check what a route looks like: the file's own checks did.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use super::{
    references::{parent, problem},
    spec::{FileSpec, WorkerSpec},
};
use crate::facts::Problem;

/// A problem for each route that an earlier worker has. `/a` and `/a/` are one route, and so are those of all items of an `each`.
pub(super) fn taken_twice(files: &[(Arc<str>, &FileSpec)]) -> Vec<Problem> {
    let mut first: HashMap<&str, (&Arc<str>, &WorkerSpec)> = HashMap::new();
    let mut problems = Vec::new();
    for (file, spec) in files {
        for worker in &spec.workers {
            for route in worker.run.http.iter().flat_map(|http| &http.routes) {
                match first.entry(route.trim_end_matches('/')) {
                    Entry::Vacant(free) => _ = free.insert((file, worker)),
                    Entry::Occupied(taken) => problems.extend(conflict(route, file, worker, taken.get())),
                }
            }
        }
    }
    problems
}

fn conflict(route: &str, file: &str, worker: &WorkerSpec, (first_file, first): &(&Arc<str>, &WorkerSpec)) -> Option<Problem> {
    // A worker may say a route twice, with a slash and without.
    if first.name == worker.name {
        return None;
    }
    let (name, first_name) = (parent(&worker.name), parent(&first.name));
    let (message, hint) = if name == first_name && worker.name.contains('/') {
        let message = format!("every item of \"{name}\" would have the route \"{route}\", and a request goes to one worker only");
        (message, "give the routes to a worker without each, and let it call the items".to_owned())
    } else {
        let message = format!("the route \"{route}\" is already taken by worker \"{first_name}\" at {first_file}:{}", first.origin.line);
        (message, "give one of them another route".to_owned())
    };
    Some(problem(file, worker.origin.line, Some(name.to_owned()), "http.routes", message, hint))
}
