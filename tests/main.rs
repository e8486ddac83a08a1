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
mod capabilities; // what guests may ask for: grants, bounds, whose job it is, refusals
mod checks; // up or down: confirming, silence, uptime
mod cli; // the command line: help, tables, plans, problems, settings
mod fleet; // desired state: diff, folder, roll-over, undo
mod guard; // is it this host that is cut off? against a slow obvious model, and on the board
mod history; // a check's history: days, rollups, caps
mod http_out; // outgoing HTTP: grants, pools, TLS, phases, bounds, secrets
mod ingress; // HTTP routes: whose a path is, bounds, bodies both ways, bad ends; between workers; with real guests
mod jobs; // the durable queue: order, fencing, keys, kills; against a slow obvious model
mod kv; // key-value state: a model, revisions, times to live, bounds
mod limiter; // the limiter: never over its rate, first come first served
mod maintenance; // windows: a model of every minute, the board, the whole host
mod manifest; // manifests: every key, every error with its place, edits that keep comments
mod past; // a check's past over a range: percentiles, uptime against a list of seconds, changes, marks, old files
mod ping; // pings: loopback for real, loss with a scripted way out, grants, bounds
mod policy; // restart policy and schedule arithmetic, as pure data
mod sketch; // latency sketches: against sorted lists, in any order, from any bytes
mod store; // kept facts: group commit, restarts, bounds, corrupt files
mod supervise; // supervision on real engines: nothing lost, nobody hangs; the component cache; the cell as a model
mod tidy; // the rules of this tree: rooms, heads, lengths, examples

// The whole host, through the real binary.
mod alerts; // what flips is told: once, over kills and restarts, in batches, unless its parent is down
mod appliance; // `skep up`: what it announces, how it ends, who may ask it what
mod bad_input; // every kind of bad manifest and component, by drop, check and apply
mod bad_work; // bad input while it runs: each the documented answer, nothing lost, nobody harmed; what stands elsewhere, by name
mod bounds; // guest bounds: named in errors and traps, noticed by nobody else
mod cloner; // reference system 2, the cloner worker: whole and exact over kills, and its faults not to copy
mod command; // ordinary programs: cron jobs and services, and what their ends mean
mod counter; // reference system 5, the distributed counter, and its faults not to copy
mod disk_full; // a disk without room: told, harmless, over once there is some
mod examples; // the manifests that ship, all running
mod faults; // kill -9 in a loop, traps, clocks that jump, full disks, late holders: nothing answered for is lost
mod folder; // the manifests folder: drops, edits, last good versions, undo, restarts
mod honest; // a check's past in the running host: kept over kill -9, marked by edits and new components, gone with the worker
mod keep; // backup, restore, damaged files: refused, named, brought back
mod lazy; // nothing is made before the first event, and nothing is missed because of it
mod page; // the page in a real browser: its stories, accessibility, markup, lost hosts, doors, keys
mod pinger; // reference system 4, the canary, and its faults not to copy
mod poller; // reference system 1, the URL poller, and its faults not to copy
mod poller_more; // its config, key by key; mistakes; many URLs
mod public; // the status page for everyone, badges: off by default, no more than titles and statuses
mod queues; // queues, keys and limiters from outside: verbs, HTTP, kill -9
mod recovery; // one replica, one event: quarantine, why, records, live streams
mod registry; // calls in loops and in any graph: all come to an end
mod replicas; // their number under load, kept in the manifest; who is busy
mod sandbox; // what nobody granted stays shut, what a grant names opens; secrets
mod scale; // ten thousand workers: counts and bounds, not times
mod supervision; // crashes recorded, quarantined, refilled; verbs that act on workers
mod top; // `skep top`: frames, keys, the listing's model; in a pseudo-terminal
mod topics; // messages: bounded, who misses some is named, grants
mod watching; // checks over time: confirmed, silent, kept, forgotten, bounded
mod work; // queue, kv, limiter, registry and topics as a guest meets them, in the real host
mod work_api; // reference system 3, the work API, and its faults not to copy
