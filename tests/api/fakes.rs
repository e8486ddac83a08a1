//! Queue and keys in memory, as plain as they can be: for the shapes of the API, not for what the store promises.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use jiff::Timestamp;
use skep::{
    facts::{BucketView, JobState, JobView, Payload, QueueView},
    store::*,
};
use tokio::sync::watch;
use uuid::Uuid;

type Answer<T> = BoxFuture<'static, Result<T, StoreError>>;

fn now<T: Send + 'static>(answer: T) -> Answer<T> {
    Box::pin(ready(Ok(answer)))
}

struct Job {
    new: NewJob,
    state: JobState,
    attempts: u32,
    holder: Option<String>,
    note: Option<String>,
    error: Option<String>,
    result: Option<Vec<u8>>,
}

impl Job {
    fn view(&self, peek: bool, whole: bool) -> JobView {
        let at: Timestamp = "2026-11-21T06:00:00Z".parse().unwrap();
        JobView {
            id: self.new.id.to_string(),
            queue: self.new.queue.to_string(),
            state: self.state,
            priority: self.new.priority,
            attempts: self.attempts,
            max_attempts: self.new.max_attempts.unwrap_or(20),
            unique_key: self.new.unique_key.as_deref().map(str::to_owned),
            pushed_by: self.new.pushed_by.to_string(),
            pushed_at: at,
            due_at: at + self.new.delay,
            finished_at: self.state.over().then_some(at),
            expires_at: None,
            leased_by: self.holder.clone(),
            progress: self.note.clone(),
            last_error: self.error.clone(),
            payload_bytes: self.new.payload.len() as u64,
            payload: (peek || whole).then(|| Payload::of(&self.new.payload)),
            result: self.result.as_deref().filter(|_| whole).map(Payload::of),
        }
    }
}

#[derive(Clone)]
pub struct FakeJobs {
    jobs: Arc<Mutex<Vec<Job>>>,
    /// Moves with every change.
    moved: watch::Sender<u64>,
    /// How often somebody looked for work.
    pub looked: watch::Sender<u64>,
    /// Jobs wait and none is given out, as with a disk that takes no writes.
    pub stalled: Arc<AtomicBool>,
}

impl FakeJobs {
    pub fn new() -> Self {
        Self { jobs: Arc::default(), moved: watch::channel(0).0, looked: watch::channel(0).0, stalled: Arc::default() }
    }

    /// The job as it was pushed.
    pub fn pushed(&self, id: &str) -> NewJob {
        self.with(id.parse().unwrap(), |job| job.new.clone()).unwrap()
    }

    fn with<T>(&self, id: Uuid, act: impl FnOnce(&mut Job) -> T) -> Option<T> {
        let answer = self.jobs.lock().unwrap().iter_mut().find(|job| job.new.id == id).map(act);
        self.moved.send_modify(|count| *count += 1);
        answer
    }

    fn held(&self, id: Uuid, attempt: u32, act: impl FnOnce(&mut Job)) -> bool {
        let holds = |job: &mut Job| {
            let holds = job.state == JobState::Running && job.attempts == attempt;
            if holds {
                act(job);
            }
            holds
        };
        self.with(id, holds).unwrap_or(false)
    }
}

impl Jobs for FakeJobs {
    fn push(&self, jobs: Vec<NewJob>) -> Answer<Vec<Pushed>> {
        let mut all = self.jobs.lock().unwrap();
        let mut pushed = Vec::new();
        for new in jobs {
            let same = |job: &&Job| new.unique_key.is_some() && job.new.unique_key == new.unique_key && job.new.queue == new.queue;
            if let Some(there) = all.iter().find(same) {
                pushed.push(Pushed { id: there.new.id, fresh: false });
                continue;
            }
            pushed.push(Pushed { id: new.id, fresh: true });
            let state = if new.delay.is_zero() { JobState::Waiting } else { JobState::Delayed };
            all.push(Job { new, state, attempts: 0, holder: None, note: None, error: None, result: None });
        }
        drop(all);
        self.moved.send_modify(|count| *count += 1);
        now(pushed)
    }

