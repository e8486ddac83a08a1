//! Reference system 4, the canary: machines watched, edited and deleted while it runs; and each of its faults that must not come along.

use std::{net::TcpListener, time::Duration};

use serde_json::Value;

use crate::support::{Host, eventually, web};

/// A pinger with these machines, TOML of one table each.
fn pinger(machines: &[&str]) -> String {
    let tables: String = machines.iter().map(|machine| format!("[[worker.config.machines]]\n{machine}\n")).collect();
    format!(
        "[[worker]]\nname = \"pinger\"\ntitle = \"Machines\"\ncomponent = \"pinger.wasm\"\neach = \"machines\"\nschedule = {{ every = \"1h\" }}\n\
         grants = {{ ping = {{ allow = [\"config:machines.address\"], lan = true }} }}\nchecks = {{ confirm = 1, recover = 1 }}\n\
         [worker.config]\npackets = 2\ninterval = \"10ms\"\ntimeout = \"500ms\"\n{tables}"
    )
}

fn machine(name: &str, address: &str, more: &str) -> String {
    format!("name = \"{name}\"\naddress = \"{address}\"\n{more}\n")
}

fn history(host: &Host, worker: &str, subject: &str) -> (u16, Value) {
    let text = |text: &str| text.replace('/', "%2F").replace(':', "%3A").replace('[', "%5B").replace(']', "%5D");
    let (status, body) = host.api(&format!("/api/v1/checks/history?worker={}&subject={}", text(worker), text(subject)));
    (status, serde_json::from_str(&body).unwrap())
}

fn names(host: &Host) -> Vec<String> {
    host.workers().iter().map(|worker| worker["name"].as_str().unwrap().to_owned()).collect()
}

/// A port of loopback where nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn machines_are_up_down_and_say_why() {
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, dead) = (open.local_addr().unwrap().port(), closed_port());
    let host = Host::with(&["pinger"]);
    host.drop_manifest(
        "m.toml",
        &pinger(&[
            &machine("here", "127.0.0.1", "title = \"This host\""),
            &machine("here6", "::1", ""),
            &machine("open", "127.0.0.1", &format!("tcp = {port}")),
            &machine("dead", "127.0.0.1", &format!("tcp = {dead}")),
            // Reserved: no network carries it.
            &machine("nowhere", "240.0.0.1", ""),
        ]),
    );
    let here = host.check_when("127.0.0.1", "up");
    assert_eq!(here["worker"], "pinger/here");
    assert!(here["latency_ms"].as_f64() > Some(0.0), "{here:#}");
    assert!(here["detail"].as_str().unwrap().starts_with("127.0.0.1 answers after "), "{here:#}");
    let v6 = eventually("a result for ::1", || host.checks().into_iter().find(|check| check["subject"] == "::1"));
    let no_v6 = v6["detail"].as_str().unwrap();
    assert!(v6["status"] == "up" || no_v6.contains("no IPv6") || no_v6.contains("no route"), "{v6:#}");
    host.check_when(&format!("127.0.0.1:{port}"), "up");
    let down = host.check_when(&format!("127.0.0.1:{dead}"), "down");
    assert_eq!(down["detail"], format!("127.0.0.1:{dead} refuses connections: nothing listens there"));
    assert!(down["latency_ms"].is_null(), "{down:#}");
    // With a default route it is lost on the way; without, nothing can be sent, which says nothing about the machine.
    let nowhere = eventually("a result for 240.0.0.1", || host.checks().into_iter().find(|check| check["subject"] == "240.0.0.1"));
    match nowhere["status"].as_str().unwrap() {
        "down" => assert_eq!(nowhere["detail"], "no answer from 240.0.0.1: 2 packets lost"),
        _ => assert!(nowhere["status"] == "unknown" && nowhere["detail"].as_str().unwrap().contains("240.0.0.1"), "{nowhere:#}"),
    }
    assert_eq!(host.worker("pinger/here").unwrap()["title"], "This host");
    assert_eq!(host.worker("pinger/open").unwrap()["title"], "Machines");
    assert!(host.ok(&["logs", "pinger/here"]).contains("[pinger/here] 127.0.0.1 answers after"));
    assert!(host.ok(&["why", "pinger/here"]).contains("running"));
}

