//! Work between workers, in the real host with real guests: jobs and what becomes of them, kept state, permits, calls and messages.
//!
//! The guest is the probe: its calls reach every import, its jobs end as their payloads say (plugins/probe).

use serde_json::{Value, json};

use crate::support::{Host, eventually};

fn worker(name: &str, more: &str) -> String {
    format!("[[worker]]\nname = \"{name}\"\ncomponent = \"probe.wasm\"\nrestart = {{ intensity = 100, period = \"1s\" }}\n{more}\n")
}

/// Calls `method` of `worker`, which has to say yes.
fn ask(host: &Host, worker: &str, method: &str, with: Value) -> Value {
    let answer = host.call(worker, method, &with.to_string());
    match answer.get("ok") {
        Some(value) => value.clone(),
        None => panic!("{worker} {method} {with}: {answer}\nhost log:\n{}", host.log()),
    }
}

/// Calls `method` of `worker`, which has to say no: the kind, and the sentence.
fn refusal(host: &Host, worker: &str, method: &str, with: Value) -> (String, String) {
    let answer = host.call(worker, method, &with.to_string());
    let text = |key: &str| answer[key].as_str().unwrap_or_else(|| panic!("{method} {with} was not refused: {answer}")).to_owned();
    (text("error"), text("sentence"))
}

/// A pusher and a worker that handles what it pushes on `todo`.
fn pair(jobs: &str) -> Host {
    let host = Host::with(&["probe"]);
    host.running("pusher", &worker("pusher", "grants = { queue = { push = [\"todo\", \"out\"] } }"));
    host.running("doer", &worker("doer", &format!("jobs = {{ queue = \"todo\" }}\ngrants = {{ queue = {{ push = [\"out\"] }} }}\n{jobs}")));
    host
}

/// Pushes a job that does as told, waits until it is over, and answers what is known of it then.
fn done(host: &Host, told: Value) -> Value {
    done_with(host, told, json!({}))
}

fn done_with(host: &Host, told: Value, options: Value) -> Value {
    let mut with = json!({ "queue": "todo", "payload": told, "backoff_ms": 1 });
    with.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    let id = ask(host, "pusher", "queue.push", with);
    ask(host, "pusher", "queue.wait", json!({ "id": id, "timeout_ms": 9_000 }))
}

fn outcome(host: &Host, job: &Value) -> Value {
    ask(host, "pusher", "queue.outcome", json!({ "id": job["id"] }))
}

#[test]
fn a_job_goes_to_its_worker_and_its_result_comes_back() {
    let host = pair("");
    let job = done(&host, json!({ "do": "ok", "result": "forty-two" }));
    assert_eq!((&job["state"], &job["attempts"], &job["queue"]), (&json!("done"), &json!(1), &json!("todo")));
    assert_eq!(outcome(&host, &job), "forty-two");
    let job = done(&host, json!({ "do": "ok" }));
    assert_eq!((&job["state"], outcome(&host, &job)), (&json!("done"), Value::Null));
    let job = done(&host, json!({ "do": "ok", "result": { "bytes": 1 << 20 } }));
    assert_eq!(outcome(&host, &job), json!({ "bytes": 1 << 20 }));
}

#[test]
fn a_job_that_fails_is_tried_again_until_it_may_not() {
    let host = pair("");
    let job = done(&host, json!({ "do": "retry-first", "attempts": 2, "then": { "do": "ok", "result": "third time" } }));
    assert_eq!((&job["state"], &job["attempts"]), (&json!("done"), &json!(3)));
    assert_eq!(outcome(&host, &job), "third time");
    let job = done_with(&host, json!({ "do": "retry", "reason": "never again" }), json!({ "max_attempts": 2 }));
    assert_eq!((&job["state"], &job["attempts"], &job["max_attempts"]), (&json!("dead"), &json!(2), &json!(2)));
    assert!(job["last_error"].as_str().unwrap().contains("never again"), "{job}");
    let job = done(&host, json!({ "do": "dead", "reason": "no use" }));
    assert_eq!((&job["state"], &job["attempts"]), (&json!("dead"), &json!(1)));
    assert!(job["last_error"].as_str().unwrap().contains("no use"), "{job}");
}

#[test]
fn a_trap_costs_an_attempt_and_leaves_a_record() {
    let host = pair("");
    let job = done(&host, json!({ "do": "trap-first", "attempts": 2, "then": { "do": "ok", "result": "lived" } }));
    assert_eq!((&job["state"], &job["attempts"]), (&json!("done"), &json!(3)));
    assert_eq!(outcome(&host, &job), "lived");
    let trap = host.trap("doer");
    assert!(trap["input"].as_str().unwrap().contains("trap-first"), "{trap:#}");
    let job = done_with(&host, json!({ "do": "trap" }), json!({ "max_attempts": 2 }));
    assert_eq!((&job["state"], &job["attempts"]), (&json!("dead"), &json!(2)));
    assert!(job["last_error"].as_str().unwrap().contains("unreachable"), "{job}");
    assert_eq!(done(&host, json!({ "do": "ok" }))["state"], "done", "the worker goes on");
}

