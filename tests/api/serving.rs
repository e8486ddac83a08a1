//! What bounds a client, how streams run, and how serving stops.

use std::{net::SocketAddr, os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

use axum::{
    Router,
    routing::{get, post},
};
use skep::{
    api::{Access, Bounds, Via, bind_unix, error::ErrorBody, guarded, serve, sse},
    cli::client::{Client, Frames, Place},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, broadcast, watch},
    task::JoinHandle,
};

use super::{ADMIN, READ, access, headers};

/// A guarded router on a free port.
struct Served {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

async fn served(app: Router, bounds: Bounds) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopping) = watch::channel(false);
    let access = Arc::new(Access::new(ADMIN, READ, address, Vec::new()));
    let task = tokio::spawn(serve::serve(listener, guarded(app, access, Via::Tcp), bounds, stopping));
    Served { address, stop, task }
}

impl Served {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

fn app() -> Router {
    Router::new()
        .route("/api/v1/thing", get(|| async { "thing" }))
        .route("/api/v1/take", post(|body: axum::body::Bytes| async move { body.len().to_string() }))
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

#[tokio::test]
async fn refusals_are_json_with_a_way_out() {
    let host = served(app(), Bounds::default()).await;
    let answer = http().get(host.url("/api/v1/thing")).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.headers()["www-authenticate"], "Bearer");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert!(answer.headers().keys().all(|name| !name.as_str().starts_with("access-control")));
    let body: ErrorBody = answer.json().await.unwrap();
    assert_eq!(body.error, "a token is needed");
    assert!(body.hint.unwrap().contains("admin.token"));

    let answer = http().get(host.url("/api/v1/thing")).header("host", "evil.example").bearer_auth(ADMIN).send().await.unwrap();
    assert_eq!(answer.status(), 421);
    let answer = http().get(host.url("/api/v1/thing")).header("origin", "http://evil.example").bearer_auth(ADMIN).send().await.unwrap();
    assert_eq!(answer.status(), 403);
    let answer = http().post(host.url("/api/v1/take")).bearer_auth(READ).send().await.unwrap();
    assert_eq!(answer.status(), 403);
    let answer = http().get(host.url("/nowhere")).bearer_auth(ADMIN).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.json::<ErrorBody>().await.unwrap().error, "nothing at /nowhere");
    let answer = http().delete(host.url("/api/v1/thing")).bearer_auth(ADMIN).send().await.unwrap();
    assert_eq!(answer.status(), 405);
    assert_eq!(answer.json::<ErrorBody>().await.unwrap().error, "/api/v1/thing does not take DELETE");
    let answer = http().get(host.url("/api/v1/thing")).bearer_auth(READ).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "thing");
}

#[tokio::test]
async fn bodies_and_headers_are_bounded() {
    let host = served(app(), Bounds::default()).await;
    let post = |bytes: usize| http().post(host.url("/api/v1/take")).bearer_auth(ADMIN).body(vec![b'x'; bytes]).send();
    assert_eq!(post(8 << 20).await.unwrap().text().await.unwrap(), (8 << 20).to_string());
    // The host answers before it has read it all: a client still writing may see the connection end instead.
    if let Ok(answer) = post((8 << 20) + 1).await {
        assert_eq!(answer.status(), 413);
    }
    let answer = http().get(host.url("/api/v1/thing")).bearer_auth(ADMIN).header("x-long", "x".repeat(64 << 10)).send().await.unwrap();
    assert_eq!(answer.status(), 431);
}

#[tokio::test]
async fn a_client_that_sends_no_request_is_dropped() {
    let bounds = Bounds { header_time: Duration::from_millis(50), ..Bounds::default() };
    let host = served(app(), bounds).await;
    let mut slow = TcpStream::connect(host.address).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nhost: ").await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), slow.read_to_end(&mut rest)).await.expect("the host ends it").unwrap();
}

