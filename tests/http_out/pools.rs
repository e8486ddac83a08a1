//! Reused and fresh connections; pools that never mix.

use skep::manifest::spec::HttpGrant;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use wasmtime_wasi_http::{Error, RequestOptions};

use super::{Names, Server, Worker, client, grant, post, tls::Authority, until};

#[tokio::test]
async fn a_connection_is_reused_unless_the_grant_says_fresh() {
    let server = Server::plain().await;
    let worker = Worker::granted(&grant(&[&server.url("")]));
    for _ in 0..20 {
        worker.get(&server.url("/")).await.unwrap();
    }
    assert_eq!(server.accepted(), 1);
    // A guest that leaves the body unread doesn't cost the connection.
    for _ in 0..5 {
        drop(worker.head(&server.url("/")).await.unwrap());
    }
    worker.get(&server.url("/")).await.unwrap();
    assert!(server.accepted() <= 2, "{}", server.accepted());

    let before = server.accepted();
    let fresh = Worker::of(&worker.client, &HttpGrant { keep_alive: false, ..grant(&[&server.url("")]) }, None);
    for _ in 0..3 {
        fresh.get(&server.url("/")).await.unwrap();
    }
    assert_eq!(server.accepted(), before + 3);
    assert_eq!(server.last_head().1["connection"], "close");
}

#[tokio::test]
async fn two_workers_of_one_policy_share_a_connection() {
    let server = Server::plain().await;
    let (client, _folder) = client();
    for _ in 0..3 {
        Worker::of(&client, &grant(&[&server.url("")]), None).get(&server.url("/")).await.unwrap();
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_connection_made_under_lan_serves_no_worker_without_it() {
    let server = Server::plain().await;
    let names = Names::default().with("nas.test", &[&["127.0.0.1"]]);
    let lan = Worker::resolving(&HttpGrant { lan: true, ..grant(&["nas.test"]) }, &names);
    lan.get(&server.named("nas.test", "/")).await.unwrap();
    let other = Worker::of(&lan.client, &grant(&["nas.test"]), None);
    assert!(matches!(other.get(&server.named("nas.test", "/")).await, Err(Error::HttpRequestDenied)));
    assert!(other.told().ends_with("it resolves to 127.0.0.1, a loopback address: set grants.http.lan = true"));
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_connection_with_an_unchecked_certificate_serves_no_worker_that_checks() {
    let authority = Authority::new();
    let server = Server::start(Some(authority.server(&["127.0.0.1"]))).await;
    let origin = format!("https://{}", server.address);
    let (client, folder) = client();
    let careless = Worker::of(&client, &HttpGrant { verify: false, ..grant(&[&origin]) }, None);
    careless.get(&origin).await.unwrap();
    careless.get(&origin).await.unwrap();
    assert_eq!(server.accepted(), 1);
    let careful = Worker::of(&client, &grant(&[&origin]), None);
    assert!(matches!(careful.get(&origin).await, Err(Error::TlsCertificateError)));
    authority.write(folder.path(), "ca.pem");
    let pinned = Worker::of(&client, &HttpGrant { ca: Some("ca.pem".into()), ..grant(&[&origin]) }, None);
    pinned.get(&origin).await.unwrap();
    assert_eq!(server.accepted(), 3, "each trust has connections of its own");
    careless.get(&origin).await.unwrap();
    assert_eq!(server.accepted(), 3);
}

/// Answers the first request of each connection, and closes when the second arrives.
async fn forgetful(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(once(stream));
    }
}

async fn once(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    let Ok(1..) = stream.read(&mut buffer).await else { return };
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let _ = stream.read(&mut buffer).await;
}

#[tokio::test]
async fn a_parked_connection_that_its_peer_closes_costs_no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(forgetful(listener));
    let worker = Worker::granted(&grant(&[&origin]));
    for _ in 0..5 {
        assert_eq!(worker.get(&origin).await.unwrap(), (200, "ok".to_owned()));
    }
    // What may have had an effect is not sent twice.
    let answer = worker.send(post(&origin, 10), RequestOptions::default()).await;
    assert!(matches!(answer, Err(Error::ConnectionTerminated)), "{:?}", answer.err());
    task.abort();
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_time() {
    let server = Server::plain().await;
    let worker = Worker::granted(&grant(&[&server.url("")]));
    worker.get(&server.url("/")).await.unwrap();
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(80)).await;
    tokio::time::resume();
    let tasks = tokio::runtime::Handle::current().metrics();
    // The server's own connection task and the client's end with the connection, and so does the reaper.
    until("the connection is closed", || tasks.num_alive_tasks() <= 1).await;
    worker.get(&server.url("/")).await.unwrap();
    assert_eq!(server.accepted(), 2);
}
