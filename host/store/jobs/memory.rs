//! What the queue holds in memory: windows, leases, counts, and who waits for what.
//!
//! Must not read or write disk. What it says of a job's state follows the disk: it changes when a batch is committed, in the writer's
//! order. Leases of this host's own workers are the exception: they are nowhere else.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use super::{
    LeasedJob, QueueSettings,
    op::Finish,
    policy::Tally,
    rows::{QueueId, Stand},
    timeline::Moment,
    window::{Due, Horizon, Place, Room, Terms, Window},
};
use crate::facts::JobState;

/// What one queue's window may hold, and what it may hold once all windows together hold more than [`ALL_WINDOWS`].
const WINDOW: Room = Room { jobs: 2_048, bytes: 4 << 20 };
const SMALL_WINDOW: Room = Room { jobs: 32, bytes: 64 << 10 };
const ALL_WINDOWS: Room = Room { jobs: 64 << 10, bytes: 32 << 20 };

/// No fewer queues than this are looked through for those that nobody watches any more.
const SWEEP: usize = 256;

const DEFAULTS: QueueSettings = QueueSettings { max_attempts: 5, backoff: Duration::from_secs(1), result_ttl: Duration::from_secs(600) };

/// One queue.
#[derive(Debug)]
pub(super) struct Line {
    pub name: Arc<str>,
    /// As declared.
    pub settings: Option<QueueSettings>,
    /// As on disk, in the order of `JobState::ALL`.
    pub counts: [i64; 6],
    /// Jobs that are waiting on disk and somebody's here.
    pub leased: i64,
    pub window: Window,
    pub ready: watch::Sender<u64>,
    pub pushed: u64,
    pub finished: u64,
    /// A purge goes over its waiting jobs: none is given out meanwhile.
    pub purging: bool,
    /// Nobody pushed to it or declared it: it is here for those who watch it.
    pub watched_only: bool,
}

/// What a queue has at hand.
#[derive(Debug, Default)]
pub struct AtHand {
    pub jobs: usize,
    pub refill: bool,
}

impl Line {
    fn new(name: Arc<str>, counts: [i64; 6]) -> Self {
        let empty = counts.get(1).is_none_or(|waiting| *waiting == 0);
        let window = if empty { Window::of_nothing() } else { Window::unknown() };
        let ready = watch::Sender::new(0);
        Self { name, settings: None, counts, leased: 0, window, ready, pushed: 0, finished: 0, purging: false, watched_only: false }
    }

    /// Jobs that are not over.
    pub fn open(&self) -> i64 {
        self.counts.iter().take(3).sum()
    }

    pub fn needs_refill(&self, room: Room) -> bool {
        self.window.low(room) && !self.purging
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// An attempt is running.
    Held,
    /// Its end, or its lease from outside, is on the way to disk.
    Pending,
    /// Its end could not be written: it waits until the disk takes writes again.
    Resting,
}

#[derive(Debug)]
pub(super) struct Lease {
    pub queue: QueueId,
    /// The payload only where the job may come back to the window from here.
    pub job: Due,
    pub attempt: u32,
    pub holder: Arc<str>,
    pub note: Option<Box<str>>,
    /// Leased from outside until then; none: by this host.
    pub until: Option<i64>,
    /// Its row says that it is leased.
    pub on_disk: bool,
    pub hold: Hold,
}

/// An attempt on this host that isn't on disk yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    pub id: Uuid,
    pub seq: i64,
    pub attempt: u32,
}

#[derive(Debug)]
pub(super) struct Memory {
    pub names: HashMap<Arc<str>, QueueId>,
    pub lines: HashMap<QueueId, Line>,
    pub default: QueueSettings,
    pub leases: HashMap<Uuid, Lease>,
    pub waiters: HashMap<Uuid, Vec<oneshot::Sender<()>>>,
    /// Begun since the last batch; and before it.
    pub fresh: Vec<Start>,
    pub aged: Vec<Start>,
    /// Starts wait for a batch that was asked for.
    pub starts_asked: bool,
    /// Windows that a read from disk was asked for.
    pub low: HashSet<QueueId>,
    /// The disk took the last batch no more: nothing is given out until it does.
    pub stalled: bool,
    in_windows: Room,
    next_queue: i64,
    /// With so many queues, those that were only watched are looked through.
    sweep_at: usize,
}

