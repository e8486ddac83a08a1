//! The epoch ticker: one thread that ticks every engine once a millisecond while any guest runs, and is parked otherwise.
//!
//! A tick makes a busy guest look at its deadline and yield its thread; it never waits for anything and holds no lock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

use wasmtime::Engine;

const TICK: Duration = Duration::from_millis(1);
/// Ticks without a running guest before the thread parks: parking after each event would cost a wake-up an event.
const IDLE_TICKS: u32 = 64;

/// Shared by all engines of a host.
#[derive(Debug, Clone)]
pub struct Ticker {
    running: Arc<AtomicUsize>,
    parked: Arc<AtomicUsize>,
    thread: Thread,
}

/// Held while a guest runs.
#[derive(Debug)]
pub struct Running<'t>(&'t Ticker);

impl Ticker {
    /// Starts the thread; it lives as long as the process.
    pub fn start(engines: Vec<Engine>) -> std::io::Result<Self> {
        let running = Arc::new(AtomicUsize::new(0));
        let parked = Arc::new(AtomicUsize::new(0));
        let thread = thread::Builder::new().name("epoch-ticker".into()).spawn({
            let (running, parked) = (running.clone(), parked.clone());
            move || tick(&engines, &running, &parked)
        })?;
        Ok(Self { running, parked, thread: thread.thread().clone() })
    }

    /// Keeps the epoch moving until the answer is dropped.
    pub fn run(&self) -> Running<'_> {
        self.running.fetch_add(1, Ordering::SeqCst);
        if self.parked.load(Ordering::SeqCst) == 1 {
            self.thread.unpark();
        }
        Running(self)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

#[allow(clippy::disallowed_methods, reason = "the ticker is real time by nature: it interrupts guests that never return to the runtime")]
fn tick(engines: &[Engine], running: &AtomicUsize, parked: &AtomicUsize) {
    let mut idle = 0;
    loop {
        if running.load(Ordering::SeqCst) > 0 {
            idle = 0;
        } else {
            idle += 1;
        }
        if idle >= IDLE_TICKS {
            parked.store(1, Ordering::SeqCst);
            // Seen after `parked` is set, so that a guest which started in between is not missed.
            while running.load(Ordering::SeqCst) == 0 {
                thread::park();
            }
            parked.store(0, Ordering::SeqCst);
            idle = 0;
        }
        thread::sleep(TICK);
        for engine in engines {
            engine.increment_epoch();
        }
    }
}
