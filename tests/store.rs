//! Kept facts, through the store's handle: durability, bounds, refusals.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use skep::{
    facts::{Digest, EventRecord, Level, Name, TrapCause, TrapRecord},
    store::{CheckRow, DesiredLog, Generation, Leases, Store, StoreError, StoreSettings},
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

fn number(db: &rusqlite::Connection, sql: &str) -> i64 {
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn generation(number: u64, files: &[(&str, &str)]) -> Generation {
    let files = files.iter().map(|(name, content)| (Arc::from(*name), Arc::from(*content))).collect();
    Generation { number, at: at("2026-03-01T12:00:00Z"), cause: "apply".into(), files }
}

fn event(id: u64) -> EventRecord {
    EventRecord {
        id,
        at: at("2026-03-01T12:00:00Z"),
        kind: "worker.started".into(),
        level: Level::Info,
        worker: Some("pages".into()),
        message: format!("event {id}"),
    }
}

fn trap(id: &str, worker: &str) -> Box<TrapRecord> {
    Box::new(TrapRecord {
        id: id.into(),
        at: at("2026-03-01T12:00:00Z"),
        worker: worker.into(),
        replica: 1,
        incarnation: 7,
        cause: TrapCause::Trap,
        message: "wasm trap: wasm `unreachable` instruction executed".into(),
        panic: Some("boom".into()),
        backtrace: vec!["crash::tick".into()],
        event: "tick".into(),
        input: "{}".into(),
        log: Vec::new(),
        component: "crash.wasm".into(),
        digest: Digest("sha256:00".into()),
        config_digest: Digest("sha256:01".into()),
        memory_peak_bytes: 65_536,
        ran_ms: 1.5,
    })
}

fn check(state: i32) -> CheckRow {
    CheckRow { worker: "pages".into(), subject: "https://a/".into(), state: serde_json::json!({ "n": state }) }
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(to.join(entry.file_name())).unwrap();
            copy_folder(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[tokio::test]
async fn an_awaited_write_is_answered_after_its_commit() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let saves = (1..=40u64).map(|number| {
        let store = store.clone();
        let path = dir.path().join("control.db");
        tokio::spawn(async move {
            store.save_generation(generation(number, &[("a.toml", &number.to_string())])).await.unwrap();
            // Another connection sees only what is committed.
            let db = rusqlite::Connection::open(path).unwrap();
            db.query_row("SELECT count(*) FROM generations WHERE number = ?1", [number.cast_signed()], |row| row.get::<_, i64>(0)).unwrap()
        })
    });
    for save in saves.collect::<Vec<_>>() {
        assert_eq!(save.await.unwrap(), 1);
    }
}

#[tokio::test]
async fn a_killed_host_keeps_every_answered_write() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    store.record_event(event(1));
    store.save_generation(generation(1, &[("a.toml", "a")])).await.unwrap();
    store.flush().await.unwrap();
    // What the disk held at this moment is all that a killed host leaves.
    let left = TempDir::new().unwrap();
    copy_folder(dir.path(), left.path());
    let again = open(&left);
    assert_eq!(again.latest_generation().await.unwrap(), Some(generation(1, &[("a.toml", "a")])));
    assert_eq!(again.events(None, 10).await.unwrap(), [event(1)]);
    assert_eq!((again.boot(), again.last_event_id()), (2, 1));
}

#[tokio::test]
async fn what_was_recorded_is_written_when_the_last_handle_goes() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    store.record_trap(trap("019a-1111", "crash"));
    store.record_checks(vec![check(1)]);
    drop(store);
    let again = open(&dir);
    let mut kept = 0;
    // The old writers finish on their own threads; a query by the new store doesn't wait for those.
    for _ in 0..500 {
        kept = again.traps(None, 10).await.unwrap().len() + again.load_checks().await.unwrap().len();
        if kept == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(kept, 2);
}

#[tokio::test]
async fn a_query_sees_what_was_recorded_before_it() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    for id in 1..=5 {
        store.record_event(event(id));
        assert_eq!(store.events(None, 1).await.unwrap(), [event(id)]);
    }
    store.record_checks(vec![check(1)]);
    assert_eq!(store.load_checks().await.unwrap(), [check(1)]);
}

