//! Crashes of one replica, of one event, and what a person watching sees of them: quarantine, `why`, records, live streams.

use serde_json::{Value, json};

use crate::support::{Host, eventually, text};

fn crash(name: &str, more: &str) -> String {
    format!("[[worker]]\nname = \"{name}\"\ncomponent = \"crash.wasm\"\n{more}\n")
}

fn state(state: &'static str) -> impl Fn(&Value) -> bool {
    move |worker| worker["state"] == state
}

#[test]
fn one_replica_is_quarantined_while_the_other_serves() {
    let host = Host::with(&["crash"]);
    host.running("c", &crash("c", "replicas = 2\nrestart = { intensity = 0, period = \"60s\" }"));
    host.worker_when("c", "two", |worker| worker["replicas"]["running"] == 2);
    host.fails(1, &["call", "c/2", "panic", "x"]);
    let worker = host.worker_when("c", "quarantined", state("quarantined"));
    assert_eq!(worker["replicas"], json!({ "desired": 2, "running": 1 }));
    for _ in 0..5 {
        assert_eq!(host.ok(&["call", "c", "ok", "served"]), "served", "by the one that runs");
    }
    let said = host.fails(4, &["call", "c/2", "ok", "x"]);
    assert!(said.contains("c/2") && said.contains("quarantined") && said.contains("skep restart c"), "{said}");
    let said = host.fails(3, &["call", "c/3", "ok", "x"]);
    assert!(said.contains("has no replica 3") && said.contains("1 to 2"), "{said}");
    let why = host.ok(&["why", "c"]);
    assert!(why.contains("quarantined") && why.contains("1 of 2 replicas") && why.contains("next restart"), "{why}");
    assert_eq!(host.trap("c")["replica"], 2);
    host.worker_when("c", "whole again by itself", |worker| worker["state"] == "running" && worker["replicas"]["running"] == 2);
    assert_eq!(host.ok(&["call", "c/2", "ok", "back"]), "back");
}

#[test]
fn a_quarantined_worker_says_so_wherever_a_person_looks() {
    let host = Host::with(&["crash"]);
    let events = host.follow(&["events", "-f"]);
    host.running("c", &crash("c", "restart = { intensity = 1, period = \"60s\" }"));
    let logs = host.follow(&["logs", "c", "-f"]);
    host.fails(1, &["call", "c", "panic", "first"]);
    logs.until("these lines belong into the trap record");
    events.until("worker.trapped");
    host.worker_when("c", "restarted", |worker| worker["restarts"] == 1 && worker["state"] == "running");
    host.fails(1, &["call", "c", "panic", "second"]);
    logs.until("mode Panic");
    let line = events.until("worker.quarantined");
    assert!(line.contains("next try in"), "{line}");

    let worker = host.worker_when("c", "quarantined", state("quarantined"));
    assert!(worker["last_error"].as_str().unwrap().contains("asked to crash"), "{worker:#}");
    let table = host.ok(&["get", "workers"]);
    assert!(table.contains("quarantined") && table.contains("asked to crash"), "{table}");
    let said = host.fails(4, &["call", "c", "ok", "x"]);
    assert!(said.contains("quarantined") && said.contains("skep restart c"), "{said}");
    let why = host.json(&["why", "c"]);
    assert_eq!((&why["state"], &why["worker"]), (&json!("quarantined"), &json!("c")));
    assert!(why["next_restart"].is_string() && why["trap"].is_string(), "{why:#}");
    let metrics = host.api("/metrics").1;
    assert!(metrics.lines().any(|line| line.contains("quarantined") && line.ends_with(" 1")), "{metrics}");

    // Records: newest first; by any unique beginning or end of the id.
    let traps = host.json(&["traps", "c"]);
    assert_eq!(traps.as_array().unwrap().iter().map(|trap| &trap["input"]).collect::<Vec<_>>(), ["second", "first"]);
    let id = traps[0]["id"].as_str().unwrap();
    for part in [id, &id[..id.len() - 2], &id[id.len() - 12..]] {
        let shown = host.ok(&["trap", part]);
        assert!(shown.contains("second") && shown.contains(id), "{part}: {shown}");
    }
    let said = host.fails(3, &["trap", "ffffffffffff"]);
    assert!(said.contains("no trap \"ffffffffffff\"") && said.contains("skep traps"), "{said}");
    host.ok(&["restart", "c"]);
    events.until("worker.restarting");
    host.worker_when("c", "running", state("running"));
    assert_eq!(host.ok(&["call", "c", "ok", "x"]), "x");
}

