//! What the benches share: a supervisor over real engines and a real store, and workers made from manifest text.

#![allow(dead_code, reason = "each bench uses its part")]

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use skep::{
    capability::{
        http::{Client, Settings},
        log::{Log, LogTarget},
        ping::Pinger,
        resolve::System,
        services::{Rights, Services as Capabilities},
    },
    checks::Checks,
    clock::Clock,
    journal::Journal,
    limiter::Limiters,
    manifest::{Parser, spec::WorkerSpec},
    store::{Store, StoreSettings},
    supervise::{Deployment, Services, Supervisor},
    trigger::jobs::Feeders,
    worker::{Component, Components, Context, Engines, Purpose},
};

/// Where `make plugins` puts the guests.
pub fn plugins() -> PathBuf {
    let folder = match std::env::var_os("SKEP_TEST_PLUGINS") {
        Some(folder) => PathBuf::from(folder),
        None => std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join("plugins"),
    };
    assert!(folder.join("echo.wasm").is_file(), "no guests in {}: run `make plugins` first", folder.display());
    folder
}

pub struct Bench {
    pub engines: Arc<Engines>,
    pub components: Components,
    pub supervisor: Supervisor,
    pub feeders: Feeders,
    pub checks: Checks,
    pub http: Arc<Client>,
    pub store: Store,
    pub journal: Journal,
    pub clock: Clock,
    pub capabilities: Arc<Capabilities>,
    _folder: tempfile::TempDir,
}

impl Bench {
    pub async fn new() -> Self {
        Self::on(Arc::new(Engines::new(10_000).unwrap())).await
    }

    pub async fn on(engines: Arc<Engines>) -> Self {
        let folder = disk();
        let clock = Clock::system();
        let settings = StoreSettings { dir: folder.path().to_owned(), history_bytes: 64 << 20, history_days: 7 };
        let store = Store::open(settings).unwrap();
        let components = Components::new(engines.clone(), folder.path()).unwrap();
        let journal = Journal::new(clock, Some(store.clone()));
        let (rechecks, _) = tokio::sync::mpsc::unbounded_channel();
        let checks = Checks::start(store.clone(), journal.clone(), clock, rechecks).await.unwrap();
        let http = Client::new(Settings::new(folder.path().into(), folder.path().join("secrets")), clock);
        let capabilities = Arc::new(Capabilities {
            clock,
            jobs: Arc::new(store.clone()),
            kv: Arc::new(store.clone()),
            limiters: Limiters::default(),
            pinger: Pinger::new(clock, Arc::new(System::default())),
            directory: OnceLock::new(),
            rates: OnceLock::new(),
        });
        let limiters = capabilities.limiters.clone();
        let services = Services::new(engines.clone(), clock, journal.clone(), checks.clone(), store.clone(), capabilities.clone(), false);
        let supervisor = Supervisor::new(services);
        let feeders = Feeders::new(supervisor.clone(), Arc::new(store.clone()), limiters, clock);
        Self { engines, components, supervisor, feeders, checks, http, store, journal, clock, capabilities, _folder: folder }
    }

    pub async fn component(&self, guest: &str) -> Arc<Component> {
        self.components.load_file(&plugins().join(format!("{guest}.wasm"))).await.unwrap()
    }

    /// Declares workers as a manifest does, runs them, and feeds those that have a queue.
    pub async fn run(&self, text: &str) {
        for spec in workers(text) {
            let component = self.component(spec.run.component.strip_suffix(".wasm").unwrap()).await;
            let outbound = self.http.closed(&spec.name);
            self.supervisor.create(Deployment { spec: spec.clone(), component, held_back: None }, outbound);
            self.feeders.set(&spec);
        }
    }

    pub async fn running(&self, count: usize) {
        let mut changed = self.supervisor.changed();
        while self.supervisor.views().iter().filter(|view| view.replicas.running > 0).count() < count {
            changed.changed().await.unwrap();
        }
    }

    pub fn purpose(&self, component: &Arc<Component>) -> Arc<Purpose> {
        Arc::new(Purpose {
            engines: self.engines.clone(),
            component: component.clone(),
            worker: "bench".into(),
            replica: 1,
            config: "{}".into(),
            timeout: Duration::from_secs(10),
        })
    }

    pub fn context(&self) -> Context {
        let target =
            LogTarget { journal: self.journal.clone(), clock: self.clock, worker: "bench".into(), replica: 1, meter: Default::default() };
        Context {
            worker: "bench".into(),
            checks: self.checks.clone(),
            clock: self.clock,
            outbound: self.http.closed("bench"),
            pings: self.capabilities.pinger.worker("bench", None),
            rights: Arc::new(Rights { worker: "bench".into(), grants: Arc::default(), services: self.capabilities.clone() }),
            replica: 1,
            command: None,
            log: Log::new(Arc::new(target)),
            memory_bytes: 64 << 20,
            note: Arc::new(|_| {}),
        }
    }
}

pub fn workers(text: &str) -> Vec<Arc<WorkerSpec>> {
    let parsed = Parser::new(None).parse("bench.toml", text);
    parsed.spec.unwrap_or_else(|| panic!("{:?}", parsed.problems)).workers
}

/// A folder beside the build, as a data folder would be on a disk: the system's temporary folder is often memory.
pub fn disk() -> tempfile::TempDir {
    tempfile::TempDir::new_in(std::env::current_exe().unwrap().parent().unwrap()).unwrap()
}

/// How long this disk takes to make 8 KiB durable, about what a small commit writes; nth of many, in a file that is there.
pub fn sync(file: &std::fs::File, nth: u64) -> Duration {
    use std::os::unix::fs::FileExt;
    let start = std::time::Instant::now();
    file.write_all_at(&[nth as u8; 8_192], nth % 64 * 8_192).unwrap();
    file.sync_data().unwrap();
    start.elapsed()
}

/// The value below which the share `p` of all values lies.
pub fn percentile(values: &mut [Duration], p: f64) -> Duration {
    values.sort_unstable();
    values[((values.len() - 1) as f64 * p) as usize]
}

/// A figure of a process in KiB, from /proc.
pub fn status_kib(pid: u32, key: &str) -> u64 {
    let text = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or_default()
}

/// Processor seconds a process has used.
pub fn cpu_seconds(pid: u32) -> f64 {
    let text = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // utime and stime, in hundredths (USER_HZ) on every Linux.
    fields.iter().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}
