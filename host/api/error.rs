//! The one error the API answers with, and how every room's error becomes it.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoResponses, ToSchema};

use crate::{facts::Problem, fleet::FleetError, store::StoreError, supervise::SuperviseError};

/// The body of every answer that is not 2xx.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// What went wrong, in a sentence.
    pub error: String,
    /// What is wrong in manifests, with places; only for those errors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// An answer that is not 2xx.
#[derive(Debug, Clone)]
pub struct ApiError {
    pub status: StatusCode,
    pub body: Box<ErrorBody>,
}

impl ApiError {
    pub fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, body: Box::new(ErrorBody { error: error.into(), ..ErrorBody::default() }) }
    }

    pub fn bad_request(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    pub fn not_found(error: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, error)
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.body.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn problems(mut self, problems: Vec<Problem>) -> Self {
        self.body.problems = problems;
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::warn!(status = self.status.as_u16(), "admin API: {}", self.body.error);
        }
        (self.status, Json(self.body)).into_response()
    }
}

impl From<FleetError> for ApiError {
    fn from(error: FleetError) -> Self {
        let sentence = error.to_string();
        match error {
            FleetError::Invalid(problems) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, sentence).problems(problems),
            FleetError::NotFound(_) => Self::not_found(sentence),
            FleetError::Conflict(_) => Self::new(StatusCode::CONFLICT, sentence),
            FleetError::Internal(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, sentence),
        }
    }
}

impl From<SuperviseError> for ApiError {
    fn from(error: SuperviseError) -> Self {
        let status = match error {
            SuperviseError::NotFound(_) => StatusCode::NOT_FOUND,
            SuperviseError::Refused(_) => StatusCode::CONFLICT,
            SuperviseError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            SuperviseError::Timeout => StatusCode::GATEWAY_TIMEOUT,
            SuperviseError::Crashed(_) | SuperviseError::Overran(_) => StatusCode::BAD_GATEWAY,
        };
        Self::new(status, error.to_string())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let status = match &error {
            StoreError::Closed | StoreError::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            StoreError::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
            StoreError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            StoreError::Invalid(_) => StatusCode::BAD_REQUEST,
            StoreError::Refused(_) => StatusCode::CONFLICT,
            StoreError::Sqlite { .. }
            | StoreError::Io { .. }
            | StoreError::Corrupt(_)
            | StoreError::Unsupported(_)
            | StoreError::Ambiguous(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

/// What any endpoint behind the guard may answer, for the description.
#[derive(IntoResponses)]
pub enum Refused {
    /// A parameter is missing, unknown or has no such value.
    #[response(status = 400)]
    BadRequest(ErrorBody),
    /// No token, or one this host does not know.
    #[response(status = 401)]
    Unauthorized(ErrorBody),
    /// The read token where a change is asked for, or a page of another site.
    #[response(status = 403)]
    Forbidden(ErrorBody),
    /// The Host header is not this host's.
    #[response(status = 421)]
    Misdirected(ErrorBody),
    /// This host failed; its log says more.
    #[response(status = 500)]
    Failed(ErrorBody),
    /// Not now: starting, stopping, too many followers, or no answer in time.
    #[response(status = 503)]
    Unavailable(ErrorBody),
}

/// No worker of this name.
#[derive(IntoResponses)]
pub enum Missing {
    /// There is no such thing; the hint names what comes near.
    #[response(status = 404)]
    NotFound(ErrorBody),
}

/// What a change of desired state may answer beside.
#[derive(IntoResponses)]
pub enum NotChanged {
    /// It can't be done as things stand: a read-only folder, nothing to undo, a file that changed meanwhile.
    #[response(status = 409)]
    Conflict(ErrorBody),
    /// Invalid manifests; nothing was applied. `problems` has all of them.
    #[response(status = 422)]
    Invalid(ErrorBody),
}

/// What an act on one thing may answer beside.
#[derive(IntoResponses)]
pub enum NotNow {
    /// Not as it stands: an attempt that is over, another revision, a state that has no such act. Nothing was changed.
    #[response(status = 409)]
    Conflict(ErrorBody),
}

/// What a wait for a limiter may answer beside.
#[derive(IntoResponses)]
pub enum NoPermit {
    /// No permit in time.
    #[response(status = 429)]
    NoPermit(ErrorBody),
}

/// What an endpoint with two kinds of body may answer beside.
#[derive(IntoResponses)]
pub enum Unreadable {
    /// The content type says neither JSON nor bytes.
    #[response(status = 415)]
    Unreadable(ErrorBody),
}

/// What an endpoint with a body may answer beside.
#[derive(IntoResponses)]
pub enum TooLarge {
    /// The body is larger than 8 MiB, or what it carries is beyond its own bound.
    #[response(status = 413)]
    TooLarge(ErrorBody),
}
