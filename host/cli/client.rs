//! Talking to a host: the data folder's socket, or HTTP with a token. Must not print.

use std::{
    collections::VecDeque,
    error::Error as _,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::{StreamExt, stream::BoxStream};
use reqwest::{Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;

use super::failure::{Code, Failure};
use crate::{
    api::ErrorBody,
    config::{Address, SOCKET},
};

const CONNECT_TIME: Duration = Duration::from_secs(5);
/// Longer than the host takes at most.
const ANSWER_TIME: Duration = Duration::from_secs(150);
/// One streamed event; records are far smaller.
const MAX_FRAME_BYTES: usize = 4 << 20;

/// Where a host answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Socket(PathBuf),
    /// `http://host:port`, no slash at the end.
    Http(String),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Http(base) => f.write_str(base),
        }
    }
}

impl Place {
    /// `--admin`, else SKEP_ADMIN, else the socket in the data folder.
    pub fn resolve(flag: Option<&str>, variable: Option<&str>, data: &Path) -> Result<Self, Failure> {
        let Some(text) = flag.or(variable).filter(|text| !text.is_empty()) else {
            return Ok(Self::Socket(data.join(SOCKET)));
        };
        let usage = |message: String| Failure::new(Code::Usage, message).hint("write a URL like http://127.0.0.1:7700");
        if text.starts_with("https://") {
            return Err(usage(format!("{text}: this CLI does not speak TLS to a host; use the host's own address or its socket")));
        }
        // The same variable tells `skep up` what to bind: an address is as good as its URL.
        let base = if text.parse::<Address>().is_ok() { format!("http://{text}") } else { text.to_owned() };
        match base.parse::<http::Uri>() {
            Ok(uri) if uri.scheme_str() == Some("http") && uri.path() == "/" && uri.query().is_none() => {
                Ok(Self::Http(base.trim_end_matches('/').to_owned()))
            }
            _ => Err(usage(format!("\"{text}\" is not a host's URL"))),
        }
    }
}

pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
    place: Place,
}

impl Client {
    pub fn new(place: Place, token: Option<String>) -> Result<Self, Failure> {
        // The environment's proxies are for other servers.
        let builder = reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_TIME).redirect(reqwest::redirect::Policy::none());
        let (builder, base) = match &place {
            Place::Socket(path) => (builder.unix_socket(path.as_path()), "http://localhost".to_owned()),
            Place::Http(base) => (builder, base.clone()),
        };
        let http = builder.build().map_err(|error| Failure::new(Code::Failed, format!("no HTTP client: {error}")))?;
        Ok(Self { http, base, token: token.filter(|token| !token.is_empty()), place })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}/api/v1/{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, Failure> {
        self.json(self.request(Method::GET, path).query(query)).await
    }

    pub async fn post<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)], body: Vec<u8>) -> Result<T, Failure> {
        self.json(self.request(Method::POST, path).query(query).body(body)).await
    }

    pub async fn delete<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, Failure> {
        self.json(self.request(Method::DELETE, path).query(query)).await
    }

    pub async fn post_json<T: DeserializeOwned>(&self, path: &str, body: &serde_json::Value) -> Result<T, Failure> {
        self.json(self.request(Method::POST, path).json(body)).await
    }

    pub async fn put_json<T: DeserializeOwned>(&self, path: &str, body: &serde_json::Value) -> Result<T, Failure> {
        self.json(self.request(Method::PUT, path).json(body)).await
    }

    /// A body of bytes as they are, with its options in the query.
    pub async fn bytes<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<T, Failure> {
        let request = self.request(method, path).query(query).header("content-type", "application/octet-stream");
        self.json(request.body(body)).await
    }

    /// A POST whose answer is bytes.
    pub async fn exchange(&self, path: &str, query: &[(&str, &str)], body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let response = self.send(self.request(Method::POST, path).query(query).body(body).timeout(ANSWER_TIME)).await?;
        response.bytes().await.map(Vec::from).map_err(|error| self.broken(&error))
    }

    /// Streams each event to `take` until the host ends the stream.
    pub async fn follow(
        &self,
        path: &str,
        query: &[(&str, &str)],
        mut take: impl FnMut(Frame) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut stream = self.open(path, query, MAX_FRAME_BYTES).await?;
        loop {
            take(stream.next().await?)?;
        }
    }

    /// A stream of events, none of them larger than `most` bytes.
    pub async fn open(&self, path: &str, query: &[(&str, &str)], most: usize) -> Result<Stream<'_>, Failure> {
        let request = self.request(Method::GET, path).query(query).header("accept", crate::api::sse::MEDIA_TYPE);
        let chunks = self.send(request).await?.bytes_stream().boxed();
        Ok(Stream { client: self, chunks, frames: Frames::new(most), ready: VecDeque::new() })
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        let response = self.send(request.timeout(ANSWER_TIME)).await?;
        let bytes = response.bytes().await.map_err(|error| self.broken(&error))?;
        // An answer without a body says nothing but that it is done.
        let text: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        serde_json::from_slice(text).map_err(|error| {
            Failure::new(Code::Failed, format!("what answers at {} is not this version of skep: {error}", self.place))
                .hint("compare `skep --version` with the host's")
        })
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|error| self.broken(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let bytes = response.bytes().await.unwrap_or_default();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| ErrorBody { error: format!("the host answered {status}"), ..ErrorBody::default() });
        Err(Failure::from_answer(status.as_u16(), body))
    }

    fn broken(&self, error: &reqwest::Error) -> Failure {
        let place = &self.place;
        if error.is_timeout() {
            return Failure::new(Code::Failed, format!("the host at {place} did not answer in time"));
        }
        if !error.is_connect() {
            return Failure::new(Code::Failed, format!("the connection to {place} broke: {}", innermost(error)));
        }
        if io_kind(error) == Some(io::ErrorKind::PermissionDenied) {
            return Failure::new(Code::Refused, format!("{place}: permission denied")).hint("run as the user or group the host runs as");
        }
        let failure = Failure::new(Code::NoHost, format!("no skep host answers at {place} — start one with: skep up"));
        match place {
            Place::Socket(_) => {
                failure.hint("if one runs, name its data folder with --data DIR or SKEP_DATA, or its address with --admin URL")
            }
            Place::Http(_) => failure.hint("the address comes from --admin or SKEP_ADMIN"),
        }
    }
}

