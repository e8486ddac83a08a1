//! The whole host with real guests, unmodified HTTP components.

use crate::support::{
    Host, eventually,
    web::{Answer, ask},
};

const WEB: &str = r#"
    [[worker]]
    name = "web"
    component = "unruly.wasm"
    limits = { timeout = "1s" }
    http = { routes = ["/web"], body = "1KiB" }

    [[worker]]
    name = "resident"
    component = "unruly.wasm"
    instance = "resident"
    limits = { timeout = "1s" }
    http = { routes = ["/resident"], body = "64KiB" }

    [[worker]]
    name = "hello"
    component = "hello.wasm"
    http = { routes = ["/hello"], methods = ["GET", "POST"] }

    [[worker]]
    name = "asker"
    component = "unruly.wasm"
    http = { routes = ["/asker"] }
    grants = { http = { allow = ["worker:hello", "worker:asker", "worker:gone"] } }

    # There, but takes no requests.
    [[worker]]
    name = "gone"
    component = "echo.wasm"
"#;

fn started() -> Host {
    let host = Host::with(&["unruly", "hello", "echo"]);
    host.drop_manifest("web.toml", WEB);
    host.worker_when("gone", "there", |worker| worker["state"] == "running");
    host
}

fn get(host: &Host, path: &str) -> Answer {
    ask(&host.listen, "GET", path, &[])
}

#[test]
fn routes_come_and_go_with_manifests() {
    let host = Host::with(&["hello"]);
    assert_eq!(get(&host, "/hello").json()["error"], "no worker has a route here");
    host.drop_manifest("hello.toml", include_str!("../../manifests/hello.toml"));
    eventually("the route is served", || (get(&host, "/hello").status != 404).then_some(()));
    assert_eq!(ask(&host.listen, "DELETE", "/hello", &[]).header("allow"), Some("GET, POST"));
    let refused = host.fails(4, &["check", &conflict(&host)]);
    assert!(refused.contains("the route \"/hello/\" is already taken by worker \"one\""), "{refused}");
    std::fs::remove_file(host.manifest("hello.toml")).unwrap();
    eventually("the route is gone", || (get(&host, "/hello").status == 404).then_some(()));
}

/// A manifest with one route twice.
fn conflict(host: &Host) -> String {
    let worker = |name: &str, route: &str| {
        format!("[[worker]]\nname = \"{name}\"\ncomponent = \"hello.wasm\"\nhttp = {{ routes = [\"{route}\"] }}\n")
    };
    let path = host.data().join("conflict.toml");
    std::fs::write(&path, worker("one", "/hello") + &worker("two", "/hello/")).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_access_log_is_one_line_a_request_without_its_query() {
    let host = Host::folders(&[]).env("RUST_LOG", "skep::access=debug").started();
    get(&host, "/nowhere?token=secret");
    let line = eventually("a line", || host.log().lines().find(|line| line.contains("/nowhere")).map(str::to_owned));
    for part in ["skep::access", "method=\"GET\"", "path=\"/nowhere\"", "status=404", "worker=\"-\"", "bytes=", "ms="] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!host.log().contains("secret"), "{}", host.log());
}

#[test]
fn an_unmodified_component_answers_and_echoes() {
    let host = started();
    let answer = get(&host, "/hello/you");
    assert_eq!((answer.status, answer.body.as_str(), answer.header("content-type")), (200, "hello", Some("text/plain")));
    let sent = "what? ".repeat(20_000);
    let answer = crate::support::web::post(&host.listen, "/hello", "none", &sent);
    assert!(answer.status == 200 && answer.body.contains("what? what?"), "{}", answer.status);
    let headers = get(&host, "/web/headers").body;
    assert!(headers.starts_with("authority: 127.0.0.1:"), "{headers}");
}

#[test]
fn every_bad_end_has_its_status_and_harms_nobody_else() {
    let host = started();
    for (path, status) in [("trap", 502), ("silent", 502), ("error", 502), ("spin", 504), ("slow?ms=60000", 504), ("short", 502)] {
        assert_eq!(get(&host, &format!("/web/{path}")).status, status, "{path}");
    }
    // Any visitor could: a per-event worker runs on.
    for _ in 0..10 {
        assert_eq!(get(&host, "/web/trap").status, 502);
    }
    assert_eq!(get(&host, "/web/ok").status, 200);
    assert_eq!(get(&host, "/web/count").body, "1", "a fresh instance a request");
    for path in ["cut?ms=50", "late?ms=50", "stuck"] {
        let answer = get(&host, &format!("/web/{path}"));
        assert!(answer.status == 200 && !answer.body.ends_with("0\r\n\r\n"), "{path}: {answer:?}");
    }
    let sent = "x".repeat(2_000);
    assert_eq!(crate::support::web::post(&host.listen, "/web/read", "none", &sent).status, 413);
    assert_eq!(get(&host, "/resident/count").body, "1");
    assert_eq!(get(&host, "/resident/count").body, "2", "state lives between events");
    assert_eq!(get(&host, "/resident/late").status, 502, "whatever it answered");
    assert_eq!(get(&host, "/resident/big?n=100000").status, 502, "larger than its body bound");
    assert_eq!(get(&host, "/resident/count").body, "2", "a fresh incarnation after the trap; an answer too large ends none");
}

#[test]
fn workers_reach_each_other_by_name() {
    let host = started();
    let asked = |url: &str| get(&host, &format!("/asker/forward?url={url}")).body;
    assert_eq!(asked("http://hello.skep.internal/any/path"), "200 hello");
    assert!(asked("http://asker.skep.internal/x").contains("LoopDetected"));
    assert!(asked("http://gone.skep.internal/").contains("DestinationNotFound"));
    assert!(asked("http://web.skep.internal/").contains("HttpRequestDenied"));
    assert!(asked("https://hello.skep.internal/").contains("HttpRequestDenied"));
    let log = host.ok(&["logs", "asker"]);
    assert!(log.contains("add \"worker:web\" to grants.http.allow"), "{log}");
}
