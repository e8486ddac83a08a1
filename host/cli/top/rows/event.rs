//! Something that happened, as a line.

use std::cmp::Ordering;

use super::{Column, bare, dash, text};
use crate::{
    cli::{
        paint::{Ink, level_word},
        top::{
            listing::{Row, has},
            look::level_shape,
        },
    },
    facts::EventRecord,
};

impl Row for EventRecord {
    type Key = u64;
    const SORT: usize = 0;
    const COLUMNS: &'static [Column<Self>] = &[
        Column {
            title: "TIME",
            min: 11,
            max: 11,
            right: false,
            rank: 0,
            descending: true,
            compare: |a, b| a.id.cmp(&b.id),
            cell: |row, scene, _| text(&scene.clock(row.at.as_millisecond()), scene.look.ink(Ink::Faint)),
            text: None,
        },
        Column {
            title: "LEVEL",
            min: 7,
            max: 7,
            right: false,
            rank: 0,
            descending: true,
            compare: |a, b| a.level.cmp(&b.level),
            cell: |row, scene, _| {
                let (word, ink) = level_word(row.level);
                text(&format!("{} {word}", level_shape(row.level)), scene.look.ink(ink))
            },
            text: None,
        },
        Column {
            title: "KIND",
            min: 18,
            max: 24,
            right: false,
            rank: 2,
            descending: false,
            compare: |a, b| a.kind.cmp(&b.kind),
            cell: |row, _, _| bare(&row.kind),
            text: Some(|row| &row.kind),
        },
        Column {
            title: "WORKER",
            min: 14,
            max: 32,
            right: false,
            rank: 1,
            descending: false,
            compare: |a, b| a.worker.cmp(&b.worker),
            cell: |row, _, _| row.worker.as_deref().map_or_else(dash, bare),
            text: Some(|row| row.worker.as_deref().unwrap_or_default()),
        },
        Column {
            title: "MESSAGE",
            min: 20,
            max: 400,
            right: false,
            rank: 0,
            descending: false,
            compare: |a, b| a.message.cmp(&b.message),
            cell: |row, _, _| bare(row.message.lines().next().unwrap_or_default()),
            text: Some(|row| &row.message),
        },
    ];

    fn key(&self) -> u64 {
        self.id
    }

    fn by_key(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }

    fn says(&self, word: &str) -> bool {
        has(&self.kind, word)
            || has(&self.message, word)
            || has(level_word(self.level).0, word)
            || self.worker.as_deref().is_some_and(|worker| has(worker, word))
    }
}
