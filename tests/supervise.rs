//! Supervision in one process, on real engines with real guests: what is queued is answered or refused, nobody hangs, and an end
//! counts against what ended.

mod cache;
mod cell;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::future::join_all;
use skep::{
    facts::{TrapRecord, WorkerState, WorkerView},
    supervise::{Act, Deployment, SuperviseError, Ticked},
    trigger::schedule::{First, Scheduler},
    worker::Engines,
};
use tokio::time::Instant;

use crate::bench::{Bench, workers};

/// One pair of engines for all tests here: their pools are mapped as long as the process lives.
pub fn engines() -> Arc<Engines> {
    static ENGINES: OnceLock<Arc<Engines>> = OnceLock::new();
    ENGINES.get_or_init(|| Arc::new(Engines::new(1_000).unwrap())).clone()
}

const LONG: Duration = Duration::from_secs(60);

fn worker(name: &str, component: &str, more: &str) -> String {
    format!("[[worker]]\nname = \"{name}\"\ncomponent = \"{component}.wasm\"\n{more}\n")
}

/// Waits until a worker satisfies `holds`; supervision tells of every change.
async fn when(bench: &Bench, name: &str, holds: impl Fn(&WorkerView) -> bool) -> WorkerView {
    let mut changed = bench.supervisor.changed();
    let waiting = async {
        loop {
            let view = bench.supervisor.view(name).unwrap();
            if holds(&view) {
                return view;
            }
            changed.changed().await.unwrap();
        }
    };
    match tokio::time::timeout(LONG, waiting).await {
        Ok(view) => view,
        Err(_) => panic!("gave up: {:#?}", bench.supervisor.view(name)),
    }
}

async fn started(text: &str) -> Bench {
    let bench = Bench::on(engines()).await;
    bench.run(text).await;
    for spec in workers(text) {
        when(&bench, &spec.name, |view| view.state == WorkerState::Running).await;
    }
    bench
}

fn call(
    bench: &Bench,
    name: &'static str,
    method: &'static str,
    payload: &'static str,
    deadline: Duration,
) -> tokio::task::JoinHandle<Result<skep::worker::Answer, SuperviseError>> {
    let supervisor = bench.supervisor.clone();
    tokio::spawn(async move { supervisor.call(name, None, method.into(), payload.into(), deadline).await })
}

/// Until the worker's one replica is with an event.
async fn busy(bench: &Bench, name: &str) {
    let start = Instant::now();
    while !bench.supervisor.members(name).unwrap()[0].busy {
        assert!(start.elapsed() < LONG, "{name} is never busy");
        tokio::task::yield_now().await;
    }
}