#[test]
fn config_mistakes_name_the_field() {
    let host = Host::with(&["pinger"]);
    host.drop_manifest("m.toml", &pinger(&[&machine("a", "127.0.0.1", "packets = 50")]));
    let worker = host.worker_when("pinger/a", "refused", |worker| worker["last_error"].is_string());
    assert!(worker["last_error"].as_str().unwrap().contains("config.machines[0].packets: must be a number from 1 to 20"), "{worker:#}");
    // Without each, one worker would have to watch all.
    let both = pinger(&[&machine("a", "127.0.0.1", ""), &machine("b", "127.0.0.2", "")]).replace("each = \"machines\"\n", "");
    host.drop_manifest("m.toml", &both);
    let worker = host.worker_when("pinger", "refused", |worker| worker["last_error"].is_string());
    assert!(worker["last_error"].as_str().unwrap().contains("write each = \"machines\" in [[worker]]"), "{worker:#}");
}

#[test]
fn one_machine_changes_and_the_others_are_not_touched() {
    let host = Host::with(&["pinger"]);
    let (a, b) = (machine("a", "127.0.0.1", ""), machine("b", "127.0.0.2", ""));
    host.drop_manifest("m.toml", &pinger(&[&a, &b]));
    host.check_when("127.0.0.1", "up");
    host.check_when("127.0.0.2", "up");
    let before = (host.worker("pinger/a").unwrap(), host.worker("pinger/b").unwrap());

    // A new title, note or payload restarts nobody; another interval is that worker's alone.
    let told = machine("b", "127.0.0.2", "title = \"B\"\nnotes = \"in the cellar\"\npayload = { rack = 2 }");
    host.drop_manifest("m.toml", &pinger(&[&a, &told]));
    let titled = host.worker_when("pinger/b", "titled", |worker| worker["title"] == "B");
    for fact in ["incarnation", "since"] {
        assert_eq!(titled[fact], before.1[fact], "{titled:#}");
    }
    let quicker = machine("b", "127.0.0.2", "every = \"30m\"");
    let c = machine("c", "127.0.0.3", "");
    host.drop_manifest("m.toml", &pinger(&[&a, &quicker, &c]));
    host.check_when("127.0.0.3", "up");
    assert_eq!(host.worker("pinger/b").unwrap()["schedule"]["every"], "30m");
    let after = host.worker("pinger/a").unwrap();
    for fact in ["incarnation", "since", "schedule", "events"] {
        assert_eq!(after[fact], before.0[fact], "{after:#}");
    }
    let refused = host.fails(4, &["scale", "pinger/a", "2"]);
    assert!(refused.contains("is an item of worker \"pinger\""), "{refused}");
    let since = host.worker("pinger/c").unwrap()["since"].clone();
    host.ok(&["delete", "worker", "pinger/a"]);
    assert!(host.worker("pinger/a").is_none() && host.checks().iter().all(|check| check["worker"] != "pinger/a"));
    assert_eq!(host.worker("pinger/c").unwrap()["since"], since, "its siblings do not notice");
}

#[test]
fn fault_an_edited_address_never_reaches_the_watcher() {
    let host = Host::with(&["pinger"]);
    host.drop_manifest("m.toml", &pinger(&[&machine("nas", "127.0.0.1", "")]));
    host.check_when("127.0.0.1", "up");
    // It ticks once an hour: only the edit can bring this.
    host.drop_manifest("m.toml", &pinger(&[&machine("nas", "127.0.0.2", "")]));
    let check = host.check_when("127.0.0.2", "up");
    assert_eq!(check["worker"], "pinger/nas");
}

