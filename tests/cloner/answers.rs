//! One window at a time: what its caller is answered, and what stands on `finished-chunks`.

use std::thread;

use cloning::messages::ChunkResult;
use serde_json::Value;

use super::{HOUR, START, chunk, cloned, cloning, count, entry, hour, push, truth, waiting};
use crate::support::eventually;

#[test]
fn many_callers_at_once_get_an_answer_each_its_own() {
    let host = cloning("limit = 0", "");
    let windows: Vec<(i32, i32)> = (0..12).map(|n| (START + n * 600, START + n * 600 + 59)).collect();
    thread::scope(|scope| {
        let host = &host;
        let callers = windows
            .iter()
            .map(|(from, until)| scope.spawn(move || (*from, *until, host.call("cloner", "add_task", &chunk("BTC_ETH", *from, *until)))));
        for caller in callers.collect::<Vec<_>>() {
            let (from, until, answer) = caller.join().unwrap();
            assert_eq!(answer["chunk_result"], "COMPLETE", "{answer:#}");
            assert_eq!(answer["original_todo_chunk"]["from_unix_ts"], from);
            let ids: Vec<_> = answer["entries"].as_array().unwrap().iter().map(|entry| entry["trade_id"].as_i64()).collect();
            let expected: Vec<_> = truth("BTC_ETH", from, until).iter().map(|entry| Some(i64::from(entry.trade_id))).collect();
            assert_eq!(ids, expected);
        }
    });
    assert_eq!(waiting(&host, "finished-chunks").len(), windows.len(), "and each stands on finished-chunks once");
}

#[test]
fn trades_keep_their_digits() {
    let host = cloning("limit = 0", "");
    let from = hour(|many| (1..200).contains(&many));
    push(&host, "todo-chunks", &chunk("BTC_ETH", from, from + HOUR - 1));
    let chunks = eventually("the answer", || Some(cloned(&waiting(&host, "finished-chunks"))).filter(|chunks| !chunks.is_empty()));
    assert_eq!(chunks[0].chunk_result(), ChunkResult::Complete);
    assert_eq!(chunks[0].entries, truth("BTC_ETH", from, from + HOUR - 1));
    assert_eq!(chunks[0].possible_error_message, "");
}

#[test]
fn a_busy_hour_is_too_big_or_halved_as_config_says() {
    let from = hour(|many| many >= 1_000);
    let whole = cloning("limit = 0", "split = false");
    let answer = whole.call("cloner", "add_task", &chunk("BTC_ETH", from, from + HOUR - 1));
    assert_eq!((&answer["chunk_result"], &answer["possible_error_message"]), (&"WINDOW_TOO_BIG".into(), &"More than 1000 elements".into()));
    assert_eq!(answer["entries"], Value::Array(Vec::new()));

    let halved = cloning("limit = 0", "split = true");
    push(&halved, "todo-chunks", &chunk("BTC_ETH", from, from + HOUR - 1));
    let expected = truth("BTC_ETH", from, from + HOUR - 1);
    eventually("all its parts", || {
        let chunks = cloned(&waiting(&halved, "finished-chunks"));
        (super::entries(chunks).len() == expected.len()).then_some(())
    });
    let parts = cloned(&waiting(&halved, "finished-chunks"));
    assert!(parts.iter().all(|part| part.chunk_result() == ChunkResult::Complete));
    assert!(super::entries(parts) == expected);
}

#[test]
fn the_apis_refusal_is_a_random_error_with_its_words() {
    let host = cloning("limit = 0", "");
    let answer = host.call("cloner", "add_task", &chunk("BTC_NO", START, START));
    let said = (&answer["chunk_result"], &answer["possible_error_message"]);
    assert_eq!(said, (&"RANDOM_ERROR".into(), &"Invalid currency pair.".into()));
}

#[test]
fn todays_api_answers_its_newest_and_is_honest_about_the_rest() {
    let host = cloning("limit = 0", "generation = \"today\"");
    let answer = host.call("cloner", "add_task", &chunk("BTC_ETH", START, START + HOUR));
    assert_eq!(answer["chunk_result"], "RANDOM_ERROR");
    let said = answer["possible_error_message"].as_str().unwrap();
    assert!(said.contains("only the newest 1000 trades") && said.contains(&format!("begins at {START}")), "{said}");

    // The last trade that is over: asked for alone, it is answered.
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let newest = market::trades::Trades::default().newest("BTC_ETH", now - 86_400, now - 60, 1);
    let second = i32::try_from(newest[0].second).unwrap();
    let answer = host.call("cloner", "add_task", &chunk("BTC_ETH", second, second));
    assert_eq!(answer["chunk_result"], "COMPLETE", "{answer:#}");
    assert_eq!(answer["entries"][0]["trade_id"], entry(&newest[0]).trade_id);
}

#[test]
fn a_payload_that_is_no_chunk_is_a_dead_letter_with_a_sentence() {
    let host = cloning("limit = 0", "");
    for (payload, says) in [
        ("\u{1}\u{2}", "the payload is no TodoChunk as protobuf"),
        ("{\"pair\": 1}", "the payload is no TodoChunk as JSON"),
        (&chunk("A&B=C", START, START), "is no pair such as BTC_ETH"),
        (&chunk("BTC_ETH", START, START - 1), "makes no sense"),
    ] {
        let id = push(&host, "todo-chunks", payload);
        let dead = eventually("the dead letter", || Some(host.json(&["queue", "status", &id])).filter(|job| job["state"] == "dead"));
        assert!(dead["last_error"].as_str().unwrap().contains(says), "{dead:#}");
        assert_eq!(dead["attempts"], 1, "trying again is no use");
    }
    assert_eq!(count(&host, "finished-chunks", "waiting"), 0);
    assert_eq!(host.worker("chunk-cloner").unwrap()["restarts"], 0);
    let said = host.fails(1, &["call", "cloner", "add_task", "x"]);
    assert!(said.contains("no TodoChunk"), "{said}");
    let said = host.fails(1, &["call", "cloner", "nothing", "x"]);
    assert!(said.contains("there is add_task"), "{said}");
}
