//! May this worker make this request, and may it connect to this address? By `grants.http`.
//!
//! Pure. Must not be asked once and remembered for another worker: a [`Decision`] holds for the request it was made for.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    net::IpAddr,
    sync::Arc,
};

use http::{Method, Uri};
use ipnet::IpNet;

use super::{INTERNAL, Kind, address_allowed, is_local};
use crate::manifest::spec::{Destination, Host, HttpGrant};

/// Where a request goes: scheme, host and port. Shown as `https://example.com`, the port only when it isn't the scheme's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    pub tls: bool,
    pub host: Host,
    pub port: u16,
}

impl Origin {
    /// The origin of an absolute `http` or `https` URL.
    pub fn of(uri: &Uri) -> Option<Self> {
        let tls = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let name = uri.host()?;
        let host = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name).parse::<IpAddr>() {
            Ok(address) => Host::Address(address.to_canonical()),
            Err(_) => Host::Name(name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()),
        };
        let port = match uri.authority()?.port() {
            Some(port) => port.as_str().parse().ok()?,
            None => Self::default_port(tls),
        };
        (host != Host::Name(String::new())).then_some(Self { tls, host, port })
    }

    /// What stands before `.skep.internal`; none for any other host.
    pub fn internal(&self) -> Option<&str> {
        let Host::Name(name) = &self.host else { return None };
        if name == INTERNAL { Some("") } else { name.strip_suffix(INTERNAL)?.strip_suffix('.') }
    }

    fn default_port(tls: bool) -> u16 {
        if tls { 443 } else { 80 }
    }

    /// `host` or `host:port` as it stands in a Host header.
    pub fn authority(&self) -> String {
        let shown = self.to_string();
        shown.split_once("://").map(|(_, authority)| authority.to_owned()).unwrap_or(shown)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { "https://" } else { "http://" })?;
        match &self.host {
            Host::Name(name) => f.write_str(name)?,
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}")?,
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]")?,
        }
        if self.port == Self::default_port(self.tls) { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// A yes, and how far it reaches.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Decision {
    pub origin: Origin,
    /// The address itself stands in the grant.
    pub named: bool,
    /// Local addresses may be connected to.
    pub lan: bool,
}

/// A no. Each says what would have to be written where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("worker \"{worker}\" may not reach {origin}: add \"{origin}\" to grants.http.allow")]
    Destination { worker: Arc<str>, origin: Origin },
    #[error("worker \"{worker}\" may not reach {url}: it is no absolute http or https URL")]
    NotHttp { worker: Arc<str>, url: String },
    #[error("worker \"{worker}\" may not use {method} on {origin}: add \"{method}\" to grants.http.methods")]
    Method { worker: Arc<str>, origin: Origin, method: Method },
    #[error("worker \"{worker}\" may not reach {origin}{path}: add \"{path}\" to grants.http.paths")]
    Path { worker: Arc<str>, origin: Origin, path: String },
    #[error(
        "worker \"{worker}\" may not reach {origin}{path}: a path with dot segments can't be held to grants.http.paths; \
         ask for the path it leads to"
    )]
    DotSegments { worker: Arc<str>, origin: Origin, path: String },
    #[error("worker \"{worker}\" may not open a tunnel to {origin}: CONNECT is never granted")]
    Tunnel { worker: Arc<str>, origin: Origin },
    #[error(
        "worker \"{worker}\" may not put a user name or password into a URL of {origin}: \
         send an Authorization header, with secret:NAME for the secret part"
    )]
    UserInfo { worker: Arc<str>, origin: Origin },
    #[error("worker \"{worker}\" may not reach worker \"{other}\": add \"worker:{other}\" to grants.http.allow")]
    OtherWorker { worker: Arc<str>, other: String },
    #[error(
        "worker \"{worker}\" may not reach {origin}: a worker of this host is reached as http://NAME.skep.internal, \
         without TLS (nothing leaves the host) and without a port"
    )]
    InternalForm { worker: Arc<str>, origin: Origin },
    #[error("worker \"{worker}\" may not reach {origin}: it resolves to {address}, {kind}: {remedy}", remedy = .kind.remedy(.address, .origin))]
    Resolved { worker: Arc<str>, origin: Origin, address: IpAddr, kind: Kind },
    #[error("worker \"{worker}\" may not reach {origin}: that is {kind}: add \"{origin}\" to grants.http.allow")]
    Address { worker: Arc<str>, origin: Origin, kind: Kind },
}

