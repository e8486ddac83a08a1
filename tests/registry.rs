//! Workers that call each other in loops, through the real binary: every call is answered, by a result or by an error, and no
//! incarnation is harmed.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Host, eventually, web};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const ALL: &str = "grants = { call = [\"a\", \"b\", \"c\", \"d\"] }";

fn worker(name: &str, more: &str) -> String {
    format!("[[worker]]\nname = \"{name}\"\ncomponent = \"probe.wasm\"\n{more}\n")
}

fn to(name: &str, method: &str, payload: Value) -> Value {
    json!({ "name": name, "method": method, "payload": payload, "timeout_ms": 8_000 })
}

fn steps(steps: &[(&str, Value)]) -> Value {
    json!({ "steps": steps.iter().map(|(call, with)| json!({ "call": call, "with": with })).collect::<Vec<_>>() })
}

/// Calls over HTTP: status and answer.
fn call(at: &str, token: &str, name: &str, method: &str, payload: &Value) -> (u16, String) {
    let answer = web::post(at, &format!("/api/v1/workers/{name}/call?method={method}&timeout=60s"), token, &payload.to_string());
    (answer.status, answer.body)
}

/// The facts of all workers that a harmless call leaves alone.
fn unharmed(host: &Host) -> Vec<Value> {
    let fact =
        |worker: &Value| json!([worker["name"], worker["incarnation"], worker["restarts"], worker["state"], worker["events"]["trapped"]]);
    host.workers().iter().map(fact).collect()
}

#[test]
fn whoever_would_wait_for_itself_hears_so_and_nobody_is_harmed() {
    let host = Host::with(&["probe"]);
    for name in NAMES {
        host.running(name, &worker(name, ALL));
    }
    let before = unharmed(&host);
    let start = Instant::now();
    // Itself; a → b → a; a → b → c → d → a.
    let itself = to("a", "echo", json!("x"));
    let answer = host.call("a", "registry.call", &itself.to_string());
    assert_eq!(answer["error"], "conflict", "{answer}");
    assert!(answer["sentence"].as_str().unwrap().contains("a → a"), "{answer}");
    let through = |way: &[&str]| way.iter().rev().fold(itself.clone(), |inner, name| to(name, "registry.call", inner));
    for way in [&["b"][..], &["b", "c", "d"]] {
        let answer = host.call("a", "registry.call", &through(way).to_string()).to_string();
        let loops = format!("a → {} → a", way.join(" → "));
        assert!(answer.contains("conflict") && answer.contains(&loops), "{answer}");
    }
    // A cast to oneself is fine: nobody waits.
    assert_eq!(host.call("a", "registry.cast", &itself.to_string())["ok"], Value::Null);
    // One that waits for nobody is called all the same.
    assert_eq!(host.call("a", "registry.call", &to("b", "registry.call", to("c", "echo", json!("far"))).to_string())["ok"]["ok"], "far");
    assert!(start.elapsed() < Duration::from_secs(8), "no call waited for its deadline: {:?}", start.elapsed());
    assert_eq!(unharmed(&host), before);
}

#[test]
fn two_events_that_would_wait_for_each_other_are_told_so() {
    let host = Host::with(&["probe"]);
    for name in ["a", "b"] {
        host.running(name, &worker(name, ALL));
    }
    let before = unharmed(&host);
    let (at, token) = (host.admin.clone(), host.bearer("admin.token"));
    for _ in 0..5 {
        let start = Instant::now();
        let answers: Vec<Value> = thread::scope(|scope| {
            let both = [("a", "b"), ("b", "a")].map(|(from, other)| {
                let told = steps(&[("sleep", json!({ "ms": 300 })), ("registry.call", to(other, "echo", json!("hello")))]);
                let (at, token) = (&at, &token);
                scope.spawn(move || call(at, token, from, "steps", &told))
            });
            both.map(|one| one.join().unwrap())
                .into_iter()
                .map(|(status, body)| {
                    assert_eq!(status, 200, "{body}");
                    serde_json::from_str::<Value>(&body).unwrap()["ok"][1].clone()
                })
                .collect()
        });
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}: {answers:?}", start.elapsed());
        let refused: Vec<_> = answers.iter().filter(|answer| answer["error"] == "conflict").collect();
        assert_eq!(refused.len(), 1, "one gives way, the other is answered: {answers:?}");
        assert!(refused[0]["sentence"].as_str().unwrap().contains("let one of them cast instead"), "{answers:?}");
        assert!(answers.iter().any(|answer| answer["ok"] == "hello"), "{answers:?}");
    }
    assert_eq!(unharmed(&host), before);
}

