//! Maintenance windows: which are open at a moment, whom they cover, and when that changes next. Arithmetic of wall time.
//!
//! Must not read a clock or know checks: every method takes `now`. A window is open from its first moment up to, not including, its
//! last. One with cron opens at every time the expression names, for its duration; openings that meet are one.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;

use crate::{
    facts::MaintenanceView,
    manifest::{
        cron,
        spec::{MaintenanceSpec, MaintenanceWindow},
    },
};

/// Openings that are followed to where a stretch of them ends. A cron of every minute never ends: it is looked at again there.
const JOINED: usize = 64;

/// From its first moment up to, not including, its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub from: Timestamp,
    pub until: Timestamp,
}

/// The opening that covers `now`.
pub fn open_at(window: &MaintenanceWindow, now: Timestamp) -> Option<Span> {
    match window {
        MaintenanceWindow::Once { from, until } => (*from <= now && now < *until).then_some(Span { from: *from, until: *until }),
        MaintenanceWindow::Cron { expression, timezone, duration } => {
            // The earliest opening that is not over yet.
            let from = cron::next(expression, timezone, now.checked_sub(*duration).ok()?)?;
            if from > now { None } else { joined(expression, timezone, *duration, from) }
        }
    }
}

/// The first opening after `now`.
pub fn next_after(window: &MaintenanceWindow, now: Timestamp) -> Option<Span> {
    match window {
        MaintenanceWindow::Once { from, until } => (now < *from).then_some(Span { from: *from, until: *until }),
        MaintenanceWindow::Cron { expression, timezone, duration } => {
            joined(expression, timezone, *duration, cron::next(expression, timezone, now)?)
        }
    }
}

fn joined(expression: &str, timezone: &str, duration: Duration, from: Timestamp) -> Option<Span> {
    let mut until = from.checked_add(duration).ok()?;
    for _ in 0..JOINED {
        // The earliest opening that goes on past that moment, when it begins by then.
        let past = until.checked_sub(duration).ok().and_then(|after| cron::next(expression, timezone, after));
        match past.filter(|begins| *begins <= until).and_then(|begins| begins.checked_add(duration).ok()) {
            Some(end) => until = end,
            None => break,
        }
    }
    Some(Span { from, until })
}

/// A window that opened or closed.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    pub spec: Arc<MaintenanceSpec>,
    /// None: it closed, or is not declared any more.
    pub opened: Option<Span>,
}

/// All declared windows, and which of them are open.
#[derive(Debug, Default)]
pub struct Windows {
    all: Vec<Window>,
    cover: Cover,
}

#[derive(Debug)]
struct Window {
    spec: Arc<MaintenanceSpec>,
    open: Option<Span>,
}

/// Whom the open windows cover.
#[derive(Debug, Default)]
struct Cover {
    everybody: bool,
    workers: HashSet<String>,
    groups: HashSet<String>,
}

impl Windows {
    /// Takes the declared windows instead of those before; a window is the same as the one of its name.
    pub fn declare(&mut self, specs: Vec<Arc<MaintenanceSpec>>, now: Timestamp) -> Vec<Turn> {
        let before = std::mem::take(&mut self.all).into_iter().filter_map(|window| window.open.map(|span| (window.spec, span)));
        let mut before: HashMap<String, _> = before.map(|(spec, span)| (spec.name.clone(), (spec, span))).collect();
        self.all = specs.into_iter().map(|spec| Window { open: before.remove(&spec.name).map(|(_, span)| span), spec }).collect();
        let withdrawn = before.into_values().map(|(spec, _)| Turn { spec, opened: None });
        let mut turns: Vec<Turn> = withdrawn.collect();
        turns.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
        turns.extend(self.turn(now));
        turns
    }

    /// Opens and closes what is due.
    pub fn turn(&mut self, now: Timestamp) -> Vec<Turn> {
        let mut turns = Vec::new();
        for window in &mut self.all {
            let open = open_at(&window.spec.window, now);
            if open.is_some() != window.open.is_some() {
                turns.push(Turn { spec: window.spec.clone(), opened: open });
            }
            window.open = open;
        }
        self.cover = Cover::default();
        for window in self.all.iter().filter(|window| window.open.is_some()) {
            self.cover.add(&window.spec.workers);
        }
        turns
    }

    /// When to look again: the next opening or closing.
    pub fn next_edge(&self, now: Timestamp) -> Option<Timestamp> {
        let edge = |window: &Window| match window.open {
            Some(span) => Some(span.until),
            None => next_after(&window.spec.window, now).map(|span| span.from),
        };
        self.all.iter().filter_map(edge).min()
    }

    /// Whether a worker is covered by an open window; of an item of `each`, its worker's name counts as well.
    pub fn covers(&self, worker: &str, group: Option<&str>) -> bool {
        let Cover { everybody, workers, groups } = &self.cover;
        let parent = || worker.split_once('/').is_some_and(|(parent, _)| workers.contains(parent));
        *everybody || workers.contains(worker) || parent() || group.is_some_and(|group| groups.contains(group))
    }

    /// The names of those that are open.
    pub fn open(&self) -> Vec<String> {
        self.all.iter().filter(|window| window.open.is_some()).map(|window| window.spec.name.clone()).collect()
    }

    pub fn views(&self, now: Timestamp) -> Vec<MaintenanceView> {
        self.all.iter().map(|window| window.view(now)).collect()
    }
}

impl Window {
    fn view(&self, now: Timestamp) -> MaintenanceView {
        let MaintenanceSpec { name, origin, workers, window } = &*self.spec;
        let (past, cron) = match window {
            MaintenanceWindow::Once { from, until } => (Some(Span { from: *from, until: *until }), None),
            MaintenanceWindow::Cron { expression, timezone, .. } => (None, Some(format!("{expression} {timezone}"))),
        };
        let span = self.open.or_else(|| next_after(window, now)).or(past);
        MaintenanceView {
            name: name.clone(),
            workers: workers.clone(),
            open: self.open.is_some(),
            from: span.map(|span| span.from),
            until: span.map(|span| span.until),
            cron,
            file: origin.file.to_string(),
            line: origin.line,
        }
    }
}

impl Cover {
    fn add(&mut self, selectors: &[String]) {
        self.everybody |= selectors.is_empty();
        for selector in selectors {
            match selector.strip_prefix("group:") {
                Some(group) => self.groups.insert(group.to_owned()),
                None => self.workers.insert(selector.clone()),
            };
        }
    }
}
