//! Every test of skep, one module a room.

mod api; // the admin API: access, bounds, streams, metrics, description
mod cli; // the command line: help, tables, plans, problems, settings