#[tokio::test]
async fn connections_past_the_bound_wait_for_a_place() {
    let host = served(app(), Bounds { connections: 1, ..Bounds::default() }).await;
    let mut first = TcpStream::connect(host.address).await.unwrap();
    let request = format!("GET /api/v1/thing HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {READ}\r\n\r\n", host.address);
    first.write_all(request.as_bytes()).await.unwrap();
    let mut some = [0; 64];
    assert!(first.read(&mut some).await.unwrap() > 0);
    // The first keeps its place while it lives; the second is answered once it is gone.
    let mut second = TcpStream::connect(host.address).await.unwrap();
    second.write_all(request.as_bytes()).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(50), second.read(&mut some)).await;
    assert!(waited.is_err(), "answered beyond the bound");
    drop(first);
    let got = tokio::time::timeout(Duration::from_secs(10), second.read(&mut some)).await.expect("a place").unwrap();
    assert!(some[..got].starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn a_stop_ends_streams_and_lets_answers_finish() {
    let (lines, _) = broadcast::channel::<String>(8);
    let (stop, stopping) = watch::channel(false);
    let places = Arc::new(Semaphore::new(1));
    let sender = lines.clone();
    let app = Router::new().route(
        "/api/v1/stream",
        get(move || {
            let answer =
                sse::follow(&places, &stopping, vec![sse::frame(Some(1), "line", &"first")], sender.subscribe(), |line: String| {
                    Some(sse::frame(Some(2), "line", &line))
                });
            async move { answer }
        }),
    );
    let host = served(app, Bounds::default()).await;
    let mut answer = http().get(host.url("/api/v1/stream")).bearer_auth(READ).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut frames = Frames::default();
    let mut seen = Vec::new();
    while seen.is_empty() {
        seen = frames.push(&answer.chunk().await.unwrap().unwrap()).unwrap();
    }
    assert_eq!(seen[0].data, "\"first\"");
    // The only place is taken.
    let second = http().get(host.url("/api/v1/stream")).bearer_auth(READ).send().await.unwrap();
    assert_eq!(second.status(), 503);
    assert_eq!(second.json::<ErrorBody>().await.unwrap().error, "too many followers");

    lines.send("second".to_owned()).unwrap();
    seen.clear();
    while seen.is_empty() {
        seen = frames.push(&answer.chunk().await.unwrap().unwrap()).unwrap();
    }
    assert_eq!(seen[0].data, "\"second\"");

    stop.send(true).unwrap();
    host.stop.send(true).unwrap();
    while answer.chunk().await.unwrap().is_some() {}
    tokio::time::timeout(Duration::from_secs(10), host.task).await.expect("served to the end").unwrap();
    assert!(TcpStream::connect(host.address).await.is_err(), "no longer listening");
}

#[tokio::test]
async fn the_socket_is_for_owner_and_group_and_replaces_a_stale_one() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("skep.sock");
    drop(bind_unix(&path).unwrap());
    let listener = bind_unix(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let (stop, stopping) = watch::channel(false);
    let access = Arc::new(access("127.0.0.1:1", &[]));
    let app = Router::new().route("/api/v1/thing", get(|| async { "[1, 2]" }));
    let task = tokio::spawn(serve::serve(listener, guarded(app, access, Via::Socket), Bounds::default(), stopping));
    let client = Client::new(Place::Socket(path.clone()), None).unwrap();
    let got: Vec<u32> = client.get("thing", &[]).await.unwrap();
    assert_eq!(got, [1, 2]);
    stop.send(true).unwrap();
    drop(client);
    task.await.unwrap();

    let file = data.path().join("file.sock");
    std::fs::write(&file, "mine").unwrap();
    assert!(bind_unix(&file).unwrap_err().to_string().contains("is not a socket"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    let long = data.path().join("x".repeat(120));
    assert!(bind_unix(&long).unwrap_err().to_string().contains("too long for a socket"));
}

#[test]
fn a_frame_is_one_event_whatever_it_holds() {
    assert_eq!(sse::frame(Some(7), "line", &"two\nlines"), "id: 7\nevent: line\ndata: \"two\\nlines\"\n\n");
    assert_eq!(sse::frame(None, "line", &1), "event: line\ndata: 1\n\n");
    assert_eq!(sse::missed(3), "event: missed\ndata: {\"missed\":3}\n\n");
    assert!(sse::wanted(&headers(&[("accept", "application/json, text/event-stream;q=0.5")])));
    assert!(!sse::wanted(&headers(&[("accept", "*/*")])));
    assert_eq!(sse::last_event_id(&headers(&[("last-event-id", "42")])), Some(42));
    assert_eq!(sse::last_event_id(&headers(&[("last-event-id", "x")])), None);
}

#[test]
fn a_follower_resumes_after_what_it_saw_last() {
    let kept: Vec<u64> = (10..20).collect();
    let from = |last_seen, limit| sse::resume(&kept, |id| *id, last_seen, limit);
    assert_eq!(from(None, 0), (0, &[][..]));
    assert_eq!(from(None, 2), (0, &[18, 19][..]));
    assert_eq!(from(None, 100).1.len(), 10);
    assert_eq!(from(Some(17), 0), (0, &[18, 19][..]));
    assert_eq!(from(Some(9), 0), (0, &kept[..]), "nothing fell out in between");
    assert_eq!(from(Some(4), 0), (5, &kept[..]), "5 to 9 are gone");
    assert_eq!(from(Some(99), 0), (0, &[][..]));
    assert_eq!(sse::resume(&[], |id| *id, Some(3), 5), (0, &[][..]));
}
