//! Ordinary command-line programs, through the real binary: cron jobs by their schedule, services without one.
//!
//! The guest is a plain `fn main()` that does as its arguments say (plugins/tool).

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Host, eventually};

/// A program with these arguments, TOML of a list's inside.
fn tool(name: &str, args: &str, more: &str) -> String {
    format!("[[worker]]\nname = \"{name}\"\ncomponent = \"tool.wasm\"\ncommand = {{ args = [{args}] }}\n{more}\n")
}

const HOURLY: &str = "schedule = { every = \"1h\" }";
const OFTEN: &str = "schedule = { every = \"30ms\" }";

fn runs(host: &Host, name: &str) -> usize {
    host.said(name).iter().filter(|line| line.starts_with("args ")).count()
}

#[test]
fn a_scheduled_program_runs_once_a_tick_with_what_its_manifest_gives_it() {
    let host = Host::with(&["tool"]);
    let text = "[[worker]]\nname = \"nightly\"\ncomponent = \"tool.wasm\"\nschedule = { every = \"1h\" }\n\
                command = { args = [\"--warn\", \"careful\", \"--end\", \"half a line\"], env = { TZ = \"UTC\", LEVEL = \"3\" }, stdin = \"to read\" }\n";
    host.drop_manifest("nightly.toml", text);
    host.worker_when("nightly", "over", |worker| worker["events"]["ok"] == 1);
    let lines = eventually("its lines", || Some(host.lines("nightly")).filter(|lines| lines.len() == 5));
    let said: Vec<_> = lines.iter().map(|line| (line["level"].as_str().unwrap(), line["text"].as_str().unwrap())).collect();
    assert_eq!(
        said,
        [
            ("info", r#"args ["nightly", "--warn", "careful", "--end", "half a line"]"#),
            ("info", r#"env [("LEVEL", "3"), ("TZ", "UTC")]"#),
            ("info", r#"stdin Ok("to read")"#),
            ("warn", "careful"),
            ("info", "half a line"),
        ]
    );
    host.ok(&["tick", "nightly"]);
    let worker = host.worker_when("nightly", "over again", |worker| worker["events"]["ok"] == 2);
    assert_eq!((&worker["restarts"], &worker["last_error"], &worker["state"]), (&json!(0), &json!(null), &json!("running")));
    eventually("a run a tick", || (runs(&host, "nightly") == 2).then_some(()));
    let said = host.fails(4, &["call", "nightly", "anything", ""]);
    assert!(said.contains("answers no calls"), "{said}");
}

#[test]
fn a_status_other_than_0_is_a_failure_and_no_crash() {
    let host = Host::with(&["tool"]);
    for (name, args) in [("exits", r#""--exit", "1""#), ("returns", r#""--return", "3""#)] {
        host.drop_manifest(&format!("{name}.toml"), &tool(name, args, OFTEN));
        // Far more than a budget of three.
        let worker = host.worker_when(name, "failing", |worker| worker["events"]["failed"].as_u64() >= Some(8));
        assert_eq!((&worker["state"], &worker["restarts"], &worker["events"]["trapped"]), (&json!("running"), &json!(0), &json!(0)));
        assert_eq!(worker["last_error"], "the command exited with a failure");
        assert!(host.ok(&["why", name]).contains("the command exited with a failure"));
    }
    assert_eq!(host.json(&["traps"]), json!([]));
}

#[test]
fn a_program_that_does_not_end_or_panics_leaves_a_record() {
    let host = Host::with(&["tool"]);
    let limited = format!("{HOURLY}\nlimits = {{ timeout = \"300ms\" }}");
    for (name, args, cause, says) in [
        ("spins", r#""--spin""#, "timeout", "300ms"),
        ("sleeps", r#""--sleep", "60000""#, "timeout", "300ms"),
        ("panics", r#""--panic""#, "trap", "as told"),
    ] {
        host.drop_manifest(&format!("{name}.toml"), &tool(name, args, &limited));
        let trap = host.trap(name);
        assert_eq!((&trap["cause"], &trap["event"]), (&json!(cause), &json!("tick")), "{trap:#}");
        assert!(
            trap["message"].as_str().unwrap().contains(says) || trap["panic"].as_str().is_some_and(|said| said.contains(says)),
            "{trap:#}"
        );
        let worker = host.worker(name).unwrap();
        assert_eq!((&worker["events"]["trapped"], &worker["state"]), (&json!(1), &json!("running")));
    }
}

#[test]
fn what_comes_after_a_run_is_the_restart_policys() {
    let host = Host::with(&["tool"]);
    let policy = |policy: &str| format!("{OFTEN}\nrestart = {{ policy = \"{policy}\" }}");
    for (name, args, policed, ok) in [
        ("done-exit", r#""--exit", "0""#, "transient", true),
        ("done-return", "", "transient", true),
        ("once", "", "temporary", true),
        ("once-bad", r#""--exit", "1""#, "temporary", false),
    ] {
        host.drop_manifest(&format!("{name}.toml"), &tool(name, args, &policy(policed)));
        let worker = host.worker_when(name, "stopped", |worker| worker["state"] == "stopped");
        assert_eq!((&worker["events"]["ok"], &worker["events"]["failed"]), (&json!(u8::from(ok)), &json!(u8::from(!ok))), "{name}");
        assert_eq!(worker["last_error"].is_null(), ok, "{name}: {worker:#}");
        let why = host.ok(&["why", name]);
        assert!(why.contains("restart policy") && why.contains(if ok { "ended well" } else { "exited with a failure" }), "{why}");
        assert_eq!(runs(&host, name), 1, "{name}: never again");
        // An operator may.
        host.ok(&["restart", name]);
        host.worker_when(name, "run again", |worker| worker["state"] == "stopped" && runs(&host, name) == 2);
    }
    host.drop_manifest("again.toml", &tool("again", r#""--exit", "1""#, &policy("transient")));
    let worker = host.worker_when("again", "tried again", |worker| worker["events"]["failed"].as_u64() >= Some(5));
    assert_eq!(worker["state"], "running", "transient goes on until it is well");
}

/// Runs something, which has to be over within five seconds: half of what a drain may take.
fn soon<T>(what: &str, act: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let answer = act();
    assert!(start.elapsed() < Duration::from_secs(5), "{what} took {:?}", start.elapsed());
    answer
}

#[test]
fn a_service_runs_on_until_it_is_asked_to_end() {
    let mut host = Host::with(&["tool"]);
    for (name, args) in [("waits", r#""--forever""#), ("spins", r#""--spin""#)] {
        let before = host.running(name, &tool(name, args, ""));
        assert_eq!((&before["instance"], &before["replicas"]["running"]), (&json!("resident"), &json!(1)));
        eventually("it began", || (runs(&host, name) == 1).then_some(()));
        let said = host.fails(4, &["call", name, "anything", ""]);
        assert!(said.contains(&format!("worker \"{name}\" answers no calls")), "{said}");
        let said = host.fails(4, &["tick", name]);
        assert!(said.contains("no schedule"), "{said}");
        soon("a restart", || {
            host.ok(&["restart", name]);
            eventually("it began again", || (runs(&host, name) == 2).then_some(()));
        });
        let after = host.worker_when(name, "up again", |worker| worker["state"] == "running");
        assert!(after["incarnation"].as_u64() > before["incarnation"].as_u64());
        assert_eq!(after["restarts"], 0, "asked for, no crash");
        soon("an update", || {
            host.drop_manifest(&format!("{name}.toml"), &tool(name, &format!("\"--new\", {args}"), ""));
            eventually("it began with new arguments", || host.said(name).iter().any(|line| line.contains("--new")).then_some(()));
        });
        soon("a drain", || {
            host.ok(&["drain", name]);
            host.worker_when(name, "drained", |worker| worker["state"] == "stopped");
        });
        assert!(host.ok(&["why", name]).contains("it was drained"));
        host.ok(&["restart", name]);
        host.worker_when(name, "up", |worker| worker["state"] == "running");
        soon("a delete", || {
            host.ok(&["delete", "worker", name]);
            eventually("it is gone", || host.worker(name).is_none().then_some(()));
        });
    }
    for (name, args) in [("waits", r#""--forever""#), ("spins", r#""--spin""#)] {
        host.running(name, &tool(name, args, "replicas = 2"));
    }
    assert_eq!(soon("the host's own end", || host.stop()), Some(0), "nothing is left busy at its deadline:\n{}", host.log());
    assert_eq!(host.log().matches("panicked").count(), 0, "{}", host.log());
}

#[test]
fn a_service_that_ends_is_restarted_as_its_policy_says() {
    let host = Host::with(&["tool"]);
    let policy = |policy: &str| format!("restart = {{ policy = \"{policy}\", intensity = 3, period = \"5s\" }}");
    for (name, args, trapped) in [("exits", r#""--exit", "1""#, 0), ("ends", "", 0), ("panics", r#""--panic""#, 4)] {
        host.drop_manifest(&format!("{name}.toml"), &tool(name, args, &policy("permanent")));
        let worker = host.worker_when(name, "quarantined", |worker| worker["state"] == "quarantined");
        assert_eq!(worker["restarts"], 3, "{name}: as often as its budget says, then not at once: {worker:#}");
        assert_eq!(worker["events"]["trapped"], trapped, "{name}");
        let why = host.ok(&["why", name]);
        assert!(why.contains("it crashed too often") && !why.contains("no error is known"), "{why}");
    }
    let trap = host.trap("panics");
    assert_eq!((&trap["event"], trap["panic"].as_str().unwrap().contains("as told")), (&json!("command"), true), "{trap:#}");
    for (name, args, policed, well) in
        [("well", "", "transient", true), ("once", r#""--panic""#, "temporary", false), ("bad", r#""--exit", "1""#, "temporary", false)]
    {
        host.drop_manifest(&format!("{name}.toml"), &tool(name, args, &policy(policed)));
        let worker = host.worker_when(name, "stopped", |worker| worker["state"] == "stopped");
        assert_eq!((&worker["restarts"], worker["last_error"].is_null()), (&json!(0), well), "{worker:#}");
        assert_eq!(runs(&host, name), 1, "{name}");
    }
}

#[test]
fn what_is_no_program_or_would_never_be_asked_is_refused() {
    let host = Host::with(&["tool", "echo", "probe"]);
    for (name, text, says) in [
        ("echo", tool("w", "", "").replace("tool.wasm", "echo.wasm"), "command needs a component that exports wasi:cli/run"),
        ("bare", tool("w", "", HOURLY).replace("command = { args = [] }", ""), "schedule needs a component that exports"),
        ("busy", tool("w", "", "topics = [\"a.b\"]"), "topics needs a component that exports"),
    ] {
        let path = host.data().join(format!("{name}.toml"));
        std::fs::write(&path, text).unwrap();
        let said = host.fails(4, &["apply", "-f", path.to_str().unwrap()]);
        assert!(said.contains(says), "{said}");
    }
    assert!(host.workers().is_empty());
}
