//! The worker's config, as written → checked. Every error is one sentence that opens with the field it is about. Pure.
//!
//! ```toml
//! [worker.config]
//! batch = "10s"
//! targets = [
//!     { kind = "ntfy", url = "https://ntfy.sh", topic = "my-alerts", headers = { authorization = "secret:ntfy" } },
//!     { kind = "webhook", url = "https://example.com/hook", kinds = ["check"], groups = ["home"], template = '{"text":"{{summary}}"}' },
//! ]
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{alert::Alert, template::Template, url::Url};

/// Targets of one worker: each costs an alert's time.
const MAX_TARGETS: usize = 20;
const MAX_TEMPLATE_BYTES: usize = 16 << 10;
const MAX_URL_BYTES: usize = 2_048;
/// The longest batch, in milliseconds: an alert that waits longer is none.
const MAX_BATCH_MS: u64 = 600_000;
const KINDS: [&str; 6] = ["check", "worker", "job", "certificate", "host", "test"];
/// Headers that belong to the connection, or to what is sent.
const OF_THE_HOST: [&str; 8] =
    ["host", "connection", "content-length", "transfer-encoding", "upgrade", "te", "keep-alive", "idempotency-key"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub targets: Vec<Target>,
    /// How long alerts wait for company, in milliseconds; none: each goes at once.
    pub batch_ms: Option<u64>,
}

/// One place that alerts are sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The same for as long as it is the same place: what was sent there is remembered by it.
    pub key: String,
    /// For log lines: no path, which may be a secret.
    pub shown: String,
    pub url: Url,
    pub method: String,
    /// Sent as they are: the host puts `secret:NAME` in. Names in lower case.
    pub headers: Vec<(String, String)>,
    pub form: Form,
    kinds: Vec<String>,
    groups: Vec<String>,
    workers: Vec<String>,
}

/// What is sent there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// The payload as it is.
    Plain,
    Template {
        template: Template,
        json: bool,
    },
    Ntfy {
        topic: String,
        priority: Option<u8>,
    },
    Slack,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    targets: Vec<WrittenTarget>,
    batch: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTarget {
    kind: String,
    url: String,
    template: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    method: Option<String>,
    topic: Option<String>,
    priority: Option<u8>,
    #[serde(default)]
    kinds: Vec<String>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    workers: Vec<String>,
}

/// Checks the JSON that `init` gets.
pub fn parse(json: &str) -> Result<Config, String> {
    let written: Written = serde_json::from_str(json).map_err(|error| format!("config: {error}"))?;
    match written.targets.len() {
        0 => {
            return Err(
                "config.targets: is empty; write where alerts go, like targets = [{ kind = \"webhook\", url = \"https://…\" }]".into()
            );
        }
        1..=MAX_TARGETS => {}
        many => return Err(format!("config.targets: has {many}; at most {MAX_TARGETS}")),
    }
    let mut targets: Vec<Target> = Vec::new();
    for (i, target) in written.targets.into_iter().enumerate() {
        let target = Target::check(target).map_err(|(key, why)| format!("config.targets[{i}].{key}: {why}"))?;
        if let Some(twin) = targets.iter().position(|other| other.key == target.key) {
            return Err(format!("config.targets[{i}]: is the same place as config.targets[{twin}]"));
        }
        targets.push(target);
    }
    let batch_ms = written.batch.map(|text| span(&text).map_err(|why| format!("config.batch: {why}"))).transpose()?;
    Ok(Config { targets, batch_ms: batch_ms.filter(|ms| *ms > 0) })
}

