//! Which requests and addresses are granted, and how refusals read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::{Method, Request, Uri};
use proptest::prelude::*;
use skep::{
    capability::grant::{Gate, Kind, address_allowed},
    manifest::spec::HttpGrant,
};
use wasmtime_wasi_http::{Error, RequestOptions};

use super::{Names, Server, Worker, client, get, grant, post};

/// What the grant says to a request: `yes`, or the refusal.
fn asked(grant: &HttpGrant, method: &str, url: &str) -> String {
    let decided = Gate::new("pages", Some(grant)).decide(&method.parse::<Method>().unwrap(), &url.parse::<Uri>().unwrap());
    decided.map_or_else(|refusal| refusal.to_string(), |_| "yes".to_owned())
}

fn got(allow: &[&str], url: &str) -> String {
    asked(&grant(allow), "GET", url)
}

fn add(url: &str) -> String {
    format!("worker \"pages\" may not reach {url}: add \"{url}\" to grants.http.allow")
}

#[test]
fn nothing_is_granted_by_default() {
    let decided = Gate::new("pages", None).decide(&Method::GET, &"https://example.org/x".parse().unwrap());
    assert_eq!(decided.unwrap_err().to_string(), add("https://example.org"));
}

#[test]
fn an_origin_grants_scheme_host_and_port_together() {
    let allow = ["https://example.org"];
    assert_eq!(got(&allow, "https://example.org/any/path?x"), "yes");
    assert_eq!(got(&allow, "https://EXAMPLE.org.:443"), "yes");
    assert_eq!(got(&allow, "http://example.org"), add("http://example.org"));
    assert_eq!(got(&allow, "https://example.org:8443/"), add("https://example.org:8443"));
    assert_eq!(got(&allow, "https://sub.example.org"), add("https://sub.example.org"));
    assert_eq!(got(&allow, "https://example.org.evil.test"), add("https://example.org.evil.test"));
}

#[test]
fn a_host_grants_every_scheme_and_port_on_it() {
    assert_eq!(got(&["example.org"], "http://example.org:8080/"), "yes");
    assert_eq!(got(&["example.org"], "https://www.example.org/"), add("https://www.example.org"));
    assert_eq!(got(&["*.example.org"], "https://www.example.org/"), "yes");
    assert_eq!(got(&["*.example.org"], "https://a.b.example.org/"), "yes");
    assert_eq!(got(&["*.example.org"], "https://example.org/"), add("https://example.org"));
    assert_eq!(got(&["*.example.org"], "https://badexample.org/"), add("https://badexample.org"));
    assert_eq!(got(&["https://*.example.org"], "http://www.example.org/"), add("http://www.example.org"));
}

#[test]
fn an_address_counts_as_named_only_where_it_is_written() {
    assert_eq!(got(&["http://192.168.1.10"], "http://192.168.1.10/"), "yes");
    assert_eq!(got(&["192.168.1.10"], "http://[::ffff:192.168.1.10]:8080/"), "yes");
    assert_eq!(got(&["::1"], "http://[::1]/"), "yes");
    assert_eq!(got(&["169.254.169.254"], "http://169.254.169.254/latest"), "yes");
    // A local network was meant to be local; a wide one was not.
    assert_eq!(got(&["192.168.0.0/16"], "http://192.168.1.10/"), "yes");
    assert_eq!(got(&["192.168.1.10/32"], "http://192.168.1.10/"), "yes");
    assert_eq!(got(&["8.8.8.0/24"], "http://8.8.8.8/"), "yes");
    assert_eq!(
        got(&["0.0.0.0/0"], "http://192.168.1.10/"),
        "worker \"pages\" may not reach http://192.168.1.10: that is a private address: add \"http://192.168.1.10\" to grants.http.allow"
    );
    assert_eq!(asked(&HttpGrant { lan: true, ..grant(&["0.0.0.0/0"]) }, "GET", "http://192.168.1.10/"), "yes");
    let metadata = "worker \"pages\" may not reach http://169.254.169.254: that is a cloud's metadata service: \
                    add \"http://169.254.169.254\" to grants.http.allow";
    assert_eq!(got(&["169.254.0.0/16"], "http://169.254.169.254/"), metadata);
    assert_eq!(asked(&HttpGrant { lan: true, ..grant(&["0.0.0.0/0"]) }, "GET", "http://169.254.169.254/"), metadata);
    assert_eq!(got(&["64:ff9b::/96"], "http://[64:ff9b::7f00:1]/").split(": ").nth(1).unwrap(), "that is a loopback address");
}

