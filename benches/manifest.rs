//! Manifests of a large fleet. Unit: time a file of 10,000 workers; command: `cargo bench --bench manifest`.

#![allow(clippy::unwrap_used, reason = "a bench that can't go on fails")]

use std::fmt::Write;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use skep::manifest::Parser;

fn fleet(changed: Option<u32>) -> String {
    (0..10_000).fold(String::new(), |mut text, number| {
        let every = if changed == Some(number) { "31s" } else { "30s" };
        writeln!(
            text,
            "[[worker]]\nname = \"poller-{number}\"\ncomponent = \"poller.wasm\"\nschedule = {{ every = \"{every}\" }}\n\
             config = {{ urls = [\"http://127.0.0.1:8080/{number}\"] }}\ngrants = {{ http = {{ allow = [\"config:urls\"] }} }}\n"
        )
        .unwrap();
        text
    })
}

fn manifest(c: &mut Criterion) {
    let (before, after) = (fleet(None), fleet(Some(5_000)));
    let mut group = c.benchmark_group("manifest");
    group.sample_size(20);
    group.bench_function("parse 10,000 workers", |b| {
        b.iter_batched(
            || Parser::new(None),
            |mut parser| assert!(parser.parse("fleet.toml", &before).spec.is_some()),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("parse again with one changed", |b| {
        let mut parser = Parser::new(None);
        parser.parse("fleet.toml", &before);
        let mut turn = 0;
        b.iter(|| {
            turn += 1;
            let text = if turn % 2 == 0 { &before } else { &after };
            assert!(parser.parse("fleet.toml", text).spec.is_some());
        });
    });
    group.finish();
}

criterion_group!(benches, manifest);
criterion_main!(benches);
