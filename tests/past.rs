//! A check's past over a range: percentiles, summaries, changes, marks, failures; old files; against a list of seconds.

use std::{path::Path, sync::Arc, time::Duration};

use jiff::Timestamp;
use proptest::prelude::*;
use skep::{
    checks::{Checks, Report, Watch},
    clock::Clock,
    facts::{
        Change,
        CheckStatus::{self, Degraded, Down, Unknown, Up},
        CheckView, Digest, Evidence, Summary,
    },
    journal::Journal,
    manifest::spec::CheckPolicy,
    store::{CheckRow, Deployed, Past, Resolution, ResultRow, SeenRow, Span, Store, StoreSettings},
};
use tempfile::TempDir;
use tokio::sync::mpsc;

const WORKER: &str = "pages";
const URL: &str = "https://a/";
const HOUR_MS: i64 = 3_600_000;

fn open(dir: &Path) -> Store {
    Store::open(StoreSettings { dir: dir.to_owned(), history_bytes: 64 << 20, history_days: 14 }).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn result(at: Timestamp, status: CheckStatus, latency_ms: f64) -> ResultRow {
    let failed = status != Up;
    ResultRow {
        worker: WORKER.into(),
        subject: URL.into(),
        at,
        status,
        latency_ms: Some(latency_ms),
        evidence: failed.then(|| Box::new(Evidence { http_status: Some(503), ..Evidence::default() })),
        detail: failed.then(|| "status 503".into()),
        up_ms: 1_000,
        degraded_ms: 0,
        down_ms: 0,
    }
}

async fn past(store: &Store, until: Timestamp, hours: i64, resolution: Resolution, rows: u32) -> Past {
    store.past(WORKER, URL, Span::before(until, hours * HOUR_MS, resolution, rows)).await.unwrap()
}

#[tokio::test]
async fn percentiles_of_every_range_are_those_of_all_its_results() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let start = at("2026-03-01T00:00:00Z");
    // Two days of a result a minute; latencies of no particular order, one in fifty slow. Told in many batches.
    let latency = |n: u64| if n % 50 == 7 { 2_000.0 + n as f64 } else { 10.0 + (n * 7_919 % 997) as f64 / 10.0 };
    for part in 0..48u64 {
        store.record_results((part * 60..(part + 1) * 60).map(|n| result(start + secs(60 * n), Up, latency(n))).collect());
        if part % 5 == 0 {
            store.flush().await.unwrap();
        }
    }
    let until = start + secs(2_880 * 60);
    for (hours, resolution, rows, points) in
        [(1, Resolution::Minute, 1, 60), (24, Resolution::Minute, 5, 288), (48, Resolution::Hour, 3, 16), (48, Resolution::Day, 1, 2)]
    {
        let past = past(&store, until, hours, resolution, rows).await;
        assert_eq!(past.points.len(), points, "{resolution:?}");
        let first = 2_880 - hours.unsigned_abs() * 60;
        let mut all: Vec<f64> = (first..2_880).map(latency).collect();
        all.sort_by(f64::total_cmp);
        let exact = |share: f64| all[(share * all.len() as f64).ceil() as usize - 1];
        let told = past.summary.latency.unwrap();
        for (told, share) in [(told.p50_ms, 0.5), (told.p95_ms, 0.95), (told.p99_ms, 0.99)] {
            let (told, exact) = (told.unwrap(), exact(share));
            assert!((told - exact).abs() <= exact * 0.05, "{resolution:?}: {told} is not {exact} at {share}");
        }
        let close = |a: f64, b: f64| assert!((a - b).abs() < 0.01, "{a} is not {b}");
        close(told.min_ms, all[0]);
        close(told.max_ms, all[all.len() - 1]);
        close(told.avg_ms, all.iter().sum::<f64>() / all.len() as f64);
        assert_eq!(past.summary.results, all.len() as u64);
        for point in &past.points {
            let (p50, p95, p99) = (point.latency_p50_ms.unwrap(), point.latency_p95_ms.unwrap(), point.latency_p99_ms.unwrap());
            assert!(point.latency_min_ms.unwrap() <= p50 && p50 <= p95 && p95 <= p99 && p99 <= point.latency_max_ms.unwrap(), "{point:?}");
        }
    }
    assert_eq!(store.dropped(), 0);
}

