//! The limiter under load: permits against the promise (never over the rate in any sliding window, within 1 % of it), how soon another
//! rate is in force, and what 100,000 who wait cost. Unit: as each line says; command: `cargo bench --bench limiter`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a bench that can't go on fails; it measures real time"
)]

use std::time::Duration;

use futures_util::FutureExt;
use skep::{clock::Clock, limiter::Limiter, manifest::spec::Rate};
use tokio::{task::JoinSet, time::Instant};

/// How many ask for permits at once.
const CALLERS: usize = 64;
const WINDOWS: u32 = 3;
const WAITERS: usize = 100_000;
const CHANGES: usize = 500;

fn per_second(count: u32) -> Rate {
    Rate { count, per: Duration::from_secs(1) }
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

/// Permits that `CALLERS` get in `WINDOWS` windows, as they saw them, and the share of the rate that is.
async fn given(rate: Rate) -> (Vec<Instant>, f64) {
    let limiter = Limiter::new(rate, 1, Clock::system());
    // The first permit is free: time counts from it.
    limiter.acquire(far()).await.unwrap();
    let start = Instant::now();
    let end = start + rate.per * WINDOWS;
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let limiter = limiter.clone();
        callers.spawn(async move {
            let mut mine = Vec::new();
            while limiter.acquire(end).await.is_ok() {
                mine.push(Instant::now());
            }
            mine
        });
    }
    let mut all: Vec<Instant> = callers.join_all().await.into_iter().flatten().collect();
    all.sort_unstable();
    let due = (all[all.len() - 1] - start).as_secs_f64() / rate.per.as_secs_f64() * f64::from(rate.count);
    let share = all.len() as f64 / due;
    (all, share)
}

/// Sliding windows with more permits than the rate: of any `count + 1` in a row, the last is at least `per` after the first. A caller is
/// told a little after its permit was given, some later than others: a hundredth of the window is theirs.
fn violations(given: &[Instant], rate: Rate) -> usize {
    let told = rate.per / 100;
    given.windows(rate.count as usize + 1).filter(|run| run[rate.count as usize] - run[0] + told < rate.per).count()
}

async fn promise() {
    for rate in [Rate { count: 30, per: Duration::from_secs(5) }, per_second(100), per_second(1_000), per_second(10_000)] {
        let (given, share) = given(rate).await;
        println!(
            "rate {rate}, {CALLERS} callers: {} permits in {WINDOWS} windows, {:.2} % of the rate; windows over it: {}",
            given.len(),
            share * 100.0,
            violations(&given, rate)
        );
    }
}

/// From `set_rate` to the permit of one who waits.
async fn changes() {
    let daily = Rate { count: 1, per: Duration::from_secs(86_400) };
    let limiter = Limiter::new(daily, 1, Clock::system());
    assert!(limiter.try_acquire());
    let mut took = Vec::with_capacity(CHANGES);
    for _ in 0..CHANGES {
        let waiting = limiter.clone();
        let waiter = tokio::spawn(async move { waiting.acquire(far()).await.map(|()| Instant::now()) });
        // Long enough for the driver to sleep.
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert_eq!(limiter.waiting(), 1);
        let start = Instant::now();
        limiter.set_rate(per_second(1_000_000));
        took.push(waiter.await.unwrap().unwrap() - start);
        limiter.set_rate(daily);
    }
    took.sort_unstable();
    println!("set-rate to the permit of one who waits: p50 {:?}, p99 {:?}", took[CHANGES / 2], took[CHANGES * 99 / 100]);
}

async fn crowd() {
    let limiter = Limiter::new(Rate { count: 1, per: Duration::from_secs(86_400) }, 1, Clock::system());
    assert!(limiter.try_acquire());
    let deadline = far();
    // What a caller brings along (its future) is not the limiter's: it is there before.
    let mut waiters: Vec<_> = (0..WAITERS).map(|_| Box::pin(limiter.acquire(deadline))).collect();
    let before = resident_kib();
    let start = Instant::now();
    for waiter in &mut waiters {
        assert!(waiter.now_or_never().is_none());
    }
    let entered = start.elapsed();
    let bytes = (resident_kib() - before) as f64 * 1024.0 / WAITERS as f64;
    assert_eq!(limiter.waiting(), WAITERS);

    let start = Instant::now();
    limiter.set_rate(Rate { count: 1_000_000, per: Duration::from_micros(1) });
    for waiter in waiters {
        waiter.await.unwrap();
    }
    let served = start.elapsed();
    println!(
        "{WAITERS} waiters: {:.2} µs to enter each, {bytes:.0} B each, {:.2} µs to serve each",
        entered.as_secs_f64() * 1e6 / WAITERS as f64,
        served.as_secs_f64() * 1e6 / WAITERS as f64
    );
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    // On a worker thread, as in a host; one after the other.
    let measured = runtime.spawn(async {
        crowd().await;
        changes().await;
        promise().await;
    });
    runtime.block_on(measured).unwrap();
}
