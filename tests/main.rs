//! skep's integration tests: one binary, a module a subject.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that can't go on fails"
)]

mod fleet; // desired state: diff, roll-over, the manifests folder and its watch, the reconciler over fakes
