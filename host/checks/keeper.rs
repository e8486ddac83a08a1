//! The one task behind the board: sleeps until the earliest deadline, the next edge of a maintenance window or the next
//! batch of rows, and not at all when there is none.
//!
//! Must not hold the board alive: it ends with the last handle.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::board::Board;
use crate::facts::Name;

/// While results flow, rows of checks are written this often; flips are written at once.
const WRITE_EVERY: Duration = Duration::from_secs(10);

/// What will come due. A check has at most one live entry; ones that moved are dropped when they come up.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    due: Mutex<Due>,
    wake: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Due {
    checks: BinaryHeap<Reverse<(Instant, Name, Arc<str>)>>,
    write: Option<Instant>,
    /// A maintenance window opens or closes.
    turn: Option<Instant>,
}

impl Due {
    fn next(&self) -> Option<Instant> {
        let check = self.checks.peek().map(|Reverse((at, ..))| *at);
        [check, self.write, self.turn].into_iter().flatten().min()
    }
}

impl Deadlines {
    pub fn add(&self, at: Instant, name: &Name, subject: &Arc<str>) {
        self.change(|due| due.checks.push(Reverse((at, name.clone(), subject.clone()))));
    }

    /// Rows are behind: one batch writes all that follow within its wait.
    pub fn write_soon(&self, now: Instant) {
        self.change(|due| {
            due.write.get_or_insert(now + WRITE_EVERY);
        });
    }

    /// When windows are looked at again; none: nothing is to come.
    pub fn turn_at(&self, at: Option<Instant>) {
        self.change(|due| due.turn = at);
    }

    /// Wakes the keeper only when it would sleep too long.
    fn change(&self, change: impl FnOnce(&mut Due)) {
        let mut due = self.due();
        let before = due.next();
        change(&mut due);
        let next = due.next();
        drop(due);
        if next != before {
            self.wake.notify_one();
        }
    }

    fn due(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    /// Does what is due; answers when the next thing is.
    fn tend(&self) -> Option<Instant> {
        let now = self.clock.now();
        loop {
            let mut due = self.deadlines.due();
            if due.write.is_some_and(|write| write <= now) {
                due.write = None;
                drop(due);
                self.write();
            } else if due.turn.is_some_and(|turn| turn <= now) {
                due.turn = None;
                drop(due);
                self.turn_windows();
            } else if due.checks.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
                let Some(Reverse((at, name, subject))) = due.checks.pop() else {
                    continue;
                };
                // Reporters lock a shard first and deadlines second; so must this.
                drop(due);
                self.due(&name, &subject, at);
            } else {
                return due.next();
            }
        }
    }
}

/// Runs until the board is gone; `Board`'s handle aborts it while it sleeps.
pub(super) async fn run(board: Weak<Board>) {
    let Some(wake) = board.upgrade().map(|board| board.deadlines.wake.clone()) else {
        return;
    };
    loop {
        let Some(next) = board.upgrade().map(|board| board.tend()) else {
            return;
        };
        match next {
            Some(next) => {
                tokio::select! {
                    () = tokio::time::sleep_until(next) => {}
                    () = wake.notified() => {}
                }
            }
            None => wake.notified().await,
        }
    }
}
