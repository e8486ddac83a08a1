//! Manifests: what a person wrote, and what they are told about it.
//!
//! `tests/manifest/NAME.toml` goes with `NAME.err`, every problem a line; without one the file has none. `SKEP_BLESS=1` writes what is
//! said today, to be read before it is committed.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use proptest::prelude::*;
use serde_json::json;
use skep::{
    facts::{InstanceMode, Problem},
    manifest::{
        MAX_FILE_BYTES, Parser, check_all, check_defaults,
        edit::{self, Block, EditError, Kind},
        not_in_this_build,
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
    assert!(matches!(&router.run.schedule, Some(Schedule::Cron { expression, timezone }) if expression == "*/5 * * * *" && timezone == "UTC"));
    assert_eq!((nas.live.title.as_deref(), router.live.title.as_deref()), (Some("The NAS"), Some("Machines")));
    assert_eq!(nas.live.payload.as_deref(), Some(&json!({ "room": "cellar" })));
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
    let defaults: toml::Table = toml::from_str("name = \"x\"\nreplica = 2\nlimits = { timeout = \"3\" }\ngrants = { ping = { allow = [\"config:urls\"] } }").unwrap();
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
    let parsed = std::thread::Builder::new().stack_size(2 << 20).spawn(move || Parser::new(None).parse("deep.toml", &text)).unwrap().join().unwrap();
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
    let user = good("[[worker]]\nname = \"a\"\ncomponent = \"a.wasm\"\ngrants = { http = { allow = [\"worker:b\", \"worker:b/x\"], limiter = \"l\" } }");
    let rest = good(
        "[[worker]]\nname = \"b\"\ncomponent = \"b.wasm\"\neach = \"m\"\nconfig = { m = [{ name = \"x\" }] }\n[[limiter]]\nname = \"l\"\nrate = \"1/s\"",
    );
    assert_eq!(check_all(&[(Arc::from("a.toml"), &user), (Arc::from("b.toml"), &rest)]), []);
    assert_eq!(check_all(&[(Arc::from("a.toml"), &user)]).len(), 3);
}

const EDITED: &str = "\
# Head of the file.

# The pages.
[[worker]]
name = \"a\" # the first
component = \"a.wasm\"
  [worker.limits]   # oddly indented
  memory = \"1MiB\"

# loose

[[limiter]]
name = \"a\"
rate = \"1/s\"

[[worker]]
name = 'b'
paused = false   # for now
component = \"b.wasm\"";

#[test]
fn blocks_hold_the_comments_above_them() {
    let blocks = edit::blocks(EDITED);
    let seen: Vec<_> = blocks.iter().map(|block| (block.kind, block.name.as_deref())).collect();
    assert_eq!(seen, [(Kind::Other, None), (Kind::Worker, Some("a")), (Kind::Limiter, Some("a")), (Kind::Worker, Some("b"))]);
    assert_eq!(blocks.iter().map(|block| block.text).collect::<String>(), EDITED);
    let a = edit::worker_block(EDITED, "a").unwrap();
    assert!(a.starts_with("# The pages.\n[[worker]]") && a.ends_with("memory = \"1MiB\"\n"), "{a}");
    assert_eq!(edit::worker_block(EDITED, "c"), None);
}

fn block(text: &str) -> Block<'_> {
    let mut blocks = edit::blocks(text);
    assert_eq!(blocks.len(), 1);
    blocks.remove(0)
}

#[test]
fn a_block_is_put_where_its_name_stands() {
    let put = edit::put_block(EDITED, &block("[[worker]]\nname = \"a\"\ncomponent = \"new.wasm\"\n\n")).unwrap();
    let start = EDITED.find("[[worker]]").unwrap();
    let end = EDITED.find("\n# loose").unwrap();
    assert_eq!(put, format!("{}[[worker]]\nname = \"a\"\ncomponent = \"new.wasm\"\n{}", &EDITED[..start], &EDITED[end..]));
    let put = edit::put_block(EDITED, &block("# Mine.\n[[worker]]\nname = \"a\"\ncomponent = \"new.wasm\"")).unwrap();
    assert!(put.contains("\n\n# Mine.\n[[worker]]\nname = \"a\"\ncomponent = \"new.wasm\"\n\n# loose\n") && !put.contains("# The pages."), "{put}");
    let put = edit::put_block(EDITED, &block("[[limiter]]\nname = \"b\"\nrate = \"1/s\"")).unwrap();
    assert_eq!(put, format!("{EDITED}\n\n[[limiter]]\nname = \"b\"\nrate = \"1/s\"\n"));
    assert_eq!(edit::put_block("", &block("[[worker]]\nname = \"c\"\n")).unwrap(), "[[worker]]\nname = \"c\"\n");
    for wrong in ["x = 1", "[[worker]]\ncomponent = \"a.wasm\"", "[[worker]]\nname = \"a\"\nname = \"a\"", "[worker]\nname = \"a\""] {
        assert!(matches!(edit::put_block(EDITED, &block(wrong)), Err(EditError::Syntax(_))), "{wrong}");
    }
    let open = "[[worker]]\nname = \"a\"\nnotes = \"\"\"\nnever closed";
    assert!(matches!(edit::put_block(open, &block("[[worker]]\nname = \"c\"")), Err(EditError::Syntax(_))));
}

