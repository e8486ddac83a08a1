//! The node's own settings: flags, then `SKEP_*` in the environment, then `skep.toml`, then the defaults.
//!
//! What a worker is stands in manifests, never here; of them this file only carries `[defaults]`, unread. Nothing is bound or made
//! here. Unknown keys are refused with their line.

mod values;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use serde::Deserialize;

pub use self::values::{Address, AllowedHost, LogFormat, Size, Span};
use crate::facts::Problem;

/// The settings file's name in the data folder.
pub const FILE: &str = "skep.toml";
/// The data folder when nothing names one, in the current folder.
pub const DATA: &str = "skep-data";
/// The CLI's socket in the data folder.
pub const SOCKET: &str = "skep.sock";
pub const ADMIN: Address = Address(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7700));
pub const LISTEN: Address = Address(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7701));
/// A settings file is a page of text; more is a mistake.
const MAX_FILE_BYTES: u64 = 1 << 20;
const MAX_TITLE_BYTES: usize = 200;

/// Everything the appliance is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub data: PathBuf,
    pub manifests: PathBuf,
    pub plugins: PathBuf,
    /// API and metrics.
    pub admin: SocketAddr,
    /// Host names a proxy in front may use, beside the bound address.
    pub admin_hosts: Vec<AllowedHost>,
    /// The workers' HTTP routes.
    pub listen: SocketAddr,
    /// How long a stop may take.
    pub drain: Duration,
    pub log: LogFormat,
    pub limits: Limits,
    /// `[status]`, when it is on.
    pub status: Option<StatusPage>,
    /// Whether "everything is down at once" counts as this host being cut off.
    pub guard: bool,
    /// `[defaults]`: worker fields below what a manifest says.
    pub defaults: Option<toml::Table>,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
}

impl Settings {
    pub fn socket(&self) -> PathBuf {
        self.data.join(SOCKET)
    }

    /// `env`: how a variable is read (`std::env::var` in the binary).
    pub fn load(flags: Layer, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let above = flags.over(Layer::from_env(env)?);
        let (path, file) = read_file(&above)?;
        let status = file.status.clone().and_then(StatusTable::page);
        let guard = file.watch.guard.unwrap_or(true);
        let (file, defaults, limits, admin_hosts) = file.into_layer(path.as_deref());
        let all = above.over(file);
        let data = all.data.unwrap_or_else(|| PathBuf::from(DATA));
        Ok(Self {
            manifests: all.manifests.unwrap_or_else(|| data.join("manifests")),
            plugins: all.plugins.unwrap_or_else(|| data.join("plugins")),
            data,
            admin: all.admin.unwrap_or(ADMIN).0,
            admin_hosts,
            listen: all.listen.unwrap_or(LISTEN).0,
            drain: all.drain.map_or(Duration::from_secs(10), |span| span.0),
            log: all.log.unwrap_or_default(),
            limits,
            status,
            guard,
            defaults,
            file: path,
        })
    }
}

/// The status page that everyone may see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusPage {
    pub title: Option<String>,
    /// Groups and workers whose checks are shown; neither: all checks.
    pub groups: Vec<String>,
    pub workers: Vec<String>,
}

/// Bounds of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Cap of all history files together.
    pub history_bytes: u64,
    pub history_days: u32,
    /// Instances that can live at once: sizes the memory pool.
    pub residents: u32,
    /// Connections to the admin API at once.
    pub connections: u32,
    /// Streams of events and log lines at once.
    pub followers: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { history_bytes: 1 << 30, history_days: 400, residents: 10_000, connections: 1_024, followers: 256 }
    }
}

/// One layer of settings; what is `None` falls through to the one below.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layer {
    pub config: Option<PathBuf>,
    pub data: Option<PathBuf>,
    pub manifests: Option<PathBuf>,
    pub plugins: Option<PathBuf>,
    pub admin: Option<Address>,
    pub listen: Option<Address>,
    pub drain: Option<Span>,
    pub log: Option<LogFormat>,
}

