//! Lines and statements of a manifest's text: comments, headers, and values that go over several lines.
//!
//! Knows the four string forms and brackets, and nothing else of TOML. Must not fail: an open string or bracket ends somewhere.

use std::ops::Range;

use super::blocks::Kind;

/// One line, or one statement over several lines, with its line end.
pub(super) struct Line<'t> {
    pub range: Range<usize>,
    pub number: u32,
    pub what: What<'t>,
}

pub(super) enum What<'t> {
    Blank,
    Comment,
    Header(Header<'t>),
    Statement { key: &'t str, value: &'t str, value_at: usize, nesting: usize },
}

pub(super) struct Header<'t> {
    pub root: &'t str,
    pub keys: usize,
    pub listed: bool,
}

pub(super) struct Lines<'t> {
    text: &'t str,
    at: usize,
    number: u32,
}

impl<'t> Lines<'t> {
    pub fn new(text: &'t str) -> Self {
        Self { text, at: 0, number: 1 }
    }

    pub fn next(&mut self) -> Option<Line<'t>> {
        let start = self.at;
        let number = self.number;
        if start >= self.text.len() {
            return None;
        }
        // A byte order mark may open a file; it belongs to its first line.
        let mark = if start == 0 && self.text.starts_with('\u{feff}') { 3 } else { 0 };
        let first = self.skip(start + mark, |b| matches!(b, b' ' | b'\t' | b'\r'));
        let what = match self.byte(first) {
            None | Some(b'\n') => {
                self.at = first;
                What::Blank
            }
            Some(b'#') => {
                self.at = self.line_end(first);
                What::Comment
            }
            Some(b'[') => {
                self.at = self.line_end(first);
                What::Header(header_of(self.text.get(first..self.at).unwrap_or_default()))
            }
            Some(_) => self.statement(first),
        };
        if self.byte(self.at) == Some(b'\n') {
            self.at += 1;
            self.number += 1;
        }
        Some(Line { range: start..self.at, number, what })
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    fn starts_with(&self, at: usize, what: &[u8]) -> bool {
        self.text.as_bytes().get(at..).is_some_and(|rest| rest.starts_with(what))
    }

    /// The first place from `at` on whose byte `over` doesn't pass.
    fn skip(&self, at: usize, over: impl Fn(u8) -> bool) -> usize {
        let rest = self.text.as_bytes().get(at..).unwrap_or_default();
        at + rest.iter().position(|b| !over(*b)).unwrap_or(rest.len())
    }

    /// Where the line at `at` ends, before its line feed.
    fn line_end(&self, at: usize) -> usize {
        self.skip(at, |b| b != b'\n')
    }

    /// `key = value`, to the end of its last line.
    fn statement(&mut self, first: usize) -> What<'t> {
        let mut at = first;
        let mut depth = 0usize;
        let mut nesting = 0usize;
        let mut value = None;
        loop {
            at = self.skip(at, |b| !matches!(b, b'=' | b'"' | b'\'' | b'#' | b'[' | b']' | b'{' | b'}' | b'\n'));
            match self.byte(at) {
                None => break,
                Some(b'\n') if depth == 0 => break,
                Some(b'\n') => {
                    // No value looks like a header of ours: whoever forgot a bracket loses one block, not the rest of the file.
                    if self.header_follows(at + 1) {
                        break;
                    }
                    self.number += 1;
                    at += 1;
                }
                Some(b'=') => {
                    value = value.or(Some(at + 1));
                    at += 1;
                }
                Some(b'#') => at = self.line_end(at),
                Some(b'[' | b'{') => {
                    depth += 1;
                    nesting = nesting.max(depth);
                    at += 1;
                }
                Some(b']' | b'}') => {
                    depth = depth.saturating_sub(1);
                    at += 1;
                }
                Some(quote) => at = self.string(at, quote),
            }
        }
        self.at = at;
        let key_end = value.map_or(at, |v| v - 1);
        let key = self.text.get(first..key_end).unwrap_or_default().trim();
        let value = self.text.get(value.unwrap_or(at)..at).unwrap_or_default().trim_start();
        What::Statement { key: key.trim_matches(['"', '\'']), value: without_comment(value), value_at: at - value.len(), nesting }
    }

    /// The end of the string that opens at `at`. A one-line string that isn't closed ends with its line.
    fn string(&mut self, at: usize, quote: u8) -> usize {
        let escapes = quote == b'"';
        if !self.starts_with(at, &[quote; 3]) {
            let mut at = at + 1;
            loop {
                at = self.skip(at, |b| b != quote && b != b'\n' && !(escapes && b == b'\\'));
                match self.byte(at) {
                    Some(b'\\') if self.byte(at + 1) == Some(b'\n') => return at + 1,
                    Some(b'\\') => at = (at + 2).min(self.text.len()),
                    Some(b) if b == quote => return at + 1,
                    _ => return at,
                }
            }
        }
        let mut at = at + 3;
        loop {
            at = self.skip(at, |b| b != quote && b != b'\n' && !(escapes && b == b'\\'));
            match self.byte(at) {
                None => return at,
                Some(b'\n') => {
                    self.number += 1;
                    at += 1;
                }
                // A line feed behind a backslash is still counted.
                Some(b'\\') => at += if matches!(self.byte(at + 1), Some(b'\n') | None) { 1 } else { 2 },
                Some(_) => {
                    let run = self.skip(at, |b| b == quote) - at;
                    // Up to two quotes may stand right before the closing three.
                    at += run.min(5);
                    if run >= 3 {
                        return at;
                    }
                }
            }
        }
    }

    fn header_follows(&self, at: usize) -> bool {
        let first = self.skip(at, |b| matches!(b, b' ' | b'\t'));
        let line = self.text.get(first..self.line_end(first)).unwrap_or_default();
        let line = line.split('#').next().unwrap_or_default().trim_end();
        let Some(inner) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) else {
            return false;
        };
        let inner = inner.strip_prefix('[').and_then(|l| l.strip_suffix(']')).unwrap_or(inner).trim();
        let root = inner.split('.').next().unwrap_or_default().trim();
        Kind::TABLES.iter().any(|kind| kind.as_str() == root)
    }
}

/// Reads `[[worker]]`, `[worker.grants]`, `["a b".c]`; what is broken gives a root that no table has.
fn header_of(line: &str) -> Header<'_> {
    let inner = line.strip_prefix('[').unwrap_or(line);
    let (listed, mut rest) = match inner.strip_prefix('[') {
        Some(inner) => (true, inner),
        None => (false, inner),
    };
    let mut root = "";
    let mut keys = 0;
    loop {
        rest = rest.trim_start();
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
        let body = rest.strip_prefix(['"', '\'']).unwrap_or(rest);
        let end = match quote {
            Some(quote) => body.find(quote),
            None => body.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))),
        };
        let (key, after) = body.split_at_checked(end.unwrap_or(body.len())).unwrap_or((body, ""));
        if keys == 0 {
            root = key;
        }
        keys += 1;
        let after = if quote.is_some() { after.get(1..).unwrap_or_default() } else { after };
        match after.trim_start().strip_prefix('.') {
            Some(next) => rest = next,
            None => return Header { root, keys, listed },
        }
    }
}

/// A one-line value without the comment behind it.
fn without_comment(value: &str) -> &str {
    let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        return value.split('#').next().unwrap_or_default().trim_end();
    };
    let mut escaped = false;
    for (at, c) in value.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            c if c == quote => return value.get(..=at).unwrap_or(value),
            _ => {}
        }
    }
    value
}
