//! Destinations: what an `allow` entry names, and what `config:…` entries find in the worker's config.
//!
//! Must not resolve names or decide about a request: it turns text into [`Destination`]s that the capabilities match against.

use std::{collections::HashSet, net::IpAddr};

use super::{
    hints::{name_fault, nearest},
    reader::Field,
    spec::{Destination, Host},
    tree::{Node, Value},
};

/// Names below this reach other workers' routes without leaving the process.
const INTERNAL: &str = ".skep.internal";

/// Why a text names no destination, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub message: String,
    pub hint: String,
}

fn refuse<T>(message: impl Into<String>, hint: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { message: message.into(), hint: hint.into() })
}

/// One entry of an `allow` list.
#[derive(Debug, Clone)]
pub(super) enum Allowed<'n> {
    Named(Destination),
    /// `config:a.b`: looked up in the worker's config, for each item of `each` anew.
    FromConfig(Field<'n>, &'n str),
}

/// Reads one entry as written.
pub(super) fn entry<'n>(field: &Field<'n>) -> Option<Allowed<'n>> {
    let text = field.text("\"https://example.com\"")?;
    if let Some(path) = text.strip_prefix("config:") {
        let fine = !path.is_empty() && path.split('.').all(|step| !step.is_empty());
        if !fine {
            field.complain(
                format!("\"{}\" names no config field", cut(text)),
                Some("write for example \"config:urls\" or \"config:machines.address\"".to_owned()),
            );
        }
        return fine.then_some(Allowed::FromConfig(field.clone(), path));
    }
    match destination(text, Source::Allow) {
        Ok(named) => Some(Allowed::Named(named)),
        Err(refusal) => {
            field.complain(refusal.message, Some(refusal.hint));
            None
        }
    }
}

/// All destinations of `entries`, each once, in order.
pub(super) fn resolve(entries: &[Allowed<'_>], config: &Node<'_>) -> Vec<Destination> {
    let mut out = Vec::new();
    let mut seen = HashSet::new();
    let mut add = |destination: Destination| {
        if seen.insert(destination.clone()) {
            out.push(destination);
        }
    };
    for entry in entries {
        match entry {
            Allowed::Named(named) => add(named.clone()),
            Allowed::FromConfig(field, path) => {
                let steps: Vec<&str> = path.split('.').collect();
                walk(config, &steps, "config", field, &mut add);
            }
        }
    }
    out
}

/// Follows `steps` from `node`, through every list on the way.
fn walk(node: &Node<'_>, steps: &[&str], path: &str, allow: &Field<'_>, add: &mut impl FnMut(Destination)) {
    if let Value::List(items) = &node.value {
        for (i, item) in items.iter().enumerate() {
            walk(item, steps, &format!("{path}[{i}]"), allow, add);
        }
        return;
    }
    if let Some((step, rest)) = steps.split_first() {
        let below = format!("{path}.{step}");
        if let Some(next) = node.get(step) {
            return walk(next, rest, &below, allow, add);
        }
        let hint = match nearest(step, node.keys()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("add {step} there, or name the hosts in allow"),
        };
        // Of one item among many, the item's own place says more than the entry that asks for it.
        let at = if path.ends_with(']') { node.at } else { allow.node.at };
        return allow.report.say(at, Some(&allow.path), format!("{below} doesn't exist"), Some(hint));
    }
    let complain = |message: String, hint: &str| allow.report.say(node.at, Some(&allow.path), message, Some(hint.to_owned()));
    match &node.value {
        Value::Text(text) => match destination(text, Source::Config) {
            Ok(found) => add(found),
            Err(refusal) => complain(format!("{path}: {}", refusal.message), &refusal.hint),
        },
        Value::Table(_) => match node.get("url") {
            Some(url) => walk(url, &[], &format!("{path}.url"), allow, add),
            None => complain(format!("{path} has no url"), "name the field, for example \"config:machines.address\""),
        },
        _ => complain(format!("{path} must be text, not {}", node.kind()), "write a URL or an address in quotes"),
    }
}

/// Where a destination is written: a URL in the config may have a path, an `allow` entry is an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Allow,
    Config,
}

pub(super) fn destination(text: &str, source: Source) -> Result<Destination, Refusal> {
    if text.is_empty() {
        return refuse("can't be empty", "write for example \"https://example.com\"");
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        return origin(text, scheme, rest, source);
    }
    if let (Some(name), Source::Allow) = (text.strip_prefix("worker:"), source) {
        return match name.split('/').find_map(name_fault) {
            None if name.split('/').count() <= 2 => Ok(Destination::Worker(name.to_owned())),
            fault => refuse(
                format!("\"{}\" names no worker{}", cut(text), fault.map(|f| format!(": {f}")).unwrap_or_default()),
                "write for example \"worker:exchange\"",
            ),
        };
    }
    if let Some(host) = address(text) {
        return Ok(Destination::Host(Host::Address(host)));
    }
    if text.contains('/') {
        return match text.parse::<ipnet::IpNet>() {
            Ok(network) => Ok(Destination::Cidr(network.trunc())),
            Err(_) if text.starts_with(|c: char| c.is_ascii_digit()) && text.split('/').count() == 2 => {
                refuse(format!("\"{}\" is no network", cut(text)), "write for example \"192.168.1.0/24\"")
            }
            Err(_) => refuse(
                format!("\"{}\" is no origin, host or network", cut(text)),
                format!("write \"https://{}\"", cut(text.split('/').next().unwrap_or_default())),
            ),
        };
    }
    if let Some((host, port)) = text.rsplit_once(':') {
        return match (host_of(host), port.parse::<u16>()) {
            (Ok(_), Ok(port)) if port > 0 => refuse(
                format!("\"{}\" has a port but no scheme", cut(text)),
                format!("write \"http://{host}:{port}\", or \"{host}\" for every port"),
            ),
            _ => refuse(
                format!("\"{}\" is no origin, host or network", cut(text)),
                "write for example \"https://example.com\", \"nas.lan\" or \"192.168.1.0/24\"",
            ),
        };
    }
    Ok(internal(host_of(text)?).map_or_else(Destination::Host, Destination::Worker))
}

