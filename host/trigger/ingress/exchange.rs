//! One request through: checked, its body taken in, handed to the worker's mailbox, and the answer's way back.
//!
//! ```text
//!              ┌─ buffered: body read whole ─▶ place ─▶ event ─▶ answer gathered, event over ─▶ out in one piece
//!   checked ───┤
//!              └─ streamed: place ─▶ event, body as it comes ─▶ head ─▶ what is there at once ─▶ the rest as it comes
//! ```
//!
//! Buffered are residents, so that no slow client keeps the worker from its next event, and HTTP/1.0 clients, for whom a connection
//! that breaks looks like an end. A client that leaves drops all this: a queued event is taken back, a running one runs on.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex},
    task::Poll,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version, header::CONTENT_LENGTH};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::{sync::oneshot, time::timeout};
use wasmtime_wasi_http::WasiBody;

use super::{
    Shared,
    access::{Sent, Visit, shown},
    gate::Hold,
    heads::{self, Length},
    inbound::{self, Fate, Gathered, Inbound, Source},
    outbound::{Fall, Reply, Running, Streamed, Told},
    refusal::{Broken, Refusal},
    site::Site,
    table,
};
use crate::{
    capability::caller::Chain,
    worker::{Exchange, HttpEvent},
};

type Head = Result<Response<WasiBody>, String>;

/// Answers a request that came over the wire: its path says whose it is.
pub async fn outside(shared: &Shared, request: Request<Source>) -> Response<Reply> {
    let (method, path) = (request.method().clone(), request.uri().path());
    let site = if table::climbs(path) {
        Err(Refusal::Malformed("the path has a \".\" or \"..\" segment: ask for the path it leads to"))
    } else {
        heads::check_host(request.uri(), request.headers()).map_err(Refusal::Malformed)
    };
    let site = site.and_then(|()| shared.routed(path).ok_or(Refusal::NoRoute));
    match site {
        Ok(site) => inside(shared, &site, request, None).await,
        Err(refusal) => {
            let visit = Visit::new(shared.elsewhere.clone(), shared.clock, method.as_str(), path, None);
            refused(&refusal, visit)
        }
    }
}

/// Answers a request for this worker, whatever its path.
pub async fn inside(shared: &Shared, site: &Arc<Site>, request: Request<Source>, chain: Option<Arc<Chain>>) -> Response<Reply> {
    let visit = Visit::new(site.counts.clone(), shared.clock, request.method().as_str(), request.uri().path(), Some(&site.name));
    let head_only = request.method() == Method::HEAD;
    match answered(shared, site, request, chain).await {
        Ok(answer) => sent(answer, head_only, visit),
        Err(refusal) => refused(&refusal, visit),
    }
}

fn refused(refusal: &Refusal, visit: Visit) -> Response<Reply> {
    let response = refusal.response();
    visit.end(response.status(), response.body().len() as u64, Sent::Whole);
    response.map(Reply::from)
}

/// A worker's answer as far as it is here when its head goes out.
struct Answered {
    response: Response<()>,
    length: Length,
    here: Gathered,
    hold: Option<Hold>,
    trailers: Option<http::HeaderMap>,
    /// None: nothing comes any more.
    told: Option<Told>,
}

async fn answered(shared: &Shared, site: &Arc<Site>, request: Request<Source>, chain: Option<Arc<Chain>>) -> Result<Answered, Refusal> {
    site.admit(request.method())?;
    if request.body().size_hint().lower() > site.body_bytes {
        return Err(Refusal::TooLarge(site.body_bytes));
    }
    let buffered = site.resident || request.version() < Version::HTTP_11;
    let (mut parts, source) = request.into_parts();
    heads::strip(&mut parts.headers);
    let title = format!("{} {}", parts.method, shown(parts.uri.path()));
    let busy = || site.counts.gate.enter(site.most).ok_or(Refusal::Busy);

    let mut hold = shared.budget.hold();
    let mut fate = None;
    let (body, body_bytes, place) = if source.is_end_stream() {
        (inbound::whole(Bytes::new()), 0, busy()?)
    } else if site.resident {
        let bytes = inbound::read(source, site.body_bytes, shared.bounds.body_time, &mut hold).await?;
        let length = bytes.len();
        // Its length is known now, however it came.
        parts.headers.insert(CONTENT_LENGTH, length.into());
        // Only now: who sends slowly takes nobody's place.
        (inbound::whole(bytes), length, busy()?)
    } else {
        let place = busy()?;
        let fate = fate.insert(Arc::<Fate>::default());
        let inbound = Inbound::new(source, site.body_bytes, shared.bounds.between_bytes, fate.clone());
        (inbound.boxed_unsync(), 0, place)
    };

    let (respond, response) = oneshot::channel();
    let exchange = Exchange { request: Request::from_parts(parts, body), tls: false, respond };
    let event = HttpEvent { exchange: Mutex::new(Some(exchange)), chain, title, body_bytes };
    let refusal = |fall: Fall| match fate.as_ref().and_then(|fate| fate.refusal(site.body_bytes)) {
        Some(refusal) => refusal,
        None => fell(shared, site, fall),
    };
    let end = shared.backend.request(&site.name, Box::new(event)).map_err(|error| refusal(Fall::Ended(error)))?;
    let mut running = Running::new(end, place);
    let response = head(response, &mut running).await.map_err(refusal)?;
    // A body that was too large is the client's doing, whatever the guest made of it.
    if let Some(refusal) = fate.as_ref().and_then(|fate| fate.refusal(site.body_bytes)) {
        return Err(refusal);
    }
    if response.status().is_informational() {
        return Err(Refusal::Broken(Broken::Status));
    }
    let (mut parts, body) = response.into_parts();
    heads::strip(&mut parts.headers);
    let length = heads::declared(&mut parts.headers);
    let mut answer = Answered {
        response: Response::from_parts(parts, ()),
        length,
        here: Gathered::default(),
        hold: None,
        trailers: None,
        told: Some(Told::new(body, running)),
    };
    if buffered {
        answer.hold = Some(hold);
        answer.gather(site.body_bytes).await.map_err(|stop| stop.refusal(refusal))?;
    } else {
        // What is there within a moment goes out with the head: most answers are one write then.
        if let Ok(Err(fall)) = timeout(shared.bounds.ahead_time, answer.look_ahead(shared.bounds.ahead_bytes)).await {
            return Err(refusal(fall));
        }
    }
    Ok(answer)
}

