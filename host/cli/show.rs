//! Listings: facts in, tables and lines out. Pure.

use jiff::Timestamp;

use super::{
    paint::{Ink, Paint, bytes, check_ink, count, level_word, millis, percent, safe, short, worker_ink},
    plan::problem_lines,
    table::{Cell, Edge, Table},
};
use crate::facts::{CheckStatus, CheckView, EventRecord, LogLine, MaintenanceView, Problem, TrapRecord, WorkerView};

/// Free text in a table that is not wide.
const TEXT_WIDTH: usize = 60;
const TRIGGERS_SHOWN: usize = 2;
const PROBLEMS_BELOW: usize = 10;
const BEATS_SHOWN: usize = 12;

/// A digest's first 12 digits: enough to tell two apart.
pub fn digest(text: &str) -> String {
    text.strip_prefix("sha256:").unwrap_or(text).chars().take(12).collect()
}

/// All workers, then what is wrong in the manifests folder.
pub fn workers(all: &[WorkerView], problems: &[Problem], wide: bool, paint: &Paint) -> String {
    let mut text = if all.is_empty() {
        "no workers yet: drop a manifest into the manifests folder, or run: skep apply -f FILE\n".to_owned()
    } else {
        worker_table(all, wide, paint)
    };
    let held: Vec<&WorkerView> = all.iter().filter(|one| one.held_back.is_some()).collect();
    if !held.is_empty() {
        text.push_str(&format!("\n{} its last good version:\n", if held.len() == 1 { "* runs" } else { "* each runs" }));
        for one in held.iter().take(PROBLEMS_BELOW) {
            text.push_str(&format!("  {}: {}\n", one.name, safe(one.held_back.as_deref().unwrap_or_default())));
        }
        if held.len() > PROBLEMS_BELOW {
            text.push_str(&format!("  … and {} more\n", held.len() - PROBLEMS_BELOW));
        }
    }
    if !problems.is_empty() {
        text.push_str(&format!("\n{} in manifests:\n", count(problems.len(), "problem")));
        text.extend(problems.iter().take(PROBLEMS_BELOW).map(|problem| problem_lines(problem, paint)));
        if problems.len() > PROBLEMS_BELOW {
            text.push_str(&format!("… and {} more: skep get problems\n", problems.len() - PROBLEMS_BELOW));
        }
    }
    text
}

fn worker_table(all: &[WorkerView], wide: bool, paint: &Paint) -> String {
    let mut table = Table::new()
        .column("NAME", Edge::Left)
        .column("STATE", Edge::Left)
        .column("REPLICAS", Edge::Right)
        .column("RESTARTS", Edge::Right)
        .column("TRIGGER", Edge::Left)
        .column("NEXT", Edge::Left)
        .column("SINCE", Edge::Left);
    if wide {
        table = table
            .column("COMPONENT", Edge::Left)
            .column("DIGEST", Edge::Left)
            .column("INCARNATION", Edge::Right)
            .column("OK/FAILED/TRAPPED", Edge::Right)
            .column("MEMORY PEAK", Edge::Right)
            .column("DECLARED", Edge::Left);
    }
    table = table.column("LAST ERROR", Edge::Left);
    for one in all {
        let mark = if one.held_back.is_some() { "*" } else { "" };
        let short_of = one.replicas.running < one.replicas.desired;
        let mut cells = vec![
            Cell::from(&*one.name),
            Cell::new(&format!("{}{mark}", one.state.as_str()), worker_ink(one.state)),
            Cell::new(&format!("{}/{}", one.replicas.running, one.replicas.desired), if short_of { Ink::Notice } else { Ink::Plain }),
            Cell::new(&one.restarts.to_string(), if one.restarts > 0 { Ink::Notice } else { Ink::Plain }),
            trigger(one, wide).into(),
            one.schedule.as_ref().and_then(|schedule| schedule.next).map(|next| paint.ahead(next)).into(),
            paint.ago(one.since).into(),
        ];
        if wide {
            let events = one.events;
            cells.extend([
                Cell::from(one.component.as_str()),
                one.digest.as_ref().map(|one| digest(&one.0)).into(),
                Cell::from(super::records::incarnation(one.incarnation)),
                Cell::from(format!("{}/{}/{}", events.ok, events.failed, events.trapped)),
                Cell::from(bytes(one.memory_peak_bytes)),
                Cell::from(format!("{}:{}", one.file, one.line)),
            ]);
        }
        cells.push(Cell::from(short(one.last_error.as_deref().unwrap_or_default(), text_width(wide))));
        table.row(cells);
    }
    table.render(paint)
}

