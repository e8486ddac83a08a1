//! Who holds what: fencing, terms, pushes that go with an end, progress.

use std::sync::Arc;

use skep::{
    facts::JobState,
    store::{Finished, Jobs, LeasedJob, Outcome, Term},
};

use super::{Desk, SECOND, again, done, holder, job, job_for, text};

#[tokio::test(start_paused = true)]
async fn a_stale_finisher_writes_nothing_and_pushes_nothing() {
    let desk = Desk::new();
    let id = desk.add(job("a")).await;
    let slow = desk.lease_for("todo", 1, &"slow".into(), SECOND).await.unwrap().remove(0);
    desk.pass(2 * SECOND).await;
    let quick = desk.next("todo").await.unwrap();
    assert_eq!((slow.attempt, quick.attempt), (1, 2));
    let late = desk.finish(slow.id, slow.attempt, Outcome::Done(Some(b"late".to_vec())), vec![job_for("next", "twice")]).await;
    assert_eq!(late.unwrap(), Finished::Stale);
    assert!(!desk.extend(slow.id, slow.attempt, SECOND).await.unwrap());
    assert!(!desk.progress(slow.id, slow.attempt, "late".into()));
    assert_eq!(desk.end(&quick, Outcome::Done(Some(b"right".to_vec()))).await, Finished::Recorded(JobState::Done));
    // Nor does the one that finished, a second time.
    assert_eq!(desk.end(&quick, done()).await, Finished::Stale);
    let seen = desk.see(id).await;
    assert_eq!(serde_json::to_value(seen.result).unwrap()["text"], "right");
    assert!(desk.next("next").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_finish_and_its_pushes_are_one_even_for_a_killed_host() {
    let mut desk = Desk::new();
    desk.add(job("a")).await;
    let first = desk.next("todo").await.unwrap();
    let mut twin = job_for("next", "b");
    twin.unique_key = Some("b".into());
    let finished = desk.finish(first.id, first.attempt, done(), vec![twin.clone(), twin]).await.unwrap();
    assert_eq!(finished, Finished::Recorded(JobState::Done));
    desk.kill().await;
    assert_eq!(desk.state(first.id).await, Some(JobState::Done));
    let next = desk.next("next").await.unwrap();
    assert_eq!(text(&next), "b");
    // Two of one key were one job.
    assert!(desk.next("next").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_lease_from_outside_outlives_the_host_and_ends_with_its_term() {
    let mut desk = Desk::new();
    let id = desk.add(job("a")).await;
    let leased = desk.lease_for("todo", 5, &"laptop".into(), 10 * SECOND).await.unwrap();
    desk.restart().await;
    assert!(desk.next("todo").await.is_none());
    assert_eq!(desk.see(id).await.leased_by.as_deref(), Some("laptop"));
    assert!(desk.extend(id, leased[0].attempt, 20 * SECOND).await.unwrap());
    desk.pass(15 * SECOND).await;
    assert_eq!(desk.state(id).await, Some(JobState::Running));
    desk.pass(6 * SECOND).await;
    let seen = desk.see(id).await;
    assert_eq!((seen.state, seen.attempts, seen.leased_by), (JobState::Waiting, 1, None));
    assert_eq!(desk.next("todo").await.unwrap().attempt, 2);
}

#[tokio::test(start_paused = true)]
async fn the_last_lease_that_runs_out_is_the_end() {
    let desk = Desk::new();
    let mut once = job("a");
    once.max_attempts = Some(1);
    let id = desk.add(once).await;
    desk.lease_for("todo", 1, &holder(), SECOND).await.unwrap();
    let store = desk.store.clone();
    let waiting = tokio::spawn(async move { store.wait(id).await });
    desk.pass(2 * SECOND).await;
    let over = waiting.await.unwrap().unwrap().unwrap();
    assert_eq!((over.state, over.last_error.as_deref()), (JobState::Dead, Some("the lease of the last attempt ran out")));
}

#[tokio::test(start_paused = true)]
async fn a_worker_of_this_host_holds_its_job_as_long_as_the_host_lives() {
    let mut desk = Desk::new();
    let id = desk.add(job("a")).await;
    let leased = desk.next("todo").await.unwrap();
    desk.pass(3_600 * SECOND).await;
    assert!(desk.holds(id, leased.attempt));
    assert!(desk.progress(id, leased.attempt, "half".into()));
    let seen = desk.see(id).await;
    assert_eq!((seen.state, seen.attempts), (JobState::Running, 1));
    assert_eq!((seen.leased_by.as_deref(), seen.progress.as_deref()), (Some("tests/1"), Some("half")));
    desk.restart().await;
    assert!(!desk.holds(id, leased.attempt));
    assert_eq!(desk.end(&leased, done()).await, Finished::Stale);
    assert_eq!(desk.next("todo").await.unwrap().attempt, 2);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_takes_the_host_down_is_not_tried_for_ever() {
    let mut desk = Desk::new();
    let mut deadly = job("a");
    deadly.max_attempts = Some(3);
    let id = desk.add(deadly).await;
    for attempt in 1..=3 {
        assert_eq!(desk.next("todo").await.unwrap().attempt, attempt);
        // It runs for a while: long enough for two batches.
        desk.add(job_for("other", "x")).await;
        desk.add(job_for("other", "y")).await;
        desk.settle().await;
        desk.kill().await;
    }
    assert!(desk.next("todo").await.is_none());
    let seen = desk.see(id).await;
    assert_eq!((seen.state, seen.attempts), (JobState::Dead, 3));
    assert!(seen.last_error.unwrap().contains("host went down"));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_job_is_taken_out_of_its_holders_hands() {
    let desk = Desk::new();
    let id = desk.add(job("a")).await;
    let leased = desk.next("todo").await.unwrap();
    assert_eq!(desk.cancel(id).await.unwrap(), Some(true));
    assert!(!desk.holds(id, leased.attempt));
    assert_eq!(desk.end(&leased, done()).await, Finished::Stale);
    assert_eq!(desk.state(id).await, Some(JobState::Cancelled));
    assert_eq!(desk.cancel(id).await.unwrap(), Some(false));
    assert_eq!(desk.cancel(uuid::Uuid::now_v7()).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn two_that_lease_at_once_never_get_one_job_twice() {
    let desk = Desk::new();
    desk.push((0..100).map(|n| job(&n.to_string())).collect()).await.unwrap();
    let mut seen: Vec<LeasedJob> = Vec::new();
    let outside = desk.lease_for("todo", 30, &"b".into(), SECOND);
    seen.extend(desk.lease("todo", 30, &"a".into(), Term::Host));
    seen.extend(outside.await.unwrap());
    seen.extend(desk.lease("todo", 30, &"c".into(), Term::For(SECOND)));
    seen.extend(desk.lease("todo", 30, &"a".into(), Term::Host));
    let mut ids: Vec<_> = seen.iter().map(|job| job.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 100);
    // Leases of an hour ago: only those with a term are back.
    desk.pass(3_600 * SECOND).await;
    assert_eq!(desk.queue("todo").await.waiting, 60);
}

#[tokio::test(start_paused = true)]
async fn a_call_does_its_work_though_nobody_awaits_it() {
    let desk = Desk::new();
    drop(desk.push(vec![job("a")]));
    desk.settle().await;
    let leased = desk.next("todo").await.unwrap();
    drop(desk.finish(leased.id, leased.attempt, again("no"), Vec::new()));
    desk.settle().await;
    assert_eq!(desk.state(leased.id).await, Some(JobState::Delayed));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_work_is_told_once_and_only_when_there_is_some() {
    let desk = Desk::new();
    let mut ready = desk.ready("todo");
    assert!(!ready.has_changed().unwrap());
    desk.push((0..10).map(|n| job(&n.to_string())).collect()).await.unwrap();
    assert!(ready.has_changed().unwrap());
    ready.borrow_and_update();
    // More of what it knows there is says nothing new.
    desk.add(job("more")).await;
    desk.add(job_for("other", "more")).await;
    assert!(!ready.has_changed().unwrap());
    let holder: Arc<str> = holder();
    assert_eq!(desk.lease("todo", 100, &holder, Term::Host).len(), 11);
    desk.add(job("new")).await;
    assert!(ready.has_changed().unwrap());
}

#[tokio::test(start_paused = true)]
async fn whoever_was_cancelled_does_not_pass_for_the_next_after_a_retry() {
    let desk = Desk::new();
    let id = desk.add(job("a")).await;
    for attempt in 1..=3 {
        let old = desk.next("todo").await.unwrap();
        assert_eq!((old.attempt, old.max_attempts), (attempt, 5 + attempt - 1));
        assert_eq!(desk.cancel(id).await.unwrap(), Some(true));
        assert_eq!(desk.see(id).await.attempts, attempt);
        assert_eq!(desk.retry(id).await.unwrap(), Some(true));
        let new = desk.next("todo").await.unwrap();
        let late = desk.finish(id, old.attempt, done(), vec![job_for("next", "twice")]).await.unwrap();
        assert_eq!(late, Finished::Stale);
        assert!(desk.holds(id, new.attempt));
        // Never begun, it gives its number back: nobody else can have it.
        assert_eq!(desk.end(&new, Outcome::Released).await, Finished::Recorded(JobState::Waiting));
    }
    assert!(desk.next("next").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_finish_behind_a_cancel_and_a_retry_is_stale() {
    let desk = Desk::new();
    let id = desk.add(job("a")).await;
    let leased = desk.next("todo").await.unwrap();
    let (cancelled, retried) = (desk.cancel(id), desk.retry(id));
    let finished = desk.finish(id, leased.attempt, done(), vec![job_for("next", "b")]);
    assert_eq!((cancelled.await.unwrap(), retried.await.unwrap()), (Some(true), Some(true)));
    assert_eq!(finished.await.unwrap(), Finished::Stale);
    assert_eq!(desk.next("todo").await.unwrap().attempt, 2);
    assert!(desk.next("next").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_lease_behind_a_cancel_gets_nothing() {
    let desk = Desk::new();
    for payload in ["a", "b"] {
        let id = desk.add(job(payload)).await;
        let (cancelled, leased) = (desk.cancel(id), desk.lease_for("todo", 1, &holder(), SECOND));
        assert_eq!((cancelled.await.unwrap(), leased.await.unwrap()), (Some(true), Vec::new()));
    }
    let view = desk.queue("todo").await;
    assert_eq!((view.waiting, view.running, view.cancelled), (0, 0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_release_said_twice_takes_nobodys_lease_away() {
    let desk = Desk::new();
    let mut once = job("a");
    once.max_attempts = Some(1);
    let id = desk.add(once).await;
    let first = desk.lease_for("todo", 1, &"first".into(), 10 * SECOND).await.unwrap().remove(0);
    assert_eq!(desk.end(&first, Outcome::Released).await, Finished::Recorded(JobState::Waiting));
    let second = desk.lease_for("todo", 1, &"second".into(), 10 * SECOND).await.unwrap().remove(0);
    assert_eq!((second.attempt, second.max_attempts), (2, 2), "it did not count");
    assert_eq!(desk.end(&first, Outcome::Released).await, Finished::Stale);
    assert_eq!(desk.see(id).await.leased_by.as_deref(), Some("second"));
    assert_eq!(desk.end(&second, again("no")).await, Finished::Recorded(JobState::Dead));
}

#[tokio::test(start_paused = true)]
async fn names_that_somebody_only_asked_about_take_no_room() {
    let desk = Desk::new();
    let mut watched = desk.ready("watched");
    for n in 0..20_000 {
        drop(desk.ready(&format!("nobodys-{n}")));
    }
    desk.add(job_for("new", "a")).await;
    desk.add(job_for("watched", "b")).await;
    assert!(watched.has_changed().unwrap());
    watched.borrow_and_update();
    // One that takes jobs stays, watched or not.
    drop(watched);
    desk.next("watched").await.unwrap();
    for n in 0..1_000 {
        drop(desk.ready(&format!("nobodys-{n}")));
    }
    assert_eq!(desk.queue("watched").await.running, 1);
}
