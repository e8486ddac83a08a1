//! What clients write in bodies and parameters, checked: payloads, spans of time, names. Refusals name the field, the bound, the remedy.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{FromRequest, Path, Request},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
};
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::ToSchema;

use super::{error::ApiError, extract::Whole};
use crate::{
    facts::Payload,
    manifest::{
        name_fault,
        units::{UnitError, parse_duration, print_duration},
    },
};

/// The longest any request waits for something to happen; stays below the time any answer may take.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(110);
/// Past this a holder's name is a mistake.
const MAX_HOLDER_BYTES: usize = 128;

/// Bytes in JSON: a string is taken as text, an object says what it holds.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "a payload is a string, or {\"text\": …}, {\"base64\": …} or {\"json\": …}")]
pub enum Given {
    Text(String),
    Form(Form),
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    Text(String),
    Base64(String),
    /// Any JSON; becomes its compact text.
    #[schema(value_type = Object)]
    Json(serde_json::Value),
}

impl Given {
    pub fn bytes(self, field: &str) -> Result<Bytes, ApiError> {
        let payload = match self {
            Self::Text(text) | Self::Form(Form::Text(text)) => Payload::Text(text),
            Self::Form(Form::Base64(text)) => Payload::Base64(text),
            Self::Form(Form::Json(value)) => Payload::Text(value.to_string()),
        };
        payload.into_bytes().map(Bytes::from).map_err(|reason| ApiError::bad_request(format!("{field}: {reason}")))
    }
}

/// A body of JSON, whatever its content type says; nothing at all is `{}`.
pub struct Asked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let Whole(body) = Whole::from_request(request, state).await?;
        read(if body.is_empty() { b"{}" } else { &body }).map(Self)
    }
}

pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        ApiError::bad_request(format!("the body is not what is taken here: {error}")).hint("GET /api/v1/openapi.json describes it")
    })
}

/// A body that is either JSON or, by its content type, the bytes themselves.
pub enum Sent {
    Json(Bytes),
    Raw(Bytes),
}

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let json = is_json(request.headers())?;
        let Whole(body) = Whole::from_request(request, state).await?;
        Ok(if json { Self::Json(body) } else { Self::Raw(body) })
    }
}

/// A form's type is refused: `curl -d` sends it with anything, and what was meant can't be told.
fn is_json(headers: &HeaderMap) -> Result<bool, ApiError> {
    let written = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = written.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/json" => Ok(true),
        "application/octet-stream" | "text/plain" => Ok(false),
        _ => {
            let said = if kind.is_empty() { "no content type".to_owned() } else { format!("content type \"{kind}\"") };
            Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                format!("{said}: it can't be told whether the body is JSON or the bytes themselves"),
            )
            .hint("send Content-Type: application/json, or application/octet-stream for bytes as they are"))
        }
    }
}

/// The two parameters of a path, decoded.
pub struct Segments(pub String, pub String);

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Segments {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, state: &S) -> Result<Self, ApiError> {
        let Path((first, second)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| ApiError::bad_request(rejection.body_text()))?;
        Ok(Self(first, second))
    }
}

/// A span of time within its bounds.
pub(super) fn span(field: &str, text: &str, least: Duration, most: Duration) -> Result<Duration, ApiError> {
    let given = parse_duration(text).map_err(|error| unit(field, error))?;
    if given < least || given > most {
        let (least, most) = (print_duration(least), print_duration(most));
        return Err(ApiError::bad_request(format!("{field}: \"{text}\" is not from {least} to {most}")));
    }
    Ok(given)
}

/// How long to wait for something: `usual` when nobody says.
pub(super) fn wait(field: &str, text: Option<&str>, usual: Duration) -> Result<Duration, ApiError> {
    text.map_or(Ok(usual), |text| span(field, text, Duration::ZERO, MAX_WAIT))
}

pub(super) fn unit(field: &str, error: UnitError) -> ApiError {
    let refused = ApiError::bad_request(format!("{field}: {}", error.message));
    match error.hint {
        Some(hint) => refused.hint(hint),
        None => refused,
    }
}

/// A queue's name; queues need no declaration, so that a name is all there is to check.
pub(super) fn queue(name: &str) -> Result<(), ApiError> {
    match name_fault(name) {
        None => Ok(()),
        Some(fault) => Err(ApiError::bad_request(format!("queue: {fault}")).hint("name it as manifests would, e.g. todo-chunks")),
    }
}

/// Who leases; shown to people.
pub(super) fn holder(name: &str) -> Result<(), ApiError> {
    if name.is_empty() || name.len() > MAX_HOLDER_BYTES || name.chars().any(char::is_control) {
        return Err(ApiError::bad_request(format!("holder: a name of 1 to {MAX_HOLDER_BYTES} bytes without control characters"))
            .hint("say which program and machine, e.g. resizer@nas"));
    }
    Ok(())
}
