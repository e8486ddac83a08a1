//! The real way out: one ICMP socket a family, shared by all pings, and one task that reads it.
//!
//! Answers find their request by a cookie that can't be guessed, then must match its sequence and address; what is late, doubled or
//! somebody else's finds none. Datagram sockets first, which need a group and no privilege; raw ones next. Must not measure a series.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with, sockopt},
};
use tokio::{net::UdpSocket, sync::oneshot, task::AbortHandle, time::Instant};

use super::{
    echo::{Sent, Transport},
    packet::{self, Family, Heard, Mark},
};
use crate::clock::Clock;

/// Room for the answers of a burst; the kernel gives less where its own bound is lower.
const BUFFER_BYTES: usize = 1 << 20;
/// An answer is as long as its request, or a quote of it.
const LONGEST_READ: usize = 1_024;
/// After an error that isn't about one packet, so that one that stays can't keep a processor busy.
const BREATH: Duration = Duration::from_millis(10);
const GROUPS: &str = "/proc/sys/net/ipv4/ping_group_range";

/// This machine's sockets, opened when they are first needed.
#[derive(Debug)]
pub(super) struct Sockets {
    clock: Clock,
    v4: Mutex<Option<Arc<Socket>>>,
    v6: Mutex<Option<Arc<Socket>>>,
}

impl Sockets {
    pub fn new(clock: Clock) -> Self {
        Self { clock, v4: Mutex::default(), v6: Mutex::default() }
    }

    /// A refusal is not remembered: a setting may be changed while the host runs.
    fn of(&self, address: IpAddr) -> Result<Arc<Socket>, String> {
        let (place, family) = match address {
            IpAddr::V4(_) => (&self.v4, Family::V4),
            IpAddr::V6(_) => (&self.v6, Family::V6),
        };
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        match &*place {
            Some(socket) => Ok(Arc::clone(socket)),
            None => Ok(Arc::clone(place.insert(Arc::new(Socket::open(family, self.clock)?)))),
        }
    }
}

impl Transport for Sockets {
    fn send(&self, to: SocketAddr) -> BoxFuture<'_, Result<Sent, String>> {
        Box::pin(async move { self.of(to.ip())?.send(to).await.map_err(|error| unsent(to.ip(), &error)) })
    }
}

fn unsent(to: IpAddr, error: &io::Error) -> String {
    match Errno::from_io_error(error) {
        Some(Errno::NETUNREACH | Errno::HOSTUNREACH | Errno::NETDOWN | Errno::ADDRNOTAVAIL) => {
            format!("there is no route from this host to {to}: see `ip route get {to}`")
        }
        Some(Errno::PERM) => format!("this host may not send to {to}: a firewall rule of its own forbids it"),
        _ => format!("nothing can be sent to {to}: {error}"),
    }
}

#[derive(Debug)]
struct Socket {
    shared: Arc<Shared>,
    reader: AbortHandle,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

#[derive(Debug)]
struct Shared {
    /// Of ICMP: what it sends and receives are datagrams all the same.
    socket: UdpSocket,
    family: Family,
    raw: bool,
    identifier: u16,
    clock: Clock,
    /// Keyed by the system's own randomness: what it makes of a serial number is a cookie.
    cookies: RandomState,
    serial: AtomicU64,
    waiting: Mutex<HashMap<u64, Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    to: IpAddr,
    sequence: u16,
    /// When the answer came; none: it can't be delivered.
    tell: oneshot::Sender<Option<Instant>>,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard(&self, from: IpAddr, heard: Heard, at: Instant) {
        let (mark, answer) = match heard {
            Heard::Reply(mark) => (mark, Some(at)),
            Heard::Undeliverable(mark) => (mark, None),
        };
        let mut waiting = self.waiting();
        // A router may say that it can't be delivered; only the machine itself can answer.
        let expected = waiting.get(&mark.cookie).is_some_and(|asked| {
            let own = !self.raw || mark.identifier == self.identifier;
            own && asked.sequence == mark.sequence && (answer.is_none() || asked.to == from)
        });
        if expected && let Some(asked) = waiting.remove(&mark.cookie) {
            // Whoever asked may have stopped waiting.
            let _ = asked.tell.send(answer);
        }
    }
}

/// Forgets a request when nobody waits for its answer any more.
struct Entry {
    shared: Arc<Shared>,
    cookie: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.shared.waiting().remove(&self.cookie);
    }
}

