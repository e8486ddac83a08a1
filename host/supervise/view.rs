//! A worker's facts as people read them.
//!
//! Reads units; changes nothing.

use std::sync::{Arc, atomic::Ordering};

use jiff::Timestamp;

use super::{
    cell::Phase,
    replica::Replica,
    unit::{Deployed, Unit},
};
use crate::{
    clock::Clock,
    facts::{EventCounts, ReplicaCount, ReplicaView, ScheduleView, Why, WorkerState, WorkerView},
    manifest::{
        spec::{RunSpec, Schedule},
        units::print_duration,
    },
};

/// The worst state of any replica; `paused` where all is well but no ticks come.
pub(super) fn state(unit: &Unit, deployed: &Deployed) -> WorkerState {
    const WORST_FIRST: [WorkerState; 6] = [
        WorkerState::Failed,
        WorkerState::Quarantined,
        WorkerState::Draining,
        WorkerState::Starting,
        WorkerState::Stopped,
        WorkerState::Running,
    ];
    let replicas = unit.replicas();
    let states: Vec<_> = replicas.iter().map(|replica| replica.cell().state()).collect();
    let worst = WORST_FIRST.into_iter().find(|state| states.contains(state)).unwrap_or(WorkerState::Stopped);
    if worst == WorkerState::Running && deployed.deployment.spec.live.paused { WorkerState::Paused } else { worst }
}

/// When it entered this state: for one that is paused or was resumed, that may be after its replicas came up.
fn since(replicas: Timestamp, state: WorkerState, deployed: &Deployed) -> Timestamp {
    match state {
        WorkerState::Paused | WorkerState::Running => deployed.paused_or_resumed.map_or(replicas, |at| at.max(replicas)),
        _ => replicas,
    }
}

pub(super) fn worker(unit: &Unit) -> WorkerView {
    let deployed = unit.deployed();
    let (spec, component) = (&deployed.deployment.spec, &deployed.deployment.component);
    let facts = &unit.facts;
    let state = state(unit, &deployed);
    let replicas = unit.replicas();
    let cells: Vec<_> = replicas
        .iter()
        .map(|replica| {
            let cell = replica.cell();
            (cell.state(), cell.since, cell.incarnation)
        })
        .collect();
    let running = cells.iter().filter(|(state, ..)| matches!(state, WorkerState::Running | WorkerState::Draining)).count();
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let ticking = matches!(state, WorkerState::Running | WorkerState::Starting | WorkerState::Quarantined);
    WorkerView {
        name: spec.name.clone(),
        title: spec.live.title.clone(),
        group: spec.live.group.clone(),
        notes: spec.live.notes.clone(),
        component: spec.run.component.to_string(),
        digest: Some(component.digest.clone()),
        state,
        replicas: ReplicaCount { desired: spec.live.replicas, running: u32::try_from(running).unwrap_or(u32::MAX) },
        incarnation: cells.iter().map(|(.., incarnation)| *incarnation).max().unwrap_or_default(),
        restarts: load(&facts.restarts),
        last_error: facts.last().error.map(String::from),
        config: spec.run.config.clone(),
        triggers: triggers(&spec.run, component.surface.call),
        schedule: spec.run.schedule.as_ref().map(|schedule| ScheduleView {
            every: match schedule {
                Schedule::Every(every) => Some(print_duration(*every)),
                Schedule::Cron { .. } => None,
            },
            cron: match schedule {
                Schedule::Every(_) => None,
                Schedule::Cron { expression, timezone } => Some(format!("{expression} {timezone}")),
            },
            next: facts.next().filter(|_| ticking),
            lateness_ms: facts.lateness_ms(),
            missed: load(&facts.missed),
        }),
        since: since(cells.iter().map(|(_, since, _)| *since).max().unwrap_or_default(), state, &deployed),
        instance: deployed.mode(),
        events: EventCounts {
            ok: load(&facts.ok),
            failed: load(&facts.failed),
            trapped: load(&facts.trapped),
            missed_messages: load(&facts.messages_missed),
        },
        memory_peak_bytes: load(&facts.memory_peak),
        file: spec.origin.file.to_string(),
        line: spec.origin.line,
        held_back: deployed.deployment.held_back.as_deref().map(str::to_owned),
    }
}

