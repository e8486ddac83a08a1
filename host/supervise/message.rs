//! An event on its way to a replica, and who hears how it ended.
//!
//! Whoever asked is told exactly once, also when the message is dropped on the way.

use std::sync::Arc;

use tokio::{sync::oneshot, time::Instant};
use uuid::Uuid;

use super::{SuperviseError, unit::TickGuard};
use crate::worker::{Answer, Event, JobAnswer};

/// One event on its way to a replica.
#[derive(Debug)]
pub struct Message {
    pub event: Event,
    pub due: Instant,
    pub reply: Reply,
    /// Freed when the event is over, however it ends.
    pub tick: Option<TickGuard>,
    /// For this replica and no other.
    pub pinned: bool,
}

/// Who waits for the end of an event.
#[derive(Debug)]
pub enum Reply {
    Nobody,
    Caller(oneshot::Sender<Result<Answer, SuperviseError>>),
    Job(JobTicket),
}

/// How a job's attempt ended.
#[derive(Debug)]
pub enum JobEnd {
    Answered(JobAnswer),
    /// The attempt was begun and is lost.
    Crashed(String),
    /// It never began.
    NotTaken,
}

/// Where the ends of jobs go.
pub trait JobSink: Send + Sync + 'static {
    /// Whether the attempt still holds its job.
    fn wanted(&self, id: Uuid, attempt: u32) -> bool;
    fn ended(&self, id: Uuid, attempt: u32, end: JobEnd);
}

/// The right, and the duty, to say how one attempt ended.
pub struct JobTicket {
    sink: Option<Arc<dyn JobSink>>,
    id: Uuid,
    attempt: u32,
    begun: bool,
}

impl std::fmt::Debug for JobTicket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobTicket").field("id", &self.id).field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

impl JobTicket {
    pub fn new(sink: Arc<dyn JobSink>, id: Uuid, attempt: u32) -> Self {
        Self { sink: Some(sink), id, attempt, begun: false }
    }

    fn wanted(&self) -> bool {
        self.sink.as_ref().is_some_and(|sink| sink.wanted(self.id, self.attempt))
    }

    pub fn end(mut self, end: JobEnd) {
        self.tell(end);
    }

    fn tell(&mut self, end: JobEnd) {
        if let Some(sink) = self.sink.take() {
            sink.ended(self.id, self.attempt, end);
        }
    }
}

impl Drop for JobTicket {
    fn drop(&mut self) {
        // Dropped with the event in hand: a job that brings the host down with it must not be tried for ever.
        self.tell(if self.begun { JobEnd::Crashed("a fault in the host ended it".to_owned()) } else { JobEnd::NotTaken });
    }
}

impl Reply {
    /// The event is handed over now.
    pub fn begin(&mut self) {
        if let Self::Job(ticket) = self {
            ticket.begun = true;
        }
    }
}

impl Message {
    /// Whoever asked is gone: nobody wants the answer.
    pub fn abandoned(&self) -> bool {
        match &self.reply {
            Reply::Nobody => false,
            Reply::Caller(caller) => caller.is_closed(),
            Reply::Job(ticket) => !ticket.wanted(),
        }
    }
}
