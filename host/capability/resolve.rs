//! Names to addresses. Must not decide which of them may be connected to.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
};

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

/// System lookups at a time: each holds a thread of the blocking pool, however long its name server is silent.
const LOOKUPS: usize = 32;

/// Answers a name with its addresses, best first.
pub trait Resolve: Send + Sync + 'static {
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;
}

/// The system's resolver: /etc/hosts, mDNS, DNS, as the machine is set up.
#[derive(Debug)]
pub struct System {
    slots: Arc<Semaphore>,
}

impl Default for System {
    fn default() -> Self {
        Self { slots: Arc::new(Semaphore::new(LOOKUPS)) }
    }
}

impl Resolve for System {
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let (slots, host) = (Arc::clone(&self.slots), host.to_owned());
        Box::pin(async move {
            let slot = slots.acquire_owned().await.map_err(io::Error::other)?;
            let lookup = move || {
                // Given back when the lookup ends, not when whoever asked stops waiting.
                let _slot = slot;
                (host.as_str(), port).to_socket_addrs().map(Vec::from_iter)
            };
            tokio::task::spawn_blocking(lookup).await?
        })
    }
}
