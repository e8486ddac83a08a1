//! What a worker is called for, and what can come of it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::oneshot;
use wasmtime_wasi_http::WasiBody;

use super::instance::Purpose;
use crate::{
    capability::caller::Chain,
    facts::{LogLine, TrapCause},
    store::{LeasedJob, NewJob, Outcome},
};

/// The largest payload of a call, and of its answer, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 1 << 20;
/// The longest name of a method, in bytes.
pub const MAX_METHOD_BYTES: usize = 256;
/// How much of a guest's own error sentence is passed on, in bytes.
pub(super) const ERROR_KEPT_BYTES: usize = 16 << 10;
/// How much of an event's input a trap record keeps.
const INPUT_KEPT_BYTES: usize = 16 << 10;

/// One event for one replica.
#[derive(Debug)]
pub enum Event {
    Tick {
        scheduled: Timestamp,
        sequence: u64,
        missed: u64,
    },
    Call {
        method: String,
        payload: Vec<u8>,
        /// Whose calls led here.
        chain: Option<Arc<Chain>>,
    },
    Job(Box<JobEvent>),
    Http(Box<HttpEvent>),
    Message {
        topic: Arc<str>,
        payload: Arc<[u8]>,
    },
}

/// One leased job.
#[derive(Debug)]
pub struct JobEvent {
    pub job: LeasedJob,
    /// The limiter whose permit was taken for it: the event's first request through the same one pays nothing.
    pub prepaid: Option<Arc<str>>,
}

/// One HTTP request.
pub struct HttpEvent {
    /// Taken when the guest gets it.
    pub exchange: Mutex<Option<Exchange>>,
    /// Whose requests led here, where it came from another worker.
    pub chain: Option<Arc<Chain>>,
    /// Method and path, for logs and trap records.
    pub title: String,
    /// What a body kept in memory weighs in the mailbox.
    pub body_bytes: usize,
}

/// A request and the way back for its response, which may come before the guest is done: its body streams.
pub struct Exchange {
    pub request: http::Request<WasiBody>,
    /// The request came over TLS, or a trusted proxy says so.
    pub tls: bool,
    /// The guest's response; a sentence when it answered with an error code. Dropped when the event ends without any.
    pub respond: oneshot::Sender<Result<http::Response<WasiBody>, String>>,
}

impl std::fmt::Debug for HttpEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpEvent").field("title", &self.title).finish_non_exhaustive()
    }
}

/// An event that came back.
#[derive(Debug)]
pub struct Handled {
    /// For a job: whether it was done, or why not.
    pub answer: Answer,
    pub job: Option<JobAnswer>,
}

/// What a job's handler said, and what it pushed on ack.
#[derive(Debug)]
pub struct JobAnswer {
    pub outcome: Outcome,
    pub pushes: Vec<NewJob>,
}

impl Event {
    /// Whose calls led to it.
    pub fn chain(&self) -> Option<&Arc<Chain>> {
        match self {
            Self::Call { chain, .. } => chain.as_ref(),
            Self::Http(event) => event.chain.as_ref(),
            Self::Tick { .. } | Self::Job(_) | Self::Message { .. } => None,
        }
    }

    /// The job in hand and its attempt.
    pub(super) fn job(&self) -> Option<(uuid::Uuid, u32)> {
        match self {
            Self::Job(event) => Some((event.job.id, event.job.attempt)),
            _ => None,
        }
    }

    pub(super) fn prepaid(&self) -> Option<Arc<str>> {
        match self {
            Self::Job(event) => event.prepaid.clone(),
            _ => None,
        }
    }

    /// What it is called in records and logs.
    pub fn title(&self) -> String {
        match self {
            Self::Tick { .. } => "tick".to_owned(),
            Self::Call { method, .. } => format!("call {method}"),
            Self::Job(event) => format!("job {} of {}", event.job.id, event.job.queue),
            Self::Http(event) => event.title.clone(),
            Self::Message { topic, .. } => format!("message on {topic}"),
        }
    }

