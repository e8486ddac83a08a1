//! Services in memory, and scopes of workers over them. Must not be cleverer than what the tests ask for.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::{BoxFuture, pending, ready},
};
use skep::{
    capability::{
        caller::Caller,
        ping::Pinger,
        resolve::System,
        scope::Scope,
        services::{CallFault, Directory, Member, Rates, Rights, Services},
        waits::Waits,
    },
    clock::Clock,
    facts::{BucketView, JobState, JobView, Payload, QueueView},
    limiter::Limiters,
    manifest::spec::{Grants, LimiterSpec, Rate},
    store::{
        Expect, Finished, JobFilter, Jobs, Kv, KvEntry, LeasedJob, NewJob, Outcome, Pushed, QueueSettings, StoreError, Sums, Swapped, Term,
    },
};
use tokio::sync::watch;
use uuid::Uuid;

/// Everything a worker's capabilities stand on, to be looked at afterwards.
pub struct World {
    pub jobs: Arc<FakeJobs>,
    pub kv: Arc<FakeKv>,
    pub directory: Arc<FakeDirectory>,
    pub rates: Arc<FakeRates>,
    pub services: Arc<Services>,
    pub clock: Clock,
}

impl World {
    pub fn new() -> Self {
        let (jobs, kv, directory, rates) = <(Arc<FakeJobs>, Arc<FakeKv>, Arc<FakeDirectory>, Arc<FakeRates>)>::default();
        let clock = Clock::starting_at("2026-01-01T00:00:00Z".parse().unwrap());
        let services = Services {
            clock,
            jobs: jobs.clone(),
            kv: kv.clone(),
            limiters: Limiters::default(),
            pinger: Pinger::new(clock, Arc::new(System::default())),
            directory: OnceLock::from(directory.clone() as Arc<dyn Directory>),
            rates: OnceLock::from(rates.clone() as Arc<dyn Rates>),
        };
        Self { jobs, kv, directory, rates, services: Arc::new(services), clock }
    }

    /// Declares limiters by name and rate.
    pub fn limiters(self, limiters: &[(&str, &str)]) -> Self {
        let spec = |(name, rate): &(&str, &str)| {
            Arc::new(LimiterSpec { name: (*name).to_owned(), origin: Default::default(), rate: rate.parse().unwrap(), burst: 1 })
        };
        self.services.limiters.declare(limiters.iter().map(spec).collect(), self.clock);
        self
    }

    /// A worker with grants, its event number 1 begun.
    pub fn worker(&self, name: &str, grants: Grants) -> Scope {
        self.worker_timed(name, grants).0
    }

    pub fn worker_timed(&self, name: &str, grants: Grants) -> (Scope, Arc<Waits>) {
        let rights = Rights { worker: name.into(), grants: Arc::new(grants), services: self.services.clone() };
        let waits = Arc::new(Waits::new(self.clock));
        let mut scope = Scope::new(Arc::new(rights), 1, waits.clone());
        scope.begin(1, None, None);
        (scope, waits)
    }
}

/// Grants as a manifest has them: `grants = { … }`.
pub fn grants(text: &str) -> Grants {
    let text = format!("[[worker]]\nname = \"a\"\ncomponent = \"a.wasm\"\ngrants = {text}\n");
    let parsed = skep::manifest::Parser::new(None).parse("a.toml", &text);
    Grants::clone(&parsed.spec.unwrap_or_else(|| panic!("{:?}", parsed.problems)).workers[0].run.grants)
}

fn answered<T: Send + 'static>(answer: T) -> BoxFuture<'static, T> {
    ready(answer).boxed()
}

#[derive(Default)]
pub struct FakeJobs {
    pub views: Mutex<BTreeMap<Uuid, JobView>>,
    pub pushed: Mutex<Vec<NewJob>>,
    /// What the next push answers instead.
    pub fault: Mutex<Option<StoreError>>,
}

impl FakeJobs {
    pub fn set(&self, id: &str, state: JobState, result: Option<&[u8]>) {
        let mut views = self.views.lock().unwrap();
        let view = views.get_mut(&id.parse().unwrap()).unwrap();
        view.state = state;
        view.result = result.map(Payload::of);
    }

    fn view(&self, id: Uuid) -> Option<JobView> {
        self.views.lock().unwrap().get(&id).cloned()
    }
}

