//! The admin API's own parts, through sockets where a client would meet them: who may ask, what bounds a client, streams, metrics,
//! and the description. What needs running workers is tested end to end elsewhere.

use std::{net::SocketAddr, os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

use axum::{
    Router,
    http::{HeaderMap, HeaderName, HeaderValue, Method},
    routing::{get, post},
};
use jiff::Timestamp;
use skep::{
    api::{
        Access, ApiError, Bounds, Via, access::Refusal, bind_unix, error::ErrorBody, guarded, host::readiness, metrics, openapi, serve,
        sse, suggest,
    },
    cli::client::{Client, Frames, Place},
    facts::{
        CheckStatus, CheckView, Digest, EventCounts, Evidence, InstanceMode, Problem, ReplicaCount, ScheduleView, WorkerState, WorkerView,
    },
    fleet::FleetError,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, broadcast, watch},
    task::JoinHandle,
};

const ADMIN: &str = "an-admin-token-of-some-length";
const READ: &str = "a-read-token-of-some-length";

fn access(bound: &str, hosts: &[&str]) -> Access {
    Access::new(
        ADMIN,
        READ,
        bound.parse().unwrap(),
        hosts.iter().map(|host| host.parse().unwrap()).collect(),
    )
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
    let mut map = HeaderMap::new();
    for (name, value) in pairs.iter().map(pair) {
        map.append(name, value);
    }
    map
}

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
        assert_eq!(
            decide("127.0.0.1:7700", &[], method.clone(), path, &pairs),
            expected,
            "{method} {path} {authorization:?}"
        );
    }
    // Two tokens mean nothing.
    let twice = [host, ("authorization", admin.as_str()), ("authorization", read.as_str())];
    assert_eq!(
        decide("127.0.0.1:7700", &[], Method::GET, "/metrics", &twice),
        Err(Refusal::NoToken)
    );
}

#[test]
fn the_host_header_must_mean_this_host() {
    let ok = |bound: &str, hosts: &[&str], host: &str| decide(bound, hosts, Method::GET, "/healthz", &[("host", host)]).is_ok();
    for host in [
        "127.0.0.1:7700",
        "localhost:7700",
        "LOCALHOST:7700",
        "localhost.:7700",
        "[::1]:7700",
        "127.9.9.9:7700",
    ] {
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
    assert_eq!(
        decide("127.0.0.1:7700", &[], Method::GET, "/healthz", &[]),
        Err(Refusal::ForeignHost)
    );
    let two = [("host", "127.0.0.1:7700"), ("host", "127.0.0.1:7700")];
    assert_eq!(
        decide("127.0.0.1:7700", &[], Method::GET, "/healthz", &two),
        Err(Refusal::ForeignHost)
    );
    // The request line may name a host, too.
    let line = |authority| {
        access("127.0.0.1:7700", &[]).decide(
            Via::Tcp,
            &Method::GET,
            "/healthz",
            Some(authority),
            &headers(&[("host", "localhost:7700")]),
        )
    };
    assert_eq!(line("evil.example"), Err(Refusal::ForeignHost));
    assert_eq!(line("127.0.0.1:7700"), Ok(()));
}

#[test]
fn pages_of_other_sites_are_refused() {
    let with = |host: &str, origin: &str| {
        decide(
            "127.0.0.1:7700",
            &["skep.example.com"],
            Method::GET,
            "/healthz",
            &[("host", host), ("origin", origin)],
        )
    };
    assert_eq!(with("127.0.0.1:7700", "http://127.0.0.1:7700"), Ok(()));
    assert_eq!(with("skep.example.com", "https://skep.example.com"), Ok(()));
    for origin in [
        "http://evil.example",
        "http://127.0.0.1:7701",
        "http://localhost:7700",
        "null",
        "file://",
        "127.0.0.1:7700",
    ] {
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
        assert_eq!(
            std::fs::metadata(data.path().join(name)).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    assert_ne!(admin, reading);
    Access::open(data.path(), bound, Vec::new()).unwrap();
    assert_eq!(read("admin.token"), admin, "a second start keeps it");

    std::fs::write(data.path().join("admin.token"), "\n").unwrap();
    let refused = Access::open(data.path(), bound, Vec::new()).unwrap_err().to_string();
    assert!(refused.contains("admin.token: holds no token"), "{refused}");
}

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
    Router::new().route("/api/v1/thing", get(|| async { "thing" })).route(
        "/api/v1/take",
        post(|body: axum::body::Bytes| async move { body.len().to_string() }),
    )
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

    let answer = http()
        .get(host.url("/api/v1/thing"))
        .header("host", "evil.example")
        .bearer_auth(ADMIN)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 421);
    let answer = http()
        .get(host.url("/api/v1/thing"))
        .header("origin", "http://evil.example")
        .bearer_auth(ADMIN)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 403);
    let answer = http().post(host.url("/api/v1/take")).bearer_auth(READ).send().await.unwrap();
    assert_eq!(answer.status(), 403);
    let answer = http().get(host.url("/nowhere")).bearer_auth(ADMIN).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.json::<ErrorBody>().await.unwrap().error, "nothing at /nowhere");
    let answer = http().delete(host.url("/api/v1/thing")).bearer_auth(ADMIN).send().await.unwrap();
    assert_eq!(answer.status(), 405);
    assert_eq!(
        answer.json::<ErrorBody>().await.unwrap().error,
        "/api/v1/thing does not take DELETE"
    );
    let answer = http().get(host.url("/api/v1/thing")).bearer_auth(READ).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "thing");
}