    /// What it carries, in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Tick { .. } => 0,
            Self::Call { method, payload, .. } => method.len() + payload.len(),
            Self::Job(event) => event.job.payload.len(),
            Self::Http(event) => event.body_bytes,
            Self::Message { payload, .. } => payload.len(),
        }
    }

    /// Lets go of what no trap record shows: crashes may queue up for the one who writes them down.
    pub(super) fn cut(&mut self) {
        match self {
            Self::Call { payload, .. } => {
                payload.truncate(INPUT_KEPT_BYTES);
                payload.shrink_to_fit();
            }
            Self::Job(event) => event.job.payload = Bytes::copy_from_slice(kept(&event.job.payload)),
            Self::Http(event) => event.exchange = Mutex::default(),
            Self::Message { payload, .. } if payload.len() > INPUT_KEPT_BYTES => *payload = kept(payload).into(),
            Self::Message { .. } | Self::Tick { .. } => {}
        }
    }

    /// The input as a person reads it, bounded.
    pub fn input(&self) -> String {
        match self {
            Self::Tick { scheduled, sequence, missed } => {
                serde_json::json!({ "scheduled": scheduled, "sequence": sequence, "missed": missed }).to_string()
            }
            Self::Call { payload, .. } => shown(payload),
            Self::Job(event) => shown(&event.job.payload),
            Self::Http(event) => event.title.clone(),
            Self::Message { payload, .. } => shown(payload),
        }
    }
}

fn kept(payload: &[u8]) -> &[u8] {
    payload.get(..INPUT_KEPT_BYTES).unwrap_or(payload)
}

/// Bytes as a person reads them: text, or hex.
fn shown(payload: &[u8]) -> String {
    let kept = kept(payload);
    match std::str::from_utf8(kept) {
        Ok(text) => text.to_owned(),
        // A cut in the middle of a character is still text.
        Err(error) if error.error_len().is_none() => String::from_utf8_lossy(kept).into_owned(),
        Err(_) => kept.iter().take(INPUT_KEPT_BYTES / 2).map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// An event that came back: the guest's own answer, `Err` being a failure of the application.
pub type Answer = Result<Vec<u8>, String>;

/// An instance that must never be entered again, with all a trap record is made from. Turning it into the record (names demangled,
/// texts cut) is left to whoever writes it: the next event doesn't wait for that.
#[derive(Debug)]
pub struct Crash {
    pub cause: TrapCause,
    /// For `last_error` and listings: one sentence.
    pub summary: String,
    pub(super) error: Option<wasmtime::Error>,
    pub(super) log: Vec<LogLine>,
    pub(super) stderr: String,
    pub(super) stage: Stage,
    pub(super) ran: Duration,
    pub memory_peak_bytes: u64,
    pub(super) purpose: Arc<Purpose>,
}

/// What an instance was entered for.
#[derive(Debug)]
pub(super) enum Stage {
    Init,
    Event(Event),
    /// A service's command.
    Serve,
    Stop,
}

/// What ends a call into a guest early.
#[derive(Debug)]
pub enum Ended {
    /// A trap, a timeout or a bound.
    Crashed(Crash),
    /// The guest called `exit`: a planned end of its own, status 0 being a normal one.
    Exited { normal: bool },
    /// `init` answered an error: the configuration is wrong, not the code.
    Refused(String),
    /// No room for another instance, or the host could not start it: not the guest's doing.
    Unavailable(String),
}

impl Ended {
    /// What happened, in a sentence.
    pub fn sentence(&self) -> String {
        match self {
            Self::Crashed(crash) => crash.summary.clone(),
            Self::Exited { normal: true } => "the guest exited".to_owned(),
            Self::Exited { normal: false } => "the guest exited with a failure".to_owned(),
            Self::Refused(reason) => format!("init refused its config: {reason}"),
            Self::Unavailable(reason) => reason.clone(),
        }
    }
}
