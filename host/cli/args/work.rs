//! Verbs about work that waits, as clap reads them: queue, kv, limiter, scale. Must not do anything.

use clap::{Args, Subcommand, ValueEnum};

use super::Output;
use crate::facts::JobState;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  skep queue push todo-chunks @chunk.bin --key 2026-11-21\n  skep queue push resize @photo.jpg --wait     and print what the worker answered\n  skep queue peek resize\n  skep queue dead                             all that was given up, and why\n  skep queue dead resize -o json | jq -r '.[].id' | xargs skep queue retry"
)]
pub struct Queue {
    #[command(subcommand)]
    pub act: QueueAct,
}

#[derive(Debug, Subcommand)]
pub enum QueueAct {
    /// List queues and how many jobs stand where
    Ls {
        #[command(flatten)]
        output: Output,
    },
    /// Push a job and print its id
    Push(Push),
    /// Show a queue's jobs with their payloads, in the order they would run
    Peek(Peek),
    /// Show one job: state, attempts, payload, result
    Status {
        #[arg(value_name = "ID")]
        id: String,
        /// Wait until it is over, 5m at most when no time is given
        #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "5m")]
        wait: Option<String>,
        #[command(flatten)]
        output: Output,
    },
    /// Let dead or cancelled jobs wait again, with all their attempts
    Retry {
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// Take jobs back; a running one loses its lease
    Cancel {
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// Forget a queue's jobs in some states; running ones never
    Purge {
        #[arg(value_name = "QUEUE")]
        queue: String,
        /// Which jobs; may be given several times: delayed, waiting, done, dead, cancelled
        #[arg(long = "state", required = true, value_enum, value_delimiter = ',', value_name = "STATE", hide_possible_values = true)]
        states: Vec<Purgeable>,
    },
    /// List dead jobs and why they died
    Dead {
        /// Only this queue's
        #[arg(value_name = "QUEUE")]
        queue: Option<String>,
        /// The newest N of a queue
        #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 50)]
        lines: usize,
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Debug, Args)]
pub struct Push {
    #[arg(value_name = "QUEUE")]
    pub queue: String,
    /// Text, `@FILE`, or `-` for stdin; at most 1 MiB
    #[arg(value_name = "PAYLOAD", required_unless_present = "file")]
    pub payload: Option<String>,
    /// Take the payload from this file, `-` for stdin
    #[arg(long, value_name = "FILE", conflicts_with = "payload")]
    pub file: Option<String>,
    /// Not before this much time has passed
    #[arg(long, value_name = "DURATION")]
    pub delay: Option<String>,
    /// Higher runs first [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub priority: Option<i32>,
    /// While a job with this key is there, add nothing and print that one's id
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Attempts before it is dead [default: the queue's]
    #[arg(long, value_name = "N")]
    pub max_attempts: Option<u32>,
    /// Before the second attempt; doubled for each one after [default: the queue's]
    #[arg(long, value_name = "DURATION")]
    pub backoff: Option<String>,
    /// How long its result is kept [default: the queue's]
    #[arg(long, value_name = "DURATION")]
    pub result_ttl: Option<String>,
    /// Wait until it is over and print its result; 5m at most when no time is given
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "5m")]
    pub wait: Option<String>,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct Peek {
    #[arg(value_name = "QUEUE")]
    pub queue: String,
    /// Only jobs in this state
    #[arg(long, value_enum, value_name = "STATE", hide_possible_values = true)]
    pub state: Option<State>,
    /// At most N jobs
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 20)]
    pub lines: usize,
    #[command(flatten)]
    pub output: Output,
}

/// A job's state, as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum State {
    Delayed,
    Waiting,
    Running,
    Done,
    Dead,
    Cancelled,
}

/// A state whose jobs can be purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Purgeable {
    Delayed,
    Waiting,
    Done,
    Dead,
    Cancelled,
}

impl From<State> for JobState {
    fn from(state: State) -> Self {
        match state {
            State::Delayed => Self::Delayed,
            State::Waiting => Self::Waiting,
            State::Running => Self::Running,
            State::Done => Self::Done,
            State::Dead => Self::Dead,
            State::Cancelled => Self::Cancelled,
        }
    }
}

