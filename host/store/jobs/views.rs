//! Jobs and queues as a person sees them: rows from a reader's connection, with what only memory knows laid over them.
//!
//! Must not change anything. What memory knows is taken before the rows are read: a row that is further on than a lease is right.

use std::{collections::HashMap, sync::Arc};

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{
    JobFilter,
    core::Core,
    memory::{Hold, Memory},
    rows::{self, QueueId},
};
use crate::{
    facts::{JobState, JobView, Payload, QueueView},
    store::{
        Store, StoreError,
        rows::{timestamp, unsigned},
    },
};

/// Jobs of one listing, and the payloads of one peek.
const MAX_LISTED: usize = 10_000;
const MAX_PEEKED_BYTES: usize = 16 << 20;
/// Priorities that the oldest waiting job is looked for among.
const PRIORITIES: usize = 64;

/// What memory knows of a job in somebody's hands.
#[derive(Debug, Clone)]
struct InHand {
    seq: i64,
    attempt: u32,
    holder: Arc<str>,
    note: Option<Box<str>>,
    running: bool,
}

/// What a listing lays over the rows.
#[derive(Debug)]
struct Overlay {
    line: i64,
    hands: HashMap<Uuid, InHand>,
    names: HashMap<QueueId, (Arc<str>, u32)>,
    default_attempts: u32,
    core: Arc<Core>,
}

pub(super) async fn job(store: &Store, id: Uuid) -> Result<Option<JobView>, StoreError> {
    let overlay = Overlay::of(store.jobs_core(), |_, job| job == id);
    store.read(move |db| overlay.one(db, id)).await
}

pub(super) async fn wait(store: &Store, id: Uuid) -> Result<Option<JobView>, StoreError> {
    loop {
        let waiting = Waiting::begin(store.jobs_core().clone(), id);
        match job(store, id).await? {
            Some(view) if !view.state.over() => {}
            over => return Ok(over),
        }
        waiting.over().await?;
    }
}

/// Somebody's place among those who wait for a job; given up when dropped.
#[derive(Debug)]
struct Waiting {
    core: Arc<Core>,
    id: Uuid,
    over: Option<oneshot::Receiver<()>>,
}

impl Waiting {
    fn begin(core: Arc<Core>, id: Uuid) -> Self {
        let (waiter, over) = oneshot::channel();
        core.memory().waiters.entry(id).or_default().push(waiter);
        Self { core, id, over: Some(over) }
    }

