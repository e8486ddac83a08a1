//! `skep doctor`: what would keep a host from running well here. Judges are pure; [`look`] gathers what they judge. Changes nothing.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::{Timestamp, civil::date};

use super::{
    check::{self, Present},
    paint::{Ink, Paint, bytes, count, safe},
};
use crate::{
    api::{
        access::{ADMIN_TOKEN, READ_TOKEN},
        host::HostView,
    },
    config::Settings,
    store::{self, Health},
};

/// How long all database files together are looked at.
const LOOK: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One thing looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub verdict: Verdict,
    pub about: &'static str,
    pub found: String,
    pub remedy: Option<String>,
}

impl Finding {
    fn ok(about: &'static str, found: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, about, found: found.into(), remedy: None }
    }

    fn warn(about: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warn, about, found: found.into(), remedy: Some(remedy.into()) }
    }

    fn fail(about: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, about, found: found.into(), remedy: Some(remedy.into()) }
    }
}

/// Everything, in the order a person would look. `host`: what answered, if anything did.
pub fn look(settings: &Settings, host: Option<&HostView>, now: Timestamp) -> Vec<Finding> {
    let mut all = vec![
        judge_host(host),
        judge_port("admin port", settings.admin, bind(settings.admin), host.is_some()),
        judge_port("listen port", settings.listen, bind(settings.listen), host.is_some()),
        data_folder(&settings.data),
    ];
    all.extend([ADMIN_TOKEN, READ_TOKEN].into_iter().filter_map(|name| secret_file(&settings.data.join(name))));
    all.extend(
        existing(&settings.data)
            .and_then(|folder| rustix::fs::statvfs(folder).ok())
            .map(|disk| judge_disk(disk.f_bavail.saturating_mul(disk.f_frsize))),
    );
    all.extend(judge_kept(&store::examine(&settings.data, LOOK)));
    all.push(plugins(&settings.plugins));
    all.push(manifests(settings));
    all.push(judge_sqlite(store::sqlite_version()));
    all.push(judge_files(rustix::process::getrlimit(rustix::process::Resource::Nofile).current));
    all.extend(kernel_number("/proc/sys/vm/max_map_count").map(judge_maps));
    all.extend(
        kernel_number("/proc/sys/fs/inotify/max_user_watches")
            .map(|watches| judge_inotify(watches, kernel_number("/proc/sys/fs/inotify/max_user_instances").unwrap_or(u64::MAX))),
    );
    all.push(judge_clock(now));
    all
}

pub fn judge_host(host: Option<&HostView>) -> Finding {
    match host {
        None => Finding::ok("host", "none runs on this data folder"),
        Some(host) if host.version != env!("CARGO_PKG_VERSION") => Finding::warn(
            "host",
            format!("version {} answers; this CLI is {}", host.version, env!("CARGO_PKG_VERSION")),
            "restart the host with this binary",
        ),
        Some(host) => {
            let workers: usize = host.workers.values().sum();
            let found = format!("version {} answers: generation {}, {}", host.version, host.generation, count(workers, "worker"));
            if host.store_dropped > 0 {
                let dropped = format!("{found}; its store dropped {} records", host.store_dropped);
                return Finding::warn("host", dropped, "the disk is too slow for what is recorded: use a faster one, or longer intervals");
            }
            if host.traps_lost > 0 {
                let lost = format!("{found}; {} crashes left no record", host.traps_lost);
                return Finding::warn("host", lost, "workers crash faster than it can be written down: see skep get workers");
            }
            Finding::ok("host", found)
        }
    }
}

fn bind(address: SocketAddr) -> Result<(), String> {
    std::net::TcpListener::bind(address).map(drop).map_err(|error| error.to_string())
}

pub fn judge_port(about: &'static str, address: SocketAddr, bound: Result<(), String>, host_runs: bool) -> Finding {
    match bound {
        Ok(()) => Finding::ok(about, format!("{address} is free")),
        Err(_) if host_runs => Finding::ok(about, format!("{address} is in use, and a host runs here")),
        Err(error) => {
            Finding::fail(about, format!("{address}: {error}"), "end what holds it, or choose another with --admin, --listen or skep.toml")
        }
    }
}