/// One worker's HTTP grant, made ready for quick answers.
#[derive(Debug)]
pub struct Gate {
    worker: Arc<str>,
    lan: bool,
    methods: Vec<String>,
    /// Prefixes by segment; empty means all paths.
    paths: Vec<String>,
    hosts: HashMap<Host, Ports>,
    /// `.example.com` for a grant of `*.example.com`.
    suffixes: HashMap<String, Ports>,
    networks: Vec<IpNet>,
    /// Workers of this host.
    workers: HashSet<String>,
}

/// What of a host is granted.
#[derive(Debug, Default)]
struct Ports {
    any: bool,
    /// (TLS, port)
    some: Vec<(bool, u16)>,
}

impl Ports {
    fn cover(&self, origin: &Origin) -> bool {
        self.any || self.some.contains(&(origin.tls, origin.port))
    }
}

impl Gate {
    pub fn new(worker: &str, grant: Option<&HttpGrant>) -> Self {
        let mut gate = Self {
            worker: worker.into(),
            lan: grant.is_some_and(|grant| grant.lan),
            methods: grant.map(|grant| grant.methods.clone()).unwrap_or_default(),
            paths: grant.map(|grant| grant.paths.clone()).unwrap_or_default(),
            hosts: HashMap::new(),
            suffixes: HashMap::new(),
            networks: Vec::new(),
            workers: HashSet::new(),
        };
        for destination in grant.iter().flat_map(|grant| &grant.allow) {
            match destination {
                Destination::Origin { scheme, host, port } => gate.ports(host).some.push((scheme == "https", *port)),
                Destination::Host(host) => gate.ports(host).any = true,
                Destination::Cidr(network) => gate.networks.push(*network),
                Destination::Worker(name) => _ = gate.workers.insert(name.clone()),
            }
        }
        gate
    }

    fn ports(&mut self, host: &Host) -> &mut Ports {
        match host {
            Host::Address(address) => self.hosts.entry(Host::Address(address.to_canonical())).or_default(),
            Host::Name(name) => match name.strip_prefix('*') {
                Some(suffix) => self.suffixes.entry(suffix.to_ascii_lowercase()).or_default(),
                None => self.hosts.entry(Host::Name(name.to_ascii_lowercase())).or_default(),
            },
        }
    }

    /// Whether the grant says `lan = true`; a decision's `lan` may also come from a local network written out.
    pub fn lan(&self) -> bool {
        self.lan
    }

    /// May this request be made?
    pub fn decide(&self, method: &Method, uri: &Uri) -> Result<Decision, Refusal> {
        match Origin::of(uri) {
            Some(origin) => self.judge(method, uri, origin),
            None => Err(Refusal::NotHttp { worker: Arc::clone(&self.worker), url: uri.to_string() }),
        }
    }

    fn judge(&self, method: &Method, uri: &Uri, origin: Origin) -> Result<Decision, Refusal> {
        let worker = || Arc::clone(&self.worker);
        if *method == Method::CONNECT {
            return Err(Refusal::Tunnel { worker: worker(), origin });
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(Refusal::UserInfo { worker: worker(), origin });
        }
        let decision = match origin.internal() {
            Some(_) => self.other_worker(&origin)?,
            None => self.granted(&origin).ok_or_else(|| Refusal::Destination { worker: worker(), origin: origin.clone() })?,
        };
        if !self.methods.is_empty() && !self.methods.iter().any(|granted| granted == method.as_str()) {
            return Err(Refusal::Method { worker: worker(), origin, method: method.clone() });
        }
        if !self.paths.is_empty() {
            let path = uri.path();
            if has_dot_segments(path) {
                return Err(Refusal::DotSegments { worker: worker(), origin, path: path.to_owned() });
            }
            if !self.paths.iter().any(|prefix| covers(prefix, path)) {
                return Err(Refusal::Path { worker: worker(), origin, path: path.to_owned() });
            }
        }
        if let Host::Address(address) = decision.origin.host {
            self.address(&decision, address)?;
        }
        Ok(decision)
    }