#[test]
fn a_removed_worker_takes_its_comments_along() {
    let removed = edit::remove_worker(EDITED, "a").unwrap();
    assert_eq!(removed, format!("# Head of the file.\n\n{}", &EDITED[EDITED.find("# loose").unwrap()..]));
    let removed = edit::remove_worker(&removed, "b").unwrap();
    assert_eq!(removed, "# Head of the file.\n\n# loose\n\n[[limiter]]\nname = \"a\"\nrate = \"1/s\"\n");
    let missing = edit::remove_worker(&removed, "b").unwrap_err();
    assert_eq!(missing.to_string(), "worker \"b\" is not declared in this file");
    assert_eq!(edit::remove_worker("[[worker]]\nname = \"a\"\n", "a").unwrap(), "");
}

#[test]
fn a_field_is_set_in_place() {
    let set = |worker: &str, field: &str, value: toml_edit::Value| edit::set_field(EDITED, worker, field, value);
    assert_eq!(set("b", "paused", true.into()).unwrap(), EDITED.replace("paused = false   # for now", "paused = true   # for now"));
    let added = "component = \"a.wasm\"\nreplicas = 3\n  [worker.limits]";
    assert_eq!(set("a", "replicas", 3.into()).unwrap(), EDITED.replace("component = \"a.wasm\"\n  [worker.limits]", added));
    assert_eq!(set("b", "replicas", 3.into()).unwrap(), format!("{EDITED}\nreplicas = 3\n"));
    assert_eq!(set("c", "paused", true.into()).unwrap_err().to_string(), "worker \"c\" is not declared in this file");
    assert!(matches!(set("a", "limits", true.into()), Err(EditError::Syntax(_))), "a sub-table can't become a value");
    assert!(matches!(set("a", "name", "c".into()), Err(EditError::Syntax(_))), "a worker isn't renamed this way");
    assert_eq!(edit::remove_field(EDITED, "b", "paused").unwrap(), EDITED.replace("paused = false   # for now\n", ""));
    assert_eq!(edit::remove_field(EDITED, "a", "paused").unwrap(), EDITED);
    let crlf = "[[worker]]\r\nname = \"a\"\r\n";
    assert_eq!(edit::set_field(crlf, "a", "paused", true.into()).unwrap(), "[[worker]]\r\nname = \"a\"\r\npaused = true\r\n");
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
    assert_eq!(differences(&old, &old), [String::new(); 0]);
}

#[test]
fn long_values_and_many_lines_are_cut() {
    let with = |end: &str, n: usize| {
        worker(&format!("[[worker]]\nname = \"w\"\ncomponent = \"w.wasm\"\nnotes = \"{}{end}\"\nconfig = {{ n = {:?} }}", "x".repeat(500), vec![n; 300]))
    };
    let lines = differences(&with("old", 1), &with("new", 2));
    assert_eq!(lines.len(), 101);
    assert_eq!(lines[0], format!("notes: …{0}old\" -> …{0}new\"", "x".repeat(20)));
    assert_eq!(lines[100], "and 201 more");
}

