//! `checks.parent`: what only all files together show. A parent is there, is one worker, and is nobody's own descendant.
//!
//! Must not know what a parent is good for.

use std::{collections::HashMap, sync::Arc};

use super::{
    hints::nearest,
    references::{parent, problem},
    spec::{FileSpec, WorkerSpec},
};
use crate::facts::Problem;

pub(super) fn wrong(files: &[(Arc<str>, &FileSpec)]) -> Vec<Problem> {
    let all = || files.iter().flat_map(|(file, spec)| spec.workers.iter().map(move |worker| (file, worker)));
    if all().all(|(_, worker)| worker.live.alerts.parent.is_none()) {
        return Vec::new();
    }
    let parents: HashMap<&str, Option<&str>> = all().map(|(_, worker)| (&*worker.name, worker.live.alerts.parent.as_deref())).collect();
    let say = |(file, worker): (&Arc<str>, &Arc<WorkerSpec>)| {
        let wanted = worker.live.alerts.parent.as_deref()?;
        let (message, hint) = fault(&worker.name, wanted, &parents)?;
        let name = Some(parent(&worker.name).to_owned());
        Some(problem(file, worker.origin.line, name, "checks.parent", message, hint))
    };
    all().filter_map(say).collect()
}

fn fault(name: &str, wanted: &str, parents: &HashMap<&str, Option<&str>>) -> Option<(String, String)> {
    if !parents.contains_key(wanted) {
        let item = parents.keys().filter(|other| other.split_once('/').is_some_and(|(above, _)| above == wanted)).min();
        if let Some(item) = item {
            return Some((format!("\"{wanted}\" is one worker an item"), format!("name one of them, such as \"{item}\"")));
        }
        let hint = match nearest(wanted, parents.keys().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "name a worker that watches what this one needs, or take it out".to_owned(),
        };
        return Some((format!("there is no worker \"{wanted}\""), hint));
    }
    // As many steps as there are workers end every way that is no circle.
    let mut way = vec![name];
    let mut at = wanted;
    for _ in 0..parents.len() {
        way.push(at);
        if at == name {
            let way = if way.len() > 6 {
                format!("{} → … → {name}", way.iter().take(5).copied().collect::<Vec<_>>().join(" → "))
            } else {
                way.join(" → ")
            };
            return Some((format!("goes in a circle: {way}"), "take one of them out".to_owned()));
        }
        at = parents.get(at).copied().flatten()?;
    }
    None
}
