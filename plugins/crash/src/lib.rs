//! A fault plugin for tests: crashes in every way a guest can, on a tick (config) or by a call (the method's name).
//!
//! Config: `{ mode = "panic", every = 1, message = "…" }`; [`Mode`] lists the modes. Must not be deployed for anything else.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use bindings::{
    exports::skep::worker::{call_handler, lifecycle, schedule_handler},
    skep::worker::log::{Level, write},
};
use serde::Deserialize;

mod modes;

/// What wit-bindgen makes of the world.
#[allow(unsafe_code, reason = "generated: the component ABI passes raw memory")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package skep:crash;

            world crash {
                include skep:worker/scheduled@0.1.0;
                include skep:worker/callable@0.1.0;
                import wasi:clocks/monotonic-clock@0.2.12;
            }
        ",
        generate_all,
    });
}

/// How an event ends. A tick takes it from the config, a call from the method's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    /// Ends well; a call answers its payload.
    #[default]
    Ok,
    /// Ends with `err`: a failure, not a crash.
    Err,
    /// Two log lines, then a Rust panic: message on stderr, then `unreachable`.
    Panic,
    /// `unreachable` without a word.
    Unreachable,
    /// Allocates until memory is refused, then aborts as Rust does.
    Oom,
    /// Runs through the stack in linear memory, as most recursions gone wrong do in Rust and C.
    Stack,
    /// Runs through the engine's own stack: many small frames that keep nothing in linear memory.
    StackNative,
    /// Opens handles and keeps them until the host says no.
    Handles,
    /// `exit(1)` in the middle of an event.
    Exit,
    /// `init` answers `err`.
    InitErr,
    /// `init` panics.
    InitPanic,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    mode: Mode,
    /// The mode hits every nth event only; the others end well.
    every: u64,
    /// What panics and errors say.
    message: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { mode: Mode::Ok, every: 1, message: "asked to crash".into() }
    }
}

static CONFIG: OnceLock<Config> = OnceLock::new();

/// Calls of this instance. Ticks have their own number, which per-event instances share.
static CALLS: AtomicU64 = AtomicU64::new(0);

fn config() -> &'static Config {
    CONFIG.get_or_init(Config::default)
}

/// Does what `mode` says when it is this event's turn.
fn event(mode: Mode, number: u64, what: &str) -> Result<(), String> {
    let config = config();
    if !number.is_multiple_of(config.every.max(1)) {
        return Ok(());
    }
    write(Level::Info, &format!("{what} {number}: mode {mode:?}"));
    modes::run(mode, &config.message)
}

struct Crash;

impl lifecycle::Guest for Crash {
    fn init(config: String) -> Result<(), String> {
        let config: Config = serde_json::from_str(&config).map_err(|e| format!("config: {e}"))?;
        let config = CONFIG.get_or_init(|| config);
        match config.mode {
            Mode::InitErr => Err(config.message.clone()),
            Mode::InitPanic => modes::run(Mode::Panic, &config.message),
            _ => Ok(()),
        }
    }

    fn stop() {
        write(Level::Info, "stopped");
    }
}

impl schedule_handler::Guest for Crash {
    fn tick(info: schedule_handler::TickInfo) -> Result<(), String> {
        event(config().mode, info.sequence, "tick")
    }
}

impl call_handler::Guest for Crash {
    /// The method names a [`Mode`]; `event` takes the config's, as a tick does.
    fn call(method: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        let number = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
        let mode = match method.as_str() {
            "event" => config().mode,
            name => serde_json::from_value(name.into()).map_err(|e| format!("method: {e}"))?,
        };
        event(mode, number, "call")?;
        Ok(payload)
    }
}

#[allow(unsafe_code, reason = "generated: the exported symbols")]
mod export {
    use crate::Crash;
    crate::bindings::export!(Crash with_types_in crate::bindings);
}