#[tokio::test]
async fn undo_finds_the_generation_before() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    assert_eq!(store.latest_generation().await.unwrap(), None);
    let first = generation(1, &[("a.toml", "a"), ("b.toml", "b")]);
    let third = generation(3, &[("a.toml", "a"), ("b.toml", "changed")]);
    store.save_generation(first.clone()).await.unwrap();
    store.save_generation(third.clone()).await.unwrap();
    assert_eq!(store.latest_generation().await.unwrap(), Some(third));
    assert_eq!(store.generation_before(3).await.unwrap(), Some(first));
    assert_eq!(store.generation_before(1).await.unwrap(), None);
    // Saved again: replaced, not doubled.
    let empty = generation(3, &[]);
    DesiredLog::save_generation(&store, empty.clone()).await.unwrap();
    assert_eq!(DesiredLog::latest_generation(&store).await.unwrap(), Some(empty));
}

#[tokio::test]
async fn fifty_generations_are_kept_and_share_what_did_not_change() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let large = "x".repeat(2 << 20);
    for number in 1..=60 {
        store.save_generation(generation(number, &[("large.toml", &large), ("small.toml", &number.to_string())])).await.unwrap();
    }
    let db = sqlite(&dir, "control.db");
    assert_eq!(number(&db, "SELECT count(*) FROM generations"), 50);
    assert_eq!(number(&db, "SELECT min(number) FROM generations"), 11);
    assert_eq!(number(&db, "SELECT count(*) FROM blobs"), 51);
    assert!(number(&db, "SELECT sum(size) FROM blobs") < 3 << 20);
    assert_eq!(store.generation_before(12).await.unwrap().unwrap().files[0].1.len(), 2 << 20);
}

#[tokio::test]
async fn generations_of_large_changing_files_are_bounded_in_bytes() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    for number in 1..=6u8 {
        let content = char::from(b'a' + number).to_string().repeat(24 << 20);
        store.save_generation(generation(number.into(), &[("huge.toml", &content)])).await.unwrap();
    }
    let db = sqlite(&dir, "control.db");
    assert!(number(&db, "SELECT sum(size) FROM blobs") <= 128 << 20);
    assert_eq!(number(&db, "SELECT max(number) FROM generations"), 6);
    assert!(store.generation_before(6).await.unwrap().is_some());
}

#[tokio::test]
async fn traps_are_found_by_either_end_of_their_id() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let ids = ["0199aaaa-0000-7000-8000-00000000beef", "0199aaaa-0000-7000-8000-00000000cafe", "0199bbbb-0000-7000-8000-00000000f00d"];
    for id in ids {
        store.record_trap(trap(id, "crash"));
    }
    for part in [ids[1], "cafe", "0000cafe", "CAFE"] {
        assert_eq!(store.trap(part).await.unwrap(), Some(*trap(ids[1], "crash")), "{part}");
    }
    assert_eq!(store.trap("0199bbbb").await.unwrap().unwrap().id, ids[2]);
    for nothing in ["", "afe", "1111", "%%%%", "0199____"] {
        assert_eq!(store.trap(nothing).await.unwrap(), None, "{nothing}");
    }
    let several = store.trap("0199aaaa").await.unwrap_err();
    assert!(matches!(several, StoreError::Ambiguous(_)));
    assert!(several.to_string().contains(ids[0]) && several.to_string().contains(ids[1]), "{several}");
}

