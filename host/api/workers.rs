//! Workers as they run: views, the reason of a state, operator acts and calls. No act here changes a manifest.

use std::time::Duration;

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    ApiState,
    error::{ApiError, Missing, Refused},
    extract::{Params, Segment, Whole},
    suggest::suggest,
};
use crate::{
    facts::{ReplicaView, Why, WorkerView},
    fleet::desired::Desired,
    manifest::units::parse_duration,
    supervise::{Act, SuperviseError},
};

/// How long a call's answer is waited for when nobody says; stays below the time any answer may take.
const CALL_TIME: Duration = Duration::from_secs(30);
const MAX_CALL_TIME: Duration = Duration::from_secs(110);

/// That an act is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Accepted {
    pub worker: String,
    /// What happens now, in a sentence.
    pub message: String,
}

/// "No such worker", with what may have been meant and what is wrong in manifests that would declare it.
pub(super) fn no_worker(state: &ApiState, name: &str) -> ApiError {
    let problems: Vec<_> = state.fleet.problems().into_iter().filter(|problem| problem.worker.as_deref() == Some(name)).collect();
    let error = ApiError::not_found(format!("no worker \"{name}\""));
    if !problems.is_empty() {
        return error.problems(problems).hint("its manifest has problems and was never applied; correct them and it starts");
    }
    let views = state.supervisor.views();
    match suggest(name, views.iter().map(|view| &*view.name)) {
        Some(hint) => error.hint(hint),
        None => error.hint("GET /api/v1/workers lists them"),
    }
}

/// A worker's view, with where the newest manifests declare it: a move to another file or line touches no worker.
pub(super) fn placed(mut view: WorkerView, desired: &Desired) -> WorkerView {
    if let Some(unit) = desired.unit(&view.name) {
        view.file = unit.spec.origin.file.to_string();
        view.line = unit.spec.origin.line;
    }
    view
}

/// All workers, by name.
#[utoipa::path(get, path = "/api/v1/workers", operation_id = "list_workers", tag = "workers", responses((status = 200, description = "All workers, by name", body = Vec<WorkerView>), Refused))]
pub async fn list(State(state): State<ApiState>) -> Json<Vec<WorkerView>> {
    let desired = state.fleet.desired();
    Json(state.supervisor.views().into_iter().map(|view| placed(view, &desired)).collect())
}

/// One worker.
#[utoipa::path(get, path = "/api/v1/workers/{name}", operation_id = "get_worker", tag = "workers",
    params(("name" = String, Path, description = "The worker; a `/` in it is written `%2F`")),
    responses((status = 200, description = "The worker", body = WorkerView), Missing, Refused))]
pub async fn show(State(state): State<ApiState>, Segment(name): Segment) -> Result<Json<WorkerView>, ApiError> {
    let view = state.supervisor.view(&name).map(|view| Json(placed(view, &state.fleet.desired())));
    view.ok_or_else(|| no_worker(&state, &name))
}

/// Why a worker is in its state, when it is tried again, and what to do.
#[utoipa::path(get, path = "/api/v1/workers/{name}/why", operation_id = "why_worker", tag = "workers",
    params(("name" = String, Path, description = "The worker; a `/` in it is written `%2F`")),
    responses((status = 200, description = "State, cause, next restart, remedy", body = Why), Missing, Refused))]
pub async fn why(State(state): State<ApiState>, Segment(name): Segment) -> Result<Json<Why>, ApiError> {
    state.supervisor.why(&name).map(Json).ok_or_else(|| no_worker(&state, &name))
}

/// A worker's replicas, by number: who is busy, who is free.
#[utoipa::path(get, path = "/api/v1/workers/{name}/replicas", operation_id = "list_replicas", tag = "workers",
    params(("name" = String, Path, description = "The worker; a `/` in it is written `%2F`")),
    responses((status = 200, description = "Its replicas, by number", body = Vec<ReplicaView>), Missing, Refused))]
pub async fn replicas(State(state): State<ApiState>, Segment(name): Segment) -> Result<Json<Vec<ReplicaView>>, ApiError> {
    state.supervisor.replicas(&name).map(Json).ok_or_else(|| no_worker(&state, &name))
}

fn act(state: &ApiState, worker: String, act: Act, message: &str) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    match state.supervisor.act(&worker, act) {
        Ok(()) => Ok((StatusCode::ACCEPTED, Json(Accepted { worker, message: message.to_owned() }))),
        Err(SuperviseError::NotFound(_)) => Err(no_worker(state, &worker)),
        Err(error) => Err(error.into()),
    }
}

