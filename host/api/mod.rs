//! The admin API: everything a person or a program may see of this host, and the few things they may ask it to do.
//!
//! Reads status and history; submits desired state to the fleet and named acts to the supervisor; hands work and keys to the store's
//! queue and kv. Must not reach into a worker, keep state of its own, or decide what a change means. One router serves the local socket
//! and TCP; `access` tells them apart.
//!
//! A worker's name that has a `/` in it (`pinger/nas`) is written `pinger%2Fnas` in a path.

pub mod access;
mod checks;
mod desired;
pub mod error;
mod extract;
mod files;
mod given;
pub mod host;
mod jobs;
mod kv;
mod limiters;
pub mod live;
mod maintenance;
pub mod metrics;
mod monitors;
mod page;
mod patient;
pub mod queues;
mod records;
pub mod serve;
pub mod sse;
pub mod status;
mod suggest;
mod workers;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{Method, StatusCode, Uri},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    serve::{Listener, ListenerExt},
};
use jiff::Timestamp;
use tokio::{
    net::{TcpListener, UnixListener},
    sync::{Semaphore, watch},
};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use self::{
    access::{Access, Via},
    error::{ApiError, ErrorBody},
    serve::{Bounds, bind_unix},
    suggest::suggest,
};
use crate::{
    checks::Checks,
    clock::Clock,
    facts::Traffic,
    fleet::Fleet,
    journal::Journal,
    limiter::Limiters,
    store::{Jobs, Kv, Store},
    supervise::Supervisor,
};

/// The largest body taken, in bytes: as large as a manifest file may be.
pub const MAX_BODY_BYTES: usize = 8 << 20;
/// For a request's body to arrive.
const BODY_TIME: Duration = Duration::from_secs(30);
/// For an answer to begin. An apply of many new components compiles them first.
const ANSWER_TIME: Duration = Duration::from_secs(120);

/// What the handlers see of the host. Cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    pub fleet: Fleet,
    pub supervisor: Supervisor,
    pub checks: Checks,
    pub store: Store,
    pub jobs: Arc<dyn Jobs>,
    pub kv: Arc<dyn Kv>,
    pub limiters: Limiters,
    pub journal: Journal,
    pub clock: Clock,
    pub access: Arc<Access>,
    pub host: Arc<HostFacts>,
    /// The status page for everyone; none: it is off.
    pub public: Option<Arc<status::Public>>,
    /// True once every worker of the first reconcile was handed to supervision.
    pub ready: watch::Receiver<bool>,
    /// True once the host stops: streams end, connections finish.
    pub shutdown: watch::Receiver<bool>,
    /// What the workers' routes were asked.
    pub traffic: Arc<dyn Fn() -> Vec<Traffic> + Send + Sync>,
    /// Places for followers of events, logs and the live view; one semaphore for socket and TCP.
    pub followers: Arc<Semaphore>,
    /// The live view, gathered once for all who follow it.
    pub live: live::Live,
}

impl std::fmt::Debug for ApiState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiState").field("host", &self.host).finish_non_exhaustive()
    }
}

/// What does not change while the host runs.
#[derive(Debug, Clone)]
pub struct HostFacts {
    pub started: Timestamp,
    pub admin: SocketAddr,
    pub listen: SocketAddr,
    pub data: PathBuf,
    pub manifests: PathBuf,
    pub plugins: PathBuf,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "skep admin API",
        description = "Workers, checks, events and traps of one skep host, and the changes an operator may ask for.\n\nThe data folder's \
                       socket (`skep.sock`) needs no token. Over HTTP send `Authorization: Bearer TOKEN`: `admin.token` of the data \
                       folder may do all, `read.token` may read; a browser that signed in sends its cookie \
                       instead, with `Origin` for changes. Times are RFC 3339, `_ms` are milliseconds, `_bytes` bytes, shares \
                       0..1. A `/` in a worker's name is written `%2F` in a path. Unknown query parameters are refused.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "workers", description = "What runs, and acts on it that change no manifest"),
        (name = "desired state", description = "Changes, written to the manifests folder"),
        (name = "queues", description = "Queues and jobs, for producers and workers outside this host, too"),
        (name = "kv", description = "Workers' key-value state"),
        (name = "limiters", description = "Named rate limiters, and permits of them"),
        (name = "records", description = "Logs, events, traps, checks and their history"),
        (name = "host", description = "This host: health, metrics, this description"),
        (name = "page", description = "Signing in and out of the page at `/`"),
        (name = "status", description = "The public status page, when it is switched on")
    ),
    modifiers(&Tokens)
)]
struct Description;

/// The two tokens, as OpenAPI says it; endpoints that are open say so themselves.
struct Tokens;

