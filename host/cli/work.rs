//! Listings of work that waits: queues, jobs, keys, limiters. Facts in, tables and lines out. Pure.

use super::{
    paint::{Ink, Paint, bytes, count, safe, short, span},
    table::{Cell, Edge, Record, Table},
};
use crate::{
    facts::{BucketView, JobState, JobView, KvView, LimiterView, Payload, QueueView},
    manifest::spec::Rate,
};

/// Free text in a table that is not wide.
const TEXT_WIDTH: usize = 60;
/// Why a job died is what the list is for.
const REASON_WIDTH: usize = 160;
/// Of a payload shown at length.
const PAYLOAD_LINES: usize = 40;

fn width(wide: bool) -> usize {
    if wide { 400 } else { TEXT_WIDTH }
}

pub fn job_ink(state: JobState) -> Ink {
    match state {
        JobState::Waiting => Ink::Plain,
        JobState::Delayed => Ink::Notice,
        JobState::Running | JobState::Done => Ink::Good,
        JobState::Dead => Ink::Bad,
        JobState::Cancelled => Ink::Faint,
    }
}

/// A count that only stands out when there is something.
fn number(of: u64, ink: Ink) -> Cell {
    if of == 0 { Cell::new("0", Ink::Faint) } else { Cell::new(&of.to_string(), ink) }
}

/// Milliseconds as people say them: `500ms`, `90m`.
fn pause(ms: u64) -> String {
    if ms < 1_000 { format!("{ms}ms") } else { span(i64::try_from(ms / 1_000).unwrap_or(i64::MAX)) }
}

pub fn queues(all: &[QueueView], wide: bool, paint: &Paint) -> String {
    if all.is_empty() {
        return "no queues yet: a push makes one, e.g. skep queue push QUEUE PAYLOAD\n".to_owned();
    }
    let mut table = Table::new()
        .column("NAME", Edge::Left)
        .column("WAITING", Edge::Right)
        .column("DELAYED", Edge::Right)
        .column("RUNNING", Edge::Right)
        .column("DEAD", Edge::Right)
        .column("DONE", Edge::Right)
        .column("OLDEST", Edge::Left)
        .column("LIMITER", Edge::Left)
        .column("WORKERS", Edge::Left);
    if wide {
        table = table
            .column("CANCELLED", Edge::Right)
            .column("PUSHED", Edge::Right)
            .column("FINISHED", Edge::Right)
            .column("ATTEMPTS", Edge::Right)
            .column("BACKOFF", Edge::Right)
            .column("RESULTS KEPT", Edge::Right)
            .column("DECLARED", Edge::Left);
    }
    for one in all {
        let workers = if one.workers.is_empty() { None } else { Some(one.workers.join(", ")) };
        let mut cells = vec![
            Cell::from(one.name.as_str()),
            number(one.waiting, Ink::Plain),
            number(one.delayed, Ink::Plain),
            number(one.running, Ink::Good),
            number(one.dead, Ink::Bad),
            number(one.done, Ink::Plain),
            one.oldest_waiting_at.map(|at| paint.ago(at)).into(),
            one.limiter.as_deref().into(),
            workers.map(|names| short(&names, width(wide))).into(),
        ];
        if wide {
            let place = one.file.as_ref().map(|file| format!("{file}:{}", one.line.unwrap_or_default()));
            cells.extend([
                number(one.cancelled, Ink::Plain),
                Cell::from(one.pushed.to_string()),
                Cell::from(one.finished.to_string()),
                Cell::from(one.max_attempts.to_string()),
                Cell::from(pause(one.backoff_ms)),
                Cell::from(pause(one.result_ttl_ms)),
                place.into(),
            ]);
        }
        table.row(cells);
    }
    table.render(paint)
}

/// Bytes that are no text are told by their size alone.
fn excerpt(payload: Option<&Payload>, size: u64, width: usize) -> Cell {
    match payload {
        Some(Payload::Text(text)) if text.is_empty() => Cell::new("(empty)", Ink::Faint),
        Some(Payload::Text(text)) => Cell::from(short(text, width)),
        Some(Payload::Base64(_)) | None => Cell::new(&format!("({})", bytes(size)), Ink::Faint),
    }
}

