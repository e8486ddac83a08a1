//! The admin API over TCP, as programs and pages of other sites meet it.

use std::{
    collections::HashSet,
    sync::mpsc::Receiver,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{
    Host, PATIENCE, eventually,
    site::Site,
    web::{ask, follow},
};

#[test]
fn tokens_decide_who_may_do_what() {
    let host = Host::with(&["echo"]);
    host.drop_manifest("e.toml", "[[worker]]\nname = \"e\"\ncomponent = \"echo.wasm\"\n");
    host.worker_when("e", "running", |worker| worker["state"] == "running");
    let (admin, read) = (host.bearer("admin.token"), host.bearer("read.token"));
    assert_ne!(admin, read);
    let ask = |method: &str, path: &str, token: Option<&str>| {
        let headers: Vec<_> = token.map(|token| ("Authorization", token)).into_iter().collect();
        ask(&host.admin, method, path, &headers)
    };
    for (method, path) in [("GET", "/api/v1/workers"), ("GET", "/metrics"), ("POST", "/api/v1/workers/e/restart"), ("GET", "/nothing/here")]
    {
        for token in [None, Some("Bearer wrong-wrong-wrong-wrong"), Some("Basic YTpi")] {
            let answer = ask(method, path, token);
            assert_eq!(answer.status, 401, "{method} {path} {token:?}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            assert!(answer.json()["hint"].as_str().unwrap().contains("admin.token"), "{answer:?}");
        }
    }
    assert_eq!(ask("GET", "/api/v1/workers", Some(&read)).json()[0]["name"], "e");
    let refused = ask("POST", "/api/v1/workers/e/restart", Some(&read));
    assert_eq!(refused.status, 403);
    assert!(refused.json()["hint"].as_str().unwrap().contains("admin.token"), "{refused:?}");
    assert_eq!(ask("DELETE", "/api/v1/workers/e", Some(&read)).status, 403);
    assert_eq!(ask("POST", "/api/v1/workers/e/restart", Some(&admin)).status, 202);
    assert_eq!(ask("DELETE", "/api/v1/workers/e", Some(&admin)).status, 200);
    assert!(host.workers().is_empty());
    // Health is anybody's.
    assert_eq!(ask("GET", "/healthz", None).status, 200);
    assert_eq!(ask("GET", "/readyz", None).status, 200);
}

#[test]
fn the_login_link_on_stdout_signs_in_until_the_token_changes() {
    let mut host = Host::with(&[]);
    let link = host.announced.iter().find_map(|line| line.strip_prefix("page ")).unwrap().to_owned();
    let answer = ask(&host.admin, "GET", link.strip_prefix(&host.admin).unwrap(), &[]);
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")));
    let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(ask(&host.admin, "GET", "/", &[]).header("content-type"), Some("text/html; charset=utf-8"));
    for path in ["/page/../assets.rs", "/page/..%2Fassets.rs", "/page//etc/passwd", "/page/%2Fetc%2Fpasswd", "/page/"] {
        assert!(matches!(ask(&host.admin, "GET", path, &[]).status, 401 | 404), "{path}: there is nothing but the page's own files");
    }
    let access = |host: &Host| {
        let answer = ask(&host.admin, "GET", "/api/v1/session", &[("Cookie", &cookie)]);
        (answer.status == 200).then(|| answer.json()["access"].as_str().unwrap().to_owned())
    };
    assert_eq!(access(&host).as_deref(), Some("admin"));
    assert_eq!(host.stop(), Some(0));
    host.start();
    assert_eq!(access(&host).as_deref(), Some("admin"), "a restart signs nobody out");
    assert_eq!(host.stop(), Some(0));
    std::fs::remove_file(host.data().join("admin.token")).unwrap();
    host.start();
    assert_eq!(access(&host), None);
    let log = host.log();
    assert!(!log.contains("token="), "no token goes into the log: {log}");
}

#[test]
fn the_cli_takes_address_and_token_from_the_environment() {
    let host = Host::with(&[]);
    let token = std::fs::read_to_string(host.data().join("read.token")).unwrap();
    let run = |token: Option<&str>| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_skep"));
        command.args(["get", "workers"]).env("SKEP_ADMIN", &host.admin).env_remove("SKEP_TOKEN").env_remove("SKEP_DATA");
        command.envs(token.map(|token| ("SKEP_TOKEN", token))).output().unwrap()
    };
    assert!(run(Some(token.trim())).status.success());
    let refused = run(None);
    assert_eq!(refused.status.code(), Some(4));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("token") && said.contains("SKEP_TOKEN"), "{said}");
}

