//! Splits a manifest's text into its top-level tables, without looking at what they say.
//!
//! This is what lets one changed worker cost one block. Must not judge: broken TOML is split as well as it can be, and the TOML parser
//! then complains of the block.

use std::ops::Range;

use super::lexer::{Header, Line, Lines, What};

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
        Self::TABLES.into_iter().find(|kind| listed && kind.as_str() == header.root).unwrap_or(Self::Other)
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
            What::Statement { key, value, value_at, nesting } => {
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
