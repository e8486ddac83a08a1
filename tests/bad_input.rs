//! Everything a person or a disk can get wrong, dropped into the folder, checked and applied: a clear sentence with file, worker and
//! field, nothing of that file applied, and the rest goes on.

#[path = "bad_input/components.rs"]
mod components; // files that are no components this host can run; `skep inspect`
#[path = "bad_input/files.rs"]
mod files; // manifests that are no files: folders, pipes, links, too large

use std::{fs, path::PathBuf, process::Output};

use serde_json::Value;

use crate::support::{Host, eventually, skep, text};

/// One bad manifest, and what must be said of it.
struct Bad {
    name: &'static str,
    text: String,
    /// Line, worker, field and the beginning of the sentence, as shown.
    says: &'static str,
    /// A word of the remedy.
    hint: &'static str,
}

/// A worker with one line more. The line is the fourth.
fn with(line: &str) -> String {
    format!("[[worker]]\nname = \"w\"\ncomponent = \"echo.wasm\"\n{line}\n")
}

fn bad(name: &'static str, text: String, says: &'static str, hint: &'static str) -> Bad {
    Bad { name, text, says, hint }
}

fn manifests() -> Vec<Bad> {
    vec![
        bad(
            "unknown-field",
            with("scheduel = { every = \"1h\" }"),
            ":4:1: worker \"w\": scheduel: unknown field",
            "did you mean \"schedule\"?",
        ),
        bad("unknown-table", "[[wroker]]\nname = \"w\"\n".to_owned(), ":1:1: unknown table \"wroker\"", "[[worker]]"),
        bad("wrong-type", with("replicas = \"two\""), ":4:12: worker \"w\": replicas: must be a whole number, not text", "replicas = 1"),
        bad("wrong-table", with("schedule = \"1h\""), ":4:12: worker \"w\": schedule: must be", "every"),
        bad("zero-interval", with("schedule = { every = \"0s\" }"), ":4:22: worker \"w\": schedule.every: must be more than zero", "30s"),
        bad("negative-interval", with("schedule = { every = \"-5s\" }"), ":4:22: worker \"w\": schedule.every: \"-5s\" is negative", "30s"),
        bad("number-interval", with("schedule = { every = 30 }"), ":4:22: worker \"w\": schedule.every: must be", "30s"),
        bad("no-component", "[[worker]]\nname = \"w\"\n".to_owned(), ":1:1: worker \"w\": component: is missing", "component = "),
        bad("no-name", "[[worker]]\ncomponent = \"echo.wasm\"\n".to_owned(), ":1:1: name: is missing", "name = "),
        bad("bad-name", with("").replace("\"w\"", "\"Big Name\""), ":2:8: worker \"Big Name\": name: ", "a-z"),
        bad("twice", with("") + &with(""), ":6:8: worker \"w\": name: the name \"w\" is already taken on line 2", "another name"),
        bad(
            "unknown-grant",
            with("grants = { teleport = [\"mars\"] }"),
            ":4:12: worker \"w\": grants.teleport: unknown capability",
            "http",
        ),
        bad(
            "unknown-limiter",
            with("grants = { http = { allow = [\"https://a.b\"], limiter = \"nope\" } }"),
            ":1: worker \"w\": grants.http.limiter: there is no limiter \"nope\"",
            "[[limiter]]",
        ),
        bad("not-toml", "[[worker]\nname = \"w\"\n".to_owned(), ":1:", ""),
        bad("outside", with("").replace("echo.wasm", "../echo.wasm"), ":3:13: worker \"w\": component: ", "plugins folder"),
        bad("later", with("approve = true"), ":1: worker \"w\": approve: not in this build", "take it out"),
    ]
}

/// A host with a worker that has nothing to do with it all.
fn host() -> Host {
    let host = Host::with(&["echo"]);
    host.drop_manifest("bystander.toml", "[[worker]]\nname = \"bystander\"\ncomponent = \"echo.wasm\"\n");
    host.worker_when("bystander", "running", |worker| worker["state"] == "running");
    host
}

/// The problem of a file that the host shows, once it does.
fn problem(host: &Host, file: &str) -> String {
    eventually(&format!("a problem of {file}"), || {
        let shown = host.ok(&["get", "problems"]);
        let from = shown.find(&format!("{file}:"))?;
        // With its hint, which is on a line of its own.
        let mut lines = shown[from..].lines();
        let first = lines.next()?.to_owned();
        Some(lines.take_while(|line| line.starts_with("  ")).fold(first, |all, line| format!("{all}\n{line}")))
    })
}

