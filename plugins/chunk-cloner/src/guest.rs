//! What the host calls: `init` checks the config, `handle` clones one chunk, `call` clones one and waits for it.
//!
//! Everything a job leaves behind is pushed on ack: an attempt that dies leaves nothing, and one that is acknowledged has left it once.

use std::{cell::OnceCell, time::Duration};

use cloning::{
    messages::{ClonedChunk, TodoChunk, is_json},
    verdict::{Verdict, judge},
};
use prost::Message;

use crate::{
    bindings::{
        exports::skep::worker::{
            call_handler,
            job_handler::{self, Job, JobError, Later},
            lifecycle,
        },
        skep::worker::{
            errors::Error,
            log::{self, Level},
            queue::{self, JobState, PushOptions},
        },
        wasi::random::random,
    },
    config::{self, Config},
    fetch,
};

/// Opens the unique key of a chunk that somebody waits for: only then is its answer kept as the job's result, too.
const ASKED: &str = "add_task/";

thread_local! {
    /// Set by `init`, once an instance.
    static CONFIG: OnceCell<Config> = const { OnceCell::new() };
}

struct ChunkCloner;

impl lifecycle::Guest for ChunkCloner {
    fn init(config: String) -> Result<(), String> {
        let config = config::parse(&config)?;
        CONFIG.with(|cell| cell.set(config).map_err(|_| "init was called twice".to_owned()))
    }

    fn stop() {}
}

impl job_handler::Guest for ChunkCloner {
    fn handle(item: Job) -> Result<Option<Vec<u8>>, JobError> {
        CONFIG.with(|cell| match cell.get() {
            Some(config) => clone(config, &item),
            None => Err(again("init was not called".to_owned(), None)),
        })
    }
}

impl call_handler::Guest for ChunkCloner {
    fn call(method: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        match method.as_str() {
            "add_task" => CONFIG.with(|cell| ask(cell.get().ok_or("init was not called")?, &payload)),
            other => Err(format!("no method \"{other}\"; there is add_task, whose payload is a TodoChunk")),
        }
    }
}

/// One chunk, one request.
fn clone(config: &Config, item: &Job) -> Result<Option<Vec<u8>>, JobError> {
    let (chunk, window) = TodoChunk::read(&item.payload).map_err(JobError::Dead)?;
    // Enough is left to say what happened before the event's own time is over.
    let patience = Duration::from_millis(item.timeout_ms / 10 * 4);
    let heard = fetch::get(&config.api, &config.generation.path(&chunk.currency_pair, window), patience);
    let last = item.attempt >= item.max_attempts;
    let answer = match judge(config.generation, config.split, &chunk, window, heard, last) {
        Verdict::Again { reason, after_ms } => return Err(again(format!("{chunk}: {reason}"), after_ms)),
        Verdict::Answered(answer) => {
            let (level, more) = match answer.possible_error_message.as_str() {
                "" => (Level::Info, String::new()),
                message => (Level::Warn, format!(": {message}")),
            };
            log::write(level, &format!("{chunk}: {} with {} entries{more}", answer.chunk_result(), answer.entries.len()));
            push(&config.finished_chunks, &answer.encode_to_vec(), format!("{}/cloned", item.id))?;
            answer
        }
        Verdict::Halved(answer, [low, high]) => {
            log::write(Level::Info, &format!("{chunk}: {}", answer.possible_error_message));
            push(&config.todo_chunks, &low.encode_to_vec(), format!("{}/low", item.id))?;
            push(&config.todo_chunks, &high.encode_to_vec(), format!("{}/high", item.id))?;
            answer
        }
    };
    let asked = item.unique_key.as_ref().is_some_and(|key| key.starts_with(ASKED));
    Ok(asked.then(|| answer.encode_to_vec()))
}

fn push(queue: &str, payload: &[u8], key: String) -> Result<(), JobError> {
    let pushed = queue::push(queue, payload, &PushOptions { unique_key: Some(key), on_ack: true, ..options() });
    pushed.map(|_| ()).map_err(|error| again(format!("the host refused a push on {queue}: {}", sentence(error)), None))
}

/// Pushes a chunk and waits for what becomes of it. Who asked in JSON is answered in JSON.
fn ask(config: &Config, payload: &[u8]) -> Result<Vec<u8>, String> {
    let (chunk, _) = TodoChunk::read(payload)?;
    let key = format!("{ASKED}{:016x}{:016x}", random::get_random_u64(), random::get_random_u64());
    let options = PushOptions { unique_key: Some(key), ..options() };
    let id = queue::push(&config.todo_chunks, &chunk.encode_to_vec(), &options).map_err(sentence)?;
    let over = match queue::wait(&id, config.wait_ms) {
        Ok(over) => over,
        Err(Error::Timeout(_)) => {
            return Err(format!(
                "no answer within {} ms; the chunk is still to be cloned, as job {id} of {}",
                config.wait_ms, config.todo_chunks
            ));
        }
        Err(error) => return Err(sentence(error)),
    };
    match over.state {
        JobState::Done => {}
        JobState::Cancelled => return Err(format!("job {id} was cancelled")),
        _ => return Err(over.last_error.unwrap_or_else(|| format!("job {id} was given up"))),
    }
    let answer = queue::outcome(&id).map_err(sentence)?.ok_or_else(|| format!("job {id} was done by a worker that keeps no answers"))?;
    if !is_json(payload) {
        return Ok(answer);
    }
    let answer = ClonedChunk::decode(answer.as_slice()).map_err(|error| format!("job {id} was answered with no ClonedChunk: {error}"))?;
    serde_json::to_vec(&answer).map_err(|error| error.to_string())
}

fn options() -> PushOptions {
    PushOptions {
        delay_ms: None,
        priority: None,
        unique_key: None,
        max_attempts: None,
        backoff_ms: None,
        result_ttl_ms: None,
        on_ack: false,
    }
}

fn again(reason: String, after_ms: Option<u64>) -> JobError {
    JobError::Retry(Later { reason, after_ms })
}

/// Every case carries one.
fn sentence(error: Error) -> String {
    match error {
        Error::Denied(text)
        | Error::NotFound(text)
        | Error::Conflict(text)
        | Error::Timeout(text)
        | Error::TooLarge(text)
        | Error::Unavailable(text)
        | Error::Invalid(text) => text,
    }
}

#[allow(unsafe_code, reason = "generated: the exported symbols")]
mod export {
    use super::ChunkCloner;
    crate::bindings::export!(ChunkCloner with_types_in crate::bindings);
}
