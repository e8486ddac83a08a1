//! The queue as a guest meets it: bounds, whose job it is, pushes that wait for the acknowledgement.

use std::time::Duration;

use skep::{
    capability::{
        bindings::skep::worker::queue::{self as wit, Host as _, JobState as State, PushOptions},
        scope::Scope,
    },
    facts::JobState,
    store::{MAX_PAYLOAD_BYTES, StoreError},
};
use uuid::Uuid;

use super::{
    fakes::{World, grants},
    says,
};

fn plain() -> PushOptions {
    PushOptions {
        delay_ms: None,
        priority: None,
        unique_key: None,
        max_attempts: None,
        backoff_ms: None,
        result_ttl_ms: None,
        on_ack: false,
    }
}

fn on_ack() -> PushOptions {
    PushOptions { on_ack: true, ..plain() }
}

fn pusher(world: &World, name: &str) -> Scope {
    world.worker(name, grants("{ queue = { push = [\"todo\"] } }"))
}

#[tokio::test]
async fn a_push_carries_all_it_was_told_and_says_who_pushed() {
    let world = World::new();
    let options = PushOptions {
        delay_ms: Some(1_500),
        priority: Some(-3),
        unique_key: Some("k".into()),
        max_attempts: Some(2),
        backoff_ms: Some(10),
        result_ttl_ms: Some(20),
        on_ack: false,
    };
    let id = pusher(&world, "pinger/nas").push("todo".into(), b"x".to_vec(), options).await.unwrap();
    let pushed = world.jobs.pushed.lock().unwrap();
    let job = &pushed[0];
    assert_eq!((job.id.to_string(), &*job.queue, &job.payload[..], &*job.pushed_by), (id, "todo", &b"x"[..], "pinger/nas"));
    assert_eq!((job.delay, job.priority, job.unique_key.as_deref()), (Duration::from_millis(1_500), -3, Some("k")));
    assert_eq!(
        (job.max_attempts, job.backoff, job.result_ttl),
        (Some(2), Some(Duration::from_millis(10)), Some(Duration::from_millis(20)))
    );
}

#[tokio::test]
async fn a_push_out_of_bounds_is_refused_with_the_bound_and_pushes_nothing() {
    let world = World::new();
    let mut a = pusher(&world, "a");
    let mut push = async |queue: &str, payload: Vec<u8>, options| a.push(queue.into(), payload, options).await;
    says(push("other", vec![], plain()).await, "denied", "add \"other\" to grants.queue.push");
    says(push("No Queue", vec![], plain()).await, "invalid", "names no queue");
    says(push("todo", vec![0; MAX_PAYLOAD_BYTES + 1], plain()).await, "too-large", "at most 1048576 (1 MiB)");
    let year = 367 * 86_400_000;
    says(push("todo", vec![], PushOptions { delay_ms: Some(year), ..plain() }).await, "invalid", "delay-ms is more than 366 days");
    says(push("todo", vec![], PushOptions { backoff_ms: Some(u64::MAX), ..plain() }).await, "invalid", "backoff-ms");
    says(push("todo", vec![], PushOptions { result_ttl_ms: Some(year), ..plain() }).await, "invalid", "result-ttl-ms");
    says(push("todo", vec![], PushOptions { max_attempts: Some(0), ..plain() }).await, "invalid", "from 1 to 1000");
    says(push("todo", vec![], PushOptions { unique_key: Some(String::new()), ..plain() }).await, "invalid", "unique key is empty");
    says(push("todo", vec![], PushOptions { unique_key: Some("k".repeat(256)), ..plain() }).await, "too-large", "at most 255");
    says(push("todo", vec![], on_ack()).await, "invalid", "no job in hand");
    let mut many = async |payloads, options| a.push_many("todo".into(), payloads, options).await;
    says(many(vec![vec![]; 1_001], plain()).await, "too-large", "at most 1000");
    says(many(vec![vec![0; 1 << 20]; 17], plain()).await, "too-large", "(16 MiB)");
    let unique = PushOptions { unique_key: Some("k".into()), ..plain() };
    says(many(vec![vec![]; 2], unique).await, "invalid", "one payload");
    assert_eq!(many(vec![], plain()).await.unwrap(), Vec::<String>::new());
    assert!(world.jobs.pushed.lock().unwrap().is_empty());
    assert_eq!(many(vec![vec![1]; 1_000], plain()).await.unwrap().len(), 1_000);
}

#[tokio::test]
async fn another_workers_job_is_not_found_whatever_is_asked_of_it() {
    let world = World::new();
    let id = pusher(&world, "pinger/nas").push("todo".into(), b"x".to_vec(), plain()).await.unwrap();
    for other in ["pinger", "pinger/tv", "a"] {
        let mut other = pusher(&world, other);
        let unknown = Uuid::now_v7().to_string();
        let (real, made_up) = (other.status(id.clone()).await, other.status(unknown.clone()).await);
        let (real, made_up) = (super::no(real).1, super::no(made_up).1);
        assert_eq!(real.replace(&id, ""), made_up.replace(&unknown, ""), "the two can't be told apart");
        says(other.outcome(id.clone()).await, "not-found", "no job");
        says(other.wait(id.clone(), u64::MAX).await, "not-found", "no job");
        says(other.cancel(id.clone()).await, "not-found", "no job");
    }
    let mut own = pusher(&world, "pinger/nas");
    assert_eq!(own.status(id.clone()).await.unwrap().state, State::Waiting);
    assert!(own.cancel(id.clone()).await.unwrap());
    assert!(!own.cancel(id.clone()).await.unwrap());
    assert_eq!(own.wait(id, 0).await.unwrap().state, State::Cancelled);
    says(own.status("17".into()).await, "invalid", "\"17\" is no job's id");
}

