//! Alerts, as the writer puts them into their queue: of a flip, with its rows; of a job that is given up, with its end.
//!
//! Must not make an alert of an alert: one that nobody can deliver would call for the next.

use rusqlite::Connection;
use uuid::Uuid;

use super::{core::Core, op::Told, rows::QueueId, timeline::Moment, writer::Writer};
use crate::{
    facts::Alert,
    store::{
        outbox::{self, ALERTS, MAX_OPEN_ALERTS},
        rows::timestamp,
    },
};

impl Told {
    /// None while nobody takes alerts.
    pub fn address(core: &Core, alert: Alert) -> Option<Self> {
        let job = core.outbox.job(alert)?;
        let (queue, moment) = (core.memory().queue(ALERTS), core.moment());
        Some(Self { queue, job, moment })
    }
}

impl Writer {
    /// Within the transaction. An error fails the whole batch.
    pub fn alert(&mut self, db: &Connection, told: &Told) -> rusqlite::Result<()> {
        self.notice(db, told.moment)?;
        let added = self.batch.sums.get(&told.queue).map_or(0, |sum| sum.counts.iter().take(3).sum::<i64>());
        let open = self.core.memory().lines.get(&told.queue).map_or(0, super::memory::Line::open) + added;
        if u64::try_from(open).unwrap_or_default() >= MAX_OPEN_ALERTS {
            self.core.outbox.leave_out();
            return Ok(());
        }
        self.add(db, vec![(told.queue, told.job.clone())], told.moment).map(drop)
    }

    /// A job is dead: told with the end of its last attempt.
    pub(super) fn given_up(
        &mut self,
        db: &Connection,
        queue: QueueId,
        id: Uuid,
        tries: u32,
        reason: &str,
        moment: Moment,
    ) -> rusqlite::Result<()> {
        if !self.core.outbox.is_open() {
            return Ok(());
        }
        let (name, holder) = {
            let memory = self.core.memory();
            let name = memory.lines.get(&queue).map(|line| line.name.clone());
            (name.unwrap_or_default(), memory.leases.get(&id).map(|lease| lease.holder.clone()))
        };
        if *name == *ALERTS {
            return Ok(());
        }
        let alert = outbox::of_dead_job(&name, id, timestamp(moment.wall), tries, holder.as_deref(), reason);
        match Told::address(&self.core, alert) {
            Some(told) => self.alert(db, &Told { moment, ..told }),
            None => Ok(()),
        }
    }
}
