//! skep's integration tests: one binary, a module a subject.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that can't go on fails"
)]

// Checks: the board of all of them.
mod board;
// Checks: hysteresis and uptime, alone.
mod checks;
// Kept facts: history.
mod history;
// Kept facts: durability, bounds, refusals.
mod store;
