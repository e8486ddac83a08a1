//! What becomes of a job when an attempt ends, as pure data: states, attempts, backoff. And what a push may not be.
//!
//! Must not know memory, disk or clocks.

use std::time::Duration;

use super::{MAX_NOTE_BYTES, MAX_PAYLOAD_BYTES, MAX_PUSH_BYTES, MAX_PUSH_JOBS, MAX_SPAN, MAX_UNIQUE_KEY_BYTES, NewJob, Outcome};
use crate::{facts::JobState, store::rows::clip};

/// A backoff grows no longer than this.
pub const MAX_BACKOFF: Duration = Duration::from_secs(3_600);
/// The part of a backoff that jitter may take away, so that jobs which failed together don't come back together.
const SPREAD: f64 = 0.2;

/// How an attempt's end changes its job.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub state: JobState,
    /// Attempts that count, from now on.
    pub attempts: u32,
    /// How long it waits, where it is delayed.
    pub delay: Duration,
    pub error: Option<String>,
    pub result: Option<Vec<u8>>,
}

/// A job's attempts as its row has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// All that began: the newest one's number, and its fence. It goes back only where no holder can be left that knows it.
    pub attempts: u32,
    /// Those among them that don't count against `max_attempts`.
    pub uncounted: u32,
}

/// `attempt`: its number among those that count.
///
/// ```text
///            lease                    Done
///  waiting ────────▶ running ───────────────────────────▶ done
///     ▲ ▲               │ │ Dead, or Retry of the last
///     │ └── Released ───┘ ├──────────────────────────────▶ dead
///     │                   │ Retry, attempts left
///     └───── delayed ◀────┘
/// ```
pub fn verdict(outcome: Outcome, attempt: u32, max_attempts: u32, backoff: Duration, jitter: f64) -> Verdict {
    let over = |state| Verdict { state, attempts: attempt, delay: Duration::ZERO, error: None, result: None };
    match outcome {
        Outcome::Done(result) => Verdict { result, ..over(JobState::Done) },
        Outcome::Dead(reason) => Verdict { error: Some(note(&reason)), ..over(JobState::Dead) },
        Outcome::Released => Verdict { attempts: attempt.saturating_sub(1), ..over(JobState::Waiting) },
        Outcome::Retry { reason, .. } if attempt >= max_attempts => Verdict { error: Some(note(&reason)), ..over(JobState::Dead) },
        Outcome::Retry { reason, after } => {
            let delay = after.unwrap_or_else(|| backoff_of(backoff, attempt, jitter)).min(MAX_SPAN);
            let state = if delay.is_zero() { JobState::Waiting } else { JobState::Delayed };
            Verdict { error: Some(note(&reason)), delay, ..over(state) }
        }
    }
}

/// `base` after the first attempt, doubled for each one after, at most [`MAX_BACKOFF`]; `jitter` (0 to 1) shortens it by up to a fifth.
pub fn backoff_of(base: Duration, attempt: u32, jitter: f64) -> Duration {
    let doubled = base.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(MAX_BACKOFF).mul_f64(1.0 - SPREAD * jitter.clamp(0.0, 1.0))
}

/// A reason or a progress note, cut to what is kept.
pub(super) fn note(text: &str) -> String {
    clip(text, MAX_NOTE_BYTES).to_owned()
}

/// Why these jobs can't be pushed together, in a sentence.
pub(super) fn refuse_push(jobs: &[NewJob]) -> Option<String> {
    if jobs.len() > MAX_PUSH_JOBS {
        return Some(format!("{} jobs in one push, but at most {MAX_PUSH_JOBS} fit: push them in parts", jobs.len()));
    }
    let bytes: usize = jobs.iter().map(|job| job.payload.len()).sum();
    if bytes > MAX_PUSH_BYTES {
        return Some(format!("{bytes} bytes of payload in one push, but at most {MAX_PUSH_BYTES} fit: push them in parts"));
    }
    jobs.iter().find_map(refuse_job)
}

fn refuse_job(job: &NewJob) -> Option<String> {
    let queue = &job.queue;
    if job.payload.len() > MAX_PAYLOAD_BYTES {
        let bytes = job.payload.len();
        return Some(format!(
            "a payload of {bytes} bytes for the queue {queue}, but at most {MAX_PAYLOAD_BYTES} fit: push a reference to it"
        ));
    }
    if let Some(key) = job.unique_key.as_ref().filter(|key| key.is_empty() || key.len() > MAX_UNIQUE_KEY_BYTES) {
        let bytes = key.len();
        return Some(format!(
            "a unique key of {bytes} bytes for the queue {queue}, but it has 1 to {MAX_UNIQUE_KEY_BYTES}: use a hash of it"
        ));
    }
    if job.max_attempts == Some(0) {
        return Some(format!("max_attempts of 0 for the queue {queue}: a job is tried at least once"));
    }
    let spans = [("delay", Some(job.delay)), ("backoff", job.backoff), ("result_ttl", job.result_ttl)];
    let (what, _) = spans.into_iter().find(|(_, span)| span.is_some_and(|span| span > MAX_SPAN))?;
    Some(format!("a {what} for the queue {queue} is longer than 366 days: choose a shorter one"))
}

/// Why this can't be a result.
pub(super) fn refuse_outcome(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Done(Some(result)) if result.len() > MAX_PAYLOAD_BYTES => Some(format!(
            "a result of {} bytes, but at most {MAX_PAYLOAD_BYTES} are kept: keep it elsewhere and answer where",
            result.len()
        )),
        _ => None,
    }
}
