//! A table: as many columns as there is room for, and of its rows those that are on screen.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
};

use crate::cli::{
    paint::Ink,
    top::{
        canvas::{Line, put, put_right, span, width},
        listing::{Listing, Row},
        look::BOLD,
        rows::{Column, Scene},
    },
};

/// Blanks between columns.
const GAP: u16 = 2;

/// Draws it into `inside`, what it is sorted by into the lower edge of `edge`. Answers how many rows a page has.
pub fn draw<R: Row>(list: &mut Listing<R>, noun: &str, frame: &mut Buffer, edge: Rect, inside: Rect, scene: &Scene) -> usize {
    let height = usize::from(inside.height.saturating_sub(1));
    if inside.width < 4 || height == 0 {
        return 1;
    }
    let window = list.window(height);
    let columns = columns(list, inside.width.saturating_sub(2));
    headings(list, &columns, frame, inside, scene);
    if list.count() == 0 {
        let sentence = match (list.all().is_empty(), noun) {
            (false, _) => format!("none of {} {noun} matches \"{}\": Esc shows them all", list.all().len(), list.filter()),
            (true, "workers") => "no workers yet: drop a manifest into the manifests folder, or run: skep apply -f FILE".to_owned(),
            (true, "checks") => "no checks yet: a worker reports them as it runs".to_owned(),
            (true, "queues") => "no queues yet: the first push makes one".to_owned(),
            (true, _) => format!("no {noun} yet"),
        };
        put(frame, inside.x + 1, inside.y + 2, inside.width - 1, &Line::from(span(&sentence, scene.look.ink(Ink::Faint))));
    }
    for (y, at) in (inside.y + 1..).zip(window) {
        let Some(row) = list.shown(at) else { break };
        let mut x = inside.x + 1;
        for (column, room) in &columns {
            let cell = (column.cell)(row, scene, *room);
            if column.right {
                put_right(frame, x, y, *room, &cell)
            } else {
                _ = put(frame, x, y, *room, &cell)
            };
            x = x.saturating_add(*room + GAP);
        }
        if at == list.position() {
            // One colour over the whole row: its own would be hard to read on it.
            let over = Style { sub_modifier: Modifier::all() - Modifier::BOLD, ..Style::reset() };
            frame.set_style(Rect { y, height: 1, ..inside }, over.patch(scene.look.chosen()));
            put(frame, inside.x, y, 1, &Line::from(span("▌", scene.look.chosen())));
        }
    }
    below(list, frame, edge, scene);
    height
}

fn headings<R: Row>(list: &Listing<R>, columns: &[(&'static Column<R>, u16)], frame: &mut Buffer, inside: Rect, scene: &Scene) {
    let mut x = inside.x + 1;
    for (column, room) in columns {
        let sorted = list.column().is_some_and(|by| std::ptr::eq(by, *column));
        let style = if sorted { scene.look.accent().patch(BOLD) } else { scene.look.ink(Ink::Faint) };
        let heading = Line::from(span(column.title, style));
        if column.right {
            put_right(frame, x, inside.y, *room, &heading)
        } else {
            _ = put(frame, x, inside.y, *room, &heading)
        };
        // The arrow stands in the gap: a heading is as wide as its column may be.
        if sorted {
            let arrow = Line::from(span(if list.descending() { "↓" } else { "↑" }, style));
            let at = if column.right { x + room } else { x + width(column.title).min(*room) };
            put(frame, at, inside.y, 1, &arrow);
        }
        x = x.saturating_add(*room + GAP);
    }
}

/// What it is sorted by, and where in it the selection is.
fn below<R: Row>(list: &Listing<R>, frame: &mut Buffer, edge: Rect, scene: &Scene) {
    if edge.height < 2 || list.count() == 0 {
        return;
    }
    let style = scene.look.ink(Ink::Faint);
    let sort = list.column().map_or("", |column| column.title).to_lowercase();
    let order = if list.descending() { "↓" } else { "↑" };
    let words = format!(" by {sort} {order}  {} of {} ", list.position() + 1, list.count());
    put_right(frame, edge.x + 2, edge.bottom() - 1, edge.width.saturating_sub(4), &Line::from(span(&words, style)));
}

/// The columns that fit, the least important left out, the most important as wide as they may be.
pub fn columns<R: Row>(list: &Listing<R>, room: u16) -> Vec<(&'static Column<R>, u16)> {
    let mut ranks: Vec<u8> = R::COLUMNS.iter().map(|column| column.rank).collect();
    ranks.sort_unstable();
    ranks.dedup();
    let needs =
        |rank: u8| -> u32 { R::COLUMNS.iter().filter(|column| column.rank <= rank).map(|column| u32::from(column.min + GAP)).sum() };
    let highest = ranks.into_iter().filter(|rank| *rank == 0 || needs(*rank) <= u32::from(room + GAP)).max().unwrap_or(0);
    let mut chosen: Vec<(&'static Column<R>, u16, u16)> =
        R::COLUMNS.iter().filter(|column| column.rank <= highest).map(|column| (column, column.min, most(column, list))).collect();
    let mut left = u32::from(room + GAP).saturating_sub(needs(highest));
    // The most important first: a name that is cut names nothing.
    chosen.sort_by_key(|(column, ..)| column.rank);
    for (_, width, most) in &mut chosen {
        let more = most.saturating_sub(*width).min(u16::try_from(left).unwrap_or(u16::MAX));
        *width += more;
        left -= u32::from(more);
    }
    let at = |column: &Column<R>| R::COLUMNS.iter().position(|one| std::ptr::eq(one, column));
    chosen.sort_by_key(|(column, ..)| at(column));
    chosen.into_iter().map(|(column, width, _)| (column, width)).collect()
}

/// How wide it may grow: no wider than its longest text, over all rows, so that nothing shifts while scrolling.
fn most<R: Row>(column: &Column<R>, list: &Listing<R>) -> u16 {
    let Some(text) = column.text else { return column.max };
    // Bytes are as many as columns or more: counting what is shown would cost more than a column too wide.
    let longest = list.all().iter().map(|row| text(row).len()).max().unwrap_or(0);
    u16::try_from(longest).unwrap_or(u16::MAX).clamp(column.min, column.max)
}
