//! Alerts as whoever gets them sees them: the real host, the notifier, and a receiver that may be away.

mod outbox; // the store: a flip, its event and its alert together or not at all
mod rules; // what is told, as pure data: against what a person would expect
mod trouble; // workers, jobs, certificates; batches; who is asked

use serde_json::{Value, json};

use crate::support::{
    Host, eventually,
    site::{Post, Site},
};

/// A notifier whose one target is a site of the test's.
pub fn notifier(receiver: &Site, more: &str) -> String {
    format!(
        "[[worker]]\nname = \"notifier\"\ncomponent = \"notifier.wasm\"\njobs = {{ queue = \"alerts\" }}\n{more}\n[worker.config]\n\
         targets = [{{ kind = \"webhook\", url = \"{}\" }}]\n[worker.grants]\nhttp = {{ allow = [\"config:targets.url\"] }}\n\
         queue = {{ push = [\"alerts\"] }}\n",
        receiver.url()
    )
}

/// A worker that looks at a site every second and believes it at once.
pub fn pages(name: &str, site: &Site, checks: &str, more: &str) -> String {
    format!(
        "[[worker]]\nname = \"{name}\"\ncomponent = \"poller.wasm\"\nschedule = {{ every = \"1s\" }}\nconfig = {{ urls = [\"{}\"] }}\n\
         grants = {{ http = {{ allow = [\"config:urls\"] }} }}\nchecks = {{ confirm = 1, recover = 1{checks} }}\n{more}\n",
        site.url()
    )
}

/// Waits until so many requests with a body came.
pub fn posts(receiver: &Site, count: usize) -> Vec<Post> {
    eventually(&format!("{count} alerts"), || Some(receiver.posts()).filter(|posts| posts.len() >= count))
}

