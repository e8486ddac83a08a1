//! Queues: what stands in them, pushing into them, purging them. What a queue promises is the store's; nothing is decided here.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{Json, body::Bytes, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    ApiState, MAX_BODY_BYTES,
    error::{ApiError, Missing, Refused, TooLarge, Unreadable},
    extract::{Params, Segment, flag},
    given::{self, Asked, Given, Sent, read, span},
    jobs::job_id,
    suggest::suggest,
    workers::Binary,
};
use crate::{
    facts::{JobState, JobView, QueueView},
    fleet::desired::Desired,
    manifest::spec::QueueSpec,
    store::{JobFilter, MAX_PAYLOAD_BYTES, MAX_PUSH_BYTES, MAX_PUSH_JOBS, MAX_SPAN, MAX_UNIQUE_KEY_BYTES, NewJob},
};

/// Who pushed, of a job that came through here: no worker can be called so, and a worker may follow up what it pushed itself.
const PUSHED_BY: &str = "@api";
const MAX_ATTEMPTS: u32 = 1_000;
const MILLISECOND: Duration = Duration::from_millis(1);
const USUAL_JOBS: usize = 100;
const MAX_JOBS: usize = 1_000;
/// With payloads, up to 1 MiB each.
const MAX_PEEKED: usize = 100;

/// What a push may say beside the payload.
#[derive(Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Options {
    /// Not before this much time has passed, e.g. `30s`. Only with a raw body, as all of these.
    delay: Option<String>,
    /// Higher runs first (default 0).
    priority: Option<i32>,
    /// While a job with this key is there, a push answers its id and adds nothing; at most 255 bytes.
    unique_key: Option<String>,
    /// Attempts before it is dead (default: the queue's).
    #[param(minimum = 1, maximum = 1000)]
    max_attempts: Option<u32>,
    /// Before the second attempt, doubled for each one after, e.g. `1s` (default: the queue's).
    backoff: Option<String>,
    /// How long the result is kept, e.g. `1h` (default: the queue's).
    result_ttl: Option<String>,
}

/// A job to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = JobRequest)]
pub struct NewJobBody {
    /// Where it goes; only among the pushes of an ack, elsewhere the path says it.
    queue: Option<String>,
    /// At most 1 MiB.
    payload: Given,
    /// Not before this much time has passed, e.g. `30s`.
    delay: Option<String>,
    /// Higher runs first (default 0).
    priority: Option<i32>,
    /// While a job with this key is there, a push answers its id and adds nothing; at most 255 bytes.
    unique_key: Option<String>,
    /// Attempts before it is dead, 1 to 1,000 (default: the queue's).
    max_attempts: Option<u32>,
    /// Before the second attempt, doubled for each one after, e.g. `1s` (default: the queue's).
    backoff: Option<String>,
    /// How long the result is kept, e.g. `1h` (default: the queue's).
    result_ttl: Option<String>,
}

/// A push: one job, or up to 1,000, all or none.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Push {
    Batch { jobs: Vec<NewJobBody> },
    One(Box<NewJobBody>),
}

impl Push {
    /// Told apart first, so that what is wrong with one job is not "matches no variant".
    fn read(body: &[u8]) -> Result<Vec<NewJobBody>, ApiError> {
        #[derive(Deserialize)]
        struct Shape {
            jobs: Option<IgnoredAny>,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Batch {
            jobs: Vec<NewJobBody>,
        }
        Ok(match read::<Shape>(body)?.jobs {
            Some(_) => read::<Batch>(body)?.jobs,
            None => vec![read(body)?],
        })
    }
}

/// What became of one pushed job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PushedJob {
    /// A UUID (version 7).
    pub id: String,
    /// False: a job with the same unique key was there, and this is its id.
    pub fresh: bool,
}