impl utoipa::Modify for Tokens {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
        let scheme = |words: &str| SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(words)).build());
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("admin", scheme("The token in `admin.token` of the data folder: may do all"));
        components.add_security_scheme("read", scheme("The token in `read.token` of the data folder: may GET"));
        let none: [&str; 0] = [];
        openapi.security = Some(vec![SecurityRequirement::new("admin", none), SecurityRequirement::new("read", none)]);
    }
}

/// Every endpoint, with its description. The one list of routes.
fn endpoints() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(workers::list))
        .routes(routes!(workers::show, desired::delete_worker))
        .routes(routes!(workers::why))
        .routes(routes!(workers::replicas))
        .routes(routes!(workers::restart))
        .routes(routes!(workers::drain))
        .routes(routes!(workers::tick))
        .routes(routes!(workers::call))
        .routes(routes!(desired::pause))
        .routes(routes!(desired::resume))
        .routes(routes!(desired::scale))
        .routes(routes!(desired::apply))
        .routes(routes!(desired::diff))
        .routes(routes!(desired::undo))
        .routes(routes!(desired::problems))
        .routes(routes!(files::list))
        .routes(routes!(files::show, files::put))
        .routes(routes!(files::manifest))
        .routes(routes!(monitors::add))
        .routes(routes!(monitors::show, monitors::change))
        .routes(routes!(queues::list))
        .routes(routes!(queues::show))
        .routes(routes!(queues::jobs, queues::push))
        .routes(routes!(queues::purge))
        .routes(routes!(jobs::lease))
        .routes(routes!(jobs::show))
        .routes(routes!(jobs::cancel))
        .routes(routes!(jobs::retry))
        .routes(routes!(jobs::ack))
        .routes(routes!(jobs::nack))
        .routes(routes!(jobs::extend))
        .routes(routes!(jobs::progress))
        .routes(routes!(kv::buckets))
        .routes(routes!(kv::entries))
        .routes(routes!(kv::get, kv::set, kv::delete))
        .routes(routes!(kv::increment))
        .routes(routes!(limiters::list))
        .routes(routes!(limiters::show, limiters::set))
        .routes(routes!(limiters::acquire))
        .routes(routes!(limiters::attempt))
        .routes(routes!(live::live))
        .routes(routes!(records::logs))
        .routes(routes!(records::events))
        .routes(routes!(records::event_stream))
        .routes(routes!(records::traps))
        .routes(routes!(records::trap))
        .routes(routes!(records::checks))
        .routes(routes!(records::history))
        .routes(routes!(maintenance::list))
        .routes(routes!(checks::detail))
        .routes(routes!(host::show))
        .routes(routes!(host::description))
        .routes(routes!(host::metrics))
        .routes(routes!(host::healthz))
        .routes(routes!(host::readyz))
        .merge(page::endpoints())
        .merge(status::endpoints())
}

/// The OpenAPI document, generated from the handlers.
pub fn openapi() -> utoipa::openapi::OpenApi {
    endpoints().into_openapi()
}

/// The whole API for one way in.
pub fn router(state: ApiState, via: Via) -> Router {
    let access = state.access.clone();
    let (router, _) = endpoints().split_for_parts();
    guarded(router.merge(page::files()).with_state(state), access, via)
}

/// Puts the guard, the bounds and the error body around any router.
pub fn guarded(router: Router, access: Arc<Access>, via: Via) -> Router {
    router
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn_with_state((access, via), access::guard))
}

/// Serves the API over TCP until `state.shutdown` turns true and the answers under way are out.
pub async fn serve_tcp(listener: TcpListener, state: ApiState, bounds: Bounds) {
    let shutdown = state.shutdown.clone();
    serve::serve(prompt(listener), router(state, Via::Tcp), bounds, shutdown).await;
}

/// Small answers leave at once; a socket that can't do it is only slower.
pub fn prompt(listener: TcpListener) -> impl Listener {
    listener.tap_io(|stream| _ = stream.set_nodelay(true))
}

/// Serves the API on the data folder's socket, as [`serve_tcp`] does.
pub async fn serve_unix(listener: UnixListener, state: ApiState, bounds: Bounds) {
    let shutdown = state.shutdown.clone();
    serve::serve(listener, router(state, Via::Socket), bounds, shutdown).await;
}

async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(ANSWER_TIME, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, format!("no answer within {} s", ANSWER_TIME.as_secs())).into_response(),
    }
}

async fn no_such_path(uri: Uri) -> ApiError {
    ApiError::not_found(format!("nothing at {}", uri.path())).hint("GET /api/v1/openapi.json lists what there is")
}

async fn no_such_method(method: Method, uri: Uri) -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take {method}", uri.path()))
        .hint("GET /api/v1/openapi.json lists what there is")
}
