//! Verbs that ask a host: one function each, from arguments to printed answer.

use std::{io::Read, path::PathBuf};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Console,
    args::{self, Deleted, Format, Host, Output, Verb, What},
    client::{Client, Frame, Place, replica_of, segment},
    env,
    failure::{Code, Failure},
    files::{self, Joined},
    kv, limiter, local,
    paint::Paint,
    plan, queue, records, scale, show, top,
};
use crate::{
    config::DATA,
    facts::{CheckView, EventRecord, LogLine, MaintenanceView, Plan, Problem, ReplicaView, TrapRecord, Why, WorkerView},
    worker::MAX_PAYLOAD_BYTES,
};

pub async fn run(host: &Host, verb: Verb, console: &mut Console) -> Result<Code, Failure> {
    match verb {
        // These two never come here: they need no runtime, or their own.
        Verb::Up(_) | Verb::Completions { .. } => Ok(Code::Usage),
        Verb::Check(args) => local::check_files(host, args, console),
        Verb::Inspect(args) => local::inspect_file(&args, console),
        Verb::Doctor(args) => local::look(host, args, console).await,
        Verb::Backup(args) => local::back_up(host, args, console).await,
        Verb::Restore(args) => local::restore(host, args, console),
        Verb::Apply(args) => apply(&connect(host)?, args, console).await,
        Verb::Diff(args) => diff(&connect(host)?, args, console).await,
        Verb::Get(args) => get(&connect(host)?, args.what, console).await,
        Verb::Delete(args) => delete(&connect(host)?, args.what, console).await,
        Verb::Undo(args) => undo(&connect(host)?, &args, console).await,
        Verb::Logs(args) => logs(&connect(host)?, &args, console).await,
        Verb::Events(args) => events(&connect(host)?, &args, console).await,
        Verb::Top(args) => top::run(connect(host)?, &args, console).await,
        Verb::Why(args) => why(&connect(host)?, &args, console).await,
        Verb::Traps(args) => traps(&connect(host)?, &args, console).await,
        Verb::Trap(args) => trap(&connect(host)?, &args, console).await,
        Verb::Checks(args) => checks(&connect(host)?, &args, console).await,
        Verb::Restart(args) => act(&connect(host)?, &args.names, "restart", console).await,
        Verb::Drain(args) => act(&connect(host)?, &args.names, "drain", console).await,
        Verb::Tick(args) => act(&connect(host)?, &args.names, "tick", console).await,
        Verb::Pause(args) => amend(&connect(host)?, &args.names, "pause", "paused", console).await,
        Verb::Resume(args) => amend(&connect(host)?, &args.names, "resume", "resumed", console).await,
        Verb::Scale(args) => scale::run(&connect(host)?, &args, console).await,
        Verb::Queue(args) => queue::run(&connect(host)?, args.act, console).await,
        Verb::Kv(args) => kv::run(&connect(host)?, args.act, console).await,
        Verb::Limiter(args) => limiter::run(&connect(host)?, args.act, console).await,
        Verb::Call(args) => call(&connect(host)?, &args, console).await,
    }
}

pub fn connect(host: &Host) -> Result<Client, Failure> {
    let data = host.data.clone().unwrap_or_else(|| PathBuf::from(DATA));
    let place = Place::resolve(host.admin.as_deref(), env("SKEP_ADMIN").as_deref(), &data)?;
    Client::new(place, host.token.clone())
}

fn on(worker: &str, what: &str) -> String {
    format!("workers/{}/{what}", segment(worker))
}

fn flag(set: bool) -> &'static str {
    if set { "true" } else { "false" }
}

/// All files of `-f` as one text; what can't be read is told of every file at once.
fn join(names: &[String]) -> Result<Joined, Failure> {
    let mut joined = Joined::default();
    let mut problems = Vec::new();
    for name in names {
        let (name, text) = match name.as_str() {
            "-" => (files::STDIN, files::read_all(files::STDIN, std::io::stdin().lock())),
            path => (path, files::read(path.as_ref())),
        };
        match text {
            Ok(text) => joined.add(name, &text),
            Err(problem) => problems.push(*problem),
        }
    }
    if problems.is_empty() {
        return Ok(joined);
    }
    Err(Failure { problems, ..Failure::new(Code::Refused, "nothing was applied") })
}

/// Sends the files' text; problems come back named as the person named the files.
async fn submit(client: &Client, path: &str, query: &[(&str, &str)], mut joined: Joined) -> Result<Plan, Failure> {
    let text = std::mem::take(&mut joined.text).into_bytes();
    client.post(path, query, text).await.map_err(|mut failure| {
        failure.problems.iter_mut().for_each(|problem| joined.trace(problem));
        failure
    })
}

