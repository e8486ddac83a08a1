//! Manifest files as verbs take them: read with bounds, put together for one apply, and problems led back to their file.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::{OFlags, fcntl_setfl};

use crate::{facts::Problem, manifest::MAX_FILE_BYTES};

/// Stdin's name in problems.
pub const STDIN: &str = "<stdin>";

fn about(file: &str, message: String, hint: &str) -> Box<Problem> {
    Box::new(Problem { file: file.to_owned(), line: 0, column: 0, worker: None, field: None, message, hint: Some(hint.to_owned()) })
}

/// A manifest's text, or the one problem that keeps it from being read.
pub fn read(path: &Path) -> Result<String, Box<Problem>> {
    let name = path.display().to_string();
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Err(about(&name, "is a directory".to_owned(), "name the files in it, e.g. DIR/*.toml")),
        Ok(meta) if meta.file_type().is_socket() => Err(about(&name, "is a socket".to_owned(), "name a file, or - for stdin")),
        Ok(meta) if meta.len() > MAX_FILE_BYTES => Err(too_large(&name)),
        // What is not a plain file may still be a pipe of the shell.
        Ok(meta) if meta.file_type().is_fifo() => read_pipe(&name, path),
        Ok(_) => File::open(path).map_err(|error| unreadable(&name, &error)).and_then(|file| read_all(&name, file)),
        Err(error) => Err(unreadable(&name, &error)),
    }
}

/// A pipe that has a writer; for one that has none nobody waits.
fn read_pipe(name: &str, path: &Path) -> Result<String, Box<Problem>> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let pipe = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|error| unreadable(name, &error))?;
    fcntl_setfl(&pipe, OFlags::empty()).map_err(|error| unreadable(name, &error.into()))?;
    match read_all(name, pipe)? {
        text if text.is_empty() => Err(about(name, "is a pipe that nobody writes into".to_owned(), "name a file, or - for stdin")),
        text => Ok(text),
    }
}

/// The same of any stream, e.g. stdin.
pub fn read_all(name: &str, from: impl Read) -> Result<String, Box<Problem>> {
    let mut bytes = Vec::new();
    from.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|error| unreadable(name, &error))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(too_large(name));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        let problem = about(name, format!("is not UTF-8 text at byte {at}"), "a manifest is TOML, saved as UTF-8");
        Box::new(Problem { line: u32::try_from(line).unwrap_or(u32::MAX), ..*problem })
    })
}

fn too_large(name: &str) -> Box<Problem> {
    about(name, format!("is larger than {} MiB", MAX_FILE_BYTES >> 20), "split it into several files")
}

fn unreadable(name: &str, error: &io::Error) -> Box<Problem> {
    match error.kind() {
        io::ErrorKind::NotFound if Path::new(name).is_symlink() => {
            about(name, "is a link to a file that is not there".to_owned(), "mend the link")
        }
        io::ErrorKind::NotFound => about(name, "no such file".to_owned(), "check the path"),
        io::ErrorKind::PermissionDenied => about(name, "permission denied".to_owned(), "make it readable for this user"),
        _ => about(name, format!("can't be read: {error}"), "check the file"),
    }
}

/// Several files as one text, as one apply needs them.
#[derive(Debug, Default)]
pub struct Joined {
    pub text: String,
    /// Name and number of the first line in `text`, from 1.
    parts: Vec<(String, u32)>,
    workers: usize,
}

impl Joined {
    pub fn add(&mut self, name: &str, text: &str) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        let line = self.text.matches('\n').count() + 1;
        self.parts.push((name.to_owned(), u32::try_from(line).unwrap_or(u32::MAX)));
        self.workers += text.lines().filter(|line| line.trim_start().starts_with("[[worker]]")).count();
        self.text.push_str(text);
    }

    /// The apply set a single file of several workers goes to: its own name. The host names all others.
    pub fn set(&self) -> Option<String> {
        let [(name, _)] = self.parts.as_slice() else { return None };
        let stem = Path::new(name).file_stem()?.to_str()?;
        let plain = stem.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        (self.workers > 1 && plain && stem.len() <= 63).then(|| stem.to_owned())
    }

    /// Names the file a problem of the joined text stands in. A problem in a file of the host's folder (`NAME.toml`) is left alone.
    pub fn trace(&self, problem: &mut Problem) {
        if problem.file.ends_with(".toml") {
            return;
        }
        let part = self.parts.iter().rev().find(|(_, first)| *first <= problem.line.max(1));
        if let Some((name, first)) = part {
            name.clone_into(&mut problem.file);
            problem.line = if problem.line == 0 { 0 } else { problem.line + 1 - first };
        }
    }
}
