//! Any run of calls, restarts and passing time, against a map.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use skep::store::{Expect, Kv, KvEntry, Store, Sums, Swapped};
use tempfile::TempDir;

use super::{later, noon, settings};

/// What a `set` expects, as far as a generator can know.
#[derive(Debug, Clone, Copy)]
enum Wish {
    Anything,
    Absent,
    Current,
    /// A revision the key once had, or never.
    Stale,
}

#[derive(Debug, Clone)]
enum Step {
    Set { key: usize, value: i64, ttl: Option<u64>, wish: Wish },
    Word { key: usize },
    Delete { key: usize },
    Increment { keys: Vec<usize>, by: i64 },
    List { prefix: &'static str, after: Option<usize>, limit: usize },
    Later { tens: u64 },
    Restart,
}

/// Two buckets that share keys, and prefixes of each other.
const KEYS: [(&str, &str); 7] = [("b", "a"), ("b", "a/1"), ("b", "a/2"), ("b", "ab"), ("b", "é"), ("c", "a"), ("c", "a/1")];

fn step() -> impl Strategy<Value = Step> {
    let key = 0..KEYS.len();
    let wish = prop_oneof![Just(Wish::Anything), Just(Wish::Absent), Just(Wish::Current), Just(Wish::Stale)];
    let by = prop_oneof![4 => -3i64..3, 1 => Just(i64::MAX), 1 => Just(i64::MIN)];
    prop_oneof![
        6 => (key.clone(), any::<i8>(), proptest::option::of(0u64..4), wish)
            .prop_map(|(key, value, ttl, wish)| Step::Set { key, value: value.into(), ttl, wish }),
        1 => key.clone().prop_map(|key| Step::Word { key }),
        3 => key.clone().prop_map(|key| Step::Delete { key }),
        6 => (proptest::collection::vec(key.clone(), 1..4), by).prop_map(|(keys, by)| Step::Increment { keys, by }),
        2 => (prop_oneof![Just(""), Just("a"), Just("a/"), Just("é")], proptest::option::of(key), 0usize..6)
            .prop_map(|(prefix, after, limit)| Step::List { prefix, after, limit }),
        2 => (1u64..4).prop_map(|tens| Step::Later { tens }),
        1 => Just(Step::Restart),
    ]
}

#[derive(Debug, Clone, PartialEq)]
struct Kept {
    value: Vec<u8>,
    revision: u64,
    /// In tens of seconds since the start; five seconds after that.
    until: Option<u64>,
}

#[derive(Default)]
struct Model {
    kept: BTreeMap<(&'static str, &'static str), Kept>,
    /// The largest revision each key ever had.
    newest: BTreeMap<(&'static str, &'static str), u64>,
    tens: u64,
}

impl Model {
    fn put(&mut self, key: (&'static str, &'static str), value: Vec<u8>, until: Option<u64>, revision: u64) {
        let newest = self.newest.insert(key, revision);
        assert!(revision > newest.unwrap_or(0), "revisions grow, over deletes and restarts too: {newest:?} then {revision}");
        self.kept.insert(key, Kept { value, revision, until });
    }

    fn pass(&mut self, tens: u64) {
        self.tens += tens;
        let now = self.tens;
        self.kept.retain(|_, kept| kept.until.is_none_or(|until| until >= now));
    }

    /// What an increment should answer; the sums it leaves are put in by the caller, with their revisions.
    fn add(&self, bucket: &'static str, keys: &[&'static str], by: i64) -> (Sums, BTreeMap<&'static str, i64>) {
        let mut left = BTreeMap::new();
        let mut sums = Vec::new();
        for key in keys {
            let before: Option<i64> = left.get(key).copied().map_or_else(
                || self.kept.get(&(bucket, *key)).map_or(Some(0), |kept| std::str::from_utf8(&kept.value).ok()?.parse().ok()),
                Some,
            );
            let Some(before) = before else { return (Sums::NotANumber((*key).to_owned()), BTreeMap::new()) };
            let Some(sum) = before.checked_add(by) else { return (Sums::Overflow((*key).to_owned()), BTreeMap::new()) };
            left.insert(*key, sum);
            sums.push(sum);
        }
        (Sums::Sums(sums), left)
    }

    fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<(String, Kept)> {
        let fits = |key: &str| key.starts_with(prefix) && after.is_none_or(|after| key > after);
        let of_b = self.kept.iter().filter(|((bucket, key), _)| *bucket == "b" && fits(key));
        of_b.map(|((_, key), kept)| ((*key).to_owned(), kept.clone())).take(limit).collect()
    }
}

