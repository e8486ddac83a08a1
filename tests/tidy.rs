//! What the compiler does not check: which room uses which, pure policy, file heads and lengths, WIT rules, examples.
//!
//! The tables come first. A new room, plugin or exception is one line here, with its reason; a test that reads them must not need
//! another change.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Each room in host/ and what of `crate::` it may name. A path here covers all below it.
const ROOMS: &[(&str, &[&str])] = &[
    // Lists the page's files before anything is compiled.
    ("build", &[]),
    // Words and time: used by all.
    ("clock", &[]),
    ("facts", &[]),
    ("config", &["facts", "manifest::units"]),
    ("telemetry", &["config", "facts"]),
    // Manifests know nothing of the runtime; later rooms see checked specs only.
    ("manifest", &["facts"]),
    // Stores know no plugin and no wasm.
    ("store", &["clock", "facts"]),
    ("journal", &["clock", "facts", "store"]),
    ("limiter", &["clock", "facts", "manifest::spec"]),
    ("checks", &["clock", "facts", "journal", "manifest::cron", "manifest::spec", "manifest::units", "store"]),
    // The runtime, each on the ones above it.
    (
        "capability",
        &[
            "checks",
            "clock",
            "facts",
            "journal",
            "limiter",
            "manifest::name_fault",
            "manifest::spec",
            "manifest::topics",
            "manifest::units",
            "store",
        ],
    ),
    ("worker", &["capability", "checks", "clock", "facts", "manifest::spec", "manifest::units", "store"]),
    (
        "supervise",
        &["capability", "checks", "clock", "facts", "journal", "manifest::spec", "manifest::topics", "manifest::units", "store", "worker"],
    ),
    // Ingress hands requests over as the worker room's events, for workers too: it is what stands behind `NAME.skep.internal`.
    (
        "trigger",
        &[
            "capability::caller",
            "capability::http::Internal",
            "capability::http::Unreached",
            "clock",
            "facts",
            "limiter",
            "manifest::cron",
            "manifest::spec",
            "manifest::units",
            "store",
            "supervise",
            "worker",
        ],
    ),
    ("fleet", &["clock", "facts", "journal", "manifest", "store", "supervise", "worker"]),
    // What a person meets. The CLI speaks to the API; `up`, `check`, `inspect` and `doctor` need no host.
    (
        "api",
        &[
            "checks",
            "clock",
            "config",
            "facts",
            "fleet",
            "journal",
            "limiter",
            "manifest::destination",
            "manifest::name_fault",
            "manifest::slug",
            "manifest::spec",
            "manifest::units",
            "store",
            "supervise",
        ],
    ),
    ("cli", &["api", "appliance", "clock", "config", "facts", "manifest", "store", "telemetry", "worker"]),
    ("appliance", ALL),
    ("lib", ALL),
    ("main", ALL),
];

/// The rooms that join the others.
const ALL: &[&str] = &["*"];

/// Words that files under a path must not say: policy is data in, decision out.
const NEVER: &[(&str, &[&str])] = &[
    ("host/manifest", &["std::fs", "tokio", "wasmtime"]),
    ("host/store", &["wasmtime", "capability"]),
    ("host/fleet/diff.rs", PURE),
    ("host/store/jobs/policy.rs", PURE),
    ("host/store/jobs/timeline.rs", PURE),
    ("host/store/jobs/window.rs", PURE),
    ("host/supervise/policy.rs", PURE),
    ("host/checks/guard.rs", PURE),
    ("host/checks/policy.rs", PURE),
    ("host/checks/alert.rs", PURE),
    ("host/manifest/parents.rs", PURE),
    ("host/checks/uptime.rs", PURE),
    ("host/checks/windows.rs", PURE),
    ("host/limiter/policy.rs", PURE),
    ("host/manifest/topics.rs", PURE),
    ("host/capability/grant", PURE),
    ("host/limiter/recovery.rs", PURE),
    ("host/trigger/phase.rs", PURE),
    ("host/trigger/ingress/table.rs", PURE),
    ("host/worker", &["RestartPolicy", "RestartSpec"]),
    ("host/api", &["rusqlite", "wasmtime"]),
    ("host/cli", &["rusqlite::Connection", "wasmtime"]),
];

/// No clock, lock, I/O or waiting.
const PURE: &[&str] = &["Clock", "Instant::now", "Timestamp::now", "Mutex", "RwLock", ".await", "std::fs", "std::net", "spawn"];

