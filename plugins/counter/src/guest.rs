//! What the host calls: `init` checks the config, each request goes to the one counter of this instance.

use std::{cell::RefCell, collections::BTreeMap};

use web::types::{IncomingRequest, ResponseOutparam};

use crate::{
    api::{Counter, Store, Trouble},
    bindings::{
        exports::{skep::worker::lifecycle, wasi::http::incoming_handler},
        skep::worker::{
            errors::Error,
            kv,
            log::{self, Level},
        },
    },
    counts,
};

/// The worker's own bucket.
const OWN: &str = "";
/// Entries of one listing.
const PAGE: u32 = 10_000;

thread_local! {
    /// Set by `init`.
    static COUNTER: RefCell<Option<Counter<Bucket>>> = const { RefCell::new(None) };
}

struct Guest;

impl lifecycle::Guest for Guest {
    fn init(config: String) -> Result<(), String> {
        let max_labels = counts::max_labels(&config)?;
        COUNTER.set(Some(Counter::new(Bucket, max_labels)));
        Ok(())
    }

    fn stop() {}
}

impl incoming_handler::Guest for Guest {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        web::serve(request, out, |request| {
            COUNTER.with_borrow_mut(|counter| match counter {
                Some(counter) => counter.answer(request),
                None => web::Answer::error(503, "not started"),
            })
        });
    }
}

/// The worker's own bucket: a key a label, a number in decimal text each.
#[derive(Debug)]
struct Bucket;

impl Store for Bucket {
    fn load(&mut self) -> Result<BTreeMap<String, i64>, Trouble> {
        let mut counts = BTreeMap::new();
        let mut after: Option<String> = None;
        loop {
            let page = kv::entries(OWN, "", after.as_deref(), PAGE)?;
            let Some(last) = page.last() else { return Ok(counts) };
            after = Some(last.key.clone());
            for entry in page {
                match std::str::from_utf8(&entry.value).ok().and_then(|text| text.parse().ok()) {
                    Some(count) => drop(counts.insert(entry.key, count)),
                    None => self.note(&format!("the value of \"{}\" is no number: it is left out", entry.key)),
                }
            }
        }
    }

    fn increment(&mut self, labels: &[String], by: i64) -> Result<Vec<i64>, Trouble> {
        Ok(kv::increment_many(OWN, labels, by)?)
    }

    fn note(&mut self, sentence: &str) {
        log::write(Level::Warn, sentence);
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(sentence) | Error::TooLarge(sentence) => Self::Invalid(sentence),
            Error::Denied(sentence)
            | Error::NotFound(sentence)
            | Error::Conflict(sentence)
            | Error::Timeout(sentence)
            | Error::Unavailable(sentence) => Self::Unavailable(sentence),
        }
    }
}

#[allow(unsafe_code, reason = "generated: the exported symbols")]
mod export {
    use super::Guest;
    crate::bindings::export!(Guest with_types_in crate::bindings);
}
