//! `wasi:http/outgoing-handler`: the only way out over HTTP. (skeleton: replaced by a folder http/)

use std::{
    path::PathBuf,
    sync::{Arc, atomic::{AtomicU64, AtomicUsize}},
    time::Duration,
};

use crate::{clock::Clock, facts::Evidence, limiter::Limiter, manifest::spec::HttpGrant};

/// What the host decides for all workers.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where `ca` paths are looked up.
    pub manifests: PathBuf,
    /// Folder of secrets, one file each (0600).
    pub secrets: PathBuf,
    pub max_in_flight: usize,
    pub max_body_bytes: u64,
}

/// Host-wide: connection pools that never mix policies, DNS, TLS roots, secrets.
#[derive(Debug)]
pub struct Client {}

/// Worker-wide: the compiled grant. None of its answers change while the worker runs.
#[derive(Debug)]
pub struct Outbound {}

#[allow(unused_variables, clippy::allow_attributes_without_reason, clippy::todo)] // skeleton
impl Client {
    pub fn new(settings: Settings, clock: Clock) -> Arc<Client> {
        todo!()
    }
    /// Compiles a worker's grant; `limiter` is the one its `rate` or `limiter` names. `worker` is for refusals.
    /// Err: the `ca` file can't be read or is no PEM.
    pub fn outbound(self: &Arc<Self>, worker: &str, grant: Option<&HttpGrant>, limiter: Option<Limiter>) -> Result<Arc<Outbound>, String> {
        todo!()
    }
}

/// Event-wide: what the host saw of this event's requests, and what the event's deadline must be moved by.
/// Shared between the store's hooks, checks.report and the supervisor.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Nanoseconds spent waiting for limiters: they count in neither timeout nor latency.
    pub waited_ns: AtomicU64,
    pub in_flight: AtomicUsize,
}

#[allow(unused_variables, clippy::allow_attributes_without_reason, clippy::todo)] // skeleton
impl Ledger {
    /// Forgets the event before.
    pub fn reset(&self) {
    }
    /// What was seen of the newest finished request to exactly this URL in this event.
    pub fn evidence(&self, url: &str) -> Option<Evidence> {
        None
    }
    pub fn waited(&self) -> Duration {
        Duration::ZERO
    }
}

/// Instance-wide: what wasmtime-wasi-http calls. Made once a Store.
pub struct Hooks {
    pub outbound: Arc<Outbound>,
    pub ledger: Arc<Ledger>,
}
impl wasmtime_wasi_http::WasiHttpHooks for Hooks {
    fn send_request(&mut self, _: http::Request<wasmtime_wasi_http::WasiBody>, _: Option<wasmtime_wasi_http::RequestOptions>, _: Box<dyn Future<Output = Result<(), wasmtime_wasi_http::Error>> + Send>) -> Box<dyn Future<Output = wasmtime_wasi_http::Result<(http::Response<wasmtime_wasi_http::WasiBody>, Box<dyn Future<Output = Result<(), wasmtime_wasi_http::Error>> + Send>)>> + Send> { todo!() }
}
