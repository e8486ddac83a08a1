//! The workers' HTTP routes: requests become events, and what workers answer goes back.
//!
//! `table` knows whose a path is, `site` what a worker takes, `exchange` carries one request through, `inbound` and `outbound` its
//! bodies, `refusal` says no, `access` counts. Must not enter a worker: it only has a [`Backend`].

pub mod access;
mod exchange;
mod gate;
mod heads;
mod inbound;
mod inside;
mod outbound;
mod refusal;
mod site;
pub mod table;

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use http::{Request, Response};
use hyper::{body::Incoming, service::Service};
use jiff::Timestamp;

pub use self::outbound::{End, Reply};
use self::{access::Counts, gate::Budget, inbound::Source, site::Site, table::Table};
use crate::{
    clock::Clock,
    facts::{Name, Traffic},
    manifest::spec::WorkerSpec,
    supervise::{SuperviseError, Supervisor},
    worker::HttpEvent,
};

/// Bytes of a request's head.
pub const MAX_HEAD_BYTES: usize = 64 << 10;

/// Who handles requests.
pub trait Backend: Send + Sync + 'static {
    /// Hands a request over; how its event ended comes through what is answered.
    fn request(&self, worker: &str, event: Box<HttpEvent>) -> Result<End, SuperviseError>;
    /// When a worker that is down is tried again.
    fn next_try(&self, worker: &str) -> Option<Timestamp>;
}

impl Backend for Supervisor {
    fn request(&self, worker: &str, event: Box<HttpEvent>) -> Result<End, SuperviseError> {
        Supervisor::request(self, worker, None, event)
    }

    fn next_try(&self, worker: &str) -> Option<Timestamp> {
        self.why(worker)?.next_restart
    }
}

/// What clients and workers may use up, besides what a manifest says.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// For a body to arrive that is read whole.
    pub body_time: Duration,
    /// Between two pieces of a body that streams.
    pub between_bytes: Duration,
    /// Bytes of bodies kept in memory, of all workers together.
    pub memory_bytes: u64,
    /// How long a head waits for its body, and for how much of it, so that both are one write.
    pub ahead_time: Duration,
    pub ahead_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            body_time: Duration::from_secs(30),
            between_bytes: Duration::from_secs(30),
            memory_bytes: 256 << 20,
            ahead_time: Duration::from_millis(1),
            ahead_bytes: 16 << 10,
        }
    }
}

/// A cheap handle: serves connections, and is told which workers there are.
#[derive(Clone)]
pub struct Ingress {
    shared: Arc<Shared>,
}

struct Shared {
    backend: Arc<dyn Backend>,
    clock: Clock,
    bounds: Bounds,
    budget: Arc<Budget>,
    sites: RwLock<Sites>,
    /// Requests that no worker has a route for.
    elsewhere: Arc<Counts>,
}

#[derive(Default)]
struct Sites {
    routes: Table<Arc<Site>>,
    names: HashMap<Name, Arc<Site>>,
}

impl fmt::Debug for Ingress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingress").field("bounds", &self.shared.bounds).finish_non_exhaustive()
    }
}

impl Ingress {
    pub fn new(backend: Arc<dyn Backend>, clock: Clock, bounds: Bounds) -> Self {
        let shared = Shared {
            backend,
            clock,
            bounds,
            budget: Budget::new(bounds.memory_bytes),
            sites: RwLock::default(),
            elsewhere: Arc::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// A worker as it shall be served from now on: new, changed, or without routes any more. Requests under way are not touched.
    pub fn set(&self, spec: &WorkerSpec) {
        let mut sites = self.shared.sites.write().unwrap_or_else(PoisonError::into_inner);
        let before = sites.take(&spec.name);
        let counts = before.map(|site| site.counts.clone()).unwrap_or_default();
        if let Some(site) = Site::new(spec, counts).map(Arc::new) {
            for route in &site.routes {
                sites.routes.add(route, site.clone());
            }
            sites.names.insert(site.name.clone(), site);
        }
    }

    /// A worker that is no more.
    pub fn remove(&self, worker: &str) {
        self.shared.sites.write().unwrap_or_else(PoisonError::into_inner).take(worker);
    }

    /// Counts by worker, by name; the ones of no worker come first.
    pub fn traffic(&self) -> Vec<Traffic> {
        let mut traffic: Vec<_> = self.shared.sites().names.values().map(|site| site.counts.traffic(Some(site.name.clone()))).collect();
        traffic.push(self.shared.elsewhere.traffic(None));
        traffic.sort_by(|a, b| a.worker.cmp(&b.worker));
        traffic
    }
}

/// One connection's requests.
impl Service<Request<Incoming>> for Ingress {
    type Response = Response<Reply>;
    type Error = Infallible;
    type Future = futures_util::future::BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let shared = self.shared.clone();
        Box::pin(async move { Ok(exchange::outside(&shared, request.map(Source::Wire)).await) })
    }
}

impl Sites {
    fn take(&mut self, worker: &str) -> Option<Arc<Site>> {
        let site = self.names.remove(worker)?;
        for route in &site.routes {
            self.routes.remove(route, |claim| Arc::ptr_eq(claim, &site));
        }
        Some(site)
    }
}

impl Shared {
    fn sites(&self) -> RwLockReadGuard<'_, Sites> {
        self.sites.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn routed(&self, path: &str) -> Option<Arc<Site>> {
        self.sites().routes.find(path).cloned()
    }

    fn named(&self, worker: &str) -> Option<Arc<Site>> {
        self.sites().names.get(worker).cloned()
    }

    /// How long until a worker that is down is tried again.
    fn next_try(&self, worker: &str) -> Option<Duration> {
        let at = self.backend.next_try(worker)?;
        Duration::try_from(at.duration_since(self.clock.wall())).ok()
    }
}
