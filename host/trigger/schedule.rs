//! The schedule: one task, one heap, one armed timer for all workers.
//!
//! A tick that comes due while the last one runs is skipped and counted by supervision, never piled up. Nothing is polled: without
//! workers the task sleeps until told of one.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{sync::mpsc, time::Instant};

use super::phase;
use crate::{
    clock::Clock,
    facts::Name,
    manifest::spec::Schedule,
    supervise::{Supervisor, Ticked},
};

/// Wall time may run this far from where a cron tick was aimed before it is aimed anew.
const CLOCK_SLACK: Duration = Duration::from_secs(1);
/// A cron tick is aimed anew at least this often, so that a clock that was set, or a machine that slept, is noticed.
const AIM_AGAIN: Duration = Duration::from_secs(60);
/// Cron ticks counted as missed at once: a clock that jumps by years must not keep the schedule busy.
const MISSED_AT_ONCE: usize = 1_000;

/// How a worker's first tick comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// New, changed or resumed: at once.
    Now,
    /// The host starts: spread.
    Spread,
}

#[derive(Debug)]
enum Command {
    Set { worker: Name, schedule: Schedule, first: First },
    Clear { worker: Name },
    Extra { worker: Name, after: Duration },
}

/// A cheap handle to the schedule.
#[derive(Debug, Clone)]
pub struct Scheduler {
    commands: mpsc::UnboundedSender<Command>,
}

impl Scheduler {
    /// Starts the task; it ends when every handle is gone.
    pub fn start(supervisor: Supervisor, clock: Clock) -> Self {
        let (commands, inbox) = mpsc::unbounded_channel();
        tokio::spawn(
            Task { supervisor, clock, origin: Origin::of(clock), entries: HashMap::new(), heap: BinaryHeap::new(), serial: 0 }.run(inbox),
        );
        Self { commands }
    }

    /// Puts a worker on the schedule, or changes its place.
    pub fn set(&self, worker: Name, schedule: Schedule, first: First) {
        let _ = self.commands.send(Command::Set { worker, schedule, first });
    }

    /// Takes a worker off.
    pub fn clear(&self, worker: Name) {
        let _ = self.commands.send(Command::Clear { worker });
    }

    /// One tick more, beside the phase: a check is being confirmed.
    pub fn extra(&self, worker: Name, after: Duration) {
        let _ = self.commands.send(Command::Extra { worker, after });
    }
}

struct Task {
    supervisor: Supervisor,
    clock: Clock,
    origin: Origin,
    entries: HashMap<Name, Entry>,
    heap: BinaryHeap<Reverse<Due>>,
    serial: u64,
}

/// Where phases of intervals count from: the Unix epoch as the clock had it at the start, so that a restart of the host moves none.
#[derive(Clone, Copy)]
struct Origin {
    at: Instant,
    since_epoch: Duration,
}

impl Origin {
    fn of(clock: Clock) -> Self {
        Self { at: clock.now(), since_epoch: Duration::try_from(clock.wall().as_duration()).unwrap_or_default() }
    }

    fn since(&self, at: Instant) -> Duration {
        self.since_epoch + at.saturating_duration_since(self.at)
    }

    fn instant(&self, since: Duration) -> Instant {
        self.at + since.saturating_sub(self.since_epoch)
    }
}

struct Entry {
    schedule: Schedule,
    /// The heap item that counts; older ones of this worker are stale.
    serial: u64,
    /// The armed confirming tick: a second one is not needed.
    extra: Option<Instant>,
    /// New or changed, and not ticked since: its first tick may follow one that is under way, but is not skipped for it.
    fresh: bool,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Instant,
    serial: u64,
    worker: Name,
    /// For cron: the wall time aimed at.
    aim: Option<Timestamp>,
    extra: bool,
}

impl Task {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Command>) {
        loop {
            let next = self.heap.peek().map(|Reverse(due)| due.at);
            tokio::select! {
                command = inbox.recv() => match command {
                    Some(command) => self.obey(command),
                    None => return,
                },
                () = sleep_until(next) => self.fire(),
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Set { worker, schedule, first } => self.set(worker, schedule, first),
            Command::Clear { worker } => {
                self.entries.remove(&worker);
                self.supervisor.set_next(&worker, None);
            }
            Command::Extra { worker, after } => {
                let at = self.clock.now() + after;
                let Some(entry) = self.entries.get_mut(&worker) else { return };
                if entry.extra.is_some_and(|armed| armed <= at) {
                    return;
                }
                entry.extra = Some(at);
                let serial = entry.serial;
                self.heap.push(Reverse(Due { at, serial, worker, aim: None, extra: true }));
            }
        }
    }

