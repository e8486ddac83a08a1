//! One `[[worker]]` table as written → its specs, every field looked at.
//!
//! Must not read files or ask whether what is referred to exists: a component may come later than its manifest.

use std::{
    borrow::Cow,
    sync::{Arc, LazyLock},
    time::Duration,
};

use serde_json::Value as Json;

use super::{
    each::{self, Item, Overrides},
    grants,
    hints::moved_field,
    reader::{Field, Reader},
    spec::{
        CheckPolicy, Grants, Limits, LiveSpec, MAX_GROUP, MAX_NOTES, MAX_TITLE, Origin, RestartPolicy, RestartSpec, RunSpec, Schedule,
        Start, WorkerSpec,
    },
    tables,
    tree::{At, Entry, Node, Value},
    triggers::{self, optional, or_default, small_table},
};
use crate::facts::{Digest, InstanceMode};

const MEMORY: std::ops::RangeInclusive<u64> = (64 << 10)..=(1 << 30);
const TIMEOUT: std::ops::RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3_600);
const PERIOD: std::ops::RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(86_400);
const MAX_REPLICAS: u32 = 1_000;

/// Checks one worker; several specs where it has `each`. Whatever it answers is void once a problem is reported.
pub(super) fn worker(mut table: Reader<'_>, origin: &Origin) -> Option<Vec<WorkerSpec>> {
    let name = tables::name(&mut table, "\"pages\"");
    let live = live(&mut table);
    let run = run(&mut table);
    let grants = table.take("grants").and_then(|f| grants::draft(&f)).unwrap_or_default();
    let (config, each) = (table.take("config"), table.take("each"));
    let report = table.report();
    table.finish("field", moved_field);

    // Config and grants are looked at even when other fields are wrong, so that all problems come at once; and as a whole even where
    // each item has its own, so that places are counted as a person counts them.
    let empty = Node { at: At::Header, value: Value::Table(Vec::new()) };
    let config = match &config {
        None => &empty,
        Some(field) => field.table("{ urls = [\"https://example.com\"] }").map(|_| field.node)?,
    };
    let granted = grants.resolve(config);
    let json = to_json(config, "config", report);
    let items = each.map(|field| each::items(&field, config, report));
    if report.count() > 0 {
        return None;
    }

    let (name, live, (run, instance)) = (name?, live?, run?);
    let spec = |own: Overrides, grants: Grants, config: Json| {
        let schedule = own.every.map(Schedule::Every).or_else(|| run.schedule.clone());
        let mut run = RunSpec { grants: shared(grants), config: Arc::new(config), schedule, ..run.clone() };
        run.instance = instance.unwrap_or_else(|| default_instance(&run));
        let live = LiveSpec {
            title: own.title.or_else(|| live.title.clone()),
            notes: own.notes.or_else(|| live.notes.clone()),
            group: own.group.or_else(|| live.group.clone()),
            payload: own.payload.or_else(|| live.payload.clone()),
            ..live.clone()
        };
        let name = own.name.map_or_else(|| name.as_str().into(), |item| format!("{name}/{item}").into());
        WorkerSpec { name, origin: origin.clone(), live, run: Arc::new(run) }
    };
    match items {
        None => Some(vec![spec(Overrides::default(), granted, json?)]),
        Some(items) => {
            let item = |item: Item<'_>| Some(spec(item.own, grants.resolve(&item.config), to_json(&item.config, "config", report)?));
            items.into_iter().map(item).collect()
        }
    }
}

/// Most workers of a large fleet are granted the same: nothing.
fn shared(grants: Grants) -> Arc<Grants> {
    static NOTHING: LazyLock<Arc<Grants>> = LazyLock::new(Arc::default);
    if grants == Grants::default() { NOTHING.clone() } else { Arc::new(grants) }
}

