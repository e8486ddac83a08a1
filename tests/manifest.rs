//! Manifests: what a person wrote, and what they are told about it.
//!
//! `tests/manifest/NAME.toml` goes with `NAME.err`, every problem a line; without one the file has none. `SKEP_BLESS=1` writes what is
//! said today, to be read before it is committed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that is wrong about its own data should fail"
)]

mod edits;
mod properties;

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use serde_json::json;
use skep::{
    facts::{InstanceMode, Problem},
    manifest::{
        MAX_FILE_BYTES, Parser, check_all, check_defaults, not_in_this_build,
        spec::{Destination, FileSpec, Host, Rate, Schedule, WorkerSpec, differences},
        units::{parse_duration, parse_size, print_duration, print_size},
    },
};

fn good(text: &str) -> FileSpec {
    let parsed = Parser::new(None).parse("test.toml", text);
    assert_eq!(said(&parsed.problems), "", "in\n{text}");
    parsed.spec.expect("a file without problems has a spec")
}

fn worker(text: &str) -> WorkerSpec {
    let spec = good(text);
    assert_eq!(spec.workers.len(), 1);
    WorkerSpec::clone(&spec.workers[0])
}

fn said(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

#[test]
fn every_fixture_says_what_its_err_file_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifest");
    let mut texts = BTreeMap::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "toml") {
            texts.insert(path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap());
        }
    }
    assert!(texts.len() >= 25, "{} fixtures", texts.len());
    let mut wrong = String::new();
    for (file, text) in &texts {
        let parsed = Parser::new(None).parse(file, text);
        assert_eq!(parsed.spec.is_none(), !parsed.problems.is_empty(), "{file}: a spec exactly when there is no problem");
        let mut problems = parsed.problems;
        if let Some(spec) = &parsed.spec {
            problems.extend(check_all(&[(Arc::from(file.as_str()), spec)]));
            problems.extend(not_in_this_build(spec));
        }
        let expected_at = folder.join(file).with_extension("err");
        let said = said(&problems);
        if std::env::var_os("SKEP_BLESS").is_some() {
            if said.is_empty() { _ = fs::remove_file(&expected_at) } else { fs::write(&expected_at, &said).unwrap() }
        }
        let expected = fs::read_to_string(&expected_at).unwrap_or_default();
        if said != expected {
            wrong += &format!("--- {file}: expected\n{expected}--- said\n{said}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_contracts_poller_means_what_it_says() {
    let spec = good(
        r#"
# What we watch.
[[worker]]
name = "pages"
component = "poller.wasm"
schedule = { every = "1m 30s" }
config = { urls = ["https://Example.com/a?b", { url = "http://nas.lan/", expect = "200-399" }, "https://example.com"], at = 2024-05-01 }
grants = { http = { allow = ["config:urls", "http://[::ffff:10.0.0.1]:8080"], rate = "5/s", lan = true } }
"#,
    );
    let worker = &spec.workers[0];
    assert_eq!((&*worker.name, &*worker.origin.file, worker.origin.line), ("pages", "test.toml", 3));
    assert_eq!(worker.run.schedule, Some(Schedule::Every(Duration::from_secs(90))));
    assert_eq!(worker.run.config["at"], json!("2024-05-01"));
    assert_eq!(worker.run.config["urls"][1], json!({ "url": "http://nas.lan/", "expect": "200-399" }));
    assert_eq!(worker.live.checks, skep::manifest::spec::CheckPolicy { confirm: 3, recover: 2 });
    let http = worker.run.grants.http.as_ref().unwrap();
    let shown: Vec<String> = http.allow.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["https://example.com", "http://nas.lan", "http://10.0.0.1:8080"]);
    assert_eq!(http.rate, Some(Rate { count: 5, per: Duration::from_secs(1) }));
    assert!(http.lan && http.verify && http.keep_alive);
}

#[test]
fn allow_takes_origins_hosts_networks_and_workers() {
    let name = |name: &str| Host::Name(name.to_owned());
    let origin = |scheme: &str, host, port| Destination::Origin { scheme: scheme.to_owned(), host, port };
    let v6 = Host::Address("fd00::1".parse().unwrap());
    let expected = [
        ("https://example.com", origin("https", name("example.com"), 443)),
        ("HTTPS://Example.COM./", origin("https", name("example.com"), 443)),
        ("http://nas.lan:8080", origin("http", name("nas.lan"), 8080)),
        ("http://[fd00::1]", origin("http", v6.clone(), 80)),
        ("https://*.example.com", origin("https", name("*.example.com"), 443)),
        ("nas.lan", Destination::Host(name("nas.lan"))),
        ("my_box", Destination::Host(name("my_box"))),
        ("*.example.com", Destination::Host(name("*.example.com"))),
        ("192.168.1.10", Destination::Host(Host::Address("192.168.1.10".parse().unwrap()))),
        ("::1", Destination::Host(Host::Address("::1".parse().unwrap()))),
        ("[fd00::1]", Destination::Host(v6)),
        ("192.168.1.7/24", Destination::Cidr("192.168.1.0/24".parse().unwrap())),
        ("fd00::/8", Destination::Cidr("fd00::/8".parse().unwrap())),
        ("worker:pinger/nas", Destination::Worker("pinger/nas".to_owned())),
        ("http://exchange.skep.internal", Destination::Worker("exchange".to_owned())),
    ];
    let entries: Vec<&str> = expected.iter().map(|(text, _)| *text).collect();
    let worker = worker(&format!("[[worker]]\nname = \"w\"\ncomponent = \"w.wasm\"\ngrants = {{ http = {{ allow = {entries:?} }} }}"));
    let found = &worker.run.grants.http.as_ref().unwrap().allow;
    for ((text, wanted), found) in expected.iter().filter(|(text, _)| *text != "HTTPS://Example.COM./").zip(found) {
        assert_eq!(found, wanted, "{text}");
    }
    assert_eq!(found.len(), expected.len() - 1, "the same origin counts once");
}

#[test]
fn a_worker_that_is_only_asked_is_resident() {
    let mode = |rest: &str| worker(&format!("[[worker]]\nname = \"w\"\ncomponent = \"w.wasm\"\n{rest}")).run.instance;
    assert_eq!(mode(""), InstanceMode::Resident);
    assert_eq!(mode("topics = [\"a\"]"), InstanceMode::Resident);
    assert_eq!(mode("schedule = { every = \"1s\" }"), InstanceMode::PerEvent);
    assert_eq!(mode("jobs = { queue = \"a\" }"), InstanceMode::PerEvent);
    assert_eq!(mode("http = { routes = [\"/\"] }"), InstanceMode::PerEvent);
    assert_eq!(mode("command = {}"), InstanceMode::PerEvent);
    assert_eq!(mode("schedule = { every = \"1s\" }\ninstance = \"resident\""), InstanceMode::Resident);
}

#[test]
fn each_makes_one_worker_an_item() {
    let spec = good(
        r#"
[[worker]]
name = "pinger"
title = "Machines"
component = "pinger.wasm"
each = "machines"
schedule = { cron = "*/5 * * * *" }
grants = { ping = { allow = ["config:machines.address"] } }
config = { packets = 3 }
[[worker.config.machines]]
name = "nas"
address = "192.168.1.10"
every = "10s"
title = "The NAS"
payload = { room = "cellar" }
[[worker.config.machines]]
name = "router"
address = "192.168.1.1"
"#
        .replace("config = { packets = 3 }\n", "[worker.config]\npackets = 3\n")
        .as_str(),
    );
    let [nas, router] = [&spec.workers[0], &spec.workers[1]];
    assert_eq!((&*nas.name, &*router.name), ("pinger/nas", "pinger/router"));
    assert_eq!(nas.run.schedule, Some(Schedule::Every(Duration::from_secs(10))));
    assert!(
        matches!(&router.run.schedule, Some(Schedule::Cron { expression, timezone }) if expression == "*/5 * * * *" && timezone == "UTC")
    );
    assert_eq!((nas.live.title.as_deref(), router.live.title.as_deref()), (Some("The NAS"), Some("Machines")));
    assert_eq!(nas.live.payload.as_deref(), Some(&json!({ "room": "cellar" })));
    assert_eq!(
        *nas.run.config,
        json!({ "packets": 3, "machines": [{ "name": "nas", "address": "192.168.1.10" }] }),
        "a new title is no new config"
    );
    assert_eq!(*router.run.config, json!({ "packets": 3, "machines": [{ "name": "router", "address": "192.168.1.1" }] }));
    let allowed = &router.run.grants.ping.as_ref().unwrap().allow;
    assert_eq!(allowed.iter().map(ToString::to_string).collect::<Vec<_>>(), ["192.168.1.1"]);
}

#[test]
fn defaults_lie_below_every_worker() {
    let defaults: toml::Table =
        toml::from_str("replicas = 2\nschedule = { every = \"5m\" }\nlimits = { timeout = \"3s\", memory = \"1MiB\" }\ngrants = { http = { rate = \"1/s\" } }")
            .unwrap();
    assert_eq!(check_defaults("skep.toml", &defaults), []);
    let text = "[[worker]]\nname = \"a\"\ncomponent = \"a.wasm\"\nlimits = { timeout = \"9s\" }\n\n[[worker]]\nname = \"b\"\ncomponent = \"b.wasm\"\n\
                schedule = { cron = \"0 3 * * *\" }\ngrants = { http = { allow = [\"nas.lan\"] } }\n\n[[limiter]]\nname = \"l\"\nrate = \"1/s\"";
    let parsed = Parser::new(Some(defaults)).parse("test.toml", text);
    assert_eq!(said(&parsed.problems), "");
    let spec = parsed.spec.unwrap();
    let [a, b] = [&spec.workers[0], &spec.workers[1]];
    assert_eq!((a.live.replicas, b.live.replicas), (2, 2));
    assert_eq!((a.run.limits.timeout, a.run.limits.memory_bytes), (Duration::from_secs(9), 1 << 20));
    assert_eq!(a.run.schedule, Some(Schedule::Every(Duration::from_secs(300))));
    assert!(matches!(b.run.schedule, Some(Schedule::Cron { .. })), "a schedule is taken whole");
    assert_eq!(a.run.grants.http, None, "defaults alone grant nothing");
    assert_eq!(b.run.grants.http.as_ref().unwrap().rate.unwrap().to_string(), "1/s");
}

#[test]
fn wrong_defaults_are_said_once_and_wherever_they_hurt() {
    let defaults: toml::Table =
        toml::from_str("name = \"x\"\nreplica = 2\nlimits = { timeout = \"3\" }\ngrants = { ping = { allow = [\"config:urls\"] } }")
            .unwrap();
    assert_eq!(
        said(&check_defaults("skep.toml", &defaults)),
        "skep.toml: defaults.name: can't have a default (hint: every worker has a name of its own)\n\
         skep.toml: defaults.limits.timeout: \"3\" has no unit (hint: write \"3s\" for seconds)\n\
         skep.toml: defaults.replica: unknown field (hint: did you mean \"replicas\"?)\n"
    );
    let limits: toml::Table = toml::from_str("limits = { timeout = \"3\" }").unwrap();
    let parsed = Parser::new(Some(limits)).parse("test.toml", "\n[[worker]]\nname = \"a\"\ncomponent = \"a.wasm\"");
    assert_eq!(
        said(&parsed.problems),
        "test.toml:2:1: worker \"a\": limits.timeout: \"3\" has no unit (from [defaults] in skep.toml) (hint: write \"3s\" for seconds)\n"
    );
}

fn pollers(count: usize, every: impl Fn(usize) -> String) -> String {
    let poller = |n| {
        format!(
            "# poller {n}\n[[worker]]\nname = \"poller-{n}\"\ncomponent = \"poller.wasm\"\nschedule = {{ every = \"{}\" }}\n\
             config = {{ urls = [\"http://127.0.0.1:8080/{n}\"] }}\ngrants = {{ http = {{ allow = [\"config:urls\"] }} }}\n\n",
            every(n)
        )
    };
    (0..count).map(poller).collect()
}

#[test]
fn one_change_among_many_leaves_the_others_as_they_are() {
    let mut parser = Parser::new(None);
    let before = parser.parse("test.toml", &pollers(300, |_| "30s".to_owned())).spec.unwrap();
    let text = pollers(300, |n| if n == 7 { "10s".to_owned() } else { "30s".to_owned() });
    let after = parser.parse("test.toml", &text).spec.unwrap();
    let touched: Vec<usize> = (0..300).filter(|n| !Arc::ptr_eq(&before.workers[*n], &after.workers[*n])).collect();
    assert_eq!(touched, [7]);
    // Blocks that move are the same workers on other lines, wherever they go.
    let (first, rest) = text.split_at(text.find("# poller 1\n").unwrap());
    let moved = parser.parse("test.toml", &format!("# a head\n\n{rest}{first}")).spec.unwrap();
    assert_eq!((&*moved.workers[0].name, moved.workers[0].origin.line), ("poller-1", 4));
    assert_eq!((&*moved.workers[299].name, moved.workers[299].origin.line), ("poller-0", 4 + 299 * 8));
    assert!(Arc::ptr_eq(&moved.workers[299].run, &after.workers[0].run), "what a worker runs was not made again");
    assert_eq!(*moved.workers[299], *after.workers[0], "and it equals what it was");
    assert_eq!(after.workers[0].origin.line, 2, "specs in use elsewhere keep their lines");
    // What is forgotten is looked at anew.
    parser.forget("test.toml");
    let anew = parser.parse("test.toml", &text).spec.unwrap();
    assert!(!Arc::ptr_eq(&anew.workers[3].run, &after.workers[3].run) && anew == after);
}

#[test]
fn problems_move_with_their_block() {
    let mut parser = Parser::new(None);
    let text = "[[worker]]\nname = \"a\"\ncomponent = \"a\"\n";
    assert!(said(&parser.parse("t.toml", text).problems).starts_with("t.toml:3:13: worker \"a\""));
    let parsed = parser.parse("t.toml", &format!("# head\n\n{text}\n{text}"));
    let lines: Vec<u32> = parsed.problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [5, 8, 9], "both components, and the second name");
}

