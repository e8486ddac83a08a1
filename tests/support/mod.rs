//! The test host: the real binary on folders of its own, spoken to through its CLI, and a web site that can be taken up and down.
//!
//! Ports are 0, addresses loopback. Nothing sleeps to wait for a thing: [`eventually`] asks until it holds or a deadline passes.

pub mod authority;
pub mod pages;
pub mod site;
pub mod verbs;
pub mod web;

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use serde_json::Value;

/// How long anything may take on a busy machine before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Where the guests built by `make plugins` are.
pub fn plugins() -> PathBuf {
    let folder = match std::env::var_os("SKEP_TEST_PLUGINS") {
        Some(folder) => PathBuf::from(folder),
        // target/debug/deps/it-… → target/plugins
        None => std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join("plugins"),
    };
    assert!(folder.join("poller.wasm").is_file(), "no guests in {}: run `make plugins` first", folder.display());
    folder
}

/// Asks until the answer is some, for at most [`PATIENCE`].
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "gave up waiting: {what}");
        std::thread::sleep(Duration::from_millis(15));
    }
}

/// A running host with folders of its own. Dropping it kills the process; the folders go with it.
pub struct Host {
    child: Option<Child>,
    /// Goes with the host.
    folder: tempfile::TempDir,
    data: PathBuf,
    pub admin: String,
    pub listen: String,
    /// Lines on stdout up to `ready`, of the last start.
    pub announced: Vec<String>,
    log: Arc<Mutex<String>>,
    flags: Vec<String>,
    /// Port of the admin address; 0: another one each start.
    admin_port: u16,
    env: Vec<(String, String)>,
}

impl Host {
    /// A host without manifests, with the named guests in its plugins folder.
    pub fn with(guests: &[&str]) -> Self {
        let host = Self::folders(guests);
        host.started()
    }

    /// Folders, not started yet: for manifests that are there before the host.
    pub fn folders(guests: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["manifests", "plugins"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let host = Self {
            child: None,
            data: folder.path().to_owned(),
            folder,
            admin: String::new(),
            listen: String::new(),
            announced: Vec::new(),
            log: Arc::default(),
            flags: Vec::new(),
            admin_port: 0,
            env: Vec::new(),
        };
        for guest in guests {
            host.install(guest, &format!("{guest}.wasm"));
        }
        host
    }

    /// More flags for `skep up`.
    pub fn flags(mut self, flags: &[&str]) -> Self {
        self.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        self
    }

    /// Stays at one admin address over restarts, as a page that is open needs it.
    pub fn at_one_address(mut self) -> Self {
        self.admin_port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        self
    }

    /// Another data folder, below the usual one and not made yet.
    pub fn at(mut self, below: &str) -> Self {
        self.data = self.folder.path().join(below);
        self
    }

    /// A variable of the host's environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn started(mut self) -> Self {
        self.start();
        self
    }

    /// Starts (again) and waits for `ready`.
    pub fn start(&mut self) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_skep"))
            .args(["up", "--listen", "127.0.0.1:0", "--admin", &format!("127.0.0.1:{}", self.admin_port), "--data"])
            .arg(self.data())
            .args(&self.flags)
            .env_remove("RUST_LOG")
            .envs(self.env.clone())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let log = self.log.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = stderr.read(&mut buffer) {
                log.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
        });
        let (lines, said) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
        self.child = Some(child);
        self.announced.clear();
        loop {
            let Ok(line) = said.recv_timeout(PATIENCE) else { panic!("the host did not get ready:\n{}", self.log()) };
            self.announced.push(line.clone());
            if let Some(address) = line.strip_prefix("admin ") {
                self.admin = address.to_owned();
            } else if let Some(address) = line.strip_prefix("listen ") {
                self.listen = address.to_owned();
            } else if line == "ready" {
                return;
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// SIGTERM, then waits for the end; answers the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.ended()
    }

    pub fn signal(&self, name: &str) {
        Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap();
    }

    /// Waits for the end; answers the exit code.
    pub fn ended(&mut self) -> Option<i32> {
        let mut child = self.child.take()?;
        eventually("the host ends", || child.try_wait().unwrap()).code()
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    pub fn manifest(&self, name: &str) -> PathBuf {
        self.data().join("manifests").join(name)
    }

    /// Drops a manifest into the folder, as an editor does: aside, then renamed.
    pub fn drop_manifest(&self, name: &str, text: &str) {
        let aside = self.data().join(format!("{name}.aside"));
        std::fs::write(&aside, text).unwrap();
        std::fs::rename(aside, self.manifest(name)).unwrap();
    }

    /// Copies a guest into the plugins folder under a name.
    pub fn install(&self, guest: &str, name: &str) {
        let bytes = std::fs::read(plugins().join(format!("{guest}.wasm"))).unwrap();
        self.install_bytes(name, &bytes);
    }

    pub fn install_bytes(&self, name: &str, bytes: &[u8]) {
        let aside = self.data().join(format!("{name}.aside"));
        std::fs::write(&aside, bytes).unwrap();
        std::fs::rename(aside, self.data().join("plugins").join(name)).unwrap();
    }

    /// What the host logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Runs a verb against this host.
    pub fn run(&self, args: &[&str]) -> Output {
        skep(&[&["--data", self.data().to_str().unwrap()], args].concat())
    }

    /// Runs a verb that has to succeed; answers its stdout.
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "skep {args:?}: {:?}\n{out}\n{err}\nhost log:\n{}", output.status.code(), self.log());
        out
    }

    /// Runs a verb that has to fail with `code`; answers stdout and stderr together.
    pub fn fails(&self, code: i32, args: &[&str]) -> String {
        let output = self.run(args);
        let all = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "skep {args:?}:\n{all}");
        all
    }

    pub fn json(&self, args: &[&str]) -> Value {
        let out = self.ok(&[args, &["-o", "json"]].concat());
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("skep {args:?} is no JSON: {error}\n{out}"))
    }

    pub fn workers(&self) -> Vec<Value> {
        self.json(&["get", "workers"]).as_array().unwrap().clone()
    }

    pub fn worker(&self, name: &str) -> Option<Value> {
        self.workers().into_iter().find(|worker| worker["name"] == name)
    }

    /// Waits until a worker satisfies `holds`.
    pub fn worker_when(&self, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut last = None;
        let start = Instant::now();
        loop {
            let found = self.worker(name);
            match found {
                Some(worker) if holds(&worker) => return worker,
                other => last = other.or(last),
            }
            assert!(
                start.elapsed() < PATIENCE,
                "gave up waiting for worker {name} to be {what}; last seen: {last:#?}\nhost log:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(15));
        }
    }

    pub fn checks(&self) -> Vec<Value> {
        self.json(&["checks"]).as_array().unwrap().clone()
    }

    /// Waits until the check of `subject` has a status.
    pub fn check_when(&self, subject: &str, status: &str) -> Value {
        let start = Instant::now();
        loop {
            let checks = self.checks();
            if let Some(check) = checks.iter().find(|check| check["subject"] == subject && check["status"] == status) {
                return check.clone();
            }
            assert!(
                start.elapsed() < PATIENCE,
                "gave up waiting for {subject} to be {status}; checks: {checks:#?}\nhost log:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(15));
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs the real binary, without a host.
pub fn skep(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_skep"))
        .args(args)
        .env_remove("SKEP_ADMIN")
        .env_remove("SKEP_TOKEN")
        .env_remove("SKEP_DATA")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