/// Files of host/capability that every capability shares.
const CAPABILITY_SHARED: &[&str] = &["bindings", "caller", "grant", "resolve", "scope", "secrets", "services", "waits"];
/// What one capability may take of another: checks attach what http saw of this event's requests.
const CAPABILITY_TIES: &[(&str, &str)] = &[("checks", "http::Ledger")];

/// Where a lint of ours may be off: path, lint, how often.
const HATCHES: &[(&str, &str, usize)] = &[
    // Generated code.
    ("host/capability/bindings.rs", "clippy::unwrap_used", 1),
    ("host/capability/bindings.rs", "clippy::expect_used", 1),
    ("host/capability/bindings.rs", "clippy::panic", 1),
    ("host/capability/bindings.rs", "clippy::indexing_slicing", 1),
    // The one unsafe spot: maps code that this host wrote itself.
    ("host/worker/cache.rs", "unsafe_code", 1),
];
const LINTS: &[&str] = &["clippy::unwrap_used", "clippy::expect_used", "clippy::panic", "clippy::indexing_slicing", "unsafe_code"];

const MAX_LINES: usize = 500;
const UNFINISHED: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Plugins that misbehave on purpose. They ship with nothing, so they need no example.
const FAULTS: &[&str] = &["crash", "flood", "hog", "probe", "snoop", "spin", "tool", "unruly"];
/// What plugins share: built into them, none of its own.
const LIBRARIES: &[&str] = &["web"];

#[test]
fn rooms_use_only_what_the_table_allows() {
    let rooms: BTreeMap<_, _> = ROOMS.iter().copied().collect();
    let mut wrong = Vec::new();
    for file in sources("host") {
        let room = room_of(&file);
        let Some(allowed) = rooms.get(room.as_str()) else {
            wrong.push(format!("{}: room \"{room}\" is not in the table of tests/tidy.rs", file.display()));
            continue;
        };
        for path in paths_after("crate::", &code(&file)) {
            let covers = |of: &&str| **of == *"*" || path == **of || path.starts_with(&format!("{of}::"));
            let own = path == room || path.starts_with(&format!("{room}::"));
            let is_room = path.split("::").next().is_some_and(|first| rooms.contains_key(first));
            if is_room && !own && !allowed.iter().any(covers) {
                wrong.push(format!("{}: {room} may not use crate::{path}", file.display()));
            }
        }
    }
    let seen: BTreeSet<String> = sources("host").iter().map(|file| room_of(file)).collect();
    wrong.extend(
        rooms.keys().filter(|room| !seen.contains(**room)).map(|room| format!("the table has a room \"{room}\" that is not there")),
    );
    assert_none(&wrong);
}

#[test]
fn policy_is_pure_and_rooms_keep_their_distance() {
    let mut wrong = Vec::new();
    for (under, words) in NEVER {
        let files = sources(under);
        assert!(!files.is_empty(), "tests/tidy.rs names {under}, which is not there");
        for file in files {
            let code = code(&file);
            let said = words.iter().filter(|word| says(&code, word));
            wrong.extend(said.map(|word| format!("{}: must not say {word}", file.display())));
        }
    }
    assert_none(&wrong);
}

