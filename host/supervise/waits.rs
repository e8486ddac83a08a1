//! Who waits for whom: refuses a call that would close a loop, so that workers which call each other answer an error and never hang.
//!
//! A node is a replica; an edge is one event of it that waits in a call. A call whose handler waits in a call of its own waits for that
//! one; any other waits for its replica. A replica is stuck when it has room for no event more and each that it has waits for one that is
//! stuck, or for the one who asks. Must not know instances.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::replica::Replica;

#[derive(Debug, Default)]
pub struct Waits(Mutex<Graph>);

#[derive(Debug, Default)]
struct Graph {
    /// By the replica whose events wait: the call that each waits in.
    from: HashMap<Id, HashMap<u64, Call>>,
    /// By a call that is being handled: the one that its handler waits in. Numbers grow inwards.
    within: HashMap<u64, Call>,
    /// All calls that are waited for, and whether they are answered: whoever waits just hasn't looked yet.
    answered: HashMap<u64, bool>,
    last: u64,
}

#[derive(Debug, Clone)]
struct Call {
    number: u64,
    target: Arc<Replica>,
}

/// A replica's identity while somebody holds it.
type Id = usize;

fn id(replica: &Arc<Replica>) -> Id {
    Arc::as_ptr(replica) as usize
}

/// Whose call it would be.
#[derive(Debug, Clone, Copy)]
struct Asking {
    from: Id,
    event: u64,
    serves: Option<u64>,
}

/// An event that waits; no longer when dropped.
#[derive(Debug)]
pub struct Waiting<'w> {
    waits: &'w Waits,
    /// Kept: its address is its identity.
    from: Arc<Replica>,
    event: u64,
    serves: Option<u64>,
    call: u64,
}

impl Waiting<'_> {
    /// The call's number.
    pub fn call(&self) -> u64 {
        self.call
    }
}

impl Waits {
    /// Notes that `event` of `from`, which handles the call `serves`, waits for `target`; none when it would wait for itself.
    pub fn begin(&self, from: &Arc<Replica>, event: u64, serves: Option<u64>, target: &Arc<Replica>) -> Option<Waiting<'_>> {
        let mut graph = self.graph();
        if graph.stuck(target, Asking { from: id(from), event, serves }) {
            return None;
        }
        graph.last += 1;
        let call = Call { number: graph.last, target: target.clone() };
        if let Some(serves) = serves {
            graph.within.insert(serves, call.clone());
        }
        let number = call.number;
        graph.answered.insert(number, false);
        graph.from.entry(id(from)).or_default().insert(event, call);
        Some(Waiting { waits: self, from: from.clone(), event, serves, call: number })
    }

    /// The handler is done with this call.
    pub fn answered(&self, call: u64) {
        // Whoever gave up on it is not there any more.
        if let Some(answered) = self.graph().answered.get_mut(&call) {
            *answered = true;
        }
    }

    fn graph(&self) -> MutexGuard<'_, Graph> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut graph = self.waits.graph();
        graph.answered.remove(&self.call);
        // A guest that calls several at once waits for the last it began.
        let own = |call: &Call| call.number == self.call;
        if let Some(events) = graph.from.get_mut(&id(&self.from)) {
            if events.get(&self.event).is_some_and(own) {
                events.remove(&self.event);
            }
            if events.is_empty() {
                graph.from.remove(&id(&self.from));
            }
        }
        if let Some(serves) = self.serves
            && graph.within.get(&serves).is_some_and(own)
        {
            graph.within.remove(&serves);
        }
    }
}

impl Graph {
    /// Whether `target` would never come to a call of the one who asks: nothing that it leads to can go on by itself.
    fn stuck(&self, target: &Arc<Replica>, asking: Asking) -> bool {
        let none = HashMap::new();
        let mut seen = HashSet::new();
        let mut open = vec![target];
        while let Some(replica) = open.pop() {
            let replica_id = id(replica);
            // Whoever was looked at waits for the loop, like all others on it.
            if !seen.insert(replica_id) {
                continue;
            }
            let (full, running) = {
                let cell = replica.cell();
                // One that starts runs its `init`, which is an event as good as any.
                (cell.full(), cell.running().max(1) as usize)
            };
            let waiting = self.from.get(&replica_id).unwrap_or(&none);
            let asks = usize::from(asking.from == replica_id && !waiting.contains_key(&asking.event));
            if !full || waiting.len() + asks < running {
                return false;
            }
            for call in waiting.values().map(|call| self.innermost(call)) {
                if self.answered.get(&call.number) == Some(&true) {
                    return false;
                }
                // The one who asks is its handler: no need to look further.
                if Some(call.number) != asking.serves {
                    open.push(&call.target);
                }
            }
        }
        true
    }

    /// The call that a call waits for in the end.
    fn innermost<'g>(&'g self, mut call: &'g Call) -> &'g Call {
        while let Some(inner) = self.within.get(&call.number) {
            call = inner;
        }
        call
    }
}
