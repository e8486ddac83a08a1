//! Verbs that write the folder: what they leave in the files, and how to go back.

use std::fs;

use super::{echo, hourly, settled, title, undisturbed};
use crate::support::{Host, eventually, skep, text, web};

const COMMENTED: &str = "# Our fleet.\n\n# The first one.\n[[worker]]\nname = \"a\" # its id\ncomponent = \"echo.wasm\"\ntitle = \"old\" # shown on top\n\n\
# The second one.\n[[worker]]\nname   =   \"b\"\ncomponent = \"echo.wasm\"\n# the end\n";

/// Applies a text as a file of the user's.
fn apply(host: &Host, file: &str, text: &str, flags: &[&str]) -> std::process::Output {
    let path = host.data().join(file);
    fs::write(&path, text).unwrap();
    host.run(&[&["apply", "-f", path.to_str().unwrap()], flags].concat())
}

#[test]
fn edits_by_verb_keep_comments_and_touch_one_worker() {
    let host = Host::with(&["echo"]);
    host.drop_manifest("fleet.toml", COMMENTED);
    host.worker_when("b", "running", |worker| worker["state"] == "running");
    let before = host.worker("b").unwrap();
    let done = apply(&host, "new.toml", &echo("a", "title = \"new\"\n"), &[]);
    assert!(done.status.success(), "{done:?}");
    host.ok(&["scale", "a=2"]);
    host.ok(&["pause", "a"]);
    host.ok(&["resume", "a"]);
    let file = fs::read_to_string(host.manifest("fleet.toml")).unwrap();
    for kept in ["# Our fleet.\n\n# The first one.\n[[worker]]", "# The second one.\n[[worker]]\nname   =   \"b\"\n", "# the end\n"] {
        assert!(file.contains(kept), "{kept:?} went: {file}");
    }
    assert!(file.contains("title = \"new\"") && file.contains("replicas = 2") && !file.contains("paused = true"), "{file}");
    assert_eq!(fs::read_dir(host.data().join("manifests")).unwrap().count(), 1, "edited where it stands, and no draft is left");
    for fact in ["incarnation", "since"] {
        assert_eq!(before[fact], host.worker("b").unwrap()[fact]);
    }
}

#[test]
fn a_new_worker_gets_a_file_of_its_own_and_a_set_one_for_all() {
    let host = Host::with(&["echo"]);
    assert!(apply(&host, "x.toml", &echo("solo", ""), &[]).status.success());
    assert!(apply(&host, "team.toml", &(echo("one", "") + &echo("two", "")), &[]).status.success());
    let stdin = std::process::Command::new("sh")
        .args(["-c", "printf '%s' \"$1\" | \"$2\" --data \"$3\" apply -f -", "sh"])
        .args([echo("piped", "").as_str(), env!("CARGO_BIN_EXE_skep"), host.data().to_str().unwrap()])
        .output()
        .unwrap();
    assert!(stdin.status.success(), "{stdin:?}");
    let mut files: Vec<_> =
        fs::read_dir(host.data().join("manifests")).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(files, ["piped.toml", "solo.toml", "team.toml"]);
    assert_eq!(host.workers().len(), 4);
}

#[test]
fn diff_says_what_would_be_and_does_nothing() {
    let host = Host::with(&["echo"]);
    host.drop_manifest("fleet.toml", COMMENTED);
    host.worker_when("a", "running", |worker| worker["state"] == "running");
    let path = host.data().join("next.toml");
    let path = path.to_str().unwrap();
    fs::write(path, echo("a", "title = \"old\"\nconfig = { n = 1 }\n") + &echo("c", "")).unwrap();
    let said = host.fails(1, &["diff", "-f", path]);
    assert!(said.contains("update a") && said.contains("config") && said.contains("create c") && !said.contains(" b"), "{said}");
    let said = host.fails(1, &["diff", "--prune", "-f", path]);
    assert!(said.contains("remove b"), "{said}");
    assert_eq!(fs::read_to_string(host.manifest("fleet.toml")).unwrap(), COMMENTED);
    assert_eq!(host.workers().len(), 2);
    host.ok(&["apply", "-f", path]);
    let said = host.ok(&["diff", "-f", path]);
    assert!(said.contains("nothing to do"), "{said}");
}

