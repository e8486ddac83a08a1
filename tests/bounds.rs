//! Guest bounds through the real binary: what is beyond them is refused or ends the event, by name; the host and everybody else go on.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Host, eventually, pages::Pages, site::Site};

const MIB: usize = 1 << 20;

fn worker(name: &str, guest: &str, more: &str) -> String {
    format!("[[worker]]\nname = \"{name}\"\ncomponent = \"{guest}.wasm\"\n{more}\n")
}

fn echo(host: &Host) {
    host.running("echo", &worker("echo", "echo", ""));
}

/// Another worker answers, and so does the host.
fn healthy(host: &Host) {
    assert_eq!(host.ok(&["call", "echo", "say", "still here"]), "still here");
    let (status, said) = host.api("/readyz");
    assert_eq!(status, 200, "{said}");
}

/// A host with the flood plugin, resident, and an echo beside it.
fn flooded(more: &str) -> Host {
    let host = Host::with(&["flood", "echo"]);
    echo(&host);
    host.running("flood", &worker("flood", "flood", more));
    host
}

fn order(n: usize, url: &str) -> String {
    json!({ "n": n, "url": url }).to_string()
}

#[test]
fn log_lines_past_a_thousand_a_second_are_counted_and_told_and_not_kept() {
    const LINES: usize = 20_000;
    let host = flooded("");
    let start = Instant::now();
    assert_eq!(host.call("flood", "log", &order(LINES, ""))["written"], LINES);
    // Each second that began while it wrote has room for a thousand, and what is left out is told with a figure.
    let seconds = start.elapsed().as_secs() as usize + 1;
    let dropped: usize = host
        .said("flood")
        .iter()
        .filter_map(|text| text.strip_suffix(" log lines dropped: more than 1000 in a second")?.parse::<usize>().ok())
        .sum();
    assert!(dropped >= LINES - 1_000 * seconds, "{dropped} told as dropped in {seconds} s");
    assert!(dropped < LINES);
    healthy(&host);

    // Fresh instances are no way round, and telling is bounded as well.
    host.running("fresh", &worker("fresh", "flood", "instance = \"per-event\""));
    for _ in 0..12 {
        host.call("fresh", "log", &order(1_000, ""));
    }
    let kept = host.log().lines().filter(|line| line.contains("worker=\"fresh\"") && line.contains("flood")).count();
    let seconds = start.elapsed().as_secs() as usize + 1;
    assert!(kept >= 1_000, "{kept} lines kept: the pattern above must match");
    assert!(kept <= 1_000 * seconds, "{kept} lines kept in {seconds} s");
    let told = host.said("fresh").iter().filter(|text| text.contains(" dropped: ")).count();
    assert!((1..=2 * seconds).contains(&told), "{told} lines about dropped ones in {seconds} s");
}

#[test]
fn a_line_is_cut_at_8_kib_whichever_way_it_comes() {
    let host = flooded("");
    for (method, source) in [("long-line", "log"), ("stdout", "stdout"), ("stderr", "stderr")] {
        host.call("flood", method, &order(100_000, ""));
        let lines = host.lines("flood");
        let line = lines.iter().rfind(|line| line["source"] == source).unwrap_or_else(|| panic!("{method}: {lines:#?}"));
        let text = line["text"].as_str().unwrap();
        assert!(text.ends_with("[cut: 100000 bytes, at most 8 KiB a line]"), "{method}: …{}", &text[text.len() - 80..]);
        assert!(text.len() < 8_192 + 64, "{method}: {}", text.len());
        assert_eq!(lines.iter().filter(|line| line["source"] == source).count(), 1, "{method}: one line stays one");
    }
    healthy(&host);
}

#[test]
fn the_65th_request_in_flight_gets_an_error_that_names_the_bound() {
    let site = Site::up();
    site.delay(Duration::from_millis(700));
    let host = flooded("grants = { http = { allow = [\"127.0.0.1\"] } }");
    let tally = host.call("flood", "requests", &order(80, &site.url()));
    assert_eq!(tally["status 200"], 64, "{tally:#}");
    let (said, count) = tally.as_object().unwrap().iter().find(|(said, _)| !said.starts_with("status")).unwrap();
    assert!(said.contains("64") && said.contains("in flight"), "{said}");
    assert_eq!(count, 16);
    assert_eq!(site.requests(), 64, "the others never left");
    healthy(&host);
    // All room is given back.
    site.delay(Duration::ZERO);
    assert_eq!(host.call("flood", "requests", &order(64, &site.url()))["status 200"], 64);
}

