//! What is on screen and what a key does to it. Pure: keys, frames and the time in, effects out.
//!
//! ```text
//!          /            type, Enter, Esc
//!  Table ─────▶ Filter ─────────────────▶ Table
//!        r, d           y: act; n, Esc
//!        ─────▶ Ask ────────────────────▶ Table
//!        ?              any key
//!        ─────▶ Help ───────────────────▶ Table
//! ```
//! A detail pane may be open below each of them; Enter opens it, Esc closes it.

use super::{
    board::Board,
    detail::{Detail, Subject},
    link::Link,
};
use crate::facts::{LiveDelta, LiveSnapshot, WorkerState};

/// How long a notice stands.
const NOTICE_MS: i64 = 6_000;
/// A filter longer than this is a mistake.
const MAX_FILTER: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    Workers,
    Checks,
    Queues,
    Events,
}

impl Tab {
    pub const ALL: [Tab; 4] = [Self::Workers, Self::Checks, Self::Queues, Self::Events];

    pub fn title(self) -> &'static str {
        match self {
            Self::Workers => "Workers",
            Self::Checks => "Checks",
            Self::Queues => "Queues",
            Self::Events => "Events",
        }
    }

    fn after(self, by: usize) -> Self {
        let at = Self::ALL.iter().position(|tab| *tab == self).unwrap_or(0);
        Self::ALL.iter().copied().cycle().nth(at + by).unwrap_or(self)
    }
}

/// A key that means something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Char(char),
    Enter,
    Escape,
    Tab,
    BackTab,
    Backspace,
    /// Ctrl-U: the whole filter.
    Clear,
    /// Ctrl-C.
    Interrupt,
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
}

/// What may be asked of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Restart,
    Drain,
    Pause,
    Resume,
    Tick,
}

impl Act {
    /// Its name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Drain => "drain",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Tick => "tick",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    Table,
    Filter,
    Ask(Act, String),
    Help,
}

/// What a key leads to outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    Quit,
    Act(Act, String),
    /// Fetch what the pane shows, and its log from now on; ends what was fetched for another.
    Open(Subject),
    /// Fetch it again, as its row has changed.
    Refresh(Subject),
    Close,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub text: String,
    pub bad: bool,
    until: i64,
}

pub struct App {
    pub board: Board,
    pub link: Link,
    pub tab: Tab,
    pub mode: Mode,
    pub detail: Option<Detail>,
    pub notice: Option<Notice>,
    /// Rows that fit on screen: what a page is.
    pub page: usize,
}

/// The listing of the open tab, for what is the same for all four.
macro_rules! listing {
    ($app:expr, $list:ident => $do:expr) => {
        match $app.tab {
            Tab::Workers => {
                let $list = &mut $app.board.workers;
                $do
            }
            Tab::Checks => {
                let $list = &mut $app.board.checks;
                $do
            }
            Tab::Queues => {
                let $list = &mut $app.board.queues;
                $do
            }
            Tab::Events => {
                let $list = &mut $app.board.events;
                $do
            }
        }
    };
}

impl App {
    /// `place` is where the host answers, for people.
    pub fn new(place: String, tab: Tab) -> Self {
        Self { board: Board::default(), link: Link::new(place), tab, mode: Mode::Table, detail: None, notice: None, page: 10 }
    }

    pub fn snapshot(&mut self, all: LiveSnapshot, wall: i64) -> Option<Effect> {
        self.link.heard(all.at, wall);
        self.board.replace(all);
        self.refreshed(wall)
    }

    pub fn delta(&mut self, delta: LiveDelta, wall: i64) -> Option<Effect> {
        self.link.heard(delta.at, wall);
        self.board.change(delta);
        self.refreshed(wall)
    }

    /// The pane's row may have changed: fetch it again, but not without pause.
    pub fn refreshed(&mut self, wall: i64) -> Option<Effect> {
        self.detail.as_mut()?.refresh(&self.board, wall).map(Effect::Refresh)
    }

    /// Takes a notice away when its time is over.
    pub fn expire(&mut self, wall: i64) {
        if self.notice.as_ref().is_some_and(|notice| notice.until <= wall) {
            self.notice = None;
        }
    }

    pub fn notify(&mut self, text: String, bad: bool, wall: i64) {
        self.notice = Some(Notice { text, bad, until: wall + NOTICE_MS });
    }

    pub fn key(&mut self, key: Key, wall: i64) -> Option<Effect> {
        if key == Key::Interrupt {
            return Some(Effect::Quit);
        }
        match std::mem::replace(&mut self.mode, Mode::Table) {
            Mode::Table => self.in_table(key, wall),
            Mode::Filter => {
                self.in_filter(key);
                None
            }
            Mode::Ask(act, worker) => match key {
                Key::Char('y' | 'Y') => Some(Effect::Act(act, worker)),
                Key::Char('n' | 'N' | 'q') | Key::Escape => None,
                // Any other key is no answer.
                _ => {
                    self.mode = Mode::Ask(act, worker);
                    None
                }
            },
            Mode::Help => None,
        }
    }

