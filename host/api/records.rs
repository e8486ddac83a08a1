//! What was kept: log lines, events, traps, checks and their history; followed live where that makes sense. Reads only.

use std::{cmp::Ordering, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    ApiState,
    error::{ApiError, Missing, Refused},
    extract::{Params, Segment, flag},
    sse,
    workers::no_worker,
};
use crate::{
    facts::{CheckView, EventRecord, HistoryPoint, LogLine, TrapRecord},
    store::Resolution,
};

const USUAL_LINES: usize = 100;
const USUAL_EVENTS: usize = 100;
const USUAL_TRAPS: usize = 50;
/// One answer's worth of any list.
const MAX_ROWS: usize = 1_000;
const MAX_TRAPS: usize = 500;
const MAX_POINTS: i64 = 10_000;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LogParams {
    /// The newest this many (default 100, at most 1,000).
    limit: Option<usize>,
    /// Stream: the newest lines, then each new one.
    #[serde(default, deserialize_with = "flag")]
    #[param(required = false)]
    follow: bool,
}

/// A worker's newest log lines, oldest first; with `follow` (or `Accept: text/event-stream`) a stream of `line` events.
#[utoipa::path(get, path = "/api/v1/workers/{name}/logs", operation_id = "worker_logs", tag = "records",
    params(("name" = String, Path, description = "The worker; a `/` in it is written `%2F`"), LogParams),
    responses((status = 200, description = "Lines, oldest first", content((Vec<LogLine> = "application/json"), (String = "text/event-stream"))), Missing, Refused))]
pub async fn logs(
    State(state): State<ApiState>,
    Segment(name): Segment,
    Params(params): Params<LogParams>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    // Subscribed before the ring is read: no line falls between the two.
    let live = state.journal.follow_lines();
    let lines = state.journal.lines(&name, params.limit.unwrap_or(USUAL_LINES).min(MAX_ROWS));
    if lines.is_empty() && state.supervisor.view(&name).is_none() {
        return Err(no_worker(&state, &name));
    }
    if !params.follow && !sse::wanted(&headers) {
        return Ok(Json(lines).into_response());
    }
    let first = lines.iter().map(|line| sse::frame(None, "line", &**line)).collect();
    sse::follow(&state.followers, &state.shutdown, first, live, move |line: Arc<LogLine>| {
        // A line that came in between is in both: the ring and the stream share it.
        let new = *line.worker == *name && !lines.iter().any(|sent| Arc::ptr_eq(sent, &line));
        new.then(|| sse::frame(None, "line", &*line))
    })
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventParams {
    /// The newest this many (default 100, at most 1,000).
    limit: Option<usize>,
    /// Only events with a smaller id: the page before.
    before: Option<u64>,
    /// Only events of this worker, looked for among the newest 1,000 in memory and the 1,000 before them.
    worker: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StreamParams {
    /// Begin with the newest this many (default 0, at most 1,000). `Last-Event-ID` counts more.
    limit: Option<usize>,
    /// Only events of this worker.
    worker: Option<String>,
}

/// What happened, oldest first; with `Accept: text/event-stream` the same stream as `/events/stream`.
#[utoipa::path(get, path = "/api/v1/events", operation_id = "list_events", tag = "records", params(EventParams),
    responses((status = 200, description = "Events, oldest first", content((Vec<EventRecord> = "application/json"), (String = "text/event-stream"))), Refused))]
pub async fn events(State(state): State<ApiState>, Params(params): Params<EventParams>, headers: HeaderMap) -> Result<Response, ApiError> {
    if sse::wanted(&headers) {
        return stream_events(&state, StreamParams { limit: params.limit, worker: params.worker }, &headers);
    }
    let limit = params.limit.unwrap_or(USUAL_EVENTS).min(MAX_ROWS);
    let of_worker = |event: &EventRecord| params.worker.as_deref().is_none_or(|name| event.worker.as_deref() == Some(name));
    // The ring is never behind; the store goes further back.
    let mut newest = if params.before.is_some() { Vec::new() } else { state.journal.events(MAX_ROWS) };
    let oldest_in_ring = newest.first().map(|event| event.id);
    newest.retain(of_worker);
    let mut older = Vec::new();
    if newest.len() < limit {
        let before = params.before.or(oldest_in_ring);
        older = state.store.events(before, if params.worker.is_some() { MAX_ROWS } else { limit - newest.len() }).await?;
        older.retain(of_worker);
    }
    older.append(&mut newest);
    let surplus = older.len().saturating_sub(limit);
    Ok(Json(older.split_off(surplus)).into_response())
}

/// Events as they happen, as server-sent events with ids; `Last-Event-ID` resumes from memory.
///
/// The event's name is its kind, its data the record. A `missed` event counts what could not be given any more.
#[utoipa::path(get, path = "/api/v1/events/stream", operation_id = "stream_events", tag = "records",
    params(StreamParams, ("Last-Event-ID" = Option<u64>, Header, description = "The last event seen; what came after it is sent first")),
    responses((status = 200, description = "A stream that ends with the host", body = String, content_type = "text/event-stream"), Refused))]
pub async fn event_stream(
    State(state): State<ApiState>,
    Params(params): Params<StreamParams>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    stream_events(&state, params, &headers)
}

