//! Who waits for whom: refuses a call that would close a loop, so that workers which call each other answer an error and never hang.
//!
//! A node is a replica; an edge is one event of it that waits for another replica. A replica is stuck when every event it has room for
//! waits for one that is stuck, or for the one who asks. Must not know instances.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use super::replica::Replica;

#[derive(Debug, Default)]
pub struct Waits(Mutex<Graph>);

#[derive(Debug, Default)]
struct Graph {
    /// By the replica whose events wait: event → the replica it waits for.
    from: HashMap<Id, HashMap<u64, Arc<Replica>>>,
}

/// A replica's identity while somebody holds it.
type Id = usize;

fn id(replica: &Arc<Replica>) -> Id {
    Arc::as_ptr(replica) as usize
}

/// An event that waits; no longer when dropped.
#[derive(Debug)]
pub struct Waiting<'w> {
    waits: &'w Waits,
    /// Kept: its address is its identity.
    from: Arc<Replica>,
    event: u64,
}

impl Waits {
    /// Notes that `event` of `from` waits for `target`; none when it would wait for itself.
    pub fn begin(&self, from: &Arc<Replica>, event: u64, target: &Arc<Replica>) -> Option<Waiting<'_>> {
        let mut graph = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if graph.stuck(target, (id(from), event), &mut HashSet::new()) {
            return None;
        }
        graph.from.entry(id(from)).or_default().insert(event, target.clone());
        Some(Waiting { waits: self, from: from.clone(), event })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut graph = self.waits.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(events) = graph.from.get_mut(&id(&self.from)) {
            events.remove(&self.event);
            if events.is_empty() {
                graph.from.remove(&id(&self.from));
            }
        }
    }
}

impl Graph {
    fn stuck(&self, replica: &Arc<Replica>, asking: (Id, u64), seen: &mut HashSet<Id>) -> bool {
        let (full, running) = {
            let cell = replica.cell();
            // One that starts runs its `init`, which is an event as good as any.
            (cell.full(), cell.running().max(1) as usize)
        };
        if !full {
            return false;
        }
        if !seen.insert(id(replica)) {
            // Everybody on the loop waits for the loop.
            return true;
        }
        let none = HashMap::new();
        let waiting = self.from.get(&id(replica)).unwrap_or(&none);
        let asks = usize::from(asking.0 == id(replica) && !waiting.contains_key(&asking.1));
        waiting.len() + asks >= running && waiting.values().all(|target| self.stuck(target, asking, seen))
    }
}
