//! What differs between two versions of a worker, field by field, in a manifest's own words.
//!
//! Every field of a spec is named here (structs are taken apart in full), so that a new one can't be forgotten. Must not decide
//! what a difference means: that is the fleet's.

use std::fmt::Display;

use serde_json::Value as Json;

use super::{
    spec::{
        AlertPolicy, CommandSpec, Destination, Grants, Host, HttpGrant, HttpTrigger, JobsTrigger, LiveSpec, PingGrant, RestartPolicy,
        RunSpec, Schedule, Start, WorkerSpec,
    },
    units::{print_duration, print_size},
};
use crate::facts::InstanceMode;

/// Lines told of one worker; the rest is counted.
const MOST_LINES: usize = 100;
/// Characters shown of one value.
const MOST_CHARS: usize = 60;

/// Lines such as `schedule.every: 30s -> 10s`; none when the two are equal. What a side doesn't have is `none`.
pub fn differences(old: &WorkerSpec, new: &WorkerSpec) -> Vec<String> {
    let mut lines = Lines::default();
    let [before, after] = [old, new].map(|spec| {
        let mut fields = Fields::default();
        fields.worker(spec);
        fields.0
    });
    for (field, value) in &before {
        let now = after.iter().find(|(other, _)| other == field).map(|(_, value)| value);
        lines.compare(field, Some(value), now);
    }
    for (field, value) in &after {
        if !before.iter().any(|(other, _)| other == field) {
            lines.compare(field, None, Some(value));
        }
    }
    lines.finish()
}

/// One value of a field, as it is shown.
#[derive(Debug, PartialEq)]
enum Shown<'s> {
    /// A word of the manifest's: `30s`, `5/s`, `true`.
    Word(String),
    Words(Vec<String>),
    /// Free data, compared within.
    Data(&'s Json),
}

/// All fields of a worker that have a value, in manifest order.
#[derive(Default)]
struct Fields<'s>(Vec<(&'static str, Shown<'s>)>);

impl<'s> Fields<'s> {
    fn word(&mut self, field: &'static str, value: impl Display) {
        self.0.push((field, Shown::Word(value.to_string())));
    }

    fn quoted(&mut self, field: &'static str, value: Option<&String>) {
        if let Some(value) = value {
            self.word(field, format_args!("{value:?}"));
        }
    }

    fn words<T: Display>(&mut self, field: &'static str, values: impl IntoIterator<Item = T>) {
        self.0.push((field, Shown::Words(values.into_iter().map(|value| value.to_string()).collect())));
    }

    fn worker(&mut self, spec: &'s WorkerSpec) {
        // Name and origin are what a worker is and where it stands, not what it says.
        let WorkerSpec { name: _, origin: _, live, run } = spec;
        let LiveSpec { title, notes, group, payload, paused, checks, alerts, replicas } = live;
        self.quoted("title", title.as_ref());
        self.quoted("notes", notes.as_ref());
        self.quoted("group", group.as_ref());
        if let Some(payload) = payload {
            self.0.push(("payload", Shown::Data(payload)));
        }
        self.word("paused", paused);
        self.word("replicas", replicas);
        self.word("checks.confirm", checks.confirm);
        self.word("checks.recover", checks.recover);
        let AlertPolicy { down, degraded, parent, certificate } = alerts;
        let flips = [(down, "down"), (degraded, "degraded")];
        self.words("checks.alert", flips.iter().filter(|(told, _)| **told).map(|(_, flip)| flip));
        if let Some(parent) = parent {
            self.word("checks.parent", parent);
        }
        self.word("checks.certificate", certificate.map_or_else(|| "false".to_owned(), print_duration));
        self.run(run);
    }

    fn run(&mut self, run: &'s RunSpec) {
        let RunSpec { component, digest, schedule, jobs, http, topics, command, config, grants, instance, start, restart, limits, approve } =
            run;
        self.word("component", component);
        if let Some(digest) = digest {
            self.word("digest", digest);
        }
        match schedule {
            None => {}
            Some(Schedule::Every(every)) => self.word("schedule.every", print_duration(*every)),
            Some(Schedule::Cron { expression, timezone }) => {
                self.word("schedule.cron", format_args!("{expression:?}"));
                self.word("schedule.timezone", timezone);
            }
        }
        if let Some(JobsTrigger { queue, concurrency }) = jobs {
            self.word("jobs.queue", queue);
            self.word("jobs.concurrency", concurrency);
        }
        if let Some(HttpTrigger { routes, methods, body_bytes, concurrency }) = http {
            self.words("http.routes", routes);
            self.words("http.methods", methods);
            self.word("http.body", print_size(*body_bytes));
            self.word("http.concurrency", concurrency);
        }
        self.words("topics", topics);
        if let Some(CommandSpec { args, env, stdin }) = command {
            self.words("command.args", args.iter().map(|arg| format!("{arg:?}")));
            self.words("command.env", env.iter().map(|(name, value)| format!("{name}={value:?}")));
            self.quoted("command.stdin", stdin.as_ref());
        }
        self.0.push(("config", Shown::Data(config)));
        self.grants(grants);
        self.word("instance", if *instance == InstanceMode::Resident { "resident" } else { "per-event" });
        self.word("start", if *start == Start::Lazy { "lazy" } else { "eager" });
        let policy = match restart.policy {
            RestartPolicy::Permanent => "permanent",
            RestartPolicy::Transient => "transient",
            RestartPolicy::Temporary => "temporary",
        };
        self.word("restart.policy", policy);
        self.word("restart.intensity", restart.intensity);
        self.word("restart.period", print_duration(restart.period));
        self.word("limits.memory", print_size(limits.memory_bytes));
        self.word("limits.timeout", print_duration(limits.timeout));
        self.word("approve", approve);
    }

