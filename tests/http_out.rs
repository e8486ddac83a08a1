//! Outbound HTTP against real servers on loopback, driven the way wasmtime-wasi-http drives it.

// Bounds: bodies, requests in flight, heads, limiter waits, timeouts.
mod bounds;
// Which requests and addresses are granted, and how refusals read.
mod grants;
// Other workers of this host.
mod internal;
// Whose secrets go where, and that they are masked everywhere else.
mod secrets;
// Reused and fresh connections; pools that never mix.
mod pools;
// What the ledger says of a request.
mod seen;
// 429 and Retry-After, told to named limiters.
mod throttled;
// Certificates, authorities, HTTP/2.
mod tls;

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, header::HeaderMap};
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Frame, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use skep::{
    capability::http::{Client, Hooks, Ledger, Outbound, Resolve, Settings},
    clock::Clock,
    limiter::Limiter,
    manifest::spec::{Destination, Host, HttpGrant},
};
use tokio::net::TcpListener;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

/// A grant as a manifest would write it: origins, hosts, networks.
fn grant(allow: &[&str]) -> HttpGrant {
    HttpGrant {
        allow: allow.iter().map(|text| destination(text)).collect(),
        methods: vec![],
        paths: vec![],
        rate: None,
        limiter: None,
        lan: false,
        ca: None,
        verify: true,
        keep_alive: true,
    }
}

fn destination(text: &str) -> Destination {
    let host = |text: &str| match text.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => Host::Address(address),
        Err(_) => Host::Name(text.to_owned()),
    };
    if let Some((scheme, authority)) = text.split_once("://") {
        let default = if scheme == "https" { 443 } else { 80 };
        let (name, port) = match authority.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, port.parse().unwrap()),
            _ => (authority, default),
        };
        return Destination::Origin { scheme: scheme.to_owned(), host: host(name), port };
    }
    match (text.strip_prefix("worker:"), text.parse()) {
        (Some(name), _) => Destination::Worker(name.to_owned()),
        (None, Ok(network)) if text.contains('/') => Destination::Cidr(network),
        _ => Destination::Host(host(text)),
    }
}

/// A host with one worker, `pages`, and what its log would say.
struct Worker {
    outbound: Arc<Outbound>,
    ledger: Arc<Ledger>,
    told: Arc<Mutex<Vec<String>>>,
    client: Arc<Client>,
    _folder: Option<tempfile::TempDir>,
}

fn settings(folder: &std::path::Path) -> Settings {
    Settings::new(folder.join("manifests"), folder.join("secrets"))
}

/// A client over an empty data folder.
fn client() -> (Arc<Client>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Client::new(settings(folder.path()), Clock::system()), folder)
}

impl Worker {
    fn of(client: &Arc<Client>, grant: &HttpGrant, limiter: Option<Limiter>) -> Self {
        let outbound = client.outbound("pages", Some(grant), limiter).unwrap();
        Self { outbound, ledger: Arc::default(), told: Arc::default(), client: client.clone(), _folder: None }
    }

    fn granted(grant: &HttpGrant) -> Self {
        let (client, folder) = client();
        Self { _folder: Some(folder), ..Self::of(&client, grant, None) }
    }

    fn with(grant: &HttpGrant, change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(folder.path());
        change(&mut settings);
        Self { _folder: Some(folder), ..Self::of(&Client::new(settings, Clock::system()), grant, None) }
    }