impl From<Purgeable> for JobState {
    fn from(state: Purgeable) -> Self {
        match state {
            Purgeable::Delayed => Self::Delayed,
            Purgeable::Waiting => Self::Waiting,
            Purgeable::Done => Self::Done,
            Purgeable::Dead => Self::Dead,
            Purgeable::Cancelled => Self::Cancelled,
        }
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  skep kv ls                                   buckets; a worker's own has its name\n  skep kv ls counter --prefix a\n  skep kv get counter a > value\n  skep kv set counter a 41 --revision 7\n  produce | skep kv set cache page - --ttl 1h"
)]
pub struct Kv {
    #[command(subcommand)]
    pub act: KvAct,
}

#[derive(Debug, Subcommand)]
pub enum KvAct {
    /// Print a key's value as it is
    Get {
        #[arg(value_name = "BUCKET")]
        bucket: String,
        #[arg(value_name = "KEY")]
        key: String,
        #[command(flatten)]
        output: Output,
    },
    /// Set a key and print its new revision
    Set(Set),
    /// List buckets, or a bucket's entries
    Ls {
        #[arg(value_name = "BUCKET")]
        bucket: Option<String>,
        /// Only keys that begin with this
        #[arg(long, value_name = "PREFIX", requires = "bucket")]
        prefix: Option<String>,
        /// Only keys behind this one: the page after
        #[arg(long, value_name = "KEY", requires = "bucket")]
        after: Option<String>,
        /// At most N entries
        #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 100)]
        lines: usize,
        #[command(flatten)]
        output: Output,
    },
    /// Delete keys
    Del {
        #[arg(value_name = "BUCKET")]
        bucket: String,
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub struct Set {
    #[arg(value_name = "BUCKET")]
    pub bucket: String,
    #[arg(value_name = "KEY")]
    pub key: String,
    /// Text, `@FILE`, or `-` for stdin; at most 1 MiB
    #[arg(value_name = "VALUE", allow_hyphen_values = true)]
    pub value: String,
    /// How long the key lives [default: for ever]
    #[arg(long, value_name = "DURATION")]
    pub ttl: Option<String>,
    /// Only if there is no such key
    #[arg(long, conflicts_with = "revision")]
    pub absent: bool,
    /// Only if the key has this revision
    #[arg(long, value_name = "N")]
    pub revision: Option<u64>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  skep limiter ls\n  skep limiter set poloniex 6/s      in force at once, and written into its manifest"
)]
pub struct Limiter {
    #[command(subcommand)]
    pub act: LimiterAct,
}

#[derive(Debug, Subcommand)]
pub enum LimiterAct {
    /// List limiters: rate as declared and in force, and who waits
    Ls {
        #[command(flatten)]
        output: Output,
    },
    /// Set a limiter's rate (writes `rate` into the manifest)
    Set {
        #[arg(value_name = "NAME")]
        name: String,
        /// Permits in a span, e.g. 6/s, 600/m, 1/2s
        #[arg(value_name = "RATE")]
        rate: String,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  skep scale permuter 4\n  skep scale permuter=4 chunk-cloner=8")]
pub struct Scale {
    /// A worker and how many replicas it shall have; NAME=N for several
    #[arg(required = true, value_name = "NAME N")]
    pub words: Vec<String>,
}

impl Scale {
    /// `NAME N`, or any number of `NAME=N`. No name is all digits, so that the two can't be mixed up.
    pub fn targets(&self) -> Result<Vec<ScaleTo>, String> {
        match self.words.as_slice() {
            [name, count] if !name.contains('=') && !count.contains('=') => format!("{name}={count}").parse().map(|target| vec![target]),
            words => words.iter().map(|word| word.parse()).collect(),
        }
    }
}

/// One worker's number of replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScaleTo {
    pub name: String,
    pub replicas: u32,
}

impl std::str::FromStr for ScaleTo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, count) =
            text.split_once('=').ok_or_else(|| format!("\"{text}\" says no number: write NAME N, or NAME=N for several"))?;
        let replicas = count.parse().map_err(|_| format!("\"{count}\" is not a number of replicas"))?;
        Ok(Self { name: name.to_owned(), replicas })
    }
}
