//! What plugins with HTTP routes share: a request read whole, and an answer in JSON. A library, no plugin of its own.
//!
//! `answer` and `request` are pure, so that a plugin tests its routes natively; `server` speaks to the host. Must not know routes.
//!
//! A plugin exports `wasi:http/incoming-handler` itself and hands both of its arguments to [`serve`]. For that its bindings have to
//! share this crate's types: `with: { "wasi:http/types@0.2.12": web::types }`.

mod answer;
mod request;

pub use self::{
    answer::Answer,
    request::{Method, Request, form},
};

#[cfg(target_family = "wasm")]
mod server;
#[cfg(target_family = "wasm")]
pub use self::{bindings::wasi::http::types, server::serve};

/// What wit-bindgen makes of the world.
#[cfg(target_family = "wasm")]
#[allow(unsafe_code, reason = "generated: the component ABI passes raw memory")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package skep:web;

            world web {
                import wasi:http/types@0.2.12;
            }
        ",
        generate_all,
    });
}
