//! Rows of the durable queue, all the way a job goes in a host: store, feeder, supervisor, a guest that does nothing, acknowledged.

use std::{
    collections::VecDeque,
    fs::File,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use skep::store::{Jobs, NewJob, Store};

use crate::{
    Row,
    inside::{keep_armed, micros, runtime},
    support::{Bench, disk, percentile, sync},
};

const QUEUE: &str = "bench";
const BATCH: usize = 500;
/// Of pushes that a pusher doesn't wait for yet.
const AHEAD: usize = 4;
/// As far as pushers are ahead of the worker in a healthy queue.
const BACKLOG: u64 = 20_000;
const WARM: Duration = Duration::from_secs(1);
const STRETCH: Duration = Duration::from_secs(5);
const RESIDENT: &str = "[[worker]]\nname = \"w\"\ncomponent = \"echo.wasm\"\ninstance = \"resident\"\njobs = { queue = \"bench\" }\n";
const PER_EVENT: &str =
    "[[worker]]\nname = \"w\"\ncomponent = \"echo.wasm\"\ninstance = \"per-event\"\njobs = { queue = \"bench\", concurrency = 16 }\n";

pub fn job() -> NewJob {
    NewJob::new(QUEUE.into(), Bytes::from_static(&[b'x'; 100]), "bench".into())
}

async fn finished(store: &Store) -> u64 {
    let queues = store.queues().await.unwrap();
    queues.iter().find(|queue| queue.name == QUEUE).map_or(0, |queue| queue.finished)
}

/// Jobs acknowledged a second, once things have warmed up.
async fn rate(store: &Store) -> f64 {
    tokio::time::sleep(WARM).await;
    let (before, start) = (finished(store).await, Instant::now());
    tokio::time::sleep(STRETCH).await;
    (finished(store).await - before) as f64 / start.elapsed().as_secs_f64()
}

/// Pushes in batches, a few on their way to disk at a time.
async fn push_batches(store: Store) {
    let (mut pushed, mut ahead) = (0, VecDeque::new());
    loop {
        ahead.push_back(store.push((0..BATCH).map(|_| job()).collect()));
        pushed += BATCH as u64;
        if ahead.len() >= AHEAD {
            ahead.pop_front().unwrap().await.unwrap();
        }
        while pushed - finished(&store).await > BACKLOG {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn push_singly(store: Store) {
    loop {
        store.push(vec![job()]).await.unwrap();
    }
}

fn measure(worker: &'static str, pushers: impl FnOnce(&Store) -> Vec<tokio::task::JoinHandle<()>> + Send + 'static) -> f64 {
    let runtime = runtime();
    let measured = async move {
        let bench = Arc::new(Bench::new().await);
        bench.run(worker).await;
        bench.running(1).await;
        let pushers = pushers(&bench.store);
        let rate = rate(&bench.store).await;
        // They end before the store does.
        for pusher in pushers {
            pusher.abort();
            let _ = pusher.await;
        }
        rate
    };
    runtime.block_on(runtime.spawn(measured)).unwrap()
}

fn row(what: &str, rate: f64, least: f64) -> Row {
    let target = format!("{},000/s", least / 1e3);
    Row::new(&format!("jobs through the durable queue and acknowledged, {what}"), format!("{rate:.0}/s"), &target, rate >= least)
}

pub fn resident() -> Vec<Row> {
    let rate = measure(RESIDENT, |store| vec![tokio::spawn(push_batches(store.clone()))]);
    vec![row("pushed by 500 into a no-op resident", rate, 60_000.0)]
}

pub fn per_event() -> Vec<Row> {
    let rate = measure(PER_EVENT, |store| vec![tokio::spawn(push_batches(store.clone()))]);
    vec![row("pushed by 500 into a no-op per-event worker", rate, 30_000.0)]
}

pub fn single() -> Vec<Row> {
    let rate = measure(RESIDENT, |store| (0..64).map(|_| tokio::spawn(push_singly(store.clone()))).collect());
    vec![row("64 single pushers, a resident", rate, 15_000.0)]
}

/// From the call that pushes to the end of the no-op event, seen from outside; the bare fsync of the same disk in between.
pub fn latency() -> Vec<Row> {
    let runtime = runtime();
    keep_armed(&runtime);
    let measured = async {
        let bench = Bench::new().await;
        bench.run(RESIDENT).await;
        bench.running(1).await;
        let folder = disk();
        let file = File::create(folder.path().join("fsync")).unwrap();
        let (mut syncs, mut waits) = (Vec::new(), Vec::new());
        let mut changed = bench.supervisor.changed();
        for turn in 0..2_000_u64 {
            syncs.push(sync(&file, turn));
            changed.mark_unchanged();
            let start = Instant::now();
            let pushed = bench.store.push(vec![job()]);
            while bench.supervisor.view("w").unwrap().events.ok <= turn {
                changed.changed().await.unwrap();
            }
            waits.push(start.elapsed());
            let id = pushed.await.unwrap()[0].id;
            bench.store.wait(id).await.unwrap();
            // The queue is idle again once all of it is written.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        (syncs, waits)
    };
    let (mut syncs, mut waits) = runtime.block_on(runtime.spawn(measured)).unwrap();
    let (sync, wait) = (percentile(&mut syncs, 0.5), percentile(&mut waits, 0.5));
    let over = wait.saturating_sub(sync);
    vec![Row::new(
        "push to handler, idle queue, p50 over the bare fsync (p50 of both)",
        format!("{} ({}, fsync {})", micros(over), micros(wait), micros(sync)),
        "300 µs",
        over <= Duration::from_micros(300),
    )]
}
