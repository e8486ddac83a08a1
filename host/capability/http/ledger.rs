//! What the host saw of one event's requests, and how long it made the event wait.
//!
//! Shared by the store's hooks (who write), checks.report and the supervisor (who read). Bounded. Must not judge what it holds.

use std::{
    borrow::Cow,
    collections::VecDeque,
    fmt,
    net::SocketAddr,
    str::FromStr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Uri;
use jiff::Timestamp;

use crate::{
    capability::{grant::Origin, secrets::Masker, waits::Waits},
    clock::Clock,
    facts::{Evidence, Phases},
};

/// Exchanges kept of one event; the oldest go first.
const MAX_EXCHANGES: usize = 128;

/// How much of a body an excerpt shows, in bytes.
pub(super) const EXCERPT_BYTES: usize = 512;

/// One event's requests. Made once an instance, [`reset`](Ledger::reset) before each event.
pub struct Ledger {
    in_flight: AtomicUsize,
    waits: Arc<Waits>,
    seen: Mutex<Seen>,
    masker: OnceLock<Arc<Masker>>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Never starts over, so that what ends late can't be taken for a newer exchange.
    next: u64,
    exchanges: VecDeque<Exchange>,
}

/// What was seen of one request.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    pub id: u64,
    pub url: String,
    pub timing: Timing,
    pub status: Option<u16>,
    pub total: Option<Duration>,
    /// The start of the body, with room for a secret that crosses the excerpt's end.
    pub body: Vec<u8>,
    pub sentence: Option<String>,
    pub refused: bool,
}

/// How far a request came, and how long each step took; steps that did not happen stay empty.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Timing {
    pub dns: Option<Duration>,
    pub connect: Option<Duration>,
    pub tls: Option<Duration>,
    pub first_byte: Option<Duration>,
    pub peer: Option<SocketAddr>,
    pub certificate_expires: Option<Timestamp>,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("in_flight", &self.in_flight).field("waits", &self.waits).finish_non_exhaustive()
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new(Clock::system())
    }
}

impl Ledger {
    pub fn new(clock: Clock) -> Self {
        Self { in_flight: AtomicUsize::new(0), waits: Arc::new(Waits::new(clock)), seen: Mutex::default(), masker: OnceLock::new() }
    }

    /// Forgets the event before.
    pub fn reset(&self) {
        self.seen().exchanges.clear();
        self.waits.reset();
    }

    /// Time this event has spent waiting for limiters, a wait still running included: it counts in neither timeout nor latency.
    pub fn waited(&self) -> Duration {
        self.waits.waited()
    }

    /// Where other capabilities count their waits for limiters in this event.
    pub fn waits(&self) -> &Arc<Waits> {
        &self.waits
    }

    /// Requests whose response has not ended.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// What was seen of the newest request to this URL in this event (`https://example.com` is `https://example.com/`).
    pub fn evidence(&self, url: &str) -> Option<Evidence> {
        self.find(url, |exchange| Evidence {
            phases: exchange.phases(),
            address: exchange.timing.peer.map(|peer| peer.to_string()),
            http_status: exchange.status,
            certificate_expires: exchange.timing.certificate_expires,
            excerpt: self.excerpt(&exchange.body),
        })
    }

    /// Why the host refused the newest request to this URL; None when it did not.
    pub fn refusal(&self, url: &str) -> Option<String> {
        self.find(url, |exchange| exchange.sentence.clone().filter(|_| exchange.refused)).flatten()
    }

    /// What the host knows about the newest request's failure beyond the error code: a refusal, a bound, why TLS failed.
    pub fn failure(&self, url: &str) -> Option<String> {
        self.find(url, |exchange| exchange.sentence.clone()).flatten()
    }

    fn find<T>(&self, url: &str, read: impl FnOnce(&Exchange) -> T) -> Option<T> {
        let key = key(&Uri::from_str(url).ok()?)?;
        self.seen().exchanges.iter().rev().find(|exchange| exchange.url == key).map(read)
    }

    /// The text without the values of secrets.
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.masker.get() {
            Some(masker) => masker.mask(text),
            None => text.into(),
        }
    }

    fn excerpt(&self, body: &[u8]) -> Option<String> {
        if body.is_empty() {
            return None;
        }
        let text = String::from_utf8_lossy(body);
        let masked = match self.masker.get() {
            Some(masker) => masker.mask_start(&text, EXCERPT_BYTES),
            None => text.get(..text.floor_char_boundary(EXCERPT_BYTES)).unwrap_or_default().into(),
        };
        Some(masked.chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
    }

    pub(super) fn mask_with(&self, masker: &Arc<Masker>) {
        self.masker.get_or_init(|| Arc::clone(masker));
    }

    /// How much of a body to keep for its excerpt.
    pub(super) fn excerpt_room(&self) -> usize {
        EXCERPT_BYTES + self.masker.get().map_or(0, |masker| masker.longest())
    }

    /// Adds an exchange; the answer is for [`Ledger::finish`].
    pub(super) fn record(&self, exchange: Exchange) -> u64 {
        let mut seen = self.seen();
        let id = seen.next;
        seen.next += 1;
        if seen.exchanges.len() >= MAX_EXCHANGES {
            seen.exchanges.pop_front();
        }
        seen.exchanges.push_back(Exchange { id, ..exchange });
        id
    }

    /// Adds what was learnt after the head.
    pub(super) fn finish(&self, id: u64, total: Option<Duration>, body: Vec<u8>, sentence: Option<String>) {
        if let Some(exchange) = self.seen().exchanges.iter_mut().rev().find(|exchange| exchange.id == id) {
            exchange.total = total;
            exchange.body = body;
            exchange.sentence = sentence;
        }
    }

    pub(super) fn count(&self) -> &AtomicUsize {
        &self.in_flight
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exchange {
    fn phases(&self) -> Phases {
        let ms = |phase: Option<Duration>| phase.map(|phase| phase.as_secs_f64() * 1000.0);
        Phases {
            dns_ms: ms(self.timing.dns),
            connect_ms: ms(self.timing.connect),
            tls_ms: ms(self.timing.tls),
            first_byte_ms: ms(self.timing.first_byte),
            total_ms: ms(self.total),
        }
    }
}

/// One way to write a URL, however the guest wrote it.
pub(super) fn key(uri: &Uri) -> Option<String> {
    let origin = Origin::of(uri)?;
    Some(match uri.path_and_query() {
        Some(path) => format!("{origin}{path}"),
        None => format!("{origin}/"),
    })
}
