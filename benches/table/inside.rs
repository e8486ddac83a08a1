//! Rows measured inside one process: events, calls from outside and from worker to worker, crashes, residents.

use std::time::{Duration, Instant};

use skep::worker::{Errand, Event, Instance};

use crate::{
    Row,
    support::{Bench, percentile, status_kib},
};

const DEADLINE: Duration = Duration::from_secs(10);
const RESIDENTS: u32 = 10_000;

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

/// The schedule of a host with work keeps a timer armed; the first timer of an idle runtime costs a wake-up of its own.
pub fn keep_armed(runtime: &tokio::runtime::Runtime) {
    runtime.spawn(async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
}

pub fn micros(duration: Duration) -> String {
    format!("{:.1} µs", duration.as_secs_f64() * 1e6)
}

pub fn events() -> Vec<Row> {
    let runtime = runtime();
    keep_armed(&runtime);
    let measured = async {
        let bench = Bench::new().await;
        let purpose = bench.purpose(&bench.component("echo").await);
        let mut first = Vec::new();
        for _ in 0..50_000 {
            let start = Instant::now();
            let place = bench.engines.lean.events.clone().acquire_owned().await.unwrap();
            let instance = Instance::start(purpose.clone(), bench.context(), place, Errand::default()).await.unwrap();
            let tick = Event::Tick { scheduled: jiff::Timestamp::UNIX_EPOCH, sequence: 1, missed: 0 };
            let (instance, handled) = instance.handle(tick, 0).await.unwrap();
            first.push(start.elapsed());
            handled.answer.unwrap();
            drop(instance);
        }
        bench.run("[[worker]]\nname = \"resident\"\ncomponent = \"echo.wasm\"\n").await;
        bench.run("[[worker]]\nname = \"crash\"\ncomponent = \"crash.wasm\"\nrestart = { intensity = 1000, period = \"1ms\" }\n").await;
        bench.running(2).await;
        let mut calls = Vec::new();
        for _ in 0..200_000 {
            let start = Instant::now();
            let answer = bench.supervisor.call("resident", None, "echo".into(), vec![1, 2, 3], DEADLINE).await;
            calls.push(start.elapsed());
            answer.unwrap().unwrap();
        }
        let mut next = Vec::new();
        for _ in 0..10_000 {
            assert!(bench.supervisor.call("crash", None, "unreachable".into(), Vec::new(), DEADLINE).await.is_err());
            let start = Instant::now();
            let answer = bench.supervisor.call("crash", None, "ok".into(), Vec::new(), DEADLINE).await;
            next.push(start.elapsed());
            answer.unwrap().unwrap();
        }
        (first, calls, next)
    };
    let (mut first, mut calls, mut next) = runtime.block_on(runtime.spawn(measured)).unwrap();
    let (first50, calls50) = (percentile(&mut first, 0.5), percentile(&mut calls, 0.5));
    let (next50, next99) = (percentile(&mut next, 0.5), percentile(&mut next, 0.99));
    let us = Duration::from_micros;
    vec![
        Row::new(
            "fresh instance to first event handled, p50 (p99)",
            format!("{} ({})", micros(first50), micros(percentile(&mut first, 0.99))),
            "25 µs",
            first50 <= us(25),
        ),
        Row::new(
            "trapping call returned to the next event handled by a fresh instance, p50, p99",
            format!("{}, {}", micros(next50), micros(next99)),
            "40 µs, 250 µs",
            next50 <= us(40) && next99 <= us(250),
        ),
        Row::new(
            "call through the mailbox to a resident worker, p50 (p99)",
            format!("{} ({})", micros(calls50), micros(percentile(&mut calls, 0.99))),
            "1.5 µs",
            calls50 <= Duration::from_nanos(1_500),
        ),
    ]
}

/// A worker that calls another, many times in one event of its own; what the event itself costs is taken off.
pub fn registry() -> Vec<Row> {
    const CALLS: u32 = 1_000;
    let runtime = runtime();
    keep_armed(&runtime);
    let measured = async {
        let bench = Bench::new().await;
        bench.run("[[worker]]\nname = \"answers\"\ncomponent = \"echo.wasm\"\n").await;
        bench.run("[[worker]]\nname = \"asks\"\ncomponent = \"probe.wasm\"\ngrants = { call = [\"answers\"] }\n").await;
        bench.running(2).await;
        let relay = async |calls: u32| {
            let start = Instant::now();
            let answer = bench.supervisor.call("asks", None, "relay".into(), format!("{calls} answers").into(), DEADLINE).await;
            assert_eq!(answer.unwrap().unwrap(), calls.to_string().into_bytes());
            start.elapsed()
        };
        let mut each = Vec::new();
        for _ in 0..1_000 {
            let empty = relay(0).await;
            each.push(relay(CALLS).await.saturating_sub(empty) / CALLS);
        }
        each
    };
    let mut each = runtime.block_on(runtime.spawn(measured)).unwrap();
    let p50 = percentile(&mut each, 0.5);
    vec![Row::new(
        "registry call, worker to worker, p50 (p99) of means over 1,000 calls",
        format!("{:.2} µs ({:.2} µs)", p50.as_secs_f64() * 1e6, percentile(&mut each, 0.99).as_secs_f64() * 1e6),
        "3 µs",
        p50 <= Duration::from_micros(3),
    )]
}

pub fn residents() -> Vec<Row> {
    let runtime = runtime();
    runtime.block_on(async {
        let bench = Bench::new().await;
        bench.component("echo").await;
        let me = std::process::id();
        let figures = || (status_kib(me, "VmRSS:"), status_kib(me, "VmPTE:"));
        let before = figures();
        let text: String = (0..RESIDENTS).map(|n| format!("[[worker]]\nname = \"r-{n}\"\ncomponent = \"echo.wasm\"\n")).collect();
        bench.run(&text).await;
        bench.running(RESIDENTS as usize).await;
        for n in 0..RESIDENTS {
            let answer = bench.supervisor.call(&format!("r-{n}"), None, "echo".into(), vec![1], DEADLINE).await;
            answer.unwrap().unwrap();
        }
        let after = figures();
        let each = |kib: u64| kib as f64 / f64::from(RESIDENTS);
        let (rss, tables) = (each(after.0 - before.0), each(after.1 - before.1));
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap().lines().count();
        vec![
            Row::new(
                "resident worker, idle, 10,000 at once: RSS, with page tables",
                format!("{rss:.1} KiB, {:.1} KiB", rss + tables),
                "44 KiB, 55 KiB",
                rss <= 44.0 && rss + tables <= 55.0,
            ),
            Row::new("memory mappings with 10,000 residents", maps.to_string(), "48,000 (of 65,530)", maps <= 48_000),
        ]
    })
}
