//! Workers, jobs and certificates; batches; targets that refuse.

use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use super::{alerts, ask, barrier, notifier, posts, test};
use crate::support::{Host, authority::Authority, eventually, site::Site};

#[test]
fn a_worker_is_told_once_when_it_is_quarantined_and_once_when_it_works_again() {
    let receiver = Site::up();
    let mut host = Host::with(&["crash", "notifier"]);
    host.running("notifier", &notifier(&receiver, ""));
    host.running(
        "c",
        "[[worker]]\nname = \"c\"\ntitle = \"Fragile\"\ncomponent = \"crash.wasm\"\nrestart = { intensity = 0, period = \"60s\" }\n",
    );
    host.run(&["call", "c", "panic", ""]);
    let alert = posts(&receiver, 1)[0].json();
    assert_eq!((&alert["kind"], &alert["to"], &alert["worker"]), (&json!("worker"), &json!("quarantined"), &json!("c")));
    let summary = alert["summary"].as_str().unwrap();
    assert!(summary.starts_with("quarantined: worker c (Fragile) crashed too often: ") && summary.contains("asked to crash"), "{summary}");
    // It comes back by itself, crashes again: that is known.
    host.worker_when("c", "running again", |worker| worker["state"] == "running");
    host.run(&["call", "c", "panic", ""]);
    host.worker_when("c", "quarantined", |worker| worker["state"] == "quarantined");
    host.stop();
    host.start();
    host.worker_when("c", "running", |worker| worker["state"] == "running");
    assert_eq!(barrier(&host, &receiver).len(), 1);
    assert_eq!(host.ok(&["call", "c", "ok", "x"]).trim_end(), "x");
    let told = eventually("the all-clear", || Some(barrier(&host, &receiver)).filter(|told| told.len() == 2));
    assert_eq!((&told[1]["to"], &told[1]["from"]), (&json!("running"), &json!("quarantined")));

    // Can't start: told at once; mended: told by the start alone.
    let bad = |mode: &str| {
        format!("[[worker]]\nname = \"i\"\ncomponent = \"crash.wasm\"\ninstance = \"resident\"\nconfig = {{ mode = \"{mode}\" }}\n")
    };
    host.drop_manifest("i.toml", &bad("init-err"));
    let told = eventually("the failure", || Some(barrier(&host, &receiver)).filter(|told| told.len() == 3));
    assert_eq!((&told[2]["to"], &told[2]["worker"]), (&json!("failed"), &json!("i")));
    host.drop_manifest("i.toml", &bad("ok"));
    let told = eventually("the start", || Some(barrier(&host, &receiver)).filter(|told| told.len() == 4));
    assert_eq!((&told[3]["to"], &told[3]["from"]), (&json!("running"), &json!("failed")));
}

