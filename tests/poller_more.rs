//! The poller's config through the real binary: how each key judges an answer, how mistakes are told, how many URLs it bears.

use std::time::Duration;

use serde_json::Value;

use crate::support::{Host, eventually, pages::Pages, site::Site};

fn poller(name: &str, every: &str, config: &str) -> String {
    format!(
        "[[worker]]\nname = \"{name}\"\ncomponent = \"poller.wasm\"\nschedule = {{ every = \"{every}\" }}\nconfig = {{ {config} }}\n\
         grants = {{ http = {{ allow = [\"127.0.0.1\"] }} }}\nchecks = {{ confirm = 1 }}\n\n"
    )
}

fn check(host: &Host, worker: &str) -> Value {
    eventually(&format!("a check of {worker}"), || host.checks().into_iter().find(|check| check["worker"] == worker))
}

#[test]
fn every_key_of_a_url_judges_as_it_says() {
    let site = Pages::plain();
    let mut gone = Site::up();
    gone.down();
    let host = Host::with(&["poller"]);
    let landed = format!("status 200, after 2 redirects at {}", site.url("/hops/0"));
    let all = [
        ("usual", site.url("/"), "", "up", "status 200"),
        ("usual-404", site.url("/status/404"), "", "down", "status 404, expected 200-399"),
        ("expect", site.url("/status/404"), "expect = \"200-299,404\"", "up", "status 404"),
        ("expect-number", site.url("/status/418"), "expect = 418", "up", "status 418"),
        ("expect-not", site.url("/"), "expect = 418", "down", "status 200, expected 418"),
        ("contains", site.url("/"), "contains = \"is well\"", "up", "status 200"),
        ("contains-not", site.url("/"), "contains = \"is ill\"", "down", "but \"is ill\" is not in the answer's first MiB"),
        ("redirects-0", site.url("/hops/2"), "", "up", "status 302"),
        ("redirects-2", site.url("/hops/2"), "redirects = 2", "up", &landed),
        ("redirects-too-many", site.url("/hops/3"), "redirects = 2", "down", "redirected more than 2 times"),
        ("timeout", site.url("/slow/20000"), "timeout = \"200ms\"", "down", "no answer in time"),
        ("method", site.url("/posted"), "method = \"post\"", "up", "status 200"),
        ("degraded", site.url("/slow/150"), "degraded_after = \"50ms\"", "degraded", "slower than 50 ms"),
        ("quick-enough", site.url("/"), "degraded_after = \"20s\"", "up", "status 200"),
        ("named", site.url("/"), "name = \"Front door\"", "up", "Front door: status 200"),
        ("drips", site.url("/drip"), "", "up", "status 200"),
        ("drips-for-ever", site.url("/drip"), "contains = \"end\", timeout = \"300ms\"", "down", "no whole answer in time"),
        ("gone", gone.url(), "", "down", "connection refused"),
        ("headers", site.url("/with"), "headers = { authorization = \"open sesame\" }", "up", "status 200"),
    ];
    let text = all.each_ref().map(|(name, url, keys, ..)| {
        let comma = if keys.is_empty() { "" } else { ", " };
        poller(name, "1h", &format!("urls = [{{ url = \"{url}\"{comma}{keys} }}]"))
    });
    host.drop_manifest("all.toml", &text.concat());
    for (name, url, _, status, says) in &all {
        let check = check(&host, name);
        let detail = check["detail"].as_str().unwrap();
        assert_eq!(check["recent"][0]["status"], *status, "{name}: {check:#}");
        assert!(detail.contains(says), "{name}: {detail}");
        assert_eq!(check["subject"], *url, "{name}");
    }
    assert_eq!(site.asked_for("/posted")[0].method, "POST");
    assert_eq!(site.asked_for("/with")[0].authorization.as_deref(), Some("open sesame"));

    // The reference system's log lines.
    for (name, line) in [
        ("usual", format!("[usual] {} - Status: 200", site.url("/"))),
        ("usual-404", format!("[usual-404] {} - Status: 404", site.url("/status/404"))),
        ("gone", format!("[gone] {} - Error: connection refused", gone.url())),
        ("timeout", format!("[timeout] {} - Error: no answer in time", site.url("/slow/20000"))),
    ] {
        assert!(host.said(name).contains(&line), "{line}\n{:#?}", host.said(name));
    }
    // A finding is no failure of the worker.
    let gone = host.worker("gone").unwrap();
    assert_eq!((&gone["events"]["ok"], &gone["events"]["failed"]), (&Value::from(1), &Value::from(0)));
}

