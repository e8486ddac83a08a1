//! Things named like manifests that are none: told, never waited for.

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixListener},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use super::{host, nothing_of_it, problem, stderr};
use crate::support::{eventually, skep, text};

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// A comment of ten megabytes.
fn large(path: &Path) {
    fs::write(path, "#".repeat(10_000_000)).unwrap();
}

#[test]
fn what_is_no_file_is_told_and_the_rest_goes_on() {
    let host = host();
    let before = host.worker("bystander").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut sockets = Vec::new();
    let start = Instant::now();
    for name in ["folder.toml", "pipe.toml", "socket.toml", "link.toml", "large.toml", "latin.toml"] {
        let path = folder.path().join(name);
        for path in [path.as_path(), host.manifest(name).as_path()] {
            match name {
                "folder.toml" => fs::create_dir(path).unwrap(),
                "pipe.toml" => pipe(path),
                "socket.toml" => sockets.push(UnixListener::bind(path).unwrap()),
                "link.toml" => symlink("nowhere.toml", path).unwrap(),
                "large.toml" => large(path),
                _ => fs::write(path, b"# caf\xe9\n").unwrap(),
            }
        }
        let (dropped, by_hand) = match name {
            "folder.toml" => ("folder.toml: is a directory, not a manifest", "is a directory"),
            "pipe.toml" => ("pipe.toml: is not a regular file", "is a pipe that nobody writes into"),
            "socket.toml" => ("socket.toml: is not a regular file", "is a socket"),
            "link.toml" => ("link.toml: is a link to a file that is not there", "is a link to a file that is not there"),
            "large.toml" => ("large.toml: has 10000000 bytes; a manifest has at most 8388608 (8 MiB)", "is larger than 8 MiB"),
            _ => ("latin.toml: is not UTF-8 text (line 1, byte 5)", ":1: is not UTF-8 text at byte 5"),
        };
        let said = problem(&host, name);
        assert!(said.starts_with(dropped) && said.contains("hint: "), "drop {name}: {said}");
        let path = path.to_str().unwrap();
        let checked = skep(&["check", path]);
        let (out, applied) = (text(&checked.stdout), host.run(&["apply", "-f", path]));
        for (said, code) in [(out, checked.status.code()), (stderr(&applied), applied.status.code())] {
            assert_eq!(code, Some(4), "{name}: {said}");
            assert!(said.contains(name) && said.contains(by_hand) && said.contains("hint: "), "by hand {name}: {said}");
        }
        nothing_of_it(&host, &before);
    }
    assert!(start.elapsed() < Duration::from_secs(20), "something was waited for");
    // With all of them lying there, a good one is taken.
    host.drop_manifest("good.toml", "[[worker]]\nname = \"good\"\ncomponent = \"echo.wasm\"\n");
    host.worker_when("good", "running", |worker| worker["state"] == "running");
    assert_eq!(host.get("/api/v1/problems").json().as_array().unwrap().len(), 6);
    fs::remove_dir(host.manifest("folder.toml")).unwrap();
    for name in ["pipe.toml", "socket.toml", "link.toml", "large.toml", "latin.toml"] {
        fs::remove_file(host.manifest(name)).unwrap();
    }
    eventually("all is well", || (host.ok(&["get", "problems"]) == "no problems in the manifests folder\n").then_some(()));
}

#[test]
fn a_pipe_of_the_shell_is_read() {
    let shell = |script: &str| Command::new("bash").args(["-c", script, "bash", env!("CARGO_BIN_EXE_skep")]).output().unwrap();
    let good = "printf '[[worker]]\\nname = \"w\"\\ncomponent = \"x.wasm\"\\n'";
    let read = shell(&format!("\"$1\" check <({good})"));
    assert!(read.status.success() && text(&read.stdout).contains("1 worker: no problems"), "{read:?}");
}

#[test]
fn a_folder_that_cannot_be_read_keeps_everything() {
    let host = host();
    let before = host.worker("bystander").unwrap();
    let aside = host.data().join("aside");
    fs::rename(host.data().join("manifests"), &aside).unwrap();
    eventually("the folder is missed", || host.ok(&["get", "problems"]).contains("the manifests folder can't be read").then_some(()));
    nothing_of_it(&host, &before);
    fs::rename(&aside, host.data().join("manifests")).unwrap();
    eventually("it is found again", || (host.ok(&["get", "problems"]) == "no problems in the manifests folder\n").then_some(()));
    nothing_of_it(&host, &before);
}
