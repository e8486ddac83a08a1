//! `skep up` as its operator meets it: what it announces, how it ends, what it leaves on disk; and its API over TCP.

#[path = "appliance/served.rs"]
mod served; // the admin API over TCP: tokens, Host, Origin, description, streams, metrics

use std::{
    collections::HashMap,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixDatagram,
    },
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{Host, PATIENCE, eventually, site::Site, skep, text, web::ask};

/// A poller whose one request is under way as long as the site takes to answer.
fn slow_poller(site: &Site) -> String {
    format!(
        "[[worker]]\nname = \"slow\"\ncomponent = \"poller.wasm\"\nschedule = {{ every = \"1h\" }}\nlimits = {{ timeout = \"30s\" }}\n\
         config = {{ urls = [{{ url = \"{}\", timeout = \"25s\" }}] }}\ngrants = {{ http = {{ allow = [\"config:urls\"] }} }}\n",
        site.url()
    )
}

#[test]
fn up_announces_its_addresses_then_ready_and_logs_to_stderr() {
    let host = Host::with(&[]);
    let [admin, listen, page, ready] = host.announced.as_slice() else { panic!("{:?}", host.announced) };
    assert!(page.starts_with(&format!("page {}/login?token=", host.admin)), "{page}");
    for (line, word) in [(admin, "admin http://127.0.0.1:"), (listen, "listen http://127.0.0.1:")] {
        let port: u16 = line.strip_prefix(word).unwrap_or_else(|| panic!("{line}")).parse().unwrap();
        assert_ne!(port, 0, "the port it was given");
    }
    assert_eq!(ready, "ready");
    assert_eq!(ask(&host.admin, "GET", "/readyz", &[]).status, 200, "ready means ready");
    let log = eventually("the log", || Some(host.log()).filter(|log| log.contains("is ready")));
    assert!(log.contains("INFO") && !log.contains("worker=\"\""), "{log}");
}

#[test]
fn json_logs_are_one_object_a_line() {
    let mut host = Host::folders(&["poller"]).flags(&["--log", "json"]).started();
    host.drop_manifest("bad.toml", "[[worker]]\nname = \"bad\"\nspeed = 1\n");
    eventually("the problem in the log", || host.log().contains("bad.toml").then_some(()));
    assert_eq!(host.stop(), Some(0));
    let log = host.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect();
    let refused = lines.iter().find(|line| line["kind"] == "manifest.refused").unwrap();
    assert_eq!(refused["level"], "ERROR");
    assert_eq!(refused["worker"], "bad");
    assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["message"].is_string()), "{log}");
}

#[test]
fn sigterm_and_ctrl_c_end_it_well() {
    for signal in ["TERM", "INT"] {
        let mut host = Host::with(&["echo"]);
        host.drop_manifest("e.toml", "[[worker]]\nname = \"e\"\ncomponent = \"echo.wasm\"\n");
        host.worker_when("e", "running", |worker| worker["state"] == "running");
        let start = Instant::now();
        host.signal(signal);
        assert_eq!(host.ended(), Some(0), "SIG{signal}: {}", host.log());
        assert!(start.elapsed() < Duration::from_secs(5), "nothing to wait for, but it took {:?}", start.elapsed());
        assert!(!host.data().join("skep.sock").exists() || !host.run(&["get", "workers"]).status.success());
        host.fails(5, &["get", "workers"]);
    }
}

#[test]
fn an_event_under_way_is_finished_within_the_drain() {
    let site = Site::up();
    site.delay(Duration::from_millis(1_500));
    let mut host = Host::with(&["poller"]);
    host.drop_manifest("slow.toml", &slow_poller(&site));
    eventually("the poll is under way", || (site.requests() == 1).then_some(()));
    assert_eq!(host.stop(), Some(0));
    assert!(!host.log().contains("cut off"), "{}", host.log());
    host.start();
    let check = host.check_when(&site.url(), "up");
    assert!(check["latency_ms"].as_f64().unwrap() >= 1_400.0, "what the last poll found was kept: {check:#}");
}

