//! Workers as wasm: engines, the component cache, one Store per instance, its limits, and what a crash means.
//!
//! Runs events; never decides restarts.

mod cache;
mod component;
mod engine;
mod enter;
mod event;
mod instance;
mod limits;
mod sink;
mod state;
mod ticker;
mod trap;

pub use cache::{Components, Examiner, MAX_COMPONENT_BYTES};
pub use component::{Component, ComponentError, Surface};
pub use engine::{EngineKind, Engines};
pub use event::{Answer, Crash, Ended, Event, Exchange, Handled, HttpEvent, JobAnswer, JobEvent, MAX_METHOD_BYTES, MAX_PAYLOAD_BYTES};
pub use instance::{Instance, Purpose};
pub use limits::MAX_HANDLES;
pub use state::{Context, Errand};
