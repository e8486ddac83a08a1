//! The fleet: desired state with its generation, the pure diff, and the reconciler that carries it out.
//!
//! (skeleton: the public face that api uses)

use crate::facts::{Plan, Problem};

#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The request or a manifest is invalid; nothing was applied.
    #[error("{} problem(s); nothing was applied", .0.len())]
    Invalid(Vec<Problem>),
    #[error("{0}")]
    NotFound(String),
    /// 409: a read-only manifests folder, nothing to undo, a file changed meanwhile.
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    Internal(String),
}

/// One apply, as API and CLI send it.
#[derive(Debug, Clone, Default)]
pub struct ApplyRequest {
    /// Manifest text.
    pub text: String,
    /// Name of the apply set, for the file that new tables go to; none: the single worker's name, else `applied`.
    pub set: Option<String>,
    /// Remove every worker that `text` does not declare.
    pub prune: bool,
    pub dry_run: bool,
}

/// A cheap handle to the reconciler.
#[derive(Debug, Clone)]
pub struct Fleet {}

#[allow(unused_variables, clippy::allow_attributes_without_reason, clippy::todo, clippy::unused_async)] // skeleton
impl Fleet {
    /// Answers when the change is applied (workers handed to supervision), on disk, and synced.
    pub async fn apply(&self, request: ApplyRequest) -> Result<Plan, FleetError> {
        todo!()
    }
    pub async fn delete_worker(&self, name: &str, dry_run: bool) -> Result<Plan, FleetError> {
        todo!()
    }
    /// Goes back to the generation before.
    pub async fn undo(&self, dry_run: bool) -> Result<Plan, FleetError> {
        todo!()
    }
    /// Edits `paused` in the manifest.
    pub async fn set_paused(&self, name: &str, paused: bool) -> Result<Plan, FleetError> {
        todo!()
    }
    /// Edits `replicas` in the manifest.
    pub async fn scale(&self, name: &str, replicas: u32) -> Result<Plan, FleetError> {
        todo!()
    }
    /// All problems of the folder as it stands.
    pub fn problems(&self) -> Vec<Problem> {
        todo!()
    }
    pub fn generation(&self) -> u64 {
        todo!()
    }
}