/// What a skep before percentiles would have left.
fn as_of_version_1(file: &Path, tables: &[&str]) {
    let db = rusqlite::Connection::open(file).unwrap();
    for table in tables {
        db.execute_batch(&format!("ALTER TABLE {table} DROP COLUMN sketch")).unwrap();
    }
    if tables == ["minutes"] {
        db.execute_batch("ALTER TABLE results DROP COLUMN detail; ALTER TABLE checks DROP COLUMN failure").unwrap();
    }
    db.pragma_update(None, "user_version", 1).unwrap();
}

#[tokio::test]
async fn files_of_before_there_were_percentiles_stay_readable() {
    let dir = TempDir::new().unwrap();
    let start = at("2026-03-01T12:00:00Z");
    let store = open(dir.path());
    store.record_results((0..10).map(|n| result(start + secs(60 * n), if n == 3 { Down } else { Up }, 20.0)).collect());
    store.close().await.unwrap();
    drop(store);
    let (day, rollup) = (dir.path().join("history/2026-03-01.db"), dir.path().join("history/rollup.db"));
    as_of_version_1(&day, &["minutes"]);
    as_of_version_1(&rollup, &["hours", "days"]);

    let store = open(dir.path());
    let until = start + secs(3_600);
    let old = past(&store, until, 1, Resolution::Minute, 1).await;
    assert_eq!((old.points.len(), old.points[0].latency_avg_ms, old.points[0].latency_p50_ms), (10, Some(20.0), None));
    let latency = old.summary.latency.unwrap();
    assert_eq!((latency.p50_ms, latency.avg_ms, latency.max_ms), (None, 20.0, 20.0));
    let failure = old.failure.unwrap();
    assert_eq!((failure.at, failure.status, &*failure.detail), (start + secs(180), Down, ""), "found without a pointer");
    assert_eq!(failure.evidence.unwrap().http_status, Some(503));
    assert_eq!(store.recent(WORKER, URL, 100).await.unwrap().len(), 10);
    assert_eq!(past(&store, until, 48, Resolution::Hour, 1).await.summary.results, 10);
    let version = |file: &Path| -> i64 {
        let db = rusqlite::Connection::open(file).unwrap();
        db.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
    };
    assert_eq!((version(&day), version(&rollup)), (1, 2), "a day that nobody writes to stays as it is");

    // The day goes on: it is brought to this version, and what it knew is still known.
    store.record_results(vec![result(start + secs(600), Up, 40.0)]);
    let new = past(&store, until, 1, Resolution::Minute, 1).await;
    assert_eq!(version(&day), 2);
    assert_eq!(new.points.iter().filter(|point| point.latency_p50_ms.is_none()).count(), 10);
    assert_eq!(new.points.last().unwrap().latency_p50_ms, Some(40.0));
    assert_eq!(new.failure.unwrap().at, start + secs(180));
    let hours = past(&store, until, 48, Resolution::Hour, 1).await;
    let hour = hours.points.last().unwrap();
    assert_eq!((hour.results, hour.latency_max_ms, hour.latency_p50_ms), (11, Some(40.0), None), "one of eleven says nothing of all");
    store.record_results(vec![result(start + secs(660), Degraded, 40.0), result(start + secs(720), Up, 40.0)]);
    let failure = past(&store, until, 1, Resolution::Minute, 1).await.failure.unwrap();
    assert_eq!((failure.at, failure.status, &*failure.detail), (start + secs(660), Degraded, "status 503"));
    assert_eq!(store.dropped(), 0);
}

#[tokio::test]
async fn the_last_failure_is_found_days_back_and_corrupt_sketches_are_nothing() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let start = at("2026-03-01T12:00:00Z");
    store.record_results(vec![result(start, Down, 5.0)]);
    store.record_results((1..6).map(|day| result(start + secs(day * 86_400), Up, 5.0)).collect());
    let until = start + secs(6 * 86_400);
    assert_eq!(past(&store, until, 1, Resolution::Minute, 1).await.failure.unwrap().at, start);
    assert_eq!(store.past(WORKER, "https://b/", Span::before(until, HOUR_MS, Resolution::Minute, 1)).await.unwrap().failure, None);
    let db = rusqlite::Connection::open(dir.path().join("history/rollup.db")).unwrap();
    db.execute("UPDATE days SET sketch = x'ffffffffffffffffffff7f01'", []).unwrap();
    let broken = past(&store, until, 8 * 24, Resolution::Day, 1).await;
    assert_eq!((broken.summary.results, broken.summary.latency.unwrap().p50_ms), (6, None));
    // What comes to it later counts again.
    store.record_results(vec![result(start + secs(5 * 86_400 + 60), Up, 5.0)]);
    let mended = past(&store, until, 8 * 24, Resolution::Day, 1).await;
    assert_eq!((mended.points.last().unwrap().latency_p50_ms, mended.summary.latency.unwrap().p50_ms), (Some(5.0), None));
}

