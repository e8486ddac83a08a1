//! URL polls a core-second against a local server, beside blackbox_exporter (Debian package prometheus-blackbox-exporter) in one run.
//!
//! Each prober's own processor time is counted; the server's is not.

use std::{
    convert::Infallible,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::{Request, Response, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::{Row, host::Host, support::cpu_seconds};

const SPAN: Duration = Duration::from_secs(8);
const WORKERS: usize = 100;
const URLS: usize = 8;

pub struct Server {
    pub address: SocketAddr,
    served: Arc<AtomicU64>,
    pub runtime: tokio::runtime::Runtime,
}

pub fn server() -> Server {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let served = Arc::new(AtomicU64::new(0));
    let counter = served.clone();
    runtime.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let counter = counter.clone();
            tokio::spawn(async move {
                let service = service_fn(|_: Request<hyper::body::Incoming>| {
                    counter.fetch_add(1, Ordering::Relaxed);
                    std::future::ready(Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok")))))
                });
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Server { address, served, runtime }
}

/// Polls a core-second of a running prober, and polls a second.
fn measure(server: &Server, pid: u32) -> (f64, f64) {
    std::thread::sleep(Duration::from_secs(2));
    let (cpu, served, begun) = (cpu_seconds(pid), server.served.load(Ordering::Relaxed), Instant::now());
    std::thread::sleep(SPAN);
    let polls = (server.served.load(Ordering::Relaxed) - served) as f64;
    (polls / (cpu_seconds(pid) - cpu), polls / begun.elapsed().as_secs_f64())
}

fn skep(server: &Server, keep_alive: bool) -> (f64, f64) {
    let folder = Host::folder(&["poller"]);
    let text: String = (0..WORKERS)
        .map(|worker| {
            let urls: Vec<String> = (0..URLS).map(|url| format!("http://{}/{worker}/{url}", server.address)).collect();
            format!(
                "[[worker]]\nname = \"p-{worker}\"\ncomponent = \"poller.wasm\"\nschedule = {{ every = \"100ms\" }}\n\
                 config = {{ urls = {urls:?} }}\ngrants = {{ http = {{ allow = [\"config:urls\"], keep_alive = {keep_alive} }} }}\n"
            )
        })
        .collect();
    std::fs::write(folder.path().join("manifests/fleet.toml"), text).unwrap();
    let host = Host::start(folder);
    measure(server, host.pid())
}

struct Blackbox(Child);

impl Drop for Blackbox {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks the exporter for probes, 32 at a time.
fn blackbox(server: &Server) -> Option<(f64, f64)> {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("blackbox.yml");
    std::fs::write(&config, "modules:\n  plain:\n    prober: http\n    timeout: 5s\n    http:\n      preferred_ip_protocol: ip4\n")
        .unwrap();
    let child = Command::new("prometheus-blackbox-exporter")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--web.listen-address={port}"))
        .arg("--log.level=error")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let exporter = Blackbox(child);
    for _ in 0..32 {
        let target = format!("/probe?module=plain&target=http://{}/", server.address);
        server.runtime.spawn(async move {
            loop {
                let Ok(stream) = TcpStream::connect(port).await else {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                let Ok((mut sender, connection)) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await else { continue };
                tokio::spawn(connection);
                loop {
                    let request = Request::get(&target).header("host", port.to_string()).body(Empty::<Bytes>::new()).unwrap();
                    let Ok(response) = sender.send_request(request).await else { break };
                    if response.into_body().collect().await.is_err() {
                        break;
                    }
                }
            }
        });
    }
    Some(measure(server, exporter.0.id()))
}

pub fn polls() -> Vec<Row> {
    let theirs = blackbox(&server());
    let fresh = skep(&server(), false);
    let pooled = skep(&server(), true);
    let Some(theirs) = theirs else {
        return vec![Row {
            figure: "URL polls a core-second, fresh and pooled connections".into(),
            reached: format!("{:.0}, {:.0}; no blackbox_exporter to compare with", fresh.0, pooled.0),
            target: "2x, 4x: apt-get install prometheus-blackbox-exporter".into(),
            met: None,
        }];
    };
    let row = |what: &str, ours: (f64, f64), times: f64| {
        let ratio = ours.0 / theirs.0;
        let reached = format!("{:.0} ({:.0}/s), {ratio:.1}x of {:.0}", ours.0, ours.1, theirs.0);
        Row::new(&format!("URL polls a core-second beside blackbox_exporter, {what}"), reached, &format!("{times}x"), ratio >= times)
    };
    vec![row("a fresh connection a poll", fresh, 2.0), row("pooled connections", pooled, 4.0)]
}
