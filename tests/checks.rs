//! When a check flips and how much it was up: pure policy, against slow and obvious models.

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use skep::{
    checks::{
        Watch,
        policy::{Flip, Machine, patience, recheck_after},
        uptime::{Kind, SEGMENTS, Seen, Uptime, WINDOW_MS},
    },
    facts::CheckStatus::{self, Degraded, Down, Maintenance, Paused, Unknown, Up},
    manifest::spec::CheckPolicy,
};

const START: &str = "2026-03-01T12:00:00Z";

fn start() -> Timestamp {
    START.parse().unwrap()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn watch(confirm: u32, recover: u32) -> Watch {
    Watch {
        policy: CheckPolicy { confirm, recover },
        notice: Default::default(),
        interval: Some(secs(30)),
        paused: false,
        maintenance: false,
    }
}

/// `u`p, `g` (degraded), `d`own, `?` unknown.
fn status(letter: char) -> CheckStatus {
    match letter {
        'u' => Up,
        'g' => Degraded,
        'd' => Down,
        _ => Unknown,
    }
}

/// What a new check shows after each of these results.
fn shown(confirm: u32, recover: u32, results: &str) -> String {
    let mut machine = Machine::new(start());
    let letters = results.chars().map(|letter| {
        machine.result(status(letter), &watch(confirm, recover), start());
        match machine.shown() {
            Up => 'u',
            Degraded => 'g',
            Down => 'd',
            _ => '?',
        }
    });
    letters.collect()
}

#[test]
fn a_check_flips_after_exactly_as_many_results_as_asked_for() {
    // confirm, recover, results, shown
    let cases = [
        // The first good result shows at once, the first bad one is confirmed too.
        (3, 2, "u", "u"),
        (3, 2, "g", "g"),
        (3, 2, "ddd", "??d"),
        (3, 2, "ddu", "??u"),
        (1, 1, "d", "d"),
        // Down and back.
        (3, 2, "udddduu", "uuuddd u"),
        (3, 2, "udduddd", "uuuuuud"),
        (3, 2, "udddudduu", "uuudddd du"),
        (1, 1, "udud", "udud"),
        // Degraded is reachable: it ends a row of bad results and counts towards recovery.
        (3, 2, "uddgddd", "uuuuuud"),
        (3, 2, "udddgg", "uuudd g"),
        (3, 2, "udddgu", "uuudd u"),
        // Up shows degraded after confirm, degraded shows up after recover.
        (3, 2, "ugggguu", "uuuggg u"),
        (3, 2, "uggugg", "uuuuuu"),
        (3, 2, "gugudu", "gggggg"),
        (3, 2, "gddd", "gggd"),
        // Unknown results neither count nor end a row; two in a row show.
        (3, 2, "ud?d?d", "uuuuud"),
        (3, 2, "u??", "uu?"),
        (3, 2, "u??u", "uu?u"),
        (3, 2, "u??g", "uu?g"),
        (3, 2, "u??ddd", "uu???d"),
        (3, 2, "ud??dd", "uuu??d"),
        (3, 2, "uddd??d", "uuudd?d"),
        (3, 2, "uddd??uu", "uuudd??u"),
        (3, 2, "???", "???"),
    ];
    for (confirm, recover, results, expected) in cases {
        assert_eq!(shown(confirm, recover, results), expected.replace(' ', ""), "{results} at confirm {confirm}, recover {recover}");
    }
}

#[test]
fn confirming_asks_for_a_quarter_of_the_interval_ten_seconds_at_most() {
    assert_eq!(recheck_after(secs(2)), Duration::from_millis(500));
    assert_eq!(recheck_after(secs(30)), Duration::from_millis(7_500));
    assert_eq!(recheck_after(secs(3_600)), secs(10));

    let mut machine = Machine::new(start());
    let asked: Vec<_> =
        "uddduudg?g".chars().map(|letter| machine.result(status(letter), &watch(3, 2), start()).recheck.is_some()).collect();
    //                    u      d     d     d      u     u      d     g     ?      g
    assert_eq!(asked, [false, true, true, false, true, false, true, true, false, true]);

    // Without a schedule there is nothing to ask; covered, there is no hurry.
    let unscheduled = Watch { interval: None, ..watch(3, 2) };
    let covered = Watch { maintenance: true, ..watch(3, 2) };
    for watch in [unscheduled, covered] {
        let mut machine = Machine::new(start());
        machine.result(Up, &watch, start());
        assert_eq!(machine.result(Down, &watch, start()).recheck, None);
    }
}

#[test]
fn pause_and_maintenance_cover_what_goes_on_below() {
    let open = watch(2, 2);
    let maintenance = Watch { maintenance: true, ..open.clone() };
    let both = Watch { paused: true, ..maintenance.clone() };
    let mut machine = Machine::new(start());
    let later = |seconds| start() + secs(seconds);
    machine.result(Up, &open, start());
    assert_eq!(machine.show(&maintenance, later(1)), Some(Flip { from: Up, to: Maintenance }));
    machine.result(Down, &maintenance, later(2));
    machine.result(Down, &maintenance, later(3));
    assert_eq!((machine.shown(), machine.since(), machine.confirming()), (Maintenance, later(1), 0));
    assert_eq!(machine.show(&both, later(4)), Some(Flip { from: Maintenance, to: Paused }));
    assert_eq!(machine.show(&both, later(5)), None);
    assert_eq!(machine.show(&open, later(6)), Some(Flip { from: Paused, to: Down }));
    assert_eq!(machine.since(), later(6));
}

#[test]
fn silence_has_its_patience() {
    let scheduled = watch(3, 2);
    assert_eq!(patience(&scheduled, None), Some((secs(60), Unknown)));
    assert_eq!(patience(&scheduled, Some(secs(5))), Some((secs(5), Down)));
    assert_eq!(patience(&Watch { interval: None, ..scheduled.clone() }, None), None);

    // Results from before and after a silence are not in a row.
    let mut machine = Machine::new(start());
    for letter in "udd".chars() {
        machine.result(status(letter), &scheduled, start());
    }
    assert_eq!(machine.silence(Unknown, &scheduled, start()), Some(Flip { from: Up, to: Unknown }));
    assert_eq!(machine.result(Down, &scheduled, start()).flip, None);
    // Past `valid_for` it is down at once, and recovers like any other.
    assert_eq!(machine.silence(Down, &scheduled, start()), Some(Flip { from: Unknown, to: Down }));
    assert_eq!(machine.result(Up, &scheduled, start()).flip, None);
    assert_eq!(machine.result(Up, &scheduled, start()).flip, Some(Flip { from: Down, to: Up }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Never down before `confirm` bad results in a row, never back before `recover` good ones, whatever comes between.
    #[test]
    fn no_flip_without_its_row(results in "[ugd?]{0,60}", confirm in 1u32..5, recover in 1u32..5) {
        let watch = watch(confirm, recover);
        let mut machine = Machine::new(start());
        // The row that ends here, unknown results aside, told by looking back over all results.
        let row = |upto: usize, letters: &str| {
            let known = results[..=upto].chars().rev().filter(|letter| *letter != '?');
            known.take_while(|letter| letters.contains(*letter)).count()
        };
        let mut certain = Unknown;
        for (index, letter) in results.chars().enumerate() {
            let before = machine.shown();
            let judgement = machine.result(status(letter), &watch, start());
            let after = machine.shown();
            prop_assert_eq!(judgement.flip, (before != after).then_some(Flip { from: before, to: after }));
            if after == Down && certain != Down {
                prop_assert!(row(index, "d") >= confirm as usize);
            }
            if matches!(after, Up | Degraded) && certain == Down {
                prop_assert!(row(index, "ug") >= recover as usize);
            }
            // And never later either.
            prop_assert!(!(row(index, "d") >= confirm as usize && letter == 'd') || after == Down);
            prop_assert!(!(row(index, "ug") >= recover as usize && "ug".contains(letter)) || matches!(after, Up | Degraded));
            if letter == '?' {
                prop_assert!(after == before || after == Unknown);
                prop_assert_eq!(judgement.recheck, None);
            }
            if after != Unknown {
                certain = after;
            }
            let kept: Machine = serde_json::from_value(serde_json::to_value(&machine).unwrap()).unwrap();
            prop_assert_eq!(&kept, &machine);
        }
    }

    /// Against a list of what every minute counted as.
    #[test]
    fn uptime_is_what_a_list_of_minutes_says(
        // Going on for days, or a clock that jumps back within one.
        steps in prop_oneof![minutes(prop_oneof![9 => 0i64..60, 1 => 0i64..1_700], 1..120), minutes(-300i64..70, 1..20)],
    ) {
        let mut uptime = Uptime::new(0);
        let mut model = Minutes::default();
        let mut now = 0;
        for (step, kind, horizon, restart) in steps {
            now += step;
            let kind = [None, Some(Kind::Up), Some(Kind::Degraded), Some(Kind::Down)][usize::from(kind)];
            let until = horizon.map(|horizon| now + horizon);
            if restart {
                // Kept, and read again later: the time between is unseen.
                uptime.settle(now * MINUTE);
                model.mark(now, None, None);
                uptime = serde_json::from_str(&serde_json::to_string(&uptime).unwrap()).unwrap();
            }
            let told = uptime.mark(now * MINUTE, kind, until.map(|until| until * MINUTE));
            prop_assert_eq!(told, model.mark(now, kind, until));
            for later in [now, now + 9, now + 700] {
                let (figures, expected) = (uptime.figures(later * MINUTE), model.figures(later));
                prop_assert_eq!(figures.uptime, expected.0);
                prop_assert!((figures.coverage - expected.1).abs() < 1e-9, "{} is not {}", figures.coverage, expected.1);
            }
        }
    }
}

const MINUTE: i64 = 60_000;

/// How far time goes, what it counts as from there, for how long at most, and whether the host restarts first.
type Step = (i64, u8, Option<i64>, bool);

fn minutes(step: impl Strategy<Value = i64>, count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((step, 0u8..4, prop::option::of(0i64..50), prop::bool::weighted(0.1)), count)
}

/// What every minute since `from` counted as, in a list.
#[derive(Default)]
struct Minutes {
    from: i64,
    cells: Vec<Option<Kind>>,
    running: Option<(Kind, Option<i64>)>,
}

impl Minutes {
    fn now(&self) -> i64 {
        self.from + self.cells.len() as i64
    }

    fn grown(&self, now: i64) -> Vec<Option<Kind>> {
        let counts = |at: i64| self.running.filter(|(_, until)| until.is_none_or(|until| at < until)).map(|(kind, _)| kind);
        (self.now()..now).map(counts).collect()
    }

    fn mark(&mut self, now: i64, kind: Option<Kind>, until: Option<i64>) -> Seen {
        let grown = self.grown(now);
        self.cells.extend(&grown);
        while self.now() > now && self.cells.pop().is_some() {}
        if self.cells.is_empty() {
            self.from = now;
        }
        self.running = kind.map(|kind| (kind, until));
        let ms = |kind| 60_000 * grown.iter().filter(|cell| **cell == Some(kind)).count() as u64;
        Seen { up_ms: ms(Kind::Up), degraded_ms: ms(Kind::Degraded), down_ms: ms(Kind::Down) }
    }

    fn figures(&self, now: i64) -> (Option<f64>, f64) {
        let start = now - WINDOW_MS / MINUTE;
        let all = self.cells.iter().copied().chain(self.grown(now)).enumerate();
        let seen: Vec<_> = all.filter(|(index, _)| self.from + *index as i64 >= start).filter_map(|(_, cell)| cell).collect();
        let good = seen.iter().filter(|kind| **kind != Kind::Down).count();
        ((!seen.is_empty()).then(|| good as f64 / seen.len() as f64), seen.len() as f64 / 1_440.0)
    }
}

#[test]
fn a_stable_check_holds_one_segment_and_a_restless_one_is_bounded() {
    let mut stable = Uptime::new(0);
    let mut restless = Uptime::new(0);
    for tick in 0..20_000i64 {
        let now = tick * 10_000;
        stable.mark(now, Some(Kind::Up), Some(now + 60_000));
        // Three ups to each down.
        restless.mark(now, Some(if tick % 4 == 0 { Kind::Down } else { Kind::Up }), None);
        assert!(restless.segments() <= SEGMENTS);
    }
    let now = 20_000 * 10_000;
    assert_eq!((stable.segments(), stable.figures(now).uptime, stable.figures(now).coverage), (1, Some(1.0), 1.0));
    let figures = restless.figures(now);
    assert!((figures.uptime.unwrap() - 0.75).abs() < 0.001 && figures.coverage > 0.999, "{figures:?}");
    assert_eq!(stable.figures(now + 10 * WINDOW_MS).uptime, None, "nothing of it was seen");
}
