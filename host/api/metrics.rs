//! Metrics as Prometheus' text, written from the same facts the API shows. Pure but for [`resident_bytes`].
//!
//! Totals are always there; series of single workers and checks end at [`SERIES`] each, and say so.

use std::fmt::{Display, Write};

use jiff::Timestamp;

use super::host::{by_state, by_status};
use crate::facts::{BucketView, CheckStatus, CheckView, JobState, LimiterView, QueueView, WorkerView};

/// How many workers, and how many checks, have series of their own.
pub const SERIES: usize = 10_000;

/// What one scrape shows.
#[derive(Debug)]
pub struct Snapshot<'a> {
    pub version: &'a str,
    pub started: Timestamp,
    pub now: Timestamp,
    pub generation: u64,
    pub ready: bool,
    pub problems: usize,
    pub store_dropped: u64,
    pub traps_lost: u64,
    pub resident_bytes: Option<u64>,
    pub workers: &'a [WorkerView],
    pub checks: &'a [CheckView],
    pub queues: &'a [QueueView],
    pub limiters: &'a [LimiterView],
    pub buckets: &'a [BucketView],
}

/// The whole text.
pub fn render(of: &Snapshot<'_>) -> String {
    let mut text = Text(String::with_capacity(4_096 + 512 * (of.workers.len() + of.checks.len()).min(2 * SERIES)));
    host(&mut text, of);
    workers(&mut text, of.workers);
    checks(&mut text, of.checks);
    queues(&mut text, of);
    limiters(&mut text, of.limiters);
    kv(&mut text, of.buckets);
    text.0
}

fn host(text: &mut Text, of: &Snapshot<'_>) {
    text.family("skep_build_info", "gauge", "The version, as a label");
    text.sample("skep_build_info", &[("version", of.version)], 1);
    text.single("skep_uptime_seconds", "gauge", "Since the host started", of.now.duration_since(of.started).as_secs_f64().max(0.0));
    text.single("skep_ready", "gauge", "1 once every worker was handed to supervision", u8::from(of.ready));
    text.single("skep_generation", "gauge", "Generation of desired state", of.generation);
    text.single("skep_manifest_problems", "gauge", "Problems in the manifests folder", of.problems);
    text.single("skep_store_dropped_total", "counter", "Records dropped because the store could not keep up", of.store_dropped);
    text.single("skep_trap_records_lost_total", "counter", "Crashes that left no record because too many came at once", of.traps_lost);
    let lengths = [of.workers.len(), of.checks.len(), of.queues.len(), of.limiters.len(), of.buckets.len()];
    let cut: usize = lengths.into_iter().map(|length| length.saturating_sub(SERIES)).sum();
    let help = "Workers, checks, queues, limiters and buckets past the 10,000 of each that have series of their own";
    text.single("skep_metrics_left_out", "gauge", help, cut);
    if let Some(bytes) = of.resident_bytes {
        text.single("process_resident_memory_bytes", "gauge", "Resident memory of the host", bytes);
    }
    text.single("process_start_time_seconds", "gauge", "Start of the host, in seconds since 1970", of.started.as_duration().as_secs_f64());
}

