//! A web site of the tests' own whose paths do what they say, over HTTP or TLS, and which remembers what it was asked.
//!
//! `/status/418`, `/hops/2` (redirects to `/hops/1`, …), `/to?URL` (redirects there), `/big/N` (N bytes), `/drip` (a byte every 20 ms, for
//! ever), `/slow/MS`, `/echo` (the Authorization header), `/count` (the bytes of the request's body); anything else is well.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    header::{AUTHORIZATION, LOCATION},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{net::TcpListener, runtime::Runtime};

type Answer = UnsyncBoxBody<Bytes, io::Error>;

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub host: String,
    pub authorization: Option<String>,
}

pub struct Pages {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    tls: bool,
    _runtime: Runtime,
}

impl Pages {
    pub fn plain() -> Self {
        Self::up(None)
    }

    pub fn tls(config: Arc<rustls::ServerConfig>) -> Self {
        Self::up(Some(config))
    }

    fn up(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let site = Self { address, asked: asked.clone(), tls: tls.is_some(), _runtime: runtime };
        site._runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, asked) = (tls.clone(), asked.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(request, asked.clone()));
                    let server = auto::Builder::new(TokioExecutor::new());
                    // A client that hangs up, or trusts nobody here, is none of the site's business.
                    match tls {
                        None => drop(server.serve_connection(TokioIo::new(stream), service).await),
                        Some(config) => {
                            if let Ok(stream) = tokio_rustls::TlsAcceptor::from(config).accept(stream).await {
                                drop(server.serve_connection(TokioIo::new(stream), service).await);
                            }
                        }
                    }
                });
            }
        });
        site
    }

    /// A page of the site by its address.
    pub fn url(&self, path: &str) -> String {
        self.named("127.0.0.1", path)
    }

    /// A page of the site by another name.
    pub fn named(&self, host: &str, path: &str) -> String {
        format!("{}://{host}:{}{path}", if self.tls { "https" } else { "http" }, self.address.port())
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub fn asked_for(&self, path: &str) -> Vec<Asked> {
        self.asked().into_iter().filter(|asked| asked.path == path).collect()
    }
}

async fn answer(request: Request<Incoming>, asked: Arc<Mutex<Vec<Asked>>>) -> Result<Response<Answer>, Infallible> {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let path = request.uri().path().to_owned();
    let authorization = header(AUTHORIZATION);
    asked.lock().unwrap().push(Asked {
        method: request.method().to_string(),
        path: path.clone(),
        host: header(hyper::header::HOST).or_else(|| request.uri().host().map(str::to_owned)).unwrap_or_default(),
        authorization: authorization.clone(),
    });
    let (first, rest) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
    let number: usize = rest.parse().unwrap_or_default();
    let response = Response::builder();
    let redirect = |to: String| Response::builder().status(302).header(LOCATION, to).body(full("elsewhere")).unwrap();
    Ok(match first {
        "status" => response.status(u16::try_from(number).unwrap()).body(full("as asked")).unwrap(),
        "hops" if number > 0 => redirect(format!("/hops/{}", number - 1)),
        "to" => redirect(request.uri().query().unwrap_or_default().to_owned()),
        "big" => response.body(Full::new(Bytes::from(vec![b'b'; number])).map_err(|never| match never {}).boxed_unsync()).unwrap(),
        "drip" => {
            let drops = stream::unfold((), |()| async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Some((Ok(Frame::data(Bytes::from_static(b"."))), ()))
            });
            response.body(StreamBody::new(drops).boxed_unsync()).unwrap()
        }
        "slow" => {
            tokio::time::sleep(Duration::from_millis(number as u64)).await;
            response.body(full("at last")).unwrap()
        }
        "echo" => response.status(503).body(full(&format!("you sent {}", authorization.unwrap_or_default()))).unwrap(),
        "count" => {
            let (mut body, mut count) = (request.into_body(), 0);
            while let Some(Ok(frame)) = body.frame().await {
                count += frame.data_ref().map_or(0, Bytes::len);
            }
            response.body(full(&count.to_string())).unwrap()
        }
        _ => response.body(full("all is well")).unwrap(),
    })
}

fn full(text: &str) -> Answer {
    Full::new(Bytes::from(text.to_owned())).map_err(|never| match never {}).boxed_unsync()
}