#[tokio::test]
async fn at_most_a_hundred_traps_of_a_worker_and_a_thousand_in_all_are_kept() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    for number in 0..250 {
        store.record_trap(trap(&format!("loop-{number:04}"), "loop"));
    }
    assert_eq!(store.traps(Some("loop".into()), 1_000).await.unwrap().len(), 100);
    assert_eq!(store.traps(None, 1).await.unwrap()[0].id, "loop-0249");
    for worker in 0..12 {
        for number in 0..100 {
            store.record_trap(trap(&format!("{worker:02}-{number:04}"), &format!("w{worker}")));
        }
    }
    assert_eq!(store.traps(None, 10_000).await.unwrap().len(), 1_000);
    assert_eq!(store.traps(Some("loop".into()), 10).await.unwrap().len(), 0);
    assert_eq!(store.traps(Some("w11".into()), 10).await.unwrap()[0].id, "11-0099");
}

#[tokio::test]
async fn ten_thousand_events_are_kept_and_read_in_pages() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    for id in 1..=10_500 {
        store.record_event(event(id));
    }
    let newest = store.events(None, 3).await.unwrap();
    assert_eq!(newest.iter().map(|event| event.id).collect::<Vec<_>>(), [10_498, 10_499, 10_500]);
    assert_eq!(store.events(Some(10_498), 1).await.unwrap()[0].id, 10_497);
    let all = store.events(None, usize::MAX).await.unwrap();
    assert_eq!((all.len(), all[0].id), (10_000, 501));
    let mut long = event(10_501);
    long.message = "é".repeat(10_000);
    store.record_event(long);
    assert_eq!(store.events(None, 1).await.unwrap()[0].message.len(), 4_096);
}

#[tokio::test]
async fn check_states_are_replaced_and_forgotten() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    store.record_checks(vec![check(1)]);
    store.record_checks(vec![check(2)]);
    assert_eq!(store.load_checks().await.unwrap(), [check(2)]);
    store.forget_checks(vec![("pages".into(), "https://a/".into())]).await.unwrap();
    assert_eq!(store.load_checks().await.unwrap(), []);
}

#[tokio::test]
async fn epochs_grow_over_claims_and_restarts() {
    let dir = TempDir::new().unwrap();
    let (pages, nas): (Name, Name) = ("pages".into(), "pinger/nas".into());
    let store = open(&dir);
    assert_eq!(store.boot(), 1);
    let first = store.claim(&pages, 1).await.unwrap();
    let second = store.claim(&pages, 1).await.unwrap();
    assert!(second > first);
    assert_eq!(store.claim(&nas, 1).await.unwrap(), first, "replicas count on their own");
    store.close().await.unwrap();
    let again = open(&dir);
    assert_eq!(again.boot(), 2);
    assert!(again.claim(&pages, 1).await.unwrap() > second);
}

#[tokio::test]
async fn a_failing_disk_fails_the_batch_and_the_writer_lives_on() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let db = sqlite(&dir, "control.db");
    // SQLite gives the whole transaction up, as it does for a full disk.
    for table in ["generations", "events"] {
        let full =
            format!("CREATE TRIGGER full_{table} BEFORE INSERT ON {table} BEGIN SELECT RAISE(ROLLBACK, 'database or disk is full'); END");
        db.execute_batch(&full).unwrap();
    }
    store.record_event(event(1));
    let refused = store.save_generation(generation(1, &[])).await.unwrap_err();
    assert!(refused.to_string().contains("control.db") && refused.to_string().contains("disk is full"), "{refused}");
    assert_eq!(store.dropped(), 1);
    db.execute_batch("DROP TRIGGER full_generations; DROP TRIGGER full_events").unwrap();
    store.save_generation(generation(2, &[])).await.unwrap();
    store.record_event(event(2));
    assert_eq!(store.events(None, 10).await.unwrap(), [event(2)]);
}

#[tokio::test]
async fn a_write_that_fails_alone_takes_no_neighbour_along() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let db = sqlite(&dir, "control.db");
    db.execute_batch("CREATE TRIGGER no BEFORE INSERT ON generation_files WHEN NEW.name = 'bad' BEGIN SELECT RAISE(ABORT, 'no'); END")
        .unwrap();
    store.record_event(event(1));
    let (good, bad) = (generation(1, &[("good", "1")]), generation(2, &[("also", "2"), ("bad", "2")]));
    let (good, bad) = tokio::join!(store.save_generation(good), store.save_generation(bad));
    good.unwrap();
    bad.unwrap_err();
    assert_eq!(store.latest_generation().await.unwrap().unwrap().number, 1, "nothing of the failed one stays");
    assert_eq!((store.events(None, 10).await.unwrap().len(), store.dropped()), (1, 0));
}

