//! Manifests: text in, checked specs and problems out.
//!
//! All problems of a file at once, each with line and hint; nothing of a file with a problem is applied. Must not read files, know
//! the runtime, or keep state beyond what a [`Parser`] remembers.
//!
//! ```text
//! text → lexer → blocks (top-level tables) → block → tree (as written) → check, triggers, grants, allow, each, tables → spec (checked)
//!                     parser remembers ┘      └ defaults below       with reader, hints and units at hand
//! specs of all files → references (names, limiters, workers), unserved (not in this build) · old, new → differences
//! text → edit (whole tables), values (single ones) → text
//! ```

mod allow;
mod block;
mod blocks;
mod check;
pub mod cron;
mod defaults;
mod differences;
mod each;
pub mod edit;
mod grants;
pub(crate) mod hints;
mod lexer;
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
mod values;

pub use defaults::check_defaults;
pub use hints::{name_fault, slug};
pub use parser::{Parsed, Parser};
pub use references::check_all;
pub use unserved::not_in_this_build;

/// What a URL or an address in a worker's config leads to; Err: why it leads nowhere, and what to write instead.
pub fn destination(text: &str) -> Result<spec::Destination, (String, String)> {
    allow::destination(text, allow::Source::Config).map_err(|refusal| (refusal.message, refusal.hint))
}

/// The largest manifest file read, in bytes.
pub const MAX_FILE_BYTES: u64 = 8 << 20;