#[test]
fn fault_deleting_leaves_pings_and_an_orphan_watcher() {
    let mut host = Host::with(&["pinger"]);
    let three =
        [("a", "127.0.0.1"), ("b", "127.0.0.2"), ("c", "127.0.0.3")].map(|(name, address)| machine(name, address, "every = \"300ms\""));
    let [a, b, c] = &three;
    host.drop_manifest("m.toml", &pinger(&[a, b, c]));
    for address in ["127.0.0.1", "127.0.0.2", "127.0.0.3"] {
        host.check_when(address, "up");
    }
    eventually("its pings are kept", || (history(&host, "pinger/b", "127.0.0.2").0 == 200).then_some(()));

    host.drop_manifest("m.toml", &pinger(&[a, c]));
    eventually("the watcher is gone", || (names(&host) == ["pinger/a", "pinger/c"]).then_some(()));
    eventually("so are its pings", || (history(&host, "pinger/b", "127.0.0.2").0 == 404).then_some(()));
    assert!(host.checks().iter().all(|check| check["worker"] != "pinger/b"), "{:#?}", host.checks());
    let seen = |host: &Host| host.worker("pinger/a").unwrap()["events"]["ok"].as_u64().unwrap();
    let rounds = seen(&host);
    eventually("others go on", || (seen(&host) > rounds + 2).then_some(()));
    assert!(host.checks().iter().all(|check| check["worker"] != "pinger/b"), "nobody pings it any more");

    // Deleted while the host is off: gone with its history, as soon as the host is back.
    assert_eq!(host.stop(), Some(0));
    host.drop_manifest("m.toml", &pinger(&[a]));
    host.start();
    assert_eq!(names(&host), ["pinger/a"]);
    assert!(host.checks().iter().all(|check| check["worker"] == "pinger/a"), "{:#?}", host.checks());
    eventually("its pings are gone", || (history(&host, "pinger/c", "127.0.0.3").0 == 404).then_some(()));
    assert_eq!(history(&host, "pinger/a", "127.0.0.1").0, 200, "the others keep theirs");

    std::fs::remove_file(host.manifest("m.toml")).unwrap();
    eventually("all are gone", || host.checks().is_empty().then_some(()));
    eventually("with their pings", || (history(&host, "pinger/a", "127.0.0.1").0 == 404).then_some(()));
}

#[test]
fn fault_no_latency_and_no_pruning() {
    let host = Host::with(&["pinger"]);
    host.drop_manifest("m.toml", &pinger(&[&machine("a", "127.0.0.1", "every = \"20ms\"\npackets = 1")]));
    host.worker_when("pinger/a", "pinging", |worker| worker["events"]["ok"].as_u64() > Some(40));
    let check = host.check_when("127.0.0.1", "up");
    let recent = check["recent"].as_array().unwrap();
    assert_eq!(recent.len(), 30, "the last thirty, however many there were");
    assert!(recent.iter().all(|beat| beat["latency_ms"].as_f64() > Some(0.0)), "{check:#}");
    let (_, points) = history(&host, "pinger/a", "127.0.0.1");
    assert!(points[0]["latency_avg_ms"].as_f64() > Some(0.0), "{points:#}");
}

