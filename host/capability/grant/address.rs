//! Which addresses are more than somewhere on the internet, and what it takes to be let through to them.
//!
//! Pure. Must not know who asks, or for which capability.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

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

/// Whether a network is local as a whole.
pub(super) fn is_local(network: IpNet) -> bool {
    SPECIAL.iter().any(|(special, kind)| *kind != Kind::Unusable && special.contains(&network))
}
