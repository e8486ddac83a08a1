//! What a call may ask for, by the name of the import's function. Arguments are a JSON object whose keys are the WIT names with
//! underscores; what is left out is the WIT's none, zero or nothing. Bytes are as [`data`] has them.
//!
//! Beside the imports: `echo` (the payload itself), `events` (of this instance, this one included), `seen` (its newest jobs and
//! messages, oldest first), `sleep {ms}`, `follow {do: …}` (an instruction), `each {times, call, with}` (the same call many times;
//! the answers) and `steps {steps: [{call, with}]}`.

use std::sync::atomic::Ordering;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    EVENTS,
    bindings::skep::worker::{checks, errors::Error, kv, limiter, log, ping, queue, registry, topics},
    data,
    instructions::{self, End, Event, Instruction},
    seen,
};

/// Err: the request makes no sense to this guest.
pub fn call(method: &str, with: &Value) -> Result<Value, String> {
    let with = Arguments(with);
    let (import, function) = method.split_once('.').unwrap_or(("", method));
    match import {
        "" => own(function, &with),
        "queue" => of_queue(function, &with),
        "kv" => of_kv(function, &with),
        "limiter" => of_limiter(function, &with),
        "registry" => of_registry(function, &with),
        "topics" if function == "publish" => Ok(answer(topics::publish(&with.text("topic"), &with.bytes("payload")))),
        "ping" => of_ping(function, &with),
        "checks" if function == "report" => Ok(answer(checks::report(
            &with.text("subject"),
            match with.text("status").as_str() {
                "up" => checks::Status::Up,
                "degraded" => checks::Status::Degraded,
                "down" => checks::Status::Down,
                _ => checks::Status::Unknown,
            },
            with.number("latency_us"),
            &with.text("detail"),
            with.number("valid_for_ms"),
        ))),
        "log" if function == "write" => {
            log::write(log::Level::Info, &with.text("message"));
            Ok(json!({ "ok": null }))
        }
        _ => unknown(method),
    }
}

/// A no of the host's.
pub fn refused(error: &Error) -> Value {
    let (kind, sentence) = match error {
        Error::Denied(sentence) => ("denied", sentence),
        Error::NotFound(sentence) => ("not-found", sentence),
        Error::Conflict(sentence) => ("conflict", sentence),
        Error::Timeout(sentence) => ("timeout", sentence),
        Error::TooLarge(sentence) => ("too-large", sentence),
        Error::Unavailable(sentence) => ("unavailable", sentence),
        Error::Invalid(sentence) => ("invalid", sentence),
    };
    json!({ "error": kind, "sentence": sentence })
}

fn answer<T: Into<Value>>(result: Result<T, Error>) -> Value {
    match result {
        Ok(value) => json!({ "ok": value.into() }),
        Err(error) => refused(&error),
    }
}

fn unknown(method: &str) -> Result<Value, String> {
    Err(format!("the probe has no method \"{method}\""))
}

fn own(function: &str, with: &Arguments<'_>) -> Result<Value, String> {
    Ok(match function {
        "events" => json!({ "ok": EVENTS.load(Ordering::Relaxed) }),
        "seen" => json!({ "ok": seen().iter().collect::<Vec<_>>() }),
        "sleep" => {
            instructions::sleep(with.number("ms").unwrap_or_default());
            json!({ "ok": null })
        }
        "follow" => {
            let instruction = Instruction::deserialize(with.0).map_err(|error| error.to_string())?;
            match instruction.follow(&Event::default()) {
                Ok(bytes) => json!({ "ok": data::shown(&bytes) }),
                Err(End::Retry { reason, .. } | End::Dead(reason)) => return Err(reason),
            }
        }
        "each" => {
            let (method, nothing) = (with.text("call"), json!({}));
            let arguments = with.0.get("with").unwrap_or(&nothing);
            let answers = (0..with.number("times").unwrap_or(1)).map(|_| call(&method, arguments));
            json!({ "ok": answers.collect::<Result<Vec<_>, _>>()? })
        }
        "steps" => {
            let steps = with.0.get("steps").and_then(Value::as_array).ok_or("steps are missing")?;
            let nothing = json!({});
            let answers = steps.iter().map(|step| {
                let step = Arguments(step);
                call(&step.text("call"), step.0.get("with").unwrap_or(&nothing))
            });
            json!({ "ok": answers.collect::<Result<Vec<_>, _>>()? })
        }
        _ => return unknown(function),
    })
}

fn of_queue(function: &str, with: &Arguments<'_>) -> Result<Value, String> {
    let options = || queue::PushOptions {
        delay_ms: with.number("delay_ms"),
        priority: with.number("priority"),
        unique_key: with.optional_text("unique_key"),
        max_attempts: with.number("max_attempts"),
        backoff_ms: with.number("backoff_ms"),
        result_ttl_ms: with.number("result_ttl_ms"),
        on_ack: with.0.get("on_ack").and_then(Value::as_bool).unwrap_or(false),
    };
    let id = with.text("id");
    Ok(match function {
        "push" => answer(queue::push(&with.text("queue"), &with.bytes("payload"), &options())),
        "push-many" => {
            let listed = with.0.get("payloads").and_then(Value::as_array);
            let payloads: Vec<Vec<u8>> = match listed {
                Some(payloads) => payloads.iter().map(|payload| data::bytes(Some(payload))).collect(),
                None => vec![with.bytes("payload"); with.number("times").unwrap_or(1)],
            };
            answer(queue::push_many(&with.text("queue"), &payloads, &options()))
        }
        "status" => answer(queue::status(&id).map(job)),
        "outcome" => answer(queue::outcome(&id).map(|bytes| bytes.map(|bytes| data::shown(&bytes)))),
        "wait" => answer(queue::wait(&id, with.number("timeout_ms").unwrap_or_default()).map(job)),
        "cancel" => answer(queue::cancel(&id)),
        "progress" => answer(queue::progress(&with.text("note"))),
        _ => return unknown(function),
    })
}

