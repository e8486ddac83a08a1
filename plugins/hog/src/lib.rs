//! A fault plugin for tests: uses up memory, notices when it gets no more, says so and goes on.
//!
//! Config: `{ mib = 32 }` is what a tick grows to. Calls: `grow` (MiB in decimal), `release`, `have`; each answers
//! `{"asked_mib":…,"have_mib":…,"refused":…}`. Must not abort: crash has `oom` for that.

use std::sync::{Mutex, OnceLock, PoisonError};

use bindings::{
    exports::skep::worker::{call_handler, lifecycle, schedule_handler},
    skep::worker::log::{Level, write},
};
use serde::{Deserialize, Serialize};

/// What wit-bindgen makes of the world.
#[allow(unsafe_code, reason = "generated: the component ABI passes raw memory")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package skep:hog;

            world hog {
                include skep:worker/scheduled@0.1.0;
                include skep:worker/callable@0.1.0;
            }
        ",
        generate_all,
    });
}

const MIB: usize = 1 << 20;

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    mib: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { mib: 32 }
    }
}

/// What was asked and what came of it.
#[derive(Debug, Serialize)]
struct Holding {
    asked_mib: usize,
    have_mib: usize,
    refused: bool,
}

static CONFIG: OnceLock<Config> = OnceLock::new();
static HELD: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Grows to `mib` a mebibyte at a time and touches each page, so that the memory is real.
fn grow(mib: usize) -> Holding {
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    let mut refused = false;
    while held.len() < mib && !refused {
        let mut piece = Vec::new();
        match held.try_reserve(1).and_then(|()| piece.try_reserve_exact(MIB)) {
            Ok(()) => {
                piece.resize(MIB, 1);
                held.push(piece);
            }
            Err(_) => refused = true,
        }
    }
    Holding { asked_mib: mib, have_mib: held.len(), refused }
}

fn release() -> Holding {
    HELD.lock().unwrap_or_else(PoisonError::into_inner).clear();
    Holding { asked_mib: 0, have_mib: 0, refused: false }
}

struct Hog;

impl lifecycle::Guest for Hog {
    fn init(config: String) -> Result<(), String> {
        let config = serde_json::from_str(&config).map_err(|e| format!("config: {e}"))?;
        CONFIG.get_or_init(|| config);
        Ok(())
    }

    fn stop() {}
}

impl schedule_handler::Guest for Hog {
    fn tick(_info: schedule_handler::TickInfo) -> Result<(), String> {
        let Holding { asked_mib, have_mib, refused } = grow(CONFIG.get_or_init(Config::default).mib);
        match refused {
            true => write(Level::Warn, &format!("asked for {asked_mib} MiB, have {have_mib} MiB: growth was refused")),
            false => write(Level::Info, &format!("have {have_mib} MiB")),
        }
        Ok(())
    }
}

impl call_handler::Guest for Hog {
    fn call(method: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        let holding = match method.as_str() {
            "grow" => grow(serde_json::from_slice(&payload).map_err(|e| format!("payload: {e}"))?),
            "have" => grow(0),
            "release" => release(),
            other => return Err(format!("no method \"{other}\"; there are grow, have and release")),
        };
        serde_json::to_vec(&holding).map_err(|e| e.to_string())
    }
}

#[allow(unsafe_code, reason = "generated: the exported symbols")]
mod export {
    use crate::Hog;
    crate::bindings::export!(Hog with_types_in crate::bindings);
}