#[test]
fn a_file_that_is_too_large_is_one_problem() {
    let text = " ".repeat(usize::try_from(MAX_FILE_BYTES).unwrap() + 1);
    let parsed = Parser::new(None).parse("big.toml", &text);
    assert!(parsed.spec.is_none());
    assert_eq!(said(&parsed.problems), "big.toml: has 8388609 bytes; at most 8388608 are read (hint: split it into several files)\n");
}

#[test]
fn problems_of_one_file_are_bounded() {
    let parsed = Parser::new(None).parse("many.toml", &"[[worker]]\n".repeat(400));
    assert_eq!(parsed.problems.len(), 501);
    assert_eq!(parsed.problems[500].message, "and 300 more problems in this file");
    let long = format!("[[worker]]\nname = \"{}\"\n{} = 1\n", "X".repeat(100_000), "y".repeat(100_000));
    for problem in Parser::new(None).parse("long.toml", &long).problems {
        assert!(problem.to_string().len() < 1_500, "{} bytes", problem.to_string().len());
    }
}

#[test]
fn nesting_can_not_exhaust_the_stack() {
    let dots = vec!["a"; 78].join(".");
    let mut value = "1".to_owned();
    for _ in 0..16 {
        value = format!("{{ {dots} = {value} }}");
    }
    let text = format!("[[worker]]\nname = \"deep\"\ncomponent = \"a.wasm\"\n[worker.config.{dots}]\n{dots} = {value}\n");
    let parsed =
        std::thread::Builder::new().stack_size(2 << 20).spawn(move || Parser::new(None).parse("deep.toml", &text)).unwrap().join().unwrap();
    assert!(said(&parsed.problems).contains("nested too deeply"));
}

