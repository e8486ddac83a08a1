//! Properties of what is pure: diff, roll-over, and the settling of events.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use proptest::prelude::*;
use skep::{
    facts::{Digest, Name, Verb},
    fleet::{
        desired::{Desired, Unit},
        diff::{Change, diff, flip},
        rollover::{PROBATION, Refusal, Rollover},
        watch::{Names, Notice, OVERDUE, PATIENCE, Place, QUIET, Settler, Touched},
    },
    manifest::{
        Parser,
        spec::{FileSpec, WorkerSpec},
    },
};
use tokio::time::Instant;

/// A worker's knobs: interval, pause, component bytes.
type Knobs = (u8, bool, u8);

/// Which workers stand in which file, with which knobs.
fn fleets() -> impl Strategy<Value = BTreeMap<u8, (u8, Knobs)>> {
    proptest::collection::btree_map(0u8..12, (0u8..3, (1u8..3, any::<bool>(), 0u8..2)), 0..12)
}

fn digest(n: u8) -> Digest {
    Digest(format!("sha256:{n:064}").into())
}

fn spec(name: u8, (every, paused, _): Knobs, blank_lines: usize) -> Arc<WorkerSpec> {
    let text = format!(
        "{}[[worker]]\nname = \"w{name}\"\ncomponent = \"c.wasm\"\npaused = {paused}\nschedule = {{ every = \"{every}s\" }}\n",
        "\n".repeat(blank_lines)
    );
    Parser::new(None).parse("f.toml", &text).spec.unwrap().workers[0].clone()
}

fn desired(fleet: &BTreeMap<u8, (u8, Knobs)>, blank_lines: usize) -> Desired {
    let mut files: BTreeMap<Arc<str>, FileSpec> = BTreeMap::new();
    for (name, (file, knobs)) in fleet {
        files.entry(format!("{file}.toml").into()).or_default().workers.push(spec(*name, *knobs, blank_lines));
    }
    let files = files.into_iter().map(|(name, spec)| (name, Arc::new(spec))).collect();
    let bytes: BTreeMap<String, u8> = fleet.iter().map(|(name, (_, (.., bytes)))| (format!("w{name}"), *bytes)).collect();
    Desired::new(1, files, |_, spec| Some(Unit { spec: spec.clone(), digest: digest(bytes[&*spec.name]), held_back: None }))
}

fn map(desired: &Desired) -> BTreeMap<Name, Unit> {
    desired.units().iter().map(|unit| (unit.spec.name.clone(), unit.clone())).collect()
}

/// Carries changes out, and checks that each finds what it expects.
fn carry_out(mut units: BTreeMap<Name, Unit>, changes: &[Change]) -> BTreeMap<Name, Unit> {
    for change in changes {
        let name = change.worker().clone();
        match change {
            Change::Remove(unit) => assert_eq!(units.remove(&name).as_ref(), Some(unit)),
            Change::Create(unit) => assert_eq!(units.insert(name, unit.clone()), None),
            Change::Update { from, to } | Change::Roll { from, to } | Change::Amend { from, to } | Change::Note { from, to } => {
                assert_eq!(units.insert(name, to.clone()).as_ref(), Some(from));
            }
        }
    }
    units
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_diff_leads_from_old_to_new_and_flipped_it_leads_back(old in fleets(), new in fleets()) {
        let (old, new) = (desired(&old, 0), desired(&new, 0));
        let changes = diff(&old, &new);
        prop_assert_eq!(carry_out(map(&old), &changes), map(&new));
        prop_assert_eq!(carry_out(map(&new), &flip(changes)), map(&old));
    }

    #[test]
    fn a_diff_removes_first_and_then_goes_in_file_and_list_order(old in fleets(), new in fleets()) {
        let (old, new) = (desired(&old, 0), desired(&new, 0));
        let changes = diff(&old, &new);
        let removals = changes.iter().take_while(|change| change.verb() == Some(Verb::Remove)).count();
        prop_assert!(changes.iter().skip(removals).all(|change| change.verb() != Some(Verb::Remove)));
        let place = |change: &Change| new.units().iter().position(|unit| unit.spec.name == *change.worker());
        prop_assert!(changes.iter().skip(removals).map(place).is_sorted());
    }

    #[test]
    fn nothing_differs_from_itself_wherever_it_moves_to(fleet in fleets(), lines in 0usize..5) {
        let moved = fleet.iter().map(|(name, (file, knobs))| (*name, ((file + 1) % 3, *knobs))).collect();
        prop_assert_eq!(diff(&desired(&fleet, 0), &desired(&fleet, 0)), []);
        prop_assert_eq!(diff(&desired(&fleet, 0), &desired(&moved, lines)), []);
    }

    #[test]
    fn untouched_workers_do_not_appear(old in fleets(), new in fleets()) {
        let changes = diff(&desired(&old, 0), &desired(&new, 0));
        for (name, (_, knobs)) in &new {
            if old.get(name).is_some_and(|(_, before)| before == knobs) {
                let name = format!("w{name}");
                prop_assert!(changes.iter().all(|change| **change.worker() != name));
            }
        }
    }

    #[test]
    fn refused_bytes_never_run_and_are_never_wanted(acts in proptest::collection::vec((0u8..3, 0u8..4, 0u64..900), 1..40)) {
        let mut now = Instant::now();
        let mut rollover = Rollover::new(digest(0));
        for (act, bytes, seconds) in acts {
            now += Duration::from_secs(seconds);
            match act {
                0 => {
                    let on_disk = digest(bytes);
                    rollover.seen(&on_disk);
                    if rollover.wants(&on_disk) {
                        rollover.roll(on_disk.clone(), now);
                        prop_assert_eq!(rollover.current(), &on_disk);
                    }
                }
                1 => {
                    let running = rollover.current().clone();
                    if rollover.fault(&running, "it crashed".into(), now) {
                        prop_assert_ne!(rollover.current(), &running);
                        prop_assert!(!rollover.wants(&running), "it would be tried again at once");
                    }
                }
                _ => rollover.expire(now),
            }
            prop_assert!(rollover.refused().is_none_or(|refused| refused.digest != *rollover.current()));
            prop_assert!(rollover.held().any(|held| held == rollover.current()));
        }
    }
}