#[tokio::test]
async fn bodies_and_headers_are_bounded() {
    let host = served(app(), Bounds::default()).await;
    let post = |bytes: usize| {
        http()
            .post(host.url("/api/v1/take"))
            .bearer_auth(ADMIN)
            .body(vec![b'x'; bytes])
            .send()
    };
    assert_eq!(post(8 << 20).await.unwrap().text().await.unwrap(), (8 << 20).to_string());
    // The host answers before it has read it all: a client still writing may see the connection end instead.
    if let Ok(answer) = post((8 << 20) + 1).await {
        assert_eq!(answer.status(), 413);
    }
    let answer = http()
        .get(host.url("/api/v1/thing"))
        .bearer_auth(ADMIN)
        .header("x-long", "x".repeat(64 << 10))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 431);
}

#[tokio::test]
async fn a_client_that_sends_no_request_is_dropped() {
    let bounds = Bounds {
        header_time: Duration::from_millis(50),
        ..Bounds::default()
    };
    let host = served(app(), bounds).await;
    let mut slow = TcpStream::connect(host.address).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nhost: ").await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), slow.read_to_end(&mut rest))
        .await
        .expect("the host ends it")
        .unwrap();
}

#[tokio::test]
async fn connections_past_the_bound_wait_for_a_place() {
    let host = served(
        app(),
        Bounds {
            connections: 1,
            ..Bounds::default()
        },
    )
    .await;
    let mut first = TcpStream::connect(host.address).await.unwrap();
    let request = format!(
        "GET /api/v1/thing HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {READ}\r\n\r\n",
        host.address
    );
    first.write_all(request.as_bytes()).await.unwrap();
    let mut some = [0; 64];
    assert!(first.read(&mut some).await.unwrap() > 0);
    // The first keeps its place while it lives; the second is answered once it is gone.
    let mut second = TcpStream::connect(host.address).await.unwrap();
    second.write_all(request.as_bytes()).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(50), second.read(&mut some)).await;
    assert!(waited.is_err(), "answered beyond the bound");
    drop(first);
    let got = tokio::time::timeout(Duration::from_secs(10), second.read(&mut some))
        .await
        .expect("a place")
        .unwrap();
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
            let answer = sse::follow(
                &places,
                &stopping,
                vec![sse::frame(Some(1), "line", &"first")],
                sender.subscribe(),
                |line: String| Some(sse::frame(Some(2), "line", &line)),
            );
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
    tokio::time::timeout(Duration::from_secs(10), host.task)
        .await
        .expect("served to the end")
        .unwrap();
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
    let task = tokio::spawn(serve::serve(
        listener,
        guarded(app, access, Via::Socket),
        Bounds::default(),
        stopping,
    ));
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
    assert_eq!(
        sse::frame(Some(7), "line", &"two\nlines"),
        "id: 7\nevent: line\ndata: \"two\\nlines\"\n\n"
    );
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

#[test]
fn ready_is_neither_starting_nor_stopping() {
    assert_eq!(readiness(true, false).unwrap(), "ready\n");
    assert_eq!(readiness(false, false).unwrap_err().status, 503);
    assert_eq!(readiness(true, true).unwrap_err().body.error, "stopping");
}