#[test]
fn a_job_that_never_ends_is_cut_off() {
    let host = pair("limits = { timeout = \"300ms\" }");
    for told in [json!({ "do": "spin" }), json!({ "do": "sleep", "ms": 60_000 })] {
        let job = done_with(&host, told, json!({ "max_attempts": 1 }));
        assert_eq!(job["state"], "dead");
        assert!(job["last_error"].as_str().unwrap().contains("300ms"), "{job}");
    }
}

/// What came out on `out`, once `count` jobs are done there.
fn came_out(host: &Host, count: usize) -> Vec<Value> {
    let seen = || ask(host, "sink", "seen", json!({})).as_array().unwrap().clone();
    eventually("jobs on out", || Some(seen()).filter(|seen| seen.len() >= count)).into_iter().map(|job| job["payload"].clone()).collect()
}

#[test]
fn what_is_pushed_on_ack_goes_with_the_attempt_that_finished() {
    let host = pair("");
    host.running("sink", &worker("sink", "jobs = { queue = \"out\" }\ninstance = \"resident\""));
    let push = |payload: &str, then: Value| json!({ "do": "push", "queue": "out", "payload": payload, "on_ack": true, "then": then });
    let twice = json!({ "do": "trap-first", "attempts": 1, "then": "ok" });
    assert_eq!(done(&host, push("trapped once", twice))["attempts"], 2);
    let again = json!({ "do": "retry-first", "attempts": 2, "then": "ok" });
    assert_eq!(done(&host, push("retried twice", again))["attempts"], 3);
    assert_eq!(done_with(&host, push("never", json!("trap")), json!({ "max_attempts": 2 }))["state"], "dead");
    assert_eq!(done(&host, push("last", json!("ok")))["state"], "done");
    let mut out = came_out(&host, 3);
    out.sort_by_key(Value::to_string);
    assert_eq!(out, ["last", "retried twice", "trapped once"], "each once: neither a trap nor a retry acknowledges anything");
    let (case, sentence) = refusal(&host, "pusher", "queue.push", json!({ "queue": "out", "payload": "x", "on_ack": true }));
    assert_eq!(case, "invalid", "{sentence}");
}

#[test]
fn a_job_tells_how_far_it_is_and_can_be_taken_back() {
    let host = pair("");
    let told = json!({ "do": "progress", "note": "half", "then": { "do": "sleep", "ms": 60_000 } });
    let id = ask(&host, "pusher", "queue.push", json!({ "queue": "todo", "payload": told, "max_attempts": 1 }));
    let status = || ask(&host, "pusher", "queue.status", json!({ "id": id }));
    let job = eventually("progress", || Some(status()).filter(|job| job["progress"] == "half"));
    assert_eq!(job["state"], "running");
    assert_eq!(ask(&host, "pusher", "queue.cancel", json!({ "id": id })), true);
    assert_eq!(status()["state"], "cancelled");
    assert_eq!(ask(&host, "pusher", "queue.cancel", json!({ "id": id })), false);
    host.running("other", &worker("other", ""));
    let (case, _) = refusal(&host, "other", "queue.status", json!({ "id": id }));
    assert_eq!(case, "not-found", "it is the pusher's");
    let (case, sentence) = refusal(&host, "pusher", "queue.push", json!({ "queue": "other" }));
    assert_eq!(case, "denied");
    assert!(sentence.contains("worker \"pusher\" may not push to \"other\": add \"other\" to grants.queue.push"), "{sentence}");
}

#[test]
fn delay_priority_and_unique_keys_are_kept() {
    let host = Host::with(&["probe"]);
    host.running("pusher", &worker("pusher", "grants = { queue = { push = [\"todo\"] } }"));
    let push = |payload: &str, options: Value| {
        let mut with = json!({ "queue": "todo", "payload": payload });
        with.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        ask(&host, "pusher", "queue.push", with)
    };
    push("low", json!({ "priority": -1 }));
    let first = push("first", json!({}));
    push("second", json!({}));
    push("high", json!({ "priority": 7 }));
    let late = push("late", json!({ "delay_ms": 3_600_000 }));
    let once = push("once", json!({ "unique_key": "k" }));
    assert_eq!(push("twice", json!({ "unique_key": "k" })), once);
    let state = |id: &Value| ask(&host, "pusher", "queue.status", json!({ "id": id }))["state"].clone();
    assert_eq!((state(&first), state(&late)), (json!("waiting"), json!("delayed")));
    host.running("doer", &worker("doer", "jobs = { queue = \"todo\" }\ninstance = \"resident\""));
    let seen = eventually("all that is due", || {
        let seen = ask(&host, "doer", "seen", json!({})).as_array().unwrap().clone();
        (seen.len() >= 5).then_some(seen)
    });
    let order: Vec<_> = seen.iter().map(|job| job["payload"].as_str().unwrap()).collect();
    assert_eq!(order, ["high", "first", "second", "once", "low"]);
    assert_eq!(state(&late), "delayed");
}

