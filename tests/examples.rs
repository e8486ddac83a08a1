//! The manifests that ship, run by the real host as `make up` would.

use std::{fs, path::Path};

use crate::support::Host;

#[test]
fn every_example_runs() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
    let guests: Vec<String> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| crate::support::plugins().join(format!("{name}.wasm")).is_file())
        .collect();
    let host = Host::with(&guests.iter().map(String::as_str).collect::<Vec<_>>());
    let mut declared = 0;
    for entry in fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        // The examples watch the host they run on, which usually listens on its usual port.
        let text = fs::read_to_string(&path).unwrap().replace("http://127.0.0.1:7700", &host.admin);
        declared += text.lines().filter(|line| line.trim() == "[[worker]]").count();
        host.drop_manifest(path.file_name().unwrap().to_str().unwrap(), &text);
    }
    assert!(declared > 0);
    let workers = crate::support::eventually("all of them", || {
        let workers = host.workers();
        (workers.len() >= declared && workers.iter().all(|worker| worker["state"] == "running")).then_some(workers)
    });
    assert!(workers.iter().all(|worker| worker["restarts"] == 0), "{workers:#?}");
    assert_eq!(host.ok(&["get", "problems"]), "no problems in the manifests folder\n");

    host.check_when(&format!("{}/healthz", host.admin), "up");
    host.check_when(&format!("{}/readyz", host.admin), "up");
    assert_eq!(host.ok(&["call", "echo", "say", "hello"]), "hello");
    assert_eq!(host.ok(&["call", "echo", "count"]), "2", "state lives from call to call");
}
