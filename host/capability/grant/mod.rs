//! The only yes or no: what a worker may do, by its manifest's grants.
//!
//! Pure: no I/O, no clock, no state that changes. A refusal is one sentence that names the line of the manifest which would allow it.

mod address;
mod http;
mod named;
pub mod ping;

use self::address::is_local;
pub use self::{
    address::{Kind, address_allowed},
    http::{Decision, Gate, Origin, Refusal},
    named::{Denied, Wish, covers, may},
};

/// Names under this one are other workers' routes, never DNS.
const INTERNAL: &str = "skep.internal";
