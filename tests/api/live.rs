//! The live view: a snapshot and all deltas after it say what a new snapshot says.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use skep::{
    checks::{Report, Watch},
    cli::client::{Frame, Frames},
    facts::{CheckStatus, Level, LiveCheck, LiveSnapshot},
    manifest::spec::CheckPolicy,
};

use super::whole::Whole;

/// A client that keeps what it is told, as a page does.
struct Follower {
    answer: reqwest::Response,
    frames: Frames,
    waiting: Vec<Frame>,
    version: u64,
    /// Rows by kind and key.
    rows: BTreeMap<(String, String), Value>,
    host: Value,
    events: Vec<u64>,
}

impl Follower {
    async fn of(host: &Whole) -> Self {
        // The place of one that has left is free once the host noticed.
        let mut answer = host.request(reqwest::Method::GET, "live").send().await.unwrap();
        while answer.status() == 503 {
            tokio::task::yield_now().await;
            answer = host.request(reqwest::Method::GET, "live").send().await.unwrap();
        }
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let mut follower = Self {
            answer,
            frames: Frames::default(),
            waiting: Vec::new(),
            version: 0,
            rows: BTreeMap::new(),
            host: Value::Null,
            events: Vec::new(),
        };
        let first = follower.next().await;
        assert_eq!(first.event, "snapshot");
        // It reads as its type says.
        serde_json::from_str::<LiveSnapshot>(&first.data).unwrap();
        follower.take(&first);
        follower
    }

    async fn next(&mut self) -> Frame {
        while self.waiting.is_empty() {
            let chunk = tokio::time::timeout(Duration::from_secs(20), self.answer.chunk()).await.expect("a frame in time");
            self.waiting = self.frames.push(&chunk.unwrap().expect("the stream goes on")).unwrap();
        }
        self.waiting.remove(0)
    }

    fn take(&mut self, frame: &Frame) {
        let data: Value = serde_json::from_str(&frame.data).unwrap();
        match &*frame.event {
            "beat" => return,
            "snapshot" => self.rows.clear(),
            "delta" => assert_eq!(data["version"], self.version + 1, "no frame is left out"),
            other => panic!("a frame called {other}"),
        }
        self.version = data["version"].as_u64().unwrap();
        if data["host"].is_object() {
            self.host = data["host"].clone();
        }
        for kind in ["workers", "checks", "queues", "limiters"] {
            for row in data[kind].as_array().into_iter().flatten() {
                self.rows.insert((kind.to_owned(), key(kind, row)), row.clone());
            }
            for gone in data["gone"][kind].as_array().into_iter().flatten() {
                assert!(self.rows.remove(&(kind.to_owned(), gone_key(gone))).is_some(), "{gone} was never there");
            }
        }
        self.events.extend(data["events"].as_array().into_iter().flatten().map(|event| event["id"].as_u64().unwrap()));
    }

    /// Takes frames until what is known fits.
    async fn until(&mut self, fits: impl Fn(&Self) -> bool) {
        while !fits(self) {
            let frame = self.next().await;
            self.take(&frame);
        }
    }

    fn check(&self, subject: &str) -> Option<LiveCheck> {
        let row = self.rows.get(&("checks".to_owned(), format!("pages {subject}")))?;
        Some(serde_json::from_value(row.clone()).unwrap())
    }
}

fn key(kind: &str, row: &Value) -> String {
    let text = |field: &str| row[field].as_str().unwrap().to_owned();
    if kind == "checks" { format!("{} {}", text("worker"), text("subject")) } else { text("name") }
}

fn gone_key(gone: &Value) -> String {
    match gone.as_array() {
        Some(pair) => format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()),
        None => gone.as_str().unwrap().to_owned(),
    }
}