/// What makes the host call it; the first two where the table is not wide.
fn trigger(of: &WorkerView, wide: bool) -> Option<String> {
    let shown = if wide { usize::MAX } else { TRIGGERS_SHOWN };
    let more = of.triggers.len().saturating_sub(shown);
    let named = of.triggers.iter().take(shown).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if more > 0 { format!(" +{more}") } else { String::new() };
    (!named.is_empty()).then(|| format!("{named}{more}"))
}

fn text_width(wide: bool) -> usize {
    if wide { usize::MAX } else { TEXT_WIDTH }
}

/// All problems, with places and hints.
pub fn problems(all: &[Problem], paint: &Paint) -> String {
    if all.is_empty() {
        return "no problems in the manifests folder\n".to_owned();
    }
    let mut text: String = all.iter().map(|problem| problem_lines(problem, paint)).collect();
    text.push_str(&format!("\n{}\n", count(all.len(), "problem")));
    text
}

/// Maintenance windows, open ones and those to come alike, as they are declared.
pub fn maintenance(all: &[MaintenanceView], paint: &Paint) -> String {
    if all.is_empty() {
        return "no maintenance windows: a [[maintenance]] table in a manifest declares one\n".to_owned();
    }
    let mut table = Table::new()
        .column("NAME", Edge::Left)
        .column("STATE", Edge::Left)
        .column("FROM", Edge::Left)
        .column("UNTIL", Edge::Left)
        .column("WORKERS", Edge::Left)
        .column("CRON", Edge::Left)
        .column("DECLARED", Edge::Left);
    let when = |at: Timestamp| if at > paint.now { paint.ahead(at) } else { paint.ago(at) };
    for one in all {
        let over = one.until.is_none_or(|until| until <= paint.now);
        let (state, ink) = match (one.open, over) {
            (true, _) => ("open", Ink::Notice),
            (false, true) => ("over", Ink::Faint),
            (false, false) => ("to come", Ink::Plain),
        };
        let workers = if one.workers.is_empty() { "all".to_owned() } else { one.workers.join(", ") };
        table.row(vec![
            Cell::from(one.name.as_str()),
            Cell::new(state, ink),
            one.from.map(when).into(),
            one.until.map(when).into(),
            Cell::from(short(&workers, TEXT_WIDTH)),
            one.cron.clone().into(),
            Cell::from(format!("{}:{}", one.file, one.line)),
        ]);
    }
    table.render(paint)
}

/// The newest results as signs, newest last.
fn beats(check: &CheckView) -> String {
    let from = check.recent.len().saturating_sub(BEATS_SHOWN);
    let sign = |status: CheckStatus| match status {
        CheckStatus::Up => '|',
        CheckStatus::Degraded => '!',
        CheckStatus::Down => 'x',
        CheckStatus::Unknown => '?',
        CheckStatus::Maintenance | CheckStatus::Paused => '-',
    };
    check.recent.iter().skip(from).map(|beat| sign(beat.status)).collect()
}

