//! A check's past in the running host: kept over kill -9, marked by edits and new components, gone with its worker.

use serde_json::Value;

use crate::support::{Host, eventually, plugins, site::Site};

fn poller(every: &str, url: &str, more: &str) -> String {
    format!(
        "[[worker]]\nname = \"pages\"\ncomponent = \"poller.wasm\"\nschedule = {{ every = \"{every}\" }}\nconfig = {{ urls = [{{ url = \"{url}\"{more} }}] }}\n\
         grants = {{ http = {{ allow = [\"config:urls\"] }} }}\nchecks = {{ confirm = 1, recover = 1 }}\n"
    )
}

fn ask(host: &Host, worker: &str, subject: &str, more: &str) -> (u16, Value) {
    let text = |text: &str| text.replace('/', "%2F").replace(':', "%3A");
    let (status, body) = host.api(&format!("/api/v1/checks/detail?worker={}&subject={}{more}", text(worker), text(subject)));
    (status, serde_json::from_str(&body).unwrap())
}

fn detail(host: &Host, url: &str) -> Value {
    let (status, body) = ask(host, "pages", url, "&range=1h");
    assert_eq!(status, 200, "{body:#}");
    body
}

/// Changes as `from -> to`, newest first.
fn changes(detail: &Value) -> Vec<String> {
    let text = |change: &Value, key: &str| change[key].as_str().unwrap().to_owned();
    detail["changes"].as_array().unwrap().iter().map(|change| format!("{} -> {}", text(change, "from"), text(change, "to"))).collect()
}

