//! Requests to other workers of this host: no socket, and otherwise like any other.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use skep::{
    capability::{
        caller::Chain,
        http::{Internal, Unreached},
    },
    clock::Clock,
    limiter::Limiter,
    manifest::spec::HttpGrant,
};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::{Worker, client, grant, post};

/// Stands for all other workers: answers with what it was asked, and keeps whose calls led to it.
#[derive(Default)]
struct Others {
    chains: Mutex<Vec<Vec<String>>>,
}

impl Internal for Others {
    fn send<'a>(
        &'a self,
        chain: Arc<Chain>,
        worker: &'a str,
        request: Request<WasiBody>,
    ) -> BoxFuture<'a, Result<Response<WasiBody>, Unreached>> {
        self.chains.lock().unwrap().push(chain.workers().map(ToString::to_string).collect());
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            match worker {
                "gone" => return Err(Unreached::NotFound("no worker \"gone\" takes requests".into())),
                "pages" => return Err(Unreached::Loop("pages → pages would wait for itself".into())),
                "silent" => std::future::pending().await,
                "strict" => return Ok(asks_for_silence(429)),
                "starting" => return Ok(asks_for_silence(503)),
                _ => {}
            }
            let host = parts.headers["host"].to_str().unwrap().to_owned();
            let sent = body.collect().await.map_or_else(|error| error.to_string(), |body| body.to_bytes().len().to_string());
            let said = format!("{worker} {host} {} {sent}", parts.uri.path());
            Ok(Response::builder().status(203).body(Full::from(said).map_err(|never| match never {}).boxed_unsync()).unwrap())
        })
    }
}

fn asks_for_silence(status: u16) -> Response<WasiBody> {
    let body = Full::from("later").map_err(|never| match never {}).boxed_unsync();
    Response::builder().status(status).header("retry-after", "120").body(body).unwrap()
}

fn worker(allow: &[&str]) -> (Worker, Arc<Others>) {
    let (client, folder) = client();
    let others = Arc::new(Others::default());
    client.reach_workers(others.clone());
    (Worker { _folder: Some(folder), ..Worker::of(&client, &grant(allow), None) }, others)
}

#[tokio::test]
async fn a_granted_worker_answers_and_the_ledger_shows_it() {
    let (worker, others) = worker(&["worker:exchange"]);
    let url = "http://exchange.skep.internal/public?x=1";
    assert_eq!(worker.get(url).await.unwrap(), (203, "exchange exchange.skep.internal /public 0".to_owned()));
    let seen = worker.ledger.evidence(url).unwrap();
    assert_eq!((seen.http_status, seen.address), (Some(203), None), "no address: there is no socket");
    assert!(seen.phases.first_byte_ms.is_some() && seen.phases.connect_ms.is_none(), "{:?}", seen.phases);
    assert!(seen.excerpt.unwrap().starts_with("exchange"));
    assert_eq!((worker.outbound.in_flight(), worker.ledger.in_flight()), (0, 0));
    assert_eq!(*others.chains.lock().unwrap(), [["pages"]], "it asks in its own name");
}

#[tokio::test]
async fn refusals_of_the_grant_never_reach_another_worker() {
    let (worker, others) = worker(&["worker:exchange"]);
    for url in ["http://other.skep.internal/", "https://exchange.skep.internal/", "http://exchange.skep.internal:81/"] {
        assert!(matches!(worker.get(url).await, Err(Error::HttpRequestDenied)), "{url}");
    }
    assert!(others.chains.lock().unwrap().is_empty());
}

#[tokio::test]
async fn who_is_not_there_loops_and_silence_are_errors_with_a_sentence() {
    let (worker, _) = worker(&["worker:gone", "worker:pages", "worker:silent", "worker:exchange"]);
    assert!(matches!(worker.get("http://gone.skep.internal/").await, Err(Error::DestinationNotFound)));
    assert!(worker.told().ends_with("no worker \"gone\" takes requests"), "{}", worker.told());
    assert!(matches!(worker.get("http://pages.skep.internal/").await, Err(Error::LoopDetected)));
    assert!(worker.told().ends_with("pages → pages would wait for itself"), "{}", worker.told());
    let options = RequestOptions { first_byte_timeout: Some(Duration::from_millis(50)), ..RequestOptions::default() };
    let silent = worker.send(super::get("http://silent.skep.internal/"), options).await;
    assert!(matches!(silent, Err(Error::HttpResponseTimeout)));
    let large = worker.send(post("http://exchange.skep.internal/", 17 << 20), RequestOptions::default()).await;
    assert!(matches!(large, Err(Error::HttpRequestBodySize(Some(_)))), "a body's bound is the caller's, too");
    assert_eq!(worker.outbound.in_flight(), 0);
}

#[tokio::test]
async fn a_host_that_serves_no_workers_says_so() {
    let (client, _folder) = client();
    let worker = Worker::of(&client, &grant(&["worker:exchange"]), None);
    assert!(matches!(worker.get("http://exchange.skep.internal/").await, Err(Error::DestinationUnavailable)));
}

#[tokio::test]
async fn another_worker_that_says_too_many_is_heeded_and_one_that_is_starting_is_not() {
    let (client, _folder) = client();
    client.reach_workers(Arc::new(Others::default()));
    let limiter = Limiter::new("100/s".parse().unwrap(), 1, Clock::system());
    let named = HttpGrant { limiter: Some("api".to_owned()), ..grant(&["worker:strict", "worker:starting"]) };
    let worker = Worker::of(&client, &named, Some(limiter.clone()));
    assert_eq!(worker.get("http://starting.skep.internal/").await.unwrap().0, 503);
    assert_eq!(limiter.standing().paused_until, None, "the host's own words");
    assert_eq!(worker.get("http://strict.skep.internal/").await.unwrap().0, 429);
    assert!(limiter.standing().paused_until.is_some());
}