    async fn over(mut self) -> Result<(), StoreError> {
        match self.over.take() {
            Some(over) => over.await.map_err(|_| StoreError::Closed),
            None => Ok(()),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.over = None;
        let mut memory = self.core.memory();
        if let Some(waiters) = memory.waiters.get_mut(&self.id) {
            waiters.retain(|waiter| !waiter.is_closed());
            if waiters.is_empty() {
                memory.waiters.remove(&self.id);
            }
        }
    }
}

pub(super) async fn list(store: &Store, filter: JobFilter, peek: bool) -> Result<Vec<JobView>, StoreError> {
    let core = store.jobs_core();
    let queue = match &filter.queue {
        Some(name) => match core.memory().names.get(&**name) {
            Some(queue) => Some(*queue),
            None => return Ok(Vec::new()),
        },
        None => None,
    };
    let overlay = Overlay::of(core, |of, _| queue.is_none_or(|queue| queue == of));
    store.read(move |db| overlay.list(db, queue, &filter, peek)).await
}

pub(super) async fn queues(store: &Store) -> Result<Vec<QueueView>, StoreError> {
    let (mut views, unsure) = {
        let memory = store.jobs_core().memory();
        let mut views = Vec::new();
        let mut unsure = Vec::new();
        for (id, line) in &memory.lines {
            let settings = memory.settings(*id);
            let shown = |state| Memory::shown(line, state);
            let view = QueueView {
                name: line.name.to_string(),
                delayed: shown(JobState::Delayed),
                waiting: shown(JobState::Waiting),
                running: shown(JobState::Running),
                done: shown(JobState::Done),
                dead: shown(JobState::Dead),
                cancelled: shown(JobState::Cancelled),
                oldest_waiting_at: None,
                pushed: line.pushed,
                finished: line.finished,
                max_attempts: settings.max_attempts,
                backoff_ms: millis(settings.backoff),
                result_ttl_ms: millis(settings.result_ttl),
                limiter: None,
                workers: Vec::new(),
                file: None,
                line: None,
            };
            let seen = JobState::ALL.into_iter().any(|state| shown(state) > 0) || line.pushed > 0;
            if seen || line.settings.is_some() {
                if view.waiting > 0 {
                    unsure.push((view.name.clone(), *id));
                }
                views.push(view);
            }
        }
        (views, unsure)
    };
    views.sort_by(|a, b| a.name.cmp(&b.name));
    let overlay = Overlay::of(store.jobs_core(), |_, _| true);
    let oldest: HashMap<String, i64> = store
        .read(move |db| {
            unsure.into_iter().filter_map(|(name, id)| overlay.oldest(db, id).map(|at| at.map(|at| (name, at))).transpose()).collect()
        })
        .await?;
    for view in &mut views {
        view.oldest_waiting_at = oldest.get(&view.name).copied().map(timestamp);
    }
    Ok(views)
}

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

const VIEW: &str = "id, queue, state, rank, attempts, due_at, wake_at, pushed_at, finished_at, max_attempts, unique_key, pushed_by, holder,
                    last_error, length(payload), uncounted";

impl Overlay {
    fn of(core: &Arc<Core>, wanted: impl Fn(QueueId, Uuid) -> bool) -> Self {
        let line = core.moment().line;
        let memory = core.memory();
        let hands = memory.leases.iter().filter(|(id, lease)| wanted(lease.queue, **id));
        let hands = hands.map(|(id, lease)| {
            let (seq, attempt, holder, note) = (lease.job.place.seq, lease.attempt, lease.holder.clone(), lease.note.clone());
            (*id, InHand { seq, attempt, holder, note, running: lease.hold != Hold::Resting })
        });
        let names = memory.lines.iter().map(|(id, line)| (*id, (line.name.clone(), memory.settings(*id).max_attempts)));
        Self { line, hands: hands.collect(), names: names.collect(), default_attempts: memory.default.max_attempts, core: core.clone() }
    }

    fn one(&self, db: &Connection, id: Uuid) -> rusqlite::Result<Option<JobView>> {
        let sql = format!("SELECT {VIEW}, payload, result FROM jobs WHERE id = ?1");
        let found = db
            .prepare_cached(&sql)?
            .query_row([id.as_bytes()], |row| {
                let mut view = self.view(row)?;
                view.payload = Some(Payload::of(row.get_ref(16)?.as_blob()?));
                view.result = row.get_ref(17)?.as_blob_or_null()?.map(Payload::of);
                Ok((view, self.expired(row)?))
            })
            .optional()?;
        Ok(found.filter(|(_, expired)| !expired).map(|(view, _)| view))
    }

    fn expired(&self, row: &Row<'_>) -> rusqlite::Result<bool> {
        let wake: Option<i64> = row.get(6)?;
        Ok(rows::state_of(row.get(2)?).over() && wake.is_some_and(|at| at <= self.line))
    }