/// What `take` found.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub jobs: Vec<(i64, LeasedJob)>,
    /// Out of attempts before they began: the host went down in their last one. Pending.
    pub doomed: Vec<(Place, Uuid, Tally)>,
    /// The window wants a refill that nobody asked for yet.
    pub refill: bool,
}

impl Memory {
    pub fn new(queues: Vec<(QueueId, String, [i64; 6])>, running: Vec<(Stand, Option<String>)>) -> Self {
        let mut memory = Self {
            names: HashMap::new(),
            lines: HashMap::new(),
            default: DEFAULTS,
            leases: HashMap::new(),
            waiters: HashMap::new(),
            fresh: Vec::new(),
            aged: Vec::new(),
            starts_asked: false,
            low: HashSet::new(),
            stalled: false,
            in_windows: Room { jobs: 0, bytes: 0 },
            next_queue: 1,
            sweep_at: SWEEP,
        };
        for (id, name, counts) in queues {
            let name: Arc<str> = name.into();
            memory.next_queue = memory.next_queue.max(id.0 + 1);
            memory.names.insert(name.clone(), id);
            memory.lines.insert(id, Line::new(name, counts));
        }
        for (stand, holder) in running {
            let lease = Lease::outside(&stand, holder.unwrap_or_default().into());
            memory.leases.insert(stand.id, lease);
        }
        memory
    }

    pub fn queue(&mut self, name: &str) -> QueueId {
        if let Some(id) = self.names.get(name).copied() {
            if let Some(line) = self.lines.get_mut(&id) {
                line.watched_only = false;
            }
            return id;
        }
        let (id, name): (_, Arc<str>) = (QueueId(self.next_queue), name.into());
        self.next_queue += 1;
        self.names.insert(name.clone(), id);
        self.lines.insert(id, Line::new(name, [0; 6]));
        id
    }

    /// The same for whoever only looks: the line stays as long as somebody does.
    pub fn watched(&mut self, name: &str) -> QueueId {
        if let Some(id) = self.names.get(name) {
            return *id;
        }
        if self.names.len() >= self.sweep_at {
            self.sweep();
        }
        let id = self.queue(name);
        if let Some(line) = self.lines.get_mut(&id) {
            line.watched_only = true;
        }
        id
    }

    pub fn room_for_another(&mut self, most: usize) -> bool {
        if self.names.len() >= most {
            self.sweep();
        }
        self.names.len() < most
    }

    /// Lets go of lines that were only watched, and are no longer. They never had a row.
    fn sweep(&mut self) {
        self.lines.retain(|_, line| !line.watched_only || line.ready.receiver_count() > 0);
        let lines = &self.lines;
        self.names.retain(|_, id| lines.contains_key(id));
        // Twice as many before the next time: a look costs what one line costs.
        self.sweep_at = SWEEP.max(self.names.len() * 2);
    }

    pub fn settings(&self, queue: QueueId) -> QueueSettings {
        self.lines.get(&queue).and_then(|line| line.settings).unwrap_or(self.default)
    }

    /// The terms of a job, by its push or else its queue; attempts that don't count come on top.
    pub fn terms(&self, queue: QueueId, terms: Terms) -> QueueSettings {
        let settings = self.settings(queue);
        QueueSettings {
            max_attempts: terms.max_attempts.unwrap_or(settings.max_attempts).saturating_add(terms.uncounted),
            backoff: terms.backoff_ms.map_or(settings.backoff, Duration::from_millis),
            result_ttl: terms.result_ttl_ms.map_or(settings.result_ttl, Duration::from_millis),
        }
    }

    /// How many due jobs could be taken now, and whether more should be read from disk.
    pub fn at_hand(&mut self, queue: &str) -> AtHand {
        let Some(id) = self.names.get(queue).copied() else { return AtHand::default() };
        let stalled = self.stalled;
        let room = self.room(id);
        let Some(line) = self.lines.get(&id).filter(|line| !stalled && !line.purging) else { return AtHand::default() };
        AtHand { jobs: line.window.len(), refill: line.needs_refill(room) && self.low.insert(id) }
    }