/// What needs a fresh incarnation when it changes, without config and grants; and the instance mode, when it is written.
fn run(table: &mut Reader<'_>) -> Option<(RunSpec, Option<InstanceMode>)> {
    const INSTANCES: [(&str, InstanceMode); 2] = [("resident", InstanceMode::Resident), ("per-event", InstanceMode::PerEvent)];
    let component = table.need("component", "\"poller.wasm\"").and_then(|f| component(&f));
    let digest = optional(table.take("digest"), digest);
    let schedule = optional(table.take("schedule"), triggers::schedule);
    let jobs = optional(table.take("jobs"), triggers::jobs);
    let http = optional(table.take("http"), triggers::http);
    let topics = or_default(table.take("topics"), Vec::new(), |f| f.list_of("[\"checks.*\"]", triggers::topic));
    let command = optional(table.take("command"), triggers::command);
    let instance = optional(table.take("instance"), |f| f.word(&INSTANCES));
    let start = or_default(table.take("start"), Start::Eager, |f| f.word(&[("eager", Start::Eager), ("lazy", Start::Lazy)]));
    let restart = or_default(table.take("restart"), RestartSpec::default(), restart);
    let limits = or_default(table.take("limits"), Limits::default(), limits);
    let approve = or_default(table.take("approve"), false, |f| f.bool());
    let instance = instance?;
    let run = RunSpec {
        component: component?.into(),
        digest: digest?,
        schedule: schedule?,
        jobs: jobs?,
        http: http?,
        topics: topics?,
        command: command?,
        config: Arc::new(Json::Null),
        grants: Arc::default(),
        instance: instance.unwrap_or(InstanceMode::PerEvent),
        start: start?,
        restart: restart?,
        limits: limits?,
        approve: approve?,
    };
    Some((run, instance))
}

/// State between events is worth keeping only where nothing but calls and messages come in.
fn default_instance(run: &RunSpec) -> InstanceMode {
    let only_asked = run.schedule.is_none() && run.jobs.is_none() && run.http.is_none() && run.command.is_none();
    if only_asked { InstanceMode::Resident } else { InstanceMode::PerEvent }
}

fn live(table: &mut Reader<'_>) -> Option<LiveSpec> {
    let title = optional(table.take("title"), title);
    let notes = optional(table.take("notes"), notes);
    let group = optional(table.take("group"), group);
    let payload = optional(table.take("payload"), payload);
    let paused = or_default(table.take("paused"), false, |f| f.bool());
    let replicas = or_default(table.take("replicas"), 1, replicas);
    let checks = or_default(table.take("checks"), CheckPolicy::default(), checks);
    Some(LiveSpec { title: title?, notes: notes?, group: group?, payload: payload?, paused: paused?, checks: checks?, replicas: replicas? })
}

pub(super) fn title(field: &Field<'_>) -> Option<String> {
    field.short_text(MAX_TITLE, "\"Our pages\"").map(str::to_owned)
}

pub(super) fn notes(field: &Field<'_>) -> Option<String> {
    field.short_text(MAX_NOTES, "\"…\"").map(str::to_owned)
}

pub(super) fn group(field: &Field<'_>) -> Option<String> {
    field.short_text(MAX_GROUP, "\"home\"").map(str::to_owned)
}

pub(super) fn payload(field: &Field<'_>) -> Option<Arc<Json>> {
    field.table("{ room = \"cellar\" }")?;
    to_json(field.node, &field.path, field.report).map(Arc::new)
}

fn replicas(field: &Field<'_>) -> Option<u32> {
    if let Value::Integer(0) = field.node.value {
        field.complain("0 is out of range", Some("write paused = true to stop its ticks, or remove the worker".to_owned()));
        return None;
    }
    field.integer(1..=MAX_REPLICAS)
}

fn checks(field: &Field<'_>) -> Option<CheckPolicy> {
    let default = CheckPolicy::default();
    small_table(field, "{ confirm = 3, recover = 2 }", |table| {
        let confirm = or_default(table.take("confirm"), default.confirm, |f| f.integer(1..=100));
        let recover = or_default(table.take("recover"), default.recover, |f| f.integer(1..=100));
        Some(CheckPolicy { confirm: confirm?, recover: recover? })
    })
}

fn restart(field: &Field<'_>) -> Option<RestartSpec> {
    let default = RestartSpec::default();
    const POLICIES: [(&str, RestartPolicy); 3] =
        [("permanent", RestartPolicy::Permanent), ("transient", RestartPolicy::Transient), ("temporary", RestartPolicy::Temporary)];
    small_table(field, "{ policy = \"permanent\", intensity = 3, period = \"5s\" }", |table| {
        let policy = or_default(table.take("policy"), default.policy, |f| f.word(&POLICIES));
        let intensity = or_default(table.take("intensity"), default.intensity, |f| f.integer(0..=1_000));
        let period = or_default(table.take("period"), default.period, |f| f.duration(PERIOD, "\"5s\""));
        Some(RestartSpec { policy: policy?, intensity: intensity?, period: period? })
    })
}

