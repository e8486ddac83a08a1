//! Checks over time through the real binary: confirmed, silent, paused, kept over restarts, forgotten, bounded.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Host, eventually, site::Site};

fn poller(every: &str, url: &str, more: &str) -> String {
    format!(
        "[[worker]]\nname = \"pages\"\ncomponent = \"poller.wasm\"\nschedule = {{ every = \"{every}\" }}\nconfig = {{ urls = [\"{url}\"] }}\n\
         grants = {{ http = {{ allow = [\"config:urls\"] }} }}\n{more}\n"
    )
}

/// What `skep events` says of one kind, oldest first.
fn events(host: &Host, kind: &str) -> Vec<String> {
    let said = host.ok(&["events", "-n", "1000", "-o", "json"]);
    let all = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|event| event["kind"] == kind).map(|event| event["message"].as_str().unwrap().to_owned()).collect()
}

fn history(host: &Host, url: &str, more: &str) -> (u16, Value) {
    let subject = url.replace(':', "%3A").replace('/', "%2F");
    let (status, text) = host.api(&format!("/api/v1/checks/history?worker=pages&subject={subject}{more}"));
    (status, serde_json::from_str(&text).unwrap())
}

#[test]
fn a_flip_is_confirmed_by_quick_ticks_in_both_directions() {
    let site = Site::up();
    let url = site.url();
    let host = Host::with(&["poller"]);
    // Confirming ticks come every 4 s / 4.
    host.drop_manifest("w.toml", &poller("4s", &url, "checks = { confirm = 3, recover = 2 }"));
    host.check_when(&url, "up");

    site.answer(500);
    host.ok(&["tick", "pages"]);
    let confirming = eventually("the first bad result", || host.checks().into_iter().find(|check| check["confirming"].as_u64() > Some(0)));
    assert_eq!(confirming["status"], "up", "one bad result is not down: {confirming:#}");
    let table = host.ok(&["checks"]);
    assert!(table.contains("against") || host.checks()[0]["status"] == "down", "{table}");
    let began = Instant::now();
    let down = host.check_when(&url, "down");
    assert!(began.elapsed() < Duration::from_secs(4), "confirmed by ticks of its own: {:?}", began.elapsed());
    let bad = down["recent"].as_array().unwrap().iter().filter(|beat| beat["status"] == "down").count();
    assert_eq!(bad, 3, "{down:#}");
    assert_eq!(down["detail"], "status 500, expected 200-399");
    assert_eq!(down["evidence"]["http_status"], 500);
    assert_eq!(down["evidence"]["excerpt"], "all is well", "what the site said while it was not up");

    site.answer(200);
    host.ok(&["tick", "pages"]);
    let began = Instant::now();
    let up = host.check_when(&url, "up");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let beats = up["recent"].as_array().unwrap();
    assert!(beats[beats.len() - 2..].iter().all(|beat| beat["status"] == "up"), "{up:#}");
    assert!(up["evidence"]["excerpt"].is_null());

    let flips = events(&host, "check.changed");
    assert_eq!(flips.len(), 2, "{flips:#?}");
    assert!(flips[0].ends_with(&format!("{url} up -> down: status 500, expected 200-399")), "{flips:#?}");
    assert!(flips[1].ends_with(&format!("{url} down -> up: status 200")), "{flips:#?}");
    let uptime = up["uptime"].as_f64().unwrap();
    assert!(uptime > 0.0 && uptime < 1.0, "time down counts: {uptime}");
}

#[test]
fn silence_is_unknown_after_two_intervals_and_pausing_says_paused() {
    let site = Site::up();
    let url = site.url();
    let host = Host::with(&["poller"]);
    host.drop_manifest("w.toml", &poller("500ms", &url, ""));
    host.check_when(&url, "up");

    let running = host.worker("pages").unwrap()["since"].as_str().unwrap().to_owned();
    host.ok(&["pause", "pages"]);
    host.check_when(&url, "paused");
    let since = host.worker("pages").unwrap()["since"].as_str().unwrap().to_owned();
    assert!(since > running, "paused since it was paused: {since}, it ran since {running}");
    assert_eq!(host.json(&["why", "pages"])["since"], *since);
    let asked = site.requests();
    // Past two intervals paused is still no silence, and nothing asks.
    let paused = Instant::now();
    eventually("two intervals", || (paused.elapsed() > Duration::from_millis(1_100)).then_some(()));
    assert_eq!(host.checks()[0]["status"], "paused");
    assert!(site.requests() <= asked + 1, "one may have been under way");
    host.ok(&["resume", "pages"]);
    host.check_when(&url, "up");

    host.ok(&["drain", "pages"]);
    host.worker_when("pages", "stopped", |worker| worker["state"] == "stopped");
    let silent = host.check_when(&url, "unknown");
    assert!(silent["uptime"].as_f64().is_some(), "what was seen stays: {silent:#}");
    host.ok(&["restart", "pages"]);
    host.check_when(&url, "up");
    let flips = events(&host, "check.changed").join("\n");
    for flip in ["up -> paused", "paused -> up", "up -> unknown: no result for 1s", "unknown -> up"] {
        assert!(flips.contains(flip), "{flip}:\n{flips}");
    }
    assert_eq!(host.checks()[0]["uptime"], 1.0, "it was never down");
}

