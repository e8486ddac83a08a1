//! The outbox of alerts: a flip's row, its event and its alert in one transaction, so that they are kept together or not at all.
//!
//! Must not decide what is worth an alert: whoever knows the flip does. Alerts are jobs of the queue [`ALERTS`]; while nobody takes that
//! queue none is made, or they would pile up for nobody.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::{CheckRow, jobs::NewJob, rows::clip};
use crate::facts::{Alert, AlertKind, Change, EventRecord, Name};

/// The queue that alerts go into.
pub const ALERTS: &str = "alerts";
/// Alerts that may wait; further ones are left out and counted.
pub const MAX_OPEN_ALERTS: u64 = 10_000;
/// How long a delivered one is kept, for people to see and so that it is not made again.
const KEPT: Duration = Duration::from_secs(86_400);
/// Of an alert's texts, in bytes.
const SUMMARY_BYTES: usize = 500;
const DETAIL_BYTES: usize = 2 << 10;
const NOTES_BYTES: usize = 4 << 10;
/// Who pushed, of an alert's job: no worker can be called so.
const PUSHED_BY: &str = "@alerts";

pub(super) const STEP: &str = "
    -- What whoever takes alerts was told of a worker that is in trouble; no row: all is well.
    CREATE TABLE told (worker TEXT PRIMARY KEY, state TEXT NOT NULL, since INTEGER NOT NULL) WITHOUT ROWID;
";

/// Takes secrets out of a text.
type Mask = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// What is kept together with an event.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Flip {
    pub check: Option<CheckRow>,
    /// What changed about the check.
    pub change: Option<Change>,
    pub alert: Option<Alert>,
    pub told: Option<ToldRow>,
}

/// What is remembered of a worker's alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldRow {
    pub worker: Name,
    /// The state that was told and when it began, in milliseconds since 1970; none: all is well again.
    pub state: Option<(String, i64)>,
}

/// A flip on its way to disk.
#[derive(Debug)]
pub(super) struct Kept {
    pub event: EventRecord,
    pub check: Option<CheckRow>,
    pub change: Option<Change>,
    pub told: Option<ToldRow>,
}

impl Kept {
    /// The check whose list of changes grew.
    pub fn changed(&self) -> Option<(Name, Arc<str>)> {
        let row = self.check.as_ref().filter(|_| self.change.is_some())?;
        Some((row.worker.clone(), row.subject.clone()))
    }
}

/// Whether alerts are made, and what all of them have in common.
pub struct Outbox {
    open: AtomicBool,
    host: String,
    mask: OnceLock<Mask>,
    left_out: AtomicU64,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("open", &self.open).finish_non_exhaustive()
    }
}

impl Outbox {
    pub(super) fn new(open: bool) -> Self {
        Self { open: AtomicBool::new(open), host: host_name(), mask: OnceLock::new(), left_out: AtomicU64::new(0) }
    }

