//! The command line as clap reads it: verbs, flags and their help. Must not do anything.

mod work;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::work::*;
use crate::config::LogFormat;

const EXAMPLES: &str = "\
Examples:
  skep up                              run a host here: data, manifests and plugins in ./skep-data
  skep check manifests/*.toml          what is wrong with manifests, without a host
  skep apply -f watch.toml --dry-run   what applying would change
  skep apply -f watch.toml             apply it
  skep get workers                     what runs
  skep checks                          what the workers watch, and whether it is up
  skep queue ls                        what waits to be done, and what failed
  skep why pages                       why a worker is in its state, and what to do
  skep logs pages -f                   follow a worker's log

The client verbs talk to the host through the socket in its data folder (--data, SKEP_DATA);
with --admin or SKEP_ADMIN they use HTTP, with the token in SKEP_TOKEN.

Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 refused (invalid or denied), 5 no host.";

/// A host for WebAssembly workers: supervised, sandboxed, declared in manifests.
#[derive(Debug, Parser)]
#[command(name = "skep", bin_name = "skep", version, after_help = EXAMPLES, arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    pub host: Host,
    #[command(subcommand)]
    pub verb: Verb,
}

/// Which host a verb is about.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Host")]
pub struct Host {
    /// Talk to this host over HTTP, e.g. http://127.0.0.1:7700 [env: SKEP_ADMIN]
    #[arg(long, global = true, value_name = "URL")]
    pub admin: Option<String>,
    /// Token for --admin: the text of admin.token or read.token
    #[arg(long, global = true, value_name = "TOKEN", env = "SKEP_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// The host's data folder [default: skep-data]
    #[arg(long, global = true, value_name = "DIR", env = "SKEP_DATA", hide_env_values = true)]
    pub data: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run a host: workers as the manifests folder declares them
    Up(Up),
    /// Make workers as manifests declare them
    Apply(Apply),
    /// Show what applying would change; exit 1 when anything would
    Diff(Diff),
    /// List everything wrong with manifest files; needs no host
    Check(Check),
    /// Show workers, one worker, or problems in manifests
    Get(Get),
    /// Delete workers: out of their manifests, ended after their event in flight
    Delete(Delete),
    /// Go back a generation of the manifests folder
    Undo(Undo),
    /// Print a worker's log
    Logs(Logs),
    /// Print what happened on the host
    Events(Events),
    /// Watch workers, checks, queues and events live in the terminal, and act on them
    Top(Top),
    /// Say why a worker is in its state, when it is tried again, and what to do
    Why(One),
    /// List crashes
    Traps(Traps),
    /// Show one crash: cause, backtrace, input, last log lines
    Trap(Trap),
    /// Restart workers after their event in flight; ends quarantine
    Restart(Several),
    /// Keep workers but give them no ticks, jobs or requests (writes `paused` into their manifests)
    Pause(Several),
    /// Take `paused` back
    Resume(Several),
    /// Let workers finish their event in flight, then stop
    Drain(Several),
    /// Set how many replicas run (writes `replicas` into the manifest)
    Scale(Scale),
    /// Tick workers now, outside their schedule
    Tick(Several),
    /// Call a worker's method
    Call(Call),
    /// Show what workers watch: status, latency, uptime
    Checks(Checks),
    /// Look into queues, push jobs, see what became of them
    Queue(Queue),
    /// Look at and change the workers' key-value state
    Kv(Kv),
    /// Show limiters, set a limiter's rate
    Limiter(Limiter),
    /// Show what a component exports and imports; needs no host
    Inspect(Inspect),
    /// Look for what would keep a host from running well here
    Doctor(Doctor),
    /// Copy what a host needs to go on as it was into a folder, while it runs or not
    Backup(Backup),
    /// Put a backup in the data folder's place; needs a stopped host
    Restore(Restore),
    /// Print a completion script for a shell
    #[command(
        after_help = "Examples:\n  skep completions bash > ~/.local/share/bash-completion/completions/skep\n  skep completions fish > ~/.config/fish/completions/skep.fish"
    )]
    Completions { shell: Shell },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    #[default]
    Table,
    /// The table with more columns
    Wide,
    /// The API's own JSON
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// How a listing is printed.
#[derive(Debug, Clone, Copy, Args)]
pub struct Output {
    /// How to print it
    #[arg(
        short = 'o',
        long = "output",
        value_enum,
        default_value_t,
        value_name = "FORMAT",
        hide_possible_values = true,
        help = "How to print it: table, wide or json"
    )]
    pub format: Format,
}

const UP_HELP: &str = "\
Prints `admin http://ADDR`, `listen http://ADDR`, `page LINK` (it signs a browser in) and `ready` on stdout; logs go to stderr.
Settings come from flags, then SKEP_DATA, SKEP_MANIFESTS, SKEP_PLUGINS, SKEP_ADMIN (IP:PORT), SKEP_LISTEN,
SKEP_DRAIN, SKEP_LOG_FORMAT and SKEP_CONFIG, then skep.toml in the data folder. SKEP_LOG filters the log.

Examples:
  skep up
  skep up --data /var/lib/skep --admin 127.0.0.1:0
  skep up --manifests ./manifests --plugins ./plugins --log json

skep.toml:
  listen = \"0.0.0.0:7701\"
  [admin]
  address = \"127.0.0.1:7700\"
  hosts = [\"skep.example.com\"]       # what a proxy in front calls this host
  [limits]
  history_bytes = \"1GiB\"             # also history_days, residents, connections, followers
  [status]                           # a status page for everyone: /status, /badge/WORKER.svg; off without this
  on = true                          # also title, groups, workers (which are shown; neither: all checks)
  [watch]
  guard = true                       # everything down at once: this host is cut off, so unknown
  [defaults]                         # any worker field, below what manifests say
  restart = { intensity = 5 }";

#[derive(Debug, Args)]
#[command(after_help = UP_HELP)]
pub struct Up {
    /// Where the page and the API listen [default: 127.0.0.1:7700]
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<String>,
    /// Where the workers' HTTP routes listen [default: 127.0.0.1:7701]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Folder of manifests [default: DATA/manifests]
    #[arg(long, value_name = "DIR")]
    pub manifests: Option<PathBuf>,
    /// Folder of components [default: DATA/plugins]
    #[arg(long, value_name = "DIR")]
    pub plugins: Option<PathBuf>,
    /// Settings file [default: DATA/skep.toml when there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How long a stop may take [default: 10s]
    #[arg(long, value_name = "DURATION")]
    pub drain: Option<String>,
    /// How the log is written: text or json [default: text]
    #[arg(long, value_enum, value_name = "FORMAT", hide_possible_values = true)]
    pub log: Option<LogFormat>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  skep apply -f watch.toml\n  skep apply -f manifests/*.toml --prune     these and nothing else\n  generate | skep apply -f - --set generated"
)]
pub struct Apply {
    /// Manifest file, `-` for stdin; may be given several times
    #[arg(short = 'f', long = "file", required = true, num_args = 1.., value_name = "FILE")]
    pub files: Vec<String>,
    /// Show the plan and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Remove every worker that the files do not declare
    #[arg(long)]
    pub prune: bool,
    /// File in the manifests folder that new workers go to [default: NAME.toml of a single worker]
    #[arg(long, value_name = "NAME")]
    pub set: Option<String>,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 no difference, 1 differences, else as for every verb.")]
pub struct Diff {
    /// Manifest file, `-` for stdin; may be given several times
    #[arg(short = 'f', long = "file", required = true, num_args = 1.., value_name = "FILE")]
    pub files: Vec<String>,
    /// As if every worker that the files do not declare were to go
    #[arg(long)]
    pub prune: bool,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  skep check manifests/*.toml\n  skep check manifests/*.toml --plugins plugins   also that each component is there and serves its worker\n\nExit codes: 0 no problems, 4 problems."
)]
pub struct Check {
    /// Manifest files, checked together as one folder's
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Also check that every component is in this folder, loads and serves its worker
    #[arg(long, value_name = "DIR")]
    pub plugins: Option<PathBuf>,
    /// Settings file whose [defaults] apply [default: DATA/skep.toml when there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  skep get workers\n  skep get workers -o json | jq -r '.[] | select(.state != \"running\") | .name'\n  skep get worker pages\n  skep get maintenance\n  skep get problems"
)]
pub struct Get {
    #[command(subcommand)]
    pub what: What,
}

#[derive(Debug, Subcommand)]
pub enum What {
    /// All workers, and what is wrong in manifests
    Workers {
        #[command(flatten)]
        output: Output,
    },
    /// One worker, with everything known of it
    Worker {
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        output: Output,
    },
    /// Maintenance windows: which are open, which are to come
    Maintenance {
        #[command(flatten)]
        output: Output,
    },
    /// What is wrong in the manifests folder
    Problems {
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Debug, Args)]
pub struct Delete {
    #[command(subcommand)]
    pub what: Deleted,
}

#[derive(Debug, Subcommand)]
pub enum Deleted {
    /// Workers, by name
    Worker {
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Show the plan and do nothing
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Args)]
pub struct Undo {
    /// Show the plan and do nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct Logs {
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Go on with new lines as they come
    #[arg(short = 'f', long)]
    pub follow: bool,
    /// Begin with the newest N lines
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 100)]
    pub lines: usize,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct Events {
    /// Only events of this worker
    #[arg(value_name = "NAME")]
    pub worker: Option<String>,
    /// Go on with new events as they come
    #[arg(short = 'f', long)]
    pub follow: bool,
    /// Begin with the newest N events
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 50)]
    pub lines: usize,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum TopTab {
    #[default]
    Workers,
    Checks,
    Queues,
    Events,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Keys: 1-4 and Tab for workers, checks, queues and events; arrows or j k move; Enter shows all about a row; / filters;\ns sorts; r restarts, p pauses, t ticks, d drains a worker; ? lists them all; q ends.\n\nExamples:\n  skep top\n  skep top checks\n  skep top --once | grep quarantined\n  COLUMNS=160 LINES=60 skep top checks --once"
)]
pub struct Top {
    /// What to begin with: workers, checks, queues or events
    #[arg(value_enum, default_value_t, value_name = "TAB", hide_possible_values = true)]
    pub tab: TopTab,
    /// Print one frame as text and end; as large as COLUMNS and LINES say
    #[arg(long)]
    pub once: bool,
}

#[derive(Debug, Args)]
pub struct One {
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct Several {
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Traps {
    /// Only this worker's
    #[arg(value_name = "NAME")]
    pub worker: Option<String>,
    /// The newest N
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 20)]
    pub lines: usize,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct Trap {
    /// The id, or a unique beginning or end of it
    #[arg(value_name = "ID")]
    pub id: String,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The answer is printed as it came. An error the worker answers with goes to stderr, exit 1.\n\nExamples:\n  skep call echo say hello\n  skep call echo/1 say hello       only that replica\n  skep call echo say @body.json\n  produce | skep call echo say -"
)]
pub struct Call {
    /// Worker, or worker/REPLICA
    #[arg(value_name = "NAME")]
    pub name: String,
    #[arg(value_name = "METHOD")]
    pub method: String,
    /// Text, `@FILE`, or `-` for stdin
    #[arg(value_name = "PAYLOAD", default_value = "", hide_default_value = true)]
    pub payload: String,
    /// How long to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub timeout: String,
}

#[derive(Debug, Args)]
pub struct Checks {
    /// Only this worker's
    #[arg(value_name = "NAME")]
    pub worker: Option<String>,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct Inspect {
    #[arg(value_name = "FILE.wasm")]
    pub file: PathBuf,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct Doctor {
    /// Settings file [default: DATA/skep.toml when there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The folder has control.db (jobs, key-value state, crashes, events, check states), the manifests, the components and skep.toml.\nSecrets, tokens and the history of checks are left out.\n\nExample:\n  skep backup /backups/skep-$(date +%F)"
)]
pub struct Backup {
    /// The folder to make; must not be there yet
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
    /// Settings file [default: DATA/skep.toml when there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The backup is checked and copied before anything is moved. A host that runs on the data folder is left alone: stop it first.\n\nExample:\n  skep restore /backups/skep-2026-11-21 --force"
)]
pub struct Restore {
    /// A folder that `skep backup` made
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
    /// Move what is there aside, under names that end in .replaced-TIME
    #[arg(long)]
    pub force: bool,
    /// Settings file [default: DATA/skep.toml when there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}
