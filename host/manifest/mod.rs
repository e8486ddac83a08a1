//! Manifests: text in, checked specs and problems out.
//!
//! All problems of a file at once, each with line and hint; nothing of a file with a problem is applied. Must not read files, know
//! the runtime, or keep state beyond what a [`Parser`] remembers.
//!
//! ```text
//! text → lexer → blocks (top-level tables) → block → tree (as written) → check, triggers, grants, allow, each, tables → spec (checked)
//!                     parser remembers ┘      └ defaults below       with reader, hints and units at hand
//! specs of all files → references (names, limiters, workers), unserved (not in this build) · old, new → differences
//! text → edit → text
//! ```

mod allow;
mod block;
mod blocks;
mod check;
mod defaults;
mod differences;
mod each;
pub mod edit;
mod grants;
pub(crate) mod hints;
mod lexer;
mod parents;
mod parser;
mod reader;
mod references;
mod routes;
pub mod spec;
mod tables;
pub mod topics;
mod tree;
mod triggers;
pub mod units;
mod unserved;

pub use defaults::check_defaults;
pub use hints::name_fault;
pub use parser::{Parsed, Parser};
pub use references::check_all;
pub use unserved::not_in_this_build;

/// The largest manifest file read, in bytes.
pub const MAX_FILE_BYTES: u64 = 8 << 20;
