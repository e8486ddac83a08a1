//! Which remote host a check's subject names, and through which network it is reached.
//!
//! Must not resolve anything: a name is on the internet until a connection showed its address.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use crate::facts::Network;

/// A host that is not this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Lower case; an address as it is usually written.
    pub host: Arc<str>,
    pub network: Network,
}

/// The remote host of a URL, a `host:port`, a name with a dot or an address. None for this machine, for workers' own routes, and for
/// text that names no host.
pub fn of(subject: &str) -> Option<Place> {
    let authority = match subject.split_once("://") {
        Some((scheme, rest)) if !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) => {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            authority.rsplit_once('@').map_or(authority, |(_, host)| host)
        }
        Some(_) => return None,
        None => subject,
    };
    let is_url = authority.len() != subject.len();
    let (host, port) = split(authority)?;
    if let Ok(address) = host.parse::<IpAddr>() {
        let address = address.to_canonical();
        return network(address).map(|network| Place { host: address.to_string().into(), network });
    }
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    // Free text may be a word, or end in a number after a colon; a bare name has a dot at least.
    let named = is_url || port || host.contains('.');
    let own = host == "localhost" || host.ends_with(".localhost") || host.ends_with(".skep.internal");
    (named && is_name(&host) && !own).then(|| Place { host: host.into(), network: Network::Internet })
}

/// Through which network an address is reached; none: it is this machine's own.
pub fn network(address: IpAddr) -> Option<Network> {
    let lan = match address.to_canonical() {
        address if address.is_loopback() || address.is_unspecified() => return None,
        IpAddr::V4(address) => private_v4(address),
        IpAddr::V6(address) => private_v6(address),
    };
    Some(if lan { Network::Lan } else { Network::Internet })
}

/// The address of a connection, as evidence has it: with its port.
pub fn connected(address: &str) -> Option<IpAddr> {
    address.parse::<SocketAddr>().map(|socket| socket.ip()).ok().or_else(|| address.parse().ok())
}

/// Private, link-local, or shared by the customers of one provider (which private networks over the internet use).
fn private_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    address.is_private() || address.is_link_local() || (first == 100 && (64..128).contains(&second))
}

fn private_v6(address: Ipv6Addr) -> bool {
    address.is_unique_local() || address.is_unicast_link_local()
}

/// Host, and whether a port follows it.
fn split(authority: &str) -> Option<(&str, bool)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        return match after.strip_prefix(':') {
            Some(port) => is_port(port).then_some((host, true)),
            None => after.is_empty().then_some((host, false)),
        };
    }
    match authority.rsplit_once(':') {
        // More than one colon: an address.
        Some((host, _)) if host.contains(':') => Some((authority, false)),
        Some((host, port)) => is_port(port).then_some((host, true)),
        None => Some((authority, false)),
    }
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port != 0)
}

fn is_name(host: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.len() <= 63 && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    host.len() <= 253 && host.split('.').all(label)
}
