//! Reference system 5, the distributed counter, on one machine: its own requests, and its faults not to copy.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::support::{
    Host, eventually,
    web::{Answer, ask, post},
};

/// As it ships.
const MANIFEST: &str = include_str!("../manifests/counter.toml");

/// A host with the counter, which nobody has asked for anything yet.
fn counter(manifest: &str) -> Host {
    let host = Host::with(&["counter"]);
    host.drop_manifest("counter.toml", manifest);
    there(&host);
    host
}

/// A method that the route doesn't take is answered by the host: the worker isn't started by it.
fn there(host: &Host) {
    eventually("the route", || (ask(&host.listen, "DELETE", "/metrics", &[]).status == 405).then_some(()));
}

fn get(host: &Host, path: &str) -> Answer {
    ask(&host.listen, "GET", path, &[])
}

fn add(host: &Host, body: &str) -> Answer {
    post(&host.listen, "/metrics", "", body)
}

/// The count of one label.
fn count(host: &Host, label: &str) -> i64 {
    get(host, "/metrics").json()[label].as_i64().unwrap_or_default()
}

/// Adds 1 to `label`; the count it answers, none when nobody answered well.
async fn one_more(url: &str, label: &str) -> Option<i64> {
    let body = json!({ "labels": [label], "increment": 1 }).to_string();
    let answer = reqwest::Client::new().post(url).body(body).send().await.ok()?;
    let state: Value = answer.error_for_status().ok()?.json().await.ok()?;
    state[label].as_i64()
}

