//! The tasks of one pair: what is under way, what of it is done, and what is over. One value under one key, changed by compare-and-set,
//! so that admission, cancelling and counting can't contradict each other.
//!
//! ```text
//!  ADD ──▶ active ──every second covered──▶ closed: complete
//!    │        └────────DELETE─────────────▶ closed: cancelled
//!    └──▶ conflict (overlaps an active one)
//! ```
//!
//! A closed task remembers which job closed it: that job, and no other, announces it, however often it is tried. Must not do I/O.

use serde::{Deserialize, Serialize};

use crate::window::{Coverage, Window};

/// Closed tasks that are remembered, so that a job tried again still finds what it closed.
const MAX_CLOSED: usize = 200;
/// Tasks of one pair under way.
pub const MAX_ACTIVE: usize = 256;
/// Windows of one task that failed and are tried again.
const MAX_FAILURES: usize = 1_000;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    active: Vec<Task>,
    /// Oldest first.
    closed: Vec<Closed>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Task {
    uuid: String,
    dbid: i32,
    window: Window,
    /// The job that added it.
    by: String,
    done: Coverage,
    /// How often each window answered RANDOM_ERROR.
    failures: Vec<(Window, u32)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Closed {
    uuid: String,
    dbid: i32,
    window: Window,
    end: End,
    /// The job that closed it.
    by: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum End {
    Complete,
    Cancelled,
}

/// May a task begin?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Nothing stands against it.
    Free,
    /// An earlier attempt of this very job let it in, under this number.
    Mine(i32),
    /// The same task was added by another job: a message that came twice.
    Known,
    /// Overlaps the active task with this uuid, or its uuid is another task's.
    Conflict(String),
    /// No room for another one.
    Full,
}

/// What a finished chunk means for its task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// More to come.
    Open,
    /// This window is covered already.
    Covered,
    /// With this chunk the task is whole: this job announces it.
    Whole(String),
    Cancelled,
    /// No task here has this number and window.
    Foreign,
}

/// What to do about a chunk that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// Try it again; it is the n-th time.
    Again(u32),
    GiveUp,
}

/// What came of a DELETE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// This job closed it.
    Cancelled,
    /// It was whole before, and that was announced.
    WholeBefore,
    /// Another job cancelled it.
    CancelledBefore,
    Unknown,
}

impl Book {
    pub fn admission(&self, uuid: &str, window: Window, job: &str) -> Admission {
        if let Some(task) = self.active.iter().find(|task| task.uuid == uuid) {
            return match task {
                task if task.by == job => Admission::Mine(task.dbid),
                task if task.window == window => Admission::Known,
                _ => Admission::Conflict(uuid.to_owned()),
            };
        }
        if let Some(closed) = self.closed.iter().find(|closed| closed.uuid == uuid) {
            return if closed.window == window { Admission::Known } else { Admission::Conflict(uuid.to_owned()) };
        }
        match self.active.iter().find(|task| task.window.overlaps(window)) {
            Some(other) => Admission::Conflict(other.uuid.clone()),
            None if self.active.len() >= MAX_ACTIVE => Admission::Full,
            None => Admission::Free,
        }
    }

    /// Adds the task where its admission is free; answers what stands then.
    pub fn admit(&mut self, uuid: &str, window: Window, job: &str, dbid: i32) -> Admission {
        match self.admission(uuid, window, job) {
            Admission::Free => {
                let (uuid, by) = (uuid.to_owned(), job.to_owned());
                self.active.push(Task { uuid, dbid, window, by, done: Coverage::default(), failures: Vec::new() });
                Admission::Mine(dbid)
            }
            other => other,
        }
    }

    pub fn delete(&mut self, uuid: &str, job: &str) -> Deleted {
        if let Some(at) = self.active.iter().position(|task| task.uuid == uuid) {
            self.close(at, End::Cancelled, job);
            return Deleted::Cancelled;
        }
        match self.closed.iter().find(|closed| closed.uuid == uuid) {
            None => Deleted::Unknown,
            Some(Closed { end: End::Complete, .. }) => Deleted::WholeBefore,
            Some(closed) if closed.by == job => Deleted::Cancelled,
            Some(_) => Deleted::CancelledBefore,
        }
    }

    /// Where a chunk stands, counting nothing.
    pub fn standing(&self, dbid: i32, window: Window, job: &str) -> Standing {
        if let Some(task) = self.active.iter().find(|task| task.is(dbid, window)) {
            return if task.done.covers(window) { Standing::Covered } else { Standing::Open };
        }
        match self.closed.iter().find(|closed| closed.dbid == dbid && closed.window.covers(window)) {
            None => Standing::Foreign,
            Some(Closed { end: End::Cancelled, .. }) => Standing::Cancelled,
            Some(closed) if closed.by == job => Standing::Whole(closed.uuid.clone()),
            Some(_) => Standing::Covered,
        }
    }

    /// Counts a chunk that was cloned.
    pub fn cover(&mut self, dbid: i32, window: Window, job: &str) -> Standing {
        let Some(at) = self.active.iter().position(|task| task.is(dbid, window)) else {
            return self.standing(dbid, window, job);
        };
        let Some(task) = self.active.get_mut(at) else { return Standing::Foreign };
        if task.done.covers(window) {
            return Standing::Covered;
        }
        task.done.add(window);
        let done = &task.done;
        task.failures.retain(|(failed, _)| !done.covers(*failed));
        if !task.done.covers(task.window) {
            return Standing::Open;
        }
        let uuid = task.uuid.clone();
        self.close(at, End::Complete, job);
        Standing::Whole(uuid)
    }