fn workers(text: &mut Text, all: &[WorkerView]) {
    text.family("skep_workers", "gauge", "Workers by state");
    for (state, count) in by_state(all) {
        text.sample("skep_workers", &[("state", &state)], count);
    }
    text.single("skep_restarts_total", "counter", "Restarts after crashes, all workers", all.iter().map(|one| one.restarts).sum::<u64>());
    text.family("skep_events_total", "counter", "Events handled by result, all workers");
    let sum = |of: fn(&WorkerView) -> u64| all.iter().map(of).sum::<u64>();
    text.sample("skep_events_total", &[("result", "ok")], sum(|one| one.events.ok));
    text.sample("skep_events_total", &[("result", "failed")], sum(|one| one.events.failed));
    text.sample("skep_events_total", &[("result", "trapped")], sum(|one| one.events.trapped));
    let latest = all.iter().filter_map(lateness_ms).fold(None, |most: Option<f64>, ms| Some(most.map_or(ms, |most| most.max(ms))));
    if let Some(ms) = latest {
        text.single("skep_tick_lateness_max_seconds", "gauge", "The latest of all workers' last ticks", ms / 1e3);
    }

    let shown = || all.iter().take(SERIES);
    text.each("skep_worker_up", "gauge", "1 while the worker runs all replicas it should", shown(), |one, put| {
        put(&[], f64::from(u8::from(one.replicas.desired > 0 && one.replicas.running >= one.replicas.desired)));
    });
    text.each("skep_worker_restarts_total", "counter", "Restarts after crashes", shown(), |one, put| put(&[], whole(one.restarts)));
    text.each("skep_worker_events_total", "counter", "Events handled by result", shown(), |one, put| {
        put(&[("result", "ok")], whole(one.events.ok));
        put(&[("result", "failed")], whole(one.events.failed));
        put(&[("result", "trapped")], whole(one.events.trapped));
        if one.events.missed_messages > 0 {
            put(&[("result", "missed-message")], whole(one.events.missed_messages));
        }
    });
    text.each("skep_worker_ticks_missed_total", "counter", "Ticks skipped because the one before still ran", shown(), |one, put| {
        if let Some(schedule) = &one.schedule {
            put(&[], whole(schedule.missed));
        }
    });
    text.each("skep_worker_tick_lateness_seconds", "gauge", "How late the last tick started", shown(), |one, put| {
        if let Some(ms) = lateness_ms(one) {
            put(&[], ms / 1e3);
        }
    });
    text.each("skep_worker_memory_peak_bytes", "gauge", "The largest memory of any instance so far", shown(), |one, put| {
        put(&[], whole(one.memory_peak_bytes));
    });
}

fn lateness_ms(worker: &WorkerView) -> Option<f64> {
    worker.schedule.as_ref()?.lateness_ms
}

fn checks(text: &mut Text, all: &[CheckView]) {
    text.family("skep_checks", "gauge", "Checks by status");
    for (status, count) in by_status(all) {
        text.sample("skep_checks", &[("status", &status)], count);
    }
    let shown = || all.iter().take(SERIES);
    text.each_check("skep_check_up", "1 up or degraded, 0 down; nothing while unknown, paused or in maintenance", shown(), |one| match one
        .status
    {
        CheckStatus::Up | CheckStatus::Degraded => Some(1.0),
        CheckStatus::Down => Some(0.0),
        CheckStatus::Unknown | CheckStatus::Maintenance | CheckStatus::Paused => None,
    });
    text.each_check("skep_check_latency_seconds", "Latency of the last result that had one", shown(), |one| {
        one.latency_ms.map(|ms| ms / 1e3)
    });
    text.each_check("skep_check_uptime_ratio", "Share of the last 24 h it was up, of what was seen", shown(), |one| one.uptime);
    text.each_check("skep_check_coverage_ratio", "Share of the last 24 h that was seen", shown(), |one| Some(one.coverage));
    text.each_check("skep_check_certificate_expiry_timestamp_seconds", "When the peer's certificate ends", shown(), |one| {
        let expires = one.evidence.as_ref()?.certificate_expires?;
        Some(expires.as_duration().as_secs_f64())
    });
}

fn queues(text: &mut Text, of: &Snapshot<'_>) {
    let all = of.queues.get(..SERIES).unwrap_or(of.queues);
    text.of_named("skep_queue_jobs", "gauge", "Jobs of a queue by state", "queue", all, |one, put| {
        for (state, count) in by_job_state(one) {
            put(&[("state", state.as_str())], whole(count));
        }
    });
    text.of_named("skep_queue_oldest_waiting_seconds", "gauge", "Since the oldest waiting job was pushed", "queue", all, |one, put| {
        if let Some(at) = one.oldest_waiting_at {
            put(&[], of.now.duration_since(at).as_secs_f64().max(0.0));
        }
    });
    text.of_named("skep_queue_pushed_total", "counter", "Jobs pushed", "queue", all, |one, put| put(&[], whole(one.pushed)));
    text.of_named("skep_queue_finished_total", "counter", "Jobs done or dead", "queue", all, |one, put| put(&[], whole(one.finished)));
}

