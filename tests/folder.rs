//! The manifests folder through the real binary: whatever is dropped, edited, broken or deleted there, and what verbs write into it.

#[path = "folder/rolls.rs"]
mod rolls; // a .wasm replaced on disk: roll-over, half-written files, missing ones
#[path = "folder/written.rs"]
mod written; // verbs that write the folder: apply, diff, delete, undo, pause, scale

use std::{fs, io::Write};

use serde_json::Value;

use crate::support::{Host, eventually, site::Site};

/// A worker that only waits to be called.
fn echo(name: &str, more: &str) -> String {
    format!("[[worker]]\nname = \"{name}\"\ncomponent = \"echo.wasm\"\n{more}")
}

fn hourly(name: &str, more: &str) -> String {
    echo(name, &format!("schedule = {{ every = \"1h\" }}\n{more}"))
}

fn title(worker: &Value, is: &str) -> bool {
    worker["title"] == is
}

/// What must not change in a worker that nobody touched.
fn undisturbed(before: &Value, after: &Value) {
    for fact in ["incarnation", "since", "restarts", "events", "digest", "schedule"] {
        assert_eq!(before[fact], after[fact], "{fact} of an untouched worker: {before:#} {after:#}");
    }
}

/// A worker whose first tick is over, so that none of its facts moves by itself for an hour.
fn settled(host: &Host, name: &str) -> Value {
    host.worker_when(name, "settled", |worker| worker["events"]["ok"] == 1 && !worker["schedule"]["next"].is_null())
}

#[test]
fn every_way_of_saving_a_file_is_followed() {
    let host = Host::with(&["echo"]);
    let path = host.manifest("e.toml");
    let saved = |text: &str| echo("e", &format!("title = \"{text}\"\n"));

    fs::write(&path, saved("written in place")).unwrap();
    host.worker_when("e", "there", |worker| title(worker, "written in place"));

    // As vim does: the old file becomes a backup, the new one takes its name.
    fs::rename(&path, host.manifest("e.toml~")).unwrap();
    fs::write(&path, saved("behind a backup")).unwrap();
    host.worker_when("e", "edited", |worker| title(worker, "behind a backup"));

    // As emacs and many others: written aside in the same folder, then renamed.
    fs::write(host.manifest(".e.toml.swp"), "not TOML at all [[[").unwrap();
    fs::write(host.manifest("#e.toml#"), "neither [[[").unwrap();
    fs::rename(write_aside(&host, &saved("renamed over")), &path).unwrap();
    host.worker_when("e", "renamed over", |worker| title(worker, "renamed over"));

    // In several writes, with the file open between them: only the whole is looked at.
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(b"[[worker]]\nname = \"e\"\ncompon").unwrap();
    file.flush().unwrap();
    file.write_all(b"ent = \"echo.wasm\"\ntitle = \"bit by bit\"\n").unwrap();
    drop(file);
    host.worker_when("e", "bit by bit", |worker| title(worker, "bit by bit"));

    // A link to a file elsewhere, as configuration tools make.
    let elsewhere = host.data().join("elsewhere.toml");
    fs::write(&elsewhere, saved("linked")).unwrap();
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    host.worker_when("e", "linked", |worker| title(worker, "linked"));
    assert!(!host.log().contains("manifest.refused"), "drafts and backups are no manifests: {}", host.log());

    fs::remove_file(&path).unwrap();
    eventually("the worker goes with its file", || host.workers().is_empty().then_some(()));
    assert_eq!(host.ok(&["get", "problems"]), "no problems in the manifests folder\n");
}

fn write_aside(host: &Host, text: &str) -> std::path::PathBuf {
    let aside = host.manifest(".aside");
    fs::write(&aside, text).unwrap();
    aside
}

