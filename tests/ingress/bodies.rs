//! Bodies both ways: bounded, timed, whole for residents, streamed to the others.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use skep::trigger::ingress::Bounds;

use super::fake::{bounded, full, pipe, serving, worker};

const CHUNKED: &str = "POST /a HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_refused_at_once() {
    for mode in ["resident", "per-event"] {
        let mut served = serving(&worker("a", &format!("instance = \"{mode}\""), ", body = \"10B\"")).await;
        let told = served.told("POST /a", "Content-Length: 11\r\n").await;
        assert_eq!((told.status, told.header("connection")), (413, Some("close")));
        assert_eq!(told.error(), "the request's body is larger than 10B, the most the worker takes");
        assert!(served.asked.try_recv().is_err(), "no worker hears of it");
        let mut client = served.connect().await;
        client.send("POST /a HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n0123456789").await;
        let asked = served.next().await;
        let body = asked.take().request.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "0123456789", "{mode}: as large as it may be");
    }
}

#[tokio::test]
async fn a_body_that_grows_too_large_is_refused_when_it_does() {
    let mut served = serving(&worker("a", "instance = \"resident\"", ", body = \"10B\"")).await;
    let mut client = served.connect().await;
    client.send(&format!("{CHUNKED}6\r\n012345\r\n6\r\n012345\r\n")).await;
    assert_eq!(client.answer().await.status, 413);
    assert!(served.asked.try_recv().is_err(), "no worker hears of it");

    let mut served = serving(&worker("a", "", ", body = \"10B\"")).await;
    let mut client = served.connect().await;
    client.send(&format!("{CHUNKED}6\r\n012345\r\n")).await;
    let asked = served.next().await;
    let exchange = asked.take();
    let mut body = exchange.request.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "012345", "streamed as it comes");
    client.send("6\r\n012345\r\n").await;
    assert!(matches!(body.frame().await, Some(Err(wasmtime_wasi_http::Error::HttpRequestBodySize(Some(10))))));
    // Whatever the guest makes of it.
    exchange.respond.send(Ok(http::Response::new(full("thanks")))).unwrap();
    asked.well();
    assert_eq!(client.answer().await.status, 413);
}

#[tokio::test]
async fn a_resident_is_asked_when_the_body_is_here_and_answers_before_the_client_takes_it() {
    let mut served = serving(&worker("a", "instance = \"resident\"", "")).await;
    let (mut slow, mut quick) = (served.connect().await, served.connect().await);
    slow.send(&format!("{CHUNKED}3\r\nabc\r\n")).await;
    quick.get("/a").await;
    served.next().await.answer(200, "quick");
    assert_eq!(quick.answer().await.body, "quick", "nobody waits for the slow one");
    slow.send("3\r\ndef\r\n0\r\n\r\n").await;
    let asked = served.next().await;
    assert_eq!(asked.event.body_bytes, 6, "it weighs in the mailbox");
    let exchange = asked.take();
    assert_eq!(exchange.request.headers()["content-length"], "6");
    assert!(exchange.request.headers().get("transfer-encoding").is_none());
    assert_eq!(exchange.request.into_body().collect().await.unwrap().to_bytes(), "abcdef");
    // The guest writes more than any socket buffers, and the client reads nothing meanwhile.
    let (write, body) = pipe();
    exchange.respond.send(Ok(http::Response::new(body))).unwrap();
    for _ in 0..15 {
        write.send(Bytes::from(vec![b'x'; 64 << 10])).await.unwrap();
    }
    drop(write);
    asked.well();
    let told = slow.answer().await;
    assert_eq!((told.status, told.body.len()), (200, 15 << 16));
}

#[tokio::test]
async fn an_answer_of_a_resident_is_bounded_too() {
    let mut served = serving(&worker("a", "instance = \"resident\"", ", body = \"10B\"")).await;
    let mut client = served.connect().await;
    client.get("/a").await;
    served.next().await.answer(200, "elevenbytes");
    let told = client.answer().await;
    assert_eq!((told.status, told.error().as_str()), (502, "the worker's answer is larger than 10B, the most it may be"));
}

