//! Reference system 1, the URL poller: declared, polled, reconciled; and each of its faults that must not come along.

use std::time::{Duration, Instant};

use crate::support::{Host, eventually, site::Site};

fn poller(name: &str, every: &str, urls: &[String]) -> String {
    format!(
        "[[worker]]\nname = \"{name}\"\ncomponent = \"poller.wasm\"\nschedule = {{ every = \"{every}\" }}\nconfig = {{ urls = {urls:?} }}\n\
         grants = {{ http = {{ allow = [\"config:urls\"] }} }}\nchecks = {{ confirm = 3, recover = 2 }}\n\n"
    )
}

#[test]
fn a_dropped_manifest_is_polled_goes_down_after_confirming_and_comes_back() {
    let mut site = Site::up();
    let (address, url) = (site.address, site.url());
    let host = Host::with(&["poller"]);
    host.drop_manifest("watch.toml", &poller("pages", "1s", std::slice::from_ref(&url)));

    let check = host.check_when(&url, "up");
    assert_eq!(check["worker"], "pages");
    assert!(check["latency_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{check:#}");
    assert!(check["evidence"]["phases"]["connect_ms"].as_f64().is_some(), "the host measured the phases: {check:#}");
    assert_eq!(check["evidence"]["address"], address.to_string());
    eventually("the log line", || host.ok(&["logs", "pages"]).contains(&format!("[pages] {url} - Status: 200")).then_some(()));

    site.down();
    let check = host.check_when(&url, "down");
    let seen = check["recent"].as_array().unwrap().iter().rev().take_while(|beat| beat["status"] == "down").count();
    assert_eq!(seen, 3, "down after exactly three bad tries: {check:#}");
    assert!(host.ok(&["logs", "pages"]).contains(&format!("[pages] {url} - Error: ")));
    let flips = host.ok(&["events"]);
    assert!(flips.contains("up -> down"), "{flips}");

    let _site = Site::on(address);
    host.check_when(&url, "up");

    // The interval is edited, then the file goes.
    host.drop_manifest("watch.toml", &poller("pages", "30s", std::slice::from_ref(&url)));
    host.worker_when("pages", "on the new interval", |worker| worker["schedule"]["every"] == "30s");
    std::fs::remove_file(host.manifest("watch.toml")).unwrap();
    eventually("the worker is gone", || host.worker("pages").is_none().then_some(()));
    assert!(host.checks().is_empty(), "its checks went with it");
}

#[test]
fn apply_validates_all_first_then_creates_updates_and_removes() {
    let site = Site::up();
    let host = Host::with(&["poller"]);
    let file = host.data().join("desired.toml");
    let apply = |text: &str, flags: &[&str]| {
        std::fs::write(&file, text).unwrap();
        host.run(&[&["apply", "-f", file.to_str().unwrap()], flags].concat())
    };
    let (a, b) = (poller("worker1", "2s", &[site.url()]), poller("worker2", "10s", &[site.url()]));
    assert!(apply(&format!("{a}{b}"), &[]).status.success());
    assert_eq!(host.workers().len(), 2);
    let before = host.worker("worker2").unwrap();

    // One bad worker among good ones: nothing is applied.
    let bad = poller("worker3", "0s", &[site.url()]);
    let refused = apply(&format!("{}{bad}", poller("worker1", "3s", &[site.url()])), &["--prune"]);
    assert_eq!(refused.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("schedule.every"), "{refused:?}");
    assert_eq!(host.worker("worker1").unwrap()["schedule"]["every"], "2s");

    // A dry run says what would be, and does nothing.
    let dry = apply(&poller("worker1", "3s", &[site.url()]), &["--prune", "--dry-run"]);
    let said = String::from_utf8_lossy(&dry.stdout).into_owned();
    assert!(said.contains("worker1") && said.contains("2s -> 3s") && said.contains("worker2"), "{said}");
    assert_eq!(host.workers().len(), 2);

    assert!(apply(&poller("worker1", "3s", &[site.url()]), &[]).status.success());
    let after = host.worker("worker2").unwrap();
    assert_eq!(host.worker("worker1").unwrap()["schedule"]["every"], "3s");
    for fact in ["incarnation", "since"] {
        assert_eq!(before[fact], after[fact], "an untouched worker is not disturbed");
    }

    // An empty file with --prune removes all; undo brings them back.
    assert!(apply("", &["--prune"]).status.success());
    assert!(host.workers().is_empty());
    host.ok(&["undo"]);
    assert_eq!(host.workers().len(), 2);
    host.ok(&["delete", "worker", "worker2"]);
    assert_eq!(host.workers().len(), 1);
    host.fails(3, &["delete", "worker", "worker2"]);
}

#[test]
fn fault_urls_are_polled_one_after_another() {
    let (slow, quick) = (Site::up(), Site::up());
    slow.delay(Duration::from_secs(4));
    let host = Host::with(&["poller"]);
    let start = Instant::now();
    host.drop_manifest("w.toml", &poller("pages", "60s", &[slow.url(), quick.url()]));
    eventually("both are asked", || (slow.requests() > 0 && quick.requests() > 0).then_some(()));
    assert!(start.elapsed() < Duration::from_secs(4), "the quick one waited for the slow one");
}

#[test]
fn fault_slow_poll_times_out_reconcile() {
    let slow = Site::up();
    slow.delay(Duration::from_secs(20));
    let host = Host::with(&["poller"]);
    host.drop_manifest("w.toml", &poller("slow", "60s", &[slow.url()]));
    eventually("the slow poll is under way", || (slow.requests() > 0).then_some(()));
    let start = Instant::now();
    let other = host.data().join("other.toml");
    std::fs::write(&other, poller("other", "60s", &[slow.url()])).unwrap();
    host.ok(&["apply", "-f", other.to_str().unwrap()]);
    host.ok(&["delete", "worker", "slow"]);
    assert!(start.elapsed() < Duration::from_secs(5), "reconciling waited for a poll");
}

#[test]
fn fault_new_interval_waits_for_the_old_timer() {
    let site = Site::up();
    let host = Host::with(&["poller"]);
    host.drop_manifest("w.toml", &poller("pages", "1h", &[site.url()]));
    eventually("the first poll", || (site.requests() == 1).then_some(()));
    host.drop_manifest("w.toml", &poller("pages", "200ms", &[site.url()]));
    eventually("polls at the new interval", || (site.requests() >= 5).then_some(()));
}

#[test]
fn fault_duplicate_ids_start_two_workers() {
    let site = Site::up();
    let host = Host::with(&["poller"]);
    let twice = format!("{}{}", poller("pages", "1s", &[site.url()]), poller("pages", "2s", &[site.url()]));
    let file = host.data().join("twice.toml");
    std::fs::write(&file, twice).unwrap();
    let said = host.fails(4, &["apply", "-f", file.to_str().unwrap()]);
    assert!(said.contains("pages") && said.contains("name"), "{said}");
    assert!(host.workers().is_empty());

    // Across files: the later one loses, the first runs on.
    host.drop_manifest("a.toml", &poller("pages", "1h", &[site.url()]));
    host.worker_when("pages", "running", |worker| worker["state"] == "running");
    host.drop_manifest("b.toml", &poller("pages", "2h", &[site.url()]));
    eventually("the duplicate is shown", || host.ok(&["get", "problems"]).contains("b.toml").then_some(()));
    assert_eq!(host.workers().len(), 1);
    assert_eq!(host.worker("pages").unwrap()["schedule"]["every"], "1h");
}

#[test]
fn fault_crash_restart_goes_back_to_the_original_config() {
    let host = Host::with(&["crash"]);
    let crash = |message: &str| {
        format!(
            "[[worker]]\nname = \"c\"\ncomponent = \"crash.wasm\"\ninstance = \"resident\"\nschedule = {{ every = \"1h\" }}\n\
             config = {{ mode = \"err\", message = \"{message}\" }}\n"
        )
    };
    host.drop_manifest("c.toml", &crash("the first config"));
    host.worker_when("c", "on its first config", |worker| worker["last_error"] == "the first config");
    host.drop_manifest("c.toml", &crash("the second config"));
    let before = host.worker_when("c", "on its second config", |worker| worker["last_error"] == "the second config");
    host.run(&["call", "c", "panic", ""]);
    let after = host.worker_when("c", "restarted", |worker| worker["incarnation"].as_u64() > before["incarnation"].as_u64());
    assert_eq!(after["config"]["message"], "the second config");
    host.ok(&["tick", "c"]);
    host.worker_when("c", "still on its second config", |worker| worker["last_error"] == "the second config");
}

#[test]
fn a_refused_destination_names_the_line_that_would_allow_it() {
    let site = Site::up();
    let host = Host::with(&["poller"]);
    let manifest = poller("pages", "1h", &[site.url()]).replace("allow = [\"config:urls\"]", "allow = [\"https://example.com\"]");
    host.drop_manifest("w.toml", &manifest);
    let check = host.check_when(&site.url(), "unknown");
    let said = format!("{} {}", check["detail"], host.ok(&["logs", "pages"]));
    assert!(said.contains("grants.http") && said.contains("allow"), "{said}");
    assert_eq!(site.requests(), 0);
}

#[test]
fn polls_reuse_connections_unless_told_not_to() {
    let (kept, fresh) = (Site::up(), Site::up());
    let host = Host::with(&["poller"]);
    host.drop_manifest("kept.toml", &poller("kept", "100ms", &[kept.url()]));
    let text =
        poller("fresh", "100ms", &[fresh.url()]).replace("allow = [\"config:urls\"]", "allow = [\"config:urls\"], keep_alive = false");
    host.drop_manifest("fresh.toml", &text);
    eventually("ten polls each", || (kept.requests() >= 10 && fresh.requests() >= 10).then_some(()));
    assert_eq!(kept.connections(), 1);
    assert!(fresh.connections() >= 10);
    assert!(kept.shared().seen.lock().unwrap().iter().all(|line| *line == format!("{} /", kept.address)), "the Host header is right");
}

#[test]
fn a_rate_makes_polls_wait_and_waiting_is_no_failure() {
    let site = Site::up();
    let urls: Vec<String> = (0..4).map(|path| format!("{}{path}", site.url())).collect();
    let host = Host::with(&["poller"]);
    let text = poller("pages", "1h", &urls).replace("allow = [\"config:urls\"]", "allow = [\"config:urls\"], rate = \"2/s\"");
    let start = Instant::now();
    host.drop_manifest("w.toml", &text);
    for url in &urls {
        let check = host.check_when(url, "up");
        assert!(check["latency_ms"].as_f64().unwrap() < 450.0, "the wait counts as no latency: {check:#}");
    }
    assert!(start.elapsed() >= Duration::from_millis(1_400), "four requests at 2/s take a second and a half");
}
