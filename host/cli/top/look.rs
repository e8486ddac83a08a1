//! What this terminal can show: colours or none, shapes or ASCII; the shape of each state, what a colour means. Pure.
//!
//! A state is always a shape and a word; colour comes on top. Drawing writes Unicode, [`plain`] turns it into ASCII at the end.

use ratatui::style::{Color, Modifier, Style};

use crate::{
    cli::paint::Ink,
    facts::{CheckStatus, Level, WorkerState},
};

pub const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
pub const DIM: Style = Style::new().add_modifier(Modifier::DIM);
const REVERSED: Style = Style::new().add_modifier(Modifier::REVERSED);

/// Of a sparkline, lowest first.
const LEVELS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const ASCII_LEVELS: [&str; 8] = ["_", "_", ".", "-", "-", "=", "=", "#"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    pub colour: bool,
    pub unicode: bool,
}

impl Look {
    /// NO_COLOR takes colours away, a locale that is not UTF-8 the shapes.
    pub fn of(env: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default().to_ascii_lowercase();
        Self { colour: set("NO_COLOR").is_none(), unicode: locale.contains("utf-8") || locale.contains("utf8") }
    }

    pub fn ink(self, ink: Ink) -> Style {
        match (ink, self.colour) {
            (Ink::Plain, _) | (Ink::Good | Ink::Notice, false) => Style::new(),
            (Ink::Strong, _) | (Ink::Bad, false) => BOLD,
            (Ink::Faint, _) => DIM,
            (Ink::Good, true) => Style::new().fg(Color::Green),
            (Ink::Notice, true) => Style::new().fg(Color::Yellow),
            (Ink::Bad, true) => BOLD.fg(Color::Red),
        }
    }

    /// Frames, the sorted column, keys.
    pub fn accent(self) -> Style {
        if self.colour { Style::new().fg(Color::Cyan) } else { Style::new() }
    }

    /// The selected row, the open tab.
    pub fn chosen(self) -> Style {
        if self.colour { Style::new().fg(Color::Black).bg(Color::Cyan) } else { REVERSED }
    }

    /// What must not be overlooked.
    pub fn alarm(self) -> Style {
        if self.colour { BOLD.fg(Color::White).bg(Color::Red) } else { BOLD.patch(REVERSED) }
    }

    /// A share of the highest, 0..1, as a block.
    pub fn level(self, share: f64) -> &'static str {
        let levels = if self.unicode { LEVELS } else { ASCII_LEVELS };
        let at = (share.clamp(0.0, 1.0) * (levels.len() - 1) as f64).round() as usize;
        levels.get(at).copied().unwrap_or("?")
    }

    /// One result in a bar of results: the better, the higher.
    pub fn beat(self, status: CheckStatus) -> &'static str {
        match (status, self.unicode) {
            (CheckStatus::Up, true) => "▇",
            (CheckStatus::Degraded, true) => "▅",
            (CheckStatus::Down, true) => "▂",
            (CheckStatus::Unknown, true) => "·",
            (CheckStatus::Maintenance, true) => "▒",
            (CheckStatus::Paused, true) => "░",
            (CheckStatus::Up, false) => "|",
            (CheckStatus::Degraded, false) => "!",
            (CheckStatus::Down, false) => "x",
            (CheckStatus::Unknown, false) => "?",
            (CheckStatus::Maintenance | CheckStatus::Paused, false) => "-",
        }
    }
}

pub fn worker_shape(state: WorkerState) -> &'static str {
    match state {
        WorkerState::Running => "●",
        WorkerState::Starting => "◌",
        WorkerState::Draining => "◐",
        WorkerState::Paused => "◇",
        WorkerState::Stopped => "○",
        WorkerState::Quarantined => "■",
        WorkerState::Failed => "✖",
    }
}

pub fn check_shape(status: CheckStatus) -> &'static str {
    match status {
        CheckStatus::Up => "●",
        CheckStatus::Degraded => "▲",
        CheckStatus::Down => "■",
        CheckStatus::Unknown => "◌",
        CheckStatus::Maintenance => "◆",
        CheckStatus::Paused => "◇",
    }
}

pub fn level_shape(level: Level) -> &'static str {
    match level {
        Level::Trace | Level::Debug => "·",
        Level::Info => "●",
        Level::Warn => "▲",
        Level::Error => "■",
    }
}

/// What needs a person comes first.
pub fn worker_rank(state: WorkerState) -> u8 {
    match state {
        WorkerState::Failed => 0,
        WorkerState::Quarantined => 1,
        WorkerState::Starting => 2,
        WorkerState::Draining => 3,
        WorkerState::Running => 4,
        WorkerState::Paused => 5,
        WorkerState::Stopped => 6,
    }
}

/// What needs a person comes first.
pub fn check_rank(status: CheckStatus) -> u8 {
    match status {
        CheckStatus::Down => 0,
        CheckStatus::Degraded => 1,
        CheckStatus::Unknown => 2,
        CheckStatus::Maintenance => 3,
        CheckStatus::Up => 4,
        CheckStatus::Paused => 5,
    }
}

/// ASCII for a letter that is not: shapes stay apart, letters of other scripts become a question mark.
pub fn plain(letter: char) -> char {
    match letter {
        '●' => '*',
        '◌' | '◐' | '…' => '~',
        '▲' => '!',
        '■' | '✖' => 'X',
        '◆' | '◇' => '=',
        '○' | '─' => '-',
        '│' | '▌' => '|',
        '╭' | '╮' | '╰' | '╯' => '+',
        '·' => '.',
        '↑' => '^',
        '↓' => 'v',
        '←' => '<',
        '→' => '>',
        'µ' => 'u',
        '█' => '#',
        _ => '?',
    }
}