#[test]
fn a_capability_never_uses_another() {
    let mut wrong = Vec::new();
    for file in sources("host/capability") {
        let inside = file.strip_prefix("host/capability").unwrap();
        let own = inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if own == "mod" || CAPABILITY_SHARED.contains(&own.as_str()) {
            continue;
        }
        // Seen from a folder's mod.rs or a file beside the capabilities, `super` is the room; from deeper, `super::super` is.
        let top = inside.components().count() == 1 || inside.ends_with("mod.rs");
        let code = code(&file);
        let mut used = paths_after("crate::capability::", &code);
        used.extend(paths_after(if top { "super::" } else { "super::super::" }, &code));
        for path in used {
            let other = path.split("::").next().unwrap_or_default();
            let fine = other == own
                || CAPABILITY_SHARED.contains(&other)
                || !Path::new("host/capability").join(format!("{other}.rs")).exists() && !Path::new("host/capability").join(other).exists()
                || CAPABILITY_TIES.contains(&(own.as_str(), path.as_str()));
            if !fine {
                wrong.push(format!("{}: capability {own} uses {path}", file.display()));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_file_says_what_it_does_and_stays_readable() {
    let mut wrong = Vec::new();
    for file in ["host", "tests", "benches", "plugins"].iter().flat_map(|folder| sources(folder)) {
        let text = fs::read_to_string(&file).unwrap();
        if !text.starts_with("//! ") {
            wrong.push(format!("{}: does not open with //! (what it does, what it must not do)", file.display()));
        }
        let lines = text.lines().count();
        if lines > MAX_LINES {
            wrong.push(format!("{}: {lines} lines; split it by role ({MAX_LINES} at most)", file.display()));
        }
        for (number, line) in text.lines().enumerate().filter(|(_, line)| UNFINISHED.iter().any(|word| says(line, word))) {
            wrong.push(format!("{}:{}: unfinished: {}", file.display(), number + 1, line.trim()));
        }
    }
    assert_none(&wrong);
}

#[test]
fn no_escape_hatch_but_the_listed_ones() {
    let mut wrong = Vec::new();
    for file in sources("host") {
        let code = code(&file);
        let allows: String = code.split("allow(").skip(1).filter_map(|rest| rest.split(")]").next()).collect();
        for lint in LINTS {
            let found = allows.matches(lint).count();
            let listed = HATCHES.iter().find(|(path, of, _)| file.ends_with(path) && of == lint).map_or(0, |hatch| hatch.2);
            if found != listed {
                wrong.push(format!("{}: {lint} is off {found} times, listed {listed}", file.display()));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn wit_follows_its_rules() {
    let mut wrong = Vec::new();
    for file in files("wit", "wit").into_iter().filter(|file| !file.starts_with("wit/deps")) {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.display();
        if !text.starts_with("package skep:worker@0.1.0;") {
            wrong.push(format!("{name}: does not open with the package"));
        }
        let named = |kind: &str| -> Vec<String> {
            let declared = text.lines().filter_map(|line| line.trim().strip_prefix(kind)?.strip_prefix(' '));
            declared.map(|rest| rest.trim_end_matches('{').trim().to_owned()).collect()
        };
        let interfaces = named("interface");
        if interfaces.len() > 1 || interfaces.iter().any(|interface| interface == "types") {
            wrong.push(format!("{name}: one interface a file, and none called types (it collides in Python): {interfaces:?}"));
        }
        let functions: Vec<String> = text.lines().filter_map(|line| Some(line.trim().split_once(": func(")?.0.to_owned())).collect();
        wrong.extend(
            named("record")
                .iter()
                .filter(|record| functions.contains(record))
                .map(|record| format!("{name}: record {record} is also a function")),
        );
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for pair in lines.windows(2) {
            if pair[1].contains(": func(") && !pair[0].starts_with("///") {
                wrong.push(format!("{name}: no word about {}", pair[1]));
            }
        }
    }
    for folder in fs::read_dir("wit/deps").unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        let text = fs::read_to_string(folder.join("package.wit")).unwrap();
        let package = text.lines().next().unwrap_or_default().trim_start_matches("package ").trim_end_matches(';');
        let expected = package.replace([':', '@'], "-");
        if folder.file_name().unwrap().to_str() != Some(&expected) {
            wrong.push(format!("{}: holds {package}, so it should be called {expected}", folder.display()));
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_example_works_as_it_stands() {
    let mut parser = skep::manifest::Parser::new(None);
    let mut specs = Vec::new();
    for file in files("manifests", "toml") {
        let name = file.file_name().unwrap().to_str().unwrap();
        let parsed = parser.parse(name, &fs::read_to_string(&file).unwrap());
        assert_none(&parsed.problems);
        let spec = parsed.spec.expect("a manifest without problems has a spec");
        assert_none(&skep::manifest::not_in_this_build(&spec));
        assert!(!spec.workers.is_empty(), "{name} declares nothing");
        specs.push((Arc::<str>::from(name), spec));
    }
    let all: Vec<_> = specs.iter().map(|(name, spec)| (name.clone(), spec)).collect();
    assert_none(&skep::manifest::check_all(&all));
}

#[test]
fn every_shipped_plugin_has_an_example_and_every_example_a_plugin() {
    let manifests: Vec<toml::Table> =
        files("manifests", "toml").iter().map(|file| fs::read_to_string(file).unwrap().parse().unwrap()).collect();
    let workers = manifests.iter().filter_map(|manifest| manifest["worker"].as_array()).flatten();
    let shown: BTreeSet<String> =
        workers.map(|worker| worker["component"].as_str().unwrap().trim_end_matches(".wasm").to_owned()).collect();
    let faults: BTreeSet<String> = FAULTS.iter().map(|&name| name.to_owned()).collect();
    let folders = fs::read_dir("plugins").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let plugins: BTreeSet<String> = folders.filter(|name| !LIBRARIES.contains(&name.as_str())).collect();
    assert_eq!(shown, &plugins - &faults, "left: components in manifests/; right: plugins that ship");
    assert!(faults.is_subset(&plugins), "{faults:?}");
    let makefile = fs::read_to_string("Makefile").unwrap();
    assert!(makefile.contains(&format!("FAULTS := {}\n", FAULTS.join(" "))), "the Makefile has another list of fault plugins");
    assert!(makefile.contains(&format!("LIBRARIES := {}\n", LIBRARIES.join(" "))), "the Makefile has another list of libraries");
}

#[test]
fn the_readme_knows_every_verb() {
    let Ok(readme) = fs::read_to_string("README.md") else { return };
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_skep")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let verbs = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1).take_while(|line| !line.is_empty());
    let verbs: Vec<&str> =
        verbs.filter(|line| line.starts_with("  ") && !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next()).collect();
    assert!(verbs.contains(&"up"), "the help lists no verbs:\n{help}");
    let missing: Vec<_> = verbs.into_iter().filter(|verb| !says(&readme, verb)).collect();
    assert_none(&missing);
}

/// Rust files below a path, or that one file.
fn sources(under: &str) -> Vec<PathBuf> {
    files(under, "rs")
}

fn files(under: &str, extension: &str) -> Vec<PathBuf> {
    let path = PathBuf::from(under);
    if path.is_dir() {
        let entries = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
        let mut all: Vec<PathBuf> = entries.flat_map(|entry| files(entry.to_str().unwrap(), extension)).collect();
        all.sort();
        return all;
    }
    if path.is_file() && path.extension().is_some_and(|of| of == extension) { vec![path] } else { Vec::new() }
}

/// `host/fleet/diff.rs` is in room fleet, `host/clock.rs` in clock.
fn room_of(file: &Path) -> String {
    let inside = file.strip_prefix("host").unwrap();
    inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// A file without its comments: what they mention is not used.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let bare = |line: &str| match line.find("//") {
        Some(at) if !line[..at].ends_with(':') => line[..at].to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(bare).collect::<Vec<_>>().join("\n")
}

/// Whether `word` stands in `text` as a word of its own.
fn says(text: &str, word: &str) -> bool {
    let letter = |c: char| c.is_alphanumeric() || c == '_';
    let goes_on = |before: Option<char>, after: Option<char>| before.is_some_and(letter) && after.is_some_and(letter);
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        !goes_on(before.chars().next_back(), word.chars().next()) && !goes_on(word.chars().next_back(), after.chars().next())
    })
}

/// Every path that follows `prefix`, groups in braces written out: `a::{b, c::{d}}` is `a::b` and `a::c::d`.
fn paths_after(prefix: &str, code: &str) -> Vec<String> {
    let starts = code.match_indices(prefix).filter(|(at, _)| !code[..*at].ends_with("::") && !code[..*at].ends_with(char::is_alphanumeric));
    starts.flat_map(|(at, _)| expand(&code[at + prefix.len()..])).collect()
}

fn expand(text: &str) -> Vec<String> {
    let Some(group) = text.strip_prefix('{') else {
        let end = text.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | ':' | '*')).unwrap_or(text.len());
        let (path, rest) = text.split_at(end);
        return match path.strip_suffix("::") {
            Some(path) if rest.starts_with('{') => expand(rest).into_iter().map(|inner| format!("{path}::{inner}")).collect(),
            _ => vec![path.trim_end_matches(':').to_owned()],
        };
    };
    let (mut depth, mut start, mut all) = (0_usize, 0, Vec::new());
    for (at, c) in group.char_indices() {
        let ends = depth == 0 && matches!(c, ',' | '}');
        if ends {
            let item = group[start..at].trim();
            if !item.is_empty() {
                all.extend(expand(item));
            }
            start = at + 1;
        }
        match c {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    all
}

fn assert_none<T: std::fmt::Display>(wrong: &[T]) {
    let listed: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    assert!(listed.is_empty(), "{} to put right:\n{}", listed.len(), listed.join("\n"));
}

#[test]
fn use_trees_are_read_as_the_compiler_reads_them() {
    let code = "use crate::{\n    clock::Clock,\n    facts::{self, Name},\n    manifest::spec::{Rate, a::{B, C}},\n};\nlet x = crate::worker::make();\nuse mycrate::no;\nuse super::super::{grant, log as wit};";
    assert_eq!(
        paths_after("crate::", code),
        [
            "clock::Clock",
            "facts::self",
            "facts::Name",
            "manifest::spec::Rate",
            "manifest::spec::a::B",
            "manifest::spec::a::C",
            "worker::make"
        ]
    );
    assert_eq!(paths_after("super::super::", code), ["grant", "log"]);
    assert!(says("a Clock, b", "Clock") && !says("Clocks", "Clock") && says("x.await;", ".await"));
}
