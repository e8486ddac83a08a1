//! The window, the backoff and the time line, as pure data.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use skep::{
    facts::JobState,
    store::{
        Outcome,
        policy::{MAX_BACKOFF, backoff_of, verdict},
        timeline::Timeline,
        window::{Due, Horizon, Place, Room, Terms, Window},
    },
};
use tokio::time::Instant;
use uuid::Uuid;

use super::{SECOND, START};

fn due(rank: i64, seq: i64, bytes: usize) -> Due {
    Due {
        place: Place { rank, seq },
        id: Uuid::now_v7(),
        payload: vec![0; bytes].into(),
        attempts: 0,
        terms: Terms::default(),
        unique_key: None,
        pushed_at: 0,
    }
}

#[derive(Debug, Clone)]
enum Step {
    Push(i64, usize),
    Pop,
    Remove(usize),
    Refill(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (-2..3_i64, 0..40_usize).prop_map(|(rank, bytes)| Step::Push(rank, bytes)),
        3 => Just(Step::Pop),
        1 => any::<prop::sample::Index>().prop_map(|index| Step::Remove(index.index(50))),
        2 => (1..8_usize).prop_map(Step::Refill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Disk is a sorted list here. Whatever a window gives out was the first of what it could know, and nothing is ever out of sight.
    #[test]
    fn a_window_gives_out_the_first_and_loses_none(steps in prop::collection::vec(step(), 1..80)) {
        let room = Room { jobs: 5, bytes: 100 };
        let mut window = Window::of_nothing();
        let mut disk: Vec<Due> = Vec::new();
        for (seq, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push(rank, bytes) => {
                    let job = due(rank, seq as i64, bytes);
                    disk.push(job.clone());
                    disk.sort_by_key(|job| job.place);
                    window.offer(job, room);
                }
                Step::Pop => {
                    let first = disk.first().map(|job| job.place);
                    match window.pop() {
                        Some(job) => {
                            prop_assert_eq!(Some(job.place), first);
                            disk.remove(0);
                        }
                        None => prop_assert!(window.more() || first.is_none()),
                    }
                }
                Step::Remove(index) if index < disk.len() => {
                    let job = disk.remove(index);
                    window.remove(job.place);
                }
                Step::Remove(_) => {}
                Step::Refill(limit) => {
                    let beyond: Vec<Due> = disk.iter().filter(|job| match window.horizon() {
                        Horizon::All => false,
                        Horizon::UpTo(last) => job.place > last,
                        Horizon::Nothing => true,
                    }).cloned().collect();
                    let all = beyond.len() <= limit;
                    let read: Vec<Due> = beyond.into_iter().take(limit).collect();
                    if window.more() {
                        let upto = if all { Horizon::All } else { Horizon::UpTo(read[read.len() - 1].place) };
                        window.extend(read, upto, room);
                    }
                }
            }
            prop_assert!(window.len() <= room.jobs);
            prop_assert!(window.bytes() < room.bytes + 40);
            if !window.more() {
                prop_assert_eq!(window.len(), disk.len());
            }
        }
    }

    #[test]
    fn a_backoff_doubles_up_to_an_hour_and_jitter_only_shortens_it(base_ms in 0..100_000_u64, attempt in 1..80_u32, jitter in 0.0..1.0) {
        let base = Duration::from_millis(base_ms);
        let whole = backoff_of(base, attempt, 0.0);
        prop_assert!(whole <= MAX_BACKOFF);
        prop_assert_eq!(whole, MAX_BACKOFF.min(base.saturating_mul(2_u32.saturating_pow(attempt - 1))));
        let shorter = backoff_of(base, attempt, jitter);
        prop_assert!(shorter <= whole && shorter >= whole.mul_f64(0.79));
    }

    #[test]
    fn an_attempt_ends_in_one_state(attempt in 1..6_u32, max in 1..6_u32, after in prop::option::of(0..5_u64)) {
        let retry = Outcome::Retry { reason: "no".into(), after: after.map(Duration::from_secs) };
        let verdict = verdict(retry, attempt, max, SECOND, 0.0);
        let expected = match (attempt >= max, after) {
            (true, _) => JobState::Dead,
            (false, Some(0)) => JobState::Waiting,
            (false, _) => JobState::Delayed,
        };
        prop_assert_eq!(verdict.state, expected);
        prop_assert_eq!(verdict.attempts, attempt);
        prop_assert_eq!(verdict.error.as_deref(), Some("no"));
    }
}

#[test]
fn a_released_attempt_does_not_count() {
    let verdict = verdict(Outcome::Released, 3, 3, SECOND, 0.0);
    assert_eq!((verdict.state, verdict.attempts), (JobState::Waiting, 2));
}

#[test]
fn a_jump_of_the_wall_clock_moves_nothing_on_the_time_line_not_even_after_a_restart() {
    let (origin, wall) = (Instant::now(), START.parse::<jiff::Timestamp>().unwrap());
    let line = Timeline::new(origin, wall, 0);
    let before = line.moment(origin, wall);
    let due = before.line + 60_000;
    // Ten seconds later the wall clock is set forward by an hour, as a machine without a battery does.
    let jumped = line.moment(origin + 10 * SECOND, wall + 3_610 * SECOND);
    assert_eq!(jumped.line, before.line + 10_000);
    assert_eq!(line.instant(due), origin + 60 * SECOND);
    let skew = jumped.jumped(before.skew()).unwrap();
    assert_eq!(skew, 3_600_000);
    // The next start goes by the wall clock, less what it is known to be ahead.
    let next = Timeline::new(origin, wall + 3_620 * SECOND, skew);
    assert_eq!(next.instant(due), origin + 40 * SECOND);
    // Trimming a clock is no jump.
    assert_eq!(next.moment(origin, wall + 3_620 * SECOND + SECOND / 2).jumped(skew), None);
}

#[test]
fn one_job_always_fits_into_a_window() {
    let mut window = Window::of_nothing();
    window.offer(Due { payload: Bytes::from(vec![0; 1_000]), ..due(0, 1, 0) }, Room { jobs: 8, bytes: 100 });
    window.offer(due(0, 2, 10), Room { jobs: 8, bytes: 100 });
    assert_eq!((window.len(), window.more()), (1, true));
    assert_eq!(window.pop().map(|job| job.place.seq), Some(1));
}
