//! The admin API's own parts, through sockets where a client would meet them. What needs running workers is tested end to end elsewhere.

mod access; // tokens, Host, Origin
mod description; // the OpenAPI document, errors, suggestions
mod fakes; // queue and keys in memory
mod files; // the manifests folder as files, read and edited
mod keys; // key-value state
mod limiters; // rates and permits
mod live; // the live view: snapshot, deltas, beats
mod metrics; // Prometheus text
mod monitors; // URLs and machines to watch, by form
mod page; // the page's files, signing in and out
mod queues; // push, lease, finish, operate
mod replicas; // a worker's replicas
mod serving; // bounds, streams, stopping, the socket
mod whole; // the whole router over those

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use skep::{
    api::Access,
    facts::{
        CheckStatus, CheckView, Digest, EventCounts, Evidence, InstanceMode, QueueView, ReplicaCount, ScheduleView, WorkerState, WorkerView,
    },
};

const ADMIN: &str = "an-admin-token-of-some-length";
const READ: &str = "a-read-token-of-some-length";

fn access(bound: &str, hosts: &[&str]) -> Access {
    Access::new(ADMIN, READ, bound.parse().unwrap(), hosts.iter().map(|host| host.parse().unwrap()).collect())
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
    let mut map = HeaderMap::new();
    for (name, value) in pairs.iter().map(pair) {
        map.append(name, value);
    }
    map
}

pub fn worker(name: &str, state: WorkerState) -> WorkerView {
    let at: Timestamp = "2026-11-21T06:00:00Z".parse().unwrap();
    WorkerView {
        name: name.into(),
        title: None,
        group: None,
        notes: None,
        component: "poller.wasm".into(),
        digest: Some(Digest(format!("sha256:{}", "ab".repeat(32)).into())),
        state,
        replicas: ReplicaCount { desired: 1, running: u32::from(state == WorkerState::Running) },
        incarnation: 3,
        restarts: 2,
        last_error: None,
        config: Arc::new(serde_json::json!({ "urls": ["https://example.com"] })),
        triggers: vec!["every 30s".into()],
        schedule: Some(ScheduleView {
            every: Some("30s".into()),
            cron: None,
            next: Some("2026-11-21T06:03:12Z".parse().unwrap()),
            lateness_ms: Some(1.5),
            missed: 4,
        }),
        since: at,
        instance: InstanceMode::PerEvent,
        events: EventCounts { ok: 10, failed: 1, trapped: 2, missed_messages: 3 },
        memory_peak_bytes: 3 << 20,
        file: "watch.toml".into(),
        line: 1,
        held_back: None,
    }
}

/// A queue without jobs, settings as by default.
pub fn queue(name: &str) -> QueueView {
    QueueView {
        name: name.into(),
        delayed: 0,
        waiting: 0,
        running: 0,
        done: 0,
        dead: 0,
        cancelled: 0,
        oldest_waiting_at: None,
        pushed: 0,
        finished: 0,
        max_attempts: 20,
        backoff_ms: 1_000,
        result_ttl_ms: 3_600_000,
        limiter: None,
        workers: Vec::new(),
        file: None,
        line: None,
    }
}

pub fn check(worker: &str, subject: &str, status: CheckStatus) -> CheckView {
    CheckView {
        worker: worker.into(),
        subject: subject.into(),
        status,
        latency_ms: Some(12.5),
        since: "2026-11-21T05:00:00Z".parse().unwrap(),
        uptime: Some(0.99996),
        coverage: 0.5,
        last: Some("2026-11-21T06:02:50Z".parse().unwrap()),
        detail: "status 200".into(),
        evidence: Some(Evidence { certificate_expires: Some("2026-12-01T00:00:00Z".parse().unwrap()), ..Evidence::default() }),
        confirming: 0,
        recent: Vec::new(),
    }
}
