//! The public status page, its JSON and badges: what anybody may see, once `[status]` in skep.toml switches it on.
//!
//! A check is shown by its worker's title, never by its address, unless it has none; details, evidence and config stay inside. Gathered
//! at most once a second, however many ask.

mod badge;
mod page;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use axum::{
    Json,
    extract::{Path, State},
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, REFRESH},
    },
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::{sync::Mutex, time::Instant};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    ApiState,
    error::{ApiError, Missing},
    extract::Params,
};
use crate::{
    config::StatusPage,
    facts::{CheckStatus, CheckView, WorkerView},
};

/// How long what was gathered is shown.
const FRESH: Duration = Duration::from_secs(1);
/// Checks on one page; a longer list helps nobody who looks from outside.
const MAX_SHOWN: usize = 1_000;
const SHORT: HeaderValue = HeaderValue::from_static("public, max-age=10");
const CROSS_ORIGIN: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

pub(super) fn endpoints() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(json)).routes(routes!(badge))
}

/// What is shown to everyone, and when it was gathered.
#[derive(Debug)]
pub struct Public {
    settings: StatusPage,
    last: Mutex<Option<(Instant, Arc<Shown>)>>,
}

impl Public {
    pub fn new(settings: StatusPage) -> Self {
        Self { settings, last: Mutex::default() }
    }

    /// Whoever comes while it is being gathered waits for that.
    async fn shown(&self, state: &ApiState) -> Arc<Shown> {
        let mut last = self.last.lock().await;
        let now = state.clock.now();
        if let Some((_, shown)) = last.as_ref().filter(|(at, _)| now.duration_since(*at) < FRESH) {
            return shown.clone();
        }
        let shown = gather(&self.settings, state.supervisor.views(), state.checks.views(None), state.clock.wall());
        let shown = Arc::new(shown);
        *last = Some((now, shown.clone()));
        shown
    }
}

#[derive(Debug)]
struct Shown {
    view: StatusView,
    /// By worker.
    badges: HashMap<String, Badge>,
}

#[derive(Debug, Clone)]
struct Badge {
    label: String,
    /// A check's status or a worker's state.
    word: &'static str,
    uptime: Option<f64>,
}

/// What the public status page shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatusView {
    pub title: String,
    pub at: Timestamp,
    /// The worst of all; null without checks.
    pub status: Option<CheckStatus>,
    /// By group and name, at most 1,000.
    pub checks: Vec<PublicCheck>,
    /// Checks that are left out because there are more.
    pub more: usize,
}

/// One check, as everyone may see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PublicCheck {
    /// The worker's title; what is checked, where there is none.
    pub name: String,
    pub group: Option<String>,
    pub status: CheckStatus,
    /// When it entered this status.
    pub since: Timestamp,
    /// Time-weighted over 24 h, 0..1; null when nothing is known.
    pub uptime: Option<f64>,
    /// The share of those 24 h that was seen, 0..1.
    pub coverage: f64,
    /// The newest results, oldest first, at most 30.
    pub beats: Vec<PublicBeat>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PublicBeat {
    pub at: Timestamp,
    pub status: CheckStatus,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Of {
    #[default]
    Status,
    Uptime,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BadgeParams {
    /// What it shows: `status` (default) or `uptime` over 24 h.
    #[serde(default)]
    #[param(required = false, inline)]
    of: Of,
}

/// The public status page. 404 unless `[status]` in skep.toml has `on = true`.
#[utoipa::path(get, path = "/status", operation_id = "status_page", tag = "status", security(()),
    responses((status = 200, description = "A page without script", body = String, content_type = "text/html"), Missing))]
pub async fn show(State(state): State<ApiState>) -> Result<Response, ApiError> {
    let shown = public(&state)?.shown(&state).await;
    let mut response = super::page::small::page(StatusCode::OK, &page::title(&shown.view), &page::body(&shown.view));
    response.headers_mut().insert(CACHE_CONTROL, SHORT);
    response.headers_mut().insert(REFRESH, HeaderValue::from_static("60"));
    Ok(response)
}

/// The public status page as JSON.
#[utoipa::path(get, path = "/status.json", operation_id = "status", tag = "status", security(()),
    responses((status = 200, description = "What the page shows", body = StatusView), Missing))]
pub async fn json(State(state): State<ApiState>) -> Result<Response, ApiError> {
    let shown = public(&state)?.shown(&state).await;
    Ok(([(CACHE_CONTROL, SHORT)], Json(&shown.view)).into_response())
}

/// A worker's badge, for other pages to show: `/badge/pages.svg`, `/badge/pinger%2Fnas.svg?of=uptime`.
///
/// The worst status of its checks; the state of a worker without checks that `[status]` names.
#[utoipa::path(get, path = "/badge/{file}", operation_id = "badge", tag = "status", security(()),
    params(("file" = String, Path, description = "The worker and `.svg`; a `/` in its name is written `%2F`"), BadgeParams),
    responses((status = 200, description = "An image", body = String, content_type = "image/svg+xml"), Missing))]
