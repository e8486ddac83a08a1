//! Clients that go on while the host is killed under them, and the ledger of what they were told.
//!
//! A client whose request got no answer waits for the host's next start. Where a key makes it safe it asks again, else it never does: what
//! became of such a request is open, and the ledger says so.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::output;

/// Jobs of one batch.
pub const BATCH: usize = 10;
/// Longer than any answer takes: a request that hangs is a fault of its own.
const HANGS: Duration = Duration::from_secs(20);

/// Where the host is since its last start.
#[derive(Debug, Clone, Default)]
pub struct Address {
    pub admin: String,
    pub listen: String,
    pub token: String,
}

/// What was asked, and what was answered for.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Ids that pushes answered, with the output the job makes.
    pub jobs: BTreeMap<String, String>,
    /// Every output that was ever asked for.
    pub asked: BTreeSet<String>,
    /// Batches that got no answer: all of it or nothing.
    pub open_batches: Vec<Vec<String>>,
    /// Jobs acknowledged from outside, by id, with the attempt.
    pub acked: BTreeMap<String, u64>,
    /// Sums that the counter answered: nobody else ever gets the same.
    pub sums: BTreeSet<i64>,
    pub adds_asked: i64,
    /// The same over the API's own increment.
    pub increments: BTreeSet<i64>,
    pub increments_asked: i64,
    /// By key: what was answered last, what was asked last.
    pub values: BTreeMap<String, (u64, u64)>,
    /// Answers that were neither well nor meant.
    pub refusals: BTreeMap<String, u32>,
    /// Requests without an answer.
    pub cut_off: u32,
}

#[derive(Clone)]
pub struct Client {
    pub name: String,
    pub ledger: Arc<Mutex<Ledger>>,
    pub over: Arc<AtomicBool>,
    pub host: watch::Receiver<Address>,
    pub http: reqwest::Client,
    pub chance: fastrand::Rng,
}

impl Client {
    pub fn new(name: &str, seed: u64, ledger: &Arc<Mutex<Ledger>>, over: &Arc<AtomicBool>, host: &watch::Receiver<Address>) -> Self {
        let http = reqwest::Client::builder().timeout(HANGS).build().unwrap();
        let chance = fastrand::Rng::with_seed(seed);
        Self { name: name.into(), ledger: ledger.clone(), over: over.clone(), host: host.clone(), http, chance }
    }

    fn write<T>(&self, entry: impl FnOnce(&mut Ledger) -> T) -> T {
        entry(&mut self.ledger.lock().unwrap())
    }

    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    /// Not all at once: a pace of its own.
    async fn pace(&mut self, ms: std::ops::Range<u64>) {
        tokio::time::sleep(Duration::from_millis(self.chance.u64(ms))).await;
    }

    /// None: no answer; the host is up again when this returns.
    async fn ask(&mut self, method: Method, url: impl Fn(&Address) -> String, body: &Value) -> Option<(u16, Value)> {
        let at = self.host.borrow_and_update().clone();
        let sent = self.http.request(method, url(&at)).bearer_auth(&at.token).json(body).send().await;
        let answer = async {
            let answer = sent?;
            let status = answer.status().as_u16();
            Ok::<_, reqwest::Error>((status, answer.bytes().await?))
        };
        match answer.await {
            Ok((status, body)) => Some((status, serde_json::from_slice(&body).unwrap_or_default())),
            Err(error) => {
                assert!(!error.is_timeout(), "{}: no answer within {HANGS:?}", self.name);
                self.write(|ledger| ledger.cut_off += 1);
                assert!(self.host.changed().await.is_ok(), "{}: no answer, though nobody killed the host: {error:?}", self.name);
                None
            }
        }
    }

    async fn api(&mut self, method: Method, path: &str, body: &Value) -> Option<(u16, Value)> {
        self.ask(method, |at| format!("{}/api/v1/{path}", at.admin), body).await
    }

    fn refused(&self, what: &str, status: u16, body: &Value) {
        self.write(|ledger| *ledger.refusals.entry(format!("{what} {status} {body}")).or_default() += 1);
    }

    /// One job a push, pushed again under its key until it is answered for.
    pub async fn push_with_keys(mut self, queue: &'static str) {
        for n in 0.. {
            if !self.goes_on() {
                return;
            }
            let name = format!("{}-{n}", self.name);
            let job = json!({ "payload": { "json": work(n, &name) }, "unique_key": name });
            self.write(|ledger| ledger.asked.insert(name.clone()));
            loop {
                match self.api(Method::POST, &format!("queues/{queue}/jobs"), &job).await {
                    Some((200, pushed)) => {
                        let id = pushed[0]["id"].as_str().unwrap().to_owned();
                        self.write(|ledger| ledger.jobs.insert(id, name.clone()));
                        break;
                    }
                    Some((status, body)) => {
                        self.refused("push", status, &body);
                        break;
                    }
                    None => {}
                }
            }
            self.pace(5..25).await;
        }
    }

