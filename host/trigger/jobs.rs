//! Jobs: one feeder a worker takes leased jobs from its queue to the worker, as many as it has hands for.
//!
//! Push, not poll: a feeder sleeps until the queue says that there may be a job, a hand is free again, or its worker came back. A job
//! of a limited queue is leased only with the permit in hand, so it waits in the queue. What became of an attempt goes straight
//! to the queue, which makes it durable in its own time: nobody waits for a disk in between.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use uuid::Uuid;

use crate::{
    clock::Clock,
    facts::{InstanceMode, Name},
    limiter::Limiters,
    manifest::spec::{QueueSpec, WorkerSpec},
    store::{Jobs, LeasedJob, Outcome, Term},
    supervise::{JobEnd, JobSink, JobTicket, Supervisor},
    worker::JobEvent,
};

/// Work that may lie in a resident's mailbox ahead of time: enough that it never waits for the feeder, little enough that another
/// replica finds work, too.
const AHEAD: Duration = Duration::from_millis(2);
const MOST_AHEAD: usize = 256;
/// How long a feeder waits where its worker refused for a reason that nobody announces the end of, such as a full mailbox.
const REFUSED_PAUSE: Duration = Duration::from_millis(50);
/// How long a permit may be waited for at a time.
const PERMIT_PATIENCE: Duration = Duration::from_secs(3_600);

/// All feeders of this host; a cheap handle.
#[derive(Clone)]
pub struct Feeders(Arc<Inner>);

struct Inner {
    supervisor: Supervisor,
    jobs: Arc<dyn Jobs>,
    limiters: Limiters,
    clock: Clock,
    /// The limiters of declared queues, by queue.
    limited: RwLock<HashMap<String, String>>,
    /// Whose turn it is to take a permit for a queue: with it comes the job, or the permit would be for nothing.
    turns: Mutex<HashMap<Arc<str>, Arc<tokio::sync::Mutex<()>>>>,
    running: Mutex<HashMap<Name, watch::Sender<Option<Want>>>>,
}

impl std::fmt::Debug for Feeders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feeders").finish_non_exhaustive()
    }
}

/// What one worker wants to be fed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Want {
    queue: Arc<str>,
    /// Handlers at once, over all replicas.
    hands: usize,
    resident: bool,
    limiter: Option<String>,
}

impl Feeders {
    pub fn new(supervisor: Supervisor, jobs: Arc<dyn Jobs>, limiters: Limiters, clock: Clock) -> Self {
        let (limited, turns, running) = Default::default();
        Self(Arc::new(Inner { supervisor, jobs, limiters, clock, limited, turns, running }))
    }

    /// What the manifests say of queues now. Comes before the workers that use them.
    pub fn queues(&self, specs: &[Arc<QueueSpec>]) {
        let limited = specs.iter().filter_map(|spec| Some((spec.name.clone(), spec.limiter.clone()?))).collect();
        *self.0.limited.write().unwrap_or_else(PoisonError::into_inner) = limited;
        for want in self.0.running().values() {
            want.send_if_modified(|want| {
                let Some(want) = want else { return false };
                let limiter = self.0.limiter_of(&want.queue);
                std::mem::replace(&mut want.limiter, limiter.clone()) != limiter
            });
        }
    }

    /// A worker as it shall be fed from now on; not at all when it has no queue or is paused.
    pub fn set(&self, spec: &WorkerSpec) {
        let wanted = spec.run.jobs.as_ref().filter(|_| !spec.live.paused).map(|jobs| Want {
            queue: jobs.queue.as_str().into(),
            hands: jobs.concurrency.saturating_mul(spec.live.replicas) as usize,
            resident: spec.run.instance == InstanceMode::Resident,
            limiter: self.0.limiter_of(&jobs.queue),
        });
        let mut running = self.0.running();
        match (wanted, running.get(&spec.name)) {
            // Paused or without a queue: what is in hand still counts when it is fed again.
            (wanted, Some(known)) => {
                known.send_if_modified(|known| std::mem::replace(known, wanted.clone()) != wanted);
            }
            (None, None) => {}
            (Some(want), None) => {
                let (sender, wants) = watch::channel(Some(want));
                running.insert(spec.name.clone(), sender);
                let load = Arc::new(Load {
                    jobs: self.0.jobs.clone(),
                    in_hand: AtomicUsize::new(0),
                    done: AtomicU64::new(0),
                    freed: Notify::new(),
                });
                tokio::spawn(Feeder { worker: spec.name.clone(), host: self.0.clone(), wants, load }.run());
            }
        }
    }

    pub fn clear(&self, worker: &str) {
        self.0.running().remove(worker);
    }

    /// The host stops: nothing is taken any more, what is in hand goes on.
    pub fn stop(&self) {
        self.0.running().clear();
    }

    /// Workers that take jobs of this queue.
    pub fn workers(&self, queue: &str) -> Vec<Name> {
        let feeds = |want: &watch::Sender<Option<Want>>| want.borrow().as_ref().is_some_and(|want| *want.queue == *queue);
        let mut workers: Vec<Name> = self.0.running().iter().filter(|(_, want)| feeds(want)).map(|(name, _)| name.clone()).collect();
        workers.sort();
        workers
    }
}

impl Inner {
    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<Name, watch::Sender<Option<Want>>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self, queue: &Arc<str>) -> Arc<tokio::sync::Mutex<()>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).entry(queue.clone()).or_default().clone()
    }

    fn limiter_of(&self, queue: &str) -> Option<String> {
        self.limited.read().unwrap_or_else(PoisonError::into_inner).get(queue).cloned()
    }
}

