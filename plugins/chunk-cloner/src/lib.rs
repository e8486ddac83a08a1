//! Clones a pair's trades, window by window: each TodoChunk from its queue is one request to the exchange and one ClonedChunk.
//!
//! What is said and decided stands in the crate `cloning`; `config` is pure as well; `guest` and `fetch` speak to the host. Must not limit
//! its own rate, count attempts or keep anything: the host does that, for all workers of an exchange together.

#![cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "only tests use the pure modules natively"))]

mod config;

#[cfg(target_family = "wasm")]
mod fetch;
#[cfg(target_family = "wasm")]
mod guest;

/// What wit-bindgen makes of the world.
#[cfg(target_family = "wasm")]
#[allow(unsafe_code, reason = "generated: the component ABI passes raw memory")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package skep:chunk-cloner;

            world chunk-cloner {
                include skep:worker/queued@0.1.0;
                include skep:worker/callable@0.1.0;
                include skep:worker/web-client@0.1.0;
                import wasi:clocks/monotonic-clock@0.2.12;
                import wasi:random/random@0.2.12;
            }
        ",
        generate_all,
    });
}
