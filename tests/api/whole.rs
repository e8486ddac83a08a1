//! The whole router on a free port: a fleet on a real folder, a supervisor without workers, queue and keys in memory.

use std::{
    net::SocketAddr,
    sync::{Arc, LazyLock},
};

use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use skep::{
    api::{Access, ApiState, Bounds, HostFacts, Via, router, serve, status::Public},
    clock::Clock,
    config::StatusPage,
    limiter::Limiters,
    worker::Engines,
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};

use super::{
    ADMIN,
    fakes::{FakeJobs, FakeKv},
};
use crate::{bench, fleet::support};

/// Each reserves address space for its pool: one for all tests here, as nothing runs on it.
static ENGINES: LazyLock<Arc<Engines>> = LazyLock::new(|| Arc::new(Engines::new(4).unwrap()));

pub struct Whole {
    pub fleet: support::Bench,
    pub jobs: FakeJobs,
    pub limiters: Limiters,
    address: SocketAddr,
    http: reqwest::Client,
    _ready: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    pub supervised: bench::Bench,
}

impl Whole {
    pub async fn with(files: &[(&str, &str)]) -> Self {
        Self::public(files, None).await
    }

    /// With a public status page.
    pub async fn public(files: &[(&str, &str)], status: Option<StatusPage>) -> Self {
        let fleet = support::Bench::with(files).await;
        let supervised = bench::Bench::on(ENGINES.clone()).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ready, is_ready) = watch::channel(true);
        let (stop, stopping) = watch::channel(false);
        let (jobs, limiters, clock) = (FakeJobs::new(), Limiters::default(), Clock::system());
        limiters.declare(fleet.fleet().desired().limiters(), clock);
        let here = fleet.dir.path().to_owned();
        let state = ApiState {
            fleet: fleet.fleet().clone(),
            supervisor: supervised.supervisor.clone(),
            checks: supervised.checks.clone(),
            store: supervised.store.clone(),
            jobs: Arc::new(jobs.clone()),
            kv: Arc::new(FakeKv::default()),
            limiters: limiters.clone(),
            journal: supervised.journal.clone(),
            clock,
            access: Arc::new(Access::new(ADMIN, super::READ, address, Vec::new())),
            host: Arc::new(HostFacts {
                started: clock.wall(),
                admin: address,
                listen: address,
                data: here.clone(),
                manifests: here.clone(),
                plugins: here,
            }),
            public: status.map(|status| Arc::new(Public::new(status))),
            ready: is_ready,
            shutdown: stopping.clone(),
            traffic: Arc::new(Vec::new),
            followers: Arc::new(Semaphore::new(1)),
            live: Default::default(),
        };
        tokio::spawn(serve::serve(listener, router(state, Via::Tcp), Bounds::default(), stopping));
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { fleet, jobs, limiters, address, http, _ready: ready, stop, supervised }
    }

    /// Any path, with no token; redirects are not followed.
    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("http://{}{path}", self.address))
    }

    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("http://{}/api/v1/{path}", self.address)).bearer_auth(ADMIN)
    }

    pub async fn metrics(&self) -> String {
        let request = self.http.get(format!("http://{}/metrics", self.address)).bearer_auth(super::READ);
        request.send().await.unwrap().text().await.unwrap()
    }

    /// Status and body; an answer without a body is null.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        answer(self.request(Method::POST, path).json(&body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> (u16, Value) {
        answer(self.request(Method::PUT, path).json(&body)).await
    }

    /// Pushes one job; its id.
    pub async fn push(&self, queue: &str, body: Value) -> String {
        let (status, pushed) = self.post(&format!("queues/{queue}/jobs"), body).await;
        assert_eq!(status, 200, "{pushed}");
        pushed[0]["id"].as_str().unwrap().to_owned()
    }

    pub fn shut_down(&self) {
        self.stop.send_replace(true);
    }
}

pub async fn answer(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) })
}
