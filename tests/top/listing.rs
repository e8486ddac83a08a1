//! The listing against a model that sorts and filters everything anew; the selection stays on its row.

use std::{cmp::Ordering, collections::BTreeMap};

use proptest::prelude::*;
use skep::cli::top::{
    canvas::Line,
    listing::{Listing, Row, has},
    rows::Column,
};

#[derive(Debug, Clone, PartialEq)]
struct Toy {
    id: u8,
    size: u8,
    word: &'static str,
}

const fn column(descending: bool, compare: fn(&Toy, &Toy) -> Ordering) -> Column<Toy> {
    Column { title: "", min: 1, max: 1, right: false, rank: 0, descending, compare, cell: |_, _, _| Line::default(), text: None }
}

impl Row for Toy {
    type Key = u8;
    const COLUMNS: &'static [Column<Self>] =
        &[column(false, |a, b| a.id.cmp(&b.id)), column(true, |a, b| a.size.cmp(&b.size)), column(false, |a, b| a.word.cmp(b.word))];
    const SORT: usize = 0;

    fn key(&self) -> u8 {
        self.id
    }

    fn by_key(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }

    fn says(&self, word: &str) -> bool {
        has(self.word, word)
    }
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u8, &'static str),
    Remove(u8),
    Move(i8),
    Sort,
    Turn,
    Filter(&'static str),
    Replace,
    Look(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let word = prop_oneof![Just("Up"), Just("down"), Just("upset")];
    prop_oneof![
        6 => (0..12_u8, 0..4_u8, word).prop_map(|(id, size, word)| Step::Put(id, size, word)),
        2 => (0..12_u8).prop_map(Step::Remove),
        4 => (-5..6_i8).prop_map(Step::Move),
        1 => Just(Step::Sort),
        1 => Just(Step::Turn),
        1 => prop_oneof![Just(""), Just("up"), Just("!up"), Just("up !set"), Just("!"), Just("nothing")].prop_map(Step::Filter),
        1 => Just(Step::Replace),
        3 => (0..8_usize).prop_map(Step::Look),
    ]
}

/// The rows as they should be shown.
fn model(rows: &BTreeMap<u8, Toy>, sort: usize, turned: bool, filter: &str) -> Vec<Toy> {
    let wanted = |row: &&Toy| {
        filter.split_whitespace().all(|word| match word.strip_prefix('!') {
            Some(word) => word.is_empty() || !row.word.to_lowercase().contains(word),
            None => row.word.to_lowercase().contains(word),
        })
    };
    let mut shown: Vec<Toy> = rows.values().filter(wanted).cloned().collect();
    let descending = Toy::COLUMNS[sort].descending != turned;
    shown.sort_by(|a, b| {
        let order = (Toy::COLUMNS[sort].compare)(a, b);
        if descending { order.reverse() } else { order }
    });
    shown
}

proptest! {
    #[test]
    fn it_shows_what_the_model_shows_and_the_selection_stays(steps in prop::collection::vec(step(), 1..80)) {
        let mut list = Listing::new(false);
        let (mut rows, mut sort, mut turned, mut filter) = (BTreeMap::new(), 0, false, "");
        let mut chosen: Option<u8> = None;
        for step in steps {
            match step {
                Step::Put(id, size, word) => {
                    rows.insert(id, Toy { id, size, word });
                    list.put(Toy { id, size, word });
                }
                Step::Remove(id) => {
                    rows.remove(&id);
                    list.remove(&id);
                }
                Step::Move(by) => list.step(by.into()),
                Step::Sort => {
                    (sort, turned) = ((sort + 1) % 3, false);
                    list.sort_next();
                }
                Step::Turn => {
                    turned = !turned;
                    list.turn();
                }
                Step::Filter(words) => {
                    filter = words;
                    list.set_filter(words.into());
                }
                Step::Replace => list.replace(rows.values().rev().cloned().collect()),
                Step::Look(height) => {
                    let window = list.window(height);
                    prop_assert!(window.len() <= height && window.end <= list.count());
                    prop_assert!(height == 0 || list.count() == 0 || window.contains(&list.position()), "{:?} {}", window, list.position());
                    prop_assert_eq!(window.len(), height.min(list.count()), "no line is empty while there are rows");
                }
            }
            list.settle();
            let shown: Vec<Toy> = (0..list.count()).map(|at| list.shown(at).unwrap().clone()).collect();
            let expected = model(&rows, sort, turned, filter);
            prop_assert_eq!(&shown, &expected);
            let now = list.selected().map(|row| row.id);
            prop_assert_eq!(now, expected.get(list.position()).map(|row| row.id));
            prop_assert_eq!(now.is_none(), expected.is_empty());
            let there = chosen.is_some_and(|id| expected.iter().any(|row| row.id == id));
            if there && !matches!(step, Step::Move(_)) {
                prop_assert_eq!(now, chosen, "the selection left a row that is still there");
            }
            chosen = now;
        }
    }
}

#[test]
fn a_list_that_grows_at_the_top_is_followed_until_one_moves() {
    let mut list = Listing::new(true);
    let toy = |id| Toy { id, size: 0, word: "" };
    list.turn();
    list.put(toy(1));
    list.settle();
    list.put(toy(2));
    list.settle();
    assert_eq!(list.selected(), Some(&toy(2)));
    list.step(1);
    list.put(toy(3));
    list.settle();
    assert_eq!((list.selected(), list.position()), (Some(&toy(1)), 2));
    list.first();
    list.put(toy(4));
    list.settle();
    assert_eq!(list.selected(), Some(&toy(4)));
    list.keep(2);
    list.settle();
    assert_eq!((list.count(), list.get(&3).is_some(), list.get(&2)), (2, true, None));
}
