//! `start = "lazy"` through the real binary: nothing is made before somebody asks, and nothing is missed because of it.

use serde_json::{Value, json};

use crate::support::{Host, eventually};

fn lazy(name: &str, more: &str) -> String {
    format!("[[worker]]\nname = \"{name}\"\ncomponent = \"probe.wasm\"\nstart = \"lazy\"\n{more}\n")
}

/// There, but never made.
fn untouched(worker: &Value) -> bool {
    worker["state"] == "running" && worker["incarnation"] == 0 && worker["memory_peak_bytes"] == 0
}

#[test]
fn nothing_is_made_before_the_first_event_and_many_at_once_make_it_once() {
    let host = Host::with(&["probe"]);
    host.drop_manifest("w.toml", &lazy("w", ""));
    host.worker_when("w", "there", untouched);
    let why = host.ok(&["why", "w"]);
    assert!(why.contains("it starts at its first event"), "{why}");
    std::thread::scope(|scope| {
        let host = &host;
        let calls: Vec<_> = (0..12).map(|n| scope.spawn(move || host.ok(&["call", "w", "echo", &n.to_string()]))).collect();
        for (n, call) in calls.into_iter().enumerate() {
            assert_eq!(call.join().unwrap().trim_end(), n.to_string());
        }
    });
    let worker = host.worker("w").unwrap();
    assert_eq!((&worker["restarts"], &worker["events"]["ok"]), (&json!(0), &json!(12)));
    assert!(worker["memory_peak_bytes"].as_u64() > Some(0));
    assert_eq!(host.call("w", "events", ""), json!({ "ok": 13 }), "one instance saw them all");
    assert!(host.ok(&["why", "w"]).contains("nothing went wrong"));
}

#[test]
fn after_a_crash_it_waits_for_the_next_event() {
    let host = Host::with(&["probe"]);
    host.running("w", &lazy("w", "restart = { intensity = 5, period = \"5s\" }"));
    let mut last = Some(0);
    for round in 1..=3 {
        assert_eq!(host.ok(&["call", "w", "echo", "up"]).trim_end(), "up");
        let before = host.worker("w").unwrap();
        assert!(before["incarnation"].as_u64() > last, "made for the event: {before:#}");
        last = before["incarnation"].as_u64();
        host.fails(1, &["call", "w", "follow", r#"{"do":"trap"}"#]);
        let worker = host.worker_when("w", "recorded", |worker| worker["restarts"] == round);
        assert_eq!((&worker["state"], &worker["incarnation"]), (&json!("running"), &before["incarnation"]), "nothing is made for nobody");
        let why = host.ok(&["why", "w"]);
        assert!(why.contains("it starts again at its next event") && why.contains("unreachable"), "{why}");
    }
}

#[test]
fn one_that_never_started_is_restarted_updated_drained_and_deleted() {
    let host = Host::with(&["probe"]);
    host.running("w", &lazy("w", ""));
    host.ok(&["restart", "w"]);
    host.worker_when("w", "as it was", untouched);
    host.drop_manifest("w.toml", &lazy("w", "limits = { timeout = \"7s\" }\nnotes = \"new\""));
    host.worker_when("w", "updated", |worker| worker["notes"] == "new" && untouched(worker));
    host.ok(&["drain", "w"]);
    let drained = host.worker_when("w", "drained", |worker| worker["state"] == "stopped");
    assert_eq!(drained["incarnation"], 0);
    let said = host.fails(4, &["call", "w", "echo", "x"]);
    assert!(said.contains("is stopped") && said.contains("skep restart w"), "{said}");
    host.ok(&["restart", "w"]);
    host.worker_when("w", "back", untouched);
    assert_eq!(host.ok(&["call", "w", "echo", "now"]).trim_end(), "now");
    assert!(host.worker("w").unwrap()["incarnation"].as_u64() > Some(0));

    host.running("never", &lazy("never", ""));
    host.ok(&["delete", "worker", "never"]);
    eventually("gone", || host.worker("never").is_none().then_some(()));
    let mut host = host;
    host.running("never", &lazy("never", ""));
    assert_eq!(host.stop(), Some(0));
}

#[test]
fn jobs_and_messages_wake_it_also_when_it_came_back() {
    let host = Host::with(&["probe"]);
    let jobs = "jobs = { queue = \"todo\" }\ntopics = [\"t.*\"]\ninstance = \"resident\"\nrestart = { intensity = 1, period = \"5s\" }";
    host.running("doer", &lazy("doer", jobs));
    host.running("a", "[[worker]]\nname = \"a\"\ncomponent = \"probe.wasm\"\ngrants = { publish = [\"t.*\"] }\n");
    assert_eq!(host.call("a", "topics.publish", r#"{"topic":"t.one","payload":"x"}"#), json!({ "ok": 1 }));
    host.worker_when("doer", "woken by a message", |worker| worker["events"]["ok"] == 1 && worker["incarnation"].as_u64() > Some(0));
    let push = |payload: &str| drop(host.ok(&["queue", "push", "todo", payload, "--wait=30s"]));
    push("one");
    // Down and up again, unasked: the feeder has to hear of it all the same.
    host.ok(&["drain", "doer"]);
    host.worker_when("doer", "drained", |worker| worker["state"] == "stopped");
    let before = host.worker("doer").unwrap()["incarnation"].as_u64();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| push("two"));
        eventually("it waits in the queue", || (host.json(&["queue", "ls"])[0]["waiting"] == 1).then_some(()));
        host.ok(&["restart", "doer"]);
        waits.join().unwrap();
    });
    assert!(host.worker("doer").unwrap()["incarnation"].as_u64() > before);
    // Quarantined by the second crash, and woken after it without anybody's help.
    push(r#"{"do":"trap-first","attempts":2}"#);
    assert_eq!(host.worker("doer").unwrap()["events"]["trapped"], 2);
}