fn limits(field: &Field<'_>) -> Option<Limits> {
    let default = Limits::default();
    small_table(field, "{ memory = \"64MiB\", timeout = \"10s\" }", |table| {
        let memory_bytes = or_default(table.take("memory"), default.memory_bytes, |f| f.size(MEMORY, "\"64MiB\""));
        let timeout = or_default(table.take("timeout"), default.timeout, |f| f.duration(TIMEOUT, "\"10s\""));
        Some(Limits { memory_bytes: memory_bytes?, timeout: timeout? })
    })
}

/// A plain file name: where it is looked up is the host's business.
fn component(field: &Field<'_>) -> Option<String> {
    let text = field.short_text(255, "\"poller.wasm\"")?;
    let file = text.rsplit(['/', '\\']).next().unwrap_or_default();
    if file.len() != text.len() {
        let hint = if file.ends_with(".wasm") {
            format!("write \"{file}\" and put the file in the plugins folder")
        } else {
            "write for example \"poller.wasm\"".to_owned()
        };
        field.complain("must be a file name without a path", Some(hint));
        return None;
    }
    if !text.ends_with(".wasm") || text.starts_with('.') || text.chars().any(char::is_control) {
        let stem = text.split('.').find(|part| !matches!(*part, "" | "wasm")).unwrap_or("poller");
        let stem: String = stem.chars().filter(|c| !c.is_control()).collect();
        field.complain(format!("\"{}\" is no .wasm file", text.escape_debug()), Some(format!("write \"{stem}.wasm\"")));
        return None;
    }
    Some(text.to_owned())
}

fn digest(field: &Field<'_>) -> Option<Digest> {
    const EXAMPLE: &str = "write \"sha256:\" and 64 hex digits, as skep inspect prints them";
    let text = field.text("\"sha256:…\"")?;
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    let fault = if !hex.bytes().all(|b| b.is_ascii_hexdigit()) || hex.is_empty() {
        "is no sha256 digest".to_owned()
    } else if hex.len() != 64 {
        format!("has {} hex digits instead of 64", hex.len())
    } else if hex.len() == text.len() {
        field.complain("must start with \"sha256:\"", Some(format!("write \"sha256:{}\"", hex.to_ascii_lowercase())));
        return None;
    } else {
        return Some(Digest(format!("sha256:{}", hex.to_ascii_lowercase()).into()));
    };
    field.complain(fault, Some(EXAMPLE.to_owned()));
    None
}

/// What a guest sees: TOML as JSON, dates as text. Numbers that JSON can't hold are problems.
pub(super) fn to_json(node: &Node<'_>, path: &str, report: &super::reader::Report) -> Option<Json> {
    let unusable = |reason: &str, hint: &str| {
        report.say(node.at, Some(path), reason, Some(hint.to_owned()));
        None
    };
    match &node.value {
        Value::Text(text) => Some(Json::String(text.clone().into_owned())),
        Value::Integer(number) => Some(Json::from(*number)),
        Value::Float(number) => match serde_json::Number::from_f64(*number) {
            Some(number) => Some(Json::Number(number)),
            None => unusable("nan and inf have no place in JSON", "write a finite number"),
        },
        Value::Bool(yes) => Some(Json::Bool(*yes)),
        Value::Datetime(when) => Some(Json::String(when.clone())),
        Value::Unusable { reason, hint } => unusable(reason, hint),
        Value::List(items) => {
            let read: Vec<_> = items.iter().enumerate().map(|(i, item)| to_json(item, &format!("{path}[{i}]"), report)).collect();
            read.into_iter().collect::<Option<Vec<_>>>().map(Json::Array)
        }
        Value::Table(entries) => {
            let field = |entry: &Entry<'_>| {
                Some((Cow::clone(&entry.key).into_owned(), to_json(&entry.node, &format!("{path}.{}", entry.key), report)?))
            };
            let read: Vec<_> = entries.iter().map(field).collect();
            read.into_iter().collect::<Option<serde_json::Map<_, _>>>().map(Json::Object)
        }
    }
}
