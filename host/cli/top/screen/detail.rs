//! The pane of one row: what is known of it above, its log, results or jobs below.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::facts::{self, Facts};
use crate::{
    cli::{
        paint::{Ink, check_ink, level_word, millis, short},
        top::{
            beats::{self, decode},
            board::Board,
            canvas::{Line, Span, put, set, span, wrapped},
            detail::{Detail, Entry, Subject},
            look::check_shape,
            rows::Scene,
        },
    },
    facts::{JobState, JobView},
};

/// A log or a list of jobs has at least this many lines, however much there is to say above it.
const BELOW: u16 = 5;
/// Lines of the chart of latencies.
const CHART: usize = 5;
/// Columns of a result in it.
const BAR: usize = 2;

/// Draws it, and bounds how far it is scrolled.
pub fn draw(board: &Board, pane: &mut Detail, frame: &mut Buffer, area: Rect, scene: &Scene) {
    if area.width < 4 || area.height == 0 {
        return;
    }
    let area = Rect { x: area.x + 1, width: area.width - 2, ..area };
    let faint = scene.look.ink(Ink::Faint);
    let mut facts = Facts::new(area.width, scene);
    let (title, gone) = facts::title(pane, board);
    let mut head = vec![span(&title, scene.look.accent().patch(scene.look.ink(Ink::Strong)))];
    if gone {
        head.push(span("  ■ gone", scene.look.ink(Ink::Bad)));
    }
    facts.lines.push(head.into());
    let mut rest = Vec::new();
    match &pane.subject {
        Subject::Worker(name) => {
            if let Some(row) = board.workers.get(&name.as_str().into()) {
                facts::worker(row, pane, &mut facts);
            }
        }
        Subject::Check(worker, subject) => {
            if let Some(row) = board.checks.get(&(worker.as_str().into(), subject.clone())) {
                facts::check(row, pane, &mut facts);
                rest = results(&decode(&row.beats), scene);
            }
        }
        Subject::Queue(name) => {
            if let Some(row) = board.queues.get(name) {
                let limiter = row.view.limiter.as_ref().and_then(|limiter| board.limiters.get(limiter));
                facts::queue(row, limiter, &mut facts);
            }
            rest = jobs(pane.jobs.as_deref(), scene);
        }
        Subject::Event(id) => {
            if let Some(record) = board.events.get(id) {
                facts::event(record, &mut facts);
            }
        }
    }
    if let Some(trouble) = &pane.trouble {
        facts.lines.push(span(trouble, scene.look.ink(Ink::Notice)).into());
    }
    let mut lines = facts.lines;
    if pane.follows_end() {
        log(pane, lines, frame, area, scene);
        return;
    }
    if !rest.is_empty() {
        lines.push(Line::default());
        lines.append(&mut rest);
    }
    let over = lines.len().saturating_sub(usize::from(area.height));
    pane.scroll = pane.scroll.min(over);
    for (line, y) in lines.iter().skip(pane.scroll).zip(area.y..area.bottom()) {
        put(frame, area.x, y, area.width, line);
    }
    let below = over - pane.scroll;
    if below > 0 {
        let words = format!(" {below} more below ");
        put(frame, area.x + 1, area.bottom(), area.width, &Line::from(span(&words, faint)));
    }
}

/// The facts stay above; the log below keeps its newest line at the bottom.
fn log(pane: &mut Detail, facts: Vec<Line>, frame: &mut Buffer, area: Rect, scene: &Scene) {
    let facts_room = area.height.saturating_sub(BELOW + 1).max(1).min(u16::try_from(facts.len()).unwrap_or(u16::MAX));
    for (line, y) in facts.iter().zip(area.y..area.y + facts_room) {
        put(frame, area.x, y, area.width, line);
    }
    let rule = area.y + facts_room;
    if rule >= area.bottom() {
        return;
    }
    let room = usize::from(area.bottom() - rule - 1);
    let mut lines: Vec<Line> = Vec::new();
    // From the newest on, only as far as is on screen or was scrolled to.
    let wanted = room.saturating_add(pane.scroll);
    for entry in pane.log.iter().rev() {
        if lines.len() >= wanted {
            break;
        }
        lines.extend(entry_lines(entry, area.width, scene).into_iter().rev());
    }
    pane.scroll = pane.scroll.min(lines.len().saturating_sub(room));
    let faint = scene.look.ink(Ink::Faint);
    let place = if pane.scroll > 0 { format!(", {} below", pane.scroll) } else { String::new() };
    let words = format!("── log{place} {}", "─".repeat(usize::from(area.width)));
    put(frame, area.x, rule, area.width, &Line::from(span(&words, faint)));
    set(frame, area.right() - 1, rule, '─', faint);
    if lines.is_empty() {
        put(frame, area.x, rule + 1, area.width, &Line::from(span("no lines yet", faint)));
    }
    let shown: Vec<&Line> = lines.iter().skip(pane.scroll).take(room).collect();
    for (line, y) in shown.into_iter().rev().zip(rule + 1..area.bottom()) {
        put(frame, area.x, y, area.width, line);
    }
}

