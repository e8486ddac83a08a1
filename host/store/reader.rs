//! Queries: on connections of their own that can't write, on threads that may block, two at a time.
//!
//! A query sees everything recorded before it. Must not be used from inside the writer.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot};

use super::{StoreError, control, database, history, queue::Queue};

/// Queries at work at once; more wait in line.
const AT_ONCE: usize = 2;

#[derive(Debug, Clone)]
pub(super) struct Readers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    folder: PathBuf,
    /// Idle connections to control.db.
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
}

impl Readers {
    pub fn new(control: &Path, history: &Path) -> Self {
        Self(Arc::new(Shared {
            path: control.to_owned(),
            folder: history.to_owned(),
            idle: Mutex::default(),
            permits: Semaphore::new(AT_ONCE),
        }))
    }

    /// Runs a query on control.db.
    pub async fn control<T: Send + 'static>(
        &self,
        queue: Arc<Queue<control::Work>>,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = self.0.clone();
        self.run(move || {
            settle(&queue, control::Work::Barrier);
            shared.query(query)
        })
        .await
    }

    /// Runs a query on control.db where it is asked: for what is read in microseconds. It sees what is committed, and waits for nobody.
    pub fn in_line<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        self.0.query(query)
    }

    /// Runs a query on the folder of history files.
    pub async fn history<T: Send + 'static>(
        &self,
        queue: Arc<Queue<history::Work>>,
        query: impl FnOnce(&Path) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = self.0.clone();
        self.run(move || {
            settle(&queue, history::Work::Barrier { durable: false });
            query(&shared.folder)
        })
        .await
    }

    /// Closes idle connections, so that the writer's is the last one and leaves one plain file.
    pub fn rest(&self) {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    async fn run<T: Send + 'static>(&self, query: impl FnOnce() -> Result<T, StoreError> + Send + 'static) -> Result<T, StoreError> {
        let _permit = self.0.permits.acquire().await.map_err(|_| StoreError::Closed)?;
        tokio::task::spawn_blocking(query).await.map_err(|_| StoreError::Closed)?
    }
}

impl Shared {
    fn query<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let db = match idle {
            Some(db) => db,
            None => database::open_read_only(&self.path)?,
        };
        let answer = query(&db).map_err(StoreError::sqlite("reading", &self.path))?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(db);
        Ok(answer)
    }
}

/// Waits, on a thread that may, until what was recorded so far is committed. What couldn't be written is the writer's to tell.
fn settle<W: super::queue::Weigh>(queue: &Queue<W>, barrier: W) {
    if queue.settled() {
        return;
    }
    let (reply, answered) = oneshot::channel();
    if queue.ask(barrier, reply).is_ok() {
        let _ = answered.blocking_recv();
    }
}
