//! kill -9 in a loop, at moments by chance, some of them in the middle of a start, while jobs, increments and writes go on.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{runtime::Runtime, sync::watch, task::JoinHandle};

use super::{
    admin,
    clients::{Address, BATCH, Client, Ledger},
    drained, ends_sound, listed, outputs, queue,
};
use crate::support::Host;

/// More of them by hand: SKEP_TEST_KILLS=100.
const KILLS: u64 = 30;
const SEED: u64 = 0x5eed;

const MANIFEST: &str = r#"
[[queue]]
name = "todo"
backoff = "10ms"
result_ttl = "1h"
max_attempts = 100

[[queue]]
name = "outside"
backoff = "10ms"
result_ttl = "1h"
max_attempts = 100

[[worker]]
name = "doer"
component = "probe.wasm"
jobs = { queue = "todo", concurrency = 4 }
grants = { queue = { push = ["out"] } }
"#;

/// A number of the environment, for runs by hand.
fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().map_or(usual, |text| text.parse().unwrap())
}

#[test]
fn kill_9_in_a_loop_loses_nothing_answered_for_and_does_nothing_twice() {
    let (kills, seed) = (number("SKEP_TEST_KILLS", KILLS), number("SKEP_TEST_SEED", SEED));
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut host = Host::with(&["probe", "counter"]);
    host.drop_manifest("faults.toml", MANIFEST);
    host.drop_manifest("counter.toml", include_str!("../../manifests/counter.toml"));
    host.worker_when("doer", "running", |worker| worker["state"] == "running");

    let runtime = Runtime::new().unwrap();
    let (up, down) = watch::channel(address(&host));
    let (ledger, over) = (Arc::new(Mutex::new(Ledger::default())), Arc::new(AtomicBool::new(false)));
    let clients = {
        let client = |name: &str| Client::new(name, seed.wrapping_add(name.len() as u64), &ledger, &over, &down);
        begin(
            &runtime,
            [
                Box::pin(client("keyed").push_with_keys("todo")) as Going,
                Box::pin(client("keyed-too").push_with_keys("todo")),
                Box::pin(client("for-outside").push_with_keys("outside")),
                Box::pin(client("batch").push_batches()),
                Box::pin(client("outsider").work_outside()),
                Box::pin(client("other-outsider").work_outside()),
                Box::pin(client("counting").count()),
                Box::pin(client("counting-too").count()),
                Box::pin(client("adding").increment()),
                Box::pin(client("writing").write_values()),
                Box::pin(client("writing-too").write_values()),
            ],
        )
    };
    let mut slowest = Duration::ZERO;
    for kill in 0..kills {
        // Everything has begun before the first one.
        sleep(Duration::from_millis(chance.u64(if kill == 0 { 500..600 } else { 0..500 })));
        host.kill();
        if kill % 5 == 4 {
            cut_short(&host, Duration::from_millis(chance.u64(0..120)));
        }
        let begun = Instant::now();
        host.start();
        slowest = slowest.max(begun.elapsed());
        up.send(address(&host)).unwrap();
    }
    over.store(true, Ordering::Relaxed);
    drop(up);
    runtime.block_on(async {
        for client in clients {
            client.await.unwrap();
        }
    });

    let ledger = Arc::into_inner(ledger).unwrap().into_inner().unwrap();
    assert_eq!(ledger.refusals, BTreeMap::new());
    let (todo, outside) = (drained(&host, "todo"), settled_outside(&host));
    let mut done = all_done(&host, &todo);
    done.extend(all_done(&host, &outside));
    let lost: Vec<_> = ledger.jobs.iter().filter(|(id, _)| !done.contains_key(*id)).collect();
    assert!(lost.is_empty(), "answered for and lost: {lost:?}");
    let out = outputs(&host, "out");
    let missing: Vec<_> = ledger.jobs.values().filter(|name| !out.contains(*name)).collect();
    assert!(missing.is_empty(), "done without their output: {missing:?}");
    assert_eq!(out.len(), done.len(), "one output for each job that is done");
    assert!(out.is_subset(&ledger.asked), "{:?}", out.difference(&ledger.asked));
    for batch in &ledger.open_batches {
        let came = batch.iter().filter(|name| out.contains(*name)).count();
        assert!(came == 0 || came == BATCH, "{came} of the {BATCH} jobs of one push: {batch:?}");
    }
    let unacked: Vec<_> = ledger.acked.iter().filter(|(id, attempt)| done.get(*id) != Some(attempt)).collect();
    assert!(unacked.is_empty(), "acknowledged from outside, and not by this attempt: {unacked:?}");
    between("the counter", counted(&host), &ledger.sums, ledger.adds_asked);
    between("the key", value(&host, "n"), &ledger.increments, ledger.increments_asked);
    for (key, (answered, asked)) in &ledger.values {
        let found = value(&host, key);
        assert!((*answered as i64..=*asked as i64).contains(&found), "{key}: {answered} answered for, {asked} asked, {found} there");
    }
    fenced(&host, &done);
    let again = done.values().filter(|attempts| **attempts > 1).count();
    println!(
        "{kills} kills, seed {seed}: {} jobs answered for, {} done, {again} of them in more than one attempt, {} outputs; \
         {} batches and {} requests in all cut off; {} sums answered, {} in the counter; slowest start {slowest:?}",
        ledger.jobs.len(),
        done.len(),
        out.len(),
        ledger.open_batches.len(),
        ledger.cut_off,
        ledger.sums.len(),
        counted(&host),
    );
    ends_sound(host);
}

