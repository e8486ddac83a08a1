//! Tasks of many chunks: what comes out is what the exchange traded, each trade once, and one answer a task.

use serde_json::{Value, json};

use super::{
    GUESTS, HOUR, START, api, bytes, cloned, count, entries, exchange, finished, finished_when, pipeline, push, task, truth, waiting,
};
use crate::support::{Host, eventually};

const COMPLETE: i32 = 0;
const TASK_CONFLICT: i32 = 1;
const CANCELLED: i32 = 2;

fn host(rate: &str, exchange_config: &str) -> Host {
    let host = Host::with(GUESTS);
    host.drop_manifest("exchange.toml", &exchange(exchange_config));
    host.drop_manifest("cloner.toml", &pipeline(rate));
    for name in ["exchange", "chunk-cloner", "cloner", "task-splitter", "task-collector"] {
        host.worker_when(name, "running", |worker| worker["state"] == "running");
    }
    host
}

fn assert_whole(host: &Host, seconds: i32) {
    let all = entries(cloned(&waiting(host, "clones")));
    let truth = truth("BTC_ETH", START, START + seconds - 1);
    assert_eq!(all.len(), truth.len());
    assert!(all == truth, "the entries differ from the exchange's trades");
}

#[test]
fn a_task_of_forty_chunks_comes_out_whole_with_its_last_second() {
    let host = host("200/s", "limit = 0");
    let seconds = 40 * HOUR + 1;
    push(&host, "todo-tasks", &task("ADD", "t1", START, seconds));
    assert_eq!(finished_when(&host, "t1"), COMPLETE);
    assert_whole(&host, seconds);
    for queue in ["todo-tasks", "todo-chunks", "finished-chunks"] {
        assert_eq!(count(&host, queue, "dead"), 0, "{queue}");
    }
}

#[test]
fn an_exchange_that_fails_in_every_way_costs_time_and_nothing_else() {
    let host = host("200/s", "limit = 0\nfaults = { error = 3, garbage = 4, cut = 5 }");
    let seconds = 12 * HOUR;
    push(&host, "todo-tasks", &task("ADD", "t1", START, seconds));
    assert_eq!(finished_when(&host, "t1"), COMPLETE);
    assert_whole(&host, seconds);
}

#[test]
fn a_thousand_chunks_survive_kills_in_between() {
    // SKEP_TEST_RATE=6/s: as slow as the real exchange allows; takes minutes.
    let rate = std::env::var("SKEP_TEST_RATE").unwrap_or_else(|_| "600/s".to_owned());
    let mut host = host(&rate, "limit = 0");
    let seconds = 1_000 * HOUR;
    push(&host, "todo-tasks", &task("ADD", "t1", START, seconds));
    for passed in [100, 400, 700] {
        through(&host, |through, _| through >= passed);
        host.kill();
        host.start();
    }
    through(&host, |_, over| over);
    assert_eq!(finished_when(&host, "t1"), COMPLETE);
    assert_whole(&host, seconds);
}

/// Until enough chunks are through, or the task is over: as long as it takes, while there is some progress within each patience.
fn through(host: &Host, enough: impl Fn(u64, bool) -> bool) {
    let mut last = 0;
    loop {
        let (now, over) = (count(host, "clones", "waiting"), !finished(host).is_empty());
        if enough(now, over) {
            return;
        }
        last = eventually("another chunk, or the end", || {
            let now = count(host, "clones", "waiting");
            (now > last || !finished(host).is_empty()).then_some(now)
        });
    }
}

#[test]
fn an_overlap_conflicts_and_a_delete_cancels() {
    // One chunk a minute: the task is under way for as long as the test needs.
    let host = host("1/m", "limit = 0");
    push(&host, "todo-tasks", &task("ADD", "first", START, 10 * HOUR));
    eventually("its chunks", || (count(&host, "todo-chunks", "waiting") >= 9).then_some(()));
    push(&host, "todo-tasks", &task("ADD", "second", START + 10 * HOUR - 1, HOUR));
    assert_eq!(finished_when(&host, "second"), TASK_CONFLICT);
    // A DELETE need not say more than which.
    push(&host, "todo-tasks", &json!({ "task_operation": "DELETE", "task_uuid": "first" }).to_string());
    assert_eq!(finished_when(&host, "first"), CANCELLED);
    // What was on its way is dropped, and its seconds are free for another task.
    let before = count(&host, "clones", "waiting");
    push(&host, "todo-tasks", &task("ADD", "third", START, HOUR));
    host.ok(&["limiter", "set", "poloniex", "200/s"]);
    assert_eq!(finished_when(&host, "third"), COMPLETE);
    eventually("all chunks are through", || {
        let open =
            ["todo-chunks", "finished-chunks"].iter().any(|queue| count(&host, queue, "waiting") + count(&host, queue, "running") > 0);
        (!open).then_some(())
    });
    assert!(count(&host, "clones", "waiting") <= before + 8, "only the third task's chunk and its halves came through");
}

#[test]
fn an_outside_consumer_takes_the_clones() {
    let host = host("200/s", "limit = 0");
    push(&host, "todo-tasks", &task("ADD", "t1", START, 3 * HOUR));
    assert_eq!(finished_when(&host, "t1"), COMPLETE);
    let mut taken = Vec::new();
    loop {
        let (_, leased) = api(&host, "POST", "queues/clones/lease", &json!({ "holder": "database@nas", "max": 32 }));
        let leased: Vec<Value> = leased.as_array().unwrap().clone();
        if leased.is_empty() {
            break;
        }
        for job in leased {
            taken.push(bytes(&job["payload"]));
            let ack = api(&host, "POST", &format!("jobs/{}/ack", job["id"].as_str().unwrap()), &json!({ "attempt": job["attempt"] }));
            assert_eq!(ack.0, 200);
        }
    }
    assert!(entries(cloned(&taken)) == truth("BTC_ETH", START, START + 3 * HOUR - 1));
}

#[test]
fn a_second_that_overflows_leaves_its_task_open_and_says_so() {
    let host = host("200/s", "limit = 0\nbursts = true");
    push(&host, "todo-tasks", &task("ADD", "t1", START, 100 * HOUR));
    eventually("a dead letter", || (count(&host, "finished-chunks", "dead") > 0).then_some(()));
    let dead = host.json(&["queue", "dead"]);
    assert!(dead[0]["last_error"].as_str().unwrap().contains("one second can't be split"), "{dead}");
    assert!(finished(&host).is_empty(), "a task with a gap is not complete");
}

/// The exchange's 429 reaches the limiter although it is a worker of this host: the rate falls by itself, and nothing is lost.
#[test]
fn a_limiter_above_what_the_exchange_bears_slows_down() {
    let host = host("100/s", "limit = 3");
    push(&host, "todo-tasks", &task("ADD", "t", START, 12 * HOUR));
    let slowed = eventually("a pause", || {
        let (_, limiter) = api(&host, "GET", "limiters/poloniex", &Value::Null);
        (limiter["effective_per_second"].as_f64()? < 100.0).then_some(limiter)
    });
    assert_eq!(slowed["rate"], "100/s", "what its manifest says stays: {slowed:#}");
}
