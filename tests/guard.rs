//! "Everything is down at once" is unknown, not down: the guard against a slow obvious model, and on the board.

use std::{collections::BTreeSet, time::Duration};

use proptest::prelude::*;
use skep::{
    checks::{
        Recheck, Report, Watch,
        guard::{Guard, HOLDS, HOSTS_AT_LEAST, LATELY, Question, Verdict, WITNESSES},
        place::{self, Place},
    },
    facts::{
        CheckStatus::{self, Down, Maintenance, Unknown, Up},
        Evidence, Name, Network, Phases,
    },
};
use tokio::time::Instant;

use crate::board::{Lab, pass, secs, watch};

#[test]
fn a_subject_names_a_remote_host_or_none() {
    use Network::{Internet, Lan};
    let known = [
        ("https://Example.com/a?b#c", Some(("example.com", Internet))),
        ("http://user:secret@example.com.:8080", Some(("example.com", Internet))),
        ("https://nas/", Some(("nas", Internet))),
        ("https://192.168.1.10:5001/", Some(("192.168.1.10", Lan))),
        ("http://[fd00::1]:8080/x", Some(("fd00::1", Lan))),
        ("http://[2001:db8::0:1]/", Some(("2001:db8::1", Internet))),
        ("http://[::ffff:10.0.0.1]/", Some(("10.0.0.1", Lan))),
        ("10.0.0.7", Some(("10.0.0.7", Lan))),
        ("100.64.0.1", Some(("100.64.0.1", Lan))),
        ("1.1.1.1", Some(("1.1.1.1", Internet))),
        ("nas.lan:443", Some(("nas.lan", Internet))),
        ("nas:22", Some(("nas", Internet))),
        ("[fd00::1]:22", Some(("fd00::1", Lan))),
        ("fe80::1", Some(("fe80::1", Lan))),
        ("tcp://db.example.com:5432", Some(("db.example.com", Internet))),
        // This machine, and workers' own routes.
        ("http://127.0.0.1:7700/healthz", None),
        ("http://localhost/", None),
        ("[::1]:80", None),
        ("0.0.0.0", None),
        ("http://exchange.skep.internal/", None),
        // No host at all.
        ("backup", None),
        ("disk space: 80", None),
        ("step 3:99999", None),
        ("", None),
        ("https://", None),
        ("what is this?://x", None),
        ("[::1", None),
    ];
    for (subject, expected) in known {
        let found = place::of(subject);
        assert_eq!(found.as_ref().map(|place| (&*place.host, place.network)), expected, "{subject}");
    }
}

/// What happened, in a list.
#[derive(Default)]
struct Model {
    log: Vec<(Instant, usize, bool)>,
    cut: Option<Instant>,
}

impl Model {
    fn newest(&self) -> Option<usize> {
        self.log.iter().rposition(|(_, _, answered)| *answered)
    }

    fn hosts(&self, of: impl Fn(usize, &(Instant, usize, bool)) -> bool) -> BTreeSet<usize> {
        self.log.iter().enumerate().filter(|(index, entry)| of(*index, entry)).map(|(_, (_, host, _))| *host).collect()
    }

    fn known(&self) -> BTreeSet<usize> {
        let Some(newest) = self.newest() else { return BTreeSet::new() };
        self.hosts(|_, (at, _, answered)| *answered && self.log[newest].0 - *at <= LATELY)
    }

