//! `skep queue`: what stands in queues, and the acts on jobs.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::{
    Console,
    args::{Format, Output, Peek, Push, QueueAct},
    client::{Client, segment},
    failure::{Code, Failure},
    paint::{count, safe},
    remote::payload,
    work,
};
use crate::{
    api::queues::{Purged, PushedJob},
    clock::Clock,
    facts::{JobState, JobView, QueueView},
    manifest::units::parse_duration,
};

/// What one request waits at most; the host's own bound is a little more.
const WAIT_ONCE: Duration = Duration::from_secs(100);

pub async fn run(client: &Client, act: QueueAct, console: &mut Console) -> Result<Code, Failure> {
    match act {
        QueueAct::Ls { output } => {
            let all: Vec<QueueView> = client.get("queues", &[]).await?;
            console.answer(output, &all, |paint| work::queues(&all, output.format == Format::Wide, paint))
        }
        QueueAct::Push(args) => push(client, &args, console).await,
        QueueAct::Peek(args) => peek(client, &args, console).await,
        QueueAct::Status { id, wait, output } => {
            let job = match wait {
                Some(time) => over(client, &id, &time).await?,
                None => client.get(&job_path(&id), &[]).await?,
            };
            console.answer(output, &job, |paint| work::job(&job, paint))
        }
        QueueAct::Retry { ids } => each(client, &ids, "retry", console).await,
        QueueAct::Cancel { ids } => each(client, &ids, "cancel", console).await,
        QueueAct::Purge { queue, states } => {
            let states: Vec<JobState> = states.into_iter().map(JobState::from).collect();
            let done: Purged = client.post_json(&on(&queue, "purge"), &json!({ "states": states })).await?;
            console.print(&format!("{queue}: {} purged\n", count(usize::try_from(done.purged).unwrap_or(usize::MAX), "job")))?;
            Ok(Code::Done)
        }
        QueueAct::Dead { queue, lines, output } => dead(client, queue, lines, output, console).await,
    }
}

fn on(queue: &str, what: &str) -> String {
    format!("queues/{}/{what}", segment(queue))
}

fn job_path(id: &str) -> String {
    format!("jobs/{}", segment(id))
}

async fn push(client: &Client, args: &Push, console: &mut Console) -> Result<Code, Failure> {
    let wait = args.wait.as_deref().map(duration).transpose()?;
    let body = match (&args.file, &args.payload) {
        (Some(file), _) if file == "-" => payload("-")?,
        (Some(file), _) => payload(&format!("@{file}"))?,
        (None, text) => payload(text.as_deref().unwrap_or_default())?,
    };
    let (priority, max_attempts) = (args.priority.map(|n| n.to_string()), args.max_attempts.map(|n| n.to_string()));
    let options = [
        ("delay", args.delay.as_deref()),
        ("priority", priority.as_deref()),
        ("unique_key", args.key.as_deref()),
        ("max_attempts", max_attempts.as_deref()),
        ("backoff", args.backoff.as_deref()),
        ("result_ttl", args.result_ttl.as_deref()),
    ];
    let query: Vec<(&str, &str)> = options.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let pushed: Vec<PushedJob> = client.bytes(Method::POST, &on(&args.queue, "jobs"), &query, body).await?;
    let Some(pushed) = pushed.into_iter().next() else {
        return Err(Failure::new(Code::Failed, "the host answered without an id"));
    };
    if wait.is_some() {
        return answered(client, &pushed.id, args, console).await;
    }
    if !pushed.fresh && args.output.format != Format::Json {
        eprintln!("not pushed: a job with this key is there already");
    }
    console.answer(args.output, &pushed, |_| format!("{}\n", pushed.id))
}

/// Waits for a job and prints what came of it: the result as it is, or why there is none.
async fn answered(client: &Client, id: &str, args: &Push, console: &mut Console) -> Result<Code, Failure> {
    let job = over(client, id, args.wait.as_deref().unwrap_or_default()).await?;
    if args.output.format == Format::Json {
        return console.answer(args.output, &job, |_| String::new());
    }
    match (job.state, job.result) {
        (JobState::Done, Some(result)) => console.raw(result),
        (JobState::Done, None) => Ok(Code::Done),
        (state, _) => {
            let reason = job.last_error.map(|error| format!(": {error}")).unwrap_or_default();
            Err(Failure::new(Code::Failed, format!("job {id} is {}{reason}", state.as_str())).hint(format!("skep queue status {id}")))
        }
    }
}

fn duration(text: &str) -> Result<Duration, Failure> {
    parse_duration(text).map_err(|error| {
        let failure = Failure::new(Code::Usage, format!("--wait: {}", error.message));
        match error.hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })
}

/// The job once it is over.
async fn over(client: &Client, id: &str, time: &str) -> Result<JobView, Failure> {
    let time = duration(time)?;
    let clock = Clock::system();
    let until = clock.now() + time;
    loop {
        let left = until.saturating_duration_since(clock.now());
        let once = format!("{}ms", left.min(WAIT_ONCE).as_millis());
        let job: JobView = client.get(&job_path(id), &[("wait", &once)]).await?;
        if job.state.over() {
            return Ok(job);
        }
        if left.is_zero() {
            let sentence = format!("job {id} is still {}", job.state.as_str());
            return Err(Failure::new(Code::Failed, sentence).hint(format!("it goes on: skep queue status {id} --wait")));
        }
    }
}

async fn peek(client: &Client, args: &Peek, console: &mut Console) -> Result<Code, Failure> {
    let limit = args.lines.to_string();
    let mut query = vec![("limit", limit.as_str()), ("peek", "true")];
    query.extend(args.state.map(|state| ("state", JobState::from(state).as_str())));
    let all: Vec<JobView> = client.get(&on(&args.queue, "jobs"), &query).await?;
    console.answer(args.output, &all, |paint| work::jobs(&args.queue, &all, args.output.format == Format::Wide, paint))
}

async fn each(client: &Client, ids: &[String], act: &str, console: &mut Console) -> Result<Code, Failure> {
    for id in ids {
        let job: JobView = client.post_json(&format!("{}/{act}", job_path(id)), &json!({})).await?;
        console.print(&format!("{} is {} ({})\n", job.id, job.state.as_str(), safe(&job.queue)))?;
    }
    Ok(Code::Done)
}

/// Of one queue, or of each that has any.
async fn dead(client: &Client, queue: Option<String>, lines: usize, output: Output, console: &mut Console) -> Result<Code, Failure> {
    let queues = match queue {
        Some(queue) => vec![queue],
        None => {
            let all: Vec<QueueView> = client.get("queues", &[]).await?;
            all.into_iter().filter(|queue| queue.dead > 0).map(|queue| queue.name).collect()
        }
    };
    let limit = lines.to_string();
    let mut all: Vec<JobView> = Vec::new();
    for queue in &queues {
        let some: Vec<JobView> = client.get(&on(queue, "jobs"), &[("state", "dead"), ("limit", &limit)]).await?;
        all.extend(some);
    }
    console.answer(output, &all, |paint| work::dead(&all, output.format == Format::Wide, paint))
}
