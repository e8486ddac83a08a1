//! This host: what it is, whether it is well, its metrics, and the description of its API.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    ApiState,
    error::{ApiError, Refused},
    limiters,
    metrics::{self, Snapshot},
    queues,
};
use crate::facts::{CheckStatus, CheckView, CutOff, WorkerState, WorkerView};

/// One host, at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostView {
    pub version: String,
    /// Of desired state.
    pub generation: u64,
    pub ready: bool,
    pub started: Timestamp,
    pub uptime_ms: u64,
    /// Where the API answers over HTTP.
    pub admin: String,
    /// Where workers' routes answer.
    pub listen: String,
    pub data: String,
    pub manifests: String,
    pub plugins: String,
    /// Workers by state; states without workers are there with 0.
    pub workers: BTreeMap<String, usize>,
    /// Checks by status; statuses without checks are there with 0.
    pub checks: BTreeMap<String, usize>,
    /// Problems in the manifests folder.
    pub problems: usize,
    /// Maintenance windows that are open.
    #[serde(default)]
    pub maintenance: Vec<String>,
    /// Set while this host seems cut off from what it watches: failures count as unknown.
    #[serde(default)]
    pub cut_off: Option<CutOff>,
    /// Records the store had to drop.
    pub store_dropped: u64,
    /// Crashes that left no record because too many came at once.
    pub traps_lost: u64,
}

pub fn by_state(workers: &[WorkerView]) -> BTreeMap<String, usize> {
    let mut counts: BTreeMap<String, usize> = WorkerState::ALL.iter().map(|state| (state.as_str().to_owned(), 0)).collect();
    for worker in workers {
        *counts.entry(worker.state.as_str().to_owned()).or_default() += 1;
    }
    counts
}

pub fn by_status(checks: &[CheckView]) -> BTreeMap<String, usize> {
    let mut counts: BTreeMap<String, usize> = CheckStatus::ALL.iter().map(|status| (status.as_str().to_owned(), 0)).collect();
    for check in checks {
        *counts.entry(check.status.as_str().to_owned()).or_default() += 1;
    }
    counts
}

/// This host at a glance: version, generation, addresses, folders, counts.
#[utoipa::path(get, path = "/api/v1/host", operation_id = "get_host", tag = "host", responses((status = 200, description = "This host", body = HostView), Refused))]
pub async fn show(State(state): State<ApiState>) -> Json<HostView> {
    let host = &state.host;
    let uptime = state.clock.wall().duration_since(host.started);
    Json(HostView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        generation: state.fleet.generation(),
        ready: *state.ready.borrow(),
        started: host.started,
        uptime_ms: u64::try_from(uptime.as_millis()).unwrap_or(0),
        admin: format!("http://{}", host.admin),
        listen: format!("http://{}", host.listen),
        data: host.data.display().to_string(),
        manifests: host.manifests.display().to_string(),
        plugins: host.plugins.display().to_string(),
        workers: by_state(&state.supervisor.views()),
        checks: by_status(&state.checks.views(None)),
        problems: state.fleet.problems().len(),
        maintenance: state.checks.open_windows(),
        cut_off: state.checks.cut_off(),
        store_dropped: state.store.dropped(),
        traps_lost: state.supervisor.traps_lost(),
    })
}

/// This description.
#[utoipa::path(get, path = "/api/v1/openapi.json", operation_id = "openapi", tag = "host", responses((status = 200, description = "An OpenAPI 3.1 document", body = Object), Refused))]
pub async fn description() -> Json<utoipa::openapi::OpenApi> {
    Json(super::openapi())
}

/// Metrics in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "host",
    responses((status = 200, description = "Prometheus text, version 0.0.4", body = String, content_type = "text/plain"), Refused))]
pub async fn metrics(State(state): State<ApiState>) -> Response {
    // Without what the store can't tell just now: the rest is worth having all the same.
    let queues = queues::views(&state).await.unwrap_or_default();
    let buckets = state.kv.buckets().await.unwrap_or_default();
    let snapshot = Snapshot {
        version: env!("CARGO_PKG_VERSION"),
        started: state.host.started,
        now: state.clock.wall(),
        generation: state.fleet.generation(),
        ready: *state.ready.borrow(),
        problems: state.fleet.problems().len(),
        store_dropped: state.store.dropped(),
        traps_lost: state.supervisor.traps_lost(),
        resident_bytes: metrics::resident_bytes(),
        workers: &state.supervisor.views(),
        checks: &state.checks.views(None),
        queues: &queues,
        limiters: &limiters::views(&state),
        buckets: &buckets,
        traffic: &(state.traffic)(),
    };
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics::render(&snapshot)).into_response()
}

/// Whether this process answers.
#[utoipa::path(get, path = "/healthz", tag = "host", security(()), responses((status = 200, description = "It does", body = String, content_type = "text/plain")))]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether every worker was handed to supervision, and the host is not stopping.
#[utoipa::path(get, path = "/readyz", tag = "host", security(()),
    responses((status = 200, description = "Ready", body = String, content_type = "text/plain"), (status = 503, description = "Starting or stopping", body = super::ErrorBody)))]
pub async fn readyz(State(state): State<ApiState>) -> Result<&'static str, ApiError> {
    readiness(*state.ready.borrow(), *state.shutdown.borrow())
}

pub fn readiness(ready: bool, stopping: bool) -> Result<&'static str, ApiError> {
    match (stopping, ready) {
        (true, _) => Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "stopping")),
        (false, false) => Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "starting")),
        (false, true) => Ok("ready\n"),
    }
}