fn stream_events(state: &ApiState, params: StreamParams, headers: &HeaderMap) -> Result<Response, ApiError> {
    // Subscribed before the ring is read, as in `logs`; ids tell what is in both.
    let live = state.journal.follow_events();
    let kept = state.journal.events(MAX_ROWS);
    let (gap, first) = sse::resume(&kept, |event| event.id, sse::last_event_id(headers), params.limit.unwrap_or(0));
    let mut seen = kept.last().map_or(0, |event| event.id);
    let worker = params.worker;
    let wanted = move |event: &EventRecord| worker.as_deref().is_none_or(|name| event.worker.as_deref() == Some(name));
    let mut frames: Vec<String> = (gap > 0).then(|| sse::missed(gap)).into_iter().collect();
    frames.extend(first.iter().filter(|event| wanted(event)).map(|event| sse::frame(Some(event.id), &event.kind, event)));
    sse::follow(&state.followers, &state.shutdown, frames, live, move |event: EventRecord| {
        if event.id <= seen {
            return None;
        }
        seen = event.id;
        wanted(&event).then(|| sse::frame(Some(event.id), &event.kind, &event))
    })
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TrapParams {
    /// Only this worker's.
    worker: Option<String>,
    /// The newest this many (default 50, at most 500).
    limit: Option<usize>,
}

/// Trap records, newest first.
#[utoipa::path(get, path = "/api/v1/traps", operation_id = "list_traps", tag = "records", params(TrapParams),
    responses((status = 200, description = "Records, newest first", body = Vec<TrapRecord>), Refused))]
pub async fn traps(State(state): State<ApiState>, Params(params): Params<TrapParams>) -> Result<Json<Vec<TrapRecord>>, ApiError> {
    let limit = params.limit.unwrap_or(USUAL_TRAPS).min(MAX_TRAPS);
    let mut traps = state.store.traps(params.worker.map(Arc::from), limit).await?;
    // Ids are UUIDv7: within one millisecond they still grow.
    traps.sort_by(|a, b| match b.at.cmp(&a.at) {
        Ordering::Equal => b.id.cmp(&a.id),
        unequal => unequal,
    });
    Ok(Json(traps))
}

/// One trap record: cause, panic message, backtrace, input, last log lines, digests, memory.
#[utoipa::path(get, path = "/api/v1/traps/{id}", operation_id = "get_trap", tag = "records",
    params(("id" = String, Path, description = "The id, or a unique beginning or end of it of at least 4 characters")),
    responses((status = 200, description = "The record", body = TrapRecord), Missing, Refused))]
pub async fn trap(State(state): State<ApiState>, Segment(id): Segment) -> Result<Json<TrapRecord>, ApiError> {
    let found = state.store.trap(&id).await?;
    found.map(Json).ok_or_else(|| {
        ApiError::not_found(format!("no trap \"{id}\""))
            .hint("give the whole id, or a unique end of it; GET /api/v1/traps lists the kept ones")
    })
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CheckParams {
    /// Only this worker's.
    worker: Option<String>,
}

/// All checks, by worker and subject.
#[utoipa::path(get, path = "/api/v1/checks", operation_id = "list_checks", tag = "records", params(CheckParams),
    responses((status = 200, description = "Checks, by worker and subject", body = Vec<CheckView>), Missing, Refused))]
pub async fn checks(State(state): State<ApiState>, Params(params): Params<CheckParams>) -> Result<Json<Vec<CheckView>>, ApiError> {
    let views = state.checks.views(params.worker.as_deref());
    match params.worker {
        Some(name) if views.is_empty() && state.supervisor.view(&name).is_none() => Err(no_worker(&state, &name)),
        _ => Ok(Json(views)),
    }
}

/// How wide one point is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Width {
    Minute,
    Hour,
    Day,
}

impl Width {
    fn seconds(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    /// The finest width that keeps a chart readable.
    fn for_span(seconds: i64) -> Self {
        match seconds {
            ..=21_600 => Self::Minute,
            21_601..=1_209_600 => Self::Hour,
            _ => Self::Day,
        }
    }
}

impl From<Width> for Resolution {
    fn from(width: Width) -> Self {
        match width {
            Width::Minute => Self::Minute,
            Width::Hour => Self::Hour,
            Width::Day => Self::Day,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HistoryParams {
    worker: String,
    subject: String,
    /// Default: 24 h before `until`.
    from: Option<Timestamp>,
    /// Default: now.
    until: Option<Timestamp>,
    /// Default: minutes up to 6 h, hours up to 14 days, days beyond.
    #[param(inline)]
    resolution: Option<Width>,
}

/// A check's past, a point per minute, hour or day; spans without results are left out.
#[utoipa::path(get, path = "/api/v1/checks/history", operation_id = "check_history", tag = "records", params(HistoryParams),
    responses((status = 200, description = "Points, oldest first", body = Vec<HistoryPoint>), Missing, Refused))]
pub async fn history(State(state): State<ApiState>, Params(params): Params<HistoryParams>) -> Result<Json<Vec<HistoryPoint>>, ApiError> {
    let until = params.until.unwrap_or_else(|| state.clock.wall());
    let from = params.from.unwrap_or_else(|| until.checked_sub(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MIN));
    let seconds = until.duration_since(from).as_secs();
    if seconds <= 0 {
        return Err(ApiError::bad_request("from: must be before until"));
    }
    let width = params.resolution.unwrap_or_else(|| Width::for_span(seconds));
    if seconds / width.seconds() > MAX_POINTS {
        return Err(
            ApiError::bad_request(format!("that is more than {MAX_POINTS} points")).hint("ask for a shorter span or a coarser resolution")
        );
    }
    let points = state.store.history(&params.worker, &params.subject, from, until, width.into()).await?;
    if points.is_empty() && !state.checks.views(Some(&params.worker)).iter().any(|view| view.subject == params.subject) {
        let sentence = format!("no check of \"{}\" on worker \"{}\"", params.subject, params.worker);
        return Err(ApiError::not_found(sentence).hint("GET /api/v1/checks lists them"));
    }
    Ok(Json(points))
}
