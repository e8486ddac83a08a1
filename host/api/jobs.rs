//! Single jobs: one's facts, and for workers outside this host: lease, ack, nack, extend, progress. Every lease is an attempt, and only
//! the newest may finish; what that means is the store's.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State, http::StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    ApiState,
    error::{ApiError, Missing, NotNow, Refused, TooLarge},
    extract::{Params, Segment},
    given::{self, Asked, Given, span, wait},
    queues::{NewJobBody, new_jobs},
    serve::told,
};
use crate::{
    facts::{JobState, JobView, Payload},
    limiter::Limiter,
    store::{Finished, LeasedJob, MAX_NOTE_BYTES, MAX_PAYLOAD_BYTES, MAX_SPAN, Outcome, StoreError},
};

const USUAL_TERM: Duration = Duration::from_secs(30);
const MIN_TERM: Duration = Duration::from_secs(1);
const MAX_TERM: Duration = Duration::from_secs(86_400);
/// Jobs of one lease: with the largest payloads they still fit an answer.
const MAX_LEASED: usize = 32;

/// A job in an outside worker's hands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LeasedView {
    pub id: String,
    pub queue: String,
    /// From 1. The fence: send it with ack, nack, extend and progress.
    pub attempt: u32,
    pub max_attempts: u32,
    pub priority: i32,
    pub unique_key: Option<String>,
    pub pushed_at: Timestamp,
    pub payload: Payload,
}

impl From<LeasedJob> for LeasedView {
    fn from(job: LeasedJob) -> Self {
        Self {
            id: job.id.to_string(),
            queue: job.queue.to_string(),
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            priority: job.priority,
            unique_key: job.unique_key.map(String::from),
            pushed_at: job.pushed_at,
            payload: Payload::of(&job.payload),
        }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaseRequest {
    /// At most this many jobs (default 1, at most 32; always 1 where the queue has a limiter).
    max: Option<usize>,
    /// Who takes them, for people to see; at most 128 bytes.
    holder: String,
    /// How long they are held without `extend` (default `30s`, from `1s` to `1d`).
    term: Option<String>,
    /// How long to wait for a job when there is none (default not at all, at most `110s`).
    wait: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AckRequest {
    /// As leased.
    attempt: u32,
    /// Kept for the job's result_ttl; at most 1 MiB.
    result: Option<Given>,
    /// Jobs that are pushed in the same transaction, each with its `queue`; at most 1,000.
    #[serde(default)]
    push: Vec<NewJobBody>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NackRequest {
    /// As leased.
    attempt: u32,
    /// Why; the first 1 KiB is kept.
    #[serde(default)]
    reason: String,
    /// Again after this long, e.g. `10s` (default: the job's backoff).
    after: Option<String>,
    /// Never again: it goes to the dead ones.
    #[serde(default)]
    dead: bool,
    /// Never begun: back to its place at once, and the attempt doesn't count.
    #[serde(default)]
    release: bool,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtendRequest {
    /// As leased.
    attempt: u32,
    /// From now on (default `30s`, from `1s` to `1d`).
    term: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProgressRequest {
    /// As leased.
    attempt: u32,
    /// For people to see; at most 1 KiB, kept in memory only.
    note: String,
}

/// How an attempt left its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ended {
    pub state: JobState,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ShowParams {
    /// Wait this long at most until it is over, e.g. `30s` (at most `110s`); the answer is the job as it stands then.
    wait: Option<String>,
}

pub(super) fn job_id(text: &str) -> Result<Uuid, ApiError> {
    Uuid::parse_str(text)
        .map_err(|_| ApiError::not_found(format!("no job \"{text}\"")).hint("a job's id is the whole UUID that its push answered"))
}

fn no_job(id: Uuid) -> ApiError {
    ApiError::not_found(format!("no job {id}")).hint("it was purged, its time to live is over, or it never was")
}

fn conflict(sentence: String) -> ApiError {
    ApiError::new(StatusCode::CONFLICT, sentence)
}

/// The answer to an attempt that no longer holds its job.
async fn stale(state: &ApiState, id: Uuid, attempt: u32) -> ApiError {
    match state.jobs.job(id).await {
        Err(error) => error.into(),
        Ok(None) => no_job(id),
        Ok(Some(job)) => {
            let now = match (job.state, &job.leased_by) {
                (JobState::Running, Some(holder)) => format!("{holder} has attempt {}", job.attempts),
                (state, _) => format!("the job is {}", state.as_str()),
            };
            conflict(format!("attempt {attempt} of job {id} is over: {now}; nothing was written"))
                .hint("a lease ends with its term, a cancel or a finish: extend it while the work goes on")
        }
    }
}

async fn view(state: &ApiState, id: Uuid) -> Result<Json<JobView>, ApiError> {
    state.jobs.job(id).await?.map(Json).ok_or_else(|| no_job(id))
}

/// One job with payload and result.
#[utoipa::path(get, path = "/api/v1/jobs/{id}", operation_id = "get_job", tag = "queues",
    params(("id" = String, Path, description = "The job"), ShowParams),
    responses((status = 200, description = "The job", body = JobView), Missing, Refused))]
pub async fn show(
    State(state): State<ApiState>,
    Segment(id): Segment,
    Params(params): Params<ShowParams>,
) -> Result<Json<JobView>, ApiError> {
    let id = job_id(&id)?;
    let time = wait("wait", params.wait.as_deref(), Duration::ZERO)?;
    if time.is_zero() {
        return view(&state, id).await;
    }
    let mut stop = state.shutdown.clone();
    tokio::select! {
        over = state.jobs.wait(id) => over?.map(Json).ok_or_else(|| no_job(id)),
        () = sleep_until(state.clock.now() + time) => view(&state, id).await,
        () = told(&mut stop) => view(&state, id).await,
    }
}

/// Takes a job back. A running one loses its lease: whoever has it learns so when it finishes or extends.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/cancel", operation_id = "cancel_job", tag = "queues", security(("admin" = [])),
    params(("id" = String, Path, description = "The job")),
    responses((status = 200, description = "The job, cancelled", body = JobView), NotNow, Missing, Refused))]
pub async fn cancel(State(state): State<ApiState>, Segment(id): Segment) -> Result<Json<JobView>, ApiError> {
    let id = job_id(&id)?;
    match state.jobs.cancel(id).await? {
        Some(true) => view(&state, id).await,
        Some(false) => {
            let Json(job) = view(&state, id).await?;
            Err(conflict(format!("job {id} is {} already", job.state.as_str())))
        }
        None => Err(no_job(id)),
    }
}

/// Lets a dead or cancelled job wait again, with all its attempts.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/retry", operation_id = "retry_job", tag = "queues", security(("admin" = [])),
    params(("id" = String, Path, description = "The job")),
    responses((status = 200, description = "The job, waiting", body = JobView), NotNow, Missing, Refused))]
