//! Takes work over HTTP: `POST /api/work` queues it and answers an id, `GET /api/status/ID` tells how far it is.
//!
//! The queue is the truth: nothing is kept here, so any number of instances answer for any job. `api` is pure and tested natively;
//! `guest` speaks to the host. Must not do the work: a worker with `jobs` on the same queue does.

#![cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "only tests use the pure modules natively"))]

mod api;

#[cfg(target_family = "wasm")]
mod guest;

/// What wit-bindgen makes of the world.
#[cfg(target_family = "wasm")]
#[allow(unsafe_code, reason = "generated: the component ABI passes raw memory")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package skep:work-api;

            world work-api {
                include skep:worker/routed@0.1.0;
            }
        ",
        with: { "wasi:http/types@0.2.12": web::types },
        generate_all,
    });
}