    fn view(&self, row: &Row<'_>) -> rusqlite::Result<JobView> {
        let id = Uuid::from_bytes(row.get(0)?);
        let queue = QueueId(row.get(1)?);
        let mut state = rows::state_of(row.get(2)?);
        let attempts: u32 = row.get(4)?;
        let wake: Option<i64> = row.get(6)?;
        let hand = self.hands.get(&id).filter(|hand| hand.running && matches!(state, JobState::Waiting | JobState::Running));
        if hand.is_some() {
            state = JobState::Running;
        }
        let named = self.names.get(&queue);
        let max_attempts = row.get::<_, Option<u32>>(9)?.unwrap_or(named.map_or(self.default_attempts, |(_, attempts)| *attempts));
        let holder: Option<String> = row.get(12)?;
        let rank: i64 = row.get(3)?;
        Ok(JobView {
            id: id.to_string(),
            queue: named.map(|(name, _)| name.to_string()).unwrap_or_default(),
            state,
            priority: i32::try_from(-rank).unwrap_or_default(),
            attempts: hand.map_or(attempts, |hand| hand.attempt),
            max_attempts: max_attempts.saturating_add(row.get(15)?),
            unique_key: row.get(10)?,
            pushed_by: row.get(11)?,
            pushed_at: timestamp(row.get(7)?),
            due_at: self.core.on_the_wall(row.get(5)?),
            finished_at: row.get::<_, Option<i64>>(8)?.map(timestamp),
            expires_at: wake.filter(|_| state.over()).map(|at| self.core.on_the_wall(at)),
            leased_by: hand.map(|hand| hand.holder.to_string()).or(holder),
            progress: hand.and_then(|hand| hand.note.as_deref()).map(str::to_owned),
            last_error: row.get(13)?,
            payload_bytes: unsigned(row.get(14)?),
            payload: None,
            result: None,
        })
    }

    /// Stage by stage: running, then waiting, delayed, dead, and those that are kept for a while.
    fn list(&self, db: &Connection, queue: Option<QueueId>, filter: &JobFilter, peek: bool) -> rusqlite::Result<Vec<JobView>> {
        let after = match filter.after {
            Some(id) => match rows::by_id(db, id)? {
                Some(stand) => Some(stand),
                None => return Ok(Vec::new()),
            },
            None => None,
        };
        let in_hand = after.as_ref().is_some_and(|stand| self.hands.get(&stand.id).is_some_and(|hand| hand.running));
        let after = after.map(|stand| (if in_hand { JobState::Running } else { stand.state }, stand));
        let first = after.as_ref().map_or(0, |(state, _)| STAGES.iter().position(|stage| stage.covers(*state)).unwrap_or_default());
        let mut page = Page { views: Vec::new(), limit: filter.limit.min(MAX_LISTED), bytes: 0, peek };
        for stage in STAGES.iter().skip(first).filter(|stage| filter.state.is_none_or(|state| stage.covers(state))) {
            let after = after.as_ref().filter(|(state, _)| stage.covers(*state)).map(|(_, stand)| stand);
            match stage {
                Stage::Running => self.running(db, after.map_or(0, |stand| stand.place.seq), &mut page)?,
                Stage::Rows(states, sql) => {
                    let states = filter.state.map_or(*states, |state| (rows::code(state), rows::code(state)));
                    self.rows(db, sql, states, queue, after, &mut page)?;
                }
            }
        }
        Ok(page.views)
    }

    /// In the order they were pushed.
    fn running(&self, db: &Connection, after: i64, page: &mut Page) -> rusqlite::Result<()> {
        let mut seqs: Vec<_> = self.hands.values().filter(|hand| hand.running && hand.seq > after).map(|hand| hand.seq).collect();
        seqs.sort_unstable();
        let mut one = db.prepare_cached(&format!("SELECT {VIEW}, payload FROM jobs WHERE seq = ?1"))?;
        for seq in seqs {
            if page.full() {
                break;
            }
            let mut found = one.query([seq])?;
            if let Some(row) = found.next()? {
                let view = self.view(row)?;
                // It may have ended since memory was asked.
                if view.state == JobState::Running {
                    page.add(view, row)?;
                }
            }
        }
        Ok(())
    }

    fn rows(
        &self,
        db: &Connection,
        sql: &str,
        states: (i64, i64),
        queue: Option<QueueId>,
        after: Option<&rows::Stand>,
        page: &mut Page,
    ) -> rusqlite::Result<()> {
        let mut statement = db.prepare_cached(&sql.replace("{VIEW}", VIEW))?;
        let queue = queue.map(|queue| queue.0);
        let (rank, wake, seq) = after.map_or((None, None, None), |stand| (Some(stand.place.rank), stand.wake_at, Some(stand.place.seq)));
        let named: &[(&str, &dyn ToSql)] =
            &[(":queue", &queue), (":low", &states.0), (":high", &states.1), (":rank", &rank), (":wake", &wake), (":seq", &seq)];
        let known: Vec<_> = named.iter().filter(|(name, _)| sql.contains(name)).copied().collect();
        let mut found = statement.query(&*known)?;
        while !page.full()
            && let Some(row) = found.next()?
        {
            let view = self.view(row)?;
            if view.state != JobState::Running && !self.expired(row)? {
                page.add(view, row)?;
            }
        }
        Ok(())
    }

