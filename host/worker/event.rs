//! What a worker is called for, and what can come of it.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::instance::Purpose;
use crate::facts::{LogLine, TrapCause};

/// The largest payload of a call, and of its answer, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 1 << 20;
/// The longest name of a method, in bytes.
pub const MAX_METHOD_BYTES: usize = 256;
/// How much of a guest's own error sentence is passed on, in bytes.
pub(super) const ERROR_KEPT_BYTES: usize = 16 << 10;
/// How much of an event's input a trap record keeps.
const INPUT_KEPT_BYTES: usize = 16 << 10;

/// One event for one replica.
#[derive(Debug, Clone)]
pub enum Event {
    Tick { scheduled: Timestamp, sequence: u64, missed: u64 },
    Call { method: String, payload: Vec<u8> },
}

impl Event {
    /// What it is called in records and logs.
    pub fn title(&self) -> String {
        match self {
            Self::Tick { .. } => "tick".to_owned(),
            Self::Call { method, .. } => format!("call {method}"),
        }
    }

    /// What it carries, in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Tick { .. } => 0,
            Self::Call { method, payload } => method.len() + payload.len(),
        }
    }

    /// Lets go of what no trap record shows: crashes may queue up for the one who writes them down.
    pub(super) fn cut(&mut self) {
        if let Self::Call { payload, .. } = self {
            payload.truncate(INPUT_KEPT_BYTES);
            payload.shrink_to_fit();
        }
    }

    /// The input as a person reads it, bounded.
    pub fn input(&self) -> String {
        match self {
            Self::Tick { scheduled, sequence, missed } => {
                serde_json::json!({ "scheduled": scheduled, "sequence": sequence, "missed": missed }).to_string()
            }
            Self::Call { payload, .. } => {
                let kept = payload.get(..INPUT_KEPT_BYTES).unwrap_or(payload);
                match std::str::from_utf8(kept) {
                    Ok(text) => text.to_owned(),
                    // A cut in the middle of a character is still text.
                    Err(error) if error.error_len().is_none() => String::from_utf8_lossy(kept).into_owned(),
                    Err(_) => kept.iter().take(INPUT_KEPT_BYTES / 2).map(|byte| format!("{byte:02x}")).collect(),
                }
            }
        }
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
