//! A check's newest results: sixteen bytes each in memory, some ten each on their way to a page.
//!
//! Must not judge them.

use jiff::Timestamp;

use crate::facts::{Beat, CheckStatus};

/// A result. There are thirty for every check.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compact {
    pub at: i64,
    /// `u32::MAX`: none.
    latency_us: u32,
    status: CheckStatus,
}

impl Compact {
    pub fn new(at: Timestamp, status: CheckStatus, latency_ms: Option<f64>) -> Self {
        let latency_us = latency_ms.filter(|ms| ms.is_finite()).map_or(u32::MAX, |ms| (ms * 1_000.0).round() as u32);
        Self { at: at.as_millisecond(), latency_us, status }
    }

    pub fn view(self) -> Beat {
        Beat {
            at: Timestamp::from_millisecond(self.at).unwrap_or(Timestamp::UNIX_EPOCH),
            status: self.status,
            latency_ms: self.latency().map(|us| f64::from(us) / 1_000.0),
        }
    }

    fn latency(self) -> Option<u32> {
        (self.latency_us != u32::MAX).then_some(self.latency_us)
    }
}

/// As `facts::LiveCheck` describes it.
pub(super) fn written<'a>(beats: impl Iterator<Item = &'a Compact>) -> String {
    let mut text = String::with_capacity(30 * 11);
    let mut before = 0;
    for beat in beats {
        if !text.is_empty() {
            text.push(',');
        }
        text.push(match beat.status {
            CheckStatus::Up => 'u',
            CheckStatus::Degraded => 'g',
            CheckStatus::Down => 'd',
            CheckStatus::Unknown => 'n',
            CheckStatus::Maintenance => 'm',
            CheckStatus::Paused => 'p',
        });
        if let Some(latency) = beat.latency() {
            base_36(&mut text, u64::from(latency));
        }
        text.push('.');
        // A wall clock that was set back gives two results at one time.
        base_36(&mut text, u64::try_from(beat.at.saturating_sub(before)).unwrap_or_default());
        before = before.max(beat.at);
    }
    text
}

fn base_36(text: &mut String, mut number: u64) {
    let mut digits = ['0'; 13];
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = char::from_digit((number % 36) as u32, 36).unwrap_or('0');
        number /= 36;
        used += 1;
        if number == 0 {
            break;
        }
    }
    text.extend(digits.iter().skip(digits.len() - used));
}
