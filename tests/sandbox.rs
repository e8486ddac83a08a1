//! What a worker can't reach, and what a grant opens: through the real binary, against sites that remember every request.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::{Host, authority::Authority, eventually, pages::Pages};

const SECRET: &str = "hunter2-is-no-good-secret";

/// A worker that polls once, under a grant.
fn poller(name: &str, urls: &str, grant: &str) -> String {
    format!(
        "[[worker]]\nname = \"{name}\"\ncomponent = \"poller.wasm\"\nschedule = {{ every = \"1h\" }}\nconfig = {{ urls = [{urls}] }}\n\
         grants = {{ http = {{ {grant} }} }}\nchecks = {{ confirm = 1 }}\n\n"
    )
}

/// The one check of a worker, once it has a result.
fn check(host: &Host, worker: &str) -> Value {
    eventually(&format!("a check of {worker}"), || host.checks().into_iter().find(|check| check["worker"] == worker))
}

/// Each worker's check has the status and says the words; an empty word says nothing.
fn judged(host: &Host, expected: &[(&str, &str, &str)]) {
    for (worker, status, says) in expected {
        let check = check(host, worker);
        let result = &check["recent"][0]["status"];
        assert_eq!(result, status, "{worker}: {check:#}\n{}", host.ok(&["logs", worker]));
        let detail = check["detail"].as_str().unwrap();
        assert!(detail.contains(says), "{worker}: {detail}");
    }
}

fn snoop(grants: &str) -> String {
    format!("[[worker]]\nname = \"snoop\"\ncomponent = \"snoop.wasm\"\n{grants}\n")
}

fn attempts(host: &Host, more: &Value) -> Vec<(String, bool, String)> {
    let all = host.call("snoop", "try", &more.to_string());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    all.as_array().unwrap().iter().map(|one| (text(&one["what"]), one["got_in"].as_bool().unwrap(), text(&one["said"]))).collect()
}

#[test]
fn a_worker_without_grants_gets_in_nowhere() {
    let site = Pages::plain();
    let host = Host::with(&["snoop"]);
    host.running("snoop", &snoop(""));
    let more = json!({
        "urls": [site.url("/"), site.named("localhost", "/"), format!("{}/api/v1/workers", host.admin)],
        "tcp": [site.address.to_string(), host.admin.trim_start_matches("http://")],
        "files": [host.data().join("admin.token"), host.data().join("skep.sock"), "manifests/snoop.toml"],
    });
    let all = attempts(&host, &more);
    assert!(all.len() > 30, "{all:#?}");
    for (what, got_in, said) in &all {
        assert!(!got_in, "{what}: {said}");
    }
    assert!(site.asked().is_empty());
    // What was refused over HTTP is in the worker's log, with the line that would allow it.
    let said = host.said("snoop").join("\n");
    for origin in [site.url(""), "http://169.254.169.254".to_owned(), host.admin.clone()] {
        let line = format!("worker \"snoop\" may not reach {origin}: add \"{origin}\" to grants.http.allow");
        assert!(said.contains(&line), "{line}\n{said}");
    }
    assert_eq!(host.worker("snoop").unwrap()["state"], "running", "asking is no crash");
}

#[test]
fn an_error_shows_a_guest_nothing_of_the_host_whatever_its_environment_asks_for() {
    let site = Pages::plain();
    let host = Host::folders(&["flood"]).env("RUST_BACKTRACE", "full").env("RUST_LIB_BACKTRACE", "full").started();
    host.running("flood", "[[worker]]\nname = \"flood\"\ncomponent = \"flood.wasm\"\ngrants = { http = { allow = [\"127.0.0.1\"] } }\n");
    // The guest asks for the error's debug text, of a body too large on its way in and on its way out.
    let told = host.call("flood", "body-in", &json!({ "url": site.url("/big/16777217") }).to_string());
    assert_eq!(told["error"], "HTTP response body size exceeds limit: 16777216 bytes");
    let told = host.call("flood", "body-out", &json!({ "url": site.url("/count"), "n": 17 << 20 }).to_string()).to_string();
    assert!(!told.contains("backtrace") && !told.contains(".rs:"), "{told}");
}

#[test]
fn a_grant_opens_what_it_names_and_nothing_beside() {
    let (granted, other) = (Pages::plain(), Pages::plain());
    let host = Host::with(&["snoop"]);
    // As wide as a grant of networks gets: metadata services must be written out, and names still need lan.
    let grant = format!("allow = [\"{}\", \"0.0.0.0/0\", \"::/0\", \"*.internal\", \"localhost\"]", granted.url(""));
    host.running("snoop", &snoop(&format!("grants = {{ http = {{ {grant} }} }}")));
    let urls = [granted.url("/"), granted.url(&format!("/to?{}", other.url("/secret"))), granted.url("/to?http://169.254.169.254/latest")];
    let open: Vec<String> =
        attempts(&host, &json!({ "urls": urls })).into_iter().filter(|(_, got_in, _)| *got_in).map(|(what, ..)| what).collect();
    let expected: Vec<String> = urls.iter().map(|url| format!("GET {url}")).collect();
    assert_eq!(open, expected);
    assert!(other.asked().is_empty(), "the redirect's target was never asked");
    let said = host.said("snoop").join("\n");
    assert!(said.contains(&format!("may not reach {}", other.url(""))), "{said}");
    assert!(said.contains("a cloud's metadata service: add \"http://169.254.169.254\" to grants.http.allow"), "{said}");
    assert!(said.contains("grants.http.lan = true"), "{said}");
}

