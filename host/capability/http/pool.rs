//! Connections kept for the next request to the same place under the same policy.
//!
//! State machine of a parked connection: parked → taken (one request at a time on HTTP/1.1, shared on HTTP/2) → parked again, or
//! dropped: closed by its peer, idle for too long, or no room. While anything is parked one task waits for the oldest to expire.
//! Must not connect or judge: the [`Key`] holds everything that a policy could differ in.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    time::{Instant, sleep_until, timeout},
};

use super::{
    connector::{Link, Sender},
    tls::Trust,
};
use crate::{capability::grant::Decision, clock::Clock};

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(75);
/// Parked connections a key; as many as one worker can have in flight.
const MAX_PER_KEY: usize = 64;
/// Parked connections in all. When there is no room the one at hand is closed: with more places than room in turn, keeping the
/// oldest serves some requests where making room would serve none.
const MAX_PARKED: usize = 512;
/// The reaper lets this much pass between two looks.
const REAP_EVERY: Duration = Duration::from_secs(5);
/// How long a connection whose last response has just ended may take to be ready for the next.
const SETTLE: Duration = Duration::from_millis(10);

/// Where a connection leads and under what policy it was made. Two requests share a connection only if all of it is the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub decision: Decision,
    pub trust: Trust,
}

pub(super) struct Pool {
    clock: Clock,
    parked: Mutex<Parked>,
}

#[derive(Default)]
struct Parked {
    links: HashMap<Arc<Key>, VecDeque<(Instant, Link)>>,
    count: usize,
    reaping: bool,
}

impl Pool {
    pub fn new(clock: Clock) -> Arc<Self> {
        Arc::new(Self { clock, parked: Mutex::default() })
    }

    /// A connection that can take a request now; the one used last comes first.
    pub async fn take(&self, key: &Key) -> Option<Link> {
        loop {
            let mut link = self.pop(key)?;
            if let Sender::One(sender) = &mut link.sender
                && !sender.is_ready()
                && !matches!(timeout(SETTLE, sender.ready()).await, Ok(Ok(())))
            {
                continue;
            }
            return Some(link);
        }
    }

    fn pop(&self, key: &Key) -> Option<Link> {
        let mut parked = self.lock();
        let Parked { links, count, .. } = &mut *parked;
        let found = links.get_mut(key)?;
        while let Some((_, link)) = found.pop_back() {
            if link.is_closed() {
                *count -= 1;
                continue;
            }
            if let Some(shared) = link.share() {
                found.push_back((self.clock.now(), link));
                return Some(shared);
            }
            *count -= 1;
            return Some(link);
        }
        links.remove(key);
        None
    }

    /// Keeps a connection for the next request. One that can be shared is to be parked once, when it is made.
    pub fn park(self: &Arc<Self>, key: &Arc<Key>, link: Link) {
        // A Store may be dropped outside the runtime; nothing is kept then, for nobody would reap it.
        let Ok(runtime) = Handle::try_current() else { return };
        if link.is_closed() {
            return;
        }
        let mut parked = self.lock();
        if parked.count >= MAX_PARKED {
            return;
        }
        let links = parked.links.entry(Arc::clone(key)).or_default();
        if links.len() >= MAX_PER_KEY {
            return;
        }
        links.push_back((self.clock.now(), link));
        parked.count += 1;
        if !parked.reaping {
            parked.reaping = true;
            runtime.spawn(reap(Arc::downgrade(self), self.clock.now() + IDLE));
        }
    }

    /// Drops what is closed or expired; answers when the next one expires, or None when nothing is parked.
    fn sweep(&self) -> Option<Instant> {
        let now = self.clock.now();
        let mut parked = self.lock();
        let mut oldest: Option<Instant> = None;
        let mut count = 0;
        parked.links.retain(|_, links| {
            links.retain(|(since, link)| !link.is_closed() && now.duration_since(*since) < IDLE);
            count += links.len();
            oldest = links.iter().map(|(since, _)| *since).chain(oldest).min();
            !links.is_empty()
        });
        parked.count = count;
        parked.reaping = oldest.is_some();
        oldest.map(|since| (since + IDLE).max(now + REAP_EVERY))
    }

    fn lock(&self) -> MutexGuard<'_, Parked> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn reap(pool: Weak<Pool>, first: Instant) {
    let mut next = first;
    loop {
        sleep_until(next).await;
        let Some(pool) = pool.upgrade() else { return };
        match pool.sweep() {
            Some(at) => next = at,
            None => return,
        }
    }
}