    /// Takes due jobs into a holder's hands: `hold` says whether their attempts run or their leases are yet to be written.
    pub fn take(&mut self, queue: QueueId, max: usize, max_bytes: usize, holder: &Arc<str>, hold: Hold) -> Taken {
        let mut taken = Taken::default();
        let settings = self.settings(queue);
        let (stalled, room) = (self.stalled, self.whole_room());
        let Some(line) = self.lines.get_mut(&queue).filter(|line| !stalled && !line.purging) else { return taken };
        let before = room_of(&line.window);
        let mut bytes = 0_usize;
        while taken.jobs.len() < max && bytes < max_bytes {
            let Some(job) = line.window.pop() else { break };
            let max_attempts = job.terms.max_attempts.unwrap_or(settings.max_attempts).saturating_add(job.terms.uncounted);
            line.leased += 1;
            let mut lease =
                Lease { queue, attempt: job.attempts + 1, job, holder: holder.clone(), note: None, until: None, on_disk: false, hold };
            if lease.job.attempts >= max_attempts {
                lease.attempt = lease.job.attempts;
                lease.hold = Hold::Pending;
                let tally = Tally { attempts: lease.attempt, uncounted: lease.job.terms.uncounted };
                taken.doomed.push((lease.job.place, lease.job.id, tally));
            } else {
                bytes = bytes.saturating_add(lease.job.payload.len());
                taken.jobs.push((lease.job.place.seq, lease.leased(&line.name, max_attempts)));
                if hold == Hold::Held {
                    self.fresh.push(Start { id: lease.job.id, seq: lease.job.place.seq, attempt: lease.attempt });
                }
            }
            self.leases.insert(lease.job.id, lease);
        }
        taken.refill = line.needs_refill(room) && self.low.insert(queue);
        let after = room_of(&line.window);
        self.resize(before, after);
        taken
    }

    /// Ends a lease here; the job as the lease had it.
    pub fn unlease(&mut self, id: Uuid, attempt: u32) -> Option<Lease> {
        if self.leases.get(&id)?.attempt != attempt {
            return None;
        }
        let lease = self.leases.remove(&id)?;
        if !lease.on_disk
            && let Some(line) = self.lines.get_mut(&lease.queue)
        {
            line.leased -= 1;
        }
        Some(lease)
    }

    /// Somebody's attempt, as long as it lasts.
    pub fn held(&mut self, id: Uuid, attempt: u32) -> Option<&mut Lease> {
        self.leases.get_mut(&id).filter(|lease| lease.attempt == attempt && lease.hold == Hold::Held)
    }

    /// A job is due and nobody's.
    pub fn offer(&mut self, queue: QueueId, job: Due) {
        self.window(queue, |window, room| window.offer(job, room));
    }

    /// What a read from beyond the horizon brought; jobs in somebody's hands are none of it.
    pub fn extend(&mut self, queue: QueueId, mut jobs: Vec<Due>, upto: Horizon) {
        jobs.retain(|job| !self.leases.contains_key(&job.id));
        self.window(queue, |window, room| window.extend(jobs, upto, room));
    }

    pub fn withdraw(&mut self, queue: QueueId, place: Place) {
        self.window(queue, |window, _| drop(window.remove(place)));
    }

    /// Nothing of it is given out until it is read again.
    pub fn freeze(&mut self, queue: QueueId, purging: bool) {
        if let Some(line) = self.lines.get_mut(&queue) {
            line.purging = purging;
        }
        self.unread(queue);
    }

    /// Its jobs are read from disk again.
    pub fn unread(&mut self, queue: QueueId) {
        self.window(queue, |window, _| window.clear());
    }

    /// Changes a window: keeps the sum of all, asks for a refill where it runs low, tells whoever waits when it is no longer empty.
    fn window(&mut self, queue: QueueId, change: impl FnOnce(&mut Window, Room)) {
        let room = self.whole_room();
        let Some(line) = self.lines.get_mut(&queue) else { return };
        let before = room_of(&line.window);
        change(&mut line.window, room);
        let after = room_of(&line.window);
        if line.needs_refill(room) {
            self.low.insert(queue);
        }
        if before.jobs == 0 && after.jobs > 0 && !self.stalled {
            line.ready.send_modify(|moves| *moves += 1);
        }
        self.resize(before, after);
    }

