//! Who asks: the worker, its replica, the event in hand, and whose calls led to it. Shared by all capabilities.

use std::sync::Arc;

use crate::facts::Name;

/// Whose event a capability is used in.
#[derive(Debug, Clone)]
pub struct Caller {
    pub worker: Name,
    pub replica: u32,
    /// The event in hand; unique while the host lives.
    pub event: u64,
    /// Workers whose calls led to this event, the nearest first.
    pub chain: Option<Arc<Chain>>,
}

/// A chain of calls, one link a worker.
#[derive(Debug)]
pub struct Chain {
    pub worker: Name,
    pub before: Option<Arc<Chain>>,
}

impl Caller {
    /// The chain of an event that this one causes.
    pub fn link(&self) -> Arc<Chain> {
        Arc::new(Chain { worker: self.worker.clone(), before: self.chain.clone() })
    }
}

impl Chain {
    /// The workers, the nearest first.
    pub fn workers(&self) -> impl Iterator<Item = &Name> {
        std::iter::successors(Some(self), |chain| chain.before.as_deref()).map(|chain| &chain.worker)
    }
}