#[test]
fn steps_name_the_fields_that_differ() {
    let old = desired(&BTreeMap::from([(1, (0, (1, false, 0)))]), 0);
    let new = desired(&BTreeMap::from([(1, (0, (2, false, 1)))]), 0);
    let step = diff(&old, &new)[0].step().unwrap();
    assert_eq!(step.verb, Verb::Update);
    assert_eq!(step.changes[0], "schedule.every: 1s -> 2s");
    assert!(step.changes[1].starts_with("component digest: sha256:"), "{:?}", step.changes);
}

#[test]
fn new_bytes_can_be_taken_back_for_ten_minutes() {
    let start = Instant::now();
    let mut rollover = Rollover::new(digest(1));
    rollover.roll(digest(2), start);
    assert!(!rollover.clone().fault(&digest(2), "late".into(), start + PROBATION), "they are proven by then");
    assert!(!rollover.fault(&digest(1), "of the old ones".into(), start), "the old ones don't run any more");
    assert!(rollover.fault(&digest(2), "crashed".into(), start + PROBATION - Duration::from_secs(1)));
    assert_eq!(rollover.current(), &digest(1));
    assert_eq!(rollover.refused(), Some(&Refusal { digest: digest(2), reason: "crashed".into() }));
    rollover.seen(&digest(2));
    assert!(!rollover.wants(&digest(2)), "a touched file is the same file");
    rollover.seen(&digest(3));
    assert!(rollover.wants(&digest(3)) && rollover.wants(&digest(2)), "the file changed, so all is forgiven");
}

#[test]
fn what_is_gone_back_to_is_the_last_proven_one() {
    let start = Instant::now();
    let mut rollover = Rollover::new(digest(1));
    rollover.roll(digest(2), start);
    rollover.roll(digest(3), start + Duration::from_secs(60));
    assert!(rollover.fault(&digest(3), "crashed".into(), start + Duration::from_secs(90)));
    assert_eq!(rollover.current(), &digest(1), "the second one was never proven");
}

fn names(names: &[&str]) -> Names {
    Names::These(names.iter().map(|name| Arc::from(*name)).collect())
}

#[test]
fn events_are_told_once_they_are_quiet_and_never_much_later() {
    let start = Instant::now();
    let mut settler = Settler::default();
    settler.note(Place::Manifests, "a.toml", Notice::Whole, start);
    assert_eq!(settler.due(), Some(start + QUIET));
    let mut now = start;
    while settler.due().unwrap() > now {
        now += QUIET / 2;
        settler.note(Place::Plugins, "p.wasm", Notice::Whole, now);
    }
    assert!(now - start <= PATIENCE + QUIET, "a busy folder is told as well");
    assert_eq!(settler.take(now), Touched { manifests: names(&["a.toml"]), plugins: names(&["p.wasm"]) });
    assert_eq!(settler.due(), None);
}

#[test]
fn a_new_file_is_held_until_its_writer_closes_it() {
    let start = Instant::now();
    let mut settler = Settler::default();
    // An editor moves the old file away and writes a new one.
    settler.note(Place::Manifests, "a.toml", Notice::Whole, start);
    settler.note(Place::Manifests, "a.toml", Notice::Created, start);
    settler.note(Place::Manifests, "a.toml", Notice::Attributes, start);
    assert_eq!(settler.due(), Some(start + OVERDUE), "half of it is not looked at");
    let closed = start + Duration::from_secs(2);
    settler.note(Place::Manifests, "a.toml", Notice::Whole, closed);
    assert_eq!(settler.due(), Some(closed + QUIET));
    assert_eq!(settler.take(closed + QUIET).manifests, names(&["a.toml"]));
}

#[test]
fn a_new_file_that_is_never_closed_is_looked_at_in_the_end() {
    let start = Instant::now();
    let mut settler = Settler::default();
    settler.note(Place::Plugins, "p.wasm", Notice::Created, start);
    assert_eq!(settler.take(start + OVERDUE).plugins, names(&["p.wasm"]));
    assert_eq!(settler.due(), None);
}

#[test]
fn too_many_names_become_all_of_them() {
    let now = Instant::now();
    let mut settler = Settler::default();
    for n in 0..10_000 {
        settler.note(Place::Manifests, &format!("{n}.toml"), Notice::Whole, now);
    }
    assert_eq!(settler.take(now), Touched { manifests: Names::All, plugins: Names::default() });
}
