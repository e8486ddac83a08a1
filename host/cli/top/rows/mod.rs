//! What each table has a line of, and its columns: heading, width, order, and how a value looks. Pure.

mod check;
mod event;
mod queue;
mod worker;

use ratatui::style::Style;

use std::cmp::Ordering;

pub use self::{
    check::{history, sparkline},
    queue::QueueRow,
};
use super::{
    canvas::{Line, span},
    look::{DIM, Look},
};
use crate::cli::paint::{self, Ink};
use jiff::{Timestamp, tz::TimeZone};

/// What values are drawn for.
#[derive(Debug, Clone)]
pub struct Scene {
    pub look: Look,
    /// The host's time, in milliseconds since 1970.
    pub now: i64,
    pub zone: TimeZone,
}

/// One column of a table.
pub struct Column<R> {
    pub title: &'static str,
    /// It is at least this wide, or it is left out.
    pub min: u16,
    /// It grows to this where there is room, but not over its longest text.
    pub max: u16,
    pub right: bool,
    /// Where it is narrow, the largest go first; 0 stays.
    pub rank: u8,
    /// Sorted by, it begins with the largest.
    pub descending: bool,
    pub compare: fn(&R, &R) -> Ordering,
    /// The value in so many columns.
    pub cell: fn(&R, &Scene, u16) -> Line,
    /// The text of a column that grows to its longest.
    pub text: Option<fn(&R) -> &str>,
}

impl Scene {
    /// `3m`: how long since.
    pub fn age(&self, at: i64) -> String {
        paint::span((self.now.saturating_sub(at) / 1_000).max(0))
    }

    /// `in 12s`, `now`.
    pub fn ahead(&self, at: i64) -> String {
        match at.saturating_sub(self.now) {
            ..=0 => "now".to_owned(),
            ms => format!("in {}", paint::span(ms.saturating_add(999) / 1_000)),
        }
    }

    /// `06:26:36` in the zone; with its date when it is not of today.
    pub fn clock(&self, at: i64) -> String {
        let zoned = |ms| Timestamp::from_millisecond(ms).ok().map(|at| at.to_zoned(self.zone.clone()));
        match (zoned(at), zoned(self.now)) {
            (Some(at), Some(now)) if at.date() == now.date() => at.strftime("%H:%M:%S").to_string(),
            (Some(at), _) => at.strftime("%m-%d %H:%M").to_string(),
            _ => "-".to_owned(),
        }
    }
}

pub(super) fn text(text: &str, style: Style) -> Line {
    Line::from(span(text, style))
}

pub(super) fn bare(value: impl AsRef<str>) -> Line {
    text(value.as_ref(), Style::new())
}

/// Nothing there.
pub(super) fn dash() -> Line {
    text("-", DIM)
}

pub(super) fn or_dash(value: Option<String>) -> Line {
    value.map_or_else(dash, bare)
}

/// A number that is worth a look only when it is not 0.
pub(super) fn number(count: u64, ink: Ink, scene: &Scene) -> Line {
    if count == 0 { text("0", scene.look.ink(Ink::Faint)) } else { text(&count.to_string(), scene.look.ink(ink)) }
}

/// Events, jobs a second.
pub(super) fn rate(per_second: f64, scene: &Scene) -> Line {
    if per_second < 0.05 { text("0", scene.look.ink(Ink::Faint)) } else { bare(per_second_text(per_second)) }
}

/// `0.4`, `12`, `12.3k`.
pub fn per_second_text(rate: f64) -> String {
    match rate {
        rate if rate < 0.05 => "0".to_owned(),
        rate if rate < 9.95 => format!("{rate:.1}"),
        rate if rate < 9_999.5 => format!("{rate:.0}"),
        rate => format!("{:.1}k", rate / 1e3),
    }
}

/// A share that fits in six columns.
pub fn percent(share: f64) -> String {
    paint::percent(share)
}
