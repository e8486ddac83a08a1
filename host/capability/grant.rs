//! The only yes or no: may this worker make this request, and may it connect to this address?
//!
//! Pure: no I/O, no clock, no state that changes. A refusal is one sentence that names the line of the manifest which would allow it.
//! Must not be asked once and remembered for another worker: a [`Decision`] holds for the request it was made for.

pub mod ping;

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use http::{Method, Uri};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::manifest::spec::{Destination, Host, HttpGrant};

/// Names under this one are other workers' routes, never DNS.
const INTERNAL: &str = "skep.internal";

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
    #[error("worker \"{worker}\" may not reach {origin}: routes of other workers are not in this build")]
    OtherWorker { worker: Arc<str>, origin: Origin },
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
        };
        for destination in grant.iter().flat_map(|grant| &grant.allow) {
            match destination {
                Destination::Origin { scheme, host, port } => gate.ports(host).some.push((scheme == "https", *port)),
                Destination::Host(host) => gate.ports(host).any = true,
                Destination::Cidr(network) => gate.networks.push(*network),
                // Answered as not in this build, whoever asks.
                Destination::Worker(_) => {}
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
        if let Host::Name(name) = &origin.host
            && (name == INTERNAL || name.strip_suffix(INTERNAL).is_some_and(|rest| rest.ends_with('.')))
        {
            return Err(Refusal::OtherWorker { worker: worker(), origin });
        }
        let Some(decision) = self.granted(&origin) else {
            return Err(Refusal::Destination { worker: worker(), origin });
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

/// What an address is when it is not simply somewhere on the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Loopback,
    Private,
    LinkLocal,
    Shared,
    Metadata,
    Unusable,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::LinkLocal => "a link-local address",
            Self::Shared => "an address behind a carrier's NAT",
            Self::Metadata => "a cloud's metadata service",
            Self::Unusable => "a multicast, broadcast or reserved address",
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

/// May this address be connected to? `named`: it stands in the grant as such; `lan`: local addresses are granted.
/// The answer is for the address that packets reach in the end, however it is wrapped.
pub fn address_allowed(address: IpAddr, named: bool, lan: bool) -> Result<(), Kind> {
    match kind(address) {
        None => Ok(()),
        Some(_) if named => Ok(()),
        Some(Kind::Loopback | Kind::Private | Kind::LinkLocal | Kind::Shared) if lan => Ok(()),
        Some(kind) => Err(kind),
    }
}

/// Where clouds answer with credentials; a name that leads there is never an accident.
const METADATA: [IpAddr; 9] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix))
}

const fn v6(first: u16, second: u16, third: u16, last: u16, prefix: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(first, second, third, 0, 0, 0, 0, last), prefix))
}

/// IANA's special-purpose registries, as far as an address there can answer or do harm.
const SPECIAL: [(IpNet, Kind); 20] = [
    // "This network": Linux connects 0.0.0.0 to itself.
    (v4(0, 0, 0, 0, 8), Kind::Loopback),
    (v4(10, 0, 0, 0, 8), Kind::Private),
    (v4(100, 64, 0, 0, 10), Kind::Shared),
    (v4(127, 0, 0, 0, 8), Kind::Loopback),
    (v4(169, 254, 0, 0, 16), Kind::LinkLocal),
    (v4(172, 16, 0, 0, 12), Kind::Private),
    (v4(192, 0, 0, 0, 24), Kind::Private),
    (v4(192, 168, 0, 0, 16), Kind::Private),
    (v4(198, 18, 0, 0, 15), Kind::Private),
    (v4(224, 0, 0, 0, 4), Kind::Unusable),
    (v4(240, 0, 0, 0, 4), Kind::Unusable),
    (v6(0, 0, 0, 0, 128), Kind::Loopback),
    (v6(0, 0, 0, 1, 128), Kind::Loopback),
    // Network-specific NAT64 leads wherever its operator chose.
    (v6(0x64, 0xff9b, 1, 0, 48), Kind::Private),
    (v6(0x100, 0, 0, 0, 64), Kind::Unusable),
    (v6(0x5f00, 0, 0, 0, 16), Kind::Unusable),
    (v6(0xfc00, 0, 0, 0, 7), Kind::Private),
    (v6(0xfe80, 0, 0, 0, 10), Kind::LinkLocal),
    (v6(0xfec0, 0, 0, 0, 10), Kind::Private),
    (v6(0xff00, 0, 0, 0, 8), Kind::Unusable),
];

fn kind(address: IpAddr) -> Option<Kind> {
    let address = address.to_canonical();
    if METADATA.contains(&address) {
        return Some(Kind::Metadata);
    }
    let special = SPECIAL.iter().find(|(network, _)| network.contains(&address)).map(|(_, kind)| *kind);
    special.or_else(|| match address {
        IpAddr::V6(address) => embedded(address).and_then(|inner| kind(IpAddr::V4(inner))),
        IpAddr::V4(_) => None,
    })
}

/// The IPv4 address that a translating or tunnelling IPv6 address leads to: NAT64 (64:ff9b::/96), 6to4 (2002::/16),
/// Teredo (2001::/32), IPv4-compatible (::/96) and IPv4-translated (::ffff:0:0:0/96).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let of = |high: u16, low: u16| Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match (a, b, c, d, e, f) {
        (0x64, 0xff9b, 0, 0, 0, 0) | (0, 0, 0, 0, 0, 0) | (0, 0, 0, 0, 0xffff, 0) => of(g, h),
        (0x2002, ..) => of(b, c),
        (0x2001, 0, ..) => of(!g, !h),
        _ => None,
    }
}

fn is_local(network: IpNet) -> bool {
    SPECIAL.iter().any(|(special, kind)| *kind != Kind::Unusable && special.contains(&network))
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
