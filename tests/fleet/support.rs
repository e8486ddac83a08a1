//! A fleet on a real folder with real events, over the faked lower edge, and what a person sees of it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use skep::{
    clock::Clock,
    facts::{Plan, Problem},
    fleet::{ApplyRequest, Archive, Fleet, FleetError, Lower, Settings, Status},
    journal::Journal,
};
use tokio::sync::watch;

use super::fakes::{FakeArchive, FakeLoader, FakeRunner, Running};

/// The longest any wait for an event may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// A host's data, as it stays over restarts, and the fleet that runs on it.
pub struct Bench {
    pub dir: tempfile::TempDir,
    pub loader: Arc<FakeLoader>,
    pub archive: Arc<FakeArchive>,
    pub runner: Arc<FakeRunner>,
    pub journal: Journal,
    pub fleet: Option<Fleet>,
    status: Option<watch::Receiver<Arc<Status>>>,
}

pub const POLLER: &str = "component schedule v1";

/// A worker that ticks.
pub fn worker(name: &str, every: &str) -> String {
    format!("[[worker]]\nname = \"{name}\"\ncomponent = \"poller.wasm\"\nschedule = {{ every = \"{every}\" }}\n")
}

impl Bench {
    /// Folders with `poller.wasm`; nothing runs yet.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("manifests")).unwrap();
        fs::create_dir(dir.path().join("plugins")).unwrap();
        let bench = Self {
            dir,
            loader: Arc::default(),
            archive: Arc::default(),
            runner: Arc::new(FakeRunner::new()),
            journal: Journal::new(Clock::system(), None),
            fleet: None,
            status: None,
        };
        bench.plugin("poller.wasm", POLLER);
        bench
    }

    /// With these manifests, and running.
    pub async fn with(files: &[(&str, &str)]) -> Self {
        let mut bench = Self::new();
        for (name, text) in files {
            bench.drop_file(name, text);
        }
        bench.start().await;
        bench
    }

    pub async fn start(&mut self) {
        self.start_on(self.manifests(), self.archive.clone()).await.unwrap();
    }

    /// On another archive than the one that only remembers.
    pub async fn start_with(&mut self, archive: Arc<dyn Archive>) {
        self.start_on(self.manifests(), archive).await.unwrap();
    }

    pub async fn start_on(&mut self, manifests: PathBuf, archive: Arc<dyn Archive>) -> Result<(), FleetError> {
        self.runner = Arc::new(FakeRunner::new());
        let settings = Settings { manifests, plugins: self.dir.path().join("plugins"), defaults: None };
        let lower = Lower { runner: self.runner.clone(), loader: self.loader.clone(), archive };
        let fleet = Fleet::start(settings, lower, self.journal.clone(), Clock::system()).await?;
        self.status = Some(fleet.status());
        self.fleet = Some(fleet);
        Ok(())
    }

    /// Another run of the host on the same data.
    pub async fn restart(&mut self) {
        self.fleet().stop().await;
        self.start().await;
    }

    pub fn fleet(&self) -> &Fleet {
        self.fleet.as_ref().unwrap()
    }

    pub fn manifests(&self) -> PathBuf {
        self.dir.path().join("manifests")
    }

    /// Puts a whole file there, as a careful program does.
    pub fn drop_file(&self, name: &str, text: &str) {
        put(&self.manifests().join(name), text);
    }

    pub fn plugin(&self, name: &str, text: &str) {
        put(&self.dir.path().join("plugins").join(name), text);
    }

    pub fn remove_file(&self, name: &str) {
        fs::remove_file(self.manifests().join(name)).unwrap();
    }

    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.manifests().join(name)).unwrap()
    }

    pub fn files(&self) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(self.manifests()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Waits until the status says so.
    pub async fn until(&mut self, what: &str, says: impl Fn(&Status) -> bool) -> Arc<Status> {
        let status = self.status.as_mut().unwrap();
        let found = tokio::time::timeout(DEADLINE, status.wait_for(|status| says(status))).await;
        found
            .unwrap_or_else(|_| panic!("waited in vain for: {what}; problems: {:#?}", self.fleet.as_ref().unwrap().problems()))
            .unwrap()
            .clone()
    }

    pub async fn until_generation(&mut self, number: u64) -> Arc<Status> {
        self.until(&format!("generation {number}"), |status| status.generation >= number).await
    }

    /// Everything that was told by inotify so far is taken in: a last file comes through.
    pub async fn barrier(&mut self) {
        let name = format!("barrier-{}.toml", self.fleet().generation());
        let generation = self.fleet().generation();
        self.drop_file(&name, "# nothing\n");
        self.until("the barrier", |status| status.desired.files().contains_key(name.as_str())).await;
        self.remove_file(&name);
        self.until("the barrier's end", |status| !status.desired.files().contains_key(name.as_str())).await;
        assert_eq!(self.fleet().generation(), generation + 2, "only the barrier's own generations came");
    }

    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.runner.calls.lock().unwrap())
    }

    pub fn running(&self, name: &str) -> Running {
        self.runner.running.lock().unwrap().get(name).cloned().unwrap_or_else(|| panic!("{name} does not run"))
    }

    pub fn names(&self) -> Vec<String> {
        self.runner.running.lock().unwrap().keys().cloned().collect()
    }

    pub fn every(&self, name: &str) -> String {
        format!("{:?}", self.running(name).order.spec.run.schedule)
    }

    pub fn events(&self, kind: &str) -> Vec<String> {
        self.journal.events(1_000).into_iter().filter(|event| event.kind == kind).map(|event| event.message).collect()
    }

    pub fn said(&self) -> Vec<String> {
        self.fleet().problems().iter().map(Problem::to_string).collect()
    }

    pub async fn apply(&self, text: &str) -> Result<Plan, FleetError> {
        self.fleet().apply(ApplyRequest { text: text.to_owned(), ..ApplyRequest::default() }).await
    }
}

fn put(path: &Path, text: &str) {
    let draft = path.with_file_name(format!(".{}.draft", path.file_name().unwrap().to_str().unwrap()));
    fs::write(&draft, text).unwrap();
    fs::rename(draft, path).unwrap();
}

/// The steps of a plan as a person reads them.
pub fn steps(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| format!("{:?} {} {}", step.verb, step.worker, step.changes.join("; ")).trim_end().to_lowercase()).collect()
}

pub fn invalid(outcome: Result<Plan, FleetError>) -> Vec<String> {
    match outcome {
        Err(FleetError::Invalid(problems)) => problems.iter().map(Problem::to_string).collect(),
        other => panic!("not refused as invalid: {other:?}"),
    }
}

pub fn conflict(outcome: Result<Plan, FleetError>) -> String {
    match outcome {
        Err(FleetError::Conflict(why)) => why,
        other => panic!("not a conflict: {other:?}"),
    }
}
