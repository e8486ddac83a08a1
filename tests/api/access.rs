//! Who may ask for what.

use std::{net::SocketAddr, os::unix::fs::PermissionsExt};

use axum::http::{HeaderMap, Method};
use skep::api::{Access, Via, access::Refusal};

use super::{ADMIN, READ, access, headers};

fn decide(bound: &str, hosts: &[&str], method: Method, path: &str, pairs: &[(&str, &str)]) -> Result<(), Refusal> {
    access(bound, hosts).decide(Via::Tcp, &method, path, None, &headers(pairs))
}

#[test]
fn tokens_decide_who_may_do_what() {
    let host = ("host", "127.0.0.1:7700");
    let bearer = |token: &str| format!("Bearer {token}");
    let (admin, read) = (bearer(ADMIN), bearer(READ));
    let short = &ADMIN[..ADMIN.len() - 1];
    for (method, path, authorization, expected) in [
        (Method::GET, "/api/v1/workers", Some(admin.as_str()), Ok(())),
        (Method::POST, "/api/v1/apply", Some(&admin), Ok(())),
        (Method::DELETE, "/api/v1/workers/pages", Some(&admin), Ok(())),
        (Method::GET, "/api/v1/workers", Some(&read), Ok(())),
        (Method::HEAD, "/api/v1/workers", Some(&read), Ok(())),
        (Method::GET, "/metrics", Some(&read), Ok(())),
        (Method::POST, "/api/v1/diff", Some(&read), Err(Refusal::ReadOnly)),
        (Method::POST, "/api/v1/workers/pages/restart", Some(&read), Err(Refusal::ReadOnly)),
        (Method::GET, "/api/v1/queues/todo/jobs", Some(&read), Ok(())),
        (Method::GET, "/api/v1/kv/counter/key", Some(&read), Ok(())),
        (Method::POST, "/api/v1/queues/todo/jobs", Some(&admin), Ok(())),
        (Method::POST, "/api/v1/queues/todo/jobs", Some(&read), Err(Refusal::ReadOnly)),
        (Method::POST, "/api/v1/queues/todo/lease", Some(&read), Err(Refusal::ReadOnly)),
        (Method::POST, "/api/v1/queues/todo/purge", Some(&read), Err(Refusal::ReadOnly)),
        (Method::POST, "/api/v1/jobs/0198/ack", Some(&read), Err(Refusal::ReadOnly)),
        (Method::PUT, "/api/v1/kv/counter/key", Some(&read), Err(Refusal::ReadOnly)),
        (Method::DELETE, "/api/v1/kv/counter/key", Some(&read), Err(Refusal::ReadOnly)),
        (Method::PUT, "/api/v1/limiters/exchange", Some(&read), Err(Refusal::ReadOnly)),
        (Method::POST, "/api/v1/limiters/exchange/acquire", Some(&read), Err(Refusal::ReadOnly)),
        (Method::PUT, "/api/v1/limiters/exchange", None, Err(Refusal::NoToken)),
        (Method::GET, "/metrics", None, Err(Refusal::NoToken)),
        (Method::GET, "/api/v1/openapi.json", None, Err(Refusal::NoToken)),
        (Method::GET, "/nothing/here", None, Err(Refusal::NoToken)),
        (Method::GET, "/healthz", None, Ok(())),
        (Method::GET, "/readyz", None, Ok(())),
        (Method::GET, "/healthz/../api/v1/workers", None, Err(Refusal::NoToken)),
        (Method::GET, "/api/v1/workers", Some("Basic eDp5"), Err(Refusal::NoToken)),
        (Method::GET, "/api/v1/workers", Some("Bearer"), Err(Refusal::NoToken)),
        (Method::GET, "/api/v1/workers", Some("Bearer "), Err(Refusal::WrongToken)),
        (Method::GET, "/api/v1/workers", Some(&bearer(short)), Err(Refusal::WrongToken)),
        (Method::GET, "/api/v1/workers", Some(&format!("bearer {ADMIN}")), Ok(())),
    ] {
        let mut pairs = vec![host];
        pairs.extend(authorization.map(|value| ("authorization", value)));
        assert_eq!(decide("127.0.0.1:7700", &[], method.clone(), path, &pairs), expected, "{method} {path} {authorization:?}");
    }
    // Two tokens mean nothing.
    let twice = [host, ("authorization", admin.as_str()), ("authorization", read.as_str())];
    assert_eq!(decide("127.0.0.1:7700", &[], Method::GET, "/metrics", &twice), Err(Refusal::NoToken));
}

