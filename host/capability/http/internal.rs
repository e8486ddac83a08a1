//! Requests to other workers of this host, `http://NAME.skep.internal`: no socket, no name lookup, no connection.
//!
//! Only the face of it: who carries them out stands above capabilities and comes in once it is there.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::{Request, Response};
use wasmtime_wasi_http::{Error, WasiBody};

use super::fault::Fault;
use crate::capability::caller::Chain;

/// Hands requests to workers by name.
pub trait Internal: Send + Sync + 'static {
    /// `chain`: the worker that asks, and whose calls led to it. A worker's own refusals (busy, down, too large) are responses, as
    /// they are for clients outside.
    fn send<'a>(
        &'a self,
        chain: Arc<Chain>,
        worker: &'a str,
        request: Request<WasiBody>,
    ) -> BoxFuture<'a, Result<Response<WasiBody>, Unreached>>;
}

/// Why a request reached no worker: a sentence each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreached {
    #[error("{0}")]
    NotFound(String),
    /// It would wait for itself.
    #[error("{0}")]
    Loop(String),
}

impl From<Unreached> for Fault {
    fn from(unreached: Unreached) -> Self {
        match unreached {
            Unreached::NotFound(sentence) => Self::saying(Error::DestinationNotFound, sentence),
            Unreached::Loop(sentence) => Self::saying(Error::LoopDetected, sentence),
        }
    }
}
