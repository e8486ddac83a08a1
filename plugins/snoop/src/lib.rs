//! A fault plugin for tests: tries what nobody granted, and tells what came of each attempt.
//!
//! `call("try")` answers a JSON list of `{"what":…,"got_in":…,"said":…}`; `got_in` must be false throughout in a worker without
//! grants. Config and the call's payload may add targets: `{ urls = ["http://…"], tcp = ["127.0.0.1:80"], files = ["/…"] }`. A tick
//! does the same and fails when anything got in. Must not do harm where it gets in: it reads little and writes one empty file.

use std::sync::OnceLock;

use bindings::exports::skep::worker::{call_handler, lifecycle, schedule_handler};
use serde::{Deserialize, Serialize};

mod machine;
mod web;

/// What wit-bindgen makes of the world.
#[allow(unsafe_code, reason = "generated: the component ABI passes raw memory")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package skep:snoop;

            world snoop {
                include skep:worker/scheduled@0.1.0;
                include skep:worker/callable@0.1.0;
                include skep:worker/web-client@0.1.0;
            }
        ",
        generate_all,
    });
}

/// More targets than the usual ones.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Targets {
    urls: Vec<String>,
    tcp: Vec<String>,
    files: Vec<String>,
}

/// One attempt.
#[derive(Debug, Serialize)]
struct Attempt {
    what: String,
    got_in: bool,
    said: String,
}

impl Attempt {
    /// `result`: what was seen inside, or the refusal.
    fn new(what: impl Into<String>, result: Result<String, String>) -> Self {
        let (got_in, said) = match result {
            Ok(said) => (true, said),
            Err(said) => (false, said),
        };
        Self { what: what.into(), got_in, said }
    }
}

static CONFIG: OnceLock<Targets> = OnceLock::new();

fn attempts(more: &Targets) -> Vec<Attempt> {
    let config = CONFIG.get_or_init(Targets::default);
    let mut all = machine::attempts(config.tcp.iter().chain(&more.tcp), config.files.iter().chain(&more.files));
    all.extend(web::attempts(config.urls.iter().chain(&more.urls)));
    all
}

struct Snoop;

impl lifecycle::Guest for Snoop {
    fn init(config: String) -> Result<(), String> {
        let targets = serde_json::from_str(&config).map_err(|e| format!("config: {e}"))?;
        CONFIG.get_or_init(|| targets);
        Ok(())
    }

    fn stop() {}
}

impl schedule_handler::Guest for Snoop {
    fn tick(_info: schedule_handler::TickInfo) -> Result<(), String> {
        let open: Vec<String> = attempts(&Targets::default()).into_iter().filter(|a| a.got_in).map(|a| a.what).collect();
        if open.is_empty() { Ok(()) } else { Err(format!("got in: {}", open.join(", "))) }
    }
}

impl call_handler::Guest for Snoop {
    fn call(method: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        if method != "try" {
            return Err(format!("no method \"{method}\"; there is try"));
        }
        let more: Targets = match payload.is_empty() {
            true => Targets::default(),
            false => serde_json::from_slice(&payload).map_err(|e| format!("payload: {e}"))?,
        };
        serde_json::to_vec(&attempts(&more)).map_err(|e| e.to_string())
    }
}

#[allow(unsafe_code, reason = "generated: the exported symbols")]
mod export {
    use crate::Snoop;
    crate::bindings::export!(Snoop with_types_in crate::bindings);
}
