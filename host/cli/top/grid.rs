//! A frame as cells: letters with a style, as ratatui has it but no more than this screen needs. Pure; nothing is drawn outside of it.

use unicode_width::UnicodeWidthChar;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    pub x: u16,
    pub y: u16,
    pub width: u16,
    pub height: u16,
}

impl Rect {
    pub fn new(x: u16, y: u16, width: u16, height: u16) -> Self {
        Self { x, y, width, height }
    }

    /// The first column behind it.
    pub fn right(self) -> u16 {
        self.x.saturating_add(self.width)
    }

    /// The first line below it.
    pub fn bottom(self) -> u16 {
        self.y.saturating_add(self.height)
    }

    pub fn intersection(self, other: Self) -> Self {
        let (x, y) = (self.x.max(other.x), self.y.max(other.y));
        let (right, bottom) = (self.right().min(other.right()), self.bottom().min(other.bottom()));
        Self { x, y, width: right.saturating_sub(x), height: bottom.saturating_sub(y) }
    }
}

/// The terminal's own colours: they fit whatever theme it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    Black,
    Red,
    Green,
    Yellow,
    Cyan,
    White,
}

impl Color {
    /// Its place in the terminal's palette.
    fn code(self) -> u8 {
        match self {
            Self::Black => 0,
            Self::Red => 1,
            Self::Green => 2,
            Self::Yellow => 3,
            Self::Cyan => 6,
            Self::White => 7,
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    pub fg: Option<Color>,
    pub bg: Option<Color>,
    pub bold: bool,
    pub dim: bool,
    pub reversed: bool,
}

impl Style {
    pub const NONE: Self = Self { fg: None, bg: None, bold: false, dim: false, reversed: false };
    pub const BOLD: Self = Self { bold: true, ..Self::NONE };
    pub const DIM: Self = Self { dim: true, ..Self::NONE };

    pub fn fg(color: Color) -> Self {
        Self { fg: Some(color), ..Self::NONE }
    }

    /// This with what `over` sets.
    #[must_use]
    pub fn patch(self, over: Self) -> Self {
        Self {
            fg: over.fg.or(self.fg),
            bg: over.bg.or(self.bg),
            bold: self.bold || over.bold,
            dim: self.dim || over.dim,
            reversed: self.reversed || over.reversed,
        }
    }

    /// As a terminal is told (SGR), from nothing.
    pub fn sequence(self) -> String {
        let mut text = "\x1b[0".to_owned();
        for (set, code) in [(self.bold, ";1"), (self.dim, ";2"), (self.reversed, ";7")] {
            if set {
                text.push_str(code);
            }
        }
        if let Some(color) = self.fg {
            text.push_str(&format!(";{}", 30 + color.code()));
        }
        if let Some(color) = self.bg {
            text.push_str(&format!(";{}", 40 + color.code()));
        }
        text.push('m');
        text
    }
}

/// Columns a letter takes; those that take none are left out of frames.
pub fn wide(letter: char) -> u16 {
    letter.width().map_or(0, |width| if width > 1 { 2 } else { u16::from(width == 1) })
}

/// Text in one style.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub text: String,
    pub style: Style,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    pub spans: Vec<Span>,
}

impl Line {
    pub fn width(&self) -> u16 {
        self.spans.iter().flat_map(|span| span.text.chars()).fold(0, |sum, letter| sum.saturating_add(wide(letter)))
    }
}

impl From<Span> for Line {
    fn from(span: Span) -> Self {
        Self { spans: vec![span] }
    }
}

impl From<Vec<Span>> for Line {
    fn from(spans: Vec<Span>) -> Self {
        Self { spans }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// [`BEHIND`]: the right half of the letter before.
    pub letter: char,
    pub style: Style,
}

/// What a wide letter covers.
pub const BEHIND: char = '\0';
const BLANK: Cell = Cell { letter: ' ', style: Style::NONE };

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub area: Rect,
    pub cells: Vec<Cell>,
}

impl Frame {
    pub fn new(width: u16, height: u16) -> Self {
        let area = Rect::new(0, 0, width, height);
        Self { area, cells: vec![BLANK; usize::from(width) * usize::from(height)] }
    }

    fn place(&self, x: u16, y: u16) -> Option<usize> {
        let inside = x < self.area.width && y < self.area.height;
        inside.then(|| usize::from(y) * usize::from(self.area.width) + usize::from(x))
    }

    pub fn cell(&self, x: u16, y: u16) -> Option<&Cell> {
        self.cells.get(self.place(x, y)?)
    }

    pub fn cell_mut(&mut self, x: u16, y: u16) -> Option<&mut Cell> {
        let place = self.place(x, y)?;
        self.cells.get_mut(place)
    }

    /// A letter; what is left of one it covers half of becomes blank.
    pub fn set(&mut self, x: u16, y: u16, letter: char, style: Style) {
        let both = wide(letter) == 2;
        for x in [x, x.saturating_add(u16::from(both))] {
            self.part(x, y);
        }
        if let Some(cell) = self.cell_mut(x, y) {
            *cell = Cell { letter, style };
        }
        if both && let Some(next) = self.cell_mut(x.saturating_add(1), y) {
            *next = Cell { letter: BEHIND, style };
        }
    }

    /// Makes blanks of the wide letter that has a half here.
    fn part(&mut self, x: u16, y: u16) {
        let behind = |cell: Option<&Cell>| cell.is_some_and(|cell| cell.letter == BEHIND);
        let first = if behind(self.cell(x, y)) { x.saturating_sub(1) } else { x };
        if !behind(self.cell(first.saturating_add(1), y)) {
            return;
        }
        for x in [first, first.saturating_add(1)] {
            if let Some(cell) = self.cell_mut(x, y) {
                cell.letter = ' ';
            }
        }
    }

    /// Puts a style over what is there.
    pub fn restyle(&mut self, area: Rect, change: impl Fn(Style) -> Style) {
        let area = area.intersection(self.area);
        for y in area.y..area.bottom() {
            for x in area.x..area.right() {
                if let Some(cell) = self.cell_mut(x, y) {
                    cell.style = change(cell.style);
                }
            }
        }
    }

    /// Lines of text, without blanks at their ends.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for row in self.cells.chunks(usize::from(self.area.width).max(1)) {
            let line: String = row.iter().map(|cell| cell.letter).filter(|letter| *letter != BEHIND).collect();
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// What turns a terminal that shows `before` into one that shows this. None before: the whole screen.
    pub fn since(&self, before: Option<&Self>) -> String {
        let before = before.filter(|before| before.area == self.area);
        let mut text = String::new();
        if before.is_none() {
            text.push_str("\x1b[0m\x1b[2J");
        }
        let mut style = None;
        // Where the terminal's cursor stands after what was written.
        let mut at = None;
        for (place, cell) in self.cells.iter().enumerate() {
            let same = match before {
                Some(before) => before.cells.get(place) == Some(cell),
                None => *cell == BLANK,
            };
            if same || cell.letter == BEHIND {
                continue;
            }
            let width = usize::from(self.area.width).max(1);
            let (x, y) = (place % width, place / width);
            if at != Some(place) || x == 0 {
                text.push_str(&format!("\x1b[{};{}H", y + 1, x + 1));
            }
            if style != Some(cell.style) {
                text.push_str(&cell.style.sequence());
                style = Some(cell.style);
            }
            text.push(cell.letter);
            at = Some(place + usize::from(wide(cell.letter)).max(1));
        }
        if !text.is_empty() {
            text.push_str("\x1b[0m");
        }
        text
    }
}
