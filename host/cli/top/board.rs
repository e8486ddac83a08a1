//! What the host said last, as four tables and a few counts. Pure: takes frames of the live stream, must not know who reads.

use std::collections::BTreeMap;

use super::{listing::Listing, rows::QueueRow};
use crate::facts::{CheckStatus, EventRecord, LimiterView, LiveCheck, LiveDelta, LiveHost, LiveSnapshot, LiveWorker, Name, WorkerState};

/// Of events, as many are kept as a person scrolls through.
const EVENTS_KEPT: usize = 2_000;
/// Dropping the oldest sorts them all; this many come together before it is done.
const EVENTS_OVER: usize = 200;

pub struct Board {
    pub host: LiveHost,
    pub workers: Listing<LiveWorker>,
    pub checks: Listing<LiveCheck>,
    pub queues: Listing<QueueRow>,
    pub events: Listing<EventRecord>,
    pub limiters: BTreeMap<String, LimiterView>,
}

/// How many stand where, in the order of [`WorkerState::ALL`] and [`CheckStatus::ALL`]; jobs over all queues.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    pub workers: Vec<(WorkerState, usize)>,
    pub checks: Vec<(CheckStatus, usize)>,
    pub waiting: u64,
    pub running: u64,
    pub delayed: u64,
    pub dead: u64,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            host: LiveHost::default(),
            workers: Listing::new(false),
            checks: Listing::new(false),
            queues: Listing::new(false),
            events: Listing::new(true),
            limiters: BTreeMap::new(),
        }
    }
}

impl Board {
    /// Everything anew. Events that were seen before stay: the host sends its newest only.
    pub fn replace(&mut self, all: LiveSnapshot) {
        self.host = all.host;
        self.workers.replace(all.workers);
        self.checks.replace(all.checks);
        let queues = all.queues.into_iter().map(|view| {
            let before = self.queues.get(&view.name);
            QueueRow::new(view, all.at, before)
        });
        let queues = queues.collect();
        self.queues.replace(queues);
        self.limiters = all.limiters.into_iter().map(|limiter| (limiter.name.clone(), limiter)).collect();
        self.add_events(all.events);
    }

    pub fn change(&mut self, delta: LiveDelta) {
        if let Some(host) = delta.host {
            self.host = host;
        }
        if let Some(gone) = delta.gone {
            gone.workers.into_iter().for_each(|name| self.workers.remove(&Name::from(name)));
            gone.checks.into_iter().for_each(|(worker, subject)| self.checks.remove(&(worker.into(), subject)));
            gone.queues.iter().for_each(|name| self.queues.remove(name));
            gone.limiters.iter().for_each(|name| _ = self.limiters.remove(name));
        }
        delta.workers.into_iter().for_each(|row| self.workers.put(row));
        delta.checks.into_iter().for_each(|row| self.checks.put(row));
        for view in delta.queues {
            let before = self.queues.get(&view.name);
            self.queues.put(QueueRow::new(view, delta.at, before));
        }
        self.limiters.extend(delta.limiters.into_iter().map(|limiter| (limiter.name.clone(), limiter)));
        self.add_events(delta.events);
    }

    fn add_events(&mut self, events: Vec<EventRecord>) {
        events.into_iter().for_each(|event| self.events.put(event));
        if self.events.all().len() > EVENTS_KEPT + EVENTS_OVER {
            self.events.keep(EVENTS_KEPT);
        }
    }

    pub fn settle(&mut self) {
        self.workers.settle();
        self.checks.settle();
        self.queues.settle();
        self.events.settle();
    }

    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            workers: WorkerState::ALL.iter().map(|state| (*state, 0)).collect(),
            checks: CheckStatus::ALL.iter().map(|status| (*status, 0)).collect(),
            ..Counts::default()
        };
        // `ALL` is in the order of the states.
        for worker in self.workers.all() {
            counts.workers.get_mut(worker.state as usize).into_iter().for_each(|(_, count)| *count += 1);
        }
        for check in self.checks.all() {
            counts.checks.get_mut(check.status as usize).into_iter().for_each(|(_, count)| *count += 1);
        }
        for queue in self.queues.all() {
            counts.waiting += queue.view.waiting;
            counts.running += queue.view.running;
            counts.delayed += queue.view.delayed;
            counts.dead += queue.view.dead;
        }
        counts
    }
}
