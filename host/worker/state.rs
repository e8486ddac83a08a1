//! What one Store carries: base WASI, the capabilities of its worker, and its bounds.
//!
//! Every host call of a guest goes through a field here: one place to count, bound and later record.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use uuid::Uuid;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView, p2::pipe::MemoryInputPipe};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::{
    limits::{MAX_HANDLES, MemoryLimit},
    sink::Sink,
};
use crate::{
    capability::{
        caller::Chain,
        checks::Reporter,
        http::{self, Hooks, Ledger, Outbound},
        log::Log,
        ping::{Ping, Pings},
        scope::Scope,
        services::Rights,
    },
    checks::Checks,
    clock::Clock,
    facts::{Level, Name},
    manifest::spec::CommandSpec,
};

/// What an instance is made with: one worker's grants and the host's services.
#[derive(Clone)]
pub struct Context {
    pub worker: Name,
    pub checks: Checks,
    pub clock: Clock,
    pub outbound: Arc<Outbound>,
    pub pings: Arc<Pings>,
    pub rights: Arc<Rights>,
    pub replica: u32,
    /// What a command sees of the world; none for anybody else.
    pub command: Option<Box<CommandSpec>>,
    pub log: Log,
    pub memory_bytes: u64,
    /// Where the host's sentences about this worker go: refusals, mostly.
    pub note: http::Report,
}

/// What an instance is entered for, as far as capabilities ask.
#[derive(Debug, Default)]
pub struct Errand {
    pub event: u64,
    pub chain: Option<Arc<Chain>>,
    pub job: Option<(Uuid, u32)>,
    /// The limiter that was paid already.
    pub prepaid: Option<Arc<str>>,
}

/// When the event in hand has to be over. Waiting for a limiter moves it.
#[derive(Debug, Clone)]
pub struct Deadline {
    pub at: Instant,
    ledger: Arc<Ledger>,
}

impl Deadline {
    /// How long the event has run, if it was given `timeout`.
    pub fn ran(&self, timeout: Duration) -> Duration {
        (self.at.checked_sub(timeout)).map_or(timeout, |began| began.elapsed())
    }

    /// The time left, waits for limiters given back.
    pub fn left(&self, now: Instant) -> Duration {
        (self.at + self.ledger.waited()).saturating_duration_since(now)
    }
}

/// The data of a Store.
pub struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    http: WasiHttpCtx,
    hooks: Hooks,
    pub(super) memory: MemoryLimit,
    pub(super) log: Log,
    pub(super) checks: Reporter,
    pub(super) scope: Scope,
    pub(super) ping: Ping,
    /// The named limiter that its requests go through.
    limiter: Option<Arc<str>>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) deadline: Option<Deadline>,
    clock: Clock,
    stdout: Sink,
    stderr: Sink,
}

impl State {
    pub fn new(context: Context) -> Self {
        let ledger = Arc::new(Ledger::new(context.clock));
        let stdout = Sink::new(context.log.clone(), "stdout", Level::Info);
        let stderr = Sink::new(context.log.clone(), "stderr", Level::Warn);
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        // No environment, no arguments, no folders, no sockets: ordinary std guests link, and get nothing.
        let mut wasi = WasiCtx::builder();
        wasi.stdout(stdout.clone()).stderr(stderr.clone()).allow_tcp(false).allow_udp(false);
        if let Some(command) = context.command {
            let CommandSpec { args, env, stdin } = *command;
            // A program's own name comes first.
            wasi.arg(&context.worker).args(&args).envs(&env.into_iter().collect::<Vec<_>>());
            if let Some(stdin) = stdin {
                wasi.stdin(MemoryInputPipe::new(stdin));
            }
        }
        let wasi = wasi.build();
        Self {
            wasi,
            table,
            http: http::context(),
            hooks: Hooks::new(context.outbound, ledger.clone()).reporting(context.note),
            memory: MemoryLimit::new(context.memory_bytes),
            checks: Reporter { checks: context.checks, clock: context.clock, worker: context.worker, ledger: ledger.clone() },
            limiter: context.rights.grants.http.as_ref().and_then(|http| http.limiter.as_deref()).map(Arc::from),
            ping: Ping { pings: context.pings },
            scope: Scope::new(context.rights, context.replica, ledger.waits().clone()),
            log: context.log,
            ledger,
            deadline: None,
            clock: context.clock,
            stdout,
            stderr,
        }
    }

    /// Opens an event that may run for `timeout`.
    pub fn begin(&mut self, timeout: Duration, errand: Errand) -> Deadline {
        self.ledger.reset();
        if errand.prepaid.is_some() && errand.prepaid.as_deref() == self.limiter.as_deref() {
            self.ledger.waits().prepay();
        }
        // Who asks other workers over HTTP, and on whose behalf.
        if errand.chain.is_some() || self.hooks.chain.before.is_some() {
            self.hooks.chain = Arc::new(Chain { worker: self.hooks.chain.worker.clone(), before: errand.chain.clone(), call: None });
        }
        self.scope.begin(errand.event, errand.chain, errand.job);
        self.log.begin();
        self.memory.forget_refusal();
        let deadline = Deadline { at: self.clock.now() + timeout, ledger: self.ledger.clone() };
        self.deadline = Some(deadline.clone());
        deadline
    }

    /// Closes the event: what was written without a newline is a line now.
    pub fn end(&mut self) {
        self.deadline = None;
        self.stdout.finish();
        self.stderr.finish();
        self.log.settle();
    }

    /// Whether the event in hand is out of time.
    pub fn expired(&self) -> bool {
        self.deadline.as_ref().is_some_and(|deadline| deadline.left(self.clock.now()).is_zero())
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.hooks }
    }
}