    /// Somebody takes alerts.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, open: bool) -> bool {
        self.open.swap(open, Ordering::Relaxed) != open
    }

    /// From now on every text of an alert passes through `mask`.
    pub fn mask_with(&self, mask: Mask) {
        let _ = self.mask.set(mask);
    }

    /// Alerts left out because too many wait.
    pub fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    pub(super) fn leave_out(&self) {
        if self.left_out.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::error!("{MAX_OPEN_ALERTS} alerts wait in the queue {ALERTS}: further ones are left out until somebody takes them");
        }
    }

    /// The job that carries an alert; none while nobody takes them.
    pub fn job(&self, alert: Alert) -> Option<NewJob> {
        self.is_open().then(|| {
            let mut job = NewJob::new(ALERTS.into(), Bytes::new(), PUSHED_BY.into());
            let alert = self.finished(alert, job.id);
            job.payload = serde_json::to_vec(&alert).unwrap_or_default().into();
            job.unique_key = Some(alert.id.into());
            job.result_ttl = Some(KEPT);
            job
        })
    }

    fn finished(&self, alert: Alert, id: Uuid) -> Alert {
        let text = |text: String, bytes: usize| {
            let masked = self.mask.get().map_or(text.clone(), |mask| mask(&text));
            clip(&masked, bytes).to_owned()
        };
        let evidence = alert.evidence.map(|mut evidence| {
            evidence.excerpt = evidence.excerpt.map(|excerpt| text(excerpt, DETAIL_BYTES));
            evidence
        });
        Alert {
            id: id.to_string(),
            host: self.host.clone(),
            summary: text(alert.summary, SUMMARY_BYTES),
            detail: alert.detail.filter(|detail| !detail.is_empty()).map(|detail| text(detail, DETAIL_BYTES)),
            notes: alert.notes.map(|notes| text(notes, NOTES_BYTES)),
            subject: alert.subject.map(|subject| text(subject, DETAIL_BYTES)),
            evidence,
            ..alert
        }
    }
}

/// What a job that was given up tells.
pub(super) fn of_dead_job(queue: &str, id: Uuid, at: jiff::Timestamp, attempts: u32, holder: Option<&str>, reason: &str) -> Alert {
    let first = reason.lines().next().unwrap_or_default();
    let times = if attempts == 1 { "1 try" } else { &format!("{attempts} tries") };
    let summary = format!("dead: a job of the queue {queue} after {times}: {}", clip(first, 200));
    // `worker/2`, or what an outside worker called itself.
    let worker = holder.map(|holder| holder.rsplit_once('/').filter(|(_, n)| n.parse::<u32>().is_ok()).map_or(holder, |(name, _)| name));
    Alert {
        worker: worker.map(Name::from),
        subject: Some(queue.to_owned()),
        from: Some("running".to_owned()),
        detail: Some(format!("job {id}: {reason}")),
        since: Some(at),
        ..Alert::new(AlertKind::Job, at, "dead", summary)
    }
}

/// What this machine calls itself.
fn host_name() -> String {
    let read = |path: &str| std::fs::read_to_string(path).ok().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    read("/proc/sys/kernel/hostname")
        .or_else(|| read("/etc/hostname"))
        .map_or_else(|| "localhost".to_owned(), |name| clip(&name, 255).to_owned())
}

/// Whether somebody took alerts when the host last ran: what flips before the manifests are read is told as well.
pub(super) fn was_open(db: &Connection) -> rusqlite::Result<bool> {
    let open: Option<i64> = db.query_row("SELECT value FROM counts WHERE name = 'alerts'", [], |row| row.get(0)).optional()?;
    Ok(open == Some(1))
}

pub(super) fn keep_open(db: &Connection, open: bool) -> rusqlite::Result<()> {
    let sql = "INSERT INTO counts VALUES ('alerts', ?1) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    db.prepare_cached(sql)?.execute([i64::from(open)])?;
    Ok(())
}

pub(super) fn keep_told(db: &Connection, told: &ToldRow) -> rusqlite::Result<()> {
    match &told.state {
        Some((state, since)) => {
            let sql =
                "INSERT INTO told VALUES (?1, ?2, ?3) ON CONFLICT (worker) DO UPDATE SET state = excluded.state, since = excluded.since";
            db.prepare_cached(sql)?.execute(params![told.worker, state, since])?;
        }
        None => _ = db.prepare_cached("DELETE FROM told WHERE worker = ?1")?.execute([&told.worker])?,
    }
    Ok(())
}

pub(super) fn told(db: &Connection) -> rusqlite::Result<Vec<ToldRow>> {
    let mut rows = db.prepare("SELECT worker, state, since FROM told")?;
    let told = rows.query_map([], |row| Ok(ToldRow { worker: row.get(0)?, state: Some((row.get(1)?, row.get(2)?)) }))?;
    told.collect()
}
