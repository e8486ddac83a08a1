//! What capabilities stand on: the host's services, the same for all workers, and one worker's share of them. Shared by all.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::future::BoxFuture;

use super::{caller::Caller, ping::Pinger};
use crate::{
    clock::Clock,
    facts::Name,
    limiter::Limiters,
    manifest::spec::{Grants, Rate},
    store::{Jobs, Kv},
};

/// Host-wide; made once.
pub struct Services {
    pub clock: Clock,
    pub jobs: Arc<dyn Jobs>,
    pub kv: Arc<dyn Kv>,
    pub limiters: Limiters,
    pub pinger: Arc<Pinger>,
    /// Supervision is built on capabilities, so it comes in later.
    pub directory: OnceLock<Arc<dyn Directory>>,
    /// The fleet writes manifests, and is built on supervision.
    pub rates: OnceLock<Arc<dyn Rates>>,
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services").finish_non_exhaustive()
    }
}

/// One worker's: its grants over the host's services. The same for all its instances.
#[derive(Debug)]
pub struct Rights {
    pub worker: Name,
    pub grants: Arc<Grants>,
    pub services: Arc<Services>,
}

/// One replica of a worker, as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub worker: Name,
    pub replica: u32,
    pub state: &'static str,
    pub busy: bool,
    pub waiting: u32,
}

/// Why a call brought no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallFault {
    /// The worker's own error.
    #[error("{0}")]
    Failed(String),
    #[error("{0}")]
    NotFound(String),
    /// It would wait for itself.
    #[error("{0}")]
    Cycle(String),
    #[error("{0}")]
    Timeout(String),
    #[error("{0}")]
    TooLarge(String),
    /// Down, full, crashed, or it answers no calls.
    #[error("{0}")]
    Unavailable(String),
}

/// Workers by name. Who may call whom was decided before.
pub trait Directory: Send + Sync + 'static {
    /// `name` or `name/n`; none: there is no such worker or replica.
    fn whereis(&self, name: &str) -> Option<Vec<Member>>;
    /// All whose worker `wanted` says yes to.
    fn members(&self, wanted: &dyn Fn(&str) -> bool) -> Vec<Member>;
    /// After `deadline` the answer is given up; the call still runs.
    fn call<'a>(
        &'a self,
        caller: &'a Caller,
        name: &'a str,
        method: String,
        payload: Vec<u8>,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Vec<u8>, CallFault>>;
    fn cast(&self, caller: &Caller, name: &str, method: String, payload: Vec<u8>) -> Result<(), CallFault>;
    /// Answers how many workers it was handed to.
    fn publish(&self, caller: &Caller, topic: &str, payload: Vec<u8>) -> u32;
}

/// Writes a limiter's new rate into the manifest that declares it.
pub trait Rates: Send + Sync + 'static {
    /// Err: a sentence with the remedy (a folder that can't be written).
    fn set_rate<'a>(&'a self, name: &'a str, rate: Rate) -> BoxFuture<'a, Result<(), String>>;
}
