//! Through the real executable: streams and exit codes.

use std::{path::Path, process::Command};

use skep::facts::Problem;

fn skep(arguments: &[&str], dir: &Path) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skep"));
    command.args(arguments).current_dir(dir);
    for name in ["SKEP_ADMIN", "SKEP_TOKEN", "SKEP_DATA"] {
        command.env_remove(name);
    }
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn without_a_host_the_client_says_how_to_start_one() {
    let dir = tempfile::tempdir().unwrap();
    let (code, out, err) = skep(&["get", "workers"], dir.path());
    assert_eq!((code, out.as_str()), (5, ""));
    assert!(
        err.starts_with("error: no skep host answers at skep-data/skep.sock — start one with: skep up\nhint: "),
        "{err}"
    );
    let (code, _, err) = skep(&["checks", "--admin", "http://127.0.0.1:1"], dir.path());
    assert_eq!(code, 5);
    assert!(err.contains("no skep host answers at http://127.0.0.1:1"), "{err}");
}

#[test]
fn usage_is_2_and_unreadable_manifests_are_4() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(skep(&["nosuch"], dir.path()).0, 2);
    assert_eq!(skep(&["scale", "a"], dir.path()).0, 2);
    let (code, out, _) = skep(&["check", "none.toml", "."], dir.path());
    assert_eq!(code, 4);
    assert_eq!(
        out,
        "none.toml: no such file\n  hint: check the path\n.: is a directory\n  hint: name the files in it, e.g. DIR/*.toml\n\n2 problems in 2 of 2 files\n"
    );
    let (code, _, err) = skep(&["apply", "-f", "none.toml"], dir.path());
    assert_eq!(code, 4, "told before a host is asked");
    assert!(
        err.contains("none.toml: no such file") && err.contains("error: nothing was applied"),
        "{err}"
    );
    let (code, out, _) = skep(&["check", "none.toml", "-o", "json"], dir.path());
    let problems: Vec<Problem> = serde_json::from_str(&out).unwrap();
    assert_eq!((code, problems[0].file.as_str()), (4, "none.toml"));
}

#[test]
fn completions_are_scripts() {
    let dir = tempfile::tempdir().unwrap();
    for (shell, sign) in [("bash", "complete -F"), ("zsh", "#compdef skep"), ("fish", "complete -c skep")] {
        let (code, out, _) = skep(&["completions", shell], dir.path());
        assert!(code == 0 && out.contains(sign) && out.contains("doctor"), "{shell}");
    }
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_skep"))
        .args(["completions", "bash"])
        .current_dir(dir.path())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut told = String::new();
    std::io::Read::read_to_string(child.stderr.as_mut().unwrap(), &mut told).unwrap();
    assert_eq!((child.wait().unwrap().code(), told.as_str()), (Some(0), ""));
}
