//! Polls URLs: each tick requests all of them at the same time, writes a log line and reports a check for each.
//!
//! `config` and what it uses (`json`, `duration`, `expect`, `url`, `search`) are pure and tested natively; `guest`, `poll`, `flight` and
//! `failure` speak to the host. Must not retry, keep history or decide when something is down for good: the host does that.

#![cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "only tests use the pure modules natively"))]

mod config;
mod duration;
mod expect;
mod json;
mod search;
mod url;

#[cfg(target_family = "wasm")]
mod failure;
#[cfg(target_family = "wasm")]
mod flight;
#[cfg(target_family = "wasm")]
mod guest;
#[cfg(target_family = "wasm")]
mod poll;

/// What wit-bindgen makes of the world.
#[cfg(target_family = "wasm")]
#[allow(unsafe_code, reason = "generated: the component ABI passes raw memory")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package skep:poller;

            world poller {
                include skep:worker/scheduled@0.1.0;
                include skep:worker/web-client@0.1.0;
                import wasi:clocks/monotonic-clock@0.2.12;
            }
        ",
        generate_all,
    });
}
