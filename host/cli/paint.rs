//! How values look on a terminal: colours, times, sizes, and text that must not steer the terminal. Pure.

use jiff::{Timestamp, tz::TimeZone};

use crate::facts::{CheckStatus, Level, WorkerState};

/// What a colour means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    Plain,
    Good,
    Notice,
    Bad,
    Faint,
    Strong,
}

/// Colours or none, the time things are told relative to, and the zone clocks are shown in.
#[derive(Debug, Clone)]
pub struct Paint {
    pub colour: bool,
    pub now: Timestamp,
    pub zone: TimeZone,
}

impl Paint {
    /// No colours, UTC: what a pipe or a test sees.
    pub fn plain(now: Timestamp) -> Self {
        Self { colour: false, now, zone: TimeZone::UTC }
    }

    pub fn ink(&self, ink: Ink, text: &str) -> String {
        let code = match ink {
            _ if !self.colour || text.is_empty() => return text.to_owned(),
            Ink::Plain => return text.to_owned(),
            Ink::Good => "32",
            Ink::Notice => "33",
            Ink::Bad => "31",
            Ink::Faint => "2",
            Ink::Strong => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// `3m ago`, `just now`.
    pub fn ago(&self, at: Timestamp) -> String {
        match self.now.duration_since(at).as_secs() {
            ..=0 => "just now".to_owned(),
            seconds => format!("{} ago", span(seconds)),
        }
    }

    /// `in 12s`, `now`.
    pub fn ahead(&self, at: Timestamp) -> String {
        match at.duration_since(self.now).as_millis() {
            ..=0 => "now".to_owned(),
            ms => format!("in {}", span(i64::try_from((ms + 999) / 1_000).unwrap_or(i64::MAX))),
        }
    }

    /// `2026-11-21 06:26:36` in the zone.
    pub fn clock(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// `2026-11-21 06:26:36 (3m ago)`.
    pub fn moment(&self, at: Timestamp) -> String {
        format!("{} ({})", self.clock(at), self.ago(at))
    }
}

pub fn worker_ink(state: WorkerState) -> Ink {
    match state {
        WorkerState::Running => Ink::Good,
        WorkerState::Starting | WorkerState::Draining | WorkerState::Paused => Ink::Notice,
        WorkerState::Quarantined | WorkerState::Failed => Ink::Bad,
        WorkerState::Stopped => Ink::Faint,
    }
}

pub fn check_ink(status: CheckStatus) -> Ink {
    match status {
        CheckStatus::Up => Ink::Good,
        CheckStatus::Degraded | CheckStatus::Maintenance => Ink::Notice,
        CheckStatus::Down => Ink::Bad,
        CheckStatus::Unknown | CheckStatus::Paused => Ink::Faint,
    }
}

pub fn level_word(level: Level) -> (&'static str, Ink) {
    match level {
        Level::Trace => ("trace", Ink::Faint),
        Level::Debug => ("debug", Ink::Faint),
        Level::Info => ("info", Ink::Plain),
        Level::Warn => ("warn", Ink::Notice),
        Level::Error => ("error", Ink::Bad),
    }
}

/// One unit, the largest that leaves two of it: `45s`, `90m`, `30h`, `12d`.
pub fn span(seconds: i64) -> String {
    match seconds {
        ..=119 => format!("{seconds}s"),
        120..=7_199 => format!("{}m", seconds / 60),
        7_200..=172_799 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// `3.42 ms`, `123 ms`, `1.20 s`.
pub fn millis(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.2} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms => format!("{:.2} s", ms / 1e3),
    }
}

/// `0` to `1` as a percentage that never rounds up to 100.
pub fn percent(share: f64) -> String {
    match (share * 1e4).floor() / 1e2 {
        whole if whole >= 100.0 => "100%".to_owned(),
        part => format!("{part:.2}%"),
    }
}

/// `640 B`, `1.5 MiB`.
pub fn bytes(count: u64) -> String {
    let units = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| count >= *unit) {
        None => format!("{count} B"),
        Some((unit, name)) => {
            let tenths = count.saturating_mul(10) / unit;
            if tenths.is_multiple_of(10) { format!("{} {name}", tenths / 10) } else { format!("{}.{} {name}", tenths / 10, tenths % 10) }
        }
    }
}

/// Guests choose log lines and errors: what could steer a terminal is shown instead of sent. Tabs stay.
pub fn safe(text: &str) -> String {
    if !text.chars().any(steers) {
        return text.to_owned();
    }
    text.chars().fold(String::with_capacity(text.len() + 16), |mut shown, char| {
        if steers(char) {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
        shown
    })
}

/// Control characters, and the marks that turn the direction of text around.
fn steers(char: char) -> bool {
    (char.is_control() && char != '\t') || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// At most `width` characters, the last an ellipsis when something is left out.
pub fn short(text: &str, width: usize) -> String {
    let one_line = safe(text.lines().next().unwrap_or_default());
    let cut = text.lines().nth(1).is_some();
    if one_line.chars().count() <= width && !cut {
        return one_line;
    }
    let kept: String = one_line.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// `1 worker`, `3 workers`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
