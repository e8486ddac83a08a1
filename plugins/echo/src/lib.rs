//! The smallest useful worker: a tick does nothing, a call is answered with its own payload, a job is done as it comes.
//!
//! Benches measure the host with it and a newcomer can start from it, so it must stay free of work, logging and dependencies.

use std::sync::atomic::{AtomicU64, Ordering};

use bindings::exports::skep::worker::{call_handler, job_handler, lifecycle, schedule_handler};

/// What wit-bindgen makes of the world.
#[allow(unsafe_code, reason = "generated: the component ABI passes raw memory")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package skep:echo;

            world echo {
                include skep:worker/scheduled@0.1.0;
                include skep:worker/callable@0.1.0;
                include skep:worker/queued@0.1.0;
            }
        ",
        generate_all,
    });
}

/// Calls since `init`: grows in a resident, is 1 for each event of a per-event worker.
static CALLS: AtomicU64 = AtomicU64::new(0);

struct Echo;

impl lifecycle::Guest for Echo {
    fn init(_config: String) -> Result<(), String> {
        CALLS.store(0, Ordering::Relaxed);
        Ok(())
    }

    fn stop() {}
}

impl schedule_handler::Guest for Echo {
    fn tick(_info: schedule_handler::TickInfo) -> Result<(), String> {
        Ok(())
    }
}

impl call_handler::Guest for Echo {
    /// `count` answers the number of calls since `init`, this one included, in decimal; any other method answers the payload.
    fn call(method: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
        match method.as_str() {
            "count" => Ok(calls.to_string().into_bytes()),
            _ => Ok(payload),
        }
    }
}

impl job_handler::Guest for Echo {
    fn handle(_item: job_handler::Job) -> Result<Option<Vec<u8>>, job_handler::JobError> {
        Ok(None)
    }
}

#[allow(unsafe_code, reason = "generated: the exported symbols")]
mod export {
    crate::bindings::export!(Echo with_types_in crate::bindings);
    use crate::Echo;
}
