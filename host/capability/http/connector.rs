//! A fresh connection: resolve → check each address → TCP → TLS → HTTP, each step timed.
//!
//! The address that was checked is the address connected to, so a name that changes its answer between the two gains nothing.
//! Knows no proxy: the environment is not asked. Must not pool or send requests.

use std::{io, net::SocketAddr, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use jiff::Timestamp;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_rustls::TlsConnector;
use wasmtime_wasi_http::Error;

use super::{
    Outbound,
    body::Sent,
    fault::{Fault, MAX_HEAD_BYTES},
    ledger::Timing,
};
use crate::{capability::grant::Decision, manifest::spec::Host};

/// How long an address is tried alone before the next one is tried beside it (RFC 8305's figure).
const HEAD_START: Duration = Duration::from_millis(250);

/// Buffered bytes a request and direction.
pub(super) const BUFFER_BYTES: usize = 64 * 1024;

/// A live connection, and what is known of it.
pub(super) struct Link {
    pub sender: Sender,
    pub peer: SocketAddr,
    pub certificate_expires: Option<Timestamp>,
}

pub(super) enum Sender {
    /// One request at a time.
    One(http1::SendRequest<Sent>),
    /// Many at once; clones share the connection.
    Many(http2::SendRequest<Sent>),
}

/// Connects within `limit`; `timing` says how far it came, also when it fails.
pub(super) async fn connect(outbound: &Outbound, decision: &Decision, limit: Duration, timing: &mut Timing) -> Result<Link, Fault> {
    match timeout(limit, attempt(outbound, decision, timing)).await {
        Ok(result) => result,
        Err(_) => {
            let resolving = timing.dns.is_none() && matches!(decision.origin.host, Host::Name(_));
            Err(Fault::of(if resolving { Error::DnsTimeout } else { Error::ConnectionTimeout }))
        }
    }
}

async fn attempt(outbound: &Outbound, decision: &Decision, timing: &mut Timing) -> Result<Link, Fault> {
    let clock = outbound.client.clock;
    let addresses = resolve(outbound, decision, timing).await?;

    let started = clock.now();
    let stream = dial(&addresses).await.map_err(|error| Fault::of_connect(&error))?;
    let peer = stream.peer_addr().map_err(|error| Fault::of_connect(&error))?;
    timing.connect = Some(clock.now().duration_since(started));
    timing.peer = Some(peer);
    // Requests are written whole; waiting to fill a segment only adds latency. A socket that can't be set still works.
    let _ = stream.set_nodelay(true);
    if !decision.origin.tls {
        return Ok(Link { sender: one(stream).await?, peer, certificate_expires: None });
    }

    let name = server_name(&decision.origin.host)?;
    let config = outbound.tls_config().await?;
    let started = clock.now();
    let stream = TlsConnector::from(config).connect(name, stream).await.map_err(|error| Fault::of_handshake(&error))?;
    timing.tls = Some(clock.now().duration_since(started));
    let (_, session) = stream.get_ref();
    let certificate_expires = session.peer_certificates().and_then(|chain| super::tls::expires(chain.first()?));
    timing.certificate_expires = certificate_expires;
    let sender = if session.alpn_protocol() == Some(b"h2") { many(stream).await? } else { one(stream).await? };
    Ok(Link { sender, peer, certificate_expires })
}

/// The addresses that may be connected to.
async fn resolve(outbound: &Outbound, decision: &Decision, timing: &mut Timing) -> Result<Vec<SocketAddr>, Fault> {
    let port = decision.origin.port;
    let name = match &decision.origin.host {
        Host::Address(address) => return Ok(vec![SocketAddr::new(*address, port)]),
        Host::Name(name) => name,
    };
    let clock = outbound.client.clock;
    let started = clock.now();
    let found = outbound.client.resolver.resolve(name, port).await.map_err(|error| Fault::of_lookup(&error))?;
    timing.dns = Some(clock.now().duration_since(started));
    let mut refused = None;
    let mut allowed = Vec::with_capacity(found.len());
    for address in found {
        match outbound.gate.address(decision, address.ip()) {
            Ok(()) => allowed.push(address),
            Err(refusal) => drop(refused.get_or_insert(refusal)),
        }
    }
    match refused {
        _ if !allowed.is_empty() => Ok(allowed),
        Some(refusal) => Err(Fault::refused(refusal.to_string())),
        None => Err(Fault::of(Error::DnsError { rcode: Some("the name has no address".to_owned()), info_code: None })),
    }
}

/// The first address that answers: each gets a head start on the next, a failure starts the next at once.
async fn dial(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    if let [only] = addresses {
        return TcpStream::connect(only).await;
    }
    let mut attempts = FuturesUnordered::new();
    let mut rest = addresses.iter();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        match rest.next() {
            Some(address) => attempts.push(TcpStream::connect(address)),
            None if attempts.is_empty() => return Err(failure),
            None => {}
        }
        tokio::select! {
            Some(result) = attempts.next() => match result {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            },
            () = sleep(HEAD_START), if rest.len() > 0 => {}
        }
    }
}

fn server_name(host: &Host) -> Result<ServerName<'static>, Fault> {
    match host {
        Host::Address(address) => Ok(ServerName::from(*address)),
        Host::Name(name) => ServerName::try_from(name.clone()).map_err(|error| {
            Fault::saying(Error::DnsError { rcode: Some(error.to_string()), info_code: None }, format!("{name}: {error}"))
        }),
    }
}

async fn one(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Sender, Fault> {
    let handshake = http1::Builder::new().max_buf_size(BUFFER_BYTES).handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.map_err(|error| Fault::of_head(&error))?;
    // Ends when the sender is dropped or the peer closes; its errors reach whoever waits for a response.
    tokio::spawn(connection);
    Ok(Sender::One(sender))
}

async fn many(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Sender, Fault> {
    let buffer = u32::try_from(BUFFER_BYTES).unwrap_or(u32::MAX);
    let handshake = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(buffer)
        .initial_connection_window_size(buffer * 4)
        .max_send_buf_size(BUFFER_BYTES)
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
        .handshake(TokioIo::new(stream))
        .await;
    let (sender, connection) = handshake.map_err(|error| Fault::of_head(&error))?;
    tokio::spawn(connection);
    Ok(Sender::Many(sender))
}

impl Link {
    pub fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::One(sender) => sender.is_closed(),
            Sender::Many(sender) => sender.is_closed(),
        }
    }

    /// Sends a request; one that never left comes back with the error.
    pub async fn send(&mut self, request: Request<Sent>) -> Result<Response<Incoming>, TrySendError<Request<Sent>>> {
        match &mut self.sender {
            Sender::One(sender) => sender.try_send_request(request).await,
            Sender::Many(sender) => sender.try_send_request(request).await,
        }
    }

    /// Another handle on the same connection, where it can carry several requests.
    pub fn share(&self) -> Option<Self> {
        match &self.sender {
            Sender::One(_) => None,
            Sender::Many(sender) => {
                Some(Self { sender: Sender::Many(sender.clone()), peer: self.peer, certificate_expires: self.certificate_expires })
            }
        }
    }
}
