//! The lines on top: the host and how fresh its word is, what there is by state, what must not be overlooked; and the tabs.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use crate::{
    cli::{
        paint::{Ink, check_ink, count, span as time_span, worker_ink},
        top::{
            app::{App, Mode, Tab},
            canvas::{Line, Span, long, put, put_right, span},
            link::State,
            look::{BOLD, check_shape, worker_shape},
            rows::Scene,
        },
    },
    facts::LiveHost,
};

/// Answers how many lines it took.
pub fn draw(app: &App, state: &State<'_>, frame: &mut Buffer, counts: bool, scene: &Scene) -> u16 {
    let area = frame.area;
    if area.height < 4 {
        return 0;
    }
    let faint = scene.look.ink(Ink::Faint);
    let host = &app.board.host;
    let right = freshness(state, scene);
    let room = area.width.saturating_sub(long(&right).saturating_add(2));
    let mut title = vec![span(" skep ", scene.look.accent().patch(BOLD)), span(&host.version, Style::new())];
    title.push(span(&format!("  {}", app.link.place), faint));
    if host.started > 0 {
        let up = time_span((scene.now.saturating_sub(host.started) / 1_000).max(0));
        title.push(span(&format!("  up {up}  generation {}", host.generation), faint));
    }
    put(frame, area.x, area.y, room, &title.into());
    put_right(frame, area.x, area.y, area.width.saturating_sub(1), &right);
    let mut y = area.y + 1;
    if counts {
        let [workers, others] = tallies(app, scene);
        put(frame, area.x, y, area.width, &workers);
        put(frame, area.x, y + 1, area.width, &others);
        y += 2;
    }
    if let Some(warning) = warning(host, scene) {
        put(frame, area.x, y, area.width, &warning);
        y += 1;
    }
    y - area.y
}

fn freshness(state: &State<'_>, scene: &Scene) -> Line {
    match state {
        State::Connecting => Line::from(span("◌ connecting", scene.look.ink(Ink::Notice))),
        State::Live => Line::from(span("● live", scene.look.ink(Ink::Good))),
        State::Stale(silent, reason) => {
            let word = if reason.is_some() { "no connection" } else { "silent" };
            Line::from(span(&format!(" ■ STALE: {word} for {} ", time_span(silent / 1_000)), scene.look.alarm()))
        }
    }
}

/// Workers; checks, jobs and crashes.
fn tallies(app: &App, scene: &Scene) -> [Line; 2] {
    let faint = scene.look.ink(Ink::Faint);
    let counts = app.board.counts();
    let mut workers = vec![span(" workers ", faint)];
    let mut checks = vec![span(" checks  ", faint)];
    let tally = |spans: &mut Vec<Span>, shape: &str, count: usize, word: &str, ink: Ink| {
        if count > 0 {
            spans.push(span(&format!("{shape} {count} {word}  "), scene.look.ink(ink)));
        }
    };
    for (state, count) in &counts.workers {
        tally(&mut workers, worker_shape(*state), *count, state.as_str(), worker_ink(*state));
    }
    for (status, count) in &counts.checks {
        tally(&mut checks, check_shape(*status), *count, status.as_str(), check_ink(*status));
    }
    for (spans, none) in [(&mut workers, "none yet  "), (&mut checks, "none yet  ")] {
        if spans.len() == 1 {
            spans.push(span(none, faint));
        }
    }
    let traps = app.board.host.traps_today;
    workers.push(span("traps today ", faint));
    workers.push(span(&traps.to_string(), scene.look.ink(if traps > 0 { Ink::Bad } else { Ink::Plain })));
    checks.push(span("jobs ", faint));
    checks.push(span(&format!("{} waiting  {} running", counts.waiting, counts.running), Style::new()));
    if counts.delayed > 0 {
        checks.push(span(&format!("  {} delayed", counts.delayed), Style::new()));
    }
    if counts.dead > 0 {
        checks.push(span(&format!("  ■ {} dead", counts.dead), scene.look.ink(Ink::Bad)));
    }
    [workers.into(), checks.into()]
}

/// One line for what concerns the whole host, the worst first.
fn warning(host: &LiveHost, scene: &Scene) -> Option<Line> {
    let mut spans = Vec::new();
    let mut say = |text: String, style: Style| {
        spans.push(span(" ", Style::new()));
        spans.push(span(&text, style));
    };
    if let Some(cut) = &host.cut_off {
        say(format!("▲ cut off since {}: {}", scene.clock(cut.since), cut.reason), scene.look.ink(Ink::Bad));
    }
    if host.store_dropped > 0 {
        say(
            format!("▲ {} could not be kept", count(usize::try_from(host.store_dropped).unwrap_or(usize::MAX), "record")),
            scene.look.ink(Ink::Bad),
        );
    }
    if !host.maintenance.is_empty() {
        say(format!("◆ maintenance: {}", host.maintenance.join(", ")), scene.look.ink(Ink::Notice));
    }
    if let Some(first) = host.problems.first() {
        say(format!("▲ {} in manifests: {first}", count(host.problems.len(), "problem")), scene.look.ink(Ink::Notice));
    }
    (!spans.is_empty()).then(|| spans.into())
}

/// The tabs in the upper edge, the open one marked; the filter at its right.
pub fn tabs(app: &App, frame: &mut Buffer, edge: Rect, scene: &Scene) {
    if edge.width < 8 || edge.height < 2 {
        return;
    }
    let board = &app.board;
    let of = |all: usize, shown: usize| if all == shown { all.to_string() } else { format!("{shown}/{all}") };
    let mut spans = Vec::new();
    for (at, tab) in Tab::ALL.into_iter().enumerate() {
        let count = match tab {
            Tab::Workers => of(board.workers.all().len(), board.workers.count()),
            Tab::Checks => of(board.checks.all().len(), board.checks.count()),
            Tab::Queues => of(board.queues.all().len(), board.queues.count()),
            Tab::Events => of(board.events.all().len(), board.events.count()),
        };
        let open = tab == app.tab;
        let style = if open { scene.look.chosen().patch(BOLD) } else { Style::new() };
        spans.push(span(&format!(" {} {} ", at + 1, tab.title()), style));
        spans.push(span(&format!("{count} "), if open { style } else { scene.look.ink(Ink::Faint) }));
    }
    let used = put(frame, edge.x + 2, edge.y, edge.width.saturating_sub(4), &spans.into());
    let filter = match app.tab {
        Tab::Workers => board.workers.filter(),
        Tab::Checks => board.checks.filter(),
        Tab::Queues => board.queues.filter(),
        Tab::Events => board.events.filter(),
    };
    if app.mode != Mode::Filter && !filter.is_empty() && app.detail.is_none() {
        let at = edge.x + 3 + used;
        let line = Line::from(vec![
            span(" filter ", scene.look.ink(Ink::Faint)),
            span(filter, scene.look.ink(Ink::Notice)),
            span(" ", Style::new()),
        ]);
        put_right(frame, at, edge.y, (edge.right().saturating_sub(2)).saturating_sub(at), &line);
    }
}
