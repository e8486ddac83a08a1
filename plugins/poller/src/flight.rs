//! One URL under way: request, redirects, body. It never blocks: `pollables` says what it waits for, `advance` goes on.
//!
//! ```text
//! launch ──▶ Waiting ──headers──▶ Reading ──end, enough or too long──▶ done: Outcome
//!               ▲                    │
//!               └── another hop ◀────┘ (the answer was a redirect to follow)
//! ```
//!
//! Until headers come the host alone measures time, because it may let the request wait for a limiter, which counts in no timeout.

use std::time::Duration;

use crate::{
    bindings::wasi::{
        clocks::monotonic_clock,
        http::{
            outgoing_handler,
            types::{Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method, OutgoingRequest, RequestOptions, Scheme},
        },
        io::{
            poll::Pollable,
            streams::{InputStream, StreamError},
        },
    },
    config::Probe,
    failure::Failure,
    search::Search,
    url::{self, Url},
};

/// How much of a body is searched for `contains`.
const SEARCHED: usize = 1 << 20;
/// How much is read and thrown away so that the connection can serve the next request, and for how long.
const DRAINED: usize = 64 << 10;
const DRAIN_TIME: Duration = Duration::from_secs(1);
const PIECE: u64 = 64 << 10;

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// Of the last answer.
    pub status: u16,
    /// From the request to the last answer's headers, a limiter's wait included.
    pub elapsed: Duration,
    /// False: the text in `contains` is not there.
    pub contains: bool,
    pub redirects: u64,
    /// Where the last redirect led.
    pub landed: Option<Url>,
}

/// A URL on its way.
pub struct Flight<'p> {
    probe: &'p Probe,
    url: Url,
    redirects: u64,
    launched: u64,
    state: State,
}

enum State {
    Waiting(Waiting),
    Reading(Source, Rest),
    /// Only while [`Flight::advance`] runs, and after the end.
    Done,
}

// wasi traps when a resource goes before what came from it, and fields are dropped in order: children stand first in both structs.

/// A request whose headers have not come.
struct Waiting {
    ready: Pollable,
    future: FutureIncomingResponse,
}

/// An answer's body.
struct Source {
    ready: Pollable,
    late: Pollable,
    stream: InputStream,
    #[allow(dead_code, reason = "kept open for its stream")]
    body: IncomingBody,
}

/// What to do with a body, and after it.
struct Rest {
    status: u16,
    elapsed: Duration,
    search: Option<Search>,
    read: usize,
    next: Option<Url>,
}

impl<'p> Flight<'p> {
    /// Sends the first request.
    pub fn launch(probe: &'p Probe) -> Result<Self, Failure> {
        let launched = monotonic_clock::now();
        let state = send(probe, &probe.target, false)?;
        Ok(Self { probe, url: probe.target.clone(), redirects: 0, launched, state })
    }

    /// What this flight waits for.
    pub fn pollables(&self) -> impl Iterator<Item = &Pollable> {
        let pair = match &self.state {
            State::Waiting(waiting) => [Some(&waiting.ready), None],
            State::Reading(source, _) => [Some(&source.ready), Some(&source.late)],
            State::Done => [None, None],
        };
        pair.into_iter().flatten()
    }

