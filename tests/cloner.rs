//! Reference system 2, the cloner worker: the manifests that ship, run by the real host against the made-up exchange, whose own crate
//! tells what is true; and each of its faults that must not come along.

mod answers; // one window at a time: add_task, results, refusals, dead letters
mod exchange; // the made-up exchange over HTTP
mod faults; // the reference's faults, by name
mod whole; // tasks of many chunks: whole and exact, with kills in between

use std::{collections::BTreeMap, fs};

use cloning::messages::{ClonedChunk, ClonedEntry, TaskResponse};
use market::{
    api::decimal,
    trades::{Trade, Trades},
};
use prost::Message;
use serde_json::{Value, json};

use crate::support::{Host, eventually};

/// 2020-06-01.
const START: i32 = 1_590_969_600;
const HOUR: i32 = 3_600;

const GUESTS: &[&str] = &["chunk-cloner", "task-splitter", "exchange"];

/// The exchange as it ships, with another config.
fn exchange(config: &str) -> String {
    let shipped = include_str!("../manifests/exchange.toml");
    let (head, _) = shipped.split_once("[worker.config]").expect("the example has a config");
    format!("{head}[worker.config]\npairs = [\"BTC_ETH\", \"BTC_XMR\", \"USDT_BTC\"]\n{config}\n")
}

/// The pipeline as it ships, at another rate, and quick to try again.
fn pipeline(rate: &str) -> String {
    let shipped = include_str!("../manifests/cloner.toml");
    let quick = shipped.replace("rate = \"2/s\"", &format!("rate = \"{rate}\"")).replace("retry_after = \"1m\"", "retry_after = \"50ms\"");
    quick.replace("max_attempts = 20", "backoff = \"20ms\"\nmax_attempts = 20")
}

/// The cloner alone, so that what it says stays on `finished-chunks`.
fn cloner(api: &str, allow: &str, more: &str) -> String {
    format!(
        "[[queue]]\nname = \"todo-chunks\"\nbackoff = \"20ms\"\nmax_attempts = 3\n\n\
         [[worker]]\nname = \"chunk-cloner\"\ncomponent = \"chunk-cloner.wasm\"\njobs = {{ queue = \"todo-chunks\", concurrency = 4 }}\n\
         config = {{ api = \"{api}\", {more} }}\n\
         grants = {{ http = {{ allow = [\"{allow}\"] }}, queue = {{ push = [\"todo-chunks\", \"finished-chunks\"] }} }}\n\n\
         [[worker]]\nname = \"cloner\"\ncomponent = \"chunk-cloner.wasm\"\ninstance = \"per-event\"\nreplicas = 4\n\
         limits = {{ timeout = \"1m\" }}\nconfig = {{ api = \"{api}\", wait = \"30s\" }}\n\
         grants = {{ queue = {{ push = [\"todo-chunks\"] }} }}\n"
    )
}

/// A host with the exchange and the cloner alone.
fn cloning(exchange_config: &str, more: &str) -> Host {
    let host = Host::with(GUESTS);
    host.drop_manifest("exchange.toml", &exchange(exchange_config));
    host.drop_manifest("cloner.toml", &cloner("http://exchange.skep.internal", "worker:exchange", more));
    for name in ["exchange", "chunk-cloner", "cloner"] {
        host.worker_when(name, "running", |worker| worker["state"] == "running");
    }
    host
}

fn chunk(pair: &str, from: i32, until: i32) -> String {
    json!({ "currency_pair": pair, "from_unix_ts": from, "until_unix_ts": until, "task_dbid": 7 }).to_string()
}

fn task(operation: &str, uuid: &str, from: i32, seconds: i32) -> String {
    let until = from + seconds - 1;
    json!({ "task_operation": operation, "task_uuid": uuid, "currency_pair": "BTC_ETH", "from_unix_ts": from, "until_unix_ts": until })
        .to_string()
}

/// Asks the work API over HTTP.
fn api(host: &Host, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let token = fs::read_to_string(host.data().join("admin.token")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("{}/api/v1/{path}", host.admin);
        let request = reqwest::Client::new().request(method.parse().unwrap(), url).bearer_auth(token.trim());
        let request = if body.is_null() { request } else { request.json(body) };
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null))
    })
}

