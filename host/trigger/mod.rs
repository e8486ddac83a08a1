//! Triggers: outside events become mailbox messages. They use supervision's handle and never enter a worker.

pub mod ingress;
pub mod jobs;
pub mod phase;
pub mod schedule;
