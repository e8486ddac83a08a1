//! The whole screen: header, the table or the pane of a row, the line below, and what lies over them. Must not change what is shown.

mod detail;
mod facts;
mod header;
mod overlay;
mod table;

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    app::{App, Mode, Tab},
    canvas::{boxed, finish},
    link,
    look::{DIM, Look},
    rows::Scene,
};
use jiff::tz::TimeZone;

/// Below these there is no room for the counts, and none for the line of keys.
const WITH_COUNTS: u16 = 14;
const WITH_KEYS: u16 = 6;

/// Draws it all. What it learns of the room there is goes into `app`: how long a page is, how far a text can be scrolled.
pub fn draw(app: &mut App, frame: &mut Buffer, wall: i64, look: Look, zone: &TimeZone) {
    app.board.settle();
    let scene = Scene { look, now: app.link.now(wall), zone: zone.clone() };
    let area = frame.area;
    let state = app.link.state(wall);
    let head = header::draw(app, &state, frame, area.height >= WITH_COUNTS, &scene);
    let foot = u16::from(area.height >= WITH_KEYS);
    let body = Rect { y: area.y + head, height: area.height.saturating_sub(head + foot), ..area };
    let inside = boxed(frame, body, look.accent());
    header::tabs(app, frame, body, &scene);
    match (app.detail.take(), app.tab) {
        (Some(mut pane), _) => {
            app.page = usize::from(inside.height);
            detail::draw(&app.board, &mut pane, frame, inside, &scene);
            app.detail = Some(pane);
        }
        (None, Tab::Workers) => app.page = table::draw(&mut app.board.workers, "workers", frame, body, inside, &scene),
        (None, Tab::Checks) => app.page = table::draw(&mut app.board.checks, "checks", frame, body, inside, &scene),
        (None, Tab::Queues) => app.page = table::draw(&mut app.board.queues, "queues", frame, body, inside, &scene),
        (None, Tab::Events) => app.page = table::draw(&mut app.board.events, "events", frame, body, inside, &scene),
    }
    // What is old is pale, and the header says so in words.
    if matches!(app.link.state(wall), link::State::Stale(..)) {
        frame.set_style(body, DIM);
    }
    if foot > 0 {
        overlay::keys(app, frame, Rect { y: area.bottom() - 1, height: 1, ..area }, &scene);
    }
    match app.mode.clone() {
        Mode::Help => overlay::help(frame, area, &scene),
        Mode::Ask(act, worker) => overlay::ask(act, &worker, frame, area, &scene),
        Mode::Table | Mode::Filter => {}
    }
    finish(frame, look);
}