    /// Many jobs a push, without keys: never asked for a second time.
    pub async fn push_batches(mut self) {
        for n in 0.. {
            if !self.goes_on() {
                return;
            }
            let names: Vec<_> = (0..BATCH).map(|part| format!("{}-{n}-{part}", self.name)).collect();
            let jobs: Vec<_> = names.iter().zip(0..).map(|(name, n)| json!({ "payload": { "json": work(n, name) } })).collect();
            self.write(|ledger| ledger.asked.extend(names.iter().cloned()));
            match self.api(Method::POST, "queues/todo/jobs", &json!({ "jobs": jobs })).await {
                Some((200, pushed)) => {
                    let ids = pushed.as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned());
                    self.write(|ledger| ledger.jobs.extend(ids.zip(names)));
                }
                Some((status, body)) => self.refused("batch", status, &body),
                None => self.write(|ledger| ledger.open_batches.push(names)),
            }
            self.pace(20..60).await;
        }
    }

    /// A worker outside this host: what it acknowledged it says again until it knows.
    pub async fn work_outside(mut self) {
        while self.goes_on() {
            let lease = json!({ "holder": self.name, "term": "1s", "wait": "50ms", "max": 3 });
            let Some((200, leased)) = self.api(Method::POST, "queues/outside/lease", &lease).await else { continue };
            for job in leased.as_array().unwrap() {
                let (id, attempt) = (job["id"].as_str().unwrap(), job["attempt"].as_u64().unwrap());
                let push = json!([{ "queue": "out", "payload": job["unique_key"] }]);
                let ack = json!({ "attempt": attempt, "result": self.name, "push": push });
                loop {
                    match self.api(Method::POST, &format!("jobs/{id}/ack"), &ack).await {
                        Some((200, _)) => {
                            let before = self.write(|ledger| ledger.acked.insert(id.to_owned(), attempt));
                            assert_eq!(before, None, "job {id} was acknowledged twice");
                            break;
                        }
                        // Recorded before the kill, or its term ran out meanwhile.
                        Some((409, _)) => break,
                        Some((status, body)) => {
                            self.refused("ack", status, &body);
                            break;
                        }
                        None => {}
                    }
                }
            }
            self.pace(1..10).await;
        }
    }

    /// Adds to the counter, over its route.
    pub async fn count(mut self) {
        while self.goes_on() {
            self.write(|ledger| ledger.adds_asked += 1);
            let body = json!({ "labels": ["bees"], "increment": 1 });
            match self.ask(Method::POST, |at| format!("{}/metrics", at.listen), &body).await {
                Some((200, sums)) => {
                    let sum = sums["bees"].as_i64().unwrap();
                    assert!(self.write(|ledger| ledger.sums.insert(sum)), "two were answered {sum}");
                }
                // Its route isn't there yet; nothing was counted.
                Some((404 | 503, _)) => self.write(|ledger| ledger.adds_asked -= 1),
                Some((status, body)) => self.refused("count", status, &body),
                None => {}
            }
            self.pace(2..15).await;
        }
    }

    /// Adds to a key over the API.
    pub async fn increment(mut self) {
        while self.goes_on() {
            self.write(|ledger| ledger.increments_asked += 1);
            match self.api(Method::POST, "kv/box/n/increment", &json!({})).await {
                Some((200, sum)) => {
                    let sum = sum["value"].as_i64().unwrap();
                    assert!(self.write(|ledger| ledger.increments.insert(sum)), "two were answered {sum}");
                }
                Some((status, body)) => self.refused("increment", status, &body),
                None => {}
            }
            self.pace(2..15).await;
        }
    }

    /// Writes 1, 2, 3, … to a key of its own, and looks at it after every start.
    pub async fn write_values(mut self) {
        let (key, path) = (self.name.clone(), format!("kv/box/{}", self.name));
        for n in 1.. {
            if !self.goes_on() {
                return;
            }
            self.write(|ledger| ledger.values.entry(key.clone()).or_default().1 = n);
            match self.api(Method::PUT, &path, &json!({ "value": n.to_string() })).await {
                Some((200, _)) => self.write(|ledger| ledger.values.entry(key.clone()).or_default().0 = n),
                Some((status, body)) => self.refused("set", status, &body),
                None => {
                    if let Some((200, found)) = self.api(Method::GET, &path, &Value::Null).await {
                        let (answered, asked) = self.write(|ledger| ledger.values[&key]);
                        let found: u64 = found["value"]["text"].as_str().unwrap().parse().unwrap();
                        assert!((answered..=asked).contains(&found), "{key}: {answered} was answered for, {found} is there");
                    }
                }
            }
            self.pace(2..15).await;
        }
    }
}

/// What the nth job does before its output: mostly nothing, and sometimes what goes wrong in life.
fn work(n: u64, name: &str) -> Value {
    let told = output(name, json!("ok"));
    match n % 10 {
        1 => output(name, json!({ "do": "trap-first", "attempts": 1, "then": "ok" })),
        4 => json!({ "do": "retry-first", "attempts": 1, "after_ms": 20, "then": told }),
        7 => json!({ "do": "sleep", "ms": 30, "then": told }),
        _ => told,
    }
}
