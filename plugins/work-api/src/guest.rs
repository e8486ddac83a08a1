//! What the host calls: `init` checks the config, each request is answered from the queue.

use std::cell::OnceCell;

use web::types::{IncomingRequest, ResponseOutparam};

use crate::{
    api::{self, Refused, Stage, Work},
    bindings::{
        exports::{skep::worker::lifecycle, wasi::http::incoming_handler},
        skep::worker::{
            errors::Error,
            queue::{self, JobState, PushOptions},
        },
    },
};

thread_local! {
    /// Set by `init`.
    static QUEUE: OnceCell<String> = const { OnceCell::new() };
}

struct Guest;

impl lifecycle::Guest for Guest {
    fn init(config: String) -> Result<(), String> {
        let queue = api::queue(&config)?;
        QUEUE.with(|cell| cell.set(queue).map_err(|_| "init was called twice".to_owned()))
    }

    fn stop() {}
}

impl incoming_handler::Guest for Guest {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let mut queue = Queue(QUEUE.with(|cell| cell.get().cloned().unwrap_or_default()));
        web::serve(request, out, |request| api::answer(request, &mut queue));
    }
}

/// The queue of this name.
struct Queue(String);

/// All as the queue has it: its `[[queue]]` says how often a job is tried and how long a result is kept.
const AS_DECLARED: PushOptions = PushOptions {
    delay_ms: None,
    priority: None,
    unique_key: None,
    max_attempts: None,
    backoff_ms: None,
    result_ttl_ms: None,
    on_ack: false,
};

impl Work for Queue {
    fn push(&mut self, data: &str) -> Result<String, Refused> {
        Ok(queue::push(&self.0, data.as_bytes(), &AS_DECLARED)?)
    }

    fn stage(&mut self, id: &str) -> Result<Option<Stage>, Refused> {
        let Some(job) = known(queue::status(id))? else { return Ok(None) };
        Ok(Some(match job.state {
            JobState::Delayed | JobState::Waiting => Stage::Accepted,
            JobState::Running => Stage::Pending,
            JobState::Cancelled => Stage::Failed("cancelled".to_owned()),
            JobState::Dead => Stage::Failed(job.last_error.unwrap_or_else(|| "given up".to_owned())),
            // Its time may be over by now.
            JobState::Done => match known(queue::outcome(id))? {
                Some(value) => Stage::Done(String::from_utf8_lossy(&value.unwrap_or_default()).into_owned()),
                None => return Ok(None),
            },
        }))
    }
}

/// What is no id, an id of another worker's job, and one whose time is over: nobody knows it.
fn known<T>(answer: Result<T, Error>) -> Result<Option<T>, Refused> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(Error::NotFound(_) | Error::Invalid(_) | Error::Denied(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        let (status, sentence) = match error {
            Error::TooLarge(sentence) => (413, sentence),
            Error::Unavailable(sentence) | Error::Timeout(sentence) => (503, sentence),
            Error::Invalid(sentence) => (400, sentence),
            // The manifest lacks a grant or names no queue: not the client's doing.
            Error::Denied(sentence) | Error::NotFound(sentence) | Error::Conflict(sentence) => (500, sentence),
        };
        Self { status, sentence }
    }
}

#[allow(unsafe_code, reason = "generated: the exported symbols")]
mod export {
    use super::Guest;
    crate::bindings::export!(Guest with_types_in crate::bindings);
}
