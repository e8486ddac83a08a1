//! What a client is told when no worker's answer reaches it: a status, and a small JSON body with a sentence.
//!
//! The sentences are for strangers: they name bounds and times, never workers, files or what a guest said. Must not log.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER},
};

use crate::{manifest::units::print_size, supervise::SuperviseError};

/// How soon to come back where nothing better is known.
const SOON: Duration = Duration::from_secs(1);

/// Why there is no answer of a worker's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The request is none; what is wrong with it.
    Malformed(&'static str),
    NoRoute,
    /// The methods that the worker takes.
    Method {
        allow: String,
    },
    /// The request's body did not come in time.
    Slow,
    /// The most bytes a body may have.
    TooLarge(u64),
    /// As many requests as there may be.
    Busy,
    /// The bodies kept in memory, of all workers together, are as large as they may be.
    Crowded,
    Paused,
    /// Down, or its mailbox is full; when it is tried again, if that is known.
    Down(Option<Duration>),
    /// It crashed, or gave no answer that could be passed on.
    Broken(Broken),
    /// It ran out of its own time.
    Overran,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    Crashed,
    Silent,
    Failed,
    TooLarge(u64),
    Status,
    Cut,
}

impl Refusal {
    /// What an event's end means to whoever waits for the answer.
    pub fn of(error: &SuperviseError, next_try: Option<Duration>) -> Self {
        match error {
            SuperviseError::NotFound(_) | SuperviseError::Refused(_) => Self::Down(next_try),
            SuperviseError::TooLarge(_) => Self::Busy,
            SuperviseError::Crashed(_) => Self::Broken(Broken::Crashed),
            SuperviseError::Overran(_) | SuperviseError::Timeout => Self::Overran,
        }
    }

    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Busy | Self::Crowded | Self::Paused | Self::Down(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken(_) => StatusCode::BAD_GATEWAY,
            Self::Overran => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    fn sentence(&self) -> String {
        match self {
            Self::Malformed(what) => (*what).to_owned(),
            Self::NoRoute => "no worker has a route here".to_owned(),
            Self::Method { allow } => format!("the worker takes {allow} here"),
            Self::Slow => "the request's body did not come in time".to_owned(),
            Self::TooLarge(bound) => format!("the request's body is larger than {}, the most the worker takes", print_size(*bound)),
            Self::Busy => "the worker has as many requests as it takes; try again soon".to_owned(),
            Self::Crowded => "the host has as many bodies in memory as it keeps; try again soon".to_owned(),
            Self::Paused => "the worker is paused".to_owned(),
            Self::Down(_) => "the worker takes no requests now; try again later".to_owned(),
            Self::Overran => "the worker did not answer in time".to_owned(),
            Self::Broken(broken) => match broken {
                Broken::Crashed => "the worker crashed".to_owned(),
                Broken::Silent => "the worker gave no answer".to_owned(),
                Broken::Failed => "the worker answered with an error".to_owned(),
                Broken::TooLarge(bound) => {
                    format!("the worker's answer is larger than {}, the most it may be", print_size(*bound))
                }
                Broken::Status => "the worker answered with a status that is no final one".to_owned(),
                Broken::Cut => "the worker's answer broke off".to_owned(),
            },
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy | Self::Crowded => Some(SOON),
            Self::Paused => Some(Duration::from_secs(60)),
            Self::Down(next) => Some(next.unwrap_or(SOON).max(SOON)),
            _ => None,
        }
    }

    /// The response; with the connection's end where the rest of the request would be in the way.
    pub fn response(&self) -> Response<Bytes> {
        let body = serde_json::json!({ "error": self.sentence() }).to_string();
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Self::Method { allow } = self
            && let Ok(allow) = HeaderValue::try_from(allow)
        {
            headers.insert(ALLOW, allow);
        }
        if let Some(after) = self.retry_after() {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if matches!(self, Self::Slow | Self::TooLarge(_) | Self::Malformed(_)) {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