#[test]
fn an_event_past_the_drain_is_cut_off_and_the_exit_is_clean() {
    let site = Site::up();
    site.delay(Duration::from_secs(20));
    let mut host = Host::folders(&["poller", "spin"]).flags(&["--drain", "300ms"]).started();
    host.drop_manifest("slow.toml", &slow_poller(&site));
    host.drop_manifest(
        "spin.toml",
        "[[worker]]\nname = \"spin\"\ncomponent = \"spin.wasm\"\nschedule = { every = \"1h\" }\nconfig = { mode = \"spin\" }\nlimits = { timeout = \"60s\" }\n",
    );
    eventually("both are busy", || {
        let spinning = text(&host.run(&["tick", "spin"]).stderr).contains("an event is running");
        (site.requests() == 1 && spinning).then_some(())
    });
    let start = Instant::now();
    assert_eq!(host.stop(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(5), "it waited for them: {:?}", start.elapsed());
    let log = host.log();
    assert!(log.contains("2 workers were still busy after 300ms; they are cut off"), "{log}");
}

#[test]
fn a_second_host_on_the_same_data_folder_is_refused_in_one_line() {
    let mut host = Host::with(&[]);
    let second = || skep(&["up", "--data", host.data().to_str().unwrap(), "--admin", "127.0.0.1:0", "--listen", "127.0.0.1:0"]);
    let refused = second();
    assert_eq!(refused.status.code(), Some(4));
    let said = text(&refused.stderr);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(&format!("another skep (pid {})", host.pid())) && said.contains("--data"), "{said}");
    assert_eq!(text(&refused.stdout), "", "it announced what it never served");
    assert!(host.run(&["get", "workers"]).status.success(), "the first one is none the worse");
    // However the first one ended, the folder is free again.
    host.kill();
    host.start();
}

#[test]
fn an_address_in_use_is_told_in_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let host = Host::folders(&[]);
    let refused = host.run(&["up", "--admin", &address, "--listen", "127.0.0.1:0"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert!(said.lines().count() == 1 && said.contains(&address) && said.contains("in use"), "{said}");
}

#[test]
fn systemd_is_told_ready_and_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = || {
        let mut buffer = [0; 512];
        let read = socket.recv(&mut buffer).unwrap();
        text(&buffer[..read])
    };
    let mut host = Host::folders(&[]).env("NOTIFY_SOCKET", path.to_str().unwrap()).started();
    assert!(told().lines().any(|line| line == "READY=1"));
    assert_eq!(host.stop(), Some(0));
    assert!(told().lines().any(|line| line == "STOPPING=1"));
}

#[test]
fn the_workers_port_answers_a_small_json_404() {
    let host = Host::with(&[]);
    for path in ["/", "/metrics", "/api/v1/workers"] {
        let answer = ask(&host.listen, "GET", path, &[]);
        assert_eq!((answer.status, answer.header("content-type")), (404, Some("application/json")), "{path}");
        assert!(answer.json()["error"].as_str().unwrap().contains("no worker has a route"), "{answer:?}");
    }
}

#[test]
fn the_data_folder_is_its_owners_alone() {
    let host = Host::folders(&[]);
    // A folder that is not there yet is made, with its parents.
    let below = host.data().join("made/by/up");
    let mut host = host.at("made/by/up").started();
    assert_eq!(host.data(), below);
    host.install("poller", "poller.wasm");
    let site = Site::up();
    host.drop_manifest("slow.toml", &slow_poller(&site));
    host.check_when(&site.url(), "up");

    let mut seen = HashMap::new();
    modes(&below, &below, &mut seen);
    // What people put there keeps the rights they gave it.
    seen.retain(|path, _| !["manifests/", "plugins/"].iter().any(|theirs| path.starts_with(theirs)));
    for (path, (kind, mode)) in &seen {
        let right = match (*kind, path.as_str()) {
            ("folder", _) => 0o700,
            ("socket", "skep.sock") => 0o660,
            _ => 0o600,
        };
        assert_eq!(mode, &right, "{kind} {path} has {mode:o}");
    }
    for name in ["admin.token", "read.token", "control.db", "skep.lock", "skep.sock", "manifests", "plugins"] {
        assert!(seen.contains_key(name), "no {name} in {:?}", seen.keys());
    }
    for name in ["components", "compiled", "history"] {
        assert!(seen.keys().any(|path| path.starts_with(&format!("{name}/"))), "nothing in {name}");
    }
    assert_eq!(host.stop(), Some(0));
}

fn modes(folder: &Path, root: &Path, into: &mut HashMap<String, (&'static str, u32)>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let meta = entry.path().symlink_metadata().unwrap();
        let kind = match meta.file_type() {
            kind if kind.is_dir() => "folder",
            kind if kind.is_socket() => "socket",
            _ => "file",
        };
        let name = entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        into.insert(name, (kind, meta.permissions().mode() & 0o7777));
        if kind == "folder" {
            modes(&entry.path(), root, into);
        }
    }
}
