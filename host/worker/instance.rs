//! One instance: a Store with its component in it, entered for one event at a time, never again after a crash.
//!
//! Deadlines: the epoch callback ends guest code that runs too long and lets others run meanwhile; a timer round the call ends waits
//! in host calls, which epochs don't reach. Nothing but the event's own deadline (or dropping the instance) ends a running call.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use wasmtime::{AsContextMut, Store, UpdateDeadline};
use wasmtime_wasi::p2::bindings::exports::wasi::cli::run;
use wasmtime_wasi_http::p2::bindings::exports::wasi::http::incoming_handler;

use super::{
    component::Component,
    engine::Engines,
    enter::{bounded, enter},
    event::{Crash, Ended, Event, Handled, Stage},
    limits::MAX_CALL_BYTES,
    state::{Context, Deadline, Errand, State},
    trap,
};
use crate::{
    capability::bindings::exports::skep::worker::{call_handler, job_handler, lifecycle, message_handler, schedule_handler},
    facts::Name,
};

/// A service has no deadline; kept in range of what clocks can add.
const FOREVER: Duration = Duration::from_secs(100 * 366 * 86_400);

/// What an instance is of and for; the same for all events of a deployment.
#[derive(Debug, Clone)]
pub struct Purpose {
    pub engines: Arc<Engines>,
    pub component: Arc<Component>,
    pub worker: Name,
    pub replica: u32,
    /// The config as JSON.
    pub config: Arc<str>,
    pub timeout: Duration,
}

/// A live instance.
pub struct Instance {
    store: Store<State>,
    /// Boxed: an instance changes hands a few times an event.
    guest: Box<Guest>,
    purpose: Arc<Purpose>,
    /// Its place in the pool; given back after the Store is gone (fields drop in order).
    _place: OwnedSemaphorePermit,
}

/// What of the guest can be entered.
pub(super) struct Guest {
    lifecycle: Option<lifecycle::Guest>,
    pub(super) schedule: Option<schedule_handler::Guest>,
    pub(super) call: Option<call_handler::Guest>,
    pub(super) jobs: Option<job_handler::Guest>,
    pub(super) messages: Option<message_handler::Guest>,
    pub(super) http: Option<incoming_handler::Guest>,
    pub(super) command: Option<run::Guest>,
}

impl Guest {
    /// Its ticks are whole runs.
    pub(super) fn is_program(&self) -> bool {
        self.command.is_some() && self.schedule.is_none()
    }

    fn load(component: &Component, mut store: impl AsContextMut, instance: &wasmtime::component::Instance) -> wasmtime::Result<Self> {
        let mut store = store.as_context_mut();
        Ok(Self {
            lifecycle: component.lifecycle.as_ref().map(|indices| indices.load(&mut store, instance)).transpose()?,
            schedule: component.schedule.as_ref().map(|indices| indices.load(&mut store, instance)).transpose()?,
            call: component.call.as_ref().map(|indices| indices.load(&mut store, instance)).transpose()?,
            jobs: component.jobs.as_ref().map(|indices| indices.load(&mut store, instance)).transpose()?,
            messages: component.messages.as_ref().map(|indices| indices.load(&mut store, instance)).transpose()?,
            http: component.http.as_ref().map(|indices| indices.load(&mut store, instance)).transpose()?,
            command: component.command.as_ref().map(|indices| indices.load(&mut store, instance)).transpose()?,
        })
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").field("worker", &self.purpose.worker).finish_non_exhaustive()
    }
}

