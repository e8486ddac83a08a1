//! History, through the store's handle: raw results, rollups, caps, forgetting.

use std::{fs, path::Path, sync::Arc, time::Duration};

use jiff::Timestamp;
use proptest::prelude::*;
use skep::{
    facts::{CheckStatus, Evidence, Phases},
    store::{Resolution, ResultRow, Store, StoreSettings},
};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

fn settings(dir: &Path) -> StoreSettings {
    StoreSettings { dir: dir.to_owned(), history_bytes: 64 * MIB, history_days: 14 }
}

fn open(dir: &TempDir) -> Store {
    Store::open(settings(dir.path())).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn sqlite(dir: &TempDir, file: &str) -> rusqlite::Connection {
    rusqlite::Connection::open(dir.path().join(file)).unwrap()
}

fn result(subject: &str, at: Timestamp, up_ms: u64) -> ResultRow {
    ResultRow {
        worker: "pages".into(),
        subject: subject.into(),
        at,
        status: CheckStatus::Up,
        latency_ms: Some(12.5),
        evidence: None,
        detail: None,
        up_ms,
        degraded_ms: 0,
        down_ms: 0,
    }
}

fn day_files(dir: &TempDir) -> Vec<String> {
    let names = fs::read_dir(dir.path().join("history")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".db") && name != "rollup.db").collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_damaged_day_is_set_aside_and_history_goes_on() {
    let dir = TempDir::new().unwrap();
    open(&dir).close().await.unwrap();
    let damaged = dir.path().join("history/2026-03-01.db");
    fs::write(&damaged, "not a database, ".repeat(500)).unwrap();
    let store = open(&dir);
    store.record_results(vec![result("https://a/", at("2026-03-01T12:00:00Z"), 1_000)]);
    store.flush().await.unwrap();
    assert_eq!((store.dropped(), day_files(&dir)), (0, vec!["2026-03-01.2.db".to_owned(), "2026-03-01.db".to_owned()]));
    assert_eq!(store.recent("pages", "https://a/", 1).await.unwrap().len(), 1);
    let refused = store.recent("pages", "https://a/", 2).await.unwrap_err().to_string();
    assert!(refused.contains("2026-03-01.db is not a database"), "{refused}");
}

#[tokio::test]
async fn results_are_rolled_up_by_minute_hour_and_day() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let start = at("2026-03-01T12:00:00Z");
    // Every 20 s for two hours: up, then the last ten minutes down.
    let rows = (0..=360i64).map(|tick| {
        let seen = if tick == 0 { 0 } else { 20_000 };
        let mut row = result("https://a/", start + Duration::from_secs(20 * tick.unsigned_abs()), seen);
        row.latency_ms = (tick % 2 == 0).then(|| 10.0 + f64::from(i32::try_from(tick).unwrap()));
        if tick > 330 {
            (row.up_ms, row.down_ms, row.status) = (0, 20_000, CheckStatus::Down);
        }
        row
    });
    store.record_results(rows.collect());
    let of = async |resolution| store.history("pages", "https://a/", start, at("2026-03-02T00:00:00Z"), resolution).await.unwrap();
    let minutes = of(Resolution::Minute).await;
    assert_eq!(minutes.len(), 121);
    assert_eq!((minutes[0].at, minutes[0].span_s, minutes[0].results, minutes[0].up_ms), (start, 60, 3, 60_000));
    assert_eq!((minutes[0].latency_min_ms, minutes[0].latency_avg_ms, minutes[0].latency_max_ms), (Some(10.0), Some(11.0), Some(12.0)));
    assert_eq!((minutes[119].up_ms, minutes[119].down_ms), (0, 60_000));
    let hours = of(Resolution::Hour).await;
    assert_eq!((hours.len(), hours[0].up_ms, hours[1].up_ms, hours[1].down_ms), (3, 3_600_000, 3_000_000, 600_000));
    assert_eq!(hours.iter().map(|hour| hour.results).sum::<u64>(), 361);
    let days = store.history("pages", "https://a/", at("2026-03-01T00:00:00Z"), start, Resolution::Day).await.unwrap();
    assert_eq!((days.len(), days[0].span_s, days[0].results, days[0].up_ms), (1, 86_400, 361, 6_600_000));
    assert_eq!(of(Resolution::Day).await, [], "a day that began before the range is not in it");
    assert_eq!(store.history("pages", "https://b/", start, at("2026-03-02T00:00:00Z"), Resolution::Minute).await.unwrap(), []);
}