#[test]
fn bodies_are_streamed_up_to_16_mib() {
    let site = Pages::plain();
    let host = flooded("grants = { http = { allow = [\"127.0.0.1\"] } }\nlimits = { memory = \"4MiB\" }");
    let before = peak_kib(&host);
    let whole = host.call("flood", "body-in", &order(0, &site.url(&format!("/big/{}", 16 * MIB))));
    assert_eq!((&whole["read"], &whole["error"]), (&json!(16 * MIB), &Value::Null), "{whole:#}");
    let more = host.call("flood", "body-in", &order(0, &site.url(&format!("/big/{}", 16 * MIB + 1))));
    assert!(more["error"].as_str().unwrap().contains("16777216"), "{more:#}");
    assert!(more["read"].as_u64().unwrap() <= 16 * MIB as u64, "{more:#}");

    let whole = host.call("flood", "body-out", &order(16 * MIB, &site.url("/count")));
    assert_eq!((&whole["written"], &whole["answer"]), (&json!(16 * MIB), &json!("status 200")), "{whole:#}");
    let more = host.call("flood", "body-out", &order(17 * MIB, &site.url("/count")));
    assert!(more.to_string().contains("16777216"), "{more:#}");
    // Four bodies of 16 MiB went through: had one been held whole, this would be more.
    let grown = peak_kib(&host) - before;
    assert!(grown < 12 << 10, "the host grew by {grown} KiB");
    let said = host.said("flood").join("\n");
    assert!(said.contains("larger than 16 MiB"), "the log names the bound for a person: {said}");
    healthy(&host);
}

/// The most memory the host has used so far.
fn peak_kib(host: &Host) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_report_is_bounded_in_detail_subject_and_number() {
    let host = flooded("");
    assert_eq!(host.call("flood", "detail", &order(MIB, ""))["reported"], 1);
    let refused = host.call("flood", "detail", &order(MIB + 1, ""));
    let said = refused["error"].as_str().unwrap();
    assert!(said.contains("TooLarge") && said.contains("1048577") && said.contains("1 MiB"), "{said}");
    assert_eq!(host.call("flood", "subject", &order(2_048, ""))["reported"], 1);
    let refused = host.call("flood", "subject", &order(2_049, ""));
    let said = refused["error"].as_str().unwrap();
    assert!(said.contains("TooLarge") && said.contains("2049") && said.contains("2048"), "{said}");
    // Of a detail the start is kept: a listing of a thousand must stay a listing.
    let check = host.check_when("flood", "up");
    assert!(check["detail"].as_str().unwrap().len() <= 4_096);

    host.call("flood", "reports", &order(1_100, ""));
    assert_eq!(host.checks().len(), 1_000);
    let events = host.ok(&["events", "flood"]);
    assert!(events.contains("1000 subjects"), "{events}");
    healthy(&host);
}

#[test]
fn too_many_handles_and_too_large_host_calls_end_the_event_by_name() {
    let host = flooded("");
    host.install("crash", "crash.wasm");
    host.running("crash", &worker("crash", "crash", ""));
    let said = host.fails(1, &["call", "crash", "handles"]);
    assert!(said.contains("4096 open handles"), "{said}");
    let record = host.trap("crash");
    assert_eq!(record["cause"], "limit", "{record:#}");
    assert!(record["message"].as_str().unwrap().contains("4096"), "{record:#}");

    assert_eq!(host.call("flood", "long-line", &order(19 * MIB, ""))["written"], 19 * MIB);
    let said = host.fails(1, &["call", "flood", "long-line", &order(21 * MIB, "")]);
    assert!(said.contains("20 MiB"), "{said}");
    let record = host.trap("flood");
    assert_eq!(record["cause"], "limit", "{record:#}");
    assert!(record["message"].as_str().unwrap().contains("20 MiB"), "{record:#}");
    healthy(&host);
    assert_eq!(host.call("flood", "log", &order(1, ""))["written"], 1, "served at once");
}

#[test]
fn memory_past_the_limit_is_refused_and_the_worker_goes_on() {
    let host = Host::with(&["hog", "echo"]);
    echo(&host);
    host.running("hog", &worker("hog", "hog", "limits = { memory = \"16MiB\" }"));
    let told = host.call("hog", "grow", "64");
    assert_eq!(told["refused"], true, "{told}");
    let have = told["have_mib"].as_u64().unwrap();
    assert!((10..16).contains(&have), "{told}");
    assert_eq!(host.call("hog", "have", "")["have_mib"], have, "it goes on with what it has");
    let hog = host.worker("hog").unwrap();
    assert_eq!((&hog["restarts"], &hog["events"]["trapped"]), (&json!(0), &json!(0)));
    assert!(hog["memory_peak_bytes"].as_u64().unwrap() <= 16 * MIB as u64, "{hog:#}");
    healthy(&host);

    // One that can't do with less is ended, and the record says what the limit was.
    host.install("crash", "crash.wasm");
    host.running("crash", &worker("crash", "crash", "limits = { memory = \"16MiB\" }"));
    let said = host.fails(1, &["call", "crash", "oom"]);
    assert!(said.contains("limits.memory") && said.contains("16 MiB"), "{said}");
}

