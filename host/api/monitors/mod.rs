//! Monitors: a URL or a machine to watch, for people who write no TOML. A form in, a worker's table in the manifests folder out.
//!
//! `form` says what is wrong with what was typed in, `table` writes it, `simple` reads a worker back as a form where that says all there
//! is to it. Must not write anything: the fleet does, and shows the plan first when it is asked to.

mod form;
mod simple;
mod table;

use std::collections::HashSet;

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use self::form::Typed;
use super::{
    ApiState,
    desired::{DryRun, about},
    error::{ApiError, Missing, NotChanged, Refused, TooLarge},
    extract::{Params, Segment},
    files::EditParams,
    given::Asked,
    workers::no_worker,
};
use crate::{
    facts::{Plan, Problem},
    fleet::{ApplyRequest, FleetError, WorkerEdit},
    manifest::slug,
};

/// Names tried for a title that many have.
const NAMES_TRIED: usize = 10_000;

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A URL, by `poller.wasm`.
    Url,
    /// A machine, by `pinger.wasm`.
    Machine,
}

impl Kind {
    pub fn component(self) -> &'static str {
        match self {
            Self::Url => "poller.wasm",
            Self::Machine => "pinger.wasm",
        }
    }
}

/// A monitor's form as it is sent. What is empty or null counts as absent.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only described: a form is read by hand, so that every mistake is told by its field")]
pub struct MonitorForm {
    pub kind: Kind,
    /// The worker's name; made from the title when absent.
    pub name: Option<String>,
    pub title: Option<String>,
    pub group: Option<String>,
    pub notes: Option<String>,
    /// E.g. `30s`.
    pub every: String,
    /// Needed of kind `url`.
    pub url: Option<String>,
    /// Needed of kind `machine`: a name or an address.
    pub address: Option<String>,
    /// Of kind `machine`: the port of a TCP connection; without it pings are sent.
    pub tcp: Option<u16>,
    /// Of kind `url`: good statuses, e.g. `200-399`.
    pub expect: Option<String>,
    /// Of kind `url`: must stand in the body.
    pub contains: Option<String>,
    pub timeout: Option<String>,
    /// Another worker: while that is down nobody is told of this one.
    pub parent: Option<String>,
    /// Names may lead to private addresses. Absent: as the name looks.
    pub lan: Option<bool>,
}

/// A monitor as a form has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Monitor {
    pub kind: Kind,
    /// The worker's name.
    pub name: String,
    pub title: Option<String>,
    pub group: Option<String>,
    pub notes: Option<String>,
    /// E.g. `30s`.
    pub every: String,
    /// Of kind `url`.
    pub url: Option<String>,
    /// Of kind `machine`: a name or an address.
    pub address: Option<String>,
    /// Of kind `machine`: the port of a TCP connection; without it pings are sent.
    pub tcp: Option<u16>,
    /// Of kind `url`: good statuses, e.g. `200-399`.
    pub expect: Option<String>,
    /// Of kind `url`: must stand in the body.
    pub contains: Option<String>,
    pub timeout: Option<String>,
    /// Another worker: while that is down nobody is told of this one.
    pub parent: Option<String>,
    /// Names may lead to private addresses.
    pub lan: bool,
}

/// A monitor that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MonitorView {
    #[serde(flatten)]
    pub monitor: Monitor,
    /// One of a list of machines; what its list says for all of them stands in its fields, too.
    pub item: bool,
    /// Where it is declared.
    pub file: String,
    /// The digest of that file's text, for the `base` of an edit.
    pub base: String,
}

/// Adds a monitor: writes a worker that watches one URL or one machine into the manifests folder.
///
/// `problems[].field` of a 422 is the form's field.
#[utoipa::path(post, path = "/api/v1/monitors", operation_id = "add_monitor", tag = "desired state", params(DryRun), security(("admin" = [])),
    request_body = MonitorForm,
    responses((status = 200, description = "What was done, or would be; its step `create` names the worker", body = Plan), NotChanged, TooLarge, Refused))]
pub async fn add(
    State(state): State<ApiState>,
    Params(params): Params<DryRun>,
    Asked(typed): Asked<Typed>,
) -> Result<Json<Plan>, ApiError> {
    let (taken, files) = taken(&state).await?;
    let mut checked = form::check(&typed, None);
    let named = checked.monitor.name.clone();
    if taken.contains(&named) {
        checked.complain("name", format!("there is a worker \"{named}\" already"), "choose another name, or leave it empty");
    }
    if !checked.problems.is_empty() {
        return Err(invalid(checked.problems));
    }
    let names =
        if named.is_empty() { names(&checked.monitor, |name| !taken.contains(name) && !files.contains(name)) } else { vec![named.clone()] };
    for name in names {
        let monitor = Monitor { name, ..checked.monitor.clone() };
        let request = ApplyRequest { text: table::write(&monitor), fresh: true, dry_run: params.dry_run, ..ApplyRequest::default() };
        match state.fleet.apply(request).await {
            // Somebody took the name since we looked: the next one is as good.
            Err(FleetError::Invalid(problems))
                if named.is_empty() && problems.iter().all(|problem| problem.field.as_deref() == Some("name")) => {}
            done => return done.map(Json).map_err(|error| as_fields(error, monitor.kind)),
        }
    }
    Err(invalid(vec![form::problem("name", "no name is left for this title".to_owned(), "give it a name of its own")]))
}

