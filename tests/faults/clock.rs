//! The wall clock jumps an hour ahead, or back, in the middle of everything that waits for its time.
//!
//! While a host runs only time that passes counts: nothing early, nothing stalled. What the clock did while no host ran nobody saw:
//! then the wall clock decides.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
        mpsc,
    },
    time::Duration,
};

use bytes::Bytes;
use skep::{
    clock::Clock,
    facts::JobState,
    store::{Expect, Jobs, Kv, LeasedJob, NewJob, Outcome, Store, StoreSettings, Surroundings, Term},
};
use tempfile::TempDir;
use uuid::Uuid;

const HOUR_MS: i64 = 3_600_000;
const SECOND: Duration = Duration::from_secs(1);
/// What everything waits here.
const SPAN: Duration = Duration::from_secs(60);

struct Desk {
    store: Store,
    dir: TempDir,
    clock: Clock,
    ahead_ms: &'static AtomicI64,
    waiting: Waiting,
    /// While a blocking task runs, tokio's paused time does not move by itself.
    _still: mpsc::Sender<()>,
}

/// One of each kind.
#[derive(Default)]
struct Waiting {
    delayed: Uuid,
    retried: Uuid,
    leased: Uuid,
    kept: Uuid,
}

impl Desk {
    /// Everything begins to wait now.
    async fn new() -> Self {
        let (still, ended) = mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || ended.recv());
        let (dir, ahead_ms) = (TempDir::new().unwrap(), &*Box::leak(Box::<AtomicI64>::default()));
        let clock = Clock::jumping("2026-03-01T12:00:00Z".parse().unwrap(), ahead_ms);
        let mut desk = Self { store: open(dir.path(), clock), dir, clock, ahead_ms, waiting: Waiting::default(), _still: still };
        let retried = desk.push("retried", |_| {}).await;
        let held = desk.take("retried");
        desk.store.finish(held.id, held.attempt, Outcome::Retry { reason: "no".into(), after: Some(SPAN) }, Vec::new()).await.unwrap();
        let kept = desk.push("kept", |job| job.result_ttl = Some(SPAN)).await;
        let held = desk.take("kept");
        desk.store.finish(held.id, held.attempt, Outcome::Done(None), Vec::new()).await.unwrap();
        let leased = desk.push("leased", |_| {}).await;
        assert_eq!(desk.store.lease_for("leased", 1, &"outside".into(), SPAN).await.unwrap().len(), 1);
        let delayed = desk.push("delayed", |job| job.delay = SPAN).await;
        desk.store.set("box", "key", Bytes::from_static(b"1"), Some(SPAN), Expect::Anything).await.unwrap();
        desk.waiting = Waiting { delayed, retried, leased, kept };
        desk
    }

    async fn push(&self, queue: &str, change: impl FnOnce(&mut NewJob)) -> Uuid {
        let mut job = NewJob::new(queue.into(), Bytes::new(), "tests".into());
        change(&mut job);
        self.store.push(vec![job]).await.unwrap()[0].id
    }

    fn take(&self, queue: &str) -> LeasedJob {
        self.store.lease(queue, 1, &Arc::from("tests/1"), Term::Host).remove(0)
    }

    fn jump(&self, by_ms: i64) {
        self.ahead_ms.fetch_add(by_ms, Ordering::Relaxed);
    }

    async fn pass(&self, time: Duration) {
        tokio::time::advance(time).await;
        for _ in 0..4 {
            tokio::task::yield_now().await;
            self.store.flush().await.unwrap();
        }
    }

    async fn restart(&mut self) {
        self.store.close().await.unwrap();
        self.store = open(self.dir.path(), self.clock);
        self.pass(Duration::ZERO).await;
    }

    /// Delayed, retried, leased, the kept result and the key: which of them had their time.
    async fn fired(&self) -> [bool; 5] {
        let state = async |id| self.store.job(id).await.unwrap().map(|job| job.state);
        let Waiting { delayed, retried, leased, kept } = self.waiting;
        [
            state(delayed).await != Some(JobState::Delayed),
            state(retried).await != Some(JobState::Delayed),
            state(leased).await != Some(JobState::Running),
            state(kept).await.is_none(),
            self.store.get("box", "key").await.unwrap().is_none() && self.store.entries("box", "", None, 10).await.unwrap().is_empty(),
        ]
    }

    async fn nothing_fired(&self, when: &str) {
        assert_eq!(self.fired().await, [false; 5], "{when}: too early");
    }

    async fn all_fired(&self, when: &str) {
        assert_eq!(self.fired().await, [true; 5], "{when}: too late");
        for queue in ["delayed", "retried", "leased"] {
            assert_eq!(self.take(queue).queue.as_ref(), queue);
        }
    }
}

fn open(dir: &Path, clock: Clock) -> Store {
    let settings = StoreSettings { dir: dir.to_owned(), history_bytes: 1 << 20, history_days: 1 };
    Store::open_in(settings, Surroundings { clock, jitter: || 0.0 }).unwrap()
}

const JUMPS: [(&str, i64); 2] = [("an hour ahead", HOUR_MS), ("an hour back", -HOUR_MS)];

#[tokio::test(start_paused = true)]
async fn a_jump_of_the_wall_clock_moves_nothing_that_waits() {
    for (jump, by_ms) in JUMPS {
        let desk = Desk::new().await;
        desk.pass(SPAN / 2).await;
        desk.jump(by_ms);
        desk.pass(Duration::ZERO).await;
        desk.nothing_fired(jump).await;
        desk.pass(SPAN / 2 - SECOND).await;
        desk.nothing_fired(jump).await;
        // What is kept a while goes with others of its second.
        desk.pass(2 * SECOND).await;
        desk.all_fired(jump).await;
    }
}

#[tokio::test(start_paused = true)]
async fn there_and_back_again_moves_nothing_either() {
    let desk = Desk::new().await;
    for (_, by_ms) in JUMPS.into_iter().cycle().take(50) {
        desk.jump(by_ms);
        desk.pass(SECOND).await;
        // Whatever is written in between finds its place.
        desk.push("other", |_| {}).await;
    }
    desk.nothing_fired("there and back").await;
    desk.pass(11 * SECOND).await;
    desk.all_fired("there and back").await;
}

#[tokio::test(start_paused = true)]
async fn a_jump_that_a_host_saw_counts_after_its_restart_too() {
    for (jump, by_ms) in JUMPS {
        for write in [false, true] {
            let mut desk = Desk::new().await;
            desk.pass(SPAN / 2).await;
            desk.jump(by_ms);
            // Any write sees it.
            if write {
                desk.store.set("box", "other", Bytes::new(), Some(SECOND), Expect::Anything).await.unwrap();
            } else {
                desk.push("other", |_| {}).await;
            }
            desk.restart().await;
            desk.nothing_fired(jump).await;
            desk.pass(SPAN / 2 - SECOND).await;
            desk.nothing_fired(jump).await;
            desk.pass(2 * SECOND).await;
            desk.all_fired(jump).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_jump_that_nobody_saw_wall_time_decides() {
    let mut desk = Desk::new().await;
    desk.store.close().await.unwrap();
    desk.jump(HOUR_MS);
    desk.restart().await;
    desk.all_fired("an hour later, by the wall clock").await;

    let mut desk = Desk::new().await;
    desk.store.close().await.unwrap();
    desk.jump(-HOUR_MS);
    desk.restart().await;
    desk.pass(SPAN).await;
    desk.nothing_fired("the wall clock says an hour before").await;
    desk.pass(3_601 * SECOND).await;
    desk.all_fired("it stalls no longer than the clock says").await;
}