    fn grants(&mut self, grants: &Grants) {
        let Grants { http, ping, queue_push, kv, call, limiter_acquire, limiter_set_rate, publish } = grants;
        if let Some(HttpGrant { allow, methods, paths, rate, limiter, lan, ca, verify, keep_alive }) = http {
            self.words("grants.http.allow", allow);
            self.words("grants.http.methods", methods);
            self.words("grants.http.paths", paths);
            if let Some(rate) = rate {
                self.word("grants.http.rate", rate);
            }
            if let Some(limiter) = limiter {
                self.word("grants.http.limiter", limiter);
            }
            self.word("grants.http.lan", lan);
            self.quoted("grants.http.ca", ca.as_ref());
            self.word("grants.http.verify", verify);
            self.word("grants.http.keep_alive", keep_alive);
        }
        if let Some(PingGrant { allow, lan }) = ping {
            self.words("grants.ping.allow", allow);
            self.word("grants.ping.lan", lan);
        }
        self.words("grants.queue.push", queue_push);
        self.words("grants.kv", kv);
        self.words("grants.call", call);
        self.words("grants.limiter.acquire", limiter_acquire);
        self.words("grants.limiter.set_rate", limiter_set_rate);
        self.words("grants.publish", publish);
    }
}

/// As an `allow` entry has it.
impl Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Origin { scheme, host, port } => {
                match host {
                    Host::Address(std::net::IpAddr::V6(v6)) => write!(f, "{scheme}://[{v6}]")?,
                    host => write!(f, "{scheme}://{host}")?,
                }
                let default = if scheme == "https" { 443 } else { 80 };
                if *port == default { Ok(()) } else { write!(f, ":{port}") }
            }
            Self::Host(host) => host.fmt(f),
            Self::Cidr(network) => network.fmt(f),
            Self::Worker(name) => write!(f, "worker:{name}"),
        }
    }
}

impl Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

#[derive(Default)]
struct Lines {
    told: Vec<String>,
    more: usize,
}

impl Lines {
    fn tell(&mut self, field: &str, old: Option<&str>, new: Option<&str>) {
        if self.told.len() >= MOST_LINES {
            self.more += 1;
            return;
        }
        let [old, new] = cut_both(old.unwrap_or("none"), new.unwrap_or("none"));
        self.told.push(format!("{field}: {old} -> {new}"));
    }

    fn compare(&mut self, field: &str, old: Option<&Shown<'_>>, new: Option<&Shown<'_>>) {
        if old == new {
            return;
        }
        match (old, new) {
            (Some(Shown::Data(old)), Some(Shown::Data(new))) => self.data(field, Some(old), Some(new)),
            (Some(Shown::Words(old)), Some(Shown::Words(new))) => {
                for at in 0..old.len().max(new.len()) {
                    let (old, new) = (old.get(at), new.get(at));
                    if old != new {
                        self.tell(&format!("{field}[{at}]"), old.map(String::as_str), new.map(String::as_str));
                    }
                }
            }
            (old, new) => {
                let [old, new] = [old, new].map(|side| side.map(Shown::whole));
                self.tell(field, old.as_deref(), new.as_deref());
            }
        }
    }

    /// Goes down where both sides are tables or both are lists.
    fn data(&mut self, field: &str, old: Option<&Json>, new: Option<&Json>) {
        if old == new {
            return;
        }
        match (old, new) {
            (Some(Json::Object(old)), Some(Json::Object(new))) => {
                let added = new.keys().filter(|key| !old.contains_key(*key));
                for key in old.keys().chain(added) {
                    self.data(&format!("{field}.{key}"), old.get(key), new.get(key));
                }
            }
            (Some(Json::Array(old)), Some(Json::Array(new))) => {
                for at in 0..old.len().max(new.len()) {
                    self.data(&format!("{field}[{at}]"), old.get(at), new.get(at));
                }
            }
            (old, new) => {
                let [old, new] = [old, new].map(|side| side.map(Json::to_string));
                self.tell(field, old.as_deref(), new.as_deref());
            }
        }
    }

    fn finish(mut self) -> Vec<String> {
        if self.more > 0 {
            self.told.push(format!("and {} more", self.more));
        }
        self.told
    }
}

impl Shown<'_> {
    fn whole(&self) -> String {
        match self {
            Self::Word(word) => word.clone(),
            Self::Words(words) => format!("[{}]", words.join(", ")),
            Self::Data(data) => data.to_string(),
        }
    }
}

/// Cuts two long values so that the place where they part stays in sight.
fn cut_both(old: &str, new: &str) -> [String; 2] {
    let same = old.chars().zip(new.chars()).take_while(|(a, b)| a == b).count();
    let skip = if old.chars().count().max(new.chars().count()) > MOST_CHARS { same.saturating_sub(MOST_CHARS / 3) } else { 0 };
    [old, new].map(|text| {
        let mut shown: String = text.chars().skip(skip).take(MOST_CHARS).collect();
        if text.chars().count() > skip + MOST_CHARS {
            shown.push('…');
        }
        if skip > 0 { format!("…{shown}") } else { shown }
    })
}
