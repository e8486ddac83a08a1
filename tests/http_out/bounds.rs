//! Bounds: bodies, requests in flight, heads, limiter waits, timeouts.

use std::time::Duration;

use skep::{clock::Clock, limiter::Limiter, manifest::spec::Rate};
use tokio::net::{TcpSocket, TcpStream};
use wasmtime_wasi_http::{Error, RequestOptions};

use super::{Server, Worker, get, grant, post, read};

const QUICK: Duration = Duration::from_millis(60);

#[tokio::test]
async fn a_response_body_past_the_bound_is_an_error_that_names_it() {
    let server = Server::plain().await;
    let worker = Worker::with(&grant(&[&server.url("")]), |settings| settings.max_body_bytes = 100_000);
    let error = worker.get(&server.url("/endless")).await.unwrap_err();
    assert!(matches!(error, Error::HttpResponseBodySize(Some(100_000))), "{error}");
    assert!(
        worker.told().ends_with("the response's body is larger than 100000 bytes, the most one response may have"),
        "{}",
        worker.told()
    );
    assert_eq!(worker.outbound.in_flight(), 0);
    worker.get(&server.url("/")).await.unwrap();
}

#[tokio::test]
async fn a_request_body_past_the_bound_is_an_error_that_names_it() {
    let server = Server::plain().await;
    let worker = Worker::with(&grant(&[&server.url("")]), |settings| settings.max_body_bytes = 100_000);
    let sent = worker.send(post(&server.url("/echo"), 100_000), RequestOptions::default()).await.unwrap();
    assert_eq!(read(sent).await.unwrap().1, "100000");
    let error = worker.send(post(&server.url("/echo"), 100_001), RequestOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::HttpRequestBodySize(Some(100_000))), "{error}");
    let mut declared = post(&server.url("/echo"), 200_000);
    declared.headers_mut().insert("content-length", 200_000.into());
    let before = server.accepted();
    let error = worker.send(declared, RequestOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::HttpRequestBodySize(Some(100_000))), "{error}");
    assert_eq!(server.accepted(), before, "a declared length is enough to know");
}

#[tokio::test]
async fn the_sixty_fifth_request_in_flight_is_an_error_that_names_the_bound() {
    let server = Server::plain().await;
    let worker = Worker::granted(&grant(&[&server.url("")]));
    let mut open = Vec::new();
    for _ in 0..64 {
        open.push(worker.head(&server.url("/stalls")).await.unwrap());
    }
    assert_eq!((worker.outbound.in_flight(), worker.ledger.in_flight()), (64, 64));
    match worker.get(&server.url("/")).await.unwrap_err() {
        Error::InternalError(Some(text)) => assert_eq!(text, "64 requests are in flight, the most one worker may have"),
        other => panic!("{other}"),
    }
    open.pop();
    worker.get(&server.url("/")).await.unwrap();
}

#[tokio::test]
async fn a_response_head_past_the_bound_is_an_error_that_names_it() {
    let server = Server::plain().await;
    let worker = Worker::granted(&grant(&[&server.url("")]));
    let error = worker.get(&server.url("/long-head")).await.unwrap_err();
    assert!(matches!(error, Error::HttpResponseHeaderSectionSize(Some(65_536))), "{error}");
}

#[tokio::test]
async fn no_permit_in_time_is_told_apart_from_every_other_failure() {
    let server = Server::plain().await;
    let hourly = || Limiter::new(Rate { count: 1, per: Duration::from_secs(3600) }, 1, Clock::system());
    let worker = Worker::with(&grant(&[&server.url("")]), |settings| settings.permit_deadline = QUICK);
    let worker = Worker { _folder: None, ..Worker::of(&worker.client, &grant(&[&server.url("")]), Some(hourly())) };
    worker.get(&server.url("/")).await.unwrap();
    assert!(matches!(worker.get(&server.url("/")).await, Err(Error::ConnectionLimitReached)));
    assert_eq!(worker.told(), format!("{}: no permit of the limiter within 60ms", server.url("/")));
    assert!(worker.ledger.waited() >= QUICK);
    assert_eq!(server.heads.lock().unwrap().len(), 1);
    // A refusal costs no permit and no wait.
    assert!(matches!(worker.get("http://example.org/").await, Err(Error::HttpRequestDenied)));
}

#[tokio::test]
async fn a_server_that_never_answers_is_a_response_timeout() {
    let server = Server::plain().await;
    let worker = Worker::granted(&grant(&[&server.url("")]));
    let options = RequestOptions { first_byte_timeout: Some(QUICK), ..RequestOptions::default() };
    assert!(matches!(worker.send(get(&server.url("/silent")), options).await, Err(Error::HttpResponseTimeout)));
}

#[tokio::test]
async fn a_body_that_stalls_is_a_read_timeout() {
    let server = Server::plain().await;
    let worker = Worker::granted(&grant(&[&server.url("")]));
    let options = RequestOptions { between_bytes_timeout: Some(QUICK), ..RequestOptions::default() };
    let response = worker.send(get(&server.url("/stalls")), options).await.unwrap();
    assert!(matches!(read(response).await, Err(Error::ConnectionReadTimeout)));
    assert_eq!(worker.ledger.evidence(&server.url("/stalls")).unwrap().excerpt.as_deref(), Some("some"));
}

#[tokio::test]
async fn a_peer_that_does_not_accept_or_does_not_speak_tls_is_a_connection_timeout() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let options = RequestOptions { connect_timeout: Some(QUICK), ..RequestOptions::default() };
    let worker = Worker::granted(&grant(&["127.0.0.1"]));
    assert!(matches!(worker.send(get(&format!("https://{address}/")), options).await, Err(Error::ConnectionTimeout)));
    let seen = worker.ledger.evidence(&format!("https://{address}/")).unwrap();
    assert!(seen.phases.connect_ms.is_some() && seen.phases.tls_ms.is_none());

    // Nobody accepts: once the backlog is full, connecting itself hangs.
    let mut filling = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(QUICK, TcpStream::connect(address)).await {
        filling.push(stream);
        assert!(filling.len() < 64, "a backlog of one");
    }
    assert!(matches!(worker.send(get(&format!("http://{address}/")), options).await, Err(Error::ConnectionTimeout)));
}
