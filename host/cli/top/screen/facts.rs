//! What is known of one row, as names and values: the upper part of its pane.

use crate::{
    cli::{
        paint::{Ink, bytes, check_ink, level_word, millis, percent, worker_ink},
        records::incarnation,
        show::trap_id,
        top::{
            board::Board,
            canvas::{Line, Span, span, width, wrapped},
            detail::Detail,
            look::{check_shape, level_shape, worker_shape},
            rows::{QueueRow, Scene, per_second_text},
        },
    },
    facts::{CheckView, EventRecord, InstanceMode, LimiterView, LiveCheck, LiveWorker, Phases},
};

/// The column of names, with the blanks behind it.
const NAMES: u16 = 13;

/// Names and values under each other; long values go on below.
pub struct Facts<'a> {
    pub lines: Vec<Line>,
    room: u16,
    scene: &'a Scene,
}

impl<'a> Facts<'a> {
    pub fn new(room: u16, scene: &'a Scene) -> Self {
        Self { lines: Vec::new(), room, scene }
    }

    /// A value of any length.
    fn put(&mut self, name: &str, value: &str, ink: Ink) {
        let style = self.scene.look.ink(ink);
        for (at, text) in wrapped(value, self.room.saturating_sub(NAMES)).iter().enumerate() {
            self.spans(if at == 0 { name } else { "" }, vec![span(text, style)]);
        }
    }

    fn maybe(&mut self, name: &str, value: Option<&str>, ink: Ink) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.put(name, value, ink);
        }
    }

    fn spans(&mut self, name: &str, value: Vec<Span>) {
        let blanks = usize::from(NAMES.saturating_sub(width(name)));
        let mut line = vec![span(&format!("{name}{}", " ".repeat(blanks)), self.scene.look.ink(Ink::Faint))];
        line.extend(value);
        self.lines.push(line.into());
    }
}

/// Values on one line, some blanks apart; empty ones are left out.
fn row(values: &[String]) -> String {
    values.iter().filter(|value| !value.is_empty()).map(String::as_str).collect::<Vec<_>>().join("   ")
}

pub fn worker(row_: &LiveWorker, pane: &Detail, facts: &mut Facts<'_>) {
    let scene = facts.scene;
    let (look, faint) = (scene.look, scene.look.ink(Ink::Faint));
    let state = format!("{} {}", worker_shape(row_.state), row_.state.as_str());
    facts.spans(
        "state",
        vec![
            span(&state, look.ink(worker_ink(row_.state)).patch(look.ink(Ink::Strong))),
            span(&format!(" for {}, since {}", scene.age(row_.since), scene.clock(row_.since)), faint),
        ],
    );
    facts.maybe("title", row_.title.as_deref(), Ink::Plain);
    if let Some(why) = &pane.why {
        facts.put("cause", &why.cause, Ink::Plain);
        if let Some(at) = why.next_restart {
            facts.put("next restart", &scene.ahead(at.as_millisecond()), Ink::Notice);
        }
        facts.put("remedy", &why.remedy, Ink::Plain);
        facts.maybe("trap", why.trap.as_deref().map(|id| format!("skep trap {}", trap_id(id))).as_deref(), Ink::Plain);
    }
    facts.maybe("held back", row_.held_back.as_deref(), Ink::Bad);
    facts.maybe("last error", row_.last_error.as_deref(), Ink::Bad);
    let restarts = format!("{} restarts", row_.restarts);
    facts.put(
        "replicas",
        &row(&[format!("{}/{}", row_.running, row_.desired), restarts, format!("incarnation {}", incarnation(row_.incarnation))]),
        Ink::Plain,
    );
    let counts = [
        format!("{} ok", row_.ok),
        format!("{} failed", row_.failed),
        format!("{} trapped", row_.trapped),
        format!("{}/s", per_second_text(row_.rate)),
    ];
    facts.put("events", &row(&counts), Ink::Plain);
    let late = row_.lateness_ms.map(|late| format!("{} late", millis(late))).unwrap_or_default();
    let missed = if row_.missed > 0 { format!("{} missed", row_.missed) } else { String::new() };
    let next = row_.next.map(|next| format!("next {}", scene.ahead(next))).unwrap_or_default();
    facts.put("triggers", &row(&[row_.triggers.join(", "), next, late, missed]), Ink::Plain);
    let instance = match row_.instance {
        InstanceMode::Resident => "resident",
        InstanceMode::PerEvent => "per-event",
    };
    let memory = format!("{} at most", bytes(row_.memory_peak_bytes));
    facts.put("memory", &row(&[memory, instance.to_owned()]), Ink::Plain);
    let group = row_.group.as_deref().map(|group| format!("group {group}")).unwrap_or_default();
    facts.put("declared", &row(&[format!("{}:{}", row_.file, row_.line), row_.component.clone(), group]), Ink::Plain);
    facts.maybe("notes", row_.notes.as_deref(), Ink::Plain);
}

