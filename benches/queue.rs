//! The durable queue in one process: jobs a second (batched, and from 64 single pushers), microseconds from push to leasable beside
//! the bare fsync of the same disk, MiB resident with a million jobs waiting. Command: `cargo bench --bench queue`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a bench that can't go on fails, and it measures real time"
)]

use std::{
    fs::File,
    os::unix::fs::FileExt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use skep::store::{Finished, Jobs, NewJob, Outcome, Store, StoreSettings, Term};
use tempfile::TempDir;

const BATCH: usize = 500;
const STRETCH: Duration = Duration::from_secs(5);
const QUEUE: &str = "bench";
const PAYLOAD: &[u8] = &[b'x'; 100];

fn main() {
    // `cargo bench` hands over a flag; a name picks one section.
    let picked: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |name: &str| picked.is_empty() || picked.iter().any(|pick| pick == name);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if wanted("memory") {
        runtime.block_on(memory());
    }
    if wanted("batched") {
        runtime.block_on(batched());
    }
    if wanted("single") {
        runtime.block_on(single());
    }
    if wanted("latency") {
        runtime.block_on(latency());
    }
}

/// Beside the build, as a data folder would be on a disk: the system's temporary folder is often memory.
fn folder() -> TempDir {
    TempDir::new_in(std::env::current_exe().unwrap().parent().unwrap()).unwrap()
}

fn open(dir: &TempDir) -> Store {
    Store::open(StoreSettings { dir: dir.path().to_owned(), history_bytes: 64 << 20, history_days: 1 }).unwrap()
}

fn job() -> NewJob {
    NewJob::new(QUEUE.into(), Bytes::from_static(PAYLOAD), "bench".into())
}

fn jobs(count: usize) -> Vec<NewJob> {
    (0..count).map(|_| job()).collect()
}

/// Leases and finishes whatever comes, until told to stop.
async fn consume(store: Store, finished: Arc<AtomicU64>, stop: Arc<AtomicBool>) {
    let holder: Arc<str> = "bench/1".into();
    let mut ready = store.ready(QUEUE);
    let mut going = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        ready.borrow_and_update();
        let leased = store.lease(QUEUE, BATCH, &holder, Term::Host);
        let idle = leased.is_empty();
        for job in leased {
            going.push(store.finish(job.id, job.attempt, Outcome::Done(None), Vec::new()));
        }
        // A few batches on the way to disk keep the writer busy.
        if idle || going.len() >= 4 * BATCH {
            for finish in going.drain(..) {
                assert!(matches!(finish.await.unwrap(), Finished::Recorded(_)));
                finished.fetch_add(1, Ordering::Relaxed);
            }
        }
        if idle {
            let _ = tokio::time::timeout(Duration::from_millis(100), ready.changed()).await;
        }
    }
}

async fn batched() {
    let dir = folder();
    let store = open(&dir);
    let (finished, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
    let consumer = tokio::spawn(consume(store.clone(), finished.clone(), stop.clone()));
    let started = Instant::now();
    let mut pushed = 0_u64;
    let mut ahead = std::collections::VecDeque::new();
    while started.elapsed() < STRETCH {
        ahead.push_back(store.push(jobs(BATCH)));
        if ahead.len() == 4 {
            ahead.pop_front().unwrap().await.unwrap();
        }
        pushed += BATCH as u64;
        // As far ahead of the consumer as a healthy queue is.
        while pushed - finished.load(Ordering::Relaxed) > 20_000 {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }
    let done = finished.load(Ordering::Relaxed);
    println!("batched: {:.0} jobs/s pushed by {BATCH}, leased and finished", done as f64 / started.elapsed().as_secs_f64());
    stop.store(true, Ordering::Relaxed);
    consumer.await.unwrap();
    store.close().await.unwrap();
}

async fn single() {
    let dir = folder();
    let store = open(&dir);
    let (finished, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
    let consumer = tokio::spawn(consume(store.clone(), finished.clone(), stop.clone()));
    let started = Instant::now();
    let pushers = (0..64).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut pushed = 0_u64;
            while started.elapsed() < STRETCH {
                store.push(vec![job()]).await.unwrap();
                pushed += 1;
            }
            pushed
        })
    });
    let mut pushed = 0;
    for pusher in pushers.collect::<Vec<_>>() {
        pushed += pusher.await.unwrap();
    }
    let seconds = started.elapsed().as_secs_f64();
    let done = finished.load(Ordering::Relaxed);
    println!("single: {:.0} jobs/s from 64 single pushers, {:.0}/s finished meanwhile", pushed as f64 / seconds, done as f64 / seconds);
    stop.store(true, Ordering::Relaxed);
    consumer.await.unwrap();
    store.close().await.unwrap();
}

async fn latency() {
    let dir = folder();
    let file = File::create(dir.path().join("fsync")).unwrap();
    let mut syncs = Vec::new();
    for turn in 0..1_000_u64 {
        file.write_all_at(&[turn as u8; 8_192], turn % 64 * 8_192).unwrap();
        let started = Instant::now();
        file.sync_data().unwrap();
        syncs.push(started.elapsed());
    }
    let store = open(&dir);
    let holder: Arc<str> = "bench/1".into();
    let mut ready = store.ready(QUEUE);
    let mut waits = Vec::new();
    for _ in 0..2_000 {
        ready.borrow_and_update();
        let started = Instant::now();
        let pushed = store.push(vec![job()]);
        let leased = loop {
            if let Some(leased) = store.lease(QUEUE, 1, &holder, Term::Host).pop() {
                break leased;
            }
            ready.changed().await.unwrap();
        };
        waits.push(started.elapsed());
        pushed.await.unwrap();
        store.finish(leased.id, leased.attempt, Outcome::Done(None), Vec::new()).await.unwrap();
    }
    let at = |times: &mut Vec<Duration>, part: usize| {
        times.sort_unstable();
        times[times.len() * part / 100].as_micros()
    };
    println!("latency: push to leasable p50 {} us, p99 {} us", at(&mut waits, 50), at(&mut waits, 99));
    println!("latency: bare fsync of 8 KiB p50 {} us, p99 {} us", at(&mut syncs, 50), at(&mut syncs, 99));
    store.close().await.unwrap();
}

async fn memory() {
    let dir = folder();
    let store = open(&dir);
    // Warm: the writer, the timer, the allocator.
    store.push(jobs(1)).await.unwrap();
    let idle = resident();
    let started = Instant::now();
    for _ in 0..1_000 {
        store.push(jobs(1_000)).await.unwrap();
    }
    let seconds = started.elapsed().as_secs_f64();
    let waiting = store.queues().await.unwrap()[0].waiting;
    println!(
        "memory: {:.1} MiB over idle with {waiting} jobs waiting ({:.0} pushed/s)",
        (resident() - idle) as f64 / 1024.0,
        1e6 / seconds
    );
    let started = Instant::now();
    store.close().await.unwrap();
    let closed = started.elapsed();
    let started = Instant::now();
    let store = open(&dir);
    println!("memory: closed in {closed:.1?}, opened again in {:.1?}", started.elapsed());
    store.close().await.unwrap();
}

/// KiB of this process.
fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
