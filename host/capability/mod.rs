//! Capabilities: what a worker may ask of the host, one file per import; `grant` is the only yes or no.
//!
//! A capability has three moments: linked once, its grants checked once a worker, its state made once an instance.
//! Must not decide restarts.

pub mod bindings;
pub mod caller;
pub mod checks;
pub mod grant;
pub mod http;
pub mod kv;
pub mod limiter;
pub mod log;
pub mod ping;
pub mod queue;
pub mod registry;
pub mod resolve;
pub mod scope;
pub mod secrets;
pub mod services;
pub mod topics;
pub mod waits;

/// Links every import that stands on a [`scope::Scope`].
pub fn link<T: Send + 'static>(linker: &mut wasmtime::component::Linker<T>, get: fn(&mut T) -> &mut scope::Scope) -> wasmtime::Result<()> {
    queue::link(linker, get)?;
    kv::link(linker, get)?;
    limiter::link(linker, get)?;
    registry::link(linker, get)?;
    topics::link(linker, get)
}