    fn judge(&mut self, host: usize, question: Question, now: Instant) -> Verdict {
        if self.cut.is_some() {
            return Verdict::CutOff;
        }
        let Some(newest) = self.newest() else { return Verdict::Down };
        let known = self.known();
        if question.before.is_some_and(|before| self.log[newest].0 > before) || known.len() < HOSTS_AT_LEAST {
            return Verdict::Down;
        }
        let failed: BTreeSet<usize> = &self.hosts(|index, (_, _, answered)| index > newest && !answered) & &known;
        let others = failed.iter().filter(|one| **one != host).count();
        if others >= WITNESSES && (failed == known || question.held >= HOLDS) {
            self.cut = Some(now);
            return Verdict::CutOff;
        }
        if question.held >= HOLDS { Verdict::Down } else { Verdict::Hold }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_guard_says_what_a_list_of_all_answers_says(
        steps in prop::collection::vec((0usize..7, 0u8..8, prop_oneof![20 => 0u64..20, 1 => 1_000u64..4_000], prop::option::of(0u64..40), 0u32..4), 1..150),
    ) {
        let begin = Instant::now();
        let wall: jiff::Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let mut guard = Guard::default();
        // Hosts 0 to 4 are on the internet, 5 and 6 at home.
        let mut models = [Model::default(), Model::default()];
        let mut now = begin;
        for (host, kind, gap, before, held) in steps {
            now += secs(gap);
            let network = if host < 5 { Network::Internet } else { Network::Lan };
            let model = &mut models[usize::from(host >= 5)];
            let place = Place { host: format!("host-{host}").into(), network };
            let worker: Name = format!("worker-{host}").into();
            // Long stretches of failures, now and then an answer.
            if kind == 0 || (kind < 4 && model.cut.is_none() && model.log.len() < 12) {
                let back = guard.answered(&place, &worker, now, wall + (now - begin));
                prop_assert_eq!(back.is_some(), model.cut.take().is_some());
                model.log.push((now, host, true));
            } else {
                guard.failed(&place, &worker, now);
                model.log.push((now, host, false));
                model.cut.take_if(|failed| now - *failed > LATELY);
                if let Some(failed) = &mut model.cut {
                    *failed = now;
                }
                let question = Question { before: before.map(|before| now - secs(before)), held };
                let answer = guard.judge(&place, question, now);
                let known = model.known();
                let begun = model.cut.is_none();
                prop_assert_eq!(answer.verdict, model.judge(host, question, now));
                prop_assert_eq!(answer.begins, begun && model.cut.is_some());
                prop_assert!(answer.probes.len() <= 3 && (answer.probes.is_empty() || answer.verdict == Verdict::Hold));
                // Only those that were well are worth asking, and none that failed just now.
                let worth = |probe: &Name| *probe != worker && known.iter().any(|one| **probe == *format!("worker-{one}"));
                prop_assert!(answer.probes.iter().all(worth));
            }
            prop_assert_eq!(guard.is_cut_off(network), model.cut.is_some());
            prop_assert_eq!(guard.cut_off(network, now).is_some(), model.cut.is_some());
        }
    }
}

const SITES: [&str; 5] = ["https://a.test/", "https://b.test/", "https://c.test/", "https://d.test/", "https://e.test/"];

/// Every site is reported once, a millisecond apart.
async fn round(lab: &Lab, sites: &[&str], status: CheckStatus) {
    for site in sites {
        lab.report(site, status);
        pass(Duration::from_millis(1)).await;
    }
}

fn statuses(lab: &Lab) -> Vec<CheckStatus> {
    lab.views().iter().map(|view| view.status).collect()
}

fn told(lab: &Lab, kind: &str) -> Vec<String> {
    lab.journal.events(100).into_iter().filter(|event| event.kind == kind).map(|event| event.message).collect()
}

#[tokio::test(start_paused = true)]
async fn everything_down_at_once_is_unknown_until_one_answers() {
    let lab = Lab::new().await;
    lab.watch(watch(3, 2));
    round(&lab, &SITES, Up).await;
    pass(secs(30)).await;
    for _ in 0..2 {
        round(&lab, &SITES, Down).await;
        pass(Duration::from_millis(7_500)).await;
    }
    assert_eq!((statuses(&lab), lab.checks.cut_off()), (vec![Up; 5], None), "nothing is about to flip yet");
    round(&lab, &SITES, Down).await;
    let cut = lab.checks.cut_off().unwrap();
    assert_eq!((cut.network, cut.since), (Network::Internet, crate::board::start() + Duration::from_millis(4)));
    assert_eq!(cut.reason, "this host seems cut off from the internet: 5 of 5 hosts stopped answering since 12:00 UTC");
    pass(secs(30)).await;
    round(&lab, &SITES, Down).await;
    assert_eq!(statuses(&lab), [Unknown; 5]);
    let view = lab.view();
    assert_eq!(view.detail, format!("{}; last error: connection refused", cut.reason));
    assert_eq!(view.recent.iter().map(|beat| beat.status).collect::<Vec<_>>(), [Up, Down, Down, Unknown, Unknown]);
    let seen = view.coverage;
    for _ in 0..10 {
        pass(secs(30)).await;
        round(&lab, &SITES, Down).await;
    }
    assert_eq!((lab.view().uptime, lab.view().coverage), (Some(1.0), seen), "time cut off is nobody's");

    // The first answer ends it; the others are still what they were until asked.
    lab.report(SITES[2], Up);
    assert_eq!(lab.checks.cut_off(), None);
    // Failures from before count for nothing now.
    lab.report(SITES[0], Down);
    assert_eq!(statuses(&lab), [Unknown, Unknown, Up, Unknown, Unknown]);
    round(&lab, &SITES, Up).await;
    assert_eq!(statuses(&lab), [Up; 5]);
    assert_eq!(told(&lab, "host.cut-off"), [format!("{}; last error: connection refused", cut.reason)]);
    assert_eq!(told(&lab, "host.connected"), ["the internet answers again after 6m 15s: c.test was first"]);
    let flips = told(&lab, "check.changed");
    assert!(!flips.iter().any(|flip| flip.contains("-> down")), "{flips:#?}");
}

#[tokio::test(start_paused = true)]
async fn one_site_down_among_others_is_down_as_ever() {
    let mut lab = Lab::new().await;
    lab.watch(watch(3, 2));
    round(&lab, &SITES, Up).await;
    for _ in 0..3 {
        pass(secs(30)).await;
        round(&lab, &SITES[..1], Down).await;
        round(&lab, &SITES[1..], Up).await;
    }
    assert_eq!(statuses(&lab), [Down, Up, Up, Up, Up], "at the third failure, not later");
    // It stands while the rest is cut off, and alerts nobody again.
    for _ in 0..6 {
        pass(secs(30)).await;
        round(&lab, &SITES, Down).await;
    }
    assert_eq!(statuses(&lab), [Down, Unknown, Unknown, Unknown, Unknown]);
    assert!(lab.checks.cut_off().is_some());
    pass(secs(30)).await;
    round(&lab, &SITES[1..], Up).await;
    round(&lab, &SITES[..1], Down).await;
    assert_eq!(statuses(&lab), [Down, Up, Up, Up, Up]);
    let downs = told(&lab, "check.changed").iter().filter(|flip| flip.contains("-> down")).count();
    assert_eq!(downs, 1);
    while let Ok(recheck) = lab.rechecks.try_recv() {
        assert_eq!(&*recheck.worker, "pages");
    }
}

#[tokio::test(start_paused = true)]
async fn in_doubt_others_are_asked_and_then_it_is_down() {
    let mut lab = Lab::new().await;
    let report = |lab: &Lab, number: usize, status| {
        lab.checks.report(Report { worker: format!("w{number}").into(), ..lab.of(SITES[number], status) })
    };
    for number in 0..5 {
        lab.checks.watch(&format!("w{number}").into(), watch(2, 2));
        report(&lab, number, Up);
    }
    for _ in 0..2 {
        pass(secs(10)).await;
        report(&lab, 0, Down);
    }
    let view = |lab: &Lab| lab.checks.views(Some("w0")).remove(0);
    assert_eq!((view(&lab).status, view(&lab).confirming), (Up, 2), "nobody else was asked since: it is held");
    let mut asked: Vec<Recheck> = Vec::new();
    while let Ok(recheck) = lab.rechecks.try_recv() {
        asked.push(recheck);
    }
    let now: BTreeSet<&str> = asked.iter().filter(|recheck| recheck.after.is_zero()).map(|recheck| &*recheck.worker).collect();
    assert!(now.len() == 3 && !now.contains("w0"), "three others, at once: {asked:?}");
    assert_eq!(asked.last().unwrap(), &Recheck { worker: "w0".into(), after: Duration::from_millis(7_500) });

    // They answer well: it is the site.
    pass(Duration::from_millis(1)).await;
    report(&lab, 3, Up);
    pass(Duration::from_millis(7_500)).await;
    report(&lab, 0, Down);
    assert_eq!(view(&lab).status, Down);

    // Nobody answers for another one: after two more results it is down all the same.
    for (number, expected) in [Up, Up, Up, Down].into_iter().enumerate() {
        pass(secs(10)).await;
        report(&lab, 4, Down);
        assert_eq!(lab.checks.views(Some("w4"))[0].status, expected, "result {number}");
    }
    assert_eq!(lab.checks.cut_off(), None);
}

#[tokio::test(start_paused = true)]
async fn a_start_without_network_flips_nothing_and_tells_it_once() {
    let mut lab = Lab::new().await;
    lab.watch(watch(2, 2));
    for _ in 0..2 {
        round(&lab, &SITES[..4], Up).await;
        round(&lab, &SITES[4..], Down).await;
        pass(secs(30)).await;
    }
    assert_eq!(statuses(&lab), [Up, Up, Up, Up, Down]);
    for run in 0..2 {
        lab = lab.restart(secs(3_600)).await;
        lab.watch(watch(2, 2));
        for _ in 0..5 {
            round(&lab, &SITES, Down).await;
            pass(secs(30)).await;
        }
        assert_eq!(statuses(&lab), [Unknown, Unknown, Unknown, Unknown, Down], "run {run}");
        assert_eq!(told(&lab, "host.cut-off").len(), 1);
        let flips = told(&lab, "check.changed");
        assert!(!flips.iter().any(|flip| flip.contains("-> down")), "{flips:#?}");
    }
    round(&lab, &SITES[..4], Up).await;
    assert_eq!(statuses(&lab), [Up, Up, Up, Up, Down]);
}

#[tokio::test(start_paused = true)]
async fn few_hosts_answering_hosts_and_this_machine_are_no_network_failure() {
    let answered = Evidence { http_status: Some(500), ..Evidence::default() };
    let connected = Evidence { phases: Phases { connect_ms: Some(1.0), ..Phases::default() }, ..Evidence::default() };
    let own = Evidence { address: Some("127.0.0.1:443".into()), ..Evidence::default() };
    let one_host = ["https://a.test/1", "https://a.test/2", "https://a.test:8443/", "a.test:22", "http://A.test/"];
    let here = ["http://127.0.0.1:1/", "http://127.0.0.2:1/", "http://localhost:1/", "http://x.skep.internal/", "[::1]:80"];
    let texts = ["backup", "disk", "temperature", "queue", "sensor 5"];
    let cases: [(&str, &[&str], Option<Evidence>); 7] = [
        ("two hosts", &SITES[..2], None),
        ("one host", &one_host, None),
        ("this machine", &here, None),
        ("free text", &texts, None),
        ("an answer", &SITES, Some(answered)),
        ("a connection", &SITES, Some(connected)),
        ("names of this machine", &SITES, Some(own)),
    ];
    for (what, sites, evidence) in cases {
        let lab = Lab::new().await;
        lab.watch(watch(3, 2));
        for status in [Up, Down, Down, Down] {
            for site in sites {
                lab.checks.report(Report { evidence: evidence.clone().map(Box::new), ..lab.of(site, status) });
            }
            pass(secs(10)).await;
        }
        assert!(statuses(&lab).iter().all(|status| *status == Down), "{what}: {:?}", statuses(&lab));
        assert_eq!(lab.checks.cut_off(), None, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_local_network_is_judged_apart_also_by_the_addresses_of_names() {
    let lab = Lab::new().await;
    lab.watch(watch(2, 2));
    let home = ["http://192.168.1.10/", "10.0.0.7", "https://nas.test/"];
    let evidence = Some(Box::new(Evidence { address: Some("192.168.1.20:443".into()), ..Evidence::default() }));
    let all = async |at_home: CheckStatus, outside: CheckStatus| {
        round(&lab, &home[..2], at_home).await;
        lab.checks.report(Report { evidence: evidence.clone().filter(|_| at_home == Up), ..lab.of(home[2], at_home) });
        round(&lab, &SITES[..3], outside).await;
        pass(secs(30)).await;
    };
    all(Up, Up).await;
    for _ in 0..4 {
        all(Down, Up).await;
    }
    let cut = lab.checks.cut_off().unwrap();
    assert_eq!(cut.network, Network::Lan);
    assert!(cut.reason.starts_with("this host seems cut off from the local network: 3 of 3 hosts"), "{}", cut.reason);
    assert_eq!(statuses(&lab), [Unknown, Unknown, Up, Up, Up, Unknown]);
    all(Up, Up).await;
    all(Up, Up).await;
    assert_eq!((statuses(&lab), lab.checks.cut_off()), (vec![Up; 6], None));
    assert_eq!(told(&lab, "host.connected").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn planned_work_on_everything_is_no_cut_off() {
    let lab = Lab::new().await;
    lab.watch(watch(2, 2));
    round(&lab, &SITES, Up).await;
    lab.watch(Watch { maintenance: true, ..watch(2, 2) });
    for _ in 0..5 {
        pass(secs(30)).await;
        round(&lab, &SITES, Down).await;
    }
    assert_eq!((statuses(&lab), lab.checks.cut_off()), (vec![Maintenance; 5], None));
    lab.watch(watch(2, 2));
    assert_eq!(statuses(&lab), [Down; 5], "what stands below shows");
}

#[tokio::test(start_paused = true)]
async fn the_guard_can_be_switched_off() {
    let lab = Lab::new().await;
    lab.checks.set_guard(false);
    lab.watch(Watch { interval: None, ..watch(2, 2) });
    for status in [Up, Down, Down] {
        round(&lab, &SITES, status).await;
    }
    assert_eq!((statuses(&lab), lab.checks.cut_off()), (vec![Down; 5], None));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_hosts_that_fail_together_are_judged_in_passing() {
    let lab = Lab::new().await;
    for worker in 0..10 {
        lab.checks.watch(&format!("w{worker}").into(), watch(2, 2));
    }
    let begun = std::time::Instant::now();
    for status in [Up, Down, Down, Down, Down] {
        for number in 0..10_000u32 {
            lab.checks.report(Report { worker: format!("w{}", number % 10).into(), ..lab.of(&format!("https://host-{number}/"), status) });
        }
        pass(secs(5)).await;
    }
    assert!(lab.checks.cut_off().is_some());
    assert!(lab.views().iter().all(|view| view.status == Unknown));
    // A wide bound, for a debug build on a busy machine.
    assert!(begun.elapsed() < secs(20), "{:?}", begun.elapsed());
}