    /// What a window may hold now.
    pub fn whole_room(&self) -> Room {
        let full = self.in_windows.jobs > ALL_WINDOWS.jobs || self.in_windows.bytes > ALL_WINDOWS.bytes;
        if full { SMALL_WINDOW } else { WINDOW }
    }

    /// How many jobs, and bytes of them, a refill may read.
    pub fn room(&self, queue: QueueId) -> Room {
        let room = self.whole_room();
        let held = self.lines.get(&queue).map_or(Room { jobs: 0, bytes: 0 }, |line| room_of(&line.window));
        Room { jobs: room.jobs.saturating_sub(held.jobs).max(1), bytes: room.bytes.saturating_sub(held.bytes).max(1) }
    }

    /// The disk takes writes again: whatever waits may go. Attempts whose end was lost go again once it is written that they don't count.
    pub fn resume(&mut self, moment: Moment) -> Vec<Finish> {
        self.stalled = false;
        let mut lost = Vec::new();
        let mut doomed = Vec::new();
        for lease in self.leases.values_mut().filter(|lease| lease.hold == Hold::Resting) {
            if lease.attempt > lease.job.attempts {
                lease.hold = Hold::Pending;
                lost.push(Finish::lost(lease, moment));
            } else {
                doomed.push((lease.job.id, lease.attempt));
            }
        }
        // These had not begun: they are given up again when their turn comes.
        for (id, attempt) in doomed {
            if let Some(lease) = self.unlease(id, attempt) {
                self.offer(lease.queue, lease.job);
            }
        }
        for line in self.lines.values().filter(|line| !line.window.is_empty()) {
            line.ready.send_modify(|moves| *moves += 1);
        }
        lost
    }

    pub fn wake(&mut self, id: Uuid) {
        for waiter in self.waiters.remove(&id).into_iter().flatten() {
            // Whoever stopped waiting is fine.
            let _ = waiter.send(());
        }
    }

    /// A count as a person sees it: a job in this host's hands is running.
    pub fn shown(line: &Line, state: JobState) -> u64 {
        let [delayed, waiting, running, done, dead, cancelled] = line.counts;
        let count = match state {
            JobState::Delayed => delayed,
            JobState::Waiting => waiting - line.leased,
            JobState::Running => running + line.leased,
            JobState::Done => done,
            JobState::Dead => dead,
            JobState::Cancelled => cancelled,
        };
        u64::try_from(count).unwrap_or_default()
    }

    fn resize(&mut self, before: Room, after: Room) {
        self.in_windows.jobs = (self.in_windows.jobs + after.jobs).saturating_sub(before.jobs);
        self.in_windows.bytes = (self.in_windows.bytes + after.bytes).saturating_sub(before.bytes);
    }
}

impl Lease {
    fn outside(stand: &Stand, holder: Arc<str>) -> Self {
        let job = Due {
            place: stand.place,
            id: stand.id,
            payload: Bytes::new(),
            attempts: stand.attempts,
            terms: stand.terms,
            unique_key: stand.unique_key.clone(),
            pushed_at: 0,
        };
        let until = Some(stand.wake_at.unwrap_or_default());
        Self { queue: stand.queue, attempt: stand.attempts, job, holder, note: None, until, on_disk: true, hold: Hold::Held }
    }

    /// The job as it waits again.
    pub fn back(self, tally: Tally) -> Due {
        let terms = Terms { uncounted: tally.uncounted, ..self.job.terms };
        Due { attempts: tally.attempts, terms, ..self.job }
    }

    fn leased(&self, queue: &Arc<str>, max_attempts: u32) -> LeasedJob {
        LeasedJob {
            id: self.job.id,
            queue: queue.clone(),
            payload: self.job.payload.clone(),
            attempt: self.attempt,
            max_attempts,
            priority: i32::try_from(-self.job.place.rank).unwrap_or_default(),
            unique_key: self.job.unique_key.clone(),
            pushed_at: crate::store::rows::timestamp(self.job.pushed_at),
        }
    }
}

fn room_of(window: &Window) -> Room {
    Room { jobs: window.len(), bytes: window.bytes() }
}
