//! The pane of one row: what was fetched of it, its log as it comes, and how far it is scrolled. Pure.

use std::collections::VecDeque;

use super::{app::Key, board::Board};
use crate::facts::{CheckView, JobView, LogLine, Why};

/// Lines of a log that can be scrolled through.
const LOG_KEPT: usize = 500;
/// A row that changes all the time is fetched this often.
const PAUSE_MS: i64 = 1_000;

/// What a pane is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    Worker(String),
    /// Worker and subject.
    Check(String, String),
    Queue(String),
    Event(u64),
}

/// What was fetched for a pane.
#[derive(Debug, Clone)]
pub enum Part {
    Why(Box<Why>),
    Check(Box<CheckView>),
    Jobs(Vec<JobView>),
    /// The log begins (again): what was there before is sent again.
    LogOpened,
    Log(Box<LogLine>),
    LogMissed(u64),
    /// It could not be fetched, in a sentence.
    Trouble(String),
}

#[derive(Debug, Clone)]
pub enum Entry {
    Line(LogLine),
    /// So many lines were too much for this reader.
    Missed(u64),
}

pub struct Detail {
    pub subject: Subject,
    pub why: Option<Why>,
    pub check: Option<CheckView>,
    pub jobs: Option<Vec<JobView>>,
    pub log: VecDeque<Entry>,
    pub trouble: Option<String>,
    /// Lines scrolled: from the end of a log, from the top of anything else. Drawing bounds it.
    pub scroll: usize,
    /// What of the row says that it must be fetched again.
    seen: Option<Vec<i64>>,
    asked_at: i64,
}

impl Detail {
    pub fn new(subject: Subject, board: &Board) -> Self {
        let seen = stamp(&subject, board);
        Self { subject, why: None, check: None, jobs: None, log: VecDeque::new(), trouble: None, scroll: 0, seen, asked_at: 0 }
    }

    /// The newest is at the bottom, and stays in sight.
    pub fn follows_end(&self) -> bool {
        matches!(self.subject, Subject::Worker(_))
    }

    /// Takes what was fetched; what is of another row came late.
    pub fn take(&mut self, of: &Subject, part: Part) {
        if self.subject != *of {
            return;
        }
        match part {
            Part::Why(why) => (self.why, self.trouble) = (Some(*why), None),
            Part::Check(check) => (self.check, self.trouble) = (Some(*check), None),
            Part::Jobs(jobs) => (self.jobs, self.trouble) = (Some(jobs), None),
            Part::Trouble(sentence) => self.trouble = Some(sentence),
            Part::LogOpened => self.log.clear(),
            Part::Log(line) => self.add(Entry::Line(*line)),
            Part::LogMissed(count) => self.add(Entry::Missed(count)),
        }
    }

    fn add(&mut self, entry: Entry) {
        if self.log.len() == LOG_KEPT {
            self.log.pop_front();
        }
        self.log.push_back(entry);
        // Who reads further up keeps what is read where it is.
        if self.scroll > 0 {
            self.scroll += 1;
        }
    }

    /// What to fetch again, because its row is not what it was.
    pub fn refresh(&mut self, board: &Board, wall: i64) -> Option<Subject> {
        let stamp = stamp(&self.subject, board);
        if stamp.is_none() || stamp == self.seen || wall.saturating_sub(self.asked_at) < PAUSE_MS {
            return None;
        }
        self.seen = stamp;
        self.asked_at = wall;
        Some(self.subject.clone())
    }

    pub fn scroll(&mut self, key: Key, page: usize) {
        let (up, down) = if self.follows_end() { (1, -1) } else { (-1, 1) };
        let by = |scroll: usize, lines: usize, sign: isize| {
            scroll.saturating_add_signed(isize::try_from(lines).unwrap_or(isize::MAX).saturating_mul(sign))
        };
        let (top, end) = if self.follows_end() { (usize::MAX >> 1, 0) } else { (0, usize::MAX >> 1) };
        self.scroll = match key {
            Key::Up | Key::Char('k') => by(self.scroll, 1, up),
            Key::Down | Key::Char('j') => by(self.scroll, 1, down),
            Key::PageUp => by(self.scroll, page, up),
            Key::PageDown | Key::Char(' ') => by(self.scroll, page, down),
            Key::Home | Key::Char('g') => top,
            Key::End | Key::Char('G') => end,
            _ => self.scroll,
        };
    }
}

/// What changes when there is something new to fetch. None: the row is gone.
fn stamp(subject: &Subject, board: &Board) -> Option<Vec<i64>> {
    let many = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    match subject {
        Subject::Worker(name) => {
            let row = board.workers.get(&name.as_str().into())?;
            Some(vec![row.state as i64, row.since, many(row.incarnation), many(row.restarts), many(row.trapped)])
        }
        Subject::Check(worker, subject) => {
            let row = board.checks.get(&(worker.as_str().into(), subject.clone()))?;
            Some(vec![row.status as i64, row.since, row.last.unwrap_or(0)])
        }
        Subject::Queue(name) => {
            let view = &board.queues.get(name)?.view;
            let counts = [view.delayed, view.waiting, view.running, view.done, view.dead, view.cancelled, view.pushed, view.finished];
            Some(counts.into_iter().map(many).collect())
        }
        Subject::Event(_) => None,
    }
}
