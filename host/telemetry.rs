//! The host's own log: tracing to stderr, as text or JSON lines.
//!
//! Stdout stays free for what a verb answers. Metrics are made where they are served, in `api::metrics`.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::LogFormat;

/// What is logged when nobody says: the host's own lines and its workers', not what libraries think.
pub const FILTER: &str = "info,wasmtime=warn,cranelift=warn,hyper=warn,h2=warn,rustls=warn";

/// `SKEP_LOG`, else `RUST_LOG`, else [`FILTER`].
///
/// `env`: how a variable is read.
pub fn filter(env: &dyn Fn(&str) -> Option<String>) -> Result<EnvFilter, String> {
    let set = |name: &'static str| env(name).filter(|value| !value.is_empty()).map(|value| (name, value));
    match set("SKEP_LOG").or_else(|| set("RUST_LOG")) {
        None => Ok(EnvFilter::new(FILTER)),
        Some((name, value)) => EnvFilter::try_new(&value)
            .map_err(|error| format!("{name}: \"{value}\" is no log filter ({error}); write e.g. info or skep=debug,worker=warn")),
    }
}

/// Starts logging for this process; the second call in one process is refused.
pub fn init(format: LogFormat, env: &dyn Fn(&str) -> Option<String>) -> Result<(), String> {
    let builder = fmt().with_env_filter(filter(env)?).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => {
            let colour = std::io::stderr().is_terminal() && env("NO_COLOR").is_none_or(|value| value.is_empty());
            builder.with_ansi(colour).try_init()
        }
    };
    started.map_err(|error| error.to_string())
}
