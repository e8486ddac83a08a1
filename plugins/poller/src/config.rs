//! The worker's config, as written → checked. Every error is one sentence that opens with the field it is about. Pure.
//!
//! ```toml
//! config = { timeout = "3s", urls = ["https://example.com", { url = "http://nas.lan/", contains = "ok" }] }
//! ```

use std::{rc::Rc, time::Duration};

use crate::{
    duration,
    expect::Expect,
    json::{self, Json, Table},
    url::Url,
};

/// URLs of one worker: one log line each, and the host keeps 1,000 lines a second.
const MAX_URLS: usize = 1_000;
/// A check's subject ends here.
const MAX_URL_BYTES: usize = 2_048;
const MAX_TEXT_BYTES: usize = 1_024;
const MAX_REDIRECTS: u64 = 20;

/// Every key that an item of `urls` and the config itself (as defaults) may have.
const KEYS: &str = "expect, timeout, contains, redirects, method, headers and degraded_after";

/// Headers that belong to the connection.
const OF_THE_HOST: [&str; 7] = ["host", "connection", "content-length", "transfer-encoding", "upgrade", "te", "keep-alive"];

/// One URL to request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// As written: the check's subject and what log lines show.
    pub url: String,
    pub target: Url,
    /// What a person calls it; opens the check's detail.
    pub name: Option<String>,
    pub rules: Rules,
}

/// How a URL is requested and judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    pub expect: Expect,
    /// For connecting, for the first byte and for the body, each.
    pub timeout: Duration,
    /// Must stand in the first MiB of the body.
    pub contains: Option<Rc<str>>,
    /// How many redirects are followed.
    pub redirects: u64,
    pub method: String,
    /// Sent as they are: the host puts `secret:NAME` in.
    pub headers: Rc<[(String, String)]>,
    /// Slower than this is degraded.
    pub degraded_after: Option<Duration>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            expect: Expect::default(),
            timeout: Duration::from_secs(5),
            contains: None,
            redirects: 0,
            method: "GET".into(),
            headers: Rc::new([]),
            degraded_after: None,
        }
    }
}

/// Checks the JSON that `init` gets.
pub fn parse(json: &str) -> Result<Vec<Probe>, String> {
    let Ok(Json::Table(mut config)) = serde_json::from_str(json) else {
        return Err("config: must be a table".into());
    };
    let urls = match json::take(&mut config, "urls") {
        Some(Json::List(urls)) => urls,
        Some(_) => return Err("config.urls: must be a list, like urls = [\"https://example.com\"]".into()),
        None => return Err("config.urls: is missing; write urls = [\"https://example.com\"]".into()),
    };
    match urls.len() {
        0 => return Err("config.urls: is empty; name at least one URL".into()),
        1..=MAX_URLS => {}
        many => return Err(format!("config.urls: has {many} URLs; at most {MAX_URLS} a worker, so split them over several")),
    }
    let defaults = Rules::default().with("config", config)?;
    let mut probes: Vec<Probe> = Vec::with_capacity(urls.len());
    for (i, value) in urls.into_iter().enumerate() {
        let field = format!("config.urls[{i}]");
        let probe = Probe::check(&field, value, &defaults)?;
        if let Some(twin) = probes.iter().position(|other| other.url == probe.url) {
            return Err(format!("{field}: \"{}\" is already config.urls[{twin}]; a check is known by its URL", probe.url));
        }
        probes.push(probe);
    }
    Ok(probes)
}

impl Probe {
    fn check(field: &str, value: Json, defaults: &Rules) -> Result<Self, String> {
        let (url, mut item) = match value {
            Json::Text(url) => (Json::Text(url), Table::new()),
            Json::Table(mut item) => match json::take(&mut item, "url") {
                Some(url) => (url, item),
                None => return Err(format!("{field}.url: is missing")),
            },
            _ => return Err(format!("{field}: must be a URL or a table like {{ url = \"https://example.com\", timeout = \"3s\" }}")),
        };
        let (url, target) = address(url).map_err(|why| format!("{field}.url: {why}"))?;
        let name = json::take(&mut item, "name").map(bounded).transpose().map_err(|why| format!("{field}.name: {why}"))?;
        let rules = defaults.clone().with(field, item)?;
        if rules.contains.is_some() && rules.method == "HEAD" {
            return Err(format!("{field}.contains: an answer to HEAD has no body to search; use method = \"GET\""));
        }
        Ok(Self { url, target, name, rules })
    }
}