/// Makes so many jobs dead, from outside.
fn kill_jobs(host: &Host, count: usize) {
    for n in 0..count {
        let (status, pushed) = ask(host, "queues/todo/jobs", &json!({ "payload": n.to_string() }).to_string());
        assert_eq!(status, 200, "{pushed}");
        let (_, leased) = ask(host, "queues/todo/lease", r#"{"holder":"me@nas","wait":"5s"}"#);
        let id = leased[0]["id"].as_str().unwrap();
        let (status, ended) =
            ask(host, &format!("jobs/{id}/nack"), &json!({ "attempt": 1, "reason": format!("no use {n}"), "dead": true }).to_string());
        assert_eq!((status, &ended["state"]), (200, &json!("dead")));
    }
}

#[test]
fn a_dead_job_is_told_and_a_dead_alert_is_not() {
    let receiver = Site::up();
    let host = Host::with(&["notifier"]);
    host.running("notifier", &notifier(&receiver, ""));
    kill_jobs(&host, 1);
    let alert = posts(&receiver, 1)[0].json();
    assert_eq!(
        (&alert["kind"], &alert["to"], &alert["subject"], &alert["worker"]),
        (&json!("job"), &json!("dead"), &json!("todo"), &json!("me@nas"))
    );
    assert_eq!(alert["summary"], "dead: a job of the queue todo after 1 try: no use 0");

    receiver.answer(404);
    kill_jobs(&host, 1);
    let dead = eventually("the alert is given up", || {
        let recent = alerts(&host)["recent"].clone();
        recent.as_array().unwrap().iter().find(|alert| alert["state"] == "dead").cloned()
    });
    assert!(dead["last_error"].as_str().unwrap().ends_with("answered 404"), "{dead:#}");
    receiver.answer(200);
    let told: Vec<_> = barrier(&host, &receiver).into_iter().map(|alert| alert["summary"].clone()).collect();
    assert_eq!(told, ["dead: a job of the queue todo after 1 try: no use 0"; 2]);
    assert_eq!(alerts(&host)["recent"].as_array().unwrap().len(), 3, "nothing about the alert itself");
}

#[test]
fn what_comes_together_goes_as_one_message_and_the_same_one_when_it_is_tried_again() {
    let receiver = Site::up();
    let host = Host::with(&["notifier"]);
    host.running("notifier", &notifier(&receiver, "").replace("[worker.config]\n", "[worker.config]\nbatch = \"3s\"\n"));
    receiver.answer(503);
    kill_jobs(&host, 3);
    let first = posts(&receiver, 1).remove(0);
    receiver.answer(200);
    let second = posts(&receiver, 2).remove(1);
    assert_eq!((&first.body, &first.headers["idempotency-key"]), (&second.body, &second.headers["idempotency-key"]));
    let batch = second.json();
    let said: Vec<_> = batch["alerts"].as_array().unwrap().iter().map(|alert| alert["kind"].as_str().unwrap()).collect();
    assert_eq!((said, &batch["kind"], &batch["summary"]), (vec!["job"; 3], &json!("batch"), &json!("3 alerts")));
    // A test waits for no company, and shows that nothing else came.
    assert_eq!(barrier(&host, &receiver).len(), 2);
    let states: Vec<Value> = alerts(&host)["recent"].as_array().unwrap().iter().map(|alert| alert["state"].clone()).collect();
    assert_eq!(states, vec![json!("done"); 5], "three, their batch, the test");
}

#[test]
fn a_target_that_has_it_is_not_told_again_while_another_is_away() {
    let (receiver, mut other) = (Site::up(), Site::up());
    let address = other.address;
    let host = Host::with(&["notifier"]);
    let slack = format!("targets = [{{ kind = \"slack\", url = \"{}\" }}, ", other.url());
    host.running("notifier", &notifier(&receiver, "").replace("targets = [", &slack));
    other.down();
    assert_eq!(test(&host).0, 200);
    posts(&receiver, 1);
    eventually("tried in vain", || alerts(&host)["recent"][0]["last_error"].as_str().map(str::to_owned));
    let other = Site::on(address);
    let late = posts(&other, 1)[0].json();
    assert_eq!(late, json!({ "text": "test: alerts of this host reach you" }));
    eventually("done", || (alerts(&host)["recent"][0]["state"] == "done").then_some(()));
    assert_eq!(receiver.posts().len(), 1);
}

/// An HTTPS server that says yes.
fn https(config: Arc<rustls::ServerConfig>) -> (tokio::runtime::Runtime, std::net::SocketAddr) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let config = config.clone();
            tokio::spawn(async move {
                let yes = service_fn(|_| async { Ok::<_, std::convert::Infallible>(hyper::Response::new("yes".to_owned())) });
                if let Ok(stream) = tokio_rustls::TlsAcceptor::from(config).accept(stream).await {
                    // A client that hangs up is none of its business.
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), yes).await;
                }
            });
        }
    });
    (runtime, address)
}

#[test]
fn a_certificate_near_its_end_is_told_once() {
    let receiver = Site::up();
    let mut host = Host::with(&["poller", "notifier"]);
    let authority = Authority::new();
    authority.write(host.data(), "ca.pem");
    // It ends next February, or the one after.
    let year = i32::from(jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).year()) + 1;
    let (_runtime, address) = https(authority.until(&["127.0.0.1"], year, &[b"http/1.1"]));
    let url = format!("https://{address}/");
    let pages = |notice: &str| {
        format!(
            "[[worker]]\nname = \"pages\"\ncomponent = \"poller.wasm\"\nschedule = {{ every = \"1s\" }}\nconfig = {{ urls = [\"{url}\"] }}\n\
             grants = {{ http = {{ allow = [\"config:urls\"], ca = \"ca.pem\" }} }}\nchecks = {{ certificate = \"{notice}\" }}\n"
        )
    };
    host.running("notifier", &notifier(&receiver, ""));
    host.drop_manifest("pages.toml", &pages("1d"));
    host.check_when(&url, "up");
    assert_eq!(barrier(&host, &receiver).len(), 0);
    // Live: no restart, no new check.
    host.drop_manifest("pages.toml", &pages("400d"));
    let alert = eventually("the notice", || barrier(&host, &receiver).first().cloned());
    assert_eq!((&alert["kind"], &alert["to"], &alert["subject"]), (&json!("certificate"), &json!("near-end"), &json!(url)));
    let summary = alert["summary"].as_str().unwrap();
    assert!(summary.starts_with(&format!("{url}: its certificate ends in ")) && summary.ends_with(" days"), "{summary}");
    host.stop();
    host.start();
    let seen = host.check_when(&url, "up")["last"].clone();
    eventually("another look", || (host.check_when(&url, "up")["last"] != seen).then_some(()));
    assert_eq!(barrier(&host, &receiver).len(), 1);
}