#[tokio::test]
async fn time_that_no_result_tells_counts_where_it_was() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let until = at("2026-03-02T00:00:00Z");
    let row = SeenRow { worker: WORKER.into(), subject: URL.into(), at: until, up_ms: 0, degraded_ms: 0, down_ms: 1_800_000 };
    store.record_seen(vec![row]);
    let hour = past(&store, until, 1, Resolution::Minute, 1).await;
    assert_eq!((hour.summary.uptime, hour.summary.coverage, hour.summary.results), (Some(0.0), 0.5, 0));
    assert_eq!((hour.points.len(), hour.points[0].at, hour.summary.latency), (30, at("2026-03-01T23:30:00Z"), None));
    assert!(!dir.path().join("history/2026-03-02.db").exists(), "midnight itself is of no day");
    let nothing = past(&store, at("2027-01-01T00:00:00Z"), 24, Resolution::Minute, 5).await;
    assert_eq!(nothing.summary, Summary { uptime: None, coverage: 0.0, results: 0, latency: None });
}

fn row(subject: &str) -> CheckRow {
    CheckRow { worker: WORKER.into(), subject: subject.into(), state: serde_json::json!({ "n": 1 }) }
}

fn change(second: i64, detail: &str) -> Change {
    Change { at: Timestamp::from_second(second).unwrap(), from: Up, to: Down, detail: detail.to_owned() }
}

#[tokio::test]
async fn changes_are_kept_with_their_row_bounded_and_forgotten_with_the_check() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    for n in 0..450 {
        store.record_flip(row(URL), change(n, &format!("refused {n}\nsecond line")));
        if n % 90 == 0 {
            store.flush().await.unwrap();
        }
    }
    store.record_flip(row("https://b/"), change(1, &"é".repeat(500)));
    store.close().await.unwrap();
    drop(store);
    let store = open(dir.path());
    let changes = store.changes(WORKER, URL).await.unwrap();
    assert_eq!((changes.len(), &changes[0], &*changes[199].detail), (200, &change(449, "refused 449"), "refused 250"));
    assert_eq!(store.changes(WORKER, "https://b/").await.unwrap()[0].detail, "é".repeat(100));
    assert_eq!(store.load_checks().await.unwrap().len(), 2, "the rows came with them");
    let db = rusqlite::Connection::open(dir.path().join("control.db")).unwrap();
    let kept = |table: &str| db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(kept("changes"), 201, "what is not shown is not kept");
    store.forget_checks(vec![(WORKER.into(), URL.into())]).await.unwrap();
    assert_eq!((store.changes(WORKER, URL).await.unwrap(), kept("changes")), (vec![], 1));
}

#[tokio::test]
async fn changes_of_all_checks_together_are_bounded() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    // Spread over subjects that each stay within their own bound.
    let subjects: Vec<Arc<str>> = (0..600).map(|n| format!("https://{n}/").into()).collect();
    for second in 0..90 {
        subjects.iter().for_each(|subject| store.record_flip(row(subject), change(second, "")));
        store.flush().await.unwrap();
    }
    assert_eq!(store.dropped(), 0);
    let db = rusqlite::Connection::open(dir.path().join("control.db")).unwrap();
    let kept: i64 = db.query_row("SELECT count(*) FROM changes", [], |row| row.get(0)).unwrap();
    assert!((50_000..51_000).contains(&kept), "{kept}");
    assert!(store.changes(WORKER, &subjects[0]).await.unwrap().iter().all(|change| change.at.as_second() > 5), "the oldest went");
}

