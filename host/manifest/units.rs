//! Durations, sizes and rates as people write them (`1m 30s`, `64MiB`, `5/s`), read and printed.
//!
//! What is printed reads back as the same value. Must not know fields or bounds: a range belongs to the field that has it.

use std::{fmt, str::FromStr, time::Duration};

use super::spec::Rate;

/// Why a text is no duration, size or rate: a sentence, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct UnitError {
    pub message: String,
    pub hint: Option<String>,
}

impl UnitError {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()) }
    }
}

/// Units of time, largest first, in nanoseconds.
const TIMES: [(&str, u64); 8] = [
    ("w", 7 * 86_400_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Units of size, largest first, in bytes; the ones that are printed come first.
const SIZES: [(&str, u64); 8] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
];

/// Spans a rate may name by one letter.
const SPANS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];

/// Reads `500ms`, `1.5s`, `1m 30s`, `2h`, `1d`.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let whole = text.trim();
    if whole.is_empty() {
        return Err(UnitError::new("is empty", "write a duration such as \"30s\""));
    }
    if whole.starts_with('-') {
        return Err(UnitError::new(format!("\"{whole}\" is negative"), "write a duration such as \"30s\""));
    }
    if whole.bytes().all(|b| b.is_ascii_digit()) {
        return Err(UnitError::new(format!("\"{whole}\" has no unit"), format!("write \"{whole}s\" for seconds")));
    }
    let garbage = || UnitError::new(format!("\"{whole}\" is no duration"), "write for example \"500ms\", \"30s\" or \"1m 30s\"");
    let too_long = || UnitError::new(format!("\"{whole}\" is too long"), "write a duration of at most some years");
    let mut total: u64 = 0;
    let mut rest = whole;
    while !rest.is_empty() {
        let (number, after) = split_while(rest, |c| c.is_ascii_digit());
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => split_while(after, |c| c.is_ascii_digit()),
            None => ("", after),
        };
        let (unit, after) = split_while(after.trim_start(), char::is_alphabetic);
        if number.is_empty() || (fraction.is_empty() && rest.get(number.len()..).is_some_and(|r| r.starts_with('.'))) {
            return Err(garbage());
        }
        let nanos =
            TIMES.iter().find(|(name, _)| *name == unit).map(|(_, nanos)| *nanos).ok_or_else(|| unknown_time_unit(whole, number, unit))?;
        let part = number.parse::<u64>().ok().and_then(|n| n.checked_mul(nanos)).ok_or_else(too_long)?;
        let fine = fraction_of(fraction, nanos).ok_or_else(|| {
            UnitError::new(format!("\"{whole}\" is finer than a nanosecond"), "write a duration such as \"1.5s\" or \"250ms\"")
        })?;
        total = total.checked_add(part).and_then(|t| t.checked_add(fine)).ok_or_else(too_long)?;
        rest = after.trim_start();
    }
    Ok(Duration::from_nanos(total))
}

/// Prints a duration as a manifest has it: `1m 30s`; zero is `0s`.
pub fn print_duration(duration: Duration) -> String {
    let mut left = duration.as_nanos();
    let mut parts = Vec::new();
    // Weeks are read but not printed: 30d says more than 4w 2d.
    for (unit, nanos) in TIMES.iter().skip(1) {
        let nanos = u128::from(*nanos);
        if left >= nanos {
            parts.push(format!("{}{unit}", left / nanos));
            left %= nanos;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

/// Reads `512B`, `64KiB`, `64 MiB`, `1GiB` and the decimal kB, MB, GB.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let whole = text.trim();
    let (number, unit) = split_while(whole, |c| c.is_ascii_digit());
    let unit = unit.trim_start();
    if number.is_empty() {
        return Err(UnitError::new(format!("\"{whole}\" is no size"), "write for example \"64MiB\""));
    }
    if unit.is_empty() {
        return Err(UnitError::new(format!("\"{whole}\" has no unit"), format!("write \"{whole}B\" for bytes, or for example \"64MiB\"")));
    }
    let Some((_, bytes)) = SIZES.iter().find(|(name, _)| *name == unit) else {
        let nearest = match unit.chars().next().map(|c| c.to_ascii_lowercase()) {
            Some('k') => "KiB",
            Some('g') => "GiB",
            Some('b') => "B",
            _ => "MiB",
        };
        return Err(UnitError::new(format!("unknown unit \"{unit}\""), format!("write \"{number}{nearest}\"")));
    };
    let bytes = number.parse::<u64>().ok().and_then(|n| n.checked_mul(*bytes));
    bytes.ok_or_else(|| UnitError::new(format!("\"{whole}\" is too large"), "write for example \"64MiB\""))
}

/// Prints a size in the largest unit that divides it: `64MiB`, `1500B`.
pub fn print_size(bytes: u64) -> String {
    for (unit, size) in SIZES.iter().take(3) {
        if bytes >= *size && bytes.is_multiple_of(*size) {
            return format!("{}{unit}", bytes / size);
        }
    }
    format!("{bytes}B")
}

impl Rate {
    /// The longest span a rate may count over.
    pub const LONGEST: Duration = Duration::from_secs(86_400);
    /// The most events a rate may allow in its span.
    pub const MOST: u32 = 1_000_000;
}

/// `5/s`, `600/m`, `1000/h`; any other span is written out: `5/10s`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SPANS.iter().find(|(_, secs)| Duration::from_secs(*secs) == self.per) {
            Some((unit, _)) => write!(f, "{}/{unit}", self.count),
            None => write!(f, "{}/{}", self.count, print_duration(self.per)),
        }
    }
}

