//! Pings one machine a worker: each tick asks it over ICMP (or TCP) and reports a check.
//!
//! `config` and `verdict` are pure and tested natively; `guest` speaks to the host. With `each` the host makes a worker of every machine.
//! Must not retry, keep history or decide when a machine is down for good: the host does that.

#![cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "only tests use the pure modules natively"))]

mod config;
// Manifests write durations and tables one way, so plugins read them one way.
#[path = "../../poller/src/duration.rs"]
mod duration;
#[path = "../../poller/src/json.rs"]
mod json;
mod verdict;

#[cfg(target_family = "wasm")]
mod guest;

/// What wit-bindgen makes of the world.
#[cfg(target_family = "wasm")]
#[allow(unsafe_code, reason = "generated: the component ABI passes raw memory")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package skep:pinger;

            world pinger {
                include skep:worker/scheduled@0.1.0;
            }
        ",
        generate_all,
    });
}
