//! Takes alerts from the queue `alerts` and sends each on to its targets: webhooks, ntfy, Slack-compatible webhooks.
//!
//! `config`, `alert`, `message`, `template`, `verdict`, `url` and `desk` (what is done with a job, over a host that tests replace) are pure;
//! `guest`, `host` and `post` speak to the real one. Must not keep anything in memory: another instance has the next job. Must not count attempts: the queue does.

#![cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "only tests use the pure modules natively"))]

mod alert;
mod config;
mod desk;
mod message;
mod template;
mod url;
mod verdict;

#[cfg(target_family = "wasm")]
mod guest;
#[cfg(target_family = "wasm")]
mod host;
#[cfg(target_family = "wasm")]
mod post;

/// What wit-bindgen makes of the world.
#[cfg(target_family = "wasm")]
#[allow(unsafe_code, reason = "generated: the component ABI passes raw memory")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package skep:notifier;

            world notifier {
                include skep:worker/queued@0.1.0;
                include skep:worker/web-client@0.1.0;
                import wasi:clocks/monotonic-clock@0.2.12;
                import wasi:clocks/wall-clock@0.2.12;
            }
        ",
        generate_all,
    });
}