    fn lease(&self, queue: &str, max: usize, holder: &Arc<str>, _: Term) -> Vec<LeasedJob> {
        let max = if self.stalled.load(Ordering::Relaxed) { 0 } else { max };
        let mut all = self.jobs.lock().unwrap();
        let due = all.iter_mut().filter(|job| *job.new.queue == *queue && job.state == JobState::Waiting).take(max);
        let leased = due.map(|job| {
            (job.state, job.attempts, job.holder) = (JobState::Running, job.attempts + 1, Some(holder.to_string()));
            LeasedJob {
                id: job.new.id,
                queue: job.new.queue.clone(),
                payload: job.new.payload.clone(),
                attempt: job.attempts,
                max_attempts: 20,
                priority: job.new.priority,
                unique_key: job.new.unique_key.clone(),
                pushed_at: Timestamp::UNIX_EPOCH,
            }
        });
        leased.collect()
    }

    fn due(&self, queue: &str) -> usize {
        let waits = |job: &&Job| *job.new.queue == *queue && job.state == JobState::Waiting;
        if self.stalled.load(Ordering::Relaxed) { 0 } else { self.jobs.lock().unwrap().iter().filter(waits).count() }
    }

    fn lease_for(&self, queue: &str, max: usize, holder: &Arc<str>, term: Duration) -> Answer<Vec<LeasedJob>> {
        let leased = self.lease(queue, max, holder, Term::For(term));
        self.looked.send_modify(|count| *count += 1);
        now(leased)
    }

    fn ready(&self, _: &str) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    fn finish(&self, id: Uuid, attempt: u32, outcome: Outcome, pushes: Vec<NewJob>) -> Answer<Finished> {
        let mut became = JobState::Done;
        let held = self.held(id, attempt, |job| {
            match outcome {
                Outcome::Done(result) => job.result = result,
                Outcome::Retry { reason, .. } => (job.error, became) = (Some(reason), JobState::Delayed),
                Outcome::Dead(reason) => (job.error, became) = (Some(reason), JobState::Dead),
                Outcome::Released => (job.attempts, became) = (job.attempts - 1, JobState::Waiting),
            }
            (job.state, job.holder) = (became, None);
        });
        if !held {
            return now(Finished::Stale);
        }
        drop(self.push(pushes));
        now(Finished::Recorded(became))
    }

    fn extend(&self, id: Uuid, attempt: u32, _: Duration) -> Answer<bool> {
        now(self.held(id, attempt, |_| {}))
    }

    fn progress(&self, id: Uuid, attempt: u32, note: String) -> bool {
        self.held(id, attempt, |job| job.note = Some(note))
    }

    fn holds(&self, id: Uuid, attempt: u32) -> bool {
        self.held(id, attempt, |_| {})
    }

    fn job(&self, id: Uuid) -> Answer<Option<JobView>> {
        now(self.jobs.lock().unwrap().iter().find(|job| job.new.id == id).map(|job| job.view(true, true)))
    }

    fn wait(&self, id: Uuid) -> Answer<Option<JobView>> {
        let (own, mut moved) = (self.clone(), self.moved.subscribe());
        Box::pin(async move {
            loop {
                match own.job(id).await? {
                    Some(job) if !job.state.over() => moved.changed().await.unwrap(),
                    over => return Ok(over),
                }
            }
        })
    }

    fn jobs(&self, filter: JobFilter, peek: bool) -> Answer<Vec<JobView>> {
        let all = self.jobs.lock().unwrap();
        let wanted = |job: &&Job| {
            filter.queue.as_deref().is_none_or(|queue| *job.new.queue == *queue) && filter.state.is_none_or(|state| job.state == state)
        };
        let after = filter.after.map_or(0, |id| all.iter().position(|job| job.new.id == id).unwrap() + 1);
        now(all.iter().skip(after).filter(wanted).take(filter.limit).map(|job| job.view(peek, false)).collect())
    }

    fn cancel(&self, id: Uuid) -> Answer<Option<bool>> {
        let cancel = |job: &mut Job| {
            let can = !job.state.over();
            if can {
                job.state = JobState::Cancelled;
            }
            can
        };
        now(self.with(id, cancel))
    }

    fn retry(&self, id: Uuid) -> Answer<Option<bool>> {
        let again = |job: &mut Job| {
            let can = matches!(job.state, JobState::Dead | JobState::Cancelled);
            if can {
                (job.state, job.attempts) = (JobState::Waiting, 0);
            }
            can
        };
        now(self.with(id, again))
    }