    /// With names that resolve as `names` says.
    fn resolving(grant: &HttpGrant, names: &Names) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let client = Client::with_resolver(settings(folder.path()), Clock::system(), Arc::new(names.clone()));
        Self { _folder: Some(folder), ..Self::of(&client, grant, None) }
    }

    fn hooks(&self) -> Hooks {
        let told = self.told.clone();
        let report = Arc::new(move |sentence: &str| told.lock().unwrap().push(sentence.to_owned()));
        Hooks::new(self.outbound.clone(), self.ledger.clone()).reporting(report)
    }

    /// Sends as the crate would, in a task of its own.
    async fn send(&self, request: Request<WasiBody>, options: RequestOptions) -> Result<Response<WasiBody>, Error> {
        let future = Pin::from(self.hooks().send_request(request, Some(options), Box::new(async { Ok(()) })));
        tokio::spawn(future).await.unwrap().map(|(response, _)| response)
    }

    async fn head(&self, url: &str) -> Result<Response<WasiBody>, Error> {
        self.send(get(url), RequestOptions::default()).await
    }

    async fn get(&self, url: &str) -> Result<(u16, String), Error> {
        read(self.head(url).await?).await
    }

    /// The last sentence in the worker's log.
    fn told(&self) -> String {
        self.told.lock().unwrap().last().cloned().unwrap_or_default()
    }
}

fn get(url: &str) -> Request<WasiBody> {
    Request::get(url).body(Empty::new().map_err(|never| match never {}).boxed_unsync()).unwrap()
}

fn post(url: &str, bytes: usize) -> Request<WasiBody> {
    let chunks = (0..bytes.div_ceil(10_000)).map(move |n| Ok(Frame::data(Bytes::from(vec![b'x'; 10_000.min(bytes - n * 10_000)]))));
    Request::post(url).body(StreamBody::new(futures_util::stream::iter(chunks)).boxed_unsync()).unwrap()
}

async fn read(response: Response<WasiBody>) -> Result<(u16, String), Error> {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// Names that resolve as the test says: one answer a lookup, the last one again and again.
#[derive(Clone, Default)]
struct Names {
    answers: Arc<Mutex<HashMap<String, Vec<Vec<IpAddr>>>>>,
    lookups: Arc<AtomicUsize>,
}

impl Names {
    fn with(self, name: &str, answers: &[&[&str]]) -> Self {
        let answers = answers.iter().map(|answer| answer.iter().map(|ip| ip.parse().unwrap()).collect()).rev().collect();
        self.answers.lock().unwrap().insert(name.to_owned(), answers);
        self
    }
}

impl Resolve for Names {
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        self.lookups.fetch_add(1, Ordering::Relaxed);
        let mut answers = self.answers.lock().unwrap();
        if host == "silent.test" {
            return Box::pin(std::future::pending());
        }
        let found = answers.get_mut(host).map(|left| if left.len() > 1 { left.pop().unwrap() } else { left[0].clone() });
        let missing = || io::Error::other("failed to lookup address information: Name or service not known");
        Box::pin(std::future::ready(found.map(|ips| ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect()).ok_or_else(missing)))
    }
}

/// A server on loopback; its paths do what they say.
struct Server {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    /// Heads of the requests it got: request line and headers.
    heads: Arc<Mutex<Vec<(String, HeaderMap)>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Answer = UnsyncBoxBody<Bytes, io::Error>;

impl Server {
    async fn plain() -> Self {
        Self::start(None).await
    }

    async fn start(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (accepted, heads) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (counted, written) = (accepted.clone(), heads.clone());
        let task = tokio::spawn(async move {
            // Its connections end with it.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let (tls, heads) = (tls.clone(), written.clone());
                let service = service_fn(move |request| answer(request, heads.clone()));
                connections.spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    match tls {
                        None => drop(server.serve_connection(TokioIo::new(stream), service).await),
                        Some(config) => {
                            if let Ok(stream) = tokio_rustls::TlsAcceptor::from(config).accept(stream).await {
                                drop(server.serve_connection(TokioIo::new(stream), service).await);
                            }
                        }
                    }
                });
            }
        });
        Self { address, accepted, heads, task }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn named(&self, name: &str, path: &str) -> String {
        format!("http://{name}:{}{path}", self.address.port())
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    fn last_head(&self) -> (String, HeaderMap) {
        self.heads.lock().unwrap().last().cloned().unwrap()
    }
}

