//! What followers were told: every row as the JSON that was sent, what differs from it now, and the frames that say so.
//!
//! Must not look anything up. A row is written once, whoever many follow; one that reads as before is not sent again.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use axum::body::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

use crate::facts::{EventRecord, LimiterView, LiveCheck, LiveGone, LiveHost, LiveWorker, Name, QueueView, WorkerView};

/// Events a snapshot holds.
const EVENTS: usize = 100;
/// How fast a worker's rate follows: the share of one second's look.
const FOLLOW: f64 = 0.3;
/// A rate below this is none.
const STILL: f64 = 0.05;

/// What a whole look at workers saw.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    pub workers: BTreeSet<Name>,
}

/// Rows of one kind.
#[derive(Debug)]
struct Table<K> {
    rows: BTreeMap<K, Arc<str>>,
    changed: BTreeSet<K>,
    gone: BTreeSet<K>,
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), changed: BTreeSet::new(), gone: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> Table<K> {
    fn set(&mut self, key: K, row: &impl Serialize) {
        let text = json(row);
        if self.rows.get(&key).is_some_and(|sent| **sent == *text) {
            return;
        }
        self.gone.remove(&key);
        self.changed.insert(key.clone());
        self.rows.insert(key, text.into());
    }

    fn remove(&mut self, key: &K) {
        if self.rows.remove(key).is_some() {
            self.changed.remove(key);
            self.gone.insert(key.clone());
        }
    }

    fn keep(&mut self, keep: impl Fn(&K) -> bool) {
        let gone: Vec<K> = self.rows.keys().filter(|key| !keep(key)).cloned().collect();
        gone.iter().for_each(|key| self.remove(key));
    }

    fn all(&self) -> String {
        list(self.rows.values())
    }

    /// The changed rows, which count as sent from now on.
    fn take(&mut self) -> Option<String> {
        let changed = std::mem::take(&mut self.changed);
        (!changed.is_empty()).then(|| list(changed.iter().filter_map(|key| self.rows.get(key))))
    }
}

/// A worker beyond its row.
#[derive(Debug)]
struct Pace {
    events: u64,
    at: Option<Instant>,
    rate: f64,
    title: Option<String>,
    group: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Rows {
    version: u64,
    host: Table<()>,
    workers: Table<Name>,
    paces: HashMap<Name, Pace>,
    checks: Table<(Name, Arc<str>)>,
    queues: Table<String>,
    limiters: Table<String>,
    events: VecDeque<(u64, Arc<str>)>,
    /// Events up to here were sent.
    told: u64,
    /// The snapshot of this version, for all who come meanwhile.
    snapshot: Option<Bytes>,
}

impl Rows {
    pub fn host(&mut self, host: LiveHost) {
        self.host.set((), &host);
    }

    /// `now`: this is a look at every worker, so that its pace can be told. Answers whether its checks' rows read otherwise now.
    pub fn worker(&mut self, view: WorkerView, now: Option<Instant>) -> bool {
        let events = view.events.ok + view.events.failed + view.events.trapped;
        let fresh = || Pace { events, at: None, rate: 0.0, title: None, group: None };
        let pace = self.paces.entry(view.name.clone()).or_insert_with(fresh);
        if let Some(now) = now {
            if let Some(at) = pace.at.replace(now) {
                let seconds = now.duration_since(at).as_secs_f64().max(0.001);
                let seen = events.saturating_sub(pace.events) as f64 / seconds;
                pace.rate += (seen - pace.rate) * FOLLOW;
            }
            pace.events = events;
        }
        let renamed = pace.title != view.title || pace.group != view.group;
        if renamed {
            pace.title.clone_from(&view.title);
            pace.group.clone_from(&view.group);
        }
        let rate = if pace.rate < STILL { 0.0 } else { (pace.rate * 10.0).round() / 10.0 };
        self.workers.set(view.name.clone(), &live_worker(view, rate));
        renamed
    }

    pub fn checks(&mut self, checks: Vec<(Name, Arc<str>, Option<LiveCheck>)>) {
        for (name, subject, row) in checks {
            match row {
                Some(row) => {
                    let pace = self.paces.get(&name);
                    let (title, group) = (pace.and_then(|pace| pace.title.clone()), pace.and_then(|pace| pace.group.clone()));
                    self.checks.set((name, subject), &LiveCheck { title, group, ..row });
                }
                None => self.checks.remove(&(name, subject)),
            }
        }
    }

    pub fn queues(&mut self, views: Vec<QueueView>) {
        let names: BTreeSet<&str> = views.iter().map(|view| &*view.name).collect();
        self.queues.keep(|name| names.contains(&**name));
        views.iter().for_each(|view| self.queues.set(view.name.clone(), view));
    }

    pub fn limiters(&mut self, views: Vec<LimiterView>) {
        let names: BTreeSet<&str> = views.iter().map(|view| &*view.name).collect();
        self.limiters.keep(|name| names.contains(&**name));
        views.iter().for_each(|view| self.limiters.set(view.name.clone(), view));
    }

