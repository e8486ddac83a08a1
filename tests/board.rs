//! Checks as a user sees them: events, silence under paused time, restarts, bounds.

use std::time::Duration;

use jiff::Timestamp;
use skep::{
    checks::{Checks, Recheck, Report, Watch},
    clock::Clock,
    facts::{
        CheckStatus::{self, Down, Maintenance, Paused, Unknown, Up},
        CheckView, Evidence, Level, Name,
    },
    journal::Journal,
    manifest::spec::CheckPolicy,
    store::{Resolution, Store, StoreSettings},
};
use tempfile::TempDir;
use tokio::sync::mpsc;

pub fn start() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn watch(confirm: u32, recover: u32) -> Watch {
    Watch { policy: CheckPolicy { confirm, recover }, interval: Some(secs(30)), paused: false, maintenance: false }
}

/// A board on a store and a clock of its own.
pub struct Lab {
    pub dir: TempDir,
    pub store: Store,
    pub journal: Journal,
    pub clock: Clock,
    pub checks: Checks,
    pub rechecks: mpsc::UnboundedReceiver<Recheck>,
}

impl Lab {
    pub async fn new() -> Self {
        Self::on(TempDir::new().unwrap(), start()).await
    }

    pub async fn with_clock(clock: Clock) -> Self {
        Self::at(TempDir::new().unwrap(), clock).await
    }

    pub async fn on(dir: TempDir, from: Timestamp) -> Self {
        Self::at(dir, Clock::starting_at(from)).await
    }

    async fn at(dir: TempDir, clock: Clock) -> Self {
        let settings = StoreSettings { dir: dir.path().to_owned(), history_bytes: 64 << 20, history_days: 14 };
        let store = Store::open(settings).unwrap();
        let journal = Journal::new(clock, Some(store.clone()));
        let (asked, rechecks) = mpsc::unbounded_channel();
        let checks = Checks::start(store.clone(), journal.clone(), clock, asked).await.unwrap();
        Self { dir, store, journal, clock, checks, rechecks }
    }

    /// The host stops, is off for a while, and starts again.
    pub async fn restart(self, off: Duration) -> Self {
        let from = self.clock.wall() + off;
        flush(&self.checks).await;
        drop(self.checks);
        self.store.close().await.unwrap();
        Self::on(self.dir, from).await
    }

    pub fn report(&self, subject: &str, status: CheckStatus) {
        self.checks.report(self.of(subject, status));
    }

    pub fn of(&self, subject: &str, status: CheckStatus) -> Report {
        let detail = if status == Down { "connection refused" } else { "" };
        Report {
            worker: "pages".into(),
            subject: subject.into(),
            status,
            latency_ms: (status == Up).then_some(12.5),
            detail: detail.into(),
            valid_for: None,
            at: self.clock.wall(),
            evidence: None,
        }
    }

    pub fn watch(&self, watch: Watch) {
        self.checks.watch(&"pages".into(), watch);
    }

    pub fn view(&self) -> CheckView {
        self.views().remove(0)
    }

    pub fn views(&self) -> Vec<CheckView> {
        self.checks.views(None)
    }

    pub fn shows(&self) -> Vec<(String, CheckStatus)> {
        self.views().into_iter().map(|view| (view.subject, view.status)).collect()
    }

    pub fn told(&self) -> Vec<String> {
        self.journal.events(100).into_iter().map(|event| event.message).collect()
    }
}

/// Paused time runs ahead while the store's threads work: let it stand meanwhile.
pub async fn flush(checks: &Checks) {
    tokio::time::resume();
    checks.flush().await;
    tokio::time::pause();
}

