//! `skep:worker/ping`: is a machine there? ICMP echo and TCP connections, to granted addresses.
//!
//! The way of a ping: arguments in bounds → room in flight? → granted? (grant) → name resolved, each address decided → asked (echo over
//! socket, or a TCP connection). Must not judge: loss and silence are findings, which the worker reports as a check.

mod connect;
mod echo;
pub mod packet;
mod socket;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};
use wasmtime::component::HasSelf;

use self::{echo::Plan, socket::Sockets};
pub use self::{
    echo::{Sent, Transport},
    socket::missing,
};
use super::{
    bindings::skep::worker::{errors::Error, ping as wit},
    grant::ping::{PingGate, Target},
    resolve::Resolve,
};
use crate::{
    clock::Clock,
    manifest::spec::{Host, PingGrant},
};

/// Pings of one worker, and of all workers together, that are not over.
pub const MAX_A_WORKER: usize = 64;
pub const MAX_A_HOST: usize = 4_096;
/// DNS has no longer names.
const MAX_HOST_BYTES: usize = 253;

const PACKETS: RangeInclusive<u32> = 1..=20;
const INTERVAL_MS: RangeInclusive<u32> = 10..=10_000;
const TIMEOUT_MS: RangeInclusive<u32> = 1..=60_000;

/// Host-wide: what names resolve to, and the sockets.
pub struct Pinger {
    clock: Clock,
    resolver: Arc<dyn Resolve>,
    transport: Arc<dyn Transport>,
    room: Semaphore,
}

impl fmt::Debug for Pinger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinger").field("room", &self.room.available_permits()).finish_non_exhaustive()
    }
}

impl Pinger {
    /// Opens nothing before the first ping.
    pub fn new(clock: Clock, resolver: Arc<dyn Resolve>) -> Arc<Self> {
        Self::with_transport(clock, resolver, Arc::new(Sockets::new(clock)))
    }

    /// With another way out than this machine's ICMP sockets.
    pub fn with_transport(clock: Clock, resolver: Arc<dyn Resolve>, transport: Arc<dyn Transport>) -> Arc<Self> {
        Arc::new(Self { clock, resolver, transport, room: Semaphore::new(MAX_A_HOST) })
    }

    /// One worker's share, by its grant. `worker` is for refusals.
    pub fn worker(self: &Arc<Self>, worker: &str, grant: Option<&PingGrant>) -> Arc<Pings> {
        Arc::new(Pings {
            pinger: Arc::clone(self),
            worker: worker.into(),
            gate: PingGate::new(worker, grant),
            room: Semaphore::new(MAX_A_WORKER),
        })
    }
}

/// Worker-wide: the grant, and the room it leaves. The same for all instances.
#[derive(Debug)]
pub struct Pings {
    pinger: Arc<Pinger>,
    worker: Arc<str>,
    gate: PingGate,
    room: Semaphore,
}

impl Pings {
    /// Room for one ping, given back when dropped.
    fn enter(&self) -> Result<(SemaphorePermit<'_>, SemaphorePermit<'_>), Error> {
        let full = |whose: String, most| {
            Error::TooLarge(format!("{whose} {most} pings under way, the most at a time; ask again when one is over"))
        };
        let own = self.room.try_acquire().map_err(|_| full(format!("worker \"{}\" has", self.worker), MAX_A_WORKER))?;
        let all = self.pinger.room.try_acquire().map_err(|_| full("all workers together have".to_owned(), MAX_A_HOST))?;
        Ok((own, all))
    }

    fn decide(&self, host: &str, port: Option<u16>) -> Result<Target, Error> {
        match host.len() {
            0 => Err(Error::Invalid("host is empty: name a machine or its address".to_owned())),
            1..=MAX_HOST_BYTES => self.gate.decide(host, port).map_err(|refusal| Error::Denied(refusal.to_string())),
            long => Err(Error::Invalid(format!("host has {long} bytes; a name has at most {MAX_HOST_BYTES}"))),
        }
    }

