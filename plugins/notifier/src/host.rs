//! The host as `desk` sees one: the worker's own bucket, pushes on ack, the time, requests, log lines.
//!
//! Must not decide: an error of the host goes through as its sentence.

use std::time::Duration;

use crate::{
    bindings::{
        skep::worker::{
            errors::Error,
            kv,
            log::{self, Level},
            queue::{self, PushOptions},
        },
        wasi::clocks::wall_clock,
    },
    config::Target,
    desk::Desk,
    post,
    verdict::Heard,
};

/// This worker's own bucket.
const OWN: &str = "";
/// Keys of one listing.
const PAGE: usize = 1_000;

pub struct Host<'q> {
    pub queue: &'q str,
    /// For each target.
    pub patience: Duration,
}

impl Desk for Host<'_> {
    fn get(&mut self, key: &str) -> Result<Option<(Vec<u8>, u64)>, String> {
        let entry = kv::get(OWN, key).map_err(sentence)?;
        Ok(entry.map(|entry| (entry.value, entry.revision)))
    }

    fn set(&mut self, key: &str, value: &[u8], ttl_ms: u64) -> Result<(), String> {
        kv::set(OWN, key, value, Some(ttl_ms)).map(|_| ()).map_err(sentence)
    }

    fn swap(&mut self, key: &str, expected: u64, value: &[u8], ttl_ms: u64) -> Result<bool, String> {
        match kv::compare_and_set(OWN, key, expected, value, Some(ttl_ms)) {
            Ok(_) => Ok(true),
            Err(Error::Conflict(_)) => Ok(false),
            Err(error) => Err(sentence(error)),
        }
    }

    fn delete(&mut self, key: &str) -> Result<(), String> {
        kv::delete(OWN, key).map(|_| ()).map_err(sentence)
    }

    fn entries(&mut self, prefix: &str, most: usize) -> Result<Vec<(String, Vec<u8>)>, String> {
        let mut found: Vec<(String, Vec<u8>)> = Vec::new();
        while found.len() < most {
            let after = found.last().map(|(key, _)| key.as_str());
            let room = u32::try_from((most - found.len()).min(PAGE)).unwrap_or(1);
            let page = kv::entries(OWN, prefix, after, room).map_err(sentence)?;
            if page.is_empty() {
                break;
            }
            found.extend(page.into_iter().map(|entry| (entry.key, entry.value)));
        }
        Ok(found)
    }

    fn push_on_ack(&mut self, payload: &[u8], unique_key: String, delay_ms: u64) -> Result<(), String> {
        let options = PushOptions {
            delay_ms: Some(delay_ms),
            priority: None,
            unique_key: Some(unique_key),
            max_attempts: None,
            backoff_ms: None,
            result_ttl_ms: None,
            on_ack: true,
        };
        let pushed = queue::push(self.queue, payload, &options);
        pushed.map(|_| ()).map_err(|error| format!("a batch was not queued: {}", sentence(error)))
    }

    fn now_ms(&mut self) -> u64 {
        let now = wall_clock::now();
        now.seconds.saturating_mul(1_000).saturating_add(u64::from(now.nanoseconds / 1_000_000))
    }

    fn post(&mut self, target: &Target, id: &str, body: &[u8]) -> Heard {
        post::send(target, id, body, self.patience).unwrap_or_else(Heard::Nothing)
    }

    fn say(&mut self, bad: bool, line: &str) {
        log::write(if bad { Level::Error } else { Level::Info }, line);
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
