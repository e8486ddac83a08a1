//! Aligned tables and records. Pure: values in, text out.

use super::paint::{Ink, Paint, safe};

/// One value with its colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    text: String,
    ink: Ink,
}

impl Cell {
    pub fn new(text: &str, ink: Ink) -> Self {
        Self { text: safe(text), ink }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(text, Ink::Plain)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(&text, Ink::Plain)
    }
}

/// An absent value is a dash.
impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or_else(|| Self::new("-", Ink::Faint), Into::into)
    }
}

/// Which edge of a column lines up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    Left,
    Right,
}

/// Columns and rows; rows are as long as there are columns.
#[derive(Debug, Default)]
pub struct Table {
    columns: Vec<(&'static str, Edge)>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a column: its heading and a value for each row that will come.
    #[must_use]
    pub fn column(mut self, heading: &'static str, edge: Edge) -> Self {
        self.columns.push((heading, edge));
        self
    }

    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Two blanks between columns, none at the end of a line.
    pub fn render(&self, paint: &Paint) -> String {
        let width = |at: usize, heading: &str| {
            let cells = self.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.text.chars().count());
            cells.max().unwrap_or(0).max(heading.len())
        };
        let widths: Vec<usize> = self.columns.iter().enumerate().map(|(at, (heading, _))| width(at, heading)).collect();
        let headings: Vec<Cell> = self.columns.iter().map(|(heading, _)| Cell::new(heading, Ink::Faint)).collect();
        let mut text = String::new();
        for row in std::iter::once(&headings).chain(&self.rows) {
            let mut line = String::new();
            let mut owed = 0;
            for ((cell, (_, edge)), width) in row.iter().zip(&self.columns).zip(&widths) {
                let blank = width - cell.text.chars().count();
                let (before, after) = if *edge == Edge::Right { (blank, 0) } else { (0, blank) };
                // Blanks are written when something follows them.
                if cell.text.is_empty() {
                    owed += before + after + 2;
                    continue;
                }
                line.push_str(&" ".repeat(owed + before));
                line.push_str(&paint.ink(cell.ink, &cell.text));
                owed = after + 2;
            }
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

/// Names and values under each other; a value of several lines keeps its column.
#[derive(Debug, Default)]
pub struct Record {
    rows: Vec<(&'static str, Ink, String)>,
}

impl Record {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn put(&mut self, name: &'static str, value: impl Into<String>) {
        self.inked(name, Ink::Plain, value);
    }

    pub fn inked(&mut self, name: &'static str, ink: Ink, value: impl Into<String>) {
        self.rows.push((name, ink, value.into()));
    }

    /// Only when there is a value.
    pub fn maybe(&mut self, name: &'static str, value: Option<impl Into<String>>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    pub fn render(&self, paint: &Paint) -> String {
        let width = self.rows.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
        let mut text = String::new();
        for (name, ink, value) in &self.rows {
            let lines: Vec<&str> = if value.is_empty() { vec!["-"] } else { value.lines().collect() };
            for (index, line) in lines.into_iter().enumerate() {
                let name = if index == 0 { *name } else { "" };
                let line = paint.ink(*ink, &safe(line));
                text.push_str(&paint.ink(Ink::Faint, &format!("{name:width$}")));
                text.push_str("  ");
                text.push_str(&line);
                text.push('\n');
            }
        }
        text
    }
}