pub async fn badge(
    State(state): State<ApiState>,
    Path(file): Path<String>,
    Params(params): Params<BadgeParams>,
) -> Result<Response, ApiError> {
    let shown = public(&state)?.shown(&state).await;
    let badge = file.strip_suffix(".svg").and_then(|worker| shown.badges.get(worker)).ok_or_else(|| {
        ApiError::not_found("there is no such badge").hint("a badge is /badge/WORKER.svg, of workers that [status] in skep.toml shows")
    })?;
    let svg = match params.of {
        Of::Status => badge::svg(&badge.label, badge.word, badge.word),
        Of::Uptime => badge::uptime(&badge.label, badge.uptime),
    };
    let mut response = svg.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("image/svg+xml"));
    headers.insert(CACHE_CONTROL, SHORT);
    // Made to be shown on pages of other sites.
    headers.insert(CROSS_ORIGIN, HeaderValue::from_static("cross-origin"));
    Ok(response)
}

fn public(state: &ApiState) -> Result<&Public, ApiError> {
    state.public.as_deref().ok_or_else(|| {
        ApiError::not_found("this host has no public status page").hint("[status] with on = true in skep.toml switches it on")
    })
}

/// Worst first: what a page says of many.
const WORST: [CheckStatus; 6] =
    [CheckStatus::Down, CheckStatus::Degraded, CheckStatus::Unknown, CheckStatus::Maintenance, CheckStatus::Paused, CheckStatus::Up];

fn worst(statuses: impl Iterator<Item = CheckStatus> + Clone) -> Option<CheckStatus> {
    WORST.into_iter().find(|status| statuses.clone().any(|one| one == *status))
}

fn gather(settings: &StatusPage, workers: Vec<WorkerView>, checks: Vec<CheckView>, at: Timestamp) -> Shown {
    let groups: HashSet<&str> = settings.groups.iter().map(String::as_str).collect();
    let names: HashSet<&str> = settings.workers.iter().map(String::as_str).collect();
    let named = |worker: &WorkerView| {
        let parent = worker.name.split('/').next().unwrap_or_default();
        names.contains(&*worker.name) || names.contains(parent) || worker.group.as_deref().is_some_and(|group| groups.contains(group))
    };
    let all = groups.is_empty() && names.is_empty();
    let mut of_worker: HashMap<&str, Vec<&CheckView>> = HashMap::new();
    for check in &checks {
        of_worker.entry(&*check.worker).or_default().push(check);
    }
    let (mut shown, mut badges) = (Vec::new(), HashMap::new());
    let picked: Vec<&WorkerView> = workers.iter().filter(|worker| all || named(worker)).collect();
    let mut titles: HashMap<&str, usize> = HashMap::new();
    for worker in &picked {
        *titles.entry(worker.title.as_deref().unwrap_or_default()).or_default() += 1;
    }
    for worker in picked {
        let its = of_worker.get(&*worker.name).map(Vec::as_slice).unwrap_or_default();
        // Items of one list often share its title.
        let shared = worker.title.as_deref().is_some_and(|title| titles.get(title).is_some_and(|count| *count > 1));
        let title = worker.title.clone().map(|title| match worker.name.split_once('/') {
            Some((_, item)) if shared => format!("{title}: {item}"),
            _ => title,
        });
        for (number, check) in its.iter().enumerate() {
            let name = match &title {
                Some(title) if its.len() > 1 => format!("{title} {}", number + 1),
                Some(title) => title.clone(),
                None => check.subject.clone(),
            };
            shown.push(PublicCheck {
                name,
                group: worker.group.clone(),
                status: check.status,
                since: check.since,
                uptime: check.uptime,
                coverage: check.coverage,
                beats: check.recent.iter().map(|beat| PublicBeat { at: beat.at, status: beat.status }).collect(),
            });
        }
        let word = worst(its.iter().map(|check| check.status)).map(CheckStatus::as_str).or((!all).then(|| worker.state.as_str()));
        if let Some(word) = word {
            let label = title.unwrap_or_else(|| worker.name.to_string());
            badges.insert(worker.name.to_string(), Badge { label, word, uptime: mean(its) });
        }
    }
    shown.sort_by(|a, b| (&a.group, &a.name).cmp(&(&b.group, &b.name)));
    let status = worst(shown.iter().map(|check| check.status));
    let more = shown.len().saturating_sub(MAX_SHOWN);
    shown.truncate(MAX_SHOWN);
    let title = settings.title.clone().unwrap_or_else(|| "Status".to_owned());
    Shown { view: StatusView { title, at, status, checks: shown, more }, badges }
}

/// Of what is known, by how much of it was seen.
fn mean(checks: &[&CheckView]) -> Option<f64> {
    let known = || checks.iter().filter_map(|check| Some((check.uptime?, check.coverage)));
    let seen: f64 = known().map(|(_, coverage)| coverage).sum();
    (seen > 0.0).then(|| known().map(|(uptime, coverage)| uptime * coverage).sum::<f64>() / seen)
}

/// `99.98%`: rounded down, so that only what was never down is 100%.
fn percent(share: f64) -> String {
    let hundredths = (share.clamp(0.0, 1.0) * 10_000.0 + 1e-9).floor();
    if hundredths >= 10_000.0 { "100%".to_owned() } else { format!("{:.2}%", hundredths / 100.0) }
}
