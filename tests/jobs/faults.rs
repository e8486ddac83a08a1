//! Kills, full disks, files of the version before, and more jobs than memory is meant for.

use bytes::Bytes;
use futures_util::FutureExt;
use skep::{
    facts::JobState,
    store::{Finished, Jobs, NewJob, Term},
};

use super::{Desk, Duration, SECOND, done, holder, job, job_for, text};

#[tokio::test(start_paused = true)]
async fn kills_between_all_steps_lose_nothing_acknowledged_and_finish_nothing_twice() {
    let mut desk = Desk::new();
    let mut pushed = Vec::new();
    let mut finished = Vec::new();
    for turn in 0..30 {
        pushed.push(desk.add(job(&turn.to_string())).await);
        if turn % 3 == 1 {
            desk.kill().await;
        }
        let leased = desk.next("todo").await.unwrap();
        if turn % 3 == 2 {
            desk.kill().await;
            assert_eq!(desk.end(&leased, done()).await, skep::store::Finished::Stale);
        } else {
            desk.end(&leased, done()).await;
            finished.push(leased.id);
        }
        if turn % 5 == 0 {
            desk.kill().await;
        }
    }
    while let Some(leased) = desk.next("todo").await {
        assert!(!finished.contains(&leased.id), "finished before");
        desk.end(&leased, done()).await;
        finished.push(leased.id);
    }
    finished.sort_unstable();
    assert_eq!(finished, pushed);
}

/// A trigger that raises stands in for a disk that refuses: the batch fails as a whole.
fn full(desk: &Desk) -> rusqlite::Connection {
    let saboteur = rusqlite::Connection::open(desk.dir.path().join("control.db")).unwrap();
    saboteur
        .execute_batch(
            "CREATE TRIGGER full_i BEFORE INSERT ON jobs BEGIN SELECT RAISE(ROLLBACK, 'full'); END;
             CREATE TRIGGER full_u BEFORE UPDATE ON jobs BEGIN SELECT RAISE(ROLLBACK, 'full'); END;
             CREATE TRIGGER full_c BEFORE UPDATE ON counts BEGIN SELECT RAISE(ROLLBACK, 'full'); END;",
        )
        .unwrap();
    saboteur
}

/// The disk takes writes again.
const ROOM: &str = "DROP TRIGGER full_i; DROP TRIGGER full_u; DROP TRIGGER full_c";

