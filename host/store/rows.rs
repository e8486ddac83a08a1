//! Between Rust's types and SQLite's: times are milliseconds since 1970, counts are signed 64-bit integers.
//!
//! Must not know any table.

use jiff::Timestamp;

pub(super) fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// 1970 for what no calendar holds: a row written by another hand must not stop a listing.
pub(super) fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}

/// Milliseconds as whole microseconds; what is no latency is none.
pub(super) fn micros(ms: Option<f64>) -> Option<i64> {
    let micros = (ms? * 1_000.0).round();
    (micros.is_finite() && micros >= 0.0).then_some(micros as i64)
}

pub(super) fn from_micros(micros: Option<i64>) -> Option<f64> {
    micros.map(|micros| micros as f64 / 1_000.0)
}

/// The start of a text, cut between characters.
pub(super) fn clip(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

pub(super) fn json_error(error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
}
