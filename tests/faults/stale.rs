//! Holders from outside that come too late, and many that want the same jobs.

use std::{collections::BTreeSet, thread};

use serde_json::{Value, json};

use super::{admin, drained, outputs};
use crate::support::Host;

fn push(host: &Host, body: &Value) -> Value {
    let (status, pushed) = admin(host, "queues/todo/jobs", body);
    assert_eq!(status, 200, "{pushed}");
    pushed
}

fn lease(host: &Host, holder: &str, term: &str) -> Value {
    let (status, leased) = admin(host, "queues/todo/lease", &json!({ "holder": holder, "term": term, "wait": "30s" }));
    assert_eq!(status, 200, "{leased}");
    leased[0].clone()
}

#[test]
fn whoever_comes_after_its_term_is_told_so_and_changes_nothing() {
    let mut host = Host::with(&[]);
    let id = push(&host, &json!({ "payload": "work" }))[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(lease(&host, "slow", "1s")["attempt"], 1);
    assert_eq!(lease(&host, "quick", "1h")["attempt"], 2);
    let held = host.json(&["queue", "status", &id]);
    // Also by a host that was killed meanwhile, and read it all from its disk.
    for round in 0..2 {
        let late = json!({ "attempt": 1, "result": "late", "push": [{ "queue": "out", "payload": "late" }] });
        for (act, body) in [
            ("ack", late),
            ("nack", json!({ "attempt": 1, "reason": "late", "dead": true })),
            ("nack", json!({ "attempt": 1, "release": true })),
            ("extend", json!({ "attempt": 1, "term": "1d" })),
            ("progress", json!({ "attempt": 1, "note": "late" })),
            // Nor does one that never was.
            ("ack", json!({ "attempt": 3 })),
        ] {
            let (status, said) = admin(&host, &format!("jobs/{id}/{act}"), &body);
            assert_eq!(status, 409, "{act} {body}: {said}");
            assert!(said["error"].as_str().unwrap().contains("quick has attempt 2"), "{said}");
        }
        assert_eq!(host.json(&["queue", "status", &id]), held, "round {round}");
        host.kill();
        host.start();
    }
    let right = json!({ "attempt": 2, "result": "right", "push": [{ "queue": "out", "payload": "right" }] });
    assert_eq!(admin(&host, &format!("jobs/{id}/ack"), &right).0, 200);
    assert_eq!(admin(&host, &format!("jobs/{id}/ack"), &right).0, 409, "once");
    assert_eq!(host.json(&["queue", "status", &id])["result"]["text"], "right");
    assert_eq!(outputs(&host, "out"), BTreeSet::from(["right".to_owned()]));
}

#[test]
fn two_outside_workers_never_get_one_job() {
    let host = Host::with(&[]);
    let jobs: Vec<_> = (0..200).map(|n| json!({ "payload": n.to_string() })).collect();
    push(&host, &json!({ "jobs": jobs }));
    let takes = &|holder: &str, max: usize| {
        let mut mine = Vec::new();
        loop {
            let (status, leased) = admin(&host, "queues/todo/lease", &json!({ "holder": holder, "term": "1h", "max": max }));
            assert_eq!(status, 200, "{leased}");
            let leased = leased.as_array().unwrap();
            if leased.is_empty() {
                return mine;
            }
            for job in leased {
                assert_eq!(job["attempt"], 1);
                let id = job["id"].as_str().unwrap().to_owned();
                let ack = json!({ "attempt": 1, "push": [{ "queue": "out", "payload": job["payload"] }] });
                assert_eq!(admin(&host, &format!("jobs/{id}/ack"), &ack).0, 200);
                mine.push(id);
            }
        }
    };
    let all: Vec<String> = thread::scope(|scope| {
        let takers: Vec<_> = (1..=6).map(|n| scope.spawn(move || takes(&format!("taker-{n}"), n))).collect();
        takers.into_iter().flat_map(|taker| taker.join().unwrap()).collect()
    });
    assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (200, 200));
    assert_eq!(drained(&host, "todo")["done"], 200);
    assert_eq!(outputs(&host, "out").len(), 200);
}
