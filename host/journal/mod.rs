//! The journal: events of the host and log lines of workers, kept in bounded rings, streamed to whoever follows.
//!
//! One place every event passes: ring, stream, store and tracing get the same line. Must not block a caller.

mod lines;

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::broadcast;

use self::lines::Lines;
use crate::{
    clock::Clock,
    facts::{EventRecord, Level, LogLine, Name},
    store::{Flip, Store},
};

/// Events kept in memory for listings; older ones are in the store.
const EVENTS_KEPT: usize = 1_000;
/// How far a follower may fall behind before it misses lines.
const FOLLOW_SLACK: usize = 1_024;

/// Takes secrets out of a text.
pub type Mask = Arc<dyn Fn(&str) -> String + Send + Sync>;

#[derive(Debug, Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Clock,
    store: Option<Store>,
    next_event: AtomicU64,
    events: Mutex<VecDeque<EventRecord>>,
    events_out: broadcast::Sender<EventRecord>,
    logs: Mutex<Lines>,
    logs_out: broadcast::Sender<Arc<LogLine>>,
    mask: OnceLock<Mask>,
}

impl Journal {
    /// `store`: where events are kept over restarts; none in tests that need no disk.
    pub fn new(clock: Clock, store: Option<Store>) -> Self {
        let last = store.as_ref().map_or(0, Store::last_event_id);
        Self {
            inner: Arc::new(Inner {
                clock,
                store,
                next_event: AtomicU64::new(last + 1),
                events: Mutex::default(),
                events_out: broadcast::channel(FOLLOW_SLACK).0,
                logs: Mutex::default(),
                logs_out: broadcast::channel(FOLLOW_SLACK).0,
                mask: OnceLock::new(),
            }),
        }
    }

    /// From now on every line and event passes through `mask`. Set once, before workers run.
    pub fn mask_with(&self, mask: Mask) {
        if let Some(store) = &self.inner.store {
            store.outbox().mask_with(mask.clone());
        }
        let _ = self.inner.mask.set(mask);
    }

    /// The text without the values of secrets.
    pub fn masked(&self, text: String) -> String {
        match self.inner.mask.get() {
            Some(mask) => mask(&text),
            None => text,
        }
    }

    /// Records something that happened. `kind` is dotted: `worker.trapped`.
    pub fn event(&self, kind: &str, level: Level, worker: Option<&Name>, message: impl Into<String>) {
        self.happened(kind, level, worker, message.into(), Store::record_event);
    }

    /// Records a flip: the event, and what must be kept with it or not at all. The one place where an alert is made from.
    pub fn flip(&self, kind: &str, level: Level, worker: Option<&Name>, message: impl Into<String>, flip: Flip) {
        self.happened(kind, level, worker, message.into(), |store, record| store.record_happened(record, flip));
    }

    /// Somebody takes alerts: making one is worth the while.
    pub fn alerting(&self) -> bool {
        self.inner.store.as_ref().is_some_and(|store| store.outbox().is_open())
    }

    fn happened(&self, kind: &str, level: Level, worker: Option<&Name>, message: String, keep: impl FnOnce(&Store, EventRecord)) {
        let message = self.masked(message);
        let worker_name = worker.map(|name| &**name);
        match level {
            Level::Error => tracing::error!(kind, worker = worker_name, "{message}"),
            Level::Warn => tracing::warn!(kind, worker = worker_name, "{message}"),
            Level::Info => tracing::info!(kind, worker = worker_name, "{message}"),
            Level::Debug | Level::Trace => tracing::debug!(kind, worker = worker_name, "{message}"),
        }
        let mut kept = self.inner.events.lock().unwrap_or_else(PoisonError::into_inner);
        // The id is drawn under the lock: ids in ring and stream only grow.
        let record = EventRecord {
            id: self.inner.next_event.fetch_add(1, Ordering::Relaxed),
            at: self.inner.clock.wall(),
            kind: kind.to_owned(),
            level,
            worker: worker.cloned(),
            message,
        };
        if kept.len() >= EVENTS_KEPT {
            kept.pop_front();
        }
        kept.push_back(record.clone());
        if let Some(store) = &self.inner.store {
            keep(store, record.clone());
        }
        // Nobody listening is fine.
        let _ = self.inner.events_out.send(record);
    }

    /// The newest `limit` events in memory, oldest first.
    pub fn events(&self, limit: usize) -> Vec<EventRecord> {
        let kept = self.inner.events.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().skip(kept.len().saturating_sub(limit)).cloned().collect()
    }

    /// Events from now on.
    pub fn follow_events(&self) -> broadcast::Receiver<EventRecord> {
        self.inner.events_out.subscribe()
    }

    /// Keeps a worker's line and passes it to followers and to the host's own log.
    pub fn line(&self, mut line: LogLine) {
        line.text = self.masked(line.text);
        let (worker, replica, source, text) = (&*line.worker, line.replica, &*line.source, &*line.text);
        match line.level {
            Level::Error => tracing::error!(target: "worker", worker, replica, source, "{text}"),
            Level::Warn => tracing::warn!(target: "worker", worker, replica, source, "{text}"),
            Level::Info => tracing::info!(target: "worker", worker, replica, source, "{text}"),
            Level::Debug => tracing::debug!(target: "worker", worker, replica, source, "{text}"),
            Level::Trace => tracing::trace!(target: "worker", worker, replica, source, "{text}"),
        }
        let line = Arc::new(line);
        self.inner.logs.lock().unwrap_or_else(PoisonError::into_inner).push(line.clone());
        let _ = self.inner.logs_out.send(line);
    }

    /// The newest `limit` lines of a worker, oldest first.
    pub fn lines(&self, worker: &str, limit: usize) -> Vec<Arc<LogLine>> {
        self.inner.logs.lock().unwrap_or_else(PoisonError::into_inner).newest(worker, limit)
    }

    /// Lines of all workers from now on.
    pub fn follow_lines(&self) -> broadcast::Receiver<Arc<LogLine>> {
        self.inner.logs_out.subscribe()
    }

    /// Forgets a worker's lines.
    pub fn forget(&self, worker: &str) {
        self.inner.logs.lock().unwrap_or_else(PoisonError::into_inner).forget(worker);
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").finish_non_exhaustive()
    }
}
