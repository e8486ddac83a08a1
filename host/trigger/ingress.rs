//! The workers' HTTP routes on `--listen`. No worker can have a route in this build: every request gets a small JSON 404.

use axum::{Json, Router, http::StatusCode};

/// What `--listen` serves.
pub fn routes() -> Router {
    let no_route = || async { (StatusCode::NOT_FOUND, Json(serde_json::json!({ "error": "no worker has a route here" }))) };
    Router::new().fallback(no_route)
}
