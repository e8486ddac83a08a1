//! What was typed into a monitor's form, checked: every mistake at once, each with its field and what to write instead.
//!
//! Pure. Must not ask whether anything is there: a host that does not answer is what monitors are for.

use std::{net::IpAddr, ops::RangeInclusive, time::Duration};

use serde_json::{Map, Value};

use super::{Kind, Monitor, MonitorView};
use crate::{
    facts::Problem,
    manifest::{
        destination, name_fault, slug,
        spec::{Destination, Host, MAX_GROUP, MAX_NOTES, MAX_TITLE},
        units::{parse_duration, print_duration},
    },
};

/// A form as it was sent. Types are loose: fields of a page are text.
pub(super) type Typed = Map<String, Value>;

const FIELDS: [&str; 14] =
    ["kind", "name", "title", "group", "notes", "every", "url", "address", "tcp", "expect", "contains", "timeout", "parent", "lan"];
/// What a view has beside, and a client may send back as it got it.
const OF_A_VIEW: [&str; 3] = ["item", "file", "base"];
const EVERY: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(366 * 86_400);
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60);
const MAX_URL_BYTES: usize = 2_048;
const MAX_ADDRESS_BYTES: usize = 253;
const MAX_CONTAINS_BYTES: usize = 1_024;

/// A monitor as far as it could be read, and what is wrong.
pub(super) struct Checked {
    pub monitor: Monitor,
    pub problems: Vec<Problem>,
}

impl Checked {
    pub fn complain(&mut self, field: &str, message: String, hint: &str) {
        self.problems.push(problem(field, message, hint));
    }
}

pub(super) fn problem(field: &str, message: String, hint: &str) -> Problem {
    let field = Some(field.to_owned());
    Problem { file: "form".to_owned(), line: 0, column: 0, worker: None, field, message, hint: Some(hint.to_owned()) }
}

/// `now`: the monitor that is changed, when one is.
pub(super) fn check(typed: &Typed, now: Option<&MonitorView>) -> Checked {
    let mut read = Read { typed, problems: Vec::new() };
    let before = now.map(|now| &now.monitor);
    for key in typed.keys().filter(|key| !FIELDS.contains(&key.as_str()) && !OF_A_VIEW.contains(&key.as_str())) {
        read.complain(key, "there is no such field".to_owned(), &format!("fields are {}", FIELDS.join(", ")));
    }
    let kind = read.kind(before);
    let (of_url, of_machine) = (kind == Some(Kind::Url), kind == Some(Kind::Machine));
    for field in ["url", "expect", "contains"].iter().filter(|_| of_machine) {
        read.refuse(field, "a machine has none", "leave it empty, or choose the kind url");
    }
    for field in ["address", "tcp"].iter().filter(|_| of_url) {
        read.refuse(field, "a URL has none", "leave it empty, or choose the kind machine");
    }
    let url = if of_url { read.need("url", "https://example.com", url) } else { None };
    let address = if of_machine { read.need("address", "192.168.1.10", address) } else { None };
    let needed = url.as_ref().or(address.as_ref()).is_some_and(|(_, lan)| *lan);
    let lan = read.flag("lan");
    let monitor = Monitor {
        kind: kind.unwrap_or(Kind::Url),
        name: read.name(before),
        title: read.line("title", MAX_TITLE),
        group: read.line("group", MAX_GROUP),
        notes: read.optional("notes", |text| short(text, MAX_NOTES)),
        every: read
            .need("every", "30s", |text| match before {
                Some(before) if before.every == text => Ok(text.to_owned()),
                _ => span(text, &EVERY),
            })
            .unwrap_or_default(),
        url: url.map(|(url, _)| url),
        address: address.map(|(address, _)| address),
        tcp: if of_machine { read.port(before) } else { None },
        expect: if of_url { read.optional("expect", expect) } else { None },
        contains: if of_url { read.optional("contains", |text| short(text, MAX_CONTAINS_BYTES)) } else { None },
        timeout: read.optional("timeout", |text| span(text, &TIMEOUT)),
        parent: read.optional("parent", parent),
        // Said again it says nothing: a form sends back what it got, also beside a new name that needs it.
        lan: lan
            .filter(|lan| before.is_none_or(|before| before.lan != *lan))
            .unwrap_or_else(|| needed || before.is_some_and(|before| before.lan)),
    };
    if let Some(now) = now.filter(|now| now.item && now.monitor.parent != monitor.parent) {
        let list = now.monitor.name.split('/').next().unwrap_or_default();
        read.complain("parent", format!("all of \"{list}\" have the same"), "change it in the manifest");
    }
    Checked { monitor, problems: read.problems }
}

