//! One thing at length: a worker, a trap, why; what inspect and doctor find.

use jiff::Timestamp;
use skep::{
    cli::{doctor, inspect, records, show},
    facts::{Digest, Level, LogLine, ReplicaView, TrapCause, TrapRecord, Why, WorkerState},
    worker::Surface,
};

use super::{at, paint};
use crate::api::worker;

#[test]
fn a_trap_reads_from_cause_to_log() {
    let digest = |byte: &str| Digest(format!("sha256:{}", byte.repeat(32)).into());
    let record = TrapRecord {
        id: "0193517e-5a00-7000-8000-0123456789ab".into(),
        at: at("06:00:00"),
        worker: "pages".into(),
        replica: 1,
        incarnation: 7,
        cause: TrapCause::Trap,
        message: "wasm trap: wasm `unreachable` instruction executed".into(),
        panic: Some("panicked at src/lib.rs:3:5:\nno address".into()),
        backtrace: (0..11).map(|n| format!("poller::f{n}")).collect(),
        event: "tick".into(),
        input: "{\"sequence\":3}".into(),
        log: vec![LogLine {
            at: at("05:59:59"),
            worker: "pages".into(),
            replica: 1,
            level: Level::Info,
            source: "log".into(),
            text: "polling".into(),
        }],
        component: "poller.wasm".into(),
        digest: digest("ab"),
        config_digest: digest("cd"),
        memory_peak_bytes: 2 << 20,
        ran_ms: 1.25,
    };
    let text = records::trap(&record, &paint());
    let expected = [
        "cause        trap\n",
        "message      wasm trap: wasm `unreachable` instruction executed\n",
        "panic        panicked at src/lib.rs:3:5:\n             no address\n",
        "event        tick, after 1.25 ms\n",
        "memory peak  2 MiB\n",
        "when         2026-11-21 06:00:00 (3m ago)\n",
        "\nbacktrace, innermost first\n   0  poller::f0\n",
        "\n  10  poller::f10\n",
        "\ninput\n  {\n    \"sequence\": 3\n  }\n",
        "\nlast log lines\n  2026-11-21 05:59:59  info   polling\n",
    ];
    for part in expected {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    let list = show::traps(&[record], &paint());
    assert!(list.contains("0123456789ab  pages/1  trap   tick   3m ago  panicked at src/lib.rs:3:5:…"), "{list}");
}

#[test]
fn why_says_cause_next_try_and_remedy() {
    let why = Why {
        worker: "pages".into(),
        state: WorkerState::Quarantined,
        since: at("06:01:00"),
        cause: "crashed 4 times within 5s".into(),
        next_restart: Some(at("06:03:41")),
        remedy: "see the trap, then skep restart pages".into(),
        trap: Some("0123456789ab".into()),
    };
    assert_eq!(
        records::why(&why, &paint()),
        "\
pages is quarantined since 2026-11-21 06:01:00 (2m ago)
cause         crashed 4 times within 5s
next restart  in 41s (2026-11-21 06:03:41)
remedy        see the trap, then skep restart pages
trap          skep trap 0123456789ab
"
    );
}

#[test]
fn one_worker_shows_everything_known_of_it() {
    let text = records::worker(&worker("pages", WorkerState::Running), &[], &[], &paint());
    for part in [
        "name          pages\n",
        "state         running since 2026-11-21 06:00:00 (3m ago)\n",
        "replicas      1 of 1 running\n",
        "triggers      every 30s\n",
        "last tick     1.50 ms late\n",
        "events        10 ok, 1 failed, 2 trapped\n",
        "declared      watch.toml:1\n",
        "config        {\n                \"urls\": [\n",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn replicas_show_who_is_busy_where_there_are_several() {
    let replica =
        |replica, busy, waiting| ReplicaView { replica, state: WorkerState::Running, busy, waiting, incarnation: 1, since: at("06:00:00") };
    let text = |replicas: &[ReplicaView]| records::worker(&worker("permuter", WorkerState::Running), replicas, &[], &paint());
    assert!(
        text(&[replica(1, true, 2), replica(2, false, 0)]).ends_with(
            "
REPLICA     STATE    NOW   WAITING  SINCE
permuter/1  running  busy        2  3m ago
permuter/2  running  free        0  3m ago
"
        ),
        "{}",
        text(&[replica(1, true, 2), replica(2, false, 0)])
    );
    assert!(!text(&[replica(1, true, 2)]).contains("REPLICA"));
}

#[test]
fn inspect_derives_triggers_and_grants() {
    let surface = Surface {
        exports: vec!["skep:worker/lifecycle@0.1.0".into(), "skep:worker/schedule-handler@0.1.0".into()],
        imports: vec![
            "skep:worker/log@0.1.0".into(),
            "skep:worker/checks@0.1.0".into(),
            "wasi:http/types@0.2.6".into(),
            "wasi:http/outgoing-handler@0.2.6".into(),
            "wasi:filesystem/types@0.2.6".into(),
        ],
        lifecycle: true,
        schedule: true,
        ..Surface::default()
    };
    let seen = inspect::inspect(&surface);
    assert_eq!(seen.triggers.iter().map(|need| need.key.as_str()).collect::<Vec<_>>(), ["schedule = { every = \"30s\" }"]);
    assert_eq!(seen.grants.iter().map(|need| need.key.as_str()).collect::<Vec<_>>(), ["http = { allow = [\"https://…\"] }"]);
    let text = inspect::render(&seen, &paint());
    assert!(text.contains("triggers it can serve\n  schedule = { every = \"30s\" }  # exports schedule-handler\n"), "{text}");
    assert!(inspect::render(&inspect::inspect(&Surface::default()), &paint()).contains("none: no manifest can use it"));

    let all = Surface { schedule: true, call: true, jobs: true, messages: true, http: true, command: true, ..Surface::default() };
    let keys = inspect::inspect(&all).triggers.into_iter().map(|need| need.key);
    let keys: Vec<_> = keys.map(|key| key.split(' ').next().unwrap_or_default().to_owned()).collect();
    assert_eq!(keys, ["schedule", "jobs", "http", "topics", "command", "no"], "as Surface::triggers knows them; calls need no key");
}

#[test]
fn doctor_judges_and_says_the_remedy() {
    use doctor::Verdict::{Fail, Ok, Warn};
    assert_eq!(doctor::judge_disk(10 << 20).verdict, Fail);
    assert_eq!(doctor::judge_disk(500 << 20).verdict, Warn);
    assert_eq!(doctor::judge_disk(5 << 30).verdict, Ok);
    assert_eq!(doctor::judge_files(Some(100)).verdict, Fail);
    assert_eq!(doctor::judge_files(Some(512)).verdict, Warn);
    assert_eq!(doctor::judge_files(None).verdict, Ok);
    assert_eq!(doctor::judge_sqlite("3.51.2").verdict, Fail);
    assert_eq!(doctor::judge_sqlite("3.51.3").verdict, Ok);
    assert_eq!(doctor::judge_sqlite("4.0").verdict, Ok);
    assert_eq!(doctor::judge_maps(1_000).verdict, Warn);
    assert_eq!(doctor::judge_inotify(8_192, 1).verdict, Warn);
    assert_eq!(doctor::judge_clock(Timestamp::UNIX_EPOCH).verdict, Fail);
    assert_eq!(doctor::judge_data_mode("d", 0o40777).verdict, Fail);
    assert_eq!(doctor::judge_data_mode("d", 0o40750).verdict, Ok);
    assert!(doctor::judge_secret_mode("admin.token", 0o100600).is_none());
    assert_eq!(doctor::judge_secret_mode("admin.token", 0o100644).unwrap().remedy.unwrap(), "chmod 600 admin.token");
    let taken = doctor::judge_port("admin port", "127.0.0.1:7700".parse().unwrap(), Err("in use".into()), false);
    let text = doctor::render(&[doctor::judge_host(None), taken.clone()], &paint());
    assert!(text.starts_with("ok    host        none runs on this data folder\nfail  admin port  127.0.0.1:7700: in use\n"), "{text}");
    assert!(text.ends_with("\n1 thing to repair, 0 warnings\n"), "{text}");
    assert_eq!(doctor::worst(&[taken]), Fail);
}
