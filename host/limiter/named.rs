//! All named limiters of this host: one table, shared by whoever acquires, shows or changes them.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use super::Limiter;
use crate::{
    clock::Clock,
    facts::LimiterView,
    manifest::spec::{LimiterSpec, Rate},
};

/// A cheap handle; clones share the table.
#[derive(Debug, Clone, Default)]
pub struct Limiters(Arc<RwLock<BTreeMap<String, Named>>>);

/// A limiter and what its manifest says of it.
#[derive(Debug, Clone)]
pub struct Named {
    pub limiter: Limiter,
    pub spec: Arc<LimiterSpec>,
}

impl Limiters {
    pub fn get(&self, name: &str) -> Option<Limiter> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).map(|named| named.limiter.clone())
    }

    /// By name.
    pub fn all(&self) -> Vec<Named> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
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
        table.retain(|name, _| specs.iter().any(|spec| spec.name == *name));
        for spec in specs {
            match table.get_mut(&spec.name) {
                Some(named) => {
                    named.limiter.set_rate(spec.rate);
                    named.limiter.set_burst(spec.burst);
                    named.spec = spec;
                }
                None => {
                    let limiter = Limiter::new(spec.rate, spec.burst, clock);
                    table.insert(spec.name.clone(), Named { limiter, spec });
                }
            }
        }
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
