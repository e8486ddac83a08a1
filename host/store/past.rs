//! The store's handle, as the past is told to it and asked for: seen time, changes of checks, marks of workers, a range in one.
//!
//! Must not decide what is worth telling.

use std::{path::Path, sync::Arc};

use jiff::Timestamp;

use super::{CheckRow, Deployed, Past, SeenRow, Span, Store, StoreError, changes, control, history, marks};
use crate::facts::{Change, Mark, Name};

impl Store {
    /// A check's row and the change that led to it, in one transaction.
    pub fn record_flip(&self, row: CheckRow, change: Change) {
        self.0.control.record([control::Work::Flip(Box::new((row, change)))]);
    }

    /// A check's changes of state, newest first, at most 200.
    pub async fn changes(&self, worker: &str, subject: &str) -> Result<Vec<Change>, StoreError> {
        let (worker, subject) = (worker.to_owned(), subject.to_owned());
        self.read(move |db| changes::list(db, &worker, &subject)).await
    }

    /// What a worker runs on; marked when it is not what it ran on before.
    pub fn record_deployed(&self, deployed: Deployed) {
        self.0.control.record([control::Work::Deployed(Box::new(deployed))]);
    }

    /// The worker is gone, and its marks with it.
    pub fn record_undeployed(&self, worker: &str) {
        self.0.control.record([control::Work::Undeployed(Name::from(worker))]);
    }

    /// A worker's marks since `from`, newest first, at most 50.
    pub async fn marks(&self, worker: &str, from: Timestamp) -> Result<Vec<Mark>, StoreError> {
        let worker = worker.to_owned();
        self.read(move |db| marks::list(db, &worker, from)).await
    }

    pub fn record_seen(&self, rows: Vec<SeenRow>) {
        self.0.history.record(rows.into_iter().map(history::Work::Seen));
    }

    /// A check's points, summary and last failure over a span.
    pub async fn past(&self, worker: &str, subject: &str, span: Span) -> Result<Past, StoreError> {
        let (worker, subject): (Arc<str>, Arc<str>) = (worker.into(), subject.into());
        self.0.readers.history(self.0.history.clone(), move |folder: &Path| history::past(folder, &worker, &subject, span)).await
    }
}
