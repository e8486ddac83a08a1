//! The paths a guest is entered by, in time an event. Unit: time; command: `cargo bench --bench engine` (after `make plugins`).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a bench that can't go on fails; it measures real time"
)]

mod support;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::future::BoxFuture;
use skep::{
    supervise::Supervisor,
    worker::{Errand, Event, Instance},
};
use support::Bench;
use tokio::runtime::Runtime;

const DEADLINE: Duration = Duration::from_secs(10);

fn tick() -> Event {
    Event::Tick { scheduled: jiff::Timestamp::UNIX_EPOCH, sequence: 1, missed: 0 }
}

fn engine(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let bench = runtime.block_on(Bench::new());
    let echo = runtime.block_on(bench.component("echo"));

    c.bench_function("fresh instance to first event", |b| {
        let purpose = bench.purpose(&echo);
        b.to_async(&runtime).iter(async || {
            let place = bench.engines.lean.events.clone().acquire_owned().await.unwrap();
            let instance = Instance::start(purpose.clone(), bench.context(), place, Errand::default()).await.unwrap();
            let (instance, handled) = instance.handle(tick(), 0).await.unwrap();
            handled.answer.unwrap();
            drop(black_box(instance));
        });
    });

    runtime.block_on(async {
        bench.run("[[worker]]\nname = \"resident\"\ncomponent = \"echo.wasm\"\n").await;
        bench.run("[[worker]]\nname = \"crash\"\ncomponent = \"crash.wasm\"\nrestart = { intensity = 1000, period = \"1ms\" }\n").await;
        bench.running(2).await;
    });
    // A host with work has a timer armed, its schedule's; the first timer of an idle runtime costs a wake-up of its own.
    runtime.spawn(async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    // Callers are tasks of the runtime, as every caller inside the host is: a thread outside would measure its own wake-up.
    c.bench_function("call through the mailbox to a resident", |b| {
        b.iter_custom(|iterations| {
            inside(&runtime, &bench, iterations, |supervisor| {
                Box::pin(async {
                    let answer = supervisor.call("resident", None, "echo".into(), vec![1, 2, 3], DEADLINE).await;
                    black_box(answer.unwrap().unwrap());
                })
            })
        });
    });
    c.bench_function("trapping call and the next event", |b| {
        b.iter_custom(|iterations| {
            inside(&runtime, &bench, iterations, |supervisor| {
                Box::pin(async {
                    let trapped = supervisor.call("crash", None, "unreachable".into(), Vec::new(), DEADLINE).await;
                    assert!(trapped.is_err());
                    let answer = supervisor.call("crash", None, "ok".into(), Vec::new(), DEADLINE).await;
                    black_box(answer.unwrap().unwrap());
                })
            })
        });
    });
}

/// Runs `turn` so many times in one task of the runtime.
fn inside(runtime: &Runtime, bench: &Bench, iterations: u64, turn: fn(&Supervisor) -> BoxFuture<'_, ()>) -> Duration {
    let supervisor = bench.supervisor.clone();
    let task = runtime.spawn(async move {
        let start = Instant::now();
        for _ in 0..iterations {
            turn(&supervisor).await;
        }
        start.elapsed()
    });
    runtime.block_on(task).unwrap()
}

criterion_group!(benches, engine);
criterion_main!(benches);
