//! May this worker use this queue, bucket, worker, limiter or topic? By the lists of names in its grants.
//!
//! Pure. Must not know whether the thing is there: who may not use it doesn't learn that either.

use std::{fmt, sync::Arc};

use crate::manifest::{name_fault, spec::Grants, topics};

/// What a worker wants, and of which thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish<'n> {
    /// A queue.
    Push(&'n str),
    /// A bucket that isn't its own.
    Keep(&'n str),
    /// A worker, an item of one, or a replica of either.
    Call(&'n str),
    /// A worker, as for `Call`.
    See(&'n str),
    /// A limiter.
    Acquire(&'n str),
    SetRate(&'n str),
    /// A topic.
    Publish(&'n str),
}

/// A no, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No manifest could grant it: there can be no such thing.
    #[error("{0}")]
    Nonsense(String),
    #[error("worker \"{worker}\" may not {deed}: add \"{add}\" to grants.{list}")]
    NotGranted { worker: Arc<str>, deed: String, add: String, list: &'static str },
}

/// May `worker` have its wish?
pub fn may(worker: &Arc<str>, grants: &Grants, wish: Wish<'_>) -> Result<(), Denied> {
    if let Some(sentence) = wish.nonsense() {
        return Err(Denied::Nonsense(sentence));
    }
    let has = |list: &[String], name: &str| list.iter().any(|granted| granted == name);
    let (granted, list) = match wish {
        Wish::Push(queue) => (has(&grants.queue_push, queue), "queue.push"),
        Wish::Keep(bucket) => (has(&grants.kv, bucket), "kv"),
        Wish::Call(name) => (reaches(grants, name), "call"),
        Wish::See(name) => (covers(worker, name) || reaches(grants, name), "call"),
        Wish::Acquire(limiter) => (has(&grants.limiter_acquire, limiter), "limiter.acquire"),
        Wish::SetRate(limiter) => (has(&grants.limiter_set_rate, limiter), "limiter.set_rate"),
        Wish::Publish(topic) => (grants.publish.iter().any(|pattern| topics::covers(pattern, topic)), "publish"),
    };
    if granted {
        return Ok(());
    }
    Err(Denied::NotGranted { worker: Arc::clone(worker), deed: wish.to_string(), add: wish.line().to_owned(), list })
}

fn reaches(grants: &Grants, name: &str) -> bool {
    grants.call.iter().any(|granted| covers(granted, name))
}

/// Whether a worker's name is meant by a shorter one: `pinger` covers `pinger`, `pinger/2`, `pinger/nas` and `pinger/nas/1`.
pub fn covers(short: &str, name: &str) -> bool {
    name.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl<'n> Wish<'n> {
    fn name(self) -> &'n str {
        match self {
            Self::Push(name)
            | Self::Keep(name)
            | Self::Call(name)
            | Self::See(name)
            | Self::Acquire(name)
            | Self::SetRate(name)
            | Self::Publish(name) => name,
        }
    }

    /// What to write into the list: replicas aren't granted one by one.
    fn line(self) -> &'n str {
        match self {
            Self::Call(name) | Self::See(name) => worker_of(name),
            _ => self.name(),
        }
    }

    /// Why there can be no such thing, in a sentence.
    fn nonsense(self) -> Option<String> {
        let name = self.name();
        let (what, fault) = match self {
            Self::Push(_) => ("queue", name_fault(name)),
            Self::Keep(_) => ("bucket", name_fault(name)),
            Self::Call(_) | Self::See(_) => ("worker", worker_fault(name)),
            Self::Acquire(_) | Self::SetRate(_) => ("limiter", name_fault(name)),
            Self::Publish(_) => ("topic", topics::fault(name)),
        };
        let shown: String = name.chars().take(80).collect();
        fault.map(|fault| format!("\"{shown}\" names no {what}: {fault}"))
    }
}

impl fmt::Display for Wish<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deed = match self {
            Self::Push(_) => "push to",
            Self::Keep(_) => "use bucket",
            Self::Call(_) => "call",
            Self::See(_) => "ask about",
            Self::Acquire(_) => "acquire permits of",
            Self::SetRate(_) => "set the rate of",
            Self::Publish(_) => "publish on",
        };
        write!(f, "{deed} \"{}\"", self.name())
    }
}

/// The worker of `worker/n` and `worker/item/n`. No item is called by digits alone.
fn worker_of(name: &str) -> &str {
    match name.rsplit_once('/') {
        Some((worker, replica)) if replica.bytes().all(|b| b.is_ascii_digit()) => worker,
        _ => name,
    }
}

fn worker_fault(name: &str) -> Option<&'static str> {
    let worker = worker_of(name);
    let (parent, item) = worker.split_once('/').unwrap_or((worker, "item"));
    if name.len() > worker.len() && !name.get(worker.len() + 1..).is_some_and(|replica| replica.parse::<u32>().is_ok_and(|n| n > 0)) {
        return Some("replicas are numbered from 1");
    }
    name_fault(parent).or_else(|| name_fault(item))
}
