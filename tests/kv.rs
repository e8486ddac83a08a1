//! Key-value state through the store's handle: against a model, over restarts, past every bound.

mod model;

use std::{fs, path::Path, time::Duration};

use jiff::Timestamp;
use skep::{
    clock::Clock,
    store::{
        Expect, Kv, MAX_BUCKET_BYTES, MAX_BUCKET_KEYS, MAX_KEY_BYTES, MAX_LISTED_BYTES, MAX_MANY, MAX_VALUE_BYTES, Store, StoreError,
        StoreSettings, Sums, Swapped,
    },
};
use tempfile::TempDir;

use crate::support::eventually;

fn settings(dir: &Path) -> StoreSettings {
    StoreSettings { dir: dir.to_owned(), history_bytes: 64 << 20, history_days: 14 }
}

fn open(dir: &TempDir) -> Store {
    Store::open(settings(dir.path())).unwrap()
}

fn noon() -> Clock {
    Clock::starting_at("2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap())
}

/// Moves tokio's time on; it goes on by itself after.
async fn later(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

fn sqlite(dir: &TempDir) -> rusqlite::Connection {
    rusqlite::Connection::open(dir.path().join("control.db")).unwrap()
}

async fn put(store: &Store, key: &str, value: &str) -> u64 {
    match store.set("b", key, value.as_bytes().to_vec().into(), None, Expect::Anything).await.unwrap() {
        Swapped::Set(revision) => revision,
        conflict @ Swapped::Conflict(_) => panic!("{conflict:?}"),
    }
}

async fn text(store: &Store, key: &str) -> Option<String> {
    let found = store.get("b", key).await.unwrap()?;
    Some(String::from_utf8(found.value.to_vec()).unwrap())
}

async fn keys(store: &Store, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    let found = store.entries("b", prefix, after.map(str::to_owned), limit).await.unwrap();
    found.into_iter().map(|entry| entry.key).collect()
}

#[tokio::test]
async fn what_was_answered_is_in_a_copy_of_the_folder() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let callers = (0..64).map(|caller| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..10 {
                let keys = vec!["all".to_owned(), format!("own-{caller}")];
                assert!(matches!(store.increment("b", keys, 1).await.unwrap(), Sums::Sums(sums) if sums.len() == 2));
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    // What a power cut would leave: the files as they lie there, the write-ahead log included.
    let copy = TempDir::new().unwrap();
    for file in ["control.db", "control.db-wal"] {
        fs::copy(dir.path().join(file), copy.path().join(file)).unwrap();
    }
    let after = open(&copy);
    assert_eq!(text(&after, "all").await.unwrap(), "640");
    for caller in 0..64 {
        assert_eq!(text(&after, &format!("own-{caller}")).await.unwrap(), "10");
    }
}

#[tokio::test]
async fn a_change_nobody_waits_for_is_done() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    drop(store.set("b", "k", "v".into(), None, Expect::Anything));
    drop(store.increment("b", vec!["n".into()], 3));
    store.flush().await.unwrap();
    assert_eq!((text(&store, "k").await.unwrap(), text(&store, "n").await.unwrap()), ("v".into(), "3".into()));
}

#[tokio::test]
async fn an_old_revision_is_refused_after_a_delete_and_a_restart() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let first = put(&store, "k", "one").await;
    assert!(first >= 1);
    assert!(store.delete("b", "k").await.unwrap());
    assert!(!store.delete("b", "k").await.unwrap());
    store.close().await.unwrap();

    let store = open(&dir);
    let second = put(&store, "k", "two").await;
    assert!(second > first);
    let stale = store.set("b", "k", "lost".into(), None, Expect::Revision(first)).await.unwrap();
    assert_eq!(stale, Swapped::Conflict(Some(second)));
    assert_eq!(store.set("b", "k", "lost".into(), None, Expect::Absent).await.unwrap(), Swapped::Conflict(Some(second)));
    assert_eq!(store.set("b", "gone", "lost".into(), None, Expect::Revision(second)).await.unwrap(), Swapped::Conflict(None));
    assert!(
        matches!(store.set("b", "k", "three".into(), None, Expect::Revision(second)).await.unwrap(), Swapped::Set(third) if third > second)
    );
    assert_eq!(text(&store, "k").await.unwrap(), "three");
}

#[tokio::test]
async fn one_of_many_that_race_for_a_revision_wins() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let revision = put(&store, "leader", "nobody").await;
    let racers = (0..32).map(|racer: u8| store.set("b", "leader", vec![racer].into(), None, Expect::Revision(revision)));
    let outcomes = futures_util::future::join_all(racers).await;
    assert_eq!(outcomes.into_iter().filter(|outcome| matches!(outcome, Ok(Swapped::Set(_)))).count(), 1);
}

