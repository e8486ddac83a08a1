//! Reference system 3, the work API, on one machine: its own requests, and its faults not to copy.

use serde_json::Value;

use crate::support::{
    Host, eventually,
    web::{Answer, ask, post},
};

/// As it ships.
const MANIFEST: &str = include_str!("../manifests/work.toml");

/// A host with the work API; permuters that pause for so long.
fn working(pause: &str) -> Host {
    with(&paused(pause))
}

fn paused(pause: &str) -> String {
    changed(MANIFEST, "pause = \"3s\"", &format!("pause = \"{pause}\""))
}

/// The text with one thing changed, which has to be there.
fn changed(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is not in manifests/work.toml");
    text.replacen(from, to, 1)
}

fn with(manifest: &str) -> Host {
    let host = Host::with(&["work-api", "permuter"]);
    host.drop_manifest("work.toml", manifest);
    there(&host);
    host
}

fn there(host: &Host) {
    eventually("the route", || (ask(&host.listen, "DELETE", "/api/work", &[]).status == 405).then_some(()));
}

/// Submits data and answers its callback id.
fn submit(host: &Host, data: &str) -> String {
    let answer = ask(&host.listen, "POST", &format!("/api/work?data={data}"), &[]);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["callback"].as_str().unwrap().to_owned()
}

fn status(host: &Host, id: &str) -> Answer {
    ask(&host.listen, "GET", &format!("/api/status/{id}"), &[])
}

/// Waits until the status is `wanted`.
fn when(host: &Host, id: &str, wanted: &str) -> Value {
    eventually(wanted, || Some(status(host, id).json()).filter(|said| said["status"] == wanted))
}

/// How often a job was tried.
fn attempts(host: &Host, id: &str) -> u64 {
    host.json(&["queue", "status", id])["attempts"].as_u64().unwrap()
}

fn sorted(text: &str) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    characters.sort_unstable();
    characters.into_iter().collect()
}

#[test]
fn the_references_own_sequence() {
    let host = working("300ms");
    let id = submit(&host, "some-string-goes-here");
    let first = status(&host, &id).json();
    assert!(first["status"] == "accepted" || first["status"] == "pending", "{first}");
    when(&host, &id, "pending");
    let done = when(&host, &id, "done");
    assert_eq!(sorted(done["value"].as_str().unwrap()), sorted("some-string-goes-here"));
    assert_eq!(status(&host, &id).json(), done, "and so it stays");

    let unknown = status(&host, "no-such-id");
    assert_eq!((unknown.status, unknown.body.as_str()), (404, r#"{"error":"not found"}"#));
    assert_eq!(status(&host, "0198c5a0-0000-7000-8000-000000000000").status, 404);
}

#[test]
fn data_comes_in_the_query_or_as_json_and_is_missed_when_it_is_missing() {
    let host = working("0s");
    let answer = post(&host.listen, "/api/work", "", r#"{"data":"bü🐝"}"#);
    let done = when(&host, answer.json()["callback"].as_str().unwrap(), "done");
    assert_eq!(sorted(done["value"].as_str().unwrap()), sorted("bü🐝"));
    for body in ["", "{}", r#"{"data":""}"#, r#"{"data":7}"#, r#"{"data":"a""#, "nothing of the kind"] {
        let answer = post(&host.listen, "/api/work", "", body);
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        assert!(answer.json()["error"].is_string(), "{body}: {answer:?}");
    }
    assert_eq!(ask(&host.listen, "GET", "/api/work?data=a", &[]).status, 405);
    assert_eq!(ask(&host.listen, "DELETE", "/api/status/7", &[]).status, 405);
}

#[test]
fn a_result_is_forgotten_when_its_time_is_over() {
    let host = with(&changed(&paused("0s"), "result_ttl = \"10m\"", "result_ttl = \"400ms\""));
    let id = submit(&host, "gone");
    assert_eq!(status(&host, &id).status, 200);
    eventually("forgotten", || (status(&host, &id).status == 404).then_some(()));
}

#[test]
fn fault_ids_are_a_hash_of_the_data() {
    let host = working("0s");
    let (one, other) = (submit(&host, "same"), submit(&host, "same"));
    assert_ne!(one, other);
    for id in [one, other] {
        when(&host, &id, "done");
        assert_eq!(attempts(&host, &id), 1, "two submissions are two jobs");
    }
}

#[test]
fn fault_two_workers_take_one_job() {
    let host = working("20ms");
    let ids: Vec<String> = (0..40).map(|number| submit(&host, &format!("job-{number}"))).collect();
    for id in &ids {
        when(&host, id, "done");
        assert_eq!(attempts(&host, id), 1);
    }
    let done = host.worker("permuter").unwrap()["events"].clone();
    assert_eq!(done["ok"], 40, "each was handled once: {done}");
}

#[test]
fn fault_working_for_ever_after_a_crash() {
    let mut host = working("2s");
    let id = submit(&host, "unbroken");
    when(&host, &id, "pending");
    host.kill();
    host.start();
    there(&host);
    let done = when(&host, &id, "done");
    assert_eq!(sorted(done["value"].as_str().unwrap()), sorted("unbroken"));
}

#[test]
fn a_job_that_always_crashes_is_tried_again_and_then_failed() {
    let text = changed(&paused("5s"), "timeout = \"10s\"", "timeout = \"100ms\"");
    let host = with(&changed(&text, "max_attempts = 5", "max_attempts = 2\nbackoff = \"10ms\""));
    let id = submit(&host, "never");
    let failed = when(&host, &id, "failed");
    assert!(failed["value"].is_null() && failed["error"].is_string(), "{failed}");
    assert_eq!(attempts(&host, &id), 2);
    assert_eq!(host.trap("permuter")["worker"], "permuter", "each crash leaves a record");
}

#[test]
fn hands_are_added_and_taken_away_while_it_runs() {
    let host = working("0s");
    host.ok(&["scale", "permuter", "5"]);
    host.worker_when("permuter", "five", |worker| worker["replicas"]["running"] == 5);
    host.ok(&["scale", "permuter", "1"]);
    host.worker_when("permuter", "one", |worker| worker["replicas"]["running"] == 1 && worker["replicas"]["desired"] == 1);
    when(&host, &submit(&host, "still"), "done");
}