async fn answer(request: Request<Incoming>, heads: Arc<Mutex<Vec<(String, HeaderMap)>>>) -> Result<Response<Answer>, io::Error> {
    let line = format!("{} {} {:?}", request.method(), request.uri(), request.version());
    heads.lock().unwrap().push((line, request.headers().clone()));
    let path = request.uri().path().to_owned();
    let full = |text: &str| Full::new(Bytes::from(text.to_owned())).map_err(|never| match never {}).boxed_unsync();
    let body = match path.as_str() {
        "/silent" => std::future::pending().await,
        "/stalls" => {
            let first = futures_util::stream::iter([Ok(Frame::data(Bytes::from_static(b"some")))]);
            StreamBody::new(futures_util::StreamExt::chain(first, futures_util::stream::pending())).boxed_unsync()
        }
        "/endless" => {
            let chunk = Bytes::from(vec![b'y'; 8192]);
            StreamBody::new(futures_util::stream::repeat_with(move || Ok(Frame::data(chunk.clone())))).boxed_unsync()
        }
        "/echo" if request.method() == Method::POST => {
            let length = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes().len();
            full(&length.to_string())
        }
        "/authorization" => full(request.headers().get("authorization").map_or("", |value| value.to_str().unwrap())),
        "/broken" => {
            let text = full("out of\u{7}order: no space left\n");
            return Ok(Response::builder().status(503).body(text).unwrap());
        }
        "/says" => {
            let query = request.uri().query().unwrap().replace('+', " ");
            let (status, retry_after) = query.split_once('=').unwrap();
            return Ok(Response::builder().status(status).header("retry-after", retry_after).body(full("")).unwrap());
        }
        "/long-head" => {
            let long = "z".repeat(100_000);
            return Ok(Response::builder().header("x-long", long).body(full("")).unwrap());
        }
        _ => full("hello"),
    };
    Ok(Response::new(body))
}

/// Waits for something that another task is about to do.
async fn until(what: &str, done: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while !done() {
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_granted_request_reaches_the_server_with_its_host_header() {
    let server = Server::plain().await;
    let worker = Worker::granted(&grant(&[&server.url("")]));
    assert_eq!(worker.get(&server.url("/page?q=1")).await.unwrap(), (200, "hello".to_owned()));
    let (line, headers) = server.last_head();
    assert_eq!(line, "GET /page?q=1 HTTP/1.1");
    assert_eq!(headers["host"], server.address.to_string());
    assert_eq!(headers.get_all("host").iter().count(), 1);

    worker.get(&server.url("?only=query")).await.unwrap();
    assert_eq!(server.last_head().0, "GET /?only=query HTTP/1.1");
    worker.get(&server.url("")).await.unwrap();
    assert_eq!(server.last_head().0, "GET / HTTP/1.1");
    assert_eq!(read(worker.send(post(&server.url("/echo"), 25_000), RequestOptions::default()).await.unwrap()).await.unwrap().1, "25000");
    assert!(worker.told.lock().unwrap().is_empty(), "nothing to say about what went well");
}

#[tokio::test]
async fn a_redirect_is_handed_to_the_guest_and_its_target_decided_anew() {
    let elsewhere = Server::plain().await;
    let worker = Worker::granted(&grant(&["http://127.0.0.1:1"]));
    let refused = worker.get(&elsewhere.url("/")).await.unwrap_err();
    assert!(matches!(refused, Error::HttpRequestDenied));
    assert_eq!(elsewhere.accepted(), 0);
}

/// Run in a process of its own, because the environment belongs to all tests.
#[test]
fn proxy_variables_are_ignored() {
    const CHILD: &str = "SKEP_TEST_BEHIND_PROXY";
    if std::env::var_os(CHILD).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::plain().await;
            let worker = Worker::granted(&grant(&[&server.url("")]));
            assert_eq!(worker.get(&server.url("/")).await.unwrap().1, "hello");
        });
        return;
    }
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    for variable in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env(variable, "http://127.0.0.1:9");
    }
    let output =
        command.env(CHILD, "1").env_remove("no_proxy").args(["--exact", "http_out::proxy_variables_are_ignored"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
