//! A fault plugin for tests: reaches every capability from the outside, and ends its events as their input says.
//!
//! A **call**'s method is a function of an import (`queue.push`, `kv.increment`; [`methods`] lists them all), its payload the
//! arguments as a JSON object. It answers `{"ok": …}`, or `{"error": "denied", "sentence": "…"}` where the host said no; an `err`
//! is a mistake in the request itself. `relay` takes no JSON: its payload is `TIMES WORKER`, and it calls that worker so often, for benches.
//! A **job**'s payload says how to handle it: [`instructions`]. A **message**, the config's
//! `tick` and the config's `init` take instructions too. Must not be deployed for anything but tests.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bindings::{
    exports::skep::worker::{call_handler, job_handler, lifecycle, message_handler, schedule_handler},
    skep::worker::{
        log::{Level, write},
        registry,
    },
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::instructions::{End, Event, Instruction};

mod data;
mod instructions;
mod methods;

/// What wit-bindgen makes of the world.
#[allow(unsafe_code, reason = "generated: the component ABI passes raw memory")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package skep:probe;

            world probe {
                include skep:worker/scheduled@0.1.0;
                include skep:worker/callable@0.1.0;
                include skep:worker/queued@0.1.0;
                include skep:worker/subscribed@0.1.0;
                import wasi:clocks/monotonic-clock@0.2.12;
            }
        ",
        generate_all,
    });
}

/// `{ tick = { do = "…" }, init = { do = "…" } }`; both may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    init: Option<Instruction>,
    tick: Option<Instruction>,
}

static CONFIG: OnceLock<Config> = OnceLock::new();

/// Events of this instance, and the newest of them that were jobs and messages: a resident's memory.
static EVENTS: AtomicU64 = AtomicU64::new(0);
static SEEN: Mutex<VecDeque<Value>> = Mutex::new(VecDeque::new());
const SEEN_KEPT: usize = 1_000;

fn seen() -> MutexGuard<'static, VecDeque<Value>> {
    SEEN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn remember(what: Value) {
    let mut seen = seen();
    if seen.len() >= SEEN_KEPT {
        seen.pop_front();
    }
    seen.push_back(what);
}

fn counted() -> u64 {
    EVENTS.fetch_add(1, Ordering::Relaxed) + 1
}

/// For events that have no way to say retry, dead or a result.
fn plain(end: Result<Vec<u8>, End>) -> Result<(), String> {
    match end {
        Ok(_) => Ok(()),
        Err(End::Retry { reason, .. } | End::Dead(reason)) => Err(reason),
    }
}

/// Calls a worker many times, one call after the other, and nothing else; answers how many.
fn relay(payload: &[u8]) -> Result<Vec<u8>, String> {
    let text = str::from_utf8(payload).map_err(|error| error.to_string())?;
    let (times, worker) = text.split_once(' ').ok_or("relay takes TIMES WORKER")?;
    let times: u32 = times.parse().map_err(|error| format!("{times}: {error}"))?;
    for _ in 0..times {
        registry::call(worker, "echo", b"x", 1_000).map_err(|error| error.to_string())?;
    }
    Ok(times.to_string().into_bytes())
}

struct Probe;

impl lifecycle::Guest for Probe {
    fn init(config: String) -> Result<(), String> {
        let config: Config = serde_json::from_str(&config).map_err(|e| format!("config: {e}"))?;
        let config = CONFIG.get_or_init(|| config);
        match &config.init {
            Some(instruction) => plain(instruction.follow(&Event::default())),
            None => Ok(()),
        }
    }

    fn stop() {
        write(Level::Info, "stopped");
    }
}

impl schedule_handler::Guest for Probe {
    fn tick(info: schedule_handler::TickInfo) -> Result<(), String> {
        counted();
        match CONFIG.get().and_then(|config| config.tick.as_ref()) {
            Some(instruction) => {
                plain(instruction.follow(&Event { id: info.worker, attempt: u32::try_from(info.sequence).unwrap_or(u32::MAX) }))
            }
            None => Ok(()),
        }
    }
}

impl call_handler::Guest for Probe {
    fn call(method: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        counted();
        match method.as_str() {
            "echo" => return Ok(payload),
            "relay" => return relay(&payload),
            _ => {}
        }
        let arguments = match payload.is_empty() {
            true => json!({}),
            false => serde_json::from_slice(&payload).map_err(|e| format!("payload: {e}"))?,
        };
        Ok(methods::call(&method, &arguments)?.to_string().into_bytes())
    }
}

impl job_handler::Guest for Probe {
    fn handle(item: job_handler::Job) -> Result<Option<Vec<u8>>, job_handler::JobError> {
        counted();
        remember(json!({
            "job": item.id, "queue": item.queue, "attempt": item.attempt, "max_attempts": item.max_attempts, "priority": item.priority,
            "unique_key": item.unique_key, "payload": data::shown(&item.payload),
        }));
        let result = match serde_json::from_slice::<Instruction>(&item.payload) {
            Ok(instruction) => instruction.follow(&Event { id: item.id, attempt: item.attempt }),
            Err(_) => Ok(item.payload),
        };
        match result {
            Ok(bytes) => Ok(Some(bytes).filter(|bytes| !bytes.is_empty())),
            Err(End::Retry { reason, after_ms }) => Err(job_handler::JobError::Retry(job_handler::Later { reason, after_ms })),
            Err(End::Dead(reason)) => Err(job_handler::JobError::Dead(reason)),
        }
    }
}

impl message_handler::Guest for Probe {
    fn on_message(topic: String, payload: Vec<u8>) -> Result<(), String> {
        counted();
        remember(json!({ "topic": topic, "payload": data::shown(&payload) }));
        match serde_json::from_slice::<Instruction>(&payload) {
            Ok(instruction) => plain(instruction.follow(&Event { id: topic, attempt: 1 })),
            Err(_) => Ok(()),
        }
    }
}

#[allow(unsafe_code, reason = "generated: the exported symbols")]
mod export {
    use crate::Probe;
    crate::bindings::export!(Probe with_types_in crate::bindings);
}