#[tokio::test]
async fn an_increment_is_done_for_all_keys_or_none() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let add = |keys: &[&str], by| store.increment("b", keys.iter().map(|key| (*key).to_owned()).collect(), by);
    assert_eq!(add(&["a", "b", "a"], 5).await.unwrap(), Sums::Sums(vec![5, 5, 10]));
    assert_eq!(add(&[], 5).await.unwrap(), Sums::Sums(vec![]));
    put(&store, "word", "twelve").await;
    put(&store, "full", &i64::MAX.to_string()).await;
    put(&store, "low", &i64::MIN.to_string()).await;
    assert_eq!(add(&["a", "word", "b"], 1).await.unwrap(), Sums::NotANumber("word".into()));
    assert_eq!(add(&["a", "full", "b"], 1).await.unwrap(), Sums::Overflow("full".into()));
    assert_eq!(add(&["a", "low", "new"], -1).await.unwrap(), Sums::Overflow("low".into()));
    assert_eq!(add(&["x", "x"], i64::MAX).await.unwrap(), Sums::Overflow("x".into()));
    let unchanged = [("a", "10"), ("b", "5"), ("word", "twelve"), ("full", "9223372036854775807")];
    for (key, value) in unchanged {
        assert_eq!(text(&store, key).await.as_deref(), Some(value), "{key}");
    }
    assert_eq!((text(&store, "new").await, text(&store, "x").await), (None, None));
    assert_eq!(add(&["a"], -30).await.unwrap(), Sums::Sums(vec![-20]));
}

#[tokio::test]
async fn an_expired_key_is_absent_to_everyone_at_once() {
    let dir = TempDir::new().unwrap();
    let store = Store::open_at(settings(dir.path()), noon()).unwrap();
    let minute = Some(Duration::from_secs(60));
    for key in ["got", "made", "added", "swapped", "deleted"] {
        store.set("b", key, "41".into(), minute, Expect::Anything).await.unwrap();
    }
    assert_eq!(store.increment("b", vec!["added".into()], 1).await.unwrap(), Sums::Sums(vec![42]));
    let before = store.get("b", "added").await.unwrap().unwrap();
    let at: Timestamp = "2026-03-01T12:01:00Z".parse().unwrap();
    assert!(before.expires_at.unwrap() >= at, "an increment leaves the time to live: {before:?}");
    later(59).await;
    assert!(store.get("b", "got").await.unwrap().is_some());
    // The timer is held up: it is the caller's clock that counts, not what was swept.
    let hold = sqlite(&dir);
    hold.execute_batch("BEGIN IMMEDIATE").unwrap();
    later(2).await;
    assert_eq!(store.get("b", "got").await.unwrap(), None);
    hold.execute_batch("ROLLBACK").unwrap();
    assert_eq!(keys(&store, "", None, 10).await, Vec::<String>::new());
    assert_eq!(store.buckets().await.unwrap(), []);
    assert!(!store.delete("b", "deleted").await.unwrap());
    let swap = store.set("b", "swapped", "1".into(), None, Expect::Revision(before.revision)).await.unwrap();
    assert_eq!(swap, Swapped::Conflict(None));
    assert!(matches!(store.set("b", "made", "1".into(), None, Expect::Absent).await.unwrap(), Swapped::Set(_)));
    assert_eq!(store.increment("b", vec!["added".into()], 1).await.unwrap(), Sums::Sums(vec![1]));
    assert_eq!(store.get("b", "added").await.unwrap().unwrap().expires_at, None, "a new key stays");
}

