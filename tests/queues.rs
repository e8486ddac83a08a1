//! Queues, keys and limiters of a whole host, used from outside: the verbs, plain HTTP, and kill -9 in between. No wasm anywhere.

use std::{fs, thread};

use serde_json::{Value, json};

use crate::support::{Host, text};

/// Asks the API over HTTP with the token that may do all; status and body.
fn ask(host: &Host, method: &str, path: &str, body: Value) -> (u16, Value) {
    let token = fs::read_to_string(host.data().join("admin.token")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("{}/api/v1/{path}", host.admin);
        let request = reqwest::Client::new().request(method.parse().unwrap(), url).bearer_auth(token.trim()).json(&body);
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    })
}

fn post(host: &Host, path: &str, body: Value) -> (u16, Value) {
    ask(host, "POST", path, body)
}

fn pushed(host: &Host, args: &[&str]) -> String {
    host.ok(&[&["queue", "push"], args].concat()).trim().to_owned()
}

#[test]
fn a_job_leased_from_outside_stays_its_holders_over_a_kill() {
    let mut host = Host::with(&[]);
    let id = pushed(&host, &["todo", "work", "--priority", "5"]);
    pushed(&host, &["todo", "later"]);
    let (_, leased) = post(&host, "queues/todo/lease", json!({ "holder": "me@nas", "term": "1h" }));
    assert_eq!((leased[0]["id"].as_str(), &leased[0]["attempt"]), (Some(id.as_str()), &json!(1)));
    host.kill();
    host.start();
    let job = host.json(&["queue", "status", &id]);
    assert_eq!((&job["state"], &job["leased_by"]), (&json!("running"), &json!("me@nas")));
    let ack = json!({ "attempt": 1, "result": "42", "push": [{ "queue": "finished", "payload": "42" }] });
    assert_eq!(post(&host, &format!("jobs/{id}/ack"), ack.clone()), (200, json!({ "state": "done" })));
    assert_eq!(post(&host, &format!("jobs/{id}/ack"), ack).0, 409, "finished once");
    host.kill();
    host.start();
    let job = host.json(&["queue", "status", &id]);
    assert_eq!((&job["state"], &job["result"]), (&json!("done"), &json!({ "text": "42" })));
    let queues = host.json(&["queue", "ls"]);
    let waiting = |name: &str| queues.as_array().unwrap().iter().find(|queue| queue["name"] == name).unwrap()["waiting"].clone();
    assert_eq!((waiting("todo"), waiting("finished")), (json!(1), json!(1)), "pushed with the ack, once");
}

#[test]
fn a_lease_that_ran_out_fences_its_holder() {
    let host = Host::with(&[]);
    let id = pushed(&host, &["todo", "work"]);
    post(&host, "queues/todo/lease", json!({ "holder": "slow", "term": "1s" }));
    let (_, leased) = post(&host, "queues/todo/lease", json!({ "holder": "quick", "term": "1h", "wait": "30s" }));
    assert_eq!((leased[0]["id"].as_str(), &leased[0]["attempt"]), (Some(id.as_str()), &json!(2)));
    let (status, stale) = post(&host, &format!("jobs/{id}/ack"), json!({ "attempt": 1, "result": "late" }));
    assert_eq!(status, 409);
    assert_eq!(stale["error"], format!("attempt 1 of job {id} is over: quick has attempt 2; nothing was written"));
    assert_eq!(post(&host, &format!("jobs/{id}/extend"), json!({ "attempt": 2 })).0, 204);
    assert_eq!(post(&host, &format!("jobs/{id}/ack"), json!({ "attempt": 2, "result": "right" })).0, 200);
    assert_eq!(host.json(&["queue", "status", &id])["result"]["text"], "right");
}

#[test]
fn push_and_wait_prints_what_the_worker_answered() {
    let host = Host::with(&[]);
    let data = host.data().join("payload");
    fs::write(&data, [0, 159, 146, 150]).unwrap();
    thread::scope(|scope| {
        let asked = scope.spawn(|| host.run(&["queue", "push", "echo", "--file", data.to_str().unwrap(), "--wait=30s"]));
        let (_, leased) = post(&host, "queues/echo/lease", json!({ "holder": "me", "wait": "30s" }));
        let id = leased[0]["id"].as_str().unwrap();
        assert_eq!(post(&host, &format!("jobs/{id}/ack"), json!({ "attempt": 1, "result": leased[0]["payload"] })).0, 200);
        let output = asked.join().unwrap();
        assert_eq!((output.status.code(), output.stdout), (Some(0), vec![0, 159, 146, 150]), "{}", text(&output.stderr));

        let asked = scope.spawn(|| host.run(&["queue", "push", "echo", "bad", "--wait"]));
        let (_, leased) = post(&host, "queues/echo/lease", json!({ "holder": "me", "wait": "30s" }));
        let id = leased[0]["id"].as_str().unwrap();
        post(&host, &format!("jobs/{id}/nack"), json!({ "attempt": 1, "reason": "no such photo", "dead": true }));
        let output = asked.join().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).starts_with(&format!("error: job {id} is dead: no such photo\n")), "{}", text(&output.stderr));
    });
}

