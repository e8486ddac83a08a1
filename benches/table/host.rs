//! Rows measured on the real binary: start, apply, idle memory, lateness.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    Row,
    support::{disk, percentile, plugins, status_kib},
};

/// A host of the bench's own; dropping it ends the process.
pub struct Host {
    child: Child,
    pub folder: tempfile::TempDir,
    /// Where its API and its page are.
    pub admin: String,
    /// Where its workers' routes are served.
    pub listen: String,
}

impl Host {
    pub fn folder(guests: &[&str]) -> tempfile::TempDir {
        let folder = disk();
        for name in ["manifests", "plugins"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        for guest in guests {
            let name = format!("{guest}.wasm");
            std::fs::copy(plugins().join(&name), folder.path().join("plugins").join(&name)).unwrap();
        }
        folder
    }

    /// Starts and waits for `ready`.
    pub fn start(folder: tempfile::TempDir) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_skep"))
            .args(["up", "--admin", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (mut admin, mut listen) = (String::new(), String::new());
        let ready = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap).any(|line| {
            if let Some(address) = line.strip_prefix("listen ") {
                address.clone_into(&mut listen);
            }
            if let Some(address) = line.strip_prefix("admin ") {
                address.clone_into(&mut admin);
            }
            line == "ready"
        });
        assert!(ready, "the host did not get ready");
        Self { child, folder, admin, listen }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn end(mut self) -> tempfile::TempDir {
        Command::new("kill").args(["-TERM", &self.pid().to_string()]).status().unwrap();
        self.child.wait().unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::mem::replace(&mut self.folder, folder)
    }

    pub fn skep(&self, args: &[&str]) -> Vec<u8> {
        let output = Command::new(env!("CARGO_BIN_EXE_skep")).arg("--data").arg(self.folder.path()).args(args).output().unwrap();
        assert!(output.status.success(), "skep {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    pub fn workers(&self) -> Vec<Value> {
        serde_json::from_slice(&self.skep(&["get", "workers", "-o", "json"])).unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn echo(number: u32, every: &str) -> String {
    format!("[[worker]]\nname = \"w-{number}\"\ncomponent = \"echo.wasm\"\nschedule = {{ every = \"{every}\" }}\n")
}

pub fn idle() -> Vec<Row> {
    const WORKERS: u32 = 100_000;
    let empty = Host::start(Host::folder(&["echo"]));
    std::thread::sleep(Duration::from_secs(1));
    let before = status_kib(empty.pid(), "VmRSS:");
    let folder = empty.end();
    for file in 0..10 {
        let text: String = (0..WORKERS / 10).map(|n| echo(file * (WORKERS / 10) + n, "24h")).collect();
        std::fs::write(folder.path().join("manifests").join(format!("f-{file}.toml")), text).unwrap();
    }
    let begun = Instant::now();
    let host = Host::start(folder);
    let ready = begun.elapsed();
    // First ticks are spread over 20 s; idle is what remains after them.
    std::thread::sleep(Duration::from_secs(25));
    let each = (status_kib(host.pid(), "VmRSS:") - before) as f64 / f64::from(WORKERS);
    vec![Row::new(
        "per-event worker, idle, 100,000 declared at once",
        format!("{each:.2} KiB (ready after {:.1} s)", ready.as_secs_f64()),
        "4 KiB",
        each <= 4.0,
    )]
}

pub fn apply() -> Vec<Row> {
    const WORKERS: u32 = 10_000;
    let poller = |number: u32, every: &str| {
        format!(
            "[[worker]]\nname = \"p-{number}\"\ncomponent = \"poller.wasm\"\nschedule = {{ every = \"{every}\" }}\n\
             config = {{ urls = [\"http://127.0.0.1:9/{number}\"] }}\ngrants = {{ http = {{ allow = [\"config:urls\"] }} }}\n\n"
        )
    };
    let folder = Host::folder(&["poller"]);
    let host = Host::start(folder);
    // The component is compiled once, before anything is timed.
    write(&host, "warm.toml", &poller(0, "24h"));
    apply_file(&host, "warm.toml");
    let fleet = |changed: u32, every: &str| (0..WORKERS).map(|n| poller(n, if n == changed { every } else { "24h" })).collect::<String>();
    write(&host, "fleet.toml", &fleet(0, "24h"));
    let begun = Instant::now();
    apply_file(&host, "fleet.toml");
    let all = begun.elapsed();
    let scheduled = host.workers().iter().filter(|worker| !worker["schedule"].is_null()).count();
    assert_eq!(scheduled, WORKERS as usize);
    settle(&host);

    let before = host.workers();
    let mut times = Vec::new();
    for turn in 0..5 {
        write(&host, "one.toml", &poller(5_000, &format!("{}h", turn + 25)));
        let begun = Instant::now();
        apply_file(&host, "one.toml");
        times.push(begun.elapsed());
    }
    let after = host.workers();
    let touched = before.iter().zip(&after).filter(|(before, after)| before["incarnation"] != after["incarnation"]).count();
    let one = percentile(&mut times, 0.5);
    vec![
        Row::new("apply 10,000 pollers: last one scheduled", format!("{:.2} s", all.as_secs_f64()), "1 s", all <= Duration::from_secs(1)),
        Row::new(
            "change one of them (median of 5), workers touched",
            format!("{:.0} ms, {touched}", one.as_secs_f64() * 1e3),
            "50 ms, 1",
            one <= Duration::from_millis(50) && touched == 1,
        ),
    ]
}

/// Waits until the first ticks are over.
fn settle(host: &Host) {
    for _ in 0..120 {
        if host.workers().iter().all(|worker| worker["events"]["ok"].as_u64() > Some(0)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn write(host: &Host, name: &str, text: &str) {
    std::fs::write(host.folder.path().join(name), text).unwrap();
}

fn apply_file(host: &Host, name: &str) {
    host.skep(&["apply", "-f", host.folder.path().join(name).to_str().unwrap()]);
}

pub fn lateness() -> Vec<Row> {
    const WORKERS: u32 = 10_000;
    let folder = Host::folder(&["echo"]);
    let text: String = (0..WORKERS).map(|n| echo(n, "1s")).collect();
    std::fs::write(folder.path().join("manifests/fleet.toml"), text).unwrap();
    let host = Host::start(folder);
    std::thread::sleep(Duration::from_secs(5));
    let cpu = crate::support::cpu_seconds(host.pid());
    let begun = Instant::now();
    let mut late = Vec::new();
    for _ in 0..5 {
        std::thread::sleep(Duration::from_secs(2));
        let workers = host.workers();
        late.extend(
            workers.iter().filter_map(|worker| worker["schedule"]["lateness_ms"].as_f64()).map(|ms| Duration::from_secs_f64(ms / 1e3)),
        );
    }
    let share = (crate::support::cpu_seconds(host.pid()) - cpu) / begun.elapsed().as_secs_f64();
    let missed: u64 = host.workers().iter().filter_map(|worker| worker["schedule"]["missed"].as_u64()).sum();
    let (p50, p99) = (percentile(&mut late, 0.5), percentile(&mut late, 0.99));
    vec![Row::new(
        "10,000 workers, no-op ticks at every = \"1s\": lateness p99 (p50, cores used, ticks missed)",
        format!("{:.1} ms ({:.1} ms, {share:.2}, {missed})", p99.as_secs_f64() * 1e3, p50.as_secs_f64() * 1e3),
        "5 ms",
        p99 <= Duration::from_millis(5),
    )]
}

pub fn start() -> Vec<Row> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
    let mut folder = Host::folder(&["poller", "echo"]);
    for example in std::fs::read_dir(examples).unwrap().flatten() {
        std::fs::copy(example.path(), folder.path().join("manifests").join(example.file_name())).unwrap();
    }
    // The first start compiles; the ones after it are warm.
    folder = Host::start(folder).end();
    let mut times = Vec::new();
    for _ in 0..7 {
        let begun = Instant::now();
        let host = Host::start(folder);
        times.push(begun.elapsed());
        folder = host.end();
    }
    let median = percentile(&mut times, 0.5);
    vec![Row::new(
        "warm start to `ready` with the shipped manifests, median of 7",
        format!("{:.0} ms", median.as_secs_f64() * 1e3),
        "200 ms",
        median <= Duration::from_millis(200),
    )]
}
