//! Replicas through the real binary: their number changed under load and kept in the manifest, and who of them is busy.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::{Value, json};

use crate::support::{Host, eventually};

const DOER: &str = "\
# The doers.
[[worker]]
name = \"doer\"             # does it
component = \"probe.wasm\"
jobs = { queue = \"todo\" }
instance = \"resident\"
# As many as there is work for.
replicas = 2              # for now
";
const ASKER: &str = "[[worker]]\nname = \"asker\"\ncomponent = \"probe.wasm\"\ngrants = { call = [\"doer\"] }\n";

fn scaled(host: &Host, to: u64) {
    host.ok(&["scale", "doer", &to.to_string()]);
    let exactly = |worker: &Value| worker["replicas"] == json!({ "desired": to, "running": to }) && worker["state"] == "running";
    host.worker_when("doer", &format!("{to} replicas"), exactly);
}

fn replicas(host: &Host) -> Vec<Value> {
    let (status, body) = host.api("/api/v1/workers/doer/replicas");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str::<Value>(&body).unwrap().as_array().unwrap().clone()
}

#[test]
fn scaling_under_load_loses_nothing_and_outlives_the_host() {
    let mut host = Host::with(&["probe"]);
    host.drop_manifest("doer.toml", DOER);
    host.worker_when("doer", "running", |worker| worker["replicas"]["running"] == 2);
    let over = AtomicBool::new(false);
    let jobs = thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut jobs = 0;
            while !over.load(Ordering::Relaxed) {
                host.ok(&["queue", "push", "todo", r#"{"do":"sleep","ms":30}"#]);
                jobs += 1;
            }
            jobs
        });
        for to in [5, 1, 4, 2, 3] {
            let before = host.worker("doer").unwrap()["events"]["ok"].as_u64();
            scaled(&host, to);
            host.worker_when("doer", "at work", |worker| worker["events"]["ok"].as_u64() > before);
        }
        over.store(true, Ordering::Relaxed);
        load.join().unwrap()
    });
    host.worker_when("doer", "done with all", |worker| worker["events"]["ok"] == jobs);
    // The last acknowledgement is a moment behind the worker's own count.
    let left = |queue: &Value| ["waiting", "delayed", "running", "dead"].map(|state| queue[state].as_u64());
    eventually("nothing is left", || (left(&host.json(&["queue", "ls"])[0]) == [Some(0); 4]).then_some(()));
    assert_eq!(host.worker("doer").unwrap()["restarts"], 0);

    let kept = std::fs::read_to_string(host.manifest("doer.toml")).unwrap();
    assert_eq!(kept, DOER.replace("replicas = 2 ", "replicas = 3 "), "every comment where it stood");
    host.kill();
    host.start();
    host.worker_when("doer", "as many as before", |worker| worker["replicas"] == json!({ "desired": 3, "running": 3 }));
    let said = host.fails(4, &["scale", "doer", "0"]);
    assert!(said.contains("paused = true"), "{said}");
    host.fails(3, &["scale", "nobody", "2"]);
    assert_eq!(std::fs::read_to_string(host.manifest("doer.toml")).unwrap(), kept);
}

#[test]
fn each_replica_has_a_name_and_says_whether_it_is_busy() {
    let host = Host::with(&["probe"]);
    host.drop_manifest("doer.toml", &DOER.replace("replicas = 2", "replicas = 3"));
    host.worker_when("doer", "running", |worker| worker["replicas"]["running"] == 3);
    host.running("asker", ASKER);
    thread::scope(|scope| {
        let busy = scope.spawn(|| host.ok(&["call", "doer/2", "sleep", r#"{"ms":3000}"#]));
        let at_work = |replicas: &[Value]| replicas.iter().map(|one| one["busy"] == true).collect::<Vec<_>>();
        let seen = eventually("one at work", || Some(replicas(&host)).filter(|seen| at_work(seen) != [false; 3]));
        assert_eq!(at_work(&seen), [false, true, false], "{seen:#?}");
        let members = host.call("asker", "registry.whereis", r#"{"name":"doer"}"#)["ok"].clone();
        let members: Vec<_> = members.as_array().unwrap().iter().map(|one| (one["name"].clone(), one["busy"].clone())).collect();
        assert_eq!(members, [(json!("doer/1"), json!(false)), (json!("doer/2"), json!(true)), (json!("doer/3"), json!(false))]);
        // A call to any goes to a free one; one to the busy replica waits for it.
        for _ in 0..4 {
            assert_eq!(host.ok(&["call", "doer", "echo", "free"]).trim_end(), "free");
        }
        let waits = scope.spawn(|| host.ok(&["call", "doer/2", "echo", "its turn"]));
        eventually("it waits", || (replicas(&host)[1]["waiting"] == 1).then_some(()));
        busy.join().unwrap();
        assert_eq!(waits.join().unwrap().trim_end(), "its turn");
    });
    scaled(&host, 1);
    assert_eq!(replicas(&host).len(), 1);
    let said = host.fails(3, &["call", "doer/2", "echo", "x"]);
    assert!(said.contains("no replica 2"), "{said}");
    assert_eq!(host.call("asker", "registry.call", r#"{"name":"doer/2","method":"echo"}"#)["error"], "not-found");
}