#[test]
fn a_mistake_in_the_config_fails_the_worker_with_the_field_and_is_mended_by_an_edit() {
    let site = Site::up();
    let host = Host::with(&["poller"]);
    let url = site.url();
    let all = [
        ("no-urls", String::new(), "config.urls: is missing"),
        ("empty", "urls = []".to_owned(), "config.urls: is empty"),
        ("no-scheme", "urls = [\"example.com\"]".to_owned(), "config.urls[0].url: \"example.com\" has no scheme"),
        ("typo", format!("urls = [{{ url = \"{url}\", expects = 200 }}]"), "config.urls[0].expects: unknown key; known are expect"),
        ("twice", format!("urls = [\"{url}\", \"{url}\"]"), "config.urls[1]: "),
        ("timeout", format!("urls = [\"{url}\"], timeout = 5"), "config.timeout: must be a text in quotes"),
        ("expect", format!("urls = [\"{url}\"], expect = \"ok\""), "config.expect: \"ok\" is not a status"),
        ("redirects", format!("urls = [\"{url}\"], redirects = 99"), "config.redirects: must be a number from 0 to 20"),
        ("method", format!("urls = [\"{url}\"], method = \"CONNECT\""), "config.method: \"CONNECT\" is not a method"),
        ("headers", format!("urls = [\"{url}\"], headers = {{ host = \"x\" }}"), "config.headers: \"host\" is the host's to set"),
    ];
    host.drop_manifest("all.toml", &all.each_ref().map(|(name, config, _)| poller(name, "200ms", config)).concat());
    for (name, _, says) in &all {
        let worker = host.worker_when(name, "failed", |worker| worker["state"] == "failed");
        assert!(worker["last_error"].as_str().unwrap().contains(says), "{name}: {worker:#}");
        let why = host.ok(&["why", name]);
        assert!(why.contains("can't start") && why.contains(says) && why.contains("manifest"), "{why}");
    }
    assert_eq!(site.requests(), 0);
    host.drop_manifest("all.toml", &poller("no-urls", "200ms", &format!("urls = [\"{url}\"]")));
    host.check_when(&url, "up");
    assert_eq!(host.worker("no-urls").unwrap()["state"], "running");
}

#[test]
fn more_urls_than_may_be_in_flight_are_all_polled() {
    let site = Site::up();
    site.delay(Duration::from_millis(50));
    let host = Host::with(&["poller"]);
    let urls: Vec<String> = (0..150).map(|page| format!("\"{}{page}\"", site.url())).collect();
    host.drop_manifest("many.toml", &poller("many", "1h", &format!("urls = [{}]", urls.join(", "))));
    let checks = eventually("all of them", || Some(host.checks()).filter(|checks| checks.len() == 150));
    assert!(checks.iter().all(|check| check["status"] == "up"), "{checks:#?}");
    assert_eq!(site.requests(), 150);
    eventually("a line each", || (host.said("many").len() == 150).then_some(()));
    let lines = host.said("many");
    let expected: Vec<String> = (0..150).map(|page| format!("[many] {}{page} - Status: 200", site.url())).collect();
    assert_eq!(lines, expected, "in the config's order");
}

#[test]
fn a_body_that_never_ends_holds_up_no_tick() {
    let site = Pages::plain();
    let host = Host::with(&["poller"]);
    let config = format!("timeout = \"300ms\", urls = [\"{}\", \"{}\"]", site.url("/drip"), site.url("/"));
    host.drop_manifest("drip.toml", &poller("drip", "200ms", &config));
    eventually("tick after tick", || (site.asked_for("/drip").len() >= 4).then_some(()));
    host.check_when(&site.url("/drip"), "up");
    host.check_when(&site.url("/"), "up");
}
