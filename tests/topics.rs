//! Topics through the real binary: bounded, and whoever can't keep up or is down misses messages and is named.

use serde_json::{Value, json};

use crate::support::{Host, eventually};

fn worker(name: &str, more: &str) -> String {
    format!("[[worker]]\nname = \"{name}\"\ncomponent = \"probe.wasm\"\n{more}\n")
}

/// Publishes the same message many times; how many workers took each.
fn publish(host: &Host, times: u64, payload: Value) -> Vec<u64> {
    let with = json!({ "times": times, "call": "topics.publish", "with": { "topic": "orders.new", "payload": payload } });
    let answers = host.call("a", "each", &with.to_string())["ok"].clone();
    answers.as_array().unwrap().iter().map(|answer| answer["ok"].as_u64().unwrap_or_else(|| panic!("{answer}"))).collect()
}

/// Events that tell of messages missed by a worker.
fn told(host: &Host, worker: &str) -> Vec<String> {
    let (_, events) = host.api(&format!("/api/v1/events?limit=500&worker={worker}"));
    let events: Value = serde_json::from_str(&events).unwrap();
    let events = events.as_array().unwrap().iter().filter(|event| event["kind"] == "topic.missed");
    events.map(|event| event["message"].as_str().unwrap().to_owned()).collect()
}

fn published(host: &Host) {
    host.running("a", &worker("a", "grants = { publish = [\"orders.*\"] }"));
}

#[test]
fn a_slow_subscriber_is_bounded_and_named_and_holds_nobody_up() {
    let host = Host::with(&["probe"]);
    host.running("slow", &worker("slow", "topics = [\"orders.*\"]\nlimits = { timeout = \"30s\" }"));
    host.running("quick", &worker("quick", "topics = [\"orders.*\"]\ninstance = \"per-event\""));
    published(&host);
    let before = host.worker("slow").unwrap();
    // It sits on the first; of the others, 16 MiB fit into its mailbox.
    assert_eq!(publish(&host, 1, json!({ "do": "sleep", "ms": 4_000 })), [2]);
    let taken = publish(&host, 30, json!({ "bytes": 1 << 20 }));
    assert_eq!(taken, [vec![2; 16], vec![1; 14]].concat(), "quick has them all");
    let slow = host.worker_when("slow", "behind", |worker| worker["events"]["missed_messages"] == 14);
    assert!(
        slow["last_error"].as_str().unwrap().starts_with("misses messages on orders.new: worker \"slow\" has 16 events waiting"),
        "{slow:#}"
    );
    assert_eq!(told(&host, "slow").len(), 1, "once a stretch");
    host.worker_when("quick", "done", |worker| worker["events"]["ok"] == 31 && worker["events"].get("missed_messages").is_none());
    let (_, metrics) = host.api("/metrics");
    let line = "skep_worker_events_total{worker=\"slow\",result=\"missed-message\"} 14";
    assert!(metrics.lines().any(|found| found == line) && metrics.matches("missed-message").count() == 1, "{metrics}");
    // Nothing is lost of what it took, and it listens again.
    host.worker_when("slow", "through", |worker| worker["events"]["ok"] == 17);
    assert_eq!(publish(&host, 1, json!("one more")), [2]);
    let after = host.worker_when("slow", "up to date", |worker| worker["events"]["ok"] == 18);
    for fact in ["incarnation", "restarts", "state"] {
        assert_eq!(after[fact], before[fact], "{after:#}");
    }
    // Many small ones: as many as a mailbox has places.
    assert_eq!(publish(&host, 1, json!({ "do": "sleep", "ms": 2_000 })), [2]);
    let taken = publish(&host, 1_100, json!("small"));
    let (both, one) = (taken.iter().filter(|taken| **taken == 2).count(), taken.iter().filter(|taken| **taken == 1).count());
    assert_eq!((both, one), (1_024, 76), "quick keeps up");
    assert_eq!(told(&host, "slow").len(), 2, "a new stretch is told again");
}

#[test]
fn one_that_is_down_misses_messages_and_is_told_of() {
    let host = Host::with(&["probe"]);
    host.running("sub", &worker("sub", "topics = [\"orders.*\"]"));
    published(&host);
    host.ok(&["drain", "sub"]);
    host.worker_when("sub", "drained", |worker| worker["state"] == "stopped");
    assert_eq!(publish(&host, 3, json!("missed")), [0, 0, 0]);
    assert_eq!(host.worker("sub").unwrap()["events"]["missed_messages"], 3);
    let said = eventually("it is told", || Some(told(&host, "sub")).filter(|said| !said.is_empty()));
    assert!(said.len() == 1 && said[0].contains("orders.new") && said[0].contains("is stopped"), "{said:?}");
    host.ok(&["restart", "sub"]);
    host.worker_when("sub", "up", |worker| worker["state"] == "running");
    assert_eq!(publish(&host, 1, json!("heard")), [1]);
    host.worker_when("sub", "hearing", |worker| worker["events"]["ok"] == 1);
    assert_eq!(host.call("sub", "seen", "{}")["ok"], json!([{ "topic": "orders.new", "payload": "heard" }]), "it is not sent again");
    // One that listens no more is nobody's concern.
    host.drop_manifest("sub.toml", &worker("sub", "topics = [\"other.*\"]"));
    eventually("it listens to something else", || (publish(&host, 1, json!("x")) == [0]).then_some(()));
    assert_eq!(told(&host, "sub").len(), 1);
}

#[test]
fn only_what_is_granted_is_published_and_only_topics_are() {
    let host = Host::with(&["probe"]);
    published(&host);
    host.running("nobody", &worker("nobody", ""));
    for (who, topic, payload, error, says) in [
        ("a", "news", json!("x"), "denied", "add \"news\" to grants.publish"),
        ("a", "orders", json!("x"), "denied", "add \"orders\" to grants.publish"),
        ("nobody", "orders.new", json!("x"), "denied", "add \"orders.new\" to grants.publish"),
        ("a", "orders.*", json!("x"), "invalid", "names no topic"),
        ("a", "orders..new", json!("x"), "invalid", "names no topic"),
        ("a", "", json!("x"), "invalid", "names no topic"),
        ("a", "orders.new", json!({ "bytes": (1 << 20) + 1 }), "too-large", "1048577"),
    ] {
        let answer = host.call(who, "topics.publish", &json!({ "topic": topic, "payload": payload }).to_string());
        assert_eq!(answer["error"], error, "{who} {topic}: {answer}");
        assert!(answer["sentence"].as_str().unwrap().contains(says), "{who} {topic}: {answer}");
    }
    assert_eq!(publish(&host, 1, json!("for nobody")), [0]);
}
