//! Who may ask for what.

use std::{net::SocketAddr, os::unix::fs::PermissionsExt};

use axum::http::{HeaderMap, Method};
use skep::api::{
    Access, Via,
    access::{Caller, Refusal, login_link},
};

use super::{ADMIN, READ, access, headers};

fn decide(bound: &str, hosts: &[&str], method: Method, path: &str, pairs: &[(&str, &str)]) -> Result<Caller, Refusal> {
    access(bound, hosts).decide(Via::Tcp, &method, path, None, &headers(pairs))
}

/// `name=value` of the cookie that a token gets.
fn cookie(token: &str) -> String {
    let (_, cookie) = access("127.0.0.1:7700", &[]).sign_in(token, &HeaderMap::new()).unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

#[test]
fn tokens_decide_who_may_do_what() {
    let host = ("host", "127.0.0.1:7700");
    let bearer = |token: &str| format!("Bearer {token}");
    let (admin, read) = (bearer(ADMIN), bearer(READ));
    let short = &ADMIN[..ADMIN.len() - 1];
    for (method, path, authorization, expected) in [
        (Method::GET, "/api/v1/workers", Some(admin.as_str()), Ok(Caller::Admin)),
        (Method::POST, "/api/v1/apply", Some(&admin), Ok(Caller::Admin)),
        (Method::DELETE, "/api/v1/workers/pages", Some(&admin), Ok(Caller::Admin)),
        (Method::GET, "/api/v1/workers", Some(&read), Ok(Caller::Reader)),
        (Method::HEAD, "/api/v1/workers", Some(&read), Ok(Caller::Reader)),
        (Method::GET, "/metrics", Some(&read), Ok(Caller::Reader)),
        (Method::POST, "/api/v1/diff", Some(&read), Err(Refusal::ReadOnly)),
        (Method::POST, "/api/v1/workers/pages/restart", Some(&read), Err(Refusal::ReadOnly)),
        (Method::GET, "/api/v1/queues/todo/jobs", Some(&read), Ok(Caller::Reader)),
        (Method::GET, "/api/v1/kv/counter/key", Some(&read), Ok(Caller::Reader)),
        (Method::POST, "/api/v1/queues/todo/jobs", Some(&admin), Ok(Caller::Admin)),
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
        (Method::GET, "/healthz", None, Ok(Caller::Anyone)),
        (Method::GET, "/readyz", None, Ok(Caller::Anyone)),
        (Method::GET, "/", None, Ok(Caller::Anyone)),
        (Method::GET, "/page/app.js", None, Ok(Caller::Anyone)),
        (Method::GET, "/page", None, Err(Refusal::NoToken)),
        (Method::GET, "/login", None, Ok(Caller::Anyone)),
        (Method::POST, "/login", None, Ok(Caller::Anyone)),
        (Method::POST, "/logout", None, Ok(Caller::Anyone)),
        (Method::GET, "/status", None, Ok(Caller::Anyone)),
        (Method::GET, "/status.json", None, Ok(Caller::Anyone)),
        (Method::GET, "/badge/pages.svg", None, Ok(Caller::Anyone)),
        (Method::GET, "/api/v1/session", None, Err(Refusal::NoToken)),
        (Method::GET, "//api/v1/workers", None, Err(Refusal::NoToken)),
        (Method::GET, "/healthz/../api/v1/workers", None, Err(Refusal::NoToken)),
        (Method::GET, "/api/v1/workers", Some("Basic eDp5"), Err(Refusal::NoToken)),
        (Method::GET, "/api/v1/workers", Some("Bearer"), Err(Refusal::NoToken)),
        (Method::GET, "/api/v1/workers", Some("Bearer "), Err(Refusal::WrongToken)),
        (Method::GET, "/api/v1/workers", Some(&bearer(short)), Err(Refusal::WrongToken)),
        (Method::GET, "/api/v1/workers", Some(&format!("bearer {ADMIN}")), Ok(Caller::Admin)),
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
    assert_eq!(line("127.0.0.1:7700"), Ok(Caller::Anyone));
}

#[test]
fn pages_of_other_sites_are_refused() {
    let with = |host: &str, origin: &str| {
        decide("127.0.0.1:7700", &["skep.example.com"], Method::GET, "/healthz", &[("host", host), ("origin", origin)])
    };
    assert_eq!(with("127.0.0.1:7700", "http://127.0.0.1:7700"), Ok(Caller::Anyone));
    assert_eq!(with("skep.example.com", "https://skep.example.com"), Ok(Caller::Anyone));
    for origin in ["http://evil.example", "http://127.0.0.1:7701", "http://localhost:7700", "null", "file://", "127.0.0.1:7700"] {
        assert_eq!(with("127.0.0.1:7700", origin), Err(Refusal::ForeignOrigin), "{origin}");
    }
}

#[test]
fn the_pages_cookie_is_as_good_as_its_token_from_the_page_alone() {
    let (admin, read) = (cookie(ADMIN), cookie(READ));
    let (name, _) = admin.split_once('=').unwrap();
    assert!(read.starts_with(&format!("{name}=")), "one or the other: {admin} {read}");
    assert_ne!(admin, read);
    let own = ("origin", "http://127.0.0.1:7700");
    let (same, typed, site, cross) =
        (("sec-fetch-site", "same-origin"), ("sec-fetch-site", "none"), ("sec-fetch-site", "same-site"), ("sec-fetch-site", "cross-site"));
    let foreign = ("origin", "http://127.0.0.1:7701");
    let none: &[(&str, &str)] = &[];
    for (method, cookie, beside, expected) in [
        // Reading: no browser, an old one, a page of ours, typed in; other sites never, other ports of this machine neither.
        (Method::GET, &admin, none, Ok(Caller::Admin)),
        (Method::HEAD, &admin, none, Ok(Caller::Admin)),
        (Method::GET, &read, none, Ok(Caller::Reader)),
        (Method::GET, &read, &[same], Ok(Caller::Reader)),
        (Method::GET, &admin, &[typed], Ok(Caller::Admin)),
        (Method::GET, &admin, &[site], Err(Refusal::ForeignOrigin)),
        (Method::GET, &admin, &[cross], Err(Refusal::ForeignOrigin)),
        (Method::GET, &admin, &[foreign], Err(Refusal::ForeignOrigin)),
        // Changing: only what says that it comes from a page of ours.
        (Method::POST, &admin, none, Err(Refusal::NotFromPage)),
        (Method::POST, &admin, &[typed], Err(Refusal::NotFromPage)),
        (Method::POST, &admin, &[own], Ok(Caller::Admin)),
        (Method::PUT, &admin, &[same], Ok(Caller::Admin)),
        (Method::DELETE, &admin, &[own, same], Ok(Caller::Admin)),
        (Method::DELETE, &admin, &[own, site], Err(Refusal::ForeignOrigin)),
        (Method::POST, &admin, &[foreign], Err(Refusal::ForeignOrigin)),
        (Method::POST, &admin, &[foreign, same], Err(Refusal::ForeignOrigin)),
        (Method::POST, &read, &[own], Err(Refusal::ReadOnly)),
    ] {
        let pairs = [&[("host", "127.0.0.1:7700"), ("cookie", cookie.as_str())], beside].concat();
        assert_eq!(decide("127.0.0.1:7700", &[], method.clone(), "/api/v1/x", &pairs), expected, "{method} {cookie} {beside:?}");
    }
    let with =
        |pairs: &[(&str, &str)]| decide("127.0.0.1:7700", &[], Method::GET, "/api/v1/x", &[&[("host", "127.0.0.1:7700")], pairs].concat());
    // Among others, in whatever line; what a proxy asked for itself is none of ours.
    assert_eq!(with(&[("cookie", &format!("a=1; {admin};b"))]), Ok(Caller::Admin));
    assert_eq!(with(&[("cookie", "a=1"), ("cookie", &admin)]), Ok(Caller::Admin));
    assert_eq!(with(&[("cookie", &admin), ("authorization", "Basic eDp5")]), Ok(Caller::Admin));
    // A token that comes along decides.
    assert_eq!(with(&[("cookie", &admin), ("authorization", "Bearer wrong-wrong-wrong")]), Err(Refusal::WrongToken));
    assert_eq!(with(&[("cookie", &admin), ("authorization", &format!("Bearer {READ}"))]), Ok(Caller::Reader));
    // Neither a token nor another cookie's value makes one.
    for value in [ADMIN, READ, "", &admin[name.len() + 1..admin.len() - 1]] {
        assert_eq!(with(&[("cookie", &format!("{name}={value}"))]), Err(Refusal::NoToken), "{value}");
    }
    assert_eq!(with(&[("cookie", &admin.replace(name, "skep"))]), Err(Refusal::NoToken));
    assert_eq!(with(&[("authorization", &format!("Bearer {}", &admin[name.len() + 1..]))]), Err(Refusal::WrongToken));
}

#[test]
fn cookies_outlive_restarts_and_end_with_their_token() {
    assert_eq!(cookie(ADMIN), cookie(ADMIN));
    assert_eq!(cookie(&format!(" {ADMIN}\n")), cookie(ADMIN), "as it is copied from the file");
    assert!(!cookie(ADMIN).contains(ADMIN));
    let bound = "127.0.0.1:7700".parse().unwrap();
    let renewed = Access::new("another-admin-token-of-some-length", READ, bound, Vec::new());
    let pairs = headers(&[("host", "127.0.0.1:7700"), ("cookie", &cookie(ADMIN))]);
    assert_eq!(renewed.decide(Via::Tcp, &Method::GET, "/api/v1/x", None, &pairs), Err(Refusal::NoToken));
    assert_eq!(renewed.sign_in(ADMIN, &HeaderMap::new()), None);
}

#[test]
fn cookies_are_the_pages_alone_and_secure_behind_a_named_proxy() {
    let access = access("127.0.0.1:7700", &["skep.example.com"]);
    let attributes = |pairs: &[(&str, &str)]| {
        let (caller, cookie) = access.sign_in(READ, &headers(pairs)).unwrap();
        assert_eq!(caller, Caller::Reader);
        cookie.split_once("; ").unwrap().1.to_owned()
    };
    let plain = "Path=/; Max-Age=31536000; HttpOnly; SameSite=Strict";
    let (proxy, https) = (("host", "skep.example.com"), ("x-forwarded-proto", "https"));
    assert_eq!(attributes(&[("host", "127.0.0.1:7700")]), plain);
    assert_eq!(attributes(&[("host", "127.0.0.1:7700"), https]), plain, "anybody can say so; a proxy that is named may");
    assert_eq!(attributes(&[proxy]), plain);
    assert_eq!(attributes(&[proxy, ("x-forwarded-proto", "http")]), plain);
    assert_eq!(attributes(&[proxy, https]), format!("{plain}; Secure"));
    let out = access.sign_out(&headers(&[proxy, https]));
    assert!(out.contains("=; Path=/; Max-Age=0;") && out.ends_with("; Secure"), "{out}");
}

#[test]
fn the_login_link_leads_to_this_machine() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("admin.token"), "a token & more than 16\n").unwrap();
    for (bound, at) in [
        ("127.0.0.1:7700", "127.0.0.1:7700"),
        ("192.168.1.10:80", "192.168.1.10:80"),
        ("0.0.0.0:7700", "127.0.0.1:7700"),
        ("[::]:7700", "[::1]:7700"),
    ] {
        let link = login_link(data.path(), bound.parse().unwrap()).unwrap();
        assert_eq!(link, format!("http://{at}/login?token=a+token+%26+more+than+16"));
    }
}

#[test]
fn the_socket_needs_no_token() {
    let decided = access("127.0.0.1:7700", &[]).decide(Via::Socket, &Method::POST, "/api/v1/apply", None, &HeaderMap::new());
    assert_eq!(decided, Ok(Caller::Admin));
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
