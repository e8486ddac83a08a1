//! Writing on a frame: text that is cut with an ellipsis, boxes, paragraphs, and the turn to ASCII. Pure.

use super::{
    grid::{BEHIND, Frame, Line, Rect, Span, Style, wide},
    look::{Look, plain},
};
use crate::cli::paint::safe;

/// Text from a host, harmless to the terminal.
pub fn span(text: &str, style: Style) -> Span {
    Span { text: safe(text).replace('\t', " "), style }
}

/// Columns a text takes.
pub fn width(text: &str) -> u16 {
    text.chars().fold(0, |sum: u16, letter| sum.saturating_add(wide(letter)))
}

/// A line at `x`, `y` in at most `room` columns; what is left out shows as an ellipsis. Answers the columns used.
pub fn put(frame: &mut Frame, x: u16, y: u16, room: u16, line: &Line) -> u16 {
    let room = room.min(frame.area.right().saturating_sub(x));
    if room == 0 || y >= frame.area.bottom() {
        return 0;
    }
    let cut = line.width() > room;
    // The ellipsis takes the last column.
    let end = if cut { x + room - 1 } else { x + room };
    let mut at = x;
    let mut last = Style::NONE;
    'line: for span in &line.spans {
        for letter in span.text.chars() {
            let columns = wide(letter);
            if at + columns > end {
                break 'line;
            }
            if columns > 0 {
                frame.set(at, y, letter, span.style);
                at += columns;
            }
            last = span.style;
        }
    }
    if cut {
        frame.set(at, y, '…', last);
        at += 1;
    }
    at - x
}

/// The same, at the right end of its room.
pub fn put_right(frame: &mut Frame, x: u16, y: u16, room: u16, line: &Line) {
    let columns = line.width().min(room);
    put(frame, x.saturating_add(room - columns), y, columns, line);
}

pub fn fill(frame: &mut Frame, area: Rect, letter: char, style: Style) {
    let area = area.intersection(frame.area);
    for y in area.y..area.bottom() {
        for x in area.x..area.right() {
            frame.set(x, y, letter, style);
        }
    }
}

/// A frame with round corners; answers what is inside.
pub fn boxed(frame: &mut Frame, area: Rect, style: Style) -> Rect {
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
        frame.set(x, y, corner, style);
    }
    Rect { x: area.x + 1, y: area.y + 1, width: area.width - 2, height: area.height - 2 }
}

/// A text in lines of at most `room` columns, broken at blanks where there are some.
pub fn wrapped(text: &str, room: u16) -> Vec<String> {
    let room = usize::from(room.max(1));
    let mut lines = Vec::new();
    for whole in text.lines() {
        let (mut line, mut used) = (String::new(), 0);
        for word in safe(whole).replace('\t', " ").split_inclusive(' ') {
            let long = usize::from(width(word.trim_end()));
            if used > 0 && used + long > room {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            for char in word.chars() {
                let columns = usize::from(wide(char));
                if used + columns > room {
                    // A blank that doesn't fit is what the line is broken at.
                    if char == ' ' {
                        continue;
                    }
                    lines.push(std::mem::take(&mut line));
                    used = 0;
                }
                line.push(char);
                used += columns;
            }
        }
        lines.push(line);
    }
    lines
}

/// What a frame becomes where the locale is not UTF-8.
pub fn finish(frame: &mut Frame, look: Look) {
    if look.unicode {
        return;
    }
    for cell in &mut frame.cells {
        if cell.letter == BEHIND {
            cell.letter = ' ';
        } else if !cell.letter.is_ascii() {
            cell.letter = plain(cell.letter);
        }
    }
}
