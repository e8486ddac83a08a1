//! An ingress on a free port whose workers are the test itself, and a client that sees every byte.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use jiff::Timestamp;
use skep::{
    api::{Bounds as Connections, serve},
    clock::Clock,
    manifest::{Parser, spec::WorkerSpec},
    supervise::SuperviseError,
    trigger::ingress::{Backend, Bounds, End, Ingress, MAX_HEAD_BYTES},
    worker::{Answer, Exchange, HttpEvent},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::timeout,
};
use wasmtime_wasi_http::{Error, WasiBody};

pub const LONG: Duration = Duration::from_secs(30);

/// A request as its worker gets it.
pub struct Asked {
    pub worker: String,
    pub event: Box<HttpEvent>,
    end: oneshot::Sender<Result<Answer, SuperviseError>>,
}

impl Asked {
    pub fn take(&self) -> Exchange {
        self.event.exchange.lock().unwrap().take().expect("taken once")
    }

    pub fn end(self, how: Result<Answer, SuperviseError>) {
        // The client may be gone.
        let _ = self.end.send(how);
    }

    pub fn well(self) {
        self.end(Ok(Ok(Vec::new())));
    }

    /// Answers whole and ends well.
    pub fn answer(self, status: u16, body: &str) {
        let exchange = self.take();
        let response = http::Response::builder().status(status).body(full(body)).unwrap();
        let _ = exchange.respond.send(Ok(response));
        self.well();
    }

    /// Ends when whoever waits has gone.
    pub async fn left(&mut self) {
        timeout(LONG, self.end.closed()).await.expect("somebody still waits");
    }
}

pub fn full(body: &str) -> WasiBody {
    Full::new(Bytes::from(body.to_owned())).map_err(|never| match never {}).boxed_unsync()
}

/// A body as a guest writes it: it ends when the sender is dropped, whatever became of the guest.
pub fn pipe() -> (mpsc::Sender<Bytes>, WasiBody) {
    let (send, receive) = mpsc::channel::<Bytes>(4);
    let frames = futures_util::stream::unfold(receive, |mut receive| async move {
        receive.recv().await.map(|data| (Ok::<_, Error>(Frame::data(data)), receive))
    });
    (send, StreamBody::new(frames).boxed_unsync())
}

struct Fake {
    asked: mpsc::UnboundedSender<Asked>,
    next_try: Mutex<Option<Timestamp>>,
}

impl Backend for Fake {
    fn request(&self, worker: &str, event: Box<HttpEvent>) -> Result<End, SuperviseError> {
        if worker == "down" {
            return Err(SuperviseError::Refused("worker \"down\" is quarantined; skep why down says why".into()));
        }
        let (end, ended) = oneshot::channel();
        self.asked.send(Asked { worker: worker.to_owned(), event, end }).unwrap();
        Ok(ended)
    }

    fn next_try(&self, _: &str) -> Option<Timestamp> {
        *self.next_try.lock().unwrap()
    }
}

pub struct Served {
    pub ingress: Ingress,
    pub address: SocketAddr,
    pub asked: mpsc::UnboundedReceiver<Asked>,
    pub stop: watch::Sender<bool>,
    pub task: JoinHandle<()>,
    fake: Arc<Fake>,
}

pub fn specs(text: &str) -> Vec<Arc<WorkerSpec>> {
    let parsed = Parser::new(None).parse("test.toml", text);
    parsed.spec.unwrap_or_else(|| panic!("{:?}", parsed.problems)).workers
}

/// One worker with the route `/NAME`.
pub fn worker(name: &str, more: &str, http: &str) -> String {
    format!("[[worker]]\nname = \"{name}\"\ncomponent = \"{name}.wasm\"\n{more}\nhttp = {{ routes = [\"/{name}\"]{http} }}\n")
}

pub async fn serving(text: &str) -> Served {
    bounded(text, Bounds::default()).await
}

pub async fn bounded(text: &str, bounds: Bounds) -> Served {
    with(text, bounds, Connections { header_bytes: MAX_HEAD_BYTES, ..Connections::default() }).await
}

pub async fn connected(text: &str, connections: Connections) -> Served {
    with(text, Bounds::default(), connections).await
}

async fn with(text: &str, bounds: Bounds, connections: Connections) -> Served {
    let (send, asked) = mpsc::unbounded_channel();
    let fake = Arc::new(Fake { asked: send, next_try: Mutex::default() });
    let ingress = Ingress::new(fake.clone(), Clock::system(), bounds);
    for spec in specs(text) {
        ingress.set(&spec);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopping) = watch::channel(false);
    let task = tokio::spawn(serve::serve_with(listener, ingress.clone(), connections, stopping));
    Served { ingress, address, asked, stop, task, fake }
}

impl Served {
    pub fn retry_in(&self, time: Duration) {
        *self.fake.next_try.lock().unwrap() = Some(Clock::system().wall() + time);
    }

    pub async fn next(&mut self) -> Asked {
        timeout(LONG, self.asked.recv()).await.expect("no request comes").unwrap()
    }

    pub async fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).await.unwrap();
        Client { stream, read: Vec::new() }
    }

    /// Sends one request without a body and reads its answer, which no worker gives.
    pub async fn told(&self, line: &str, headers: &str) -> Told {
        let mut client = self.connect().await;
        client.send(&format!("{line} HTTP/1.1\r\nHost: test\r\n{headers}\r\n")).await;
        client.answer().await
    }
}

pub struct Client {
    pub stream: TcpStream,
    read: Vec<u8>,
}

/// An answer with a length.
#[derive(Debug)]
pub struct Told {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Told {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The sentence of a refusal.
    pub fn error(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        body["error"].as_str().unwrap().to_owned()
    }
}

impl Client {
    pub async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// GET, on a connection that stays.
    pub async fn get(&mut self, path: &str) {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
    }

    /// Reads until `end` has come, and answers all up to there.
    pub async fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|window| window == end.as_bytes()) {
                let taken = self.read.drain(..at + end.len()).collect();
                return String::from_utf8(taken).unwrap();
            }
            assert!(self.more().await, "the connection ended before {end:?}: {:?}", String::from_utf8_lossy(&self.read));
        }
    }

    /// Reads to the connection's end.
    pub async fn rest(&mut self) -> String {
        while self.more().await {}
        String::from_utf8(std::mem::take(&mut self.read)).unwrap()
    }

    async fn more(&mut self) -> bool {
        let mut buffer = [0; 16 << 10];
        // A reset is an end, too.
        let read = timeout(LONG, self.stream.read(&mut buffer)).await.expect("nothing comes").unwrap_or(0);
        self.read.extend_from_slice(&buffer[..read]);
        read > 0
    }

    pub async fn answer(&mut self) -> Told {
        let head = self.until("\r\n\r\n").await;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut told = Told { status, head, body: String::new() };
        let length: usize = told.header("content-length").unwrap_or_else(|| panic!("no length: {told:?}")).parse().unwrap();
        while self.read.len() < length {
            assert!(self.more().await, "the answer is cut short: {told:?}");
        }
        told.body = String::from_utf8(self.read.drain(..length).collect()).unwrap();
        told
    }
}