/// A queue's counts, by state.
pub fn by_job_state(queue: &QueueView) -> [(JobState, u64); 6] {
    JobState::ALL.map(|state| {
        let count = match state {
            JobState::Delayed => queue.delayed,
            JobState::Waiting => queue.waiting,
            JobState::Running => queue.running,
            JobState::Done => queue.done,
            JobState::Dead => queue.dead,
            JobState::Cancelled => queue.cancelled,
        };
        (state, count)
    })
}

fn limiters(text: &mut Text, all: &[LimiterView]) {
    let all = all.get(..SERIES).unwrap_or(all);
    text.of_named("skep_limiter_effective_per_second", "gauge", "Permits a second in force now", "limiter", all, |one, put| {
        put(&[], one.effective_per_second);
    });
    text.of_named("skep_limiter_waiting", "gauge", "Who waits for a permit", "limiter", all, |one, put| put(&[], whole(one.waiting)));
    text.of_named("skep_limiter_permits_total", "counter", "Permits given", "limiter", all, |one, put| put(&[], whole(one.permits)));
}

fn kv(text: &mut Text, all: &[BucketView]) {
    let all = all.get(..SERIES).unwrap_or(all);
    text.of_named("skep_kv_keys", "gauge", "Keys of a bucket", "bucket", all, |one, put| put(&[], whole(one.keys)));
    text.of_named("skep_kv_bytes", "gauge", "Keys and values of a bucket", "bucket", all, |one, put| put(&[], whole(one.bytes)));
}

/// What has a series by its name alone.
trait Named {
    fn name(&self) -> &str;
}

impl Named for QueueView {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Named for LimiterView {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Named for BucketView {
    fn name(&self) -> &str {
        &self.name
    }
}

/// Counters past 2^53 lose their last digits, as Prometheus' own floats do.
#[allow(clippy::cast_precision_loss, reason = "every Prometheus sample is a float")]
fn whole(count: u64) -> f64 {
    count as f64
}

struct Text(String);

impl Text {
    // Writing to a String can't fail; its Results are dropped below.

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"", if index == 0 { '{' } else { ',' });
            escape(&mut self.0, text);
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// A family with samples of each worker; without any, without its header.
    fn each<'w>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        workers: impl Iterator<Item = &'w WorkerView>,
        write: impl Fn(&WorkerView, &mut dyn FnMut(&[(&str, &str)], f64)),
    ) {
        let start = self.0.len();
        self.family(name, kind, help);
        let header = self.0.len();
        for worker in workers {
            write(worker, &mut |more, value| {
                let mut labels = vec![("worker", &*worker.name)];
                labels.extend_from_slice(more);
                self.sample(name, &labels, value);
            });
        }
        if self.0.len() == header {
            self.0.truncate(start);
        }
    }

    /// A family with samples of each named thing; without any, without its header.
    fn of_named<T: Named>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        label: &str,
        all: &[T],
        write: impl Fn(&T, &mut dyn FnMut(&[(&str, &str)], f64)),
    ) {
        let start = self.0.len();
        self.family(name, kind, help);
        let header = self.0.len();
        for one in all {
            write(one, &mut |more, value| {
                let mut labels = vec![(label, one.name())];
                labels.extend_from_slice(more);
                self.sample(name, &labels, value);
            });
        }
        if self.0.len() == header {
            self.0.truncate(start);
        }
    }

    /// A gauge of each check that has a value; without any, without its header.
    fn each_check<'c>(
        &mut self,
        name: &str,
        help: &str,
        checks: impl Iterator<Item = &'c CheckView>,
        value: impl Fn(&CheckView) -> Option<f64>,
    ) {
        let start = self.0.len();
        self.family(name, "gauge", help);
        let header = self.0.len();
        for check in checks {
            if let Some(value) = value(check) {
                self.sample(name, &[("worker", &check.worker), ("subject", &check.subject)], value);
            }
        }
        if self.0.len() == header {
            self.0.truncate(start);
        }
    }
}

/// Label values escape backslash, quote and line break; what else can't stand in a line is left out.
fn escape(into: &mut String, text: &str) {
    for char in text.chars() {
        match char {
            '\\' => into.push_str("\\\\"),
            '"' => into.push_str("\\\""),
            '\n' => into.push_str("\\n"),
            control if control.is_control() => {}
            other => into.push(other),
        }
    }
}

/// Resident memory of this process, where /proc tells.
pub fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(u64::try_from(rustix::param::page_size()).ok()?)
}
