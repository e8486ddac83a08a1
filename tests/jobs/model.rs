//! Random lives of many jobs, against a queue that is slow and obvious: a list, searched from end to end.

use proptest::prelude::*;
use skep::{
    facts::JobState,
    store::{Finished, Jobs, NewJob, Outcome},
};
use uuid::Uuid;

use super::{Desk, Duration, again, holder, job_for};

const QUEUES: [&str; 2] = ["a", "b"];
const KEYS: [&str; 2] = ["x", "y"];

/// Times in whole seconds: the store forgets in steps of those.
#[derive(Debug, Clone)]
enum Step {
    Push(Push),
    Lease(usize),
    LeaseFor(usize, u64),
    /// Which of the attempts so far, also of those that are over.
    Finish(prop::sample::Index, End, Option<Push>),
    Extend(prop::sample::Index, u64),
    Cancel(prop::sample::Index),
    Retry(prop::sample::Index),
    Purge(usize, JobState),
    Pass(u64),
    Restart,
    Kill,
}

#[derive(Debug, Clone)]
struct Push {
    queue: usize,
    delay: u64,
    priority: i32,
    key: Option<usize>,
    max_attempts: u32,
    backoff: u64,
    ttl: u64,
}

#[derive(Debug, Clone)]
enum End {
    Done,
    Retry(Option<u64>),
    Dead,
    Released,
}

fn push() -> impl Strategy<Value = Push> {
    let few = (0..2_usize, prop_oneof![3 => Just(0), 1 => 1..6_u64], -1..2_i32, prop::option::weighted(0.3, 0..2_usize));
    (few, 1..4_u32, 1..4_u64, 0..9_u64).prop_map(|((queue, delay, priority, key), max_attempts, backoff, ttl)| Push {
        queue,
        delay,
        priority,
        key,
        max_attempts,
        backoff,
        ttl,
    })
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        4 => Just(End::Done),
        3 => prop::option::of(0..4_u64).prop_map(End::Retry),
        1 => Just(End::Dead),
        1 => Just(End::Released),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let which = any::<prop::sample::Index>;
    prop_oneof![
        8 => push().prop_map(Step::Push),
        8 => (0..2_usize).prop_map(Step::Lease),
        3 => (0..2_usize, 1..6_u64).prop_map(|(queue, term)| Step::LeaseFor(queue, term)),
        8 => (which(), end(), prop::option::weighted(0.2, push())).prop_map(|(which, end, push)| Step::Finish(which, end, push)),
        1 => (which(), 1..6_u64).prop_map(|(which, term)| Step::Extend(which, term)),
        2 => which().prop_map(Step::Cancel),
        2 => which().prop_map(Step::Retry),
        1 => (0..2_usize, prop::sample::select(JobState::ALL.to_vec())).prop_map(|(queue, state)| Step::Purge(queue, state)),
        5 => (1..5_u64).prop_map(Step::Pass),
        1 => Just(Step::Restart),
        1 => Just(Step::Kill),
    ]
}

/// One job as the model has it.
#[derive(Debug, Clone)]
struct Job {
    id: Uuid,
    push: Push,
    age: u64,
    state: JobState,
    attempts: u32,
    /// Of these, not counted: given back from outside, or before a retry.
    uncounted: u32,
    /// When it is due, its lease ends, or it is forgotten.
    wake: Option<u64>,
    /// In a worker's hands, of this host.
    host: bool,
}

impl Job {
    fn counted(&self) -> u32 {
        self.attempts - self.uncounted
    }
}

#[derive(Debug, Default)]
struct Model {
    now: u64,
    age: u64,
    jobs: Vec<Job>,
}

impl Model {
    fn push(&mut self, id: Uuid, push: &Push) -> (Uuid, bool) {
        let holds = |job: &&Job| {
            job.push.queue == push.queue && job.push.key == push.key && !matches!(job.state, JobState::Dead | JobState::Cancelled)
        };
        if push.key.is_some()
            && let Some(other) = self.jobs.iter().find(holds)
        {
            return (other.id, false);
        }
        self.age += 1;
        let (state, wake) = if push.delay == 0 { (JobState::Waiting, None) } else { (JobState::Delayed, Some(self.now + push.delay)) };
        self.jobs.push(Job { id, push: push.clone(), age: self.age, state, attempts: 0, uncounted: 0, wake, host: false });
        (id, true)
    }

    /// The next to run; jobs whose last attempt a restart ended are given up on the way.
    fn take(&mut self, queue: usize) -> Option<&mut Job> {
        loop {
            let waiting = self.jobs.iter().enumerate().filter(|(_, job)| job.push.queue == queue && job.state == JobState::Waiting);
            let (first, _) = waiting.min_by_key(|(_, job)| (-job.push.priority, job.age))?;
            if self.jobs[first].counted() < self.jobs[first].push.max_attempts {
                let job = &mut self.jobs[first];
                (job.state, job.attempts) = (JobState::Running, job.attempts + 1);
                return Some(job);
            }
            self.jobs[first].state = JobState::Dead;
        }
    }

