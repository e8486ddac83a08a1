//! The journal: events of the host and log lines of workers, kept in bounded rings, streamed to whoever follows.
//!
//! One place every event passes: ring, stream, store and tracing get the same line. Must not block a caller.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::broadcast;

use crate::{
    clock::Clock,
    facts::{EventRecord, Level, LogLine, Name},
    store::Store,
};

/// Events kept in memory for listings; older ones are in the store.
const EVENTS_KEPT: usize = 1_000;
/// Log lines kept for each worker, and their bytes together.
const LINES_KEPT: usize = 200;
const LINE_BYTES_KEPT: usize = 64 << 10;
/// How far a follower may fall behind before it misses lines.
const FOLLOW_SLACK: usize = 1_024;

#[derive(Debug, Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    clock: Clock,
    store: Option<Store>,
    next_event: AtomicU64,
    events: Mutex<VecDeque<EventRecord>>,
    events_out: broadcast::Sender<EventRecord>,
    logs: Mutex<HashMap<Name, Lines>>,
    logs_out: broadcast::Sender<Arc<LogLine>>,
}

#[derive(Debug, Default)]
struct Lines {
    lines: VecDeque<Arc<LogLine>>,
    bytes: usize,
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
            }),
        }
    }

    /// Records something that happened. `kind` is dotted: `worker.trapped`.
    pub fn event(&self, kind: &str, level: Level, worker: Option<&Name>, message: impl Into<String>) {
        let message = message.into();
        let name = worker.map(|name| &**name).unwrap_or_default();
        match level {
            Level::Error => tracing::error!(kind, worker = name, "{message}"),
            Level::Warn => tracing::warn!(kind, worker = name, "{message}"),
            Level::Info => tracing::info!(kind, worker = name, "{message}"),
            Level::Debug | Level::Trace => tracing::debug!(kind, worker = name, "{message}"),
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
            store.record_event(record.clone());
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
    pub fn line(&self, line: LogLine) {
        tracing::info!(target: "worker", worker = &*line.worker, replica = line.replica, level = ?line.level, source = line.source, "{}", line.text);
        let line = Arc::new(line);
        {
            let mut logs = self.inner.logs.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = logs.entry(line.worker.clone()).or_default();
            kept.bytes += line.text.len();
            kept.lines.push_back(line.clone());
            while kept.lines.len() > LINES_KEPT || kept.bytes > LINE_BYTES_KEPT {
                let Some(old) = kept.lines.pop_front() else { break };
                kept.bytes -= old.text.len();
            }
        }
        let _ = self.inner.logs_out.send(line);
    }

    /// The newest `limit` lines of a worker, oldest first.
    pub fn lines(&self, worker: &str, limit: usize) -> Vec<Arc<LogLine>> {
        let logs = self.inner.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = logs.get(worker) else { return Vec::new() };
        kept.lines.iter().skip(kept.lines.len().saturating_sub(limit)).cloned().collect()
    }

    /// Lines of all workers from now on.
    pub fn follow_lines(&self) -> broadcast::Receiver<Arc<LogLine>> {
        self.inner.logs_out.subscribe()
    }

    /// Forgets a worker's lines.
    pub fn forget(&self, worker: &str) {
        self.inner.logs.lock().unwrap_or_else(PoisonError::into_inner).remove(worker);
    }
}
