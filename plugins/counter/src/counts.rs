//! The counts in memory, and their bounds. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

/// The longest label, in bytes.
pub const MAX_LABEL_BYTES: usize = 256;
/// All counts written out may be this large: they have to fit into one answer (a route's `body` unless it says otherwise).
pub const MAX_STATE_BYTES: usize = 1 << 20;
/// Labels of one increment: what the store takes at once.
pub const MAX_AT_ONCE: usize = 10_000;
/// The most that `max_labels` can be.
const MOST_LABELS: u64 = 100_000;
/// Quotes, colon, comma and the longest number.
const ENTRY_BYTES: usize = 24;

/// What an increment asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Increment {
    pub labels: Vec<String>,
    pub by: i64,
}

/// Every label and its count.
#[derive(Debug)]
pub struct Counts {
    labels: BTreeMap<String, i64>,
    max_labels: usize,
    /// What writing them out may take at most.
    bytes: usize,
}

/// Reads `config`: `{ max_labels = 10000 }`.
pub fn max_labels(config: &str) -> Result<usize, String> {
    let config: Value = serde_json::from_str(config).map_err(|error| format!("config is no JSON: {error}"))?;
    let mut max = 10_000;
    for (key, value) in config.as_object().into_iter().flatten() {
        max = match (key.as_str(), value.as_u64()) {
            ("max_labels", Some(number @ 1..=MOST_LABELS)) => number,
            ("max_labels", _) => return Err(format!("config.max_labels is {value}; write a whole number from 1 to {MOST_LABELS}")),
            _ => return Err(format!("config.{key} is unknown; max_labels is the only key")),
        };
    }
    usize::try_from(max).map_err(|error| error.to_string())
}

impl Increment {
    /// Reads `{"labels":["a","b"],"increment":10}`; other keys are nobody's business. Err: why not.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        let body: Value = serde_json::from_slice(body).map_err(|error| format!("the body is no JSON: {error}"))?;
        let labels = body.get("labels").and_then(Value::as_array).ok_or("labels is missing or no list")?;
        let by = body.get("increment").and_then(Value::as_i64).ok_or("increment is missing or no whole number")?;
        if by < 0 {
            return Err(format!("increment is {by}, less than 0"));
        }
        if labels.is_empty() {
            return Err("labels is empty".to_owned());
        }
        if labels.len() > MAX_AT_ONCE {
            return Err(format!("labels has {} entries, more than {MAX_AT_ONCE}", labels.len()));
        }
        let labels = labels.iter().map(|label| match label.as_str() {
            None => Err("a label is no text".to_owned()),
            Some(label) if label.trim().is_empty() => Err("a label is empty".to_owned()),
            Some(label) if label.len() > MAX_LABEL_BYTES => Err(format!("a label has {} bytes, more than {MAX_LABEL_BYTES}", label.len())),
            Some(label) => Ok(label.to_owned()),
        });
        Ok(Self { labels: labels.collect::<Result<_, _>>()?, by })
    }
}

impl Counts {
    pub fn new(labels: BTreeMap<String, i64>, max_labels: usize) -> Self {
        let bytes = labels.keys().map(|label| written(label)).sum();
        Self { labels, max_labels, bytes }
    }

    /// Whether these labels fit beside those that are there. Err: why not.
    pub fn admit(&self, labels: &[String]) -> Result<(), String> {
        let mut fresh: Vec<&str> = labels.iter().map(String::as_str).filter(|label| !self.labels.contains_key(*label)).collect();
        fresh.sort_unstable();
        fresh.dedup();
        if fresh.is_empty() {
            return Ok(());
        }
        let total = self.labels.len() + fresh.len();
        if total > self.max_labels {
            return Err(format!("{total} labels would be more than config.max_labels = {}", self.max_labels));
        }
        let bytes = self.bytes + fresh.iter().map(|label| written(label)).sum::<usize>();
        if bytes > MAX_STATE_BYTES {
            return Err(format!("{total} labels would not fit into an answer of {MAX_STATE_BYTES} bytes"));
        }
        Ok(())
    }

    /// What the store says they are now.
    pub fn set(&mut self, sums: impl IntoIterator<Item = (String, i64)>) {
        for (label, sum) in sums {
            let bytes = written(&label);
            if self.labels.insert(label, sum).is_none() {
                self.bytes += bytes;
            }
        }
    }

    /// `{label: count}` of all.
    pub fn all(&self) -> Value {
        self.labels.iter().map(|(label, count)| (label.clone(), Value::from(*count))).collect()
    }

    /// Of those named in `expression`, commas between them, spaces around them; none: there is no such label.
    pub fn some(&self, expression: &str) -> Option<Value> {
        let found = expression.split(',').filter_map(|name| self.labels.get_key_value(name.trim()));
        let found: BTreeMap<&String, i64> = found.map(|(label, count)| (label, *count)).collect();
        (!found.is_empty()).then(|| found.into_iter().map(|(label, count)| (label.clone(), Value::from(count))).collect())
    }
}

/// What an entry takes in JSON, at most.
fn written(label: &str) -> usize {
    let escaped = label.chars().map(|c| match c {
        '"' | '\\' => 2,
        c if c.is_ascii_control() => 6,
        c => c.len_utf8(),
    });
    escaped.sum::<usize>() + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(max: usize) -> Counts {
        Counts::new(BTreeMap::new(), max)
    }

    fn labels(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn config_has_one_key() {
        assert_eq!(max_labels("{}"), Ok(10_000));
        assert_eq!(max_labels(r#"{"max_labels":3}"#), Ok(3));
        for wrong in [r#"{"max_labels":0}"#, r#"{"max_labels":"3"}"#, r#"{"max_labels":1e9}"#] {
            assert!(max_labels(wrong).unwrap_err().starts_with("config.max_labels is"), "{wrong}");
        }
        assert_eq!(max_labels(r#"{"max":3}"#).unwrap_err(), "config.max is unknown; max_labels is the only key");
    }

    #[test]
    fn labels_are_bounded_in_number_and_together() {
        let mut few = counts(2);
        few.admit(&labels(&["a", "b", "a"])).unwrap();
        few.set([("a".to_owned(), 1), ("b".to_owned(), 1)]);
        few.admit(&labels(&["b", "a"])).unwrap();
        assert!(few.admit(&labels(&["c"])).unwrap_err().contains("max_labels = 2"));

        let mut many = counts(100_000);
        let mut number = 0;
        while many.admit(&[format!("{number:\u{1}>256}")]).is_ok() {
            many.set([(format!("{number:\u{1}>256}"), i64::MIN)]);
            number += 1;
        }
        let written = many.all().to_string().len();
        assert!(number > 600 && written <= MAX_STATE_BYTES && written > MAX_STATE_BYTES * 9 / 10, "{number} labels, {written} bytes");
    }

    #[test]
    fn what_is_written_is_never_more_than_reckoned() {
        for label in ["a", "\"\\", "\n\u{7f}\u{0}", "ä€🐝", "</script>"] {
            let mut one = counts(1);
            one.set([(label.to_owned(), i64::MIN)]);
            assert!(one.all().to_string().len() <= one.bytes + 2, "{label:?}");
        }
    }
}
