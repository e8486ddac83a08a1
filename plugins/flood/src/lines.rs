//! Floods of text: log lines, stdout and stderr, check reports.

use std::io::Write;

use serde_json::json;

use crate::bindings::skep::worker::{
    checks::{self, Status},
    log::{Level, write},
};

pub fn log(n: usize) -> String {
    for i in 1..=n {
        write(Level::Info, &format!("flood {i} of {n}"));
    }
    json!({ "written": n }).to_string()
}

pub fn long(n: usize) -> String {
    write(Level::Info, &"l".repeat(n));
    json!({ "written": n }).to_string()
}

pub fn standard(stream: &mut dyn Write, n: usize) -> String {
    let piece = [b'o'; 4096];
    let mut written = 0;
    while written < n {
        let piece = piece.get(..piece.len().min(n - written)).unwrap_or_default();
        match stream.write_all(piece).and_then(|()| stream.flush()) {
            Ok(()) => written += piece.len(),
            Err(error) => return json!({ "written": written, "error": error.to_string() }).to_string(),
        }
    }
    json!({ "written": written }).to_string()
}

pub fn report(subject: &str, detail: &str) -> String {
    match checks::report(subject, Status::Up, None, detail, None) {
        Ok(()) => json!({ "reported": 1 }).to_string(),
        Err(error) => json!({ "reported": 0, "error": format!("{error:?}") }).to_string(),
    }
}

/// Stops at the first refusal.
pub fn reports(n: usize) -> String {
    for i in 0..n {
        if let Err(error) = checks::report(&format!("flood {i}"), Status::Up, None, "", None) {
            return json!({ "reported": i, "error": format!("{error:?}") }).to_string();
        }
    }
    json!({ "reported": n }).to_string()
}