#[test]
fn what_dies_is_listed_with_its_reason_retried_and_purged() {
    let host = Host::with(&[]);
    let id = pushed(&host, &["todo", "work"]);
    post(&host, "queues/todo/lease", json!({ "holder": "me" }));
    post(&host, &format!("jobs/{id}/nack"), json!({ "attempt": 1, "reason": "status 500", "dead": true }));
    let dead = host.ok(&["queue", "dead"]);
    assert!(dead.contains(&id) && dead.contains("status 500"), "{dead}");
    assert_eq!(host.ok(&["queue", "retry", &id]), format!("{id} is waiting (todo)\n"));
    assert!(host.ok(&["queue", "peek", "todo"]).contains("work"));
    assert_eq!(host.ok(&["queue", "cancel", &id]), format!("{id} is cancelled (todo)\n"));
    let again = host.fails(4, &["queue", "cancel", &id]);
    assert!(again.contains("is cancelled already"), "{again}");
    assert_eq!(host.ok(&["queue", "purge", "todo", "--state", "cancelled,dead"]), "todo: 1 job purged\n");
    host.fails(3, &["queue", "status", &id]);
    let missing = host.fails(3, &["queue", "peek", "nosuch"]);
    assert!(missing.contains("hint: skep queue ls lists them"), "{missing}");
}

#[test]
fn a_unique_key_is_pushed_once() {
    let host = Host::with(&[]);
    let id = pushed(&host, &["todo", "a", "--key", "today"]);
    let again = host.run(&["queue", "push", "todo", "b", "--key", "today"]);
    assert_eq!(text(&again.stdout).trim(), id);
    assert!(text(&again.stderr).contains("there already"));
}

#[test]
fn keys_are_set_and_read_back_as_they_are_over_a_kill() {
    let mut host = Host::with(&[]);
    let file = host.data().join("value");
    fs::write(&file, [1, 0, 255, 10]).unwrap();
    assert_eq!(host.ok(&["kv", "set", "box", "a/b c", &format!("@{}", file.display())]), "a/b c is revision 1\n");
    host.kill();
    host.start();
    assert_eq!(host.run(&["kv", "get", "box", "a/b c"]).stdout, [1, 0, 255, 10]);
    let taken = host.fails(4, &["kv", "set", "box", "a/b c", "x", "--absent"]);
    assert!(taken.contains("has revision 1; nothing was changed"), "{taken}");
    assert_eq!(host.ok(&["kv", "set", "box", "a/b c", "x", "--revision", "1"]), "a/b c is revision 2\n");
    assert!(host.ok(&["kv", "ls", "box", "--prefix", "a/"]).contains("a/b c"));
    assert!(host.ok(&["kv", "ls"]).contains("box"));
    assert_eq!(host.ok(&["kv", "del", "box", "a/b c"]), "a/b c deleted\n");
    host.fails(3, &["kv", "get", "box", "a/b c"]);
}

#[test]
fn a_limiters_new_rate_is_in_force_and_written_down() {
    let mut host = Host::with(&[]);
    let manifest = "# Theirs.\n[[limiter]]\nname = \"exchange\"\nrate = \"1/h\"   # as they ask\n\n[[queue]]\nname = \"limited\"\nlimiter = \"exchange\"\n";
    host.drop_manifest("limits.toml", manifest);
    crate::support::eventually("the limiter", || host.ok(&["limiter", "ls"]).contains("exchange").then_some(()));
    assert_eq!(post(&host, "limiters/exchange/acquire", json!({})).0, 200);
    assert_eq!(post(&host, "limiters/exchange/try", json!({})).0, 429);
    pushed(&host, &["limited", "x"]);
    assert_eq!(post(&host, "queues/limited/lease", json!({ "holder": "me" })).1, json!([]), "it waits in the queue");
    let said = host.ok(&["limiter", "set", "exchange", "1000/s"]);
    assert!(said.starts_with("exchange set to 1000/s (generation "), "{said}");
    let (_, leased) = post(&host, "queues/limited/lease", json!({ "holder": "me", "wait": "30s" }));
    assert_eq!(leased.as_array().unwrap().len(), 1);
    assert_eq!(fs::read_to_string(host.manifest("limits.toml")).unwrap(), manifest.replace("1/h", "1000/s"));
    host.fails(4, &["limiter", "set", "exchange", "fast"]);
    host.fails(3, &["limiter", "set", "nosuch", "1/s"]);
    host.kill();
    host.start();
    assert!(host.ok(&["limiter", "ls"]).contains("1000/s"), "survives");
}
