//! What reconciling drives: supervision, schedule, checks and limiters together, so that a change of desired state reaches all of them.
//!
//! Turns one order of the fleet's into calls; decides nothing, waits for nothing.

use std::{sync::Arc, time::Duration};

use tokio::sync::broadcast;

use super::marks::deployed;
use crate::{
    capability::http::{Client, Outbound},
    checks::{Checks, Watch},
    clock::Clock,
    facts::{Level, Name},
    fleet::{Order, Runner},
    journal::Journal,
    limiter::{Limiter, Limiters},
    manifest::spec::{LimiterSpec, MaintenanceSpec, QueueSpec, Schedule, WorkerSpec},
    store::{Jobs, QueueSettings, Store},
    supervise::{Deployment, Fact, Supervisor},
    trigger::{
        ingress::Ingress,
        jobs::Feeders,
        phase,
        schedule::{First, Scheduler},
    },
    worker::Component,
};

/// Everything an order touches.
pub struct Floor {
    pub supervisor: Supervisor,
    pub scheduler: Scheduler,
    pub ingress: Ingress,
    pub checks: Checks,
    pub http: Arc<Client>,
    pub journal: Journal,
    pub clock: Clock,
    pub limiters: Limiters,
    pub jobs: Arc<dyn Jobs>,
    pub feeders: Feeders,
    pub store: Store,
}

impl Floor {
    fn outbound(&self, spec: &WorkerSpec) -> Arc<Outbound> {
        let grant = spec.run.grants.http.as_ref();
        let limiter = grant.and_then(|grant| match (&grant.limiter, grant.rate) {
            (Some(name), _) => self.limiters.get(name),
            (None, Some(rate)) => Some(Limiter::new(rate, 1, self.clock)),
            (None, None) => None,
        });
        match self.http.outbound(&spec.name, grant, limiter) {
            Ok(outbound) => outbound,
            Err(reason) => {
                // Nothing is granted by default, and a grant that can't be read grants nothing.
                self.journal.event("worker.grant-refused", Level::Error, Some(&spec.name), format!("grants.http: {reason}"));
                self.http.closed(&spec.name)
            }
        }
    }

    fn watch(&self, spec: &WorkerSpec) {
        let interval = spec.run.schedule.as_ref().map(|schedule| match schedule {
            Schedule::Every(every) => *every,
            Schedule::Cron { expression, timezone } => cron_gap(expression, timezone, self.clock),
        });
        let live = &spec.live;
        let watch = Watch { policy: live.checks, interval, paused: live.paused, maintenance: false };
        self.checks.watch_in(&spec.name, live.group.as_deref(), watch);
    }

    fn schedule(&self, spec: &WorkerSpec, first: First) {
        match &spec.run.schedule {
            Some(schedule) if !spec.live.paused => self.scheduler.set(spec.name.clone(), schedule.clone(), first),
            _ => self.scheduler.clear(spec.name.clone()),
        }
    }

    fn paused(&self, name: &Name) -> Option<bool> {
        self.supervisor.spec(name).map(|spec| spec.live.paused)
    }
}

/// The longest of a cron expression's next few gaps: silence is judged by it.
fn cron_gap(expression: &str, timezone: &str, clock: Clock) -> Duration {
    let mut from = clock.wall();
    let mut longest = Duration::ZERO;
    for round in 0..8 {
        let Some(next) = phase::next_cron(expression, timezone, from) else { break };
        if round > 0 {
            longest = longest.max(Duration::try_from(next.duration_since(from)).unwrap_or_default());
        }
        from = next;
    }
    longest
}

/// What a queue that nobody declares does.
pub fn default_queue() -> QueueSettings {
    QueueSettings { max_attempts: QueueSpec::MAX_ATTEMPTS, backoff: QueueSpec::BACKOFF, result_ttl: QueueSpec::RESULT_TTL }
}

fn deployment(order: Order<Component>) -> Deployment {
    Deployment { spec: order.spec, component: order.component, held_back: order.held_back }
}

impl Runner<Component> for Floor {
    fn create(&self, order: Order<Component>, at_start: bool) {
        self.store.record_deployed(deployed(&order, self.clock));
        let spec = order.spec.clone();
        self.watch(&spec);
        self.supervisor.create(deployment(order), self.outbound(&spec));
        self.ingress.set(&spec);
        self.schedule(&spec, if at_start { First::Spread } else { First::Now });
        self.feeders.set(&spec);
    }

    fn update(&self, order: Order<Component>) {
        self.store.record_deployed(deployed(&order, self.clock));
        let spec = order.spec.clone();
        self.watch(&spec);
        self.checks.renew(&spec.name);
        self.supervisor.update(deployment(order), self.outbound(&spec));
        self.ingress.set(&spec);
        self.schedule(&spec, First::Now);
        self.feeders.set(&spec);
    }

    fn amend(&self, order: Order<Component>) {
        let spec = order.spec.clone();
        let before = self.paused(&spec.name);
        self.watch(&spec);
        self.supervisor.amend(deployment(order));
        self.ingress.set(&spec);
        // Only pause and resume touch the schedule: a new title must not move a tick.
        if before.is_some_and(|before| before != spec.live.paused) {
            self.schedule(&spec, First::Now);
        }
        self.feeders.set(&spec);
    }

    fn remove(&self, name: &str) {
        self.scheduler.clear(name.into());
        self.feeders.clear(name);
        self.ingress.remove(name);
        self.supervisor.remove(name);
        self.checks.remove(name);
        self.store.record_undeployed(name);
        self.journal.forget(name);
    }

    fn limiters(&self, specs: Vec<Arc<LimiterSpec>>) {
        self.limiters.declare(specs, self.clock);
    }

    fn queues(&self, specs: Vec<Arc<QueueSpec>>) {
        let settings = |spec: &Arc<QueueSpec>| {
            let QueueSpec { max_attempts, backoff, result_ttl, .. } = **spec;
            (spec.name.as_str().into(), QueueSettings { max_attempts, backoff, result_ttl })
        };
        self.jobs.configure(specs.iter().map(settings).collect(), default_queue());
        self.feeders.queues(&specs);
    }

    fn maintenance(&self, windows: Vec<Arc<MaintenanceSpec>>) {
        self.checks.declare_windows(windows);
    }

    fn facts(&self) -> broadcast::Receiver<Fact> {
        self.supervisor.facts()
    }
}
