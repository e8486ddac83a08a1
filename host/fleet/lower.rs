//! The fleet's lower edge: who carries out changes, who turns files into components, who keeps generations.
//!
//! Three small traits, so that the reconciler is tested against a real folder without wasm and without a database.

use std::{path::Path, sync::Arc};

use futures_util::future::BoxFuture;
use tokio::sync::broadcast;

use crate::{
    facts::Digest,
    manifest::spec::{LimiterSpec, MaintenanceSpec, QueueSpec, RunSpec, WorkerSpec},
    store::{Generation, Store, StoreError},
    supervise::Fact,
    worker::{Component, ComponentError, Components},
};

/// A loaded component, as far as the fleet looks into it.
pub trait Part: Send + Sync + 'static {
    fn digest(&self) -> &Digest;
    /// Whether it can serve every trigger of `run`; the sentence names what is missing.
    fn can_serve(&self, run: &RunSpec) -> Result<(), String>;
}

/// One worker as it shall run.
#[derive(Debug)]
pub struct Order<C> {
    pub spec: Arc<WorkerSpec>,
    pub component: Arc<C>,
    /// Why this is not what the files on disk say, when it is not.
    pub held_back: Option<Arc<str>>,
}

/// Carries out changes. Nothing here blocks or waits: 10,000 orders are handed over in one go.
pub trait Runner<C>: Send + Sync + 'static {
    /// A worker that wasn't there. `at_start`: the host starts, first ticks may be spread.
    fn create(&self, order: Order<C>, at_start: bool);
    /// Another spec or other component bytes: a fresh incarnation after the event in flight.
    fn update(&self, order: Order<C>);
    /// Live fields or the note on why it is held back: nothing restarts.
    fn amend(&self, order: Order<C>);
    /// Ends a worker after its event in flight.
    fn remove(&self, name: &str);
    /// All named limiters, whenever one of them changed.
    fn limiters(&self, limiters: Vec<Arc<LimiterSpec>>);
    /// All declared queues, whenever one of them changed; before the workers that use them.
    fn queues(&self, queues: Vec<Arc<QueueSpec>>);
    /// All maintenance windows, whenever one of them changed; before the workers they cover come.
    fn maintenance(&self, windows: Vec<Arc<MaintenanceSpec>>);
    /// What supervision finds out about components.
    fn facts(&self) -> broadcast::Receiver<Fact>;
}

/// Turns `.wasm` files, or bytes kept from earlier, into components.
pub trait Loader<C>: Send + Sync + 'static {
    fn load_file<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Arc<C>, ComponentError>>;
    /// None when these bytes were never loaded here.
    fn load_digest<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Option<Arc<C>>>;
    /// Bytes that are not in `used` may go.
    fn prune<'a>(&'a self, used: &'a [Digest]) -> BoxFuture<'a, ()>;
}

/// Keeps generations.
pub trait Archive: Send + Sync + 'static {
    fn save(&self, generation: Generation) -> BoxFuture<'_, Result<(), StoreError>>;
    fn latest(&self) -> BoxFuture<'_, Result<Option<Generation>, StoreError>>;
    fn before(&self, number: u64) -> BoxFuture<'_, Result<Option<Generation>, StoreError>>;
}

/// Everything below the fleet.
pub struct Lower<C> {
    pub runner: Arc<dyn Runner<C>>,
    pub loader: Arc<dyn Loader<C>>,
    pub archive: Arc<dyn Archive>,
}

impl<C> std::fmt::Debug for Lower<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lower").finish_non_exhaustive()
    }
}

impl Part for Component {
    fn digest(&self) -> &Digest {
        &self.digest
    }

    fn can_serve(&self, run: &RunSpec) -> Result<(), String> {
        Component::can_serve(self, run)
    }
}

impl Loader<Component> for Components {
    fn load_file<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Arc<Component>, ComponentError>> {
        Box::pin(Components::load_file(self, path))
    }

    fn load_digest<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Option<Arc<Component>>> {
        Box::pin(Components::load_digest(self, digest))
    }

    fn prune<'a>(&'a self, used: &'a [Digest]) -> BoxFuture<'a, ()> {
        Box::pin(Components::prune(self, used))
    }
}

impl Archive for Store {
    fn save(&self, generation: Generation) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.save_generation(generation))
    }

    fn latest(&self) -> BoxFuture<'_, Result<Option<Generation>, StoreError>> {
        Box::pin(self.latest_generation())
    }

    fn before(&self, number: u64) -> BoxFuture<'_, Result<Option<Generation>, StoreError>> {
        Box::pin(self.generation_before(number))
    }
}