fn entry_lines(entry: &Entry, room: u16, scene: &Scene) -> Vec<Line> {
    let faint = scene.look.ink(Ink::Faint);
    let line = match entry {
        Entry::Missed(count) => return vec![span(&format!("({count} missed)"), scene.look.ink(Ink::Notice)).into()],
        Entry::Line(line) => line,
    };
    let (word, ink) = level_word(line.level);
    let head = format!("{}  ", scene.clock(line.at.as_millisecond()));
    let source = match (line.source.as_str(), line.replica) {
        ("host", _) => "host: ".to_owned(),
        (_, replica) if replica > 1 => format!("/{replica} "),
        _ => String::new(),
    };
    let indent = u16::try_from(head.len() + 7).unwrap_or(0);
    let text = format!("{source}{}", line.text);
    let parts = wrapped(if text.is_empty() { " " } else { &text }, room.saturating_sub(indent));
    let parts = parts.into_iter().enumerate().map(|(at, part)| {
        let front: Vec<Span> = match at {
            0 => vec![span(&head, faint), span(&format!("{word:<5}  "), scene.look.ink(ink))],
            _ => vec![span(&" ".repeat(usize::from(indent)), Style::new())],
        };
        front.into_iter().chain([span(&part, Style::new())]).collect::<Vec<_>>().into()
    });
    parts.collect()
}

/// A chart of how long the newest results took, the bar of what they said, and the last few in words.
fn results(all: &[beats::Result], scene: &Scene) -> Vec<Line> {
    let faint = scene.look.ink(Ink::Faint);
    let Some(last) = all.last() else { return vec![span("no results yet", faint).into()] };
    let most = all.iter().filter_map(|beat| beat.latency_ms).fold(0.0, f64::max);
    let mut lines = Vec::new();
    if most > 0.0 {
        for row in (0..CHART).rev() {
            let scale = match row {
                row if row == CHART - 1 => millis(most),
                0 => "0".to_owned(),
                _ => String::new(),
            };
            let mut spans = vec![span(&format!("{scale:>10} "), faint)];
            spans.extend(all.iter().map(|beat| bar(beat, row, most, scene)));
            lines.push(spans.into());
        }
    }
    let mut bar = vec![span(&" ".repeat(11), faint)];
    bar.extend(all.iter().map(|beat| span(&scene.look.beat(beat.status).repeat(BAR), scene.look.ink(check_ink(beat.status)))));
    lines.push(bar.into());
    let first = all.first().map_or(0, |beat| beat.at);
    let ends = format!("{:>11}{} ago", "", scene.age(first));
    let gap = (all.len() * BAR + 11).saturating_sub(ends.len() + 3);
    let newest = format!("{}{}", " ".repeat(gap), scene.age(last.at));
    lines.push(vec![span(&ends, faint), span(&newest, faint)].into());
    lines.push(Line::default());
    for beat in all.iter().rev() {
        let latency = beat.latency_ms.map_or_else(|| "-".to_owned(), millis);
        let status = format!("{} {:<12}", check_shape(beat.status), beat.status.as_str());
        lines.push(
            vec![
                span(&format!("{:>10} ", scene.clock(beat.at)), faint),
                span(&status, scene.look.ink(check_ink(beat.status))),
                span(&format!("{latency:>9}"), Style::new()),
            ]
            .into(),
        );
    }
    lines
}

/// One result's part of one line of the chart.
fn bar(beat: &beats::Result, row: usize, most: f64, scene: &Scene) -> Span {
    let ink = scene.look.ink(check_ink(beat.status));
    let Some(ms) = beat.latency_ms else { return span(&" ".repeat(BAR), ink) };
    let high = ms / most * CHART as f64 - row as f64;
    if high <= 0.0 && row > 0 {
        return span(&" ".repeat(BAR), ink);
    }
    span(&scene.look.level(high).repeat(BAR), ink)
}

fn jobs(all: Option<&[JobView]>, scene: &Scene) -> Vec<Line> {
    let faint = scene.look.ink(Ink::Faint);
    let head = format!("{:<12}  {:<9}  {:>8}  {:<9}  {:<14}  {}", "JOB", "STATE", "ATTEMPTS", "PUSHED", "BY", "SAID LAST");
    let mut lines = vec![Line::from(span(&head, faint))];
    match all {
        None => lines.push(span("loading…", faint).into()),
        Some([]) => lines.push(span("no jobs", faint).into()),
        Some(all) => lines.extend(all.iter().map(|job| {
            let ink = match job.state {
                JobState::Dead => Ink::Bad,
                JobState::Running => Ink::Good,
                JobState::Delayed => Ink::Notice,
                JobState::Waiting => Ink::Plain,
                JobState::Done | JobState::Cancelled => Ink::Faint,
            };
            let id = crate::cli::show::trap_id(&job.id);
            let ago = format!("{} ago", scene.age(job.pushed_at.as_millisecond()));
            let said = job.progress.as_deref().or(job.last_error.as_deref()).unwrap_or_default();
            let attempts = format!("{}/{}", job.attempts, job.max_attempts);
            Line::from(vec![
                span(&format!("{id:<12}  "), Style::new()),
                span(&format!("{:<9}", job.state.as_str()), scene.look.ink(ink)),
                span(&format!("  {attempts:>8}  {ago:<9}  {:<14}  ", short(&job.pushed_by, 14)), Style::new()),
                span(said.lines().next().unwrap_or_default(), faint),
            ])
        })),
    }
    lines
}
