//! Two engines, chosen from the component: *lean* for small synchronous components (ten thousand at once), *general* for async
//! (WASI 0.3) and for big guests that bring their own language runtime.
//!
//! Why two: concurrency support makes every call two to three times dearer, and copy-on-write images take two memory mappings an
//! instance, which the kernel counts; big guests can't start quickly without them. Each engine has its own pool, linker and
//! compiled code. Must not know workers.

use std::sync::Arc;

use tokio::sync::Semaphore;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, component::Linker};

use super::{state::State, ticker::Ticker};
use crate::capability::{self, checks, http, log, ping};

/// Linear memory of one lean instance at most, in bytes; workers that ask for more run on the general engine.
pub const LEAN_MEMORY_BYTES: u64 = 256 << 20;
/// A component larger than this brings a language runtime along: general.
pub const LEAN_COMPONENT_BYTES: u64 = 4 << 20;
/// Linear memory of one general instance at most, in bytes.
pub const GENERAL_MEMORY_BYTES: u64 = 1 << 30;
/// Slots of the lean pool beyond the residents': per-event instances that run at the same time, those that wait for a limiter or a
/// slow peer included. As many as keep ten thousand pollers at work while their network is down; each slot costs two memory
/// mappings, used or not, of which the kernel allows 65,530.
const LEAN_EVENTS: u32 = 3_000;
/// Slots that stay ready for their next user.
const LEAN_WARM: u32 = 1_000;
/// Slots of the general pool, residents and events together.
const GENERAL_SLOTS: u32 = 256;
/// Bytes of a slot's linear memory that stay mapped for its next user: returning pages costs more than clearing them.
const KEEP_RESIDENT: usize = 64 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EngineKind {
    Lean,
    General,
}

/// An engine with all it needs to make instances.
pub struct Runtime {
    pub kind: EngineKind,
    pub engine: Engine,
    pub linker: Linker<State>,
    /// Room for residents and for per-event instances. Taken before an instance is made, so that the pool itself never refuses.
    pub residents: Arc<Semaphore>,
    pub events: Arc<Semaphore>,
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Both engines and the ticker that interrupts their guests.
#[derive(Debug)]
pub struct Engines {
    pub lean: Runtime,
    pub general: Runtime,
    pub ticker: Ticker,
}

impl Engines {
    /// `residents`: how many resident instances the lean pool has room for.
    pub fn new(residents: u32) -> wasmtime::Result<Self> {
        let lean = Runtime::new(EngineKind::Lean, residents, LEAN_EVENTS)?;
        let general = Runtime::new(EngineKind::General, GENERAL_SLOTS / 2, GENERAL_SLOTS / 2)?;
        let ticker = Ticker::start(vec![lean.engine.clone(), general.engine.clone()])?;
        Ok(Self { lean, general, ticker })
    }

    pub fn get(&self, kind: EngineKind) -> &Runtime {
        match kind {
            EngineKind::Lean => &self.lean,
            EngineKind::General => &self.general,
        }
    }
}

impl Runtime {
    fn new(kind: EngineKind, residents: u32, events: u32) -> wasmtime::Result<Self> {
        let engine = Engine::new(&config(kind, residents + events))?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        http::link(&mut linker)?;
        log::link(&mut linker, |state: &mut State| &mut state.log)?;
        checks::link(&mut linker, |state: &mut State| &mut state.checks)?;
        ping::link(&mut linker, |state: &mut State| &mut state.ping)?;
        capability::link(&mut linker, |state: &mut State| &mut state.scope)?;
        let permits = |count: u32| Arc::new(Semaphore::new(count as usize));
        Ok(Self { kind, engine, linker, residents: permits(residents), events: permits(events) })
    }
}

fn config(kind: EngineKind, slots: u32) -> Config {
    let lean = kind == EngineKind::Lean;
    let memory = if lean { LEAN_MEMORY_BYTES } else { GENERAL_MEMORY_BYTES };
    // A component is a few core modules: its own, and the shims that adapt its imports.
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(4))
        .total_memories(slots.saturating_mul(if lean { 1 } else { 2 }))
        .total_tables(slots.saturating_mul(4))
        .total_stacks(slots)
        .max_core_instances_per_component(64)
        .max_memories_per_component(if lean { 1 } else { 4 })
        .max_tables_per_component(16)
        .max_memory_size(usize::try_from(memory).unwrap_or(usize::MAX))
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT)
        .pagemap_scan(Enabled::Auto)
        .max_unused_warm_slots(if lean { LEAN_WARM } else { 8 });
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .epoch_interruption(true)
        .memory_init_cow(!lean)
        .memory_reservation(memory)
        .memory_guard_size(if lean { 64 << 10 } else { 32 << 20 })
        .concurrency_support(!lean)
        .wasm_component_model_async(!lean)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(64));
    config
}