/// A queue's jobs in the order they would run.
pub fn jobs(queue: &str, all: &[JobView], wide: bool, paint: &Paint) -> String {
    if all.is_empty() {
        return format!("no such jobs in {}\n", safe(queue));
    }
    let mut table = Table::new()
        .column("ID", Edge::Left)
        .column("STATE", Edge::Left)
        .column("DUE", Edge::Left)
        .column("ATTEMPTS", Edge::Right)
        .column("PRIORITY", Edge::Right)
        .column("PUSHED", Edge::Left);
    if wide {
        table = table.column("BY", Edge::Left).column("HELD BY", Edge::Left).column("KEY", Edge::Left).column("LAST ERROR", Edge::Left);
    }
    table = table.column("PAYLOAD", Edge::Left);
    for one in all {
        let due = (one.state == JobState::Delayed).then(|| paint.ahead(one.due_at));
        let mut cells = vec![
            Cell::from(one.id.as_str()),
            Cell::new(one.state.as_str(), job_ink(one.state)),
            due.into(),
            attempts(one),
            Cell::from(one.priority.to_string()),
            paint.ago(one.pushed_at).into(),
        ];
        if wide {
            cells.extend([
                Cell::from(one.pushed_by.as_str()),
                one.leased_by.as_deref().into(),
                one.unique_key.as_deref().into(),
                one.last_error.as_deref().map(|error| short(error, TEXT_WIDTH)).into(),
            ]);
        }
        cells.push(excerpt(one.payload.as_ref(), one.payload_bytes, width(wide)));
        table.row(cells);
    }
    table.render(paint)
}

fn attempts(job: &JobView) -> Cell {
    let ink = if job.attempts > 1 { Ink::Notice } else { Ink::Plain };
    Cell::new(&format!("{}/{}", job.attempts, job.max_attempts), ink)
}

/// Jobs that were given up, and why.
pub fn dead(all: &[JobView], wide: bool, paint: &Paint) -> String {
    if all.is_empty() {
        return "no dead jobs\n".to_owned();
    }
    let mut table = Table::new()
        .column("ID", Edge::Left)
        .column("QUEUE", Edge::Left)
        .column("ATTEMPTS", Edge::Right)
        .column("DIED", Edge::Left)
        .column("REASON", Edge::Left);
    for one in all {
        table.row(vec![
            Cell::from(one.id.as_str()),
            Cell::from(one.queue.as_str()),
            Cell::from(format!("{}/{}", one.attempts, one.max_attempts)),
            one.finished_at.map(|at| paint.ago(at)).into(),
            one.last_error.as_deref().map(|error| short(error, REASON_WIDTH.max(width(wide)))).into(),
        ]);
    }
    format!("{}\nskep queue status ID shows one, skep queue retry ID lets it wait again\n", table.render(paint))
}

/// One job at length.
pub fn job(job: &JobView, paint: &Paint) -> String {
    let mut record = Record::new();
    record.inked("job", Ink::Strong, job.id.as_str());
    record.put("queue", job.queue.as_str());
    let state = match job.state {
        JobState::Delayed => format!("delayed, due {}", paint.ahead(job.due_at)),
        state => match job.finished_at {
            Some(at) => format!("{} since {}", state.as_str(), paint.moment(at)),
            None => state.as_str().to_owned(),
        },
    };
    record.inked("state", job_ink(job.state), state);
    record.maybe("held by", job.leased_by.as_deref());
    record.maybe("progress", job.progress.as_deref());
    record.put("attempts", format!("{} of {}", job.attempts, job.max_attempts));
    if let Some(error) = &job.last_error {
        record.inked("last error", Ink::Bad, error.as_str());
    }
    record.put("pushed", format!("{} by {}", paint.moment(job.pushed_at), job.pushed_by));
    record.put("priority", job.priority.to_string());
    record.maybe("unique key", job.unique_key.as_deref());
    record.maybe("kept until", job.expires_at.map(|at| format!("{} ({})", paint.clock(at), paint.ahead(at))));
    record.put("payload", whole(job.payload.as_ref(), Some(job.payload_bytes)));
    record.maybe("result", job.result.as_ref().map(|result| whole(Some(result), None)));
    record.render(paint)
}

