//! What the ledger says of a request.

use std::time::Duration;

use skep::{
    clock::Clock,
    limiter::Limiter,
    manifest::spec::{HttpGrant, Rate},
};
use wasmtime_wasi_http::{Error, RequestOptions};

use super::{Names, Server, Worker, client, get, grant, tls::Authority};

#[tokio::test]
async fn every_phase_of_a_fresh_connection_is_timed_and_a_reused_one_has_none_of_its_own() {
    let authority = Authority::new();
    let server = Server::start(Some(authority.server(&["name.test"]))).await;
    let names = Names::default().with("name.test", &[&["127.0.0.1"]]);
    let folder = tempfile::tempdir().unwrap();
    authority.write(folder.path(), "ca.pem");
    let client = skep::capability::http::Client::with_resolver(super::settings(folder.path()), Clock::system(), std::sync::Arc::new(names));
    let worker = Worker::of(&client, &HttpGrant { lan: true, ca: Some("ca.pem".into()), ..grant(&["name.test"]) }, None);
    let url = format!("https://name.test:{}/page", server.address.port());

    worker.get(&url).await.unwrap();
    let first = worker.ledger.evidence(&url).unwrap();
    let phases = first.phases;
    for phase in [phases.dns_ms, phases.connect_ms, phases.tls_ms, phases.first_byte_ms] {
        assert!(phase.is_some_and(|ms| ms >= 0.0 && ms <= phases.total_ms.unwrap()), "{phases:?}");
    }
    assert_eq!(first.address, Some(server.address.to_string()));
    assert_eq!(first.http_status, Some(200));
    assert_eq!(first.certificate_expires.unwrap().to_string(), "2096-02-03T00:00:00Z");
    assert_eq!(first.excerpt.as_deref(), Some("hello"));

    worker.get(&url).await.unwrap();
    let again = worker.ledger.evidence(&url).unwrap();
    assert_eq!((again.phases.dns_ms, again.phases.connect_ms, again.phases.tls_ms), (None, None, None));
    assert!(again.phases.first_byte_ms.is_some() && again.phases.total_ms.is_some());
    assert_eq!((again.address, again.certificate_expires), (first.address, first.certificate_expires));
}

#[tokio::test]
async fn evidence_is_found_by_url_however_it_is_written_until_the_next_event() {
    let server = Server::plain().await;
    let worker = Worker::granted(&grant(&[&server.url("")]));
    worker.get(&server.url("")).await.unwrap();
    for url in [server.url(""), server.url("/"), server.url("/#top"), server.url("").to_uppercase().replace("HTTP", "http")] {
        assert!(worker.ledger.evidence(&url).is_some(), "{url}");
    }
    assert!(worker.ledger.evidence(&server.url("/other")).is_none());
    assert!(worker.ledger.evidence("disk space").is_none());
    worker.ledger.reset();
    assert!(worker.ledger.evidence(&server.url("/")).is_none());
}

#[tokio::test]
async fn an_error_page_makes_an_excerpt_even_if_the_guest_never_reads_it() {
    let server = Server::plain().await;
    let worker = Worker::granted(&grant(&[&server.url("")]));
    let url = server.url("/broken");
    drop(worker.head(&url).await.unwrap());
    let seen = worker.ledger.evidence(&url).unwrap();
    assert_eq!((seen.http_status, seen.excerpt.as_deref()), (Some(503), Some("out of order: no space left ")));

    let url = server.url("/endless");
    let mut response = worker.head(&url).await.unwrap();
    http_body_util::BodyExt::frame(response.body_mut()).await.unwrap().unwrap();
    drop(response);
    let seen = worker.ledger.evidence(&url).unwrap();
    assert_eq!(seen.excerpt, Some("y".repeat(512)));
    assert_eq!(seen.phases.total_ms, None, "a body that never ended has no total");
    assert_eq!(worker.ledger.in_flight(), 0);
}

