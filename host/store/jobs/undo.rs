//! What a batch leaves behind when its commit failed: memory as the disk is, and nothing given out until the disk takes writes again.
//!
//! Must not lose a job: one whose end was lost is tried again.

use super::{
    memory::Hold,
    op::Op,
    writer::{REST_MS, Writer},
};
use crate::{facts::JobState, store::StoreError};

impl Writer {
    /// The batch was not committed: memory as it was, and nothing is given out until the disk takes writes again.
    pub fn failed<'a>(&mut self, ops: impl Iterator<Item = &'a mut Op>, error: &StoreError) {
        let mut batch = std::mem::take(&mut self.batch);
        for answer in batch.answers {
            answer(Err(error));
        }
        let mut memory = self.core.memory();
        memory.stalled = true;
        memory.starts_asked = false;
        memory.aged.extend(batch.starts);
        batch.seized.iter().for_each(|queue| memory.unread(*queue));
        // What would have gone on doesn't: its caller waits, its jobs are out of reach.
        let mut undone: Vec<&mut Op> = batch.again.iter_mut().collect();
        ops.for_each(|op| undone.push(op));
        for op in undone {
            match op {
                Op::Finish(finish) => {
                    if let Some(lease) = memory.leases.get_mut(&finish.id).filter(|lease| lease.attempt == finish.attempt) {
                        lease.hold = if lease.until.is_some() { Hold::Held } else { Hold::Resting };
                    }
                }
                Op::Lease(lease) => {
                    for (_, job) in std::mem::take(&mut lease.taken) {
                        if let Some(lease) = memory.unlease(job.id, job.attempt) {
                            memory.offer(lease.queue, lease.job);
                        }
                    }
                }
                Op::Purge(purge) if purge.states.contains(&JobState::Waiting) => memory.freeze(purge.queue, false),
                _ => {}
            }
            op.refuse(error);
        }
        drop(memory);
        self.core.alarm.send_replace(Some(self.moment.line.saturating_add(REST_MS)));
    }
}