impl Target {
    fn check(written: WrittenTarget) -> Result<Self, (&'static str, String)> {
        let WrittenTarget { kind, url, template, headers, method, topic, priority, kinds, groups, workers } = written;
        if url.len() > MAX_URL_BYTES {
            return Err(("url", format!("has {} bytes; at most {MAX_URL_BYTES}", url.len())));
        }
        let mut at = Url::parse(&url).map_err(|why| ("url", format!("\"{url}\" {why}")))?;
        let mut headers = checked(headers).map_err(|why| ("headers", why))?;
        let of = |key: &'static str, given: bool, owner: &str| match given && kind != owner {
            true => Err((key, format!("belongs to kind = \"{owner}\""))),
            false => Ok(()),
        };
        of("template", template.is_some(), "webhook")?;
        of("method", method.is_some(), "webhook")?;
        of("topic", topic.is_some(), "ntfy")?;
        of("priority", priority.is_some(), "ntfy")?;
        let form = match kind.as_str() {
            "webhook" => match template {
                None => Form::Plain,
                Some(text) if text.len() > MAX_TEMPLATE_BYTES => {
                    return Err(("template", format!("has {} bytes; at most {MAX_TEMPLATE_BYTES}", text.len())));
                }
                Some(text) => {
                    let template = Template::parse(&text).map_err(|why| ("template", why))?;
                    let written = headers.iter().find(|(name, _)| name == "content-type").map(|(_, value)| value.contains("json"));
                    let begins = text.trim_start();
                    // A placeholder at the front makes no object of it.
                    let json = written.unwrap_or_else(|| begins.starts_with(['{', '[']) && !begins.starts_with("{{"));
                    // Filled with anything at all it must stay JSON.
                    if json && serde_json::from_str::<serde_json::Value>(&template.fill(&sample(), true)).is_err() {
                        return Err((
                            "template",
                            "is sent as JSON and is none; write placeholders within quotes, or set headers.content-type".into(),
                        ));
                    }
                    Form::Template { template, json }
                }
            },
            "ntfy" => {
                if priority.is_some_and(|priority| !(1..=5).contains(&priority)) {
                    return Err(("priority", "must be from 1 to 5".into()));
                }
                // ntfy takes JSON at its root, so that any text goes through.
                let (root, last) = at.path.rsplit_once('/').map_or(("", ""), |(root, last)| (root, last));
                let named = topic.or_else(|| Some(last.to_owned()).filter(|last| !last.is_empty() && !last.contains('?')));
                let Some(topic) = named.clone() else {
                    return Err(("topic", "is missing; write topic = \"my-alerts\"".into()));
                };
                if topic.is_empty() || topic.len() > 64 || !topic.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
                {
                    return Err(("topic", format!("\"{topic}\" is no topic; write letters, digits, _ and -, at most 64")));
                }
                at.path = if last == topic { format!("{root}/") } else { at.path.clone() };
                Form::Ntfy { topic, priority }
            }
            "slack" => Form::Slack,
            other => return Err(("kind", format!("\"{other}\" is none; there are \"webhook\", \"ntfy\" and \"slack\""))),
        };
        if !headers.iter().any(|(name, _)| name == "content-type") {
            let json = !matches!(form, Form::Template { json: false, .. });
            headers.push(("content-type".into(), if json { "application/json" } else { "text/plain; charset=utf-8" }.into()));
        }
        if let Some(odd) = kinds.iter().find(|kind| !KINDS.contains(&kind.as_str())) {
            return Err(("kinds", format!("\"{odd}\" is none; there are {}", KINDS.join(", "))));
        }
        let method = method.unwrap_or_else(|| "POST".into()).to_ascii_uppercase();
        if !matches!(method.as_str(), "POST" | "PUT" | "PATCH") {
            return Err(("method", format!("\"{method}\" is none that sends something; write POST, PUT or PATCH")));
        }
        let place = match &form {
            Form::Ntfy { topic, .. } => format!("{kind} {url} {topic}"),
            _ => format!("{kind} {method} {url}"),
        };
        let shown = format!("{kind} at {}", at.authority);
        Ok(Self { key: format!("{:016x}", fingerprint(&place)), shown, url: at, method, headers, form, kinds, groups, workers })
    }

    /// Whether this alert is for it.
    pub fn wants(&self, alert: &Alert) -> bool {
        let fits = |list: &[String], value: &Option<String>| {
            list.is_empty() || value.as_ref().is_some_and(|value| list.iter().any(|wanted| matches(wanted, value)))
        };
        // A test shows whether anything arrives at all.
        alert.kind == "test"
            || (self.kinds.is_empty() || self.kinds.contains(&alert.kind))
                && fits(&self.groups, &alert.group)
                && fits(&self.workers, &alert.worker)
    }
}

/// `pinger/*` fits `pinger/nas`.
fn matches(wanted: &str, value: &str) -> bool {
    wanted.strip_suffix('*').map_or(wanted == value, |start| value.starts_with(start))
}

/// Values with everything in them that JSON minds.
fn sample() -> Alert {
    let text = || Some("\"\\\n{".to_owned());
    Alert {
        id: "1".into(),
        summary: "\"\\\n{".into(),
        title: text(),
        detail: text(),
        notes: text(),
        before_ms: Some(1),
        count: 1,
        ..Alert::default()
    }
}

fn checked(written: BTreeMap<String, String>) -> Result<Vec<(String, String)>, String> {
    let token = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
    let mut headers = Vec::new();
    for (name, value) in written {
        let lower = name.to_ascii_lowercase();
        if !token(&lower) {
            return Err(format!("\"{name}\" is not a header's name"));
        }
        if OF_THE_HOST.contains(&lower.as_str()) {
            return Err(format!("\"{name}\" is set by the host; leave it out"));
        }
        if value.chars().any(|c| c != '\t' && c.is_control()) {
            return Err(format!("\"{name}\" has a control character"));
        }
        headers.push((lower, value));
    }
    Ok(headers)
}