#[test]
fn names_are_unique_over_all_files() {
    let worker = |name: &str| format!("[[worker]]\nname = \"{name}\"\ncomponent = \"a.wasm\"\n");
    let each = "\n[[worker]]\nname = \"b\"\ncomponent = \"b.wasm\"\neach = \"m\"\nconfig = { m = [{ name = \"x\" }, { name = \"y\" }] }\n\
                [[limiter]]\nname = \"a\"\nrate = \"1/s\"\n";
    let [first, second, third] = [worker("a"), each.to_owned(), worker("b") + &worker("a")].map(|text| good(&text));
    let files = [(Arc::from("1.toml"), &first), (Arc::from("2.toml"), &second), (Arc::from("3.toml"), &third)];
    assert_eq!(
        said(&check_all(&files)),
        "3.toml:1: worker \"b\": name: the name \"b\" is already taken by 2.toml:2 (hint: give one of them another name)\n\
         3.toml:4: worker \"a\": name: the name \"a\" is already taken by 1.toml:1 (hint: give one of them another name)\n"
    );
    assert_eq!(check_all(&files[..2]), []);
    assert_eq!(check_all(&[]), []);
}

#[test]
fn references_reach_over_files() {
    let user = good(
        "[[worker]]\nname = \"a\"\ncomponent = \"a.wasm\"\ngrants = { http = { allow = [\"worker:b\", \"worker:b/x\"], limiter = \"l\" } }",
    );
    let rest = good(
        "[[worker]]\nname = \"b\"\ncomponent = \"b.wasm\"\neach = \"m\"\nconfig = { m = [{ name = \"x\" }] }\n[[limiter]]\nname = \"l\"\nrate = \"1/s\"",
    );
    assert_eq!(check_all(&[(Arc::from("a.toml"), &user), (Arc::from("b.toml"), &rest)]), []);
    assert_eq!(check_all(&[(Arc::from("a.toml"), &user)]).len(), 3);
}

