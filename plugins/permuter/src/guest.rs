//! What the host calls: `init` checks the config, `handle` does one job.

use std::{cell::Cell, time::Duration};

use crate::{
    bindings::{
        exports::skep::worker::{job_handler, lifecycle},
        wasi::{clocks::monotonic_clock, random::random},
    },
    config,
    permute::permute,
};

thread_local! {
    /// Set by `init`.
    static PAUSE: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

struct Guest;

impl lifecycle::Guest for Guest {
    fn init(config: String) -> Result<(), String> {
        PAUSE.set(config::pause(&config)?);
        Ok(())
    }

    fn stop() {}
}

impl job_handler::Guest for Guest {
    fn handle(item: job_handler::Job) -> Result<Option<Vec<u8>>, job_handler::JobError> {
        // Another try would find the same bytes.
        let text = String::from_utf8(item.payload).map_err(|_| job_handler::JobError::Dead("the data is no text".to_owned()))?;
        let nanoseconds = u64::try_from(PAUSE.get().as_nanos()).unwrap_or(u64::MAX);
        monotonic_clock::subscribe_duration(nanoseconds).block();
        Ok(Some(permute(&text, random::get_random_u64).into_bytes()))
    }
}

#[allow(unsafe_code, reason = "generated: the exported symbols")]
mod export {
    use super::Guest;
    crate::bindings::export!(Guest with_types_in crate::bindings);
}
