//! Serving requests on a listener with bounds: connections, header bytes, time to send them and to take answers; and a stop that lets
//! answers finish.
//!
//! Must not know what is served. Binding TCP is the appliance's; the socket file is made here, because its mode is its guard.

use std::{
    error::Error as StdError,
    fs, io,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::Path,
    sync::Arc,
    time::Duration,
};

use axum::{Router, serve::Listener};
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http1, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::UnixListener,
    sync::{Semaphore, watch},
    task::JoinSet,
};

use super::patient::Patient;

/// What a client may use up.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// Request line and headers together; at least 8 KiB.
    pub header_bytes: usize,
    /// For a request's head to arrive, also on a kept-alive connection.
    pub header_time: Duration,
    /// For a client to take the next piece of an answer.
    pub write_time: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        let half_a_minute = Duration::from_secs(30);
        Self { connections: 1_024, header_bytes: 32 << 10, header_time: half_a_minute, write_time: half_a_minute }
    }
}

/// Serves a router, as [`serve_with`] does.
pub async fn serve(listener: impl Listener, app: Router, bounds: Bounds, shutdown: watch::Receiver<bool>) {
    serve_with(listener, TowerToHyperService::new(app), bounds, shutdown).await;
}

/// Serves until `shutdown` turns true, then until the answers under way are out. Dropping the future ends every connection.
///
/// A request has at most 100 header fields, the number that hyper takes without a heap allocation.
pub async fn serve_with<L, S, B>(mut listener: L, service: S, bounds: Bounds, mut shutdown: watch::Receiver<bool>)
where
    L: Listener,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let mut http = http1::Builder::new();
    // The buffer alone is no exact bound: one read may bring more, and a head that came whole is not measured against it.
    http.timer(TokioTimer::new())
        .header_read_timeout(bounds.header_time)
        .max_header_size(bounds.header_bytes)
        .max_buf_size(bounds.header_bytes.max(8 << 10));
    let places = Arc::new(Semaphore::new(bounds.connections.max(1)));
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = told(&mut shutdown) => break,
            // Finished connections are forgotten as they end.
            Some(_) = open.join_next(), if !open.is_empty() => continue,
            accepted = async {
                // The semaphore is never closed.
                let place = places.clone().acquire_owned().await.ok();
                (listener.accept().await.0, place)
            } => accepted,
        };
        let (io, place) = accepted;
        let io = TokioIo::new(Patient::new(io, bounds.write_time));
        let connection = http.serve_connection(io, service.clone());
        let mut shutdown = shutdown.clone();
        open.spawn(async move {
            let _place = place;
            let mut connection = std::pin::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = told(&mut shutdown) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!("a connection ended: {error}");
            }
        });
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}

/// Ends when the flag is true, or when nobody is left who could set it.
pub(super) async fn told(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|set| *set).await;
}

/// Binds the CLI's socket for owner and group. A socket file left behind is replaced: the caller holds the data folder.
pub fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let said = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path).map_err(said)?,
        Ok(_) => return Err(said(io::Error::new(io::ErrorKind::AlreadyExists, "is not a socket; move it away"))),
        Err(_) => {}
    }
    // The address of a socket has 108 bytes, whatever paths may be.
    if path.as_os_str().len() > 100 {
        return Err(said(io::Error::new(io::ErrorKind::InvalidInput, "is too long for a socket (100 bytes); choose a shorter --data")));
    }
    let listener = UnixListener::bind(path).map_err(said)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(said)?;
    Ok(listener)
}