/// A fresh incarnation of every replica, after the event in flight.
///
/// Leaves quarantine, failed and stopped.
#[utoipa::path(post, path = "/api/v1/workers/{name}/restart", operation_id = "restart_worker", security(("admin" = [])), tag = "workers",
    params(("name" = String, Path, description = "The worker; a `/` in it is written `%2F`")),
    responses((status = 202, description = "Under way", body = Accepted), (status = 409, description = "Not as it stands", body = super::ErrorBody), Missing, Refused))]
pub async fn restart(State(state): State<ApiState>, Segment(name): Segment) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    act(&state, name, Act::Restart, "restarts after its event in flight")
}

/// Finishes the event in flight, takes no more, then stops. A restart brings it back.
#[utoipa::path(post, path = "/api/v1/workers/{name}/drain", operation_id = "drain_worker", security(("admin" = [])), tag = "workers",
    params(("name" = String, Path, description = "The worker; a `/` in it is written `%2F`")),
    responses((status = 202, description = "Under way", body = Accepted), (status = 409, description = "Not as it stands", body = super::ErrorBody), Missing, Refused))]
pub async fn drain(State(state): State<ApiState>, Segment(name): Segment) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    act(&state, name, Act::Drain, "finishes its event in flight, then stops")
}

/// Check now: one tick at once, outside the schedule's phase.
#[utoipa::path(post, path = "/api/v1/workers/{name}/tick", operation_id = "tick_worker", security(("admin" = [])), tag = "workers",
    params(("name" = String, Path, description = "The worker; a `/` in it is written `%2F`")),
    responses((status = 202, description = "Under way", body = Accepted), (status = 409, description = "No schedule, or it can't tick now", body = super::ErrorBody), Missing, Refused))]
pub async fn tick(State(state): State<ApiState>, Segment(name): Segment) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    act(&state, name, Act::Tick, "ticks now")
}

/// Bytes as those at both ends agree on them.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
pub struct Binary(#[allow(dead_code, reason = "only described: bodies are taken and sent as they are")] Vec<u8>);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CallParams {
    /// The method, as the worker names it.
    method: String,
    /// This replica only, from 1; any when absent.
    #[param(minimum = 1)]
    replica: Option<u32>,
    /// How long to wait for the answer, e.g. `10s` (default `30s`, at most `110s`). The call itself is not dropped.
    timeout: Option<String>,
}

/// Calls a worker's `call-handler` with the body as payload.
#[utoipa::path(post, path = "/api/v1/workers/{name}/call", operation_id = "call_worker", security(("admin" = [])), tag = "workers",
    params(("name" = String, Path, description = "The worker; a `/` in it is written `%2F`"), CallParams),
    request_body(content = Binary, content_type = "application/octet-stream", description = "The payload, at most 1 MiB"),
    responses(
        (status = 200, description = "The worker's answer", body = Binary, content_type = "application/octet-stream"),
        (status = 409, description = "It takes no calls, or not now", body = super::ErrorBody),
        (status = 413, description = "The payload is too large", body = super::ErrorBody),
        (status = 422, description = "The worker answered with an error: its own sentence", body = super::ErrorBody),
        (status = 502, description = "It crashed on this call", body = super::ErrorBody),
        (status = 504, description = "No answer in time", body = super::ErrorBody),
        Missing, Refused))]
pub async fn call(
    State(state): State<ApiState>,
    Segment(name): Segment,
    Params(params): Params<CallParams>,
    Whole(payload): Whole,
) -> Result<Response, ApiError> {
    let wait = match &params.timeout {
        None => CALL_TIME,
        Some(text) => parse_duration(text)
            .ok()
            .filter(|wait| !wait.is_zero() && *wait <= MAX_CALL_TIME)
            .ok_or_else(|| ApiError::bad_request(format!("timeout: \"{text}\" is not a duration up to 110s")).hint("write e.g. 10s"))?,
    };
    match state.supervisor.call(&name, params.replica, params.method, payload.to_vec(), wait).await {
        Ok(Ok(bytes)) => Ok(([(CONTENT_TYPE, "application/octet-stream")], Bytes::from(bytes)).into_response()),
        Ok(Err(sentence)) => Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, sentence)),
        Err(SuperviseError::NotFound(_)) => Err(match (params.replica, state.supervisor.view(&name)) {
            (Some(number), Some(worker)) => ApiError::not_found(format!("worker \"{name}\" has no replica {number}"))
                .hint(format!("its replicas are numbered 1 to {}", worker.replicas.desired)),
            _ => no_worker(&state, &name),
        }),
        Err(error) => Err(error.into()),
    }
}