#[tokio::test]
async fn what_expired_is_removed_without_anybody_asking() {
    let dir = TempDir::new().unwrap();
    let store = Store::open_at(settings(dir.path()), noon()).unwrap();
    let sets = (0..1_200).map(|n| store.set("b", &format!("{n}"), "v".into(), Some(Duration::from_secs(30 + n / 100)), Expect::Anything));
    futures_util::future::try_join_all(sets.collect::<Vec<_>>()).await.unwrap();
    store.set("b", "stays", "v".into(), Some(Duration::from_secs(3_600)), Expect::Anything).await.unwrap();
    let rows = || sqlite(&dir).query_row("SELECT count(*) FROM kv", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(rows(), 1_201);
    later(60).await;
    let start = std::time::Instant::now();
    while rows() > 1 {
        assert!(start.elapsed() < crate::support::PATIENCE, "{} rows left", rows());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // And at a start, what expired while nobody ran.
    store.close().await.unwrap();
    drop(store);
    later(4_000).await;
    let _store = Store::open_at(settings(dir.path()), Clock::starting_at("2026-03-02T12:00:00Z".parse().unwrap())).unwrap();
    later(5).await;
    while rows() > 0 {
        assert!(start.elapsed() < crate::support::PATIENCE, "{} rows left", rows());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn listings_are_by_key_by_prefix_in_pages_and_bounded() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    for key in ["b/2", "a", "b/10", "b/1", "b", "é", "b/\0", "c"] {
        put(&store, key, "v").await;
    }
    assert_eq!(keys(&store, "", None, 100).await, ["a", "b", "b/\0", "b/1", "b/10", "b/2", "c", "é"]);
    assert_eq!(keys(&store, "b/", None, 100).await, ["b/\0", "b/1", "b/10", "b/2"]);
    assert_eq!(keys(&store, "b/", Some("b/1"), 2).await, ["b/10", "b/2"]);
    assert_eq!(keys(&store, "b/", Some("a"), 1).await, ["b/\0"]);
    assert_eq!(keys(&store, "b/", Some("c"), 10).await, Vec::<String>::new());
    assert_eq!(keys(&store, "x", None, 10).await, Vec::<String>::new());
    assert_eq!(keys(&store, "", None, 0).await, Vec::<String>::new());
    for n in 0..5 {
        store.set("large", &format!("{n}"), vec![0; MAX_VALUE_BYTES].into(), None, Expect::Anything).await.unwrap();
    }
    let large = store.entries("large", "", None, 100).await.unwrap();
    assert_eq!(large.len(), MAX_LISTED_BYTES / MAX_VALUE_BYTES - 1, "at most 4 MiB with the keys");
    let buckets = store.buckets().await.unwrap();
    let seen: Vec<_> = buckets.iter().map(|bucket| (bucket.name.as_str(), bucket.keys, bucket.bytes)).collect();
    assert_eq!(seen, [("b", 8, 18 + 8), ("large", 5, 5 + 5 * MAX_VALUE_BYTES as u64)]);
}

#[tokio::test]
async fn what_is_past_a_bound_is_refused_with_a_sentence() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let set = |key: &str, bytes: usize, ttl| store.set("b", key, vec![0; bytes].into(), ttl, Expect::Anything);
    let long = "k".repeat(MAX_KEY_BYTES + 1);
    let refusals = [
        (set(&long, 0, None).await.unwrap_err(), "a key of 513 bytes is longer than 512"),
        (set("", 0, None).await.unwrap_err(), "at least one byte"),
        (set("k", MAX_VALUE_BYTES + 1, None).await.unwrap_err(), "a value of 1048577 bytes is larger than 1048576"),
        (set("k", 0, Some(Duration::ZERO)).await.unwrap_err(), "0 ms is not between 1 ms and 366 days"),
        (set("k", 0, Some(Duration::from_secs(400 * 86_400))).await.unwrap_err(), "366 days"),
        (store.delete("b", &long).await.unwrap_err(), "longer than 512"),
        (store.delete("", "k").await.unwrap_err(), "a bucket needs a name"),
        (store.delete(&"b".repeat(256), "k").await.unwrap_err(), "longer than 255"),
        (store.increment("b", vec!["k".into(), long.clone()], 1).await.unwrap_err(), "longer than 512"),
        (store.increment("b", vec!["k".into(); MAX_MANY + 1], 1).await.unwrap_err(), "10001 keys in one increment are more than 10000"),
    ];
    for (refusal, sentence) in refusals {
        assert!(matches!(refusal, StoreError::TooLarge(_) | StoreError::Invalid(_)), "{refusal:?}");
        assert!(refusal.to_string().contains(sentence), "{refusal} should say {sentence:?}");
    }
    assert_eq!(store.buckets().await.unwrap(), []);
    set(&"k".repeat(MAX_KEY_BYTES), MAX_VALUE_BYTES, None).await.unwrap();
    let many = (0..MAX_MANY).map(|n| format!("n{n}")).collect();
    assert!(matches!(store.increment("b", many, 1).await.unwrap(), Sums::Sums(sums) if sums == vec![1; MAX_MANY]));
}

#[tokio::test]
async fn a_full_bucket_takes_no_more_until_something_goes() {
    for (column, most, refusal) in [("keys", MAX_BUCKET_KEYS, "1000000"), ("bytes", MAX_BUCKET_BYTES, "1073741824 (1 GiB)")] {
        let dir = TempDir::new().unwrap();
        let store = Store::open_at(settings(dir.path()), noon()).unwrap();
        put(&store, "old", "value").await;
        store.set("b", "soon", "v".into(), Some(Duration::from_secs(60)), Expect::Anything).await.unwrap();
        store.close().await.unwrap();
        // As if the bucket held so much: filling it would take a minute.
        sqlite(&dir).execute(&format!("UPDATE kv_buckets SET {column} = {most}"), []).unwrap();
        let store = Store::open_at(settings(dir.path()), noon()).unwrap();
        let more = || store.set("b", "new", "v".into(), None, Expect::Anything);
        let sentence = more().await.unwrap_err().to_string();
        assert!(sentence.contains("the bucket \"b\"") && sentence.contains(refusal), "{sentence}");
        assert!(store.increment("b", vec!["n".into()], 1).await.unwrap_err().to_string().contains(refusal));
        assert!(matches!(store.set("other", "new", "v".into(), None, Expect::Anything).await, Ok(Swapped::Set(_))));
        put(&store, "old", "less").await;
        assert!(store.delete("b", "old").await.unwrap());
        more().await.unwrap();
        assert!(store.delete("b", "new").await.unwrap());
        put(&store, "old", "value").await;
        // What has expired must not keep it full.
        later(61).await;
        more().await.unwrap();
    }
}

#[tokio::test]
async fn changes_that_wait_for_the_disk_are_bounded_in_memory() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    put(&store, "k", "v").await;
    let hold = sqlite(&dir);
    hold.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waiting: Vec<_> =
        (0..80).map(|n| store.set("b", &n.to_string(), vec![0; MAX_VALUE_BYTES].into(), None, Expect::Anything)).collect();
    // A read waits for nobody.
    assert_eq!(text(&store, "k").await.unwrap(), "v");
    hold.execute_batch("ROLLBACK").unwrap();
    let outcomes = futures_util::future::join_all(waiting).await;
    let busy = outcomes.iter().filter(|outcome| matches!(outcome, Err(StoreError::Busy(sentence)) if sentence.contains("64 MiB"))).count();
    let done = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Swapped::Set(_)))).count();
    assert_eq!((done, busy), (63, 17));
    put(&store, "k", "w").await;
}