#[test]
fn an_events_time_ends_waits_in_host_calls_too() {
    let site = Site::up();
    site.delay(Duration::from_secs(60));
    let host = flooded("grants = { http = { allow = [\"127.0.0.1\"] } }\nlimits = { timeout = \"500ms\" }");
    host.install("spin", "spin.wasm");
    host.running("spin", &worker("spin", "spin", "limits = { timeout = \"500ms\" }"));
    for (name, method, payload, waits) in [
        ("spin", "wait", "60000".to_owned(), "while waiting in a host call"),
        ("spin", "spin", String::new(), "still busy"),
        ("flood", "requests", order(3, &site.url()), "while waiting with 3 HTTP requests in flight"),
    ] {
        let start = Instant::now();
        let said = host.fails(1, &["call", name, method, &payload]);
        assert!(start.elapsed() < Duration::from_secs(10), "{name}");
        assert!(said.contains("500ms") && said.contains(waits) && said.contains("limits.timeout"), "{said}");
        assert_eq!(host.trap(name)["cause"], "timeout");
    }
    // Less than the time is nobody's business.
    assert!(host.ok(&["call", "spin", "wait", "50"]).parse::<u64>().unwrap() >= 50);
    healthy(&host);
}

#[test]
fn a_call_and_its_answer_carry_at_most_1_mib() {
    let host = flooded("");
    let file = host.data().join("payload");
    let payload = format!("@{}", file.display());
    std::fs::write(&file, vec![b'p'; MIB]).unwrap();
    assert_eq!(host.ok(&["call", "echo", "say", &payload]).len(), MIB);
    std::fs::write(&file, vec![b'p'; MIB + 1]).unwrap();
    let said = host.fails(4, &["call", "echo", "say", &payload]);
    assert!(said.contains("larger than 1 MiB"), "{said}");
    for bytes in [MIB + 1, 2 * MIB] {
        let (status, said) = called(&host, vec![b'p'; bytes]);
        assert_eq!(status, 413, "{said}");
        assert!(said.contains("1 MiB"), "{said}");
    }

    assert_eq!(host.ok(&["call", "flood", "answer", &order(MIB, "")]).len(), MIB);
    let said = host.fails(1, &["call", "flood", "answer", &order(MIB + 1, "")]);
    assert!(said.contains("1048577") && said.contains("1 MiB"), "{said}");
    healthy(&host);
}

#[test]
fn noisy_neighbours_slow_nobody_down() {
    let host = Host::with(&["spin", "echo"]);
    let mut manifest = worker("echo", "echo", "") + &worker("clock", "echo", "schedule = { every = \"100ms\" }");
    for spinner in 0..6 {
        let limits = "schedule = { every = \"100ms\" }\nconfig = { mode = \"spin\" }\nlimits = { timeout = \"20s\" }";
        manifest += &worker(&format!("spin-{spinner}"), "spin", limits);
    }
    host.drop_manifest("all.toml", &manifest);
    for spinner in 0..6 {
        // Its tick began, and is not over for a long time.
        let name = format!("spin-{spinner}");
        host.worker_when(&name, "spinning", |worker| worker["schedule"]["missed"].as_u64() > Some(0));
    }
    let ticks = || host.worker("clock").unwrap()["events"]["ok"].as_u64().unwrap();
    let (before, start) = (ticks(), Instant::now());
    let mut took: Vec<Duration> = (0..21).map(|_| echoed(&host)).collect();
    took.sort();
    assert!(took[10] < Duration::from_millis(50), "a call's median beside six that spin: {took:?}");
    eventually("ticks keep coming", || (ticks() >= before + 10).then_some(()));
    assert!(start.elapsed() < Duration::from_secs(10));
    let late = host.worker("clock").unwrap()["schedule"]["lateness_ms"].as_f64().unwrap();
    assert!(late < 100.0, "{late} ms late");
    healthy(&host);
}

/// How long the host takes for a call, its own time only: starting a client process takes longer than that.
fn echoed(host: &Host) -> Duration {
    let start = Instant::now();
    assert_eq!(called(host, b"ping".to_vec()), (200, "ping".to_owned()));
    start.elapsed()
}

/// Calls echo over HTTP.
fn called(host: &Host, payload: Vec<u8>) -> (u16, String) {
    let token = std::fs::read_to_string(host.data().join("admin.token")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("{}/api/v1/workers/echo/call?method=say", host.admin);
        let answer = reqwest::Client::new().post(url).bearer_auth(token.trim()).body(payload).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    })
}
