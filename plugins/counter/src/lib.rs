//! Counts labels over HTTP: `POST /metrics` adds, `GET /metrics` and `GET /metrics/query` tell.
//!
//! The host's key-value store is the truth: an increment is answered once it is on disk. A resident instance keeps a copy, so that
//! reads cost nothing. `counts` and `api` are pure and tested natively; `guest` speaks to the host.

#![cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "only tests use the pure modules natively"))]

mod api;
mod counts;

#[cfg(target_family = "wasm")]
mod guest;

/// What wit-bindgen makes of the world.
#[cfg(target_family = "wasm")]
#[allow(unsafe_code, reason = "generated: the component ABI passes raw memory")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package skep:counter;

            world counter {
                include skep:worker/routed@0.1.0;
            }
        ",
        with: { "wasi:http/types@0.2.12": web::types },
        generate_all,
    });
}