#[test]
fn delete_takes_the_worker_and_an_empty_file_with_it() {
    let host = Host::with(&["echo"]);
    host.drop_manifest("fleet.toml", COMMENTED);
    host.drop_manifest("solo.toml", &echo("solo", ""));
    eventually("all are there", || (host.workers().len() == 3).then_some(()));
    let said = host.ok(&["delete", "worker", "a", "--dry-run"]);
    assert!(said.contains("remove a"), "{said}");
    assert_eq!(host.workers().len(), 3);
    host.ok(&["delete", "worker", "a", "solo"]);
    let left: Vec<_> = host.workers().iter().map(|worker| worker["name"].clone()).collect();
    assert_eq!(left, ["b"]);
    let file = fs::read_to_string(host.manifest("fleet.toml")).unwrap();
    assert!(!file.contains("\"a\"") && file.contains("# The second one.\n[[worker]]"), "{file}");
    assert!(!host.manifest("solo.toml").exists());
    let said = host.fails(3, &["delete", "worker", "bb"]);
    assert!(said.contains("no worker \"bb\"") && said.contains("\"b\""), "{said}");
}

#[test]
fn undo_goes_back_step_by_step() {
    let host = Host::with(&["echo"]);
    host.drop_manifest("other.toml", &hourly("other", ""));
    let other = settled(&host, "other");
    let titled = |text: &str| echo("e", &format!("# why {text}\ntitle = \"{text}\"\n"));
    for text in ["one", "two", "three"] {
        // By hand or by verb: both are steps.
        if text == "two" {
            host.drop_manifest("e.toml", &titled(text));
        } else {
            assert!(apply(&host, "x.toml", &titled(text), &[]).status.success());
        }
        host.worker_when("e", text, |worker| title(worker, text));
    }
    host.ok(&["delete", "worker", "e"]);
    let preview = host.ok(&["undo", "--dry-run"]);
    assert!(preview.contains("create e") && host.worker("e").is_none(), "{preview}");
    for text in ["three", "two", "one"] {
        host.ok(&["undo"]);
        host.worker_when("e", text, |worker| title(worker, text));
        let file = fs::read_to_string(host.manifest("e.toml")).unwrap();
        assert!(file.contains(&format!("# why {text}\n")), "comments come back too: {file}");
    }
    host.ok(&["undo"]);
    assert!(host.worker("e").is_none() && !host.manifest("e.toml").exists());
    undisturbed(&other, &host.worker("other").unwrap());
    host.ok(&["undo"]);
    assert!(host.workers().is_empty(), "back to the empty folder");
    let said = host.fails(4, &["undo"]);
    assert!(said.contains("no earlier generation"), "{said}");
}

#[test]
fn a_read_only_folder_answers_conflict_and_nothing_changes() {
    // Permissions do not stop root; the kernel's own file system lets nobody make a file.
    let mut host = Host::folders(&["echo", "poller"]).flags(&["--manifests", "/sys/kernel"]);
    host.start();
    let refused = apply(&host, "x.toml", &echo("x", ""), &[]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(4), "{said}");
    assert!(said.contains("the manifests folder is read-only") && said.contains("x.toml"), "{said}");
    assert!(host.workers().is_empty());
    let dry = apply(&host, "x.toml", &echo("x", ""), &["--dry-run"]);
    assert!(dry.status.success(), "what would be can be asked: {dry:?}");
    let token = host.bearer("admin.token");
    let monitor = r#"{"kind": "url", "url": "https://example.com", "every": "30s"}"#;
    for answer in [
        web::post(&host.admin, "/api/v1/apply", &token, &echo("x", "")),
        web::post(&host.admin, "/api/v1/monitors", &token, monitor),
        web::put(&host.admin, "/api/v1/files/x.toml", &token, &echo("x", "")),
    ] {
        assert_eq!(answer.status, 409, "{answer:?}");
        assert!(answer.body.contains("the manifests folder is read-only"), "{answer:?}");
    }
    assert!(host.workers().is_empty(), "nothing that isn't on disk is applied");
}

#[test]
fn an_apply_over_a_broken_file_says_which() {
    let host = Host::with(&["echo"]);
    host.drop_manifest("fleet.toml", &COMMENTED.replace("title", "tittle"));
    eventually("the problem", || host.ok(&["get", "problems"]).contains("fleet.toml").then_some(()));
    // A worker that stands in the broken file can't be applied around it; another one can.
    let refused = apply(&host, "b.toml", &echo("b", "title = \"x\"\n"), &[]);
    assert_eq!(refused.status.code(), Some(4));
    assert!(text(&refused.stderr).contains("fleet.toml:7:1: worker \"a\": tittle: unknown field"), "{refused:?}");
    assert!(apply(&host, "c.toml", &echo("c", ""), &[]).status.success());
    assert_eq!(host.workers().len(), 1);
    let missing = skep(&["--data", host.data().to_str().unwrap(), "get", "worker", "a"]);
    assert_eq!(missing.status.code(), Some(3));
    assert!(text(&missing.stderr).contains("was never applied"), "it says why it isn't there: {missing:?}");
}