/// A chain of calls nobody planned, at most so long.
fn anything(random: &mut fastrand::Rng, depth: u32) -> (&'static str, Value) {
    if depth == 0 || random.u8(..) < 40 {
        return match random.u8(..3) {
            0 => ("sleep", json!({ "ms": random.u64(..8) })),
            _ => ("echo", json!("the end")),
        };
    }
    let calls: Vec<(&str, Value)> = (0..random.usize(1..3))
        .map(|_| {
            let (method, payload) = anything(random, depth - 1);
            let name = random.choice(["a", "b", "c", "d", "a/1", "b/2", "nobody"]).unwrap();
            let verb = if random.u8(..) < 30 { "registry.cast" } else { "registry.call" };
            (verb, to(name, method, payload))
        })
        .collect();
    ("steps", steps(&calls))
}

#[test]
fn any_graph_of_calls_under_load_comes_to_its_end() {
    const CALLERS: u64 = 8;
    const CALLS: usize = 40;
    let host = Host::with(&["probe"]);
    host.running("a", &worker("a", ALL));
    host.running("b", &worker("b", &format!("{ALL}\nreplicas = 2")));
    host.running("c", &worker("c", &format!("{ALL}\ninstance = \"per-event\"")));
    host.running("d", &worker("d", ALL));
    let before = unharmed(&host);
    let (at, token) = (host.admin.clone(), host.bearer("admin.token"));
    let start = Instant::now();
    thread::scope(|scope| {
        let (at, token) = (&at, &token);
        let callers = (0..CALLERS).map(|seed| {
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                for _ in 0..CALLS {
                    let (method, payload) = anything(&mut random, 4);
                    let name = random.choice(NAMES).unwrap();
                    let began = Instant::now();
                    let (status, body) = call(at, token, name, method, &payload);
                    // A crash would be 502, an overrun 504: a loop nobody saw.
                    assert_eq!(status, 200, "seed {seed}: {name} {method} {payload}: {body}");
                    assert!(!body.contains("\"timeout\""), "seed {seed}: {name} {method} {payload}: {body}");
                    assert!(began.elapsed() < Duration::from_secs(8), "seed {seed}: {:?}", began.elapsed());
                }
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.join().unwrap();
        }
    });
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    let idle = || host.call("a", "registry.members", "{}")["ok"].as_array().unwrap().iter().all(|one| one["waiting"] == 0);
    eventually("nothing is left over", || idle().then_some(()));
    assert_eq!(unharmed(&host), before);
}

/// HTTP workers that ask on as their path says.
fn web_worker(name: &str) -> String {
    format!(
        "[[worker]]\nname = \"{name}\"\ncomponent = \"unruly.wasm\"\ninstance = \"resident\"\nlimits = {{ timeout = \"2s\" }}\n\
         http = {{ routes = [\"/{name}\"] }}\ngrants = {{ http = {{ allow = [\"worker:a\", \"worker:b\"] }} }}\n"
    )
}

#[test]
fn a_loop_over_http_is_an_error_within_the_deadline() {
    let host = Host::with(&["unruly"]);
    host.drop_manifest("both.toml", &["a", "b"].map(web_worker).concat());
    for name in ["a", "b"] {
        host.worker_when(name, "running", |worker| worker["state"] == "running");
    }
    let before = unharmed(&host);
    let start = Instant::now();
    for (path, says) in [
        ("/a/forward?url=http://a.skep.internal/ok", "error: ErrorCode::LoopDetected"),
        ("/a/forward?url=http://b.skep.internal/forward?url=http://a.skep.internal/ok", "200 error: ErrorCode::LoopDetected"),
        ("/a/forward?url=http://b.skep.internal/ok", "200 /ok"),
        ("/a/forward?url=http://gone.skep.internal/ok", "error: "),
    ] {
        let answer = web::ask(&host.listen, "GET", path, &[]);
        assert!(answer.status == 200 && answer.body.starts_with(says), "{path}: {answer:?}");
    }
    assert!(start.elapsed() < Duration::from_secs(2), "no request waited for its deadline: {:?}", start.elapsed());
    assert_eq!(unharmed(&host), before);

    // a asks b beside b asks a: whatever meets, each is answered before its deadline is long over, and both go on.
    thread::scope(|scope| {
        let asked: Vec<_> = (0..24)
            .map(|n| {
                let (from, other) = if n % 2 == 0 { ("a", "b") } else { ("b", "a") };
                let (at, path) = (&host.listen, format!("/{from}/forward?url=http://{other}.skep.internal/ok"));
                scope.spawn(move || {
                    let began = Instant::now();
                    let answer = web::ask(at, "GET", &path, &[]);
                    (answer.status, began.elapsed())
                })
            })
            .collect();
        for one in asked {
            let (status, took) = one.join().unwrap();
            assert!([200, 502, 503, 504].contains(&status) && took < Duration::from_secs(28), "{status} after {took:?}");
        }
    });
    eventually("both go on", || {
        (web::ask(&host.listen, "GET", "/a/forward?url=http://b.skep.internal/ok", &[]).body == "200 /ok").then_some(())
    });
}
