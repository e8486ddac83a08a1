//! skep's integration tests: one binary, a module a subject.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that can't go on fails"
)]

// The real binary on folders of its own, and a web site to watch.
mod support;
// Supervision, engines and store in one process, as the benches have them.
#[path = "../benches/support/mod.rs"]
mod bench;

// Rooms, through their public faces.
mod api; // the admin API: access, bounds, streams, metrics, description
mod board; // all checks together: reports, flips, silence, restarts
mod checks; // up or down: confirming, silence, uptime
mod cli; // the command line: help, tables, plans, problems, settings
mod fleet; // desired state: diff, folder, roll-over, undo
mod history; // a check's history: days, rollups, caps
mod http_out; // outgoing HTTP: grants, pools, TLS, phases, bounds, secrets
mod limiter; // the limiter: never over its rate, first come first served
mod manifest; // manifests: every key, every error with its place, edits that keep comments
mod policy; // restart policy and schedule arithmetic, as pure data
mod store; // kept facts: group commit, restarts, bounds, corrupt files
mod supervise; // supervision on real engines: nothing lost, nobody hangs; the component cache; the cell as a model
mod tidy; // the rules of this tree: rooms, heads, lengths, examples

// The whole host, through the real binary.
mod appliance; // `skep up`: what it announces, how it ends, who may ask it what
mod bad_input; // every kind of bad manifest and component, by drop, check and apply
mod bounds; // guest bounds: named in errors and traps, noticed by nobody else
mod cloner; // reference system 2, the cloner worker: whole and exact over kills, and its faults not to copy
mod examples; // the manifests that ship, all running
mod folder; // the manifests folder: drops, edits, last good versions, undo, restarts
mod poller; // reference system 1, the URL poller, and its faults not to copy
mod poller_more; // its config, key by key; mistakes; many URLs
mod recovery; // one replica, one event: quarantine, why, records, live streams
mod sandbox; // what nobody granted stays shut, what a grant names opens; secrets
mod scale; // ten thousand workers: counts and bounds, not times
mod supervision; // crashes recorded, quarantined, refilled; verbs that act on workers
mod watching; // checks over time: confirmed, silent, kept, forgotten, bounded
