//! The durable queue, through the store's handle: nothing lost, none finished twice, in order, on time.

mod faults; // kills, full disks, files of the version before
mod leases; // who holds what: fencing, terms, progress
mod model; // random lives of many jobs against a slow, obvious queue
mod pure; // window, backoff and time line, as pure data
mod states; // delays, retries, keys, times to live, cancel, purge, listings

use std::{path::Path, sync::Arc, sync::mpsc, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use skep::{
    clock::Clock,
    facts::{JobState, JobView, QueueView},
    store::{Finished, Jobs, LeasedJob, NewJob, Outcome, Store, StoreSettings, Surroundings, Term},
};
use tempfile::TempDir;
use uuid::Uuid;

const SECOND: Duration = Duration::from_secs(1);
const START: &str = "2026-03-01T12:00:00Z";

/// A store on time that stands still until a test moves it.
struct Desk {
    store: Store,
    dir: TempDir,
    clock: Clock,
    /// While a blocking task runs, tokio's paused time does not move by itself.
    _still: mpsc::Sender<()>,
}

impl std::ops::Deref for Desk {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl Desk {
    /// In a runtime whose time is paused.
    fn new() -> Self {
        let (still, ended) = mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || ended.recv());
        let (dir, clock) = (TempDir::new().unwrap(), Clock::starting_at(START.parse::<Timestamp>().unwrap()));
        Self { store: open_at(dir.path(), clock), dir, clock, _still: still }
    }

    async fn pass(&self, time: Duration) {
        tokio::time::advance(time).await;
        self.settle().await;
    }

    /// Until the timer has told the writer, and the writer is done.
    async fn settle(&self) {
        for _ in 0..3 {
            tokio::task::yield_now().await;
            // A disk that refuses is what some tests are about.
            drop(self.store.flush().await);
        }
    }

    /// An orderly end and a new start.
    async fn restart(&mut self) {
        self.store.close().await.unwrap();
        self.store = open_at(self.dir.path(), self.clock);
    }

    /// What a killed host leaves: the files as they are at this moment.
    async fn kill(&mut self) {
        let left = TempDir::new().unwrap();
        copy(self.dir.path(), left.path());
        self.store = open_at(left.path(), self.clock);
        self.dir = left;
    }

    async fn add(&self, job: NewJob) -> Uuid {
        let pushed = self.push(vec![job]).await.unwrap();
        assert!(pushed[0].fresh);
        pushed[0].id
    }

    /// The next job, once what waits on disk is read.
    async fn next(&self, queue: &str) -> Option<LeasedJob> {
        for _ in 0..2 {
            if let Some(job) = self.lease(queue, 1, &holder(), Term::Host).pop() {
                return Some(job);
            }
            self.settle().await;
        }
        None
    }

    async fn end(&self, job: &LeasedJob, outcome: Outcome) -> Finished {
        self.finish(job.id, job.attempt, outcome, Vec::new()).await.unwrap()
    }

    async fn see(&self, id: Uuid) -> JobView {
        self.job(id).await.unwrap().unwrap()
    }

    async fn state(&self, id: Uuid) -> Option<JobState> {
        self.job(id).await.unwrap().map(|job| job.state)
    }

    async fn queue(&self, name: &str) -> QueueView {
        self.queues().await.unwrap().into_iter().find(|queue| queue.name == name).unwrap()
    }
}

fn open_at(dir: &Path, clock: Clock) -> Store {
    let settings = StoreSettings { dir: dir.to_owned(), history_bytes: 1 << 20, history_days: 1 };
    Store::open_in(settings, Surroundings { clock, jitter: || 0.0 }).unwrap()
}

fn holder() -> Arc<str> {
    "tests/1".into()
}

fn job(payload: &str) -> NewJob {
    job_for("todo", payload)
}

fn job_for(queue: &str, payload: &str) -> NewJob {
    NewJob::new(queue.into(), Bytes::copy_from_slice(payload.as_bytes()), "tests".into())
}

fn again(reason: &str) -> Outcome {
    Outcome::Retry { reason: reason.into(), after: None }
}

fn done() -> Outcome {
    Outcome::Done(None)
}

fn text(job: &LeasedJob) -> &str {
    std::str::from_utf8(&job.payload).unwrap()
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