fn report(host: &Whole, subject: &str, status: CheckStatus, latency_ms: Option<f64>) {
    host.supervised.checks.report(Report {
        worker: "pages".into(),
        subject: subject.into(),
        status,
        latency_ms,
        detail: "first line\nsecond line".into(),
        valid_for: None,
        at: host.supervised.clock.wall(),
        evidence: None,
    });
}

async fn watching() -> Whole {
    let host = Whole::with(&[]).await;
    host.supervised.checks.watch(
        &"pages".into(),
        Watch {
            policy: CheckPolicy { confirm: 1, recover: 1 },
            notice: Default::default(),
            interval: None,
            paused: false,
            maintenance: false,
        },
    );
    host
}

#[tokio::test]
async fn a_snapshot_and_its_deltas_say_what_a_new_snapshot_says() {
    let host = watching().await;
    report(&host, "before", CheckStatus::Up, Some(1.5));
    let mut follower = Follower::of(&host).await;
    assert_eq!(follower.check("before").unwrap().status, CheckStatus::Up);
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..300_u32 {
        let subject = format!("https://site-{}/", random.u32(0..40));
        let status = random.choice([CheckStatus::Up, CheckStatus::Down, CheckStatus::Degraded]).unwrap();
        report(&host, &subject, status, Some(f64::from(round)));
        match round {
            100 => host.supervised.journal.event("test.happened", Level::Info, None, "something"),
            150 => host.supervised.checks.remove("pages"),
            151 => {
                host.supervised.checks.watch(
                    &"pages".into(),
                    Watch {
                        policy: CheckPolicy { confirm: 1, recover: 1 },
                        notice: Default::default(),
                        interval: None,
                        paused: false,
                        maintenance: false,
                    },
                );
            }
            _ => {}
        }
        if round % 60 == 0 {
            let frame = follower.next().await;
            follower.take(&frame);
        }
    }
    report(&host, "last", CheckStatus::Down, None);
    follower.until(|known| known.check("last").is_some()).await;
    assert!(follower.check("before").is_none(), "it went with its worker");
    let known = (follower.rows.clone(), follower.host.clone());
    drop(follower);
    let fresh = Follower::of(&host).await;
    assert_eq!(known.0.len(), fresh.rows.len());
    for (key, row) in &known.0 {
        assert_eq!(row, &fresh.rows[key], "{key:?}");
    }
    assert_eq!(known.1, fresh.host);
    assert!(fresh.events.windows(2).all(|pair| pair[0] < pair[1]), "events in order, none twice");
}

#[tokio::test]
async fn a_row_says_what_a_page_shows() {
    let host = watching().await;
    report(&host, "https://a/", CheckStatus::Up, Some(12.5));
    report(&host, "https://a/", CheckStatus::Down, None);
    let follower = Follower::of(&host).await;
    let row = follower.check("https://a/").unwrap();
    assert_eq!((row.status, &*row.detail, row.confirming), (CheckStatus::Down, "first line", 0));
    let beats: Vec<&str> = row.beats.split(',').collect();
    let (first, second) = (beats[0], beats[1]);
    // 12,500 µs is 9n8 in base 36.
    let at = first.strip_prefix("u9n8.").unwrap_or_else(|| panic!("{first}"));
    let at = i64::from_str_radix(at, 36).unwrap();
    let apart = i64::from_str_radix(second.strip_prefix("d.").unwrap_or_else(|| panic!("{second}")), 36).unwrap();
    assert_eq!(Some(at + apart), row.last, "the gaps add up to the last result's time");
}

#[tokio::test]
async fn places_are_bounded_and_streams_end_with_the_host() {
    let host = watching().await;
    let mut follower = Follower::of(&host).await;
    let (status, refusal) = host.get("live").await;
    assert_eq!((status, refusal["error"].as_str().unwrap()), (503, "too many followers"));
    host.shut_down();
    let ended = tokio::time::timeout(Duration::from_secs(10), async { while let Ok(Some(_)) = follower.answer.chunk().await {} }).await;
    assert!(ended.is_ok(), "the stream ends");
}
