//! After "too many requests": nobody gets a permit in the silence, half the rate afterwards, all of it in the end.

use std::time::Duration;

use futures_util::FutureExt;
use proptest::prelude::*;
use skep::limiter::{
    policy::Policy,
    recovery::{MAX_SILENCE, MIN_SHARE},
};
use tokio::time::{Instant, advance};

use super::{limiter, most_in_a_window, per_second, rate};

const SECOND: Duration = Duration::from_secs(1);

/// What AIMD says, a millisecond at a time.
struct Slow {
    share: f64,
    silent_ms: u64,
    /// The next silence, where the answer names none.
    silence_ms: u64,
    window_ms: u64,
}

impl Slow {
    fn pass(&mut self, ms: u64) {
        for _ in 0..ms {
            if self.silent_ms > 0 {
                self.silent_ms -= 1;
            } else {
                self.share = (self.share + 1.0 / 16.0 / self.window_ms as f64).min(1.0);
            }
        }
    }

    fn throttled(&mut self, wait_ms: u64) {
        if self.silent_ms > 0 {
            self.silent_ms = self.silent_ms.max(wait_ms);
            return;
        }
        // The reckoning by milliseconds rounds.
        if self.share > 1.0 - 1e-6 {
            self.silence_ms = 1_000;
        }
        self.share = (self.share / 2.0).max(MIN_SHARE);
        self.silent_ms = wait_ms;
        if wait_ms == 0 {
            self.silent_ms = self.silence_ms;
            self.silence_ms = (self.silence_ms * 2).min(600_000);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn it_recovers_as_the_slow_and_obvious_one_does(
        count in 1_u32..50, per_ms in 1_000_u64..5_000, script in prop::collection::vec((0_u64..20_000, 0_u64..3_000), 1..30),
    ) {
        let mut policy = Policy::new(rate(count, Duration::from_millis(per_ms)), 5);
        let mut slow = Slow { share: 1.0, silent_ms: 0, silence_ms: 1_000, window_ms: per_ms };
        let full = f64::from(count) / (per_ms as f64 / 1e3);
        let mut now = Instant::now();
        for (pass, wait) in script {
            now += Duration::from_millis(pass);
            slow.pass(pass);
            let expected = if slow.silent_ms > 0 { 0.0 } else { full * slow.share };
            prop_assert!((policy.effective_per_second(now) - expected).abs() < full * 1e-6);
            // Just about whole is neither here nor there.
            if (1.0 - slow.share).abs() > 1e-6 || slow.share >= 1.0 {
                slow.throttled(wait);
                policy.throttled(now, (wait > 0).then(|| Duration::from_millis(wait)));
            }
            prop_assert_eq!(policy.paused_until(now), Some(now + Duration::from_millis(slow.silent_ms)).filter(|_| slow.silent_ms > 0));
        }
    }

    #[test]
    fn whoever_always_asks_gets_no_more_than_what_is_in_force(
        count in 2_u32..200, burst in 1_u32..50, before in 0_usize..300, silence_ms in 1_u64..5_000, cuts in 1_u32..6,
    ) {
        let mut policy = Policy::new(per_second(count), burst);
        let mut now = Instant::now();
        let mut given = Vec::new();
        for _ in 0..before {
            now = policy.due(now);
            policy.take(now).unwrap();
            given.push(now);
        }
        let mut silence = Duration::from_millis(silence_ms);
        for _ in 0..cuts {
            policy.throttled(now, Some(silence));
            let until = now + silence;
            prop_assert_eq!(policy.paused_until(now), Some(until));
            prop_assert!(policy.due(now) >= until, "no permit in the silence");
            now = until;
            silence = Duration::from_millis(1);
        }
        let start = now;
        let share = (0.5_f64).powi(cuts as i32).max(MIN_SHARE);
        while now < start + 20 * SECOND {
            now = policy.due(now);
            policy.take(now).unwrap();
            given.push(now);
            let elapsed = (now - start).as_secs_f64();
            // The area under the line from `share` upwards, a sixteenth a second, until it is 1.
            let ramp = elapsed.min((1.0 - share) * 16.0);
            let permits = f64::from(count) * (share * ramp + ramp * ramp / 32.0 + (elapsed - ramp));
            let since = given.iter().filter(|at| **at >= start).count() as f64;
            // A burst comes back with the whole rate; the timers' slack and the permit at hand come on top. A rate cut several times at
            // once is a little over its share already.
            prop_assert!(since <= permits + f64::from(burst) + f64::from(count) * 0.002 + 3.0, "{since} after {elapsed}: {permits}");
        }
        prop_assert_eq!(policy.effective_per_second(now), f64::from(count), "whole again");
        prop_assert!(most_in_a_window(&given, SECOND) <= count as usize);
    }
}

#[test]
fn answers_to_requests_that_were_on_their_way_together_count_once() {
    let now = Instant::now();
    let mut policy = Policy::new(per_second(8), 1);
    for wait in [Some(2), None, Some(1), None, Some(3)] {
        policy.throttled(now, wait.map(Duration::from_secs));
    }
    let end = now + 3 * SECOND;
    assert_eq!(policy.paused_until(now), Some(end), "the longest of them");
    assert_eq!(policy.effective_per_second(now), 0.0);
    assert_eq!(policy.effective_per_second(end), 4.0);
    assert_eq!(policy.effective_per_second(end + 4 * SECOND), 6.0);
    assert_eq!(policy.effective_per_second(end + 8 * SECOND), 8.0);
}

#[test]
fn silence_doubles_until_the_rate_is_whole_and_has_bounds() {
    let mut now = Instant::now();
    let mut policy = Policy::new(per_second(16), 1);
    for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600] {
        policy.throttled(now, None);
        assert_eq!(policy.paused_until(now), Some(now + Duration::from_secs(seconds)));
        now += Duration::from_secs(seconds);
    }
    assert_eq!(policy.effective_per_second(now), 1.0, "a sixteenth, not less");
    now += 15 * SECOND;
    assert_eq!(policy.effective_per_second(now), 16.0);
    policy.throttled(now, None);
    assert_eq!(policy.paused_until(now), Some(now + SECOND), "from the beginning");
    now += SECOND;
    policy.throttled(now, Some(Duration::MAX));
    assert_eq!(policy.paused_until(now), Some(now + MAX_SILENCE));
}

#[test]
fn a_slow_rate_is_whole_again_in_minutes_not_weeks() {
    let now = Instant::now();
    let mut policy = Policy::new(rate(5_000, Duration::from_secs(86_400)), 1);
    policy.throttled(now, Some(SECOND));
    assert!(policy.effective_per_second(now + Duration::from_secs(9 * 60)) > 5_000.0 / 86_401.0);
}

#[test]
fn another_rate_does_not_end_the_silence() {
    let now = Instant::now();
    let mut policy = Policy::new(per_second(10), 1);
    policy.throttled(now, Some(5 * SECOND));
    policy.set(per_second(100), 1);
    assert_eq!(policy.due(now), now + 5 * SECOND);
    assert_eq!(policy.effective_per_second(now + 5 * SECOND), 50.0);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_keep_their_places_through_the_silence() {
    let limiter = limiter(per_second(10), 1);
    let start = Instant::now();
    assert!(limiter.try_acquire());
    let far = start + Duration::from_secs(60);
    let mut first = Box::pin(limiter.acquire(far));
    let mut second = Box::pin(limiter.acquire(far));
    assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
    limiter.throttled(Some(2 * SECOND));
    let standing = limiter.standing();
    assert_eq!((standing.effective_per_second, standing.waiting, standing.permits), (0.0, 2, 1));
    assert_eq!(standing.paused_until, Some(start + 2 * SECOND));
    advance(Duration::from_millis(1_990)).await;
    assert!(first.as_mut().now_or_never().is_none(), "the old permit is long due");
    first.await.unwrap();
    assert!((start.elapsed().as_secs_f64() - 2.0).abs() < 0.01, "{:?}", start.elapsed());
    second.await.unwrap();
    assert!((start.elapsed().as_secs_f64() - 2.2).abs() < 0.02, "half the rate: {:?}", start.elapsed());
    assert!(limiter.acquire(Instant::now() + Duration::from_millis(50)).await.is_err(), "too late is told in time");
}