#[test]
fn other_names_and_other_sites_pages_are_refused_and_no_answer_invites_them() {
    let host = Host::with(&[]);
    let token = host.bearer("admin.token");
    let port = host.admin.rsplit(':').next().unwrap();
    let ask = |headers: &[(&str, &str)]| ask(&host.admin, "GET", "/api/v1/workers", &[headers, &[("Authorization", &token)]].concat());
    for name in ["evil.example", "evil.example:80", &format!("evil.example:{port}"), "127.0.0.1:1", "127.0.0.1"] {
        let answer = ask(&[("Host", name)]);
        assert_eq!(answer.status, 421, "{name}");
        assert!(answer.json()["hint"].as_str().unwrap().contains("admin.hosts"), "{answer:?}");
    }
    assert_eq!(ask(&[("Host", &format!("localhost:{port}"))]).status, 200);
    for origin in ["https://evil.example", "null", &format!("http://evil.example:{port}"), "http://127.0.0.1:1"] {
        assert_eq!(ask(&[("Origin", origin)]).status, 403, "{origin}");
    }
    let own = ask(&[("Origin", &host.admin)]);
    assert_eq!(own.status, 200);
    for answer in [own, ask(&[]), ask(&[("Origin", "https://evil.example")])] {
        assert!(answer.headers.iter().all(|(name, _)| !name.starts_with("access-control-")), "{answer:?}");
    }
    // A page's preflight gets no leave either.
    let preflight = [("Origin", "https://evil.example"), ("Access-Control-Request-Method", "POST")];
    let answer = crate::support::web::ask(&host.admin, "OPTIONS", "/api/v1/apply", &preflight);
    assert!(answer.status >= 400 && answer.headers.iter().all(|(name, _)| !name.starts_with("access-control-")), "{answer:?}");
}

#[test]
fn the_description_lists_every_route_and_holds_together() {
    let host = Host::with(&[]);
    let answer = host.get("/api/v1/openapi.json");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let document = answer.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = document["paths"].as_object().unwrap();
    for (path, methods) in [
        ("/api/v1/workers", "get"),
        ("/api/v1/workers/{name}", "get delete"),
        ("/api/v1/workers/{name}/why", "get"),
        ("/api/v1/workers/{name}/restart", "post"),
        ("/api/v1/workers/{name}/drain", "post"),
        ("/api/v1/workers/{name}/tick", "post"),
        ("/api/v1/workers/{name}/call", "post"),
        ("/api/v1/workers/{name}/pause", "post"),
        ("/api/v1/workers/{name}/resume", "post"),
        ("/api/v1/workers/{name}/scale", "post"),
        ("/api/v1/workers/{name}/logs", "get"),
        ("/api/v1/apply", "post"),
        ("/api/v1/diff", "post"),
        ("/api/v1/undo", "post"),
        ("/api/v1/problems", "get"),
        ("/api/v1/events", "get"),
        ("/api/v1/traps", "get"),
        ("/api/v1/traps/{id}", "get"),
        ("/api/v1/checks", "get"),
        ("/api/v1/host", "get"),
        ("/api/v1/openapi.json", "get"),
        ("/metrics", "get"),
        ("/healthz", "get"),
        ("/readyz", "get"),
    ] {
        for method in methods.split(' ') {
            assert!(!paths.get(path).unwrap_or_else(|| panic!("no {path}: {:?}", paths.keys()))[method].is_null(), "{method} {path}");
        }
    }
    let mut refs = Vec::new();
    references(&document, &mut refs);
    assert!(!refs.is_empty());
    for reference in refs {
        let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leads elsewhere"));
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    // What it lists is there, and answers what it says.
    for (path, of) in paths {
        for (method, operation) in of.as_object().unwrap() {
            assert!(operation["responses"].as_object().is_some_and(|responses| !responses.is_empty()), "{method} {path}");
            let needs = operation["parameters"].as_array().is_some_and(|all| all.iter().any(|one| one["required"] == true));
            if method == "get" && !needs && !path.ends_with("/stream") && !path.ends_with("/live") {
                let expected = match path.as_str() {
                    "/login" => 303,
                    // Off, here.
                    "/status" | "/status.json" => 404,
                    _ => 200,
                };
                assert_eq!(host.get(path).status, expected, "{path}");
            }
        }
    }
}

fn references(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            into.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| references(value, into));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, into)),
        _ => {}
    }
}