fn stderr(output: &Output) -> String {
    text(&output.stderr)
}

/// Only the bystander runs, as it did.
fn nothing_of_it(host: &Host, before: &Value) {
    let workers = host.workers();
    assert_eq!(workers.len(), 1, "{workers:#?}");
    for fact in ["name", "state", "incarnation", "since", "digest"] {
        assert_eq!(workers[0][fact], before[fact]);
    }
}

#[test]
fn bad_manifests_are_refused_with_place_and_remedy() {
    let host = host();
    let before = host.worker("bystander").unwrap();
    let folder = tempfile::tempdir().unwrap();
    for Bad { name, text: bad, says, hint } in manifests() {
        let (path, file) = written(&folder, name, &bad);

        // Without a host.
        let checked = skep(&["check", &path]);
        assert_eq!(checked.status.code(), Some(4), "{name}: {checked:?}");
        let said = text(&checked.stdout);
        assert!(said.contains(&format!("{path}{says}")) && said.contains(hint), "check {name}: {said}");

        // Through the API.
        let applied = host.run(&["apply", "-f", &path]);
        assert_eq!(applied.status.code(), Some(4), "{name}: {applied:?}");
        let said = stderr(&applied);
        assert!(said.contains(&format!("{file}{says}")) && said.contains(hint), "apply {name}: {said}");
        assert!(said.contains("nothing was applied"), "apply {name}: {said}");
        assert!(!host.manifest(&file).exists() && !host.manifest("w.toml").exists(), "{name} was written");

        // By drop.
        host.drop_manifest(&file, &bad);
        let said = problem(&host, &file);
        assert!(said.contains(&format!("{file}{says}")) && said.contains(hint), "drop {name}: {said}");
        nothing_of_it(&host, &before);
        fs::remove_file(host.manifest(&file)).unwrap();
        eventually("the problem goes with its file", || {
            (host.ok(&["get", "problems"]) == "no problems in the manifests folder\n").then_some(())
        });
    }
}

fn written(folder: &tempfile::TempDir, name: &str, text: &str) -> (String, String) {
    let file = format!("{name}.toml");
    let path: PathBuf = folder.path().join(&file);
    fs::write(&path, text).unwrap();
    (path.to_str().unwrap().to_owned(), file)
}

#[test]
fn every_problem_is_told_at_once() {
    let host = host();
    let folder = tempfile::tempdir().unwrap();
    let text = "[[worker]]\nname = \"a\"\ncomponent = \"echo.wasm\"\nspeed = 1\nreplicas = -1\n\n[[worker]]\nname = \"b\"\nschedule = { every = \"0s\" }\n";
    let (path, _) = written(&folder, "many", text);
    let wanted = ["worker \"a\": speed", "worker \"a\": replicas", "worker \"b\": component", "worker \"b\": schedule.every"];
    let said = [self::text(&skep(&["check", &path]).stdout), stderr(&host.run(&["apply", "-f", &path]))];
    for said in said {
        assert!(wanted.iter().all(|wanted| said.contains(wanted)), "{said}");
    }
    let json: Value = serde_json::from_str(&self::text(&skep(&["check", &path, "-o", "json"]).stdout)).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 4, "{json:#}");
    assert!(json.as_array().unwrap().iter().all(|problem| problem["file"] == path && problem["line"].as_u64() > Some(0)), "{json:#}");
}

#[test]
fn a_name_taken_in_another_file_names_both_places() {
    let host = host();
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = written(&folder, "first", &with(""));
    let (second, _) = written(&folder, "second", &format!("# comment\n{}", with("")));
    let said = text(&skep(&["check", &first, &second]).stdout);
    assert!(said.contains(&format!("{second}:2: worker \"w\": name: the name \"w\" is already taken by {first}:1")), "{said}");
    let said = stderr(&host.run(&["apply", "-f", &first, "-f", &second]));
    assert!(said.contains("already taken") && said.contains("second.toml:3:8: worker \"w\": name"), "{said}");
    host.drop_manifest("first.toml", &with(""));
    host.worker_when("w", "running", |worker| worker["state"] == "running");
    host.drop_manifest("second.toml", &(with("") + "[[worker]]\nname = \"innocent\"\ncomponent = \"echo.wasm\"\n"));
    let said = problem(&host, "second.toml");
    assert!(said.contains("second.toml:1: worker \"w\": name: the name \"w\" is already taken by first.toml:1"), "{said}");
    assert!(host.worker("innocent").is_none(), "nothing of that file is applied");
    assert_eq!(host.worker("w").unwrap()["file"], "first.toml");
}