    /// A name below ours is a worker or nothing, whatever hosts are granted.
    fn other_worker(&self, origin: &Origin) -> Result<Decision, Refusal> {
        let (worker, other) = (Arc::clone(&self.worker), origin.internal().unwrap_or_default());
        if other.is_empty() || origin.tls || origin.port != Origin::default_port(false) {
            return Err(Refusal::InternalForm { worker, origin: origin.clone() });
        }
        if !self.workers.contains(other) {
            return Err(Refusal::OtherWorker { worker, other: other.to_owned() });
        }
        Ok(Decision { origin: origin.clone(), named: false, lan: false })
    }

    fn granted(&self, origin: &Origin) -> Option<Decision> {
        let decision = |named, lan| Some(Decision { origin: origin.clone(), named, lan });
        if self.hosts.get(&origin.host).is_some_and(|ports| ports.cover(origin)) {
            return decision(matches!(origin.host, Host::Address(_)), self.lan);
        }
        match &origin.host {
            Host::Name(name) => {
                let below = |suffix: &str| name.len() > suffix.len() && name.ends_with(suffix);
                let covered = self.suffixes.iter().any(|(suffix, ports)| below(suffix) && ports.cover(origin));
                covered.then(|| decision(false, self.lan)).flatten()
            }
            Host::Address(address) => {
                let network = self.networks.iter().find(|network| network.contains(address))?;
                // One address written as a network is that address; a network that is local as a whole was meant as such,
                // unlike a wide one that happens to hold local addresses.
                let single = network.prefix_len() == network.max_prefix_len();
                decision(single, self.lan || is_local(*network))
            }
        }
    }

    /// May this decision be carried out on this address? To be asked for every address that is connected to.
    pub fn address(&self, decision: &Decision, address: IpAddr) -> Result<(), Refusal> {
        let named = decision.named && decision.origin.host == Host::Address(address.to_canonical());
        address_allowed(address, named, decision.lan).map_err(|kind| {
            let (worker, origin) = (Arc::clone(&self.worker), decision.origin.clone());
            match decision.origin.host {
                Host::Name(_) => Refusal::Resolved { worker, origin, address: address.to_canonical(), kind },
                Host::Address(_) => Refusal::Address { worker, origin, kind },
            }
        })
    }
}

impl Kind {
    fn remedy(self, address: &IpAddr, origin: &Origin) -> String {
        match self {
            Self::Loopback | Self::Private | Self::LinkLocal | Self::Shared => "set grants.http.lan = true".to_owned(),
            Self::Metadata | Self::Unusable => {
                let literal = Origin { host: Host::Address(address.to_canonical()), ..origin.clone() };
                format!("ask for {literal} itself and add it to grants.http.allow")
            }
        }
    }
}

/// Whether `path` lies under `prefix`, segment by segment: `/api` covers `/api` and `/api/v1`, not `/apiary`.
fn covers(prefix: &str, path: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether any reading of the path that a server may choose holds `.` or `..` as a segment: percent-encoded (also twice), with
/// a backslash for the slash, or with parameters (`..;x`).
fn has_dot_segments(path: &str) -> bool {
    let mut path = path.to_ascii_lowercase();
    while path.contains('%') {
        let decoded = path.replace("%25", "%").replace("%2e", ".").replace("%2f", "/").replace("%5c", "\\").replace("%3b", ";");
        if decoded == path {
            break;
        }
        path = decoded;
    }
    path.split(['/', '\\']).map(|segment| segment.split(';').next().unwrap_or(segment)).any(|segment| matches!(segment, "." | ".."))
}