#[test]
fn methods_are_held_to_the_grant_and_connect_is_never_in_it() {
    let grant = HttpGrant { methods: vec!["GET".into(), "HEAD".into()], ..grant(&["example.org"]) };
    assert_eq!(asked(&grant, "HEAD", "http://example.org/"), "yes");
    assert_eq!(
        asked(&grant, "DELETE", "http://example.org/"),
        "worker \"pages\" may not use DELETE on http://example.org: add \"DELETE\" to grants.http.methods"
    );
    let all = HttpGrant { methods: vec!["CONNECT".into()], ..grant };
    assert_eq!(
        asked(&all, "CONNECT", "http://example.org/"),
        "worker \"pages\" may not open a tunnel to http://example.org: CONNECT is never granted"
    );
}

#[test]
fn paths_are_held_to_the_grant_by_segment() {
    let grant = HttpGrant { paths: vec!["/api/v1".into(), "/health/".into()], ..grant(&["example.org"]) };
    let path = |path: &str| asked(&grant, "GET", &format!("http://example.org{path}"));
    for granted in ["/api/v1", "/api/v1/", "/api/v1/x?y=/../z", "/health", "/health/live", "/api/v1/..."] {
        assert_eq!(path(granted), "yes", "{granted}");
    }
    assert_eq!(path("/api/v10"), "worker \"pages\" may not reach http://example.org/api/v10: add \"/api/v10\" to grants.http.paths");
    assert!(path("/").contains("add \"/\" to grants.http.paths"));
    assert!(path("//api/v1").contains("grants.http.paths"));
    for dotted in [
        "/api/v1/../admin",
        "/api/v1/%2e%2e/admin",
        "/api/v1/.%2E/admin",
        "/api/v1/..%2fadmin",
        "/api/v1/x%5c..%5cadmin",
        "/api/v1/./x",
        "/api/v1/%252e%252e/admin",
        "/api/v1/..;x=1/admin",
        "/api/v1/..",
    ] {
        let refusal = path(dotted);
        assert!(refusal.contains("a path with dot segments can't be held to grants.http.paths"), "{dotted}: {refusal}");
    }
    // Without paths in the grant there is nothing to slip out of.
    assert_eq!(got(&["example.org"], "http://example.org/a/../b"), "yes");
}

#[test]
fn other_workers_are_reached_by_name_as_granted_and_in_one_form_only() {
    let exchange = "http://exchange.skep.internal/public?x=1";
    assert_eq!(got(&["worker:exchange"], exchange), "yes");
    assert_eq!(got(&["worker:exchange"], "http://EXCHANGE.skep.internal./"), "yes");
    // No host that is granted reaches a worker.
    assert_eq!(
        got(&["worker:other", "*.internal", "*.skep.internal"], exchange),
        "worker \"pages\" may not reach worker \"exchange\": add \"worker:exchange\" to grants.http.allow"
    );
    for form in ["https://exchange.skep.internal/", "http://exchange.skep.internal:8080/", "http://skep.internal/"] {
        let refusal = got(&["worker:exchange"], form);
        assert!(refusal.contains("reached as http://NAME.skep.internal, without TLS"), "{form}: {refusal}");
    }
}

#[test]
fn credentials_in_urls_and_other_schemes_are_refused() {
    assert_eq!(
        got(&["example.org"], "http://user:pass@example.org/"),
        "worker \"pages\" may not put a user name or password into a URL of http://example.org: \
         send an Authorization header, with secret:NAME for the secret part"
    );
    assert!(got(&["example.org"], "ftp://example.org/").ends_with("it is no absolute http or https URL"));
}