#[test]
fn every_endpoint_is_described() {
    let document = serde_json::to_value(openapi()).unwrap();
    let mut described: Vec<String> = Vec::new();
    let mut ids = std::collections::HashSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            described.push(format!("{} {path}", method.to_uppercase()));
            assert!(
                !operation["summary"].as_str().unwrap_or_default().is_empty(),
                "{path} has no summary"
            );
            assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{path}: {}", operation["tags"]);
            assert!(
                ids.insert(operation["operationId"].to_string()),
                "{path}: {} twice",
                operation["operationId"]
            );
            if method != "get" {
                assert_eq!(operation["security"], serde_json::json!([{ "admin": [] }]), "{method} {path}");
            }
            let open = path == "/healthz" || path == "/readyz";
            let responses = operation["responses"].as_object().unwrap();
            assert_eq!(responses.contains_key("401"), !open, "{path} tells when a token is needed");
            assert_eq!(
                operation["security"] == serde_json::json!([{}]),
                open,
                "{path}: {}",
                operation["security"]
            );
        }
    }
    described.sort();
    let mut expected = vec![
        "DELETE /api/v1/workers/{name}",
        "GET /api/v1/checks",
        "GET /api/v1/checks/history",
        "GET /api/v1/events",
        "GET /api/v1/events/stream",
        "GET /api/v1/host",
        "GET /api/v1/openapi.json",
        "GET /api/v1/problems",
        "GET /api/v1/traps",
        "GET /api/v1/traps/{id}",
        "GET /api/v1/workers",
        "GET /api/v1/workers/{name}",
        "GET /api/v1/workers/{name}/logs",
        "GET /api/v1/workers/{name}/why",
        "GET /healthz",
        "GET /metrics",
        "GET /readyz",
        "POST /api/v1/apply",
        "POST /api/v1/diff",
        "POST /api/v1/undo",
        "POST /api/v1/workers/{name}/call",
        "POST /api/v1/workers/{name}/drain",
        "POST /api/v1/workers/{name}/pause",
        "POST /api/v1/workers/{name}/restart",
        "POST /api/v1/workers/{name}/resume",
        "POST /api/v1/workers/{name}/scale",
        "POST /api/v1/workers/{name}/tick",
    ];
    expected.sort_unstable();
    assert_eq!(described, expected);

    let schemes = document["components"]["securitySchemes"].as_object().unwrap();
    assert_eq!(schemes.keys().collect::<Vec<_>>(), ["admin", "read"]);
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for name in [
        "WorkerView",
        "CheckView",
        "EventRecord",
        "TrapRecord",
        "Plan",
        "Problem",
        "Why",
        "HostView",
        "ErrorBody",
        "LogLine",
        "HistoryPoint",
    ] {
        assert!(schemas.contains_key(name), "{name} has no schema");
    }
    // Every reference leads somewhere.
    let text = document.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name} is referred to but not there");
    }
}