/// Pieces of manifests, so that random text gets past the first line.
fn soup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("[[worker]]\n"),
        Just("[worker.grants.http]\n"),
        Just("[[worker.config.machines]]\n"),
        Just("[[limiter]]\n"),
        Just("[[queue]]"),
        Just("name = \"a\"\n"),
        Just("name = 'b-2'\n"),
        Just("component = \"a.wasm\"\n"),
        Just("schedule = { every = \"30s\" }\n"),
        Just("grants = { http = { allow = [\"config:urls\", \"*\"] } }\n"),
        Just("config = { urls = [\"http://a\",\n  { url = 'x' }] }\n"),
        Just("each = \"machines\"\n"),
        Just("allow = [\"config:machines\"]\n"),
        Just("rate = \"5/s\"\n"),
        Just("# comment\n"),
        Just("\n"),
        Just("\r\n"),
        Just("\"\"\""),
        Just("'''"),
        Just("\""),
        Just("'"),
        Just("\\"),
        Just("["),
        Just("]"),
        Just("{"),
        Just("}"),
        Just(" = "),
        Just("."),
        Just("é"),
        Just("\u{feff}"),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn check_invariants(text: &str) -> Result<(), TestCaseError> {
    let parsed = Parser::new(None).parse("t.toml", text);
    prop_assert_eq!(parsed.spec.is_some(), parsed.problems.is_empty());
    let lines = text.split('\n').count();
    for problem in &parsed.problems {
        let line = usize::try_from(problem.line).unwrap();
        prop_assert!((1..=lines).contains(&line), "line {} of {}: {}", line, lines, problem);
        prop_assert!(problem.column >= 1);
        let length = text.split('\n').nth(line - 1).unwrap().chars().count();
        prop_assert!(usize::try_from(problem.column).unwrap() <= length + 1, "{} in a line of {}", problem, length);
    }
    let blocks = edit::blocks(text);
    prop_assert_eq!(blocks.iter().map(|block| block.text).collect::<String>(), text);
    if let Some(spec) = &parsed.spec {
        check_all(&[(Arc::from("t.toml"), spec)]);
        not_in_this_build(spec);
        for worker in &spec.workers {
            prop_assert!(differences(worker, worker).is_empty());
        }
    }
    Ok(())
}

/// One valid worker block with the comments and forms people use.
fn some_block() -> impl Strategy<Value = String> {
    ("[a-c]", 0..6usize, 0..4usize, any::<bool>()).prop_map(|(name, form, above, feed)| {
        let body = [
            "schedule = { every = \"30s\" }\n",
            "notes = \"\"\"\n[[worker]]\nname = \"x\"\n\"\"\" # \"\n",
            "[worker.limits] # sub\nmemory = \"1MiB\"\n",
            "topics = [\n  \"a\", # ]\n  'b',\n]\n",
            "title = 'it''s'\n",
            "",
        ][form]
            .replace("'it''s'", "\"it's # [\"");
        let above = ["", "# about it\n", "# two\n# lines\n", "#\n"][above];
        let end = if feed { "" } else { "# inside\n" };
        format!("{above}[[worker]]\n{end}name = \"{name}\"\ncomponent = \"{name}.wasm\"\n{body}")
    })
}

