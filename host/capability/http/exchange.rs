//! One request, from the guest's hands to its response's head.
//!
//! Must not touch bytes of bodies (body.rs does) or know how connections are made (connector.rs does).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{
    HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{CONNECTION, CONTENT_LENGTH, HOST},
    uri::PathAndQuery,
};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::{
    InFlight, Scope,
    body::{Inner, Open, Received, Sent},
    connector::{self, Link, Sender},
    fault::{Fault, size},
    ledger::{self, Exchange, Timing},
    pool::Key,
    tls::Trust,
};
use crate::{
    capability::{grant::Origin, secrets::Terms},
    manifest::units::print_duration,
};

/// What a guest that sets no timeout gets, for each of the three.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Sends a request and answers with the response, its body still to come. What was seen is in the ledger, however it ends.
pub(super) async fn send(scope: Scope, request: Request<WasiBody>, options: RequestOptions) -> Result<Response<WasiBody>, Error> {
    let url = ledger::key(request.uri()).unwrap_or_else(|| request.uri().to_string());
    let started = scope.outbound.client.clock.now();
    let mut draft = Draft { scope, seen: Exchange { url, ..Exchange::default() }, started, recorded: false };
    draft.run(request, options).await.map_err(|fault| draft.fail(fault))
}

/// A request whose response has not come yet. Dropped before that (the guest gave up), it records how far it came.
struct Draft {
    scope: Scope,
    seen: Exchange,
    started: Instant,
    recorded: bool,
}

impl Draft {
    async fn run(&mut self, request: Request<WasiBody>, options: RequestOptions) -> Result<Response<WasiBody>, Fault> {
        let outbound = Arc::clone(&self.scope.outbound);
        let bound = outbound.client.settings.max_body_bytes;
        let decision = outbound.gate.decide(request.method(), request.uri()).map_err(|refusal| Fault::refused(refusal.to_string()))?;
        let in_flight = InFlight::enter(&self.scope).ok_or_else(|| {
            let sentence = format!("{} requests are in flight, the most one worker may have", outbound.client.settings.max_in_flight);
            Fault::saying(Error::InternalError(Some(sentence.clone())), sentence)
        })?;
        let (mut parts, body) = request.into_parts();
        let declared = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if declared.is_some_and(|declared| declared > bound) {
            return Err(too_large(bound));
        }
        let terms = Terms { verify: outbound.trust != Trust::Anybody, lan: outbound.gate.lan() };
        let filled = outbound.client.secrets.fill(&mut parts.headers, &decision.origin, terms, &outbound.worker).await;
        filled.map_err(|refusal| Fault::refused(refusal.to_string()))?;
        self.permit().await?;
        if decision.origin.internal().is_some() {
            return self.ask_worker(Request::from_parts(parts, body), in_flight, &decision.origin, &options).await;
        }

        let key = Arc::new(Key { decision, trust: outbound.trust.clone() });
        let passed = Arc::new(AtomicBool::new(false));
        let request = Request::from_parts(parts, Sent::new(body, bound, Arc::clone(&passed)));
        let delivered = self.deliver(&key, request, &options).await;
        let (response, link) = delivered.map_err(|fault| if passed.load(Ordering::Relaxed) { too_large(bound) } else { fault })?;

        outbound.heed(&response);
        self.seen.status = Some(response.status().as_u16());
        let url = self.seen.url.clone();
        let exchange = self.record();
        // A shared connection was parked when it was made.
        let park = (outbound.keep_alive && matches!(link.sender, Sender::One(_))).then_some(key);
        let between_bytes = options.between_bytes_timeout.unwrap_or(DEFAULT_TIMEOUT);
        let open = Open { way: Some((link, park)), in_flight };
        Ok(response.map(|body| {
            let body = Received::new(Inner::Wire(body), self.scope.clone(), exchange, url, self.started, between_bytes, open);
            body.boxed_unsync()
        }))
    }