/// Jobs of one worker that are leased and not over.
struct Load {
    jobs: Arc<dyn Jobs>,
    in_hand: AtomicUsize,
    done: AtomicU64,
    freed: Notify,
}

impl JobSink for Load {
    fn wanted(&self, id: Uuid, attempt: u32) -> bool {
        self.jobs.holds(id, attempt)
    }

    fn ended(&self, id: Uuid, attempt: u32, end: JobEnd) {
        let (outcome, pushes) = match end {
            JobEnd::Answered(answer) => (answer.outcome, answer.pushes),
            JobEnd::Crashed(reason) => (Outcome::Retry { reason, after: None }, Vec::new()),
            JobEnd::NotTaken => (Outcome::Released, Vec::new()),
        };
        let pushes_more = !pushes.is_empty();
        // Begun by the call: the queue owns it from here, failures to write included.
        let finished = self.jobs.finish(id, attempt, outcome, pushes);
        if pushes_more {
            // What it pushes may be refused, by a queue that is full, say: then the attempt is still open.
            let jobs = self.jobs.clone();
            tokio::spawn(async move {
                if let Err(error) = finished.await {
                    drop(jobs.finish(id, attempt, Outcome::Retry { reason: error.to_string(), after: None }, Vec::new()));
                }
            });
        }
        self.done.fetch_add(1, Ordering::Relaxed);
        self.in_hand.fetch_sub(1, Ordering::AcqRel);
        self.freed.notify_one();
    }
}

struct Feeder {
    worker: Name,
    host: Arc<Inner>,
    wants: watch::Receiver<Option<Want>>,
    load: Arc<Load>,
}

impl Feeder {
    async fn run(mut self) {
        let mut pace = Pace::new(self.host.clock.now());
        loop {
            let want = self.wants.borrow_and_update().clone();
            let feeding = async {
                match &want {
                    Some(want) => feed(&self.worker, &self.host, &self.load, want, &mut pace).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // Dropped by `clear`: what is in hand goes on, nothing is taken any more.
                changed = self.wants.changed() => if changed.is_err() { return },
                () = feeding => {}
            }
        }
    }
}

/// Feeds until it is dropped. Every wait in it may be cut off: nothing is leased across one.
async fn feed(worker: &Name, host: &Arc<Inner>, load: &Arc<Load>, want: &Want, pace: &mut Pace) {
    let mut ready = host.jobs.ready(&want.queue);
    let holder: Arc<str> = worker.clone();
    loop {
        let freed = load.freed.notified();
        let hands = if want.resident { want.hands.max(pace.ahead(host.clock.now(), load)) } else { want.hands };
        let free = hands.saturating_sub(load.in_hand.load(Ordering::Acquire));
        if free == 0 {
            freed.await;
            continue;
        }
        host.supervisor.until_open(worker).await;
        ready.borrow_and_update();
        let (leased, prepaid) = match &want.limiter {
            None => (host.jobs.lease(&want.queue, free, &holder, Term::Host), None),
            Some(name) => {
                let turn = host.turn(&want.queue);
                let _turn = turn.lock().await;
                if host.jobs.due(&want.queue) == 0 {
                    (Vec::new(), None)
                } else {
                    // Undeclared meanwhile: the manifests say so, and nothing limits it.
                    let limiter = host.limiters.get(name);
                    if let Some(limiter) = &limiter
                        && limiter.acquire(host.clock.now() + PERMIT_PATIENCE).await.is_err()
                    {
                        continue;
                    }
                    (host.jobs.lease(&want.queue, 1, &holder, Term::Host), limiter.map(|_| Arc::from(name.as_str())))
                }
            }
        };
        if leased.is_empty() {
            pace.rest();
            if ready.changed().await.is_err() {
                return;
            }
            continue;
        }
        let mut refused = false;
        for job in leased {
            refused |= !hand_over(worker, host, load, job, prepaid.clone());
        }
        if refused {
            tokio::time::sleep(REFUSED_PAUSE).await;
        }
    }
}

/// False: the worker did not take it, and it is back in the queue.
fn hand_over(worker: &Name, host: &Inner, load: &Arc<Load>, job: LeasedJob, prepaid: Option<Arc<str>>) -> bool {
    load.in_hand.fetch_add(1, Ordering::AcqRel);
    let ticket = JobTicket::new(load.clone(), job.id, job.attempt);
    host.supervisor.job(worker, JobEvent { job, prepaid }, ticket).is_ok()
}

/// How far ahead a resident is fed, from how quick it has been.
#[derive(Debug)]
struct Pace {
    since: Instant,
    done: u64,
    ahead: usize,
    rested: bool,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { since: now, done: 0, ahead: 1, rested: true }
    }

    fn ahead(&mut self, now: Instant, load: &Load) -> usize {
        let done = load.done.load(Ordering::Relaxed);
        let (jobs, took) = (done - self.done, now.saturating_duration_since(self.since));
        // Time without work says nothing.
        if !std::mem::take(&mut self.rested) && jobs > 0 {
            let each = (took / u32::try_from(jobs).unwrap_or(u32::MAX)).max(Duration::from_nanos(1));
            let fits = usize::try_from(AHEAD.as_nanos() / each.as_nanos()).unwrap_or(MOST_AHEAD);
            self.ahead = fits.clamp(1, MOST_AHEAD);
        }
        if jobs > 0 {
            (self.since, self.done) = (now, done);
        }
        self.ahead
    }

    fn rest(&mut self) {
        self.rested = true;
    }
}
