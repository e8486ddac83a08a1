//! A fault plugin for tests: uses up time, in an endless loop, busy for a while, or waiting in a host call.
//!
//! Config says what a tick does: `{ mode = "spin" | "busy" | "wait" | "ok", ms = 100 }`; a call names the mode and may carry `ms`
//! in decimal. Must not be deployed for anything else.

use std::{hint::black_box, sync::OnceLock};

use bindings::{
    exports::skep::worker::{call_handler, lifecycle, schedule_handler},
    wasi::clocks::monotonic_clock,
};
use serde::Deserialize;

/// What wit-bindgen makes of the world.
#[allow(unsafe_code, reason = "generated: the component ABI passes raw memory")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package skep:spin;

            world spin {
                include skep:worker/scheduled@0.1.0;
                include skep:worker/callable@0.1.0;
                import wasi:clocks/monotonic-clock@0.2.12;
            }
        ",
        generate_all,
    });
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    #[default]
    Ok,
    /// Never ends and never calls the host.
    Spin,
    /// Computes for `ms`.
    Busy,
    /// Sits in one host call for `ms`.
    Wait,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    mode: Mode,
    ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { mode: Mode::Ok, ms: 100 }
    }
}

static CONFIG: OnceLock<Config> = OnceLock::new();

fn config() -> Config {
    CONFIG.get().copied().unwrap_or_default()
}

fn event(mode: Mode, ms: u64) {
    match mode {
        Mode::Ok => {}
        Mode::Spin => spin_forever(),
        Mode::Busy => spin_for(ms),
        Mode::Wait => monotonic_clock::subscribe_duration(ms.saturating_mul(1_000_000)).block(),
    }
}

#[inline(never)]
fn spin_forever() {
    let mut turns: u64 = 0;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// Looks at the clock every 10,000 turns only: a call to the host is a chance to yield, and a bad neighbour takes few.
#[inline(never)]
fn spin_for(ms: u64) {
    let end = monotonic_clock::now().saturating_add(ms.saturating_mul(1_000_000));
    while monotonic_clock::now() < end {
        for turn in 0..10_000_u64 {
            black_box(turn);
        }
    }
}

struct Spin;

impl lifecycle::Guest for Spin {
    fn init(config: String) -> Result<(), String> {
        let config = serde_json::from_str(&config).map_err(|e| format!("config: {e}"))?;
        CONFIG.get_or_init(|| config);
        Ok(())
    }

    fn stop() {}
}

impl schedule_handler::Guest for Spin {
    fn tick(_info: schedule_handler::TickInfo) -> Result<(), String> {
        let config = config();
        event(config.mode, config.ms);
        Ok(())
    }
}

impl call_handler::Guest for Spin {
    /// Answers the milliseconds it took.
    fn call(method: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        let mode = serde_json::from_value(method.into()).map_err(|e| format!("method: {e}"))?;
        let ms = match payload.is_empty() {
            true => config().ms,
            false => serde_json::from_slice(&payload).map_err(|e| format!("payload: {e}"))?,
        };
        let start = monotonic_clock::now();
        event(mode, ms);
        let took = monotonic_clock::now().saturating_sub(start) / 1_000_000;
        Ok(took.to_string().into_bytes())
    }
}

#[allow(unsafe_code, reason = "generated: the exported symbols")]
mod export {
    use crate::Spin;
    crate::bindings::export!(Spin with_types_in crate::bindings);
}
