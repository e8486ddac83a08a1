//! `skep:worker/checks`: what a worker saw of the thing it watches. Needs no grant.
//!
//! Checks sizes, attaches what the host itself saw of the request, and hands the report to the board; judging is the board's.

use std::{sync::Arc, time::Duration};

use wasmtime::component::HasSelf;

use super::{
    bindings::skep::worker::{checks as wit, errors::Error},
    http::Ledger,
};
use crate::{
    checks::{Checks, Report},
    clock::Clock,
    facts::{CheckStatus, Name},
};

/// The longest subject, in bytes.
pub const MAX_SUBJECT_BYTES: usize = 2_048;
/// The largest detail, in bytes.
pub const MAX_DETAIL_BYTES: usize = 1 << 20;

/// One instance's way to the board.
#[derive(Debug, Clone)]
pub struct Reporter {
    pub checks: Checks,
    pub clock: Clock,
    pub worker: Name,
    /// What the host saw of this event's requests.
    pub ledger: Arc<Ledger>,
}

impl wit::Host for Reporter {
    fn report(
        &mut self,
        subject: String,
        status: wit::Status,
        latency_us: Option<u64>,
        detail: String,
        valid_for_ms: Option<u64>,
    ) -> Result<(), Error> {
        if subject.is_empty() {
            return Err(Error::Invalid("subject is empty: name what was looked at".to_owned()));
        }
        if subject.len() > MAX_SUBJECT_BYTES {
            return Err(Error::TooLarge(format!("subject has {} bytes; at most {MAX_SUBJECT_BYTES} are kept", subject.len())));
        }
        if detail.len() > MAX_DETAIL_BYTES {
            return Err(Error::TooLarge(format!("detail has {} bytes; at most {MAX_DETAIL_BYTES} (1 MiB) are taken", detail.len())));
        }
        let status = match status {
            wit::Status::Up => CheckStatus::Up,
            wit::Status::Degraded => CheckStatus::Degraded,
            wit::Status::Down => CheckStatus::Down,
            wit::Status::Unknown => CheckStatus::Unknown,
        };
        let evidence = self.ledger.evidence(&subject).map(|mut evidence| {
            if status == CheckStatus::Up {
                evidence.excerpt = None;
            }
            evidence
        });
        // A guest knows an error's code; the host knows which line of the manifest would help, or why a certificate is not trusted.
        let told = self.ledger.failure(&subject).filter(|told| status != CheckStatus::Up && !detail.contains(told));
        let detail = match (told, detail.is_empty()) {
            (None, _) => detail,
            (Some(told), true) => told,
            (Some(told), false) => format!("{detail}: {told}"),
        };
        // What the host measured beats what the guest says.
        let measured = evidence.as_ref().and_then(|evidence| evidence.phases.total_ms);
        #[allow(clippy::cast_precision_loss, reason = "microseconds of a latency fit a float")]
        let latency_ms = measured.or(latency_us.map(|us| us as f64 / 1_000.0));
        self.checks.report(Report {
            worker: self.worker.clone(),
            subject: self.ledger.mask(&subject).into_owned(),
            status,
            latency_ms,
            detail: self.ledger.mask(&detail).into_owned(),
            valid_for: valid_for_ms.map(Duration::from_millis),
            at: self.clock.wall(),
            evidence: evidence.map(Box::new),
        });
        Ok(())
    }
}

/// Links the import.
pub fn link<T: Send + 'static>(linker: &mut wasmtime::component::Linker<T>, get: fn(&mut T) -> &mut Reporter) -> wasmtime::Result<()> {
    super::bindings::skep::worker::errors::add_to_linker::<T, HasSelf<Reporter>>(linker, get)?;
    wit::add_to_linker::<T, HasSelf<Reporter>>(linker, get)
}

impl super::bindings::skep::worker::errors::Host for Reporter {}
