//! The appliance: the only place that sees every room. Builds them, announces the addresses, runs, and drains within a deadline.

pub mod lock;
mod marks;
pub mod rates;
mod runner;

use std::{
    io::Write,
    os::unix::fs::DirBuilderExt,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::{Semaphore, mpsc, watch},
    time::Instant,
};

use self::runner::{Floor, default_queue};
use crate::{
    api::{self, Access, ApiState, HostFacts},
    capability::{
        self,
        http::{self, Client},
        ping::Pinger,
        resolve::System,
    },
    checks::{Checks, Recheck},
    clock::Clock,
    config::Settings,
    facts::Level,
    fleet::{self, Fleet},
    journal::Journal,
    limiter::Limiters,
    manifest::{self, units::print_duration},
    store::{Jobs, Store, StoreError, StoreSettings},
    supervise::{Services, Supervisor},
    trigger::{
        ingress::{self, Ingress},
        jobs::Feeders,
        schedule::Scheduler,
    },
    worker::{Components, Engines},
};

/// Why the appliance can't start, or ended badly: one sentence with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ApplianceError {
    /// Somebody else runs on this data folder.
    #[error("{0}")]
    Busy(String),
    #[error("{what}: {source}")]
    Io { what: String, source: std::io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the wasm engine can't start: {0}")]
    Engine(String),
    #[error("[defaults] of the node's settings:{0}")]
    Defaults(String),
    #[error("{0}")]
    Access(String),
    #[error("{0}")]
    Fleet(String),
}

fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> ApplianceError {
    let what = what.into();
    move |source| ApplianceError::Io { what, source }
}

/// Runs the appliance until it is told to stop.
pub fn up(settings: Settings) -> Result<(), ApplianceError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(io("the runtime can't start"))?;
    let result = runtime.block_on(run(settings));
    // What still compiles or resolves a name on a thread of its own must not hold the end up.
    runtime.shutdown_background();
    result
}

async fn run(settings: Settings) -> Result<(), ApplianceError> {
    let clock = Clock::system();
    let started = clock.wall();
    // Before anything slow: a signal during start is a stop, too.
    let mut signals = Signals::new().map_err(io("signals can't be caught"))?;

    for folder in [&settings.data, &settings.manifests, &settings.plugins] {
        make_folder(folder)?;
    }
    if let Some(defaults) = &settings.defaults {
        let file = settings.file.as_ref().map_or_else(|| "skep.toml".into(), |path| path.display().to_string());
        let problems = manifest::check_defaults(&file, defaults);
        if !problems.is_empty() {
            return Err(ApplianceError::Defaults(problems.iter().map(|problem| format!("\n  {problem}")).collect()));
        }
    }
    let _lock = lock::take(&settings.data)?;
    let store = Store::open(StoreSettings {
        dir: settings.data.clone(),
        history_bytes: settings.limits.history_bytes,
        history_days: settings.limits.history_days,
    })?;
    let engines = Engines::new(settings.limits.residents).map_err(|error| ApplianceError::Engine(format!("{error:#}")))?;
    let engines = Arc::new(engines);
    let components = Components::new(engines.clone(), &settings.data).map_err(io("the component cache can't be made"))?;
    let journal = Journal::new(clock, Some(store.clone()));
    let (recheck, rechecks) = mpsc::unbounded_channel();
    let checks = Checks::start(store.clone(), journal.clone(), clock, recheck).await?;
    checks.set_guard(settings.guard);
    let http = Client::new(http::Settings::new(settings.manifests.clone(), settings.data.join("secrets")), clock);
    journal.mask_with({
        let http = http.clone();
        Arc::new(move |text| http.mask(text).into_owned())
    });
    let (jobs, limiters): (Arc<dyn Jobs>, _) = (Arc::new(store.clone()), Limiters::default());
    jobs.configure(Vec::new(), default_queue());
    let capabilities = Arc::new(capability::services::Services {
        clock,
        jobs: jobs.clone(),
        kv: Arc::new(store.clone()),
        limiters: limiters.clone(),
        pinger: Pinger::new(clock, Arc::new(System::default())),
        directory: OnceLock::new(),
        rates: OnceLock::new(),
    });
    let services = Services::new(engines, clock, journal.clone(), checks.clone(), store.clone(), capabilities.clone(), true);
    let supervisor = Supervisor::new(services);
    let feeders = Feeders::new(supervisor.clone(), jobs.clone(), limiters.clone(), clock);
    let scheduler = Scheduler::start(supervisor.clone(), clock);
    let ingress = Ingress::new(Arc::new(supervisor.clone()), clock, ingress::Bounds::default());
    http.reach_workers(Arc::new(ingress.clone()));
    tokio::spawn(confirm(rechecks, scheduler.clone()));

    let bind = |address| async move { TcpListener::bind(address).await.map_err(io(format!("can't listen on {address}"))) };
    let (admin, listen) = (bind(settings.admin).await?, bind(settings.listen).await?);
    let address = |listener: &TcpListener| listener.local_addr().map_err(io("a bound socket has no address"));
    let (admin_address, listen_address) = (address(&admin)?, address(&listen)?);
    let socket = api::bind_unix(&settings.socket()).map_err(io("the CLI's socket can't be made"))?;
    let unusable = |error: std::io::Error| ApplianceError::Access(error.to_string());
    let access = Access::open(&settings.data, admin_address, settings.admin_hosts.clone()).map_err(unusable)?;
    let link = api::access::login_link(&settings.data, admin_address).map_err(unusable)?;
    announce(&[&format!("admin http://{admin_address}"), &format!("listen http://{listen_address}"), &format!("page {link}")]);

    let floor = Floor {
        supervisor: supervisor.clone(),
        scheduler: scheduler.clone(),
        ingress: ingress.clone(),
        checks: checks.clone(),
        http,
        journal: journal.clone(),
        clock,
        limiters: limiters.clone(),
        jobs: jobs.clone(),
        feeders: feeders.clone(),
        store: store.clone(),
    };
    let fleet = Fleet::start(
        fleet::Settings { manifests: settings.manifests.clone(), plugins: settings.plugins.clone(), defaults: settings.defaults.clone() },
        fleet::Lower { runner: Arc::new(floor), loader: Arc::new(components), archive: Arc::new(store.clone()) },
        journal.clone(),
        clock,
    );
    let fleet = tokio::select! {
        fleet = fleet => fleet.map_err(|error| ApplianceError::Fleet(error.to_string()))?,
        // Components that compile for minutes are no reason to stay.
        () = signals.stop() => return Ok(store.close().await?),
    };
    checks.settle();

    let _ = capabilities.rates.set(Arc::new(rates::ManifestRates(fleet.clone())));
    let (ready, is_ready) = watch::channel(false);
    let (shutdown, is_shutdown) = watch::channel(false);
    let state = ApiState {
        fleet: fleet.clone(),
        supervisor: supervisor.clone(),
        checks: checks.clone(),
        store: store.clone(),
        jobs,
        kv: Arc::new(store.clone()),
        limiters,
        journal: journal.clone(),
        clock,
        access: Arc::new(access),
        host: Arc::new(HostFacts {
            started,
            admin: admin_address,
            listen: listen_address,
            data: settings.data.clone(),
            manifests: settings.manifests.clone(),
            plugins: settings.plugins.clone(),
        }),
        public: settings.status.clone().map(|status| Arc::new(api::status::Public::new(status))),
        ready: is_ready,
        shutdown: is_shutdown,
        traffic: Arc::new({
            let ingress = ingress.clone();
            move || ingress.traffic()
        }),
        followers: Arc::new(Semaphore::new(settings.limits.followers as usize)),
        live: Default::default(),
    };
    let listen_bounds = api::Bounds { header_bytes: ingress::MAX_HEAD_BYTES, ..api::Bounds::default() };
    let (closing, is_closing) = watch::channel(false);
    let bounds = api::Bounds { connections: settings.limits.connections as usize, ..api::Bounds::default() };
    let servers = [
        tokio::spawn(api::serve_tcp(admin, state.clone(), bounds)),
        tokio::spawn(api::serve_unix(socket, state, bounds)),
        tokio::spawn(api::serve::serve_with(api::prompt(listen), ingress, listen_bounds, is_closing)),
    ];

    let _ = ready.send(true);
    announce(&["ready"]);
    notify(&[sd_notify::NotifyState::Ready]);
    journal.event("host.ready", Level::Info, None, format!("skep {} is ready", env!("CARGO_PKG_VERSION")));

    signals.stop().await;
    notify(&[sd_notify::NotifyState::Stopping]);
    journal.event("host.stopping", Level::Info, None, format!("draining for up to {}", print_duration(settings.drain)));
    // Clients hear `connection: close` and ask elsewhere; what was asked before is answered below.
    let _ = closing.send(true);
    // A second signal cuts the drain short.
    tokio::select! {
        () = drain(&settings, &supervisor, &feeders, fleet, shutdown, servers) => {}
        () = signals.stop() => journal.event("host.stopping", Level::Warn, None, "told twice: not waiting for the drain"),
    }
    checks.flush().await;
    store.close().await?;
    Ok(())
}

