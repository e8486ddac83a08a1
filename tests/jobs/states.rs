//! Delays, retries, keys, times to live, cancel, retry, purge, listings.

use std::time::Duration;

use skep::{
    facts::{JobState, JobView},
    store::{Finished, JobFilter, Jobs, Outcome, QueueSettings},
};

use super::{Desk, SECOND, again, done, holder, job, job_for, text};

fn names(jobs: &[JobView]) -> Vec<String> {
    jobs.iter().map(|job| serde_json::to_value(&job.payload).unwrap()["text"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn higher_priority_first_then_the_oldest() {
    let mut desk = Desk::new();
    for (payload, priority) in [("c", 0), ("e", -5), ("a", i32::MAX), ("d", 0), ("b", 7), ("f", i32::MIN)] {
        let mut job = job(payload);
        job.priority = priority;
        desk.add(job).await;
    }
    let listed = desk.jobs(JobFilter { queue: Some("todo".into()), limit: 10, ..JobFilter::default() }, true).await.unwrap();
    assert_eq!(names(&listed), ["a", "b", "c", "d", "e", "f"]);
    for (turn, expected) in ["a", "b", "c", "d", "e", "f"].into_iter().enumerate() {
        if turn == 3 {
            desk.restart().await;
            // What ran waits again, in its old place.
            for before in ["a", "b", "c"] {
                assert_eq!(text(&desk.next("todo").await.unwrap()), before);
            }
        }
        assert_eq!(text(&desk.next("todo").await.unwrap()), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_delayed_job_is_due_on_the_dot_and_a_restart_keeps_its_time() {
    let mut desk = Desk::new();
    for (payload, seconds) in [("late", 60), ("soon", 10)] {
        let mut job = job(payload);
        job.delay = seconds * SECOND;
        desk.add(job).await;
    }
    let mut ready = desk.ready("todo");
    desk.pass(10 * SECOND - Duration::from_millis(1)).await;
    assert!(!ready.has_changed().unwrap() && desk.next("todo").await.is_none());
    desk.pass(Duration::from_millis(1)).await;
    ready.changed().await.unwrap();
    assert_eq!(text(&desk.next("todo").await.unwrap()), "soon");
    desk.restart().await;
    desk.pass(49 * SECOND).await;
    assert_eq!(text(&desk.next("todo").await.unwrap()), "soon");
    assert!(desk.next("todo").await.is_none());
    desk.pass(SECOND).await;
    assert_eq!(text(&desk.next("todo").await.unwrap()), "late");
}

#[tokio::test(start_paused = true)]
async fn retries_back_off_and_the_last_one_leaves_a_dead_job_that_a_person_can_retry() {
    let desk = Desk::new();
    let mut three = job("a");
    (three.max_attempts, three.backoff) = (Some(3), Some(2 * SECOND));
    let id = desk.add(three).await;
    for (attempt, wait) in [(1, 2), (2, 4)] {
        let leased = desk.next("todo").await.unwrap();
        assert_eq!((leased.attempt, leased.max_attempts), (attempt, 3));
        assert_eq!(desk.end(&leased, again("busy")).await, Finished::Recorded(JobState::Delayed));
        desk.pass((wait - 1) * SECOND).await;
        assert!(desk.next("todo").await.is_none());
        desk.pass(SECOND).await;
    }
    let last = desk.next("todo").await.unwrap();
    assert_eq!(desk.end(&last, again(&"x".repeat(5_000))).await, Finished::Recorded(JobState::Dead));
    desk.pass(86_400 * SECOND).await;
    let seen = desk.see(id).await;
    assert_eq!((seen.state, seen.attempts, seen.last_error.unwrap().len()), (JobState::Dead, 3, 1_024));
    assert_eq!(desk.retry(id).await.unwrap(), Some(true));
    assert_eq!(desk.retry(id).await.unwrap(), Some(false));
    let seen = desk.see(id).await;
    assert_eq!((seen.state, seen.attempts, seen.max_attempts), (JobState::Waiting, 3, 6), "three more");
    // No number is used twice, and the backoff begins anew.
    let fresh = desk.next("todo").await.unwrap();
    assert_eq!((fresh.attempt, fresh.max_attempts), (4, 6));
    desk.end(&fresh, again("busy")).await;
    desk.pass(2 * SECOND).await;
    for attempt in [5, 6] {
        let leased = desk.next("todo").await.unwrap();
        assert_eq!(leased.attempt, attempt);
        desk.end(&leased, again("busy")).await;
        desk.pass(4 * SECOND).await;
    }
    assert_eq!(desk.state(id).await, Some(JobState::Dead));
}

#[tokio::test(start_paused = true)]
async fn one_key_is_one_job_until_its_result_is_forgotten() {
    let desk = Desk::new();
    let keyed = || {
        let mut job = job("a");
        (job.unique_key, job.result_ttl) = (Some("k".into()), Some(5 * SECOND));
        job
    };
    let id = desk.add(keyed()).await;
    let twice = || async { desk.push(vec![keyed()]).await.unwrap()[0] };
    assert_eq!((twice().await.id, twice().await.fresh), (id, false));
    // Another queue's key is another key.
    let mut other = keyed();
    other.queue = "other".into();
    desk.add(other).await;
    let leased = desk.next("todo").await.unwrap();
    assert!(!twice().await.fresh, "running");
    desk.end(&leased, done()).await;
    assert!(!twice().await.fresh, "done and kept");
    desk.pass(5 * SECOND).await;
    let next = twice().await;
    assert!(next.fresh && next.id != id);
    // A dead job gives its key up, and can't have it back while another has it.
    let leased = desk.next("todo").await.unwrap();
    desk.end(&leased, Outcome::Dead("no".into())).await;
    let third = twice().await;
    assert!(third.fresh);
    let refusal = desk.retry(next.id).await.unwrap_err().to_string();
    assert!(refusal.contains(&third.id.to_string()) && refusal.contains("unique key"), "{refusal}");
}

#[tokio::test(start_paused = true)]
async fn a_result_is_kept_for_its_time_to_live_and_then_its_row_is_gone() {
    let mut desk = Desk::new();
    desk.configure(
        vec![("todo".into(), QueueSettings { max_attempts: 2, backoff: SECOND, result_ttl: 30 * SECOND })],
        QueueSettings { max_attempts: 9, backoff: SECOND, result_ttl: 60 * SECOND },
    );
    for queue in ["todo", "other"] {
        desk.push((0..1_200).map(|n| job_for(queue, &n.to_string())).collect::<Vec<_>>().split_off(300)).await.unwrap();
        for leased in desk.lease(queue, 900, &holder(), skep::store::Term::Host) {
            drop(desk.finish(leased.id, leased.attempt, Outcome::Done(Some(b"r".to_vec())), Vec::new()));
        }
    }
    desk.settle().await;
    assert_eq!((desk.queue("todo").await.done, desk.queue("other").await.done), (900, 900));
    desk.pass(31 * SECOND).await;
    for _ in 0..3 {
        desk.settle().await;
    }
    assert_eq!((desk.queue("todo").await.done, desk.queue("other").await.done), (0, 900));
    desk.restart().await;
    desk.pass(30 * SECOND).await;
    for _ in 0..3 {
        desk.settle().await;
    }
    desk.close().await.unwrap();
    let db = rusqlite::Connection::open(desk.dir.path().join("control.db")).unwrap();
    assert_eq!(db.query_row("SELECT count(*) FROM jobs", [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_job_ends_with_it_or_at_once_when_it_was_over() {
    let desk = Desk::new();
    let id = desk.add(job("a")).await;
    let store = desk.store.clone();
    let early = tokio::spawn(async move { store.wait(id).await.unwrap().unwrap() });
    desk.settle().await;
    assert!(!early.is_finished());
    let leased = desk.next("todo").await.unwrap();
    desk.end(&leased, Outcome::Done(Some(vec![0, 1, 2]))).await;
    let late = desk.wait(id).await.unwrap().unwrap();
    assert_eq!((late.state, early.await.unwrap()), (JobState::Done, late.clone()));
    assert_eq!(serde_json::to_value(late.result).unwrap()["base64"], "AAEC");
    assert_eq!(desk.wait(uuid::Uuid::now_v7()).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_purge_forgets_what_it_names_and_never_what_runs() {
    let desk = Desk::new();
    let mut late = job("late");
    late.delay = SECOND;
    desk.add(late).await;
    for part in 0..6 {
        desk.push((0..1_000).map(|n| job(&format!("{part}-{n}"))).collect()).await.unwrap();
        desk.push((0..100).map(|n| job_for("other", &n.to_string())).collect()).await.unwrap();
    }
    let running = desk.next("todo").await.unwrap();
    assert_eq!(desk.purge("todo", &[JobState::Waiting, JobState::Running]).await.unwrap(), 5_999);
    let left = desk.queue("todo").await;
    assert_eq!((left.waiting, left.running, left.delayed, desk.queue("other").await.waiting), (0, 1, 1, 600));
    assert_eq!(desk.end(&running, done()).await, Finished::Recorded(JobState::Done));
    // It takes jobs again.
    desk.add(job("new")).await;
    assert_eq!(text(&desk.next("todo").await.unwrap()), "new");
    assert_eq!(desk.purge("nowhere", &[JobState::Done]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_listing_goes_from_what_runs_to_what_is_over_and_on_from_any_job() {
    let desk = Desk::new();
    for payload in ["done", "dead", "running", "waiting"] {
        desk.add(job(payload)).await;
    }
    let mut late = job("late");
    late.delay = SECOND;
    desk.add(late).await;
    let (first, second) = (desk.next("todo").await.unwrap(), desk.next("todo").await.unwrap());
    desk.next("todo").await.unwrap();
    desk.end(&first, done()).await;
    desk.end(&second, Outcome::Dead("no".into())).await;
    let all = JobFilter { queue: Some("todo".into()), limit: 100, ..JobFilter::default() };
    let listed = desk.jobs(all.clone(), true).await.unwrap();
    assert_eq!(names(&listed), ["running", "waiting", "late", "dead", "done"]);
    let mut walked = Vec::new();
    let mut after = None;
    while let Some(next) = desk.jobs(JobFilter { after, limit: 1, ..all.clone() }, true).await.unwrap().pop() {
        after = Some(next.id.parse().unwrap());
        walked.push(next);
    }
    assert_eq!(names(&walked), names(&listed));
    for (state, name) in [(JobState::Running, "running"), (JobState::Delayed, "late"), (JobState::Done, "done")] {
        assert_eq!(names(&desk.jobs(JobFilter { state: Some(state), ..all.clone() }, true).await.unwrap()), [name]);
    }
    assert!(desk.jobs(all, false).await.unwrap().iter().all(|job| job.payload.is_none()));
    let view = desk.queue("todo").await;
    assert_eq!((view.pushed, view.finished, view.oldest_waiting_at.is_some()), (5, 2, true));
}

#[tokio::test(start_paused = true)]
async fn what_is_over_a_bound_is_refused_in_a_sentence() {
    let desk = Desk::new();
    let mut big = job("");
    big.payload = vec![0; (1 << 20) + 1].into();
    let mut key = job("");
    key.unique_key = Some("k".repeat(256).into());
    let mut slow = job("");
    slow.delay = 367 * 86_400 * SECOND;
    let mut never = job("");
    never.max_attempts = Some(0);
    for (jobs, part) in [
        (vec![big], "1048576"),
        (vec![key], "255"),
        (vec![slow], "366 days"),
        (vec![never], "at least once"),
        ((0..1_001).map(|_| job("")).collect(), "1000"),
    ] {
        let refusal = desk.push(jobs).await.unwrap_err().to_string();
        assert!(refusal.contains(part), "{refusal}");
    }
    assert!(desk.push(Vec::new()).await.unwrap().is_empty());
    desk.add(job("a")).await;
    let leased = desk.next("todo").await.unwrap();
    let large = Outcome::Done(Some(vec![0; (1 << 20) + 1]));
    assert!(desk.finish(leased.id, leased.attempt, large, Vec::new()).await.unwrap_err().to_string().contains("1048576"));
    // It is still its holder's.
    assert_eq!(desk.end(&leased, done()).await, Finished::Recorded(JobState::Done));
}