struct Read<'t> {
    typed: &'t Typed,
    problems: Vec<Problem>,
}

/// What is wrong, and what to write instead.
type Fault = (String, String);

fn fault<T>(message: impl Into<String>, hint: impl Into<String>) -> Result<T, Fault> {
    Err((message.into(), hint.into()))
}

impl<'t> Read<'t> {
    fn complain(&mut self, field: &str, message: String, hint: &str) {
        self.problems.push(problem(field, message, hint));
    }

    /// A field's text without the blanks around it; none when it is absent, null or blank.
    fn text(&mut self, field: &str) -> Option<&'t str> {
        match self.typed.get(field) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.trim()).filter(|text| !text.is_empty()),
            Some(_) => {
                self.complain(field, "must be text".to_owned(), "put it in quotes");
                None
            }
        }
    }

    fn optional<T>(&mut self, field: &str, read: impl FnOnce(&str) -> Result<T, Fault>) -> Option<T> {
        match read(self.text(field)?) {
            Ok(value) => Some(value),
            Err((message, hint)) => {
                self.complain(field, message, &hint);
                None
            }
        }
    }

    fn need<T>(&mut self, field: &str, example: &str, read: impl FnOnce(&str) -> Result<T, Fault>) -> Option<T> {
        let before = self.problems.len();
        if self.text(field).is_none() {
            if self.problems.len() == before {
                self.complain(field, "is needed".to_owned(), &format!("write for example {example}"));
            }
            return None;
        }
        self.optional(field, read)
    }

    fn refuse(&mut self, field: &str, message: &str, hint: &str) {
        if self.typed.get(field).is_some_and(|value| !value.is_null() && value.as_str().is_none_or(|text| !text.trim().is_empty())) {
            self.complain(field, message.to_owned(), hint);
        }
    }

    fn line(&mut self, field: &str, most: usize) -> Option<String> {
        self.optional(field, |text| match text.chars().any(char::is_control) {
            true => fault("must be one line", "put more into the notes"),
            false => short(text, most),
        })
    }

    fn kind(&mut self, before: Option<&Monitor>) -> Option<Kind> {
        const HINT: &str = "write url or machine";
        let kind = match (self.text("kind"), before) {
            (Some("url"), _) => Kind::Url,
            (Some("machine"), _) => Kind::Machine,
            (None, Some(before)) => before.kind,
            (None, None) => {
                self.complain("kind", "is needed".to_owned(), HINT);
                return None;
            }
            (Some(_), _) => {
                self.complain("kind", "is neither url nor machine".to_owned(), HINT);
                return None;
            }
        };
        if before.is_some_and(|before| before.kind != kind) {
            self.complain("kind", "can't be changed".to_owned(), "delete this monitor and add another");
        }
        Some(kind)
    }

    /// Empty: to be made from the title.
    fn name(&mut self, before: Option<&Monitor>) -> String {
        let Some(name) = self.text("name") else { return before.map(|before| before.name.clone()).unwrap_or_default() };
        match (before, name_fault(name)) {
            (Some(before), _) if before.name != name => {
                self.complain("name", "can't be changed: its history goes by it".to_owned(), "change the title, which is what people see");
            }
            (None, Some(fault)) => {
                let better = slug(name).unwrap_or_else(|| "nas".to_owned());
                self.complain("name", fault.to_owned(), &format!("write {better}"));
            }
            _ => {}
        }
        name.to_owned()
    }

    fn flag(&mut self, field: &str) -> Option<bool> {
        match self.typed.get(field) {
            None | Some(Value::Null) => None,
            Some(Value::Bool(yes)) => Some(*yes),
            Some(Value::String(text)) if text.trim().is_empty() => None,
            Some(_) => {
                self.complain(field, "must be true or false".to_owned(), "leave it out to have it as the name looks");
                None
            }
        }
    }

    fn port(&mut self, before: Option<&Monitor>) -> Option<u16> {
        let number = match self.typed.get("tcp") {
            None | Some(Value::Null) => return None,
            Some(Value::Number(number)) => number.as_u64(),
            Some(Value::String(text)) if text.trim().is_empty() => return None,
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        let port = number.and_then(|number| u16::try_from(number).ok()).filter(|port| *port > 0);
        if port.is_none() {
            self.complain("tcp", "must be a port from 1 to 65535".to_owned(), "write for example 22, or leave it empty to send pings");
        }
        port.or(before.and_then(|before| before.tcp))
    }
}