#[tokio::test]
async fn rollups_add_up_over_a_restart() {
    let dir = TempDir::new().unwrap();
    let (first, second) = (at("2026-03-01T12:00:10Z"), at("2026-03-01T12:00:30Z"));
    for time in [first, second] {
        let store = open(&dir);
        store.record_results(vec![result("https://a/", time, 5_000)]);
        store.close().await.unwrap();
    }
    let store = open(&dir);
    for resolution in [Resolution::Minute, Resolution::Hour, Resolution::Day] {
        let points =
            store.history("pages", "https://a/", at("2026-03-01T00:00:00Z"), at("2026-03-02T00:00:00Z"), resolution).await.unwrap();
        assert_eq!((points.len(), points[0].results, points[0].up_ms), (1, 2, 10_000));
    }
    let beats = store.recent("pages", "https://a/", 10).await.unwrap();
    assert_eq!(beats.iter().map(|beat| beat.at).collect::<Vec<_>>(), [first, second]);
    assert_eq!(store.recent_of_all(1).await.unwrap()[0].beats[0].at, second);
}

#[tokio::test]
async fn midnight_begins_a_file_and_splits_the_time_seen() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let (before, after) = (at("2026-03-01T23:59:50Z"), at("2026-03-02T00:00:20Z"));
    store.record_results(vec![result("https://a/", before, 0), result("https://a/", after, 30_000)]);
    store.flush().await.unwrap();
    assert_eq!(day_files(&dir), ["2026-03-01.db", "2026-03-02.db"]);
    for (resolution, seen) in
        [(Resolution::Minute, [10_000, 20_000]), (Resolution::Hour, [10_000, 20_000]), (Resolution::Day, [10_000, 20_000])]
    {
        let points =
            store.history("pages", "https://a/", at("2026-03-01T00:00:00Z"), at("2026-03-03T00:00:00Z"), resolution).await.unwrap();
        assert_eq!(points.iter().map(|point| point.up_ms).collect::<Vec<_>>(), seen, "{resolution:?}");
    }
    assert_eq!(store.recent("pages", "https://a/", 10).await.unwrap().len(), 2);
    // A third day retires the first: one plain file, as an operator would copy it.
    store.record_results(vec![result("https://a/", at("2026-03-03T12:00:00Z"), 0)]);
    store.flush().await.unwrap();
    assert!(!dir.path().join("history/2026-03-01.db-wal").exists());
    assert_eq!(store.recent("pages", "https://a/", 10).await.unwrap().len(), 3);
}

#[tokio::test]
async fn an_operator_can_read_a_day_with_sqlite() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let mut down = result("https://a/", at("2026-03-01T12:00:00.250Z"), 0);
    down.status = CheckStatus::Down;
    let phases = Phases { dns_ms: Some(0.25), ..Phases::default() };
    down.evidence = Some(Box::new(Evidence { phases, http_status: Some(503), excerpt: Some("overloaded".into()), ..Evidence::default() }));
    store.record_results(vec![down]);
    store.flush().await.unwrap();
    let db = sqlite(&dir, "history/2026-03-01.db");
    let row: (String, String, String, f64, String) = db
        .query_row("SELECT time, subject, status, latency_ms, evidence FROM readable", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })
        .unwrap();
    assert_eq!((&*row.0, &*row.1, &*row.2, row.3), ("2026-03-01T12:00:00.250Z", "https://a/", "down", 12.5));
    assert!(row.4.contains("overloaded"), "{}", row.4);
    let dns_us: i64 = db.query_row("SELECT dns_us FROM results", [], |row| row.get(0)).unwrap();
    assert_eq!(dns_us, 250);
}