#[tokio::test]
async fn a_body_that_drips_is_given_up() {
    let bounds = Bounds { body_time: Duration::from_millis(50), between_bytes: Duration::from_millis(50), ..Bounds::default() };
    let mut served = bounded(&worker("a", "instance = \"resident\"", ""), bounds).await;
    let mut client = served.connect().await;
    client.send(&format!("{CHUNKED}3\r\nab")).await;
    assert_eq!(client.answer().await.status, 408);
    assert!(served.asked.try_recv().is_err(), "no worker hears of it");

    let mut served = bounded(&worker("a", "", ""), bounds).await;
    let mut client = served.connect().await;
    client.send(&format!("{CHUNKED}3\r\nab")).await;
    let asked = served.next().await;
    let exchange = asked.take();
    let read = exchange.request.into_body().collect().await;
    assert!(matches!(read, Err(wasmtime_wasi_http::Error::ConnectionReadTimeout)), "{read:?}");
    drop(exchange.respond);
    asked.well();
    assert_eq!(client.answer().await.status, 408);
}

#[tokio::test]
async fn bodies_in_memory_are_bounded_over_all_workers() {
    let bounds = Bounds { memory_bytes: 10, ..Bounds::default() };
    let mut served = bounded(&worker("a", "instance = \"resident\"", ""), bounds).await;
    let mut first = served.connect().await;
    first.send("POST /a HTTP/1.1\r\nHost: test\r\nContent-Length: 8\r\n\r\n01234567").await;
    let asked = served.next().await;
    let mut second = served.connect().await;
    second.send("POST /a HTTP/1.1\r\nHost: test\r\nContent-Length: 8\r\n\r\n01234567").await;
    let told = second.answer().await;
    assert_eq!((told.status, told.header("retry-after")), (503, Some("1")));
    asked.answer(200, "ok");
    assert_eq!(first.answer().await.body, "ok");
    second.send("POST /a HTTP/1.1\r\nHost: test\r\nContent-Length: 8\r\n\r\n01234567").await;
    served.next().await.answer(200, "ok");
    assert_eq!(second.answer().await.body, "ok", "given back");
}

#[tokio::test]
async fn a_small_answer_goes_out_with_its_length_a_long_one_as_it_comes() {
    let mut served = serving(&worker("a", "", "")).await;
    let mut client = served.connect().await;
    client.get("/a").await;
    let asked = served.next().await;
    let (write, body) = pipe();
    asked.take().respond.send(Ok(http::Response::new(body))).unwrap();
    write.send(Bytes::from("he")).await.unwrap();
    write.send(Bytes::from("llo")).await.unwrap();
    drop(write);
    asked.well();
    // Whether it was quick enough to be whole or not, the bytes are the same.
    let head = client.until("\r\n\r\n").await;
    let end = if head.contains("content-length: 5") { "hello" } else { "\r\n0\r\n\r\n" };
    let body = client.until(end).await;
    assert!(body.contains("he") && body.contains("llo"), "{head}{body}");

    client.get("/a").await;
    let asked = served.next().await;
    let (write, body) = pipe();
    asked.take().respond.send(Ok(http::Response::new(body))).unwrap();
    // The head does not wait for a body that takes its time, nor a piece for the next.
    assert!(client.until("\r\n\r\n").await.contains("transfer-encoding: chunked"));
    for piece in ["one", "two"] {
        write.send(Bytes::from(piece)).await.unwrap();
        client.until(&format!("3\r\n{piece}\r\n")).await;
    }
    drop(write);
    asked.well();
    client.until("0\r\n\r\n").await;
}

#[tokio::test]
async fn an_old_client_gets_its_answer_whole() {
    let mut served = serving(&worker("a", "", "")).await;
    let mut client = served.connect().await;
    client.send("GET /a HTTP/1.0\r\nHost: test\r\n\r\n").await;
    let asked = served.next().await;
    let (write, body) = pipe();
    asked.take().respond.send(Ok(http::Response::new(body))).unwrap();
    write.send(Bytes::from("hello")).await.unwrap();
    drop(write);
    asked.well();
    assert_eq!(client.answer().await.body, "hello");
}
