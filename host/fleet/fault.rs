//! What stands between a worker and its component's file, in words for a manifest problem.
//!
//! Plain data. Must not decide what runs.

use crate::facts::Digest;

/// Why a worker can't run on what its component's file holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// The manifest field it is about.
    pub field: &'static str,
    /// Follows the component's name: `is empty`.
    pub message: String,
    pub hint: Option<String>,
    /// Nothing new may be built on this component until it is mended.
    pub blocks: bool,
}

impl Fault {
    /// Of field `component`; blocks.
    pub fn component(message: impl Into<String>, hint: Option<String>) -> Self {
        Self { field: "component", message: message.into(), hint, blocks: true }
    }

    /// The whole sentence: which file it is about comes first.
    pub fn about(&self, component: &str) -> String {
        format!("{component} {}", self.message)
    }

    /// The fault, with what runs in spite of it.
    pub fn keeping(&self, running: Option<&Digest>) -> Self {
        match running {
            Some(digest) => Self { message: format!("{}; {} keeps running", self.message, short(digest)), ..self.clone() },
            None => self.clone(),
        }
    }
}

/// A digest as a sentence shows it.
pub fn short(digest: &Digest) -> &str {
    digest.0.get(.."sha256:".len() + 12).unwrap_or(&digest.0)
}
