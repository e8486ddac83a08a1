//! Takes fields out of a table as written, says what is wrong with each, and at the end complains of what nobody took.
//!
//! Must not know which fields there are: the checks do. A `None` from here always means that the problem is already reported.

use std::{cell::RefCell, ops::RangeInclusive, time::Duration};

use super::{
    hints::{corrected_name, name_fault, nearest},
    spec::Rate,
    tree::{At, Entry, Node, Value},
    units::{UnitError, parse_duration, parse_size, print_duration, print_size},
};

/// Problems kept of one block: more help nobody.
const MOST_PROBLEMS: usize = 200;

/// One problem of a block, its place still an offset.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub at: At,
    pub field: Option<String>,
    pub message: String,
    pub hint: Option<String>,
}

/// Where the problems of one block are gathered.
#[derive(Debug, Default)]
pub(super) struct Report {
    found: RefCell<Vec<Found>>,
}

impl Report {
    /// Adds a problem; the same one is said once, though items of `each` may meet it many times.
    pub fn say(&self, at: At, field: Option<&str>, message: impl Into<String>, hint: Option<String>) {
        let found = Found { at, field: field.map(str::to_owned), message: message.into(), hint };
        let mut all = self.found.borrow_mut();
        if all.len() < MOST_PROBLEMS && !all.contains(&found) {
            all.push(found);
        }
    }

    pub fn into_found(self) -> Vec<Found> {
        self.found.into_inner()
    }

    pub fn count(&self) -> usize {
        self.found.borrow().len()
    }
}

/// One value with its place and its dotted name.
#[derive(Debug, Clone)]
pub(super) struct Field<'n> {
    pub node: &'n Node<'n>,
    pub path: String,
    pub report: &'n Report,
}

impl<'n> Field<'n> {
    pub fn complain(&self, message: impl Into<String>, hint: Option<String>) {
        self.report.say(self.node.at, Some(&self.path), message, hint);
    }

    fn refuse<T>(&self, message: impl Into<String>, hint: impl Into<String>) -> Option<T> {
        self.complain(message, Some(hint.into()));
        None
    }

    /// Says that the value has the wrong type; `example` is how the field is written.
    pub fn wrong_type<T>(&self, expected: &str, example: &str) -> Option<T> {
        let key = self.path.rsplit('.').next().unwrap_or(&self.path);
        match self.node.value {
            Value::Unusable { reason, hint } => self.complain(reason, Some(hint.to_owned())),
            _ if self.path.ends_with(']') => {
                self.complain(format!("must be {expected}, not {}", self.node.kind()), Some(format!("write {example}")))
            }
            _ => self.complain(format!("must be {expected}, not {}", self.node.kind()), Some(format!("write {key} = {example}"))),
        }
        None
    }

