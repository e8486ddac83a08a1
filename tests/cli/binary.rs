//! Through the real executable: streams and exit codes.

use std::{
    path::{Path as FilePath, PathBuf},
    process::Command,
    sync::Arc,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, RawQuery},
    http::StatusCode,
    routing::{get, post},
};
use skep::{
    api::{Access, ApiError, Bounds, Via, bind_unix, guarded, serve, sse},
    facts::{Level, LogLine, Plan, Problem, Step, Verb, WorkerState},
};
use tokio::sync::watch;

use super::{at, problem};
use crate::api::worker;

fn skep(arguments: &[&str], dir: &FilePath) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skep"));
    command.args(arguments).current_dir(dir);
    for name in ["SKEP_ADMIN", "SKEP_TOKEN", "SKEP_DATA"] {
        command.env_remove(name);
    }
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn without_a_host_the_client_says_how_to_start_one() {
    let dir = tempfile::tempdir().unwrap();
    let (code, out, err) = skep(&["get", "workers"], dir.path());
    assert_eq!((code, out.as_str()), (5, ""));
    assert!(err.starts_with("error: no skep host answers at skep-data/skep.sock — start one with: skep up\nhint: "), "{err}");
    let (code, _, err) = skep(&["checks", "--admin", "http://127.0.0.1:1"], dir.path());
    assert_eq!(code, 5);
    assert!(err.contains("no skep host answers at http://127.0.0.1:1"), "{err}");
}

#[test]
fn usage_is_2_and_unreadable_manifests_are_4() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(skep(&["nosuch"], dir.path()).0, 2);
    assert_eq!(skep(&["scale", "a"], dir.path()).0, 2);
    let (code, out, _) = skep(&["check", "none.toml", "."], dir.path());
    assert_eq!(code, 4);
    assert_eq!(
        out,
        "none.toml: no such file\n  hint: check the path\n.: is a directory\n  hint: name the files in it, e.g. DIR/*.toml\n\n2 problems in 2 of 2 files\n"
    );
    let (code, _, err) = skep(&["apply", "-f", "none.toml"], dir.path());
    assert_eq!(code, 4, "told before a host is asked");
    assert!(err.contains("none.toml: no such file") && err.contains("error: nothing was applied"), "{err}");
    let (code, out, _) = skep(&["check", "none.toml", "-o", "json"], dir.path());
    let problems: Vec<Problem> = serde_json::from_str(&out).unwrap();
    assert_eq!((code, problems[0].file.as_str()), (4, "none.toml"));
}

#[test]
fn completions_are_scripts() {
    let dir = tempfile::tempdir().unwrap();
    for (shell, sign) in [("bash", "complete -F"), ("zsh", "#compdef skep"), ("fish", "complete -c skep")] {
        let (code, out, _) = skep(&["completions", shell], dir.path());
        assert!(code == 0 && out.contains(sign) && out.contains("doctor"), "{shell}");
    }
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_skep"))
        .args(["completions", "bash"])
        .current_dir(dir.path())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut told = String::new();
    std::io::Read::read_to_string(child.stderr.as_mut().unwrap(), &mut told).unwrap();
    assert_eq!((child.wait().unwrap().code(), told.as_str()), (Some(0), ""));
}

/// A host that answers as the API does, on a data folder's socket.
struct Fake {
    data: tempfile::TempDir,
    _stop: watch::Sender<bool>,
}

impl Fake {
    fn start(app: Router) -> Self {
        let data = tempfile::tempdir().unwrap();
        let (_stop, stopping) = watch::channel(false);
        let access = Arc::new(Access::new("admin", "read", "127.0.0.1:1".parse().unwrap(), Vec::new()));
        let listener = bind_unix(&data.path().join("skep.sock")).unwrap();
        tokio::spawn(serve::serve(listener, guarded(app, access, Via::Socket), Bounds::default(), stopping));
        Self { data, _stop }
    }

    async fn skep(&self, arguments: &[&str]) -> (i32, String, String) {
        let data: PathBuf = self.data.path().into();
        let mut arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        arguments.extend(["--data".to_owned(), data.display().to_string()]);
        tokio::task::spawn_blocking(move || skep(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &data)).await.unwrap()
    }
}

#[tokio::test]
async fn listings_come_as_tables_or_as_the_hosts_json() {
    let app = Router::new()
        .route("/api/v1/workers", get(|| async { Json([worker("pages", WorkerState::Running)]) }))
        .route("/api/v1/problems", get(|| async { Json([problem("b.toml", 2, None, None, "expected a value", None)]) }));
    let host = Fake::start(app);
    let (code, out, err) = host.skep(&["get", "workers"]).await;
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(
        out.starts_with("NAME   STATE    REPLICAS") && out.ends_with("1 problem in manifests:\nb.toml:2:3: expected a value\n"),
        "{out}"
    );
    assert!(!out.contains('\x1b'), "no colours into a pipe");
    let (code, out, _) = host.skep(&["get", "workers", "-o", "json"]).await;
    let all: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, all[0]["name"].as_str()), (0, Some("pages")));
    for key in ["component", "digest", "state", "replicas", "incarnation", "restarts", "last_error", "config", "schedule", "since"] {
        assert!(all[0].get(key).is_some(), "{key}");
    }
    // Something this fake does not know: the answer's error and hint, and the code for "not found".
    let (code, out, err) = host.skep(&["why", "pages"]).await;
    assert_eq!((code, out.as_str()), (3, ""));
    assert!(err.starts_with("error: nothing at /api/v1/workers/pages/why\n"), "{err}");
}

