//! Turns crashes into trap records, off the path that restarts the worker.
//!
//! One task with a bounded queue: past it crashes are counted, not recorded, so that a worker that crashes in a loop costs little.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::mpsc;

use super::unit::Unit;
use crate::{
    clock::Clock,
    facts::{Level, LogLine, TrapRecord},
    journal::Journal,
    store::Store,
    worker::Crash,
};

const QUEUE: usize = 1_024;

#[derive(Debug, Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Box<Item>>,
    clock: Clock,
    lost: Arc<AtomicU64>,
}

/// A guest may have got hold of a secret that an origin said back to it.
fn masked(record: TrapRecord, journal: &Journal) -> TrapRecord {
    let mask = |text: String| journal.masked(text);
    TrapRecord {
        message: mask(record.message),
        panic: record.panic.map(mask),
        event: mask(record.event),
        input: mask(record.input),
        log: record.log.into_iter().map(|line| LogLine { text: mask(line.text), ..line }).collect(),
        ..record
    }
}

#[derive(Debug)]
struct Item {
    unit: Arc<Unit>,
    crash: Crash,
    incarnation: u64,
    at: jiff::Timestamp,
}

impl Recorder {
    pub fn start(store: Option<Store>, journal: Journal, clock: Clock) -> Self {
        let (queue, mut items) = mpsc::channel::<Box<Item>>(QUEUE);
        tokio::spawn(async move {
            while let Some(item) = items.recv().await {
                let Item { unit, crash, incarnation, at } = *item;
                let component = unit.deployed().run().component.clone();
                let record = masked(crash.into_record(at, incarnation, &component), &journal);
                let said = record.panic.as_deref().unwrap_or(&record.message);
                let said = said.lines().map(str::trim).collect::<Vec<_>>().join(" ");
                unit.facts.set_trap(&said, &record.id);
                let message = format!("{} in {}: {said} (skep trap {})", record.cause.as_str(), record.event, record.id);
                journal.event("worker.trapped", Level::Error, Some(&unit.name), message);
                if let Some(store) = &store {
                    store.record_trap(Box::new(record));
                }
            }
        });
        Self { queue, clock, lost: Arc::default() }
    }

    pub fn record(&self, unit: Arc<Unit>, crash: Crash, incarnation: u64) {
        unit.facts.set_error(&crash.summary);
        let at = self.clock.wall();
        if self.queue.try_send(Box::new(Item { unit, crash, incarnation, at })).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Crashes that were not recorded because too many came at once.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}