#[test]
fn kept_state_is_there_after_kill_9_and_nobody_elses() {
    let mut host = Host::with(&["probe"]);
    host.running("a", &worker("a", "grants = { kv = [\"shared\"] }"));
    host.running("b", &worker("b", "grants = { kv = [\"shared\"] }"));
    assert_eq!(ask(&host, "a", "kv.increment", json!({ "key": "n", "by": 5 })), 5);
    let revision = ask(&host, "a", "kv.set", json!({ "bucket": "shared", "key": "k", "value": "v" }));
    assert_eq!(ask(&host, "b", "kv.get", json!({ "bucket": "shared", "key": "k" })), json!({ "value": "v", "revision": revision }));
    assert_eq!(ask(&host, "b", "kv.get", json!({ "key": "n" })), Value::Null, "another worker's own bucket");
    let (case, sentence) = refusal(&host, "b", "kv.get", json!({ "bucket": "a", "key": "n" }));
    assert_eq!(case, "denied");
    assert!(sentence.contains("add \"a\" to grants.kv"), "{sentence}");
    let swap = json!({ "bucket": "shared", "key": "k", "expected": revision, "value": "w" });
    ask(&host, "b", "kv.compare-and-set", swap.clone());
    assert_eq!(refusal(&host, "a", "kv.compare-and-set", swap).0, "conflict");
    assert_eq!(refusal(&host, "a", "kv.increment", json!({ "bucket": "shared", "key": "k" })).0, "invalid");
    assert_eq!(ask(&host, "a", "kv.increment-many", json!({ "keys": ["n", "m"], "by": 2 })), json!([7, 2]));
    host.kill();
    host.start();
    host.worker_when("a", "running", |worker| worker["state"] == "running");
    let listed = ask(&host, "a", "kv.entries", json!({}));
    let listed: Vec<_> = listed.as_array().unwrap().iter().map(|entry| (entry["key"].clone(), entry["value"].clone())).collect();
    assert_eq!(listed, [(json!("m"), json!(2)), (json!("n"), json!(7))]);
    assert_eq!(ask(&host, "a", "kv.delete", json!({ "key": "m" })), true);
    assert_eq!(ask(&host, "a", "kv.delete", json!({ "key": "m" })), false);
}

#[test]
fn workers_share_a_limiter_and_its_waits_are_not_their_time() {
    let host = Host::with(&["probe"]);
    let limited = "limits = { timeout = \"500ms\" }\ngrants = { limiter = { acquire = [\"api\"], set_rate = [\"api\"] } }";
    let both = format!("[[limiter]]\nname = \"api\"\nrate = \"1/2s\"\n{}{}", worker("a", limited), worker("b", limited));
    host.running("a", &both);
    host.worker_when("b", "running", |worker| worker["state"] == "running");
    ask(&host, "a", "limiter.acquire", json!({ "name": "api", "timeout_ms": 0 }));
    assert_eq!(ask(&host, "b", "limiter.try-acquire", json!({ "name": "api" })), false);
    let (case, sentence) = refusal(&host, "b", "limiter.acquire", json!({ "name": "api", "timeout_ms": 50 }));
    assert_eq!((&*case, sentence.contains("1/2s") && sentence.contains("50ms")), ("timeout", true), "{sentence}");
    // Two seconds of waiting in an event that may run for half a second.
    ask(&host, "b", "limiter.acquire", json!({ "name": "api", "timeout_ms": 20_000 }));
    ask(&host, "a", "limiter.set-rate", json!({ "name": "api", "rate": "1000/s" }));
    eventually("the rate in the manifest", || {
        std::fs::read_to_string(host.manifest("a.toml")).unwrap().contains("rate = \"1000/s\"").then_some(())
    });
    let many = ask(&host, "b", "each", json!({ "times": 20, "call": "limiter.acquire", "with": { "name": "api", "timeout_ms": 5_000 } }));
    assert!(many.as_array().unwrap().iter().all(|answer| answer["ok"].is_null() && answer["error"].is_null()), "{many}");
    assert_eq!(refusal(&host, "a", "limiter.set-rate", json!({ "name": "api", "rate": "soon" })).0, "invalid");
    assert_eq!(refusal(&host, "a", "limiter.acquire", json!({ "name": "other" })).0, "denied");
}

