//! What chunk-cloner and task-splitter say and decide: everything of them that needs no host, so that it is tested without one.
//!
//! | module | what |
//! |---|---|
//! | [`messages`] | the protobuf messages, byte for byte, and the same as JSON for people |
//! | [`window`] | windows of seconds, inclusive at both ends: splitting, halving, what is covered |
//! | [`span`] | spans as configs write them |
//! | [`answer`] | what the exchange's API answered, both generations |
//! | [`verdict`] | what becomes of a chunk after its request |
//! | [`book`] | the tasks of one pair and what is done of each |
//! | [`desk`] | what a job's handler needs of its host |
//! | [`splitter`] | tasks in, chunks out |
//! | [`collector`] | cloned chunks in; halves, further tries and finished tasks out |
//!
//! Must not read a clock, a socket or a random number: guests and tests hand those in.

pub mod answer;
pub mod book;
pub mod collector;
pub mod desk;
pub mod messages;
pub mod span;
pub mod splitter;
pub mod verdict;
pub mod window;
