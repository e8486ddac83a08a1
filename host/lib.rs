//! skep: a host runtime for WebAssembly workers. The map, in the order data flows.
//!
//! ```text
//!  manifests/*.toml ─┐
//!  API, CLI ─────────┴▶ manifest ─▶ fleet ─▶ supervise ─▶ worker ─▶ capability ─▶ limiter, checks, store, network
//!                                               ▲
//!            trigger (schedule, jobs, ingress) ─┘        facts and journal flow back: ─▶ api ─▶ cli
//! ```
//!
//! | room | what it does | what it must not do |
//! |---|---|---|
//! | [`clock`] | reads the machine's clocks, injected everywhere | |
//! | [`facts`] | one JSON type a fact, for store, API and CLI | decide |
//! | [`journal`] | events and log lines: ring, stream, store, tracing | block |
//! | [`config`] | this node's settings: flags > environment > skep.toml | |
//! | [`manifest`] | text → checked specs and problems; text edits | read files, know the runtime |
//! | [`fleet`] | desired state, diff, reconcile, the manifests folder, roll-over | enter workers |
//! | [`supervise`] | replicas and incarnations, restart policy, mailboxes, calls and messages between workers | know folders or schedules |
//! | [`worker`] | engines, component cache, one Store per instance, bounds | decide restarts |
//! | [`trigger`] | due ticks, due jobs and HTTP requests (ingress) become events | enter workers |
//! | [`capability`] | what a guest may ask for: http, queue, kv, registry, limiter, ping, checks, topics, log; `grant` is the only yes or no | decide restarts |
//! | [`limiter`] | FIFO rate limiter that hears of 429s, knows nothing of workers | |
//! | [`checks`] | up or down, confirmed; uptime; maintenance; is it this host that is cut off; what is told | run workers |
//! | [`store`] | SQLite: one writer, group commit; jobs, kv, crashes, events, history by day | know wasm |
//! | [`api`] | admin HTTP, the live view and events as SSE, metrics, the page's files, the public status page | change anything but desired state and named acts |
//! | [`cli`] | verbs; they speak to the API | touch rooms |
//! | [`appliance`] | the only place that sees every room | |

pub mod api;
pub mod appliance;
pub mod capability;
pub mod checks;
pub mod cli;
pub mod clock;
pub mod config;
pub mod facts;
pub mod fleet;
pub mod journal;
pub mod limiter;
pub mod manifest;
pub mod store;
pub mod supervise;
pub mod telemetry;
pub mod trigger;
pub mod worker;