/// What became of a purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Purged {
    /// Jobs forgotten.
    pub purged: u64,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PurgeRequest {
    /// Jobs in these states are forgotten; `running` is never one of them.
    states: Vec<JobState>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct JobsParams {
    /// Only jobs in this state.
    state: Option<JobState>,
    /// At most this many (default 100, at most 1,000; 100 with `peek`).
    limit: Option<usize>,
    /// Only those after this job: the page after.
    after: Option<String>,
    /// With payloads.
    #[serde(default, deserialize_with = "flag")]
    #[param(required = false)]
    peek: bool,
}

/// All queues: those that hold jobs, those that are declared, those that a worker takes jobs from.
pub(super) async fn views(state: &ApiState) -> Result<Vec<QueueView>, ApiError> {
    Ok(placed(state.jobs.queues().await?, &state.fleet.desired()))
}

/// Queues as the store has them, with what only the manifests know. Pure.
pub fn placed(views: Vec<QueueView>, desired: &Desired) -> Vec<QueueView> {
    let mut all: BTreeMap<String, QueueView> = views.into_iter().map(|view| (view.name.clone(), view)).collect();
    for spec in desired.files().values().flat_map(|file| &file.queues) {
        let view = all.entry(spec.name.clone()).or_insert_with(|| QueueView {
            max_attempts: spec.max_attempts,
            backoff_ms: ms(spec.backoff),
            result_ttl_ms: ms(spec.result_ttl),
            ..empty(&spec.name)
        });
        view.limiter.clone_from(&spec.limiter);
        view.file = Some(spec.origin.file.to_string());
        view.line = Some(spec.origin.line);
    }
    for unit in desired.units() {
        if let Some(jobs) = &unit.spec.run.jobs {
            all.entry(jobs.queue.clone()).or_insert_with(|| empty(&jobs.queue)).workers.push(unit.spec.name.to_string());
        }
    }
    all.into_values().collect()
}

/// A queue that nobody declared and nobody pushed to.
fn empty(name: &str) -> QueueView {
    QueueView {
        name: name.to_owned(),
        delayed: 0,
        waiting: 0,
        running: 0,
        done: 0,
        dead: 0,
        cancelled: 0,
        oldest_waiting_at: None,
        pushed: 0,
        finished: 0,
        max_attempts: QueueSpec::MAX_ATTEMPTS,
        backoff_ms: ms(QueueSpec::BACKOFF),
        result_ttl_ms: ms(QueueSpec::RESULT_TTL),
        limiter: None,
        workers: Vec::new(),
        file: None,
        line: None,
    }
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A queue that is there; else what may have been meant.
async fn known(state: &ApiState, name: &str) -> Result<QueueView, ApiError> {
    let views = views(state).await?;
    let missing = || {
        let error = ApiError::not_found(format!("no queue \"{name}\""));
        match suggest(name, views.iter().map(|view| view.name.as_str())) {
            Some(hint) => error.hint(hint),
            None => error.hint("GET /api/v1/queues lists them; a push makes one"),
        }
    };
    views.iter().find(|view| view.name == name).cloned().ok_or_else(missing)
}

/// A job as the store takes it, or what is wrong with it.
pub(super) fn new_job(queue: &str, payload: Bytes, options: Options) -> Result<NewJob, ApiError> {
    given::queue(queue)?;
    if payload.len() > MAX_PAYLOAD_BYTES {
        let sentence = format!("payload: {} bytes; at most {MAX_PAYLOAD_BYTES} (1 MiB) fit a job", payload.len());
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, sentence).hint("put the data elsewhere and push where it is"));
    }
    if options.unique_key.as_ref().is_some_and(|key| key.is_empty() || key.len() > MAX_UNIQUE_KEY_BYTES) {
        return Err(ApiError::bad_request(format!("unique_key: 1 to {MAX_UNIQUE_KEY_BYTES} bytes")).hint("hash what is longer"));
    }
    if options.max_attempts.is_some_and(|attempts| !(1..=MAX_ATTEMPTS).contains(&attempts)) {
        return Err(ApiError::bad_request(format!("max_attempts: from 1 to {MAX_ATTEMPTS}")));
    }
    let some = |field, text: Option<String>| text.map(|text| span(field, &text, MILLISECOND, MAX_SPAN)).transpose();
    let mut job = NewJob::new(queue.into(), payload, Arc::from(PUSHED_BY));
    job.delay = options.delay.map_or(Ok(Duration::ZERO), |text| span("delay", &text, Duration::ZERO, MAX_SPAN))?;
    job.priority = options.priority.unwrap_or_default();
    job.unique_key = options.unique_key.map(String::into_boxed_str);
    job.max_attempts = options.max_attempts;
    job.backoff = some("backoff", options.backoff)?;
    job.result_ttl = some("result_ttl", options.result_ttl)?;
    Ok(job)
}

impl NewJobBody {
    /// `path`: the queue where the path names it.
    fn checked(self, path: Option<&str>) -> Result<NewJob, ApiError> {
        let Self { queue, payload, delay, priority, unique_key, max_attempts, backoff, result_ttl } = self;
        let queue = match (path, &queue) {
            (Some(path), None) => path,
            (Some(_), Some(_)) => return Err(ApiError::bad_request("queue: the path names it already").hint("take it out")),
            (None, Some(queue)) => queue,
            (None, None) => return Err(ApiError::bad_request("queue: a push says where it goes").hint("add \"queue\": \"NAME\"")),
        };
        let options = Options { delay, priority, unique_key, max_attempts, backoff, result_ttl };
        new_job(queue, payload.bytes("payload")?, options)
    }
}

/// Several jobs within the bounds of one push; what is wrong is told with the job's number, from 0.
pub(super) fn new_jobs(bodies: Vec<NewJobBody>, path: Option<&str>) -> Result<Vec<NewJob>, ApiError> {
    if bodies.len() > MAX_PUSH_JOBS {
        return Err(ApiError::bad_request(format!("jobs: {} of them; at most {MAX_PUSH_JOBS} go in one push", bodies.len()))
            .hint("push them in several requests"));
    }
    let many = bodies.len() > 1;
    let numbered = bodies.into_iter().enumerate().map(|(at, body)| {
        body.checked(path).map_err(|mut error| {
            if many {
                error.body.error = format!("jobs[{at}].{}", error.body.error);
            }
            error
        })
    });
    // The bound of a body keeps their payloads together below the store's bound of a push.
    const { assert!(MAX_BODY_BYTES <= MAX_PUSH_BYTES) };
    numbered.collect()
}