fn push(host: &Host, queue: &str, payload: &str) -> String {
    let (status, pushed) = api(host, "POST", &format!("queues/{queue}/jobs"), &json!({ "payload": payload }));
    assert_eq!(status, 200, "{pushed:#}");
    pushed[0]["id"].as_str().unwrap().to_owned()
}

/// The payloads that wait in a queue, all pages, without taking them.
fn waiting(host: &Host, queue: &str) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut after = String::new();
    loop {
        let path = format!("queues/{queue}/jobs?state=waiting&peek=true&limit=100{after}");
        let (status, page) = api(host, "GET", &path, &Value::Null);
        let page = page.as_array().filter(|_| status == 200).cloned().unwrap_or_default();
        let Some(last) = page.last() else { return all };
        after = format!("&after={}", last["id"].as_str().unwrap());
        all.extend(page.iter().map(|job| bytes(&job["payload"])));
    }
}

/// Jobs of a queue in a state; 0 where there is no such queue.
fn count(host: &Host, queue: &str, state: &str) -> u64 {
    api(host, "GET", &format!("queues/{queue}"), &Value::Null).1[state].as_u64().unwrap_or(0)
}

/// A payload or result as the API shows it.
fn bytes(shown: &Value) -> Vec<u8> {
    if let Some(text) = shown["text"].as_str() {
        return text.as_bytes().to_vec();
    }
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => u32::from(byte - b'A'),
        b'a'..=b'z' => u32::from(byte - b'a') + 26,
        b'0'..=b'9' => u32::from(byte - b'0') + 52,
        b'+' => 62,
        b'/' => 63,
        other => panic!("{other} is not base64"),
    };
    let text = shown["base64"].as_str().unwrap().trim_end_matches('=').as_bytes();
    text.chunks(4)
        .flat_map(|four| {
            let bits = four.iter().fold(0, |bits, byte| bits << 6 | digit(*byte)) << (6 * (4 - four.len()));
            let [_, three @ ..] = bits.to_be_bytes();
            three.into_iter().take(four.len() - 1).collect::<Vec<_>>()
        })
        .collect()
}

fn cloned(payloads: &[Vec<u8>]) -> Vec<ClonedChunk> {
    payloads.iter().map(|payload| ClonedChunk::decode(payload.as_slice()).unwrap()).collect()
}

/// The results of all finished tasks, by uuid.
fn finished(host: &Host) -> BTreeMap<String, i32> {
    let responses: Vec<TaskResponse> =
        waiting(host, "finished-tasks").iter().map(|payload| TaskResponse::decode(payload.as_slice()).unwrap()).collect();
    let all: BTreeMap<_, _> = responses.iter().map(|response| (response.todo_task_uuid.clone(), response.task_result)).collect();
    assert_eq!(all.len(), responses.len(), "a task is answered once: {responses:?}");
    all
}

/// Waits for the one answer to a task.
fn finished_when(host: &Host, uuid: &str) -> i32 {
    eventually("the task's answer", || finished(host).get(uuid).copied())
}

/// What the exchange traded, as entries.
fn truth(pair: &str, from: i32, until: i32) -> Vec<ClonedEntry> {
    let trades = Trades::default().newest(pair, from.into(), until.into(), usize::MAX);
    trades.iter().map(entry).collect()
}

fn entry(trade: &Trade) -> ClonedEntry {
    ClonedEntry {
        trade_id: i32::try_from(trade.id).unwrap(),
        date: i32::try_from(trade.second).unwrap(),
        side: i32::from(trade.buy),
        rate: decimal(trade.rate),
        amount: decimal(trade.amount),
        total: decimal(trade.total()),
    }
}

/// All entries that came out, newest first; fails when one came twice.
fn entries(chunks: Vec<ClonedChunk>) -> Vec<ClonedEntry> {
    let mut all: Vec<ClonedEntry> = chunks.into_iter().flat_map(|chunk| chunk.entries).collect();
    all.sort_by_key(|entry| std::cmp::Reverse(entry.trade_id));
    let twice = all.windows(2).find(|pair| pair[0].trade_id == pair[1].trade_id);
    assert!(twice.is_none(), "came twice: {twice:?}");
    all
}

/// An hour from `START` on whose trades `holds` is true of.
fn hour(holds: impl Fn(usize) -> bool) -> i32 {
    let from = |n: i32| START + n * HOUR;
    let found = (0..500).find(|n| holds(truth("BTC_ETH", from(*n), from(*n) + HOUR - 1).len()));
    from(found.expect("the exchange has such an hour"))
}
