//! A component's file that changes under running workers.

use std::{
    fs,
    io::{Seek, Write},
    time::Duration,
};

use super::{hourly, settled, title};
use crate::support::{Host, eventually, plugins, site::Site};

/// The same component under another digest: a custom section says nothing.
fn variant(guest: &str) -> Vec<u8> {
    let mut bytes = fs::read(plugins().join(format!("{guest}.wasm"))).unwrap();
    bytes.extend([0, 2, 1, b'v']);
    bytes
}

#[test]
fn new_bytes_take_over_after_the_event_in_flight() {
    let site = Site::up();
    site.delay(Duration::from_millis(1_500));
    let host = Host::with(&["poller"]);
    host.drop_manifest(
        "p.toml",
        &format!(
            "[[worker]]\nname = \"pages\"\ncomponent = \"poller.wasm\"\nschedule = {{ every = \"1h\" }}\nconfig = {{ urls = [\"{}\"] }}\n\
             grants = {{ http = {{ allow = [\"config:urls\"] }} }}\n",
            site.url()
        ),
    );
    eventually("the first poll is under way", || (site.requests() == 1).then_some(()));
    let before = host.worker("pages").unwrap();
    host.install_bytes("poller.wasm", &variant("poller"));
    eventually("the roll is announced", || host.ok(&["events"]).contains("component.rolled").then_some(()));
    site.delay(Duration::ZERO);
    let after = host.worker_when("pages", "on the new bytes", |worker| worker["digest"] != before["digest"] && worker["events"]["ok"] == 2);
    assert_eq!((&after["events"]["failed"], &after["events"]["trapped"]), (&0.into(), &0.into()), "the old poll was finished: {after:#}");
    assert_eq!(host.check_when(&site.url(), "up")["worker"], "pages");
}

#[test]
fn a_file_being_written_is_waited_for() {
    let host = Host::with(&["echo"]);
    host.drop_manifest("e.toml", &hourly("e", ""));
    let before = settled(&host, "e");
    let bytes = variant("echo");
    let (half, rest) = bytes.split_at(bytes.len() / 2);

    // As `cp` over it: cut to nothing, then filled.
    let path = host.data().join("plugins/echo.wasm");
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(half).unwrap();
    // Another change comes through meanwhile: the host is at work, and leaves the open file alone.
    host.drop_manifest("f.toml", "# nothing yet\n");
    host.drop_manifest("e.toml", &hourly("e", "title = \"meanwhile\"\n"));
    host.worker_when("e", "retitled", |worker| title(worker, "meanwhile") || !worker["held_back"].is_null());
    assert_eq!(host.worker("e").unwrap()["digest"], before["digest"]);
    file.write_all(rest).unwrap();
    drop(file);
    let after = host.worker_when("e", "on the new bytes", |worker| worker["digest"] != before["digest"]);
    assert!(after["held_back"].is_null() && title(&after, "meanwhile"), "{after:#}");
    assert_eq!(host.ok(&["get", "problems"]), "no problems in the manifests folder\n");

    // Written over in place, without being cut first.
    let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(std::io::SeekFrom::End(-1)).unwrap();
    file.write_all(b"w").unwrap();
    drop(file);
    host.worker_when("e", "on the next bytes", |worker| worker["digest"] != after["digest"]);
}

#[test]
fn a_broken_file_is_told_and_what_ran_runs_on() {
    let host = Host::with(&["echo"]);
    host.drop_manifest("e.toml", &hourly("e", ""));
    let before = settled(&host, "e");
    let whole = fs::read(plugins().join("echo.wasm")).unwrap();
    for (bytes, says) in [
        (&whole[..whole.len() / 2], "echo.wasm is truncated"),
        (b"", "echo.wasm is empty"),
        (b"<html>404 Not Found</html>", "echo.wasm is text, not wasm"),
    ] {
        host.install_bytes("echo.wasm", bytes);
        let held = host.worker_when("e", says, |worker| worker["held_back"].as_str().is_some_and(|held| held.contains(says)));
        super::undisturbed(&before, &held);
        let problems = host.ok(&["get", "problems"]);
        assert!(problems.contains("e.toml:1: worker \"e\": component: ") && problems.contains(says), "{problems}");
        assert!(problems.contains("keeps running"), "{problems}");
    }
    host.install_bytes("echo.wasm", &whole);
    let mended = host.worker_when("e", "mended", |worker| worker["held_back"].is_null());
    super::undisturbed(&before, &mended);
}

#[test]
fn a_component_missing_at_start_keeps_what_ran_before() {
    let mut host = Host::with(&["echo"]);
    host.drop_manifest("e.toml", &hourly("e", ""));
    let before = settled(&host, "e");
    assert_eq!(host.stop(), Some(0));
    fs::remove_file(host.data().join("plugins/echo.wasm")).unwrap();
    host.start();
    let kept = host.worker_when("e", "running", |worker| worker["state"] == "running");
    assert_eq!(kept["digest"], before["digest"]);
    assert!(kept["held_back"].as_str().unwrap().contains("echo.wasm is not in the plugins folder"), "{kept:#}");
    assert_eq!(host.ok(&["call", "e", "echo", "still here"]).trim_end(), "still here");
    // Nothing new is built on it, but what runs can be worked with.
    let file = host.data().join("new.toml");
    fs::write(&file, hourly("new", "")).unwrap();
    let refused = host.fails(4, &["apply", "-f", file.to_str().unwrap()]);
    assert!(refused.contains("new.toml:1: worker \"new\": component: echo.wasm is not in the plugins folder"), "{refused}");
    host.ok(&["pause", "e"]);
    host.install("echo", "echo.wasm");
    host.worker_when("e", "whole again", |worker| worker["held_back"].is_null());
    assert_eq!(host.ok(&["get", "problems"]), "no problems in the manifests folder\n");
}