    /// Events, oldest first; those told already are passed over.
    pub fn events(&mut self, events: Vec<EventRecord>) {
        let newest = self.events.back().map_or(0, |(id, _)| *id);
        for event in events.into_iter().filter(|event| event.id > newest) {
            if self.events.len() >= EVENTS {
                self.events.pop_front();
            }
            self.events.push_back((event.id, json(&event).into()));
        }
    }

    /// Workers that a whole look did not see are gone.
    pub fn only(&mut self, scanned: &Scanned) {
        self.workers.keep(|name| scanned.workers.contains(name));
        self.paces.retain(|name, _| scanned.workers.contains(name));
    }

    /// What is there counts as sent: it goes into the first snapshot.
    pub fn settle(&mut self) {
        let _ = self.delta(Timestamp::UNIX_EPOCH);
    }

    /// What changed since the last one; none: nothing.
    pub fn delta(&mut self, now: Timestamp) -> Option<Bytes> {
        let gone = LiveGone {
            workers: texts(&mut self.workers.gone),
            checks: std::mem::take(&mut self.checks.gone)
                .into_iter()
                .map(|(name, subject)| (name.to_string(), subject.to_string()))
                .collect(),
            queues: texts(&mut self.queues.gone),
            limiters: texts(&mut self.limiters.gone),
        };
        let told = self.told;
        let events = self.events.iter().filter(|(id, _)| *id > told).map(|(_, text)| text);
        let events = (self.events.back().is_some_and(|(id, _)| *id > told)).then(|| list(events));
        self.told = self.events.back().map_or(told, |(id, _)| *id);
        let parts = [
            ("host", self.host.changed.pop_first().and_then(|key| self.host.rows.get(&key)).map(|host| host.to_string())),
            ("workers", self.workers.take()),
            ("checks", self.checks.take()),
            ("queues", self.queues.take()),
            ("limiters", self.limiters.take()),
            ("events", events),
            ("gone", (gone != LiveGone::default()).then(|| json(&gone))),
        ];
        if parts.iter().all(|(_, part)| part.is_none()) {
            return None;
        }
        self.version += 1;
        self.snapshot = None;
        Some(frame("delta", self.version, now, parts.iter().filter_map(|(key, part)| Some((*key, part.as_deref()?)))))
    }

    /// Everything, as of the last delta.
    pub fn snapshot(&mut self, now: Timestamp) -> Bytes {
        if let Some(snapshot) = &self.snapshot {
            return snapshot.clone();
        }
        let host = self.host.rows.get(&()).map_or("null", |host| &**host);
        let (workers, checks) = (self.workers.all(), self.checks.all());
        let (queues, limiters) = (self.queues.all(), self.limiters.all());
        let events = list(self.events.iter().map(|(_, text)| text));
        let parts =
            [("host", host), ("workers", &workers), ("checks", &checks), ("queues", &queues), ("limiters", &limiters), ("events", &events)];
        let snapshot = frame("snapshot", self.version, now, parts.into_iter());
        self.snapshot = Some(snapshot.clone());
        snapshot
    }

    /// A sign of life.
    pub fn beat(now: Timestamp) -> Bytes {
        format!("event: beat\ndata: {{\"at\":{}}}\n\n", now.as_millisecond()).into()
    }
}

fn frame<'a>(event: &str, version: u64, now: Timestamp, parts: impl Iterator<Item = (&'static str, &'a str)>) -> Bytes {
    let mut text = format!("event: {event}\ndata: {{\"version\":{version},\"at\":{}", now.as_millisecond());
    for (key, part) in parts {
        text.push_str(",\"");
        text.push_str(key);
        text.push_str("\":");
        text.push_str(part);
    }
    text.push_str("}\n\n");
    text.into()
}

/// JSON holds no raw line break, so that a row is always part of one `data` line.
fn json(row: &impl Serialize) -> String {
    serde_json::to_string(row).unwrap_or_else(|_| "null".to_owned())
}

fn list<'a>(rows: impl Iterator<Item = &'a Arc<str>>) -> String {
    let mut text = String::from("[");
    for row in rows {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(row);
    }
    text.push(']');
    text
}

fn texts<K: ToString + Ord>(keys: &mut BTreeSet<K>) -> Vec<String> {
    std::mem::take(keys).iter().map(ToString::to_string).collect()
}

fn live_worker(view: WorkerView, rate: f64) -> LiveWorker {
    let schedule = view.schedule.as_ref();
    LiveWorker {
        next: schedule.and_then(|schedule| schedule.next).map(Timestamp::as_millisecond),
        lateness_ms: schedule.and_then(|schedule| schedule.lateness_ms),
        missed: schedule.map_or(0, |schedule| schedule.missed),
        name: view.name,
        title: view.title,
        group: view.group,
        notes: view.notes,
        component: view.component,
        state: view.state,
        desired: view.replicas.desired,
        running: view.replicas.running,
        incarnation: view.incarnation,
        restarts: view.restarts,
        last_error: view.last_error,
        triggers: view.triggers,
        since: view.since.as_millisecond(),
        instance: view.instance,
        ok: view.events.ok,
        failed: view.events.failed,
        trapped: view.events.trapped,
        rate,
        memory_peak_bytes: view.memory_peak_bytes,
        file: view.file,
        line: view.line,
        held_back: view.held_back,
    }
}