/// Lets time pass, and what comes due in it happen.
pub async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test(start_paused = true)]
async fn a_page_goes_down_after_confirm_and_comes_back_after_recover() {
    let mut lab = Lab::new().await;
    lab.watch(watch(3, 2));
    lab.report("https://a/", Up);
    pass(secs(30)).await;
    for _ in 0..2 {
        lab.report("https://a/", Down);
        pass(Duration::from_millis(7_500)).await;
    }
    let view = lab.view();
    assert_eq!((view.status, view.confirming, view.since, &*view.detail), (Up, 2, start(), "connection refused"));
    assert_eq!(view.latency_ms, Some(12.5), "the last one there was");
    let gone_down = lab.clock.wall();
    lab.report("https://a/", Down);
    assert_eq!((lab.view().status, lab.view().confirming, lab.view().since), (Down, 0, gone_down));
    pass(secs(30)).await;
    lab.report("https://a/", Up);
    assert_eq!((lab.view().status, lab.view().confirming), (Down, 1));
    lab.report("https://a/", Up);
    assert_eq!(lab.view().status, Up);
    assert_eq!(lab.view().recent.iter().map(|beat| beat.status).collect::<Vec<_>>(), [Up, Down, Down, Down, Up, Up]);
    assert_eq!(lab.told(), ["https://a/ up -> down: connection refused", "https://a/ down -> up"]);
    let events = lab.journal.events(2);
    assert!(events.iter().all(|event| event.kind == "check.changed" && event.worker.as_deref() == Some("pages")));
    assert_eq!(events.iter().map(|event| event.level).collect::<Vec<_>>(), [Level::Warn, Level::Info]);
    let mut asked = Vec::new();
    while let Ok(recheck) = lab.rechecks.try_recv() {
        asked.push(recheck);
    }
    let one = Recheck { worker: "pages".into(), after: Duration::from_millis(7_500) };
    assert_eq!(asked, [one.clone(), one.clone(), one], "two before it was down, one before it was up again");
}

#[tokio::test(start_paused = true)]
async fn two_silent_intervals_show_unknown_and_no_earlier() {
    let lab = Lab::new().await;
    lab.watch(watch(3, 2));
    lab.report("https://a/", Up);
    pass(secs(30)).await;
    lab.report("https://a/", Up);
    pass(Duration::from_millis(59_900)).await;
    assert_eq!(lab.view().status, Up);
    let mut changed = lab.checks.changed();
    changed.mark_unchanged();
    changed.changed().await.unwrap();
    assert_eq!((lab.view().status, lab.view().since), (Unknown, start() + secs(90)));
    assert_eq!(lab.told(), ["https://a/ up -> unknown: no result for 1m"]);
    // Seen for 90 s of the day: the last two intervals count by what was shown, the rest is nobody's.
    pass(secs(90)).await;
    let view = lab.view();
    assert_eq!(view.uptime, Some(1.0));
    assert!((view.coverage - 90.0 / 86_400.0).abs() < 0.000_01, "{}", view.coverage);
    lab.report("https://a/", Up);
    assert_eq!(lab.view().status, Up);
}

#[tokio::test(start_paused = true)]
async fn silence_past_valid_for_is_down() {
    let lab = Lab::new().await;
    lab.watch(Watch { interval: None, ..watch(3, 2) });
    let backup = |lab: &Lab| lab.checks.report(Report { valid_for: Some(secs(90_000)), ..lab.of("backup", Up) });
    backup(&lab);
    pass(secs(89_999)).await;
    assert_eq!(lab.view().status, Up);
    pass(secs(1) + Duration::from_millis(10)).await;
    assert_eq!(lab.view().status, Down);
    // It stays down, and counts as that, for as long as nothing comes.
    pass(secs(5 * 86_400)).await;
    assert_eq!((lab.view().status, lab.view().uptime, lab.view().coverage), (Down, Some(0.0), 1.0));
    backup(&lab);
    backup(&lab);
    assert_eq!(lab.view().status, Up);
    assert_eq!(lab.told(), ["backup up -> down: no result for 1d 1h", "backup down -> up"]);
}

#[tokio::test(start_paused = true)]
async fn a_guests_valid_for_may_be_any_number() {
    let lab = Lab::new().await;
    lab.watch(watch(3, 2));
    for (subject, valid_for) in [("never", Duration::MAX), ("none", Duration::ZERO)] {
        lab.checks.report(Report { valid_for: Some(valid_for), ..lab.of(subject, Up) });
    }
    pass(secs(61)).await;
    assert_eq!(lab.shows(), [("never".to_owned(), Up), ("none".to_owned(), Unknown)]);
}

