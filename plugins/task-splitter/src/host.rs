//! The host as `cloning` sees one: a bucket, pushes on ack, the time, log lines.
//!
//! Must not decide: an error of the host goes through as its sentence.

use cloning::desk::{Desk, Push};

use crate::bindings::{
    skep::worker::{
        errors::Error,
        kv,
        log::{self, Level},
        queue::{self, PushOptions},
    },
    wasi::clocks::wall_clock,
};

/// Keys of one listing.
const PAGE: u32 = 1_000;

pub struct Host<'c> {
    pub bucket: &'c str,
}

impl Desk for Host<'_> {
    fn get(&mut self, key: &str) -> Result<Option<(Vec<u8>, u64)>, String> {
        let entry = kv::get(self.bucket, key).map_err(sentence)?;
        Ok(entry.map(|entry| (entry.value, entry.revision)))
    }

    fn swap(&mut self, key: &str, expected: u64, value: Vec<u8>) -> Result<bool, String> {
        match kv::compare_and_set(self.bucket, key, expected, &value, None) {
            Ok(_) => Ok(true),
            Err(Error::Conflict(_)) => Ok(false),
            Err(error) => Err(sentence(error)),
        }
    }

    fn count(&mut self, key: &str) -> Result<i64, String> {
        kv::increment(self.bucket, key, 1).map_err(sentence)
    }

    fn keys(&mut self, prefix: &str) -> Result<Vec<String>, String> {
        let mut keys = Vec::new();
        loop {
            let page = kv::entries(self.bucket, prefix, keys.last().map(String::as_str), PAGE).map_err(sentence)?;
            if page.is_empty() {
                return Ok(keys);
            }
            keys.extend(page.into_iter().map(|entry| entry.key));
        }
    }

    fn push(&mut self, push: Push) -> Result<(), String> {
        let options = PushOptions {
            delay_ms: push.delay_ms,
            priority: None,
            unique_key: push.unique_key,
            max_attempts: None,
            backoff_ms: None,
            result_ttl_ms: None,
            on_ack: true,
        };
        let pushed = match push.payloads.as_slice() {
            [one] => queue::push(&push.queue, one, &options).map(|_| ()),
            many => queue::push_many(&push.queue, many, &options).map(|_| ()),
        };
        pushed.map_err(|error| format!("the host refused a push on {}: {}", push.queue, sentence(error)))
    }

    fn now_ms(&mut self) -> u64 {
        let now = wall_clock::now();
        now.seconds.saturating_mul(1_000).saturating_add(u64::from(now.nanoseconds / 1_000_000))
    }

    fn info(&mut self, line: &str) {
        log::write(Level::Info, line);
    }

    fn warn(&mut self, line: &str) {
        log::write(Level::Warn, line);
    }
}

/// Every case carries one.
fn sentence(error: Error) -> String {
    match error {
        Error::Denied(text)
        | Error::NotFound(text)
        | Error::Conflict(text)
        | Error::Timeout(text)
        | Error::TooLarge(text)
        | Error::Unavailable(text)
        | Error::Invalid(text) => text,
    }
}