/// `https://example.com:8443/path`: scheme, host and port count.
fn origin(text: &str, scheme: &str, rest: &str, source: Source) -> Result<Destination, Refusal> {
    let scheme = scheme.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "http" => 80,
        "https" => 443,
        _ => {
            return refuse(format!("\"{}\": only http and https are served", cut(text)), "write https://… or http://…");
        }
    };
    let (authority, path) = rest.split_at_checked(rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len())).unwrap_or((rest, ""));
    if authority.contains('@') {
        return refuse(
            "a URL can't carry a user name or password",
            "take out what stands before \"@\"; send an authorization header instead",
        );
    }
    if path.starts_with('\\') {
        return refuse(format!("\"{}\" is no URL", cut(text)), "write \"/\" instead of \"\\\"");
    }
    if source == Source::Allow && !matches!(path, "" | "/") {
        let hint = format!("write \"{scheme}://{}\"; paths = [\"/…\"] narrows a grant to some paths", cut(authority));
        return refuse(format!("\"{}\" is a URL; allow takes origins", cut(text)), hint);
    }
    if authority.is_empty() {
        return refuse(format!("\"{}\" names no host", cut(text)), format!("write for example \"{scheme}://example.com\""));
    }
    if authority.starts_with('[') && !authority.contains(']') {
        return refuse(format!("\"{}\" is no URL", cut(text)), "close the address with \"]\"");
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let port = match port {
        None => default_port,
        Some(port) => match port.parse::<u16>() {
            Ok(number) if number > 0 && port.bytes().all(|b| b.is_ascii_digit()) => number,
            _ => return refuse(format!("\"{}\" is no port", cut(port)), "write a number from 1 to 65535"),
        },
    };
    let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(inner) => match inner.parse::<std::net::Ipv6Addr>() {
            Ok(v6) => Host::Address(IpAddr::V6(v6).to_canonical()),
            Err(_) => {
                return refuse(format!("\"{}\" is no IPv6 address", cut(inner)), "write for example http://[fd00::1]:8080");
            }
        },
        None => host_of(host)?,
    };
    Ok(match internal(host) {
        Ok(worker) => Destination::Worker(worker),
        Err(host) => Destination::Origin { scheme, host, port },
    })
}

/// The worker that `NAME.skep.internal` reaches; the host itself when it is none.
fn internal(host: Host) -> Result<String, Host> {
    match &host {
        Host::Name(name) => name.strip_suffix(INTERNAL).filter(|name| name_fault(name).is_none()).map(str::to_owned).ok_or(host),
        Host::Address(_) => Err(host),
    }
}

/// `192.168.1.10`, `::1`, `[::1]`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let read = match bare {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().ok().map(IpAddr::V6),
        None => text.parse::<IpAddr>().ok(),
    };
    read.map(|ip| ip.to_canonical())
}

/// A DNS name (or `*.` and one), or an address; brackets are the caller's.
fn host_of(text: &str) -> Result<Host, Refusal> {
    if let Ok(v4) = text.parse::<std::net::Ipv4Addr>() {
        return Ok(Host::Address(IpAddr::V4(v4)));
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let below = name.strip_prefix("*.").unwrap_or(&name);
    if name == "*" {
        return refuse("\"*\" would allow everything", "name the hosts, or a domain such as \"*.example.com\"");
    }
    if below.contains('*') {
        return refuse(
            format!("\"{}\": \"*\" stands only for everything below a domain", cut(text)),
            "write for example \"*.example.com\"",
        );
    }
    if !below.is_ascii() {
        return refuse(format!("\"{}\" is not ASCII", cut(text)), "write the name in its xn--… form");
    }
    let label = |l: &str| !l.is_empty() && l.len() <= 63 && l.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if below.len() > 253 || !below.split('.').all(label) {
        return refuse(
            format!("\"{}\" is no host name", cut(text)),
            "write for example \"https://example.com\", \"nas.lan\" or \"192.168.1.0/24\"",
        );
    }
    // Resolvers read 127.1 and 0x7f.1 as addresses: what looks like a number must be one in full.
    let last = below.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|b| b.is_ascii_digit()) || last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit())) {
        return refuse(format!("\"{}\" is no address", cut(text)), "write all four numbers, each from 0 to 255: \"192.168.1.10\"");
    }
    Ok(Host::Name(name))
}

fn cut(text: &str) -> String {
    if text.chars().count() <= 80 { text.to_owned() } else { text.chars().take(79).chain(['…']).collect() }
}