/// A payload's first lines; what is no text is told by its size.
fn whole(payload: Option<&Payload>, size: Option<u64>) -> String {
    match payload {
        Some(Payload::Text(text)) if text.is_empty() => "(empty)".to_owned(),
        Some(Payload::Text(text)) => {
            let mut shown: Vec<&str> = text.lines().take(PAYLOAD_LINES).collect();
            if text.lines().nth(PAYLOAD_LINES).is_some() {
                shown.push("…");
            }
            shown.join("\n")
        }
        // Four characters stand for three bytes.
        Some(Payload::Base64(text)) => format!("({}, not text)", bytes(size.unwrap_or(text.len() as u64 / 4 * 3))),
        None => format!("({})", bytes(size.unwrap_or_default())),
    }
}

pub fn buckets(all: &[BucketView], paint: &Paint) -> String {
    if all.is_empty() {
        return "no buckets yet: the first key makes one, e.g. skep kv set BUCKET KEY VALUE\n".to_owned();
    }
    let mut table = Table::new().column("BUCKET", Edge::Left).column("KEYS", Edge::Right).column("SIZE", Edge::Right);
    for one in all {
        table.row(vec![Cell::from(one.name.as_str()), Cell::from(one.keys.to_string()), Cell::from(bytes(one.bytes))]);
    }
    table.render(paint)
}

/// A bucket's entries; `limit`: as many as were asked for, so that a full page says how to go on.
pub fn entries(all: &[KvView], limit: usize, wide: bool, paint: &Paint) -> String {
    let Some(last) = all.last() else { return "no such keys\n".to_owned() };
    let mut table =
        Table::new().column("KEY", Edge::Left).column("REVISION", Edge::Right).column("EXPIRES", Edge::Left).column("VALUE", Edge::Left);
    for one in all {
        let size = match &one.value {
            Payload::Text(text) => text.len(),
            Payload::Base64(text) => text.len() / 4 * 3,
        };
        table.row(vec![
            Cell::from(short(&one.key, if wide { usize::MAX } else { TEXT_WIDTH })),
            Cell::from(one.revision.to_string()),
            one.expires_at.map(|at| paint.ahead(at)).into(),
            excerpt(Some(&one.value), size as u64, width(wide)),
        ]);
    }
    let mut text = table.render(paint);
    if all.len() >= limit {
        text.push_str(&format!("\n{} shown; the next: --after {}\n", count(all.len(), "key"), safe(&last.key)));
    }
    text
}

pub fn limiters(all: &[LimiterView], paint: &Paint) -> String {
    if all.is_empty() {
        return "no limiters: declare one in a manifest: [[limiter]] name = \"api\", rate = \"5/s\"\n".to_owned();
    }
    let mut table = Table::new()
        .column("NAME", Edge::Left)
        .column("RATE", Edge::Right)
        .column("IN FORCE", Edge::Right)
        .column("BURST", Edge::Right)
        .column("WAITING", Edge::Right)
        .column("PERMITS", Edge::Right)
        .column("PAUSED", Edge::Left)
        .column("DECLARED", Edge::Left);
    for one in all {
        table.row(vec![
            Cell::from(one.name.as_str()),
            Cell::from(one.rate.as_str()),
            in_force(one),
            Cell::from(one.burst.to_string()),
            number(one.waiting, Ink::Notice),
            Cell::from(one.permits.to_string()),
            one.paused_until.map(|at| format!("ends {}", paint.ahead(at))).into(),
            Cell::from(format!("{}:{}", one.file, one.line)),
        ]);
    }
    table.render(paint)
}

/// The declared rate where that is what is in force; else what is let through a second.
fn in_force(limiter: &LimiterView) -> Cell {
    let declared = limiter.rate.parse::<Rate>().map(|rate| f64::from(rate.count) / rate.per.as_secs_f64());
    let now = limiter.effective_per_second;
    if declared.is_ok_and(|declared| (declared - now).abs() <= declared * 1e-6) {
        return Cell::from(limiter.rate.as_str());
    }
    let text = format!("{now:.2}");
    Cell::new(&format!("{}/s", text.trim_end_matches('0').trim_end_matches('.')), Ink::Notice)
}