#[tokio::test]
async fn marks_say_what_is_new_and_nothing_twice() {
    let dir = TempDir::new().unwrap();
    let digest = |letter: &str| Digest(format!("sha256:{}", letter.repeat(64)).into());
    let deploy = |store: &Store, second: i64, component: &str, config: &str| {
        let at = Timestamp::from_second(second).unwrap();
        store.record_deployed(Deployed { worker: WORKER.into(), at, component: digest(component), config: digest(config) });
    };
    let marks = async |store: &Store| -> Vec<String> {
        let marks = store.marks(WORKER, Timestamp::UNIX_EPOCH).await.unwrap();
        marks.into_iter().map(|mark| format!("{} {}", mark.at.as_second(), mark.text)).collect()
    };
    let store = open(dir.path());
    deploy(&store, 1, "a", "1");
    deploy(&store, 2, "a", "1");
    deploy(&store, 3, "a", "2");
    deploy(&store, 4, "b", "2");
    store.close().await.unwrap();
    drop(store);
    // The same after a restart is no news; what was changed meanwhile is.
    let store = open(dir.path());
    deploy(&store, 5, "b", "2");
    deploy(&store, 6, "a", "2");
    deploy(&store, 7, "c", "3");
    assert_eq!(
        marks(&store).await,
        [
            "7 component sha256:aaaaaaaaaaaa… → sha256:cccccccccccc…, config changed",
            "6 component back to sha256:aaaaaaaaaaaa…",
            "4 component sha256:aaaaaaaaaaaa… → sha256:bbbbbbbbbbbb…",
            "3 config changed",
            "1 created",
        ]
    );
    assert_eq!(store.marks(WORKER, Timestamp::from_second(6).unwrap()).await.unwrap().len(), 2);
    for second in 10..110 {
        deploy(&store, second, "c", &second.to_string());
    }
    let bounded = marks(&store).await;
    assert_eq!((bounded.len(), &*bounded[0]), (50, "109 config changed"));
    store.record_undeployed(WORKER);
    assert_eq!(marks(&store).await, [""; 0]);
    deploy(&store, 200, "c", "3");
    assert_eq!(marks(&store).await, ["200 created"]);
}

/// A board on a store and a clock of its own, with one check.
struct Lab {
    dir: TempDir,
    store: Store,
    clock: Clock,
    checks: Checks,
}

fn watch(paused: bool) -> Watch {
    Watch { policy: CheckPolicy { confirm: 1, recover: 1 }, interval: Some(secs(30)), paused, maintenance: false }
}

impl Lab {
    async fn on(dir: TempDir, from: Timestamp) -> Self {
        let store = open(dir.path());
        let clock = Clock::starting_at(from);
        let (asked, _) = mpsc::unbounded_channel();
        let checks = Checks::start(store.clone(), Journal::new(clock, Some(store.clone())), clock, asked).await.unwrap();
        checks.watch(&WORKER.into(), watch(false));
        Self { dir, store, clock, checks }
    }

    /// The host stops, is off for so long, and starts again. Paused time stands still while a blocking task runs.
    async fn restart(self, off: Duration) -> Self {
        let Self { dir, store, clock, checks } = self;
        let runtime = tokio::runtime::Handle::current();
        let stopped = tokio::task::spawn_blocking(move || {
            runtime.block_on(async {
                checks.flush().await;
                drop(checks);
                store.close().await.unwrap();
            });
        });
        stopped.await.unwrap();
        Self::on(dir, clock.wall() + off).await
    }

    fn report(&self, status: CheckStatus) {
        self.checks.report(Report {
            worker: WORKER.into(),
            subject: URL.into(),
            status,
            latency_ms: Some(10.0),
            detail: String::new(),
            valid_for: None,
            at: self.clock.wall(),
            evidence: None,
        });
    }

    async fn look(&self, length_ms: i64, resolution: Resolution, rows: u32) -> (CheckView, Past, Span) {
        let view = self.checks.look(WORKER, URL).unwrap();
        let span = Span::before(self.clock.wall(), length_ms, resolution, rows);
        (view, self.store.past(WORKER, URL, span).await.unwrap(), span)
    }
}

/// What happens next, after so many seconds.
#[derive(Debug, Clone, Copy)]
enum Step {
    Result(CheckStatus),
    Pause,
    /// The host is off for so long.
    Restart(u64),
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let status = prop_oneof![4 => Just(Up), 1 => Just(Degraded), 2 => Just(Down), 2 => Just(Unknown)];
    let step = prop_oneof![12 => status.prop_map(Step::Result), 1 => Just(Step::Pause), 1 => (1u64..4_000).prop_map(Step::Restart)];
    // Never the moment itself at which a silence is judged.
    let gap = prop_oneof![6 => 1u64..60, 3 => 61u64..400, 1 => 400u64..9_000];
    prop::collection::vec((gap, step), 1..50)
}

