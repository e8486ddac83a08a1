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
use wasmtime::{Store, UpdateDeadline};

use super::{
    component::Component,
    engine::Engines,
    event::{Answer, Crash, ERROR_KEPT_BYTES, Ended, Event, MAX_PAYLOAD_BYTES, Stage},
    limits::MAX_CALL_BYTES,
    state::{Context, Deadline, State},
    trap,
};
use crate::capability::{
    bindings::exports::skep::worker::{call_handler, lifecycle, schedule_handler},
    log::cut,
};
use crate::facts::Name;

/// What an instance is of and for; the same for all events of a deployment.
#[derive(Debug)]
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
    lifecycle: Option<lifecycle::Guest>,
    schedule: Option<schedule_handler::Guest>,
    call: Option<call_handler::Guest>,
    purpose: Arc<Purpose>,
    /// Its place in the pool; given back after the Store is gone (fields drop in order).
    _place: OwnedSemaphorePermit,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").field("worker", &self.purpose.worker).finish_non_exhaustive()
    }
}

impl Instance {
    /// Makes an instance and runs its `init`.
    pub async fn start(purpose: Arc<Purpose>, context: Context, place: OwnedSemaphorePermit) -> Result<Self, Box<Ended>> {
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
            entered(&mut store, purpose, async move |store| {
                let instance = purpose.component.pre.instantiate_async(&mut *store).await?;
                let component = &purpose.component;
                let lifecycle = component.lifecycle.as_ref().map(|indices| indices.load(&mut *store, &instance)).transpose()?;
                let schedule = component.schedule.as_ref().map(|indices| indices.load(&mut *store, &instance)).transpose()?;
                let call = component.call.as_ref().map(|indices| indices.load(&mut *store, &instance)).transpose()?;
                let refused = match &lifecycle {
                    Some(guest) => guest.call_init(&mut *store, &purpose.config).await?.err(),
                    None => None,
                };
                Ok((lifecycle, schedule, call, refused))
            })
            .await
        };
        match started {
            Ok((_, _, _, Some(reason))) => Err(Box::new(Ended::Refused(bounded(reason)))),
            Ok((lifecycle, schedule, call, None)) => Ok(Self { store, lifecycle, schedule, call, purpose, _place: place }),
            Err(failure) => Err(Box::new(failure.ended(store, purpose, Stage::Init))),
        }
    }

    /// Hands one event to the guest. Err: this instance is over.
    pub async fn handle(mut self, event: Event) -> Result<(Self, Answer), Box<Ended>> {
        let purpose = self.purpose.clone();
        let (schedule, call) = (&self.schedule, &self.call);
        let handled = entered(&mut self.store, &purpose, async |store| match &event {
            Event::Tick { scheduled, sequence, missed } => {
                let Some(guest) = schedule else { return Ok(Err("the component exports no schedule-handler".to_owned())) };
                let info = schedule_handler::TickInfo {
                    worker: purpose.worker.to_string(),
                    replica: purpose.replica,
                    scheduled_ms: u64::try_from(scheduled.as_millisecond()).unwrap_or_default(),
                    sequence: *sequence,
                    missed: *missed,
                    timeout_ms: u64::try_from(purpose.timeout.as_millis()).unwrap_or(u64::MAX),
                };
                Ok(guest.call_tick(store, &info).await?.map(|()| Vec::new()).map_err(bounded))
            }
            Event::Call { method, payload, .. } => {
                let Some(guest) = call else { return Ok(Err("the component exports no call-handler".to_owned())) };
                let answer = guest.call_call(store, method, payload).await?;
                Ok(answer.map_err(bounded).and_then(|bytes| match bytes.len() {
                    0..=MAX_PAYLOAD_BYTES => Ok(bytes),
                    size => Err(format!("the answer has {size} bytes; at most {MAX_PAYLOAD_BYTES} (1 MiB) are passed on")),
                }))
            }
            Event::Job(_) | Event::Http(_) | Event::Message { .. } => Ok(Err("not yet".to_owned())),
        })
        .await;
        match handled {
            Ok(answer) => Ok((self, answer)),
            Err(failure) => Err(Box::new(failure.ended(self.store, purpose, Stage::Event(event)))),
        }
    }

    /// A planned stop: the guest's `stop` runs, whatever comes of it.
    pub async fn stop(mut self) -> Option<Box<Ended>> {
        let purpose = self.purpose.clone();
        let lifecycle = self.lifecycle.as_ref()?;
        let stopped = entered(&mut self.store, &purpose, async |store| lifecycle.call_stop(store).await).await;
        stopped.err().map(|failure| Box::new(failure.ended(self.store, purpose, Stage::Stop)))
    }

    /// The largest linear memory so far, in bytes.
    pub fn memory_peak_bytes(&self) -> u64 {
        self.store.data().memory.peak_bytes()
    }
}

/// A guest's own sentence, no longer than people read.
fn bounded(mut reason: String) -> String {
    reason.truncate(cut(&reason, ERROR_KEPT_BYTES).len());
    reason.shrink_to_fit();
    reason
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
    call: impl AsyncFnOnce(&mut Store<State>) -> wasmtime::Result<T>,
) -> Result<T, Failure> {
    let deadline = store.data_mut().begin(purpose.timeout);
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