    fn purge(&self, queue: &str, states: &[JobState]) -> Answer<u64> {
        let mut all = self.jobs.lock().unwrap();
        let before = all.len();
        all.retain(|job| *job.new.queue != *queue || !states.contains(&job.state));
        now((before - all.len()) as u64)
    }

    fn queues(&self) -> Answer<Vec<QueueView>> {
        let all = self.jobs.lock().unwrap();
        let names: std::collections::BTreeSet<&str> = all.iter().map(|job| &*job.new.queue).collect();
        let count = |name: &str, state| all.iter().filter(|job| *job.new.queue == *name && job.state == state).count() as u64;
        let views = names.into_iter().map(|name| QueueView {
            delayed: count(name, JobState::Delayed),
            waiting: count(name, JobState::Waiting),
            running: count(name, JobState::Running),
            done: count(name, JobState::Done),
            dead: count(name, JobState::Dead),
            cancelled: count(name, JobState::Cancelled),
            ..super::queue(name)
        });
        now(views.collect())
    }

    fn configure(&self, _: Vec<(Arc<str>, QueueSettings)>, _: QueueSettings) {}
}

#[derive(Default)]
pub struct FakeKv(Mutex<BTreeMap<(String, String), (Bytes, u64)>>);

impl FakeKv {
    fn at(bucket: &str, key: &str) -> (String, String) {
        (bucket.to_owned(), key.to_owned())
    }
}

fn entry(key: &str, (value, revision): &(Bytes, u64)) -> KvEntry {
    KvEntry { key: key.to_owned(), value: value.clone(), revision: *revision, expires_at: None }
}

impl Kv for FakeKv {
    fn get(&self, bucket: &str, key: &str) -> Answer<Option<KvEntry>> {
        now(self.0.lock().unwrap().get(&Self::at(bucket, key)).map(|kept| entry(key, kept)))
    }

    fn set(&self, bucket: &str, key: &str, value: Bytes, _: Option<Duration>, expect: Expect) -> Answer<Swapped> {
        let mut all = self.0.lock().unwrap();
        let found = all.get(&Self::at(bucket, key)).map(|(_, revision)| *revision);
        let holds = match expect {
            Expect::Anything => true,
            Expect::Absent => found.is_none(),
            Expect::Revision(revision) => found == Some(revision),
        };
        if !holds {
            return now(Swapped::Conflict(found));
        }
        let revision = found.unwrap_or_default() + 1;
        all.insert(Self::at(bucket, key), (value, revision));
        now(Swapped::Set(revision))
    }

    fn delete(&self, bucket: &str, key: &str) -> Answer<bool> {
        now(self.0.lock().unwrap().remove(&Self::at(bucket, key)).is_some())
    }

    fn increment(&self, bucket: &str, keys: Vec<String>, by: i64) -> Answer<Sums> {
        let mut all = self.0.lock().unwrap();
        let mut sums = Vec::new();
        for key in keys {
            let (value, revision) = all.entry(Self::at(bucket, &key)).or_insert_with(|| (Bytes::from("0"), 0));
            let Ok(number) = std::str::from_utf8(value).unwrap().parse::<i64>() else { return now(Sums::NotANumber(key)) };
            let Some(sum) = number.checked_add(by) else { return now(Sums::Overflow(key)) };
            (*value, *revision) = (Bytes::from(sum.to_string()), *revision + 1);
            sums.push(sum);
        }
        now(Sums::Sums(sums))
    }

    fn entries(&self, bucket: &str, prefix: &str, after: Option<String>, limit: usize) -> Answer<Vec<KvEntry>> {
        let all = self.0.lock().unwrap();
        let wanted = |of: &str, key: &str| of == bucket && key.starts_with(prefix) && after.as_deref().is_none_or(|after| key > after);
        now(all.iter().filter(|((of, key), _)| wanted(of, key)).take(limit).map(|((_, key), kept)| entry(key, kept)).collect())
    }

    fn buckets(&self) -> Answer<Vec<BucketView>> {
        let mut buckets: BTreeMap<String, BucketView> = BTreeMap::new();
        for ((bucket, _), (value, _)) in self.0.lock().unwrap().iter() {
            let view = buckets.entry(bucket.clone()).or_insert_with(|| BucketView { name: bucket.clone(), keys: 0, bytes: 0 });
            (view.keys, view.bytes) = (view.keys + 1, view.bytes + value.len() as u64);
        }
        now(buckets.into_values().collect())
    }
}