#[test]
fn fault_exit_codes_other_than_0_1_2_crash_the_watcher() {
    // No ping(8), no exit codes: whatever comes of a ping is a finding, and no watcher crashes of it.
    let host = Host::with(&["pinger"]);
    let addresses = ["240.0.0.1", "255.255.255.255", "224.0.0.1", "0.0.0.0", "fe80::1", "nobody.invalid", "127.0.0.1"];
    let machines: Vec<String> =
        addresses.iter().enumerate().map(|(i, address)| machine(&format!("m{i}"), address, "packets = 1\ntimeout = \"200ms\"")).collect();
    host.drop_manifest("m.toml", &pinger(&machines.iter().map(String::as_str).collect::<Vec<_>>()));
    host.check_when("127.0.0.1", "up");
    let checks = eventually("all have a result", || Some(host.checks()).filter(|checks| checks.len() == addresses.len()));
    for check in &checks {
        assert!(check["status"] == "up" || check["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{check:#}");
    }
    for worker in host.workers() {
        assert_eq!(
            (&worker["restarts"], &worker["events"]["trapped"], &worker["events"]["failed"]),
            (&0.into(), &0.into(), &0.into()),
            "{worker:#}"
        );
    }
    assert!(host.ok(&["traps", "-o", "json"]).trim().trim_matches(['[', ']']).is_empty());
}

#[test]
fn fault_all_watchers_start_at_once() {
    let mut host = Host::folders(&["pinger"]);
    let machines: Vec<String> =
        (1..=20).map(|i| machine(&format!("m{i}x"), &format!("127.0.0.{i}"), "every = \"2s\"\npackets = 1")).collect();
    std::fs::write(host.manifest("m.toml"), pinger(&machines.iter().map(String::as_str).collect::<Vec<_>>())).unwrap();
    host.start();
    let checks = eventually("all have a result", || Some(host.checks()).filter(|checks| checks.len() == 20));
    let mut firsts: Vec<jiff::Timestamp> = checks.iter().map(|check| check["recent"][0]["at"].as_str().unwrap().parse().unwrap()).collect();
    firsts.sort();
    let spread = Duration::try_from(firsts[19].duration_since(firsts[0])).unwrap();
    assert!(spread > Duration::from_millis(500), "spread over their interval: {spread:?}");
}

#[test]
fn fault_the_list_is_fixed_when_the_page_opens() {
    let host = Host::with(&["pinger"]);
    host.drop_manifest("m.toml", &pinger(&[&machine("a", "127.0.0.1", "")]));
    host.check_when("127.0.0.1", "up");
    // What a page follows: a machine added later shows up in it, and one that was deleted is told of.
    let watching = host.follow(&["events", "-f", "-n", "0"]);
    let b = machine("b", "127.0.0.1", &format!("tcp = {}", closed_port()));
    host.drop_manifest("m.toml", &pinger(&[&machine("a", "127.0.0.1", ""), &b]));
    watching.until("1 created");
    assert!(watching.until("-> down").contains("pinger/b"));
    host.drop_manifest("m.toml", &pinger(&[&b]));
    watching.until("1 removed");
    eventually("the list follows", || (names(&host) == ["pinger/b"]).then_some(()));
}

#[test]
fn fault_no_auth() {
    let host = Host::with(&["pinger"]);
    host.drop_manifest("m.toml", &pinger(&[&machine("a", "127.0.0.1", "")]));
    host.check_when("127.0.0.1", "up");
    let (reading, all) = (host.bearer("read.token"), host.bearer("admin.token"));
    for (token, see, change) in [("", 401, 401), ("Bearer guessed", 401, 401), (&*reading, 200, 403), (&*all, 200, 202)] {
        let headers = [("Authorization", token)];
        assert_eq!(web::ask(&host.admin, "GET", "/api/v1/checks", &headers).status, see, "{token}");
        let tick = web::ask(&host.admin, "POST", "/api/v1/workers/pinger%2Fa/tick", &headers);
        assert_eq!(tick.status, change, "{token}: {tick:?}");
    }
}

#[test]
fn fault_no_alert() {
    let dead = closed_port();
    let host = Host::with(&["pinger"]);
    let watching = host.follow(&["events", "-f", "-n", "0"]);
    host.drop_manifest("m.toml", &pinger(&[&machine("nas", "127.0.0.1", &format!("tcp = {dead}\nevery = \"50ms\""))]));
    let down = watching.until("check.changed");
    assert!(down.contains(&format!("127.0.0.1:{dead}")) && down.contains("-> down") && down.contains("refuses connections"), "{down}");
    let open = TcpListener::bind(("127.0.0.1", dead)).unwrap();
    let up = watching.until("-> up");
    assert!(up.contains("pinger/nas"), "{up}");
    // Whatever sends alerts reads them here as well.
    let (_, metrics) = host.api("/metrics");
    let known = metrics.lines().any(|line| line.starts_with("skep_check_up{") && line.contains("pinger/nas") && line.ends_with(" 1"));
    assert!(known, "{metrics}");
    drop(open);
}
