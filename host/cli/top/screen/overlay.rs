//! The line of keys below, or a notice, the filter, a question; and the boxes that lie over the screen.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use crate::cli::{
    paint::Ink,
    top::{
        app::{Act, App, Mode, Tab},
        canvas::{Line, Span, boxed, fill, put, span, width},
        look::BOLD,
        rows::Scene,
    },
};

const HELP: [(&str, &str); 17] = [
    ("1 2 3 4, Tab", "workers, checks, queues, events"),
    ("↑ ↓, j k", "move"),
    ("PgUp PgDn, g G", "a page, to the first, to the last"),
    ("Enter", "all about the selected row; again or Esc: back"),
    ("← →, [ ]", "the row before and after, with all about it"),
    ("/", "filter: words that must be there, !word must not"),
    ("Esc", "no filter"),
    ("s, S", "sort by the next column, the other way around"),
    ("", ""),
    ("r", "restart the worker after its event in flight"),
    ("p", "pause it, or resume it; written into its manifest"),
    ("t", "tick it now"),
    ("d", "drain it: finish the event in flight, then stop"),
    ("", ""),
    ("● ▲ ■ ◌", "well, impaired, broken, not known (yet)"),
    ("▇ ▅ ▂ ·", "results: up, degraded, down, none or unknown"),
    ("?, q", "this help, quit"),
];

/// What the keys do here; a notice or the filter in its place.
pub fn keys(app: &App, frame: &mut Buffer, line: Rect, scene: &Scene) {
    if app.mode == Mode::Filter {
        let filter = match app.tab {
            Tab::Workers => app.board.workers.filter(),
            Tab::Checks => app.board.checks.filter(),
            Tab::Queues => app.board.queues.filter(),
            Tab::Events => app.board.events.filter(),
        };
        let strong = scene.look.accent().patch(BOLD);
        let hint = span("   Enter keeps it, Esc shows all; !word leaves out", scene.look.ink(Ink::Faint));
        put(frame, line.x, line.y, line.width, &Line::from(vec![span(" / ", strong), span(filter, Style::new()), span("█", strong), hint]));
        return;
    }
    if let Some(notice) = &app.notice {
        let (mark, ink) = if notice.bad { (" ■ ", Ink::Bad) } else { (" ● ", Ink::Good) };
        put(frame, line.x, line.y, line.width, &Line::from(vec![span(mark, scene.look.ink(ink)), span(&notice.text, scene.look.ink(ink))]));
        return;
    }
    let all: &[(&str, &str)] = match (&app.detail, app.tab) {
        (Some(_), Tab::Queues) => &[("Esc", "back"), ("← →", "rows"), ("↑ ↓", "scroll"), ("?", "help"), ("q", "quit")],
        (Some(_), _) => &[
            ("Esc", "back"),
            ("← →", "rows"),
            ("↑ ↓", "scroll"),
            ("r", "restart"),
            ("p", "pause"),
            ("t", "tick"),
            ("d", "drain"),
            ("?", "help"),
            ("q", "quit"),
        ],
        (None, Tab::Queues) => &[("Enter", "jobs"), ("/", "filter"), ("s", "sort"), ("?", "help"), ("q", "quit")],
        (None, _) => &[
            ("Enter", "detail"),
            ("/", "filter"),
            ("s", "sort"),
            ("r", "restart"),
            ("p", "pause"),
            ("t", "tick"),
            ("d", "drain"),
            ("?", "help"),
            ("q", "quit"),
        ],
    };
    let words: u16 = all.iter().map(|(key, what)| width(key) + width(what) + 2).sum();
    // Further apart where there is room.
    let gap = if words + u16::try_from(all.len()).unwrap_or(0) <= line.width { " " } else { "" };
    let spans = all.iter().flat_map(|(key, what)| {
        [span(&format!(" {key} "), scene.look.accent()), span(&format!("{what}{gap}"), scene.look.ink(Ink::Faint))]
    });
    put(frame, line.x, line.y, line.width, &spans.collect::<Vec<Span>>().into());
}

/// A box in the middle for so many columns and lines of text; answers what is inside.
fn popup(frame: &mut Buffer, area: Rect, title: &str, (width, height): (u16, u16), scene: &Scene) -> Rect {
    let (width, height) = (area.width.min(width + 4), area.height.min(height + 2));
    let place = Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    fill(frame, place, ' ', Style::new());
    let inside = boxed(frame, place, scene.look.accent());
    put(frame, place.x + 2, place.y, width.saturating_sub(4), &Line::from(span(&format!(" {title} "), scene.look.accent().patch(BOLD))));
    Rect { x: inside.x + 1, width: inside.width.saturating_sub(1), ..inside }
}

pub fn help(frame: &mut Buffer, area: Rect, scene: &Scene) {
    let inside = popup(frame, area, "Keys", (68, u16::try_from(HELP.len()).unwrap_or(0)), scene);
    for ((keys, what), y) in HELP.iter().zip(inside.y..inside.bottom()) {
        put(frame, inside.x, y, inside.width, &Line::from(span(keys, scene.look.accent())));
        put(frame, inside.x + 17, y, inside.width.saturating_sub(17), &Line::from(span(what, Style::new())));
    }
}

pub fn ask(act: Act, worker: &str, frame: &mut Buffer, area: Rect, scene: &Scene) {
    let what = match act {
        Act::Drain => "It finishes its event in flight, then stops until a restart.",
        _ => "It restarts after its event in flight.",
    };
    let verb = act.as_str();
    let title = format!("{}{}", verb.get(..1).unwrap_or_default().to_uppercase(), verb.get(1..).unwrap_or_default());
    let inside = popup(frame, area, &title, (62, 3), scene);
    let lines = [
        Line::from(vec![span(&format!("{verb} "), Style::new()), span(worker, scene.look.ink(Ink::Strong)), span(" ?", Style::new())]),
        Line::from(span(what, scene.look.ink(Ink::Faint))),
        Line::from(vec![
            span("y", scene.look.accent().patch(BOLD)),
            span(&format!(" {verb}   "), Style::new()),
            span("n", scene.look.accent().patch(BOLD)),
            span(" leave it", Style::new()),
        ]),
    ];
    for (line, y) in lines.iter().zip(inside.y..inside.bottom()) {
        put(frame, inside.x, y, inside.width, line);
    }
}
