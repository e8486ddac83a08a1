//! Log lines of all workers: a ring each, and one bound for all of them together.
//!
//! Plain data under the journal's lock; no clock, no I/O.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use crate::facts::{LogLine, Name};

/// Kept for one worker.
const WORKER_LINES: usize = 200;
const WORKER_BYTES: usize = 64 << 10;
/// Kept for all workers together: ten thousand talkative workers must not fill the machine.
const ALL_BYTES: usize = 64 << 20;
/// What a line costs beside its text.
const LINE_OVERHEAD: usize = 160;

#[derive(Debug, Default)]
pub(super) struct Lines {
    workers: HashMap<Name, Ring>,
    /// Whose line is the oldest, for the common bound. One entry for each line taken in; `Ring::gone` counts those whose line left
    /// its ring early.
    order: VecDeque<Name>,
    bytes: usize,
    live: usize,
}

#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<Arc<LogLine>>,
    bytes: usize,
    gone: usize,
}

fn cost(line: &LogLine) -> usize {
    line.text.len() + LINE_OVERHEAD
}

impl Ring {
    fn pop(&mut self) -> usize {
        let freed = self.lines.pop_front().map_or(0, |line| cost(&line));
        self.bytes -= freed;
        freed
    }
}

impl Lines {
    pub fn push(&mut self, line: Arc<LogLine>) {
        let cost = cost(&line);
        self.order.push_back(line.worker.clone());
        let ring = self.workers.entry(line.worker.clone()).or_default();
        ring.bytes += cost;
        ring.lines.push_back(line);
        self.bytes += cost;
        self.live += 1;
        while ring.lines.len() > WORKER_LINES || (ring.bytes > WORKER_BYTES && ring.lines.len() > 1) {
            self.bytes -= ring.pop();
            self.live -= 1;
            ring.gone += 1;
        }
        while self.bytes > ALL_BYTES && self.drop_oldest() {}
        if self.order.len() > 2 * self.live + 1_024 {
            self.compact();
        }
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(name) = self.order.pop_front() else { return false };
        if let Some(ring) = self.workers.get_mut(&name) {
            if ring.gone > 0 {
                ring.gone -= 1;
            } else if !ring.lines.is_empty() {
                self.bytes -= ring.pop();
                self.live -= 1;
            }
        }
        true
    }

    /// Forgets order entries whose line is gone, so that the order is never much longer than what it orders.
    fn compact(&mut self) {
        let workers = &mut self.workers;
        self.order.retain(|name| match workers.get_mut(name) {
            None => false,
            Some(ring) if ring.gone > 0 => {
                ring.gone -= 1;
                false
            }
            Some(_) => true,
        });
    }

    /// The newest `limit` lines of a worker, oldest first.
    pub fn newest(&self, worker: &str, limit: usize) -> Vec<Arc<LogLine>> {
        let Some(ring) = self.workers.get(worker) else { return Vec::new() };
        ring.lines.iter().skip(ring.lines.len().saturating_sub(limit)).cloned().collect()
    }

    /// Forgets a worker. Its order entries stay until they are met: taking them out here would read the whole order.
    pub fn forget(&mut self, worker: &str) {
        if let Some(ring) = self.workers.remove(worker) {
            self.bytes -= ring.bytes;
            self.live -= ring.lines.len();
        }
    }
}
