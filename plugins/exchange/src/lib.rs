//! A stand-in for the exchange's public API, so that the cloning workers can be tried with no internet.
//!
//! What is traded and answered stands in the crate `market`; `config` is pure as well; `guest` speaks to the host. Must not remember
//! trades: it is resident only to count the calls of the last second.

#![cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "only tests use the pure modules natively"))]

mod config;

#[cfg(target_family = "wasm")]
mod guest;

/// What wit-bindgen makes of the world.
#[cfg(target_family = "wasm")]
#[allow(unsafe_code, reason = "generated: the component ABI passes raw memory")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package skep:exchange;

            world exchange {
                include skep:worker/routed@0.1.0;
                import wasi:clocks/monotonic-clock@0.2.12;
                import wasi:clocks/wall-clock@0.2.12;
            }
        ",
        generate_all,
    });
}
