//! A check's newest results, as the live stream packs them. Pure.

use std::collections::VecDeque;

use crate::facts::CheckStatus;

/// The host sends no more; what is longer is cut.
const MOST: usize = 30;

/// One result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Result {
    pub status: CheckStatus,
    pub latency_ms: Option<f64>,
    /// Milliseconds since 1970.
    pub at: i64,
}

/// Oldest first. What can't be read is left out: a bar with a hole is better than none.
pub fn decode(text: &str) -> Vec<Result> {
    let mut at = 0_i64;
    let mut all = VecDeque::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let Some((letter, rest)) = part.split_at_checked(1) else { continue };
        let (latency, gap) = rest.split_once('.').unwrap_or((rest, ""));
        at = at.saturating_add(i64::from_str_radix(gap, 36).unwrap_or(0).max(0));
        let status = match letter {
            "u" => CheckStatus::Up,
            "g" => CheckStatus::Degraded,
            "d" => CheckStatus::Down,
            "n" => CheckStatus::Unknown,
            "m" => CheckStatus::Maintenance,
            "p" => CheckStatus::Paused,
            _ => continue,
        };
        let latency_ms = u64::from_str_radix(latency, 36).ok().map(|micros| micros as f64 / 1e3);
        if all.len() == MOST {
            all.pop_front();
        }
        all.push_back(Result { status, latency_ms, at });
    }
    all.into()
}