    pub fn text(&self, example: &str) -> Option<&'n str> {
        match &self.node.value {
            Value::Text(text) => Some(text),
            _ => self.wrong_type("text", example),
        }
    }

    /// Text that isn't empty and has at most `most` bytes.
    pub fn short_text(&self, most: usize, example: &str) -> Option<&'n str> {
        let text = self.text(example)?;
        if text.trim().is_empty() {
            return self.refuse("can't be empty", format!("write for example {example}"));
        }
        if text.len() > most {
            return self.refuse(format!("has {} bytes; at most {most} are allowed", text.len()), "shorten it");
        }
        Some(text)
    }

    /// A name of a worker's kind: `[a-z0-9-]{1,63}`, not all digits.
    pub fn name(&self, example: &str) -> Option<&'n str> {
        let text = self.text(example)?;
        match name_fault(text) {
            None => Some(text),
            Some(fault) => {
                let shown: String = text.chars().take(80).collect();
                let better = corrected_name(text).map_or_else(|| example.to_owned(), |name| format!("\"{name}\""));
                self.refuse(format!("\"{shown}\": {fault}"), format!("write {better}"))
            }
        }
    }

    pub fn bool(&self) -> Option<bool> {
        match self.node.value {
            Value::Bool(yes) => Some(yes),
            _ => self.wrong_type("true or false", "true"),
        }
    }

    pub fn integer(&self, range: RangeInclusive<u32>) -> Option<u32> {
        let number = match &self.node.value {
            Value::Integer(number) => *number,
            other => {
                let quoted = if let Value::Text(text) = other { text.trim().parse().ok().filter(|n| range.contains(n)) } else { None };
                return self.wrong_type("a whole number", &quoted.unwrap_or(*range.start().max(&1)).to_string());
            }
        };
        match u32::try_from(number).ok().filter(|n| range.contains(n)) {
            Some(number) => Some(number),
            None => self.refuse(format!("{number} is out of range"), format!("write a number from {} to {}", range.start(), range.end())),
        }
    }

    pub fn duration(&self, range: RangeInclusive<Duration>, example: &str) -> Option<Duration> {
        let text = match (&self.node.value, range.contains(&Duration::from_secs(1))) {
            (Value::Text(text), _) => text,
            // Whoever writes a bare number most likely means seconds.
            (Value::Integer(n @ 1..), true) => return self.wrong_type("a duration in quotes", &format!("\"{n}s\"")),
            _ => return self.wrong_type("a duration in quotes", example),
        };
        let duration = self.unit(parse_duration(text))?;
        if duration.is_zero() && !range.start().is_zero() {
            return self.refuse("must be more than zero", format!("write for example {example}"));
        }
        if !range.contains(&duration) {
            let bounds = format!("write a duration from {} to {}", print_duration(*range.start()), print_duration(*range.end()));
            return self.refuse(format!("{} is out of range", print_duration(duration)), bounds);
        }
        Some(duration)
    }

    pub fn size(&self, range: RangeInclusive<u64>, example: &str) -> Option<u64> {
        let Value::Text(text) = &self.node.value else {
            return self.wrong_type("a size in quotes", example);
        };
        let size = self.unit(parse_size(text))?;
        if !range.contains(&size) {
            let bounds = format!("write a size from {} to {}", print_size(*range.start()), print_size(*range.end()));
            return self.refuse(format!("{} is out of range", print_size(size)), bounds);
        }
        Some(size)
    }

    pub fn rate(&self) -> Option<Rate> {
        match &self.node.value {
            Value::Text(text) => self.unit(text.parse()),
            Value::Integer(n @ 1..) => self.wrong_type("a rate in quotes", &format!("\"{n}/s\"")),
            _ => self.wrong_type("a rate in quotes", "\"5/s\""),
        }
    }

    fn unit<T>(&self, read: Result<T, UnitError>) -> Option<T> {
        read.map_err(|e| self.complain(e.message, e.hint)).ok()
    }

    /// One of a few words.
    pub fn word<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let known = words.iter().map(|(word, _)| *word);
        let listed = known.clone().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ");
        let Value::Text(text) = &self.node.value else {
            return self.wrong_type(&listed, &listed);
        };
        if let Some((_, value)) = words.iter().find(|(word, _)| word == text) {
            return Some(*value);
        }
        let hint = match nearest(text, known) {
            Some(word) => format!("did you mean \"{word}\"?"),
            None => format!("write {listed}"),
        };
        self.refuse(format!("\"{}\" is not one of its values", text.chars().take(80).collect::<String>()), hint)
    }

    pub fn list(&self, example: &str) -> Option<Vec<Field<'n>>> {
        let Value::List(items) = &self.node.value else {
            return self.wrong_type("a list", example);
        };
        let item = |(i, node)| Field { node, path: format!("{}[{i}]", self.path), report: self.report };
        Some(items.iter().enumerate().map(item).collect())
    }

    /// A list whose items all pass `check`; every item is looked at.
    pub fn list_of<T>(&self, example: &str, check: impl Fn(&Field<'n>) -> Option<T>) -> Option<Vec<T>> {
        let read: Vec<Option<T>> = self.list(example)?.iter().map(check).collect();
        read.into_iter().collect()
    }

    pub fn table(&self, example: &str) -> Option<Reader<'n>> {
        let Value::Table(entries) = &self.node.value else {
            return self.wrong_type("a table", example);
        };
        Some(Reader::new(entries, &self.path, self.node.at, self.report))
    }
}

/// One table, field by field.
#[derive(Debug)]
pub(super) struct Reader<'n> {
    entries: &'n [Entry<'n>],
    path: String,
    /// Where what is missing is said to be missing.
    at: At,
    report: &'n Report,
    known: Vec<&'static str>,
}

impl<'n> Reader<'n> {
    pub fn new(entries: &'n [Entry<'n>], path: &str, at: At, report: &'n Report) -> Self {
        Self { entries, path: path.to_owned(), at, report, known: Vec::with_capacity(24) }
    }

    /// The field `key`, when it is written.
    pub fn take(&mut self, key: &'static str) -> Option<Field<'n>> {
        self.known.push(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(Field { node: &entry.node, path: self.dotted(key), report: self.report })
    }

    /// The field `key`, or a problem.
    pub fn need(&mut self, key: &'static str, example: &str) -> Option<Field<'n>> {
        let field = self.take(key);
        if field.is_none() {
            self.missing(key, format!("write {key} = {example}"));
        }
        field
    }

    pub fn missing(&self, key: &str, hint: String) {
        self.report.say(self.at, Some(&self.dotted(key)), "is missing", Some(hint));
    }

    /// Complains of the table as a whole.
    pub fn complain(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.report.say(self.at, Some(&self.path).filter(|p| !p.is_empty()).map(String::as_str), message, Some(hint.into()));
    }

    /// Was any field written in the manifest itself, rather than laid below it?
    pub fn written(&self) -> bool {
        self.entries.is_empty() || self.entries.iter().any(|entry| entry.at != At::Defaults)
    }

    pub fn report(&self) -> &'n Report {
        self.report
    }

    /// Complains of every field (or whatever `noun` says) that nobody took. `elsewhere` knows words that belong in another place.
    pub fn finish(self, noun: &str, elsewhere: impl Fn(&str) -> Option<&'static str>) {
        for entry in self.entries.iter().filter(|entry| !self.known.contains(&entry.key.as_ref())) {
            let shown: String = entry.key.chars().take(80).collect();
            let hint = match (elsewhere(&entry.key), nearest(&entry.key, self.known.iter().copied())) {
                (Some(hint), _) => hint.to_owned(),
                (None, Some(word)) => format!("did you mean \"{word}\"?"),
                (None, None) if self.known.len() > 12 => "take it out; what the worker itself reads belongs in config = { … }".to_owned(),
                (None, None) => format!("known here: {}", self.known.join(", ")),
            };
            self.report.say(entry.at, Some(&self.dotted(&shown)), format!("unknown {noun}"), Some(hint));
        }
    }

    fn dotted(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}