pub fn check(row_: &LiveCheck, pane: &Detail, facts: &mut Facts<'_>) {
    let scene = facts.scene;
    let (look, faint) = (scene.look, scene.look.ink(Ink::Faint));
    let status = format!("{} {}", check_shape(row_.status), row_.status.as_str());
    facts.spans(
        "status",
        vec![
            span(&status, look.ink(check_ink(row_.status)).patch(look.ink(Ink::Strong))),
            span(&format!(" for {}, since {}", scene.age(row_.since), scene.clock(row_.since)), faint),
        ],
    );
    if row_.confirming > 0 {
        facts.put("confirming", &format!("{} results in a row say otherwise", row_.confirming), Ink::Notice);
    }
    let group = row_.group.as_deref().map(|group| format!("group {group}")).unwrap_or_default();
    facts.put("worker", &row(&[row_.worker.to_string(), row_.title.clone().unwrap_or_default(), group]), Ink::Plain);
    let latency = row_.latency_ms.map(|ms| format!("last {}", millis(ms))).unwrap_or_default();
    let uptime = row_.uptime.map_or_else(|| "uptime not known".to_owned(), |share| format!("{} up over 24 h", percent(share)));
    facts.put("uptime", &row(&[uptime, format!("{} of them seen", percent(row_.coverage)), latency]), Ink::Plain);
    facts.maybe("certificate", row_.certificate.map(|ends| format!("ends {}", scene.ahead(ends))).as_deref(), Ink::Plain);
    let whole = pane.check.as_ref();
    facts.maybe("detail", Some(whole.map_or(row_.detail.as_str(), |check| &check.detail)), Ink::Plain);
    if let Some(evidence) = whole.and_then(|check: &CheckView| check.evidence.as_ref()) {
        let http = evidence.http_status.map(|status| format!("HTTP {status}")).unwrap_or_default();
        facts.maybe("answer", Some(&row(&[http, evidence.address.clone().unwrap_or_default()])), Ink::Plain);
        facts.maybe("phases", Some(&phases(&evidence.phases)), Ink::Plain);
        facts.maybe("excerpt", evidence.excerpt.as_deref(), Ink::Faint);
    }
}

fn phases(of: &Phases) -> String {
    let all =
        [("dns", of.dns_ms), ("connect", of.connect_ms), ("tls", of.tls_ms), ("first byte", of.first_byte_ms), ("total", of.total_ms)];
    row(&all.map(|(name, ms)| ms.map(|ms| format!("{name} {}", millis(ms))).unwrap_or_default()))
}

pub fn queue(row_: &QueueRow, limiter: Option<&LimiterView>, facts: &mut Facts<'_>) {
    let (scene, view) = (facts.scene, &row_.view);
    let (pushed, finished) = row_.rates(scene.now);
    let counts = [
        ("waiting", view.waiting, Ink::Plain),
        ("running", view.running, Ink::Good),
        ("dead", view.dead, Ink::Bad),
        ("delayed", view.delayed, Ink::Notice),
        ("done", view.done, Ink::Plain),
        ("cancelled", view.cancelled, Ink::Plain),
    ];
    let jobs = counts.iter().map(|(word, count, ink)| {
        let ink = if *count > 0 { *ink } else { Ink::Faint };
        span(&format!("{count} {word}   "), scene.look.ink(ink))
    });
    let jobs = jobs.collect();
    facts.spans("jobs", jobs);
    let rates = [
        format!("{} in/s", per_second_text(pushed)),
        format!("{} out/s", per_second_text(finished)),
        format!("{} pushed, {} finished since start", view.pushed, view.finished),
    ];
    facts.put("rates", &row(&rates), Ink::Plain);
    facts.maybe("oldest", view.oldest_waiting_at.map(|at| format!("waits for {}", scene.age(at.as_millisecond()))).as_deref(), Ink::Plain);
    let workers = if view.workers.is_empty() { "none of this host".to_owned() } else { view.workers.join(", ") };
    facts.put("workers", &workers, if view.workers.is_empty() { Ink::Notice } else { Ink::Plain });
    if let Some(limiter) = limiter {
        let now = format!("{} a second now", per_second_text(limiter.effective_per_second));
        let paused = limiter.paused_until.map(|until| format!("paused, again {}", scene.ahead(until.as_millisecond()))).unwrap_or_default();
        facts.put(
            "limiter",
            &row(&[limiter.name.clone(), limiter.rate.clone(), now, format!("{} wait", limiter.waiting), paused]),
            Ink::Plain,
        );
    }
    let declared = view
        .file
        .as_ref()
        .map(|file| format!("{file}:{}", view.line.unwrap_or(0)))
        .unwrap_or_else(|| "nowhere: it lives by the defaults".to_owned());
    facts.put("declared", &row(&[declared, format!("{} attempts at most", view.max_attempts)]), Ink::Plain);
}

pub fn event(record: &EventRecord, facts: &mut Facts<'_>) {
    let scene = facts.scene;
    let (word, ink) = level_word(record.level);
    facts.put("level", &format!("{} {word}", level_shape(record.level)), ink);
    facts.put("kind", &record.kind, Ink::Plain);
    let at = record.at.as_millisecond();
    facts.put("when", &format!("{} ({} ago)", scene.clock(at), scene.age(at)), Ink::Plain);
    facts.maybe("worker", record.worker.as_deref(), Ink::Strong);
    facts.put("message", &record.message, Ink::Plain);
    facts.put("id", &record.id.to_string(), Ink::Faint);
}

/// What a pane is called, and that its row is gone.
pub fn title(pane: &Detail, board: &Board) -> (String, bool) {
    use crate::cli::top::detail::Subject;
    match &pane.subject {
        Subject::Worker(name) => (name.clone(), board.workers.get(&name.as_str().into()).is_none()),
        Subject::Check(worker, subject) => (subject.clone(), board.checks.get(&(worker.as_str().into(), subject.clone())).is_none()),
        Subject::Queue(name) => (name.clone(), board.queues.get(name).is_none()),
        Subject::Event(id) => (format!("event {id}"), board.events.get(id).is_none()),
    }
}
