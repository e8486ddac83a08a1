//! Checked types: what a manifest means once every field was looked at. Built by [`super::check`], used by every later room.
//!
//! Must not know TOML, files' bytes or the runtime. Equality here is what decides whether a worker is touched.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

pub use super::differences::differences;
use crate::facts::{Digest, InstanceMode, Name};

/// The longest title, group and notes, in bytes.
pub const MAX_TITLE: usize = 200;
pub const MAX_GROUP: usize = 63;
pub const MAX_NOTES: usize = 16 << 10;

/// Everything one manifest file declares.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FileSpec {
    pub workers: Vec<Arc<WorkerSpec>>,
    pub limiters: Vec<Arc<LimiterSpec>>,
    pub queues: Vec<Arc<QueueSpec>>,
    pub maintenance: Vec<Arc<MaintenanceSpec>>,
}

/// Where a table stands. Never part of equality: a worker that moved to another file or line is the same worker.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// File name inside the manifests folder.
    pub file: Arc<str>,
    /// Line of the table's header, from 1.
    pub line: u32,
}

impl PartialEq for Origin {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct WorkerSpec {
    pub name: Name,
    pub origin: Origin,
    /// What may change without a restart.
    pub live: LiveSpec,
    /// What needs a fresh incarnation when it changes.
    pub run: Arc<RunSpec>,
}

/// Fields that change without a restart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LiveSpec {
    pub title: Option<String>,
    pub notes: Option<String>,
    pub group: Option<String>,
    /// Free data of the owner's; a JSON object.
    pub payload: Option<Arc<serde_json::Value>>,
    pub paused: bool,
    pub checks: CheckPolicy,
    pub replicas: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RunSpec {
    /// File name, looked up in the plugins folder.
    pub component: Arc<str>,
    /// Pins the component's digest.
    pub digest: Option<Digest>,
    pub schedule: Option<Schedule>,
    pub jobs: Option<JobsTrigger>,
    pub http: Option<HttpTrigger>,
    pub topics: Vec<String>,
    pub command: Option<CommandSpec>,
    /// A JSON object.
    pub config: Arc<serde_json::Value>,
    pub grants: Arc<Grants>,
    /// Resolved: as written, else the default for its triggers.
    pub instance: InstanceMode,
    pub start: Start,
    pub restart: RestartSpec,
    pub limits: Limits,
    pub approve: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    Every(Duration),
    /// The five-field expression as written, and an IANA zone (default UTC).
    Cron {
        expression: String,
        timezone: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    #[default]
    Eager,
    /// At its first event.
    Lazy,
}

#[derive(Debug, Clone, PartialEq)]
pub struct JobsTrigger {
    pub queue: String,
    pub concurrency: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct HttpTrigger {
    pub routes: Vec<String>,
    pub methods: Vec<String>,
    pub body_bytes: u64,
    pub concurrency: u32,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct CommandSpec {
    pub args: Vec<String>,
    pub env: BTreeMap<String, String>,
    pub stdin: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Always restarted.
    Permanent,
    /// Restarted after a crash, not after a normal end.
    Transient,
    /// Never restarted.
    Temporary,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartSpec {
    pub policy: RestartPolicy,
    /// Restarts allowed within `period` before the replica is quarantined.
    pub intensity: u32,
    pub period: Duration,
}

impl Default for RestartSpec {
    fn default() -> Self {
        Self { policy: RestartPolicy::Permanent, intensity: 3, period: Duration::from_secs(5) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance, in bytes.
    pub memory_bytes: u64,
    /// How long one event may run; limiter waits don't count.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_bytes: 64 << 20, timeout: Duration::from_secs(10) }
    }
}

/// When a check flips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckPolicy {
    /// Bad results in a row before an up check is down.
    pub confirm: u32,
    /// Good results in a row before a down check is up.
    pub recover: u32,
}

impl Default for CheckPolicy {
    fn default() -> Self {
        Self { confirm: 3, recover: 2 }
    }
}

/// All permissions of one worker. What is absent is denied.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Grants {
    pub http: Option<HttpGrant>,
    pub ping: Option<PingGrant>,
    pub queue_push: Vec<String>,
    pub kv: Vec<String>,
    pub call: Vec<String>,
    pub limiter_acquire: Vec<String>,
    pub limiter_set_rate: Vec<String>,
    pub publish: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct HttpGrant {
    /// `config:a.b` entries are already walked; see [`Destination`].
    pub allow: Vec<Destination>,
    /// Upper case; empty means all but CONNECT.
    pub methods: Vec<String>,
    /// Path prefixes by segment; empty means all.
    pub paths: Vec<String>,
    pub rate: Option<Rate>,
    /// A named `[[limiter]]`.
    pub limiter: Option<String>,
    /// Names may resolve to loopback, private and link-local addresses.
    pub lan: bool,
    /// PEM file with the only authorities to trust, relative to the manifests folder.
    pub ca: Option<String>,
    /// False: the peer's certificate is not checked.
    pub verify: bool,
    /// False: a fresh connection for each request.
    pub keep_alive: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct PingGrant {
    pub allow: Vec<Destination>,
    pub lan: bool,
}

/// One thing an `allow` list names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Destination {
    /// scheme, host, port: all three must match.
    Origin { scheme: String, host: Host, port: u16 },
    /// Any scheme and port on this host.
    Host(Host),
    /// Any address in this network, when the request names an address.
    Cidr(ipnet::IpNet),
    /// Another worker's routes, `http://NAME.skep.internal`.
    Worker(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// Lower case, no trailing dot; `*.example.com` covers every name below example.com.
    Name(String),
    /// Written literally: counts as named, so it needs no `lan`.
    Address(std::net::IpAddr),
}

/// Events per span: `5/s`, `600/m`, `1000/h`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    pub count: u32,
    pub per: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub struct LimiterSpec {
    pub name: String,
    pub origin: Origin,
    pub rate: Rate,
    pub burst: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct QueueSpec {
    pub name: String,
    pub origin: Origin,
    pub limiter: Option<String>,
    pub max_attempts: u32,
    pub backoff: Duration,
    pub result_ttl: Duration,
}

/// A window in which checks are `maintenance`.
#[derive(Debug, Clone, PartialEq)]
pub struct MaintenanceSpec {
    pub name: String,
    pub origin: Origin,
    /// Worker names or `group:NAME`; empty means all.
    pub workers: Vec<String>,
    pub window: MaintenanceWindow,
}

#[derive(Debug, Clone, PartialEq)]
pub enum MaintenanceWindow {
    Once { from: jiff::Timestamp, until: jiff::Timestamp },
    Cron { expression: String, timezone: String, duration: Duration },
}
