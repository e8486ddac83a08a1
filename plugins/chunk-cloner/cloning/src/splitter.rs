//! Tasks in, chunks out: an ADD becomes chunks of at most an hour, a DELETE ends a task.
//!
//! One job pushes at most a thousand others: a longer task is split page by page, each page pushing the job of the next one.
//!
//! Must not push before the job is acknowledged: [`Desk::push`] is on ack, so an attempt that dies leaves at most the task in the book,
//! where the next attempt finds it as its own.

use prost::Message;

use crate::{
    book::{Admission, Book, Deleted, MAX_ACTIVE, Standing},
    desk::{Desk, Job, MAX_PUSH, Push, Setback, change},
    messages::{TaskOperation, TaskResponse, TaskResult, TodoChunk, TodoTask},
    window::Window,
};

/// Chunks of one task: eleven years of hours.
pub const MAX_CHUNKS: i64 = 100_000;
/// The queue's longest delay.
const LONGEST_DELAY_MS: u64 = 366 * 86_400_000;
/// Where a pair's book is kept.
const BOOKS: &str = "pair/";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub todo_tasks: String,
    pub todo_chunks: String,
    pub finished_tasks: String,
    /// The longest chunk, in seconds.
    pub chunk_seconds: i32,
    /// How long after its last second a chunk may be cloned, in milliseconds.
    pub settle_ms: u64,
}

pub fn key_of(pair: &str) -> String {
    format!("{BOOKS}{pair}")
}

pub fn handle(desk: &mut impl Desk, settings: &Settings, job: Job<'_>) -> Result<(), Setback> {
    let (task, operation) = TodoTask::read(job.payload).map_err(Setback::Dead)?;
    match operation {
        TaskOperation::Add if task.rest_of_dbid != 0 => go_on(desk, settings, job.id, &task),
        TaskOperation::Add => add(desk, settings, job.id, &task),
        TaskOperation::Delete => delete(desk, settings, job.id, &task),
    }
}

fn add(desk: &mut impl Desk, settings: &Settings, job: &str, task: &TodoTask) -> Result<(), Setback> {
    let window = task.window().map_err(Setback::Dead)?;
    let chunks = window.count_of_parts(settings.chunk_seconds);
    if chunks > MAX_CHUNKS {
        let most = MAX_CHUNKS * i64::from(settings.chunk_seconds);
        return Err(Setback::Dead(format!(
            "the task has {chunks} chunks; at most {MAX_CHUNKS} fit, so add it as several tasks of at most {most} seconds each"
        )));
    }
    let now_ms = desk.now_ms();
    if due_in(window, settings, now_ms) > LONGEST_DELAY_MS {
        return Err(Setback::Dead(format!("the task ends at {}, more than a year from now; add it when it is nearer", window.until())));
    }
    let key = key_of(&task.currency_pair);
    let uuid = task.task_uuid.as_str();
    let seen: Admission = change(desk, &key, |book: &mut Book| book.admission(uuid, window, job))?;
    let admission = match seen {
        Admission::Free => {
            let count = desk.count("next-dbid")?;
            let dbid =
                i32::try_from(count).map_err(|_| Setback::Dead(format!("task number {count} does not fit into task_dbid's 32 bits")))?;
            change(desk, &key, |book: &mut Book| book.admit(uuid, window, job, dbid))?
        }
        other => other,
    };
    match admission {
        Admission::Mine(dbid) => {
            desk.info(&format!("task {uuid} is {dbid}: {} {}..{} in {chunks} chunks", task.currency_pair, window.from(), window.until()));
            push_chunks(desk, settings, job, &TodoTask { rest_of_dbid: dbid, rest_from_unix_ts: window.from(), ..task.clone() })
        }
        Admission::Known => {
            desk.warn(&format!("task {uuid} was added before; this copy is left alone"));
            Ok(())
        }
        Admission::Conflict(other) => {
            desk.warn(&format!("task {uuid} conflicts with task {other} of {}", task.currency_pair));
            respond(desk, settings, TaskResult::TaskConflict, uuid, job)
        }
        Admission::Full | Admission::Free => {
            Err(Setback::Again(format!("{} has {MAX_ACTIVE} tasks under way, the most; this one waits", task.currency_pair)))
        }
    }
}