/// Milliseconds. The error is the rest of a sentence that opens with the field.
fn span(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).unwrap_or((text, ""));
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err(format!("\"{text}\" is no span; write a number and ms, s or m, like \"10s\"")),
    };
    let ms = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_ms));
    ms.filter(|ms| *ms <= MAX_BATCH_MS).ok_or_else(|| format!("\"{text}\" is longer than 10m"))
}

/// FNV-1a: short, and the same in every build.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_written_out() {
        let config = parse(
            r#"{"batch":"10s","targets":[
                {"kind":"webhook","url":"https://a.example/hook"},
                {"kind":"webhook","url":"https://a.example/text","template":"{{summary}}","method":"put","headers":{"X-Key":"secret:k"}},
                {"kind":"ntfy","url":"https://ntfy.sh/mine","priority":4},
                {"kind":"ntfy","url":"https://ntfy.sh","topic":"other"},
                {"kind":"slack","url":"https://hooks.example/T/B/x","kinds":["check"],"groups":["home"],"workers":["pinger/*"]}]}"#,
        )
        .unwrap();
        assert_eq!(config.batch_ms, Some(10_000));
        let [plain, text, ntfy, other, slack] = config.targets.as_slice() else { panic!("{config:?}") };
        assert_eq!((plain.method.as_str(), &plain.form), ("POST", &Form::Plain));
        assert_eq!(plain.headers, [("content-type".to_owned(), "application/json".to_owned())]);
        assert_eq!((text.method.as_str(), text.headers[1].1.as_str()), ("PUT", "text/plain; charset=utf-8"));
        assert_eq!((ntfy.url.path.as_str(), other.url.path.as_str()), ("/", "/"));
        assert_eq!(ntfy.form, Form::Ntfy { topic: "mine".into(), priority: Some(4) });
        assert_eq!(slack.shown, "slack at hooks.example", "the path is the secret");
        let alert = |kind: &str, group: Option<&str>, worker: &str| Alert {
            kind: kind.into(),
            group: group.map(str::to_owned),
            worker: Some(worker.into()),
            ..Alert::default()
        };
        assert!(slack.wants(&alert("check", Some("home"), "pinger/nas")));
        assert!(!slack.wants(&alert("check", None, "pinger/nas")));
        assert!(!slack.wants(&alert("job", Some("home"), "pinger/nas")));
        assert!(!slack.wants(&alert("check", Some("home"), "pages")));
        assert!(slack.wants(&alert("test", None, "")));
        assert!(plain.wants(&alert("job", None, "pages")));
    }

    #[test]
    fn every_error_names_its_field() {
        let one = |target: &str| format!(r#"{{"targets":[{target}]}}"#);
        for (json, says) in [
            ("[]".to_owned(), "config: "),
            ("{}".to_owned(), "config.targets: is empty"),
            (one(r#"{"kind":"mail","url":"http://a"}"#), "config.targets[0].kind: \"mail\" is none"),
            (one(r#"{"kind":"webhook","url":"a"}"#), "config.targets[0].url: \"a\" has no scheme"),
            (one(r#"{"kind":"webhook","url":"http://a","template":"{{x}}"}"#), "config.targets[0].template: has {{x}}"),
            (one(r#"{"kind":"webhook","url":"http://a","template":"{\"a\":{{summary}}}"}"#), "config.targets[0].template: is sent as JSON"),
            (one(r#"{"kind":"slack","url":"http://a","template":"x"}"#), "config.targets[0].template: belongs to"),
            (one(r#"{"kind":"webhook","url":"http://a","method":"GET"}"#), "config.targets[0].method: "),
            (one(r#"{"kind":"webhook","url":"http://a","headers":{"Idempotency-Key":"x"}}"#), "config.targets[0].headers: "),
            (one(r#"{"kind":"ntfy","url":"https://ntfy.sh/"}"#), "config.targets[0].topic: is missing"),
            (one(r#"{"kind":"ntfy","url":"https://ntfy.sh/","topic":"a b"}"#), "config.targets[0].topic: "),
            (one(r#"{"kind":"ntfy","url":"https://ntfy.sh/a","priority":9}"#), "config.targets[0].priority: "),
            (one(r#"{"kind":"webhook","url":"http://a","kinds":["checks"]}"#), "config.targets[0].kinds: \"checks\" is none"),
            (one(r#"{"kind":"slack","url":"http://a"},{"kind":"slack","url":"http://a"}"#), "config.targets[1]: is the same place"),
            (r#"{"batch":"10","targets":[{"kind":"slack","url":"http://a"}]}"#.to_owned(), "config.batch: "),
            (r#"{"batch":"1h","targets":[{"kind":"slack","url":"http://a"}]}"#.to_owned(), "config.batch: "),
        ] {
            let error = parse(&json).unwrap_err();
            assert!(error.starts_with(says), "{json}\n  says: {error}\n  not:  {says}");
        }
    }
}
