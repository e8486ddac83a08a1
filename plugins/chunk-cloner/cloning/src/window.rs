//! Windows of whole seconds, inclusive at both ends: so are the exchange's, and the reference lost a task's last second by forgetting it.
//!
//! Must not know what a window is of.

use serde::{Deserialize, Serialize};

/// `from..=until`, never empty, never before 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "(i32, i32)", into = "(i32, i32)")]
pub struct Window {
    from: i32,
    until: i32,
}

impl Window {
    pub fn new(from: i32, until: i32) -> Option<Self> {
        (0 <= from && from <= until).then_some(Self { from, until })
    }

    pub fn from(self) -> i32 {
        self.from
    }

    pub fn until(self) -> i32 {
        self.until
    }

    /// At least 1.
    pub fn seconds(self) -> i64 {
        i64::from(self.until) - i64::from(self.from) + 1
    }

    pub fn contains(self, second: i64) -> bool {
        (i64::from(self.from)..=i64::from(self.until)).contains(&second)
    }

    pub fn covers(self, other: Self) -> bool {
        self.from <= other.from && other.until <= self.until
    }

    pub fn overlaps(self, other: Self) -> bool {
        self.from <= other.until && other.from <= self.until
    }

    /// None: it is one second long.
    pub fn halves(self) -> Option<[Self; 2]> {
        // Neither can overflow: 0 <= from < until.
        let middle = self.from + (self.until - self.from) / 2;
        (self.from < self.until).then_some([Self { from: self.from, until: middle }, Self { from: middle + 1, until: self.until }])
    }

    /// Parts of at most `seconds` each, in order; they touch and don't overlap.
    pub fn parts(self, seconds: i32) -> impl Iterator<Item = Self> {
        let span = seconds.max(1) - 1;
        let mut next = Some(self.from);
        std::iter::from_fn(move || {
            let from = next?;
            let until = from.saturating_add(span).min(self.until);
            next = until.checked_add(1).filter(|start| *start <= self.until);
            Some(Self { from, until })
        })
    }

    /// How many parts there are.
    pub fn count_of_parts(self, seconds: i32) -> i64 {
        let seconds = i64::from(seconds.max(1));
        (self.seconds() + seconds - 1) / seconds
    }
}

impl TryFrom<(i32, i32)> for Window {
    type Error = &'static str;

    fn try_from((from, until): (i32, i32)) -> Result<Self, Self::Error> {
        Self::new(from, until).ok_or("no window")
    }
}

impl From<Window> for (i32, i32) {
    fn from(window: Window) -> Self {
        (window.from, window.until)
    }
}

/// A set of seconds, kept as windows: sorted, apart from each other by at least a second. Adding the same twice changes nothing, which is
/// what makes counting what arrives at least once exact.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage(Vec<Window>);

impl Coverage {
    pub fn add(&mut self, window: Window) {
        let first = self.0.partition_point(|kept| i64::from(kept.until) + 1 < i64::from(window.from));
        let past = self.0.partition_point(|kept| i64::from(kept.from) <= i64::from(window.until) + 1).max(first);
        let merged: Vec<Window> = self.0.drain(first..past).collect();
        let from = merged.first().map_or(window.from, |kept| kept.from.min(window.from));
        let until = merged.last().map_or(window.until, |kept| kept.until.max(window.until));
        self.0.insert(first, Window { from, until });
    }

    pub fn covers(&self, window: Window) -> bool {
        self.0.iter().any(|kept| kept.covers(window))
    }

    pub fn seconds(&self) -> i64 {
        self.0.iter().map(|kept| kept.seconds()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn window() -> impl Strategy<Value = Window> {
        (0..200_i32, 0..60_i32).prop_map(|(from, more)| Window::new(from, from + more).unwrap())
    }

    #[test]
    fn the_last_second_is_not_lost() {
        let hours: Vec<_> = Window::new(0, 7_200).unwrap().parts(3_600).map(<(i32, i32)>::from).collect();
        assert_eq!(hours, [(0, 3_599), (3_600, 7_199), (7_200, 7_200)]);
        let end = Window::new(i32::MAX - 1, i32::MAX).unwrap();
        assert_eq!(end.parts(1).count(), 2);
        assert_eq!(end.parts(3_600).collect::<Vec<_>>(), [end]);
    }

    #[test]
    fn halves_as_the_reference_has_them() {
        let halves = |from, until| Window::new(from, until).unwrap().halves().map(|halves| halves.map(<(i32, i32)>::from));
        assert_eq!(halves(0, 3_599), Some([(0, 1_799), (1_800, 3_599)]));
        assert_eq!(halves(10, 12), Some([(10, 11), (12, 12)]));
        assert_eq!(halves(10, 11), Some([(10, 10), (11, 11)]));
        assert_eq!(halves(10, 10), None);
        assert_eq!(halves(0, i32::MAX), Some([(0, 1_073_741_823), (1_073_741_824, i32::MAX)]));
    }

    proptest! {
        #[test]
        fn parts_cover_each_second_exactly_once(window in window(), seconds in 1..70_i32) {
            let parts: Vec<_> = window.parts(seconds).collect();
            let all: Vec<i32> = parts.iter().flat_map(|part| part.from..=part.until).collect();
            prop_assert_eq!(all, (window.from..=window.until).collect::<Vec<_>>());
            prop_assert!(parts.iter().all(|part| part.seconds() <= i64::from(seconds)));
            prop_assert_eq!(parts.len() as i64, window.count_of_parts(seconds));
        }

        #[test]
        fn halving_to_the_end_leaves_each_second_once(window in window()) {
            let (mut open, mut single) = (vec![window], Vec::new());
            while let Some(next) = open.pop() {
                match next.halves() {
                    Some([low, high]) => open.extend([high, low]),
                    None => single.push(next.from),
                }
            }
            prop_assert_eq!(single, (window.from..=window.until).collect::<Vec<_>>());
        }

        #[test]
        fn coverage_is_a_set_of_seconds(windows in proptest::collection::vec(window(), 0..30), asked in window()) {
            let (mut coverage, mut model) = (Coverage::default(), BTreeSet::new());
            for window in windows.iter().chain(&windows) {
                coverage.add(*window);
                model.extend(window.from..=window.until);
            }
            prop_assert_eq!(coverage.seconds(), model.len() as i64);
            prop_assert_eq!(coverage.covers(asked), (asked.from..=asked.until).all(|second| model.contains(&second)));
            prop_assert!(coverage.0.windows(2).all(|pair| pair[0].until + 1 < pair[1].from), "{:?}", coverage);
            let kept = serde_json::to_string(&coverage).unwrap();
            prop_assert_eq!(serde_json::from_str::<Coverage>(&kept).unwrap(), coverage);
        }
    }
}
