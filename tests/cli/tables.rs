//! Listings: aligned, relative times, nothing that steers a terminal.

use proptest::prelude::*;
use skep::{
    cli::{
        client::{Frame, Frames},
        paint::{self, Ink, Paint},
        show,
        table::{Edge, Table},
    },
    facts::{CheckStatus, EventRecord, Level, LogLine, MaintenanceView, WorkerState},
};

use super::{at, paint, problem};
use crate::api::{check as check_view, worker};

#[test]
fn workers_are_a_table_with_relative_times() {
    let mut broken = worker("pinger/nas", WorkerState::Quarantined);
    broken.schedule = None;
    broken.triggers = ["queue work", "http /api", "calls"].map(String::from).into();
    broken.last_error = Some("panicked at src/lib.rs:3: no address\nsecond line".into());
    let text = show::workers(&[worker("pages", WorkerState::Running), broken], &[], false, &paint());
    assert_eq!(
        text,
        "\
NAME        STATE        REPLICAS  RESTARTS  TRIGGER                   NEXT    SINCE   LAST ERROR
pages       running           1/1         2  every 30s                 in 12s  3m ago
pinger/nas  quarantined       0/1         2  queue work, http /api +1  -       3m ago  panicked at src/lib.rs:3: no address…
"
    );
    let wide = show::workers(&[worker("pages", WorkerState::Running)], &[], true, &paint());
    assert!(wide.contains("poller.wasm  abababababab"), "{wide}");
    assert!(wide.contains("10/1/2") && wide.contains("3 MiB") && wide.contains("watch.toml:1"), "{wide}");
}

#[test]
fn an_empty_fleet_says_what_to_do_next() {
    let text = show::workers(&[], &[], false, &paint());
    assert_eq!(text, "no workers yet: drop a manifest into the manifests folder, or run: skep apply -f FILE\n");
    assert!(show::checks(&[], false, &paint()).starts_with("no checks yet"));
    assert_eq!(show::traps(&[], &paint()), "no traps: nothing crashed\n");
    assert_eq!(show::problems(&[], &paint()), "no problems in the manifests folder\n");
}

#[test]
fn a_broken_manifest_shows_under_the_workers_it_holds_back() {
    let mut held = worker("pages", WorkerState::Running);
    held.held_back = Some("watch.toml has problems".into());
    let problems =
        [problem("watch.toml", 3, Some("pages"), Some("schedule.every"), "\"0s\" is not a positive duration", Some("write e.g. \"30s\""))];
    let text = show::workers(&[held], &problems, false, &paint());
    assert!(text.contains("pages  running*"), "{text}");
    assert!(
        text.ends_with(
            "
* runs its last good version:
  pages: watch.toml has problems

1 problem in manifests:
watch.toml:3:3: worker \"pages\": schedule.every: \"0s\" is not a positive duration
  hint: write e.g. \"30s\"
"
        ),
        "{text}"
    );
}

#[test]
fn checks_are_a_table_with_status_latency_and_uptime() {
    let mut flipping = check_view("pages", "https://example.com/", CheckStatus::Up);
    flipping.confirming = 2;
    let mut unknown = check_view("pinger/nas", "nas", CheckStatus::Unknown);
    (unknown.latency_ms, unknown.uptime, unknown.last, unknown.detail) = (None, None, None, String::new());
    let text = show::checks(&[flipping, unknown], false, &paint());
    assert_eq!(
        text,
        "\
WORKER      SUBJECT               STATUS   LATENCY  UPTIME 24H  SINCE    LAST     DETAIL
pages       https://example.com/  up         12 ms      99.99%  63m ago  10s ago  (2 against) status 200
pinger/nas  nas                   unknown        -           -  63m ago  -
"
    );
}

#[test]
fn colours_pad_like_plain_text() {
    let coloured = Paint { colour: true, ..paint() };
    let text = show::workers(&[worker("pages", WorkerState::Running), worker("b", WorkerState::Failed)], &[], false, &coloured);
    assert!(text.contains("\x1b[32mrunning\x1b[0m") && text.contains("\x1b[31mfailed\x1b[0m"), "{text:?}");
    let mut stripped = text;
    for code in ["\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[1m", "\x1b[0m"] {
        stripped = stripped.replace(code, "");
    }
    assert_eq!(stripped, show::workers(&[worker("pages", WorkerState::Running), worker("b", WorkerState::Failed)], &[], false, &paint()));
}

#[test]
fn guests_can_not_steer_the_terminal() {
    let line = LogLine {
        at: at("06:02:00"),
        worker: "w".into(),
        replica: 2,
        level: Level::Warn,
        source: "log".into(),
        text: "a\x1b[2Jb\r\u{202e}c\td".into(),
    };
    assert_eq!(show::log_line(&line, &paint()), "2026-11-21 06:02:00  warn   /2 a\\u{1b}[2Jb\\r\\u{202e}c\td\n");
    let mut bad = worker("pages", WorkerState::Failed);
    bad.last_error = Some("\x1b]0;title\x07".into());
    assert!(!show::workers(&[bad], &[], false, &paint()).contains('\x1b'));
}

