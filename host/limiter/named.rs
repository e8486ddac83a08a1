//! All named limiters of this host: one table, shared by whoever acquires, shows or changes them.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, Weak},
};

use super::{Limiter, Shared};
use crate::{
    clock::Clock,
    facts::LimiterView,
    manifest::spec::{LimiterSpec, Rate},
};

/// A cheap handle; clones share the table.
#[derive(Debug, Clone, Default)]
pub struct Limiters(Arc<RwLock<Table>>);

#[derive(Debug, Default)]
struct Table {
    declared: BTreeMap<String, Named>,
    /// No longer declared, but perhaps in a running worker's hands: declared again, it must be the same one, or the two of them would
    /// let through twice the rate.
    retired: BTreeMap<String, Weak<Shared>>,
}

/// A limiter and what its manifest says of it.
#[derive(Debug, Clone)]
pub struct Named {
    pub limiter: Limiter,
    pub spec: Arc<LimiterSpec>,
}

impl Limiters {
    pub fn get(&self, name: &str) -> Option<Limiter> {
        self.table().declared.get(name).map(|named| named.limiter.clone())
    }

    /// By name.
    pub fn all(&self) -> Vec<Named> {
        self.table().declared.values().cloned().collect()
    }

    /// All of them as the API shows them, by name.
    pub fn views(&self) -> Vec<LimiterView> {
        self.all().iter().map(Named::view).collect()
    }

    /// Another rate, in force at once; false when there is no such limiter. Writing it into the manifest is the fleet's.
    pub fn set_rate(&self, name: &str, rate: Rate) -> bool {
        self.get(name).map(|limiter| limiter.set_rate(rate)).is_some()
    }

    /// What the manifests declare now. Workers hold on to a limiter: its rate changes under them, nobody restarts.
    pub fn declare(&self, specs: Vec<Arc<LimiterSpec>>, clock: Clock) {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Table { declared, retired } = &mut *table;
        for (name, named) in declared.extract_if(.., |name, _| specs.iter().all(|spec| spec.name != *name)) {
            retired.insert(name, Arc::downgrade(&named.limiter.shared));
        }
        for spec in specs {
            let known = declared.get(&spec.name).map(|named| named.limiter.clone());
            let known = known.or_else(|| retired.remove(&spec.name)?.upgrade().map(|shared| Limiter { shared }));
            let limiter = match known {
                Some(limiter) => {
                    limiter.set_rate(spec.rate);
                    limiter.set_burst(spec.burst);
                    limiter
                }
                None => Limiter::new(spec.rate, spec.burst, clock),
            };
            declared.insert(spec.name.clone(), Named { limiter, spec });
        }
        retired.retain(|_, shared| shared.strong_count() > 0);
    }

    fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Named {
    /// What it says of itself now, and where its manifest declares it.
    pub fn view(&self) -> LimiterView {
        let clock = &self.limiter.shared.clock;
        let standing = self.limiter.standing();
        let silence = standing.paused_until.map(|until| until.saturating_duration_since(clock.now()));
        LimiterView {
            name: self.spec.name.clone(),
            rate: standing.rate.to_string(),
            effective_per_second: standing.effective_per_second,
            burst: standing.burst,
            waiting: u64::try_from(standing.waiting).unwrap_or(u64::MAX),
            permits: standing.permits,
            paused_until: silence.and_then(|silence| clock.wall().checked_add(silence).ok()),
            file: self.spec.origin.file.to_string(),
            line: self.spec.origin.line,
        }
    }
}