#[tokio::test(start_paused = true)]
async fn an_end_that_the_disk_did_not_take_costs_no_attempt() {
    let desk = Desk::new();
    let mut once = job("a");
    once.max_attempts = Some(1);
    let id = desk.add(once).await;
    let leased = desk.next("todo").await.unwrap();
    // It runs for a while: its start is written down.
    desk.add(job_for("other", "x")).await;
    desk.add(job_for("other", "y")).await;
    desk.settle().await;
    let saboteur = full(&desk);
    assert!(desk.finish(id, leased.attempt, done(), Vec::new()).await.is_err());
    saboteur.execute_batch(ROOM).unwrap();
    desk.pass(2 * SECOND).await;
    let seen = desk.see(id).await;
    assert_eq!((seen.state, seen.attempts, seen.max_attempts), (JobState::Waiting, 1, 2));
    assert!(seen.last_error.unwrap().contains("the disk took no writes"));
    let again = desk.next("todo").await.unwrap();
    assert_eq!((again.id, again.attempt), (id, 2));
    assert_eq!(desk.end(&leased, done()).await, Finished::Stale);
    assert_eq!(desk.end(&again, done()).await, Finished::Recorded(JobState::Done));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_that_the_disk_did_not_take_leaves_the_job_in_its_place() {
    let desk = Desk::new();
    let ids = [desk.add(job("a")).await, desk.add(job("b")).await];
    let saboteur = full(&desk);
    assert!(desk.cancel(ids[0]).await.is_err());
    saboteur.execute_batch(ROOM).unwrap();
    desk.pass(2 * SECOND).await;
    for id in ids {
        assert_eq!(desk.next("todo").await.unwrap().id, id);
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_is_behind_refuses_pushes_and_never_the_end_of_an_attempt() {
    let desk = Desk::new();
    desk.add(job("a")).await;
    let leased = desk.next("todo").await.unwrap();
    let saboteur = full(&desk);
    saboteur.execute_batch("BEGIN IMMEDIATE").unwrap();
    let payload = Bytes::from(vec![0; 1 << 20]);
    let megabytes = || (0..16).map(|_| NewJob::new("big".into(), payload.clone(), "tests".into())).collect();
    // The writer waits with what it has taken along, 256 MiB at most; as much may wait behind it.
    let refused =
        (0..100).filter_map(|_| desk.push(megabytes()).now_or_never()).collect::<Vec<_>>().pop().unwrap().unwrap_err().to_string();
    assert!(refused.contains("the disk is behind"), "{refused}");
    let mut end = desk.finish(leased.id, leased.attempt, done(), vec![job_for("next", "b")]);
    assert!((&mut end).now_or_never().is_none(), "taken");
    saboteur.execute_batch("COMMIT").unwrap();
    assert!(end.await.unwrap_err().to_string().contains("full"), "of this test's own making");
}

#[tokio::test(start_paused = true)]
async fn a_refused_commit_is_said_and_the_job_goes_again_when_the_disk_takes_it() {
    let desk = Desk::new();
    let id = desk.add(job("a")).await;
    let other = desk.add(job("b")).await;
    let leased = desk.next("todo").await.unwrap();
    let saboteur = full(&desk);
    assert!(desk.finish(id, leased.attempt, done(), Vec::new()).await.unwrap_err().to_string().contains("full"));
    assert!(desk.push(vec![job("c")]).await.is_err());
    assert!(!desk.holds(id, leased.attempt));
    // While nothing can be written nothing is given out: it would only be done in vain.
    assert!(desk.lease("todo", 1, &holder(), Term::Host).is_empty());
    desk.pass(2 * SECOND).await;
    assert!(desk.lease("todo", 1, &holder(), Term::Host).is_empty());
    let mut ready = desk.ready("todo");
    ready.borrow_and_update();
    saboteur.execute_batch(ROOM).unwrap();
    desk.pass(2 * SECOND).await;
    ready.changed().await.unwrap();
    let again = desk.next("todo").await.unwrap();
    assert_eq!((again.id, again.attempt), (id, 2));
    desk.end(&again, done()).await;
    assert_eq!(desk.next("todo").await.unwrap().id, other);
    let view = desk.queue("todo").await;
    assert_eq!((view.waiting, view.running, view.done), (0, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_data_folder_of_the_version_before_gets_its_queue() {
    let mut desk = Desk::new();
    desk.close().await.unwrap();
    let db = rusqlite::Connection::open(desk.dir.path().join("control.db")).unwrap();
    db.execute_batch("DROP TABLE jobs; DROP TABLE queues; DROP TABLE told; DROP TABLE changes; DROP TABLE marks; DROP TABLE kv; DROP TABLE kv_buckets; DELETE FROM counts WHERE name <> 'boot'; PRAGMA user_version = 1").unwrap();
    drop(db);
    desk.restart().await;
    desk.add(job("a")).await;
    assert_eq!(text(&desk.next("todo").await.unwrap()), "a");
}

#[tokio::test(start_paused = true)]
async fn a_queue_of_ten_million_takes_no_more() {
    let mut desk = Desk::new();
    desk.add(job("a")).await;
    desk.close().await.unwrap();
    // As if they were there: only the counts are looked at.
    let db = rusqlite::Connection::open(desk.dir.path().join("control.db")).unwrap();
    db.execute_batch("UPDATE queues SET delayed = 9999998").unwrap();
    drop(db);
    desk.restart().await;
    let refusal = desk.push(vec![job("b"), job("c")]).await.unwrap_err().to_string();
    assert!(refusal.contains("todo") && refusal.contains("10000000"), "{refusal}");
    // A finish that would push over the bound leaves an outside worker's attempt as it was: it is told, and may end it another way.
    let outside = desk.lease_for("todo", 1, &"laptop".into(), SECOND).await.unwrap().remove(0);
    assert!(desk.finish(outside.id, outside.attempt, done(), vec![job("b"), job("c")]).await.is_err());
    assert!(desk.holds(outside.id, outside.attempt));
    desk.pass(SECOND).await;
    // An attempt of this host fails by it, though nobody listens.
    let leased = desk.next("todo").await.unwrap();
    drop(desk.finish(leased.id, leased.attempt, done(), vec![job("b"), job("c")]));
    desk.settle().await;
    let seen = desk.see(leased.id).await;
    assert_eq!((seen.state, seen.attempts), (JobState::Delayed, 2));
    assert!(seen.last_error.unwrap().contains("10000000"));
    desk.push(vec![job("b")]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_jobs_come_in_order_through_a_bounded_window() {
    let mut desk = Desk::new();
    let pushes: Vec<_> = (0..100)
        .map(|part| {
            desk.push(
                (0..1_000)
                    .map(|n| {
                        let mut job = job(&format!("{part}-{n}"));
                        job.priority = part % 4;
                        job
                    })
                    .collect(),
            )
        })
        .collect();
    for push in pushes {
        push.await.unwrap();
    }
    desk.restart().await;
    let _ready = desk.ready("todo");
    desk.settle().await;
    let (mut last, mut count) = ((i32::MAX, None), 0);
    let mut ends = Vec::new();
    loop {
        let leased = desk.lease("todo", 700, &holder(), Term::Host);
        if leased.is_empty() {
            for end in ends.drain(..) {
                drop::<Result<_, _>>(end.await);
            }
            desk.settle().await;
            if desk.queue("todo").await.waiting == 0 {
                break;
            }
        }
        for job in leased {
            let place = (job.priority, Some(job.id));
            assert!(place.0 < last.0 || (place.0 == last.0 && place.1 > last.1), "{place:?} after {last:?}");
            last = place;
            count += 1;
            ends.push(desk.finish(job.id, job.attempt, done(), Vec::new()));
        }
    }
    assert_eq!(count, 100_000);
    let view = desk.queue("todo").await;
    assert_eq!((view.done, view.finished), (100_000, 100_000));
    assert_eq!(desk.state(last.1.unwrap()).await, Some(JobState::Done));
    desk.pass(Duration::ZERO).await;
}