#[test]
fn local_addresses_are_known_in_every_disguise() {
    let cases = [
        ("127.0.0.1", Kind::Loopback),
        ("127.8.9.1", Kind::Loopback),
        ("0.0.0.0", Kind::Loopback),
        ("::", Kind::Loopback),
        ("::1", Kind::Loopback),
        ("10.1.2.3", Kind::Private),
        ("172.31.255.255", Kind::Private),
        ("192.168.0.1", Kind::Private),
        ("fc00::1", Kind::Private),
        ("fd12::1", Kind::Private),
        ("169.254.1.1", Kind::LinkLocal),
        ("fe80::1", Kind::LinkLocal),
        ("100.64.0.1", Kind::Shared),
        ("100.127.255.255", Kind::Shared),
        ("224.0.0.1", Kind::Unusable),
        ("255.255.255.255", Kind::Unusable),
        ("ff02::1", Kind::Unusable),
        ("169.254.169.254", Kind::Metadata),
        ("fd00:ec2::254", Kind::Metadata),
        ("100.100.100.200", Kind::Metadata),
        ("168.63.129.16", Kind::Metadata),
        ("::ffff:10.0.0.1", Kind::Private),
        ("64:ff9b::a00:1", Kind::Private),
        ("2002:a00:1::", Kind::Private),
        ("::10.0.0.1", Kind::Private),
        ("::ffff:169.254.169.254", Kind::Metadata),
        ("64:ff9b::a9fe:a9fe", Kind::Metadata),
        ("2002:a9fe:a9fe::1", Kind::Metadata),
        ("64:ff9b:1::1", Kind::Private),
    ];
    for (address, kind) in cases {
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(address_allowed(address, false, false), Err(kind), "{address}");
        let local = !matches!(kind, Kind::Metadata | Kind::Unusable);
        assert_eq!(address_allowed(address, false, true).is_ok(), local, "{address} with lan");
        assert_eq!(address_allowed(address, true, false), Ok(()), "{address} named");
    }
    for address in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::101:101", "2002:101:101::1"] {
        assert_eq!(address_allowed(address.parse().unwrap(), false, false), Ok(()), "{address}");
    }
}

proptest! {
    #[test]
    fn wrapping_an_address_changes_no_answer(bits: u32, low: u64, lan: bool) {
        let plain = Ipv4Addr::from(bits);
        let expected = address_allowed(plain.into(), false, lan);
        let [a, b, c, d] = plain.octets();
        let (high, last) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let teredo = (0x2001_0000_u128 << 96) | (u128::from(low) << 32) | u128::from(!bits);
        let wrapped = [
            plain.to_ipv6_mapped(),
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, last),
            Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, last),
            Ipv6Addr::from((0x2002_u128 << 112) | (u128::from(bits) << 80) | u128::from(low)),
            Ipv6Addr::from(teredo),
        ];
        for address in wrapped {
            prop_assert_eq!(address_allowed(address.into(), false, lan), expected, "{}", address);
        }
    }

    #[test]
    fn a_granted_path_stays_below_its_prefix(path in "(/[a-z.%2ef;\\\\]{0,6}){1,5}") {
        let grant = HttpGrant { paths: vec!["/a".into()], ..grant(&["example.org"]) };
        if let Ok(uri) = format!("http://example.org{path}").parse::<Uri>()
            && Gate::new("pages", Some(&grant)).decide(&Method::GET, &uri).is_ok()
        {
            prop_assert!(path == "/a" || path.starts_with("/a/"));
            prop_assert!(!path.split('/').any(|segment| matches!(segment, "." | ".." | "%2e%2e" | "%2e")));
        }
    }
}

