//! Queues and jobs over HTTP, as producers and workers outside this host use them.

use std::sync::atomic::Ordering;

use reqwest::Method;
use serde_json::{Value, json};

use super::whole::{Whole, answer};
use crate::support::PATIENCE;

const MANIFEST: &str = "[[limiter]]\nname = \"slow\"\nrate = \"1/h\"\n\n[[queue]]\nname = \"todo\"\nmax_attempts = 7\n\n[[queue]]\nname = \"limited\"\nlimiter = \"slow\"\n";

fn said(body: &Value) -> &str {
    body["error"].as_str().unwrap()
}

#[tokio::test]
async fn a_push_takes_text_bytes_json_and_batches() {
    let host = Whole::with(&[]).await;
    let id = host.push("q", json!({ "payload": "text", "delay": "5s", "priority": -3, "unique_key": "k", "max_attempts": 4 })).await;
    let job = host.jobs.pushed(&id);
    assert_eq!((&job.payload[..], job.delay.as_secs(), job.priority, job.max_attempts), (&b"text"[..], 5, -3, Some(4)));
    assert_eq!((job.unique_key.as_deref(), &*job.pushed_by), (Some("k"), "@api"));
    // The same key: the same job.
    let (_, again) = host.post("queues/q/jobs", json!({ "payload": "other", "unique_key": "k" })).await;
    assert_eq!(again, json!([{ "id": id, "fresh": false }]));

    let batch = json!({ "jobs": [{ "payload": { "base64": "AAH/" } }, { "payload": { "json": { "a": [1, 2] } } }, { "payload": { "text": "t" } }] });
    let (status, pushed) = host.post("queues/q/jobs", batch).await;
    assert_eq!((status, pushed.as_array().unwrap().len()), (200, 3));
    let payload = |at: usize| host.jobs.pushed(pushed[at]["id"].as_str().unwrap()).payload;
    assert_eq!((&payload(0)[..], &payload(1)[..], &payload(2)[..]), (&[0, 1, 255][..], &br#"{"a":[1,2]}"#[..], &b"t"[..]));

    let raw = host.request(Method::POST, "queues/q/jobs?priority=2&backoff=3s").header("content-type", "application/octet-stream");
    let (status, pushed) = answer(raw.body(vec![0xff, 0])).await;
    let job = host.jobs.pushed(pushed[0]["id"].as_str().unwrap());
    assert_eq!((status, &job.payload[..], job.priority, job.backoff.unwrap().as_secs()), (200, &[0xff, 0][..], 2, 3));
}

#[tokio::test]
async fn what_is_wrong_with_a_push_is_said_and_nothing_is_pushed() {
    let host = Whole::with(&[]).await;
    let large = "x".repeat((1 << 20) + 1);
    for (path, body, status, sentence) in [
        ("queues/q/jobs", json!({ "payload": 5 }), 400, "a payload is a string, or {\"text\""),
        ("queues/q/jobs", json!({ "payload": { "base64": "!" } }), 400, "payload: is not base64"),
        ("queues/q/jobs", json!({ "payload": "x", "dely": "5s" }), 400, "unknown field `dely`"),
        ("queues/q/jobs", json!({ "payload": "x", "delay": "5" }), 400, "delay: \"5\" has no unit"),
        ("queues/q/jobs", json!({ "payload": "x", "result_ttl": "400d" }), 400, "result_ttl: \"400d\" is not from 1ms to 366d"),
        ("queues/q/jobs", json!({ "payload": "x", "unique_key": "" }), 400, "unique_key: 1 to 255 bytes"),
        ("queues/q/jobs", json!({ "payload": "x", "max_attempts": 0 }), 400, "max_attempts: from 1 to 1000"),
        ("queues/q/jobs", json!({ "payload": "x", "queue": "r" }), 400, "queue: the path names it already"),
        (
            "queues/q/jobs",
            json!({ "jobs": [{ "payload": "x" }, { "payload": "x", "delay": "-1s" }] }),
            400,
            "jobs[1].delay: \"-1s\" is negative",
        ),
        ("queues/q/jobs", json!({ "jobs": [] }), 400, "a push has at least one"),
        ("queues/q/jobs", json!({ "jobs": vec![json!({ "payload": "" }); 1_001] }), 400, "1001 of them; at most 1000"),
        ("queues/q/jobs", json!({ "payload": large }), 413, "1048577 bytes; at most 1048576 (1 MiB)"),
        ("queues/q/jobs?delay=5s", json!({ "payload": "x" }), 400, "go with a raw body only"),
        ("queues/Bad%20Name/jobs", json!({ "payload": "x" }), 400, "queue: a name is made of a-z, 0-9 and \"-\""),
    ] {
        let (got, answer) = host.post(path, body).await;
        assert_eq!(got, status, "{answer}");
        assert!(said(&answer).contains(sentence), "{sentence}: {answer}");
    }
    // What `curl -d` says of its body.
    let form = host.request(Method::POST, "queues/q/jobs").header("content-type", "application/x-www-form-urlencoded").body("x");
    let (status, refused) = answer(form).await;
    assert_eq!(status, 415);
    assert!(refused["hint"].as_str().unwrap().contains("Content-Type: application/json"), "{refused}");
    assert_eq!(host.get("queues").await, (200, json!([])));
}

#[tokio::test]
async fn queues_are_those_with_jobs_and_those_declared() {
    let host = Whole::with(&[("work.toml", MANIFEST)]).await;
    host.push("other", json!({ "payload": "x" })).await;
    let (_, all) = host.get("queues").await;
    let names: Vec<&str> = all.as_array().unwrap().iter().map(|queue| queue["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["limited", "other", "todo"]);
    let (_, limited) = host.get("queues/limited").await;
    assert_eq!((&limited["limiter"], &limited["file"], &limited["line"]), (&json!("slow"), &json!("work.toml"), &json!(9)));
    let (_, todo) = host.get("queues/todo").await;
    assert_eq!((&todo["max_attempts"], &todo["waiting"], &todo["backoff_ms"]), (&json!(7), &json!(0), &json!(1_000)));
    let (_, other) = host.get("queues/other").await;
    assert_eq!((&other["waiting"], &other["file"]), (&json!(1), &Value::Null));
    let (status, missing) = host.get("queues/tod").await;
    assert_eq!((status, &missing["hint"]), (404, &json!("did you mean \"todo\"?")));
    for path in ["queues/nope/jobs", "jobs/nope", "jobs/0198b3f0-0000-7000-8000-000000000000"] {
        assert_eq!(host.get(path).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn an_outside_worker_leases_extends_and_acks() {
    let host = Whole::with(&[]).await;
    let id = host.push("todo", json!({ "payload": "work" })).await;
    let (_, leased) = host.post("queues/todo/lease", json!({ "max": 5, "holder": "me@nas", "term": "10s" })).await;
    assert_eq!(leased.as_array().unwrap().len(), 1);
    assert_eq!(leased[0]["id"], json!(id));
    assert_eq!((&leased[0]["attempt"], &leased[0]["payload"]), (&json!(1), &json!({ "text": "work" })));
    assert_eq!(host.post(&format!("jobs/{id}/progress"), json!({ "attempt": 1, "note": "half" })).await, (204, Value::Null));
    assert_eq!(host.post(&format!("jobs/{id}/extend"), json!({ "attempt": 1, "term": "1m" })).await, (204, Value::Null));
    let (_, job) = host.get(&format!("jobs/{id}")).await;
    assert_eq!((&job["state"], &job["leased_by"], &job["progress"]), (&json!("running"), &json!("me@nas"), &json!("half")));

    let ack = json!({ "attempt": 1, "result": { "base64": "AP8=" }, "push": [{ "queue": "next", "payload": "more" }] });
    assert_eq!(host.post(&format!("jobs/{id}/ack"), ack.clone()).await, (200, json!({ "state": "done" })));
    let (_, job) = host.get(&format!("jobs/{id}")).await;
    assert_eq!((&job["state"], &job["result"]), (&json!("done"), &json!({ "base64": "AP8=" })));
    let (_, next) = host.get("queues/next/jobs?peek").await;
    assert_eq!(next[0]["payload"], json!({ "text": "more" }));

    // Once is enough: the second is told, and pushes nothing.
    let (status, stale) = host.post(&format!("jobs/{id}/ack"), ack).await;
    assert_eq!(status, 409);
    assert_eq!(said(&stale), format!("attempt 1 of job {id} is over: the job is done; nothing was written"));
    assert_eq!(host.get("queues/next").await.1["waiting"], 1);
}

#[tokio::test]
async fn a_nack_says_again_dead_or_never_begun() {
    let host = Whole::with(&[]).await;
    for (body, state) in [
        (json!({ "attempt": 1, "reason": "no route", "after": "5s" }), "delayed"),
        (json!({ "attempt": 1, "reason": "é".repeat(600), "dead": true }), "dead"),
        (json!({ "attempt": 1, "release": true }), "waiting"),
    ] {
        let id = host.push("todo", json!({ "payload": "x" })).await;
        host.post("queues/todo/lease", json!({ "holder": "me" })).await;
        let (status, ended) = host.post(&format!("jobs/{id}/nack"), body).await;
        assert_eq!((status, &ended["state"]), (200, &json!(state)), "{ended}");
        let (_, job) = host.get(&format!("jobs/{id}")).await;
        assert!(job["last_error"].as_str().is_none_or(|error| error.len() <= 1_024), "bounded");
        let over = host.post(&format!("jobs/{id}/extend"), json!({ "attempt": 1 })).await;
        assert_eq!(over.0, 409, "{over:?}");
        host.post("queues/todo/purge", json!({ "states": ["waiting", "delayed"] })).await;
    }
    let id = host.get("queues/todo/jobs?state=dead").await.1[0]["id"].as_str().unwrap().to_owned();
    let (status, both) = host.post(&format!("jobs/{id}/nack"), json!({ "attempt": 1, "dead": true, "after": "1s" })).await;
    assert_eq!((status, said(&both)), (400, "dead, release and after exclude each other"));
}

#[tokio::test]
async fn operators_cancel_retry_and_purge() {
    let host = Whole::with(&[]).await;
    let id = host.push("todo", json!({ "payload": "x" })).await;
    let act = |what: &str| answer(host.request(Method::POST, &format!("jobs/{id}/{what}")));
    assert_eq!(said(&act("retry").await.1), format!("job {id} is waiting: only dead and cancelled jobs are retried"));
    assert_eq!(act("cancel").await.1["state"], "cancelled");
    let (status, refused) = act("cancel").await;
    assert_eq!((status, said(&refused)), (409, format!("job {id} is cancelled already").as_str()));
    assert_eq!(act("retry").await.1["state"], "waiting");
    act("cancel").await;
    assert_eq!(host.post("queues/todo/purge", json!({ "states": ["running"] })).await.0, 400);
    assert_eq!(host.post("queues/todo/purge", json!({ "states": [] })).await.0, 400);
    assert_eq!(host.post("queues/todo/purge", json!({ "states": ["dead", "cancelled"] })).await, (200, json!({ "purged": 1 })));
    assert_eq!(act("cancel").await.0, 404);
}

#[tokio::test]
async fn a_lease_waits_for_a_push_and_ends_with_the_host() {
    let host = Whole::with(&[]).await;
    let mut looked = host.jobs.looked.subscribe();
    let lease = |wait: &str| answer(host.request(Method::POST, "queues/todo/lease").json(&json!({ "holder": "me", "wait": wait })));
    assert_eq!(lease("0s").await, (200, json!([])), "does not wait when nobody asks it to");

    looked.mark_unchanged();
    let pushed = async {
        looked.changed().await.unwrap();
        host.push("todo", json!({ "payload": "late" })).await
    };
    let (leased, id) = tokio::time::timeout(PATIENCE, async { tokio::join!(lease("100s"), pushed) }).await.expect("no polling, no sleep");
    assert_eq!(leased.1[0]["id"], json!(id));

    looked.mark_unchanged();
    let stopped = async {
        looked.changed().await.unwrap();
        host.shut_down();
    };
    let (leased, ()) = tokio::time::timeout(PATIENCE, async { tokio::join!(lease("100s"), stopped) }).await.expect("a stop ends the wait");
    assert_eq!(leased, (200, json!([])));
}

#[tokio::test]
async fn a_job_is_waited_for() {
    let host = Whole::with(&[]).await;
    let id = host.push("todo", json!({ "payload": "x" })).await;
    assert_eq!(host.get(&format!("jobs/{id}?wait=1ms")).await.1["state"], "waiting", "in vain: as it stands");
    let finish = async {
        host.post("queues/todo/lease", json!({ "holder": "me" })).await;
        host.post(&format!("jobs/{id}/ack"), json!({ "attempt": 1, "result": "42" })).await
    };
    let path = format!("jobs/{id}?wait=100s");
    let (job, _) = tokio::join!(host.get(&path), finish);
    assert_eq!((&job.1["state"], &job.1["result"]), (&json!("done"), &json!({ "text": "42" })));
    assert_eq!(host.get(&format!("jobs/{id}?wait=2m")).await.0, 400, "longer than any answer may take");
}

#[tokio::test]
async fn a_limited_queue_gives_a_job_for_a_permit() {
    let host = Whole::with(&[("work.toml", MANIFEST)]).await;
    let slow = host.limiters.get("slow").unwrap();
    let lease = json!({ "holder": "me", "max": 5 });
    assert_eq!(host.post("queues/limited/lease", lease.clone()).await, (200, json!([])));
    for _ in 0..2 {
        host.push("limited", json!({ "payload": "x" })).await;
    }
    // The empty queue cost no permit; the one there is pays one job, whatever was asked for.
    assert_eq!(host.post("queues/limited/lease", lease.clone()).await.1.as_array().unwrap().len(), 1);
    assert!(!slow.try_acquire());
    assert_eq!(host.post("queues/limited/lease", lease).await, (200, json!([])));
    assert_eq!(host.get("queues/limited").await.1["waiting"], 1);
}

#[tokio::test]
async fn a_job_that_waits_and_is_not_given_out_costs_no_permit() {
    let host = Whole::with(&[("work.toml", MANIFEST)]).await;
    host.push("limited", json!({ "payload": "x" })).await;
    host.jobs.stalled.store(true, Ordering::Relaxed);
    assert_eq!(host.post("queues/limited/lease", json!({ "holder": "me" })).await, (200, json!([])));
    host.jobs.stalled.store(false, Ordering::Relaxed);
    assert_eq!(host.post("queues/limited/lease", json!({ "holder": "me" })).await.1.as_array().unwrap().len(), 1, "for the one permit");
}

#[tokio::test]
async fn listings_page_and_peek() {
    let host = Whole::with(&[]).await;
    let mut ids = Vec::new();
    for at in 0..3 {
        ids.push(host.push("todo", json!({ "payload": format!("p{at}") })).await);
    }
    let (_, page) = host.get("queues/todo/jobs?limit=2").await;
    assert_eq!((page.as_array().unwrap().len(), &page[0]["payload"]), (2, &Value::Null));
    let (_, rest) = host.get(&format!("queues/todo/jobs?peek=true&after={}", ids[1])).await;
    assert_eq!((rest.as_array().unwrap().len(), &rest[0]["payload"]), (1, &json!({ "text": "p2" })));
    assert_eq!(host.get("queues/todo/jobs?state=nosuch").await.0, 400);
    assert!(host.metrics().await.contains("skep_queue_jobs{queue=\"todo\",state=\"waiting\"} 3\n"));
}
