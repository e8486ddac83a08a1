//! Rows of what is kept: durable key-value changes, and a million queued jobs in the memory of the real binary.

use std::{
    fs::File,
    time::{Duration, Instant},
};

use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Bytes};
use hyper_util::rt::TokioIo;
use serde_json::json;
use skep::store::{Expect, Kv, Store, StoreSettings};
use tokio::net::UnixStream;

use crate::{
    Row,
    host::Host,
    inside::{micros, runtime},
    support::{disk, percentile, status_kib, sync},
};

const CALLERS: usize = 64;
const STRETCH: Duration = Duration::from_secs(4);

/// Increments a second by callers that each wait for their fsync.
async fn increments(store: &Store, key: impl Fn(usize) -> String) -> f64 {
    let start = Instant::now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (store, key) = (store.clone(), key(caller));
            tokio::spawn(async move {
                let mut done = 0_u64;
                while start.elapsed() < STRETCH {
                    store.increment("bench", vec![key.clone()], 1).await.unwrap();
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut done = 0;
    for caller in callers {
        done += caller.await.unwrap();
    }
    done as f64 / start.elapsed().as_secs_f64()
}

pub fn kv() -> Vec<Row> {
    let runtime = runtime();
    let measured = async {
        let folder = disk();
        let store = Store::open(StoreSettings { dir: folder.path().to_owned(), history_bytes: 1 << 20, history_days: 1 }).unwrap();
        let file = File::create(folder.path().join("fsync")).unwrap();
        let syncs = || (0..200).map(|nth| sync(&file, nth));
        let mut bare: Vec<_> = syncs().collect();
        let each = increments(&store, |caller| format!("caller-{caller}")).await;
        bare.extend(syncs());
        let hot = increments(&store, |_| "hot".to_owned()).await;
        store.set("bench", "page", vec![7; 1_000].into(), None, Expect::Anything).await.unwrap();
        let mut gets = Vec::new();
        for _ in 0..50_000 {
            let start = Instant::now();
            assert!(store.get("bench", "page").await.unwrap().is_some());
            gets.push(start.elapsed());
        }
        store.close().await.unwrap();
        (each, hot, gets, bare)
    };
    let (each, hot, mut gets, mut bare) = runtime.block_on(runtime.spawn(measured)).unwrap();
    vec![Row::new(
        "durable kv increments, 64 callers, a key each (one key for all; p50 of a bare fsync, of a get of 1,000 bytes)",
        format!("{each:.0}/s ({hot:.0}/s; {}, {})", micros(percentile(&mut bare, 0.5)), micros(percentile(&mut gets, 0.5))),
        "50,000/s",
        each >= 50_000.0,
    )]
}

/// Jobs of 100 bytes, pushed through the API by a thousand.
async fn push_a_million(host: &Host) {
    let stream = UnixStream::connect(host.folder.path().join("skep.sock")).await.unwrap();
    let (mut api, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let jobs: Vec<_> = (0..1_000).map(|_| json!({ "payload": "x".repeat(100) })).collect();
    let body = Bytes::from(json!({ "jobs": jobs }).to_string());
    for _ in 0..1_000 {
        let request = Request::post("/api/v1/queues/bench/jobs").header("host", "skep").header("content-type", "application/json");
        let request = request.body(Full::new(body.clone())).unwrap();
        api.ready().await.unwrap();
        let response = api.send_request(request).await.unwrap();
        let status = response.status();
        let answer = response.into_body().collect().await.unwrap().to_bytes();
        assert!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&answer));
    }
}

pub fn memory() -> Vec<Row> {
    let host = Host::start(Host::folder(&["echo"]));
    std::thread::sleep(Duration::from_secs(1));
    let idle = status_kib(host.pid(), "VmRSS:");
    let start = Instant::now();
    runtime().block_on(push_a_million(&host));
    let rate = 1e6 / start.elapsed().as_secs_f64();
    std::thread::sleep(Duration::from_secs(2));
    let over = (status_kib(host.pid(), "VmRSS:") - idle) as f64 / 1024.0;
    let queues: serde_json::Value = serde_json::from_slice(&host.skep(&["queue", "ls", "-o", "json"])).unwrap();
    assert_eq!(queues[0]["waiting"], 1_000_000, "{queues}");
    vec![Row::new(
        "memory of the host with 1,000,000 queued jobs, over idle (pushed by 1,000 through the API)",
        format!("{over:.1} MiB ({rate:.0} jobs/s)"),
        "40 MB",
        over * 1.048_576 <= 40.0,
    )]
}
