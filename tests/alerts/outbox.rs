//! A flip in the store: its row, its event and its alert are there together, or none of them is.

use std::time::Duration;

use jiff::Timestamp;
use skep::{
    facts::{Alert, AlertKind, EventRecord, JobState, Level},
    store::{ALERTS, CheckRow, Flip, JobFilter, Jobs, MAX_OPEN_ALERTS, NewJob, Outcome, Store, StoreSettings, Term, ToldRow},
};
use tempfile::TempDir;

fn open(dir: &TempDir) -> Store {
    Store::open(StoreSettings { dir: dir.path().to_owned(), history_bytes: 64 << 20, history_days: 14 }).unwrap()
}

fn at() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn event(id: u64) -> EventRecord {
    EventRecord {
        id,
        at: at(),
        kind: "check.changed".into(),
        level: Level::Warn,
        worker: Some("pages".into()),
        message: "up -> down".into(),
    }
}

fn flip() -> Flip {
    Flip {
        check: Some(CheckRow { worker: "pages".into(), subject: "https://a/".into(), state: serde_json::json!({ "down": true }) }),
        change: None,
        alert: Some(Alert::new(AlertKind::Check, at(), "down", "down: https://a/".into())),
        told: Some(ToldRow { worker: "pages".into(), state: Some(("quarantined".into(), 7)) }),
    }
}

/// Events, checks, alerts and workers told of, as another connection sees them.
fn rows(dir: &TempDir) -> [i64; 4] {
    let db = rusqlite::Connection::open(dir.path().join("control.db")).unwrap();
    ["events", "checks", "jobs", "told"].map(|table| db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap())
}

#[tokio::test]
async fn a_flip_is_kept_whole() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    store.open_outbox(true);
    store.record_happened(event(1), flip());
    store.flush().await.unwrap();
    assert_eq!(rows(&dir), [1, 1, 1, 1]);
    let jobs = store.jobs(JobFilter { queue: Some(ALERTS.into()), limit: 10, ..JobFilter::default() }, true).await.unwrap();
    assert_eq!((jobs.len(), jobs[0].state, &jobs[0].pushed_by), (1, JobState::Waiting, &"@alerts".to_owned()));
    assert_eq!(jobs[0].unique_key.as_deref(), Some(&*jobs[0].id));
    let leased = store.lease(ALERTS, 1, &"me".into(), Term::Host).remove(0);
    let alert: Alert = serde_json::from_slice(&leased.payload).unwrap();
    assert_eq!((alert.id, &*alert.summary), (leased.id.to_string(), "down: https://a/"));
    assert!(!alert.host.is_empty());
    // It outlives the host, as does that somebody takes alerts.
    store.close().await.unwrap();
    let store = open(&dir);
    assert!(store.outbox().is_open());
    assert_eq!(store.load_told().await.unwrap(), [ToldRow { worker: "pages".into(), state: Some(("quarantined".into(), 7)) }]);
    store.record_told(ToldRow { worker: "pages".into(), state: None });
    assert_eq!(store.load_told().await.unwrap(), []);
}

#[tokio::test]
async fn a_disk_that_refuses_the_alert_keeps_nothing_of_the_flip_until_it_takes_all_of_it() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    store.open_outbox(true);
    store.flush().await.unwrap();
    let saboteur = rusqlite::Connection::open(dir.path().join("control.db")).unwrap();
    saboteur.execute_batch("CREATE TRIGGER full BEFORE INSERT ON jobs BEGIN SELECT RAISE(ROLLBACK, 'full'); END").unwrap();
    store.record_happened(event(1), flip());
    assert!(store.flush().await.is_err());
    assert_eq!(rows(&dir), [0, 0, 0, 0], "all or nothing");
    assert_eq!(store.dropped(), 0, "kept, to be tried again");
    saboteur.execute_batch("DROP TRIGGER full").unwrap();
    let mut tries = 0;
    while rows(&dir) != [1, 1, 1, 1] {
        tries += 1;
        assert!(tries < 2_000, "{:?}", rows(&dir));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn nobody_takes_alerts_and_none_is_made() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    assert!(!store.outbox().is_open());
    store.record_happened(event(1), flip());
    store.flush().await.unwrap();
    assert_eq!(rows(&dir), [1, 1, 0, 1]);
}

#[tokio::test]
async fn a_dead_job_is_told_with_its_end_and_a_dead_alert_is_not() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    store.open_outbox(true);
    let queue: std::sync::Arc<str> = "todo".into();
    store.push(vec![NewJob::new(queue.clone(), "1".into(), "@api".into())]).await.unwrap();
    let job = store.lease("todo", 1, &"permuter".into(), Term::Host).remove(0);
    store.finish(job.id, job.attempt, Outcome::Dead("no use\nat all".into()), Vec::new()).await.unwrap();
    let alert = store.lease(ALERTS, 1, &"me".into(), Term::Host).remove(0);
    let told: Alert = serde_json::from_slice(&alert.payload).unwrap();
    assert_eq!(told.summary, "dead: a job of the queue todo after 1 try: no use");
    assert_eq!((told.worker.as_deref(), told.subject.as_deref()), (Some("permuter"), Some("todo")));
    assert_eq!(told.detail, Some(format!("job {}: no use\nat all", job.id)));
    store.finish(alert.id, alert.attempt, Outcome::Dead("nobody there".into()), Vec::new()).await.unwrap();
    assert_eq!(store.jobs(JobFilter { limit: 10, ..JobFilter::default() }, false).await.unwrap().len(), 2);
}

#[tokio::test]
async fn alerts_that_nobody_takes_are_bounded_and_counted() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    store.open_outbox(true);
    for id in 1..=MAX_OPEN_ALERTS + 5 {
        store.record_happened(event(id), Flip { alert: flip().alert, ..Flip::default() });
    }
    store.flush().await.unwrap();
    let [events, _, jobs, _] = rows(&dir);
    assert_eq!((events, jobs), (10_000, MAX_OPEN_ALERTS.cast_signed()));
    assert_eq!(store.outbox().left_out(), 5);
}
