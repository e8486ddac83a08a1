//! Bodies on their way through: counted, bounded, timed; the start of a response kept for its excerpt.
//!
//! Nothing is gathered: a frame is handed on as it comes. Must not decide what happens to a request, only how much of it there is.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};
use wasmtime_wasi_http::{Error, WasiBody};

use super::{
    InFlight, Scope,
    connector::{BUFFER_BYTES, Link},
    fault::{Fault, size},
    pool::Key,
};

/// A request's body.
pub(super) struct Sent {
    /// None: there is no body.
    inner: Option<WasiBody>,
    left: u64,
    bound: u64,
    /// Set when the bound was passed: not every failure of a connection says what caused it.
    passed: Arc<AtomicBool>,
}

impl Sent {
    pub fn new(body: WasiBody, bound: u64, passed: Arc<AtomicBool>) -> Self {
        let inner = (!body.is_end_stream()).then_some(body);
        Self { inner, left: bound, bound, passed }
    }

    pub fn empty() -> Self {
        Self { inner: None, left: 0, bound: 0, passed: Arc::default() }
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let frame = std::task::ready!(Pin::new(inner).poll_frame(cx));
        if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
            match self.left.checked_sub(data.len() as u64) {
                Some(left) => self.left = left,
                None => {
                    self.inner = None;
                    self.passed.store(true, Ordering::Relaxed);
                    return Poll::Ready(Some(Err(Error::HttpRequestBodySize(Some(self.bound)))));
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

/// Where a response's body comes from.
pub(super) enum Inner {
    Wire(Incoming),
    /// Another worker of this host.
    Inside(WasiBody),
}

impl Inner {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match self {
            Self::Wire(body) => Pin::new(body).poll_frame(cx).map_err(|error| Fault::of_body(&error)),
            Self::Inside(body) => Pin::new(body).poll_frame(cx).map_err(Fault::of),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Wire(body) => body.is_end_stream(),
            Self::Inside(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Wire(body) => body.size_hint(),
            Self::Inside(body) => body.size_hint(),
        }
    }
}

/// A response's body, on its way to the guest.
pub(super) struct Received {
    inner: Inner,
    scope: Scope,
    /// Its record in the ledger.
    exchange: u64,
    url: String,
    started: Instant,
    between_bytes: Duration,
    /// Armed while no frame is there.
    pause: Option<Pin<Box<Sleep>>>,
    left: u64,
    excerpt: Vec<u8>,
    room: usize,
    /// What goes on only while the body does; None once it has ended.
    open: Option<Open>,
}

pub(super) struct Open {
    /// The connection, and where it goes afterwards (None: it is closed); None where there is none.
    pub way: Option<(Link, Option<Arc<Key>>)>,
    pub in_flight: InFlight,
}

impl Received {
    pub fn new(inner: Inner, scope: Scope, exchange: u64, url: String, started: Instant, between_bytes: Duration, open: Open) -> Self {
        let (left, room) = (scope.outbound.client.settings.max_body_bytes, scope.ledger.excerpt_room());
        let excerpt = Vec::new();
        let mut body = Self { inner, scope, exchange, url, started, between_bytes, pause: None, left, excerpt, room, open: Some(open) };
        if body.inner.is_end_stream() {
            body.end(None, true);
        }
        body
    }

    /// The body is over, well or not; `whole`: its connection can be used again.
    fn end(&mut self, fault: Option<&Fault>, whole: bool) {
        let Some(Open { way, in_flight }) = self.open.take() else { return };
        let total = self.scope.outbound.client.clock.now().duration_since(self.started);
        let sentence = fault.and_then(|fault| fault.sentence.clone());
        if let Some(sentence) = &sentence {
            self.scope.report(&format!("{}: {sentence}", self.url));
        }
        self.scope.ledger.finish(self.exchange, whole.then_some(total), std::mem::take(&mut self.excerpt), sentence);
        if let Some((link, Some(key))) = way.filter(|_| fault.is_none()) {
            self.scope.outbound.client.pool.park(&key, link);
        }
        drop(in_flight);
    }

    fn fail(&mut self, fault: Fault) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.end(Some(&fault), false);
        Poll::Ready(Some(Err(fault.code)))
    }

    /// Counts a frame; None when it passes the bound.
    fn note(&mut self, data: &Bytes) -> Option<()> {
        self.left = self.left.checked_sub(data.len() as u64)?;
        let wanted = self.room.saturating_sub(self.excerpt.len()).min(data.len());
        self.excerpt.extend_from_slice(data.get(..wanted)?);
        Some(())
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.open.is_none() {
            return Poll::Ready(None);
        }
        match self.inner.poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.pause = None;
                if frame.data_ref().is_some_and(|data| self.note(data).is_none()) {
                    let bound = self.scope.outbound.client.settings.max_body_bytes;
                    let sentence = format!("the response's body is larger than {}, the most one response may have", size(bound));
                    return self.fail(Fault::saying(Error::HttpResponseBodySize(Some(bound)), sentence));
                }
                if self.inner.is_end_stream() {
                    self.end(None, true);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(fault))) => self.fail(fault),
            Poll::Ready(None) => {
                self.end(None, true);
                Poll::Ready(None)
            }
            Poll::Pending => {
                let between_bytes = self.between_bytes;
                let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(between_bytes)));
                std::task::ready!(pause.as_mut().poll(cx));
                self.fail(Fault::of(Error::ConnectionReadTimeout))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.open.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.open.is_some() { self.inner.size_hint() } else { SizeHint::with_exact(0) }
    }
}

impl Drop for Received {
    /// A guest that only looked at the status leaves its body: what has arrived still makes an excerpt, and a short body that has
    /// arrived whole leaves its connection usable.
    fn drop(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let mut budget = BUFFER_BYTES;
        while self.open.is_some() && budget > 0 {
            let Poll::Ready(Some(Ok(frame))) = self.inner.poll_frame(&mut cx) else { break };
            if let Some(data) = frame.data_ref() {
                budget = budget.saturating_sub(data.len().max(1));
                let _ = self.note(data);
            }
            if self.inner.is_end_stream() {
                self.end(None, true);
            }
        }
        self.end(None, false);
    }
}