    /// Goes on after one of the pollables was ready; an outcome or failure ends the flight.
    pub fn advance(&mut self) -> Option<Result<Outcome, Failure>> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Waiting(waiting) => match waiting.future.get() {
                None => {
                    self.state = State::Waiting(waiting);
                    None
                }
                Some(Ok(Ok(response))) => {
                    drop(waiting);
                    self.answered(&response)
                }
                Some(Ok(Err(code))) => Some(Err(self.told(code.into()))),
                Some(Err(())) => Some(Err(Failure::down("the host lost the answer"))),
            },
            State::Reading(source, rest) => self.read(source, rest),
            State::Done => None,
        }
    }

    /// Headers came: decides what the body is for.
    fn answered(&mut self, response: &IncomingResponse) -> Option<Result<Outcome, Failure>> {
        let elapsed = Duration::from_nanos(monotonic_clock::now().saturating_sub(self.launched));
        let rules = &self.probe.rules;
        let status = response.status();
        let next = match self.redirection(status, response) {
            Ok(next) => next,
            Err(failure) => return Some(Err(failure)),
        };
        let search = rules.contains.as_deref().filter(|_| next.is_none()).map(Search::new);
        let patience = if search.is_some() { rules.timeout } else { rules.timeout.min(DRAIN_TIME) };
        let rest = Rest { status, elapsed, search, read: 0, next };
        match Source::open(response, patience) {
            Some(source) => self.read(source, rest),
            None => self.finish(rest, Ok(())),
        }
    }

    /// Takes what has come of the body, until it is over, enough, or too late.
    fn read(&mut self, source: Source, mut rest: Rest) -> Option<Result<Outcome, Failure>> {
        let end = loop {
            if rest.is_enough() {
                break Ok(());
            }
            match source.stream.read(PIECE) {
                Ok(piece) if piece.is_empty() && source.late.ready() => break Err(Failure::down("no whole answer in time")),
                Ok(piece) if piece.is_empty() => {
                    self.state = State::Reading(source, rest);
                    return None;
                }
                Ok(piece) => rest.take(&piece),
                Err(StreamError::Closed) => break Ok(()),
                Err(StreamError::LastOperationFailed(_)) => break Err(Failure::down("answer ended early")),
            }
        };
        drop(source);
        self.finish(rest, end)
    }

    /// The body is done with: the next hop, or the outcome.
    fn finish(&mut self, rest: Rest, body: Result<(), Failure>) -> Option<Result<Outcome, Failure>> {
        if let Some(next) = rest.next {
            let as_get = rest.status == 303 || (rest.status < 303 && self.probe.rules.method == "POST");
            self.redirects += 1;
            self.url = next;
            return match send(self.probe, &self.url, as_get) {
                Ok(state) => {
                    self.state = state;
                    None
                }
                Err(failure) => Some(Err(self.told(failure))),
            };
        }
        // A body matters only where a text must stand in it; a drained one may end as it likes.
        let contains = match (&rest.search, body) {
            (Some(search), Ok(())) => search.found(),
            (Some(search), Err(_)) if search.found() => true,
            (Some(_), Err(failure)) if self.probe.rules.expect.allows(rest.status) => return Some(Err(self.told(failure))),
            (Some(_), Err(_)) => false,
            (None, _) => true,
        };
        let landed = (self.redirects > 0).then(|| self.url.clone());
        Some(Ok(Outcome { status: rest.status, elapsed: rest.elapsed, contains, redirects: self.redirects, landed }))
    }

    /// A failure with the way that led to it: after a redirect the URL in the config is not the one that failed.
    fn told(&self, failure: Failure) -> Failure {
        match self.redirects {
            0 => failure,
            1 => failure.and(&format!("after 1 redirect at {}", self.url)),
            times => failure.and(&format!("after {times} redirects at {}", self.url)),
        }
    }

    /// Where to go from this answer; none: it is the last one.
    fn redirection(&self, status: u16, response: &IncomingResponse) -> Result<Option<Url>, Failure> {
        let allowed = self.probe.rules.redirects;
        if allowed == 0 || !matches!(status, 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let Some(location) = response.headers().get("location").into_iter().next() else {
            return Ok(None);
        };
        let next = self.url.join(&location).map_err(|why| {
            let location: String = url::encode(&location).chars().take(200).collect();
            Failure::down(format!("redirected to \"{location}\", which {why}"))
        })?;
        if self.redirects >= allowed {
            return Err(Failure::down(format!("redirected more than {allowed} times; the next would be {next}")));
        }
        Ok(Some(next))
    }
}

impl Source {
    /// None: the answer has no body to read.
    fn open(response: &IncomingResponse, patience: Duration) -> Option<Self> {
        let body = response.consume().ok()?;
        let stream = body.stream().ok()?;
        Some(Self { ready: stream.subscribe(), late: monotonic_clock::subscribe_duration(nanoseconds(patience)), stream, body })
    }
}

impl Rest {
    fn take(&mut self, piece: &[u8]) {
        self.read = self.read.saturating_add(piece.len());
        if let Some(search) = &mut self.search {
            search.push(piece);
        }
    }

    fn is_enough(&self) -> bool {
        let searching = self.search.as_ref().is_some_and(|search| !search.found());
        self.read >= if searching { SEARCHED } else { DRAINED }
    }
}

/// Hands one request to the host. Configured headers go to the configured origin only: they may hold secrets.
fn send(probe: &Probe, url: &Url, as_get: bool) -> Result<State, Failure> {
    let rules = &probe.rules;
    let own: &[(String, String)] = if url.same_origin(&probe.target) { &rules.headers } else { &[] };
    let usual = [("user-agent", concat!("skep-poller/", env!("CARGO_PKG_VERSION"))), ("accept", "*/*")];
    let headers: Vec<(String, Vec<u8>)> = usual
        .into_iter()
        .filter(|(name, _)| own.iter().all(|(other, _)| other != name))
        .chain(own.iter().map(|(name, value)| (name.as_str(), value.as_str())))
        .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
        .collect();
    let fields = Fields::from_list(&headers).map_err(|_| Failure::untried("not tried: the host refused a header in config.headers"))?;

    let request = OutgoingRequest::new(fields);
    let method = if as_get && rules.method != "HEAD" { "GET" } else { &rules.method };
    let accepted = request.set_method(&named(method)).is_ok()
        && request.set_scheme(Some(if url.https { &Scheme::Https } else { &Scheme::Http })).is_ok()
        && request.set_authority(Some(&url.authority)).is_ok()
        && request.set_path_with_query(Some(&url.path)).is_ok();
    if !accepted {
        return Err(Failure::untried("not tried: the URL is not valid"));
    }

    let timeout = Some(nanoseconds(rules.timeout));
    let options = RequestOptions::new();
    // A host that can't do one of these has its own bounds.
    let _ = options.set_connect_timeout(timeout);
    let _ = options.set_first_byte_timeout(timeout);
    let _ = options.set_between_bytes_timeout(timeout);

    let future = outgoing_handler::handle(request, Some(options))?;
    Ok(State::Waiting(Waiting { ready: future.subscribe(), future }))
}

fn named(method: &str) -> Method {
    match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        "TRACE" => Method::Trace,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

fn nanoseconds(span: Duration) -> u64 {
    span.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(span.subsec_nanos()))
}