#[tokio::test]
async fn a_request_that_the_guest_gives_up_still_says_how_far_it_came() {
    let server = Server::plain().await;
    let worker = Worker::granted(&grant(&[&server.url("")]));
    let url = server.url("/silent");
    let given_up = tokio::time::timeout(Duration::from_millis(50), async {
        use wasmtime_wasi_http::WasiHttpHooks;
        std::pin::Pin::from(worker.hooks().send_request(get(&url), None, Box::new(async { Ok(()) }))).await.map(drop)
    });
    assert!(given_up.await.is_err());
    let seen = worker.ledger.evidence(&url).unwrap();
    assert!(seen.phases.connect_ms.is_some() && seen.phases.first_byte_ms.is_none() && seen.http_status.is_none());
    assert_eq!(seen.address, Some(server.address.to_string()));
    assert_eq!((worker.ledger.in_flight(), worker.outbound.in_flight()), (0, 0));
}

#[tokio::test]
async fn one_event_keeps_its_newest_exchanges() {
    let worker = Worker::granted(&grant(&[]));
    for n in 0..200 {
        let _ = worker.get(&format!("http://example.org/{n}")).await;
    }
    assert!(worker.ledger.evidence("http://example.org/71").is_none());
    assert!(worker.ledger.evidence("http://example.org/72").is_some());
    assert!(worker.ledger.evidence("http://example.org/199").is_some());
}

#[tokio::test]
async fn waiting_for_a_permit_is_visible_while_it_lasts_and_counts_in_no_latency() {
    let server = Server::plain().await;
    let (client, _folder) = client();
    let limiter = Limiter::new(Rate { count: 10, per: Duration::from_secs(1) }, 1, Clock::system());
    let worker = Worker::of(&client, &grant(&[&server.url("")]), Some(limiter.clone()));
    worker.get(&server.url("/first")).await.unwrap();
    assert!(worker.ledger.waited() < Duration::from_millis(20));

    let (second, third) = (server.url("/second"), server.url("/third"));
    let both = async { tokio::join!(worker.get(&second), worker.get(&third)) };
    let watch = async {
        while limiter.waiting() < 2 {
            tokio::task::yield_now().await;
        }
        let early = worker.ledger.waited();
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert!(worker.ledger.waited() >= early + Duration::from_millis(30), "a wait counts while it runs");
    };
    let (answers, ()) = tokio::join!(both, watch);
    answers.0.unwrap();
    answers.1.unwrap();
    let waited = worker.ledger.waited();
    // Two waited at once, about 100 and 200 ms: the event was held up 200 ms, not 300.
    assert!(waited >= Duration::from_millis(190) && waited < Duration::from_millis(290), "{waited:?}");
    assert!(worker.ledger.evidence(&third).unwrap().phases.total_ms.unwrap() < 90.0);
    let paths: Vec<_> = server.heads.lock().unwrap().iter().map(|(line, _)| line.clone()).collect();
    assert_eq!(paths, ["GET /first HTTP/1.1", "GET /second HTTP/1.1", "GET /third HTTP/1.1"]);
    worker.ledger.reset();
    assert_eq!(worker.ledger.waited(), Duration::ZERO);
}

#[tokio::test]
async fn failures_have_the_codes_that_guests_print() {
    let names = Names::default().with("nowhere.test", &[&[]]);
    let worker =
        Worker::resolving(&HttpGrant { lan: true, ..grant(&["missing.test", "silent.test", "nowhere.test", "127.0.0.1"]) }, &names);
    match worker.get("http://missing.test/").await.unwrap_err() {
        Error::DnsError { rcode, .. } => assert_eq!(rcode.as_deref(), Some("Name or service not known")),
        other => panic!("{other}"),
    }
    assert!(matches!(worker.get("http://nowhere.test/").await, Err(Error::DnsError { .. })));
    let quick = RequestOptions { connect_timeout: Some(Duration::from_millis(30)), ..RequestOptions::default() };
    assert!(matches!(worker.send(get("http://silent.test/"), quick).await, Err(Error::DnsTimeout)));

    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert!(matches!(worker.get(&format!("http://{closed}/")).await, Err(Error::ConnectionRefused)));
    assert!(worker.ledger.evidence(&format!("http://{closed}/")).unwrap().http_status.is_none());

    let server = Server::plain().await;
    assert!(matches!(worker.get(&format!("https://{}/", server.address)).await, Err(Error::TlsCertificateError | Error::TlsProtocolError)));
    assert!(worker.ledger.failure(&format!("https://{}/", server.address)).is_some(), "TLS failures say why");
}
