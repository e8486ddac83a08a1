//! A web site of the tests' own on loopback: answers what it is told, counts what it sees, and can go away.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, runtime::Runtime};

pub struct Site {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

#[derive(Default)]
pub struct Shared {
    pub status: AtomicU16,
    /// Milliseconds before each answer.
    pub delay_ms: AtomicU64,
    pub requests: AtomicUsize,
    pub connections: AtomicUsize,
    pub body: Mutex<Vec<u8>>,
    pub location: Mutex<Option<String>>,
    /// Paths and Host headers seen, oldest first.
    pub seen: Mutex<Vec<String>>,
    /// What was sent here, oldest first.
    pub posts: Mutex<Vec<Post>>,
}

/// A request with a body.
#[derive(Clone)]
pub struct Post {
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Post {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON: {error}\n{}", String::from_utf8_lossy(&self.body)))
    }
}

impl Site {
    pub fn up() -> Self {
        Self::on("127.0.0.1:0".parse().unwrap())
    }

    /// On an address that is known: a site that comes back.
    pub fn on(address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let shared = Arc::new(Shared { status: AtomicU16::new(200), body: Mutex::new(b"all is well".to_vec()), ..Shared::default() });
        let listener = runtime.block_on(TcpListener::bind(address)).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(serve(listener, shared.clone()));
        Self { address, shared, runtime: Some(runtime) }
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    pub fn answer(&self, status: u16) {
        self.shared.status.store(status, Ordering::SeqCst);
    }

    pub fn delay(&self, delay: Duration) {
        self.shared.delay_ms.store(delay.as_millis() as u64, Ordering::SeqCst);
    }

    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    pub fn posts(&self) -> Vec<Post> {
        self.shared.posts.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Takes the site away: the port refuses connections from now on.
    pub fn down(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.down();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let shared = shared.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| respond(request, shared.clone()));
            // A client that hangs up is none of the site's business.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn respond(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Full<Bytes>>, Infallible> {
    shared.requests.fetch_add(1, Ordering::SeqCst);
    let host = request.headers().get("host").and_then(|host| host.to_str().ok()).unwrap_or("no host").to_owned();
    shared.seen.lock().unwrap().push(format!("{host} {}", request.uri().path()));
    let delay = shared.delay_ms.load(Ordering::SeqCst);
    if delay > 0 {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    if !body.is_empty() {
        shared.posts.lock().unwrap().push(Post { headers: head.headers, body });
    }
    let mut response = Response::builder().status(shared.status.load(Ordering::SeqCst));
    if let Some(location) = shared.location.lock().unwrap().as_ref() {
        response = response.header("location", location);
    }
    let body = Bytes::from(shared.body.lock().unwrap().clone());
    Ok(response.body(Full::new(body)).unwrap())
}