    fn in_filter(&mut self, key: Key) {
        let mut filter = listing!(self, list => list.filter().to_owned());
        match key {
            Key::Enter | Key::Tab | Key::Down | Key::Up => return,
            Key::Escape => filter.clear(),
            Key::Backspace => _ = filter.pop(),
            Key::Clear => filter.clear(),
            Key::Char(char) if filter.chars().count() < MAX_FILTER => filter.push(char),
            _ => {}
        }
        if key != Key::Escape {
            self.mode = Mode::Filter;
        }
        listing!(self, list => list.set_filter(filter));
    }

    fn in_table(&mut self, key: Key, wall: i64) -> Option<Effect> {
        match key {
            Key::Char('q') => return Some(Effect::Quit),
            Key::Char('?' | 'h') => self.mode = Mode::Help,
            Key::Char('r') => self.ask(Act::Restart, wall),
            Key::Char('d') => self.ask(Act::Drain, wall),
            Key::Char('t') => return self.act(Act::Tick, wall),
            Key::Char('p') => return self.act(Act::Pause, wall),
            Key::Char(digit @ '1'..='4') => {
                let at = digit.to_digit(10).map_or(0, |digit| digit as usize - 1);
                return self.open_tab(Tab::ALL.get(at).copied().unwrap_or(self.tab));
            }
            Key::Tab => return self.open_tab(self.tab.after(1)),
            Key::BackTab => return self.open_tab(self.tab.after(Tab::ALL.len() - 1)),
            Key::Escape if self.detail.is_some() => return self.close(),
            Key::Escape => listing!(self, list => list.set_filter(String::new())),
            Key::Enter if self.detail.is_some() => return self.close(),
            Key::Enter => return self.open(),
            _ => return self.moved(key),
        }
        None
    }

    /// Keys that move: the pane's text when there is one, else the selection; left and right go to other rows with the pane open.
    fn moved(&mut self, key: Key) -> Option<Effect> {
        if let Some(detail) = &mut self.detail {
            let by = match key {
                Key::Left | Key::Char('[') => -1,
                Key::Right | Key::Char(']') => 1,
                _ => {
                    detail.scroll(key, self.page);
                    return None;
                }
            };
            listing!(self, list => list.step(by));
            return self.open();
        }
        let page = isize::try_from(self.page.max(1)).unwrap_or(isize::MAX);
        match key {
            Key::Up | Key::Char('k') => listing!(self, list => list.step(-1)),
            Key::Down | Key::Char('j') => listing!(self, list => list.step(1)),
            Key::PageUp => listing!(self, list => list.step(-page)),
            Key::PageDown | Key::Char(' ') => listing!(self, list => list.step(page)),
            Key::Home | Key::Char('g') => listing!(self, list => list.first()),
            Key::End | Key::Char('G') => listing!(self, list => list.last()),
            Key::Char('s') => listing!(self, list => list.sort_next()),
            Key::Char('S') => listing!(self, list => list.turn()),
            Key::Char('/') => self.mode = Mode::Filter,
            _ => {}
        }
        None
    }

    fn open_tab(&mut self, tab: Tab) -> Option<Effect> {
        self.tab = tab;
        self.detail.take().map(|_| Effect::Close)
    }

    fn close(&mut self) -> Option<Effect> {
        self.detail = None;
        Some(Effect::Close)
    }

    /// The pane of the selected row.
    fn open(&mut self) -> Option<Effect> {
        self.board.settle();
        let subject = match self.tab {
            Tab::Workers => self.board.workers.selected().map(|row| Subject::Worker(row.name.to_string())),
            Tab::Checks => self.board.checks.selected().map(|row| Subject::Check(row.worker.to_string(), row.subject.clone())),
            Tab::Queues => self.board.queues.selected().map(|row| Subject::Queue(row.view.name.clone())),
            Tab::Events => self.board.events.selected().map(|row| Subject::Event(row.id)),
        }?;
        self.detail = Some(Detail::new(subject.clone(), &self.board));
        Some(Effect::Open(subject))
    }

    /// The worker that the selected row is, or is about.
    pub fn worker(&mut self) -> Option<String> {
        self.board.settle();
        match self.tab {
            Tab::Workers => self.board.workers.selected().map(|row| row.name.to_string()),
            Tab::Checks => self.board.checks.selected().map(|row| row.worker.to_string()),
            Tab::Queues => None,
            Tab::Events => self.board.events.selected()?.worker.as_deref().map(str::to_owned),
        }
    }

    /// The worker to act on; says so when there is none.
    fn target(&mut self, wall: i64) -> Option<String> {
        let worker = self.worker();
        let there = worker.filter(|name| self.board.workers.get(&name.as_str().into()).is_some());
        if there.is_none() {
            let sentence = if self.tab == Tab::Queues { "queues have no worker to act on: go to tab 1" } else { "no worker here" };
            self.notify(sentence.to_owned(), true, wall);
        }
        there
    }

    fn ask(&mut self, act: Act, wall: i64) {
        if let Some(worker) = self.target(wall) {
            self.mode = Mode::Ask(act, worker);
        }
    }

    fn act(&mut self, act: Act, wall: i64) -> Option<Effect> {
        let worker = self.target(wall)?;
        let paused = self.board.workers.get(&worker.as_str().into()).is_some_and(|row| row.state == WorkerState::Paused);
        let act = if act == Act::Pause && paused { Act::Resume } else { act };
        Some(Effect::Act(act, worker))
    }
}
