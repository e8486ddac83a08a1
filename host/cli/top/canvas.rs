//! Writing on ratatui's cells: text that is cut with an ellipsis, boxes, paragraphs, and the turn to ASCII. Pure.

use ratatui::{
    buffer::{Buffer, CellWidth},
    layout::Rect,
    style::Style,
};

use super::look::{Look, plain};
use crate::cli::paint::safe;

pub type Span = ratatui::text::Span<'static>;
pub type Line = ratatui::text::Line<'static>;

/// Text from a host, harmless to the terminal.
pub fn span(text: &str, style: Style) -> Span {
    Span::styled(safe(text).replace('\t', " "), style)
}

/// Columns a text takes.
pub fn width(text: &str) -> u16 {
    text.cell_width()
}

/// Columns a line takes.
pub fn long(line: &Line) -> u16 {
    u16::try_from(line.width()).unwrap_or(u16::MAX)
}

/// A line at `x`, `y` in at most `room` columns; what is left out shows as an ellipsis. Answers the columns used.
pub fn put(frame: &mut Buffer, x: u16, y: u16, room: u16, line: &Line) -> u16 {
    let room = room.min(frame.area.right().saturating_sub(x));
    if room == 0 || y >= frame.area.bottom() {
        return 0;
    }
    let cut = long(line) > room;
    // The ellipsis takes the last column.
    let end = if cut { x + room - 1 } else { x + room };
    let (mut at, mut last) = (x, Style::new());
    part(frame, x, y);
    for span in &line.spans {
        last = span.style;
        let next = frame.set_stringn(at, y, &span.content, usize::from(end - at), anew(span.style)).0;
        let all = next - at >= width(&span.content);
        at = next;
        if !all {
            break;
        }
    }
    if cut {
        set(frame, at, y, '…', last);
        at += 1;
    }
    at - x
}

/// The same, at the right end of its room.
pub fn put_right(frame: &mut Buffer, x: u16, y: u16, room: u16, line: &Line) {
    let columns = long(line).min(room);
    put(frame, x.saturating_add(room - columns), y, columns, line);
}

/// One letter, of one column.
pub fn set(frame: &mut Buffer, x: u16, y: u16, letter: char, style: Style) {
    part(frame, x, y);
    if let Some(cell) = frame.cell_mut((x, y)) {
        cell.set_char(letter).set_style(anew(style));
    }
}

/// Nothing of the style that was there before stays.
fn anew(style: Style) -> Style {
    Style::reset().patch(style)
}

/// A wide letter whose right half is written over would still cover it.
fn part(frame: &mut Buffer, x: u16, y: u16) {
    if let Some(cell) = x.checked_sub(1).and_then(|before| frame.cell_mut((before, y)))
        && cell.cell_width() > 1
    {
        cell.set_char(' ');
    }
}

pub fn fill(frame: &mut Buffer, area: Rect, letter: char, style: Style) {
    for place in area.intersection(frame.area).positions() {
        set(frame, place.x, place.y, letter, style);
    }
}

/// A frame with round corners; answers what is inside.
pub fn boxed(frame: &mut Buffer, area: Rect, style: Style) -> Rect {
    let area = area.intersection(frame.area);
    if area.width < 2 || area.height < 2 {
        return Rect { width: 0, height: 0, ..area };
    }
    let (right, bottom) = (area.right() - 1, area.bottom() - 1);
    fill(frame, Rect { height: 1, ..area }, '─', style);
    fill(frame, Rect { y: bottom, height: 1, ..area }, '─', style);
    fill(frame, Rect { width: 1, ..area }, '│', style);
    fill(frame, Rect { x: right, width: 1, ..area }, '│', style);
    for (x, y, corner) in [(area.x, area.y, '╭'), (right, area.y, '╮'), (area.x, bottom, '╰'), (right, bottom, '╯')] {
        set(frame, x, y, corner, style);
    }
    Rect { x: area.x + 1, y: area.y + 1, width: area.width - 2, height: area.height - 2 }
}

/// A text in lines of at most `room` columns, broken at blanks where there are some.
pub fn wrapped(text: &str, room: u16) -> Vec<String> {
    let room = room.max(1);
    let mut lines = Vec::new();
    for whole in text.lines() {
        let (mut line, mut used) = (String::new(), 0);
        for word in safe(whole).replace('\t', " ").split_inclusive(' ') {
            let long = width(word.trim_end());
            if used > 0 && long.saturating_add(used) > room {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            for letter in ratatui::text::Span::raw(word).styled_graphemes(Style::new()) {
                let columns = width(letter.symbol);
                if used + columns > room {
                    // A blank that doesn't fit is what the line is broken at.
                    if letter.symbol == " " {
                        continue;
                    }
                    lines.push(std::mem::take(&mut line));
                    used = 0;
                }
                line.push_str(letter.symbol);
                used += columns;
            }
        }
        lines.push(line);
    }
    lines
}

/// What a frame becomes where the locale is not UTF-8.
pub fn finish(frame: &mut Buffer, look: Look) {
    if look.unicode {
        return;
    }
    for cell in &mut frame.content {
        if !cell.symbol().is_ascii() {
            let letter = cell.symbol().chars().next().map_or(' ', plain);
            cell.set_char(letter);
        }
    }
}

/// A frame as lines of text, without blanks at their ends.
pub fn text(frame: &Buffer) -> String {
    let mut text = String::new();
    for row in frame.content.chunks(usize::from(frame.area.width).max(1)) {
        let (mut line, mut covered) = (String::new(), 0);
        for cell in row {
            // A wide letter covers the cell behind it.
            if covered == 0 {
                line.push_str(cell.symbol());
                covered = cell.cell_width();
            }
            covered = covered.saturating_sub(1);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
