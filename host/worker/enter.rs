//! From an event to the guest's function and back: one arm a trigger.
//!
//! Only translates, and bounds what a guest answers; deadlines and what an end means are others'.

use std::time::Duration;

use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime_wasi_http::{
    WasiBody, WasiHttpView,
    p2::bindings::http::types::{ErrorCode, Scheme},
};

use super::{
    event::{Answer, ERROR_KEPT_BYTES, Event, Exchange, Handled, HttpEvent, JobAnswer, JobEvent, MAX_PAYLOAD_BYTES},
    instance::{Guest, Purpose},
    state::State,
};
use crate::{
    capability::{
        bindings::exports::skep::worker::{job_handler, schedule_handler},
        log::cut,
    },
    store::Outcome,
};

/// Hands an event to the guest. The outer error is a trap.
pub(super) async fn enter(guest: &Guest, store: &mut Store<State>, purpose: &Purpose, event: &Event) -> wasmtime::Result<Handled> {
    let answer = match event {
        Event::Job(event) => return job(guest, store, purpose, event).await,
        Event::Tick { .. } if guest.is_program() => command(guest, store).await?,
        Event::Tick { scheduled, sequence, missed } => {
            let Some(guest) = &guest.schedule else { return Ok(lacks("schedule-handler")) };
            let info = schedule_handler::TickInfo {
                worker: purpose.worker.to_string(),
                replica: purpose.replica,
                scheduled_ms: u64::try_from(scheduled.as_millisecond()).unwrap_or_default(),
                sequence: *sequence,
                missed: *missed,
                timeout_ms: milliseconds(purpose.timeout),
            };
            guest.call_tick(store, &info).await?.map(|()| Vec::new()).map_err(bounded)
        }
        Event::Call { method, payload, .. } => {
            let Some(guest) = &guest.call else { return Ok(lacks("call-handler")) };
            guest.call_call(store, method, payload).await?.map_err(bounded).and_then(fits)
        }
        Event::Message { topic, payload } => {
            let Some(guest) = &guest.messages else { return Ok(lacks("message-handler")) };
            guest.call_on_message(store, topic, payload).await?.map(|()| Vec::new()).map_err(bounded)
        }
        Event::Http(event) => request(guest, store, event).await?,
    };
    Ok(Handled { answer, job: None })
}

async fn job(guest: &Guest, store: &mut Store<State>, purpose: &Purpose, event: &JobEvent) -> wasmtime::Result<Handled> {
    let Some(guest) = &guest.jobs else { return Ok(lacks("job-handler")) };
    let job = &event.job;
    let item = job_handler::Job {
        id: job.id.to_string(),
        queue: job.queue.to_string(),
        payload: job.payload.to_vec(),
        attempt: job.attempt,
        max_attempts: job.max_attempts,
        priority: job.priority,
        unique_key: job.unique_key.as_deref().map(str::to_owned),
        pushed_ms: u64::try_from(job.pushed_at.as_millisecond()).unwrap_or_default(),
        timeout_ms: milliseconds(purpose.timeout),
    };
    let said = guest.call_handle(&mut *store, &item).await?;
    let (outcome, answer) = match said.map(|result| result.map(fits).transpose()) {
        Ok(Ok(result)) => (Outcome::Done(result), Ok(Vec::new())),
        // Another attempt would answer as much again.
        Ok(Err(reason)) => (Outcome::Dead(reason.clone()), Err(reason)),
        Err(job_handler::JobError::Retry(later)) => {
            let reason = bounded(later.reason);
            (Outcome::Retry { reason: reason.clone(), after: later.after_ms.map(Duration::from_millis) }, Err(reason))
        }
        Err(job_handler::JobError::Dead(reason)) => {
            let reason = bounded(reason);
            (Outcome::Dead(reason.clone()), Err(reason))
        }
    };
    // What was pushed on ack goes with what ends the job: an attempt that is tried again would put it out twice.
    let pushes = store.data_mut().scope.take_pushes();
    let pushes = if matches!(outcome, Outcome::Retry { .. }) { Vec::new() } else { pushes };
    Ok(Handled { answer, job: Some(JobAnswer { outcome, pushes }) })
}

async fn command(guest: &Guest, store: &mut Store<State>) -> wasmtime::Result<Answer> {
    let Some(guest) = &guest.command else { return Ok(Err("the component exports no wasi:cli/run".to_owned())) };
    Ok(guest.call_run(store).await?.map(|()| Vec::new()).map_err(|()| "the command exited with a failure".to_owned()))
}

async fn request(guest: &Guest, store: &mut Store<State>, event: &HttpEvent) -> wasmtime::Result<Answer> {
    let Some(guest) = &guest.http else { return Ok(Err("the component exports no wasi:http/incoming-handler".to_owned())) };
    let exchange = event.exchange.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    let Some(Exchange { request, tls, respond }) = exchange else { return Ok(Err("the request was taken before".to_owned())) };
    let scheme = if tls { Scheme::Https } else { Scheme::Http };
    let (sender, mut response) = oneshot::channel();
    let request = WasiHttpView::http(store.data_mut()).new_incoming_request(scheme, request)?;
    let out = WasiHttpView::http(store.data_mut()).new_response_outparam(sender)?;
    let mut call = std::pin::pin!(guest.call_handle(store, request, out));
    // The response is passed on as soon as it is set: its body streams while the guest still runs.
    let mut respond = Some(respond);
    let mut pass = |said: Result<Result<http::Response<WasiBody>, ErrorCode>, ()>| {
        if let (Some(respond), Ok(said)) = (respond.take(), said) {
            let said = said.map_err(|code| format!("{code:?}"));
            // A visitor who went away is fine.
            let _ = respond.send(said);
        }
    };
    let mut answered = false;
    let ended = loop {
        tokio::select! {
            biased;
            said = &mut response, if !answered => {
                answered = true;
                pass(said.map_err(drop));
            }
            ended = call.as_mut() => break ended,
        }
    };
    if !answered {
        // Set at the very end, or not at all.
        pass(response.try_recv().map_err(drop));
    }
    ended?;
    Ok(Ok(Vec::new()))
}

fn lacks(export: &str) -> Handled {
    Handled { answer: Err(format!("the component exports no {export}")), job: None }
}

fn fits(bytes: Vec<u8>) -> Answer {
    match bytes.len() {
        0..=MAX_PAYLOAD_BYTES => Ok(bytes),
        size => Err(format!("the answer has {size} bytes; at most {MAX_PAYLOAD_BYTES} (1 MiB) are passed on")),
    }
}

/// A guest's own sentence, no longer than people read.
pub(super) fn bounded(mut reason: String) -> String {
    reason.truncate(cut(&reason, ERROR_KEPT_BYTES).len());
    reason.shrink_to_fit();
    reason
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
