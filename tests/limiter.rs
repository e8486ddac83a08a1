//! The limiter, alone: what a rate promises, in which order permits come, and what happens to those who give up.

// 429: silence, half the rate, and back.
mod recovery;

use std::{
    future::Future,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_util::{FutureExt, future::join_all};
use proptest::prelude::*;
use skep::{
    clock::Clock,
    limiter::{Limiter, Limiters, policy::Policy},
    manifest::spec::{LimiterSpec, Origin, Rate},
};
use tokio::time::{Instant, advance};

fn rate(count: u32, per: Duration) -> Rate {
    Rate { count, per }
}

fn per_second(count: u32) -> Rate {
    rate(count, Duration::from_secs(1))
}

fn limiter(rate: Rate, burst: u32) -> Limiter {
    Limiter::new(rate, burst, Clock::system())
}

/// Takes permits as soon as they are due or as late as `lateness` says; answers when they were given.
fn taken(policy: &mut Policy, start: Instant, lateness: &[u64]) -> Vec<Instant> {
    let mut now = start;
    let mut given = Vec::new();
    for late in lateness {
        now = policy.due(now) + Duration::from_micros(*late);
        policy.take(now).expect("due permits are given");
        given.push(now);
    }
    given
}

fn most_in_a_window(given: &[Instant], per: Duration) -> usize {
    given.iter().map(|start| given.iter().filter(|at| **at >= *start && **at < *start + per).count()).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn never_more_than_the_rate_in_any_sliding_window(
        count in 1_u32..40, per_ms in 1_u64..5_000, burst in 1_u32..60, lateness in prop::collection::vec(0_u64..400_000, 1..160),
    ) {
        let per = Duration::from_millis(per_ms);
        let given = taken(&mut Policy::new(rate(count, per), burst), Instant::now(), &lateness);
        prop_assert!(most_in_a_window(&given, per) <= count as usize);
    }

    #[test]
    fn whoever_always_asks_gets_the_whole_rate(count in 1_u32..40, per_ms in 100_u64..5_000, burst in 1_u32..60) {
        let per = Duration::from_millis(per_ms);
        let start = Instant::now();
        let given = taken(&mut Policy::new(rate(count, per), burst), start, &vec![0; count as usize * 3 + 1]);
        let last = *given.last().unwrap();
        prop_assert!(last <= start + per * 3 + Duration::from_millis(1), "{:?}", last - start);
    }

    #[test]
    fn without_a_burst_permits_are_spaced(count in 1_u32..40, per_ms in 100_u64..5_000, lateness in prop::collection::vec(0_u64..400_000, 2..60)) {
        let per = Duration::from_millis(per_ms);
        let given = taken(&mut Policy::new(rate(count, per), 1), Instant::now(), &lateness);
        let slack = Duration::from_millis(2) + Duration::from_micros(400_000);
        for pair in given.windows(3) {
            // A late permit may be followed sooner, but never by more than its lateness and the timers' slack.
            prop_assert!(pair[2] - pair[0] + slack >= per / count * 2);
        }
    }

    #[test]
    fn another_rate_holds_from_the_moment_it_is_set(
        before in 1_u32..200, after in 1_u32..40, burst in 1_u32..40, asked in 0_usize..100,
    ) {
        let start = Instant::now();
        let mut policy = Policy::new(per_second(before), burst);
        let earlier = taken(&mut policy, start, &vec![0; asked]);
        let now = earlier.last().copied().unwrap_or(start);
        policy.set(per_second(after), burst);
        prop_assert!(policy.due(now) <= now + Duration::from_secs(1), "nobody is fined for the old rate");
        let later = taken(&mut policy, now, &vec![0; after as usize * 2]);
        prop_assert!(most_in_a_window(&later, Duration::from_secs(1)) <= after as usize);
    }
}

/// The rules of [`Policy`], asked one by one of everything that was ever given.
struct Slow {
    count: usize,
    per: Duration,
    burst: u32,
    given: Vec<Instant>,
}

impl Slow {
    fn allows(&self, at: Instant) -> bool {
        let spacing = Duration::from_nanos((self.per.as_nanos() as u64).div_ceil(self.count as u64));
        let paid = self.given.iter().fold(None, |paid: Option<Instant>, at| Some(paid.map_or(*at, |paid| paid.max(*at)) + spacing));
        let ahead = (spacing * (self.burst.min(self.count as u32) - 1)).max(Duration::from_millis(2));
        let window = self.given.iter().filter(|given| **given + self.per > at).count();
        window < self.count && paid.is_none_or(|paid| at + ahead >= paid)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn it_decides_as_the_slow_and_obvious_one_does(
        count in 1_u32..20, per_ms in 1_u64..3_000, burst in 1_u32..30, steps in prop::collection::vec(0_u64..200_000, 1..120),
    ) {
        let per = Duration::from_millis(per_ms);
        let mut policy = Policy::new(rate(count, per), burst);
        let mut slow = Slow { count: count as usize, per, burst, given: Vec::new() };
        let mut now = Instant::now();
        for step in steps {
            now += Duration::from_micros(step);
            let allowed = slow.allows(now);
            match policy.take(now) {
                Ok(()) => {
                    prop_assert!(allowed);
                    slow.given.push(now);
                }
                Err(due) => {
                    prop_assert!(!allowed);
                    prop_assert!(slow.allows(due), "what is due is given");
                    prop_assert!(!slow.allows(due - Duration::from_micros(1)) || due - now <= Duration::from_micros(1), "and not later than it must");
                }
            }
        }
        prop_assert_eq!(policy.permits(), slow.given.len() as u64);
    }
}

#[test]
fn a_burst_comes_at_once_and_only_once() {
    let start = Instant::now();
    let mut policy = Policy::new(per_second(10), 4);
    let given = taken(&mut policy, start, &[0; 10]);
    assert_eq!(given.iter().filter(|at| **at == start).count(), 4);
    assert_eq!(policy.due(start), start + Duration::from_secs(1), "ten were given: the window is full");
    assert!(given[4] > start + Duration::from_millis(90));
}

#[tokio::test(start_paused = true)]
async fn another_burst_is_in_force_at_once() {
    let limiter = limiter(per_second(10), 1);
    assert!(limiter.try_acquire() && !limiter.try_acquire());
    limiter.set_burst(3);
    assert!(limiter.try_acquire() && limiter.try_acquire() && !limiter.try_acquire());
}

#[test]
fn a_huge_rate_is_kept_in_little_memory_and_not_passed() {
    let start = Instant::now();
    let given = taken(&mut Policy::new(per_second(1_000_000), 5_000), start, &[0; 20_000]);
    assert!(given[19_999] - start >= Duration::from_millis(15), "20,000 at 1,000,000/s");
    assert!(given[19_999] - start <= Duration::from_millis(21));
}

#[tokio::test(start_paused = true)]
async fn permits_come_in_the_order_they_were_asked_for() {
    let limiter = limiter(per_second(10), 1);
    let start = Instant::now();
    let order = Arc::new(Mutex::new(Vec::new()));
    let waiters = (0..50).map(|number| {
        let (limiter, order) = (limiter.clone(), order.clone());
        async move {
            limiter.acquire(start + Duration::from_secs(60)).await.unwrap();
            order.lock().unwrap().push(number);
        }
    });
    join_all(waiters).await;
    assert_eq!(*order.lock().unwrap(), (0..50).collect::<Vec<_>>());
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(4_898) && took < Duration::from_millis(5_000), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_takes_no_permit_and_holds_nobody_up() {
    let limiter = limiter(per_second(1), 1);
    let start = Instant::now();
    assert!(limiter.try_acquire());
    let far = start + Duration::from_secs(60);
    let mut dropped = Box::pin(limiter.acquire(far));
    let mut next = Box::pin(limiter.acquire(far));
    assert!(dropped.as_mut().now_or_never().is_none());
    assert!(next.as_mut().now_or_never().is_none());
    assert_eq!(limiter.waiting(), 2);
    drop(dropped);
    assert_eq!(limiter.waiting(), 1);
    next.await.unwrap();
    assert!(start.elapsed() <= Duration::from_millis(1_001), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_is_late_is_told_at_the_deadline() {
    let limiter = limiter(rate(1, Duration::from_secs(3600)), 1);
    assert!(limiter.try_acquire());
    let start = Instant::now();
    let (patient, impatient) = tokio::join!(limiter.acquire(start + Duration::from_secs(4000)), async {
        let answer = limiter.acquire(start + Duration::from_secs(5)).await;
        (answer, start.elapsed())
    },);
    let (answer, after) = impatient;
    assert_eq!(answer.unwrap_err().to_string(), "no permit within the deadline");
    assert!(after >= Duration::from_secs(5) && after < Duration::from_millis(5_010), "{after:?}");
    patient.unwrap();
    assert!(limiter.acquire(Instant::now()).await.is_err(), "a deadline of now does not wait");
}

#[tokio::test(start_paused = true)]
async fn another_rate_reaches_those_who_wait() {
    let limiter = limiter(rate(1, Duration::from_secs(3600)), 1);
    assert!(limiter.try_acquire());
    let start = Instant::now();
    let mut waiting = Box::pin(limiter.acquire(start + Duration::from_secs(7200)));
    assert!(waiting.as_mut().now_or_never().is_none());
    advance(Duration::from_secs(10)).await;
    limiter.set_rate(per_second(2));
    assert_eq!(limiter.rate(), per_second(2));
    waiting.await.unwrap();
    assert!(start.elapsed() < Duration::from_millis(10_010), "the old permit is long paid for: {:?}", start.elapsed());

    limiter.set_rate(rate(1, Duration::from_secs(60)));
    let slowed = Instant::now();
    limiter.acquire(slowed + Duration::from_secs(120)).await.unwrap();
    assert!(slowed.elapsed() >= Duration::from_secs(59), "{:?}", slowed.elapsed());
}

#[tokio::test(start_paused = true)]
async fn nobody_jumps_the_line() {
    let limiter = limiter(per_second(1), 1);
    assert!(limiter.try_acquire());
    let mut waiting = Box::pin(limiter.acquire(Instant::now() + Duration::from_secs(60)));
    assert!(waiting.as_mut().now_or_never().is_none());
    // A permit is due now, but it is the waiter's.
    advance(Duration::from_secs(5)).await;
    let jumped = limiter.waiting() == 1 && limiter.try_acquire();
    assert!(!jumped);
    waiting.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_wait_on_one_task_and_cost_nothing_when_they_leave() {
    let limiter = limiter(rate(1, Duration::from_secs(3600)), 1);
    assert!(limiter.try_acquire());
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert_eq!(tasks(), 0, "a resting limiter has no task");
    let deadline = Instant::now() + Duration::from_secs(7200);
    let mut waiters: Vec<_> = (0..100_000).map(|_| Box::pin(limiter.acquire(deadline))).collect();
    let mut cx = Context::from_waker(Waker::noop());
    for waiter in &mut waiters {
        assert!(matches!(waiter.as_mut().poll(&mut cx), Poll::Pending));
    }
    assert_eq!((limiter.waiting(), tasks()), (100_000, 1));
    let last = waiters.pop().unwrap();
    drop(waiters);
    assert_eq!(limiter.waiting(), 1);
    last.await.unwrap();
    tokio::task::yield_now().await;
    assert_eq!(tasks(), 0, "nobody waits: the task is gone");
}

#[tokio::test(start_paused = true)]
async fn a_table_of_limiters_shows_them_and_changes_them_under_those_who_wait() {
    let spec = |rate: &str, line| {
        let origin = Origin { file: "cloner.toml".into(), line };
        Arc::new(LimiterSpec { name: "api".to_owned(), origin, rate: rate.parse().unwrap(), burst: 1 })
    };
    let clock = Clock::starting_at(jiff::Timestamp::UNIX_EPOCH);
    let limiters = Limiters::default();
    limiters.declare(vec![spec("1/h", 3)], clock);
    let api = limiters.get("api").unwrap();
    assert!(api.try_acquire());
    let mut waiting = Box::pin(api.acquire(Instant::now() + Duration::from_secs(60)));
    assert!(waiting.as_mut().now_or_never().is_none());
    let view = limiters.views().remove(0);
    assert_eq!((view.rate.as_str(), view.burst, view.waiting, view.permits, view.paused_until), ("1/h", 1, 1, 1, None));
    assert_eq!((view.file.as_str(), view.line), ("cloner.toml", 3));

    limiters.declare(vec![spec("2/s", 7)], clock);
    waiting.await.unwrap();
    api.throttled(Some(Duration::from_secs(30)));
    let view = limiters.views().remove(0);
    assert_eq!((view.rate.as_str(), view.line, view.permits, view.effective_per_second), ("2/s", 7, 2, 0.0));
    assert_eq!(view.paused_until, Some(clock.wall() + Duration::from_secs(30)));
    assert!(!limiters.set_rate("other", per_second(1)));
    limiters.declare(vec![], clock);
    assert!(limiters.views().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_limiter_declared_again_is_the_one_that_workers_still_hold() {
    let origin = Origin { file: "cloner.toml".into(), line: 1 };
    let spec = Arc::new(LimiterSpec { name: "api".to_owned(), origin, rate: "1/h".parse().unwrap(), burst: 1 });
    let clock = Clock::system();
    let limiters = Limiters::default();
    limiters.declare(vec![spec.clone()], clock);
    let held = limiters.get("api").unwrap();
    limiters.declare(vec![], clock);
    assert!(limiters.get("api").is_none(), "not declared: not shown");
    limiters.declare(vec![], clock);
    limiters.declare(vec![spec.clone()], clock);
    assert!(held.try_acquire());
    assert!(!limiters.get("api").unwrap().try_acquire(), "one rate for both");
    // In nobody's hands it is forgotten, with what it gave out.
    drop(held);
    limiters.declare(vec![], clock);
    limiters.declare(vec![spec], clock);
    assert!(limiters.get("api").unwrap().try_acquire());
}
