//! Crashes through the real binary: recorded, served on, quarantined, refilled; verbs that act on workers.

use serde_json::Value;

use crate::support::{Host, eventually};

fn crash(name: &str, more: &str) -> String {
    format!("[[worker]]\nname = \"{name}\"\ncomponent = \"crash.wasm\"\n{more}\n")
}

/// A resident that crashes when called to, with room for many restarts.
const CALLED: &str = "restart = { intensity = 50, period = \"5s\" }\nlimits = { memory = \"16MiB\", timeout = \"500ms\" }";

fn trap(host: &Host, worker: &str) -> Value {
    eventually("a trap record", || host.json(&["traps", worker]).as_array().and_then(|traps| traps.first().cloned()))
}

#[test]
fn every_kind_of_crash_leaves_a_record_and_the_next_event_is_served() {
    let host = Host::with(&["crash"]);
    for (mode, cause) in [
        ("panic", "trap"),
        ("unreachable", "trap"),
        ("oom", "out-of-memory"),
        ("stack", "stack-overflow"),
        ("stack-native", "stack-overflow"),
        ("handles", "limit"),
    ] {
        host.drop_manifest(&format!("{mode}.toml"), &crash(mode, CALLED));
        let before = host.worker_when(mode, "running", |worker| worker["state"] == "running");
        host.fails(1, &["call", mode, mode, "hello"]);
        assert_eq!(host.ok(&["call", mode, "ok", "still here"]).trim_end(), "still here", "{mode}: the next event is served at once");
        let record = trap(&host, mode);
        assert_eq!(record["cause"], cause, "{mode}: {record:#}");
        assert_eq!(record["event"], format!("call {mode}"));
        assert_eq!(record["input"], "hello");
        assert_eq!(record["worker"], mode);
        let frames = record["backtrace"].as_array().unwrap();
        assert!(frames.iter().any(|frame| frame.as_str().unwrap().starts_with("crash::")), "{mode}: function names: {record:#}");
        assert!(record["digest"].as_str().unwrap().starts_with("sha256:"));
        assert!(record["memory_peak_bytes"].as_u64().unwrap() > 0);
        if mode == "panic" {
            assert!(record["panic"].as_str().unwrap().contains("asked to crash"), "{record:#}");
            assert!(!record["log"].as_array().unwrap().is_empty());
        }
        let after = host.worker(mode).unwrap();
        assert_eq!(after["restarts"], 1);
        assert!(after["incarnation"].as_u64() > before["incarnation"].as_u64());
        let shown = host.ok(&["trap", record["id"].as_str().unwrap()]);
        assert!(shown.contains(cause) && shown.contains("hello"), "{shown}");
    }
}

#[test]
fn an_endless_loop_is_ended_and_starves_nobody() {
    let host = Host::with(&["spin", "echo"]);
    host.drop_manifest(
        "s.toml",
        "[[worker]]\nname = \"spin\"\ncomponent = \"spin.wasm\"\nschedule = { every = \"1h\" }\nconfig = { mode = \"spin\" }\nlimits = { timeout = \"1s\" }\n\
         [[worker]]\nname = \"echo\"\ncomponent = \"echo.wasm\"\n",
    );
    host.worker_when("echo", "running", |worker| worker["state"] == "running");
    assert_eq!(host.ok(&["call", "echo", "echo", "ping"]).trim_end(), "ping");
    let record = trap(&host, "spin");
    assert_eq!(record["cause"], "timeout", "{record:#}");
    assert!(record["message"].as_str().unwrap().contains("limits.timeout"), "{record:#}");
}

#[test]
fn a_resident_that_keeps_crashing_is_quarantined_says_why_and_restart_frees_it() {
    let host = Host::with(&["crash"]);
    host.drop_manifest("c.toml", &crash("c", "restart = { intensity = 1, period = \"60s\" }"));
    host.worker_when("c", "running", |worker| worker["state"] == "running");
    host.run(&["call", "c", "panic", ""]);
    host.worker_when("c", "restarted", |worker| worker["state"] == "running" && worker["restarts"] == 1);
    host.run(&["call", "c", "panic", ""]);
    host.worker_when("c", "quarantined", |worker| worker["state"] == "quarantined");
    let why = host.ok(&["why", "c"]);
    assert!(why.contains("quarantined") && why.contains("asked to crash") && why.contains("skep restart c"), "{why}");
    host.ok(&["restart", "c"]);
    host.worker_when("c", "running again", |worker| worker["state"] == "running");
    assert_eq!(host.ok(&["call", "c", "ok", "x"]).trim_end(), "x");
}

#[test]
fn a_quarantine_ends_by_itself() {
    let host = Host::with(&["crash"]);
    host.drop_manifest("c.toml", &crash("c", "restart = { intensity = 0, period = \"1s\" }"));
    host.worker_when("c", "running", |worker| worker["state"] == "running");
    host.run(&["call", "c", "panic", ""]);
    host.worker_when("c", "quarantined", |worker| worker["state"] == "quarantined");
    host.worker_when("c", "running again", |worker| worker["state"] == "running");
}