/// Events as they come.
pub struct Stream<'a> {
    client: &'a Client,
    chunks: BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    frames: Frames,
    ready: VecDeque<Frame>,
}

impl Stream<'_> {
    /// The next event. Err: the stream broke, or the host ended it.
    pub async fn next(&mut self) -> Result<Frame, Failure> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Ok(frame);
            }
            let chunk = match self.chunks.next().await {
                Some(chunk) => chunk.map_err(|error| self.client.broken(&error))?,
                None => return Err(Failure::new(Code::NoHost, format!("the host at {} ended the stream", self.client.place))),
            };
            self.ready.extend(self.frames.push(&chunk)?);
        }
    }
}

fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        cause = error.source();
    }
    None
}

fn innermost(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}

/// A name as one path segment: the `/` of `pinger/nas` must not part it.
pub fn segment(name: &str) -> String {
    name.bytes().fold(String::with_capacity(name.len() + 4), |mut text, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => text.push(char::from(byte)),
            // A dot, too: `..` would be taken for the folder above.
            other => text.push_str(&format!("%{other:02X}")),
        }
        text
    })
}

/// `counter/2` is replica 2 of counter; `pinger/nas` is a worker, as names are never all digits.
pub fn replica_of(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once('/') {
        Some((worker, last)) if !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()) => (worker, Some(last)),
        _ => (name, None),
    }
}

/// One server-sent event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub event: String,
    pub data: String,
}

/// Cuts a byte stream into frames; comments are dropped.
#[derive(Debug)]
pub struct Frames {
    rest: Vec<u8>,
    /// As much of `rest` is known to hold no end of a frame: a large one comes in many pieces.
    searched: usize,
    most: usize,
}

impl Default for Frames {
    fn default() -> Self {
        Self::new(MAX_FRAME_BYTES)
    }
}

impl Frames {
    /// No frame may be larger than `most` bytes.
    pub fn new(most: usize) -> Self {
        Self { rest: Vec::new(), searched: 0, most }
    }

    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Frame>, Failure> {
        self.rest.extend_from_slice(bytes);
        let mut frames = Vec::new();
        let mut taken = 0;
        while let Some(end) = self.rest.get(self.searched..).and_then(|new| new.windows(2).position(|pair| pair == b"\n\n")) {
            let end = self.searched + end + 2;
            frames.extend(parse(&String::from_utf8_lossy(self.rest.get(taken..end).unwrap_or_default())));
            (taken, self.searched) = (end, end);
        }
        self.rest.drain(..taken);
        self.searched = self.rest.len().saturating_sub(1);
        if self.rest.len() > self.most {
            return Err(Failure::new(Code::Failed, format!("the host sent an event larger than {} MiB", self.most >> 20)));
        }
        Ok(frames)
    }
}

fn parse(block: &str) -> Option<Frame> {
    let mut event = String::new();
    let mut data: Option<String> = None;
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut event),
            "data" => match &mut data {
                None => data = Some(value.to_owned()),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
            },
            _ => {}
        }
    }
    data.map(|data| Frame { event, data })
}
