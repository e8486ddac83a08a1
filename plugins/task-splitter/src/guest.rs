//! What the host calls: `init` checks the config, `handle` does one job of this worker's role.

use std::cell::OnceCell;

use cloning::{
    collector,
    desk::{self, Setback},
    splitter,
};

use crate::{
    bindings::exports::skep::worker::{
        job_handler::{self, Job, JobError, Later},
        lifecycle,
    },
    config::{self, Config, Role},
    host::Host,
};

thread_local! {
    /// Set by `init`, once an instance.
    static CONFIG: OnceCell<Config> = const { OnceCell::new() };
}

struct TaskSplitter;

impl lifecycle::Guest for TaskSplitter {
    fn init(config: String) -> Result<(), String> {
        let config = config::parse(&config)?;
        CONFIG.with(|cell| cell.set(config).map_err(|_| "init was called twice".to_owned()))
    }

    fn stop() {}
}

impl job_handler::Guest for TaskSplitter {
    fn handle(item: Job) -> Result<Option<Vec<u8>>, JobError> {
        let done = CONFIG.with(|cell| match cell.get() {
            Some(config) => work(config, &item),
            None => Err(Setback::Again("init was not called".to_owned())),
        });
        match done {
            Ok(()) => Ok(None),
            Err(Setback::Again(reason)) => Err(JobError::Retry(Later { reason, after_ms: None })),
            Err(Setback::Dead(reason)) => Err(JobError::Dead(reason)),
        }
    }
}

fn work(config: &Config, item: &Job) -> Result<(), Setback> {
    let mut host = Host { bucket: &config.bucket };
    let job = desk::Job { id: &item.id, payload: &item.payload };
    match &config.role {
        Role::Split(settings) => splitter::handle(&mut host, settings, job),
        Role::Collect(settings) => collector::handle(&mut host, settings, job),
    }
}

#[allow(unsafe_code, reason = "generated: the exported symbols")]
mod export {
    use super::TaskSplitter;
    crate::bindings::export!(TaskSplitter with_types_in crate::bindings);
}
