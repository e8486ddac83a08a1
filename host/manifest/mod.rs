//! Manifests: text in, checked specs and problems out.
//!
//! Two layers: `schema` (as written, unknown fields refused) → `spec` (checked types). All problems at once, each with line and hint.
//! Must not read files, know the runtime, or keep state beyond the parse cache it is handed.

pub mod spec;

use std::sync::Arc;

use crate::facts::Problem;

/// The largest manifest file read, in bytes.
pub const MAX_FILE_BYTES: u64 = 8 << 20;

/// What parsing one file gave. `spec` is `None` when there is any problem: nothing of a broken file is applied.
#[derive(Debug, Clone, Default)]
pub struct Parsed {
    pub spec: Option<spec::FileSpec>,
    pub problems: Vec<Problem>,
}

/// Parses manifests; remembers unchanged `[[worker]]` blocks by their text, so that a change of one worker in a file of 10,000
/// costs one block.
#[derive(Debug, Default)]
pub struct Parser {}

impl Parser {
    /// `defaults`: the `[defaults]` table of skep.toml (any worker field), applied below what the manifest says.
    pub fn new(_defaults: Option<toml::Table>) -> Self {
        Self {}
    }

    /// Checks one file. `file` is its name for messages and origins.
    pub fn parse(&mut self, _file: &str, _text: &str) -> Parsed {
        Parsed::default()
    }

    /// Forgets a file that is gone.
    pub fn forget(&mut self, _file: &str) {}
}

/// Checks over all files at once: names unique, limiters and workers that are referred to exist. Problems name the later file.
pub fn check_all(_files: &[(Arc<str>, &spec::FileSpec)]) -> Vec<Problem> {
    Vec::new()
}

/// Keys this build checks but does not serve yet: for each such key in `spec` a problem that says "not in this build".
pub fn not_in_this_build(_spec: &spec::FileSpec) -> Vec<Problem> {
    Vec::new()
}

/// Edits of a manifest's text that keep every comment and untouched byte.
pub mod edit {
    /// Why an edit can't be made.
    #[derive(Debug, thiserror::Error)]
    pub enum EditError {
        #[error("worker \"{0}\" is not declared in this file")]
        NotFound(String),
        #[error("the text can't be edited: {0}")]
        Syntax(String),
    }

    /// The text of one worker's block in `text` (header line to the next top-level table), or None.
    pub fn worker_block<'t>(_text: &'t str, _worker: &str) -> Option<&'t str> {
        None
    }

    /// Names of all `[[worker]]` blocks in order, with their text.
    pub fn blocks(_text: &str) -> Vec<Block<'_>> {
        Vec::new()
    }

    /// One top-level table with the comments that stand right above it.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Block<'t> {
        pub kind: Kind,
        /// `name = "…"` of the table, when it has one.
        pub name: Option<String>,
        pub text: &'t str,
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Kind {
        Worker,
        Limiter,
        Queue,
        Maintenance,
        /// Anything before the first table, or a table of another name.
        Other,
    }

    /// Puts `block` where the table of the same kind and name stands, else at the end.
    pub fn put_block(_text: &str, _block: &Block<'_>) -> Result<String, EditError> {
        Err(EditError::Syntax(String::new()))
    }

    /// Takes a worker's block out, with the comments right above it.
    pub fn remove_worker(_text: &str, _worker: &str) -> Result<String, EditError> {
        Err(EditError::Syntax(String::new()))
    }

    /// Sets one top-level field of a worker (`paused`, `replicas`), keeping the rest of its block.
    pub fn set_field(_text: &str, _worker: &str, _field: &str, _value: toml_edit::Value) -> Result<String, EditError> {
        Err(EditError::Syntax(String::new()))
    }
}
