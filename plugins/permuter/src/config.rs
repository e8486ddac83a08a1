//! `config = { pause = "3s" }`. Pure.

use std::time::Duration;

use serde_json::Value;

const DEFAULT: Duration = Duration::from_secs(3);
/// Longer is a mistake.
const MAX: Duration = Duration::from_secs(3600);

/// How long the work takes.
pub fn pause(config: &str) -> Result<Duration, String> {
    let config: Value = serde_json::from_str(config).map_err(|error| format!("config is no JSON: {error}"))?;
    let mut pause = DEFAULT;
    for (key, value) in config.as_object().into_iter().flatten() {
        if key != "pause" {
            return Err(format!("config.{key} is unknown; pause is the only key"));
        }
        let read = value.as_str().and_then(duration).filter(|read| *read <= MAX);
        pause = read.ok_or_else(|| format!("config.pause is {value}; write a duration such as \"3s\" or \"250ms\", at most \"1h\""))?;
    }
    Ok(pause)
}

/// A whole number with a unit.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.find(|c: char| !c.is_ascii_digit())?)?;
    let number: u64 = number.parse().ok()?;
    match unit.trim() {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        "h" => Some(Duration::from_secs(number.checked_mul(3600)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_a_duration() {
        assert_eq!(pause("{}"), Ok(Duration::from_secs(3)));
        assert_eq!(pause(r#"{"pause":"250ms"}"#), Ok(Duration::from_millis(250)));
        assert_eq!(pause(r#"{"pause":"2 m"}"#), Ok(Duration::from_secs(120)));
        assert_eq!(pause(r#"{"pause":"0s"}"#), Ok(Duration::ZERO));
    }

    #[test]
    fn what_is_none_is_said() {
        for wrong in ["3", "\"3\"", "\"s\"", "\"-3s\"", "\"3d\"", "\"2h\"", "\"99999999999999999999s\"", "\"18446744073709551615m\""] {
            let error = pause(&format!("{{\"pause\":{wrong}}}")).unwrap_err();
            assert!(error.starts_with("config.pause is "), "{wrong}: {error}");
        }
        assert_eq!(pause(r#"{"paws":"3s"}"#).unwrap_err(), "config.paws is unknown; pause is the only key");
    }
}
