//! What the host calls: `init` checks the config, `tick` requests everything and tells what came of it.
//!
//! A URL that is down is a finding, not a failure: `tick` fails only when the host won't take a report.

use std::{cell::OnceCell, time::Duration};

use crate::{
    bindings::{
        exports::skep::worker::{lifecycle, schedule_handler},
        skep::worker::{
            checks::{self, Status},
            errors::Error,
            log::{self, Level},
        },
    },
    config::{self, Probe},
    failure::Failure,
    flight::Outcome,
    poll,
};

thread_local! {
    /// Set by `init`, once an instance.
    static PROBES: OnceCell<Vec<Probe>> = const { OnceCell::new() };
}

struct Poller;

impl lifecycle::Guest for Poller {
    fn init(config: String) -> Result<(), String> {
        let probes = config::parse(&config)?;
        PROBES.with(|cell| cell.set(probes).map_err(|_| "init was called twice".to_owned()))
    }

    fn stop() {}
}

impl schedule_handler::Guest for Poller {
    fn tick(info: schedule_handler::TickInfo) -> Result<(), String> {
        PROBES.with(|cell| tick(&info.worker, cell.get().map_or(&[], Vec::as_slice)))
    }
}

/// Reports go out as results come, so that a slow URL delays no other; log lines keep the config's order.
fn tick(worker: &str, probes: &[Probe]) -> Result<(), String> {
    let mut refused = Ok(());
    let mut lines: Vec<Option<(Level, String)>> = vec![None; probes.len()];
    let mut written = 0;
    poll::all(probes, |place, result| {
        let (Some(probe), Some(line)) = (probes.get(place), lines.get_mut(place)) else { return };
        let (status, detail) = judge(probe, &result);
        if let Err(error) = checks::report(&probe.url, status, None, &detail, None) {
            refused = Err(format!("{}: the host refused the report: {}", probe.url, sentence(error)));
        }
        let level = if status == Status::Up { Level::Info } else { Level::Warn };
        *line = Some((level, line_of(worker, probe, &result)));
        while let Some((level, text)) = lines.get_mut(written).and_then(Option::take) {
            log::write(level, &text);
            written += 1;
        }
    });
    refused
}

/// Every case carries a sentence.
fn sentence(error: Error) -> String {
    match error {
        Error::Denied(text)
        | Error::NotFound(text)
        | Error::Conflict(text)
        | Error::Timeout(text)
        | Error::TooLarge(text)
        | Error::Unavailable(text)
        | Error::Invalid(text) => text,
    }
}

fn line_of(worker: &str, probe: &Probe, result: &Result<Outcome, Failure>) -> String {
    match result {
        Ok(outcome) => format!("[{worker}] {} - Status: {}", probe.url, outcome.status),
        Err(failure) => format!("[{worker}] {} - Error: {}", probe.url, failure.text),
    }
}

/// Status and detail of the check.
fn judge(probe: &Probe, result: &Result<Outcome, Failure>) -> (Status, String) {
    let rules = &probe.rules;
    let (status, detail) = match result {
        Err(failure) => (if failure.untried { Status::Unknown } else { Status::Down }, failure.text.clone()),
        Ok(outcome) => {
            let (status, mut detail) = match (outcome, &rules.contains, rules.degraded_after) {
                (Outcome { status, .. }, ..) if !rules.expect.allows(*status) => {
                    (Status::Down, format!("status {status}, expected {}", rules.expect))
                }
                (Outcome { status, contains: false, .. }, Some(text), _) => {
                    (Status::Down, format!("status {status}, but \"{text}\" is not in the answer's first MiB"))
                }
                (Outcome { status, elapsed, .. }, _, Some(limit)) if *elapsed > limit => {
                    (Status::Degraded, format!("status {status} after {}, slower than {}", shown(*elapsed), shown(limit)))
                }
                (Outcome { status, .. }, ..) => (Status::Up, format!("status {status}")),
            };
            if let Some(landed) = &outcome.landed {
                let times = if outcome.redirects == 1 { "redirect" } else { "redirects" };
                detail.push_str(&format!(", after {} {times} at {landed}", outcome.redirects));
            }
            (status, detail)
        }
    };
    let detail = probe.name.as_ref().map_or(detail.clone(), |name| format!("{name}: {detail}"));
    (status, detail)
}

fn shown(span: Duration) -> String {
    match span.as_secs() {
        0 => format!("{} ms", span.subsec_millis()),
        seconds => format!("{seconds}.{} s", span.subsec_millis() / 100),
    }
}

#[allow(unsafe_code, reason = "generated: the exported symbols")]
mod export {
    use super::Poller;
    crate::bindings::export!(Poller with_types_in crate::bindings);
}
