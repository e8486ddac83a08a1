//! From a failed call to a cause a person can act on, and to the record that is kept.
//!
//! The engine's own trap code is not enough: a guest that runs out of memory reaches `unreachable`, one that overflows its own stack
//! reads out of bounds. Reads the crash only; decides no restart.

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use wasmtime::{Trap, WasmBacktrace, component::ResourceTableError};

use super::{
    cache::hex,
    event::{Crash, Stage},
    instance::Purpose,
    limits::{MAX_CALL_BYTES, MAX_HANDLES, size},
    state::State,
};
use crate::{
    facts::{Digest, TrapCause, TrapRecord},
    manifest::units::print_duration,
};

/// A recursion this deep in one function is a runaway.
const RUNAWAY_FRAMES: usize = 16;

/// The cause and a sentence for it.
pub(super) fn classify(error: Option<&wasmtime::Error>, state: &State, purpose: &Purpose) -> (TrapCause, String) {
    let timeout = || print_duration(purpose.timeout);
    let Some(error) = error else {
        let what = match state.ledger.in_flight() {
            0 => "in a host call".to_owned(),
            1 => "with 1 HTTP request in flight".to_owned(),
            waiting => format!("with {waiting} HTTP requests in flight"),
        };
        return (TrapCause::Timeout, format!("timed out after {} (limits.timeout) while waiting {what}", timeout()));
    };
    // A guest may live with a refusal and loop for ever all the same.
    let refused = state.memory.refused_bytes().filter(|_| !matches!(error.downcast_ref(), Some(Trap::Interrupt)));
    if let Some(refused) = refused {
        let (asked, cap) = (size(refused), state.memory.cap_bytes());
        let why = if refused > cap {
            format!("out of memory: {asked} asked for, the limit is {} (limits.memory)", size(cap))
        } else {
            format!("out of memory: {asked} in use, and the engine has no more for one instance")
        };
        return (TrapCause::OutOfMemory, why);
    }
    if matches!(error.downcast_ref::<ResourceTableError>(), Some(ResourceTableError::Full)) {
        return (TrapCause::Limit, format!("more than {MAX_HANDLES} open handles"));
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => (TrapCause::Timeout, format!("timed out after {} (limits.timeout), still busy", timeout())),
        Some(Trap::StackOverflow) => (TrapCause::StackOverflow, "stack overflow: recursion too deep".to_owned()),
        Some(Trap::MemoryOutOfBounds) if runs_away(error) => {
            (TrapCause::StackOverflow, "stack overflow: recursion ran past the guest's own stack".to_owned())
        }
        Some(trap) => (TrapCause::Trap, trap.to_string()),
        None => {
            let reason = error.root_cause().to_string();
            if reason.contains("fuel") {
                return (TrapCause::Limit, format!("more than {} passed to the host in one call", size(MAX_CALL_BYTES)));
            }
            if reason.contains("too many") || reason.contains("handle") && reason.contains("limit") {
                return (TrapCause::Limit, reason);
            }
            (TrapCause::Host, reason)
        }
    }
}

/// Whether one function fills the backtrace.
fn runs_away(error: &wasmtime::Error) -> bool {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return false };
    let frames = backtrace.frames();
    frames.iter().any(|frame| frames.iter().filter(|other| other.func_index() == frame.func_index()).count() >= RUNAWAY_FRAMES)
}

impl Crash {
    /// What the guest said of it, in one line; else the engine's sentence.
    pub fn said(&self) -> String {
        let line = |text: String| text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        panic_message(&self.stderr).map_or_else(|| self.summary.clone(), line)
    }

    /// The record to keep. Not on the hot path: demangling takes longer than a restart.
    pub fn into_record(self, at: Timestamp, incarnation: u64, component: &str) -> TrapRecord {
        let backtrace = self
            .error
            .as_ref()
            .and_then(|error| error.downcast_ref::<WasmBacktrace>())
            .map(|backtrace| backtrace.frames().iter().map(frame_name).collect())
            .unwrap_or_default();
        TrapRecord {
            id: uuid::Uuid::now_v7().to_string(),
            at,
            worker: self.purpose.worker.clone(),
            replica: self.purpose.replica,
            incarnation,
            cause: self.cause,
            message: self.summary,
            panic: panic_message(&self.stderr),
            backtrace,
            event: match &self.stage {
                Stage::Init => "init".to_owned(),
                Stage::Event(event) => event.title(),
                Stage::Serve => "command".to_owned(),
                Stage::Stop => "stop".to_owned(),
            },
            input: match &self.stage {
                Stage::Init => self.purpose.config.to_string(),
                Stage::Event(event) => event.input(),
                Stage::Serve | Stage::Stop => String::new(),
            },
            log: self.log,
            component: component.to_owned(),
            digest: self.purpose.component.digest.clone(),
            config_digest: Digest(format!("sha256:{}", hex(&Sha256::digest(self.purpose.config.as_bytes()))).into()),
            memory_peak_bytes: self.memory_peak_bytes,
            ran_ms: self.ran.as_secs_f64() * 1_000.0,
        }
    }
}

fn frame_name(frame: &wasmtime::FrameInfo) -> String {
    match frame.func_name() {
        // `{:#}` leaves out the hash that Rust puts behind a name.
        Some(name) => format!("{:#}", rustc_demangle::demangle(name)),
        None => format!("function {}", frame.func_index()),
    }
}

/// What a panicking guest said: Rust's `panicked at …` and the message, or the end of stderr for other languages.
fn panic_message(stderr: &str) -> Option<String> {
    let text = stderr.trim();
    let from = text.find("panicked at").unwrap_or_default();
    let text = text.get(from..).unwrap_or(text);
    let text = text.split("\nnote: run with").next().unwrap_or(text).trim();
    (!text.is_empty()).then(|| text.to_owned())
}