async fn apply(client: &Client, args: args::Apply, console: &mut Console) -> Result<Code, Failure> {
    let joined = join(&args.files)?;
    let set = args.set.or_else(|| joined.set());
    let mut query = vec![("dry_run", flag(args.dry_run)), ("prune", flag(args.prune))];
    query.extend(set.as_deref().map(|set| ("set", set)));
    let done = submit(client, "apply", &query, joined).await?;
    console.answer(args.output, &done, |paint| plan::render(&done, args.dry_run, paint))
}

async fn diff(client: &Client, args: args::Diff, console: &mut Console) -> Result<Code, Failure> {
    let would = submit(client, "diff", &[("prune", flag(args.prune))], join(&args.files)?).await?;
    console.answer(args.output, &would, |paint| plan::render(&would, true, paint))?;
    Ok(if plan::differs(&would) { Code::Failed } else { Code::Done })
}

async fn undo(client: &Client, args: &args::Undo, console: &mut Console) -> Result<Code, Failure> {
    let done: Plan = client.post("undo", &[("dry_run", flag(args.dry_run))], Vec::new()).await?;
    console.answer(args.output, &done, |paint| plan::render(&done, args.dry_run, paint))
}

async fn delete(client: &Client, what: Deleted, console: &mut Console) -> Result<Code, Failure> {
    let Deleted::Worker { names, dry_run } = what;
    for name in &names {
        let done: Plan = client.delete(&format!("workers/{}", segment(name)), &[("dry_run", flag(dry_run))]).await?;
        console.show(|paint| plan::render(&done, dry_run, paint))?;
    }
    Ok(Code::Done)
}

async fn get(client: &Client, what: What, console: &mut Console) -> Result<Code, Failure> {
    match what {
        What::Workers { output } => {
            let all: Vec<WorkerView> = client.get("workers", &[]).await?;
            let problems = problems_for(client, output).await?;
            console.answer(output, &all, |paint| show::workers(&all, &problems, output.format == Format::Wide, paint))
        }
        What::Worker { name, output } => {
            let one: WorkerView = client.get(&format!("workers/{}", segment(&name)), &[]).await?;
            let mut problems = problems_for(client, output).await?;
            problems.retain(|problem| match &problem.worker {
                Some(worker) => **worker == *one.name,
                None => problem.file == one.file,
            });
            let several = one.replicas.desired > 1 && output.format != Format::Json;
            let replicas: Vec<ReplicaView> =
                if several { client.get(&format!("workers/{}/replicas", segment(&name)), &[]).await? } else { Vec::new() };
            console.answer(output, &one, |paint| records::worker(&one, &replicas, &problems, paint))
        }
        What::Maintenance { output } => {
            let all: Vec<MaintenanceView> = client.get("maintenance", &[]).await?;
            console.answer(output, &all, |paint| show::maintenance(&all, paint))
        }
        What::Problems { output } => {
            let all: Vec<Problem> = client.get("problems", &[]).await?;
            console.answer(output, &all, |paint| show::problems(&all, paint))
        }
    }
}

/// What people see beside workers; JSON has the workers alone.
async fn problems_for(client: &Client, output: Output) -> Result<Vec<Problem>, Failure> {
    if output.format == Format::Json { Ok(Vec::new()) } else { client.get("problems", &[]).await }
}

async fn why(client: &Client, args: &args::One, console: &mut Console) -> Result<Code, Failure> {
    let why: Why = client.get(&on(&args.name, "why"), &[]).await?;
    console.answer(args.output, &why, |paint| records::why(&why, paint))
}

async fn traps(client: &Client, args: &args::Traps, console: &mut Console) -> Result<Code, Failure> {
    let limit = args.lines.to_string();
    let mut query = vec![("limit", limit.as_str())];
    query.extend(args.worker.as_deref().map(|name| ("worker", name)));
    let all: Vec<TrapRecord> = client.get("traps", &query).await?;
    console.answer(args.output, &all, |paint| show::traps(&all, paint))
}

async fn trap(client: &Client, args: &args::Trap, console: &mut Console) -> Result<Code, Failure> {
    let one: TrapRecord = client.get(&format!("traps/{}", segment(&args.id)), &[]).await?;
    console.answer(args.output, &one, |paint| records::trap(&one, paint))
}

async fn checks(client: &Client, args: &args::Checks, console: &mut Console) -> Result<Code, Failure> {
    let query: Vec<(&str, &str)> = args.worker.as_deref().map(|name| ("worker", name)).into_iter().collect();
    let all: Vec<CheckView> = client.get("checks", &query).await?;
    console.answer(args.output, &all, |paint| show::checks(&all, args.output.format == Format::Wide, paint))
}

/// Log lines and events alike: a list, or what comes from now on. JSON is a line each, as a stream has no closing bracket.
struct Feed<'a, T> {
    client: &'a Client,
    follow: bool,
    output: Output,
    line: fn(&T, &Paint) -> String,
    empty: &'a str,
}