#[test]
fn a_broken_file_keeps_its_last_good_workers_and_says_so_everywhere() {
    let mut host = Host::with(&["echo"]);
    let good = hourly("keep", "title = \"good\"\n") + &hourly("also", "");
    host.drop_manifest("w.toml", &good);
    let (before, _) = (settled(&host, "keep"), settled(&host, "also"));
    host.drop_manifest("w.toml", &good.replace("title = \"good\"", "tittle = \"bad\""));
    let held = host.worker_when("keep", "held back", |worker| !worker["held_back"].is_null());
    undisturbed(&before, &held);
    everywhere(&host);
    assert_eq!(host.log().matches("manifest.refused").count(), 1, "told once");

    // However the host ends and starts again.
    for kill in [false, true] {
        if kill {
            host.kill();
        } else {
            assert_eq!(host.stop(), Some(0));
        }
        host.start();
        let kept = host.worker_when("keep", "running", |worker| worker["state"] == "running");
        assert!(title(&kept, "good") && host.worker("also").is_some(), "{kept:#}");
        everywhere(&host);
    }

    // Still broken in another way, then mended.
    host.drop_manifest("w.toml", "[[worker]\nname = ");
    eventually("the other problem", || host.ok(&["get", "problems"]).contains("w.toml:1").then_some(()));
    assert_eq!(host.workers().len(), 2);
    host.drop_manifest("w.toml", &good.replace("\"good\"", "\"better\""));
    let mended = host.worker_when("keep", "mended", |worker| title(worker, "better"));
    assert!(mended["held_back"].is_null(), "{mended:#}");
    assert_eq!(host.ok(&["get", "problems"]), "no problems in the manifests folder\n");
    eventually("the good news in the log", || host.log().contains("w.toml: all problems are gone").then_some(()));
}

/// The problem shows wherever a person looks.
fn everywhere(host: &Host) {
    let place = "w.toml:5:1: worker \"keep\": tittle: unknown field";
    let seen = [
        ("get problems", host.ok(&["get", "problems"])),
        ("get workers", host.ok(&["get", "workers"])),
        ("get worker", host.ok(&["get", "worker", "keep"])),
        ("why", host.ok(&["why", "keep"])),
        ("the log", host.log()),
        ("events", host.ok(&["events"])),
        ("held_back", host.worker("keep").unwrap()["held_back"].to_string().replace('\\', "")),
    ];
    for (name, text) in seen {
        assert!(text.contains(place) && text.contains("title"), "{name}: {text}");
    }
    let problems = host.get("/api/v1/problems").json();
    let [problem] = problems.as_array().unwrap().as_slice() else { panic!("{problems:#}") };
    assert_eq!(
        (&problem["file"], &problem["line"], &problem["worker"], &problem["field"]),
        (&"w.toml".into(), &5.into(), &"keep".into(), &"tittle".into())
    );
    assert!(problem["hint"].as_str().unwrap().contains("title"), "{problem:#}");
}

#[test]
fn a_change_disturbs_nobody_else() {
    let host = Host::with(&["echo"]);
    host.drop_manifest("a.toml", &(hourly("a", "") + &hourly("b", "") + &hourly("c", "config = { n = 1 }\n")));
    host.drop_manifest("d.toml", &hourly("d", ""));
    let before: Vec<Value> = ["a", "b", "d"].map(|name| settled(&host, name)).to_vec();
    let changed = settled(&host, "c");
    host.drop_manifest("a.toml", &(hourly("new", "") + &hourly("b", "") + &hourly("c", "config = { n = 2 }\n") + &hourly("a", "")));
    host.worker_when("new", "running", |worker| worker["state"] == "running");
    let after = host.worker_when("c", "restarted", |worker| worker["config"]["n"] == 2);
    assert!(after["since"].as_str() > changed["since"].as_str(), "its own change restarts a worker");
    fs::remove_file(host.manifest("d.toml")).unwrap();
    eventually("d goes", || host.worker("d").is_none().then_some(()));
    for (name, before) in ["a", "b"].iter().zip(&before) {
        undisturbed(before, &host.worker(name).unwrap());
    }
}

