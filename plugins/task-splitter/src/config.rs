//! The worker's config, as written → checked. Every error is one sentence that opens with the field it is about. Pure.
//!
//! ```toml
//! config = { role = "split", bucket = "tasks", chunk = "1h" }
//! config = { role = "collect", bucket = "tasks", entries = "clones", retries = 3, retry_after = "1m" }
//! ```

use cloning::{collector, span, splitter};
use serde::Deserialize;

/// Half a year: what a chunk, and a further try, may be apart.
const MAX_SPAN_MS: u64 = 183 * 86_400_000;
const MAX_RETRIES: u32 = 1_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the books are, for both roles the same.
    pub bucket: String,
    pub role: Role,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    Split(splitter::Settings),
    Collect(collector::Settings),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    role: Word,
    bucket: String,
    todo_tasks: String,
    todo_chunks: String,
    finished_tasks: String,
    entries: String,
    chunk: String,
    settle: String,
    retries: u32,
    retry_after: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Split,
    Collect,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            role: Word::Split,
            bucket: "tasks".to_owned(),
            todo_tasks: "todo-tasks".to_owned(),
            todo_chunks: "todo-chunks".to_owned(),
            finished_tasks: "finished-tasks".to_owned(),
            entries: "clones".to_owned(),
            chunk: "1h".to_owned(),
            settle: "5s".to_owned(),
            retries: 3,
            retry_after: "1m".to_owned(),
        }
    }
}

/// Checks the JSON that `init` gets.
pub fn parse(json: &str) -> Result<Config, String> {
    let written: Written = serde_json::from_str(json).map_err(|error| format!("config: {error}"))?;
    if written.bucket.is_empty() {
        return Err("config.bucket: is empty; both roles need the same bucket, granted to both".to_owned());
    }
    if written.retries > MAX_RETRIES {
        return Err(format!("config.retries: must be from 0 to {MAX_RETRIES}, not {}", written.retries));
    }
    let chunk_ms = span::millis("chunk", &written.chunk, 1_000, MAX_SPAN_MS)?;
    let settle_ms = span::millis("settle", &written.settle, 0, MAX_SPAN_MS)?;
    let retry_after_ms = span::millis("retry_after", &written.retry_after, 0, MAX_SPAN_MS)?;
    let (todo_chunks, finished_tasks) = (written.todo_chunks, written.finished_tasks);
    let role = match written.role {
        Word::Split => Role::Split(splitter::Settings {
            todo_tasks: written.todo_tasks,
            todo_chunks,
            finished_tasks,
            chunk_seconds: i32::try_from(chunk_ms / 1_000).map_err(|error| format!("config.chunk: {error}"))?,
            settle_ms,
        }),
        Word::Collect => Role::Collect(collector::Settings {
            todo_chunks,
            finished_tasks,
            entries: written.entries,
            retries: written.retries,
            retry_after_ms,
        }),
    };
    Ok(Config { bucket: written.bucket, role })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_written_is_the_reference_s_splitter() {
        let config = parse("{}").unwrap();
        assert_eq!(config.bucket, "tasks");
        let Role::Split(settings) = config.role else { panic!() };
        assert_eq!((settings.chunk_seconds, settings.settle_ms), (3_600, 5_000));
        let queues = [settings.todo_tasks, settings.todo_chunks, settings.finished_tasks];
        assert_eq!(queues, ["todo-tasks", "todo-chunks", "finished-tasks"]);
    }

    #[test]
    fn the_collector() {
        let config = parse(r#"{"role":"collect","bucket":"b","entries":"e","retries":0,"retry_after":"2s"}"#).unwrap();
        let Role::Collect(settings) = config.role else { panic!() };
        assert_eq!((settings.entries.as_str(), settings.retries, settings.retry_after_ms), ("e", 0, 2_000));
    }

    #[test]
    fn every_error_names_its_field() {
        for (json, says) in [
            (r#"{"role":"both"}"#, "config: unknown variant `both`, expected `split` or `collect`"),
            (r#"{"bucket":""}"#, "config.bucket: is empty"),
            (r#"{"chunk":"500ms"}"#, "config.chunk: must be from 1000"),
            (r#"{"settle":"soon"}"#, "config.settle: \"soon\" is no span"),
            (r#"{"retries":1001}"#, "config.retries: must be from 0 to 1000"),
            (r#"{"retries":-1}"#, "config: invalid value"),
            (r#"{"rol":"split"}"#, "config: unknown field `rol`"),
        ] {
            let error = parse(json).unwrap_err();
            assert!(error.starts_with(says), "{json}\n  says: {error}\n  not:  {says}");
        }
    }
}