#[tokio::test]
async fn the_oldest_days_go_past_the_cap_of_days() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(StoreSettings { history_days: 3, ..settings(dir.path()) }).unwrap();
    for day in 1..=6u64 {
        store.record_results(vec![result("https://a/", at("2026-03-01T12:00:00Z") + Duration::from_secs(86_400 * day), 1_000)]);
        store.flush().await.unwrap();
    }
    assert_eq!(day_files(&dir), ["2026-03-05.db", "2026-03-06.db", "2026-03-07.db"]);
    let days = store.history("pages", "https://a/", at("2026-03-01T00:00:00Z"), at("2026-04-01T00:00:00Z"), Resolution::Day).await.unwrap();
    assert_eq!(days.len(), 6, "rollups outlive the raw results");
    assert_eq!(store.dropped(), 0);
}

#[tokio::test]
async fn a_single_day_stays_within_the_cap_of_bytes() {
    let dir = TempDir::new().unwrap();
    let cap = 8 * MIB;
    let store = Store::open(StoreSettings { history_bytes: cap, ..settings(dir.path()) }).unwrap();
    let start = at("2026-03-01T00:00:00Z");
    let subjects: Vec<Arc<str>> = (0..150).map(|subject| format!("https://example.com/{subject}").into()).collect();
    let mut largest = 0;
    for second in 0..1_000u64 {
        let row =
            |subject: &Arc<str>| ResultRow { subject: subject.clone(), ..result("", start + Duration::from_secs(second * 80), 1_000) };
        store.record_results(subjects.iter().map(row).collect());
        if second % 25 == 24 {
            store.flush().await.unwrap();
            let folder = fs::read_dir(dir.path().join("history")).unwrap();
            largest = largest.max(folder.map(|entry| entry.unwrap().metadata().map_or(0, |file| file.len())).sum());
        }
    }
    assert_eq!(store.dropped(), 0);
    // A batch may overshoot by its own size before the oldest part goes.
    assert!((cap / 2..cap + MIB).contains(&largest), "{largest} bytes");
    assert!(day_files(&dir).len() > 1 && !day_files(&dir).contains(&"2026-03-01.db".to_owned()), "{:?}", day_files(&dir));
    let recent = store.recent("pages", &subjects[7], 30).await.unwrap();
    assert_eq!(recent.len(), 30, "the newest results are there, over parts");
}

#[tokio::test]
async fn rollups_stay_within_their_share_and_lose_their_oldest_hours() {
    let dir = TempDir::new().unwrap();
    let cap = 8 * MIB;
    let store = Store::open(StoreSettings { history_bytes: cap, ..settings(dir.path()) }).unwrap();
    let start = at("2026-03-01T00:00:00Z");
    let subjects: Vec<Arc<str>> = (0..500).map(|subject| format!("https://example.com/{subject}").into()).collect();
    for hour in 0..150u64 {
        let row =
            |subject: &Arc<str>| ResultRow { subject: subject.clone(), ..result("", start + Duration::from_secs(hour * 3_600), 1_000) };
        store.record_results(subjects.iter().map(row).collect());
        if hour % 5 == 4 {
            store.flush().await.unwrap();
        }
    }
    assert_eq!(store.dropped(), 0);
    let size = fs::metadata(dir.path().join("history/rollup.db")).unwrap().len();
    assert!((cap / 8..cap / 4 + MIB / 2).contains(&size), "{size} bytes");
    let until = at("2026-04-01T00:00:00Z");
    let hours = store.history("pages", &subjects[7], start, until, Resolution::Hour).await.unwrap();
    assert!(hours.len() < 150 && hours.len() > 50, "{} hours", hours.len());
    assert_eq!(hours.last().unwrap().at, start + Duration::from_secs(149 * 3_600));
    assert_eq!(store.history("pages", &subjects[7], start, until, Resolution::Day).await.unwrap().len(), 7, "days outlive hours");
}

