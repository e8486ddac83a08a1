//! Room: how many requests one worker has, and how many bytes of bodies the host keeps in memory.
//!
//! Counts only; each claim is given back when its guard is dropped.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

/// Requests that may wait beyond those that run, for one worker.
pub const WAITING: u32 = 64;

/// How many requests a worker has.
#[derive(Debug, Default)]
pub struct Gate {
    inside: AtomicU32,
}

impl Gate {
    /// A place among at most `most`.
    pub fn enter(self: &Arc<Self>, most: u32) -> Option<Place> {
        let more = |inside: u32| (inside < most).then_some(inside + 1);
        self.inside.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Place { gate: self.clone() })
    }

    pub fn inside(&self) -> u32 {
        self.inside.load(Ordering::Relaxed)
    }
}

/// One request's place.
#[derive(Debug)]
pub struct Place {
    gate: Arc<Gate>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes that bodies may take up in memory together.
#[derive(Debug)]
pub struct Budget {
    left: AtomicU64,
}

impl Budget {
    pub fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Self { left: AtomicU64::new(bytes) })
    }

    pub fn hold(self: &Arc<Self>) -> Hold {
        Hold { budget: self.clone(), bytes: 0 }
    }
}

/// One body's share of the budget.
#[derive(Debug)]
pub struct Hold {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Hold {
    /// Room for more; false when there is none.
    #[must_use]
    pub fn grow(&mut self, bytes: u64) -> bool {
        let left = &self.budget.left;
        let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok();
        self.bytes += if taken { bytes } else { 0 };
        taken
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.budget.left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}
