//! Cloned chunks in; entries, halves, further tries and finished tasks out.
//!
//! ```text
//! COMPLETE ───────▶ counted, passed on to `entries`; the one that makes its task whole sends TaskResponse COMPLETE as well
//! WINDOW_TOO_BIG ─▶ two halves on `todo-chunks`; a single second can't be halved: a dead letter, and its task stays open
//! RANDOM_ERROR ───▶ once more, later; after `retries` times a dead letter, and its task stays open
//! ```
//!
//! A task is never called complete with a gap. Chunks of a cancelled task are dropped; chunks of no task known here belong to somebody
//! else and are passed on as they are, each of their jobs once.

use prost::Message;

use crate::{
    book::{Book, Failed, Standing},
    desk::{Desk, Job, Push, Setback, change},
    messages::{ChunkResult, ClonedChunk, TaskResponse, TaskResult, TodoChunk},
    splitter::key_of,
    window::Window,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub todo_chunks: String,
    pub finished_tasks: String,
    /// The queue that an outside consumer takes ClonedChunks from.
    pub entries: String,
    /// How often a window that answers RANDOM_ERROR is tried again.
    pub retries: u32,
    pub retry_after_ms: u64,
}

pub fn handle(desk: &mut impl Desk, settings: &Settings, job: Job<'_>) -> Result<(), Setback> {
    let (cloned, result, chunk, window) = ClonedChunk::read(job.payload).map_err(Setback::Dead)?;
    let key = key_of(&chunk.currency_pair);
    let standing = change(desk, &key, |book: &mut Book| match result {
        ChunkResult::Complete => book.cover(chunk.task_dbid, window, job.id),
        _ => book.standing(chunk.task_dbid, window, job.id),
    })?;
    match (standing, result) {
        (Standing::Cancelled, _) => {
            desk.info(&format!("{chunk} is dropped: its task was cancelled"));
            Ok(())
        }
        (Standing::Foreign, _) => Ok(desk.push(Push::one(&settings.entries, job.payload.to_vec()).keyed(job.id))?),
        (Standing::Open | Standing::Covered, ChunkResult::Complete) => pass_on(desk, settings, &chunk, job),
        (Standing::Whole(uuid), ChunkResult::Complete) => {
            pass_on(desk, settings, &chunk, job)?;
            desk.info(&format!("task {uuid} is complete"));
            let response = TaskResponse::of(TaskResult::Complete, uuid).encode_to_vec();
            Ok(desk.push(Push::one(&settings.finished_tasks, response).keyed(format!("task/{}", job.id)))?)
        }
        (Standing::Covered | Standing::Whole(_), _) => {
            desk.info(&format!("{chunk} failed, but was cloned another time"));
            Ok(())
        }
        (Standing::Open, ChunkResult::WindowTooBig) => halve(desk, settings, &chunk, window),
        (Standing::Open, ChunkResult::RandomError) => again(desk, settings, &chunk, window, &cloned.possible_error_message),
    }
}

/// The bytes as they came. The key keeps a window that was cloned twice from being passed on twice.
fn pass_on(desk: &mut impl Desk, settings: &Settings, chunk: &TodoChunk, job: Job<'_>) -> Result<(), Setback> {
    let key = format!("{}/{}/{}-{}", chunk.task_dbid, chunk.currency_pair, chunk.from_unix_ts, chunk.until_unix_ts);
    Ok(desk.push(Push::one(&settings.entries, job.payload.to_vec()).keyed(key))?)
}

fn halve(desk: &mut impl Desk, settings: &Settings, chunk: &TodoChunk, window: Window) -> Result<(), Setback> {
    let Some(halves) = window.halves() else {
        return Err(Setback::Dead(format!(
            "{chunk} holds more trades than the exchange answers at once, and one second can't be split: its task stays open; DELETE ends it"
        )));
    };
    let payloads = halves.iter().map(|half| chunk.at(*half).encode_to_vec()).collect();
    Ok(desk.push(Push { queue: settings.todo_chunks.clone(), payloads, ..Push::default() })?)
}

fn again(desk: &mut impl Desk, settings: &Settings, chunk: &TodoChunk, window: Window, message: &str) -> Result<(), Setback> {
    let failed = change(desk, &key_of(&chunk.currency_pair), |book: &mut Book| book.fail(chunk.task_dbid, window, settings.retries))?;
    match failed {
        Failed::Again(times) => {
            desk.warn(&format!("{chunk} failed ({message}); time {times} of {} that it is tried again", settings.retries));
            Ok(desk.push(Push::one(&settings.todo_chunks, chunk.encode_to_vec()).after(settings.retry_after_ms))?)
        }
        Failed::GiveUp => Err(Setback::Dead(format!(
            "{chunk} failed again and again, last with: {message}. Its task stays open: retry this job when the cause is mended, or DELETE the task"
        ))),
    }
}