#[tokio::test]
async fn records_past_the_bound_are_counted_and_never_block() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    // Another program holds the file: the writer waits for it, its callers don't.
    let db = sqlite(&dir, "control.db");
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    for id in 1..=150_000 {
        store.record_event(event(id));
    }
    let dropped = store.dropped();
    assert!((10_000..=150_000 - 65_536).contains(&dropped), "{dropped}");
    db.execute_batch("ROLLBACK").unwrap();
    store.flush().await.unwrap();
    assert_eq!(store.dropped(), dropped);
    assert_eq!(store.events(None, 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    store.record_event(event(1));
    assert_eq!(store.events(None, 10).await.unwrap().len(), 1);
    store.close().await.unwrap();
    store.close().await.unwrap();
    assert!(matches!(store.save_generation(generation(1, &[])).await, Err(StoreError::Closed)));
    store.record_event(event(2));
    assert_eq!(store.dropped(), 1);
    assert!(!dir.path().join("control.db-wal").exists(), "a clean close leaves one plain file");
    assert_eq!(open(&dir).events(None, 10).await.unwrap(), [event(1)]);
}

#[test]
fn only_the_owner_may_read() {
    let parent = TempDir::new().unwrap();
    let dir = parent.path().join("data");
    let store = Store::open(settings(&dir)).unwrap();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(dir.clone()), mode(dir.join("history"))), (0o700, 0o700));
    for file in ["control.db", "control.db-wal", "history/rollup.db"] {
        assert_eq!(mode(dir.join(file)), 0o600, "{file}");
    }
    drop(store);
    // A backup restored with a careless umask.
    fs::set_permissions(dir.join("control.db"), fs::Permissions::from_mode(0o644)).unwrap();
    let _again = Store::open(settings(&dir)).unwrap();
    assert_eq!(mode(dir.join("control.db")), 0o600);
}

#[tokio::test]
async fn a_file_that_is_not_what_it_should_be_is_refused_and_left_alone() {
    let newer = |db: &rusqlite::Connection| db.execute_batch("PRAGMA user_version = 99").unwrap();
    let other = |path: &Path| {
        fs::remove_file(path).unwrap();
        rusqlite::Connection::open(path).unwrap().execute_batch("CREATE TABLE theirs (x); PRAGMA user_version = 1").unwrap();
    };
    type Spoil<'a> = (&'a str, &'a str, &'a dyn Fn(&Path));
    let cases: [Spoil; 5] = [
        ("is not a database", "move it aside", &|path| fs::write(path, "not a database, ".repeat(500)).unwrap()),
        ("is damaged", "restore it from a backup", &|path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("not one of skep's", "move it aside", &other),
        ("written by a newer skep", "run that version again", &|path| newer(&rusqlite::Connection::open(path).unwrap())),
        ("directory", "opening", &|path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
    ];
    for file in ["control.db", "history/rollup.db"] {
        for (how, way_out, spoil) in &cases {
            let dir = TempDir::new().unwrap();
            let store = open(&dir);
            store.save_generation(generation(1, &[("a.toml", &"x".repeat(20_000))])).await.unwrap();
            store.close().await.unwrap();
            let path = dir.path().join(file);
            spoil(&path);
            let before = path.is_file().then(|| fs::read(&path).unwrap());
            let sentence = Store::open(settings(dir.path())).unwrap_err().to_string();
            for part in [*how, *way_out, file] {
                assert!(sentence.contains(part), "{file}: {sentence:?} should say {part:?}");
            }
            assert_eq!(path.is_file().then(|| fs::read(&path).unwrap()), before, "{file}, {how}: not touched");
        }
    }
}
