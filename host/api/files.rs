//! The manifests folder as files: read, edited whole, and where a worker is declared. The fleet writes; nothing is decided here.

use axum::{
    Json,
    extract::State,
    http::{
        HeaderValue,
        header::{CONTENT_TYPE, ETAG},
    },
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    ApiState,
    desired::{about, manifest_text},
    error::{ApiError, Missing, NotChanged, Refused, TooLarge},
    extract::{Params, Segment, Whole, flag},
};
use crate::{
    facts::{Plan, Problem},
    fleet::{FileEdit, digest},
};

/// One file of the manifests folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileView {
    pub name: String,
    /// What it declares, in order.
    pub tables: Vec<TableView>,
    pub problems: Vec<Problem>,
    /// The digest of its text, for the `base` of an edit; null when it can't be read.
    pub base: Option<String>,
}

/// One named table of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TableView {
    /// `worker`, `limiter`, `queue` or `maintenance`.
    pub kind: String,
    pub name: String,
}

/// Where and how a worker is declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ManifestView {
    pub file: String,
    /// The line on which `text` starts.
    pub line: u32,
    /// The worker's table, or its item of `each`, with the comments right above it.
    pub text: String,
    /// It is one item of its parent's list.
    pub item: bool,
    /// The digest of the whole file's text, for the `base` of an edit.
    pub base: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EditParams {
    /// Tell what would be done, and do nothing.
    #[serde(default, deserialize_with = "flag")]
    #[param(required = false)]
    pub dry_run: bool,
    /// The digest of the text that was edited: 409 when it is another by now. Empty: the file must not be there yet. Absent: not looked at.
    pub base: Option<String>,
}

/// All files of the manifests folder, by name.
#[utoipa::path(get, path = "/api/v1/files", operation_id = "list_files", tag = "desired state",
    responses((status = 200, description = "Manifest files, by name", body = Vec<FileView>), Refused))]
pub async fn list(State(state): State<ApiState>) -> Result<Json<Vec<FileView>>, ApiError> {
    let problems = state.fleet.problems();
    let view = |file: crate::fleet::FileSummary| FileView {
        tables: file.tables.into_iter().map(|(kind, name)| TableView { kind: kind.as_str().to_owned(), name }).collect(),
        problems: problems.iter().filter(|problem| *problem.file == *file.name).cloned().collect(),
        base: file.base,
        name: file.name.to_string(),
    };
    Ok(Json(state.fleet.files().await?.into_iter().map(view).collect()))
}

/// One file's text. The `ETag` is its digest in quotes, for the `base` of an edit.
#[utoipa::path(get, path = "/api/v1/files/{name}", operation_id = "get_file", tag = "desired state",
    params(("name" = String, Path, description = "The file's name, e.g. `watch.toml`")),
    responses((status = 200, description = "Its text (TOML)", body = String, content_type = "text/plain"),
        (status = 409, description = "It can't be read", body = super::ErrorBody), Missing, Refused))]
pub async fn show(State(state): State<ApiState>, Segment(name): Segment) -> Result<Response, ApiError> {
    let text = state.fleet.file(&name).await?;
    let mut response = text.to_string().into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if let Ok(etag) = HeaderValue::try_from(format!("\"{}\"", digest(&text))) {
        headers.insert(ETAG, etag);
    }
    Ok(response)
}

/// Writes a whole file as it is given, and applies it: what it no longer declares is removed.
///
/// A blank text removes the file. Problems that it would bring anywhere are 422, and nothing is written.
#[utoipa::path(put, path = "/api/v1/files/{name}", operation_id = "put_file", tag = "desired state", security(("admin" = [])),
    params(("name" = String, Path, description = "The file's name, e.g. `watch.toml`"), EditParams),
    request_body(content = String, content_type = "text/plain", description = "Manifest text (TOML), at most 8 MiB"),
    responses((status = 200, description = "What was done, or would be", body = Plan), NotChanged, TooLarge, Refused))]
pub async fn put(
    State(state): State<ApiState>,
    Segment(name): Segment,
    Params(params): Params<EditParams>,
    Whole(body): Whole,
) -> Result<Json<Plan>, ApiError> {
    let edit = FileEdit { text: manifest_text(&body)?, file: name, base: params.base, dry_run: params.dry_run };
    Ok(Json(state.fleet.put_file(edit).await?))
}

/// What declares a worker: the file, and its table (or item of `each`) as text.
#[utoipa::path(get, path = "/api/v1/workers/{name}/manifest", operation_id = "get_manifest", tag = "desired state",
    params(("name" = String, Path, description = "The worker; a `/` in it is written `%2F`")),
    responses((status = 200, description = "Its place and text", body = ManifestView),
        (status = 409, description = "The file on disk does not declare it as it runs", body = super::ErrorBody), Missing, Refused))]
pub async fn manifest(State(state): State<ApiState>, Segment(name): Segment) -> Result<Json<ManifestView>, ApiError> {
    let found = state.fleet.declared(&name).await.map_err(|error| about(&state, &name, error))?;
    Ok(Json(ManifestView { file: found.file.to_string(), line: found.line, text: found.text, item: found.item, base: found.base }))
}
