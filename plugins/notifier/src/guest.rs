//! What the host calls: `init` checks the config, `handle` sends one alert, or keeps it for its batch.

use std::{cell::OnceCell, time::Duration};

use crate::{
    bindings::exports::skep::worker::{
        job_handler::{self, Job, JobError, Later},
        lifecycle,
    },
    config::{self, Config},
    desk::{self, Setback},
    host::Host,
};

/// The longest that one target may take.
const PATIENCE: Duration = Duration::from_secs(30);

thread_local! {
    /// Set by `init`, once an instance.
    static CONFIG: OnceCell<Config> = const { OnceCell::new() };
}

struct Notifier;

impl lifecycle::Guest for Notifier {
    fn init(config: String) -> Result<(), String> {
        let config = config::parse(&config)?;
        CONFIG.with(|cell| cell.set(config).map_err(|_| "init was called twice".to_owned()))
    }

    fn stop() {}
}

impl job_handler::Guest for Notifier {
    fn handle(item: Job) -> Result<Option<Vec<u8>>, JobError> {
        let done = CONFIG.with(|cell| match cell.get() {
            Some(config) => work(config, &item),
            None => Err(Setback::from("init was not called".to_owned())),
        });
        match done {
            Ok(()) => Ok(None),
            Err(Setback::Again { reason, after_ms }) => Err(JobError::Retry(Later { reason, after_ms })),
            Err(Setback::Dead(reason)) => Err(JobError::Dead(reason)),
        }
    }
}

fn work(config: &Config, item: &Job) -> Result<(), Setback> {
    // Enough is left to say what happened before the event's own time is over, however many targets are silent.
    let targets = u64::try_from(config.targets.len()).unwrap_or(1).max(1);
    let patience = Duration::from_millis(item.timeout_ms / 10 * 8 / targets).min(PATIENCE);
    desk::handle(&mut Host { queue: &item.queue, patience }, config, &item.payload)
}

#[allow(unsafe_code, reason = "generated: the exported symbols")]
mod export {
    use super::Notifier;
    crate::bindings::export!(Notifier with_types_in crate::bindings);
}
