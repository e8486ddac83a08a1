//! Durations as manifests write them: `250ms`, `5s`, `1m 30s`. Pure.

use std::time::Duration;

/// Longer than this is a mistake, not a timeout.
const MAX: Duration = Duration::from_secs(3600);

/// Parses numbers with units (`ms`, `s`, `m`, `h`), spaces between them allowed; more than zero, at most an hour.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("\"{text}\" is not a duration like \"5s\" or \"250ms\"");
    let mut millis: u64 = 0;
    let mut rest = text.trim_ascii().as_bytes();
    while !rest.is_empty() {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, tail) = rest.split_at_checked(digits).ok_or_else(wrong)?;
        let letters = tail.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        let (unit, tail) = tail.split_at_checked(letters).ok_or_else(wrong)?;
        let factor: u64 = match unit {
            b"ms" => 1,
            b"s" => 1_000,
            b"m" => 60_000,
            b"h" => 3_600_000,
            _ => return Err(wrong()),
        };
        if number.is_empty() {
            return Err(wrong());
        }
        let number = number.iter().fold(0, |sum: u64, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
        millis = millis.saturating_add(number.saturating_mul(factor));
        rest = tail.trim_ascii_start();
    }
    match Duration::from_millis(millis) {
        Duration::ZERO => Err(format!("{}; it must be more than zero", wrong())),
        total if total > MAX => Err(format!("\"{text}\" is too long; at most \"1h\"")),
        total => Ok(total),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_manifests_write() {
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(parse(" 1m 30s "), Ok(Duration::from_secs(90)));
        assert_eq!(parse("1h"), Ok(Duration::from_secs(3600)));
    }

    #[test]
    fn refuses_the_rest_in_words() {
        for text in ["", "5", "s", "5 s", "-5s", "5.5s", "5days", "0s", "ß"] {
            let error = parse(text).unwrap_err();
            assert!(error.contains("is not a duration like"), "{text}: {error}");
        }
        assert!(parse("2h").unwrap_err().contains("at most"));
        assert!(parse("99999999999999999999s").is_err());
        assert!(parse("18446744073709551615h").is_err());
    }
}