#[test]
fn events_are_lines() {
    let event = EventRecord {
        id: 7,
        at: at("06:02:00"),
        kind: "worker.trapped".into(),
        level: Level::Error,
        worker: Some("pages".into()),
        message: "it panicked".into(),
    };
    assert_eq!(show::event_line(&event, &paint()), "2026-11-21 06:02:00  error  worker.trapped        pages: it panicked\n");
}

#[test]
fn values_read_well() {
    for (seconds, text) in [(0, "0s"), (119, "119s"), (120, "2m"), (7_199, "119m"), (7_200, "2h"), (172_800, "2d")] {
        assert_eq!(paint::span(seconds), text);
    }
    assert_eq!(paint().ago(at("06:03:00")), "just now");
    assert_eq!(paint().ago(at("06:04:00")), "just now", "a host's clock may be ahead");
    assert_eq!(paint().ahead(at("06:03:00")), "now");
    assert_eq!(paint().ahead("2026-11-21T06:03:00.001Z".parse().unwrap()), "in 1s");
    for (ms, text) in [(0.5, "0.50 ms"), (12.34, "12 ms"), (999.0, "999 ms"), (999.9, "1.00 s"), (61_000.0, "61.00 s")] {
        assert_eq!(paint::millis(ms), text);
    }
    // One missed minute of a day must not read as 100%.
    for (share, text) in [(1.0, "100%"), (0.99999, "99.99%"), (0.0, "0.00%"), (0.5, "50.00%")] {
        assert_eq!(paint::percent(share), text);
    }
    for (count, text) in [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (64 << 20, "64 MiB"), (u64::MAX, "1677721.5 TiB")] {
        assert_eq!(paint::bytes(count), text);
    }
    assert_eq!(paint::short("abcdef", 4), "abc…");
    assert_eq!(paint().ink(Ink::Bad, "x"), "x");
}

proptest! {
    #[test]
    fn no_table_line_is_ragged_or_ends_in_blanks(rows in prop::collection::vec(("[a-zé]{0,12}", "[a-z\u{1b}]{0,12}"), 0..8)) {
        let mut table = Table::new().column("A", Edge::Left).column("B", Edge::Right).column("C", Edge::Left);
        for (a, b) in &rows {
            table.row(vec![a.clone().into(), b.clone().into(), "c".into()]);
        }
        let text = table.render(&paint());
        let widths: std::collections::BTreeSet<usize> = text.lines().map(|line| line.chars().count()).collect();
        prop_assert_eq!(text.lines().count(), rows.len() + 1);
        prop_assert_eq!(widths.len(), 1, "the last column is one wide: {}", text);
        prop_assert!(text.lines().all(|line| !line.ends_with(' ')));
    }

    #[test]
    fn frames_do_not_depend_on_how_bytes_arrive(cuts in prop::collection::vec(0usize..80, 0..6)) {
        let stream = b":\n\nid: 1\nevent: line\ndata: {\"a\":1}\n\n:\n\nevent: missed\ndata: {\"missed\":3}\n\n";
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).chain([0, stream.len()]).collect();
        cuts.sort_unstable();
        let mut frames = Frames::default();
        let got: Vec<Frame> = cuts.windows(2).flat_map(|pair| frames.push(&stream[pair[0]..pair[1]]).unwrap()).collect();
        let frame = |event: &str, data: &str| Frame { event: event.into(), data: data.into() };
        prop_assert_eq!(got, vec![frame("line", "{\"a\":1}"), frame("missed", "{\"missed\":3}")]);
    }
}

#[test]
fn windows_say_whether_they_are_open_and_when() {
    assert!(show::maintenance(&[], &paint()).contains("[[maintenance]]"));
    let window = |name: &str, open, from: Option<i64>, until: Option<i64>, workers: &[&str]| MaintenanceView {
        name: name.into(),
        workers: workers.iter().map(|worker| (*worker).to_owned()).collect(),
        open,
        from: from.map(|seconds| at("06:03:00") + jiff::SignedDuration::from_secs(seconds)),
        until: until.map(|seconds| at("06:03:00") + jiff::SignedDuration::from_secs(seconds)),
        cron: (name == "night").then(|| "0 3 * * 0 UTC".into()),
        file: "w.toml".into(),
        line: 7,
    };
    let all = [
        window("night", false, Some(7_200), Some(10_800), &["pages", "group:home"]),
        window("move", true, Some(-60), Some(3_600), &[]),
        window("past", false, Some(-7_200), Some(-3_600), &["pages"]),
    ];
    let text = show::maintenance(&all, &paint());
    assert_eq!(
        text,
        "\
NAME   STATE    FROM     UNTIL    WORKERS            CRON           DECLARED
night  to come  in 2h    in 3h    pages, group:home  0 3 * * 0 UTC  w.toml:7
move   open     60s ago  in 60m   all                -              w.toml:7
past   over     2h ago   60m ago  pages              -              w.toml:7
"
    );
}
