//! The one task behind all followers: it hears that something moved, gathers for a moment, and sends what changed.
//!
//! Must not run while nobody follows, nor hold anybody up: checks and events are told apart by name, so that a change among ten
//! thousand costs one row; what only counts is looked at once a second.

use std::{collections::BTreeSet, time::Duration};

use axum::body::Bytes;
use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use super::{
    Following, SLACK,
    rows::{Rows, Scanned},
};
use crate::{
    api::{ApiState, limiters, queues, serve::told, workers::placed},
    facts::{CutOffView, EventRecord, LiveHost, Name, WorkerView},
};

/// Changes are gathered for this long before they are sent.
const GATHER: Duration = Duration::from_millis(100);
/// What only counts is looked at this often.
const SCAN: Duration = Duration::from_secs(1);
/// A sign of life when nothing changes, in scans.
const BEAT: u32 = 5;
/// Scans without a follower before the task ends: a page that reloads finds everything warm.
const REST: u32 = 10;
/// Events a snapshot begins with.
const EVENTS: usize = 100;

/// One who wants to follow.
pub(super) type Join = oneshot::Sender<Following>;

pub(super) fn start(state: ApiState) -> mpsc::Sender<Join> {
    let (joins, mut joining) = mpsc::channel(64);
    tokio::spawn(async move {
        let checks = state.checks.clone();
        checks.follow(true);
        Feed::new(state).await.run(&mut joining).await;
        checks.follow(false);
        // Only now: a feed that takes this one's place must find nobody following.
        drop(joining);
    });
    joins
}

struct Feed {
    state: ApiState,
    rows: Rows,
    frames: broadcast::Sender<Bytes>,
    events: broadcast::Receiver<EventRecord>,
    checks: watch::Receiver<u64>,
    /// Workers that an event named since the last look.
    named: BTreeSet<Name>,
}

impl Feed {
    async fn new(state: ApiState) -> Self {
        // Subscribed before the first look: what happens between the two is looked at twice.
        let (events, checks) = (state.journal.follow_events(), state.checks.changed());
        let mut feed = Self { rows: Rows::default(), frames: broadcast::channel(SLACK).0, events, checks, named: BTreeSet::new(), state };
        feed.rows.events(feed.state.journal.events(EVENTS));
        feed.scan().await;
        feed.rows.checks(feed.state.checks.live(None));
        feed.rows.settle();
        feed
    }

    async fn run(mut self, joining: &mut mpsc::Receiver<Join>) {
        let mut shutdown = self.state.shutdown.clone();
        let mut scan = interval(SCAN);
        scan.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut silent, mut alone) = (0, 0);
        let mut gather: Option<Instant> = None;
        loop {
            let due = gather.unwrap_or_else(|| self.state.clock.now() + SCAN);
            tokio::select! {
                () = told(&mut shutdown) => return,
                join = joining.recv() => match join {
                    Some(join) => self.join(join),
                    None => return,
                },
                changed = self.checks.changed(), if gather.is_none() => match changed {
                    Ok(()) => gather = Some(self.state.clock.now() + GATHER),
                    Err(_) => return,
                },
                event = self.events.recv() => {
                    self.heard(event);
                    gather.get_or_insert_with(|| self.state.clock.now() + GATHER);
                }
                () = sleep_until(due), if gather.is_some() => {
                    gather = None;
                    self.gather();
                    silent = if self.send() { 0 } else { silent };
                }
                _ = scan.tick() => {
                    self.gather();
                    self.scan().await;
                    silent = if self.send() { 0 } else { silent + 1 };
                    if silent >= BEAT {
                        silent = 0;
                        let _ = self.frames.send(Rows::beat(self.state.clock.wall()));
                    }
                    alone = if self.frames.receiver_count() == 0 { alone + 1 } else { 0 };
                    if alone > REST {
                        return;
                    }
                }
            }
        }
    }

    /// What is under way is sent to the others first, so that the snapshot and every frame after it fit together.
    fn join(&mut self, join: Join) {
        self.gather();
        self.send();
        let snapshot = self.rows.snapshot(self.state.clock.wall());
        // Whoever does not wait any more is fine.
        let _ = join.send(Following { snapshot, frames: self.frames.subscribe() });
    }

    fn heard(&mut self, event: Result<EventRecord, broadcast::error::RecvError>) {
        match event {
            Ok(event) => {
                self.named.extend(event.worker.clone());
                self.rows.events(vec![event]);
            }
            // The journal's ring has what was missed; the scan has every worker.
            Err(broadcast::error::RecvError::Lagged(_)) => self.rows.events(self.state.journal.events(EVENTS)),
            Err(broadcast::error::RecvError::Closed) => {}
        }
    }

    /// Looks at what is known to have changed.
    fn gather(&mut self) {
        let named = std::mem::take(&mut self.named);
        if !named.is_empty() {
            let desired = self.state.fleet.desired();
            for name in named {
                // One that is gone is noticed by the scan, which sees all.
                if let Some(view) = self.state.supervisor.view(&name) {
                    self.worker(placed(view, &desired), None);
                }
            }
            self.host();
        }
        self.checks.mark_unchanged();
        self.rows.checks(self.state.checks.touched());
    }

    /// Looks at everything but checks.
    async fn scan(&mut self) {
        let (now, desired) = (self.state.clock.now(), self.state.fleet.desired());
        let mut scanned = Scanned::default();
        for view in self.state.supervisor.views() {
            scanned.workers.insert(view.name.clone());
            self.worker(placed(view, &desired), Some(now));
        }
        let limiters = limiters::views(&self.state);
        // What the store can't tell just now stays as it was.
        if let Ok(queues) = queues::views(&self.state).await {
            self.rows.queues(queues);
        }
        self.rows.limiters(limiters);
        self.rows.only(&scanned);
        self.host();
    }

    fn worker(&mut self, view: WorkerView, now: Option<Instant>) {
        let name = view.name.clone();
        if self.rows.worker(view, now) {
            // Its title or group is part of its checks' rows.
            self.rows.checks(self.state.checks.live(Some(&name)));
        }
    }

    fn host(&mut self) {
        let state = &self.state;
        self.rows.host(LiveHost {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            generation: state.fleet.generation(),
            ready: *state.ready.borrow(),
            started: state.host.started.as_millisecond(),
            listen: format!("http://{}", state.host.listen),
            problems: state.fleet.problems(),
            store_dropped: state.store.dropped(),
            traps_today: state.store.traps_on_day(state.clock.wall()).unwrap_or_default(),
            alerts: false,
            maintenance: state.checks.open_windows(),
            cut_off: state.checks.cut_off().map(CutOffView::from),
        });
    }

    /// Sends what changed, if anything did.
    fn send(&mut self) -> bool {
        match self.rows.delta(self.state.clock.wall()) {
            Some(frame) => {
                // Nobody listening is fine.
                let _ = self.frames.send(frame);
                true
            }
            None => false,
        }
    }
}
