//! What comes from the host: the live stream, followed again and again, and what was asked beside it.
//!
//! Must not know what is on screen: it sends what it hears to whoever draws, and waits when that one is behind.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, de::DeserializeOwned};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

use super::{
    app::{Act, Effect},
    detail::{Part, Subject},
    link::SILENCE_MS,
};
use crate::{
    cli::{
        client::{Client, Frame, Stream, segment},
        failure::{Code, Failure},
    },
    facts::{CheckView, JobView, LiveDelta, LiveSnapshot, LogLine, Plan, Why},
};

const SILENCE: Duration = Duration::from_millis(SILENCE_MS as u64);
/// Between attempts to reach the host again: at first, at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// A snapshot of ten thousand workers with ten thousand checks has some 15 MiB.
const MAX_SNAPSHOT_BYTES: usize = 128 << 20;
const JOBS_SHOWN: &str = "200";
const LOG_SHOWN: &str = "200";

#[derive(Debug)]
pub enum Heard {
    Snapshot(Box<LiveSnapshot>),
    Delta(Box<LiveDelta>),
    /// Nothing new at this time of the host's.
    Beat(i64),
    /// The connection is gone, in a sentence.
    Lost(String),
    /// What an act came to, in a sentence.
    Done(Result<String, String>),
    Part(Subject, Part),
}

#[derive(Deserialize)]
struct Beat {
    at: i64,
}

#[derive(Deserialize)]
struct Missed {
    missed: u64,
}

fn read<T: DeserializeOwned>(frame: &Frame) -> Result<T, Failure> {
    serde_json::from_str(&frame.data).map_err(|error| {
        Failure::new(Code::Failed, format!("the host sent what this CLI can't read: {error}"))
            .hint("compare `skep --version` with the host's")
    })
}

/// One frame; None: a kind that is not for us.
fn heard(frame: &Frame) -> Result<Option<Heard>, Failure> {
    Ok(match frame.event.as_str() {
        "snapshot" => Some(Heard::Snapshot(read(frame)?)),
        "delta" => Some(Heard::Delta(read(frame)?)),
        "beat" => Some(Heard::Beat(read::<Beat>(frame)?.at)),
        _ => None,
    })
}

/// What the host sends next, within the time in which it has to say something.
async fn next(stream: &mut Stream<'_>) -> Result<Option<Heard>, Failure> {
    match timeout(SILENCE, stream.next()).await {
        Ok(frame) => heard(&frame?),
        Err(_) => Err(Failure::new(Code::Failed, "it said nothing for too long")),
    }
}

async fn open(client: &Client) -> Result<Stream<'_>, Failure> {
    let opened = timeout(SILENCE, client.open("live", &[], MAX_SNAPSHOT_BYTES)).await;
    opened.map_err(|_| Failure::new(Code::Failed, "the host does not answer"))?
}

/// The first snapshot, or why there is none.
pub async fn first(client: &Client) -> Result<LiveSnapshot, Failure> {
    let mut stream = open(client).await?;
    loop {
        if let Some(Heard::Snapshot(all)) = next(&mut stream).await? {
            return Ok(*all);
        }
    }
}

/// Follows the host until nobody listens any more.
pub async fn follow(client: Arc<Client>, out: mpsc::Sender<Heard>) {
    let mut wait = RETRY.0;
    loop {
        let Err(failure) = stream(&client, &out, &mut wait).await else { return };
        if out.send(Heard::Lost(failure.message)).await.is_err() {
            return;
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY.1);
    }
}

/// Ok: nobody listens.
async fn stream(client: &Client, out: &mpsc::Sender<Heard>, wait: &mut Duration) -> Result<(), Failure> {
    let mut stream = open(client).await?;
    loop {
        let Some(heard) = next(&mut stream).await? else { continue };
        *wait = RETRY.0;
        if out.send(heard).await.is_err() {
            return Ok(());
        }
    }
}

/// What the screen asks for beside the stream.
pub struct Desk {
    client: Arc<Client>,
    out: mpsc::Sender<Heard>,
    log: Option<JoinHandle<()>>,
}

impl Desk {
    pub fn new(client: Arc<Client>, out: mpsc::Sender<Heard>) -> Self {
        Self { client, out, log: None }
    }