/// What every second counted as: `u`p, de`g`raded, `d`own; a blank was not seen.
struct Seconds {
    cells: Vec<char>,
    /// What is shown, when its last result came, unknown results in a row, and whether time counts by it.
    shown: Option<CheckStatus>,
    last: i64,
    unknowns: u32,
    current: bool,
    paused: bool,
    /// Where silence counts from.
    heard: i64,
}

impl Seconds {
    fn now(&self) -> i64 {
        self.cells.len() as i64
    }

    fn second(&mut self, on: bool) {
        if on && !self.paused && self.now() >= self.heard + 60 {
            (self.shown, self.unknowns) = (None, 0);
        }
        let seen = on && !self.paused && self.current && self.now() < self.last + 60;
        self.cells.push(match self.shown.filter(|_| seen) {
            Some(Up) => 'u',
            Some(Degraded) => 'g',
            Some(Down) => 'd',
            _ => ' ',
        });
    }

    fn result(&mut self, status: CheckStatus) {
        if self.now() >= self.heard + 60 && !self.paused {
            (self.shown, self.unknowns) = (None, 0);
        }
        (self.last, self.heard, self.current) = (self.now(), self.now(), true);
        self.unknowns = if status == Unknown { self.unknowns + 1 } else { 0 };
        match status {
            Unknown if self.unknowns >= 2 => self.shown = None,
            Unknown => {}
            known => self.shown = Some(known),
        }
    }

    /// Both figures of so many seconds up to now, to a tenth of a second.
    fn agrees(&self, seconds: f64, uptime: Option<f64>, coverage: f64) {
        let window = &self.cells[self.cells.len().saturating_sub(seconds as usize)..];
        let count = |letters: &str| window.iter().filter(|cell| letters.contains(**cell)).count() as f64;
        let (good, known) = (count("ug"), count("ugd"));
        assert!((coverage * seconds - known).abs() < 0.1, "{} s were seen, not {known} of {seconds}", coverage * seconds);
        let told = uptime.map_or(0.0, |uptime| uptime * known);
        assert!(uptime.is_some() == (known > 0.0) && (told - good).abs() < 0.1, "{told} s were good, not {good} of {known}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Reports, silence, pauses and restarts, through board, store and files: uptime and coverage of every range are what a list of
    /// seconds says, those of the check's own 24 h as well.
    #[test]
    fn uptime_and_coverage_are_what_a_list_of_seconds_says(steps in steps(), minute in 0u64..1_440) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut lab = Lab::on(TempDir::new().unwrap(), at("2026-03-01T00:00:00Z") + secs(60 * minute)).await;
            let mut model = Seconds { cells: Vec::new(), shown: None, last: -60, unknowns: 0, current: false, paused: false, heard: -60 };
            lab.report(Up);
            model.result(Up);
            for (gap, step) in steps {
                tokio::time::sleep(secs(gap)).await;
                (0..gap).for_each(|_| model.second(true));
                match step {
                    Step::Result(status) => {
                        if !model.paused {
                            lab.report(status);
                            model.result(status);
                        }
                    }
                    Step::Pause => {
                        model.paused = !model.paused;
                        (model.current, model.heard) = (model.paused && model.current, model.now());
                        lab.checks.watch(&WORKER.into(), watch(model.paused));
                    }
                    Step::Restart(off) => {
                        lab = lab.restart(secs(off)).await;
                        (0..off).for_each(|_| model.second(false));
                        (model.current, model.paused, model.heard) = (false, false, model.now());
                    }
                }
            }
            for (length_ms, resolution, rows) in
                [(HOUR_MS, Resolution::Minute, 1), (24 * HOUR_MS, Resolution::Minute, 5), (720 * HOUR_MS, Resolution::Hour, 3), (8_760 * HOUR_MS, Resolution::Day, 1)]
            {
                let (view, past, span) = lab.look(length_ms, resolution, rows).await;
                let seconds = (span.until.duration_since(span.from).as_secs_f64()).round();
                model.agrees(seconds, past.summary.uptime, past.summary.coverage);
                model.agrees(86_400.0, view.uptime, view.coverage);
            }
        });
    }
}