async fn trap(bench: &Bench, name: &str) -> TrapRecord {
    let start = Instant::now();
    loop {
        bench.store.flush().await.unwrap();
        if let Some(trap) = bench.store.traps(Some(name.into()), 1).await.unwrap().into_iter().next() {
            return trap;
        }
        assert!(start.elapsed() < LONG, "no trap record");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_behind_a_drain_is_told_at_once_in_both_modes() {
    for mode in ["resident", "per-event"] {
        let bench = started(&worker("w", "spin", &format!("instance = \"{mode}\"\nschedule = {{ every = \"1h\" }}"))).await;
        let running = call(&bench, "w", "wait", "300", LONG);
        busy(&bench, "w").await;
        let waiting: Vec<_> = (0..5).map(|_| call(&bench, "w", "ok", "", LONG)).collect();
        assert_eq!(bench.supervisor.tick("w", Instant::now(), bench.clock.wall()), Ticked::Sent);
        if mode == "resident" {
            // All are queued once one more is: a mailbox keeps the order.
            assert!(matches!(call(&bench, "w", "ok", "", Duration::from_millis(1)).await.unwrap(), Err(SuperviseError::Timeout)));
        }
        bench.supervisor.act("w", Act::Drain).unwrap();
        assert!(running.await.unwrap().is_ok(), "{mode}: the event in flight finishes");
        for answer in join_all(waiting).await {
            assert!(matches!(answer.unwrap(), Err(SuperviseError::Refused(_)) | Ok(_)), "{mode}: answered or refused");
        }
        let view = when(&bench, "w", |view| view.state == WorkerState::Stopped).await;
        // Per event there is room for it at once.
        let skipped = u64::from(mode == "resident");
        assert_eq!(view.schedule.unwrap().missed, skipped, "{mode}: a tick that was queued is skipped, so it is counted");
        bench.supervisor.act("w", Act::Restart).unwrap();
        assert!(bench.supervisor.call("w", None, "ok".into(), Vec::new(), LONG).await.unwrap().is_ok());
        assert_eq!(bench.supervisor.tick("w", Instant::now(), bench.clock.wall()), Ticked::Sent, "{mode}: free for its next tick");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_asked_for_while_draining_runs_it_again() {
    let bench = started(&worker("w", "spin", "")).await;
    let running = call(&bench, "w", "wait", "200", LONG);
    busy(&bench, "w").await;
    bench.supervisor.act("w", Act::Drain).unwrap();
    assert!(bench.supervisor.why("w").unwrap().remedy.contains("skep restart w"));
    bench.supervisor.act("w", Act::Restart).unwrap();
    assert!(running.await.unwrap().is_ok());
    when(&bench, "w", |view| view.state == WorkerState::Running).await;
    assert!(bench.supervisor.call("w", None, "ok".into(), Vec::new(), LONG).await.unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_gave_up_make_room_and_a_mailbox_has_bounds() {
    let bench = started(&worker("w", "spin", "")).await;
    let running = call(&bench, "w", "wait", "1000", LONG);
    busy(&bench, "w").await;
    let gone: Vec<_> = (0..1_100).map(|_| call(&bench, "w", "ok", "", Duration::from_millis(1))).collect();
    join_all(gone).await;
    let supervisor = &bench.supervisor;
    let large = vec![b' '; 1 << 20];
    let large = (0..20).map(|_| supervisor.call("w", None, "ok".into(), large.clone(), Duration::from_millis(20)));
    let full = join_all(large).await.into_iter().filter(|answer| matches!(answer, Err(SuperviseError::Refused(_)))).count();
    assert!((4..=5).contains(&full), "16 MiB wait at most, {full} of 20 MiB were refused");
    assert!(bench.supervisor.call("w", None, "ok".into(), Vec::new(), LONG).await.unwrap().is_ok(), "room for whoever still waits");
    assert!(running.await.unwrap().is_ok(), "a caller that gave up ends no running call");
    let long = bench.supervisor.call("w", None, "m".repeat(10_000), Vec::new(), LONG).await;
    assert!(matches!(long, Err(SuperviseError::TooLarge(_))), "{long:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ticks_refused_while_down_are_told_to_the_next_one() {
    let more = "instance = \"resident\"\nschedule = { every = \"1h\" }\nconfig = { mode = \"panic\" }\nrestart = { intensity = 0 }";
    let bench = started(&worker("w", "crash", more)).await;
    assert!(bench.supervisor.call("w", None, "unreachable".into(), Vec::new(), LONG).await.is_err());
    when(&bench, "w", |view| view.state == WorkerState::Quarantined).await;
    let first = trap(&bench, "w").await;
    for _ in 0..5 {
        assert_eq!(bench.supervisor.tick("w", Instant::now(), bench.clock.wall()), Ticked::Skipped);
    }
    bench.supervisor.act("w", Act::Restart).unwrap();
    when(&bench, "w", |view| view.state == WorkerState::Running).await;
    assert_eq!(bench.supervisor.tick("w", Instant::now(), bench.clock.wall()), Ticked::Sent);
    when(&bench, "w", |view| view.events.trapped == 2).await;
    let start = Instant::now();
    let record = loop {
        match trap(&bench, "w").await {
            record if record.id != first.id => break record,
            _ => assert!(start.elapsed() < LONG),
        }
    };
    assert!(record.input.contains("\"missed\":5") && record.input.contains("\"sequence\":1"), "{}", record.input);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_the_old_is_not_held_against_the_new() {
    let more = "limits = { timeout = \"1s\" }\nrestart = { intensity = 0 }";
    let bench = started(&worker("w", "spin", more)).await;
    let component = bench.component("echo").await;
    let mut facts = bench.supervisor.facts();
    let before = bench.supervisor.view("w").unwrap();
    let looping = call(&bench, "w", "spin", "", LONG);
    busy(&bench, "w").await;
    let spec = workers(&worker("w", "echo", "")).remove(0);
    let digest = component.digest.clone();
    bench.supervisor.update(Deployment { spec, component, held_back: None }, bench.http.closed("w"));
    assert!(matches!(looping.await.unwrap(), Err(SuperviseError::Overran(_))));
    let after = when(&bench, "w", |view| view.state == WorkerState::Running && view.incarnation > before.incarnation).await;
    assert_eq!((after.digest.as_ref(), after.restarts), (Some(&digest), 0));
    assert!(facts.try_recv().is_err(), "nobody is told that the new component crashed: it would be rolled back");
    assert!(bench.supervisor.call("w", None, "echo".into(), vec![7], LONG).await.unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_of_the_hosts_takes_no_worker_along() {
    let bench = started(&worker("w", "crash", "config = { message = \"x\" }")).await;
    // A host call that panics, which none should.
    let once = std::sync::atomic::AtomicBool::new(true);
    bench.journal.mask_with(Arc::new(move |text| {
        let hit = text.contains("mode Ok") && once.swap(false, std::sync::atomic::Ordering::SeqCst);
        assert!(!hit, "a fault of the host's, on purpose");
        text.to_owned()
    }));
    let answer = bench.supervisor.call("w", None, "ok".into(), Vec::new(), LONG).await;
    assert!(matches!(answer, Err(SuperviseError::Refused(_))), "the caller is told: {answer:?}");
    let failed = when(&bench, "w", |view| view.state == WorkerState::Failed).await;
    assert!(failed.last_error.unwrap().contains("host's log"));
    when(&bench, "w", |view| view.state == WorkerState::Running).await;
    assert!(bench.supervisor.call("w", None, "ok".into(), Vec::new(), LONG).await.unwrap().is_ok(), "it comes back by itself");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removed_scaled_and_replaced_under_load_everybody_gets_an_answer() {
    let bench = started(&worker("w", "echo", "replicas = 4")).await;
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let supervisor = bench.supervisor.clone();
            tokio::spawn(async move {
                for _ in 0..300 {
                    match supervisor.call("w", None, "echo".into(), vec![1], LONG).await {
                        Ok(answer) => assert_eq!(answer, Ok(vec![1])),
                        Err(SuperviseError::Timeout) => panic!("a call hung"),
                        Err(_) => tokio::task::yield_now().await,
                    }
                }
            })
        })
        .collect();
    for turn in 0..60 {
        let component = bench.component("echo").await;
        let spec = workers(&worker("w", "echo", &format!("replicas = {}\nconfig = {{ turn = {turn} }}", turn % 5 + 1))).remove(0);
        let deployment = Deployment { spec, component, held_back: None };
        match turn % 4 {
            0 => bench.supervisor.update(deployment, bench.http.closed("w")),
            1 => bench.supervisor.amend(deployment),
            2 => bench.supervisor.act("w", if turn % 8 == 2 { Act::Drain } else { Act::Restart }).unwrap(),
            _ => {
                bench.supervisor.remove("w");
                bench.supervisor.create(deployment, bench.http.closed("w"));
            }
        }
        tokio::task::yield_now().await;
    }
    for caller in callers {
        caller.await.unwrap();
    }
    bench.supervisor.act("w", Act::Restart).unwrap();
    when(&bench, "w", |view| view.state == WorkerState::Running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_waits_for_events_in_flight_and_starts_nothing_again() {
    let text: String = (0..500).map(|n| worker(&format!("w-{n}"), "echo", "")).collect::<String>() + &worker("slow", "spin", "");
    let bench = started(&text).await;
    let running = call(&bench, "slow", "wait", "300", LONG);
    busy(&bench, "slow").await;
    assert_eq!(bench.supervisor.drain(Duration::from_millis(20)).await, 1, "one is still busy");
    assert_eq!(bench.supervisor.drain(LONG).await, 0);
    assert!(running.await.unwrap().is_ok());
    assert!(matches!(bench.supervisor.act("slow", Act::Restart), Err(SuperviseError::Refused(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirming_tick_that_was_brought_forward_comes_once() {
    let bench = started(&worker("w", "echo", "schedule = { every = \"1h\" }")).await;
    let scheduler = Scheduler::start(bench.supervisor.clone(), bench.clock);
    let spec = bench.supervisor.spec("w").unwrap();
    scheduler.set("w".into(), spec.run.schedule.clone().unwrap(), First::Now);
    when(&bench, "w", |view| view.events.ok == 1).await;
    let ms = Duration::from_millis;
    scheduler.extra("w".into(), ms(150));
    scheduler.extra("w".into(), ms(100));
    when(&bench, "w", |view| view.events.ok == 2).await;
    scheduler.extra("w".into(), ms(200));
    let view = when(&bench, "w", |view| view.events.ok >= 3).await;
    let since = view.schedule.unwrap();
    assert_eq!(since.missed, 0);
    // The last one was armed for long after the stale one: had that fired, this would be the stale one's doing.
    scheduler.extra("w".into(), ms(1));
    let view = when(&bench, "w", |view| view.events.ok >= 4).await;
    assert_eq!(view.events.ok, 4);
}