#[test]
fn differences_name_the_fields_that_changed() {
    let old = worker(
        "[[worker]]\nname = \"w\"\ncomponent = \"w.wasm\"\ntitle = \"Old\"\nschedule = { every = \"30s\" }\n\
         config = { urls = [\"http://a\", { url = \"http://b\" }], n = 1 }\ngrants = { http = { allow = [\"config:urls\"], rate = \"5/s\" } }\n\
         limits = { memory = \"64MiB\", timeout = \"1m 30s\" }",
    );
    let new = worker(
        "[[worker]]\nname = \"w\"\ncomponent = \"w2.wasm\"\nnotes = \"line\\nline\"\nschedule = { cron = \"0 3 * * *\" }\n\
         config = { urls = [\"http://c\", { url = \"http://b\" }], m = [1] }\ngrants = { http = { allow = [\"config:urls\"], rate = \"6/s\" } }\n\
         limits = { memory = \"1500B\", timeout = \"90s\" }\nreplicas = 2"
            .replace("1500B", "100KiB")
            .as_str(),
    );
    assert_eq!(
        differences(&old, &new),
        [
            "title: \"Old\" -> none",
            "replicas: 1 -> 2",
            "component: w.wasm -> w2.wasm",
            "schedule.every: 30s -> none",
            "config.n: 1 -> none",
            "config.urls[0]: \"http://a\" -> \"http://c\"",
            "config.m: none -> [1]",
            "grants.http.allow[0]: http://a -> http://c",
            "grants.http.rate: 5/s -> 6/s",
            "limits.memory: 64MiB -> 100KiB",
            "notes: none -> \"line\\nline\"",
            "schedule.cron: none -> \"0 3 * * *\"",
            "schedule.timezone: none -> UTC",
        ]
    );
    assert_eq!(differences(&old, &old), Vec::<String>::new());
}