/// The data of the first event of this kind that a stream brings.
fn event(stream: &Receiver<String>, kind: &str) -> Value {
    let start = Instant::now();
    let mut wanted = false;
    while start.elapsed() < PATIENCE {
        let line = stream.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("the stream brought no {kind}"));
        if let Some(found) = line.strip_prefix("event: ") {
            wanted = found == kind;
        } else if let Some(data) = line.strip_prefix("data: ").filter(|_| wanted) {
            return serde_json::from_str(data).unwrap();
        }
    }
    panic!("the stream brought no {kind}");
}

#[test]
fn events_and_log_lines_stream_as_they_happen() {
    let site = Site::up();
    let mut host = Host::with(&["poller"]);
    let token = host.bearer("read.token");
    let headers = [("Authorization", token.as_str()), ("Accept", "text/event-stream")];
    let events = follow(&host.admin, "/api/v1/events/stream", &headers);
    host.drop_manifest("w.toml", &poller(&site));
    assert_eq!(event(&events, "fleet.applied")["message"], "1 created, 0 unchanged");
    host.check_when(&site.url(), "up");
    site.answer(500);
    host.ok(&["tick", "pages"]);
    let change = event(&events, "check.changed");
    assert!(change["worker"] == "pages" && change["message"].as_str().unwrap().contains("up -> down"), "{change:#}");
    site.answer(200);

    let lines = follow(&host.admin, "/api/v1/workers/pages/logs?follow=true", &headers);
    eventually("its first lines", || lines.try_recv().ok());
    let start = Instant::now();
    host.ok(&["tick", "pages"]);
    eventually("the line of that tick", || lines.try_recv().ok().filter(|line| line.contains("Status: 200")));
    assert!(start.elapsed() < Duration::from_secs(5), "late: {:?}", start.elapsed());

    // Followers do not hold a host that ends; it says so first.
    assert_eq!(host.stop(), Some(0));
    event(&events, "host.stopping");
    assert!(events.iter().count() < 100, "the stream ends with the host");
}

fn poller(site: &Site) -> String {
    format!(
        "[[worker]]\nname = \"pages\"\ncomponent = \"poller.wasm\"\nschedule = {{ every = \"1h\" }}\nconfig = {{ urls = [\"{}\"] }}\n\
         grants = {{ http = {{ allow = [\"config:urls\"] }} }}\nchecks = {{ confirm = 1, recover = 1 }}\n",
        site.url()
    )
}

#[test]
fn metrics_are_what_prometheus_reads() {
    let site = Site::up();
    let host = Host::with(&["poller"]);
    host.drop_manifest("w.toml", &poller(&site));
    host.check_when(&site.url(), "up");
    let answer = host.get("/metrics");
    assert!(answer.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"), "{answer:?}");
    let samples = samples(&answer.body);
    let value = |series: &str| samples.iter().find(|(name, _)| name == series).unwrap_or_else(|| panic!("no {series}:\n{}", answer.body)).1;
    let url = site.url();
    assert_eq!(value("skep_worker_up{worker=\"pages\"}"), 1.0);
    assert_eq!(value("skep_worker_events_total{worker=\"pages\",result=\"ok\"}"), 1.0);
    assert_eq!(value("skep_worker_restarts_total{worker=\"pages\"}"), 0.0);
    assert_eq!(value(&format!("skep_check_up{{worker=\"pages\",subject=\"{url}\"}}")), 1.0);
    assert!(value(&format!("skep_check_latency_seconds{{worker=\"pages\",subject=\"{url}\"}}")) > 0.0);
    assert_eq!(value("skep_workers{state=\"running\"}"), 1.0);
    assert_eq!(value("skep_checks{status=\"up\"}"), 1.0);
    assert_eq!(value("skep_ready"), 1.0);
}

/// Reads the text format strictly: every series with its value.
fn samples(text: &str) -> Vec<(String, f64)> {
    let (mut typed, mut family, mut seen, mut all) = (HashSet::new(), String::new(), HashSet::new(), Vec::new());
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge"].contains(&kind), "{line}");
            assert!(typed.insert(name.to_owned()), "{name} has two types");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            name.clone_into(&mut family);
        } else if !line.starts_with("# HELP ") {
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            assert_eq!(name, family, "samples stand below their type: {line}");
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{line}");
            assert!(labels.ends_with('}') && labels.matches('"').count().is_multiple_of(2), "{line}");
            assert!(seen.insert(series.to_owned()), "{series} twice");
            all.push((series.to_owned(), value.parse().unwrap_or_else(|_| panic!("{line}"))));
        }
    }
    all
}
