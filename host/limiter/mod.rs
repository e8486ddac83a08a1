//! A FIFO rate limiter that any task may share; knows nothing of workers. (skeleton)

use tokio::time::Instant;

use crate::{clock::Clock, manifest::spec::Rate};

/// A cheap handle; clones share one queue.
#[derive(Debug, Clone)]
pub struct Limiter {}

#[derive(Debug, thiserror::Error)]
#[error("no permit within the deadline")]
pub struct NoPermit;

#[allow(unused_variables, clippy::allow_attributes_without_reason, clippy::todo, clippy::unused_async)] // skeleton
impl Limiter {
    pub fn new(rate: Rate, burst: u32, clock: Clock) -> Self {
        todo!()
    }
    /// Waits in FIFO order; a waiter that is dropped or too late gives its place up.
    pub async fn acquire(&self, deadline: Instant) -> Result<(), NoPermit> {
        todo!()
    }
    pub fn try_acquire(&self) -> bool {
        todo!()
    }
    pub fn set_rate(&self, rate: Rate) {
        todo!()
    }
}
