//! Removing what expired: in bounded slices, on one timer that stands at the next expiry.
//!
//! Must not decide what a caller sees: an expired key counts as absent from its moment on, swept or not.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::AbortHandle;

use super::{
    super::{Store, StoreError},
    read::next_expiry,
    write::{Act, Slot},
};

/// Keys that expire one by one are swept together: nobody but the disk notices when.
const GATHER_MS: i64 = 1_000;

/// When the next sweep is due and who will do it.
#[derive(Debug, Default)]
pub(super) struct Timer(Mutex<Option<(i64, AbortHandle)>>);

impl Store {
    /// At the start: what has expired since the last one, and what will.
    pub(in crate::store) fn sweep_first(&self) -> Result<(), StoreError> {
        if let Some(at) = self.0.readers.in_line(next_expiry)? {
            self.sweep_at(at);
        }
        Ok(())
    }

    /// Sees to it that what expires at `at` goes soon after. Without a runtime, changes sweep in passing.
    pub(super) fn sweep_at(&self, at: i64) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let due = at.max(self.jobs_core().moment().line.saturating_add(GATHER_MS));
        let until = self.jobs_core().timeline().instant(due);
        let mut timer = self.0.kv.timer.0.lock().unwrap_or_else(PoisonError::into_inner);
        if timer.as_ref().is_some_and(|(armed, task)| *armed <= due && !task.is_finished()) {
            return;
        }
        // A store that nobody holds must end: its timer doesn't hold it either.
        let store = Arc::downgrade(&self.0);
        let task = runtime.spawn(async move {
            tokio::time::sleep_until(until).await;
            if let Some(store) = store.upgrade() {
                Store(store).sweep().await;
            }
        });
        if let Some((_, later)) = timer.replace((due, task.abort_handle())) {
            later.abort();
        }
    }

    /// Slice by slice, so that other changes get in between, until nothing expired is left.
    async fn sweep(&self) {
        // From here on this task is no timer: nobody may end it.
        self.0.kv.timer.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        loop {
            match self.sweep_slice().await {
                Ok(Some(next)) if next > self.jobs_core().moment().line => return self.sweep_at(next),
                Ok(Some(_)) => {}
                Ok(None) | Err(StoreError::Closed) => return,
                // The writer said why; what is left goes with the next change, or at the next start.
                Err(_) => return,
            }
        }
    }

    async fn sweep_slice(&self) -> Result<Option<i64>, StoreError> {
        let slot = Slot::default();
        let told = slot.clone();
        self.put_in_line("", Act::Sweep { slot }, None)?.await.map_err(|_| StoreError::Closed)??;
        told.take()
    }
}