fn marks(detail: &Value) -> Vec<String> {
    detail["marks"].as_array().unwrap().iter().map(|mark| mark["text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_flip_is_there_once_after_kill_9_and_the_last_failure_with_its_evidence() {
    let site = Site::up();
    let url = site.url();
    let mut host = Host::with(&["poller"]);
    host.drop_manifest("w.toml", &poller("200ms", &url, ""));
    host.check_when(&url, "up");
    site.answer(503);
    host.check_when(&url, "down");
    let flipped = eventually("the flip is on disk", || {
        let detail = detail(&host, &url);
        (changes(&detail) == ["up -> down", "unknown -> up"]).then_some(detail)
    });
    assert_eq!(flipped["changes"][0]["detail"], "status 503, expected 200-399");
    host.kill();
    host.start();
    host.check_when(&url, "down");
    let before = detail(&host, &url);
    assert_eq!(before["changes"], flipped["changes"], "neither lost nor told again");
    site.answer(200);
    host.check_when(&url, "up");
    host.kill();
    host.start();
    let after = eventually("results of this run", || {
        let detail = detail(&host, &url);
        (detail["check"]["status"] == "up" && detail["summary"]["latency"]["p50_ms"].is_number()).then_some(detail)
    });
    assert_eq!(changes(&after), ["down -> up", "up -> down", "unknown -> up"]);
    // It is up again, two starts later: what was wrong is still known.
    let failure = &after["failure"];
    assert_eq!(
        (failure["status"].as_str(), failure["detail"].as_str()),
        (Some("down"), Some("status 503, expected 200-399")),
        "{failure:#}"
    );
    assert_eq!((failure["evidence"]["http_status"].as_u64(), failure["evidence"]["excerpt"].as_str()), (Some(503), Some("all is well")));
    let summary = &after["summary"];
    let (uptime, coverage) = (summary["uptime"].as_f64().unwrap(), summary["coverage"].as_f64().unwrap());
    assert!(uptime > 0.0 && uptime < 1.0 && coverage > 0.0 && coverage < 0.1, "a minute of an hour, part of it down: {summary:#}");
    let (latency, points) = (&summary["latency"], after["points"].as_array().unwrap());
    let number = |key: &str| latency[key].as_f64().unwrap();
    assert!(
        number("min_ms") <= number("p50_ms") && number("p50_ms") <= number("p95_ms") && number("p99_ms") <= number("max_ms"),
        "{latency:#}"
    );
    assert!(points.iter().any(|point| point["latency_p95_ms"].is_number()), "{points:#?}");
    assert_eq!((after["resolution"].as_str(), after["range"].as_str()), (Some("1m"), Some("1h")));

    for (range, width) in [("24h", "5m"), ("30d", "3h"), ("1y", "1d")] {
        let (status, body) = ask(&host, "pages", &url, &format!("&range={range}"));
        assert_eq!((status, body["resolution"].as_str()), (200, Some(width)), "{body:#}");
        assert!(body["summary"]["coverage"].as_f64() < Some(0.01) && body["summary"]["uptime"].as_f64() < Some(1.0), "{body:#}");
    }
    assert_eq!(ask(&host, "pages", &url, "").1["range"], "24h");
    assert_eq!(ask(&host, "pages", &url, "&range=2h").0, 400);
    assert_eq!(ask(&host, "pages", &url, "&ranges=1h").0, 400);
    let (status, body) = ask(&host, "page", &url, "");
    assert_eq!((status, body["error"].as_str(), body["hint"].as_str()), (404, Some("no worker \"page\""), Some("did you mean \"pages\"?")));
    let (status, body) = ask(&host, "pages", &url.replace("127", "128"), "");
    assert_eq!((status, body["hint"].as_str()), (404, Some(&*format!("did you mean \"{url}\"?"))), "{body:#}");
}

/// The same component under another digest: a custom section says nothing.
fn other_bytes() -> Vec<u8> {
    let mut bytes = std::fs::read(plugins().join("poller.wasm")).unwrap();
    bytes.extend([0, 3, 1, b'x', 1]);
    bytes
}

#[test]
fn edits_and_new_components_are_marked_and_deleting_says_what_goes() {
    let site = Site::up();
    let url = site.url();
    let mut host = Host::with(&["poller"]);
    host.drop_manifest("w.toml", &poller("200ms", &url, ""));
    host.check_when(&url, "up");
    let marked = |host: &Host, count: usize| {
        eventually("the mark", || {
            let marks = marks(&detail(host, &url));
            (marks.len() >= count).then_some(marks)
        })
    };
    assert_eq!(marked(&host, 1), ["created"]);
    host.drop_manifest("w.toml", &poller("200ms", &url, ", timeout = \"3s\""));
    assert_eq!(marked(&host, 2), ["config changed", "created"]);
    let digest = host.worker("pages").unwrap()["digest"].as_str().unwrap().to_owned();
    host.install_bytes("poller.wasm", &other_bytes());
    let swapped = marked(&host, 3);
    assert!(swapped[0].starts_with(&format!("component {}… → sha256:", &digest[..19])), "{swapped:#?}");
    // A restart marks nothing; what was changed while the host was off is marked at its start.
    assert_eq!(host.stop(), Some(0));
    host.start();
    host.check_when(&url, "up");
    assert_eq!(marks(&detail(&host, &url)), swapped);
    assert_eq!(host.stop(), Some(0));
    host.install("poller", "poller.wasm");
    host.start();
    host.check_when(&url, "up");
    assert_eq!(marked(&host, 4)[0], format!("component back to {}…", &digest[..19]));

    let since = detail(&host, &url)["changes"].as_array().unwrap().last().unwrap()["at"].as_str().unwrap()[..10].to_owned();
    let goes = format!("- remove pages\n    its check and its history since {since} go too\n");
    let plan = host.ok(&["delete", "worker", "pages", "--dry-run"]);
    assert!(plan.contains(&goes), "{plan}");
    assert!(host.worker("pages").is_some());
    let plan = host.ok(&["delete", "worker", "pages"]);
    assert!(plan.contains(&goes), "{plan}");

    // A worker of that name that comes back begins anew.
    eventually("it is gone", || host.worker("pages").is_none().then_some(()));
    host.drop_manifest("w.toml", &poller("1h", &url, ""));
    host.check_when(&url, "up");
    let anew = eventually("its first result is told", || {
        let detail = detail(&host, &url);
        (detail["summary"]["results"] == 1).then_some(detail)
    });
    assert_eq!((changes(&anew), marks(&anew)), (vec!["unknown -> up".to_owned()], vec!["created".to_owned()]));
    assert!(anew["failure"].is_null() && anew["points"].as_array().unwrap().len() <= 2, "{anew:#}");
    assert_eq!(host.stop(), Some(0));
    let db = rusqlite::Connection::open(host.data().join("control.db")).unwrap();
    for (table, rows) in [("checks", 1), ("changes", 1), ("marks", 1)] {
        assert_eq!(db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap(), rows, "{table}");
    }
}
