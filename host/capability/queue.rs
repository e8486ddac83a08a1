//! `skep:worker/queue`: durable jobs for whoever takes them, and news of the ones this worker pushed.
//!
//! Checks names, sizes and whose job it is; the queue itself is the store's. Another worker's job is not found: that it exists is
//! nobody else's business. Must not lease or finish jobs.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use uuid::Uuid;
use wasmtime::component::HasSelf;

use super::{
    bindings::skep::worker::{errors::Error, queue as wit},
    grant::Wish,
    scope::{Scope, bounded, patience, unkept},
};
use crate::{
    facts::{JobState, JobView},
    manifest::units::print_duration,
    store::{MAX_NOTE_BYTES, MAX_PAYLOAD_BYTES, MAX_PUSH_BYTES, MAX_PUSH_JOBS, MAX_SPAN, MAX_UNIQUE_KEY_BYTES, NewJob},
};

/// The most attempts a push may ask for, as in `[[queue]]`.
const MAX_ATTEMPTS: u32 = 1_000;

impl Scope {
    async fn enqueue(&mut self, queue: &str, payloads: Vec<Vec<u8>>, options: wit::PushOptions) -> Result<Vec<String>, Error> {
        self.may(Wish::Push(queue))?;
        let on_ack = options.on_ack;
        if on_ack {
            self.job("on-ack")?;
        }
        let jobs = self.jobs(queue, payloads, options)?;
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        if on_ack {
            let ids = jobs.iter().map(|job| job.id.to_string()).collect();
            self.push_on_ack(jobs)?;
            return Ok(ids);
        }
        let pushed = self.services().jobs.push(jobs).await.map_err(unkept)?;
        Ok(pushed.into_iter().map(|pushed| pushed.id.to_string()).collect())
    }

    /// Jobs to be, every number looked at.
    fn jobs(&self, queue: &str, payloads: Vec<Vec<u8>>, options: wit::PushOptions) -> Result<Vec<NewJob>, Error> {
        if payloads.len() > MAX_PUSH_JOBS {
            return Err(Error::TooLarge(format!("{} jobs at once; at most {MAX_PUSH_JOBS} are taken", payloads.len())));
        }
        payloads.iter().try_for_each(|payload| bounded("a payload", payload.len(), MAX_PAYLOAD_BYTES))?;
        bounded("the payloads together", payloads.iter().map(Vec::len).sum(), MAX_PUSH_BYTES)?;
        if let Some(key) = &options.unique_key {
            if key.is_empty() {
                return Err(Error::Invalid("the unique key is empty: leave it out, or say what is unique".to_owned()));
            }
            bounded("the unique key", key.len(), MAX_UNIQUE_KEY_BYTES)?;
            if payloads.len() > 1 {
                return Err(Error::Invalid("with a unique key there can be one payload: the others would be the same job".to_owned()));
            }
        }
        if options.max_attempts.is_some_and(|count| !(1..=MAX_ATTEMPTS).contains(&count)) {
            return Err(Error::Invalid(format!("max-attempts must be from 1 to {MAX_ATTEMPTS}")));
        }
        let delay = span("delay-ms", options.delay_ms)?.unwrap_or_default();
        let backoff = span("backoff-ms", options.backoff_ms)?;
        let result_ttl = span("result-ttl-ms", options.result_ttl_ms)?;
        let unique_key = options.unique_key.map(String::into_boxed_str);
        let queue: Arc<str> = queue.into();
        let job = |payload| NewJob {
            delay,
            priority: options.priority.unwrap_or_default(),
            unique_key: unique_key.clone(),
            max_attempts: options.max_attempts,
            backoff,
            result_ttl,
            ..NewJob::new(Arc::clone(&queue), Bytes::from(payload), Arc::clone(self.worker()))
        };
        Ok(payloads.into_iter().map(job).collect())
    }

