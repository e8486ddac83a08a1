//! An answer in JSON. Pure.

use serde_json::{Value, json};

/// Status and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// JSON.
    pub body: String,
    /// The methods this path takes, where the request had another one.
    pub allow: Option<&'static str>,
}

impl Answer {
    pub fn json(status: u16, body: &Value) -> Self {
        Self { status, body: body.to_string(), allow: None }
    }

    /// `{"error":"…"}`
    pub fn error(status: u16, sentence: &str) -> Self {
        Self::json(status, &json!({ "error": sentence }))
    }

    /// 405.
    pub fn not_allowed(allow: &'static str) -> Self {
        Self { allow: Some(allow), ..Self::error(405, &format!("method not allowed; this path takes {allow}")) }
    }
}