#[test]
fn the_host_header_must_mean_this_host() {
    let ok = |bound: &str, hosts: &[&str], host: &str| decide(bound, hosts, Method::GET, "/healthz", &[("host", host)]).is_ok();
    for host in ["127.0.0.1:7700", "localhost:7700", "LOCALHOST:7700", "localhost.:7700", "[::1]:7700", "127.9.9.9:7700"] {
        assert!(ok("127.0.0.1:7700", &[], host), "{host}");
    }
    for host in [
        "evil.example:7700",
        "127.0.0.1",
        "127.0.0.1:7701",
        "localhost",
        "localhost:7700@evil.example",
        "127.0.0.1.evil.example:7700",
        "",
        "192.168.1.10:7700",
        "localhost:",
        "skep.example.com",
        "2130706433:7700",
    ] {
        assert!(!ok("127.0.0.1:7700", &[], host), "{host}");
    }
    assert!(ok("192.168.1.10:7700", &[], "192.168.1.10:7700"));
    assert!(!ok("192.168.1.10:7700", &[], "192.168.1.11:7700"));
    // Bound to everything: any address of the machine, but no name (a name could be rebound to it).
    assert!(ok("0.0.0.0:7700", &[], "192.168.1.10:7700"));
    assert!(ok("[::]:7700", &[], "[fd00::1]:7700"));
    assert!(!ok("0.0.0.0:7700", &[], "nas.lan:7700"));
    assert!(ok("127.0.0.1:80", &[], "localhost"));
    // Proxies: any port unless one is named.
    assert!(ok("127.0.0.1:7700", &["skep.example.com"], "Skep.Example.com"));
    assert!(ok("127.0.0.1:7700", &["skep.example.com"], "skep.example.com:8443"));
    assert!(!ok("127.0.0.1:7700", &["skep.example.com:8443"], "skep.example.com"));
    assert!(!ok("127.0.0.1:7700", &["skep.example.com"], "a.skep.example.com"));
    // None, or two: a proxy and this host could read them differently.
    assert_eq!(decide("127.0.0.1:7700", &[], Method::GET, "/healthz", &[]), Err(Refusal::ForeignHost));
    let two = [("host", "127.0.0.1:7700"), ("host", "127.0.0.1:7700")];
    assert_eq!(decide("127.0.0.1:7700", &[], Method::GET, "/healthz", &two), Err(Refusal::ForeignHost));
    // The request line may name a host, too.
    let line = |authority| {
        access("127.0.0.1:7700", &[]).decide(Via::Tcp, &Method::GET, "/healthz", Some(authority), &headers(&[("host", "localhost:7700")]))
    };
    assert_eq!(line("evil.example"), Err(Refusal::ForeignHost));
    assert_eq!(line("127.0.0.1:7700"), Ok(()));
}

#[test]
fn pages_of_other_sites_are_refused() {
    let with = |host: &str, origin: &str| {
        decide("127.0.0.1:7700", &["skep.example.com"], Method::GET, "/healthz", &[("host", host), ("origin", origin)])
    };
    assert_eq!(with("127.0.0.1:7700", "http://127.0.0.1:7700"), Ok(()));
    assert_eq!(with("skep.example.com", "https://skep.example.com"), Ok(()));
    for origin in ["http://evil.example", "http://127.0.0.1:7701", "http://localhost:7700", "null", "file://", "127.0.0.1:7700"] {
        assert_eq!(with("127.0.0.1:7700", origin), Err(Refusal::ForeignOrigin), "{origin}");
    }
}

#[test]
fn the_socket_needs_no_token() {
    let decided = access("127.0.0.1:7700", &[]).decide(Via::Socket, &Method::POST, "/api/v1/apply", None, &HeaderMap::new());
    assert_eq!(decided, Ok(()));
}

#[test]
fn tokens_are_made_once_and_kept_from_others() {
    let data = tempfile::tempdir().unwrap();
    let bound: SocketAddr = "127.0.0.1:7700".parse().unwrap();
    Access::open(data.path(), bound, Vec::new()).unwrap();
    let read = |name: &str| std::fs::read_to_string(data.path().join(name)).unwrap();
    let (admin, reading) = (read("admin.token"), read("read.token"));
    for (name, token) in [("admin.token", &admin), ("read.token", &reading)] {
        assert_eq!(token.trim().len(), 64, "32 bytes as hex");
        assert!(token.trim().bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(std::fs::metadata(data.path().join(name)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_ne!(admin, reading);
    Access::open(data.path(), bound, Vec::new()).unwrap();
    assert_eq!(read("admin.token"), admin, "a second start keeps it");

    std::fs::write(data.path().join("admin.token"), "\n").unwrap();
    let refused = Access::open(data.path(), bound, Vec::new()).unwrap_err().to_string();
    assert!(refused.contains("admin.token: holds no token"), "{refused}");
}