#[test]
fn a_poller_that_follows_redirects_stops_at_the_first_one_not_granted() {
    let (granted, other) = (Pages::plain(), Pages::plain());
    let host = Host::with(&["poller"]);
    let url = granted.url(&format!("/to?{}", other.url("/there")));
    let follow = |url: &str| format!("{{ url = \"{url}\", redirects = 3 }}");
    host.drop_manifest(
        "all.toml",
        &(poller("stops", &follow(&url), "allow = [\"config:urls\"]")
            + &poller("goes", &follow(&url), &format!("allow = [\"config:urls\", \"{}\"]", other.url("")))),
    );
    judged(&host, &[("goes", "up", &format!("after 1 redirect at {}", other.url("/there")))]);
    judged(&host, &[("stops", "unknown", &format!("denied by grants.http, after 1 redirect at {}", other.url("/there")))]);
    let said = host.said("stops").join("\n");
    assert!(said.contains(&format!("may not reach {0}: add \"{0}\" to grants.http.allow", other.url(""))), "{said}");
    assert_eq!(other.asked_for("/there").len(), 1, "by the one that may");
}

#[test]
fn hosts_networks_methods_and_paths_are_granted_as_written() {
    let site = Pages::plain();
    let host = Host::with(&["poller"]);
    let quoted = |url: String| format!("\"{url}\"");
    let (literal, named) = (quoted(site.url("/ok")), quoted(site.named("localhost", "/ok")));
    let head = format!("{{ url = {literal}, method = \"HEAD\" }}");
    let all = [
        ("literal", &literal, "allow = [\"config:urls\"]", "up", "status 200"),
        ("name", &named, "allow = [\"config:urls\"]", "unknown", "a loopback address: set grants.http.lan = true"),
        ("name-lan", &named, "allow = [\"config:urls\"], lan = true", "up", ""),
        ("local-network", &literal, "allow = [\"127.0.0.0/8\"]", "up", ""),
        ("wide-network", &literal, "allow = [\"0.0.0.0/0\"]", "unknown", "a loopback address"),
        ("wide-network-lan", &literal, "allow = [\"0.0.0.0/0\"], lan = true", "up", ""),
        ("other-network", &literal, "allow = [\"10.0.0.0/8\"], lan = true", "unknown", "to grants.http.allow"),
        ("other-port", &literal, "allow = [\"http://127.0.0.1:1\"]", "unknown", "to grants.http.allow"),
        ("other-method", &literal, "allow = [\"127.0.0.1\"], methods = [\"HEAD\"]", "unknown", "add \"GET\" to grants.http.methods"),
        ("method", &head, "allow = [\"127.0.0.1\"], methods = [\"HEAD\"]", "up", ""),
        ("path", &literal, "allow = [\"127.0.0.1\"], paths = [\"/ok\"]", "up", ""),
        ("other-path", &literal, "allow = [\"127.0.0.1\"], paths = [\"/o\"]", "unknown", "add \"/ok\" to grants.http.paths"),
    ];
    host.drop_manifest("all.toml", &all.map(|(name, urls, grant, ..)| poller(name, urls, grant)).concat());
    judged(&host, &all.map(|(name, _, _, status, says)| (name, status, says)));
    assert_eq!(site.asked().len(), all.iter().filter(|(.., status, _)| *status == "up").count(), "no refused request arrived");
    assert_eq!(site.asked().iter().filter(|asked| asked.method == "HEAD").count(), 1);
    let host_header = format!("localhost:{}", site.address.port());
    assert_eq!(site.asked().iter().filter(|asked| asked.host == host_header).count(), 1, "the name as it was asked for");
    // A refusal is nobody's crash, and `why` tells it.
    let why = host.ok(&["why", "name"]);
    assert!(why.contains("grants.http.lan = true"), "{why}");
}