#[test]
fn a_per_event_worker_that_traps_loses_the_event_and_is_quarantined_only_after_intensity() {
    let host = Host::with(&["crash"]);
    let ticking = |mode: &str, every: u32| {
        format!(
            "schedule = {{ every = \"100ms\" }}\nconfig = {{ mode = \"{mode}\", every = {every} }}\nrestart = {{ intensity = 3, period = \"30s\" }}"
        )
    };
    host.drop_manifest("always.toml", &crash("always", &ticking("panic", 1)));
    let down = host.worker_when("always", "quarantined", |worker| worker["state"] == "quarantined");
    assert_eq!(down["events"]["trapped"], 3, "{down:#}");
}

#[test]
fn a_temporary_worker_stays_down_and_init_errors_are_not_retried_in_a_tight_loop() {
    let host = Host::with(&["crash"]);
    host.drop_manifest("t.toml", &crash("t", "restart = { policy = \"temporary\" }"));
    host.worker_when("t", "running", |worker| worker["state"] == "running");
    host.run(&["call", "t", "panic", ""]);
    host.worker_when("t", "stopped", |worker| worker["state"] == "stopped");

    host.drop_manifest("i.toml", &crash("i", "config = { mode = \"init-err\", message = \"no such thing\" }"));
    let failed = host.worker_when("i", "failed", |worker| worker["state"] == "failed");
    assert!(failed["last_error"].as_str().unwrap().contains("no such thing"), "{failed:#}");
    assert!(host.ok(&["why", "i"]).contains("no such thing"));
}

#[test]
fn verbs_pause_resume_drain_scale_and_tick() {
    let host = Host::with(&["echo"]);
    host.drop_manifest(
        "e.toml",
        "# kept\n[[worker]]\nname = \"e\" # this one too\ncomponent = \"echo.wasm\"\nschedule = { every = \"1h\" }\n",
    );
    let ticked = |host: &Host| host.worker("e").unwrap()["events"]["ok"].as_u64().unwrap();
    host.worker_when("e", "ticked once", |worker| worker["events"]["ok"] == 1);
    host.ok(&["tick", "e"]);
    eventually("a second tick", || (ticked(&host) == 2).then_some(()));

    let before = host.worker("e").unwrap()["incarnation"].clone();
    host.ok(&["pause", "e"]);
    let paused = host.worker_when("e", "paused", |worker| worker["state"] == "paused");
    assert_eq!(paused["incarnation"], before, "pausing restarts nothing");
    assert!(paused["schedule"]["next"].is_null());
    let text = std::fs::read_to_string(host.manifest("e.toml")).unwrap();
    assert!(text.contains("paused = true") && text.contains("# kept") && text.contains("# this one too"), "{text}");
    host.ok(&["resume", "e"]);
    host.worker_when("e", "running", |worker| worker["state"] == "running" && !worker["schedule"]["next"].is_null());

    host.ok(&["scale", "e=3"]);
    host.worker_when("e", "three", |worker| worker["replicas"]["running"] == 3 && worker["replicas"]["desired"] == 3);
    host.ok(&["scale", "e=1"]);
    host.worker_when("e", "one", |worker| worker["replicas"]["running"] == 1);

    host.ok(&["drain", "e"]);
    host.worker_when("e", "stopped", |worker| worker["state"] == "stopped");
    host.ok(&["restart", "e"]);
    host.worker_when("e", "running", |worker| worker["state"] == "running");
}

#[test]
fn a_new_component_rolls_over_and_a_bad_one_goes_back() {
    let host = Host::with(&["echo"]);
    host.install("echo", "w.wasm");
    host.drop_manifest("w.toml", "[[worker]]\nname = \"w\"\ncomponent = \"w.wasm\"\ninstance = \"resident\"\nschedule = { every = \"200ms\" }\nrestart = { intensity = 0, period = \"60s\" }\nconfig = { mode = \"panic\" }\n");
    let first = host.worker_when("w", "running", |worker| worker["events"]["ok"].as_u64() > Some(0));

    // Half written, as a slow copy would be: the old one runs on.
    let whole = std::fs::read(crate::support::plugins().join("crash.wasm")).unwrap();
    host.install_bytes("w.wasm", &whole[..whole.len() / 2]);
    eventually("the broken file is shown", || host.ok(&["get", "problems"]).contains("w.wasm").then_some(()));
    assert_eq!(host.worker("w").unwrap()["digest"], first["digest"]);

    // Whole, but it crashes: quarantined on the new digest, so back to the old one.
    host.install_bytes("w.wasm", &whole);
    eventually("the roll-back", || host.ok(&["events"]).contains("component.rolled-back").then_some(()));
    let back = host.worker_when("w", "back", |worker| worker["digest"] == first["digest"] && worker["state"] == "running");
    assert!(back["held_back"].as_str().unwrap_or_default().contains("sha256:"), "{back:#}");

    // A good one that differs rolls over.
    let handled = back["events"]["ok"].as_u64();
    host.worker_when("w", "ticking", |worker| worker["events"]["ok"].as_u64() > handled);
}
