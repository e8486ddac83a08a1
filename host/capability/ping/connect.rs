//! How long a TCP connection takes, to the first of a few addresses that answers. Sends nothing over it. Must not decide who may.

use std::{io, net::SocketAddr, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{net::TcpStream, time::sleep};

use crate::{capability::bindings::skep::worker::errors::Error, clock::Clock};

/// How long an address is tried alone before the next one is tried beside it (RFC 8305's figure).
const HEAD_START: Duration = Duration::from_millis(250);
/// Addresses of one name that are tried.
const MAX_ADDRESSES: u32 = 8;

pub(super) async fn first(addresses: &[SocketAddr], clock: Clock) -> Result<(SocketAddr, Duration), Error> {
    let attempts = (0..MAX_ADDRESSES).zip(addresses).map(|(place, address)| async move {
        sleep(HEAD_START * place).await;
        let began = clock.now();
        match TcpStream::connect(address).await {
            Ok(_) => Ok((*address, clock.now().saturating_duration_since(began))),
            Err(error) => Err((*address, error)),
        }
    });
    let mut attempts: FuturesUnordered<_> = attempts.collect();
    let mut failure = None;
    while let Some(attempt) = attempts.next().await {
        match attempt {
            Ok(answered) => return Ok(answered),
            Err((address, error)) => drop(failure.get_or_insert_with(|| why(address, &error))),
        }
    }
    Err(Error::Unavailable(failure.unwrap_or_else(|| "the name has no address".to_owned())))
}

fn why(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("{address} refuses connections: nothing listens there"),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => format!("{address} can't be reached: {error}"),
        _ => format!("{address} can't be connected to: {error}"),
    }
}