#[test]
fn the_references_own_sequence_gives_exactly_its_answers() {
    let host = counter(MANIFEST);
    let says = |answer: Answer, status: u16, body: &str| {
        assert_eq!((answer.status, answer.body.as_str()), (status, body));
        assert_eq!(answer.header("content-type"), Some("application/json"));
    };
    let (invalid, unknown) = (r#"{"error":"Invalid Request"}"#, r#"{"error":"not found"}"#);
    says(get(&host, "/metrics"), 200, "{}");
    says(add(&host, r#"{"labels":["a","b"],"increment":10}"#), 200, r#"{"a":10,"b":10}"#);
    says(add(&host, r#"{"labels":["b","c"],"increment":0}"#), 200, r#"{"a":10,"b":10,"c":0}"#);
    says(get(&host, "/metrics"), 200, r#"{"a":10,"b":10,"c":0}"#);
    says(get(&host, "/metrics/query?expression=a,%20c%20,nobody"), 200, r#"{"a":10,"c":0}"#);
    says(get(&host, "/metrics/query?expression=nobody"), 404, unknown);
    says(get(&host, "/metrics/query?expression="), 200, r#"{"a":10,"b":10,"c":0}"#);
    says(get(&host, "/metrics/query"), 200, r#"{"a":10,"b":10,"c":0}"#);
    for body in
        [r#"{"labels":["a"],"increment":-1}"#, r#"{"labels":["a"]}"#, r#"{"labels":[],"increment":1}"#, r#"{"increment":1}"#, "", "{"]
    {
        says(add(&host, body), 400, invalid);
    }
    assert_eq!(get(&host, "/metrics/elsewhere").status, 404);
    assert_eq!(ask(&host.listen, "DELETE", "/metrics", &[]).status, 405);
    assert_eq!(post(&host.listen, "/metrics/query", "", "").status, 405);
    says(get(&host, "/metrics"), 200, r#"{"a":10,"b":10,"c":0}"#);
}

#[test]
fn whoever_adds_at_the_same_time_sees_a_count_of_their_own() {
    let host = counter(MANIFEST);
    let url = format!("{}/metrics", host.listen);
    let seen = Runtime::new().unwrap().block_on(async {
        let adders = (0..8).map(|_| {
            let url = url.clone();
            tokio::spawn(async move {
                let mut seen = Vec::new();
                for _ in 0..25 {
                    seen.push(one_more(&url, "bees").await.expect("an answer"));
                }
                seen
            })
        });
        futures_util::future::join_all(adders).await
    });
    let seen: Vec<i64> = seen.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(seen.iter().copied().collect::<BTreeSet<_>>(), (1..=200).collect(), "each increment once, none lost");
}

#[test]
fn fault_state_is_lost_with_the_owning_node() {
    let mut host = counter(MANIFEST);
    let runtime = Runtime::new().unwrap();
    let acknowledged = Arc::new(AtomicI64::new(0));
    let mut unanswered = 0;
    for round in 1..=3 {
        let url = format!("{}/metrics", host.listen);
        let adders: Vec<_> = (0..4)
            .map(|_| {
                let (url, acknowledged) = (url.clone(), acknowledged.clone());
                runtime.spawn(async move {
                    while one_more(&url, "bees").await.is_some() {
                        acknowledged.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        eventually("some increments", || (acknowledged.load(Ordering::Relaxed) >= round * 50).then_some(()));
        host.kill();
        runtime.block_on(futures_util::future::join_all(adders));
        // What a client was waiting for when the host died may have been counted.
        unanswered += 4;
        host.start();
        there(&host);
        let (counted, acknowledged) = (count(&host, "bees"), acknowledged.load(Ordering::Relaxed));
        assert!(counted >= acknowledged, "{acknowledged} were acknowledged, {counted} are left");
        assert!(counted <= acknowledged + unanswered, "{acknowledged} were acknowledged, {counted} were counted");
    }
}

#[test]
fn fault_a_string_increment_crashes_it() {
    let host = counter(MANIFEST);
    add(&host, r#"{"labels":["a"],"increment":1}"#);
    let before = host.worker("counter").unwrap();
    for body in [
        r#"{"labels":["a"],"increment":"10"}"#,
        r#"{"labels":["a"],"increment":1.5}"#,
        r#"{"labels":["a"],"increment":99999999999999999999}"#,
        r#"{"labels":[{}],"increment":1}"#,
        r#"{"labels":"a","increment":1}"#,
        &format!(r#"{{"labels":["a"],"increment":{}}}"#, i64::MAX),
        &"[".repeat(500_000),
    ] {
        let answer = add(&host, body);
        assert_eq!((answer.status, answer.body.as_str()), (400, r#"{"error":"Invalid Request"}"#), "{}", &body[..body.len().min(60)]);
    }
    assert_eq!(get(&host, "/metrics").body, r#"{"a":1}"#);
    let after = host.worker("counter").unwrap();
    assert_eq!((&after["incarnation"], &after["restarts"]), (&before["incarnation"], &before["restarts"]));
}

#[test]
fn fault_labels_grow_without_bound() {
    let host = counter(&MANIFEST.replace("max_labels = 10000", "max_labels = 2"));
    assert_eq!(add(&host, r#"{"labels":["a","b"],"increment":1}"#).status, 200);
    assert_eq!(add(&host, r#"{"labels":["a","c"],"increment":1}"#).status, 400);
    let long = format!(r#"{{"labels":["{}"],"increment":1}}"#, "x".repeat(1_000_000));
    assert_eq!(add(&host, &long).status, 400);
    assert_eq!(add(&host, r#"{"labels":["a","b"],"increment":1}"#).body, r#"{"a":2,"b":2}"#, "nothing of what was refused was counted");
    let said = eventually("the log says why", || {
        let said = host.said("counter");
        (said.len() >= 2).then_some(said)
    });
    assert!(said.contains(&"refused: 3 labels would be more than config.max_labels = 2".to_owned()), "{said:?}");
    assert!(said.contains(&"refused: a label has 1000000 bytes, more than 256".to_owned()), "{said:?}");
}

#[test]
fn fault_a_race_at_the_first_request() {
    let host = counter(MANIFEST);
    let url = format!("{}/metrics", host.listen);
    let first = Runtime::new().unwrap().block_on(futures_util::future::join_all((0..16).map(|_| one_more(&url, "bees"))));
    assert_eq!(first.into_iter().map(Option::unwrap).collect::<BTreeSet<_>>(), (1..=16).collect());
    let worker = host.worker_when("counter", "running", |worker| worker["state"] == "running");
    // The low half counts incarnations of this start of the host.
    let incarnation = worker["incarnation"].as_u64().unwrap() & 0xffff_ffff;
    assert_eq!((incarnation, &worker["restarts"]), (1, &json!(0)), "one counter, started once");
}