fn same(entry: &KvEntry, kept: &Kept) -> bool {
    entry.value == kept.value && entry.revision == kept.revision && entry.expires_at.is_some() == kept.until.is_some()
}

async fn run(steps: Vec<Step>) {
    let dir = TempDir::new().unwrap();
    let clock = noon();
    let mut store = Store::open_at(settings(dir.path()), clock).unwrap();
    let mut model = Model::default();
    for step in steps {
        match step.clone() {
            Step::Set { key, value, ttl, wish } => set(&store, &mut model, KEYS[key], value.to_string(), ttl, wish).await,
            Step::Word { key } => set(&store, &mut model, KEYS[key], "word".into(), None, Wish::Anything).await,
            Step::Delete { key } => {
                let (bucket, name) = KEYS[key];
                let was = model.kept.remove(&KEYS[key]).is_some();
                assert_eq!(store.delete(bucket, name).await.unwrap(), was, "{step:?}");
            }
            Step::Increment { keys, by } => {
                let bucket = KEYS[keys[0]].0;
                let keys: Vec<_> = keys.into_iter().map(|key| KEYS[key].1).collect();
                let (expected, left) = model.add(bucket, &keys, by);
                let owned = keys.iter().map(|key| (*key).to_owned()).collect();
                assert_eq!(store.increment(bucket, owned, by).await.unwrap(), expected, "{step:?}");
                for (key, sum) in left {
                    let until = model.kept.get(&(bucket, key)).and_then(|kept| kept.until);
                    let revision = store.get(bucket, key).await.unwrap().unwrap().revision;
                    model.put((bucket, key), sum.to_string().into_bytes(), until, revision);
                }
            }
            Step::List { prefix, after, limit } => {
                let after = after.map(|key| KEYS[key].1);
                let found = store.entries("b", prefix, after.map(str::to_owned), limit).await.unwrap();
                let expected = model.list(prefix, after, limit);
                assert_eq!(found.len(), expected.len(), "{step:?}: {found:?} {expected:?}");
                for (entry, (key, kept)) in found.iter().zip(&expected) {
                    assert!(entry.key == *key && same(entry, kept), "{step:?}: {entry:?} {key} {kept:?}");
                }
            }
            Step::Later { tens } => {
                later(tens * 10).await;
                model.pass(tens);
            }
            Step::Restart => {
                store.close().await.unwrap();
                store = Store::open_at(settings(dir.path()), clock).unwrap();
            }
        }
    }
    for (bucket, key) in KEYS {
        let found = store.get(bucket, key).await.unwrap();
        match (&found, model.kept.get(&(bucket, key))) {
            (None, None) => {}
            (Some(entry), Some(kept)) if same(entry, kept) => {}
            (_, kept) => panic!("{bucket} {key}: {found:?} is not {kept:?}"),
        }
    }
    let mut expected = BTreeMap::<_, (u64, u64)>::new();
    for ((bucket, key), kept) in &model.kept {
        let sum = expected.entry((*bucket).to_owned()).or_default();
        *sum = (sum.0 + 1, sum.1 + (key.len() + kept.value.len()) as u64);
    }
    let buckets = store.buckets().await.unwrap().into_iter().map(|bucket| (bucket.name, (bucket.keys, bucket.bytes)));
    assert_eq!(buckets.collect::<BTreeMap<_, _>>(), expected);
}

async fn set(store: &Store, model: &mut Model, key: (&'static str, &'static str), value: String, ttl: Option<u64>, wish: Wish) {
    let now = model.kept.get(&key).map(|kept| kept.revision);
    let expect = match wish {
        Wish::Anything => Expect::Anything,
        Wish::Absent => Expect::Absent,
        Wish::Current => now.map_or(Expect::Absent, Expect::Revision),
        Wish::Stale => Expect::Revision(model.newest.get(&key).map_or(7, |newest| newest - 1)),
    };
    let conflict = match wish {
        Wish::Anything | Wish::Current => false,
        Wish::Absent => now.is_some(),
        Wish::Stale => true,
    };
    let life = ttl.map(|tens| Duration::from_secs(tens * 10 + 5));
    let done = store.set(key.0, key.1, value.clone().into(), life, expect).await.unwrap();
    match done {
        Swapped::Set(revision) if !conflict => model.put(key, value.into_bytes(), ttl.map(|tens| model.tens + tens), revision),
        Swapped::Conflict(found) if conflict => assert_eq!(found, now),
        other => panic!("{key:?} {expect:?}: {other:?}, it has {now:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_run_of_calls_is_as_a_map_would_have_it(steps in proptest::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}
