//! A table's rows: sorted, filtered, one of them selected. Pure; must not know how a row is drawn.
//!
//! The selection is a row, not a place: it stays on it wherever it moves to. When it goes, the row that takes its place is selected.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    hash::Hash,
};

use super::rows::Column;

/// What a table shows a line of.
pub trait Row: Sized + 'static {
    type Key: Clone + Eq + Hash + Ord;
    const COLUMNS: &'static [Column<Self>];
    /// The column sorted by at first.
    const SORT: usize;

    fn key(&self) -> Self::Key;
    /// The order of keys, without making any.
    fn by_key(&self, other: &Self) -> Ordering;
    /// Whether what a person sees of the row has a word in it; the word is in lower case.
    fn says(&self, word: &str) -> bool;
}

/// Whether `text` has a word in it, whatever the case; the word is in lower case.
pub fn has(text: &str, word: &str) -> bool {
    if word.is_ascii() {
        let (text, word) = (text.as_bytes(), word.as_bytes());
        return word.is_empty() || text.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    }
    text.to_lowercase().contains(word)
}

fn even<R>(_: &R, _: &R) -> Ordering {
    Ordering::Equal
}

pub struct Listing<R: Row> {
    rows: Vec<R>,
    /// Where each row is in `rows`.
    places: HashMap<R::Key, usize>,
    /// Rows as shown, by their place in `rows`.
    order: Vec<usize>,
    /// `order` is older than the rows, the sort or the filter.
    unsettled: bool,
    /// Rows came or went, or the filter is another: `order` may not even have the right rows.
    regroup: bool,
    sort: usize,
    reverse: bool,
    filter: String,
    selected: Option<R::Key>,
    /// Where the selection was in `order` when it was last settled.
    position: usize,
    /// The first row on screen.
    top: usize,
    /// The selection stays with the first row until it is moved: for lists that new rows come to the top of.
    at_top: bool,
    follows_top: bool,
}

impl<R: Row> Listing<R> {
    pub fn new(follows_top: bool) -> Self {
        Self {
            rows: Vec::new(),
            places: HashMap::new(),
            order: Vec::new(),
            unsettled: false,
            regroup: false,
            sort: R::SORT,
            reverse: false,
            filter: String::new(),
            selected: None,
            position: 0,
            top: 0,
            at_top: true,
            follows_top,
        }
    }

    pub fn all(&self) -> &[R] {
        &self.rows
    }

    pub fn get(&self, key: &R::Key) -> Option<&R> {
        self.rows.get(*self.places.get(key)?)
    }

    /// All rows anew. The selection stays where it can.
    pub fn replace(&mut self, rows: Vec<R>) {
        self.rows = Vec::with_capacity(rows.len());
        self.places = HashMap::with_capacity(rows.len());
        (self.unsettled, self.regroup) = (true, true);
        rows.into_iter().for_each(|row| self.put(row));
    }

    /// Adds a row or takes the place of the one with its key.
    pub fn put(&mut self, row: R) {
        self.unsettled = true;
        let key = row.key();
        match self.places.get(&key).and_then(|place| self.rows.get_mut(*place)) {
            Some(there) => *there = row,
            None => {
                self.regroup = true;
                self.places.insert(key, self.rows.len());
                self.rows.push(row);
            }
        }
    }

    pub fn remove(&mut self, key: &R::Key) {
        let Some(place) = self.places.remove(key) else { return };
        (self.unsettled, self.regroup) = (true, true);
        self.rows.swap_remove(place);
        if let Some(moved) = self.rows.get(place) {
            self.places.insert(moved.key(), place);
        }
    }

    /// Keeps the `most` rows with the largest keys.
    pub fn keep(&mut self, most: usize) {
        if self.rows.len() <= most {
            return;
        }
        let mut keys: Vec<R::Key> = self.rows.iter().map(Row::key).collect();
        keys.sort_unstable();
        keys.truncate(keys.len() - most);
        let over: HashSet<R::Key> = keys.into_iter().collect();
        let rows = std::mem::take(&mut self.rows);
        self.replace(rows.into_iter().filter(|row| !over.contains(&row.key())).collect());
    }

