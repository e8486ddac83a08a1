//! Splits tasks into chunks, and says when all chunks of a task are in. Two workers, one component: `role = "split"` takes `todo-tasks`,
//! `role = "collect"` takes `finished-chunks`; they share the bucket with the books.
//!
//! What is decided stands in the crate `cloning`; `config` is pure as well; `guest` and `host` speak to the host. Must not keep anything
//! in memory: another instance has the next job.

#![cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "only tests use the pure modules natively"))]

mod config;

#[cfg(target_family = "wasm")]
mod guest;
#[cfg(target_family = "wasm")]
mod host;

/// What wit-bindgen makes of the world.
#[cfg(target_family = "wasm")]
#[allow(unsafe_code, reason = "generated: the component ABI passes raw memory")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package skep:task-splitter;

            world task-splitter {
                include skep:worker/queued@0.1.0;
                import wasi:clocks/wall-clock@0.2.12;
            }
        ",
        generate_all,
    });
}