#[test]
fn tls_is_checked_against_the_system_an_own_authority_or_not_at_all() {
    let authority = Authority::new();
    let site = Pages::tls(authority.server(&["localhost", "127.0.0.1"]));
    let stale = Pages::tls(authority.until(&["127.0.0.1"], 2020, &[b"http/1.1"]));
    let stranger = Pages::tls(authority.server(&["elsewhere.test"]));
    let host = Host::with(&["poller"]);
    authority.write(host.data(), "ca.pem");
    let quoted = |url: String| format!("\"{url}\"");
    let (url, old, strange) = (quoted(site.url("/")), quoted(stale.url("/")), quoted(stranger.url("/")));
    let own = "allow = [\"config:urls\"], ca = \"ca.pem\"";
    let all = [
        ("system", &url, "allow = [\"config:urls\"]", "down", "grants.http.ca"),
        ("own", &url, own, "up", ""),
        ("unverified", &url, "allow = [\"config:urls\"], verify = false", "up", ""),
        ("stale", &old, own, "down", "expired"),
        ("strange", &strange, own, "down", "not valid for name"),
    ];
    host.drop_manifest("all.toml", &all.map(|(name, urls, grant, ..)| poller(name, urls, grant)).concat());
    judged(&host, &all.map(|(name, _, _, status, says)| (name, status, says)));
    let evidence = check(&host, "own")["evidence"].clone();
    assert_eq!(evidence["certificate_expires"], "2096-02-03T00:00:00Z", "{evidence:#}");
    assert!(evidence["phases"]["tls_ms"].as_f64() > Some(0.0), "{evidence:#}");
    let wide = host.ok(&["checks", "-o", "wide"]);
    assert!(wide.contains("CERTIFICATE ENDS"), "{wide}");
    assert!(stale.asked().is_empty() && stranger.asked().is_empty(), "nothing was said to sites that are not who they claim");

    // An authority that can't be read grants nothing, and says which file.
    host.drop_manifest("no-ca.toml", &poller("no-ca", &url, "allow = [\"config:urls\"], ca = \"none.pem\""));
    let check = check(&host, "no-ca");
    assert_eq!(check["recent"][0]["status"], "unknown", "{check:#}");
    let told = host.ok(&["events", "no-ca"]) + &host.ok(&["why", "no-ca"]);
    assert!(told.contains("none.pem"), "{told}");
}

fn keep_secret(host: &Host, name: &str, text: &str) {
    let folder = host.data().join("secrets");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join(name);
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_secret_goes_out_to_its_own_origins_and_shows_nowhere() {
    let authority = Authority::new();
    let (site, other, plain) = (Pages::tls(authority.server(&["127.0.0.1"])), Pages::tls(authority.server(&["127.0.0.1"])), Pages::plain());
    let host = Host::with(&["poller", "crash"]);
    authority.write(host.data(), "ca.pem");
    keep_secret(&host, "door", &format!("origins = [\"{}\", \"{}\"]\nvalue = \"Bearer {SECRET}\"\n", site.url(""), plain.url("")));
    let asks = |url: String| format!("{{ url = \"{url}\", headers = {{ authorization = \"secret:door\" }} }}");
    let (door, elsewhere, open) = (asks(site.url("/echo")), asks(other.url("/")), asks(plain.url("/")));
    let grant = "allow = [\"config:urls\"], ca = \"ca.pem\"";
    let all = [
        ("door", &door, grant, "down", "status 503"),
        ("elsewhere", &elsewhere, grant, "unknown", "to origins in secrets/door"),
        ("plain", &open, grant, "unknown", "over plain HTTP: use https, or set grants.http.lan = true"),
        ("plain-lan", &open, "allow = [\"config:urls\"], lan = true", "up", ""),
    ];
    host.drop_manifest("all.toml", &all.map(|(name, urls, grant, ..)| poller(name, urls, grant)).concat());
    judged(&host, &all.map(|(name, _, _, status, says)| (name, status, says)));
    let sent = format!("Bearer {SECRET}");
    assert_eq!(site.asked_for("/echo")[0].authorization.as_deref(), Some(&*sent));
    assert_eq!(plain.asked().iter().map(|asked| asked.authorization.as_deref()).collect::<Vec<_>>(), [Some(&*sent)]);
    assert!(other.asked().is_empty());

    // The site says it back; what is kept of its answer has the name instead.
    let excerpt = check(&host, "door")["evidence"]["excerpt"].clone();
    assert_eq!(excerpt, "you sent secret:door");

    // A worker that got hold of it all the same, as input, tells nobody: not in lines, not in its crash.
    host.running(
        "crash",
        &format!("[[worker]]\nname = \"crash\"\ncomponent = \"crash.wasm\"\nconfig = {{ message = \"I saw {sent}\" }}\n"),
    );
    host.fails(1, &["call", "crash", "panic", &sent]);
    let record = host.trap("crash");
    assert_eq!(record["input"], "secret:door", "{record:#}");
    assert!(record["panic"].as_str().unwrap().contains("I saw secret:door"), "{record:#}");
    host.fails(1, &["call", "crash", "err", &sent]);

    let shown = [
        host.log(),
        host.ok(&["checks", "-o", "json"]),
        host.ok(&["events", "-o", "json"]),
        host.ok(&["logs", "door"]),
        host.ok(&["logs", "crash"]),
        host.ok(&["traps", "-o", "json"]),
        host.ok(&["trap", record["id"].as_str().unwrap()]),
        host.ok(&["why", "crash"]),
        host.worker("crash").unwrap()["last_error"].to_string(),
        host.api("/api/v1/checks").1,
        host.api("/metrics").1,
    ];
    for text in shown {
        assert!(!text.contains(SECRET), "{text}");
    }
}
