//! Spans as manifests write them: `90s`, `4m`, `1h`.
//!
//! Must not take a bare number: nobody remembers which unit it was.

use std::time::Duration;

/// One number and one unit: ms, s, m, h or d. An error is the rest of a sentence that opens with the field.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("\"{text}\" is no span; write a number and ms, s, m, h or d, like \"90s\"");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(wrong)
}

/// The same as milliseconds within bounds.
pub fn millis(field: &str, text: &str, least: u64, most: u64) -> Result<u64, String> {
    let span = parse(text).map_err(|why| format!("config.{field}: {why}"))?;
    let ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    if (least..=most).contains(&ms) { Ok(ms) } else { Err(format!("config.{field}: must be from {least} to {most} ms, not {ms}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_unit() {
        assert_eq!(parse("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("1d"), Ok(Duration::from_secs(86_400)));
        for wrong in ["", "90", "s", "-1s", "1.5s", "1 s", "1w", "99999999999999999999s", "18446744073709551615d"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(millis("wait", "2s", 1, 2_000), Ok(2_000));
        assert!(millis("wait", "2s", 1, 1_999).unwrap_err().starts_with("config.wait: must be from"));
    }
}