#[test]
fn a_check_stands_as_it_stood_over_a_restart_and_over_a_kill() {
    let mut site = Site::up();
    let url = site.url();
    let mut host = Host::with(&["poller"]);
    host.drop_manifest("w.toml", &poller("400ms", &url, "checks = { confirm = 2, recover = 2 }"));
    host.check_when(&url, "up");
    site.down();
    let down = host.check_when(&url, "down");

    assert_eq!(host.stop(), Some(0));
    host.start();
    let after = host.checks();
    assert_eq!((&after[0]["status"], &after[0]["since"]), (&down["status"], &down["since"]), "{after:#?}");
    assert!(after[0]["recent"].as_array().unwrap().len() >= 2, "{after:#?}");
    assert!(after[0]["coverage"].as_f64() > Some(0.0));
    // It is tried again, and still down is no news.
    let last = down["last"].as_str().unwrap().to_owned();
    eventually("a new result", || host.checks()[0]["last"].as_str().filter(|at| **at > *last).map(|_| ()));

    host.kill();
    host.start();
    let after = host.checks();
    assert_eq!((&after[0]["status"], &after[0]["since"]), (&down["status"], &down["since"]), "{after:#?}");
    let downs = events(&host, "check.changed").iter().filter(|flip| flip.contains("-> down")).count();
    assert_eq!(downs, 1, "told once: {:#?}", events(&host, "check.changed"));
}

#[test]
fn history_has_a_point_a_minute_and_goes_with_its_worker() {
    let site = Site::up();
    let url = site.url();
    let host = Host::with(&["poller"]);
    host.drop_manifest("w.toml", &poller("200ms", &url, ""));
    host.check_when(&url, "up");
    let point = eventually("results in history", || {
        let (status, points) = history(&host, &url, "&resolution=minute");
        assert_eq!(status, 200, "{points}");
        points.as_array().unwrap().iter().find(|point| point["results"].as_u64() >= Some(3)).cloned()
    });
    assert_eq!(point["span_s"], 60);
    assert!(point["at"].as_str().unwrap().ends_with(":00Z"), "{point:#}");
    assert!(point["up_ms"].as_u64() > Some(0) && point["down_ms"] == 0, "{point:#}");
    let (low, mean, high) = (&point["latency_min_ms"], &point["latency_avg_ms"], &point["latency_max_ms"]);
    assert!(low.as_f64() > Some(0.0) && low.as_f64() <= mean.as_f64() && mean.as_f64() <= high.as_f64(), "{point:#}");
    for (resolution, span) in [("hour", 3_600), ("day", 86_400)] {
        let (_, points) = history(&host, &url, &format!("&resolution={resolution}"));
        assert_eq!(points[0]["span_s"], span, "{points:#}");
    }
    let check = &host.checks()[0];
    assert_eq!(check["uptime"], 1.0);
    let coverage = check["coverage"].as_f64().unwrap();
    assert!(coverage > 0.0 && coverage < 0.01, "seconds of a day: {coverage}");

    let (status, said) = history(&host, "http://nobody.test/", "");
    assert_eq!(status, 404, "{said}");
    assert!(said["error"].as_str().unwrap().contains("http://nobody.test/") && said["hint"].is_string(), "{said}");
    let (status, said) = history(&host, &url, "&resolution=second");
    assert_eq!(status, 400, "{said}");

    host.ok(&["delete", "worker", "pages"]);
    eventually("its checks are gone", || host.checks().is_empty().then_some(()));
    eventually("so is its history", || (history(&host, &url, "").0 == 404).then_some(()));
    // One of that name that comes later starts with nothing.
    host.drop_manifest("w.toml", &poller("1h", &url, ""));
    host.check_when(&url, "up");
    assert_eq!(host.checks()[0]["recent"].as_array().unwrap().len(), 1);
}

#[test]
fn history_stays_within_the_bytes_it_was_given() {
    const CAP: u64 = 2 << 20;
    let host = Host::folders(&["flood"]);
    std::fs::write(host.data().join("skep.toml"), "[limits]\nhistory_bytes = \"2MiB\"\n").unwrap();
    let host = host.started();
    host.drop_manifest(
        "f.toml",
        "[[worker]]\nname = \"flood\"\ncomponent = \"flood.wasm\"\nschedule = { every = \"50ms\" }\nconfig = { mode = \"reports\", n = 1000 }\n",
    );
    host.worker_when("flood", "flooding", |worker| worker["events"]["ok"].as_u64() > Some(0));
    let folder = host.data().join("history");
    let size = || -> u64 { std::fs::read_dir(&folder).unwrap().filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum() };
    let (mut most, mut files) = (0, 0);
    // A result takes some forty bytes at least: this many are more than the cap holds.
    eventually("more results than fit", || {
        most = most.max(size());
        files = files.max(std::fs::read_dir(&folder).unwrap().count());
        (host.worker("flood").unwrap()["events"]["ok"].as_u64() >= Some(100)).then_some(())
    });
    assert!(most > CAP / 4, "something was kept: {most}");
    // YYYY-MM-DD.db is a day's first part, YYYY-MM-DD.2.db goes on: the oldest had to go.
    let parts: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".db") && name != "rollup.db")
        .collect();
    assert!(!parts.is_empty() && parts.iter().all(|name| name.matches('.').count() == 2), "the first part is gone: {parts:?}");
    assert!(most < CAP + CAP / 2, "{most} bytes in {files} files under a cap of {CAP}");
    assert!(host.ok(&["doctor"]).contains("ok"));
}