    fn set(&mut self, worker: Name, schedule: Schedule, first: First) {
        let now = self.clock.now();
        let (at, aim) = match &schedule {
            Schedule::Every(every) => match first {
                First::Now => (now, None),
                First::Spread => (now + phase::start_delay(&worker, *every), None),
            },
            Schedule::Cron { expression, timezone } => match self.aim(expression, timezone, self.clock.wall()) {
                Some((at, aim)) => (at, Some(aim)),
                // It names no time that is still to come.
                None => return self.obey(Command::Clear { worker }),
            },
        };
        self.serial += 1;
        self.entries.insert(worker.clone(), Entry { schedule, serial: self.serial, extra: None, fresh: first == First::Now });
        self.arm(worker, at, aim);
    }

    fn arm(&mut self, worker: Name, at: Instant, aim: Option<Timestamp>) {
        let Some(entry) = self.entries.get(&worker) else { return };
        let shown = aim.or_else(|| self.clock.wall().checked_add(at.saturating_duration_since(self.clock.now())).ok());
        self.supervisor.set_next(&worker, shown);
        self.heap.push(Reverse(Due { at, serial: entry.serial, worker, aim, extra: false }));
    }

    /// Where a cron expression points next, and when to look.
    fn aim(&self, expression: &str, timezone: &str, after: Timestamp) -> Option<(Instant, Timestamp)> {
        let aim = phase::next_cron(expression, timezone, after)?;
        Some((self.clock.instant_of(aim).min(self.clock.now() + AIM_AGAIN), aim))
    }

    fn fire(&mut self) {
        let now = self.clock.now();
        while self.heap.peek().is_some_and(|Reverse(due)| due.at <= now) {
            let Some(Reverse(due)) = self.heap.pop() else { return };
            let Some(entry) = self.entries.get_mut(&due.worker) else { continue };
            if entry.serial != due.serial {
                continue;
            }
            if due.extra {
                // One that an earlier one took the place of is stale.
                if entry.extra != Some(due.at) {
                    continue;
                }
                entry.extra = None;
                self.supervisor.tick(&due.worker, due.at, self.clock.wall());
                continue;
            }
            match entry.schedule.clone() {
                Schedule::Every(every) => self.fire_interval(due, every, now),
                Schedule::Cron { expression, timezone } => self.fire_cron(due, &expression, &timezone),
            }
        }
    }

    fn fire_interval(&mut self, due: Due, every: Duration, now: Instant) {
        let wall = self.clock.wall();
        let scheduled = wall.checked_sub(now.saturating_duration_since(due.at)).unwrap_or(wall);
        let (origin, worker) = (self.origin, &due.worker);
        // Counted first: this tick is the one that tells of them.
        self.supervisor.missed(worker, phase::skipped(every, origin.since(due.at), origin.since(now)));
        let fresh = self.entries.get_mut(worker).is_some_and(|entry| std::mem::take(&mut entry.fresh));
        let ticked = match fresh {
            true => self.supervisor.first_tick(worker, due.at, scheduled),
            false => self.supervisor.tick(worker, due.at, scheduled),
        };
        if ticked == Ticked::NoWorker {
            self.entries.remove(worker);
            return;
        }
        let next = phase::next_due(worker, every, origin.since(now), Some(origin.since(due.at)));
        self.arm(due.worker, origin.instant(next), None);
    }

    fn fire_cron(&mut self, due: Due, expression: &str, timezone: &str) {
        let (wall, aim) = (self.clock.wall(), due.aim.unwrap_or_default());
        // Too early: the timer was cut short, or the clock went back. Aim again.
        let early = aim.duration_since(wall) > jiff::SignedDuration::try_from(CLOCK_SLACK).unwrap_or_default();
        let after = if early {
            wall
        } else {
            let lost = std::iter::successors(Some(aim), |last| phase::next_cron(expression, timezone, *last));
            let lost = lost.skip(1).take_while(|at| *at <= wall).take(MISSED_AT_ONCE).count();
            self.supervisor.missed(&due.worker, lost as u64);
            if self.supervisor.tick(&due.worker, due.at, aim) == Ticked::NoWorker {
                self.entries.remove(&due.worker);
                return;
            }
            wall.max(aim)
        };
        if let Some((at, aim)) = self.aim(expression, timezone, after) {
            self.arm(due.worker, at, Some(aim));
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