impl FromStr for Rate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let whole = text.trim();
        let Some((count, span)) = whole.split_once('/') else {
            return Err(UnitError::new(format!("\"{whole}\" is no rate"), "write events per span, for example \"5/s\" or \"600/m\""));
        };
        let (count, span) = (count.trim(), span.trim());
        let per = match SPANS.iter().find(|(unit, _)| *unit == span) {
            Some((_, secs)) => Duration::from_secs(*secs),
            None if span.starts_with(|c: char| c.is_ascii_digit()) => parse_duration(span)?,
            None => {
                let nearest = SPANS.iter().map(|(unit, _)| *unit).find(|unit| span.starts_with(*unit)).unwrap_or("s");
                return Err(UnitError::new(format!("unknown span \"{span}\""), format!("write \"{count}/{nearest}\"")));
            }
        };
        if per.is_zero() || per > Self::LONGEST {
            return Err(UnitError::new(
                format!("the span of \"{whole}\" must be more than zero and at most a day"),
                "write for example \"5/s\"",
            ));
        }
        match count.parse::<u32>() {
            Ok(count) if (1..=Self::MOST).contains(&count) => Ok(Self { count, per }),
            _ if count.contains('.') => Err(UnitError::new(
                format!("\"{whole}\" is not a whole number of events"),
                "lengthen the span: \"1/2s\" is one every two seconds",
            )),
            _ => Err(UnitError::new(format!("\"{whole}\": the count must be from 1 to {}", Self::MOST), "write for example \"5/s\"")),
        }
    }
}

fn split_while(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !keep(c)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// The nanoseconds that the digits behind a point stand for; None when they are no whole number of them.
fn fraction_of(digits: &str, unit: u64) -> Option<u64> {
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() {
        return Some(0);
    }
    let scale = 10u128.checked_pow(u32::try_from(digits.len()).ok()?)?;
    let scaled = digits.parse::<u128>().ok()?.checked_mul(u128::from(unit))?;
    scaled.is_multiple_of(scale).then(|| u64::try_from(scaled / scale).ok())?
}

fn unknown_time_unit(whole: &str, number: &str, unit: &str) -> UnitError {
    if unit.is_empty() {
        return UnitError::new(format!("\"{whole}\" is no duration"), "write for example \"500ms\", \"30s\" or \"1m 30s\"");
    }
    let lower = unit.to_lowercase();
    let nearest = match lower.as_str() {
        _ if lower.starts_with("mi") && lower.contains("sec") || lower.starts_with("milli") || lower.starts_with("ms") => "ms",
        _ if lower.starts_with("mo") || lower.starts_with('y') => {
            return UnitError::new(format!("unknown unit \"{unit}\""), "units are ms, s, m, h, d and w");
        }
        _ => TIMES.iter().map(|(name, _)| *name).filter(|name| name.len() == 1).find(|name| lower.starts_with(*name)).unwrap_or("s"),
    };
    UnitError::new(format!("unknown unit \"{unit}\""), format!("write \"{number}{nearest}\"; units are ms, s, m, h, d and w"))
}
