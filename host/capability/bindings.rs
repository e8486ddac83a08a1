//! Host bindings of package `skep:worker`, generated from wit/.
//!
//! One world with every interface; a component needs to export only some of them: each export is looked up by its own
//! `GuestIndices` (see worker::component).

#![allow(
    missing_docs,
    clippy::allow_attributes_without_reason,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "generated code"
)]

wasmtime::component::bindgen!({
    path: "wit",
    world: "skep:worker/host",
    // What waits for the disk, a limiter, another worker or the network suspends the guest's fiber; the rest answers at once.
    imports: {
        "skep:worker/queue": async,
        "skep:worker/kv": async,
        "skep:worker/limiter.acquire": async,
        "skep:worker/limiter.set-rate": async,
        "skep:worker/registry.call": async,
        "skep:worker/ping": async,
    },
    exports: { default: async },
});