#[tokio::test]
async fn a_change_that_fails_takes_no_other_along() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let first = put(&store, "first", "v").await;
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON kv WHEN NEW.key = 'bad' BEGIN SELECT RAISE(ABORT, 'no'); END";
    sqlite(&dir).execute_batch(refuse).unwrap();
    let keys = |keys: [&str; 2]| keys.map(str::to_owned).to_vec();
    let (good, bad, half, last) = tokio::join!(
        store.set("b", "good", "v".into(), None, Expect::Anything),
        store.set("b", "bad", "v".into(), None, Expect::Anything),
        store.increment("b", keys(["before", "bad"]), 1),
        store.increment("b", keys(["one", "two"]), 1),
    );
    assert!(matches!(good, Ok(Swapped::Set(revision)) if revision > first));
    assert!(bad.is_err() && half.is_err());
    assert_eq!(last.unwrap(), Sums::Sums(vec![1, 1]));
    assert_eq!(text(&store, "before").await, None, "all or none");
    let bucket = store.buckets().await.unwrap().remove(0);
    assert_eq!((bucket.keys, bucket.bytes), (4, 5 + 1 + 4 + 1 + 3 + 1 + 3 + 1));
}

#[tokio::test]
async fn a_closed_store_answers_closed() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    put(&store, "k", "v").await;
    store.close().await.unwrap();
    assert!(matches!(store.get("b", "k").await, Err(StoreError::Closed)));
    assert!(matches!(store.delete("b", "k").await, Err(StoreError::Closed)));
    assert!(!dir.path().join("control.db-wal").exists());
}

#[test]
fn a_timer_does_not_keep_a_store_alive() {
    let dir = TempDir::new().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = open(&dir);
        store.set("b", "k", "v".into(), Some(Duration::from_secs(3_600)), Expect::Anything).await.unwrap();
        drop(store);
        // Its writers end with the last handle, and the last connection takes the log along.
        eventually("the store ends", || (!dir.path().join("control.db-wal").exists()).then_some(()));
    });
}