impl Layer {
    fn from_env(env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        // A variable that is set but empty says nothing.
        let get = |name: &str| env(name).filter(|value| !value.is_empty());
        let path = |name: &str| get(name).map(PathBuf::from);
        Ok(Self {
            config: path("SKEP_CONFIG"),
            data: path("SKEP_DATA"),
            manifests: path("SKEP_MANIFESTS"),
            plugins: path("SKEP_PLUGINS"),
            // The same variable tells the client verbs whom to talk to, as a URL: that is not an address to listen on.
            admin: get("SKEP_ADMIN").filter(|value| !value.contains("://")).map(|value| parsed("SKEP_ADMIN", value)).transpose()?,
            listen: get("SKEP_LISTEN").map(|value| parsed("SKEP_LISTEN", value)).transpose()?,
            drain: get("SKEP_DRAIN").map(|value| parsed("SKEP_DRAIN", value)).transpose()?,
            log: get("SKEP_LOG_FORMAT").map(|value| parsed("SKEP_LOG_FORMAT", value)).transpose()?,
        })
    }

    /// This layer's values, else `below`'s.
    fn over(self, below: Self) -> Self {
        Self {
            config: self.config.or(below.config),
            data: self.data.or(below.data),
            manifests: self.manifests.or(below.manifests),
            plugins: self.plugins.or(below.plugins),
            admin: self.admin.or(below.admin),
            listen: self.listen.or(below.listen),
            drain: self.drain.or(below.drain),
            log: self.log.or(below.log),
        }
    }
}

fn parsed<T: FromStr<Err = String>>(name: &str, value: String) -> Result<T, ConfigError> {
    value.parse().map_err(|reason| ConfigError::Variable { name: name.to_owned(), reason })
}

/// Why the settings can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{name}: {reason}")]
    Variable { name: String, reason: String },
    #[error("{0}")]
    Invalid(Box<Problem>),
    #[error("{path}: {reason}")]
    Unreadable { path: String, reason: String },
}

/// `skep.toml` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    data: Option<PathBuf>,
    manifests: Option<PathBuf>,
    plugins: Option<PathBuf>,
    listen: Option<Address>,
    drain: Option<Span>,
    log: Option<LogFormat>,
    #[serde(default)]
    admin: AdminTable,
    #[serde(default)]
    limits: LimitsTable,
    status: Option<StatusTable>,
    #[serde(default)]
    watch: WatchTable,
    defaults: Option<toml::Table>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusTable {
    #[serde(default)]
    on: bool,
    title: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    workers: Vec<String>,
}