/// Lets events in flight finish, then answers under way, all within the deadline.
async fn drain(
    settings: &Settings,
    supervisor: &Supervisor,
    feeders: &Feeders,
    fleet: Fleet,
    shutdown: watch::Sender<bool>,
    servers: [tokio::task::JoinHandle<()>; 3],
) {
    let began = Instant::now();
    feeders.stop();
    // A component that compiles for minutes must not hold the end up.
    let _ = tokio::time::timeout(settings.drain, fleet.stop()).await;
    let left = supervisor.drain(settings.drain.saturating_sub(began.elapsed())).await;
    if left > 0 {
        tracing::warn!("{left} workers were still busy after {}; they are cut off", print_duration(settings.drain));
    }
    let _ = shutdown.send(true);
    // A client that does not hang up must not hold the host.
    let _ = tokio::time::timeout(Duration::from_secs(1), futures_util::future::join_all(servers)).await;
}

/// Passes the checks' wishes for confirming ticks on to the schedule.
async fn confirm(mut rechecks: mpsc::UnboundedReceiver<Recheck>, scheduler: Scheduler) {
    while let Some(recheck) = rechecks.recv().await {
        scheduler.extra(recheck.worker, recheck.after);
    }
}

/// Lines other programs wait for.
#[allow(clippy::print_stdout, reason = "stdout is the announcement's place; logs go to stderr")]
fn announce(lines: &[&str]) {
    let mut out = std::io::stdout().lock();
    for line in lines {
        // Nobody may be reading; the host runs all the same.
        let _ = writeln!(out, "{line}");
    }
    let _ = out.flush();
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("systemd was not told: {error}");
    }
}

fn make_folder(path: &Path) -> Result<(), ApplianceError> {
    // 0700: secrets, tokens and what workers keep are this user's alone.
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io(format!("{} can't be made", path.display())))
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        // A file past the size this process may write (LimitFSIZE) is an error of that write, not the end of the host.
        drop(signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?);
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