#[tokio::test]
async fn items_keep_their_slash_on_the_way() {
    let line = |text: &str| LogLine {
        at: at("06:00:00"),
        worker: "pinger/nas".into(),
        replica: 1,
        level: Level::Info,
        source: "log".into(),
        text: text.into(),
    };
    let logs = move |Path(name): Path<String>, RawQuery(query): RawQuery| async move {
        assert_eq!(name, "pinger/nas");
        match query.unwrap().as_str() {
            "limit=2&follow=false" => serde_json::to_string(&[line("one"), line("two")]).unwrap(),
            "limit=100&follow=true" => [sse::frame(None, "line", &line("three")), sse::missed(4)].concat(),
            other => panic!("{other}"),
        }
    };
    let call = |Path(name): Path<String>, RawQuery(query): RawQuery, body: Bytes| async move {
        assert_eq!((name.as_str(), query.as_deref()), ("pinger/nas", Some("method=echo&timeout=30s&replica=2")));
        if body.is_empty() { Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "nothing to echo")) } else { Ok(body) }
    };
    let act = |Path(name): Path<String>| async move { Json(serde_json::json!({ "worker": name, "message": "ticks now" })) };
    let app = Router::new()
        .route("/api/v1/workers/{name}/logs", get(logs))
        .route("/api/v1/workers/{name}/call", post(call))
        .route("/api/v1/workers/{name}/tick", post(act));
    let host = Fake::start(app);
    let (code, out, _) = host.skep(&["logs", "pinger/nas", "-n", "2"]).await;
    assert_eq!(code, 0);
    assert!(out.lines().count() == 2 && out.ends_with("  info   two\n"), "{out}");
    let (code, out, err) = host.skep(&["logs", "pinger/nas", "-f", "-o", "json"]).await;
    assert_eq!(serde_json::from_str::<LogLine>(&out).unwrap().text, "three");
    assert_eq!(code, 5, "a stream that ends means the host went away");
    assert!(err.starts_with("(4 missed)\nerror: the host at ") && err.contains("ended the stream"), "{err}");
    let (code, out, _) = host.skep(&["call", "pinger/nas/2", "echo", "hello"]).await;
    assert_eq!((code, out.as_str()), (0, "hello"));
    let (code, _, err) = host.skep(&["call", "pinger/nas/2", "echo"]).await;
    assert_eq!((code, err.as_str()), (1, "error: nothing to echo\n"), "the worker said no, the host did not");
    let (code, out, _) = host.skep(&["tick", "pinger/nas", "pinger/router"]).await;
    assert_eq!((code, out.as_str()), (0, "pinger/nas ticks now\npinger/router ticks now\n"));
}

#[tokio::test]
async fn apply_prints_the_plan_and_diff_exits_1_when_anything_differs() {
    let plan = |RawQuery(query): RawQuery, body: String| async move {
        if body.contains("broken") {
            let problems = vec![problem("body", 3, Some("b"), Some("every"), "is not a duration", Some("write \"30s\""))];
            return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "1 problem(s); nothing was applied").problems(problems));
        }
        let dry_run = query.unwrap().contains("dry_run=true");
        let steps = if body.is_empty() { vec![] } else { vec![Step { verb: Verb::Create, worker: "a".into(), changes: vec![] }] };
        Ok(Json(Plan { generation: 2, applied: !dry_run && !steps.is_empty(), steps, unchanged: 0, files: vec![], forgets: vec![] }))
    };
    let host = Fake::start(Router::new().route("/api/v1/apply", post(plan)).route("/api/v1/diff", post(plan)));
    let file = |name: &str, text: &str| {
        let path = host.data.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (a, b, empty) = (file("a.toml", "[[worker]]\nname = \"a\"\n"), file("b.toml", "broken\n"), file("empty.toml", ""));
    assert_eq!(host.skep(&["apply", "-f", &a]).await.1, "+ create a\napplied as generation 2\n");
    assert_eq!(host.skep(&["apply", "-f", &a, "--dry-run"]).await.1, "+ create a\ndry run: nothing was changed (1 step)\n");
    assert_eq!(host.skep(&["diff", "-f", &a]).await.0, 1);
    assert_eq!(host.skep(&["diff", "-f", &empty]).await.0, 0);
    // The third line of both files together is the first of the second.
    let (code, out, err) = host.skep(&["apply", "-f", &a, &b]).await;
    assert_eq!((code, out.as_str()), (4, ""));
    assert!(err.starts_with(&format!("{b}:1:3: worker \"b\": every: is not a duration\n  hint: write \"30s\"\nerror: ")), "{err}");
}