    /// The addresses that may be asked, best first; at least one.
    async fn addresses(&self, target: &Target, port: u16) -> Result<Vec<SocketAddr>, Error> {
        let name = match &target.host {
            // Decided with the target.
            Host::Address(address) => return Ok(vec![SocketAddr::new(*address, port)]),
            Host::Name(name) => name,
        };
        let found = self.pinger.resolver.resolve(name, port).await;
        let found = found.map_err(|error| Error::NotFound(format!("{name} doesn't resolve: {error}")))?;
        let mut refused = None;
        let mut allowed = Vec::with_capacity(found.len());
        for address in found {
            match self.gate.address(target, address.ip()) {
                Ok(()) => allowed.push(canonical(address)),
                Err(refusal) => drop(refused.get_or_insert(refusal)),
            }
        }
        match refused {
            _ if !allowed.is_empty() => Ok(allowed),
            Some(refusal) => Err(Error::Denied(refusal.to_string())),
            None => Err(Error::NotFound(format!("{name} resolves to no address"))),
        }
    }
}

/// An IPv4 address in IPv6's clothes is asked over IPv4; a scope stays.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(inner) => SocketAddr::from((inner, address.port())),
        IpAddr::V6(_) => address,
    }
}

fn within(name: &str, value: u32, range: &RangeInclusive<u32>) -> Result<(), Error> {
    if range.contains(&value) {
        Ok(())
    } else {
        Err(Error::Invalid(format!("{name} is {value}; it goes from {} to {}", range.start(), range.end())))
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// One instance's way to ping.
#[derive(Debug, Clone)]
pub struct Ping {
    pub pings: Arc<Pings>,
}

impl wit::Host for Ping {
    async fn echo(&mut self, host: String, packets: u32, interval_ms: u32, timeout_ms: u32) -> Result<wit::EchoReport, Error> {
        within("packets", packets, &PACKETS)?;
        within("interval-ms", interval_ms, &INTERVAL_MS)?;
        within("timeout-ms", timeout_ms, &TIMEOUT_MS)?;
        let pings = &self.pings;
        let target = pings.decide(&host, None)?;
        let _room = pings.enter()?;
        let limit = Duration::from_millis(timeout_ms.into());
        let late = || Error::Timeout(format!("{host} didn't resolve within {timeout_ms} ms"));
        let found = timeout(limit, pings.addresses(&target, 0)).await.map_err(|_| late())??;
        let Some(to) = found.first().copied() else { return Err(late()) };
        let plan = Plan { packets, interval: Duration::from_millis(interval_ms.into()), timeout: limit };
        let tally = echo::run(&*pings.pinger.transport, to, plan).await.map_err(Error::Unavailable)?;
        Ok(wit::EchoReport {
            address: to.ip().to_string(),
            sent: tally.sent,
            received: tally.received,
            min_us: tally.shortest.map(micros),
            avg_us: tally.mean().map(micros),
            max_us: tally.longest.map(micros),
        })
    }

    async fn connect(&mut self, host: String, port: u16, timeout_ms: u32) -> Result<wit::ConnectReport, Error> {
        within("timeout-ms", timeout_ms, &TIMEOUT_MS)?;
        if port == 0 {
            return Err(Error::Invalid("port is 0; it goes from 1 to 65535".to_owned()));
        }
        let pings = &self.pings;
        let target = pings.decide(&host, Some(port))?;
        let _room = pings.enter()?;
        let asked = async { connect::first(&pings.addresses(&target, port).await?, pings.pinger.clock).await };
        let limit = Duration::from_millis(timeout_ms.into());
        let (address, took) = timeout(limit, asked)
            .await
            .map_err(|_| Error::Timeout(format!("{host} port {port} didn't answer within {timeout_ms} ms")))??;
        Ok(wit::ConnectReport { address: address.to_string(), latency_us: micros(took) })
    }
}

/// Links the import.
pub fn link<T: Send + 'static>(linker: &mut wasmtime::component::Linker<T>, get: fn(&mut T) -> &mut Ping) -> wasmtime::Result<()> {
    wit::add_to_linker::<T, HasSelf<Ping>>(linker, get)
}
