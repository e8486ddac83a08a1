//! Key-value state on a real disk. Unit: time for 12,800 changes by 64 callers that each wait for their fsync, and changes a second;
//! time a `get`. Command: `cargo bench --bench kv`. The folder is made in `TMPDIR`, which should be a disk.

#![allow(clippy::unwrap_used, reason = "a bench that can't go on fails")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use skep::store::{Expect, Kv, Store, StoreSettings};
use tempfile::TempDir;

const CALLERS: usize = 64;
const EACH: usize = 200;

async fn callers(store: &Store, key: impl Fn(usize) -> String) {
    let tasks: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (store, key) = (store.clone(), key(caller));
            tokio::spawn(async move {
                for _ in 0..EACH {
                    store.increment("bench", vec![key.clone()], 1).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

fn kv(c: &mut Criterion) {
    let folder = TempDir::new().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let settings = StoreSettings { dir: folder.path().to_owned(), history_bytes: 1 << 20, history_days: 1 };
    let store = runtime.block_on(async { Store::open(settings).unwrap() });

    let mut group = c.benchmark_group("kv");
    group.sample_size(20);
    group.throughput(Throughput::Elements((CALLERS * EACH) as u64));
    group.bench_function("durable increments, 64 callers, a key each", |b| {
        b.to_async(&runtime).iter(|| callers(&store, |caller| format!("caller-{caller}")));
    });
    group.bench_function("durable increments, 64 callers, one key", |b| {
        b.to_async(&runtime).iter(|| callers(&store, |_| "hot".to_owned()));
    });
    group.throughput(Throughput::Elements(1));
    runtime.block_on(store.set("bench", "page", vec![7; 1_000].into(), None, Expect::Anything)).unwrap();
    group.bench_function("get of 1,000 bytes", |b| {
        b.to_async(&runtime).iter(|| store.get("bench", "page"));
    });
    group.finish();
    runtime.block_on(store.close()).unwrap();
}

criterion_group!(benches, kv);
criterion_main!(benches);
