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
    /// The call that led on from it, by a number no other has; none for requests over HTTP.
    pub call: Option<u64>,
}

impl Caller {
    /// The chain of an event that this one causes by a call.
    pub fn link(&self, call: Option<u64>) -> Arc<Chain> {
        Arc::new(Chain { worker: self.worker.clone(), before: self.chain.clone(), call })
    }

    /// The call that this event is the handler of.
    pub fn serves(&self) -> Option<u64> {
        self.chain.as_ref().and_then(|chain| chain.call)
    }
}

impl Chain {
    /// The workers, the nearest first.
    pub fn workers(&self) -> impl Iterator<Item = &Name> {
        std::iter::successors(Some(self), |chain| chain.before.as_deref()).map(|chain| &chain.worker)
    }
}
