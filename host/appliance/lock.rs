//! One host a data folder: an advisory lock that the kernel drops with the process, however it ends.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rustix::fs::{FlockOperation, flock};

use super::{ApplianceError, io};

/// Held as long as the host runs.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "held, not read")] File);

/// Takes the data folder, or says who has it.
pub fn take(data: &Path) -> Result<Lock, ApplianceError> {
    let path = data.join("skep.lock");
    let what = || format!("{} can't be locked", path.display());
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(io(what()))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut holder = String::new();
        let _ = file.read_to_string(&mut holder);
        let data = fs::canonicalize(data).unwrap_or_else(|_| data.to_owned());
        return Err(ApplianceError::Busy(format!(
            "another skep (pid {}) runs on {}; stop it, or give this one its own --data",
            holder.trim(),
            data.display()
        )));
    }
    file.set_len(0).map_err(io(what()))?;
    file.rewind().map_err(io(what()))?;
    writeln!(file, "{}", std::process::id()).map_err(io(what()))?;
    Ok(Lock(file))
}
