//! Requests' bodies on their way to a worker: counted, bounded, timed.
//!
//! Read whole before a resident worker is asked, streamed to the others. Must not keep more than the bound says.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep, timeout};
use wasmtime_wasi_http::{Error, WasiBody};

use super::{gate::Hold, refusal::Refusal};

/// Where a body comes from.
pub enum Source {
    Wire(Incoming),
    Inside(WasiBody),
}

impl Body for Source {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.get_mut() {
            Self::Wire(body) => Pin::new(body).poll_frame(cx).map_err(|_| Error::ConnectionTerminated),
            Self::Inside(body) => Pin::new(body).poll_frame(cx),
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

/// Frames put together; a single one is not copied.
#[derive(Debug, Default)]
pub struct Gathered {
    first: Bytes,
    rest: BytesMut,
}

impl Gathered {
    pub fn add(&mut self, data: Bytes) {
        if self.first.is_empty() && self.rest.is_empty() {
            self.first = data;
        } else {
            if self.rest.is_empty() {
                self.rest.extend_from_slice(&std::mem::take(&mut self.first));
            }
            self.rest.extend_from_slice(&data);
        }
    }

    pub fn len(&self) -> usize {
        self.first.len() + self.rest.len()
    }

    pub fn bytes(self) -> Bytes {
        if self.rest.is_empty() { self.first } else { self.rest.freeze() }
    }
}

/// Reads a body to its end. Trailers are left out.
pub async fn read(mut source: Source, bound: u64, within: Duration, hold: &mut Hold) -> Result<Bytes, Refusal> {
    let reading = async {
        let mut gathered = Gathered::default();
        while let Some(frame) = source.frame().await {
            let frame = frame.map_err(|_| Refusal::Malformed("the request's body broke off"))?;
            let Ok(data) = frame.into_data() else { continue };
            if (gathered.len() + data.len()) as u64 > bound {
                return Err(Refusal::TooLarge(bound));
            }
            if !hold.grow(data.len() as u64) {
                return Err(Refusal::Crowded);
            }
            gathered.add(data);
        }
        Ok(gathered.bytes())
    };
    timeout(within, reading).await.unwrap_or(Err(Refusal::Slow))
}

/// A body that has been read.
pub fn whole(bytes: Bytes) -> WasiBody {
    if bytes.is_empty() {
        // Takes no memory.
        return Empty::new().map_err(|never| match never {}).boxed_unsync();
    }
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// What became of a streamed body: the guest is told by an error in it, the client by the status.
#[derive(Debug, Default)]
pub struct Fate(AtomicU8);

const TOO_LARGE: u8 = 1;
const SLOW: u8 = 2;

impl Fate {
    pub fn refusal(&self, bound: u64) -> Option<Refusal> {
        match self.0.load(Ordering::Relaxed) {
            TOO_LARGE => Some(Refusal::TooLarge(bound)),
            SLOW => Some(Refusal::Slow),
            _ => None,
        }
    }
}

/// A body that streams to the guest.
pub struct Inbound {
    /// None: it has ended.
    source: Option<Source>,
    left: u64,
    bound: u64,
    between: Duration,
    /// Armed while no frame is there.
    pause: Option<Pin<Box<Sleep>>>,
    fate: Arc<Fate>,
}

impl Inbound {
    /// `between`: the longest a client may take for the next bytes.
    pub fn new(source: Source, bound: u64, between: Duration, fate: Arc<Fate>) -> Self {
        Self { source: Some(source), left: bound, bound, between, pause: None, fate }
    }

    fn fail(&mut self, fate: u8, error: Error) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.source = None;
        self.fate.0.store(fate, Ordering::Relaxed);
        Poll::Ready(Some(Err(error)))
    }
}

impl Body for Inbound {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(source) = &mut self.source else { return Poll::Ready(None) };
        match Pin::new(source).poll_frame(cx) {
            Poll::Ready(frame) => {
                self.pause = None;
                if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
                    match self.left.checked_sub(data.len() as u64) {
                        Some(left) => self.left = left,
                        None => {
                            let bound = self.bound;
                            return self.fail(TOO_LARGE, Error::HttpRequestBodySize(Some(bound)));
                        }
                    }
                }
                Poll::Ready(frame)
            }
            Poll::Pending => {
                let between = self.between;
                let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(between)));
                ready!(pause.as_mut().poll(cx));
                self.fail(SLOW, Error::ConnectionReadTimeout)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.source.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.source.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}