impl Instance {
    /// Makes an instance and runs its `init`.
    /// On behalf of whom: `errand` is that of the event it is made for, if it is made for one.
    pub async fn start(purpose: Arc<Purpose>, context: Context, place: OwnedSemaphorePermit, errand: Errand) -> Result<Self, Box<Ended>> {
        let runtime = purpose.engines.get(purpose.component.kind);
        let mut store = Store::new(&runtime.engine, State::new(context));
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(MAX_CALL_BYTES);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|cx| {
            Ok(if cx.data().expired() {
                UpdateDeadline::Interrupt
            } else {
                // A real yield to the runtime: a re-poll at once would starve its timers.
                UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))
            })
        });
        let started = {
            let purpose = &purpose;
            entered(&mut store, purpose, errand, async move |store| {
                let instance = purpose.component.pre.instantiate_async(&mut *store).await?;
                let guest = Guest::load(&purpose.component, &mut *store, &instance)?;
                let refused = match &guest.lifecycle {
                    Some(guest) => guest.call_init(&mut *store, &purpose.config).await?.err(),
                    None => None,
                };
                Ok((Box::new(guest), refused))
            })
            .await
        };
        match started {
            Ok((_, Some(reason))) => Err(Box::new(Ended::Refused(bounded(reason)))),
            Ok((guest, None)) => Ok(Self { store, guest, purpose, _place: place }),
            Err(failure) => Err(Box::new(failure.ended(store, purpose, Stage::Init))),
        }
    }

    /// Hands one event to the guest; `number` is the event's own. Err: this instance is over.
    pub async fn handle(mut self, event: Event, number: u64) -> Result<(Self, Handled), Box<Ended>> {
        let purpose = self.purpose.clone();
        let guest = &self.guest;
        let errand = Errand { event: number, chain: event.chain().cloned(), job: event.job(), prepaid: event.prepaid() };
        let handled = entered(&mut self.store, &purpose, errand, async |store| enter(guest, store, &purpose, &event).await).await;
        match handled {
            // A program that returned from `main` is as over as one that called `exit`.
            Ok(handled) if self.guest.is_program() && matches!(event, Event::Tick { .. }) => {
                Err(Box::new(Ended::Exited { normal: handled.answer.is_ok() }))
            }
            Ok(handled) => Ok((self, handled)),
            Err(failure) => Err(Box::new(failure.ended(self.store, purpose, Stage::Event(event)))),
        }
    }

    /// Runs a service's command: no deadline, until it ends by itself or is dropped.
    pub async fn serve(mut self, number: u64) -> Box<Ended> {
        let purpose = Purpose { timeout: FOREVER, ..Purpose::clone(&self.purpose) };
        let command = &self.guest.command;
        let errand = Errand { event: number, ..Errand::default() };
        let ran = entered(&mut self.store, &purpose, errand, async |store| match command {
            Some(command) => command.call_run(store).await,
            None => Ok(Err(())),
        })
        .await;
        Box::new(match ran {
            Ok(result) => Ended::Exited { normal: result.is_ok() },
            Err(failure) => failure.ended(self.store, self.purpose, Stage::Serve),
        })
    }

    /// A planned stop: the guest's `stop` runs, whatever comes of it.
    pub async fn stop(mut self, number: u64) -> Option<Box<Ended>> {
        let purpose = self.purpose.clone();
        let lifecycle = self.guest.lifecycle.as_ref()?;
        let errand = Errand { event: number, ..Errand::default() };
        let stopped = entered(&mut self.store, &purpose, errand, async |store| lifecycle.call_stop(store).await).await;
        stopped.err().map(|failure| Box::new(failure.ended(self.store, purpose, Stage::Stop)))
    }

    /// The largest linear memory so far, in bytes.
    pub fn memory_peak_bytes(&self) -> u64 {
        self.store.data().memory.peak_bytes()
    }
}

/// Why a call did not come back.
struct Failure {
    /// None: the deadline ended a wait in a host call.
    error: Option<wasmtime::Error>,
    ran: Duration,
}

impl Failure {
    fn ended(self, store: Store<State>, purpose: Arc<Purpose>, stage: Stage) -> Ended {
        if let Some(exit) = self.error.as_ref().and_then(|error| error.downcast_ref::<wasmtime_wasi::I32Exit>()) {
            return Ended::Exited { normal: exit.0 == 0 };
        }
        if let Some(full) = self.error.as_ref().and_then(|error| error.downcast_ref::<wasmtime::PoolConcurrencyLimitError>()) {
            return Ended::Unavailable(format!("the instance pool is full: {full}"));
        }
        Ended::Crashed(Crash::new(store, purpose, stage, self.error, self.ran))
    }
}

/// Runs guest code under the deadline of one event.
async fn entered<T>(
    store: &mut Store<State>,
    purpose: &Purpose,
    errand: Errand,
    call: impl AsyncFnOnce(&mut Store<State>) -> wasmtime::Result<T>,
) -> Result<T, Failure> {
    let deadline = store.data_mut().begin(purpose.timeout, errand);
    store.set_epoch_deadline(1);
    let running = purpose.engines.ticker.run();
    let result = within(&deadline, call(store)).await;
    drop(running);
    store.data_mut().end();
    match result {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(Failure { error: Some(error), ran: deadline.ran(purpose.timeout) }),
        None => Err(Failure { error: None, ran: deadline.ran(purpose.timeout) }),
    }
}

/// The call's answer, or none when the deadline passed first. A call that answers without waiting never arms a timer.
async fn within<T>(deadline: &Deadline, call: impl Future<Output = T>) -> Option<T> {
    let mut call = pin!(call);
    if let Poll::Ready(value) = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await {
        return Some(value);
    }
    loop {
        // A limiter may give time back while we wait, hence the loop.
        let left = deadline.left(Instant::now());
        if left.is_zero() {
            return None;
        }
        if let Ok(value) = tokio::time::timeout(left, call.as_mut()).await {
            return Some(value);
        }
    }
}

impl Crash {
    fn new(store: Store<State>, purpose: Arc<Purpose>, mut stage: Stage, error: Option<wasmtime::Error>, ran: Duration) -> Self {
        if let Stage::Event(event) = &mut stage {
            event.cut();
        }
        let state = store.into_data();
        let (cause, summary) = trap::classify(error.as_ref(), &state, &purpose);
        let (log, stderr) = state.log.recent();
        Self { cause, summary, error, log, stderr, stage, ran, memory_peak_bytes: state.memory.peak_bytes(), purpose }
    }
}