fn viewed(job: &NewJob) -> JobView {
    let at = jiff::Timestamp::UNIX_EPOCH;
    JobView {
        id: job.id.to_string(),
        queue: job.queue.to_string(),
        state: JobState::Waiting,
        priority: job.priority,
        attempts: 0,
        max_attempts: job.max_attempts.unwrap_or(20),
        unique_key: None,
        pushed_by: job.pushed_by.to_string(),
        pushed_at: at,
        due_at: at,
        finished_at: None,
        expires_at: None,
        leased_by: None,
        progress: None,
        last_error: None,
        payload_bytes: job.payload.len() as u64,
        payload: None,
        result: None,
    }
}

impl Jobs for FakeJobs {
    fn push(&self, jobs: Vec<NewJob>) -> BoxFuture<'static, Result<Vec<Pushed>, StoreError>> {
        if let Some(fault) = self.fault.lock().unwrap().take() {
            return answered(Err(fault));
        }
        let mut views = self.views.lock().unwrap();
        views.extend(jobs.iter().map(|job| (job.id, viewed(job))));
        let pushed = jobs.iter().map(|job| Pushed { id: job.id, fresh: true }).collect();
        self.pushed.lock().unwrap().extend(jobs);
        answered(Ok(pushed))
    }

    fn lease(&self, _: &str, _: usize, _: &Arc<str>, _: Term) -> Vec<LeasedJob> {
        panic!("a guest leases nothing")
    }

    fn due(&self, _: &str) -> usize {
        0
    }

    fn lease_for(&self, _: &str, _: usize, _: &Arc<str>, _: Duration) -> BoxFuture<'static, Result<Vec<LeasedJob>, StoreError>> {
        panic!("a guest leases nothing")
    }

    fn ready(&self, _: &str) -> watch::Receiver<u64> {
        panic!("a guest waits for no queue")
    }

    fn finish(&self, _: Uuid, _: u32, _: Outcome, _: Vec<NewJob>) -> BoxFuture<'static, Result<Finished, StoreError>> {
        panic!("a guest finishes nothing")
    }

    fn extend(&self, _: Uuid, _: u32, _: Duration) -> BoxFuture<'static, Result<bool, StoreError>> {
        panic!("a guest extends nothing")
    }

    fn progress(&self, id: Uuid, _: u32, note: String) -> bool {
        let mut views = self.views.lock().unwrap();
        let running = views.get_mut(&id).filter(|view| view.state == JobState::Running);
        running.map(|view| view.progress = Some(note)).is_some()
    }

    fn holds(&self, _: Uuid, _: u32) -> bool {
        panic!("nobody asked")
    }

    fn job(&self, id: Uuid) -> BoxFuture<'static, Result<Option<JobView>, StoreError>> {
        answered(Ok(self.view(id)))
    }

    fn wait(&self, id: Uuid) -> BoxFuture<'static, Result<Option<JobView>, StoreError>> {
        match self.view(id) {
            Some(view) if !view.state.over() => pending().boxed(),
            view => answered(Ok(view)),
        }
    }

    fn jobs(&self, _: JobFilter, _: bool) -> BoxFuture<'static, Result<Vec<JobView>, StoreError>> {
        panic!("a guest lists nothing")
    }

    fn cancel(&self, id: Uuid) -> BoxFuture<'static, Result<Option<bool>, StoreError>> {
        let mut views = self.views.lock().unwrap();
        answered(Ok(views.get_mut(&id).map(|view| !std::mem::replace(&mut view.state, JobState::Cancelled).over())))
    }

    fn retry(&self, _: Uuid) -> BoxFuture<'static, Result<Option<bool>, StoreError>> {
        panic!("a guest retries nothing")
    }

    fn purge(&self, _: &str, _: &[JobState]) -> BoxFuture<'static, Result<u64, StoreError>> {
        panic!("a guest purges nothing")
    }

    fn queues(&self) -> BoxFuture<'static, Result<Vec<QueueView>, StoreError>> {
        panic!("a guest lists nothing")
    }

    fn configure(&self, _: Vec<(Arc<str>, QueueSettings)>, _: QueueSettings) {
        panic!("a guest configures nothing")
    }
}

/// Answers what it is told to, and remembers which bucket was asked for.
#[derive(Default)]
pub struct FakeKv {
    pub asked: Mutex<Vec<String>>,
    pub swapped: Mutex<Option<Swapped>>,
    pub sums: Mutex<Option<Sums>>,
}