/// The next page of a task, unless it is over.
fn go_on(desk: &mut impl Desk, settings: &Settings, job: &str, task: &TodoTask) -> Result<(), Setback> {
    let rest = rest_of(task)?;
    let standing = change(desk, &key_of(&task.currency_pair), |book: &mut Book| book.standing(task.rest_of_dbid, rest, job))?;
    if standing == Standing::Open {
        return push_chunks(desk, settings, job, task);
    }
    desk.info(&format!("task {} is over: its chunks from {} on are not split", task.task_uuid, rest.from()));
    Ok(())
}

fn rest_of(task: &TodoTask) -> Result<Window, Setback> {
    let rest = TodoTask { from_unix_ts: task.rest_from_unix_ts, ..task.clone() };
    rest.window().map_err(Setback::Dead)
}

/// Chunks whose seconds are not over wait for them: cloned earlier they would look complete and miss what came later.
fn push_chunks(desk: &mut impl Desk, settings: &Settings, job: &str, task: &TodoTask) -> Result<(), Setback> {
    let (rest, now_ms) = (rest_of(task)?, desk.now_ms());
    let whole = rest.count_of_parts(settings.chunk_seconds) <= i64::try_from(MAX_PUSH).unwrap_or(i64::MAX);
    // Where there is another page, the last place is its job's.
    let here: Vec<Window> = rest.parts(settings.chunk_seconds).take(if whole { MAX_PUSH } else { MAX_PUSH - 1 }).collect();
    if let (false, Some(next)) = (whole, here.last().and_then(|last| last.until().checked_add(1))) {
        let task = TodoTask { rest_from_unix_ts: next, ..task.clone() };
        desk.push(Push::one(&settings.todo_tasks, task.encode_to_vec()).keyed(format!("{job}/rest")))?;
    }
    let payload = |part: &Window| TodoChunk::of(&task.currency_pair, *part, task.rest_of_dbid).encode_to_vec();
    let (over, later) = here.split_at(here.partition_point(|part| due_in(*part, settings, now_ms) == 0));
    if !over.is_empty() {
        desk.push(Push { queue: settings.todo_chunks.clone(), payloads: over.iter().map(payload).collect(), ..Push::default() })?;
    }
    for part in later {
        desk.push(Push::one(&settings.todo_chunks, payload(part)).after(due_in(*part, settings, now_ms)))?;
    }
    Ok(())
}

/// Milliseconds until the last second of `window` is over and settled.
fn due_in(window: Window, settings: &Settings, now_ms: u64) -> u64 {
    let end_ms = u64::try_from(window.until()).unwrap_or(0).saturating_add(1).saturating_mul(1_000);
    end_ms.saturating_add(settings.settle_ms).saturating_sub(now_ms)
}

fn delete(desk: &mut impl Desk, settings: &Settings, job: &str, task: &TodoTask) -> Result<(), Setback> {
    let uuid = task.task_uuid.as_str();
    // A DELETE need not name the pair.
    let keys = if task.currency_pair.is_empty() { desk.keys(BOOKS)? } else { vec![key_of(&task.currency_pair)] };
    let mut deleted = Deleted::Unknown;
    for key in keys {
        deleted = change(desk, &key, |book: &mut Book| book.delete(uuid, job))?;
        if deleted != Deleted::Unknown {
            break;
        }
    }
    match deleted {
        Deleted::Cancelled => respond(desk, settings, TaskResult::Cancelled, uuid, job),
        // Whoever asks must not wait for ever.
        Deleted::Unknown => {
            desk.warn(&format!("task {uuid} is to be deleted, but nobody added it"));
            respond(desk, settings, TaskResult::Cancelled, uuid, job)
        }
        Deleted::WholeBefore | Deleted::CancelledBefore => {
            desk.info(&format!("task {uuid} is to be deleted, but was over before; that was answered then"));
            Ok(())
        }
    }
}

fn respond(desk: &mut impl Desk, settings: &Settings, result: TaskResult, uuid: &str, job: &str) -> Result<(), Setback> {
    let response = TaskResponse::of(result, uuid).encode_to_vec();
    Ok(desk.push(Push::one(&settings.finished_tasks, response).keyed(format!("task/{job}")))?)
}
