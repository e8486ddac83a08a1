//! Workers as wasm: engines, component cache, instances, limits.
//!
//! (skeleton: the component store's public face)

use std::{path::Path, sync::Arc};

use crate::{facts::Digest, manifest::spec::RunSpec};

/// The largest `.wasm` read, in bytes.
pub const MAX_COMPONENT_BYTES: u64 = 128 << 20;

/// Why a file is not a component this host can run. One sentence each, made for a manifest problem on field `component`.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    #[error("{path}: {reason}")]
    Unreadable { path: String, reason: String },
    /// Text, a core module, truncated, too large, imports something the host lacks, exports no usable trigger.
    #[error("{path}: {reason}")]
    Invalid { path: String, reason: String },
}

/// What a component offers and wants, read from its own type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surface {
    pub exports: Vec<String>,
    pub imports: Vec<String>,
    pub lifecycle: bool,
    pub schedule: bool,
    pub call: bool,
    /// `wasi:http/incoming-handler`
    pub http: bool,
    /// `wasi:cli/run`
    pub command: bool,
}

/// Reads what a component file offers and wants, without running or keeping it.
#[allow(clippy::allow_attributes_without_reason, clippy::todo)] // skeleton
pub fn inspect(_path: &Path) -> Result<Surface, ComponentError> {
    todo!()
}

/// A compiled component, ready to instantiate.
#[derive(Debug)]
pub struct Component {
    pub digest: Digest,
    pub surface: Surface,
    pub bytes: u64,
}

impl Component {
    /// Whether every trigger of `run` has its export; the sentence names trigger and export.
    pub fn can_serve(&self, _run: &RunSpec) -> Result<(), String> {
        Ok(())
    }
}

/// Compiled components by digest, in memory and in the data folder.
#[derive(Debug, Clone)]
pub struct Components {}

#[allow(unused_variables, clippy::allow_attributes_without_reason, clippy::todo, clippy::unused_async)] // skeleton
impl Components {
    /// Reads, checks, compiles (or takes from the cache) and keeps the bytes by digest in the data folder.
    pub async fn load_file(&self, path: &Path) -> Result<Arc<Component>, ComponentError> {
        todo!()
    }
    /// From the kept bytes; None when this digest was never loaded here.
    pub async fn load_digest(&self, digest: &Digest) -> Option<Arc<Component>> {
        todo!()
    }
    /// Drops kept bytes and compiled code of every digest not in `used`, past a byte cap.
    pub async fn prune(&self, used: &[Digest]) {
        todo!()
    }
}