pub async fn retry(State(state): State<ApiState>, Segment(id): Segment) -> Result<Json<JobView>, ApiError> {
    let id = job_id(&id)?;
    match state.jobs.retry(id).await? {
        Some(true) => view(&state, id).await,
        Some(false) => {
            let Json(job) = view(&state, id).await?;
            Err(conflict(format!("job {id} is {}: only dead and cancelled jobs are retried", job.state.as_str())))
        }
        None => Err(no_job(id)),
    }
}

/// Leases due jobs, highest priority first, then oldest; waits for one where `wait` says so.
///
/// A queue with a limiter gives one job a request, and each for a permit of the limiter.
#[utoipa::path(post, path = "/api/v1/queues/{name}/lease", operation_id = "lease_jobs", tag = "queues", security(("admin" = [])),
    params(("name" = String, Path, description = "The queue")), request_body(content = LeaseRequest),
    responses((status = 200, description = "The jobs; empty when there was none in time", body = Vec<LeasedView>), TooLarge, Refused))]
pub async fn lease(
    State(state): State<ApiState>,
    Segment(queue): Segment,
    Asked(request): Asked<LeaseRequest>,
) -> Result<Json<Vec<LeasedView>>, ApiError> {
    given::queue(&queue)?;
    given::holder(&request.holder)?;
    let max = request.max.unwrap_or(1);
    if !(1..=MAX_LEASED).contains(&max) {
        return Err(ApiError::bad_request(format!("max: from 1 to {MAX_LEASED}")));
    }
    let until = state.clock.now() + wait("wait", request.wait.as_deref(), Duration::ZERO)?;
    let wanted =
        Wanted { limiter: limiter(&state, &queue), queue, max, holder: request.holder.into(), term: term(request.term.as_deref())? };
    let mut ready = state.jobs.ready(&wanted.queue);
    let mut stop = state.shutdown.clone();
    loop {
        // Before looking: what moves afterwards wakes this up.
        ready.mark_unchanged();
        let leased = wanted.take(&state, until).await?;
        if !leased.is_empty() || state.clock.now() >= until {
            return Ok(Json(leased.into_iter().map(LeasedView::from).collect()));
        }
        tokio::select! {
            moved = ready.changed() => {
                if moved.is_err() {
                    return Err(StoreError::Closed.into());
                }
            }
            () = sleep_until(until) => {}
            () = told(&mut stop) => return Ok(Json(Vec::new())),
        }
    }
}

/// What one lease asks for.
struct Wanted {
    queue: String,
    max: usize,
    holder: Arc<str>,
    term: Duration,
    limiter: Option<Limiter>,
}

impl Wanted {
    /// What is there now. With a limiter: a permit first, but none for an empty queue.
    async fn take(&self, state: &ApiState, until: Instant) -> Result<Vec<LeasedJob>, StoreError> {
        let mut max = self.max;
        if let Some(limiter) = &self.limiter {
            if state.jobs.due(&self.queue) == 0 {
                // Perhaps they are not read from disk yet: a lease of none reads them.
                state.jobs.lease_for(&self.queue, 0, &self.holder, self.term).await?;
            }
            if state.jobs.due(&self.queue) == 0 || limiter.acquire(until).await.is_err() {
                return Ok(Vec::new());
            }
            max = 1;
        }
        state.jobs.lease_for(&self.queue, max, &self.holder, self.term).await
    }
}

