//! Restart policy and schedule arithmetic, as pure data.

use std::time::Duration;

use proptest::prelude::*;
use skep::{
    facts::InstanceMode,
    manifest::spec::{RestartPolicy, RestartSpec},
    supervise::policy::{Budget, Verdict},
    trigger::phase,
};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(300);

fn spec(policy: RestartPolicy, intensity: u32, period_s: u64) -> RestartSpec {
    RestartSpec { policy, intensity, period: Duration::from_secs(period_s) }
}

fn resident(intensity: u32) -> Budget {
    Budget::new(spec(RestartPolicy::Permanent, intensity, 5), InstanceMode::Resident)
}

fn backoff(verdict: Verdict, now: Instant) -> Duration {
    match verdict {
        Verdict::Quarantine { until } => until - now,
        other => panic!("expected a quarantine, got {other:?}"),
    }
}

#[test]
fn a_resident_restarts_intensity_times_and_is_quarantined_at_the_next_crash() {
    let mut budget = resident(3);
    let now = Instant::now();
    for _ in 0..3 {
        assert_eq!(budget.crashed(now, 0.0), Verdict::Restart);
    }
    assert_eq!(backoff(budget.crashed(now, 0.0), now), SECOND);
}

#[test]
fn crashes_older_than_the_period_do_not_count() {
    let mut budget = resident(1);
    let start = Instant::now();
    for turn in 0..100 {
        assert_eq!(budget.crashed(start + SECOND * 6 * turn, 0.0), Verdict::Restart);
    }
}