#[tokio::test(start_paused = true)]
async fn a_paused_worker_is_not_silent_and_comes_back_as_it_was() {
    let lab = Lab::new().await;
    lab.watch(watch(3, 2));
    lab.report("https://a/", Up);
    pass(secs(10)).await;
    lab.watch(Watch { paused: true, ..watch(3, 2) });
    // Longer than a check that nobody reports would live.
    pass(secs(3 * 86_400)).await;
    assert_eq!((lab.view().status, lab.view().since), (Paused, start() + secs(10)));
    lab.watch(watch(3, 2));
    assert_eq!(lab.view().status, Up);
    pass(secs(59)).await;
    assert_eq!(lab.view().status, Up, "its silence counts from the end of the pause");
    pass(secs(2)).await;
    assert_eq!(lab.view().status, Unknown);
    assert_eq!(lab.view().uptime, None, "nothing was seen in the last day");
    assert_eq!(lab.told(), ["https://a/ up -> paused", "https://a/ paused -> up", "https://a/ up -> unknown: no result for 1m"]);
}

#[tokio::test(start_paused = true)]
async fn maintenance_hides_an_outage_and_shows_it_if_it_lasts() {
    let lab = Lab::new().await;
    lab.watch(watch(2, 2));
    lab.report("https://a/", Up);
    lab.watch(Watch { maintenance: true, ..watch(2, 2) });
    for _ in 0..3 {
        pass(secs(30)).await;
        lab.report("https://a/", Down);
    }
    assert_eq!(lab.view().status, Maintenance);
    assert_eq!(lab.view().uptime, None, "planned work is not downtime");
    lab.watch(watch(2, 2));
    assert_eq!(lab.view().status, Down);
    assert_eq!(lab.told().last().unwrap(), "https://a/ maintenance -> down: connection refused");
}

#[tokio::test(start_paused = true)]
async fn a_restart_alerts_nobody_and_counts_its_own_time_as_unseen() {
    let mut lab = Lab::new().await;
    lab.watch(watch(2, 2));
    for round in 0..6u64 {
        lab.report("https://a/", if round < 3 { Up } else { Down });
        lab.report("https://b/", Up);
        pass(secs(30)).await;
    }
    // One bad result short of down: that is kept as well.
    lab.report("https://b/", Down);
    let before = lab.views();
    assert_eq!(before.iter().map(|view| view.status).collect::<Vec<_>>(), [Down, Up]);
    let off = lab.clock.wall();
    lab = lab.restart(secs(3_600)).await;
    assert_eq!(lab.views(), [], "nobody has said that the worker is still there");
    lab.watch(watch(2, 2));
    let mut changed = lab.checks.changed();
    while lab.view().recent.len() < 6 {
        changed.changed().await.unwrap();
    }
    for (now, before) in lab.views().iter().zip(&before) {
        assert_eq!((now.status, now.since, now.latency_ms, now.last), (before.status, before.since, before.latency_ms, before.last));
        assert_eq!((&now.detail, now.confirming, &now.recent), (&before.detail, before.confirming, &before.recent));
        assert_eq!(now.uptime, before.uptime);
        assert!(now.coverage < 0.1, "an hour of about sixty-three minutes was not seen: {}", now.coverage);
    }
    assert_eq!(lab.told(), [""; 0], "nothing changed, so nothing is told");
    lab.report("https://a/", Down);
    lab.report("https://b/", Down);
    assert_eq!(lab.told(), ["https://b/ up -> down: connection refused"]);
    assert!(lab.view().since < off);
}