/// The limiter a queue's jobs wait for, as the manifests have it now.
fn limiter(state: &ApiState, queue: &str) -> Option<Limiter> {
    let desired = state.fleet.desired();
    let spec = desired.files().values().flat_map(|file| &file.queues).find(|spec| spec.name == queue)?;
    state.limiters.get(spec.limiter.as_deref()?)
}

fn term(text: Option<&str>) -> Result<Duration, ApiError> {
    text.map_or(Ok(USUAL_TERM), |text| span("term", text, MIN_TERM, MAX_TERM))
}

async fn finish(state: &ApiState, id: &str, attempt: u32, outcome: Outcome, push: Vec<NewJobBody>) -> Result<Json<Ended>, ApiError> {
    let id = job_id(id)?;
    let pushes = new_jobs(push, None).map_err(|mut error| {
        error.body.error = format!("push: {}", error.body.error);
        error
    })?;
    match state.jobs.finish(id, attempt, outcome, pushes).await? {
        Finished::Recorded(state) => Ok(Json(Ended { state })),
        Finished::Stale => Err(stale(state, id, attempt).await),
    }
}

/// Ends a job well: its result is kept, and `push` is pushed in the same transaction.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/ack", operation_id = "ack_job", tag = "queues", security(("admin" = [])),
    params(("id" = String, Path, description = "The job")), request_body(content = AckRequest),
    responses((status = 200, description = "It is done, and all of this is durable", body = Ended), NotNow, Missing, TooLarge, Refused))]
pub async fn ack(State(state): State<ApiState>, Segment(id): Segment, Asked(request): Asked<AckRequest>) -> Result<Json<Ended>, ApiError> {
    let result = request.result.map(|result| result.bytes("result")).transpose()?;
    if let Some(result) = result.as_ref().filter(|result| result.len() > MAX_PAYLOAD_BYTES) {
        let sentence = format!("result: {} bytes; at most {MAX_PAYLOAD_BYTES} (1 MiB) are kept", result.len());
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, sentence).hint("put the data elsewhere and answer where it is"));
    }
    finish(&state, &id, request.attempt, Outcome::Done(result.map(Vec::from)), request.push).await
}

/// Ends an attempt that failed: again after a backoff, or dead, or given back as if it had never begun.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/nack", operation_id = "nack_job", tag = "queues", security(("admin" = [])),
    params(("id" = String, Path, description = "The job")), request_body(content = NackRequest),
    responses((status = 200, description = "What became of the job", body = Ended), NotNow, Missing, TooLarge, Refused))]
pub async fn nack(
    State(state): State<ApiState>,
    Segment(id): Segment,
    Asked(request): Asked<NackRequest>,
) -> Result<Json<Ended>, ApiError> {
    let reason = first(request.reason, MAX_NOTE_BYTES);
    let outcome = match (request.dead, request.release, request.after) {
        (true, false, None) => Outcome::Dead(reason),
        (false, true, None) => Outcome::Released,
        (false, false, after) => {
            let after = after.map(|text| span("after", &text, Duration::ZERO, MAX_SPAN)).transpose()?;
            Outcome::Retry { reason, after }
        }
        _ => return Err(ApiError::bad_request("dead, release and after exclude each other").hint("keep one of them")),
    };
    finish(&state, &id, request.attempt, outcome, Vec::new()).await
}

/// At most this many bytes, whole characters.
fn first(mut text: String, bytes: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes));
    text
}

/// Holds a lease for another term, from now.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/extend", operation_id = "extend_job", tag = "queues", security(("admin" = [])),
    params(("id" = String, Path, description = "The job")), request_body(content = ExtendRequest),
    responses((status = 204, description = "Held"), NotNow, Missing, TooLarge, Refused))]
pub async fn extend(
    State(state): State<ApiState>,
    Segment(id): Segment,
    Asked(request): Asked<ExtendRequest>,
) -> Result<StatusCode, ApiError> {
    let (id, term) = (job_id(&id)?, term(request.term.as_deref())?);
    match state.jobs.extend(id, request.attempt, term).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(stale(&state, id, request.attempt).await),
    }
}

/// Says how far an attempt is; kept in memory only.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/progress", operation_id = "progress_job", tag = "queues", security(("admin" = [])),
    params(("id" = String, Path, description = "The job")), request_body(content = ProgressRequest),
    responses((status = 204, description = "Noted"), NotNow, Missing, TooLarge, Refused))]
pub async fn progress(
    State(state): State<ApiState>,
    Segment(id): Segment,
    Asked(request): Asked<ProgressRequest>,
) -> Result<StatusCode, ApiError> {
    let id = job_id(&id)?;
    if request.note.len() > MAX_NOTE_BYTES {
        return Err(ApiError::bad_request(format!("note: {} bytes; at most {MAX_NOTE_BYTES}", request.note.len())));
    }
    match state.jobs.progress(id, request.attempt, request.note) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(stale(&state, id, request.attempt).await),
    }
}