fn some_file() -> impl Strategy<Value = String> {
    let gap = prop_oneof![Just("\n"), Just(""), Just("\n# loose\n\n"), Just("\n\n\n")];
    (prop_oneof![Just(""), Just("# head\n\n")], proptest::collection::vec((some_block(), gap), 0..6))
        .prop_map(|(head, parts)| parts.iter().fold(head.to_owned(), |text, (block, gap)| text + block + gap))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gets_an_answer(text in "\\PC{0,80}") {
        check_invariants(&text)?;
        _ = (parse_duration(&text), parse_size(&text), text.parse::<Rate>());
    }

    #[test]
    fn any_pieces_get_an_answer(text in soup()) {
        check_invariants(&text)?;
    }

    #[test]
    fn a_changed_file_is_parsed_as_a_new_one(files in proptest::collection::vec(prop_oneof![some_file(), soup()], 1..6)) {
        let mut parser = Parser::new(None);
        for text in &files {
            let (again, fresh) = (parser.parse("t.toml", text), Parser::new(None).parse("t.toml", text));
            prop_assert_eq!(said(&again.problems), said(&fresh.problems));
            let lines = |spec: &Option<FileSpec>| spec.iter().flat_map(|spec| &spec.workers).map(|worker| worker.origin.line).collect::<Vec<_>>();
            prop_assert_eq!(lines(&again.spec), lines(&fresh.spec));
            prop_assert_eq!(again.spec, fresh.spec);
        }
    }

    #[test]
    fn what_is_put_is_found_and_the_rest_is_untouched(text in some_file(), new in some_block()) {
        let new = block(&new);
        let name = new.name.clone().unwrap();
        let put = edit::put_block(&text, &new).unwrap();
        let found = edit::worker_block(&put, &name).unwrap();
        let had = edit::worker_block(&text, &name);
        if new.text.starts_with('#') || had.is_none() {
            prop_assert_eq!(found, new.text);
        } else {
            prop_assert!(found.ends_with(new.text));
        }
        match had {
            None => prop_assert!(put.starts_with(&text)),
            Some(old) => {
                let at = text.find(old).unwrap();
                prop_assert!(put.starts_with(&text[..at]) && put.ends_with(&text[at + old.len()..]));
            }
        }
        prop_assert_eq!(edit::put_block(&put, &new).unwrap(), put, "putting it again changes nothing");
    }

    #[test]
    fn edits_keep_the_other_blocks(text in some_file(), name in "[a-c]", replicas in 1..9i64) {
        let others = |text: &str| -> Vec<String> {
            let blocks = edit::blocks(text).into_iter().filter(|block| block.name.as_deref() != Some(&name));
            blocks.map(|block| block.text.trim_end().to_owned()).collect()
        };
        match edit::set_field(&text, &name, "replicas", replicas.into()) {
            Err(_) => prop_assert!(edit::worker_block(&text, &name).is_none()),
            Ok(set) => {
                prop_assert_eq!(others(&set), others(&text));
                let line = format!("replicas = {replicas}\n");
                prop_assert_eq!(set.replacen(&line, "", 1), text.clone());
                let block = edit::worker_block(&set, &name).unwrap();
                prop_assert_eq!(i64::from(worker(block).live.replicas), replicas);
                prop_assert_eq!(edit::remove_field(&set, &name, "replicas").unwrap(), text.clone());
            }
        }
        let mut left = text.clone();
        while let Ok(removed) = edit::remove_worker(&left, &name) {
            prop_assert!(removed.len() < left.len());
            left = removed;
        }
        prop_assert_eq!(edit::worker_block(&left, &name), None);
        for other in edit::blocks(&text).iter().filter(|block| block.kind == Kind::Worker && block.name.as_deref() != Some(&name)) {
            let core = edit::worker_block(other.text, other.name.as_deref().unwrap()).unwrap();
            prop_assert!(left.contains(core.trim_end()));
        }
    }

    #[test]
    fn printed_units_read_back(nanos in any::<u64>(), shift in 0..64u32, bytes in any::<u64>(), count in 1..=Rate::MOST, per in 1..=86_400_000u64) {
        let duration = Duration::from_nanos(nanos >> shift);
        prop_assert_eq!(parse_duration(&print_duration(duration)).unwrap(), duration);
        let bytes = (bytes >> shift) << (shift / 2);
        prop_assert_eq!(parse_size(&print_size(bytes)).unwrap(), bytes);
        let rate = Rate { count, per: Duration::from_millis(per) };
        prop_assert_eq!(rate.to_string().parse::<Rate>().unwrap(), rate);
    }

    #[test]
    fn differences_are_none_only_between_equals(a in some_block(), b in some_block()) {
        let (a, b) = (worker(&a), worker(&b));
        let same = WorkerSpec { name: a.name.clone(), ..b.clone() };
        prop_assert_eq!(differences(&a, &same).is_empty(), a == same);
    }
}

#[test]
fn units_print_as_people_write_them() {
    let printed = |text: &str| print_duration(parse_duration(text).unwrap());
    for (written, shown) in [("30s", "30s"), ("90s", "1m 30s"), ("1.5s", "1s 500ms"), ("1h30m", "1h 30m"), ("0ms", "0s"), ("1w", "7d"), (" 250 ms ", "250ms")] {
        assert_eq!(printed(written), shown);
    }
    assert_eq!([64 << 20, 1 << 30, 1_500, 0].map(print_size), ["64MiB", "1GiB", "1500B", "0B"]);
    assert_eq!([parse_size("64 MiB"), parse_size("1MB"), parse_size("2kB")], [Ok(64 << 20), Ok(1_000_000), Ok(2_000)]);
    for rate in ["5/s", "600/m", "1000/h", "1/d", "5/10s", "1/1m 30s"] {
        assert_eq!(rate.parse::<Rate>().unwrap().to_string(), rate);
    }
}