#[tokio::test(start_paused = true)]
async fn a_kept_check_whose_worker_never_returns_goes_after_a_day() {
    let mut lab = Lab::new().await;
    lab.watch(watch(3, 2));
    lab.report("https://a/", Up);
    lab = lab.restart(secs(60)).await;
    assert_eq!(lab.store.load_checks().await.unwrap().len(), 1);
    pass(secs(86_401)).await;
    assert_eq!(lab.store.load_checks().await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_removed_worker_leaves_nothing_behind() {
    let lab = Lab::new().await;
    lab.watch(watch(3, 2));
    lab.checks.watch(&"other".into(), watch(3, 2));
    lab.report("https://a/", Up);
    lab.checks.report(Report { worker: "other".into(), ..lab.of("https://a/", Up) });
    lab.checks.remove("pages");
    // An event that was still under way.
    lab.report("https://a/", Down);
    assert_eq!(lab.views().len(), 1);
    flush(&lab.checks).await;
    assert_eq!(lab.store.load_checks().await.unwrap().len(), 1);
    assert_eq!(lab.store.recent("pages", "https://a/", 10).await.unwrap(), []);
    assert_eq!(lab.store.recent("other", "https://a/", 10).await.unwrap().len(), 1);
    // A new worker of that name starts from nothing.
    lab.watch(watch(3, 2));
    lab.report("https://a/", Down);
    assert_eq!((lab.checks.views(Some("pages"))[0].status, lab.checks.views(Some("pages"))[0].recent.len()), (Unknown, 1));
}

#[tokio::test(start_paused = true)]
async fn a_url_taken_out_of_the_config_goes_once_the_worker_reports_without_it() {
    let lab = Lab::new().await;
    lab.watch(watch(3, 2));
    lab.report("https://a/", Up);
    lab.report("https://b/", Up);
    lab.checks.renew("pages");
    // The new config may not start at all: that takes no history away.
    pass(secs(600)).await;
    assert_eq!(lab.shows(), [("https://a/".to_owned(), Unknown), ("https://b/".to_owned(), Unknown)]);
    lab.report("https://a/", Up);
    for _ in 0..2 {
        pass(Duration::from_millis(29_900)).await;
        lab.report("https://a/", Up);
    }
    assert_eq!(lab.views().len(), 2);
    pass(secs(1)).await;
    assert_eq!(lab.shows(), [("https://a/".to_owned(), Up)]);
    assert_eq!(lab.store.recent("pages", "https://b/", 10).await.unwrap(), []);
    assert_eq!(lab.store.recent("pages", "https://a/", 10).await.unwrap().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_subject_not_reported_for_a_day_is_gone() {
    let lab = Lab::new().await;
    lab.watch(watch(3, 2));
    lab.report("https://a/", Up);
    pass(secs(86_399)).await;
    assert_eq!(lab.shows(), [("https://a/".to_owned(), Unknown)]);
    pass(secs(2)).await;
    assert_eq!(lab.views(), []);
    // A weekly check is not silent all week.
    lab.watch(Watch { interval: Some(secs(7 * 86_400)), ..watch(3, 2) });
    lab.report("https://a/", Up);
    pass(secs(8 * 86_400)).await;
    assert_eq!(lab.shows(), [("https://a/".to_owned(), Up)]);
}

#[tokio::test(start_paused = true)]
async fn subjects_and_details_are_bounded_and_said_once() {
    let lab = Lab::new().await;
    lab.watch(watch(3, 2));
    for subject in 0..1_100 {
        lab.report(&format!("https://example.com/{subject}"), Up);
    }
    lab.report(&"x".repeat(2_049), Up);
    assert_eq!(lab.views().len(), 1_000);
    let told = lab.told();
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("more than 1000 subjects"), "{}", told[0]);
    pass(secs(601)).await;
    lab.report("one more", Up);
    assert!(lab.told().iter().any(|told| told.ends_with("100 more reports since this was last said")));

    lab.checks.watch(&"other".into(), watch(3, 2));
    let long = Report { worker: "other".into(), detail: "é".repeat(600_000), ..lab.of(&"x".repeat(2_048), Down) };
    lab.checks.report(Report { detail: format!("x{}", long.detail), ..long.clone() });
    assert_eq!(lab.checks.views(Some("other"))[0].detail.len(), 4_095, "cut between characters");
    for _ in 0..2 {
        lab.checks.report(long.clone());
    }
    assert!(lab.told().last().unwrap().len() < 2_400, "an event is a line");
}

#[tokio::test(start_paused = true)]
async fn results_reach_history_with_the_time_they_stand_for() {
    let lab = Lab::new().await;
    lab.watch(watch(2, 2));
    let evidence = Some(Box::new(Evidence { http_status: Some(503), ..Evidence::default() }));
    lab.report("https://a/", Up);
    for _ in 0..3 {
        pass(secs(30)).await;
        lab.checks.report(Report { evidence: evidence.clone(), ..lab.of("https://a/", Down) });
    }
    assert_eq!(lab.view().evidence, evidence.as_deref().cloned());
    let minutes = lab.store.history("pages", "https://a/", start(), start() + secs(600), Resolution::Minute).await.unwrap();
    assert_eq!(
        minutes.iter().map(|minute| (minute.results, minute.up_ms, minute.down_ms)).collect::<Vec<_>>(),
        [(2, 60_000, 0), (2, 0, 30_000)]
    );
}

#[tokio::test(start_paused = true)]
async fn states_are_written_on_flips_and_every_ten_seconds_while_results_flow() {
    let lab = Lab::new().await;
    lab.watch(watch(1, 1));
    // A paused clock runs ahead while only the store's thread is waited for; it stands still while a blocking task runs.
    let rows = async || {
        let (store, runtime) = (lab.store.clone(), tokio::runtime::Handle::current());
        tokio::task::spawn_blocking(move || runtime.block_on(store.load_checks()).unwrap()).await.unwrap()
    };
    lab.report("https://a/", Up);
    let first = rows().await;
    assert_eq!(first.len(), 1, "the first status is written at once: a killed host knows since when it is up");
    pass(secs(1)).await;
    lab.report("https://a/", Up);
    assert_eq!(rows().await, first, "more of the same can wait");
    pass(secs(11)).await;
    let second = rows().await;
    assert_ne!(second, first);
    lab.report("https://a/", Down);
    assert_ne!(rows().await, second, "a flip is written at once");
    let flipped = rows().await;
    pass(secs(20)).await;
    assert_eq!(rows().await, flipped, "nothing came, nothing is written");
}

#[tokio::test(start_paused = true)]
async fn views_are_in_order_and_every_report_moves_the_generation() {
    let lab = Lab::new().await;
    let names: [Name; 3] = ["b".into(), "a".into(), "c".into()];
    let changed = lab.checks.changed();
    for name in &names {
        lab.checks.watch(name, watch(3, 2));
        for subject in ["2", "1"] {
            let before = *changed.borrow();
            lab.checks.report(Report { worker: name.clone(), ..lab.of(subject, Up) });
            assert!(*changed.borrow() > before);
        }
    }
    let order: Vec<_> = lab.views().into_iter().map(|view| format!("{}{}", view.worker, view.subject)).collect();
    assert_eq!(order, ["a1", "a2", "b1", "b2", "c1", "c2"]);
    assert_eq!(lab.checks.views(Some("b")).len(), 2);
    assert_eq!(lab.checks.views(Some("nobody")), []);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_reports_a_second_are_cheap() {
    let lab = Lab::new().await;
    for worker in 0..10 {
        lab.checks.watch(&format!("w{worker}").into(), watch(3, 2));
    }
    let begun = std::time::Instant::now();
    for number in 0..20_000u32 {
        lab.checks.report(Report { worker: format!("w{}", number % 10).into(), ..lab.of(&format!("https://{}/", number % 1_000), Up) });
    }
    // A wide bound, for a debug build on a busy machine: a second's worth of reports takes well under that second.
    assert!(begun.elapsed() < secs(4), "{:?}", begun.elapsed());
    assert_eq!(lab.store.recent("w1", "https://1/", 100).await.unwrap().len(), 20);
    assert_eq!(lab.store.dropped(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_item_that_its_list_lost_while_the_host_was_off_goes_at_once() {
    let lab = Lab::new().await;
    let report = |lab: &Lab, worker: &str| {
        lab.checks.watch(&worker.into(), watch(3, 2));
        lab.checks.report(Report { worker: worker.into(), ..lab.of("10.0.0.7", Up) });
    };
    for worker in ["pinger/nas", "pinger/old", "moved/nas", "pages"] {
        report(&lab, worker);
    }
    let lab = lab.restart(secs(60)).await;
    lab.checks.watch(&"pinger/nas".into(), watch(3, 2));
    lab.checks.settle();
    // The others may be named again: a file was moved, a folder is not mounted yet.
    for worker in ["pinger/old", "moved/nas", "pages"] {
        lab.checks.watch(&worker.into(), watch(3, 2));
    }
    let kept: Vec<String> = lab.views().into_iter().map(|view| view.worker.to_string()).collect();
    assert_eq!(kept, ["moved/nas", "pages", "pinger/nas"]);
}