impl Socket {
    fn open(family: Family, clock: Clock) -> Result<Self, String> {
        let (domain, protocol) = match family {
            Family::V4 => (AddressFamily::INET, ipproto::ICMP),
            Family::V6 => (AddressFamily::INET6, ipproto::ICMPV6),
        };
        let make = |kind| socket_with(domain, kind, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, Some(protocol));
        let (fd, raw) = match make(SocketType::DGRAM) {
            Ok(fd) => (fd, false),
            Err(_) => (make(SocketType::RAW).map_err(refused)?, true),
        };
        // A smaller one loses answers only in bursts.
        let _ = sockopt::set_socket_recv_buffer_size(&fd, BUFFER_BYTES);
        let socket = UdpSocket::from_std(fd.into()).map_err(|error| format!("the ping socket can't be waited for: {error}"))?;
        let cookies = RandomState::new();
        #[allow(clippy::cast_possible_truncation, reason = "sixteen bits of a hash")]
        let identifier = cookies.hash_one("identifier") as u16;
        let (serial, waiting) = (AtomicU64::new(0), Mutex::default());
        let shared = Arc::new(Shared { socket, family, raw, identifier, clock, cookies, serial, waiting });
        let reader = tokio::spawn(read(Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, reader })
    }

    async fn send(&self, to: SocketAddr) -> io::Result<Sent> {
        let shared = &self.shared;
        let serial = shared.serial.fetch_add(1, Ordering::Relaxed);
        #[allow(clippy::cast_possible_truncation, reason = "a sequence number wraps; the cookie tells requests apart")]
        let mark = Mark { identifier: shared.identifier, sequence: serial as u16, cookie: shared.cookies.hash_one(serial) };
        let packet = packet::request(shared.family, mark);
        let (tell, answer) = oneshot::channel();
        let entry = Entry { shared: Arc::clone(shared), cookie: mark.cookie };
        shared.waiting().insert(mark.cookie, Waiting { to: to.ip(), sequence: mark.sequence, tell });
        let at = loop {
            shared.socket.writable().await?;
            let at = shared.clock.now();
            match shared.socket.try_send_to(&packet, to) {
                Ok(_) => break at,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        };
        let answer = async move {
            let _entry = entry;
            answer.await.ok().flatten()
        };
        Ok(Sent { at, answer: Box::pin(answer) })
    }
}

/// Hands answers to those who wait for them, until it is aborted.
async fn read(shared: Arc<Shared>) {
    let mut buffer = [0; LONGEST_READ];
    loop {
        let Ok((length, from)) = shared.socket.recv_from(&mut buffer).await else {
            tokio::time::sleep(BREATH).await;
            continue;
        };
        let at = shared.clock.now();
        if let Some(heard) = buffer.get(..length).and_then(|bytes| packet::read(shared.family, shared.raw, bytes)) {
            shared.heard(from.ip(), heard, at);
        }
    }
}

fn refused(error: Errno) -> String {
    match error {
        Errno::PERM | Errno::ACCESS => missing(std::fs::read_to_string(GROUPS).ok().as_deref(), rustix::process::getegid().as_raw()),
        Errno::AFNOSUPPORT => "this host has no IPv6: ping the machine's IPv4 address".to_owned(),
        _ => format!("this host can't open a ping socket: {error}"),
    }
}

/// Which setting keeps a process of `group` from sending pings, and what to write where.
pub fn missing(range: Option<&str>, group: u32) -> String {
    let shown = range.map(|range| range.split_whitespace().collect::<Vec<_>>().join(" "));
    let setting = match shown {
        Some(range) => format!("net.ipv4.ping_group_range is \"{range}\" and its group is {group}"),
        None => format!("net.ipv4.ping_group_range can't be read, and its group is {group}"),
    };
    format!(
        "this host may not send pings: {setting}, and it has no CAP_NET_RAW; run `sysctl -w net.ipv4.ping_group_range=\"0 2147483647\"`, \
         or `setcap cap_net_raw+ep` on the skep binary, or set AmbientCapabilities=CAP_NET_RAW in its systemd unit"
    )
}
