//! The `skep` binary: parse, run a verb, exit with its code.

use std::process::ExitCode;

fn main() -> ExitCode {
    skep::cli::main()
}