    /// Does what a key led to; the answer comes as something heard.
    pub fn take(&mut self, effect: Effect) {
        let (client, out) = (self.client.clone(), self.out.clone());
        match effect {
            Effect::Quit => {}
            Effect::Act(act, worker) => {
                tokio::spawn(async move {
                    let done = perform(&client, act, &worker).await.map_err(|failure| failure.message);
                    let _ = out.send(Heard::Done(done)).await;
                });
            }
            Effect::Open(subject) => {
                self.close();
                if let Subject::Worker(name) = &subject {
                    self.log = Some(tokio::spawn(log(client.clone(), name.clone(), out.clone())));
                }
                tokio::spawn(fetch(client, subject, out));
            }
            Effect::Refresh(subject) => drop(tokio::spawn(fetch(client, subject, out))),
            Effect::Close => self.close(),
        }
    }

    fn close(&mut self) {
        if let Some(log) = self.log.take() {
            log.abort();
        }
    }
}

fn on(worker: &str, what: &str) -> String {
    format!("workers/{}/{what}", segment(worker))
}

async fn perform(client: &Client, act: Act, worker: &str) -> Result<String, Failure> {
    #[derive(Deserialize)]
    struct Accepted {
        message: String,
    }
    let path = on(worker, act.as_str());
    match act {
        Act::Restart | Act::Drain | Act::Tick => {
            let done: Accepted = client.post(&path, &[], Vec::new()).await?;
            Ok(format!("{worker} {}", done.message))
        }
        Act::Pause | Act::Resume => {
            let plan: Plan = client.post(&path, &[], Vec::new()).await?;
            let done = if act == Act::Pause { "paused" } else { "resumed" };
            Ok(crate::cli::plan::amended(worker, done, &plan).trim_end().to_owned())
        }
    }
}

async fn fetch(client: Arc<Client>, subject: Subject, out: mpsc::Sender<Heard>) {
    let part = part(&client, &subject).await.unwrap_or_else(|failure| Some(Part::Trouble(failure.message)));
    if let Some(part) = part {
        let _ = out.send(Heard::Part(subject, part)).await;
    }
}

async fn part(client: &Client, subject: &Subject) -> Result<Option<Part>, Failure> {
    Ok(match subject {
        Subject::Worker(name) => Some(Part::Why(Box::new(client.get::<Why>(&on(name, "why"), &[]).await?))),
        Subject::Check(worker, subject) => {
            let all: Vec<CheckView> = client.get("checks", &[("worker", worker)]).await?;
            all.into_iter().find(|check| check.subject == *subject).map(|check| Part::Check(Box::new(check)))
        }
        Subject::Queue(name) => {
            let jobs: Vec<JobView> = client.get(&format!("queues/{}/jobs", segment(name)), &[("limit", JOBS_SHOWN)]).await?;
            Some(Part::Jobs(jobs))
        }
        Subject::Event(_) => None,
    })
}

/// A worker's log from its newest lines on, over and over, until the pane is closed.
async fn log(client: Arc<Client>, worker: String, out: mpsc::Sender<Heard>) {
    let subject = Subject::Worker(worker.clone());
    loop {
        // What keeps the stream from coming also keeps the rest from coming, which says so.
        let _ = lines(&client, &worker, &subject, &out).await;
        tokio::time::sleep(RETRY.0 * 4).await;
    }
}

async fn lines(client: &Client, worker: &str, subject: &Subject, out: &mpsc::Sender<Heard>) -> Result<(), Failure> {
    let mut stream = client.open(&on(worker, "logs"), &[("limit", LOG_SHOWN), ("follow", "true")], MAX_SNAPSHOT_BYTES).await?;
    let mut opened = false;
    loop {
        let frame = stream.next().await?;
        let part = match frame.event.as_str() {
            "line" => Part::Log(Box::new(read::<LogLine>(&frame)?)),
            "missed" => Part::LogMissed(read::<Missed>(&frame)?.missed),
            _ => continue,
        };
        if !std::mem::replace(&mut opened, true) {
            let _ = out.send(Heard::Part(subject.clone(), Part::LogOpened)).await;
        }
        let _ = out.send(Heard::Part(subject.clone(), part)).await;
    }
}
