//! Every test of skep, one module a room.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets what it did not expect fails by panicking"
)]

mod api; // the admin API: access, bounds, streams, metrics, description
mod cli; // the command line: help, tables, plans, problems, settings
