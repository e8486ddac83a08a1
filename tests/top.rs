//! `skep top`: what a person sees and what keys do; the listing against a slow, obvious model; the real thing in a pseudo-terminal.

mod bytes; // keys of a terminal, beats
mod listing; // sorted, filtered, one selected: against a model
mod pty; // the real binary in a pseudo-terminal, on a real host
mod screens; // frames as text: tabs, columns, panes, small ones, ASCII, no colours

use jiff::{Timestamp, tz::TimeZone};
use ratatui::{buffer::Buffer, layout::Rect};
use skep::{
    cli::top::{
        app::{App, Effect, Key, Tab},
        canvas,
        look::Look,
        screen,
    },
    facts::{CheckStatus, EventRecord, InstanceMode, Level, LiveCheck, LiveHost, LiveSnapshot, LiveWorker, QueueView, WorkerState},
};

/// 2026-11-21T06:03:00Z.
const NOW: i64 = 1_795_241_000_000;
const RICH: Look = Look { colour: true, unicode: true };

fn worker(name: &str, state: WorkerState) -> LiveWorker {
    LiveWorker {
        name: name.into(),
        title: None,
        group: None,
        notes: None,
        component: "poller.wasm".into(),
        state,
        desired: 1,
        running: u32::from(state == WorkerState::Running),
        incarnation: 3,
        restarts: 0,
        last_error: None,
        triggers: vec!["every 30s".into()],
        next: Some(NOW + 12_000),
        lateness_ms: Some(0.4),
        missed: 0,
        since: NOW - 180_000,
        instance: InstanceMode::PerEvent,
        ok: 10,
        failed: 0,
        trapped: 0,
        rate: 0.0,
        memory_peak_bytes: 1 << 20,
        file: "a.toml".into(),
        line: 1,
        held_back: None,
    }
}

fn check(worker: &str, subject: &str, status: CheckStatus) -> LiveCheck {
    LiveCheck {
        worker: worker.into(),
        subject: subject.into(),
        title: None,
        group: None,
        status,
        since: NOW - 60_000,
        latency_ms: Some(1.5),
        uptime: Some(0.9991),
        coverage: 1.0,
        last: Some(NOW - 5_000),
        detail: "status 200".into(),
        confirming: 0,
        certificate: None,
        beats: "u18g.1,g18g.7ps,d.7ps".into(),
    }
}

fn queue(name: &str, waiting: u64, dead: u64) -> QueueView {
    QueueView {
        name: name.into(),
        delayed: 0,
        waiting,
        running: 0,
        done: 0,
        dead,
        cancelled: 0,
        oldest_waiting_at: None,
        pushed: 0,
        finished: 0,
        max_attempts: 20,
        backoff_ms: 1_000,
        result_ttl_ms: 600_000,
        limiter: None,
        workers: vec!["permuter".into()],
        file: None,
        line: None,
    }
}

fn event(id: u64, message: &str) -> EventRecord {
    EventRecord {
        id,
        at: Timestamp::from_millisecond(NOW - 1_000).unwrap(),
        kind: "worker.started".into(),
        level: Level::Info,
        worker: Some("pages".into()),
        message: message.into(),
    }
}

fn snapshot(workers: Vec<LiveWorker>, checks: Vec<LiveCheck>) -> LiveSnapshot {
    let host = LiveHost { version: "0.1.0".into(), started: NOW - 3_600_000 * 3, ready: true, ..LiveHost::default() };
    let queues = vec![queue("todo", 7, 0), queue("lost", 0, 2)];
    LiveSnapshot {
        version: 1,
        at: NOW,
        host,
        workers,
        checks,
        queues,
        limiters: Vec::new(),
        events: vec![event(1, "one"), event(2, "two")],
    }
}

/// A screen that has heard of some workers and checks.
fn app(tab: Tab) -> App {
    let mut app = App::new("data/skep.sock".into(), tab);
    let workers = vec![
        worker("pages", WorkerState::Running),
        LiveWorker { last_error: Some("3 traps within 5s".into()), restarts: 3, ..worker("crash", WorkerState::Quarantined) },
        worker("pinger/nas", WorkerState::Running),
    ];
    let checks = vec![check("pages", "https://example.com/", CheckStatus::Up), check("pinger/nas", "10.0.0.7", CheckStatus::Down)];
    assert_eq!(app.snapshot(snapshot(workers, checks), NOW), None);
    app
}

fn typed(app: &mut App, text: &str) -> Option<Effect> {
    text.chars().map(|char| app.key(Key::Char(char), NOW)).last().flatten()
}

fn frame(app: &mut App, width: u16, height: u16, look: Look) -> Buffer {
    let mut frame = Buffer::empty(Rect::new(0, 0, width, height));
    screen::draw(app, &mut frame, NOW, look, &TimeZone::UTC);
    frame
}

fn seen(app: &mut App) -> String {
    canvas::text(&frame(app, 80, 24, RICH))
}