fn data_folder(path: &Path) -> Finding {
    let about = "data folder";
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Finding::ok(about, format!("{} is not there yet; skep up makes it", path.display()));
        }
        Err(error) => return Finding::fail(about, format!("{}: {error}", path.display()), "let this user reach it"),
    };
    if !meta.is_dir() {
        return Finding::fail(about, format!("{} is not a folder", path.display()), "name another with --data");
    }
    if rustix::fs::access(path, rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_err() {
        return Finding::fail(about, format!("{} can't be written by this user", path.display()), "run as its owner, or change its owner");
    }
    judge_data_mode(&path.display().to_string(), meta.permissions().mode())
}

pub fn judge_data_mode(path: &str, mode: u32) -> Finding {
    if mode & 0o002 != 0 {
        return Finding::fail("data folder", format!("{path} can be written by everyone"), format!("chmod o-w {path}"));
    }
    Finding::ok("data folder", format!("{path} ({:03o})", mode & 0o777))
}

fn secret_file(path: &Path) -> Option<Finding> {
    let mode = fs::metadata(path).ok()?.permissions().mode();
    judge_secret_mode(&path.display().to_string(), mode)
}

/// Only what is wrong: a token that others can read is no secret.
pub fn judge_secret_mode(path: &str, mode: u32) -> Option<Finding> {
    (mode & 0o077 != 0)
        .then(|| Finding::fail("token", format!("{path} can be read by others ({:03o})", mode & 0o777), format!("chmod 600 {path}")))
}

/// The folder itself, or the nearest one above it that is there.
fn existing(path: &Path) -> Option<&Path> {
    path.ancestors().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder }).find(|folder| folder.exists())
}

pub fn judge_disk(free: u64) -> Finding {
    let found = format!("{} free", bytes(free));
    match free {
        0..0x0400_0000 => Finding::fail("disk", found, "free some: the store can't be written without"),
        0x0400_0000..0x4000_0000 => {
            Finding::warn("disk", found, "history may take 1 GiB: free some, or lower limits.history_bytes in skep.toml")
        }
        _ => Finding::ok("disk", found),
    }
}

/// What is kept, as far as it is damaged; one line when it is sound. History is not worth stopping for, everything else is.
pub fn judge_kept(files: &[(PathBuf, Health)]) -> Vec<Finding> {
    let about = "kept state";
    let mut findings = Vec::new();
    for (path, health) in files {
        let Health::Damaged(how) = health else { continue };
        let name = path.display();
        // Some sentences begin with the file themselves.
        let found = if how.contains(&name.to_string()) { how.clone() } else { format!("{name} {how}") };
        findings.push(if path.ends_with(store::CONTROL) {
            let remedy =
                format!("stop the host, then skep restore FOLDER --force; without a backup, move it aside with {name}-wal and -shm");
            Finding::fail(about, found, remedy)
        } else {
            Finding::warn(about, found, format!("move it aside with {name}-wal and -shm: what checks saw in that time is lost"))
        });
    }
    let unfinished = files.iter().filter(|(_, health)| *health == Health::Unfinished).count();
    if unfinished > 0 {
        let found = format!("{} too large to be read through in {} s", count(unfinished, "file"), LOOK.as_secs());
        findings.push(Finding::ok(about, found));
    } else if findings.is_empty() && !files.is_empty() {
        findings.push(Finding::ok(about, format!("{} sound", count(files.len(), "file"))));
    }
    findings
}

fn files_named(folder: &Path, extension: &str) -> std::io::Result<Vec<std::path::PathBuf>> {
    let mut found: Vec<_> = fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    found.sort();
    Ok(found)
}

