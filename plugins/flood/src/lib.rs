//! A fault plugin for tests: sends the host more than it takes, of everything that has a bound, and tells what the host said.
//!
//! Config says what a tick does, a call names the mode and may carry the same table as JSON: `{ mode = "log", n = 5000, url = "…" }`.
//! A call answers with JSON; a tick logs the same text. Must not be deployed for anything else.

use std::sync::OnceLock;

use bindings::{
    exports::skep::worker::{call_handler, lifecycle, schedule_handler},
    skep::worker::log::{Level, write},
};
use serde::Deserialize;

mod lines;
mod web;

/// What wit-bindgen makes of the world.
#[allow(unsafe_code, reason = "generated: the component ABI passes raw memory")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package skep:flood;

            world flood {
                include skep:worker/scheduled@0.1.0;
                include skep:worker/callable@0.1.0;
                include skep:worker/web-client@0.1.0;
            }
        ",
        generate_all,
    });
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    #[default]
    Ok,
    /// `n` log lines, as fast as they go.
    Log,
    /// One log line of `n` bytes.
    LongLine,
    /// `n` bytes on stdout, no newline.
    Stdout,
    /// `n` bytes on stderr, no newline.
    Stderr,
    /// A check's report with a detail of `n` bytes.
    Detail,
    /// A check's report with a subject of `n` bytes.
    Subject,
    /// `n` reports, each with its own subject.
    Reports,
    /// An answer of `n` bytes.
    Answer,
    /// `n` requests to `url` at once, before the first answer is looked at.
    Requests,
    /// Reads the answer of `url` to its end.
    BodyIn,
    /// Sends a body of `n` bytes to `url`.
    BodyOut,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Order {
    mode: Mode,
    n: usize,
    url: String,
}

static CONFIG: OnceLock<Order> = OnceLock::new();

fn run(order: &Order) -> Result<String, String> {
    let (n, url) = (order.n, order.url.as_str());
    match order.mode {
        Mode::Ok => Ok("{}".into()),
        Mode::Log => Ok(lines::log(n)),
        Mode::LongLine => Ok(lines::long(n)),
        Mode::Stdout => Ok(lines::standard(&mut std::io::stdout(), n)),
        Mode::Stderr => Ok(lines::standard(&mut std::io::stderr(), n)),
        Mode::Detail => Ok(lines::report("flood", &"d".repeat(n))),
        Mode::Subject => Ok(lines::report(&"s".repeat(n), "flood")),
        Mode::Reports => Ok(lines::reports(n)),
        Mode::Answer => Ok("a".repeat(n)),
        Mode::Requests => web::requests(url, n),
        Mode::BodyIn => web::body_in(url),
        Mode::BodyOut => web::body_out(url, n),
    }
}

struct Flood;

impl lifecycle::Guest for Flood {
    fn init(config: String) -> Result<(), String> {
        let order = serde_json::from_str(&config).map_err(|e| format!("config: {e}"))?;
        CONFIG.get_or_init(|| order);
        Ok(())
    }

    fn stop() {}
}

impl schedule_handler::Guest for Flood {
    fn tick(_info: schedule_handler::TickInfo) -> Result<(), String> {
        let said = run(CONFIG.get_or_init(Order::default))?;
        write(Level::Info, &said);
        Ok(())
    }
}

impl call_handler::Guest for Flood {
    fn call(method: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        let mut order: Order = match payload.is_empty() {
            true => CONFIG.get_or_init(Order::default).clone(),
            false => serde_json::from_slice(&payload).map_err(|e| format!("payload: {e}"))?,
        };
        order.mode = serde_json::from_value(method.into()).map_err(|e| format!("method: {e}"))?;
        run(&order).map(String::into_bytes)
    }
}

#[allow(unsafe_code, reason = "generated: the exported symbols")]
mod export {
    use crate::Flood;
    crate::bindings::export!(Flood with_types_in crate::bindings);
}