type Going = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn begin<const N: usize>(runtime: &Runtime, clients: [Going; N]) -> Vec<JoinHandle<()>> {
    clients.into_iter().map(|client| runtime.spawn(client)).collect()
}

fn address(host: &Host) -> Address {
    let token = std::fs::read_to_string(host.data().join("admin.token")).unwrap().trim().to_owned();
    Address { admin: host.admin.clone(), listen: host.listen.clone(), token }
}

/// A start that is killed, wherever it is by then.
fn cut_short(host: &Host, after: Duration) {
    let mut start = Command::new(env!("CARGO_BIN_EXE_skep"))
        .args(["up", "--admin", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--data"])
        .arg(host.data())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    sleep(after);
    start.kill().unwrap();
    start.wait().unwrap();
}

/// What is left for the outsiders is taken and acknowledged here, so that nothing is open.
fn settled_outside(host: &Host) -> Value {
    loop {
        let view = queue(host, "outside");
        if super::open(&view) == 0 {
            return view;
        }
        let (status, leased) = admin(host, "queues/outside/lease", &json!({ "holder": "last", "max": 32, "wait": "5s" }));
        assert!(status == 200 && leased != json!([]), "{view} stands still: {leased}");
        for job in leased.as_array().unwrap() {
            let ack = json!({ "attempt": job["attempt"], "push": [{ "queue": "out", "payload": job["unique_key"] }] });
            assert_eq!(admin(host, &format!("jobs/{}/ack", job["id"].as_str().unwrap()), &ack).0, 200);
        }
    }
}

/// Ids of a queue's jobs with their attempts. All are done, and the queue's own counts say the same.
fn all_done(host: &Host, view: &Value) -> BTreeMap<String, u64> {
    let jobs = listed(host, view["name"].as_str().unwrap(), false);
    let undone: Vec<_> = jobs.iter().filter(|job| job["state"] != "done").collect();
    assert!(undone.is_empty(), "{undone:#?}");
    assert_eq!((view["done"].as_u64(), &view["dead"]), (Some(jobs.len() as u64), &json!(0)), "{view}");
    let done: BTreeMap<_, _> = jobs.iter().map(|job| (job["id"].as_str().unwrap().to_owned(), job["attempts"].as_u64().unwrap())).collect();
    assert_eq!(done.len(), jobs.len());
    done
}

/// A number nobody lost an answered increment of, and nobody added to unasked.
fn between(what: &str, found: i64, answered: &BTreeSet<i64>, asked: i64) {
    let least = i64::try_from(answered.len()).unwrap().max(answered.last().copied().unwrap_or_default());
    assert!((least..=asked).contains(&found), "{what}: {least} answered for, {asked} asked for, {found} there");
}

fn counted(host: &Host) -> i64 {
    crate::support::eventually("the counter", || {
        let answer = crate::support::web::ask(&host.listen, "GET", "/metrics", &[]);
        (answer.status == 200).then(|| answer.json()["bees"].as_i64().unwrap())
    })
}

fn value(host: &Host, key: &str) -> i64 {
    host.ok(&["kv", "get", "box", key]).trim().parse().unwrap()
}

/// Attempts that are over end nothing: neither the newest, a second time, nor an older one.
fn fenced(host: &Host, done: &BTreeMap<String, u64>) {
    let before = queue(host, "out");
    let (once, again): (Vec<_>, Vec<_>) = done.iter().partition(|(_, attempts)| **attempts == 1);
    for (id, attempts) in once.into_iter().take(3).chain(again.into_iter().take(3)) {
        for attempt in 1..=*attempts {
            let late = json!({ "attempt": attempt, "result": "late", "push": [{ "queue": "out", "payload": "late" }] });
            let (status, said) = admin(host, &format!("jobs/{id}/ack"), &late);
            assert_eq!(status, 409, "{said}");
        }
    }
    assert_eq!(queue(host, "out")["waiting"], before["waiting"]);
}
