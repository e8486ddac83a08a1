//! HTTP requests a second beside `wasmtime serve`: the same component and load, in turns within one run.
//!
//! Needs `wrk` and wasmtime's command line, found on PATH or as WASMTIME; rows that can't be measured say how to get them.

use std::{
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{Row, host::Host, support::plugins};

const ROUNDS: usize = 5;
const FRESH: &str = "HTTP hello, a fresh instance a request, beside `wasmtime serve`: requests/s";
const RESIDENT: &str = "HTTP hello, resident, beside `wasmtime serve`: requests/s";
const WRK: &str = "skipped, no wrk: apt-get install wrk";
const WASMTIME: &str = "skipped, no wasmtime on PATH or as WASMTIME: cargo install wasmtime-cli --version 48.0.8 --no-default-features \
    --features serve,run,cranelift,component-model,component-model-async,pooling-allocator,parallel-compilation";
const MANIFEST: &str = "[[worker]]\nname = \"fresh\"\ncomponent = \"hello.wasm\"\n[worker.http]\nroutes = [\"/fresh\"]\n\n\
    [[worker]]\nname = \"resident\"\ncomponent = \"hello.wasm\"\ninstance = \"resident\"\n[worker.http]\nroutes = [\"/resident\"]\n";

/// `wasmtime serve` with its own defaults; dropping it ends the process.
struct Serve {
    child: Child,
    url: String,
}

impl Drop for Serve {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Serve {
    /// None: there is no such program.
    fn start() -> Option<Self> {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let program = std::env::var_os("WASMTIME").unwrap_or_else(|| "wasmtime".into());
        let child = Command::new(program)
            // A component of Rust's standard library asks for wasi:cli, too.
            .args(["serve", "-Scli", "--addr", &address.to_string()])
            .arg(plugins().join("hello.wasm"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let serve = Self { child, url: format!("http://{address}/") };
        // It compiles first.
        let up = (0..600).any(|_| {
            std::thread::sleep(Duration::from_millis(100));
            TcpStream::connect(address).is_ok()
        });
        assert!(up, "wasmtime serve did not listen on {address}");
        Some(serve)
    }
}

/// Requests a second over 32 connections; none: there is no wrk.
fn load(url: &str, seconds: u32) -> Option<f64> {
    let output = Command::new("wrk").args(["-t1", "-c32", &format!("-d{seconds}s"), url]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let sound = output.status.success() && !text.contains("Non-2xx") && !text.contains("Socket errors");
    assert!(sound, "wrk {url}: {text}{}", String::from_utf8_lossy(&output.stderr));
    Some(text.lines().find_map(|line| line.strip_prefix("Requests/sec:")).unwrap().trim().parse().unwrap())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub fn requests() -> Vec<Row> {
    let skipped = |why: &str| vec![Row::skipped(FRESH, why, "1.5x"), Row::skipped(RESIDENT, why, "3x")];
    let folder = Host::folder(&["hello"]);
    std::fs::write(folder.path().join("manifests/hello.toml"), MANIFEST).unwrap();
    let host = Host::start(folder);
    let (fresh, resident) = (format!("{}/fresh", host.listen), format!("{}/resident", host.listen));
    // Everybody has been warm before anything counts.
    if load(&fresh, 1).is_none() {
        return skipped(WRK);
    }
    let Some(serve) = Serve::start() else { return skipped(WASMTIME) };
    load(&serve.url, 1);
    load(&resident, 1);
    let rounds: Vec<[f64; 3]> = (0..ROUNDS).map(|_| [&serve.url, &fresh, &resident].map(|url| load(url, 5).unwrap())).collect();
    let of = |which: usize| median(rounds.iter().map(|round| round[which]).collect());
    let row = |figure: &str, which: usize, times: f64| {
        let ratio = median(rounds.iter().map(|round| round[which] / round[0]).collect());
        let reached = format!("{:.0}, {ratio:.2}x of {:.0}", of(which), of(0));
        Row::new(figure, reached, &format!("{times}x"), ratio >= times)
    };
    vec![row(FRESH, 1, 1.5), row(RESIDENT, 2, 3.0)]
}
