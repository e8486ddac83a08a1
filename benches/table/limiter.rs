//! Rows of the limiter: what it gives against its promise (never over the rate in any sliding window, within 1 % of it), how soon
//! another rate is in force, and what 100,000 who wait cost.

use std::time::Duration;

use futures_util::FutureExt;
use skep::{clock::Clock, limiter::Limiter, manifest::spec::Rate};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    Row,
    inside::{micros, runtime},
    support::{percentile, status_kib},
};

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

async fn promise() -> Vec<Row> {
    let (mut over, mut shares) = (0, Vec::new());
    for rate in [Rate { count: 30, per: Duration::from_secs(5) }, per_second(100), per_second(1_000), per_second(10_000)] {
        let (given, share) = given(rate).await;
        over += violations(&given, rate);
        shares.push(share);
    }
    let percents: Vec<_> = shares.iter().map(|share| format!("{:.2}", share * 100.0)).collect();
    vec![
        Row::new(
            "limiter, sliding windows over the rate; 64 callers at 30/5s, 100/s, 1,000/s and 10,000/s",
            over.to_string(),
            "0",
            over == 0,
        ),
        Row::new(
            "… percent of the rate given, each of these",
            percents.join(", "),
            "99 to 100",
            // Permits in a finite stretch: the one at its edge may make it a hair more.
            shares.iter().all(|share| (0.99..=1.001).contains(share)),
        ),
    ]
}

/// From `set_rate` to the permit of one who waits.
async fn changes() -> Row {
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
    let (p50, p99) = (percentile(&mut took, 0.5), percentile(&mut took, 0.99));
    let reached = format!("{}, {}", micros(p50), micros(p99));
    Row::new("… set-rate to the permit of one who waits, p50, p99", reached, "1 ms", p99 <= Duration::from_millis(1))
}

async fn crowd() -> Row {
    let limiter = Limiter::new(Rate { count: 1, per: Duration::from_secs(86_400) }, 1, Clock::system());
    assert!(limiter.try_acquire());
    let deadline = far();
    // What a caller brings along (its future) is not the limiter's: it is there before.
    let mut waiters: Vec<_> = (0..WAITERS).map(|_| Box::pin(limiter.acquire(deadline))).collect();
    let resident = || status_kib(std::process::id(), "VmRSS:");
    let (before, start) = (resident(), Instant::now());
    for waiter in &mut waiters {
        assert!(waiter.now_or_never().is_none());
    }
    let entered = start.elapsed();
    let bytes = (resident() - before) as f64 * 1024.0 / WAITERS as f64;
    let waiting = limiter.waiting();

    let start = Instant::now();
    limiter.set_rate(Rate { count: 1_000_000, per: Duration::from_micros(1) });
    for waiter in waiters {
        waiter.await.unwrap();
    }
    let each = |time: Duration| time.as_secs_f64() * 1e6 / WAITERS as f64;
    Row::new(
        "… waiting at once (to enter, to be served, each)",
        format!("{waiting} ({:.2} µs, {:.2} µs, {bytes:.0} B)", each(entered), each(start.elapsed())),
        "100,000",
        waiting == WAITERS,
    )
}

pub fn limiter() -> Vec<Row> {
    let runtime = runtime();
    // On a worker thread, as in a host; one after the other.
    let measured = runtime.spawn(async {
        let (crowd, changes) = (crowd().await, changes().await);
        let mut rows = promise().await;
        rows.extend([changes, crowd]);
        rows
    });
    runtime.block_on(measured).unwrap()
}
