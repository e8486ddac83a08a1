//! Who asked what, and how it went: counts by worker for metrics, one line a request for the access log.
//!
//! The line is written at `debug` under the target `skep::access`; nothing is put together when nobody listens. Must not keep more
//! than counts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::StatusCode;
use tokio::time::Instant;

use super::gate::Gate;
use crate::{
    clock::Clock,
    facts::{Name, Traffic},
};

/// How much of a path a line shows, in bytes.
const SHOWN_BYTES: usize = 512;

/// Counts of one worker since the host started, or of requests that no worker has a route for.
#[derive(Debug, Default)]
pub struct Counts {
    pub gate: Arc<Gate>,
    /// By the status's first digit.
    classes: [AtomicU64; 5],
    /// The head was sent, the body did not end well.
    cut: AtomicU64,
    /// The client left before there was an answer.
    left: AtomicU64,
    bytes: AtomicU64,
}

impl Counts {
    pub fn traffic(&self, worker: Option<Name>) -> Traffic {
        Traffic {
            worker,
            in_flight: self.gate.inside(),
            answers: std::array::from_fn(|class| self.classes.get(class).map_or(0, |count| count.load(Relaxed))),
            cut: self.cut.load(Relaxed),
            left: self.left.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
        }
    }

    fn answered(&self, status: StatusCode) {
        if let Some(count) = self.classes.get(usize::from(status.as_u16() / 100).wrapping_sub(1)) {
            count.fetch_add(1, Relaxed);
        }
    }
}

/// How an answer went out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    Whole,
    /// The worker's answer broke off, or the client left.
    Cut,
}

/// One request, from its head to its answer's last byte. Dropped before that, the client has left.
#[derive(Debug)]
pub struct Visit {
    counts: Arc<Counts>,
    clock: Clock,
    started: Instant,
    line: Option<Line>,
    over: bool,
}

/// What a line of the access log says; only kept when somebody listens.
#[derive(Debug)]
struct Line {
    method: String,
    path: String,
    worker: Option<Name>,
}

impl Visit {
    pub fn new(counts: Arc<Counts>, clock: Clock, method: &str, path: &str, worker: Option<&Name>) -> Self {
        let line = tracing::enabled!(target: "skep::access", tracing::Level::DEBUG).then(|| Line {
            method: method.to_owned(),
            path: shown(path).to_owned(),
            worker: worker.cloned(),
        });
        Self { counts, clock, started: clock.now(), line, over: false }
    }

    /// The answer's body is out, or will never be.
    pub fn end(mut self, status: StatusCode, bytes: u64, sent: Sent) {
        self.over = true;
        self.counts.answered(status);
        self.counts.bytes.fetch_add(bytes, Relaxed);
        if sent == Sent::Cut {
            self.counts.cut.fetch_add(1, Relaxed);
        }
        self.log(Some(status), bytes, sent == Sent::Cut);
    }

    fn log(&self, status: Option<StatusCode>, bytes: u64, cut: bool) {
        let Some(Line { method, path, worker }) = &self.line else { return };
        let status = status.map_or(0, |status| status.as_u16());
        let ms = milliseconds(self.clock.now().saturating_duration_since(self.started));
        tracing::debug!(target: "skep::access", method, path, status, worker = worker.as_deref().unwrap_or("-"), bytes, ms, cut, "request");
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if !self.over {
            self.counts.left.fetch_add(1, Relaxed);
            self.log(None, 0, true);
        }
    }
}

/// The start of a path, as logs and records show it.
pub fn shown(path: &str) -> &str {
    path.get(..path.floor_char_boundary(SHOWN_BYTES)).unwrap_or(path)
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
