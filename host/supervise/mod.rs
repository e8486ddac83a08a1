//! Supervision: replicas, their incarnations, and what happens when one crashes.
//!
//! (skeleton: the supervisor's public face)

use std::sync::Arc;

use tokio::sync::broadcast;

use crate::{
    facts::{Digest, Name, Why, WorkerView},
    manifest::spec::WorkerSpec,
    worker::Component,
};

/// What fleet hands over: one worker as it shall run.
#[derive(Debug, Clone)]
pub struct Deployment {
    pub spec: Arc<WorkerSpec>,
    pub component: Arc<Component>,
    /// Why this is not what the files on disk say, when it is not.
    pub held_back: Option<String>,
}

/// What fleet needs to hear from supervision.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// A replica entered quarantine while running this component.
    Quarantined { worker: Name, digest: Digest },
    /// `init` returned an error.
    Failed { worker: Name, digest: Digest, reason: String },
}

/// Operator acts on a running worker; they change no desired state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// A fresh incarnation of every replica, after the event in flight; leaves quarantine, failed and stopped.
    Restart,
    /// Finish the event in flight, take no more, then `stopped`.
    Drain,
    /// Check now: one tick at once, outside the phase.
    Tick,
}

/// Why an act or a call can't be done.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    #[error("no worker \"{0}\"")]
    NotFound(String),
    /// The worker is there but can't do it now, or at all; the sentence says why.
    #[error("{0}")]
    Refused(String),
    #[error("no answer in time")]
    Timeout,
}

/// A cheap handle to all workers of this host.
#[derive(Debug, Clone)]
pub struct Supervisor {}

#[allow(unused_variables, clippy::allow_attributes_without_reason, clippy::todo)] // skeleton
impl Supervisor {
    /// Starts a worker that wasn't there.
    pub fn create(&self, deployment: Deployment) {
        todo!()
    }
    /// Replaces spec or component; restarts replicas after their event in flight. `amend` when only live fields differ.
    pub fn update(&self, deployment: Deployment) {
        todo!()
    }
    /// Live fields only: nothing is restarted.
    pub fn amend(&self, deployment: Deployment) {
        todo!()
    }
    /// Ends a worker after its event in flight.
    pub fn remove(&self, name: &str) {
        todo!()
    }

    pub fn act(&self, name: &str, act: Act) -> Result<(), SuperviseError> {
        todo!()
    }
    /// One call through the mailbox; `replica` none: any.
    pub async fn call(&self, name: &str, replica: Option<u32>, method: String, payload: Vec<u8>) -> Result<Result<Vec<u8>, String>, SuperviseError> {
        todo!()
    }

    /// All workers by name.
    pub fn views(&self) -> Vec<WorkerView> {
        todo!()
    }
    pub fn view(&self, name: &str) -> Option<WorkerView> {
        todo!()
    }
    pub fn why(&self, name: &str) -> Option<Why> {
        todo!()
    }

    pub fn facts(&self) -> broadcast::Receiver<Fact> {
        todo!()
    }
    /// Moves whenever any fact about any worker changed.
    pub fn changed(&self) -> tokio::sync::watch::Receiver<u64> {
        todo!()
    }
}