    /// When the oldest job that waits was pushed: the first of each priority, past those in somebody's hands.
    fn oldest(&self, db: &Connection, queue: QueueId) -> rusqlite::Result<Option<i64>> {
        let mut firsts =
            db.prepare_cached("SELECT rank, id, pushed_at FROM jobs WHERE state = 3 AND queue = ?1 AND rank > ?2 ORDER BY rank, seq")?;
        let mut oldest: Option<i64> = None;
        let mut rank = i64::MIN;
        for _ in 0..PRIORITIES {
            let mut rows = firsts.query(params![queue.0, rank])?;
            let first = loop {
                match rows.next()? {
                    Some(row) if self.hands.contains_key(&Uuid::from_bytes(row.get(1)?)) => {}
                    Some(row) => break Some((row.get(0)?, row.get(2)?)),
                    None => break None,
                }
            };
            let Some((next, at)) = first else { break };
            rank = next;
            oldest = Some(oldest.map_or(at, |oldest| oldest.min(at)));
        }
        Ok(oldest)
    }
}

/// A part of a listing.
#[derive(Debug)]
enum Stage {
    /// From memory.
    Running,
    /// From an index: which states (as numbered on disk), and the statement.
    Rows((i64, i64), &'static str),
}

impl Stage {
    fn covers(&self, state: JobState) -> bool {
        match self {
            Self::Running => state == JobState::Running,
            Self::Rows((low, high), _) => (*low..=*high).contains(&rows::code(state)),
        }
    }
}

const STAGES: [Stage; 5] = [
    Stage::Running,
    Stage::Rows(
        (3, 3),
        "SELECT {VIEW}, payload FROM jobs WHERE state = 3 AND (:queue IS NULL OR queue = :queue)
         AND (:rank IS NULL OR (rank, seq) > (:rank, :seq)) ORDER BY rank, seq",
    ),
    Stage::Rows(
        (1, 1),
        "SELECT {VIEW}, payload FROM jobs WHERE state < 3 AND state = 1 AND wake_at IS NOT NULL AND (:queue IS NULL OR queue = :queue)
         AND (:wake IS NULL OR (wake_at, seq) > (:wake, :seq)) ORDER BY wake_at, seq",
    ),
    Stage::Rows(
        (6, 6),
        "SELECT {VIEW}, payload FROM jobs WHERE state = 6 AND (:queue IS NULL OR queue = :queue)
         AND (:seq IS NULL OR seq < :seq) ORDER BY seq DESC",
    ),
    Stage::Rows(
        (4, 5),
        "SELECT {VIEW}, payload FROM jobs WHERE state BETWEEN 4 AND 5 AND state BETWEEN :low AND :high AND wake_at IS NOT NULL
         AND (:queue IS NULL OR queue = :queue) AND (:wake IS NULL OR (wake_at, seq) < (:wake, :seq)) ORDER BY wake_at DESC, seq DESC",
    ),
];

#[derive(Debug)]
struct Page {
    views: Vec<JobView>,
    limit: usize,
    bytes: usize,
    peek: bool,
}

impl Page {
    fn full(&self) -> bool {
        self.views.len() >= self.limit || self.bytes >= MAX_PEEKED_BYTES
    }

    fn add(&mut self, mut view: JobView, row: &Row<'_>) -> rusqlite::Result<()> {
        if self.peek {
            let payload = row.get_ref(16)?.as_blob()?;
            self.bytes += payload.len();
            view.payload = Some(Payload::of(payload));
        }
        self.views.push(view);
        Ok(())
    }
}
