//! Workers that speak with workers: calls by name, replicas by name, messages on topics. An example to start from.
//!
//! It does nothing of its own accord and must stay free of state: a call makes it speak, a message makes it log a line.

use bindings::{
    exports::skep::worker::{call_handler, lifecycle, message_handler},
    skep::worker::{
        errors::Error,
        log,
        registry::{self, CallError},
        topics,
    },
};

/// What wit-bindgen makes of the world.
#[allow(unsafe_code, reason = "generated: the component ABI passes raw memory")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package skep:chat;

            world chat {
                include skep:worker/callable@0.1.0;
                include skep:worker/subscribed@0.1.0;
            }
        ",
        generate_all,
    });
}

const TOPIC: &str = "chat.said";
/// How long `ask` waits for the other's answer.
const PATIENCE_MS: u64 = 5_000;

struct Chat;

impl lifecycle::Guest for Chat {
    fn init(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn stop() {}
}

impl call_handler::Guest for Chat {
    fn call(method: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        match method.as_str() {
            "say" => topics::publish(TOPIC, &payload).map(|heard| format!("{heard} heard it").into_bytes()).map_err(|error| said(&error)),
            "ask" => ask(&String::from_utf8_lossy(&payload)),
            "who" => Ok(who().into_bytes()),
            _ => Err(format!("no method \"{method}\"; there are say TEXT, ask 'WORKER METHOD PAYLOAD' and who")),
        }
    }
}

impl message_handler::Guest for Chat {
    fn on_message(topic: String, payload: Vec<u8>) -> Result<(), String> {
        log::write(log::Level::Info, &format!("{topic}: {}", String::from_utf8_lossy(&payload)));
        Ok(())
    }
}

/// Calls the worker that `words` begin with, and answers what it answers.
fn ask(words: &str) -> Result<Vec<u8>, String> {
    let mut words = words.splitn(3, ' ');
    let (Some(worker), Some(method)) = (words.next(), words.next()) else {
        return Err("ask whom? say: WORKER METHOD PAYLOAD".to_owned());
    };
    let payload = words.next().unwrap_or_default();
    registry::call(worker, method, payload.as_bytes(), PATIENCE_MS).map_err(|error| match error {
        CallError::Failed(sentence) => format!("{worker} answered an error: {sentence}"),
        CallError::Refused(error) => said(&error),
    })
}

/// A line for each replica of the workers that this one may call.
fn who() -> String {
    let line = |one: registry::Member| format!("{}  {}, {}\n", one.name, one.state, if one.busy { "busy" } else { "free" });
    registry::members("").into_iter().map(line).collect()
}

/// The sentence in an error of the host's.
fn said(error: &Error) -> String {
    let (Error::Denied(sentence)
    | Error::NotFound(sentence)
    | Error::Conflict(sentence)
    | Error::Timeout(sentence)
    | Error::TooLarge(sentence)
    | Error::Unavailable(sentence)
    | Error::Invalid(sentence)) = error;
    sentence.clone()
}

#[allow(unsafe_code, reason = "generated: the exported symbols")]
mod export {
    crate::bindings::export!(Chat with_types_in crate::bindings);
    use crate::Chat;
}
