//! Metrics as Prometheus reads them.

use skep::{
    api::metrics,
    facts::{BucketView, CheckStatus, LimiterView, Traffic, WorkerState},
};

use super::{check, queue, worker};

#[test]
fn metrics_are_prometheus_text() {
    let workers = [worker("pages", WorkerState::Running), worker("pinger/nas", WorkerState::Quarantined)];
    let subject = "https://example.com/?q=\"a\\b\"\nx";
    let checks = [check("pages", subject, CheckStatus::Down), check("pinger/nas", "nas", CheckStatus::Unknown)];
    let mut todo = queue("todo");
    (todo.dead, todo.pushed, todo.oldest_waiting_at) = (2, 9, Some("2026-11-21T06:00:10Z".parse().unwrap()));
    let queues = [todo, queue("idle")];
    let limiters = [LimiterView {
        name: "exchange".into(),
        rate: "6/s".into(),
        effective_per_second: 1.5,
        burst: 1,
        waiting: 4,
        permits: 11,
        paused_until: None,
        file: "a.toml".into(),
        line: 1,
    }];
    let text = metrics::render(&metrics::Snapshot {
        version: "0.1.0",
        started: "2026-11-21T06:00:00Z".parse().unwrap(),
        now: "2026-11-21T06:00:30Z".parse().unwrap(),
        generation: 4,
        ready: true,
        problems: 2,
        store_dropped: 0,
        traps_lost: 3,
        resident_bytes: Some(1024),
        workers: &workers,
        checks: &checks,
        queues: &queues,
        limiters: &limiters,
        buckets: &[BucketView { name: "counter".into(), keys: 3, bytes: 40 }],
        traffic: &[Traffic { worker: Some("counter".into()), in_flight: 1, answers: [0, 7, 0, 2, 0], cut: 0, left: 1, bytes: 512 }],
    });
    for line in [
        "skep_build_info{version=\"0.1.0\"} 1",
        "skep_uptime_seconds 30",
        "skep_generation 4",
        "skep_manifest_problems 2",
        "skep_workers{state=\"running\"} 1",
        "skep_workers{state=\"quarantined\"} 1",
        "skep_workers{state=\"failed\"} 0",
        "skep_restarts_total 4",
        "skep_events_total{result=\"ok\"} 20",
        "skep_events_total{result=\"trapped\"} 4",
        "skep_tick_lateness_max_seconds 0.0015",
        "skep_http_requests_total{worker=\"counter\",status=\"2xx\"} 7",
        "skep_http_requests_total{worker=\"counter\",status=\"left\"} 1",
        "skep_http_sent_bytes_total{worker=\"counter\"} 512",
        "skep_worker_up{worker=\"pages\"} 1",
        "skep_worker_up{worker=\"pinger/nas\"} 0",
        "skep_worker_events_total{worker=\"pages\",result=\"failed\"} 1",
        "skep_worker_ticks_missed_total{worker=\"pages\"} 4",
        "skep_checks{status=\"down\"} 1",
        "skep_check_up{worker=\"pages\",subject=\"https://example.com/?q=\\\"a\\\\b\\\"\\nx\"} 0",
        "skep_check_latency_seconds{worker=\"pinger/nas\",subject=\"nas\"} 0.0125",
        "skep_check_certificate_expiry_timestamp_seconds{worker=\"pinger/nas\",subject=\"nas\"} 1796083200",
        "skep_queue_jobs{queue=\"todo\",state=\"dead\"} 2",
        "skep_queue_jobs{queue=\"idle\",state=\"waiting\"} 0",
        "skep_queue_oldest_waiting_seconds{queue=\"todo\"} 20",
        "skep_queue_pushed_total{queue=\"todo\"} 9",
        "skep_limiter_effective_per_second{limiter=\"exchange\"} 1.5",
        "skep_limiter_waiting{limiter=\"exchange\"} 4",
        "skep_limiter_permits_total{limiter=\"exchange\"} 11",
        "skep_kv_keys{bucket=\"counter\"} 3",
        "skep_kv_bytes{bucket=\"counter\"} 40",
        "skep_store_dropped_total 0",
        "skep_trap_records_lost_total 3",
        "process_resident_memory_bytes 1024",
    ] {
        assert!(text.lines().any(|found| found == line), "no line {line} in\n{text}");
    }
    // Unknown is neither up nor down.
    assert!(!text.contains("skep_check_up{worker=\"pinger/nas\""));
    // The format: every sample belongs to the family above it, and no family comes twice.
    let mut family = String::new();
    let mut families = std::collections::HashSet::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().unwrap().to_owned();
            assert!(families.insert(family.clone()), "{family} twice");
        } else if !line.starts_with("# TYPE ") {
            let name = line.split(['{', ' ']).next().unwrap();
            assert_eq!(name, family, "{line}");
            assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
        }
    }
    assert!(metrics::resident_bytes().unwrap() > 1 << 20);
}