impl StatusTable {
    fn page(self) -> Option<StatusPage> {
        self.on.then_some(StatusPage { title: self.title, groups: self.groups, workers: self.workers })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AdminTable {
    address: Option<Address>,
    #[serde(default)]
    hosts: Vec<AllowedHost>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsTable {
    history_bytes: Option<Size>,
    history_days: Option<u32>,
    residents: Option<u32>,
    connections: Option<u32>,
    followers: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WatchTable {
    guard: Option<bool>,
}

impl File {
    /// Paths in the file are relative to its folder.
    fn into_layer(self, path: Option<&Path>) -> (Layer, Option<toml::Table>, Limits, Vec<AllowedHost>) {
        let folder = path.and_then(Path::parent).unwrap_or(Path::new(""));
        let rooted = |path: Option<PathBuf>| path.map(|path| folder.join(path));
        let usual = Limits::default();
        let limits = Limits {
            history_bytes: self.limits.history_bytes.map_or(usual.history_bytes, |size| size.0),
            history_days: self.limits.history_days.unwrap_or(usual.history_days),
            residents: self.limits.residents.unwrap_or(usual.residents),
            connections: self.limits.connections.unwrap_or(usual.connections),
            followers: self.limits.followers.unwrap_or(usual.followers),
        };
        let layer = Layer {
            config: None,
            data: rooted(self.data),
            manifests: rooted(self.manifests),
            plugins: rooted(self.plugins),
            admin: self.admin.address,
            listen: self.listen,
            drain: self.drain,
            log: self.log,
        };
        (layer, self.defaults, limits, self.admin.hosts)
    }

    /// What the types alone can't refuse: (dotted key, message, hint).
    fn mistake(&self, found_through_data: bool) -> Option<(&'static str, &'static str, &'static str)> {
        if found_through_data && self.data.is_some() {
            return Some((
                "data",
                "this file was found through the data folder and can't name another",
                "pass it with --config FILE, or leave `data` out",
            ));
        }
        let title = self.status.as_ref().and_then(|status| status.title.as_deref());
        if title.is_some_and(|title| title.trim().is_empty() || title.len() > MAX_TITLE_BYTES) {
            return Some(("status.title", "must have 1 to 200 bytes", "leave it out for \"Status\""));
        }
        let zero = [
            ("limits.history_bytes", self.limits.history_bytes == Some(Size(0))),
            ("limits.history_days", self.limits.history_days == Some(0)),
            ("limits.residents", self.limits.residents == Some(0)),
            ("limits.connections", self.limits.connections == Some(0)),
            ("limits.followers", self.limits.followers == Some(0)),
        ];
        let (key, _) = zero.into_iter().find(|(_, zero)| *zero)?;
        Some((key, "must be at least 1", "leave it out for the default"))
    }
}

/// The file that `--config` names, else the data folder's when there is one.
fn read_file(above: &Layer) -> Result<(Option<PathBuf>, File), ConfigError> {
    let data = above.data.clone().unwrap_or_else(|| PathBuf::from(DATA));
    let (path, named) = match &above.config {
        Some(path) => (path.clone(), true),
        None => (data.join(FILE), false),
    };
    let unreadable = |reason: String| ConfigError::Unreadable { path: path.display().to_string(), reason };
    match std::fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => return Ok((None, File::default())),
        Err(error) => return Err(unreadable(error.to_string())),
        Ok(meta) if !meta.is_file() => return Err(unreadable("is not a file".to_owned())),
        Ok(meta) if meta.len() > MAX_FILE_BYTES => return Err(unreadable(format!("is {} bytes; at most 1 MiB is read", meta.len()))),
        Ok(_) => {}
    }
    let text = std::fs::read_to_string(&path).map_err(|error| unreadable(error.to_string()))?;
    let file = parse(&path.display().to_string(), &text, !named)?;
    Ok((Some(path), file))
}

fn parse(name: &str, text: &str, found_through_data: bool) -> Result<File, ConfigError> {
    let invalid = |at: usize, field: Option<String>, message: String, hint: Option<String>| {
        let before = text.get(..at).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        ConfigError::Invalid(Box::new(Problem {
            file: name.to_owned(),
            line: u32::try_from(before.matches('\n').count() + 1).unwrap_or(u32::MAX),
            column: u32::try_from(before.get(line_start..).unwrap_or_default().chars().count() + 1).unwrap_or(u32::MAX),
            worker: None,
            field,
            message,
            hint,
        }))
    };
    let file: File = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let (message, hint) = reworded(error.message());
        invalid(at, None, message, hint)
    })?;
    match file.mistake(found_through_data) {
        None => Ok(file),
        Some((key, message, hint)) => {
            let at = place_of(text, key);
            Err(invalid(at, Some(key.to_owned()), message.to_owned(), Some(hint.to_owned())))
        }
    }
}

/// Where the last segment of a dotted key stands at a line's start; the file's start when it can't be told.
fn place_of(text: &str, key: &str) -> usize {
    let word = key.rsplit('.').next().unwrap_or(key);
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_start().strip_prefix(word).is_some_and(|rest| rest.trim_start().starts_with('=')) {
            return at;
        }
        at += line.len();
    }
    0
}

/// serde's sentence on an unknown key, as this host says it: what is wrong, then what there is.
fn reworded(message: &str) -> (String, Option<String>) {
    let Some(rest) = message.strip_prefix("unknown field `") else {
        return (message.to_owned(), None);
    };
    let mut quoted = rest.split('`');
    let key = quoted.next().unwrap_or_default();
    let known: Vec<&str> = quoted.skip(1).step_by(2).collect();
    (format!("unknown key \"{key}\""), Some(format!("known keys here: {}", known.join(", "))))
}