    /// Hands the request to another worker of this host: bounds, times and evidence as for any other.
    async fn ask_worker(
        &mut self,
        request: Request<WasiBody>,
        in_flight: InFlight,
        origin: &Origin,
        options: &RequestOptions,
    ) -> Result<Response<WasiBody>, Fault> {
        let outbound = Arc::clone(&self.scope.outbound);
        let (client, bound) = (&outbound.client, outbound.client.settings.max_body_bytes);
        let Some(internal) = client.internal.get() else { return Err(Fault::of(Error::DestinationUnavailable)) };
        let passed = Arc::new(AtomicBool::new(false));
        let mut request = request.map(|body| Sent::new(body, bound, Arc::clone(&passed)).boxed_unsync());
        let host = HeaderValue::try_from(origin.authority()).map_err(|_| Fault::of(Error::HttpRequestUriInvalid))?;
        request.headers_mut().insert(HOST, host);

        let first_byte = options.first_byte_timeout.unwrap_or(DEFAULT_TIMEOUT);
        let sent = client.clock.now();
        let worker = origin.internal().unwrap_or_default();
        let asked = timeout(self.left(first_byte), internal.send(Arc::clone(&self.scope.chain), worker, request)).await;
        let response = asked.map_err(|_| Fault::of(Error::HttpResponseTimeout))?.map_err(Fault::from)?;
        if passed.load(Ordering::Relaxed) {
            return Err(too_large(bound));
        }
        self.seen.timing.first_byte = Some(client.clock.now().duration_since(sent));
        // Only this one is the other worker's word: "unavailable, try later" is this host's own of a worker that is busy or starting.
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            outbound.heed(&response);
        }
        self.seen.status = Some(response.status().as_u16());
        let url = self.seen.url.clone();
        let exchange = self.record();
        let between_bytes = options.between_bytes_timeout.unwrap_or(DEFAULT_TIMEOUT);
        let open = Open { way: None, in_flight };
        Ok(response.map(|body| {
            let body = Received::new(Inner::Inside(body), self.scope.clone(), exchange, url, self.started, between_bytes, open);
            body.boxed_unsync()
        }))
    }

    /// Waits for the worker's limiter, at the ledger's expense; the request's own time starts afterwards.
    async fn permit(&mut self) -> Result<(), Fault> {
        let client = &self.scope.outbound.client;
        if let Some(limiter) = &self.scope.outbound.limiter
            && !self.scope.ledger.waits().take_prepaid()
        {
            let _waiting = self.scope.ledger.waits().wait();
            let wait = client.settings.permit_deadline;
            limiter.acquire(client.clock.now() + wait).await.map_err(|_| {
                let sentence = format!("no permit of the limiter within {}", print_duration(wait));
                Fault::saying(Error::ConnectionLimitReached, sentence)
            })?;
        }
        self.started = client.clock.now();
        Ok(())
    }

    fn left(&self, limit: Duration) -> Duration {
        limit.saturating_sub(self.scope.outbound.client.clock.now().saturating_duration_since(self.started))
    }

    /// Sends the request over a parked connection, else a fresh one. A parked connection may turn out to be closed by its peer;
    /// then the request goes once more over a fresh one, if it never left or asking twice changes nothing.
    async fn deliver(
        &mut self,
        key: &Arc<Key>,
        mut request: Request<Sent>,
        options: &RequestOptions,
    ) -> Result<(Response<Incoming>, Link), Fault> {
        let outbound = Arc::clone(&self.scope.outbound);
        let client = &outbound.client;
        // Counted from the permit on, connecting included: one number bounds how long a guest waits for an answer to begin.
        let first_byte = options.first_byte_timeout.unwrap_or(DEFAULT_TIMEOUT);
        let target = request.uri().clone();
        let mut parked = if outbound.keep_alive { client.pool.take(key).await } else { None };
        loop {
            let reused = parked.is_some();
            let mut link = match parked.take() {
                Some(link) => link,
                None => {
                    self.seen.timing = Timing::default();
                    let limit = options.connect_timeout.unwrap_or(DEFAULT_TIMEOUT).min(self.left(first_byte));
                    let link = connector::connect(&outbound, &key.decision, limit, &mut self.seen.timing).await?;
                    if let Some(shared) = link.share().filter(|_| outbound.keep_alive) {
                        client.pool.park(key, shared);
                    }
                    link
                }
            };
            self.seen.timing.peer = Some(link.peer);
            self.seen.timing.certificate_expires = link.certificate_expires;
            address_to(&mut request, &target, key, &link, outbound.keep_alive)?;
            let copy = if reused { copy_of(&request) } else { None };

            let sent = client.clock.now();
            let mut failure = match timeout(self.left(first_byte), link.send(request)).await {
                Err(_) => return Err(Fault::of(Error::HttpResponseTimeout)),
                Ok(Ok(response)) => {
                    self.seen.timing.first_byte = Some(client.clock.now().duration_since(sent));
                    return Ok((response, link));
                }
                Ok(Err(failure)) => failure,
            };
            request = match (failure.take_message(), copy) {
                (Some(unsent), _) if reused => unsent,
                (_, Some(copy)) if !failure.error().is_parse() => {
                    // It may have reached the peer: the second try is a request of its own.
                    self.permit().await?;
                    copy
                }
                _ => return Err(Fault::of_head(&failure.into_error())),
            };
        }
    }

    fn fail(&mut self, fault: Fault) -> Error {
        if let Some(sentence) = &fault.sentence {
            let told = if fault.refused { sentence.clone() } else { format!("{}: {sentence}", self.seen.url) };
            self.scope.report(&told);
        }
        self.seen.sentence = fault.sentence;
        self.seen.refused = fault.refused;
        self.record();
        fault.code
    }

    fn record(&mut self) -> u64 {
        self.recorded = true;
        self.scope.ledger.record(std::mem::take(&mut self.seen))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.recorded {
            self.record();
        }
    }
}

/// Writes the target as the connection's protocol wants it. The Host is the checked one, whatever the request says.
fn address_to(request: &mut Request<Sent>, target: &Uri, key: &Key, link: &Link, keep_alive: bool) -> Result<(), Fault> {
    let headers = request.headers_mut();
    match link.sender {
        Sender::One(_) => {
            let host = HeaderValue::try_from(key.decision.origin.authority()).map_err(|_| Fault::of(Error::HttpRequestUriInvalid))?;
            headers.insert(HOST, host);
            if !keep_alive {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            // Written out, because a path without its slash (`http://host?query`) gets it only then.
            let path = target.path_and_query().map_or_else(|| "/".to_owned(), PathAndQuery::to_string);
            *request.uri_mut() = Uri::try_from(path).map_err(|_| Fault::of(Error::HttpRequestUriInvalid))?;
        }
        Sender::Many(_) => {
            headers.remove(HOST);
            *request.uri_mut() = target.clone();
        }
    }
    Ok(())
}

/// The same request again, if asking twice changes nothing and there is no body to lose.
fn copy_of(request: &Request<Sent>) -> Option<Request<Sent>> {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !safe || !request.body().is_end_stream() {
        return None;
    }
    let mut copy = Request::new(Sent::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

fn too_large(bound: u64) -> Fault {
    let sentence = format!("the request's body is larger than {}, the most one request may have", size(bound));
    Fault::saying(Error::HttpRequestBodySize(Some(bound)), sentence)
}