#[test]
fn a_planned_restart_runs_stop_and_a_crash_does_not() {
    let host = Host::with(&["crash"]);
    let before = host.running("c", &crash("c", ""));
    let stopped = || host.said("c").iter().filter(|text| *text == "stopped").count();
    host.fails(1, &["call", "c", "unreachable", ""]);
    host.worker_when("c", "restarted", |worker| worker["restarts"] == 1);
    assert_eq!(stopped(), 0);
    host.ok(&["restart", "c"]);
    let after = host.worker_when("c", "restarted", |worker| {
        worker["state"] == "running" && worker["incarnation"].as_u64() >= before["incarnation"].as_u64().map(|was| was + 2)
    });
    assert_eq!(stopped(), 1);
    assert_eq!(after["restarts"], 1, "a planned one is no restart after a crash");
    // So does a change of its config, and a drain.
    host.drop_manifest("c.toml", &crash("c", "config = { message = \"other\" }"));
    eventually("stopped for the update", || (stopped() == 2).then_some(()));
    host.worker_when("c", "running", state("running"));
    host.ok(&["drain", "c"]);
    host.worker_when("c", "stopped", state("stopped"));
    assert_eq!(stopped(), 3);
    let why = host.ok(&["why", "c"]);
    assert!(why.contains("drained") && why.contains("skep restart c"), "{why}");
}

#[test]
fn a_per_event_worker_with_successes_between_is_never_quarantined() {
    let host = Host::with(&["crash"]);
    // Every third tick crashes: never three without a success between.
    let text = "schedule = { every = \"50ms\" }\nconfig = { mode = \"panic\", every = 3 }\nrestart = { intensity = 2, period = \"60s\" }";
    host.drop_manifest("p.toml", &crash("p", text));
    let worker = host.worker_when("p", "crashing now and then", |worker| worker["events"]["trapped"].as_u64() >= Some(5));
    assert_eq!((&worker["state"], &worker["restarts"]), (&json!("running"), &json!(0)), "{worker:#}");
    assert!(worker["events"]["ok"].as_u64() >= Some(10), "{worker:#}");
    let why = host.ok(&["why", "p"]);
    assert!(why.contains("running") && why.contains("asked to crash") && why.contains("skep trap"), "{why}");
}

#[test]
fn exits_and_errors_are_told_apart_from_crashes() {
    let host = Host::with(&["crash"]);
    host.running("c", &crash("c", "restart = { intensity = 9, period = \"60s\" }"));
    let said = host.fails(1, &["call", "c", "err", ""]);
    assert!(said.contains("asked to crash"), "{said}");
    let worker = host.worker("c").unwrap();
    assert_eq!(worker["events"], json!({ "ok": 0, "failed": 1, "trapped": 0 }));
    assert_eq!(worker["restarts"], 0, "an error is an answer");
    let said = host.fails(1, &["call", "c", "exit", ""]);
    assert!(said.contains("exited with a failure"), "{said}");
    assert_eq!(host.ok(&["call", "c", "ok", "again"]), "again");
    assert!(host.json(&["traps"]).as_array().unwrap().is_empty(), "an exit is no trap");

    // Crashing in init is quarantined like any crash; the record says where.
    host.drop_manifest("i.toml", &crash("i", "config = { mode = \"init-panic\" }\nrestart = { intensity = 2, period = \"60s\" }"));
    host.worker_when("i", "quarantined", state("quarantined"));
    assert_eq!(host.trap("i")["event"], "init");
    assert_eq!(host.json(&["traps", "i"]).as_array().unwrap().len(), 3, "one start and two restarts");

    // A worker that nobody calls by that name.
    let output = host.run(&["why", "d"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("no worker \"d\""), "{output:?}");
}