#[test]
fn moving_a_worker_to_another_file_touches_nothing() {
    let host = Host::with(&["echo"]);
    host.drop_manifest("a.toml", &(hourly("stays", "") + &hourly("moves", "")));
    let before = settled(&host, "moves");
    // The copy is refused as long as the old one stands, and takes over when it goes.
    host.drop_manifest("z.toml", &hourly("moves", ""));
    eventually("the duplicate is told", || {
        host.ok(&["get", "problems"]).contains("the name \"moves\" is already taken by a.toml:").then_some(())
    });
    host.drop_manifest("a.toml", &hourly("stays", ""));
    let moved = host.worker_when("moves", "moved", |worker| worker["file"] == "z.toml");
    undisturbed(&before, &moved);
    // Renaming the file is a move of all in it.
    fs::rename(host.manifest("z.toml"), host.manifest("b.toml")).unwrap();
    let moved = host.worker_when("moves", "moved again", |worker| worker["file"] == "b.toml");
    undisturbed(&before, &moved);
    assert_eq!(host.ok(&["get", "problems"]), "no problems in the manifests folder\n");
}

#[test]
fn a_killed_host_comes_back_with_everything() {
    let site = Site::up();
    let mut host = Host::with(&["echo", "poller"]);
    host.drop_manifest(
        "p.toml",
        &format!(
            "[[worker]]\nname = \"pages\"\ncomponent = \"poller.wasm\"\nschedule = {{ every = \"1h\" }}\nconfig = {{ urls = [\"{}\"] }}\n\
             grants = {{ http = {{ allow = [\"config:urls\"] }} }}\n",
            site.url()
        ),
    );
    let check = host.check_when(&site.url(), "up");
    // An apply answers when all before it is on disk.
    let file = host.data().join("e.toml");
    for text in ["first", "second"] {
        fs::write(&file, echo("e", &format!("title = \"{text}\"\n"))).unwrap();
        host.ok(&["apply", "-f", file.to_str().unwrap()]);
    }
    let generation = |host: &Host| host.get("/api/v1/host").json()["generation"].as_u64().unwrap();
    let before = generation(&host);
    // What nobody waits for reaches the disk within a moment; a kill before that may lose it.
    let kept = || rusqlite::Connection::open(host.data().join("control.db")).ok()?.query_row("SELECT 1 FROM checks", [], |_| Ok(())).ok();
    eventually("the check's state is on disk", kept);
    host.kill();
    host.start();
    assert_eq!(host.check_when(&site.url(), "up")["since"], check["since"], "it has been up since before");
    assert_eq!(generation(&host), before, "nothing changed, so no new generation");
    assert!(title(&host.worker_when("e", "running", |worker| worker["state"] == "running"), "second"));
    host.worker_when("pages", "running", |worker| worker["state"] == "running");
    host.ok(&["undo"]);
    host.ok(&["undo"]);
    let names: Vec<_> = host.workers().iter().map(|worker| worker["name"].clone()).collect();
    assert_eq!(names, ["pages"], "what came before is still there to go back to");
}

#[test]
fn a_mended_worker_leaves_quarantine_and_ticks_at_once() {
    let host = Host::with(&["crash"]);
    let crash = |mode: &str| {
        format!(
            "[[worker]]\nname = \"c\"\ncomponent = \"crash.wasm\"\nschedule = {{ every = \"1h\" }}\nrestart = {{ intensity = 0, period = \"60s\" }}\n\
             config = {{ mode = \"{mode}\" }}\n"
        )
    };
    for _ in 0..3 {
        host.drop_manifest("c.toml", &crash("panic"));
        host.worker_when("c", "quarantined", |worker| worker["state"] == "quarantined");
        let before = host.worker("c").unwrap()["events"]["ok"].as_u64();
        host.drop_manifest("c.toml", &crash("ok"));
        host.worker_when("c", "well", |worker| worker["state"] == "running" && worker["events"]["ok"].as_u64() > before);
    }
}
