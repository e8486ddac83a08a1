//! What waits for one writer thread: bounded, swapped out whole, so that a batch is whatever came while the last one was written.
//!
//! Must not block whoever records. Time is only the writer's own lingering, on a condition variable: an empty queue has no timer.

use std::{
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::oneshot;

use super::StoreError;

/// Recorded entries that may wait, and their bytes together. What somebody awaits is bounded by its callers instead.
const ENTRIES: usize = 65_536;
const BYTES: usize = 64 << 20;
/// Awaited work that may wait before new pushes are refused, in bytes.
const URGENT_BYTES: usize = 256 << 20;

pub(super) type Reply = oneshot::Sender<Result<(), StoreError>>;

/// Roughly what an entry holds in memory.
pub(super) trait Weigh {
    fn bytes(&self) -> usize;

    /// The writer could not write it and has it still, to try again.
    fn owed(&self) -> bool {
        false
    }
}

#[derive(Debug)]
pub(super) struct Entry<W> {
    pub work: W,
    /// Somebody waits for the commit; none: recorded in passing.
    pub reply: Option<Reply>,
}

#[derive(Debug)]
pub(super) struct Queue<W> {
    state: Mutex<State<W>>,
    wake: Condvar,
    dropped: AtomicU64,
    /// How long recorded entries wait for company.
    linger: Duration,
}

#[derive(Debug)]
struct State<W> {
    waiting: Vec<Entry<W>>,
    bytes: usize,
    /// Of what somebody awaits.
    urgent_bytes: usize,
    /// Somebody awaits an entry: no lingering.
    urgent: bool,
    /// A batch is taken and not yet answered.
    writing: bool,
    closed: bool,
}

impl<W: Weigh> Queue<W> {
    pub fn new(linger: Duration) -> Self {
        let state = State { waiting: Vec::new(), bytes: 0, urgent_bytes: 0, urgent: false, writing: false, closed: false };
        Self { state: Mutex::new(state), wake: Condvar::new(), dropped: AtomicU64::new(0), linger }
    }

    /// Never blocks; past the bounds entries are counted and dropped.
    pub fn record(&self, works: impl IntoIterator<Item = W>) {
        let mut dropped = 0;
        let mut state = self.state();
        let before = state.waiting.len();
        for work in works {
            let bytes = work.bytes();
            if state.closed || state.waiting.len() >= ENTRIES || state.bytes.saturating_add(bytes) > BYTES {
                dropped += 1;
            } else {
                state.bytes += bytes;
                state.waiting.push(Entry { work, reply: None });
            }
        }
        // The writer sleeps on an empty queue or lingers until it is half full: other entries need not wake it.
        let wake = state.waiting.len() > before && (before == 0 || half_full(&state));
        drop(state);
        if wake {
            self.wake.notify_one();
        }
        self.lose(dropped);
    }

    /// Puts in what a caller waits for; the writer goes at once.
    pub fn ask(&self, work: W, reply: Reply) -> Result<(), StoreError> {
        self.hurry(Entry { work, reply: Some(reply) })
    }

    /// The same for work that holds its own way to answer.
    pub fn put(&self, work: W) -> Result<(), StoreError> {
        self.hurry(Entry { work, reply: None })
    }

    /// Whether more awaited work waits than a caller who could be refused should add to.
    pub fn crowded(&self) -> bool {
        self.state().urgent_bytes >= URGENT_BYTES
    }

    fn hurry(&self, entry: Entry<W>) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.closed {
            return Err(StoreError::Closed);
        }
        state.urgent_bytes = state.urgent_bytes.saturating_add(entry.work.bytes());
        state.waiting.push(entry);
        // The writer sleeps or lingers only while nothing is urgent.
        let wake = !std::mem::replace(&mut state.urgent, true);
        drop(state);
        if wake {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// The writer's side: says that the batch before is done and waits for the next; none once closed and empty.
    pub fn take(&self) -> Option<Vec<Entry<W>>> {
        let mut state = self.state();
        state.writing = false;
        state = self.wake.wait_while(state, |state| state.waiting.is_empty() && !state.closed).unwrap_or_else(PoisonError::into_inner);
        if state.waiting.is_empty() {
            return None;
        }
        let lingering = |state: &mut State<W>| !state.urgent && !state.closed && !half_full(state);
        (state, _) = self.wake.wait_timeout_while(state, self.linger, lingering).unwrap_or_else(PoisonError::into_inner);
        state.urgent = false;
        state.writing = true;
        state.bytes = 0;
        state.urgent_bytes = 0;
        Some(std::mem::take(&mut state.waiting))
    }

    /// Everything put in so far is written.
    pub fn settled(&self) -> bool {
        let state = self.state();
        state.waiting.is_empty() && !state.writing
    }

    /// Says `Closed` once it is.
    pub fn open(&self) -> Result<(), StoreError> {
        if self.state().closed { Err(StoreError::Closed) } else { Ok(()) }
    }

    /// Takes nothing more; the writer ends after what waits.
    pub fn close(&self) {
        self.state().closed = true;
        self.wake.notify_all();
    }

    pub fn lose(&self, entries: u64) {
        self.dropped.fetch_add(entries, Ordering::Relaxed);
    }

    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn half_full<W>(state: &State<W>) -> bool {
    state.waiting.len() >= ENTRIES / 2 || state.bytes >= BYTES / 2
}