impl Rules {
    /// These rules with `table`'s keys over them.
    fn with(mut self, field: &str, table: Table) -> Result<Self, String> {
        for (key, value) in table {
            self.set(&key, value).map_err(|why| format!("{field}.{key}: {why}"))?;
        }
        Ok(self)
    }

    fn set(&mut self, key: &str, value: Json) -> Result<(), String> {
        match (key, value) {
            ("expect", Json::Number(code)) => self.expect = Expect::parse(&code.to_string())?,
            ("expect", value) => self.expect = Expect::parse(&text(value)?)?,
            ("timeout", value) => self.timeout = duration::parse(&text(value)?)?,
            ("degraded_after", value) => self.degraded_after = Some(duration::parse(&text(value)?)?),
            ("contains", value) => self.contains = Some(bounded(value)?.into()),
            ("redirects", Json::Number(redirects @ 0..=MAX_REDIRECTS)) => self.redirects = redirects,
            ("redirects", _) => return Err(format!("must be a number from 0 to {MAX_REDIRECTS}")),
            ("method", value) => self.method = method(&text(value)?)?,
            ("headers", value) => self.headers = headers(value, &self.headers)?,
            _ => return Err(format!("unknown key; known are {KEYS}")),
        }
        Ok(())
    }
}

fn text(value: Json) -> Result<String, String> {
    match value {
        Json::Text(text) => Ok(text),
        _ => Err("must be a text in quotes".into()),
    }
}

fn bounded(value: Json) -> Result<String, String> {
    let text = text(value)?;
    match text.len() {
        0 => Err("is empty; leave it out".into()),
        1..=MAX_TEXT_BYTES => Ok(text),
        long => Err(format!("is {long} bytes long; at most {MAX_TEXT_BYTES}")),
    }
}

fn address(value: Json) -> Result<(String, Url), String> {
    let url = text(value)?;
    if url.len() > MAX_URL_BYTES {
        return Err(format!("is {} bytes long; at most {MAX_URL_BYTES}", url.len()));
    }
    match Url::parse(&url) {
        Ok(target) => Ok((url, target)),
        Err(why) => Err(format!("\"{url}\" {why}")),
    }
}

fn method(written: &str) -> Result<String, String> {
    let method = written.to_ascii_uppercase();
    if !is_token(&method) || method == "CONNECT" {
        return Err(format!("\"{written}\" is not a method that can be requested, like GET or HEAD"));
    }
    Ok(method)
}

/// `written` over `below`; names are compared without case.
fn headers(written: Json, below: &[(String, String)]) -> Result<Rc<[(String, String)]>, String> {
    let Json::Table(written) = written else {
        return Err("must be a table like { accept = \"text/html\" }".into());
    };
    let mut all = below.to_vec();
    for (name, value) in written {
        let lower = name.to_ascii_lowercase();
        let wrong = match value {
            _ if !is_token(&lower) => "is not a header's name",
            _ if OF_THE_HOST.contains(&lower.as_str()) => "is the host's to set; leave it out",
            Json::Text(value) if !value.chars().any(|c| c != '\t' && c.is_control()) => {
                all.retain(|(other, _)| *other != lower);
                all.push((lower, value));
                continue;
            }
            Json::Text(_) => "has a control character",
            _ => "must be a text in quotes",
        };
        return Err(format!("\"{name}\" {wrong}"));
    }
    Ok(all.into())
}

