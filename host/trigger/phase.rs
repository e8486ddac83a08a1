//! When ticks are due: pure arithmetic of intervals; cron expressions are shared with maintenance windows, in `manifest::cron`.
//!
//! An interval keeps a phase drawn from the worker's name, so that ten thousand workers with one interval do not fire together and a
//! restart of the host does not move them. No clock here.

use std::time::Duration;

use sha2::{Digest, Sha256};

pub use crate::manifest::cron::next as next_cron;

/// First ticks at host start are spread over this, or over the interval when that is shorter.
const START_SPREAD: Duration = Duration::from_secs(20);

/// A name's place in 0..1.
fn share(name: &str) -> f64 {
    let hash = Sha256::digest(name.as_bytes());
    let mut bytes = [0; 4];
    bytes.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
}

/// How long after host start a worker's first tick comes.
pub fn start_delay(name: &str, every: Duration) -> Duration {
    START_SPREAD.min(every).mul_f64(share(name))
}

/// The first phase time of `name` after `now`, as time since the epoch all phases count from. At least half an interval after
/// `last`, so that the tick at creation isn't followed at once by the first regular one.
pub fn next_due(name: &str, every: Duration, now: Duration, last: Option<Duration>) -> Duration {
    if every.is_zero() {
        return now;
    }
    let phase = every.mul_f64(share(name));
    let earliest = last.map_or(now, |last| now.max(last + every / 2));
    let behind = earliest.saturating_sub(phase).as_nanos();
    let turns = behind / every.as_nanos() + 1;
    let due = Duration::from_nanos(u64::try_from(turns.saturating_mul(every.as_nanos())).unwrap_or(u64::MAX)).saturating_add(phase);
    // Before the first turn.
    if phase > earliest { phase } else { due }
}

/// How many whole intervals lie between a due time and now: ticks that nobody could run.
pub fn skipped(every: Duration, due: Duration, now: Duration) -> u64 {
    if every.is_zero() {
        return 0;
    }
    u64::try_from(now.saturating_sub(due).as_nanos() / every.as_nanos()).unwrap_or(u64::MAX)
}