fn short(text: &str, most: usize) -> Result<String, Fault> {
    match text.len() {
        long if long > most => fault(format!("has {long} bytes; at most {most} are allowed"), "shorten it"),
        _ => Ok(text.to_owned()),
    }
}

fn span(text: &str, range: &RangeInclusive<Duration>) -> Result<String, Fault> {
    let example = "write for example 30s or 5m";
    match parse_duration(text) {
        Ok(span) if range.contains(&span) => Ok(text.to_owned()),
        Ok(_) => fault(
            format!("\"{text}\" is out of range; it goes from {} to {}", print_duration(*range.start()), print_duration(*range.end())),
            example,
        ),
        Err(error) => fault(error.message, error.hint.unwrap_or_else(|| example.to_owned())),
    }
}

/// The URL, and whether its host looks like one of a private network.
fn url(text: &str) -> Result<(String, bool), Fault> {
    let whole = || format!("write for example https://{}", text.trim_start_matches(|c: char| !c.is_ascii_alphanumeric()));
    if text.len() > MAX_URL_BYTES {
        return fault(format!("has {} bytes; at most {MAX_URL_BYTES} are allowed", text.len()), "shorten it");
    }
    if let Some(odd) = text.chars().find(|c| !c.is_ascii_graphic()) {
        return fault(format!("has the character '{}'", odd.escape_debug()), "write it percent-encoded, and a host's name in punycode");
    }
    if text.contains('#') {
        return fault("has a fragment (#…), which is never sent", "leave it out");
    }
    if !text.contains("://") {
        return fault("has no scheme", whole());
    }
    let found = destination(text)?;
    if text.parse::<http::Uri>().is_err() {
        return fault("is no URL", "write for example https://example.com/health");
    }
    match found {
        Destination::Origin { host, .. } => Ok((text.to_owned(), private(&host))),
        Destination::Worker(_) => fault("leads to a worker of this host", "its own state is watched already; name an address of yours"),
        Destination::Host(_) | Destination::Cidr(_) => fault("has no scheme", whole()),
    }
}

/// The same for a machine.
fn address(text: &str) -> Result<(String, bool), Fault> {
    if text.len() > MAX_ADDRESS_BYTES {
        return fault(format!("has {} bytes; at most {MAX_ADDRESS_BYTES} are allowed", text.len()), "shorten it");
    }
    let bare = "write only the name or the address, e.g. nas.lan or 192.168.1.10";
    if text.contains("://") {
        return fault("is a URL", bare);
    }
    if text.rsplit_once(':').is_some_and(|(host, port)| !host.contains(':') && port.bytes().all(|b| b.is_ascii_digit())) {
        return fault("has a port", "put the port into its own field");
    }
    match destination(text)? {
        Destination::Host(host @ (Host::Address(_) | Host::Name(_))) if !text.contains('*') => Ok((text.to_owned(), private(&host))),
        _ => fault("is neither a name nor an address", bare),
    }
}

/// Whether a name most likely leads into a private network: no dot in it, or an ending that the internet does not have. An address that
/// is written out counts as named.
fn private(host: &Host) -> bool {
    const ENDINGS: [&str; 10] =
        ["lan", "local", "localdomain", "localhost", "home", "internal", "intranet", "corp", "private", "home.arpa"];
    match host {
        Host::Address(_) => false,
        Host::Name(name) => {
            let ends = |ending: &&str| name.strip_suffix(*ending).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
            !name.contains('.') && name.parse::<IpAddr>().is_err() || ENDINGS.iter().any(|ending| ends(&ending))
        }
    }
}

/// As the poller reads it.
fn expect(text: &str) -> Result<String, Fault> {
    let code = |code: &str| code.parse::<u16>().ok().filter(|number| (100..=599).contains(number) && code.len() == 3);
    for part in text.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (code(first.trim()), code(last.trim())) {
            (Some(first), Some(last)) if first <= last => {}
            (Some(_), Some(_)) => return fault(format!("\"{part}\" ends before it starts"), "write for example 200-399"),
            _ => return fault(format!("\"{part}\" is no status from 100 to 599, and no range of them"), "write for example 200-399,418"),
        }
    }
    Ok(text.to_owned())
}

fn parent(text: &str) -> Result<String, Fault> {
    match text.splitn(2, '/').find_map(name_fault) {
        None => Ok(text.to_owned()),
        Some(_) => {
            fault(format!("\"{}\" is no worker's name", text.escape_debug()), "write a worker's name, e.g. gateway or pinger/gateway")
        }
    }
}
