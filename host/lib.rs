//! skep: a host runtime for WebAssembly workers.
//!
//! (map to come; rooms in flow order)

pub mod clock;
pub mod facts;
pub mod manifest;


pub mod supervise;
pub mod trigger;
pub mod worker;
pub mod capability;
pub mod limiter;
pub mod checks;
pub mod journal;
pub mod store;