    fn job(&mut self, id: Uuid) -> Option<&mut Job> {
        self.jobs.iter_mut().find(|job| job.id == id)
    }

    fn finish(&mut self, id: Uuid, attempt: u32, end: &End) -> Option<JobState> {
        let now = self.now;
        let job = self.job(id).filter(|job| job.state == JobState::Running && job.attempts == attempt)?;
        let host = std::mem::take(&mut job.host);
        job.wake = None;
        job.state = match end {
            End::Done => {
                job.wake = Some(now + job.push.ttl);
                JobState::Done
            }
            End::Retry(_) if job.counted() >= job.push.max_attempts => JobState::Dead,
            End::Retry(Some(0)) => JobState::Waiting,
            End::Retry(after) => {
                job.wake = Some(now + after.unwrap_or(job.push.backoff << (job.counted() - 1)));
                JobState::Delayed
            }
            End::Dead => JobState::Dead,
            End::Released => {
                if host {
                    job.attempts -= 1;
                } else {
                    job.uncounted += 1;
                }
                JobState::Waiting
            }
        };
        let state = job.state;
        self.pass(0);
        Some(state)
    }

    fn cancel(&mut self, id: Uuid) -> Option<bool> {
        let now = self.now;
        let job = self.job(id)?;
        if job.state.over() {
            return Some(false);
        }
        (job.state, job.host, job.wake) = (JobState::Cancelled, false, Some(now + job.push.ttl));
        self.pass(0);
        Some(true)
    }

    /// Err: somebody else has its key.
    fn retry(&mut self, id: Uuid) -> Result<Option<bool>, ()> {
        let Some(job) = self.job(id).cloned() else { return Ok(None) };
        if !matches!(job.state, JobState::Dead | JobState::Cancelled) {
            return Ok(Some(false));
        }
        let taken = job.push.key.is_some()
            && self.jobs.iter().any(|other| {
                other.push.queue == job.push.queue
                    && other.push.key == job.push.key
                    && !matches!(other.state, JobState::Dead | JobState::Cancelled)
            });
        if taken {
            return Err(());
        }
        if let Some(job) = self.job(id) {
            (job.state, job.uncounted, job.wake) = (JobState::Waiting, job.attempts, None);
        }
        Ok(Some(true))
    }

    fn purge(&mut self, queue: usize, state: JobState) -> u64 {
        let before = self.jobs.len();
        self.jobs.retain(|job| job.push.queue != queue || job.state != state || state == JobState::Running);
        (before - self.jobs.len()) as u64
    }

    fn pass(&mut self, seconds: u64) {
        self.now += seconds;
        let now = self.now;
        self.jobs.retain(|job| !(job.state.over() && job.wake.is_some_and(|at| at <= now)));
        for job in self.jobs.iter_mut().filter(|job| job.wake.is_some_and(|at| at <= now) && !job.state.over()) {
            job.wake = None;
            let last = job.state == JobState::Running && job.counted() >= job.push.max_attempts;
            job.state = if last { JobState::Dead } else { JobState::Waiting };
        }
    }

    fn restart(&mut self) {
        for job in self.jobs.iter_mut().filter(|job| job.host) {
            (job.state, job.host) = (JobState::Waiting, false);
        }
    }
}

fn new_job(push: &Push) -> NewJob {
    let mut job = job_for(QUEUES[push.queue], "payload");
    job.delay = Duration::from_secs(push.delay);
    job.priority = push.priority;
    job.unique_key = push.key.map(|key| KEYS[key].into());
    job.max_attempts = Some(push.max_attempts);
    job.backoff = Some(Duration::from_secs(push.backoff));
    job.result_ttl = Some(Duration::from_secs(push.ttl));
    job
}

fn outcome(end: &End) -> Outcome {
    match end {
        End::Done => Outcome::Done(Some(b"result".to_vec())),
        End::Retry(None) => again("no"),
        End::Retry(Some(after)) => Outcome::Retry { reason: "no".into(), after: Some(Duration::from_secs(*after)) },
        End::Dead => Outcome::Dead("never".into()),
        End::Released => Outcome::Released,
    }
}

