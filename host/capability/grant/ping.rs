//! May this worker ping this machine? The same answer for ICMP and for a TCP connection, by `grants.ping`.
//!
//! Pure. Names that lead to local addresses need `lan`, as for HTTP; an origin in the grant covers TCP connections to its port.

use std::{net::IpAddr, sync::Arc};

use super::{INTERNAL, Kind, address_allowed, is_local};
use crate::manifest::spec::{Destination, Host, PingGrant};

/// A yes, and how far it reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub host: Host,
    /// The address itself stands in the grant.
    named: bool,
    /// Local addresses may be reached.
    lan: bool,
}

/// A no. Each says what would have to be written where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PingRefusal {
    #[error("worker \"{worker}\" may not ping {host}: add \"{host}\" to grants.ping.allow")]
    Destination { worker: Arc<str>, host: Shown },
    #[error("worker \"{worker}\" may not ping {host}: names below {INTERNAL} are routes of workers, not machines")]
    OtherWorker { worker: Arc<str>, host: Shown },
    #[error("worker \"{worker}\" may not ping {host}: it resolves to {address}, {kind}: {}", remedy(*.kind, .address))]
    Resolved { worker: Arc<str>, host: Shown, address: IpAddr, kind: Kind },
    #[error("worker \"{worker}\" may not ping {host}: that is {kind}: add \"{host}\" to grants.ping.allow")]
    Address { worker: Arc<str>, host: Shown, kind: Kind },
}

/// A host as it stands in an `allow` list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown(Host);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Host::Name(name) => f.write_str(name),
            Host::Address(address) => write!(f, "{address}"),
        }
    }
}

fn remedy(kind: Kind, address: &IpAddr) -> String {
    match kind {
        Kind::Loopback | Kind::Private | Kind::LinkLocal | Kind::Shared => "set grants.ping.lan = true".to_owned(),
        Kind::Metadata | Kind::Unusable => format!("ask for {address} itself and add it to grants.ping.allow"),
    }
}

/// One worker's ping grant.
#[derive(Debug)]
pub struct PingGate {
    worker: Arc<str>,
    allow: Vec<Destination>,
    lan: bool,
}

impl PingGate {
    pub fn new(worker: &str, grant: Option<&PingGrant>) -> Self {
        let (allow, lan) = grant.map(|grant| (grant.allow.clone(), grant.lan)).unwrap_or_default();
        Self { worker: worker.into(), allow, lan }
    }

    /// May this name or address be asked? `port`: of a TCP connection; none: ICMP.
    pub fn decide(&self, host: &str, port: Option<u16>) -> Result<Target, PingRefusal> {
        let host = read(host);
        let (worker, shown) = (|| Arc::clone(&self.worker), || Shown(host.clone()));
        if matches!(&host, Host::Name(name) if name == INTERNAL || name.strip_suffix(INTERNAL).is_some_and(|rest| rest.ends_with('.'))) {
            return Err(PingRefusal::OtherWorker { worker: worker(), host: shown() });
        }
        // The entry that reaches furthest counts: one that names the address before a network that holds it.
        let reach = self.allow.iter().filter_map(|entry| covers(entry, &host, port)).max();
        let Some(reach) = reach else {
            return Err(PingRefusal::Destination { worker: worker(), host: shown() });
        };
        let target = Target { named: reach == Reach::Named, lan: self.lan || reach == Reach::Local, host };
        if let Host::Address(address) = target.host {
            self.address(&target, address)?;
        }
        Ok(target)
    }

    /// May the target be asked at this address? To be asked for every address that something is sent to.
    pub fn address(&self, target: &Target, address: IpAddr) -> Result<(), PingRefusal> {
        let address = address.to_canonical();
        let named = target.named && target.host == Host::Address(address);
        address_allowed(address, named, target.lan).map_err(|kind| {
            let (worker, host) = (Arc::clone(&self.worker), Shown(target.host.clone()));
            match target.host {
                Host::Name(_) => PingRefusal::Resolved { worker, host, address, kind },
                Host::Address(_) => PingRefusal::Address { worker, host, kind },
            }
        })
    }
}

/// What an entry says of a host that it covers, from the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    /// A name, or an address in a wide network.
    Some,
    /// An address in a network that is local as a whole: it was meant as such.
    Local,
    /// The address itself.
    Named,
}

fn covers(entry: &Destination, host: &Host, port: Option<u16>) -> Option<Reach> {
    let allowed = match entry {
        Destination::Host(allowed) => allowed,
        Destination::Origin { host: allowed, port: of, .. } if port == Some(*of) => allowed,
        Destination::Cidr(network) => {
            let Host::Address(address) = host else { return None };
            let single = network.prefix_len() == network.max_prefix_len();
            return network.contains(address).then_some(match () {
                () if single => Reach::Named,
                () if is_local(*network) => Reach::Local,
                () => Reach::Some,
            });
        }
        Destination::Origin { .. } | Destination::Worker(_) => return None,
    };
    match (allowed, host) {
        (Host::Address(allowed), Host::Address(address)) => (allowed.to_canonical() == *address).then_some(Reach::Named),
        (Host::Name(allowed), Host::Name(name)) => {
            let covered = match allowed.strip_prefix('*') {
                Some(suffix) => name.len() > suffix.len() && name.ends_with(suffix),
                None => allowed == name,
            };
            covered.then_some(Reach::Some)
        }
        _ => None,
    }
}

/// A host as a guest writes it; an IPv6 address may stand in brackets.
fn read(host: &str) -> Host {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<IpAddr>() {
        Ok(address) => Host::Address(address.to_canonical()),
        Err(_) => Host::Name(host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()),
    }
}
