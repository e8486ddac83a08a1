//! What people open in a browser: the page's files, and signing in and out of it.
//!
//! The files are anybody's: they hold no secret, and whatever they show they ask of the API, as any client does. Must not decide who may
//! do what; that is `access`.

mod assets;
mod login;
pub(super) mod small;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Path},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::assets::Asset;
use super::{ApiState, error::ApiError};

/// What the page may load and do: its own files and this host's API, no script or style within markup, no frame around it.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);
/// Ask each time whether it is still the same: after an update of the host nobody runs a page of the one before.
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");
/// A sign-in is one line.
const MAX_FORM_BYTES: usize = 8 << 10;

/// The endpoints that the API's description lists.
pub(super) fn endpoints() -> OpenApiRouter<ApiState> {
    let limited = OpenApiRouter::new().routes(routes!(login::link, login::form)).routes(routes!(login::logout));
    limited.layer(DefaultBodyLimit::max(MAX_FORM_BYTES)).routes(routes!(login::session))
}

/// The page's files.
pub(super) fn files() -> Router<ApiState> {
    Router::new().route("/", get(index)).route("/page/{*path}", get(file))
}

async fn index(headers: HeaderMap) -> Result<Response, ApiError> {
    serve("index.html", &headers)
}

async fn file(Path(path): Path<String>, headers: HeaderMap) -> Result<Response, ApiError> {
    serve(&path, &headers)
}

fn serve(path: &str, asked: &HeaderMap) -> Result<Response, ApiError> {
    let Asset { bytes, kind, etag } = assets::find(path).ok_or_else(|| ApiError::not_found(format!("the page has no file {path}")))?;
    let known = asked.get_all(IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    let same = known.map(|tag| tag.trim().trim_start_matches("W/")).any(|tag| tag == etag || tag == "*");
    let mut response = if same { StatusCode::NOT_MODIFIED.into_response() } else { bytes.into_response() };
    let headers = response.headers_mut();
    if !same {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(ETAG, etag);
    }
    headers.insert(CACHE_CONTROL, REVALIDATE);
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    Ok(response)
}
