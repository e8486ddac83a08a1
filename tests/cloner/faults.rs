//! The reference's faults that must not come along, each by name.

use std::time::{Duration, Instant};

use cloning::messages::ChunkResult;

use super::{GUESTS, HOUR, START, chunk, cloned, cloner, cloning, exchange, push, truth, waiting};
use crate::support::{Host, eventually, site::Site};

#[test]
fn fault_committing_before_the_work_is_done() {
    let slow = Site::up();
    slow.delay(Duration::from_secs(20));
    let url = slow.url();
    let mut host = Host::with(GUESTS);
    host.drop_manifest("cloner.toml", &cloner(url.trim_end_matches('/'), url.trim_end_matches('/'), ""));
    host.worker_when("chunk-cloner", "running", |worker| worker["state"] == "running");
    push(&host, "todo-chunks", &chunk("BTC_ETH", START, START + 59));
    eventually("the request is under way", || (slow.requests() > 0).then_some(()));
    host.kill();
    // The chunk is not lost: the next host clones it, from an exchange that answers.
    host.drop_manifest("exchange.toml", &exchange("limit = 0"));
    host.drop_manifest("cloner.toml", &cloner("http://exchange.skep.internal", "worker:exchange", ""));
    host.start();
    let chunks = eventually("the answer", || Some(cloned(&waiting(&host, "finished-chunks"))).filter(|chunks| !chunks.is_empty()));
    assert_eq!(chunks.len(), 1);
    assert_eq!(chunks[0].entries, truth("BTC_ETH", START, START + 59));
}

#[test]
fn fault_a_non_200_is_dropped_silently() {
    let host = cloning("limit = 0\nfaults = { error = 1 }", "");
    let id = push(&host, "todo-chunks", &chunk("BTC_ETH", START, START + 59));
    let chunks = eventually("the answer", || Some(cloned(&waiting(&host, "finished-chunks"))).filter(|chunks| !chunks.is_empty()));
    assert_eq!(chunks[0].chunk_result(), ChunkResult::RandomError);
    assert!(chunks[0].possible_error_message.contains("the API answered 500"), "{:?}", chunks[0]);
    let job = host.json(&["queue", "status", &id]);
    assert_eq!((&job["state"], &job["attempts"]), (&"done".into(), &3.into()), "tried as often as the queue says, then answered");
}

#[test]
fn fault_one_task_a_second_whatever_the_rate() {
    let host = cloning("limit = 0", "");
    let start = Instant::now();
    for n in 0..30 {
        push(&host, "todo-chunks", &chunk("BTC_ETH", START + n * HOUR, START + n * HOUR));
    }
    eventually("all thirty", || (waiting(&host, "finished-chunks").len() == 30).then_some(()));
    assert!(start.elapsed() < Duration::from_secs(15), "{:?} for thirty chunks", start.elapsed());
}
