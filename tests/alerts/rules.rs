//! What is told of a check, whatever comes: against what whoever is told would believe.

use std::time::Duration;

use proptest::prelude::*;
use skep::{
    checks::alert::{Around, Certificate, Told, Word},
    facts::CheckStatus::{self, Degraded, Down, Maintenance, Paused, Unknown, Up},
    manifest::spec::AlertPolicy,
};

#[derive(Debug, Clone, Copy)]
enum Step {
    /// The check shows this, while its parent is bad or not.
    Flip(CheckStatus, bool),
    /// The parent is good.
    Release,
    /// The host stops and starts.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let status = prop::sample::select(vec![Up, Degraded, Down, Unknown, Maintenance, Paused]);
    prop_oneof![8 => (status, any::<bool>()).prop_map(|(status, bad)| Step::Flip(status, bad)), 2 => Just(Step::Release), 1 => Just(Step::Restart)]
}

/// What somebody believes who has heard these alerts.
fn believed(heard: &[CheckStatus], degraded: bool) -> CheckStatus {
    match heard.last() {
        Some(Down) => Down,
        Some(Degraded) if degraded => Degraded,
        _ => Up,
    }
}

proptest! {
    #[test]
    fn whoever_is_told_believes_what_is_so_and_hears_nothing_twice(steps in prop::collection::vec(step(), 0..60), degraded: bool) {
        let policy = AlertPolicy { degraded, ..AlertPolicy::default() };
        let around = |parent_bad, now| Around { policy: &policy, parent_bad, open: true, now };
        let (mut told, mut shown, mut heard, mut held) = (Told::default(), Unknown, Vec::new(), false);
        for (now, step) in steps.into_iter().enumerate() {
            let now = i64::try_from(now).unwrap();
            let before = believed(&heard, degraded);
            match step {
                Step::Flip(to, bad) => {
                    if to == shown { continue }
                    shown = to;
                    let word = told.flip(to, around(bad, now));
                    held = word == Word::Hold;
                    prop_assert!(!held || (to == Down && bad && before != Down));
                    if matches!(word, Word::Tell { .. }) { heard.push(to) }
                }
                Step::Release => {
                    let word = told.release(shown, 0, around(true, now));
                    prop_assert_eq!(matches!(word, Word::Tell { .. }), held && shown == Down);
                    if matches!(word, Word::Tell { .. }) { heard.push(Down) }
                    held = false;
                }
                Step::Restart => told = serde_json::from_str(&serde_json::to_string(&told).unwrap()).unwrap(),
            }
            prop_assert_eq!(told.held(), held);
            let now_believed = believed(&heard, degraded);
            // Nothing is known of these, so nothing is said: what was believed stands.
            if matches!(shown, Up | Degraded | Down) && !held {
                let so = if shown == Degraded && !degraded { Up } else { shown };
                prop_assert_eq!(now_believed, so);
            } else {
                prop_assert_eq!(now_believed, before);
            }
        }
        for pair in heard.windows(2) {
            prop_assert_ne!(pair[0], pair[1], "told twice");
        }
        prop_assert!(!matches!(heard.first(), Some(Up)), "an all-clear before any alarm");
    }
}

#[test]
fn how_long_it_lasted_counts_from_the_first_alarm() {
    let policy = AlertPolicy::default();
    let around = |now| Around { policy: &policy, parent_bad: false, open: true, now };
    let mut told = Told::default();
    assert_eq!(told.flip(Down, around(1_000)), Word::Tell { lasted: None });
    assert_eq!(told.flip(Unknown, around(2_000)), Word::Nothing);
    assert_eq!(told.flip(Down, around(3_000)), Word::Nothing);
    assert_eq!(told.flip(Degraded, around(61_000)), Word::Tell { lasted: Some(60_000) }, "it answers again, if slowly");
    assert_eq!(told.flip(Up, around(62_000)), Word::Nothing);
}

#[test]
fn switched_off_or_unheard_nothing_is_told_and_nothing_owed() {
    let silent = AlertPolicy { down: false, certificate: None, ..AlertPolicy::default() };
    let policy = AlertPolicy::default();
    let mut told = Told::default();
    assert_eq!(told.flip(Down, Around { policy: &silent, parent_bad: false, open: true, now: 0 }), Word::Nothing);
    assert_eq!(told.flip(Up, Around { policy: &policy, parent_bad: false, open: true, now: 1 }), Word::Nothing);
    assert_eq!(told.flip(Down, Around { policy: &policy, parent_bad: true, open: false, now: 2 }), Word::Nothing);
    assert_eq!(told.flip(Up, Around { policy: &policy, parent_bad: false, open: true, now: 3 }), Word::Nothing);
    // Alarmed, then switched off: no all-clear that nobody wants, and the next alarm is a new one.
    assert_eq!(told.flip(Down, Around { policy: &policy, parent_bad: false, open: true, now: 4 }), Word::Tell { lasted: None });
    assert_eq!(told.flip(Up, Around { policy: &silent, parent_bad: false, open: true, now: 5 }), Word::Nothing);
    assert_eq!(told.flip(Down, Around { policy: &policy, parent_bad: false, open: true, now: 6 }), Word::Tell { lasted: None });
}

#[test]
fn a_certificate_is_told_once_and_its_renewal_once_whichever_machine_answers() {
    const DAY: i64 = 86_400_000;
    let policy = AlertPolicy::default();
    let silent = AlertPolicy { certificate: None, ..AlertPolicy::default() };
    let around = |now| Around { policy: &policy, parent_bad: false, open: true, now };
    let mut told = Told::default();
    assert_eq!(AlertPolicy::CERTIFICATE, Duration::from_secs(14 * 86_400));
    assert_eq!(told.certificate(30 * DAY, around(0)), None);
    assert_eq!(told.certificate(30 * DAY, Around { policy: &silent, ..around(29 * DAY) }), None);
    assert_eq!(told.certificate(30 * DAY, Around { open: false, ..around(29 * DAY) }), None);
    assert_eq!(told.certificate(30 * DAY, around(16 * DAY)), Some(Certificate::NearEnd));
    assert_eq!(told.certificate(30 * DAY, around(17 * DAY)), None);
    assert_eq!(told.certificate(120 * DAY, around(18 * DAY)), Some(Certificate::Renewed));
    // Another machine of the site has the old one still.
    assert_eq!(told.certificate(30 * DAY, around(19 * DAY)), None);
    assert_eq!(told.certificate(120 * DAY, around(20 * DAY)), None);
    assert_eq!(told.certificate(120 * DAY, around(110 * DAY)), Some(Certificate::NearEnd));
}
