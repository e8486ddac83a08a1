//! Frames as a person sees them.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier, Style},
};
use skep::{
    cli::top::{
        app::{Act, Effect, Key, Mode, Tab},
        canvas::{self, put, set, span},
        detail::{Part, Subject},
        look::Look,
    },
    facts::{CheckStatus, CutOffView, Level, LiveDelta, LiveGone, LiveWorker, LogLine, Why, WorkerState},
};

use super::{NOW, RICH, app, check, event, frame, seen, snapshot, typed, worker};

fn line(text: &str, with: &str) -> String {
    text.lines().find(|line| line.contains(with)).unwrap_or_else(|| panic!("no line with {with}:\n{text}")).to_owned()
}

#[test]
fn the_first_look_says_whether_all_is_well_and_what_is_not() {
    let text = seen(&mut app(Tab::Workers));
    assert!(line(&text, " skep 0.1.0").contains("up 3h") && line(&text, " skep 0.1.0").ends_with("● live"), "{text}");
    assert!(text.contains("workers ● 2 running  ■ 1 quarantined"), "{text}");
    assert!(text.contains("checks  ● 1 up  ■ 1 down") && text.contains("7 waiting") && text.contains("■ 2 dead"), "{text}");
    assert!(
        text.contains("1 Workers 3") && text.contains("2 Checks 2") && text.contains("3 Queues 2") && text.contains("4 Events 2"),
        "{text}"
    );
    // What needs a person is first, and says why.
    let at = |name: &str| text.lines().position(|line| line.contains(name)).unwrap();
    assert!(at("■ quarantined  ") < at("pages") && at("pages") < at("pinger/nas"), "{text}");
    assert!(line(&text, "crash").contains("3 traps within 5s"), "{text}");
    assert!(text.lines().count() == 24 && text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn checks_have_shapes_words_bars_and_latency() {
    let mut app = app(Tab::Workers);
    typed(&mut app, "2");
    let text = seen(&mut app);
    let down = line(&text, "10.0.0.7");
    assert!(down.contains("■ down") && down.contains("▇▅▂") && down.contains("1.50 ms"), "{text}");
    let wide = canvas::text(&frame(&mut app, 200, 30, RICH));
    assert!(wide.contains("TREND") && wide.contains("UP 24H") && line(&wide, "10.0.0.7").contains("99.91%"), "{wide}");
    assert!(line(&wide, "10.0.0.7").contains("status 200"), "{wide}");
}

#[test]
fn queues_and_events_have_their_own_tables() {
    let mut app = app(Tab::Queues);
    let text = seen(&mut app);
    assert!(text.contains("WAITING") && line(&text, " todo ").contains(" 7 "), "{text}");
    assert_eq!(app.key(Key::Tab, NOW), None);
    let text = seen(&mut app);
    let at = |message: &str| text.lines().position(|line| line.trim_end_matches(['│', ' ']).ends_with(message)).unwrap();
    assert!(at("two") < at("one"), "the newest is first:\n{text}");
    app.delta(LiveDelta { at: NOW, events: vec![event(3, "three")], ..LiveDelta::default() }, NOW);
    assert!(seen(&mut app).contains("1 of 3"), "the newest stays selected");
}

#[test]
fn a_filter_narrows_as_it_is_typed() {
    let mut app = app(Tab::Workers);
    typed(&mut app, "/PINg");
    let text = seen(&mut app);
    assert!(
        text.contains(" / PINg█") && text.contains("pinger/nas") && !text.contains("pages") && text.contains("1 Workers 1/3"),
        "{text}"
    );
    app.key(Key::Enter, NOW);
    assert!(seen(&mut app).contains("filter PINg"));
    typed(&mut app, "/");
    app.key(Key::Clear, NOW);
    typed(&mut app, "!running");
    let text = seen(&mut app);
    assert!(text.contains("crash") && !text.contains("pages"), "{text}");
    typed(&mut app, "zzz");
    assert!(seen(&mut app).contains("none of 3 workers matches \"!runningzzz\"") || seen(&mut app).contains("pages"));
    app.key(Key::Escape, NOW);
    assert!(seen(&mut app).contains("1 Workers 3"));
}

#[test]
fn restart_and_drain_ask_and_name_the_worker() {
    let mut app = app(Tab::Workers);
    typed(&mut app, "r");
    let text = seen(&mut app);
    assert!(text.contains("restart crash ?") && text.contains("y restart"), "{text}");
    assert_eq!(typed(&mut app, "x"), None);
    assert_eq!(app.mode, Mode::Ask(Act::Restart, "crash".into()), "another key is no answer");
    assert_eq!(typed(&mut app, "y"), Some(Effect::Act(Act::Restart, "crash".into())));
    typed(&mut app, "jd");
    assert_eq!((typed(&mut app, "n"), &app.mode), (None, &Mode::Table));
    assert_eq!(typed(&mut app, "p"), Some(Effect::Act(Act::Pause, "pages".into())));
    app.delta(LiveDelta { at: NOW, workers: vec![worker("pages", WorkerState::Paused)], ..LiveDelta::default() }, NOW);
    assert_eq!(typed(&mut app, "p"), Some(Effect::Act(Act::Resume, "pages".into())));
    assert_eq!(typed(&mut app, "t"), Some(Effect::Act(Act::Tick, "pages".into())));
    assert_eq!(typed(&mut app, "3r"), None);
    assert!(seen(&mut app).contains("queues have no worker to act on"));
    // A check's worker is its own.
    typed(&mut app, "2r");
    assert_eq!(typed(&mut app, "y"), Some(Effect::Act(Act::Restart, "pinger/nas".into())));
}

#[test]
fn a_pane_shows_why_and_the_log_as_it_comes() {
    let mut app = app(Tab::Workers);
    let subject = Subject::Worker("crash".into());
    assert_eq!(app.key(Key::Enter, NOW), Some(Effect::Open(subject.clone())));
    let why = Why {
        worker: "crash".into(),
        state: WorkerState::Quarantined,
        since: "2026-11-21T06:00:00Z".parse().unwrap(),
        cause: "3 traps within 5s".into(),
        next_restart: None,
        remedy: "look at the trap, then skep restart crash".into(),
        trap: None,
    };
    let entry = |text: &str| LogLine {
        at: "2026-11-21T06:00:00Z".parse().unwrap(),
        worker: "crash".into(),
        replica: 1,
        level: Level::Warn,
        source: "log".into(),
        text: text.into(),
    };
    let pane = app.detail.as_mut().unwrap();
    pane.take(&subject, Part::Why(Box::new(why)));
    for at in 0..40 {
        pane.take(&subject, Part::Log(Box::new(entry(&format!("line {at} \x1b[31m")))));
    }
    pane.take(&Subject::Worker("pages".into()), Part::Log(Box::new(entry("of another"))));
    let text = seen(&mut app);
    assert!(text.contains("remedy") && text.contains("then skep restart crash"), "{text}");
    assert!(text.contains("warn   line 39 \\u{1b}[31m") && !text.contains("line 20 ") && !text.contains("of another"), "{text}");
    app.key(Key::PageUp, NOW);
    app.key(Key::PageUp, NOW);
    assert!(!seen(&mut app).contains("line 39"), "scrolled up");
    app.key(Key::End, NOW);
    assert!(seen(&mut app).contains("line 39"));
    assert_eq!(app.key(Key::Right, NOW), Some(Effect::Open(Subject::Worker("pages".into()))));
    assert_eq!(app.key(Key::Escape, NOW), Some(Effect::Close));
    assert!(seen(&mut app).contains("pinger/nas"));
}

#[test]
fn a_pane_is_fetched_again_when_its_row_changes_but_not_without_pause() {
    let mut app = app(Tab::Workers);
    app.key(Key::Enter, NOW);
    let change = |restarts| LiveDelta {
        at: NOW,
        workers: vec![LiveWorker { restarts, ..worker("crash", WorkerState::Running) }],
        ..LiveDelta::default()
    };
    let refresh = Some(Effect::Refresh(Subject::Worker("crash".into())));
    assert_eq!(app.delta(change(4), NOW), refresh);
    assert_eq!(app.delta(change(5), NOW + 500), None);
    assert_eq!((app.refreshed(NOW + 1_100), app.refreshed(NOW + 3_000)), (refresh, None));
    let gone = LiveGone { workers: vec!["crash".into()], ..LiveGone::default() };
    app.delta(LiveDelta { at: NOW, gone: Some(gone), ..LiveDelta::default() }, NOW);
    assert!(seen(&mut app).contains("■ gone"));
}

#[test]
fn silence_and_lost_connections_are_told_and_ages_are_the_hosts() {
    let mut app = app(Tab::Workers);
    app.link.lost("no host".into());
    assert!(seen(&mut app).contains("■ STALE: no connection for 0s"));
    let faint = frame(&mut app, 80, 24, RICH);
    assert!(faint.content.iter().filter(|cell| cell.modifier.contains(Modifier::DIM)).count() > 1_000, "what is old is pale");
    // A host whose clock is an hour ahead: ages are by its clock.
    let later = snapshot(vec![worker("pages", WorkerState::Running)], vec![]);
    app.snapshot(skep::facts::LiveSnapshot { at: NOW + 3_600_000, ..later }, NOW);
    let text = seen(&mut app);
    assert!(text.contains("● live") && line(&text, "pages ").contains("63m"), "{text}");
    assert!(matches!(app.link.state(NOW + 12_000), skep::cli::top::link::State::Stale(12_000, None)));
}

#[test]
fn what_concerns_the_whole_host_has_a_line() {
    let mut app = app(Tab::Workers);
    app.board.host.cut_off = Some(CutOffView { since: NOW, reason: "nothing answers".into() });
    app.board.host.maintenance = vec!["nightly".into()];
    let text = canvas::text(&frame(&mut app, 160, 24, RICH));
    assert!(text.contains("cut off since") && text.contains("nothing answers") && text.contains("maintenance: nightly"), "{text}");
}

#[test]
fn no_size_panics_and_nothing_leaves_the_frame() {
    for tab in Tab::ALL {
        for keys in ["", "?", "r", "/x"] {
            for (width, height) in (0..14).flat_map(|width| (0..14).map(move |height| (width * 3, height))) {
                let mut app = app(tab);
                typed(&mut app, keys);
                frame(&mut app, width, height, RICH);
                app.mode = Mode::Table;
                app.key(Key::Enter, NOW);
                frame(&mut app, width, height, Look { colour: false, unicode: false });
            }
        }
    }
}

#[test]
fn letters_of_two_columns_are_cut_and_written_over_whole() {
    let mut frame = Buffer::empty(Rect::new(0, 0, 7, 2));
    let style = Style::new().fg(Color::Red);
    assert_eq!(put(&mut frame, 0, 0, 6, &span("世界é\u{301}界x", style).into()), 6);
    assert_eq!(put(&mut frame, 0, 1, 7, &span("a世界", style).into()), 5);
    assert_eq!(canvas::text(&frame), "世界é\u{301}…\na世界\n");
    // Half of one written over: the other half is no letter, and nothing of the style stays.
    set(&mut frame, 1, 0, '|', Style::new());
    put(&mut frame, 3, 1, 1, &span("b", Style::new()).into());
    assert_eq!(canvas::text(&frame), " |界é\u{301}…\na世b\n");
    assert_eq!(frame.cell((1, 0)).unwrap().fg, Color::Reset);
    canvas::finish(&mut frame, Look { colour: true, unicode: false });
    assert_eq!(canvas::text(&frame), " |? ?~\na? b\n");
}

#[test]
fn without_colour_and_without_unicode_it_still_says_all() {
    let env = |lang: &'static str, no_colour: &'static str| {
        move |name: &str| match name {
            "LANG" => Some(lang.to_owned()),
            "NO_COLOR" => Some(no_colour.to_owned()),
            _ => None,
        }
    };
    assert_eq!(Look::of(env("C", "1")), Look { colour: false, unicode: false });
    assert_eq!(Look::of(env("en_GB.UTF-8", "")), RICH);
    let mut app = app(Tab::Checks);
    app.delta(LiveDelta { at: NOW, checks: vec![check("pages", "http://grün/", CheckStatus::Up)], ..LiveDelta::default() }, NOW);
    let plain = frame(&mut app, 80, 24, Look { colour: false, unicode: false });
    let text = canvas::text(&plain);
    assert!(text.is_ascii() && text.contains("X down") && text.contains("|!x") && text.contains("http://gr?n/"), "{text}");
    assert!(plain.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    assert!(plain.content.iter().any(|cell| cell.modifier == Modifier::REVERSED), "the selected row is marked");
}

#[test]
fn ten_thousand_rows_cost_a_frame_little() {
    let many = |count: usize| (0..count).map(|at| worker(&format!("w{at:05}"), WorkerState::Running)).collect::<Vec<_>>();
    let mut app = app(Tab::Workers);
    app.snapshot(snapshot(many(10_000), vec![]), NOW);
    app.key(Key::End, NOW);
    assert!(seen(&mut app).contains("w09999") && seen(&mut app).contains("10000 of 10000"));
    let start = std::time::Instant::now();
    for at in 0..20 {
        app.delta(
            LiveDelta {
                at: NOW,
                workers: vec![LiveWorker { rate: f64::from(at), ..worker("w00007", WorkerState::Failed) }],
                ..LiveDelta::default()
            },
            NOW,
        );
        seen(&mut app);
    }
    // Some milliseconds each where it is optimised; here it is not, and others work beside it.
    assert!(start.elapsed().as_secs() < 20, "{:?} for 20 frames", start.elapsed());
    assert_eq!(app.board.workers.selected().unwrap().name.as_ref(), "w09999");
}