/// RFC 9110's token: what methods and header names are made of.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_urls_is_enough() {
        let probes = parse(r#"{"urls":["https://example.com","http://nas.lan:8080/x"]}"#).unwrap();
        assert_eq!(probes.iter().map(|probe| probe.url.as_str()).collect::<Vec<_>>(), ["https://example.com", "http://nas.lan:8080/x"]);
        assert_eq!(probes[0].rules, Rules::default());
        assert_eq!(probes[0].rules.expect.to_string(), "200-399");
        assert_eq!(probes[0].rules.redirects, 0);
    }

    #[test]
    fn an_items_keys_go_over_the_defaults() {
        let probes = parse(
            r#"{"timeout":"3s","expect":200,"headers":{"Accept":"a","X-One":"1"},"urls":["http://a/",
               {"url":"http://b/","name":"B","timeout":"250ms","expect":"200-299,418","contains":"ok","redirects":2,"method":"post",
                "degraded_after":"1s","headers":{"accept":"b","authorization":"secret:token"}}]}"#,
        )
        .unwrap();
        let [a, b] = probes.as_slice() else { panic!("{probes:?}") };
        assert_eq!((a.rules.timeout, a.rules.expect.to_string()), (Duration::from_secs(3), "200".into()));
        assert_eq!((b.rules.timeout, b.rules.expect.to_string()), (Duration::from_millis(250), "200-299,418".into()));
        assert_eq!((b.name.as_deref(), b.rules.contains.as_deref()), (Some("B"), Some("ok")));
        assert_eq!((b.rules.redirects, b.rules.method.as_str(), b.rules.degraded_after), (2, "POST", Some(Duration::from_secs(1))));
        let headers: Vec<_> = b.rules.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(headers, [("x-one", "1"), ("accept", "b"), ("authorization", "secret:token")]);
    }

    #[test]
    fn every_error_names_its_field() {
        for (json, says) in [
            ("[]", "config: must be a table"),
            ("{", "config: must be a table"),
            ("{}", "config.urls: is missing"),
            (r#"{"urls":[]}"#, "config.urls: is empty"),
            (r#"{"urls":"http://a/"}"#, "config.urls: must be a list"),
            (r#"{"urls":["a"]}"#, "config.urls[0].url: \"a\" has no scheme"),
            (r#"{"urls":["http://a/",7]}"#, "config.urls[1]: must be a URL or a table"),
            (r#"{"urls":["http://a/","http://a/"]}"#, "config.urls[1]: \"http://a/\" is already config.urls[0]"),
            (r#"{"urls":[{"name":"x"}]}"#, "config.urls[0].url: is missing"),
            (r#"{"urls":[{"url":"ftp://a"}]}"#, "config.urls[0].url: \"ftp://a\" has the scheme ftp"),
            (r#"{"urls":[{"url":"http://a/","tiemout":"3s"}]}"#, "config.urls[0].tiemout: unknown key; known are expect, timeout"),
            (r#"{"urls":["http://a/"],"interval":5}"#, "config.interval: unknown key"),
            (r#"{"urls":["http://a/"],"timeout":"soon"}"#, "config.timeout: \"soon\" is not a duration"),
            (r#"{"urls":["http://a/"],"timeout":5}"#, "config.timeout: must be a text in quotes"),
            (r#"{"urls":[{"url":"http://a/","expect":"2xx"}]}"#, "config.urls[0].expect: \"2xx\" is not a status"),
            (r#"{"urls":["http://a/"],"expect":1000}"#, "config.expect: \"1000\" is not a status"),
            (r#"{"urls":["http://a/"],"redirects":21}"#, "config.redirects: must be a number from 0 to 20"),
            (r#"{"urls":["http://a/"],"redirects":-1}"#, "config.redirects: must be"),
            (r#"{"urls":["http://a/"],"method":"CONNECT"}"#, "config.method: \"CONNECT\" is not a method"),
            (r#"{"urls":["http://a/"],"contains":""}"#, "config.contains: is empty"),
            (r#"{"urls":["http://a/"],"headers":"x"}"#, "config.headers: must be a table"),
            (r#"{"urls":["http://a/"],"headers":{"a b":"x"}}"#, "config.headers: \"a b\" is not a header's name"),
            (r#"{"urls":["http://a/"],"headers":{"Host":"x"}}"#, "config.headers: \"Host\" is the host's to set"),
            (r#"{"urls":["http://a/"],"headers":{"x":"a\r\nb: c"}}"#, "config.headers: \"x\" has a control character"),
            (r#"{"contains":"ok","urls":[{"url":"http://a/","method":"HEAD"}]}"#, "config.urls[0].contains: an answer to HEAD"),
        ] {
            let error = parse(json).unwrap_err();
            assert!(error.starts_with(says), "{json}\n  says: {error}\n  not:  {says}");
        }
    }

    #[test]
    fn bounds() {
        let list = |n: usize| serde_json::Value::from((0..n).map(|i| format!("http://h/{i}")).collect::<Vec<_>>());
        let config = |n| serde_json::json!({ "urls": list(n) }).to_string();
        assert_eq!(parse(&config(1_000)).unwrap().len(), 1_000);
        assert!(parse(&config(1_001)).unwrap_err().starts_with("config.urls: has 1001 URLs"));
        let long = serde_json::json!({ "urls": [format!("http://h/{}", "x".repeat(2_048))] }).to_string();
        assert!(parse(&long).unwrap_err().contains("at most 2048"));
    }
}
