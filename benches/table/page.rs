//! The page: what many who look cost the host, and how fast it is there in a real browser.
//!
//! Checks come from real pollers against a local server. The browser's figures are taken by `tests/browser/load.mjs` in headless Chromium.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    Row,
    host::Host,
    polls::{Server, server},
    support::cpu_seconds,
};

const PAGES: usize = 200;
/// Each polled once a second.
const CHANGING: usize = 100;
const SPAN: Duration = Duration::from_secs(10);

/// A host whose `workers` poll `urls` each, `every` so often.
fn watching(server: &Server, workers: usize, urls: usize, every: &str) -> Host {
    let folder = Host::folder(&["poller"]);
    let text: String = (0..workers)
        .map(|worker| {
            let urls: Vec<String> = (0..urls).map(|url| format!("http://{}/{worker}/{url}", server.address)).collect();
            format!(
                "[[worker]]\nname = \"p-{worker}\"\ncomponent = \"poller.wasm\"\nschedule = {{ every = \"{every}\" }}\nlimits = {{ timeout = \"60s\" }}\n\
                 config = {{ urls = {urls:?}, timeout = \"50s\" }}\ngrants = {{ http = {{ allow = [\"config:urls\"] }} }}\n"
            )
        })
        .collect();
    std::fs::write(folder.path().join("manifests/fleet.toml"), text).unwrap();
    let host = Host::start(folder);
    let begun = Instant::now();
    while checks(&host) < workers * urls {
        assert!(begun.elapsed() < Duration::from_secs(120), "the checks did not come");
        std::thread::sleep(Duration::from_millis(100));
    }
    host
}

fn checks(host: &Host) -> usize {
    serde_json::from_slice::<Vec<Value>>(&host.skep(&["checks", "-o", "json"])).unwrap().len()
}

fn token(host: &Host) -> String {
    std::fs::read_to_string(host.folder.path().join("admin.token")).unwrap().trim().to_owned()
}

/// Cores the host uses over the span.
fn cores(host: &Host) -> f64 {
    let (cpu, begun) = (cpu_seconds(host.pid()), Instant::now());
    std::thread::sleep(SPAN);
    (cpu_seconds(host.pid()) - cpu) / begun.elapsed().as_secs_f64()
}

pub fn followers() -> Vec<Row> {
    let server = server();
    let host = watching(&server, CHANGING, 1, "1s");
    let alone = cores(&host);
    let (address, token) = (host.admin.trim_start_matches("http://").to_owned(), token(&host));
    let (rows, open) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    for _ in 0..PAGES {
        let (address, token, rows, open) = (address.clone(), token.clone(), rows.clone(), open.clone());
        server.runtime.spawn(async move {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            let ask = format!("GET /api/v1/live HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\r\n");
            stream.write_all(ask.as_bytes()).await.unwrap();
            let mut buffer = vec![0; 64 << 10];
            let mut first = true;
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                if std::mem::take(&mut first) {
                    assert!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer[..read]));
                    open.fetch_add(1, Ordering::Relaxed);
                }
                let seen = buffer[..read].windows(9).filter(|part| part == b"\"subject\"").count();
                rows.fetch_add(seen as u64, Ordering::Relaxed);
            }
        });
    }
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(open.load(Ordering::Relaxed), PAGES as u64, "all pages are open");
    let (before, begun) = (rows.load(Ordering::Relaxed), Instant::now());
    let looked = cores(&host);
    let each = (rows.load(Ordering::Relaxed) - before) as f64 / PAGES as f64 / begun.elapsed().as_secs_f64();
    assert!(each > 0.9 * CHANGING as f64, "only {each:.0} rows a second reached a page");
    let reached = format!("{:.2} cores more ({looked:.2} with, {alone:.2} without; {each:.0} rows/s a page)", looked - alone);
    vec![Row::new("200 open pages at 100 changes a second", reached, "under 1 core", looked - alone < 1.0)]
}

pub fn page() -> Vec<Row> {
    [(1, 1_000, 1_000), (10, 1_000, 3_000)].into_iter().map(|(workers, urls, most)| load(workers, urls, most)).collect()
}

fn load(workers: usize, urls: usize, most_ms: u64) -> Row {
    let checks = workers * urls;
    let figure = format!("page with {checks} checks, from navigation to rows, median of 5; script memory");
    let target = format!("{:.0} s; 30 MB", most_ms as f64 / 1_000.0);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/load.mjs");
    let server = server();
    let host = watching(&server, workers, urls, "1h");
    let run = Command::new("node").arg(script).env("SKEP_PAGE", &host.admin).env("SKEP_TOKEN", token(&host)).output();
    let Ok(output) = run else { return Row::skipped(&figure, "needs node, npm and chromium: make browser", &target) };
    if !output.status.success() {
        return Row::skipped(&figure, format!("did not run: {}", String::from_utf8_lossy(&output.stderr).trim()), &target);
    }
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (took, heap) = (said["ready_ms"].as_f64().unwrap(), said["heap_bytes"].as_f64().unwrap() / 1e6);
    assert_eq!(said["checks"], checks, "the page knows all of them");
    Row::new(&figure, format!("{took:.0} ms; {heap:.1} MB"), &target, took < most_ms as f64 && heap <= 30.0)
}