impl FakeKv {
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    fn note(&self, what: String) {
        self.asked.lock().unwrap().push(what);
    }
}

impl Kv for FakeKv {
    fn get(&self, bucket: &str, key: &str) -> BoxFuture<'static, Result<Option<KvEntry>, StoreError>> {
        self.note(format!("get {bucket} {key}"));
        answered(Ok(None))
    }

    fn set(
        &self,
        bucket: &str,
        key: &str,
        value: Bytes,
        ttl: Option<Duration>,
        expect: Expect,
    ) -> BoxFuture<'static, Result<Swapped, StoreError>> {
        self.note(format!("set {bucket} {key} {} bytes {ttl:?} {expect:?}", value.len()));
        answered(Ok(self.swapped.lock().unwrap().unwrap_or(Swapped::Set(1))))
    }

    fn delete(&self, bucket: &str, key: &str) -> BoxFuture<'static, Result<bool, StoreError>> {
        self.note(format!("delete {bucket} {key}"));
        answered(Ok(false))
    }

    fn increment(&self, bucket: &str, keys: Vec<String>, by: i64) -> BoxFuture<'static, Result<Sums, StoreError>> {
        self.note(format!("increment {bucket} {} keys by {by}", keys.len()));
        let sums = self.sums.lock().unwrap().take();
        answered(Ok(sums.unwrap_or_else(|| Sums::Sums(vec![by; keys.len()]))))
    }

    fn entries(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<KvEntry>, StoreError>> {
        self.note(format!("entries {bucket} {prefix} {after:?} {limit}"));
        answered(Ok(Vec::new()))
    }

    fn buckets(&self) -> BoxFuture<'static, Result<Vec<BucketView>, StoreError>> {
        panic!("a guest lists no buckets")
    }
}

/// Workers that are there; a call to one is answered by `answer`, after what it was asked was noted.
#[derive(Default)]
pub struct FakeDirectory {
    pub members: Mutex<Vec<Member>>,
    pub answer: Mutex<Option<CallFault>>,
    pub asked: Mutex<Vec<String>>,
}

impl FakeDirectory {
    pub fn have(&self, worker: &str, replica: u32) {
        self.members.lock().unwrap().push(Member { worker: worker.into(), replica, state: "running", busy: replica == 2, waiting: 3 });
    }

    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    fn note(&self, caller: &Caller, what: String) {
        let chain: Vec<String> = caller.chain.iter().flat_map(|chain| chain.workers()).map(|name| name.to_string()).collect();
        self.asked.lock().unwrap().push(format!("{}#{} via {chain:?}: {what}", caller.worker, caller.event));
    }

    fn fault(&self) -> Result<(), CallFault> {
        self.answer.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

impl Directory for FakeDirectory {
    fn whereis(&self, name: &str) -> Option<Vec<Member>> {
        let found = self.members(&|worker| worker == name);
        (!found.is_empty()).then_some(found)
    }

    fn members(&self, wanted: &dyn Fn(&str) -> bool) -> Vec<Member> {
        self.members.lock().unwrap().iter().filter(|member| wanted(&member.worker)).cloned().collect()
    }

    fn call<'a>(
        &'a self,
        caller: &'a Caller,
        name: &'a str,
        method: String,
        payload: Vec<u8>,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Vec<u8>, CallFault>> {
        self.note(caller, format!("call {name} {method} within {deadline:?}"));
        ready(self.fault().map(|()| payload)).boxed()
    }

    fn cast(&self, caller: &Caller, name: &str, method: String, _: Vec<u8>) -> Result<(), CallFault> {
        self.note(caller, format!("cast {name} {method}"));
        self.fault()
    }

    fn publish(&self, caller: &Caller, topic: &str, payload: Vec<u8>) -> u32 {
        self.note(caller, format!("publish {topic} {} bytes", payload.len()));
        2
    }
}

#[derive(Default)]
pub struct FakeRates {
    pub written: Mutex<Vec<String>>,
    /// Why it can't be written.
    pub fault: Mutex<Option<String>>,
}

impl Rates for FakeRates {
    fn set_rate<'a>(&'a self, name: &'a str, rate: Rate) -> BoxFuture<'a, Result<(), String>> {
        self.written.lock().unwrap().push(format!("{name} {rate}"));
        ready(self.fault.lock().unwrap().take().map_or(Ok(()), Err)).boxed()
    }
}