fn job(info: queue::JobInfo) -> Value {
    let state = match info.state {
        queue::JobState::Delayed => "delayed",
        queue::JobState::Waiting => "waiting",
        queue::JobState::Running => "running",
        queue::JobState::Done => "done",
        queue::JobState::Dead => "dead",
        queue::JobState::Cancelled => "cancelled",
    };
    json!({
        "id": info.id, "queue": info.queue, "state": state, "attempts": info.attempts, "max_attempts": info.max_attempts,
        "progress": info.progress, "last_error": info.last_error,
    })
}

fn of_kv(function: &str, with: &Arguments<'_>) -> Result<Value, String> {
    let (bucket, key, ttl) = (with.text("bucket"), with.text("key"), with.number("ttl_ms"));
    let by = with.number("by").unwrap_or(1);
    Ok(match function {
        "get" => answer(kv::get(&bucket, &key).map(|entry| match entry {
            Some(entry) => json!({ "value": data::shown(&entry.value), "revision": entry.revision }),
            None => Value::Null,
        })),
        "set" => answer(kv::set(&bucket, &key, &with.bytes("value"), ttl)),
        "delete" => answer(kv::delete(&bucket, &key)),
        "compare-and-set" => {
            let expected = with.number("expected").unwrap_or_default();
            answer(kv::compare_and_set(&bucket, &key, expected, &with.bytes("value"), ttl))
        }
        "increment" => answer(kv::increment(&bucket, &key, by)),
        "increment-many" => {
            let listed = with.0.get("keys").and_then(Value::as_array);
            let keys: Vec<String> = match listed {
                Some(keys) => keys.iter().map(|key| data::text(Some(key))).collect(),
                None => (0..with.number::<u64>("times").unwrap_or_default()).map(|n| format!("{key}{n}")).collect(),
            };
            answer(kv::increment_many(&bucket, &keys, by))
        }
        "entries" => {
            let limit = with.number("limit").unwrap_or(100);
            let listed = kv::entries(&bucket, &with.text("prefix"), with.optional_text("after").as_deref(), limit);
            let shown = |entry: kv::Listed| json!({ "key": entry.key, "value": data::shown(&entry.value), "revision": entry.revision });
            answer(listed.map(|entries| entries.into_iter().map(shown).collect::<Vec<_>>()))
        }
        _ => return unknown(function),
    })
}

fn of_limiter(function: &str, with: &Arguments<'_>) -> Result<Value, String> {
    let name = with.text("name");
    Ok(match function {
        "acquire" => answer(limiter::acquire(&name, with.number("timeout_ms").unwrap_or_default())),
        "try-acquire" => answer(limiter::try_acquire(&name)),
        "set-rate" => answer(limiter::set_rate(&name, &with.text("rate"))),
        _ => return unknown(function),
    })
}

fn of_registry(function: &str, with: &Arguments<'_>) -> Result<Value, String> {
    let (name, method) = (with.text("name"), with.text("method"));
    let members = |members: Vec<registry::Member>| {
        let shown = members.into_iter().map(|member| {
            json!({
                "name": member.name, "worker": member.worker, "replica": member.replica, "state": member.state, "busy": member.busy,
                "waiting": member.waiting,
            })
        });
        shown.collect::<Vec<_>>()
    };
    Ok(match function {
        "whereis" => answer(registry::whereis(&name).map(members)),
        "members" => json!({ "ok": members(registry::members(&with.text("prefix"))) }),
        "call" => match registry::call(&name, &method, &with.bytes("payload"), with.number("timeout_ms").unwrap_or(10_000)) {
            Ok(bytes) => json!({ "ok": data::shown(&bytes) }),
            Err(registry::CallError::Failed(sentence)) => json!({ "error": "failed", "sentence": sentence }),
            Err(registry::CallError::Refused(error)) => refused(&error),
        },
        "cast" => answer(registry::cast(&name, &method, &with.bytes("payload"))),
        _ => return unknown(function),
    })
}

fn of_ping(function: &str, with: &Arguments<'_>) -> Result<Value, String> {
    let (host, timeout) = (with.text("host"), with.number("timeout_ms").unwrap_or(1_000));
    Ok(match function {
        "echo" => {
            let (packets, interval) = (with.number("packets").unwrap_or(1), with.number("interval_ms").unwrap_or(10));
            answer(ping::echo(&host, packets, interval, timeout).map(|report| {
                json!({
                    "address": report.address, "sent": report.sent, "received": report.received, "min_us": report.min_us,
                    "avg_us": report.avg_us, "max_us": report.max_us,
                })
            }))
        }
        "connect" => {
            let report = ping::connect(&host, with.number("port").unwrap_or_default(), timeout);
            answer(report.map(|report| json!({ "address": report.address, "latency_us": report.latency_us })))
        }
        _ => return unknown(function),
    })
}

/// Arguments by name.
struct Arguments<'v>(&'v Value);

impl Arguments<'_> {
    fn bytes(&self, key: &str) -> Vec<u8> {
        data::bytes(self.0.get(key))
    }

    fn text(&self, key: &str) -> String {
        data::text(self.0.get(key))
    }

    fn optional_text(&self, key: &str) -> Option<String> {
        self.0.get(key).filter(|value| !value.is_null()).map(|value| data::text(Some(value)))
    }

    fn number<N: for<'d> Deserialize<'d>>(&self, key: &str) -> Option<N> {
        self.0.get(key).and_then(|value| N::deserialize(value).ok())
    }
}
