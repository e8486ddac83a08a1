//! skep's integration tests: one binary, a module a subject.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that can't go on fails"
)]

// What the compiler does not check: rooms, heads, lengths, WIT rules, examples.
mod tidy;
// Restart policy and schedule arithmetic, as pure data.
mod policy;