/// Waits for the head of the answer, or for an end without one.
async fn head(response: oneshot::Receiver<Head>, running: &mut Running) -> Result<Response<WasiBody>, Fall> {
    let mut response = Some(response);
    let head = poll_fn(|cx| {
        if let Some(waiting) = &mut response {
            match Pin::new(waiting).poll(cx) {
                Poll::Ready(Ok(head)) => return Poll::Ready(Ok(head)),
                Poll::Ready(Err(_)) => response = None,
                Poll::Pending => {}
            }
        }
        running.poll_end(cx).map(|ended| {
            ended?;
            // It may have come between the two looks.
            response.take().and_then(|mut response| response.try_recv().ok()).ok_or(Fall::Silent)
        })
    });
    head.await?.map_err(Fall::Failed)
}

/// What a client is told; what else is known goes to the log.
fn fell(shared: &Shared, site: &Site, fall: Fall) -> Refusal {
    match fall {
        Fall::Ended(error) => Refusal::of(&error, shared.next_try(&site.name)),
        Fall::Gone => Refusal::Down(None),
        Fall::Silent => Refusal::Broken(Broken::Silent),
        Fall::Failed(sentence) => {
            tracing::debug!(target: "skep::access", worker = &*site.name, "answered with an error code: {sentence}");
            Refusal::Broken(Broken::Failed)
        }
        Fall::Body => Refusal::Broken(Broken::Cut),
    }
}

/// Why an answer is not gathered.
enum Stop {
    Fell(Fall),
    Refused(Refusal),
}

impl Stop {
    fn refusal(self, of: impl FnOnce(Fall) -> Refusal) -> Refusal {
        match self {
            Self::Fell(fall) => of(fall),
            Self::Refused(refusal) => refusal,
        }
    }
}

impl Answered {
    /// Takes in all of the body. Trailers are left out: the client gets a length instead.
    async fn gather(&mut self, bound: u64) -> Result<(), Stop> {
        while let Some(frame) = next(&mut self.told).await {
            let Ok(data) = frame.map_err(Stop::Fell)?.into_data() else { continue };
            if (self.here.len() + data.len()) as u64 > bound {
                return Err(Stop::Refused(Refusal::Broken(Broken::TooLarge(bound))));
            }
            if !self.hold.as_mut().is_none_or(|hold| hold.grow(data.len() as u64)) {
                return Err(Stop::Refused(Refusal::Crowded));
            }
            self.here.add(data);
        }
        self.told = None;
        Ok(())
    }

    /// Takes in the start of the body. Dropped while it waits, it has lost nothing.
    async fn look_ahead(&mut self, most: usize) -> Result<(), Fall> {
        while self.here.len() < most && self.trailers.is_none() {
            match next(&mut self.told).await {
                Some(frame) => match frame?.into_data() {
                    Ok(data) => self.here.add(data),
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                },
                None => {
                    self.told = None;
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

async fn next(told: &mut Option<Told>) -> Option<Result<http_body::Frame<Bytes>, Fall>> {
    match told {
        Some(told) => told.frame().await,
        None => None,
    }
}

fn sent(answer: Answered, head_only: bool, visit: Visit) -> Response<Reply> {
    let Answered { mut response, length, here, hold, trailers, told } = answer;
    let status = response.status();
    let bodiless = head_only || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let here = here.bytes();
    if told.is_none() && trailers.is_none() {
        if bodiless {
            visit.end(status, 0, Sent::Whole);
            return response.map(|()| Reply::from(Bytes::new()));
        }
        let short = matches!(length, Length::Bytes(bytes) if bytes != here.len() as u64);
        if short {
            let refusal = Refusal::Broken(Broken::Cut);
            return refused(&refusal, visit);
        }
        // The connection writes the length itself.
        response.headers_mut().remove(CONTENT_LENGTH);
        visit.end(status, here.len() as u64, Sent::Whole);
        return response.map(|()| Reply::Whole { bytes: here, hold });
    }
    let expected = match length {
        _ if bodiless => Some(0),
        Length::Bytes(bytes) => Some(bytes),
        Length::Unknown => None,
    };
    let streamed = Streamed { ahead: here, trailers, told, status, expected, bytes: 0, visit: Some(visit) };
    response.map(|()| Reply::Streamed(Box::new(streamed)))
}