async fn live(steps: Vec<Step>) {
    let mut desk = Desk::new();
    let mut model = Model::default();
    let mut attempts: Vec<(Uuid, u32)> = Vec::new();
    let mut ids: Vec<Uuid> = Vec::new();
    for step in steps {
        match &step {
            Step::Push(push) => {
                let job = new_job(push);
                let (id, fresh) = model.push(job.id, push);
                let pushed = desk.push(vec![job]).await.unwrap();
                assert_eq!((pushed[0].id, pushed[0].fresh), (id, fresh), "{step:?}");
                ids.push(id);
            }
            Step::Lease(queue) => {
                let expected = model.take(*queue).map(|job| {
                    job.host = true;
                    (job.id, job.attempts)
                });
                let leased = desk.next(QUEUES[*queue]).await.map(|job| (job.id, job.attempt));
                assert_eq!(leased, expected, "{step:?}");
                attempts.extend(leased);
            }
            Step::LeaseFor(queue, term) => {
                let until = model.now + term;
                let expected = model.take(*queue).map(|job| {
                    job.wake = Some(until);
                    (job.id, job.attempts)
                });
                let leased = desk.lease_for(QUEUES[*queue], 1, &holder(), Duration::from_secs(*term)).await.unwrap();
                let leased = leased.first().map(|job| (job.id, job.attempt));
                assert_eq!(leased, expected, "{step:?}");
                attempts.extend(leased);
            }
            Step::Finish(which, end, push) if !attempts.is_empty() => {
                let (id, attempt) = *which.get(&attempts);
                let expected = model.finish(id, attempt, end);
                let pushes: Vec<_> = push.iter().map(new_job).collect();
                if let (Some(push), Some(job), Some(_)) = (push, pushes.first(), expected) {
                    model.push(job.id, push);
                    ids.push(job.id);
                }
                let finished = desk.finish(id, attempt, outcome(end), pushes).await.unwrap();
                assert_eq!(finished, expected.map_or(Finished::Stale, Finished::Recorded), "{step:?}");
            }
            Step::Extend(which, term) if !attempts.is_empty() => {
                let (id, attempt) = *which.get(&attempts);
                let until = model.now + term;
                let held = model.job(id).filter(|job| job.state == JobState::Running && job.attempts == attempt);
                let expected = held.is_some();
                if let Some(job) = held.filter(|job| !job.host) {
                    job.wake = Some(until);
                }
                assert_eq!(desk.extend(id, attempt, Duration::from_secs(*term)).await.unwrap(), expected, "{step:?}");
            }
            Step::Cancel(which) if !ids.is_empty() => {
                let id = *which.get(&ids);
                assert_eq!(desk.cancel(id).await.unwrap(), model.cancel(id), "{step:?}");
            }
            Step::Retry(which) if !ids.is_empty() => {
                let id = *which.get(&ids);
                assert_eq!(desk.retry(id).await.map_err(drop), model.retry(id), "{step:?}");
            }
            Step::Purge(queue, state) => {
                assert_eq!(desk.purge(QUEUES[*queue], &[*state]).await.unwrap(), model.purge(*queue, *state), "{step:?}");
            }
            Step::Pass(seconds) => {
                model.pass(*seconds);
                desk.pass(Duration::from_secs(*seconds)).await;
            }
            Step::Restart => {
                desk.restart().await;
                model.restart();
            }
            Step::Kill => {
                desk.kill().await;
                for job in model.jobs.iter_mut().filter(|job| job.host) {
                    // An attempt that had just begun may not have been written down.
                    let kept = desk.see(job.id).await.attempts;
                    assert!((job.attempts - 1..=job.attempts).contains(&kept), "{kept} of {job:?}");
                    job.attempts = kept;
                    attempts.retain(|(id, attempt)| *id != job.id || *attempt <= kept);
                }
                model.restart();
            }
            Step::Finish(..) | Step::Extend(..) | Step::Cancel(_) | Step::Retry(_) => {}
        }
        desk.settle().await;
        for queue in desk.queues().await.unwrap() {
            let count = |state| model.jobs.iter().filter(|job| QUEUES[job.push.queue] == queue.name && job.state == state).count() as u64;
            let expected = JobState::ALL.map(count);
            let counts = [queue.delayed, queue.waiting, queue.running, queue.done, queue.dead, queue.cancelled];
            assert_eq!(counts, expected, "after {step:?}");
        }
    }
    for id in ids {
        let seen = desk.job(id).await.unwrap().map(|job| (job.state, job.attempts));
        assert_eq!(seen, model.job(id).map(|job| (job.state, job.attempts)));
    }
    desk.close().await.unwrap();
    let db = rusqlite::Connection::open(desk.dir.path().join("control.db")).unwrap();
    let kept: i64 = db
        .query_row("SELECT coalesce(sum(delayed + waiting + running + done + dead + cancelled), 0) FROM queues", [], |row| row.get(0))
        .unwrap();
    let rows: i64 = db.query_row("SELECT count(*) FROM jobs", [], |row| row.get(0)).unwrap();
    assert_eq!((kept, rows), (rows, model.jobs.len() as i64));
    assert_eq!(db.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_queue_lives_as_its_model_does(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(live(steps));
    }
}
