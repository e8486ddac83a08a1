//! A check as a line: what it watches, a bar of its newest results and how long they took.

use std::cmp::Ordering;

use super::{Column, Scene, bare, dash, or_dash, percent, text, worker::by_option};
use crate::{
    cli::{
        paint::{Ink, check_ink, millis},
        top::{
            beats::{self, decode},
            canvas::{Line, span},
            listing::{Row, has},
            look::{check_rank, check_shape},
        },
    },
    facts::{CheckStatus, LiveCheck, Name},
};

/// A certificate that ends within this is worth a colour.
const CERTIFICATE_SOON_MS: i64 = 14 * 86_400_000;

impl Row for LiveCheck {
    type Key = (Name, String);
    const SORT: usize = 2;
    const COLUMNS: &'static [Column<Self>] = &[
        Column {
            title: "SUBJECT",
            min: 18,
            max: 60,
            right: false,
            rank: 0,
            descending: false,
            compare: |a, b| a.subject.cmp(&b.subject),
            cell: |row, _, _| bare(&row.subject),
            text: Some(|row| &row.subject),
        },
        Column {
            title: "WORKER",
            min: 12,
            max: 32,
            right: false,
            rank: 3,
            descending: false,
            compare: |a, b| a.worker.cmp(&b.worker),
            cell: |row, scene, _| text(&row.worker, scene.look.ink(Ink::Faint)),
            text: Some(|row| &row.worker),
        },
        Column {
            title: "STATUS",
            min: 13,
            max: 13,
            right: false,
            rank: 0,
            descending: false,
            compare: |a, b| check_rank(a.status).cmp(&check_rank(b.status)),
            cell: |row, scene, _| {
                let against = if row.confirming > 0 { "?" } else { "" };
                let word = format!("{} {}{against}", check_shape(row.status), row.status.as_str());
                text(&word, scene.look.ink(check_ink(row.status)))
            },
            text: None,
        },
        Column {
            title: "LATEST RESULTS",
            min: 14,
            max: 30,
            right: true,
            rank: 1,
            descending: true,
            compare: |a, b| a.last.cmp(&b.last),
            cell: |row, scene, width| history(&decode(&row.beats), width, scene),
            text: None,
        },
        Column {
            title: "LATENCY",
            min: 7,
            max: 7,
            right: true,
            rank: 2,
            descending: true,
            compare: |a, b| by_option(a.latency_ms, b.latency_ms),
            cell: |row, _, _| or_dash(row.latency_ms.map(millis)),
            text: None,
        },
        Column {
            title: "TREND",
            min: 10,
            max: 20,
            right: true,
            rank: 8,
            descending: true,
            compare: |a, b| by_option(a.latency_ms, b.latency_ms),
            cell: |row, scene, width| sparkline(&decode(&row.beats), width, scene),
            text: None,
        },
        Column {
            title: "UP 24H",
            min: 6,
            max: 6,
            right: true,
            rank: 4,
            descending: false,
            compare: |a, b| by_option(a.uptime, b.uptime),
            cell: |row, scene, _| match row.uptime {
                None => dash(),
                Some(share) => text(&percent(share), scene.look.ink(if share < 0.99 { Ink::Notice } else { Ink::Plain })),
            },
            text: None,
        },
        Column {
            title: "LAST",
            min: 4,
            max: 4,
            right: false,
            rank: 7,
            descending: true,
            compare: |a, b| a.last.cmp(&b.last),
            cell: |row, scene, _| or_dash(row.last.map(|last| scene.age(last))),
            text: None,
        },
        Column {
            title: "SINCE",
            min: 5,
            max: 5,
            right: false,
            rank: 6,
            descending: true,
            compare: |a, b| a.since.cmp(&b.since),
            cell: |row, scene, _| bare(scene.age(row.since)),
            text: None,
        },
        Column {
            title: "CERT",
            min: 4,
            max: 4,
            right: true,
            rank: 9,
            descending: false,
            compare: |a, b| a.certificate.unwrap_or(i64::MAX).cmp(&b.certificate.unwrap_or(i64::MAX)),
            cell: |row, scene, _| match row.certificate {
                None => dash(),
                Some(ends) => {
                    let left = ends.saturating_sub(scene.now);
                    let ink = if left < CERTIFICATE_SOON_MS { Ink::Notice } else { Ink::Plain };
                    text(&format!("{}d", left / 86_400_000), scene.look.ink(ink))
                }
            },
            text: None,
        },
        Column {
            title: "DETAIL",
            min: 14,
            max: 160,
            right: false,
            rank: 5,
            descending: false,
            compare: |a, b| a.detail.cmp(&b.detail),
            cell: |row, scene, _| {
                let fine = matches!(row.status, CheckStatus::Up | CheckStatus::Paused);
                text(&row.detail, scene.look.ink(if fine { Ink::Faint } else { Ink::Plain }))
            },
            text: Some(|row| &row.detail),
        },
    ];

    fn key(&self) -> (Name, String) {
        (self.worker.clone(), self.subject.clone())
    }

    fn by_key(&self, other: &Self) -> Ordering {
        (&self.worker, &self.subject).cmp(&(&other.worker, &other.subject))
    }

    fn says(&self, word: &str) -> bool {
        let option = |text: &Option<String>| text.as_deref().is_some_and(|text| has(text, word));
        has(&self.subject, word)
            || has(&self.worker, word)
            || has(self.status.as_str(), word)
            || has(&self.detail, word)
            || option(&self.title)
            || option(&self.group)
    }
}

/// The newest results, newest right; dots where there is none yet.
pub fn history(results: &[beats::Result], width: u16, scene: &Scene) -> Line {
    let width = usize::from(width);
    let shown = results.get(results.len().saturating_sub(width)..).unwrap_or_default();
    let none = span(&scene.look.beat(CheckStatus::Unknown).repeat(width - shown.len()), scene.look.ink(Ink::Faint));
    let beats = shown.iter().map(|beat| span(scene.look.beat(beat.status), scene.look.ink(check_ink(beat.status))));
    std::iter::once(none).chain(beats).collect::<Vec<_>>().into()
}

/// How long they took, the slowest shown being the highest; a gap where nothing was measured.
pub fn sparkline(results: &[beats::Result], width: u16, scene: &Scene) -> Line {
    let shown = results.get(results.len().saturating_sub(usize::from(width))..).unwrap_or_default();
    let most = shown.iter().filter_map(|beat| beat.latency_ms).fold(0.0, f64::max);
    let levels = shown.iter().map(|beat| match beat.latency_ms {
        Some(ms) if most > 0.0 => scene.look.level(ms / most),
        Some(_) => scene.look.level(0.0),
        None => " ",
    });
    Line::from(span(&levels.collect::<String>(), scene.look.accent()))
}
