//! How an event goes on and ends, as its input says: a JSON object with `do`, and mostly `then`, another such object or the name of
//! one that needs no fields (`"ok"`, `"trap"`). Without `then` it ends well.
//!
//! ```json
//! {"do": "push", "queue": "out", "payload": "one", "on_ack": true, "then": "trap"}
//! {"do": "trap-first", "attempts": 2, "then": {"do": "ok", "result": "third time"}}
//! ```

use std::hint::black_box;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    bindings::{skep::worker::queue, wasi::clocks::monotonic_clock},
    data, methods,
};

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Instruction {
    /// Ends well; `result` is a text, `{"bytes": n}` or JSON.
    Ok { result: Option<Value> },
    /// Asks for another try.
    Retry {
        #[serde(default)]
        reason: String,
        after_ms: Option<u64>,
    },
    Dead {
        #[serde(default)]
        reason: String,
    },
    /// `unreachable`.
    Trap,
    /// An endless loop.
    Spin,
    /// Traps in the first `attempts` attempts.
    TrapFirst { attempts: u32, then: Option<Next> },
    /// Asks for another try in the first `attempts` attempts.
    RetryFirst { attempts: u32, after_ms: Option<u64>, then: Option<Next> },
    /// Sits in one host call for `ms`.
    Sleep { ms: u64, then: Option<Next> },
    /// Any method of a call; what it answers is the result, unless something follows. A no of the host's ends the event as `retry`.
    Call {
        call: String,
        #[serde(default)]
        with: Value,
        then: Option<Next>,
    },
    /// `queue.push` with all its arguments beside `do`; the id is the result, unless something follows.
    Push {
        then: Option<Next>,
        #[serde(flatten)]
        with: serde_json::Map<String, Value>,
    },
    /// `queue.progress`.
    Progress { note: String, then: Option<Next> },
    /// Several, one after the other; the last one's result counts.
    All { steps: Vec<Instruction> },
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Next {
    Named(String),
    Written(Box<Instruction>),
}

/// What is followed.
#[derive(Debug, Clone, Default)]
pub struct Event {
    /// A job's id, a worker or a topic.
    pub id: String,
    /// A job's attempt, a tick's number.
    pub attempt: u32,
}

/// An end that isn't well.
#[derive(Debug)]
pub enum End {
    Retry { reason: String, after_ms: Option<u64> },
    Dead(String),
}

impl Instruction {
    pub fn follow(&self, event: &Event) -> Result<Vec<u8>, End> {
        match self {
            Self::Ok { result } => Ok(data::bytes(result.as_ref())),
            Self::Retry { reason, after_ms } => Err(End::Retry { reason: reason.clone(), after_ms: *after_ms }),
            Self::Dead { reason } => Err(End::Dead(reason.clone())),
            Self::Trap => trap_as_told(),
            Self::Spin => spin_as_told(),
            Self::TrapFirst { attempts, .. } if event.attempt <= *attempts => trap_as_told(),
            Self::RetryFirst { attempts, after_ms, .. } if event.attempt <= *attempts => {
                Err(End::Retry { reason: format!("attempt {} of {}", event.attempt, event.id), after_ms: *after_ms })
            }
            Self::TrapFirst { then, .. } | Self::RetryFirst { then, .. } => next(then.as_ref(), event, Vec::new),
            Self::Sleep { ms, then } => {
                sleep(*ms);
                next(then.as_ref(), event, Vec::new)
            }
            Self::Call { call, with, then } => {
                let with = if with.is_null() { json!({}) } else { with.clone() };
                let answer = asked(call, &with)?;
                next(then.as_ref(), event, || answer)
            }
            Self::Push { then, with } => {
                let answer = asked("queue.push", &Value::Object(with.clone()))?;
                next(then.as_ref(), event, || answer)
            }
            Self::Progress { note, then } => {
                let told = queue::progress(note);
                told.map_err(|error| End::Retry { reason: methods::refused(&error).to_string(), after_ms: None })?;
                next(then.as_ref(), event, Vec::new)
            }
            Self::All { steps } => steps.iter().try_fold(Vec::new(), |_, step| step.follow(event)),
        }
    }
}

fn asked(method: &str, with: &Value) -> Result<Vec<u8>, End> {
    let answer = methods::call(method, with).map_err(End::Dead)?;
    match answer.get("ok") {
        Some(value) => Ok(data::bytes(Some(value))),
        None => Err(End::Retry { reason: answer.to_string(), after_ms: None }),
    }
}

fn next(then: Option<&Next>, event: &Event, result: impl FnOnce() -> Vec<u8>) -> Result<Vec<u8>, End> {
    match then {
        None => Ok(result()),
        Some(Next::Written(instruction)) => instruction.follow(event),
        Some(Next::Named(name)) => match serde_json::from_value::<Instruction>(json!({ "do": name })) {
            Ok(instruction) => instruction.follow(event),
            Err(error) => Err(End::Dead(format!("then: {error}"))),
        },
    }
}

pub fn sleep(ms: u64) {
    monotonic_clock::subscribe_duration(ms.saturating_mul(1_000_000)).block();
}

#[inline(never)]
fn trap_as_told() -> ! {
    core::arch::wasm32::unreachable()
}

#[inline(never)]
fn spin_as_told() -> ! {
    let mut turns: u64 = 0;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}
