//! Limiters: what they let through now, another rate (written into the manifest), and permits for programs outside this host.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    ApiState,
    error::{ApiError, Missing, NoPermit, NotChanged, Refused, TooLarge},
    extract::Segment,
    given::{Asked, unit, wait},
    suggest::suggest,
};
use crate::{
    facts::{LimiterView, Plan},
    fleet::{FleetError, desired::Desired},
    limiter::{Limiter, Named},
    manifest::spec::Rate,
};

/// How long a permit is waited for when nobody says.
const USUAL_WAIT: Duration = Duration::from_secs(30);

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RateRequest {
    /// Permits in a span, e.g. `6/s`, `600/m`, `1/2s`.
    #[schema(example = "6/s")]
    rate: String,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcquireRequest {
    /// How long to wait for a permit (default `30s`, at most `110s`).
    timeout: Option<String>,
}

/// That a permit was given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Permit {
    pub limiter: String,
    pub waited_ms: u64,
}

/// All limiters, by name.
pub(super) fn views(state: &ApiState) -> Vec<LimiterView> {
    let desired = state.fleet.desired();
    state.limiters.all().iter().map(|named| view(named, &desired)).collect()
}

/// A limiter's facts, with where the newest manifests declare it.
fn view(named: &Named, desired: &Desired) -> LimiterView {
    let newest = desired.limiters().into_iter().find(|spec| spec.name == named.spec.name);
    let origin = newest.as_ref().map_or(&named.spec.origin, |spec| &spec.origin);
    LimiterView { file: origin.file.to_string(), line: origin.line, ..named.view() }
}

fn missing(state: &ApiState, name: &str) -> ApiError {
    let all = state.limiters.all();
    let hint = suggest(name, all.iter().map(|named| named.spec.name.as_str()));
    ApiError::not_found(format!("no limiter \"{name}\""))
        .hint(hint.unwrap_or_else(|| "GET /api/v1/limiters lists them; a [[limiter]] in a manifest declares one".to_owned()))
}

fn named(state: &ApiState, name: &str) -> Result<Limiter, ApiError> {
    state.limiters.get(name).ok_or_else(|| missing(state, name))
}

/// All limiters, by name.
#[utoipa::path(get, path = "/api/v1/limiters", operation_id = "list_limiters", tag = "limiters",
    responses((status = 200, description = "All limiters, by name", body = Vec<LimiterView>), Refused))]
pub async fn list(State(state): State<ApiState>) -> Json<Vec<LimiterView>> {
    Json(views(&state))
}

/// One limiter.
#[utoipa::path(get, path = "/api/v1/limiters/{name}", operation_id = "get_limiter", tag = "limiters", params(("name" = String, Path, description = "The limiter")),
    responses((status = 200, description = "The limiter", body = LimiterView), Missing, Refused))]
pub async fn show(State(state): State<ApiState>, Segment(name): Segment) -> Result<Json<LimiterView>, ApiError> {
    views(&state).into_iter().find(|view| view.name == name).map(Json).ok_or_else(|| missing(&state, &name))
}

/// Writes another rate into the manifest; in force when this answers, for those who wait, too.
#[utoipa::path(put, path = "/api/v1/limiters/{name}", operation_id = "set_limiter", tag = "limiters", security(("admin" = [])),
    params(("name" = String, Path, description = "The limiter")), request_body(content = RateRequest),
    responses((status = 200, description = "What was done", body = Plan), Missing, NotChanged, TooLarge, Refused))]
pub async fn set(
    State(state): State<ApiState>,
    Segment(name): Segment,
    Asked(request): Asked<RateRequest>,
) -> Result<Json<Plan>, ApiError> {
    let rate: Rate = request.rate.parse().map_err(|error| unit("rate", error))?;
    state.fleet.set_rate(&name, rate).await.map(Json).map_err(|error| match error {
        FleetError::NotFound(_) => missing(&state, &name),
        other => other.into(),
    })
}

/// Waits for a permit, first come first served with everybody else; 429 when none came in time.
///
/// A client that hangs up gives its place in the line up.
#[utoipa::path(post, path = "/api/v1/limiters/{name}/acquire", operation_id = "acquire_permit", tag = "limiters", security(("admin" = [])),
    params(("name" = String, Path, description = "The limiter")), request_body(content = AcquireRequest),
    responses((status = 200, description = "Go ahead", body = Permit), NoPermit, Missing, TooLarge, Refused))]
pub async fn acquire(
    State(state): State<ApiState>,
    Segment(name): Segment,
    Asked(request): Asked<AcquireRequest>,
) -> Result<Json<Permit>, ApiError> {
    let limiter = named(&state, &name)?;
    let time = wait("timeout", request.timeout.as_deref(), USUAL_WAIT)?;
    let from = state.clock.now();
    match limiter.acquire(from + time).await {
        Ok(()) => {
            let waited = state.clock.now().saturating_duration_since(from);
            Ok(Json(Permit { limiter: name, waited_ms: u64::try_from(waited.as_millis()).unwrap_or(u64::MAX) }))
        }
        Err(_) => Err(no_permit(&name, &limiter)),
    }
}

/// Takes a permit if one is due and nobody waits for it; 429 when not.
#[utoipa::path(post, path = "/api/v1/limiters/{name}/try", operation_id = "try_permit", tag = "limiters", security(("admin" = [])),
    params(("name" = String, Path, description = "The limiter")),
    responses((status = 200, description = "Go ahead", body = Permit), NoPermit, Missing, Refused))]
pub async fn attempt(State(state): State<ApiState>, Segment(name): Segment) -> Result<Json<Permit>, ApiError> {
    let limiter = named(&state, &name)?;
    match limiter.try_acquire() {
        true => Ok(Json(Permit { limiter: name, waited_ms: 0 })),
        false => Err(no_permit(&name, &limiter)),
    }
}

fn no_permit(name: &str, limiter: &Limiter) -> ApiError {
    let (rate, waiting) = (limiter.rate(), limiter.waiting());
    let line = if waiting == 0 { String::new() } else { format!(", {waiting} in line") };
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, format!("no permit of \"{name}\" in time ({rate}{line})"))
        .hint("wait longer, or raise the rate: PUT /api/v1/limiters/NAME")
}