/// What makes the host call it, as people read it.
fn triggers(run: &RunSpec, answers_calls: bool) -> Vec<String> {
    let mut all = Vec::new();
    match &run.schedule {
        Some(Schedule::Every(every)) => all.push(format!("every {}", print_duration(*every))),
        Some(Schedule::Cron { expression, timezone }) => all.push(format!("cron {expression} {timezone}")),
        None if run.command.is_some() => all.push("service".to_owned()),
        None => {}
    }
    all.extend(run.jobs.iter().map(|jobs| format!("queue {}", jobs.queue)));
    all.extend(run.http.iter().flat_map(|http| &http.routes).map(|route| format!("http {route}")));
    all.extend(run.topics.iter().map(|topic| format!("topic {topic}")));
    if answers_calls {
        all.push("calls".to_owned());
    }
    all
}

/// Its replicas, by number.
pub(super) fn replicas(unit: &Unit) -> Vec<ReplicaView> {
    let view = |replica: &Arc<Replica>| {
        let cell = replica.cell();
        ReplicaView {
            replica: replica.number,
            state: cell.state(),
            busy: cell.running() > 0,
            waiting: cell.waiting() as u64,
            incarnation: cell.incarnation,
            since: cell.since,
        }
    };
    unit.replicas().iter().map(view).collect()
}

pub(super) fn why(unit: &Unit, clock: Clock) -> Why {
    let deployed = unit.deployed();
    let state = state(unit, &deployed);
    let name = &unit.name;
    let last = unit.facts.last();
    let replicas = unit.replicas();
    let (since, next_try) = replicas
        .iter()
        .map(|replica| {
            let cell = replica.cell();
            (cell.since, cell.next_try())
        })
        .max_by_key(|(since, next)| (next.is_some(), *since))
        .unwrap_or_default();
    let next_restart = next_try.and_then(|at| clock.wall().checked_add(at.saturating_duration_since(clock.now())).ok());
    let error = last.error.as_deref().unwrap_or("no error is known");
    let drained = replicas.iter().any(|replica| {
        let cell = replica.cell();
        cell.phase == Phase::Stopped && cell.drained
    });
    // Lazy, and nothing has asked for it since it was made or came back.
    let unasked = replicas.iter().all(|replica| {
        let cell = replica.cell();
        cell.phase == Phase::Starting && cell.state() == WorkerState::Running
    });
    let (cause, remedy) = match state {
        WorkerState::Running if unasked => match &last.error {
            None => ("it starts at its first event (start = \"lazy\")".to_owned(), "nothing to do".to_owned()),
            Some(error) => {
                let cause = format!("it starts again at its next event (start = \"lazy\"); the last thing that went wrong: {error}");
                (cause, format!("see: skep logs {name}"))
            }
        },
        WorkerState::Running => match &last.error {
            None => ("it runs and nothing went wrong since the host started".to_owned(), "nothing to do".to_owned()),
            Some(error) => (format!("it runs; the last thing that went wrong: {error}"), format!("see: skep logs {name}")),
        },
        WorkerState::Starting => ("its first incarnation is being made".to_owned(), "wait a moment".to_owned()),
        WorkerState::Paused => ("its manifest says paused = true".to_owned(), format!("skep resume {name}")),
        WorkerState::Draining => {
            ("it finishes the event in flight and takes no more".to_owned(), format!("to run it again: skep restart {name}"))
        }
        WorkerState::Quarantined => (
            format!("it crashed too often: {error}"),
            format!("look at the trap record (skep traps {name}), mend component or config, then: skep restart {name}"),
        ),
        WorkerState::Failed => {
            (format!("it can't start: {error}"), "mend config or component in its manifest; it is tried again by itself".to_owned())
        }
        WorkerState::Stopped if drained => ("it was drained".to_owned(), format!("skep restart {name}")),
        WorkerState::Stopped if last.error.is_none() => {
            ("it ended well, and its restart policy says not to run it again".to_owned(), format!("skep restart {name}"))
        }
        WorkerState::Stopped => {
            (format!("its restart policy says not to run it again; last error: {error}"), format!("skep restart {name}"))
        }
    };
    let alike = replicas.iter().filter(|replica| replica.cell().state() == state).count();
    let cause = match replicas.len() {
        all @ 2.. if (1..all).contains(&alike) => format!("{alike} of {all} replicas: {cause}"),
        _ => cause,
    };
    let cause = match &deployed.deployment.held_back {
        Some(reason) => format!("{cause} (held back: {reason})"),
        None => cause,
    };
    let since = self::since(since, state, &deployed);
    Why { worker: name.clone(), state, since, cause, next_restart, remedy, trap: last.trap.map(String::from) }
}
