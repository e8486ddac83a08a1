//! Workers' answers on their way out: a body ends well only when its event did.
//!
//! A guest that traps leaves its body behind as if it were complete: the pipe just ends. So the last byte waits for the event's end,
//! and a crash or a timeout after the head breaks the connection off. Must not decide what a client is told.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;
use wasmtime_wasi_http::{Error, WasiBody};

use super::{
    access::{Sent, Visit},
    gate::{Hold, Place},
};
use crate::{supervise::SuperviseError, worker::Answer};

/// Handed to the connection at a time; it takes the next piece when this one is written.
const PIECE_BYTES: usize = 64 << 10;

/// How an event ends.
pub type End = oneshot::Receiver<Result<Answer, SuperviseError>>;

/// Why there is no (whole) answer.
#[derive(Debug)]
pub enum Fall {
    /// The event did not end well.
    Ended(SuperviseError),
    /// Nobody can say how it ended: its worker went away.
    Gone,
    /// It ended well, without an answer.
    Silent,
    /// The guest answered with an error code.
    Failed(String),
    /// The guest gave its own body up.
    Body,
}

/// An event under way, and the place it takes.
#[derive(Debug)]
pub struct Running {
    end: Option<End>,
    place: Option<Place>,
}

impl Running {
    pub fn new(end: End, place: Place) -> Self {
        Self { end: Some(end), place: Some(place) }
    }

    /// Ready once the event is over. An error is told once.
    pub fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fall>> {
        let Some(end) = &mut self.end else { return Poll::Ready(Ok(())) };
        let ended = ready!(Pin::new(end).poll(cx));
        self.end = None;
        self.place = None;
        Poll::Ready(match ended {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Fall::Ended(error)),
            Err(_) => Err(Fall::Gone),
        })
    }
}

/// A guest's body, with its event's end.
pub struct Told {
    body: Option<WasiBody>,
    running: Running,
    over: bool,
}

impl Told {
    pub fn new(body: WasiBody, running: Running) -> Self {
        Self { body: Some(body), running, over: false }
    }

    fn fail(&mut self, fall: Fall) -> Poll<Option<Result<Frame<Bytes>, Fall>>> {
        self.over = true;
        self.body = None;
        Poll::Ready(Some(Err(fall)))
    }
}

impl Body for Told {
    type Data = Bytes;
    type Error = Fall;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fall>>> {
        if self.over {
            return Poll::Ready(None);
        }
        if let Poll::Ready(Err(fall)) = self.running.poll_end(cx) {
            return self.fail(fall);
        }
        if let Some(body) = &mut self.body {
            match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => return Poll::Ready(Some(Ok(frame))),
                Some(Err(_)) => return self.fail(Fall::Body),
                None => self.body = None,
            }
        }
        match ready!(self.running.poll_end(cx)) {
            Ok(()) => {
                self.over = true;
                Poll::Ready(None)
            }
            Err(fall) => self.fail(fall),
        }
    }
}

/// The body of an answer.
pub enum Reply {
    /// All of it is here.
    Whole {
        bytes: Bytes,
        /// Its share of what bodies may take up.
        hold: Option<Hold>,
    },
    Streamed(Box<Streamed>),
}

/// A body that goes on after what is here.
pub struct Streamed {
    pub ahead: Bytes,
    pub trailers: Option<HeaderMap>,
    /// None: the rest is no more.
    pub told: Option<Told>,
    pub status: StatusCode,
    /// Bytes that make it whole, when they are known before its end.
    pub expected: Option<u64>,
    pub bytes: u64,
    pub visit: Option<Visit>,
}

impl Streamed {
    fn end(&mut self, sent: Sent) {
        if let Some(visit) = self.visit.take() {
            visit.end(self.status, self.bytes, sent);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if !self.ahead.is_empty() {
            let ahead = std::mem::take(&mut self.ahead);
            self.bytes += ahead.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(ahead))));
        }
        if let Some(trailers) = self.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        let frame = match &mut self.told {
            Some(told) => ready!(Pin::new(told).poll_frame(cx)),
            None => None,
        };
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                Some(Ok(frame))
            }
            Some(Err(fall)) => {
                tracing::debug!(target: "skep::access", "an answer broke off: {fall:?}");
                self.end(Sent::Cut);
                Some(Err(Error::HttpResponseIncomplete))
            }
            None => {
                self.end(Sent::Whole);
                None
            }
        })
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        // A connection that has all bytes it was promised asks for no more.
        let whole = self.expected == Some(self.bytes);
        self.end(if whole { Sent::Whole } else { Sent::Cut });
    }
}

impl From<Bytes> for Reply {
    fn from(bytes: Bytes) -> Self {
        Self::Whole { bytes, hold: None }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.get_mut() {
            Self::Whole { bytes, hold } => {
                let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
                if bytes.is_empty() {
                    *hold = None;
                }
                Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
            }
            Self::Streamed(streamed) => streamed.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole { bytes, .. } => bytes.is_empty(),
            Self::Streamed(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole { bytes, .. } => SizeHint::with_exact(bytes.len() as u64),
            Self::Streamed(_) => SizeHint::default(),
        }
    }
}
