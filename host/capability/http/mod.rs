//! `wasi:http/outgoing-handler`: the only way out over HTTP.
//!
//! The way of a request: hooks → exchange: granted? (grant) → room in flight? → secrets filled in → permit (limiter) → a parked
//! connection (pool), a fresh one (connector: resolve, check the address, connect, TLS) or another worker (internal) → head → body
//! (bounded, timed) → ledger.
//! Redirects are the guest's own business: each hop is a request of its own, decided anew. Proxy variables are not read.
//!
//! Must not call another capability or decide restarts; holds no resource of a Store while it waits.

mod body;
mod connector;
mod exchange;
mod fault;
mod hooks;
mod internal;
mod ledger;
mod link;
mod pool;
mod retry;
mod tls;

use std::{
    borrow::Cow,
    fmt,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustls::ClientConfig;
use wasmtime_wasi_http::WasiHttpCtx;

use self::{fault::Fault, pool::Pool, tls::Trust};
pub use self::{
    hooks::{Hooks, Report},
    internal::{Internal, Unreached},
    ledger::Ledger,
    link::link,
};
pub use super::resolve::{Resolve, System};
use super::{
    caller::Chain,
    grant::Gate,
    secrets::{Secrets, Sources},
};
use crate::{clock::Clock, limiter::Limiter, manifest::spec::HttpGrant};

/// The most bytes one set of header fields may take, names and values and their bookkeeping.
pub const MAX_FIELD_BYTES: usize = 64 * 1024;

/// The context of a Store's `wasi:http`, with its bounds set.
pub fn context() -> WasiHttpCtx {
    let mut context = WasiHttpCtx::new();
    context.set_field_size_limit(MAX_FIELD_BYTES);
    context
}

/// What the host decides for all workers.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where `ca` paths are looked up.
    pub manifests: PathBuf,
    /// Folder of secrets, one file each (0600).
    pub secrets: PathBuf,
    /// Requests of one worker whose response has not ended.
    pub max_in_flight: usize,
    /// Bytes of one request's or response's body.
    pub max_body_bytes: u64,
    /// How long a request may wait for its limiter.
    pub permit_deadline: Duration,
}

impl Settings {
    /// The host's bounds.
    pub fn new(manifests: PathBuf, secrets: PathBuf) -> Self {
        Self { manifests, secrets, max_in_flight: 64, max_body_bytes: 16 << 20, permit_deadline: Duration::from_secs(60) }
    }
}

/// Host-wide: connection pools that never mix policies, DNS, TLS roots, secrets.
pub struct Client {
    settings: Settings,
    clock: Clock,
    resolver: Arc<dyn Resolve>,
    pool: Arc<Pool>,
    tls: tls::Shared,
    secrets: Secrets,
    internal: OnceLock<Arc<dyn Internal>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Client {
    pub fn new(settings: Settings, clock: Clock) -> Arc<Client> {
        Self::with_resolver(settings, clock, Arc::new(System::default()))
    }

    /// With another source of addresses than the system's.
    pub fn with_resolver(settings: Settings, clock: Clock, resolver: Arc<dyn Resolve>) -> Arc<Client> {
        let secrets = Secrets::new(Sources::of_host(settings.secrets.clone()), clock);
        let (pool, tls, internal) = (Pool::new(clock), tls::Shared::default(), OnceLock::new());
        Arc::new(Client { settings, clock, resolver, pool, tls, secrets, internal })
    }

    /// Who carries requests to other workers out; the first one stays.
    pub fn reach_workers(&self, internal: Arc<dyn Internal>) {
        let _ = self.internal.set(internal);
    }

    /// Compiles a worker's grant; `limiter` is the one its `rate` or `limiter` names. `worker` is for refusals.
    /// Err: the `ca` file can't be read or is no PEM.
    pub fn outbound(self: &Arc<Self>, worker: &str, grant: Option<&HttpGrant>, limiter: Option<Limiter>) -> Result<Arc<Outbound>, String> {
        let (trust, config) = match grant {
            Some(grant) if !grant.verify => (Trust::Anybody, Some(self.tls.anybody()?)),
            Some(HttpGrant { ca: Some(file), .. }) => {
                let named = |reason: String| format!("worker \"{worker}\": grants.http.ca = \"{file}\": {reason}");
                let pem = std::fs::read(self.settings.manifests.join(file)).map_err(|error| named(error.to_string()))?;
                let (trust, config) = tls::only(&pem).map_err(named)?;
                (trust, Some(config))
            }
            _ => (Trust::System, None),
        };
        Ok(self.made(worker, grant, limiter, trust, config))
    }

    /// For a worker whose grant can't be compiled: nothing is allowed.
    pub fn closed(self: &Arc<Self>, worker: &str) -> Arc<Outbound> {
        self.made(worker, None, None, Trust::System, None)
    }

    fn made(
        self: &Arc<Self>,
        worker: &str,
        grant: Option<&HttpGrant>,
        limiter: Option<Limiter>,
        trust: Trust,
        config: Option<Arc<ClientConfig>>,
    ) -> Arc<Outbound> {
        Arc::new(Outbound {
            client: Arc::clone(self),
            worker: worker.into(),
            gate: Gate::new(worker, grant),
            limiter,
            named: grant.is_some_and(|grant| grant.limiter.is_some()),
            trust,
            config,
            keep_alive: grant.is_none_or(|grant| grant.keep_alive),
            in_flight: AtomicUsize::new(0),
        })
    }

    /// The text with the values of secrets replaced by their `secret:NAME`, as far as they were used since the start.
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.secrets.masker().mask(text)
    }
}

/// Worker-wide: the compiled grant. None of its answers change while the worker runs.
pub struct Outbound {
    client: Arc<Client>,
    worker: Arc<str>,
    gate: Gate,
    limiter: Option<Limiter>,
    /// The limiter is a `[[limiter]]`, not this worker's own `rate`.
    named: bool,
    trust: Trust,
    /// None: the machine's own authorities, read when first needed.
    config: Option<Arc<ClientConfig>>,
    keep_alive: bool,
    in_flight: AtomicUsize,
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("worker", &self.worker).field("gate", &self.gate).finish_non_exhaustive()
    }
}

impl Outbound {
    /// Requests of this worker whose response has not ended.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    async fn tls_config(&self) -> Result<Arc<ClientConfig>, Fault> {
        match &self.config {
            Some(config) => Ok(Arc::clone(config)),
            None => self.client.tls.system().await,
        }
    }
}

/// Whose request it is and who is told about it.
#[derive(Clone)]
struct Scope {
    outbound: Arc<Outbound>,
    /// The worker itself, and whose calls led to its event.
    chain: Arc<Chain>,
    ledger: Arc<Ledger>,
    report: Option<Report>,
}

impl Scope {
    fn report(&self, sentence: &str) {
        if let Some(report) = &self.report {
            report(sentence);
        }
    }
}

/// Room for one request, given back when dropped.
struct InFlight {
    scope: Scope,
}

impl InFlight {
    fn enter(scope: &Scope) -> Option<Self> {
        let max = scope.outbound.client.settings.max_in_flight;
        let more = |count: usize| (count < max).then_some(count + 1);
        scope.outbound.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        scope.ledger.count().fetch_add(1, Ordering::Relaxed);
        Some(Self { scope: scope.clone() })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.scope.outbound.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.scope.ledger.count().fetch_sub(1, Ordering::Relaxed);
    }
}
