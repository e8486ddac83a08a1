//! A queue as a line: how many jobs stand where, and how many come and go a second.

use std::cmp::Ordering;

use super::{Column, bare, dash, number, rate, text};
use crate::{
    cli::{
        paint::Ink,
        top::listing::{Row, has},
    },
    facts::QueueView,
};

/// The host looks at queues once a second; a rate that is older than this is of something that has stopped.
const RATE_LASTS_MS: i64 = 2_500;

/// A queue with its rates, told from two looks at its counts.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueRow {
    pub view: QueueView,
    /// When the host sent it.
    pub at: i64,
    pushed_rate: f64,
    finished_rate: f64,
}

impl QueueRow {
    /// `before` is the same queue as it was seen last.
    pub fn new(view: QueueView, at: i64, before: Option<&Self>) -> Self {
        let Some(before) = before else { return Self { view, at, pushed_rate: 0.0, finished_rate: 0.0 } };
        // Of a queue that was quiet, all that came did so since the host's last look.
        let seconds = at.saturating_sub(before.at).clamp(500, 1_500) as f64 / 1e3;
        let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
        let (pushed_rate, finished_rate) = (rate(view.pushed, before.view.pushed), rate(view.finished, before.view.finished));
        Self { view, at, pushed_rate, finished_rate }
    }

    /// Pushed, finished a second.
    pub fn rates(&self, now: i64) -> (f64, f64) {
        if now.saturating_sub(self.at) > RATE_LASTS_MS { (0.0, 0.0) } else { (self.pushed_rate, self.finished_rate) }
    }
}

impl Row for QueueRow {
    type Key = String;
    const SORT: usize = 0;
    const COLUMNS: &'static [Column<Self>] = &[
        Column {
            title: "QUEUE",
            min: 16,
            max: 44,
            right: false,
            rank: 0,
            descending: false,
            compare: |a, b| a.view.name.cmp(&b.view.name),
            cell: |row, _, _| bare(&row.view.name),
            text: Some(|row| &row.view.name),
        },
        Column {
            title: "WAITING",
            min: 8,
            max: 10,
            right: true,
            rank: 0,
            descending: true,
            compare: |a, b| a.view.waiting.cmp(&b.view.waiting),
            cell: |row, scene, _| number(row.view.waiting, Ink::Plain, scene),
            text: None,
        },
        Column {
            title: "RUNNING",
            min: 8,
            max: 10,
            right: true,
            rank: 0,
            descending: true,
            compare: |a, b| a.view.running.cmp(&b.view.running),
            cell: |row, scene, _| number(row.view.running, Ink::Good, scene),
            text: None,
        },
        Column {
            title: "DELAYED",
            min: 8,
            max: 10,
            right: true,
            rank: 2,
            descending: true,
            compare: |a, b| a.view.delayed.cmp(&b.view.delayed),
            cell: |row, scene, _| number(row.view.delayed, Ink::Notice, scene),
            text: None,
        },
        Column {
            title: "DEAD",
            min: 6,
            max: 10,
            right: true,
            rank: 0,
            descending: true,
            compare: |a, b| a.view.dead.cmp(&b.view.dead),
            cell: |row, scene, _| number(row.view.dead, Ink::Bad, scene),
            text: None,
        },
        Column {
            title: "DONE",
            min: 8,
            max: 10,
            right: true,
            rank: 5,
            descending: true,
            compare: |a, b| a.view.done.cmp(&b.view.done),
            cell: |row, scene, _| number(row.view.done, Ink::Plain, scene),
            text: None,
        },
        Column {
            title: "IN/S",
            min: 6,
            max: 8,
            right: true,
            rank: 1,
            descending: true,
            compare: |a, b| a.pushed_rate.total_cmp(&b.pushed_rate),
            cell: |row, scene, _| rate(row.rates(scene.now).0, scene),
            text: None,
        },
        Column {
            title: "OUT/S",
            min: 6,
            max: 8,
            right: true,
            rank: 1,
            descending: true,
            compare: |a, b| a.finished_rate.total_cmp(&b.finished_rate),
            cell: |row, scene, _| rate(row.rates(scene.now).1, scene),
            text: None,
        },
        Column {
            title: "OLDEST",
            min: 6,
            max: 6,
            right: false,
            rank: 3,
            descending: false,
            compare: |a, b| {
                (a.view.oldest_waiting_at.is_none(), a.view.oldest_waiting_at)
                    .cmp(&(b.view.oldest_waiting_at.is_none(), b.view.oldest_waiting_at))
            },
            cell: |row, scene, _| row.view.oldest_waiting_at.map_or_else(dash, |at| bare(scene.age(at.as_millisecond()))),
            text: None,
        },
        Column {
            title: "LIMITER",
            min: 8,
            max: 16,
            right: false,
            rank: 6,
            descending: false,
            compare: |a, b| a.view.limiter.cmp(&b.view.limiter),
            cell: |row, _, _| row.view.limiter.as_deref().map_or_else(dash, bare),
            text: None,
        },
        Column {
            title: "WORKERS",
            min: 12,
            max: 120,
            right: false,
            rank: 4,
            descending: false,
            compare: |a, b| a.view.workers.cmp(&b.view.workers),
            cell: |row, scene, _| match row.view.workers.as_slice() {
                [] => text("none", scene.look.ink(Ink::Faint)),
                workers => bare(workers.join(", ")),
            },
            text: None,
        },
    ];

    fn key(&self) -> String {
        self.view.name.clone()
    }

    fn by_key(&self, other: &Self) -> Ordering {
        self.view.name.cmp(&other.view.name)
    }

    fn says(&self, word: &str) -> bool {
        has(&self.view.name, word)
            || self.view.limiter.as_deref().is_some_and(|limiter| has(limiter, word))
            || self.view.workers.iter().any(|worker| has(worker, word))
    }
}
