//! The fleet: what a person who edits, drops, applies, deletes and undoes manifests gets to see.

mod acts;
mod components;
pub mod fakes;
mod faults;
mod files;
mod folders;
mod pure;
pub mod support;
