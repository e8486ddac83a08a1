//! Which statuses are good: `200-399,418`. Pure.

use std::{fmt, ops::RangeInclusive};

/// Statuses that count as good. Shows itself as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect(Vec<RangeInclusive<u16>>);

impl Default for Expect {
    fn default() -> Self {
        Self(vec![200..=399])
    }
}

impl Expect {
    /// Parses codes and ranges with commas between them, each within 100..=599.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.split(',').map(|part| range(part.trim_ascii())).collect::<Result<_, _>>().map(Self)
    }

    pub fn allows(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, range) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            match (range.start(), range.end()) {
                (first, last) if first == last => write!(f, "{comma}{first}")?,
                (first, last) => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

fn range(part: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    let (first, last) = (code(first.trim_ascii(), part)?, code(last.trim_ascii(), part)?);
    if first > last {
        return Err(format!("\"{part}\" ends before it starts"));
    }
    Ok(first..=last)
}

fn code(text: &str, part: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(code @ 100..=599) if text.len() == 3 => Ok(code),
        _ => Err(format!("\"{part}\" is not a status (100 to 599) or a range like \"200-399\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_ranges() {
        let expect = Expect::parse("200-399, 418").unwrap();
        for (status, good) in [(199, false), (200, true), (399, true), (400, false), (418, true), (500, false)] {
            assert_eq!(expect.allows(status), good, "{status}");
        }
        assert_eq!(expect.to_string(), "200-399,418");
        assert_eq!(Expect::default().to_string(), "200-399");
        assert!(Expect::parse("204").unwrap().allows(204));
    }

    #[test]
    fn refuses_the_rest_in_words() {
        for text in ["", "ok", "20", "0200", "+200", "99", "600", "200-", "-200", "200-300-400", "200,", "２００"] {
            let error = Expect::parse(text).unwrap_err();
            assert!(error.contains("is not a status"), "{text}: {error}");
        }
        assert_eq!(Expect::parse("399-200").unwrap_err(), "\"399-200\" ends before it starts");
    }
}
