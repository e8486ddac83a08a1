//! A worker that traps on every third job: each trap costs an attempt and leaves a record, and the others go on.

use serde_json::json;

use super::{admin, drained, listed, output, outputs};
use crate::support::{Host, eventually};

/// Restarts as nobody declared them: 3 in 5 s.
fn doer(more: &str) -> Host {
    let host = Host::with(&["probe"]);
    let manifest = format!(
        "[[queue]]\nname = \"todo\"\nbackoff = \"10ms\"\n\n[[worker]]\nname = \"doer\"\ncomponent = \"probe.wasm\"\n\
         grants = {{ queue = {{ push = [\"out\"] }} }}\n{more}\n"
    );
    host.running("doer", &manifest);
    host
}

/// Every third traps in its first attempt, after it pushed what a trap must not let out.
fn push(host: &Host, jobs: u64) {
    let told = |n| if n % 3 == 2 { json!({ "do": "trap-first", "attempts": 1, "then": "ok" }) } else { json!("ok") };
    let jobs: Vec<_> = (0..jobs).map(|n| json!({ "payload": { "json": output(&format!("job-{n}"), told(n)) } })).collect();
    let (status, said) = admin(host, "queues/todo/jobs", &json!({ "jobs": jobs }));
    assert_eq!(status, 200, "{said}");
}

/// All are done with one output each; what trapped took a second attempt, and nothing else did.
fn all_done(host: &Host, jobs: usize) {
    let queue = drained(host, "todo");
    assert_eq!((&queue["done"], &queue["dead"]), (&json!(jobs), &json!(0)), "{queue}");
    let attempts = listed(host, "todo", true);
    for job in &attempts {
        let trapped = job["payload"]["text"].as_str().unwrap().contains("trap-first");
        assert_eq!(job["attempts"], if trapped { 2 } else { 1 }, "{job:#}");
        assert_eq!(job["last_error"].is_string(), trapped, "{job:#}");
    }
    assert_eq!(outputs(host, "out").len(), jobs);
}

fn records(host: &Host, traps: usize) {
    let kept = eventually("a record of every trap", || {
        let kept = host.json(&["traps", "doer", "-n", "1000"]).as_array().unwrap().clone();
        (kept.len() >= traps.min(20)).then_some(kept)
    });
    assert!(kept.iter().all(|trap| trap["input"].as_str().unwrap().contains("trap-first")), "{kept:#?}");
    let worker = host.worker("doer").unwrap();
    assert_eq!(worker["events"]["trapped"], json!(traps), "{worker:#}");
}

/// What the host has to say of quarantines, one event a line.
fn quarantines(host: &Host) -> Vec<String> {
    host.ok(&["events", "-n", "1000", "-o", "json"]).lines().filter(|event| event.contains("quarantine")).map(str::to_owned).collect()
}

#[test]
fn a_worker_that_traps_on_every_third_job_does_them_all_and_is_never_quarantined() {
    let host = doer("jobs = { queue = \"todo\", concurrency = 2 }");
    push(&host, 90);
    all_done(&host, 90);
    records(&host, 30);
    assert_eq!(quarantines(&host), Vec::<String>::new(), "there was a success between any three");
    assert_eq!(host.worker("doer").unwrap()["state"], "running");
}

#[test]
fn a_resident_that_traps_on_every_third_job_is_restarted_rests_and_does_them_all() {
    let host = doer("jobs = { queue = \"todo\" }\ninstance = \"resident\"");
    // One more trap than are restarted at once.
    push(&host, 12);
    all_done(&host, 12);
    records(&host, 4);
    assert_eq!(quarantines(&host).len(), 1, "once");
    host.worker_when("doer", "running after its rest", |worker| worker["state"] == "running");
    // Work that is well is done at once again.
    let (_, pushed) = admin(&host, "queues/todo/jobs", &json!({ "payload": { "json": { "do": "ok" } } }));
    assert_eq!(pushed[0]["fresh"], true);
    drained(&host, "todo");
}
