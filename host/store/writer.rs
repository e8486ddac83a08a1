//! The writer thread of one set of files: takes what waits, writes it as one batch, answers its callers after the commit.
//!
//! Must not end because a write failed: awaited callers get the error, recorded entries are counted, the next batch is tried.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
};

use super::{
    StoreError,
    queue::{Entry, Queue, Weigh},
};

/// Where batches go.
pub(super) trait Sink: Send + 'static {
    type Work: Weigh + Send + 'static;

    /// Writes and commits a batch. An error fails all of it; entries that fail alone go to `failures`.
    fn write(&mut self, batch: &mut [Entry<Self::Work>], failures: &mut Failures) -> Result<(), StoreError>;
}

/// Entries of a batch that failed without taking the others along, in the batch's order.
#[derive(Debug, Default)]
pub(super) struct Failures(Vec<(usize, StoreError)>);

impl Failures {
    pub fn push(&mut self, index: usize, error: StoreError) {
        self.0.push((index, error));
    }
}

pub(super) fn spawn<S: Sink>(name: &str, sink: S, queue: Arc<Queue<S::Work>>) -> Result<JoinHandle<()>, StoreError> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(move || run(sink, &queue)).map_err(|source| StoreError::Io { what: format!("starting the thread {name}"), source })
}

fn run<S: Sink>(mut sink: S, queue: &Queue<S::Work>) {
    let mut failing = false;
    while let Some(mut batch) = queue.take() {
        let mut failures = Failures::default();
        let whole = sink.write(&mut batch, &mut failures);
        let first = whole.as_ref().err().or(failures.0.first().map(|(_, error)| error));
        // Said once a stretch: a full disk would otherwise fill the log as well.
        match (first, failing) {
            (Some(error), false) => tracing::error!("the store can't write, records are dropped until it can: {error}"),
            (None, true) => tracing::warn!(dropped = queue.dropped(), "the store writes again"),
            _ => {}
        }
        failing = first.is_some();
        answer(batch, whole, failures, queue);
    }
}

fn answer<W: Weigh>(batch: Vec<Entry<W>>, whole: Result<(), StoreError>, failures: Failures, queue: &Queue<W>) {
    let mut failures = failures.0.into_iter().peekable();
    let outcomes = batch.into_iter().enumerate().map(|(index, entry)| {
        let alone = failures.next_if(|(failed, _)| *failed == index).map(|(_, error)| error);
        let outcome = match (&whole, alone) {
            (Err(error), _) => Err(error.again()),
            (Ok(()), Some(error)) => Err(error),
            (Ok(()), None) => Ok(()),
        };
        let outcome = if entry.work.owed() { Ok(()) } else { outcome };
        (entry.reply, outcome)
    });
    let (awaited, recorded): (Vec<_>, Vec<_>) = outcomes.partition(|(reply, _)| reply.is_some());
    // Counted first: a caller that got its answer sees what was lost beside it.
    queue.lose(recorded.iter().filter(|(_, outcome)| outcome.is_err()).count() as u64);
    for (reply, outcome) in awaited {
        // A caller that stopped waiting is fine.
        let _ = reply.map(|reply| reply.send(outcome));
    }
}
