//! What a verb ends with when it does not end well: an exit code, a line, problems, a hint.

use std::io;

use super::{
    paint::{Ink, Paint, safe},
    plan::problem_lines,
};
use crate::{api::ErrorBody, config::ConfigError, facts::Problem};

/// Requests that the API's hints name, and what to type instead.
const LISTINGS: [(&str, &str); 5] = [
    ("/api/v1/workers", "skep get workers lists them"),
    ("/api/v1/queues", "skep queue ls lists them; a push makes one"),
    ("/api/v1/limiters", "skep limiter ls lists them; a [[limiter]] in a manifest declares one"),
    ("/api/v1/kv/BUCKET", "skep kv ls BUCKET lists its keys"),
    ("/api/v1/kv", "skep kv ls lists them; the first key makes one"),
];

/// The CLI's exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    Done = 0,
    Failed = 1,
    Usage = 2,
    NotFound = 3,
    /// Invalid or denied.
    Refused = 4,
    NoHost = 5,
}

#[derive(Debug)]
pub struct Failure {
    pub code: Code,
    /// The HTTP status, when the host answered with one.
    pub status: Option<u16>,
    pub message: String,
    pub problems: Vec<Problem>,
    pub hint: Option<String>,
}

impl Failure {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, status: None, message: message.into(), problems: Vec::new(), hint: None }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What the API answered.
    pub fn from_answer(status: u16, body: ErrorBody) -> Self {
        let code = match status {
            404 => Code::NotFound,
            400 | 401 | 403 | 405 | 409 | 413 | 415 | 421 | 422 | 431 => Code::Refused,
            _ => Code::Failed,
        };
        // The API's hints name requests; these name what to type.
        let hint = match (status, body.hint) {
            (401, _) => Some("set SKEP_TOKEN to the text of admin.token in the host's data folder".to_owned()),
            (404, Some(hint)) if hint.contains("/api/v1/traps") => {
                Some("skep traps lists the kept ones; a unique end of an id will do".to_owned())
            }
            (404, Some(hint)) => Some(LISTINGS.iter().find(|(path, _)| hint.contains(path)).map_or(hint, |(_, verb)| (*verb).to_owned())),
            (_, hint) => hint,
        };
        Self { code, status: Some(status), message: body.error, problems: body.problems, hint }
    }

    pub fn render(&self, paint: &Paint) -> String {
        let mut text = self.problems.iter().map(|problem| problem_lines(problem, paint)).collect::<String>();
        text.push_str(&format!("{} {}\n", paint.ink(Ink::Bad, "error:"), safe(&self.message)));
        if let Some(hint) = &self.hint {
            text.push_str(&format!("{} {}\n", paint.ink(Ink::Notice, "hint:"), safe(hint)));
        }
        text
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(Code::Failed, error.to_string())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Invalid(problem) => {
                Self { problems: vec![*problem], ..Self::new(Code::Refused, "the settings file can't be used") }
            }
            ConfigError::Variable { .. } => Self::new(Code::Usage, error.to_string()),
            ConfigError::Unreadable { .. } => Self::new(Code::Failed, error.to_string()),
        }
    }
}
