//! Capabilities: what a worker may ask of the host, one file per import; `grant` is the only yes or no.
//!
//! A capability has three moments: linked once, its grants checked once a worker, its state made once an instance.
//! Must not decide restarts.

pub mod bindings;
pub mod caller;
pub mod checks;
pub mod grant;
pub mod http;
pub mod log;
pub mod ping;
pub mod resolve;
pub mod secrets;
pub mod services;
