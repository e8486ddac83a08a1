//! `skep backup`: a folder with all that a host needs to go on as it was, made while it runs or not. Changes nothing else.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    failure::{Code, Failure},
    paint::{Ink, Paint, bytes, count},
};
use crate::{
    config::Settings,
    store::{self, CONTROL},
};

/// The file that says what the folder is.
pub const LABEL: &str = "backup.json";
/// The shape of the folder.
pub const FORMAT: u32 = 1;
pub const MANIFESTS: &str = "manifests";
pub const PLUGINS: &str = "plugins";
pub const SETTINGS: &str = "skep.toml";
/// Never in a backup: who may read one must not thereby hold the host's keys, and history may be large.
pub const LEFT_OUT: [&str; 4] = ["secrets/", "admin.token", "read.token", "history/"];

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    pub format: u32,
    /// The version that made it.
    pub skep: String,
    pub made_at: Timestamp,
    pub manifests: usize,
    pub plugins: usize,
    pub bytes: u64,
    pub left_out: Vec<String>,
}

/// Makes the folder `to`, whole or not at all.
pub fn make(settings: &Settings, to: &Path, now: Timestamp) -> Result<Label, Failure> {
    if fs::symlink_metadata(to).is_ok() {
        let hint = "name a folder that is not there yet, e.g. one with the date";
        return Err(Failure::new(Code::Refused, format!("{} is there already", to.display())).hint(hint));
    }
    if !settings.data.join(CONTROL).is_file() {
        let message = format!("{} holds no host's data: there is no {CONTROL}", settings.data.display());
        return Err(Failure::new(Code::NotFound, message).hint("name the data folder with --data"));
    }
    let aside = beside(to, "partial");
    remove(&aside)?;
    let made = fill(settings, &aside, now).and_then(|label| {
        sync(&aside)?;
        fs::rename(&aside, to).map_err(said(to))?;
        sync(to.parent().unwrap_or(to))?;
        Ok(label)
    });
    if made.is_err() {
        // The first failure is the one to tell.
        let _ = remove(&aside);
    }
    made
}

fn fill(settings: &Settings, to: &Path, now: Timestamp) -> Result<Label, Failure> {
    make_folder(to)?;
    store::copy_control(&settings.data, &to.join(CONTROL)).map_err(|error| Failure::new(Code::Failed, error.to_string()))?;
    let manifests = copy_folder(&settings.manifests, &to.join(MANIFESTS), "toml")?;
    let plugins = copy_folder(&settings.plugins, &to.join(PLUGINS), "wasm")?;
    let own = settings.data.join(SETTINGS);
    if own.is_file() {
        copy(&own, &to.join(SETTINGS))?;
    }
    let label = Label {
        format: FORMAT,
        skep: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: now,
        manifests,
        plugins,
        bytes: size(to)?,
        left_out: LEFT_OUT.map(str::to_owned).to_vec(),
    };
    let text = serde_json::to_string_pretty(&label).map_err(|error| Failure::new(Code::Failed, error.to_string()))?;
    let path = to.join(LABEL);
    let mut file = private(&path)?;
    file.write_all(format!("{text}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(said(&path))?;
    Ok(label)
}

pub fn render(label: &Label, to: &Path, paint: &Paint) -> String {
    let (manifests, plugins) = (count(label.manifests, "manifest"), count(label.plugins, "component"));
    format!(
        "{} {}: {CONTROL}, {manifests}, {plugins}, {}\n{} {}\n",
        paint.ink(Ink::Good, "backed up to"),
        to.display(),
        bytes(label.bytes),
        paint.ink(Ink::Faint, "left out:"),
        label.left_out.join(", "),
    )
}

/// `PATH.SUFFIX`.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

/// Copies the files with an extension; answers how many. A folder that isn't there has none.
pub fn copy_folder(from: &Path, to: &Path, extension: &str) -> Result<usize, Failure> {
    make_folder(to)?;
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries.map_err(said(from))?,
    };
    let mut copied = 0;
    for entry in entries {
        let path = entry.map_err(said(from))?.path();
        let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|found| found == extension)) else { continue };
        copy(&path, &to.join(name))?;
        copied += 1;
    }
    sync(to)?;
    Ok(copied)
}

/// Copies one file, durably, for its owner only: manifests may hold what is nobody else's.
pub fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let mut source = File::open(from).map_err(said(from))?;
    let mut file = private(to)?;
    io::copy(&mut source, &mut file).and_then(|_| file.sync_all()).map_err(said(to))
}

pub fn make_folder(path: &Path) -> Result<(), Failure> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(said(path))
}

/// Takes a file or folder away; what isn't there is fine.
pub fn remove(path: &Path) -> Result<(), Failure> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(said(path)(error)),
        _ => Ok(()),
    }
}

/// Makes renames in a folder durable.
pub fn sync(folder: &Path) -> Result<(), Failure> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(said(folder))
}

pub fn said(path: &Path) -> impl FnOnce(io::Error) -> Failure {
    move |error| Failure::new(Code::Failed, format!("{}: {error}", path.display()))
}

fn private(path: &Path) -> Result<File, Failure> {
    File::options().write(true).create_new(true).mode(0o600).open(path).map_err(said(path))
}

fn size(folder: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).map_err(said(folder))? {
        let path = entry.map_err(said(folder))?.path();
        bytes += if path.is_dir() { size(&path)? } else { fs::metadata(&path).map_err(said(&path))?.len() };
    }
    Ok(bytes)
}
