//! The command line: each verb asks the admin API (or looks at files) and prints the answer.
//!
//! Must not reach into the host's rooms: what a verb can do, any client of the API can. Stdout has answers, stderr has errors and hints.

pub mod args;
pub mod backup;
pub mod check;
pub mod client;
pub mod doctor;
pub mod failure;
pub mod files;
pub mod inspect;
mod kv;
mod limiter;
mod local;
pub mod paint;
pub mod plan;
mod queue;
pub mod records;
mod remote;
pub mod restore;
mod scale;
pub mod show;
pub mod table;
pub mod top;
pub mod work;

use std::{
    error::Error as _,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use clap::{CommandFactory, Parser};
use jiff::tz::TimeZone;

pub use self::args::Cli;
use self::{
    args::{Format, Output, Shell, Up, Verb},
    failure::{Code, Failure},
    paint::Paint,
};
use crate::{
    appliance::ApplianceError,
    clock::Clock,
    config::{self, ConfigError, Settings},
    facts::Payload,
    telemetry,
};

/// How a variable of the environment is read.
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Where a verb prints. A reader that went away (`| head`) ends the verb well.
pub(crate) struct Console {
    pub paint: Paint,
    out: io::StdoutLock<'static>,
}

impl Console {
    fn new() -> Self {
        let out = io::stdout().lock();
        Self { paint: paint_for(out.is_terminal()), out }
    }

    pub fn print(&mut self, text: &str) -> Result<(), Failure> {
        self.bytes(text.as_bytes())
    }

    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self.out.write_all(bytes).and_then(|()| self.out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::new(Code::Done, "")),
            written => Ok(written?),
        }
    }

    /// What a rendering function makes of this console's paint.
    pub fn show(&mut self, render: impl FnOnce(&Paint) -> String) -> Result<(), Failure> {
        let text = render(&self.paint);
        self.print(&text)
    }

    /// A verb's answer: the value as JSON when that is asked for, else as text.
    pub fn answer<T: serde::Serialize>(&mut self, output: Output, value: &T, text: impl FnOnce(&Paint) -> String) -> Result<Code, Failure> {
        match output.format {
            Format::Json => self.json(value)?,
            Format::Table | Format::Wide => self.show(text)?,
        }
        Ok(Code::Done)
    }

    /// Somebody's bytes as they are; on a terminal the prompt comes on a line of its own.
    pub fn raw(&mut self, payload: Payload) -> Result<Code, Failure> {
        let bytes = payload.into_bytes().map_err(|reason| Failure::new(Code::Failed, format!("what the host sent {reason}")))?;
        self.bytes(&bytes)?;
        if self.paint.colour && !bytes.ends_with(b"\n") {
            self.print("\n")?;
        }
        Ok(Code::Done)
    }

    fn json<T: serde::Serialize>(&mut self, value: &T) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(|error| Failure::new(Code::Failed, error.to_string()))?;
        self.print(&format!("{text}\n"))
    }
}

fn paint_for(terminal: bool) -> Paint {
    let wanted = env("NO_COLOR").is_none_or(|value| value.is_empty()) && env("TERM").is_none_or(|kind| kind != "dumb");
    Paint { colour: terminal && wanted, now: Clock::system().wall(), zone: TimeZone::system() }
}

/// Parses the command line, runs the verb, answers with its exit code.
pub fn main() -> ExitCode {
    // Clap prints usage errors and help itself, with codes 2 and 0.
    let cli = Cli::parse();
    let done = match cli.verb {
        Verb::Up(up) => serve(cli.host, up),
        Verb::Completions { shell } => completions(shell),
        verb => client(cli.host, verb),
    };
    let code = match done {
        Ok(code) => code,
        Err(failure) if failure.code == Code::Done => Code::Done,
        Err(failure) => {
            let _ = write!(io::stderr(), "{}", failure.render(&paint_for(io::stderr().is_terminal())));
            failure.code
        }
    };
    ExitCode::from(code as u8)
}

fn client(host: args::Host, verb: Verb) -> Result<Code, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(remote::run(&host, verb, &mut Console::new()))
}

fn completions(shell: Shell) -> Result<Code, Failure> {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "skep", &mut script);
    Console::new().bytes(&script)?;
    Ok(Code::Done)
}

fn serve(host: args::Host, up: Up) -> Result<Code, Failure> {
    let settings = Settings::load(layer(host, up)?, &env)?;
    telemetry::init(settings.log, &env).map_err(|sentence| Failure::new(Code::Usage, sentence))?;
    crate::appliance::up(settings).map_err(|error| {
        let code = if matches!(error, ApplianceError::Busy(_)) { Code::Refused } else { Code::Failed };
        let mut sentence = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            // Some errors already quote their cause.
            let deeper = error.to_string();
            if !sentence.contains(&deeper) {
                sentence = format!("{sentence}: {deeper}");
            }
            cause = error.source();
        }
        Failure::new(code, sentence)
    })?;
    Ok(Code::Done)
}

/// The flags of `skep up` as the top layer of settings.
pub fn layer(host: args::Host, up: Up) -> Result<config::Layer, Failure> {
    fn flag<T: std::str::FromStr<Err = String>>(name: &str, value: Option<String>) -> Result<Option<T>, Failure> {
        let parsed = value.map(|text| text.parse()).transpose();
        parsed.map_err(|reason| ConfigError::Variable { name: name.to_owned(), reason }.into())
    }
    Ok(config::Layer {
        config: up.config,
        data: host.data,
        manifests: up.manifests,
        plugins: up.plugins,
        admin: flag("--admin", up.admin)?,
        listen: flag("--listen", up.listen)?,
        drain: flag("--drain", up.drain)?,
        log: up.log,
    })
}
