//! Alerts: whether anybody hears them, what was told, and one to try it out. What is worth an alert is decided elsewhere.

use axum::{Json, extract::State, http::StatusCode};

use super::{
    ApiState,
    error::{ApiError, NotNow, Refused},
    queues::{self, PushedJob},
};
use crate::{
    facts::{Alert, AlertKind, AlertView, AlertsView, JobView, Payload},
    store::{ALERTS, JobFilter},
};

/// Alerts of one listing, and the jobs that are looked through for the newest of them.
const LISTED: usize = 100;
const LOOKED_AT: usize = 1_000;

/// Whether anybody takes alerts, and the newest of them.
#[utoipa::path(get, path = "/api/v1/alerts", operation_id = "list_alerts", tag = "alerts",
    responses((status = 200, description = "Alerts, newest first", body = AlertsView), Refused))]
pub async fn list(State(state): State<ApiState>) -> Result<Json<AlertsView>, ApiError> {
    let queue = queues::views(&state).await?.into_iter().find(|view| view.name == ALERTS);
    let filter = JobFilter { queue: Some(ALERTS.to_owned()), state: None, after: None, limit: LOOKED_AT };
    let mut recent: Vec<AlertView> = state.jobs.jobs(filter, true).await?.into_iter().filter_map(view).collect();
    // Ids are in the order of their making.
    recent.sort_unstable_by(|a, b| b.id.cmp(&a.id));
    recent.truncate(LISTED);
    let desired = state.fleet.desired();
    let takes = |unit: &&crate::fleet::desired::Unit| {
        !unit.spec.live.paused && unit.spec.run.jobs.as_ref().is_some_and(|jobs| jobs.queue == ALERTS)
    };
    let workers = desired.units().iter().filter(takes).map(|unit| unit.spec.name.to_string()).collect();
    let outbox = state.store.outbox();
    Ok(Json(AlertsView { on: outbox.is_open(), workers, queue, left_out: outbox.left_out(), recent }))
}

/// None: not a payload of an alert; anybody may push anything.
fn view(job: JobView) -> Option<AlertView> {
    let payload = job.payload.map(Payload::into_bytes)?.ok()?;
    let alert: Alert = serde_json::from_slice(&payload).ok()?;
    Some(AlertView {
        id: job.id,
        at: alert.at,
        kind: alert.kind,
        worker: alert.worker,
        subject: alert.subject,
        from: alert.from,
        to: alert.to,
        summary: alert.summary,
        state: job.state,
        attempts: job.attempts,
        last_error: job.last_error,
    })
}

/// Sends an alert that says it is a test, as any other would be sent.
#[utoipa::path(post, path = "/api/v1/alerts/test", operation_id = "test_alerts", tag = "alerts", security(("admin" = [])),
    responses((status = 200, description = "Its job", body = PushedJob), NotNow, Refused))]
pub async fn test(State(state): State<ApiState>) -> Result<Json<PushedJob>, ApiError> {
    let outbox = state.store.outbox();
    let alert = Alert::new(AlertKind::Test, state.clock.wall(), "test", "test: alerts of this host reach you".to_owned());
    let Some(job) = outbox.job(alert) else {
        return Err(ApiError::new(StatusCode::CONFLICT, "nobody takes alerts: no worker has the queue \"alerts\", or it is paused")
            .hint("run the notifier: see manifests/notifier.toml, then skep resume notifier"));
    };
    let pushed = state.jobs.push(vec![job]).await?;
    let pushed = pushed.first().ok_or_else(|| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the queue answered no id"))?;
    Ok(Json(PushedJob { id: pushed.id.to_string(), fresh: pushed.fresh }))
}
