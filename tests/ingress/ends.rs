//! How requests end badly, and what is held back: crashes, timeouts, full and absent workers, clients that leave, a host that stops.

use std::time::Duration;

use bytes::Bytes;
use skep::{api::Bounds as Connections, facts::Traffic, supervise::SuperviseError};

use super::fake::{LONG, Served, full, pipe, serving, worker};

async fn a(served: &Served) -> Traffic {
    served.ingress.traffic().into_iter().find(|one| one.worker.as_deref() == Some("a")).unwrap()
}

#[tokio::test]
async fn before_the_head_every_end_has_its_status() {
    let mut served = serving(&worker("a", "", "")).await;
    served.retry_in(Duration::from_millis(6_500));
    let mut client = served.connect().await;
    let ends = [
        (SuperviseError::Crashed("secret reasons".into()), 502, "the worker crashed", None),
        (SuperviseError::Overran("10s".into()), 504, "the worker did not answer in time", None),
        (SuperviseError::Refused("it is drained".into()), 503, "the worker takes no requests now; try again later", Some("7")),
    ];
    for (end, status, sentence, retry) in ends {
        client.get("/a").await;
        served.next().await.end(Err(end));
        let told = client.answer().await;
        assert_eq!((told.status, told.error().as_str(), told.header("retry-after")), (status, sentence, retry));
    }
    client.get("/a").await;
    served.next().await.well();
    assert_eq!(client.answer().await.error(), "the worker gave no answer");
    client.get("/a").await;
    let asked = served.next().await;
    asked.take().respond.send(Err("internal error: secret".into())).unwrap();
    asked.well();
    assert_eq!(client.answer().await.error(), "the worker answered with an error");
    client.get("/a").await;
    let asked = served.next().await;
    asked.take().respond.send(Ok(http::Response::builder().status(103).body(full("")).unwrap())).unwrap();
    asked.well();
    assert_eq!(client.answer().await.status, 502);
    // The worker went away with all that waited.
    client.get("/a").await;
    drop(served.next().await);
    assert_eq!(client.answer().await.status, 503);
    assert_eq!(a(&served).await.answers, [0, 0, 0, 0, 7]);
}

#[tokio::test]
async fn a_worker_that_is_down_says_when_it_is_tried_again() {
    let served = serving(&worker("down", "", "")).await;
    let told = served.told("GET /down", "").await;
    assert_eq!((told.status, told.header("retry-after")), (503, Some("1")));
    served.retry_in(Duration::from_secs(100));
    assert_eq!(served.told("GET /down", "").await.header("retry-after"), Some("100"));
}

#[tokio::test]
async fn after_the_head_a_crash_breaks_the_connection_even_when_the_body_seemed_whole() {
    for ended in [false, true] {
        for end in [SuperviseError::Crashed("trap".into()), SuperviseError::Overran("10s".into())] {
            let mut served = serving(&worker("a", "", "")).await;
            let mut client = served.connect().await;
            client.get("/a").await;
            let asked = served.next().await;
            let (write, body) = pipe();
            asked.take().respond.send(Ok(http::Response::new(body))).unwrap();
            write.send(Bytes::from("so far so good")).await.unwrap();
            client.until("so far so good\r\n").await;
            // What a guest leaves behind when it traps looks like an end.
            let write = (!ended).then_some(write);
            asked.end(Err(end));
            assert_eq!(client.rest().await, "", "no last chunk");
            drop(write);
            let traffic = a(&served).await;
            assert_eq!((traffic.answers[1], traffic.cut), (1, 1));
        }
    }
}

#[tokio::test]
async fn a_resident_that_crashes_after_its_answer_is_still_a_bad_gateway() {
    let mut served = serving(&worker("a", "instance = \"resident\"", "")).await;
    let mut client = served.connect().await;
    client.get("/a").await;
    let asked = served.next().await;
    asked.take().respond.send(Ok(http::Response::new(full("hello")))).unwrap();
    asked.end(Err(SuperviseError::Crashed("trap".into())));
    assert_eq!(client.answer().await.status, 502);
}

#[tokio::test]
async fn past_its_requests_at_once_and_some_that_wait_a_worker_is_busy() {
    let mut served = serving(&worker("a", "replicas = 2", ", concurrency = 3")).await;
    let mut clients = Vec::new();
    for _ in 0..2 * 3 + 64 {
        let mut client = served.connect().await;
        client.get("/a").await;
        clients.push((client, served.next().await));
    }
    assert_eq!(a(&served).await.in_flight, 70);
    let told = served.told("GET /a", "").await;
    assert_eq!((told.status, told.header("retry-after")), (503, Some("1")));
    let (mut client, asked) = clients.pop().unwrap();
    asked.answer(200, "done");
    client.answer().await;
    client.get("/a").await;
    served.next().await.answer(200, "room again");
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_back() {
    let mut served = serving(&worker("a", "", "")).await;
    let mut client = served.connect().await;
    client.get("/a").await;
    let mut asked = served.next().await;
    drop(client);
    asked.left().await;
    let traffic = a(&served).await;
    assert_eq!((traffic.left, traffic.in_flight), (1, 0));
}

#[tokio::test]
async fn a_stop_answers_what_was_asked_and_takes_no_more() {
    let mut served = serving(&worker("a", "", "")).await;
    let mut client = served.connect().await;
    let mut idle = served.connect().await;
    client.get("/a").await;
    let asked = served.next().await;
    served.stop.send(true).unwrap();
    assert_eq!(idle.rest().await, "", "idle connections end");
    assert!(tokio::net::TcpStream::connect(served.address).await.is_err(), "nobody listens");
    asked.answer(200, "last");
    let told = client.answer().await;
    assert_eq!((told.body.as_str(), told.header("connection")), ("last", Some("close")));
    assert_eq!(client.rest().await, "");
    tokio::time::timeout(LONG, served.task).await.expect("and then it is over").unwrap();
}

#[tokio::test]
async fn whoever_takes_nothing_of_an_answer_gives_its_place_up() {
    let text = worker("a", "", "");
    let connections = Connections { write_time: Duration::from_millis(50), ..Connections::default() };
    let mut served = super::fake::connected(&text, connections).await;
    let mut client = served.connect().await;
    client.get("/a").await;
    let mut asked = served.next().await;
    let (write, body) = pipe();
    asked.take().respond.send(Ok(http::Response::new(body))).unwrap();
    while write.send(Bytes::from(vec![b'x'; 64 << 10])).await.is_ok() {}
    asked.left().await;
    assert_eq!(a(&served).await.in_flight, 0);
}
