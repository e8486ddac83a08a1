//! Serving a router on a listener with bounds: connections, header bytes, time to send them; and a stop that lets answers finish.
//!
//! Must not know what is served. Binding TCP is the appliance's; the socket file is made here, because its mode is its guard.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::Path,
    sync::Arc,
    time::Duration,
};

use axum::{Router, serve::Listener};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::UnixListener,
    sync::{Semaphore, watch},
    task::JoinSet,
};

/// What a client may use up.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// Request line and headers together; at least 8 KiB.
    pub header_bytes: usize,
    /// For a request's head to arrive, also on a kept-alive connection.
    pub header_time: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { connections: 1_024, header_bytes: 32 << 10, header_time: Duration::from_secs(30) }
    }
}

const MAX_HEADERS: usize = 64;

/// Serves until `shutdown` turns true, then until the answers under way are out. Dropping the future ends every connection.
pub async fn serve<L>(mut listener: L, app: Router, bounds: Bounds, mut shutdown: watch::Receiver<bool>)
where
    L: Listener,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(bounds.header_time)
        .max_buf_size(bounds.header_bytes.max(8 << 10))
        .max_headers(MAX_HEADERS);
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
        let connection = http.serve_connection(TokioIo::new(io), TowerToHyperService::new(app.clone()));
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
                tracing::debug!("admin connection: {error}");
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