fn plugins(folder: &Path) -> Finding {
    match files_named(folder, "wasm") {
        Ok(found) if found.is_empty() => Finding::warn(
            "plugins",
            format!("{} has no components", folder.display()),
            "put .wasm files there, or name their folder with --plugins",
        ),
        Ok(found) => Finding::ok("plugins", format!("{}: {}", folder.display(), count(found.len(), "component"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Finding::warn(
            "plugins",
            format!("{} is not there yet", folder.display()),
            "put .wasm files there, or name their folder with --plugins",
        ),
        Err(error) => Finding::fail("plugins", format!("{}: {error}", folder.display()), "let this user read it"),
    }
}

fn manifests(settings: &Settings) -> Finding {
    let folder = settings.manifests.display();
    match files_named(&settings.manifests, "toml") {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Finding::ok("manifests", format!("{folder} is not there yet")),
        Err(error) => Finding::fail("manifests", format!("{folder}: {error}"), "let this user read it"),
        Ok(found) => {
            let report = check::run(&found, settings.defaults.clone(), Some(&mut Present(&settings.plugins)));
            let sum = format!("{folder}: {}, {}", count(report.files, "file"), count(report.workers, "worker"));
            if report.problems.is_empty() {
                return Finding::ok("manifests", sum);
            }
            let problems = format!("{sum}, {}", count(report.problems.len(), "problem"));
            Finding::fail("manifests", problems, format!("skep check {folder}/*.toml --plugins {} lists them", settings.plugins.display()))
        }
    }
}

/// Before 3.51.3 a reset of the write-ahead log can corrupt the file.
pub fn judge_sqlite(version: &str) -> Finding {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let number = (parts.next().unwrap_or(0), parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if number < (3, 51, 3) {
        return Finding::fail("sqlite", format!("{version} is older than 3.51.3"), "build skep with its bundled SQLite");
    }
    Finding::ok("sqlite", version)
}

/// The host raises the soft limit itself as far as the hard one lets it; what it can't raise is told here.
pub fn judge_files(soft: Option<u64>) -> Finding {
    let remedy = "raise it: ulimit -n 65536, or LimitNOFILE=65536 in the systemd unit";
    match soft {
        None => Finding::ok("open files", "no limit"),
        Some(limit) if limit < 256 => Finding::fail("open files", format!("at most {limit}"), remedy),
        Some(limit) if limit < 1_024 => Finding::warn("open files", format!("at most {limit}"), remedy),
        Some(limit) => Finding::ok("open files", format!("at most {limit}")),
    }
}

fn kernel_number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

pub fn judge_maps(count: u64) -> Finding {
    let found = format!("vm.max_map_count = {count}");
    if count < 65_530 {
        return Finding::warn("memory maps", found, "sysctl -w vm.max_map_count=65530, or lower limits.residents in skep.toml");
    }
    Finding::ok("memory maps", found)
}

pub fn judge_inotify(watches: u64, instances: u64) -> Finding {
    let found = format!("{watches} watches, {instances} instances a user");
    if watches < 64 || instances < 8 {
        return Finding::warn(
            "inotify",
            found,
            "sysctl -w fs.inotify.max_user_watches=8192 fs.inotify.max_user_instances=128: changed files may go unseen",
        );
    }
    Finding::ok("inotify", found)
}

/// A clock that stands before this program was written is wrong, and certificates and cron with it.
pub fn judge_clock(now: Timestamp) -> Finding {
    let written = date(2026, 1, 1).to_zoned(jiff::tz::TimeZone::UTC).map_or(Timestamp::UNIX_EPOCH, |day| day.timestamp());
    let found = format!("{} UTC", now.strftime("%Y-%m-%d %H:%M:%S"));
    if now < written {
        return Finding::fail("clock", found, "set the clock: certificates and schedules need the right time");
    }
    Finding::ok("clock", found)
}

pub fn worst(all: &[Finding]) -> Verdict {
    if all.iter().any(|one| one.verdict == Verdict::Fail) {
        Verdict::Fail
    } else if all.iter().any(|one| one.verdict == Verdict::Warn) {
        Verdict::Warn
    } else {
        Verdict::Ok
    }
}

pub fn render(all: &[Finding], paint: &Paint) -> String {
    let width = all.iter().map(|one| one.about.len()).max().unwrap_or(0);
    let mut text = String::new();
    for one in all {
        let (word, ink) = match one.verdict {
            Verdict::Ok => ("ok  ", Ink::Good),
            Verdict::Warn => ("warn", Ink::Notice),
            Verdict::Fail => ("fail", Ink::Bad),
        };
        text.push_str(&format!("{}  {:width$}  {}\n", paint.ink(ink, word), one.about, safe(&one.found)));
        if let Some(remedy) = &one.remedy {
            text.push_str(&format!("      {:width$}  {} {}\n", "", paint.ink(Ink::Notice, "->"), safe(remedy)));
        }
    }
    let number = |verdict| all.iter().filter(|one| one.verdict == verdict).count();
    text.push_str(&match (number(Verdict::Fail), number(Verdict::Warn)) {
        (0, 0) => "\nall is well\n".to_owned(),
        (0, warned) => format!("\n{}, nothing that stops a host\n", count(warned, "warning")),
        (failed, warned) => format!("\n{} to repair, {}\n", count(failed, "thing"), count(warned, "warning")),
    });
    text
}
