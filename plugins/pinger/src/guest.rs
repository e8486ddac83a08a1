//! What the host calls: `init` checks the config, `tick` asks the machine and reports a check.
//!
//! A machine that is down is a finding, not a failure: `tick` fails only when the host won't take the report.

use std::{cell::OnceCell, time::Duration};

use crate::{
    bindings::{
        exports::skep::worker::{lifecycle, schedule_handler},
        skep::worker::{
            checks,
            errors::Error,
            log::{self, Level},
            ping,
        },
    },
    config::{self, Machine},
    verdict::{Finding, Status, Verdict, judge},
};

thread_local! {
    /// Set by `init`, once an instance.
    static MACHINE: OnceCell<Machine> = const { OnceCell::new() };
}

struct Pinger;

impl lifecycle::Guest for Pinger {
    fn init(config: String) -> Result<(), String> {
        let machine = config::parse(&config)?;
        MACHINE.with(|cell| cell.set(machine).map_err(|_| "init was called twice".to_owned()))
    }

    fn stop() {}
}

impl schedule_handler::Guest for Pinger {
    fn tick(info: schedule_handler::TickInfo) -> Result<(), String> {
        MACHINE.with(|cell| cell.get().map_or(Ok(()), |machine| tick(&info.worker, machine)))
    }
}

fn tick(worker: &str, machine: &Machine) -> Result<(), String> {
    let Verdict { status, latency_us, detail } = judge(machine, ask(machine));
    let (level, status) = match status {
        Status::Up => (Level::Info, checks::Status::Up),
        Status::Degraded => (Level::Warn, checks::Status::Degraded),
        Status::Down => (Level::Warn, checks::Status::Down),
        Status::Unknown => (Level::Warn, checks::Status::Unknown),
    };
    log::write(level, &format!("[{worker}] {detail}"));
    let subject = machine.subject();
    let reported = checks::report(&subject, status, latency_us, &detail, None);
    reported.map_err(|error| format!("{subject}: the host refused the report: {}", sentence(error)))
}

fn ask(machine: &Machine) -> Finding {
    let rules = &machine.rules;
    if let Some(port) = rules.tcp {
        return match ping::connect(&machine.address, port, millis(rules.timeout)) {
            Ok(report) => Finding::Connected { address: report.address, took_us: report.latency_us },
            Err(error @ (Error::Timeout(_) | Error::NotFound(_) | Error::Unavailable(_))) => Finding::Failed(sentence(error)),
            Err(error) => Finding::Untried(sentence(error)),
        };
    }
    match ping::echo(&machine.address, rules.packets, millis(rules.interval), millis(rules.timeout)) {
        Ok(ping::EchoReport { address, sent, received, avg_us, .. }) => Finding::Echoed { address, sent, received, mean_us: avg_us },
        Err(error @ (Error::Timeout(_) | Error::NotFound(_))) => Finding::Failed(sentence(error)),
        // This host may not send, or has no route.
        Err(error) => Finding::Untried(sentence(error)),
    }
}

fn millis(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
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

#[allow(unsafe_code, reason = "generated: the exported symbols")]
mod export {
    use super::Pinger;
    crate::bindings::export!(Pinger with_types_in crate::bindings);
}
