//! A worker as a line.

use std::cmp::Ordering;

use super::{Column, bare, dash, number, or_dash, rate, text};
use crate::{
    cli::{
        paint::{Ink, bytes, millis, worker_ink},
        top::{
            listing::{Row, has},
            look::{worker_rank, worker_shape},
        },
    },
    facts::{LiveWorker, Name, WorkerState},
};

impl Row for LiveWorker {
    type Key = Name;
    const SORT: usize = 1;
    const COLUMNS: &'static [Column<Self>] = &[
        Column {
            title: "NAME",
            min: 14,
            max: 44,
            right: false,
            rank: 0,
            descending: false,
            compare: |a, b| a.name.cmp(&b.name),
            cell: |row, _, _| bare(&row.name),
            text: Some(|row| &row.name),
        },
        Column {
            title: "STATE",
            min: 13,
            max: 13,
            right: false,
            rank: 0,
            descending: false,
            compare: |a, b| worker_rank(a.state).cmp(&worker_rank(b.state)),
            cell: |row, scene, _| {
                let mark = if row.held_back.is_some() { "*" } else { "" };
                let word = format!("{} {}{mark}", worker_shape(row.state), row.state.as_str());
                text(&word, scene.look.ink(worker_ink(row.state)))
            },
            text: None,
        },
        Column {
            title: "REPLICAS",
            min: 8,
            max: 8,
            right: true,
            rank: 1,
            descending: true,
            compare: |a, b| a.running.cmp(&b.running),
            cell: |row, scene, _| {
                let short = row.running < row.desired && !matches!(row.state, WorkerState::Paused | WorkerState::Stopped);
                let ink = if short { Ink::Notice } else { Ink::Plain };
                text(&format!("{}/{}", row.running, row.desired), scene.look.ink(ink))
            },
            text: None,
        },
        Column {
            title: "RESTARTS",
            min: 8,
            max: 8,
            right: true,
            rank: 5,
            descending: true,
            compare: |a, b| a.restarts.cmp(&b.restarts),
            cell: |row, scene, _| number(row.restarts, Ink::Notice, scene),
            text: None,
        },
        Column {
            title: "EVENTS/S",
            min: 8,
            max: 8,
            right: true,
            rank: 3,
            descending: true,
            compare: |a, b| a.rate.total_cmp(&b.rate),
            cell: |row, scene, _| rate(row.rate, scene),
            text: None,
        },
        Column {
            title: "TRAPPED",
            min: 7,
            max: 7,
            right: true,
            rank: 8,
            descending: true,
            compare: |a, b| a.trapped.cmp(&b.trapped),
            cell: |row, scene, _| number(row.trapped, Ink::Bad, scene),
            text: None,
        },
        Column {
            title: "LATE",
            min: 7,
            max: 7,
            right: true,
            rank: 9,
            descending: true,
            compare: |a, b| by_option(a.lateness_ms, b.lateness_ms),
            cell: |row, _, _| or_dash(row.lateness_ms.map(millis)),
            text: None,
        },
        Column {
            title: "MEMORY",
            min: 9,
            max: 9,
            right: true,
            rank: 6,
            descending: true,
            compare: |a, b| a.memory_peak_bytes.cmp(&b.memory_peak_bytes),
            cell: |row, _, _| if row.memory_peak_bytes == 0 { dash() } else { bare(bytes(row.memory_peak_bytes)) },
            text: None,
        },
        Column {
            title: "NEXT",
            min: 7,
            max: 7,
            right: false,
            rank: 7,
            descending: false,
            // Those without a next tick come last.
            compare: |a, b| a.next.unwrap_or(i64::MAX).cmp(&b.next.unwrap_or(i64::MAX)),
            cell: |row, scene, _| or_dash(row.next.map(|next| scene.ahead(next))),
            text: None,
        },
        Column {
            title: "SINCE",
            min: 5,
            max: 5,
            right: false,
            rank: 4,
            descending: true,
            compare: |a, b| a.since.cmp(&b.since),
            cell: |row, scene, _| bare(scene.age(row.since)),
            text: None,
        },
        Column {
            title: "TRIGGER",
            min: 14,
            max: 30,
            right: false,
            rank: 10,
            descending: false,
            compare: |a, b| a.triggers.cmp(&b.triggers),
            cell: |row, _, _| if row.triggers.is_empty() { dash() } else { bare(row.triggers.join(", ")) },
            text: None,
        },
        Column {
            title: "LAST ERROR",
            min: 12,
            max: 160,
            right: false,
            rank: 2,
            descending: true,
            compare: |a, b| a.last_error.cmp(&b.last_error),
            cell: |row, scene, _| match trouble(row) {
                "" => dash(),
                words => text(words.lines().next().unwrap_or_default(), scene.look.ink(trouble_ink(row))),
            },
            text: Some(trouble),
        },
    ];

    fn key(&self) -> Name {
        self.name.clone()
    }

    fn by_key(&self, other: &Self) -> Ordering {
        self.name.cmp(&other.name)
    }

    fn says(&self, word: &str) -> bool {
        let option = |text: &Option<String>| text.as_deref().is_some_and(|text| has(text, word));
        has(&self.name, word)
            || has(self.state.as_str(), word)
            || has(&self.component, word)
            || option(&self.title)
            || option(&self.group)
            || option(&self.last_error)
            || self.triggers.iter().any(|trigger| has(trigger, word))
    }
}

/// What is wrong: a held back version says more than an error of the last good one.
fn trouble(row: &LiveWorker) -> &str {
    row.held_back.as_deref().or(row.last_error.as_deref()).unwrap_or_default()
}

/// What went wrong once is loud only as long as it is so.
fn trouble_ink(row: &LiveWorker) -> Ink {
    if row.held_back.is_some() || matches!(row.state, WorkerState::Quarantined | WorkerState::Failed) { Ink::Bad } else { Ink::Faint }
}

/// Absent ones are smallest.
pub(super) fn by_option(a: Option<f64>, b: Option<f64>) -> Ordering {
    a.unwrap_or(f64::NEG_INFINITY).total_cmp(&b.unwrap_or(f64::NEG_INFINITY))
}