    /// A job that this worker pushed.
    async fn own(&self, id: &str) -> Result<(Uuid, JobView), Error> {
        let uuid = Uuid::parse_str(id).map_err(|_| {
            let shown: String = id.chars().take(80).collect();
            Error::Invalid(format!("\"{shown}\" is no job's id: push answers one, such as 0190a5b2-6f1c-7a43-8d4e-2b9c51f0e7aa"))
        })?;
        let view = self.services().jobs.job(uuid).await.map_err(unkept)?;
        let own = view.filter(|view| *view.pushed_by == **self.worker());
        own.map(|view| (uuid, view)).ok_or_else(|| unknown(uuid))
    }
}

fn unknown(id: Uuid) -> Error {
    Error::NotFound(format!("no job {id} that this worker pushed: there was none, or its time to live is over"))
}

fn span(what: &str, ms: Option<u64>) -> Result<Option<Duration>, Error> {
    let span = ms.map(Duration::from_millis);
    if span.is_some_and(|span| span > MAX_SPAN) {
        return Err(Error::Invalid(format!("{what} is more than 366 days")));
    }
    Ok(span)
}

fn info(view: JobView) -> wit::JobInfo {
    wit::JobInfo {
        id: view.id,
        queue: view.queue,
        state: match view.state {
            JobState::Delayed => wit::JobState::Delayed,
            JobState::Waiting => wit::JobState::Waiting,
            JobState::Running => wit::JobState::Running,
            JobState::Done => wit::JobState::Done,
            JobState::Dead => wit::JobState::Dead,
            JobState::Cancelled => wit::JobState::Cancelled,
        },
        attempts: view.attempts,
        max_attempts: view.max_attempts,
        progress: view.progress,
        last_error: view.last_error,
    }
}

impl wit::Host for Scope {
    async fn push(&mut self, queue: String, payload: Vec<u8>, options: wit::PushOptions) -> Result<String, Error> {
        let ids = self.enqueue(&queue, vec![payload], options).await?;
        ids.into_iter().next().ok_or_else(|| Error::Unavailable("the queue answered no id".to_owned()))
    }

    async fn push_many(&mut self, queue: String, payloads: Vec<Vec<u8>>, options: wit::PushOptions) -> Result<Vec<String>, Error> {
        self.enqueue(&queue, payloads, options).await
    }

    async fn status(&mut self, id: String) -> Result<wit::JobInfo, Error> {
        self.own(&id).await.map(|(_, view)| info(view))
    }

    async fn outcome(&mut self, id: String) -> Result<Option<Vec<u8>>, Error> {
        let (_, view) = self.own(&id).await?;
        let result = view.result.map(|result| result.into_bytes()).transpose();
        result.map_err(|reason| Error::Unavailable(format!("the result of job {id} can't be read: it {reason}")))
    }

    async fn wait(&mut self, id: String, timeout_ms: u64) -> Result<wit::JobInfo, Error> {
        let (id, view) = self.own(&id).await?;
        if view.state.over() {
            return Ok(info(view));
        }
        let patience = patience(timeout_ms);
        match tokio::time::timeout(patience, self.services().jobs.wait(id)).await {
            Ok(Ok(Some(view))) => Ok(info(view)),
            Ok(Ok(None)) => Err(unknown(id)),
            Ok(Err(error)) => Err(unkept(error)),
            Err(_) => Err(Error::Timeout(format!("job {id} is not over within {}; it goes on", print_duration(patience)))),
        }
    }

    async fn cancel(&mut self, id: String) -> Result<bool, Error> {
        let (id, _) = self.own(&id).await?;
        self.services().jobs.cancel(id).await.map_err(unkept)?.ok_or_else(|| unknown(id))
    }

    async fn progress(&mut self, note: String) -> Result<(), Error> {
        let (id, attempt) = self.job("progress")?;
        bounded("the note", note.len(), MAX_NOTE_BYTES)?;
        if self.services().jobs.progress(id, attempt, note) {
            return Ok(());
        }
        Err(Error::Conflict(format!("attempt {attempt} of job {id} is over: cancelled, or given to another; stop working on it")))
    }
}

/// Links the import.
pub fn link<T: Send + 'static>(linker: &mut wasmtime::component::Linker<T>, get: fn(&mut T) -> &mut Scope) -> wasmtime::Result<()> {
    wit::add_to_linker::<T, HasSelf<Scope>>(linker, get)
}