impl<T: Serialize + DeserializeOwned> Feed<'_, T> {
    async fn run(&self, path: &str, query: &[(&str, &str)], console: &mut Console) -> Result<Code, Failure> {
        if self.follow {
            self.client.follow(path, query, |frame| self.streamed(&frame, console)).await?;
            return Ok(Code::Done);
        }
        let all: Vec<T> = self.client.get(path, query).await?;
        if all.is_empty() && self.output.format != Format::Json {
            console.print(self.empty)?;
        }
        for one in &all {
            self.print(one, console)?;
        }
        Ok(Code::Done)
    }

    fn streamed(&self, frame: &Frame, console: &mut Console) -> Result<(), Failure> {
        #[derive(Deserialize)]
        struct Missed {
            missed: u64,
        }
        let unreadable = |error: serde_json::Error| Failure::new(Code::Failed, format!("the host sent what this CLI can't read: {error}"));
        if frame.event == "missed" {
            let Missed { missed } = serde_json::from_str(&frame.data).map_err(unreadable)?;
            eprintln!("({missed} missed)");
            return Ok(());
        }
        self.print(&serde_json::from_str(&frame.data).map_err(unreadable)?, console)
    }

    fn print(&self, one: &T, console: &mut Console) -> Result<(), Failure> {
        if self.output.format != Format::Json {
            return console.show(|paint| (self.line)(one, paint));
        }
        let line = serde_json::to_string(one).map_err(|error| Failure::new(Code::Failed, error.to_string()))?;
        console.print(&format!("{line}\n"))
    }
}

async fn logs(client: &Client, args: &args::Logs, console: &mut Console) -> Result<Code, Failure> {
    let empty = "no lines yet\n";
    let feed: Feed<'_, LogLine> = Feed { client, follow: args.follow, output: args.output, line: show::log_line, empty };
    let limit = args.lines.to_string();
    feed.run(&on(&args.name, "logs"), &[("limit", &limit), ("follow", flag(args.follow))], console).await
}

async fn events(client: &Client, args: &args::Events, console: &mut Console) -> Result<Code, Failure> {
    let feed: Feed<'_, EventRecord> =
        Feed { client, follow: args.follow, output: args.output, line: show::event_line, empty: "no events yet\n" };
    let limit = args.lines.to_string();
    let mut query = vec![("limit", limit.as_str())];
    query.extend(args.worker.as_deref().map(|name| ("worker", name)));
    feed.run(if args.follow { "events/stream" } else { "events" }, &query, console).await
}

#[derive(Deserialize)]
struct Accepted {
    message: String,
}

async fn act(client: &Client, names: &[String], act: &str, console: &mut Console) -> Result<Code, Failure> {
    for name in names {
        let done: Accepted = client.post(&on(name, act), &[], Vec::new()).await?;
        console.print(&format!("{name} {}\n", done.message))?;
    }
    Ok(Code::Done)
}

async fn amend(client: &Client, names: &[String], act: &str, done: &str, console: &mut Console) -> Result<Code, Failure> {
    for name in names {
        let plan: Plan = client.post(&on(name, act), &[], Vec::new()).await?;
        console.print(&plan::amended(name, done, &plan))?;
    }
    Ok(Code::Done)
}

/// Text, `@FILE`, or `-` for stdin.
pub(super) fn payload(text: &str) -> Result<Vec<u8>, Failure> {
    let whole = |from: &mut dyn Read| {
        let mut bytes = Vec::new();
        from.take(MAX_PAYLOAD_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > MAX_PAYLOAD_BYTES {
            let sentence = format!("what is sent is larger than {} MiB, the most that is carried", MAX_PAYLOAD_BYTES >> 20);
            return Err(Failure::new(Code::Refused, sentence));
        }
        Ok(bytes)
    };
    match (text, text.strip_prefix('@')) {
        ("-", _) => whole(&mut std::io::stdin().lock()),
        (_, Some(path)) => {
            let mut file = std::fs::File::open(path).map_err(|error| Failure::new(Code::Failed, format!("{path}: {error}")))?;
            whole(&mut file)
        }
        (text, None) => Ok(text.as_bytes().to_vec()),
    }
}

async fn call(client: &Client, args: &args::Call, console: &mut Console) -> Result<Code, Failure> {
    let (worker, replica) = replica_of(&args.name);
    let mut query = vec![("method", args.method.as_str()), ("timeout", args.timeout.as_str())];
    query.extend(replica.map(|replica| ("replica", replica)));
    let answer = client.exchange(&on(worker, "call"), &query, payload(&args.payload)?).await.map_err(|failure| match failure.status {
        // The worker's own error: the call was allowed, and failed.
        Some(422) => Failure { code: Code::Failed, ..failure },
        _ => failure,
    })?;
    console.bytes(&answer)?;
    if console.paint.colour && !answer.ends_with(b"\n") {
        console.print("\n")?;
    }
    Ok(Code::Done)
}