/// A monitor as a form has it.
#[utoipa::path(get, path = "/api/v1/monitors/{worker}", operation_id = "get_monitor", tag = "desired state",
    params(("worker" = String, Path, description = "The worker; a `/` in it is written `%2F`")),
    responses((status = 200, description = "Its fields", body = MonitorView),
        (status = 409, description = "The worker is no monitor, or there is more to it than a form can show: edit its manifest", body = super::ErrorBody),
        Missing, Refused))]
pub async fn show(State(state): State<ApiState>, Segment(worker): Segment) -> Result<Json<MonitorView>, ApiError> {
    read(&state, &worker).await.map(Json)
}

/// Changes a monitor: sets what differs in its table, and leaves the rest of it as it is written.
#[utoipa::path(put, path = "/api/v1/monitors/{worker}", operation_id = "change_monitor", tag = "desired state", security(("admin" = [])),
    params(("worker" = String, Path, description = "The worker; a `/` in it is written `%2F`"), EditParams),
    request_body(content = MonitorForm, description = "All of the form's fields; those that are empty or null are taken out"),
    responses((status = 200, description = "What was done, or would be", body = Plan), Missing, NotChanged, TooLarge, Refused))]
pub async fn change(
    State(state): State<ApiState>,
    Segment(worker): Segment,
    Params(params): Params<EditParams>,
    Asked(typed): Asked<Typed>,
) -> Result<Json<Plan>, ApiError> {
    let now = read(&state, &worker).await?;
    let checked = form::check(&typed, Some(&now));
    if !checked.problems.is_empty() {
        return Err(invalid(checked.problems));
    }
    let desired = state.fleet.desired();
    let spec = &desired.unit(&worker).ok_or_else(|| no_worker(&state, &worker))?.spec;
    let sets = table::differences(spec, &now, &checked.monitor);
    // What was read a moment ago is what is changed, whatever the client knew.
    let base = Some(params.base.unwrap_or(now.base));
    let edit = WorkerEdit { worker: worker.clone(), sets, base, dry_run: params.dry_run };
    match state.fleet.change_worker(edit).await {
        Err(error @ FleetError::NotFound(_)) => Err(about(&state, &worker, error)),
        done => done.map(Json).map_err(|error| as_fields(error, now.monitor.kind)),
    }
}

async fn read(state: &ApiState, worker: &str) -> Result<MonitorView, ApiError> {
    let desired = state.fleet.desired();
    let unit = desired.unit(worker).ok_or_else(|| no_worker(state, worker))?;
    let complicated = |why: String| {
        ApiError::new(StatusCode::CONFLICT, format!("\"{worker}\" can't be shown as a form: {why}")).hint("edit its manifest instead")
    };
    if let Some(why) = &unit.held_back {
        return Err(complicated(why.to_string()));
    }
    let declared = state.fleet.declared(worker).await.map_err(|error| about(state, worker, error))?;
    let monitor = simple::monitor(&unit.spec, &declared).map_err(complicated)?;
    Ok(MonitorView { monitor, item: declared.item, file: declared.file.to_string(), base: declared.base })
}

/// Every worker's name that is taken, also by tables that do not run; and those of files, since a new monitor gets one of its own.
async fn taken(state: &ApiState) -> Result<(HashSet<String>, HashSet<String>), ApiError> {
    let files = state.fleet.files().await?;
    let tables = files.iter().flat_map(|file| &file.tables);
    let written = tables.filter(|(kind, _)| kind.as_str() == "worker").map(|(_, name)| name.clone());
    let stems = files.iter().filter_map(|file| file.name.strip_suffix(".toml").map(str::to_owned));
    let desired = state.fleet.desired();
    let run = desired.units().iter().filter_map(|unit| unit.spec.name.split('/').next().map(str::to_owned));
    Ok((written.chain(run).collect(), stems.collect()))
}

/// Names for a monitor without one, best first: its title's, then with a number.
fn names(monitor: &Monitor, free: impl Fn(&str) -> bool) -> Vec<String> {
    let from = [monitor.title.as_deref(), monitor.url.as_deref().map(host), monitor.address.as_deref()];
    let base = from.into_iter().flatten().find_map(slug).unwrap_or_else(|| "monitor".to_owned());
    let short: String = base.chars().take(57).collect();
    let numbered = (2..NAMES_TRIED).map(|number| format!("{}-{number}", short.trim_end_matches('-')));
    std::iter::once(base.clone()).chain(numbered).filter(|name| free(name)).take(8).collect()
}

/// What stands between scheme and path.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or(rest)
}

fn invalid(problems: Vec<Problem>) -> ApiError {
    FleetError::Invalid(problems).into()
}

/// Problems of the manifest as problems of the form.
fn as_fields(error: FleetError, kind: Kind) -> ApiError {
    let FleetError::Invalid(mut problems) = error else { return error.into() };
    for problem in &mut problems {
        problem.field = problem.field.take().map(|field| form_field(&field, kind));
    }
    invalid(problems)
}

fn form_field(field: &str, kind: Kind) -> String {
    let last = field.rsplit('.').next().unwrap_or(field);
    let form = match field {
        "component" => "kind",
        _ if field.starts_with("schedule") || last == "every" => "every",
        _ if matches!(last, "expect" | "contains" | "timeout" | "tcp" | "parent") => last,
        _ if field.starts_with("config") || field.starts_with("grants") => match kind {
            Kind::Url => "url",
            Kind::Machine => "address",
        },
        _ => field,
    };
    form.to_owned()
}
