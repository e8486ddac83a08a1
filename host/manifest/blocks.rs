//! Splits a manifest's text into its top-level tables, without looking at what they say.
//!
//! A small lexer that knows comments, the four string forms and values over several lines; it is what lets one changed worker
//! cost one block. Must not judge: broken TOML is split as well as it can be, and the TOML parser then complains of the block.

use std::ops::Range;

/// What a top-level table declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Worker,
    Limiter,
    Queue,
    Maintenance,
    /// Anything before the first table, or a table of another name.
    Other,
}

impl Kind {
    /// The tables a manifest may have.
    pub(super) const TABLES: [Kind; 4] = [Self::Worker, Self::Limiter, Self::Queue, Self::Maintenance];

    /// The word in the header: `[[worker]]`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Limiter => "limiter",
            Self::Queue => "queue",
            Self::Maintenance => "maintenance",
            Self::Other => "",
        }
    }

    fn of_header(header: &Header<'_>) -> Self {
        let listed = header.listed && header.keys == 1;
        Self::TABLES
            .into_iter()
            .find(|kind| listed && kind.as_str() == header.root)
            .unwrap_or(Self::Other)
    }
}

/// Brackets within brackets that a block may have; deeper ones are refused before the TOML parser recurses into them.
pub(super) const MAX_NESTING: usize = 16;

/// One top-level table: where it stands and where its parts are. Offsets count from the start of `text`.
#[derive(Debug, Clone)]
pub(super) struct Split<'t> {
    pub kind: Kind,
    /// Everything up to the next block: comments right above, header, body, and blank lines and loose comments that follow.
    pub text: &'t str,
    /// Line on which `text` starts, from 1.
    pub line: u32,
    /// First word of the header; None before the first header.
    pub root: Option<&'t str>,
    /// More than one key in the header: a sub-table that follows no table of its own.
    pub orphan: bool,
    /// Start of the header line.
    pub header: usize,
    /// Lines between the start of `text` and the header.
    pub header_line: u32,
    /// End of the last line before the first sub-table: where a new field goes.
    pub fields_end: usize,
    /// End of the last line that says something.
    pub body_end: usize,
    /// The value of `name = …` as written, and where it stands.
    pub name: Option<(&'t str, usize)>,
    /// Brackets within brackets at the deepest place.
    pub nesting: usize,
}

impl<'t> Split<'t> {
    /// The block without the blank lines and loose comments that follow it.
    pub fn core(&self) -> &'t str {
        self.text.get(..self.body_end).unwrap_or(self.text)
    }

    /// `name` read as TOML; None when it is no text.
    pub fn read_name(&self) -> Option<String> {
        let (written, _) = self.name?;
        let plain = written.strip_prefix('"').and_then(|w| w.strip_suffix('"'));
        if let Some(plain) = plain.filter(|p| !p.contains(['\\', '"'])) {
            return Some(plain.to_owned());
        }
        let value = toml::de::DeValue::parse(written).ok()?;
        value.get_ref().as_str().map(str::to_owned)
    }
}

/// Splits `text`; the blocks' texts put together are `text` again.
pub(super) fn split(text: &str) -> Vec<Split<'_>> {
    let mut blocks = Vec::new();
    let mut open = Open::preamble();
    // Where the comments that stand right above the line at hand begin.
    let mut above: Option<(usize, u32)> = None;
    let mut lines = Lines::new(text);
    while let Some(Line { range, number, what }) = lines.next() {
        match what {
            What::Blank => above = None,
            What::Comment => above = above.or(Some((range.start, number))),
            What::Header(header) if !open.owns(&header) => {
                let (start, first) = above.take().unwrap_or((range.start, number));
                blocks.extend(open.close(text, start));
                open = Open::table(&header, start, range, first, number);
            }
            What::Header(_) => {
                above = None;
                open.in_fields = false;
                open.body_end = range.end;
            }
            What::Statement {
                key,
                value,
                value_at,
                nesting,
            } => {
                above = None;
                open.body_end = range.end;
                open.nesting = open.nesting.max(nesting);
                if open.in_fields {
                    open.fields_end = range.end;
                    if key == "name" && open.name.is_none() {
                        open.name = Some((value, value_at));
                    }
                }
            }
        }
    }
    blocks.extend(open.close(text, text.len()));
    blocks
}

/// A block whose end is not known yet. Offsets count from the start of the whole text.
struct Open<'t> {
    kind: Kind,
    start: usize,
    line: u32,
    root: Option<&'t str>,
    orphan: bool,
    header: usize,
    header_line: u32,
    in_fields: bool,
    fields_end: usize,
    body_end: usize,
    name: Option<(&'t str, usize)>,
    nesting: usize,
}

impl<'t> Open<'t> {
    fn preamble() -> Self {
        Self {
            kind: Kind::Other,
            start: 0,
            line: 1,
            root: None,
            orphan: false,
            header: 0,
            header_line: 0,
            in_fields: true,
            fields_end: 0,
            body_end: 0,
            name: None,
            nesting: 0,
        }
    }

    fn table(header: &Header<'t>, start: usize, range: Range<usize>, line: u32, header_line: u32) -> Self {
        Self {
            kind: Kind::of_header(header),
            start,
            line,
            root: Some(header.root),
            orphan: header.keys > 1,
            header: range.start,
            header_line: header_line - line,
            fields_end: range.end,
            body_end: range.end,
            ..Self::preamble()
        }
    }

    /// Is this the header of a sub-table of the block at hand?
    fn owns(&self, header: &Header<'_>) -> bool {
        header.keys > 1 && !self.orphan && self.root == Some(header.root)
    }

    fn close(self, text: &'t str, end: usize) -> Option<Split<'t>> {
        let whole = text.get(self.start..end).filter(|whole| !whole.is_empty())?;
        let within = |at: usize| at.saturating_sub(self.start);
        Some(Split {
            kind: self.kind,
            text: whole,
            line: self.line,
            root: self.root,
            orphan: self.orphan,
            header: within(self.header),
            header_line: self.header_line,
            fields_end: within(self.fields_end),
            body_end: within(self.body_end),
            name: self.name.map(|(value, at)| (value, within(at))),
            nesting: self.nesting,
        })
    }
}

/// One line, or one statement over several lines, with its line end.
struct Line<'t> {
    range: Range<usize>,
    number: u32,
    what: What<'t>,
}

enum What<'t> {
    Blank,
    Comment,
    Header(Header<'t>),
    Statement {
        key: &'t str,
        value: &'t str,
        value_at: usize,
        nesting: usize,
    },
}

struct Header<'t> {
    root: &'t str,
    keys: usize,
    listed: bool,
}

struct Lines<'t> {
    text: &'t str,
    at: usize,
    number: u32,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, at: 0, number: 1 }
    }

    fn next(&mut self) -> Option<Line<'t>> {
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
        Some(Line {
            range: start..self.at,
            number,
            what,
        })
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
        What::Statement {
            key: key.trim_matches(['"', '\'']),
            value: without_comment(value),
            value_at: at - value.len(),
            nesting,
        }
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
        let after = if quote.is_some() {
            after.get(1..).unwrap_or_default()
        } else {
            after
        };
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