#[tokio::test]
async fn a_result_comes_back_byte_for_byte() {
    let world = World::new();
    let mut a = pusher(&world, "a");
    let id = a.push("todo".into(), vec![], plain()).await.unwrap();
    assert_eq!(a.outcome(id.clone()).await.unwrap(), None);
    for bytes in [&b"plain"[..], &[0xff, 0, 7], b""] {
        world.jobs.set(&id, JobState::Done, Some(bytes));
        assert_eq!(a.outcome(id.clone()).await.unwrap().as_deref(), Some(bytes));
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_its_deadline_and_after_an_hour_at_the_latest() {
    let world = World::new();
    let mut a = pusher(&world, "a");
    let id = a.push("todo".into(), vec![], plain()).await.unwrap();
    let start = world.clock.now();
    says(a.wait(id.clone(), 250).await, "timeout", "is not over within 250ms");
    assert_eq!(world.clock.now() - start, Duration::from_millis(250));
    says(a.wait(id, u64::MAX).await, "timeout", "within 1h");
}

#[tokio::test]
async fn pushes_on_ack_wait_for_the_job_in_hand_and_go_with_no_other() {
    let world = World::new();
    let mut a = pusher(&world, "a");
    let job = Some((Uuid::now_v7(), 1));
    a.begin(2, None, job);
    let one = a.push("todo".into(), b"one".to_vec(), on_ack()).await.unwrap();
    let two = a.push_many("todo".into(), vec![b"two".to_vec(), b"three".to_vec()], on_ack()).await.unwrap();
    let now = a.push("todo".into(), b"now".to_vec(), plain()).await.unwrap();
    says(a.status(one.clone()).await, "not-found", "no job");
    assert_eq!(world.jobs.pushed.lock().unwrap().iter().map(|job| job.id.to_string()).collect::<Vec<_>>(), [now]);
    let kept = a.take_pushes();
    assert_eq!(kept.iter().map(|job| job.id.to_string()).collect::<Vec<_>>(), [vec![one], two].concat());
    assert_eq!(kept.iter().map(|job| &job.payload[..]).collect::<Vec<_>>(), [&b"one"[..], b"two", b"three"]);
    says(a.push("todo".into(), vec![], on_ack()).await, "invalid", "no job in hand");

    // What a trap left behind is not the next job's.
    a.begin(3, None, job);
    a.push("todo".into(), vec![], on_ack()).await.unwrap();
    a.begin(4, None, job);
    assert!(a.take_pushes().is_empty());
}

#[tokio::test]
async fn pushes_on_ack_are_bounded_an_event_and_a_refused_one_adds_nothing() {
    let world = World::new();
    let mut a = pusher(&world, "a");
    a.begin(2, None, Some((Uuid::now_v7(), 1)));
    a.push_many("todo".into(), vec![vec![]; 999], on_ack()).await.unwrap();
    says(a.push_many("todo".into(), vec![vec![]; 2], on_ack()).await, "too-large", "one event takes at most 1000");
    a.push("todo".into(), vec![], on_ack()).await.unwrap();
    assert_eq!(a.take_pushes().len(), 1_000);
    a.begin(3, None, Some((Uuid::now_v7(), 1)));
    a.push_many("todo".into(), vec![vec![0; 1 << 20]; 16], on_ack()).await.unwrap();
    says(a.push("todo".into(), vec![0], on_ack()).await, "too-large", "(16 MiB)");
    assert_eq!(a.take_pushes().len(), 16);
}

#[tokio::test]
async fn progress_is_of_the_job_in_hand_while_it_is_held() {
    let world = World::new();
    let mut a = pusher(&world, "a");
    says(a.progress("half".into()).await, "invalid", "no job in hand");
    let id = a.push("todo".into(), vec![], plain()).await.unwrap();
    world.jobs.set(&id, JobState::Running, None);
    a.begin(2, None, Some((id.parse().unwrap(), 1)));
    says(a.progress("x".repeat(1_025)).await, "too-large", "at most 1024");
    a.progress("half".into()).await.unwrap();
    assert_eq!(a.status(id.clone()).await.unwrap().progress.as_deref(), Some("half"));
    world.jobs.set(&id, JobState::Cancelled, None);
    says(a.progress("more".into()).await, "conflict", "stop working on it");
}

#[tokio::test]
async fn what_the_store_says_no_to_is_told_without_the_hosts_paths() {
    let world = World::new();
    let mut a = pusher(&world, "a");
    *world.jobs.fault.lock().unwrap() = Some(StoreError::Closed);
    says(wit::Host::push(&mut a, "todo".into(), vec![], plain()).await, "unavailable", "the host is stopping");
    *world.jobs.fault.lock().unwrap() = Some(StoreError::Full("write /srv/data/control.db: no room".into()));
    let (case, sentence) = super::no(a.push("todo".into(), vec![], plain()).await);
    assert!(case == "unavailable" && sentence.contains("disk is full") && !sentence.contains("/srv"), "{sentence}");
    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
    *world.jobs.fault.lock().unwrap() = Some(StoreError::Io { what: "can't write /srv/data/control.db".into(), source: full });
    let (case, sentence) = super::no(a.push("todo".into(), vec![], plain()).await);
    assert_eq!(case, "unavailable");
    assert!(sentence.contains("no storage space") && !sentence.contains("/srv"), "{sentence}");
}
