//! The guest-facing capabilities in the real host.