#[tokio::test]
async fn a_forgotten_check_leaves_no_history_and_others_keep_theirs() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let time = at("2026-03-01T12:00:00Z");
    let day = Duration::from_secs(86_400);
    for subject in ["https://a/", "https://b/"] {
        store.record_results((0..4).map(|n| result(subject, time + n * day, 1_000)).collect());
    }
    store.forget_checks(vec![("pages".into(), "https://a/".into())]).await.unwrap();
    let all = async |subject| {
        let points =
            store.history("pages", subject, at("2026-01-01T00:00:00Z"), at("2026-04-01T00:00:00Z"), Resolution::Day).await.unwrap();
        (points.len(), store.recent("pages", subject, 100).await.unwrap().len())
    };
    assert_eq!((all("https://a/").await, all("https://b/").await), ((0, 0), (4, 4)));
    // It comes back, also in the batch that forgets it: what it was before stays away.
    store.record_results(vec![result("https://a/", time, 0), result("https://a/", time, 0)]);
    store.record_forgotten(vec![("pages".into(), "https://a/".into())]);
    store.record_results(vec![result("https://a/", time + 3 * day, 0)]);
    assert_eq!((all("https://a/").await, all("https://b/").await), ((1, 1), (4, 4)));
}

#[tokio::test]
async fn numbers_that_are_none_do_no_harm() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let time = at("2026-03-01T12:00:00Z");
    for latency in [f64::NAN, f64::INFINITY, -1.0] {
        store.record_results(vec![ResultRow { latency_ms: Some(latency), up_ms: u64::MAX, ..result("https://a/", time, 0) }]);
    }
    let hours =
        store.history("pages", "https://a/", at("2025-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"), Resolution::Hour).await.unwrap();
    assert_eq!((hours.len(), hours[0].latency_avg_ms, hours.last().unwrap().results), (40 * 24 + 1, None, 3));
    let forever = store.history("pages", "https://a/", Timestamp::MIN, Timestamp::MAX, Resolution::Minute).await.unwrap();
    assert_eq!(forever.len(), 12 * 60 + 1, "the day before was not kept, so nothing is made up for it");
    assert_eq!(store.recent("pages", "https://a/", usize::MAX).await.unwrap()[0].latency_ms, None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// However results fall, minutes, hours and days tell the same totals, and no span holds more than its length.
    #[test]
    fn resolutions_agree(gaps in prop::collection::vec((1u64..4_000, 0u8..3, prop::bool::weighted(0.3)), 1..60), start in 0u64..86_400) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = TempDir::new().unwrap();
            let store = open(&dir);
            let (from, until) = (at("2026-03-01T00:00:00Z"), at("2026-03-10T00:00:00Z"));
            let mut time = from + Duration::from_secs(start);
            store.record_results(vec![result("https://a/", time, 0)]);
            let mut seen = 0;
            for (gap, kind, batch) in gaps {
                time += Duration::from_secs(gap);
                let mut row = result("https://a/", time, 0);
                *[&mut row.up_ms, &mut row.degraded_ms, &mut row.down_ms][usize::from(kind)] = gap * 1_000;
                seen += gap * 1_000;
                store.record_results(vec![row]);
                if batch {
                    store.flush().await.unwrap();
                }
            }
            for resolution in [Resolution::Minute, Resolution::Hour, Resolution::Day] {
                let points = store.history("pages", "https://a/", from, until, resolution).await.unwrap();
                let sums = points.iter().map(|point| point.up_ms + point.degraded_ms + point.down_ms);
                assert_eq!(sums.clone().sum::<u64>(), seen);
                assert!(sums.zip(&points).all(|(sum, point)| sum <= point.span_s * 1_000));
            }
        });
    }
}