/// All queues, by name.
#[utoipa::path(get, path = "/api/v1/queues", operation_id = "list_queues", tag = "queues",
    responses((status = 200, description = "All queues, by name", body = Vec<QueueView>), Refused))]
pub async fn list(State(state): State<ApiState>) -> Result<Json<Vec<QueueView>>, ApiError> {
    views(&state).await.map(Json)
}

/// One queue.
#[utoipa::path(get, path = "/api/v1/queues/{name}", operation_id = "get_queue", tag = "queues", params(("name" = String, Path, description = "The queue")),
    responses((status = 200, description = "The queue", body = QueueView), Missing, Refused))]
pub async fn show(State(state): State<ApiState>, Segment(name): Segment) -> Result<Json<QueueView>, ApiError> {
    known(&state, &name).await.map(Json)
}

/// Pushes one job, or up to 1,000 as `{"jobs": […]}`; answers once they are durable, all or none.
///
/// A body of `application/octet-stream` or `text/plain` is one job's payload as it is, with its options in the query.
#[utoipa::path(post, path = "/api/v1/queues/{name}/jobs", operation_id = "push_jobs", tag = "queues", security(("admin" = [])),
    params(("name" = String, Path, description = "The queue; one that nobody declares has the defaults"), Options),
    request_body(content((Push = "application/json"), (Binary = "application/octet-stream"))),
    responses((status = 200, description = "Their ids, in the order of the push", body = Vec<PushedJob>), TooLarge, Unreadable, Refused))]
pub async fn push(
    State(state): State<ApiState>,
    Segment(name): Segment,
    Params(options): Params<Options>,
    sent: Sent,
) -> Result<Json<Vec<PushedJob>>, ApiError> {
    let jobs = match sent {
        Sent::Raw(payload) => vec![new_job(&name, payload, options)?],
        Sent::Json(_) if options != Options::default() => {
            return Err(ApiError::bad_request("options in the query go with a raw body only").hint("write them beside \"payload\""));
        }
        Sent::Json(body) => new_jobs(Push::read(&body)?, Some(&name))?,
    };
    if jobs.is_empty() {
        return Err(ApiError::bad_request("jobs: a push has at least one"));
    }
    let pushed = state.jobs.push(jobs).await?;
    Ok(Json(pushed.into_iter().map(|pushed| PushedJob { id: pushed.id.to_string(), fresh: pushed.fresh }).collect()))
}

/// A queue's jobs in the order they would run, those that are over newest first.
#[utoipa::path(get, path = "/api/v1/queues/{name}/jobs", operation_id = "list_jobs", tag = "queues",
    params(("name" = String, Path, description = "The queue"), JobsParams),
    responses((status = 200, description = "Jobs; without payloads unless `peek`", body = Vec<JobView>), Missing, Refused))]
pub async fn jobs(
    State(state): State<ApiState>,
    Segment(name): Segment,
    Params(params): Params<JobsParams>,
) -> Result<Json<Vec<JobView>>, ApiError> {
    let after: Option<Uuid> = params.after.as_deref().map(job_id).transpose()?;
    known(&state, &name).await?;
    let most = if params.peek { MAX_PEEKED } else { MAX_JOBS };
    let limit = params.limit.unwrap_or(USUAL_JOBS).min(most);
    Ok(Json(state.jobs.jobs(JobFilter { queue: Some(name), state: params.state, after, limit }, params.peek).await?))
}

/// Forgets a queue's jobs in some states; running ones never.
#[utoipa::path(post, path = "/api/v1/queues/{name}/purge", operation_id = "purge_queue", tag = "queues", security(("admin" = [])),
    params(("name" = String, Path, description = "The queue")), request_body(content = PurgeRequest),
    responses((status = 200, description = "How many were forgotten", body = Purged), Missing, TooLarge, Refused))]
pub async fn purge(
    State(state): State<ApiState>,
    Segment(name): Segment,
    Asked(request): Asked<PurgeRequest>,
) -> Result<Json<Purged>, ApiError> {
    if request.states.is_empty() {
        return Err(ApiError::bad_request("states: says which jobs").hint("write e.g. {\"states\": [\"dead\"]}"));
    }
    if request.states.contains(&JobState::Running) {
        return Err(ApiError::bad_request("states: running jobs are never purged").hint("cancel them first: POST /api/v1/jobs/{id}/cancel"));
    }
    known(&state, &name).await?;
    Ok(Json(Purged { purged: state.jobs.purge(&name, &request.states).await? }))
}