    /// Counts a chunk that failed. After `limit` times in a row it is given up, and its next failure counts from one again: who retries
    /// the dead job by hand gets as many tries.
    pub fn fail(&mut self, dbid: i32, window: Window, limit: u32) -> Failed {
        let Some(task) = self.active.iter_mut().find(|task| task.is(dbid, window)) else { return Failed::GiveUp };
        let at = task.failures.iter().position(|(failed, _)| *failed == window);
        let times = at.and_then(|at| task.failures.get(at)).map_or(0, |(_, times)| *times) + 1;
        if let Some(at) = at {
            task.failures.remove(at);
        }
        if times > limit || task.failures.len() >= MAX_FAILURES {
            return Failed::GiveUp;
        }
        task.failures.push((window, times));
        Failed::Again(times)
    }

    fn close(&mut self, at: usize, end: End, job: &str) {
        let task = self.active.remove(at);
        if self.closed.len() >= MAX_CLOSED {
            self.closed.remove(0);
        }
        self.closed.push(Closed { uuid: task.uuid, dbid: task.dbid, window: task.window, end, by: job.to_owned() });
    }
}

impl Task {
    fn is(&self, dbid: i32, window: Window) -> bool {
        self.dbid == dbid && self.window.covers(window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(from: i32, until: i32) -> Window {
        Window::new(from, until).unwrap()
    }

    fn book() -> Book {
        let mut book = Book::default();
        assert_eq!(book.admit("a", window(0, 99), "j1", 1), Admission::Mine(1));
        book
    }

    #[test]
    fn tasks_of_a_pair_do_not_overlap() {
        let mut book = book();
        assert_eq!(book.admit("b", window(99, 200), "j2", 2), Admission::Conflict("a".into()), "both ends are inclusive");
        assert_eq!(book.admit("b", window(100, 200), "j2", 2), Admission::Mine(2));
        assert_eq!(book.admission("b", window(100, 200), "j2"), Admission::Mine(2), "the job is tried again");
        assert_eq!(book.admission("b", window(100, 200), "j9"), Admission::Known, "the message came twice");
        assert_eq!(book.admission("b", window(500, 600), "j9"), Admission::Conflict("b".into()), "the uuid is taken");
    }

    #[test]
    fn whole_when_every_second_is_covered_and_said_by_one_job() {
        let mut book = book();
        assert_eq!(book.cover(1, window(0, 49), "c1"), Standing::Open);
        assert_eq!(book.cover(1, window(0, 49), "c2"), Standing::Covered);
        assert_eq!(book.cover(1, window(51, 99), "c3"), Standing::Open);
        assert_eq!(book.cover(1, window(50, 50), "c4"), Standing::Whole("a".into()));
        assert_eq!(book.cover(1, window(50, 50), "c4"), Standing::Whole("a".into()), "its own job is tried again");
        assert_eq!(book.cover(1, window(51, 99), "c3"), Standing::Covered, "another one stays silent");
        assert_eq!(book.delete("a", "d"), Deleted::WholeBefore);
        assert_eq!(book.admission("c", window(0, 99), "j3"), Admission::Free, "its seconds are free again");
    }

    #[test]
    fn cancelled_is_cancelled() {
        let mut book = book();
        assert_eq!(book.delete("a", "d"), Deleted::Cancelled);
        assert_eq!(book.delete("a", "d"), Deleted::Cancelled, "the job is tried again");
        assert_eq!(book.delete("a", "e"), Deleted::CancelledBefore);
        assert_eq!(book.delete("zz", "e"), Deleted::Unknown);
        assert_eq!(book.cover(1, window(0, 99), "c1"), Standing::Cancelled);
        assert_eq!(book.admission("a", window(0, 99), "j1"), Admission::Known, "the ADD is tried after the DELETE");
    }

    #[test]
    fn chunks_of_others_are_not_counted() {
        let mut book = book();
        assert_eq!(book.cover(2, window(0, 99), "c"), Standing::Foreign);
        assert_eq!(book.cover(1, window(0, 100), "c"), Standing::Foreign);
    }

    #[test]
    fn failures_are_counted_a_window() {
        let mut book = book();
        assert_eq!(book.fail(1, window(0, 9), 2), Failed::Again(1));
        assert_eq!(book.fail(1, window(10, 19), 2), Failed::Again(1));
        assert_eq!(book.fail(1, window(0, 9), 2), Failed::Again(2));
        assert_eq!(book.fail(1, window(0, 9), 2), Failed::GiveUp);
        assert_eq!(book.fail(1, window(0, 9), 2), Failed::Again(1), "tried by hand");
        book.cover(1, window(0, 9), "c");
        assert_eq!(book.fail(1, window(10, 19), 2), Failed::Again(2));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut book = Book::default();
        for n in 0..1_000 {
            book.admit(&format!("{n:036}"), window(n, n), &format!("{n:036}"), n);
            book.cover(n, window(n, n), &format!("{n:036}"));
        }
        assert_eq!(book.closed.len(), MAX_CLOSED);
        assert!(serde_json::to_vec(&book).unwrap().len() < 40_000);
        for n in 0..1_000 {
            book.admit(&format!("again {n:036}"), window(n, n), "j", n);
        }
        assert_eq!(book.active.len(), MAX_ACTIVE);
    }
}