#[test]
fn workers_call_each_other_and_a_ring_of_calls_is_told_so() {
    let host = Host::with(&["probe"]);
    host.running("a", &worker("a", "grants = { call = [\"b\", \"a\", \"nobody\"] }"));
    host.running("b", &worker("b", "replicas = 2\ngrants = { call = [\"a\"] }"));
    host.worker_when("b", "two", |worker| worker["replicas"]["running"] == 2);
    let to = |name: &str, method: &str, payload: Value| json!({ "name": name, "method": method, "payload": payload });
    assert_eq!(ask(&host, "a", "registry.call", to("b", "echo", json!("hello"))), "hello");
    let events = || ask(&host, "a", "registry.call", to("b/2", "events", json!({})))["ok"].as_u64().unwrap();
    assert_eq!(events() + 1, events(), "exactly that replica");
    let members = ask(&host, "a", "registry.members", json!({ "prefix": "" }));
    let names: Vec<_> = members.as_array().unwrap().iter().map(|member| member["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a/1", "b/1", "b/2"]);
    assert_eq!(ask(&host, "a", "registry.whereis", json!({ "name": "b/2" }))[0]["replica"], 2);

    // a → b → a, and a → a: whoever would wait for itself hears so at once.
    let back = to("a", "echo", json!("x"));
    let inner = ask(&host, "a", "registry.call", to("b", "registry.call", back));
    assert_eq!(inner["error"], "conflict", "{inner}");
    let (case, sentence) = refusal(&host, "a", "registry.call", to("a", "echo", json!("x")));
    assert_eq!(case, "conflict", "{sentence}");

    ask(&host, "a", "registry.cast", to("b/1", "kv.increment", json!({ "key": "casts" })));
    eventually("the cast", || (ask(&host, "b", "kv.get", json!({ "key": "casts" }))["value"] == 1).then_some(()));
    let (case, sentence) = refusal(&host, "a", "registry.call", to("b", "no-such-method", json!({})));
    assert_eq!((&*case, sentence.contains("no-such-method")), ("failed", true), "{sentence}");
    assert_eq!(refusal(&host, "a", "registry.call", to("nobody", "echo", json!(""))).0, "not-found");
    assert_eq!(refusal(&host, "a", "registry.call", to("b/3", "echo", json!(""))).0, "not-found");
    assert_eq!(refusal(&host, "b", "registry.call", to("c", "echo", json!(""))).0, "denied");
    let late = json!({ "name": "b", "method": "sleep", "payload": { "ms": 400 }, "timeout_ms": 30 });
    assert_eq!(refusal(&host, "a", "registry.call", late).0, "timeout");
    let (case, sentence) = refusal(&host, "a", "registry.call", to("b", "follow", json!({ "do": "trap" })));
    assert_eq!(case, "unavailable", "{sentence}");
    eventually("both answer again", || {
        let answer = host.call("a", "registry.call", &to("b", "echo", json!("again")).to_string());
        (answer["ok"] == "again").then_some(())
    });
}

#[test]
fn messages_reach_whoever_listens() {
    let host = Host::with(&["probe"]);
    host.running("all", &worker("all", "topics = [\"orders.*\"]"));
    host.running("paid", &worker("paid", "topics = [\"*.paid\"]"));
    host.running("a", &worker("a", "grants = { publish = [\"orders.*\"] }"));
    assert_eq!(ask(&host, "a", "topics.publish", json!({ "topic": "orders.new", "payload": "one" })), 1);
    assert_eq!(ask(&host, "a", "topics.publish", json!({ "topic": "orders.eu.paid", "payload": "two" })), 2);
    assert_eq!(ask(&host, "a", "topics.publish", json!({ "topic": "orders.old", "payload": { "do": "retry", "reason": "an error" } })), 1);
    let seen = |name: &str, count: usize| {
        eventually("messages", || {
            let seen = ask(&host, name, "seen", json!({})).as_array().unwrap().clone();
            (seen.len() >= count).then_some(seen)
        })
    };
    let all = seen("all", 3);
    assert_eq!(all[..2], [json!({ "topic": "orders.new", "payload": "one" }), json!({ "topic": "orders.eu.paid", "payload": "two" })]);
    assert_eq!(seen("paid", 1), [json!({ "topic": "orders.eu.paid", "payload": "two" })]);
    let (case, sentence) = refusal(&host, "a", "topics.publish", json!({ "topic": "news", "payload": "x" }));
    assert_eq!(case, "denied");
    assert!(sentence.contains("add \"news\" to grants.publish"), "{sentence}");
    host.worker_when("all", "still running", |worker| worker["state"] == "running" && worker["restarts"] == 0);
}
