//! `skep restore`: puts a backup in a data folder's place. What is there is never lost: it is refused, or moved aside with `--force`.
//!
//! Everything is checked and copied before anything is moved, under the lock that a host takes.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use jiff::{Timestamp, tz::TimeZone};

use super::{
    backup::{FORMAT, LABEL, LEFT_OUT, Label, MANIFESTS, PLUGINS, SETTINGS, beside, copy, copy_folder, make_folder, remove, said, sync},
    failure::{Code, Failure},
    paint::{Ink, Paint, count},
};
use crate::{
    appliance::lock,
    config::Settings,
    store::{self, CONTROL},
};

/// What a restore did.
#[derive(Debug)]
pub struct Restored {
    pub label: Label,
    /// What stood there before, under its new name.
    pub aside: Vec<PathBuf>,
}

/// One part of a backup and where it goes.
struct Part {
    from: PathBuf,
    to: PathBuf,
    /// Of the files of a folder; none: a file.
    extension: Option<&'static str>,
}

impl Part {
    /// The copy that waits to be moved in.
    fn staged(&self) -> PathBuf {
        beside(&self.to, "restoring")
    }

    /// Whether something stands there that somebody may want: an empty folder is nothing.
    fn taken(&self) -> Result<bool, Failure> {
        match fs::read_dir(&self.to) {
            Ok(mut entries) => Ok(entries.next().is_some()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(true),
            Err(error) => Err(said(&self.to)(error)),
        }
    }

    fn stage(&self) -> Result<(), Failure> {
        let staged = self.staged();
        remove(&staged)?;
        if let Some(parent) = staged.parent() {
            make_folder(parent)?;
        }
        match self.extension {
            Some(extension) => copy_folder(&self.from, &staged, extension).map(drop),
            None => copy(&self.from, &staged),
        }
    }

    fn swap(&self, stamp: &str, aside: &mut Vec<PathBuf>) -> Result<(), Failure> {
        if self.taken()? {
            let old = beside(&self.to, &format!("replaced-{stamp}"));
            // Committed changes may still be in the log beside a database: it keeps its name's start.
            for companion in ["-wal", "-shm"] {
                move_if_there(&with(&self.to, companion), &with(&old, companion))?;
            }
            fs::rename(&self.to, &old).map_err(said(&self.to))?;
            aside.push(old);
        } else if self.extension.is_some() {
            remove(&self.to)?;
        } else {
            // A log without its database belongs to nothing, and would be taken for the restored one's.
            ["-wal", "-shm"].iter().try_for_each(|companion| remove(&with(&self.to, companion)))?;
        }
        fs::rename(self.staged(), &self.to).map_err(said(&self.to))?;
        self.to.parent().map_or(Ok(()), sync)
    }
}

pub fn restore(settings: &Settings, from: &Path, force: bool, now: Timestamp) -> Result<Restored, Failure> {
    let label = read_label(from)?;
    store::check_control(&from.join(CONTROL)).map_err(|error| {
        Failure::new(Code::Refused, format!("this backup can't be used: {error}")).hint("take another backup; nothing was changed")
    })?;
    make_folder(&settings.data)?;
    check_owner(&settings.data.join(CONTROL))?;
    let _lock = lock::take(&settings.data).map_err(|error| Failure::new(Code::Refused, error.to_string()))?;

    let mut parts = vec![
        Part { from: from.join(CONTROL), to: settings.data.join(CONTROL), extension: None },
        Part { from: from.join(MANIFESTS), to: settings.manifests.clone(), extension: Some("toml") },
        Part { from: from.join(PLUGINS), to: settings.plugins.clone(), extension: Some("wasm") },
    ];
    if from.join(SETTINGS).is_file() {
        parts.push(Part { from: from.join(SETTINGS), to: settings.data.join(SETTINGS), extension: None });
    }
    let mut taken = Vec::new();
    for part in &parts {
        if part.taken()? {
            taken.push(part.to.display().to_string());
        }
    }
    if !taken.is_empty() && !force {
        let message = format!("{} would be replaced", taken.join(", "));
        return Err(Failure::new(Code::Refused, message).hint("with --force they are moved aside, under names that end in .replaced-TIME"));
    }
    let stamp = now.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut aside = Vec::new();
    parts.iter().try_for_each(Part::stage)?;
    parts.iter().try_for_each(|part| part.swap(&stamp, &mut aside)).map_err(|failure| {
        let moved: Vec<_> = aside.iter().map(|path| path.display().to_string()).collect();
        failure.hint(format!("restored in part; moved aside so far: {}. Run it again with --force once that is mended", moved.join(", ")))
    })?;
    Ok(Restored { label, aside })
}

pub fn render(done: &Restored, settings: &Settings, paint: &Paint) -> String {
    let Label { skep, made_at, manifests, plugins, .. } = &done.label;
    let mut text = format!(
        "{} {}: the backup of {} (skep {skep}), {}, {}\n",
        paint.ink(Ink::Good, "restored to"),
        settings.data.display(),
        paint.moment(*made_at),
        count(*manifests, "manifest"),
        count(*plugins, "component"),
    );
    for path in &done.aside {
        text.push_str(&format!("moved aside: {}\n", path.display()));
    }
    text.push_str(&format!("a backup has no {}: put secrets back before skep up; tokens are made anew\n", LEFT_OUT.join(", ")));
    text
}

/// What one user restores another user's host can't read.
fn check_owner(control: &Path) -> Result<(), Failure> {
    let (Ok(found), own) = (fs::metadata(control), rustix::process::geteuid().as_raw()) else { return Ok(()) };
    if found.uid() == own {
        return Ok(());
    }
    let message =
        format!("{} belongs to user {}, and this is user {own}: its host could not read what is restored", control.display(), found.uid());
    Err(Failure::new(Code::Refused, message).hint(format!("run it as that user: sudo -u '#{}' skep restore …", found.uid())))
}

fn read_label(from: &Path) -> Result<Label, Failure> {
    let path = from.join(LABEL);
    let text = fs::read_to_string(&path).map_err(|error| {
        let message = format!("{} is no backup of skep's: {LABEL}: {error}", from.display());
        let code = if error.kind() == io::ErrorKind::NotFound { Code::NotFound } else { Code::Failed };
        Failure::new(code, message).hint("name a folder that skep backup made")
    })?;
    let label: Label = serde_json::from_str(&text)
        .map_err(|error| Failure::new(Code::Refused, format!("{} is no backup of skep's: {error}", path.display())))?;
    if label.format != FORMAT {
        let message = format!("{} was made by skep {} in another form ({})", from.display(), label.skep, label.format);
        return Err(Failure::new(Code::Refused, message).hint("restore it with that version"));
    }
    Ok(label)
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn move_if_there(from: &Path, to: &Path) -> Result<(), Failure> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(said(from)(error)),
        _ => Ok(()),
    }
}