    /// Brings order and selection up to date. Every question below is about the settled state.
    pub fn settle(&mut self) {
        if !self.unsettled {
            return;
        }
        self.unsettled = false;
        let words = self.filter.to_lowercase();
        let words: Vec<(&str, bool)> =
            words.split_whitespace().map(|word| word.strip_prefix('!').map_or((word, true), |word| (word, false))).collect();
        // An exclamation mark alone is a word that is still being typed.
        let wanted = |row: &R| words.iter().all(|(word, says)| word.is_empty() || row.says(word) == *says);
        // Beginning with the order there was: sorting what is nearly sorted costs a look at each.
        let before = std::mem::take(&mut self.order);
        let all: Vec<usize> = if self.regroup || !words.is_empty() { (0..self.rows.len()).collect() } else { before };
        self.regroup = false;
        let row = |place: usize| Some((place, self.rows.get(place)?));
        let mut order: Vec<(usize, &R)> = all.into_iter().filter_map(row).filter(|(_, row)| wanted(row)).collect();
        let descending = self.descending();
        let compare: fn(&R, &R) -> Ordering = self.column().map_or(even, |column| column.compare);
        order.sort_by(|(_, a), (_, b)| {
            let by_column = if descending { compare(b, a) } else { compare(a, b) };
            by_column.then_with(|| a.by_key(b))
        });
        self.order = order.into_iter().map(|(place, _)| place).collect();
        let held = if self.follows_top && self.at_top { None } else { self.selected.as_ref() };
        let found = held.and_then(|key| self.places.get(key)).and_then(|place| self.order.iter().position(|at| at == place));
        let position = match found {
            Some(position) => position,
            None if self.at_top => 0,
            None => self.position,
        };
        self.choose(position);
    }

    fn choose(&mut self, position: usize) {
        self.position = position.min(self.order.len().saturating_sub(1));
        self.selected = self.shown(self.position).map(Row::key);
    }

    /// The row shown at a place.
    pub fn shown(&self, at: usize) -> Option<&R> {
        self.rows.get(*self.order.get(at)?)
    }

    /// How many rows the filter lets through.
    pub fn count(&self) -> usize {
        self.order.len()
    }

    pub fn selected(&self) -> Option<&R> {
        self.get(self.selected.as_ref()?)
    }

    pub fn position(&self) -> usize {
        self.position
    }

    /// Moves the selection by so many rows.
    pub fn step(&mut self, by: isize) {
        self.settle();
        self.at_top = false;
        self.choose(self.position.saturating_add_signed(by));
    }

    pub fn first(&mut self) {
        self.settle();
        self.at_top = true;
        self.choose(0);
    }

    pub fn last(&mut self) {
        self.settle();
        self.at_top = false;
        self.choose(usize::MAX);
    }

    /// The rows that are on screen when it has room for so many: the selected one is among them.
    pub fn window(&mut self, height: usize) -> std::ops::Range<usize> {
        self.settle();
        let lowest = self.position.saturating_sub(height.saturating_sub(1));
        let fitting = self.order.len().saturating_sub(height);
        self.top = self.top.clamp(lowest, self.position.max(lowest)).min(fitting);
        self.top..self.top.saturating_add(height).min(self.order.len())
    }

    /// What is sorted by.
    pub fn column(&self) -> Option<&'static Column<R>> {
        R::COLUMNS.get(self.sort)
    }

    /// Whether the largest come first.
    pub fn descending(&self) -> bool {
        self.column().is_some_and(|column| column.descending) != self.reverse
    }

    /// Sorts by the column after this one.
    pub fn sort_next(&mut self) {
        self.sort = (self.sort + 1) % R::COLUMNS.len().max(1);
        self.reverse = false;
        self.unsettled = true;
    }

    pub fn turn(&mut self) {
        self.reverse = !self.reverse;
        self.unsettled = true;
    }

    pub fn filter(&self) -> &str {
        &self.filter
    }

    /// Words that must all be there; one after `!` must not.
    pub fn set_filter(&mut self, filter: String) {
        if self.filter != filter {
            self.filter = filter;
            (self.unsettled, self.regroup) = (true, true);
        }
    }
}