pub fn checks(all: &[CheckView], wide: bool, paint: &Paint) -> String {
    if all.is_empty() {
        return "no checks yet: a worker reports them as it runs; skep get workers shows when each ticks next\n".to_owned();
    }
    let mut table = Table::new()
        .column("WORKER", Edge::Left)
        .column("SUBJECT", Edge::Left)
        .column("STATUS", Edge::Left)
        .column("LATENCY", Edge::Right)
        .column("UPTIME 24H", Edge::Right)
        .column("SINCE", Edge::Left)
        .column("LAST", Edge::Left);
    if wide {
        table = table
            .column("SEEN 24H", Edge::Right)
            .column("RECENT", Edge::Right)
            .column("ADDRESS", Edge::Left)
            .column("CERTIFICATE ENDS", Edge::Left);
    }
    table = table.column("DETAIL", Edge::Left);
    for one in all {
        let mut cells = vec![
            Cell::from(&*one.worker),
            Cell::from(short(&one.subject, text_width(wide))),
            Cell::new(one.status.as_str(), check_ink(one.status)),
            one.latency_ms.map(millis).into(),
            one.uptime.map(percent).into(),
            paint.ago(one.since).into(),
            one.last.map(|at| paint.ago(at)).into(),
        ];
        if wide {
            let evidence = one.evidence.as_ref();
            cells.extend([
                Cell::from(percent(one.coverage)),
                Cell::from(beats(one)),
                evidence.and_then(|seen| seen.address.clone()).into(),
                evidence.and_then(|seen| seen.certificate_expires).map(|at| paint.ahead(at)).into(),
            ]);
        }
        let against = if one.confirming > 0 { format!("({} against) ", one.confirming) } else { String::new() };
        cells.push(Cell::from(short(&format!("{against}{}", one.detail), text_width(wide))));
        table.row(cells);
    }
    table.render(paint)
}

pub fn traps(all: &[TrapRecord], paint: &Paint) -> String {
    if all.is_empty() {
        return "no traps: nothing crashed\n".to_owned();
    }
    let mut table = Table::new()
        .column("ID", Edge::Left)
        .column("WORKER", Edge::Left)
        .column("CAUSE", Edge::Left)
        .column("EVENT", Edge::Left)
        .column("WHEN", Edge::Left)
        .column("MESSAGE", Edge::Left);
    for one in all {
        table.row(vec![
            // The end of a UUIDv7 is its random part: the short id that `skep trap` takes.
            Cell::from(trap_id(&one.id)),
            Cell::from(format!("{}/{}", one.worker, one.replica)),
            Cell::new(one.cause.as_str(), Ink::Bad),
            Cell::from(short(&one.event, 24)),
            Cell::from(paint.ago(one.at)),
            Cell::from(short(one.panic.as_deref().unwrap_or(&one.message), TEXT_WIDTH)),
        ]);
    }
    format!("{}\nskep trap ID shows one\n", table.render(paint))
}

/// The last 12 characters of an id.
pub fn trap_id(id: &str) -> String {
    let skip = id.chars().count().saturating_sub(12);
    id.chars().skip(skip).collect()
}

pub fn log_line(line: &LogLine, paint: &Paint) -> String {
    let (word, ink) = level_word(line.level);
    let replica = if line.replica > 1 { paint.ink(Ink::Faint, &format!("/{} ", line.replica)) } else { String::new() };
    let source = if line.source == "host" { paint.ink(Ink::Faint, "host: ") } else { String::new() };
    let time = paint.ink(Ink::Faint, &paint.clock(line.at));
    format!("{time}  {}  {replica}{source}{}\n", paint.ink(ink, &format!("{word:<5}")), safe(&line.text))
}

pub fn event_line(event: &EventRecord, paint: &Paint) -> String {
    let (word, ink) = level_word(event.level);
    let time = paint.ink(Ink::Faint, &paint.clock(event.at));
    let worker = event.worker.as_deref().map(|name| format!("{}: ", safe(name))).unwrap_or_default();
    format!("{time}  {}  {:<20}  {worker}{}\n", paint.ink(ink, &format!("{word:<5}")), safe(&event.kind), safe(&event.message))
}
