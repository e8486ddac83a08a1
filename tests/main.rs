//! skep's integration tests: one binary, a module a subject.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that can't go on fails"
)]

// Restart policy and schedule arithmetic, as pure data.
mod policy;
