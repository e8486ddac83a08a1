//! The worker's config, as written → checked. Every error is one sentence that opens with the field it is about. Pure.
//!
//! ```toml
//! config = { api = "http://exchange.skep.internal", generation = "legacy", split = true, wait = "1m" }
//! ```

use cloning::{answer::Generation, span};
use serde::Deserialize;

/// The longest that `add_task` waits.
const MAX_WAIT_MS: u64 = 3_600_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub api: Api,
    pub generation: Generation,
    /// Windows that overflow are halved here, instead of being answered with WINDOW_TOO_BIG.
    pub split: bool,
    pub todo_chunks: String,
    pub finished_chunks: String,
    /// How long `add_task` waits for its answer, in milliseconds.
    pub wait_ms: u64,
}

/// Where the API is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    pub https: bool,
    pub authority: String,
    /// Stands before every path; without a slash at its end.
    pub prefix: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    api: String,
    #[serde(default)]
    generation: Generation,
    #[serde(default)]
    split: bool,
    #[serde(default = "todo_chunks")]
    todo_chunks: String,
    #[serde(default = "finished_chunks")]
    finished_chunks: String,
    #[serde(default = "wait")]
    wait: String,
}

fn todo_chunks() -> String {
    "todo-chunks".to_owned()
}

fn finished_chunks() -> String {
    "finished-chunks".to_owned()
}

fn wait() -> String {
    "1m".to_owned()
}

/// Checks the JSON that `init` gets.
pub fn parse(json: &str) -> Result<Config, String> {
    let written: Written = serde_json::from_str(json).map_err(|error| format!("config: {error}"))?;
    Ok(Config {
        api: api(&written.api).map_err(|why| format!("config.api: \"{}\" {why}", written.api))?,
        generation: written.generation,
        split: written.split,
        todo_chunks: written.todo_chunks,
        finished_chunks: written.finished_chunks,
        wait_ms: span::millis("wait", &written.wait, 1, MAX_WAIT_MS)?,
    })
}

/// An error is the rest of a sentence that opens with the URL.
fn api(url: &str) -> Result<Api, &'static str> {
    let (https, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return Err("has no scheme; write it like \"https://poloniex.com\""),
    };
    if !rest.bytes().all(|byte| byte.is_ascii_graphic()) || rest.contains(['?', '#', '@', '\\']) {
        return Err("must be an origin and perhaps a path, without query, fragment or credentials");
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.is_empty() {
        return Err("names no host");
    }
    Ok(Api { https, authority: authority.to_owned(), prefix: path.trim_end_matches('/').to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_is_enough() {
        let config = parse(r#"{"api":"http://exchange.skep.internal/"}"#).unwrap();
        assert_eq!(config.api, Api { https: false, authority: "exchange.skep.internal".into(), prefix: String::new() });
        assert_eq!((config.generation, config.split, config.wait_ms), (Generation::Legacy, false, 60_000));
        assert_eq!((config.todo_chunks.as_str(), config.finished_chunks.as_str()), ("todo-chunks", "finished-chunks"));
    }

    #[test]
    fn everything_written_out() {
        let json = r#"{"api":"https://h:8443/v1/","generation":"today","split":true,"todo_chunks":"a","finished_chunks":"b","wait":"2s"}"#;
        let config = parse(json).unwrap();
        assert_eq!(config.api, Api { https: true, authority: "h:8443".into(), prefix: "/v1".into() });
        assert_eq!((config.generation, config.split, config.wait_ms), (Generation::Today, true, 2_000));
        assert_eq!((config.todo_chunks.as_str(), config.finished_chunks.as_str()), ("a", "b"));
    }

    #[test]
    fn every_error_names_its_field() {
        for (json, says) in [
            ("[]", "config: "),
            ("{}", "config: missing field `api`"),
            (r#"{"api":"poloniex.com"}"#, "config.api: \"poloniex.com\" has no scheme"),
            (r#"{"api":"http:///x"}"#, "config.api: \"http:///x\" names no host"),
            (r#"{"api":"http://u:p@h"}"#, "config.api: \"http://u:p@h\" must be an origin"),
            (r#"{"api":"http://h","generation":"old"}"#, "config: unknown variant `old`, expected `legacy` or `today`"),
            (r#"{"api":"http://h","wait":"0s"}"#, "config.wait: must be from 1"),
            (r#"{"api":"http://h","wiat":"1s"}"#, "config: unknown field `wiat`"),
        ] {
            let error = parse(json).unwrap_err();
            assert!(error.starts_with(says), "{json}\n  says: {error}\n  not:  {says}");
        }
    }
}