#[test]
fn errors_of_the_rooms_get_their_status() {
    let problem = Problem {
        file: "a.toml".into(),
        line: 1,
        column: 0,
        worker: None,
        field: None,
        message: "x".into(),
        hint: None,
    };
    let error = ApiError::from(FleetError::Invalid(vec![problem.clone()]));
    assert_eq!((error.status.as_u16(), &error.body.problems[..]), (422, &[problem][..]));
    assert_eq!(ApiError::from(FleetError::NotFound("no worker".into())).status, 404);
    assert_eq!(ApiError::from(FleetError::Conflict("read-only".into())).status, 409);
    let error = ApiError::from(FleetError::Conflict("read-only".into()));
    assert_eq!(serde_json::to_string(&error.body).unwrap(), r#"{"error":"read-only"}"#);
}

#[test]
fn a_name_that_is_not_there_suggests_one() {
    let names = ["pages", "pinger/nas", "pinger/router", "counter"];
    let say = |name: &str| suggest(name, names.iter().copied());
    assert_eq!(say("page").as_deref(), Some("did you mean \"pages\"?"));
    assert_eq!(say("conuter").as_deref(), Some("did you mean \"counter\"?"));
    assert_eq!(
        say("pinger").as_deref(),
        Some("\"pinger\" has one worker an item: pinger/nas, pinger/router")
    );
    assert_eq!(say("unlike-any"), None);
    assert_eq!(say(""), None);
}

pub fn worker(name: &str, state: WorkerState) -> WorkerView {
    let at: Timestamp = "2026-11-21T06:00:00Z".parse().unwrap();
    WorkerView {
        name: name.into(),
        title: None,
        group: None,
        notes: None,
        component: "poller.wasm".into(),
        digest: Some(Digest(format!("sha256:{}", "ab".repeat(32)).into())),
        state,
        replicas: ReplicaCount {
            desired: 1,
            running: u32::from(state == WorkerState::Running),
        },
        incarnation: 3,
        restarts: 2,
        last_error: None,
        config: Arc::new(serde_json::json!({ "urls": ["https://example.com"] })),
        schedule: Some(ScheduleView {
            every: Some("30s".into()),
            cron: None,
            next: Some("2026-11-21T06:03:12Z".parse().unwrap()),
            lateness_ms: Some(1.5),
            missed: 4,
        }),
        since: at,
        instance: InstanceMode::PerEvent,
        events: EventCounts {
            ok: 10,
            failed: 1,
            trapped: 2,
        },
        memory_peak_bytes: 3 << 20,
        file: "watch.toml".into(),
        line: 1,
        held_back: None,
    }
}

pub fn check(worker: &str, subject: &str, status: CheckStatus) -> CheckView {
    CheckView {
        worker: worker.into(),
        subject: subject.into(),
        status,
        latency_ms: Some(12.5),
        since: "2026-11-21T05:00:00Z".parse().unwrap(),
        uptime: Some(0.99996),
        coverage: 0.5,
        last: Some("2026-11-21T06:02:50Z".parse().unwrap()),
        detail: "status 200".into(),
        evidence: Some(Evidence {
            certificate_expires: Some("2026-12-01T00:00:00Z".parse().unwrap()),
            ..Evidence::default()
        }),
        confirming: 0,
        recent: Vec::new(),
    }
}

#[test]
fn metrics_are_prometheus_text() {
    let workers = [
        worker("pages", WorkerState::Running),
        worker("pinger/nas", WorkerState::Quarantined),
    ];
    let subject = "https://example.com/?q=\"a\\b\"\nx";
    let checks = [
        check("pages", subject, CheckStatus::Down),
        check("pinger/nas", "nas", CheckStatus::Unknown),
    ];
    let text = metrics::render(&metrics::Snapshot {
        version: "0.1.0",
        started: "2026-11-21T06:00:00Z".parse().unwrap(),
        now: "2026-11-21T06:00:30Z".parse().unwrap(),
        generation: 4,
        ready: true,
        problems: 2,
        store_dropped: 0,
        resident_bytes: Some(1024),
        workers: &workers,
        checks: &checks,
    });
    for line in [
        "skep_build_info{version=\"0.1.0\"} 1",
        "skep_uptime_seconds 30",
        "skep_generation 4",
        "skep_manifest_problems 2",
        "skep_workers{state=\"running\"} 1",
        "skep_workers{state=\"quarantined\"} 1",
        "skep_workers{state=\"failed\"} 0",
        "skep_restarts_total 4",
        "skep_events_total{result=\"ok\"} 20",
        "skep_events_total{result=\"trapped\"} 4",
        "skep_tick_lateness_max_seconds 0.0015",
        "skep_worker_up{worker=\"pages\"} 1",
        "skep_worker_up{worker=\"pinger/nas\"} 0",
        "skep_worker_events_total{worker=\"pages\",result=\"failed\"} 1",
        "skep_worker_ticks_missed_total{worker=\"pages\"} 4",
        "skep_checks{status=\"down\"} 1",
        "skep_check_up{worker=\"pages\",subject=\"https://example.com/?q=\\\"a\\\\b\\\"\\nx\"} 0",
        "skep_check_latency_seconds{worker=\"pinger/nas\",subject=\"nas\"} 0.0125",
        "skep_check_certificate_expiry_timestamp_seconds{worker=\"pinger/nas\",subject=\"nas\"} 1796083200",
        "skep_store_dropped_total 0",
        "process_resident_memory_bytes 1024",
    ] {
        assert!(text.lines().any(|found| found == line), "no line {line} in\n{text}");
    }
    // Unknown is neither up nor down.
    assert!(!text.contains("skep_check_up{worker=\"pinger/nas\""));
    // The format: every sample belongs to the family above it, and no family comes twice.
    let mut family = String::new();
    let mut families = std::collections::HashSet::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().unwrap().to_owned();
            assert!(families.insert(family.clone()), "{family} twice");
        } else if !line.starts_with("# TYPE ") {
            let name = line.split(['{', ' ']).next().unwrap();
            assert_eq!(name, family, "{line}");
            assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
        }
    }
    assert!(metrics::resident_bytes().unwrap() > 1 << 20);
}
