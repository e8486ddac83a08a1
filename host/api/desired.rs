//! Changes of desired state. Each is handed to the fleet, which writes the manifests folder; nothing is decided here.

use axum::{Json, extract::State};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    ApiState,
    checks::Kept,
    error::{ApiError, Missing, NotChanged, Refused, TooLarge},
    extract::{Params, Segment, Whole, flag},
    workers::no_worker,
};
use crate::{
    facts::{Plan, Problem},
    fleet::{ApplyRequest, FleetError},
};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ApplyParams {
    /// Tell what would be done, and do nothing.
    #[serde(default, deserialize_with = "flag")]
    #[param(required = false)]
    dry_run: bool,
    /// Remove every worker that the body does not declare.
    #[serde(default, deserialize_with = "flag")]
    #[param(required = false)]
    prune: bool,
    /// The apply set: the file that new tables go to. Absent: the single worker's name, else `applied`.
    set: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DiffParams {
    /// As if every worker that the body does not declare were to go.
    #[serde(default, deserialize_with = "flag")]
    #[param(required = false)]
    prune: bool,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DryRun {
    /// Tell what would be done, and do nothing.
    #[serde(default, deserialize_with = "flag")]
    #[param(required = false)]
    pub(super) dry_run: bool,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ScaleParams {
    /// Replicas that shall run.
    replicas: u32,
}

/// A manifest is text; what is not is told with its place.
pub(super) fn manifest_text(body: &[u8]) -> Result<String, ApiError> {
    std::str::from_utf8(body).map(str::to_owned).map_err(|error| {
        let before = body.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let problem = Problem {
            file: "body".to_owned(),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: 0,
            worker: None,
            field: None,
            message: format!("is not UTF-8 text at byte {}", error.valid_up_to()),
            hint: Some("a manifest is TOML, saved as UTF-8".to_owned()),
        };
        FleetError::Invalid(vec![problem]).into()
    })
}

/// The fleet's "no such worker", with what the API can add to it.
pub(super) fn about(state: &ApiState, name: &str, error: FleetError) -> ApiError {
    match error {
        FleetError::NotFound(_) if state.supervisor.view(name).is_none() => no_worker(state, name),
        other => other.into(),
    }
}

/// Applies a manifest: creates and updates what it declares.
#[utoipa::path(post, path = "/api/v1/apply", operation_id = "apply", tag = "desired state", params(ApplyParams), security(("admin" = [])),
    request_body(content = String, content_type = "text/plain", description = "Manifest text (TOML), at most 8 MiB"),
    responses((status = 200, description = "What was done, or would be", body = Plan), NotChanged, TooLarge, Refused))]
pub async fn apply(State(state): State<ApiState>, Params(params): Params<ApplyParams>, Whole(body): Whole) -> Result<Json<Plan>, ApiError> {
    let request = ApplyRequest {
        text: manifest_text(&body)?,
        set: params.set,
        prune: params.prune,
        dry_run: params.dry_run,
        ..ApplyRequest::default()
    };
    let kept = Kept::of(&state);
    Ok(Json(kept.told(state.fleet.apply(request).await?)))
}

/// What applying a manifest would do.
#[utoipa::path(post, path = "/api/v1/diff", operation_id = "diff", tag = "desired state", params(DiffParams), security(("admin" = [])),
    request_body(content = String, content_type = "text/plain", description = "Manifest text (TOML), at most 8 MiB"),
    responses((status = 200, description = "What would be done", body = Plan), NotChanged, TooLarge, Refused))]
pub async fn diff(State(state): State<ApiState>, Params(params): Params<DiffParams>, Whole(body): Whole) -> Result<Json<Plan>, ApiError> {
    let request = ApplyRequest { text: manifest_text(&body)?, prune: params.prune, dry_run: true, ..ApplyRequest::default() };
    let kept = Kept::of(&state);
    Ok(Json(kept.told(state.fleet.apply(request).await?)))
}