#[tokio::test]
async fn a_name_that_resolves_to_loopback_needs_lan() {
    let server = Server::plain().await;
    let url = server.named("localhost", "/");
    let origin = server.named("localhost", "");
    let worker = Worker::granted(&grant(&["localhost"]));
    assert!(matches!(worker.get(&url).await, Err(Error::HttpRequestDenied)));
    let sentence = worker.told();
    assert!(sentence.starts_with(&format!("worker \"pages\" may not reach {origin}: it resolves to ")), "{sentence}");
    assert!(sentence.ends_with(", a loopback address: set grants.http.lan = true"), "{sentence}");
    assert_eq!(worker.ledger.refusal(&url), Some(sentence));
    assert_eq!(server.accepted(), 0);

    let worker = Worker::granted(&HttpGrant { lan: true, ..grant(&["localhost"]) });
    assert_eq!(worker.get(&url).await.unwrap().1, "hello");
    assert_eq!(server.last_head().1["host"], format!("localhost:{}", server.address.port()));
    assert_eq!(worker.ledger.refusal(&url), None);
}

#[tokio::test]
async fn a_refusal_names_the_line_and_nothing_leaves() {
    let server = Server::plain().await;
    let worker = Worker::granted(&grant(&["https://example.org"]));
    assert!(matches!(worker.get(&server.url("/x")).await, Err(Error::HttpRequestDenied)));
    assert_eq!(worker.told(), add(&server.url("")));
    assert_eq!(worker.ledger.refusal(&server.url("/x")), Some(worker.told()));
    assert_eq!((server.accepted(), worker.outbound.in_flight()), (0, 0));

    let (client, _folder) = client();
    let ungranted = client.outbound("pages", None, None).unwrap();
    let worker = Worker { outbound: ungranted, ..Worker::of(&client, &grant(&[]), None) };
    assert!(matches!(worker.send(post(&server.url("/"), 5), RequestOptions::default()).await, Err(Error::HttpRequestDenied)));
    assert_eq!(worker.told(), add(&server.url("")));
    let connect = Request::builder().method("CONNECT").uri(server.url("/")).body(get("http://x/").into_body()).unwrap();
    assert!(matches!(worker.send(connect, RequestOptions::default()).await, Err(Error::HttpRequestDenied)));
}

#[tokio::test]
async fn a_name_that_changes_its_answer_gains_nothing() {
    let server = Server::plain().await;
    let names = Names::default().with("rebind.test", &[&["127.0.0.1"], &["169.254.169.254"], &["127.0.0.1"]]);
    let fresh = HttpGrant { lan: true, keep_alive: false, ..grant(&["rebind.test"]) };
    let worker = Worker::resolving(&fresh, &names);
    let url = server.named("rebind.test", "/");
    worker.get(&url).await.unwrap();
    assert!(matches!(worker.get(&url).await, Err(Error::HttpRequestDenied)));
    assert_eq!(
        worker.told(),
        format!(
            "worker \"pages\" may not reach {0}: it resolves to 169.254.169.254, a cloud's metadata service: \
             ask for http://169.254.169.254:{1} itself and add it to grants.http.allow",
            server.named("rebind.test", ""),
            server.address.port()
        )
    );
    worker.get(&url).await.unwrap();
    assert_eq!(names.lookups.load(std::sync::atomic::Ordering::Relaxed), 3, "one lookup a connection, and its answer is the one used");
}

#[tokio::test]
async fn only_allowed_addresses_of_a_name_are_tried_and_the_next_when_one_fails() {
    let server = Server::plain().await;
    // The first two are refused by the policy, the third by its machine.
    let names = Names::default().with("many.test", &[&["169.254.169.254", "fd00:ec2::254", "127.0.0.2", "127.0.0.1"]]);
    let worker = Worker::resolving(&HttpGrant { lan: true, ..grant(&["many.test"]) }, &names);
    let url = server.named("many.test", "/");
    assert_eq!(worker.get(&url).await.unwrap().1, "hello");
    assert_eq!(worker.ledger.evidence(&url).unwrap().address, Some(server.address.to_string()));
}
