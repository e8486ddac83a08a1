//! Faults that must cost nothing that was answered for: kills in a loop, guests that trap, clocks that jump, a full disk, late holders.
//!
//! What was answered with 2xx is held against what is there afterwards. A damaged control.db is in `keep`, other ends of a disk in `disk_full`.

mod clients; // who goes on asking while the host is killed, and what they were told
mod clock; // the wall clock jumps: nothing early, nothing stalls
mod full; // a disk without room while jobs run
mod kills; // kill -9 in a loop
mod stale; // holders that come too late, holders that race
mod traps; // a worker that traps on every third job

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::{Host, eventually, text};

/// Asks the admin API with the token that may do all.
fn admin(host: &Host, path: &str, body: &Value) -> (u16, Value) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let request = reqwest::Client::new().post(format!("{}/api/v1/{path}", host.admin)).json(body);
        let answer = request.header("Authorization", host.bearer("admin.token")).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
    })
}

/// One queue, as `skep queue ls` has it; null when it isn't there.
fn queue(host: &Host, name: &str) -> Value {
    let queues = host.json(&["queue", "ls"]);
    queues.as_array().unwrap().iter().find(|queue| queue["name"] == name).cloned().unwrap_or_default()
}

fn open(queue: &Value) -> u64 {
    ["delayed", "waiting", "running"].iter().filter_map(|state| queue[state].as_u64()).sum()
}

/// Waits until every job of a queue is over.
fn drained(host: &Host, name: &str) -> Value {
    eventually(&format!("no job of {name} delayed, waiting or running"), || Some(queue(host, name)).filter(|queue| open(queue) == 0))
}

/// All jobs of a queue, page by page, with payloads where `peek`.
fn listed(host: &Host, name: &str, peek: bool) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    loop {
        let after = all.last().map(|job| format!("&after={}", job["id"].as_str().unwrap())).unwrap_or_default();
        let limit = if peek { 100 } else { 1_000 };
        let answer = host.get(&format!("/api/v1/queues/{name}/jobs?limit={limit}&peek={peek}{after}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        let page = answer.json().as_array().unwrap().clone();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// The payloads of a queue that nobody takes from; each must be there once.
fn outputs(host: &Host, name: &str) -> BTreeSet<String> {
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    for job in listed(host, name, true) {
        *times.entry(job["payload"]["text"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "outputs that came more than once: {twice:?}");
    times.into_keys().collect()
}

/// What a probe is told: one output with its acknowledgement, then whatever follows.
fn output(name: &str, then: Value) -> Value {
    json!({ "do": "push", "queue": "out", "payload": name, "on_ack": true, "then": then })
}

/// An orderly end, then a look at the files it leaves.
fn ends_sound(mut host: Host) {
    assert_eq!(host.stop(), Some(0), "{}", host.log());
    // Nobody listens any more: that is what the doctor may warn of, not of files.
    let said = text(&host.run(&["doctor"]).stdout);
    assert!(said.contains("sound") && !said.contains("damaged"), "{said}");
    let db = rusqlite::Connection::open(host.data().join("control.db")).unwrap();
    let found: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(found, "ok");
}