/// Goes back a generation of the manifests folder.
#[utoipa::path(post, path = "/api/v1/undo", operation_id = "undo", tag = "desired state", params(DryRun), security(("admin" = [])),
    responses((status = 200, description = "What was done, or would be", body = Plan), NotChanged, Refused))]
pub async fn undo(State(state): State<ApiState>, Params(params): Params<DryRun>) -> Result<Json<Plan>, ApiError> {
    let kept = Kept::of(&state);
    Ok(Json(kept.told(state.fleet.undo(params.dry_run).await?)))
}

/// Takes a worker out of its manifest and ends it after its event in flight.
///
/// An item of `each` (`pinger/nas`) leaves its list; its siblings stay. Its checks and their history go with a worker: `forgets` says
/// how many, and since when they were kept.
#[utoipa::path(delete, path = "/api/v1/workers/{name}", operation_id = "delete_worker", tag = "desired state", security(("admin" = [])),
    params(("name" = String, Path, description = "The worker; a `/` in it is written `%2F`"), DryRun),
    responses((status = 200, description = "What was done, or would be", body = Plan), Missing, NotChanged, Refused))]
pub async fn delete_worker(
    State(state): State<ApiState>,
    Segment(name): Segment,
    Params(params): Params<DryRun>,
) -> Result<Json<Plan>, ApiError> {
    let kept = Kept::of(&state);
    let plan = state.fleet.delete_worker(&name, params.dry_run).await.map_err(|error| about(&state, &name, error))?;
    Ok(Json(kept.told(plan)))
}

/// Writes `paused = true`: the worker stays, but gets no ticks.
#[utoipa::path(post, path = "/api/v1/workers/{name}/pause", operation_id = "pause_worker", tag = "desired state", security(("admin" = [])),
    params(("name" = String, Path, description = "The worker; a `/` in it is written `%2F`")),
    responses((status = 200, description = "What was done", body = Plan), Missing, NotChanged, Refused))]
pub async fn pause(State(state): State<ApiState>, Segment(name): Segment) -> Result<Json<Plan>, ApiError> {
    state.fleet.set_paused(&name, true).await.map(Json).map_err(|error| about(&state, &name, error))
}

/// Takes `paused` back.
#[utoipa::path(post, path = "/api/v1/workers/{name}/resume", operation_id = "resume_worker", tag = "desired state", security(("admin" = [])),
    params(("name" = String, Path, description = "The worker; a `/` in it is written `%2F`")),
    responses((status = 200, description = "What was done", body = Plan), Missing, NotChanged, Refused))]
pub async fn resume(State(state): State<ApiState>, Segment(name): Segment) -> Result<Json<Plan>, ApiError> {
    state.fleet.set_paused(&name, false).await.map(Json).map_err(|error| about(&state, &name, error))
}

/// Writes `replicas`.
#[utoipa::path(post, path = "/api/v1/workers/{name}/scale", operation_id = "scale_worker", tag = "desired state", security(("admin" = [])),
    params(("name" = String, Path, description = "The worker; a `/` in it is written `%2F`"), ScaleParams),
    responses((status = 200, description = "What was done", body = Plan), Missing, NotChanged, Refused))]
pub async fn scale(
    State(state): State<ApiState>,
    Segment(name): Segment,
    Params(params): Params<ScaleParams>,
) -> Result<Json<Plan>, ApiError> {
    state.fleet.scale(&name, params.replicas).await.map(Json).map_err(|error| about(&state, &name, error))
}

/// All problems of the manifests folder as it stands.
#[utoipa::path(get, path = "/api/v1/problems", operation_id = "list_problems", tag = "desired state",
    responses((status = 200, description = "Problems, by file and line; empty when all is well", body = Vec<Problem>), Refused))]
pub async fn problems(State(state): State<ApiState>) -> Json<Vec<Problem>> {
    Json(state.fleet.problems())
}