pub fn alerts(host: &Host) -> Value {
    let (status, text) = host.api("/api/v1/alerts");
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Asks for a test alert; status and answer.
pub fn test(host: &Host) -> (u16, Value) {
    ask(host, "alerts/test", "")
}

pub fn ask(host: &Host, path: &str, body: &str) -> (u16, Value) {
    let token = std::fs::read_to_string(host.data().join("admin.token")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let request = reqwest::Client::new().post(format!("{}/api/v1/{path}", host.admin)).bearer_auth(token.trim());
        let answer = request.header("content-type", "application/json").body(body.to_owned()).send().await.unwrap();
        (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
    })
}

/// Everything that was told before this has arrived once it did: alerts go in order.
pub fn barrier(host: &Host, receiver: &Site) -> Vec<Value> {
    let (status, pushed) = test(host);
    assert_eq!(status, 200, "{pushed}");
    let arrived = |post: &Post| post.headers["idempotency-key"] == pushed["id"].as_str().unwrap();
    let all = eventually("the test alert", || Some(receiver.posts()).filter(|posts| posts.iter().any(arrived)));
    all.iter().map(Post::json).filter(|alert| alert["kind"] != "test").collect()
}

#[test]
fn a_check_is_told_once_when_it_goes_down_and_once_when_it_is_up_again() {
    let (site, receiver) = (Site::up(), Site::up());
    let mut host = Host::with(&["poller", "notifier"]);
    host.running("notifier", &notifier(&receiver, ""));
    host.drop_manifest("pages.toml", &pages("pages", &site, "", "title = 'Front \"door\" <b>'\ngroup = \"home\"\nnotes = \"call Bob\""));
    host.check_when(&site.url(), "up");

    site.answer(500);
    let down = posts(&receiver, 1).remove(0);
    let alert = down.json();
    assert_eq!(down.headers["idempotency-key"], alert["id"].as_str().unwrap());
    assert_eq!(down.headers["content-type"], "application/json");
    let summary = format!("down: {} (Front \"door\" <b>): status 500, expected 200-399", site.url());
    assert_eq!(
        (&alert["kind"], &alert["to"], &alert["from"], &alert["summary"]),
        (&json!("check"), &json!("down"), &json!("up"), &json!(summary))
    );
    let about = (&alert["worker"], &alert["title"], &alert["group"], &alert["notes"], &alert["subject"]);
    assert_eq!(about, (&json!("pages"), &json!("Front \"door\" <b>"), &json!("home"), &json!("call Bob"), &json!(site.url())));
    assert_eq!((&alert["evidence"]["http_status"], &alert["evidence"]["excerpt"]), (&json!(500), &json!("all is well")));
    assert!(alert["since"].is_string() && alert["before_ms"].is_u64() && !alert["host"].as_str().unwrap().is_empty(), "{alert:#}");

    // A restart tells nothing again, and does not forget that the all-clear is owed.
    host.stop();
    host.start();
    host.check_when(&site.url(), "down");
    assert_eq!(barrier(&host, &receiver).len(), 1);
    site.answer(200);
    host.check_when(&site.url(), "up");
    let told = barrier(&host, &receiver);
    assert_eq!(told.len(), 2, "{told:#?}");
    assert_eq!((&told[1]["to"], &told[1]["from"]), (&json!("up"), &json!("down")));
    assert!(told[1]["summary"].as_str().unwrap().starts_with(&format!("up again: {} (Front", site.url())), "{:#}", told[1]);

    let listed = alerts(&host);
    assert_eq!((&listed["on"], &listed["workers"], &listed["left_out"]), (&json!(true), &json!(["notifier"]), &json!(0)));
    let recent: Vec<_> = listed["recent"].as_array().unwrap().iter().map(|alert| (&alert["kind"], &alert["to"], &alert["state"])).collect();
    let (check, test, done) = (json!("check"), json!("test"), json!("done"));
    assert_eq!(recent[0], (&test, &test, &done));
    assert_eq!(recent[1], (&check, &json!("up"), &done));
    assert_eq!(recent.len(), 4);
}

#[test]
fn an_alert_is_neither_lost_nor_doubled_by_kill_9_while_its_receiver_is_away() {
    let (site, mut receiver) = (Site::up(), Site::up());
    let address = receiver.address;
    let mut host = Host::with(&["poller", "notifier"]);
    host.running("notifier", &notifier(&receiver, ""));
    host.drop_manifest("pages.toml", &pages("pages", &site, "", ""));
    host.check_when(&site.url(), "up");
    receiver.down();
    site.answer(500);
    let waiting = eventually("the alert, tried in vain", || {
        let alert = alerts(&host)["recent"][0].clone();
        alert["last_error"].as_str().is_some_and(|error| error.contains("refused the connection")).then_some(alert)
    });
    assert_eq!(waiting["kind"], "check");
    host.kill();
    let receiver = Site::on(address);
    host.start();
    let alert = posts(&receiver, 1)[0].json();
    assert_eq!((&alert["id"], &alert["to"]), (&waiting["id"], &json!("down")));
    host.check_when(&site.url(), "down");
    assert_eq!(barrier(&host, &receiver).len(), 1);
}

#[test]
fn nobody_who_takes_alerts_no_alerts() {
    let (site, receiver) = (Site::up(), Site::up());
    let host = Host::with(&["poller", "notifier"]);
    host.drop_manifest("notifier.toml", &notifier(&receiver, "paused = true"));
    host.worker_when("notifier", "paused", |worker| worker["state"] == "paused");
    host.drop_manifest("pages.toml", &pages("pages", &site, "", ""));
    host.check_when(&site.url(), "up");
    site.answer(500);
    host.check_when(&site.url(), "down");
    let (status, refused) = test(&host);
    assert_eq!(status, 409, "{refused}");
    assert!(refused["hint"].as_str().unwrap().contains("skep resume notifier"), "{refused}");
    let listed = alerts(&host);
    assert_eq!((&listed["on"], &listed["workers"], &listed["recent"]), (&json!(false), &json!([]), &json!([])));

    // From here on it is told; what it was not told of needs no all-clear.
    host.ok(&["resume", "notifier"]);
    eventually("alerts are on", || alerts(&host)["on"].as_bool().filter(|on| *on));
    site.answer(200);
    host.check_when(&site.url(), "up");
    assert_eq!(barrier(&host, &receiver), Vec::<Value>::new());
    host.ok(&["delete", "worker", "notifier"]);
    eventually("alerts are off", || alerts(&host)["on"].as_bool().filter(|on| !*on));
    assert_eq!(test(&host).0, 409);
}

#[test]
fn what_its_parent_explains_is_told_only_if_it_stays_when_the_parent_is_good_again() {
    let (gate, site, receiver) = (Site::up(), Site::up(), Site::up());
    let host = Host::with(&["poller", "notifier"]);
    host.running("notifier", &notifier(&receiver, ""));
    host.drop_manifest("gateway.toml", &pages("gateway", &gate, "", ""));
    host.check_when(&gate.url(), "up");
    host.drop_manifest("pages.toml", &pages("pages", &site, ", parent = \"gateway\"", ""));
    host.check_when(&site.url(), "up");
    gate.answer(500);
    host.check_when(&gate.url(), "down");
    site.answer(500);
    host.check_when(&site.url(), "down");
    assert!(host.ok(&["events"]).contains("(not alerted: its parent gateway is down)"), "{}", host.ok(&["events"]));
    site.answer(200);
    host.check_when(&site.url(), "up");
    site.answer(500);
    host.check_when(&site.url(), "down");
    let subjects = |told: &[Value]| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        told.iter().map(|alert| (text(&alert["subject"]), text(&alert["to"]))).collect()
    };
    let (gate_url, url) = (gate.url(), site.url());
    let said = |url: &String, to: &str| (url.clone(), to.to_owned());
    assert_eq!(subjects(&barrier(&host, &receiver)), [said(&gate_url, "down")]);

    gate.answer(200);
    host.check_when(&gate_url, "up");
    let told = eventually("the held one", || Some(barrier(&host, &receiver)).filter(|told| told.len() >= 3));
    assert_eq!(subjects(&told), [said(&gate_url, "down"), said(&gate_url, "up"), said(&url, "down")]);
    site.answer(200);
    host.check_when(&url, "up");
    let told = barrier(&host, &receiver);
    assert_eq!(subjects(&told)[3..], [said(&url, "up")], "whoever was alarmed hears the all-clear");
}