#[test]
fn long_values_and_many_lines_are_cut() {
    let with = |end: &str, n: usize| {
        worker(&format!(
            "[[worker]]\nname = \"w\"\ncomponent = \"w.wasm\"\nnotes = \"{}{end}\"\nconfig = {{ n = {:?} }}",
            "x".repeat(500),
            vec![n; 300]
        ))
    };
    let lines = differences(&with("old", 1), &with("new", 2));
    assert_eq!(lines.len(), 101);
    assert_eq!(lines[0], format!("notes: …{0}old\" -> …{0}new\"", "x".repeat(20)));
    assert_eq!(lines[100], "and 201 more");
}

#[test]
fn units_print_as_people_write_them() {
    let printed = |text: &str| print_duration(parse_duration(text).unwrap());
    for (written, shown) in
        [("30s", "30s"), ("90s", "1m 30s"), ("1.5s", "1s 500ms"), ("1h30m", "1h 30m"), ("0ms", "0s"), ("1w", "7d"), (" 250 ms ", "250ms")]
    {
        assert_eq!(printed(written), shown);
    }
    assert_eq!([64 << 20, 1 << 30, 1_500, 0].map(print_size), ["64MiB", "1GiB", "1500B", "0B"]);
    assert_eq!([parse_size("64 MiB"), parse_size("1MB"), parse_size("2kB")], [Ok(64 << 20), Ok(1_000_000), Ok(2_000)]);
    for rate in ["5/s", "600/m", "1000/h", "1/d", "5/10s", "1/1m 30s"] {
        assert_eq!(rate.parse::<Rate>().unwrap().to_string(), rate);
    }
}
