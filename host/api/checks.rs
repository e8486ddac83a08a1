//! One check in detail: how it stands, its past over a range, what changed, what failed last; and what goes with a worker.
//!
//! Reads only. The ranges and the widths of their points are here; the arithmetic is the store's.

use std::collections::HashMap;

use axum::{Json, extract::State};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    ApiState,
    error::{ApiError, Missing, Refused},
    extract::Params,
    suggest::suggest,
    workers::no_worker,
};
use crate::{
    facts::{CheckDetail, Forgets, Name, Plan, Range, Verb},
    store::{Resolution, Span},
};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DetailParams {
    worker: String,
    subject: String,
    /// `1h`, `24h` (the default), `30d` or `1y`, up to now.
    #[serde(default = "a_day")]
    #[param(inline, required = false)]
    range: Range,
}

fn a_day() -> Range {
    Range::Day
}

/// The span that a range is up to now, and what its points are called.
fn span(range: Range, now: Timestamp) -> (Span, &'static str) {
    let (length_ms, resolution, rows, width) = match range {
        Range::Hour => (HOUR_MS, Resolution::Minute, 1, "1m"),
        Range::Day => (DAY_MS, Resolution::Minute, 5, "5m"),
        Range::Month => (30 * DAY_MS, Resolution::Hour, 3, "3h"),
        Range::Year => (365 * DAY_MS, Resolution::Day, 1, "1d"),
    };
    (Span::before(now, length_ms, resolution, rows), width)
}

/// A check over a range: uptime with coverage, latency percentiles, changes of state, marks of the worker, the last failure.
///
/// Time that nobody saw is neither up nor down: it lowers `coverage`, as does a range that begins before the check did.
#[utoipa::path(get, path = "/api/v1/checks/detail", operation_id = "check_detail", tag = "records", params(DetailParams),
    responses((status = 200, description = "The check", body = CheckDetail), Missing, Refused))]
pub async fn detail(State(state): State<ApiState>, Params(params): Params<DetailParams>) -> Result<Json<CheckDetail>, ApiError> {
    let DetailParams { worker, subject, range } = params;
    let check = state.checks.look(&worker, &subject).ok_or_else(|| no_check(&state, &worker, &subject))?;
    let (span, width) = span(range, state.clock.wall());
    let (past, changes, marks) = tokio::try_join!(
        state.store.past(&worker, &subject, span),
        state.store.changes(&worker, &subject),
        state.store.marks(&worker, span.from)
    )?;
    Ok(Json(CheckDetail {
        check,
        range,
        from: span.from,
        until: span.until,
        resolution: width.to_owned(),
        summary: past.summary,
        points: past.points,
        changes,
        marks,
        failure: past.failure,
    }))
}

fn no_check(state: &ApiState, worker: &str, subject: &str) -> ApiError {
    if state.supervisor.view(worker).is_none() {
        return no_worker(state, worker);
    }
    let known: Vec<String> = state.checks.views(Some(worker)).into_iter().map(|view| view.subject).collect();
    let error = ApiError::not_found(format!("no check of \"{subject}\" on worker \"{worker}\""));
    match suggest(subject, known.iter().map(String::as_str)) {
        Some(hint) => error.hint(hint),
        None => error.hint("GET /api/v1/checks lists them"),
    }
}

/// What is kept of workers' checks, as it stands before a change of desired state.
pub(super) struct Kept(HashMap<Name, (usize, Timestamp)>);

impl Kept {
    pub fn of(state: &ApiState) -> Self {
        Self(state.checks.held())
    }

    /// Adds to a plan what goes with the workers it removes.
    pub fn told(&self, mut plan: Plan) -> Plan {
        let removed = plan.steps.iter().filter(|step| step.verb == Verb::Remove);
        let forgets = removed.filter_map(|step| {
            let (checks, since) = *self.0.get(&step.worker)?;
            Some(Forgets { worker: step.worker.clone(), checks, since })
        });
        plan.forgets = forgets.collect();
        plan
    }
}
