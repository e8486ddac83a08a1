//! A peer that says it is asked too often: its limiter hears of it. Must not retry or wait.
//!
//! Only a named limiter is told. It stands for one peer's bound; a worker's own `rate` is its owner's wish and may cover many peers,
//! which one of them must not silence.

use std::time::Duration;

use http::{HeaderMap, Response, StatusCode, header::RETRY_AFTER};
use jiff::{Timestamp, fmt::rfc2822};

use super::Outbound;

impl Outbound {
    /// Passes on what a response's head says.
    pub(super) fn heed<B>(&self, response: &Response<B>) {
        let Some(limiter) = self.limiter.as_ref().filter(|_| self.named) else { return };
        let wait = wait(response.headers(), self.client.clock.wall());
        let too_many = match response.status() {
            StatusCode::TOO_MANY_REQUESTS => true,
            // Without the header it is about the peer, not about how often it is asked.
            StatusCode::SERVICE_UNAVAILABLE => wait.is_some(),
            _ => false,
        };
        if too_many {
            limiter.throttled(wait);
        }
    }
}

/// `Retry-After`: seconds, or a date; none where it is neither. A date that is past is no time.
fn wait(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More than fits is for ever; the limiter bounds it.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let until = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
}