#[test]
fn the_backoff_doubles_to_five_minutes_while_it_keeps_crashing() {
    let mut budget = resident(0);
    let mut now = Instant::now();
    let mut waits = Vec::new();
    for _ in 0..12 {
        let wait = backoff(budget.crashed(now, 0.0), now);
        waits.push(wait.as_secs());
        now += wait;
        budget.released(now);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
}

#[test]
fn a_healthy_stretch_refills_the_budget() {
    let mut budget = resident(0);
    let mut now = Instant::now();
    for _ in 0..4 {
        now += backoff(budget.crashed(now, 0.0), now);
        budget.released(now);
    }
    // The last backoff was 8 s: as long without a crash, and all is forgiven.
    now += SECOND * 8;
    assert_eq!(backoff(budget.crashed(now, 0.0), now), SECOND);
}

#[test]
fn a_per_event_replica_is_quarantined_after_intensity_traps_with_no_success_between() {
    let mut budget = Budget::new(spec(RestartPolicy::Permanent, 3, 5), InstanceMode::PerEvent);
    let now = Instant::now();
    assert_eq!(budget.crashed(now, 0.0), Verdict::Restart);
    assert_eq!(budget.crashed(now, 0.0), Verdict::Restart);
    budget.succeeded(now);
    assert_eq!(budget.crashed(now, 0.0), Verdict::Restart);
    assert_eq!(budget.crashed(now, 0.0), Verdict::Restart);
    assert_eq!(backoff(budget.crashed(now, 0.0), now), SECOND);
}

#[test]
fn temporary_is_never_restarted_and_transient_not_after_a_normal_end() {
    let now = Instant::now();
    let budget = |policy| Budget::new(spec(policy, 3, 5), InstanceMode::Resident);
    assert_eq!(budget(RestartPolicy::Temporary).crashed(now, 0.0), Verdict::Stop);
    assert_eq!(budget(RestartPolicy::Temporary).exited(true, now, 0.0), Verdict::Stop);
    assert_eq!(budget(RestartPolicy::Transient).exited(true, now, 0.0), Verdict::Stop);
    assert_eq!(budget(RestartPolicy::Transient).exited(false, now, 0.0), Verdict::Restart);
    assert_eq!(budget(RestartPolicy::Permanent).exited(true, now, 0.0), Verdict::Restart);
}

#[test]
fn a_refused_init_is_never_retried_at_once() {
    let mut budget = resident(10);
    let now = Instant::now();
    assert_eq!(backoff(budget.refused(now, 0.0), now), SECOND);
}

proptest! {
    /// Whatever happens, restarts at once never exceed `intensity` in any `period`.
    #[test]
    fn immediate_restarts_are_bounded_in_every_window(
        intensity in 0u32..6,
        period in 1u64..20,
        gaps in prop::collection::vec(0u64..8_000, 1..200),
    ) {
        let mut budget = Budget::new(spec(RestartPolicy::Permanent, intensity, period), InstanceMode::Resident);
        let mut now = Instant::now();
        let mut restarts = Vec::new();
        for gap in gaps {
            now += Duration::from_millis(gap);
            match budget.crashed(now, 0.0) {
                Verdict::Restart => restarts.push(now),
                Verdict::Quarantine { until } => {
                    prop_assert!(until > now && until - now <= MAX_BACKOFF);
                    now = until;
                    budget.released(now);
                }
                Verdict::Stop => prop_assert!(false, "a permanent worker is never given up"),
            }
        }
        for (index, at) in restarts.iter().enumerate() {
            let window = restarts[index..].iter().filter(|other| **other - *at <= Duration::from_secs(period)).count();
            prop_assert!(window <= intensity as usize, "{window} restarts within {period} s, {intensity} allowed");
        }
    }

    /// Jitter only shortens a backoff, by at most a quarter.
    #[test]
    fn jitter_shortens_by_at_most_a_quarter(strikes in 0usize..12, jitter in 0.0f64..1.0) {
        let (mut plain, mut jittered) = (resident(0), resident(0));
        let now = Instant::now();
        for _ in 0..strikes {
            plain.crashed(now, 0.0);
            jittered.crashed(now, jitter);
        }
        let (whole, less) = (backoff(plain.crashed(now, 0.0), now), backoff(jittered.crashed(now, jitter), now));
        prop_assert!(less <= whole && less >= whole.mul_f64(0.749));
    }

    /// Ticks keep their phase: no drift, and never two closer than half an interval.
    #[test]
    fn ticks_keep_their_phase(name in "[a-z]{1,12}", every_ms in 1u64..100_000, start_ms in 0u64..1_000_000, late_ms in 0u64..50) {
        let every = Duration::from_millis(every_ms);
        let mut last = Duration::from_millis(start_ms);
        let first = phase::next_due(&name, every, last, Some(last));
        prop_assert!(first > last && first - last >= every / 2 && first - last <= every + every / 2 + Duration::from_nanos(1));
        let mut due = first;
        for _ in 0..20 {
            last = due;
            let late = Duration::from_millis(late_ms).min(every / 4);
            due = phase::next_due(&name, every, last + late, Some(last));
            prop_assert_eq!(due - last, every, "one interval after the other, however late it ran");
        }
    }

    /// First ticks at host start lie within the interval and within 20 s.
    #[test]
    fn first_ticks_are_spread(name in "[a-z0-9-]{1,30}", every_ms in 1u64..10_000_000) {
        let every = Duration::from_millis(every_ms);
        let delay = phase::start_delay(&name, every);
        prop_assert!(delay < every && delay < SECOND * 20);
    }
}

#[test]
fn ten_thousand_workers_with_one_interval_do_not_fire_together() {
    let every = Duration::from_secs(10);
    let mut buckets = [0u32; 100];
    for worker in 0..10_000 {
        let due = phase::next_due(&format!("poller-{worker}"), every, Duration::ZERO, None);
        buckets[(due.as_millis() / 100).min(99) as usize] += 1;
    }
    // 100 each on average; a hash leaves no tenth of a second with three times that.
    assert!(buckets.iter().all(|count| *count < 300), "{buckets:?}");
}

#[test]
fn cron_keeps_to_the_wall_clock_over_daylight_saving() {
    let next = |expression: &str, after: &str| {
        let after = after.parse().unwrap();
        phase::next_cron(expression, "Europe/Berlin", after).unwrap().to_string()
    };
    // Clocks go from 02:00 to 03:00 on 29 March 2026, and from 03:00 back to 02:00 on 25 October.
    assert_eq!(next("0 12 * * *", "2026-03-28T12:00:00Z"), "2026-03-29T10:00:00Z", "noon is noon");
    assert_eq!(next("0 12 * * *", "2026-10-24T12:00:00Z"), "2026-10-25T11:00:00Z");
    // As cron itself has it: a time that the clock skips does not come that day, one that it shows twice comes twice.
    assert_eq!(next("30 2 * * *", "2026-03-28T12:00:00Z"), "2026-03-30T00:30:00Z");
    assert_eq!(next("30 2 * * *", "2026-10-24T12:00:00Z"), "2026-10-25T00:30:00Z");
    assert_eq!(next("30 2 * * *", "2026-10-25T00:30:00Z"), "2026-10-25T01:30:00Z");
    assert_eq!(next("30 2 * * *", "2026-10-25T01:30:00Z"), "2026-10-26T01:30:00Z");
    // What goes by the half hour goes on by the half hour.
    assert_eq!(next("*/30 * * * *", "2026-10-25T00:30:00Z"), "2026-10-25T01:00:00Z");
    assert_eq!(next("*/30 * * * *", "2026-10-25T01:00:00Z"), "2026-10-25T01:30:00Z");
}
