//! Verbs that several modules use: calls, traps, log lines, raw API answers, and commands that go on until they are killed.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc,
};

use serde_json::Value;

use super::{Host, PATIENCE, eventually};

impl Host {
    /// Drops a manifest and waits until its worker runs.
    pub fn running(&self, name: &str, manifest: &str) -> Value {
        self.drop_manifest(&format!("{name}.toml"), manifest);
        self.worker_when(name, "running", |worker| worker["state"] == "running")
    }

    /// Calls a method whose answer is JSON.
    pub fn call(&self, worker: &str, method: &str, payload: &str) -> Value {
        let answer = self.ok(&["call", worker, method, payload]);
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{worker} {method} answers no JSON: {error}\n{answer}"))
    }

    /// A worker's newest trap record, once there is one.
    pub fn trap(&self, worker: &str) -> Value {
        eventually("a trap record", || self.json(&["traps", worker]).as_array().and_then(|traps| traps.first().cloned()))
    }

    /// A worker's newest log lines, oldest first.
    pub fn lines(&self, worker: &str) -> Vec<Value> {
        let lines = self.ok(&["logs", worker, "-n", "1000", "-o", "json"]);
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Their texts.
    pub fn said(&self, worker: &str) -> Vec<String> {
        self.lines(worker).iter().map(|line| line["text"].as_str().unwrap().to_owned()).collect()
    }

    /// Asks the API over HTTP, with the token for reading.
    pub fn api(&self, path: &str) -> (u16, String) {
        let token = std::fs::read_to_string(self.data().join("read.token")).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let answer = reqwest::Client::new().get(format!("{}{path}", self.admin)).bearer_auth(token.trim()).send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        })
    }

    /// A verb that follows; its lines as they come.
    pub fn follow(&self, args: &[&str]) -> Following {
        let mut child = Command::new(env!("CARGO_BIN_EXE_skep"))
            .arg("--data")
            .arg(self.data())
            .args(args)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Following { child, lines }
    }
}

/// A running command; dropping it kills it.
pub struct Following {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Following {
    /// Waits for a line that holds `text`.
    pub fn until(&self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no line with \"{text}\" came"));
            if line.contains(text) {
                return line;
            }
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
