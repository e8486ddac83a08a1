//! Stands for slow work: takes a job, pauses, answers a random permutation of its characters.
//!
//! `config` and `permute` are pure and tested natively; `guest` speaks to the host. Must not retry or keep anything: the queue does.

#![cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "only tests use the pure modules natively"))]

mod config;
mod permute;

#[cfg(target_family = "wasm")]
mod guest;

/// What wit-bindgen makes of the world.
#[cfg(target_family = "wasm")]
#[allow(unsafe_code, reason = "generated: the component ABI passes raw memory")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package skep:permuter;

            world permuter {
                include skep:worker/queued@0.1.0;
                import wasi:clocks/monotonic-clock@0.2.12;
                import wasi:random/random@0.2.12;
            }
        ",
        generate_all,
    });
}
