//! Maintenance windows: arithmetic against a model of every minute, the board as a user sees it, and the whole host.

use std::{sync::Arc, time::Duration};

use jiff::{Timestamp, ToSpan, Zoned, tz::TimeZone};
use proptest::prelude::*;
use serde_json::Value;
use skep::{
    checks::{
        Watch,
        windows::{Span, Windows, next_after, open_at},
    },
    facts::{
        CheckStatus::{Down, Maintenance, Unknown, Up},
        MaintenanceView, Name,
    },
    manifest::spec::{MaintenanceSpec, MaintenanceWindow, Origin},
};

use crate::{
    board::{Lab, pass, secs, start, watch},
    support::{Host, eventually, site::Site},
};

const MINUTE: Duration = Duration::from_secs(60);

/// An expression, and whether it names a minute, written out by hand.
type Cron = (&'static str, fn(&Zoned) -> bool);

const CRONS: [Cron; 6] = [
    ("*/15 * * * *", |at| at.minute() % 15 == 0),
    ("0 3 * * 0", |at| (at.hour(), at.minute(), at.weekday().to_sunday_zero_offset()) == (3, 0, 0)),
    ("30 2 * * *", |at| (at.hour(), at.minute()) == (2, 30)),
    ("5,50 */2 * * 1-5", |at| {
        matches!(at.minute(), 5 | 50) && at.hour() % 2 == 0 && (1..=5).contains(&at.weekday().to_sunday_zero_offset())
    }),
    ("0 0 1 * *", |at| (at.day(), at.hour(), at.minute()) == (1, 0, 0)),
    ("* * * * *", |_| true),
];
const ZONES: [&str; 3] = ["UTC", "Europe/Berlin", "America/St_Johns"];
/// Around both changes of the clock in Europe, the turn of a month, and a plain day.
const DAYS: [&str; 4] = ["2026-03-28T00:00:00Z", "2026-10-24T12:00:00Z", "2026-04-29T06:00:00Z", "2026-06-10T00:00:00Z"];
const RANGE: usize = 3 * 1_440;

/// Which minutes from `base` on a window is open, by looking at every opening.
fn minutes(window: &MaintenanceWindow, base: Timestamp, names: fn(&Zoned) -> bool) -> Vec<bool> {
    let at = |minute: i64| base + (minute * 60).seconds();
    match window {
        MaintenanceWindow::Once { from, until } => (0..RANGE as i64).map(|minute| (*from..*until).contains(&at(minute))).collect(),
        MaintenanceWindow::Cron { timezone, duration, .. } => {
            let (zone, length) = (TimeZone::get(timezone).unwrap(), (duration.as_secs() / 60) as i64);
            let mut left = 0;
            let mut open = Vec::new();
            for minute in -length..RANGE as i64 {
                left = if names(&at(minute).to_zoned(zone.clone())) { length } else { (left - 1).max(0) };
                open.push(left > 0);
            }
            open.split_off(length as usize)
        }
    }
}

fn window(base: Timestamp) -> impl Strategy<Value = (MaintenanceWindow, fn(&Zoned) -> bool)> {
    let once = (-500i64..RANGE as i64, 1i64..2_000).prop_map(move |(from, length)| {
        let from = base + (from * 60).seconds();
        let once: (MaintenanceWindow, fn(&Zoned) -> bool) =
            (MaintenanceWindow::Once { from, until: from + (length * 60).seconds() }, |_| false);
        once
    });
    let length = prop_oneof![4 => 1u32..90, 1 => 90u32..3_000];
    let cron = (0..CRONS.len(), 0..ZONES.len(), length).prop_map(|(cron, zone, length)| {
        let (expression, names) = CRONS[cron];
        let (expression, timezone) = (expression.to_owned(), ZONES[zone].to_owned());
        (MaintenanceWindow::Cron { expression, timezone, duration: MINUTE * length }, names)
    });
    prop_oneof![1 => once.boxed(), 4 => cron.boxed()]
}

fn based<T: std::fmt::Debug>(of: impl Fn(Timestamp) -> BoxedStrategy<T> + 'static) -> impl Strategy<Value = (Timestamp, T)> {
    (0..DAYS.len()).prop_flat_map(move |day| {
        let base: Timestamp = DAYS[day].parse().unwrap();
        of(base).prop_map(move |value| (base, value))
    })
}

fn spec(name: &str, workers: &[&str], window: MaintenanceWindow) -> Arc<MaintenanceSpec> {
    let workers = workers.iter().map(|worker| (*worker).to_owned()).collect();
    Arc::new(MaintenanceSpec { name: name.to_owned(), origin: Origin::default(), workers, window })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Open exactly in the minutes that some opening covers, from the first to where they end.
    #[test]
    fn a_window_is_open_when_a_list_of_minutes_says(
        (base, (window, names)) in based(|base| window(base).boxed()),
        moments in prop::collection::vec((0..RANGE, 0u64..60_000), 1..20),
    ) {
        let model = minutes(&window, base, names);
        for (minute, ms) in moments {
            let now = base + MINUTE * minute as u32 + Duration::from_millis(ms);
            let found = open_at(&window, now);
            prop_assert_eq!(found.is_some(), model[minute], "{:?} at {}", window, now);
            let change = (minute..RANGE).find(|at| model[*at] != model[minute]).map(|at| base + MINUTE * at as u32);
            match (found, change) {
                (Some(span), Some(change)) => {
                    prop_assert!(span.from <= now && now < span.until && span.until <= change, "{:?}", span);
                    // Sixty-four openings that meet are followed; where more do, it is looked at again.
                    let length = change.duration_since(span.from);
                    prop_assert!(span.until == change || length > jiff::SignedDuration::from_secs(3_600), "{:?}, {}", span, change);
                }
                (None, Some(change)) => prop_assert_eq!(next_after(&window, now).map(|span| span.from), Some(change)),
                (_, None) => {}
            }
        }
    }

    /// Going from edge to edge misses no change, and tells each once.
    #[test]
    fn edges_lead_through_every_opening_and_closing(
        (base, windows) in based(|base| prop::collection::vec(window(base), 1..4).boxed()),
        redeclared in 0..RANGE,
    ) {
        let models: Vec<_> = windows.iter().map(|(window, names)| minutes(window, base, *names)).collect();
        let names = ["a", "b", "c"];
        let specs: Vec<_> = windows.iter().zip(names).map(|((window, _), name)| spec(name, &[name], window.clone())).collect();
        let mut all = Windows::default();
        let mut now = base;
        let mut turns = all.declare(specs.clone(), now);
        let mut open = vec![false; specs.len()];
        loop {
            let minute = (now.duration_since(base).as_secs() / 60) as usize;
            for turn in turns {
                let index = names.iter().position(|name| *name == turn.spec.name).unwrap();
                prop_assert_ne!(open[index], turn.opened.is_some(), "told twice");
                open[index] = turn.opened.is_some();
            }
            for (index, model) in models.iter().enumerate() {
                prop_assert_eq!(open[index], model[minute], "{} at {}", names[index], now);
                prop_assert_eq!(all.covers(names[index], None), model[minute]);
            }
            let Some(edge) = all.next_edge(now) else {
                prop_assert!(models.iter().all(|model| model[minute..].iter().all(|open| *open == model[minute])));
                break;
            };
            prop_assert!(edge > now);
            let next = (edge.duration_since(base).as_secs() / 60) as usize;
            // Nothing changes on the way there.
            let upto = next.min(RANGE);
            prop_assert!(models.iter().all(|model| model[minute..upto].iter().all(|open| *open == model[minute])));
            if next >= RANGE {
                break;
            }
            now = edge;
            turns = all.turn(now);
            if (minute..next).contains(&redeclared) {
                // The same again is no news.
                prop_assert_eq!(all.declare(specs.clone(), now), vec![]);
            }
        }
        let still = open.iter().filter(|open| **open).count();
        prop_assert_eq!(all.declare(Vec::new(), now).iter().filter(|turn| turn.opened.is_none()).count(), still, "taken out is closed");
        prop_assert_eq!(all.next_edge(now), None);
    }
}

#[test]
fn a_window_covers_workers_items_and_groups_by_name() {
    let always = || MaintenanceWindow::Once { from: start(), until: start() + secs(60) };
    let covered = |workers: &[&str], now: Timestamp| {
        let mut windows = Windows::default();
        windows.declare(vec![spec("w", workers, always())], now);
        [("pages", None), ("pinger/nas", Some("home")), ("pinger/router", None)].map(|(worker, group)| windows.covers(worker, group))
    };
    assert_eq!(covered(&["pages"], start()), [true, false, false]);
    assert_eq!(covered(&["pinger/nas"], start()), [false, true, false]);
    assert_eq!(covered(&["pinger"], start()), [false, true, true]);
    assert_eq!(covered(&["group:home"], start()), [false, true, false]);
    assert_eq!(covered(&[], start()), [true; 3]);
    assert_eq!(covered(&[], start() + secs(60)), [false; 3]);
    let once = always();
    assert_eq!(open_at(&once, start()), Some(Span { from: start(), until: start() + secs(60) }));
}

fn once(name: &str, workers: &[&str], from: u64, until: u64) -> Arc<MaintenanceSpec> {
    spec(name, workers, MaintenanceWindow::Once { from: start() + secs(from), until: start() + secs(until) })
}

#[tokio::test(start_paused = true)]
async fn a_window_opens_and_closes_by_itself_and_tells_what_stands_below() {
    let lab = Lab::new().await;
    lab.checks.declare_windows(vec![once("move", &["group:shop"], 100, 1_000)]);
    let shop = |interval| Watch { interval, ..watch(2, 2) };
    lab.checks.watch_in(&"pages".into(), Some("shop"), shop(None));
    lab.checks.watch_in(&"other".into(), None, shop(None));
    let other: Name = "other".into();
    lab.report("https://a/", Up);
    lab.checks.report(skep::checks::Report { worker: other.clone(), ..lab.of("https://a/", Up) });
    pass(Duration::from_millis(99_900)).await;
    assert_eq!((lab.checks.views(Some("pages"))[0].status, lab.checks.open_windows()), (Up, Vec::<String>::new()));
    pass(Duration::from_millis(110)).await;
    let view = lab.checks.views(Some("pages")).remove(0);
    assert_eq!((view.status, view.since), (Maintenance, start() + secs(100)));
    assert_eq!(lab.checks.views(Some("other"))[0].status, Up);
    assert_eq!(lab.checks.open_windows(), ["move"]);

    // It fails inside: nobody is told, it is planned work, and its time is nobody's.
    for _ in 0..3 {
        pass(secs(100)).await;
        lab.report("https://a/", Down);
    }
    let view = lab.checks.views(Some("pages")).remove(0);
    assert_eq!((view.status, view.uptime), (Maintenance, Some(1.0)));
    assert!((view.coverage - 100.0 / 86_400.0).abs() < 1e-6, "{}", view.coverage);
    assert_eq!(view.recent.iter().map(|beat| beat.status).collect::<Vec<_>>(), [Up, Maintenance, Maintenance, Maintenance]);

    // Extended while open: no news. Another group in it: at once.
    lab.checks.declare_windows(vec![once("move", &["group:shop", "other"], 100, 2_000)]);
    assert_eq!(lab.checks.views(Some("other"))[0].status, Maintenance);
    pass(secs(700)).await;
    assert_eq!(lab.checks.views(Some("pages"))[0].status, Maintenance);
    // A worker that leaves the group leaves the window.
    lab.checks.watch_in(&"pages".into(), Some("blog"), shop(None));
    assert_eq!(lab.checks.views(Some("pages"))[0].status, Down);
    lab.checks.watch_in(&"pages".into(), Some("shop"), shop(None));
    pass(secs(1_000)).await;
    let view = lab.checks.views(Some("pages")).remove(0);
    assert_eq!((view.status, view.since), (Down, start() + secs(2_000)));
    assert_eq!(lab.checks.views(Some("other"))[0].status, Up);
    let told = lab.told();
    let windows: Vec<_> = told.iter().filter(|told| told.starts_with("move")).collect();
    assert_eq!(windows, ["move is open until 2026-03-01T12:16:40Z, for group:shop", "move is over"]);
    assert!(told[told.len() - 2..].contains(&"https://a/ maintenance -> down: connection refused".to_owned()), "{told:#?}");

    // Its facts, over for good.
    let MaintenanceView { open, from, until, cron, .. } = lab.checks.maintenance().remove(0);
    assert_eq!((open, from, until, cron), (false, Some(start() + secs(100)), Some(start() + secs(2_000)), None));
}

#[tokio::test(start_paused = true)]
async fn a_restart_in_mid_window_changes_nothing_and_one_after_it_shows_what_stands() {
    let mut lab = Lab::new().await;
    let window = || vec![once("move", &[], 0, 10_000)];
    lab.watch(watch(1, 1));
    lab.report("https://a/", Up);
    lab.checks.declare_windows(window());
    lab.report("https://a/", Down);
    let before = lab.view();
    assert_eq!(before.status, Maintenance);
    lab = lab.restart(secs(600)).await;
    lab.checks.declare_windows(window());
    lab.watch(watch(1, 1));
    assert_eq!((lab.view().status, lab.view().since), (Maintenance, before.since));
    assert!(lab.told().iter().all(|told| told.starts_with("move is open")), "{:?}", lab.told());
    lab = lab.restart(secs(20_000)).await;
    lab.checks.declare_windows(window());
    lab.watch(watch(1, 1));
    assert_eq!(lab.view().status, Down, "as it stood, until it is looked at");
    assert_eq!(lab.told(), ["https://a/ maintenance -> down: connection refused"]);
    pass(secs(61)).await;
    assert_eq!(lab.view().status, Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_moves_windows_within_a_minute() {
    static AHEAD: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);
    let lab = Lab::with_clock(skep::clock::Clock::jumping(start(), &AHEAD)).await;
    let nightly = MaintenanceWindow::Cron { expression: "0 3 * * *".into(), timezone: "Europe/Berlin".into(), duration: MINUTE * 30 };
    lab.checks.declare_windows(vec![spec("night", &[], nightly)]);
    let view = lab.checks.maintenance().remove(0);
    assert_eq!(view.from, Some("2026-03-02T02:00:00Z".parse().unwrap()));
    assert_eq!(
        (view.until.unwrap().duration_since(view.from.unwrap()).as_secs(), view.cron.as_deref()),
        (1_800, Some("0 3 * * * Europe/Berlin"))
    );
    // Somebody sets the clock to five past three.
    AHEAD.store(14 * 3_600_000 + 300_000, std::sync::atomic::Ordering::Relaxed);
    pass(secs(61)).await;
    assert_eq!(lab.checks.open_windows(), ["night"]);
    AHEAD.store(0, std::sync::atomic::Ordering::Relaxed);
    pass(secs(61)).await;
    assert_eq!(lab.checks.open_windows(), Vec::<String>::new());
}

fn now_and(seconds: i64) -> String {
    (Timestamp::now() + seconds.seconds()).to_string()
}

fn manifest(url: &str, group: &str, window: &str) -> String {
    format!(
        "[[worker]]\nname = \"pages\"\ngroup = \"{group}\"\ncomponent = \"poller.wasm\"\nschedule = {{ every = \"200ms\" }}\nconfig = {{ urls = [\"{url}\"] }}\n\
         grants = {{ http = {{ allow = [\"config:urls\"] }} }}\nchecks = {{ confirm = 2, recover = 1 }}\n{window}"
    )
}

fn events(host: &Host, kind: &str) -> Vec<String> {
    let said = host.ok(&["events", "-n", "1000", "-o", "json"]);
    let all = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|event| event["kind"] == kind).map(|event| event["message"].as_str().unwrap().to_owned()).collect()
}

fn shown(host: &Host) -> Value {
    let (status, text) = host.api("/api/v1/maintenance");
    assert_eq!(status, 200, "{text}");
    serde_json::from_str::<Value>(&text).unwrap()[0].clone()
}

#[test]
fn an_outage_in_a_window_is_no_news_until_the_window_is_over() {
    let mut site = Site::up();
    let url = site.url();
    let mut host = Host::with(&["poller"]);
    host.drop_manifest("w.toml", &manifest(&url, "shop", ""));
    host.check_when(&url, "up");

    let declared = |from: i64, until: i64| {
        format!("[[maintenance]]\nname = \"move\"\nworkers = [\"group:shop\"]\nfrom = {}\nuntil = {}\n", now_and(from), now_and(until))
    };
    host.drop_manifest("w.toml", &manifest(&url, "shop", &declared(1, 3_600)));
    assert_eq!(host.ok(&["check", host.manifest("w.toml").to_str().unwrap()]).lines().count(), 1, "served, and no problem");
    let covered = host.check_when(&url, "maintenance");
    let view = shown(&host);
    assert_eq!((&view["open"], &view["file"], &view["line"]), (&Value::Bool(true), &"w.toml".into(), &9.into()), "{view:#}");
    let (_, overview) = host.api("/api/v1/host");
    assert_eq!(serde_json::from_str::<Value>(&overview).unwrap()["maintenance"][0], "move", "{overview}");
    site.down();
    let asked = covered["last"].as_str().unwrap().to_owned();
    let count = || host.checks()[0]["recent"].as_array().unwrap().iter().filter(|beat| beat["status"] == "maintenance").count();
    eventually("bad results go on coming", || (count() >= 3 && *host.checks()[0]["last"].as_str().unwrap() > *asked).then_some(()));
    assert_eq!(host.checks()[0]["status"], "maintenance");

    // The host stops and comes back in mid-window, and by kill -9.
    assert_eq!(host.stop(), Some(0));
    host.start();
    let after = host.checks().remove(0);
    assert_eq!((&after["status"], &after["since"]), (&covered["status"], &covered["since"]), "{after:#}");
    host.kill();
    host.start();
    assert_eq!(host.checks()[0]["status"], "maintenance");
    assert!(!events(&host, "check.changed").iter().any(|flip| flip.contains("-> down")), "{:#?}", events(&host, "check.changed"));

    // Another group is not covered; back in it, it is.
    let text = std::fs::read_to_string(host.manifest("w.toml")).unwrap();
    host.drop_manifest("w.toml", &text.replace("group = \"shop\"", "group = \"blog\""));
    host.check_when(&url, "down");
    host.drop_manifest("w.toml", &text);
    host.check_when(&url, "maintenance");

    // Cut short by an edit: what stands below shows when it ends.
    host.drop_manifest("w.toml", &manifest(&url, "shop", &declared(-60, 1)));
    host.check_when(&url, "down");
    assert_eq!(shown(&host)["open"], false);
    let flips = events(&host, "check.changed");
    assert!(flips.last().unwrap().contains("maintenance -> down: connection refused"), "{flips:#?}");
    let closed = events(&host, "maintenance.closed");
    assert_eq!(closed, ["move is over"]);
    assert!(events(&host, "maintenance.opened")[0].starts_with("move is open until "));

    // Open again, then gone from the manifest.
    host.drop_manifest("w.toml", &manifest(&url, "shop", &declared(-60, 3_600)));
    host.check_when(&url, "maintenance");
    assert!(host.ok(&["checks"]).contains("maintenance"));
    host.drop_manifest("w.toml", &manifest(&url, "shop", ""));
    host.check_when(&url, "down");
    assert_eq!(shown(&host), Value::Null);
}
