//! Monitors by form: what is written for them, what a change leaves alone, and mistakes by field.

use reqwest::Method;
use serde_json::{Value, json};

use super::whole::{Whole, answer};
use crate::fleet::support::POLLER;

async fn host(files: &[(&str, &str)]) -> Whole {
    let host = Whole::with(&[]).await;
    host.fleet.plugin("pinger.wasm", POLLER);
    for (name, text) in files {
        let (status, plan) = answer(host.request(Method::PUT, &format!("files/{name}")).body((*text).to_owned())).await;
        assert_eq!(status, 200, "{plan}");
    }
    host
}

/// `field: message` of every problem.
fn said(error: &Value) -> Vec<String> {
    let problems = error["problems"].as_array().unwrap_or_else(|| panic!("{error}"));
    assert!(problems.iter().all(|problem| problem["hint"].is_string()), "each has a way out: {error:#}");
    problems.iter().map(|problem| format!("{}: {}", problem["field"].as_str().unwrap(), problem["message"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn a_url_becomes_a_worker_after_its_plan_was_shown() {
    let host = host(&[]).await;
    let form = json!({ "kind": "url", "title": " Our <b>pages</b> ", "group": "web", "notes": "line one\nline \"two\"", "every": "30s",
        "url": "https://example.com/health", "expect": "200-299, 418", "contains": "it's ok", "timeout": "8s", "name": "", "tcp": null });
    let (status, plan) = host.post("monitors?dry_run", form.clone()).await;
    assert_eq!((status, &plan["applied"]), (200, &json!(false)), "{plan}");
    assert_eq!((&plan["steps"][0]["verb"], &plan["steps"][0]["worker"]), (&json!("create"), &json!("our-b-pages-b")));
    assert!(host.fleet.files().is_empty());
    assert_eq!(host.post("monitors", form.clone()).await.0, 200);
    assert_eq!(host.fleet.files(), ["our-b-pages-b.toml"]);
    let text = host.fleet.text("our-b-pages-b.toml");
    assert!(text.starts_with("[[worker]]\nname = \"our-b-pages-b\"\ntitle = \"Our <b>pages</b>\"\ngroup = \"web\"\n"), "{text}");
    assert!(text.contains("schedule = { every = \"30s\" }\nlimits = { timeout = \"25s\" }\n"), "three steps of 8 s need room: {text}");
    assert!(text.ends_with("grants = { http = { allow = [\"config:urls\"] } }\n"), "a public name needs no lan: {text}");
    let unit = host.fleet.fleet().desired();
    let spec = &unit.unit("our-b-pages-b").unwrap().spec;
    assert_eq!(
        *spec.run.config,
        json!({ "urls": ["https://example.com/health"], "expect": "200-299, 418", "contains": "it's ok", "timeout": "8s" })
    );
    assert_eq!(spec.live.notes.as_deref(), Some("line one\nline \"two\""));

    // Read back, it is what was typed in.
    let (status, shown) = host.get("monitors/our-b-pages-b").await;
    assert_eq!(status, 200, "{shown}");
    for key in ["kind", "group", "notes", "every", "url", "expect", "contains", "timeout", "tcp"] {
        assert_eq!(shown[key], form[key], "{key}");
    }
    assert_eq!((&shown["title"], &shown["lan"], &shown["item"]), (&json!("Our <b>pages</b>"), &json!(false), &json!(false)));

    // The same title again: another name.
    let (_, plan) = host.post("monitors", form).await;
    assert_eq!(plan["steps"][0]["worker"], "our-b-pages-b-2");
}

#[tokio::test]
async fn a_machine_becomes_a_worker_with_a_name_of_its_own() {
    let host = host(&[]).await;
    for (form, name, grant) in [
        (json!({ "kind": "machine", "address": "192.168.1.10", "every": "10s", "title": "NAS" }), "nas", "] }"),
        (json!({ "kind": "machine", "address": "nas", "every": "10s", "name": "by-name", "tcp": "22" }), "by-name", "], lan = true }"),
        (json!({ "kind": "machine", "address": "tv.home.arpa", "every": "1m" }), "tv-home-arpa", "], lan = true }"),
        (json!({ "kind": "machine", "address": "tv.lan", "every": "1m", "lan": false }), "tv-lan", "] }"),
        (json!({ "kind": "machine", "address": "::1", "every": "1m", "timeout": "9s" }), "w1", "] }"),
        (json!({ "kind": "url", "url": "http://nas:8080/x", "every": "1m", "title": "日本" }), "nas-8080", "], lan = true }"),
        (json!({ "kind": "url", "url": "http://host.example/", "every": "1m", "title": "123", "lan": true }), "w123", "], lan = true }"),
    ] {
        let (status, plan) = host.post("monitors", form.clone()).await;
        assert_eq!((status, &plan["steps"][0]["worker"]), (200, &json!(name)), "{form}: {plan}");
        let text = host.fleet.text(&format!("{name}.toml"));
        assert!(text.trim_end().ends_with(&format!("{grant} }}")), "{text}");
        let (_, shown) = host.get(&format!("monitors/{name}")).await;
        assert_eq!((&shown["address"], &shown["url"]), (&form["address"], &form["url"]), "{shown}");
    }
    let text = host.fleet.text("by-name.toml");
    assert!(text.contains("config = { machines = [{ name = \"by-name\", address = \"nas\", tcp = 22 }] }\n"), "{text}");
    assert!(host.fleet.text("w1.toml").contains("limits = { timeout = \"11s\" }"));
    // A name that is taken is no update of somebody else's worker.
    let again = json!({ "kind": "machine", "name": "nas", "address": "10.0.0.1", "every": "bad" });
    let (status, error) = host.post("monitors", again).await;
    assert_eq!(status, 422);
    assert_eq!(said(&error).iter().map(|said| said.split(':').next().unwrap()).collect::<Vec<_>>(), ["every", "name"], "{error:#}");
    assert!(host.fleet.text("nas.toml").contains("192.168.1.10"));
}

#[tokio::test]
async fn every_mistake_is_told_at_once_by_its_field() {
    let host = host(&[]).await;
    let all = json!({ "kind": "url", "name": "Not A Name", "title": "two\nlines", "group": "g".repeat(64), "notes": 7, "every": "1",
        "url": "example.com", "expect": "2xx", "contains": "c".repeat(1_025), "timeout": "2m", "tcp": 80, "parent": "No One", "lan": "yes",
        "colour": "red" });
    let (status, error) = host.post("monitors", all).await;
    assert_eq!(status, 422);
    let fields: std::collections::BTreeSet<String> = said(&error).iter().map(|said| said.split(':').next().unwrap().to_owned()).collect();
    let expected = ["colour", "contains", "every", "expect", "group", "lan", "name", "notes", "parent", "tcp", "timeout", "title", "url"];
    assert_eq!(fields.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{error:#}");
    let hint = |field: &str| {
        let problem = error["problems"].as_array().unwrap().iter().find(|problem| problem["field"] == field).unwrap();
        problem["hint"].as_str().unwrap().to_owned()
    };
    assert_eq!((hint("url").as_str(), hint("name").as_str()), ("write for example https://example.com", "write not-a-name"));

    let (_, error) = host.post("monitors", json!({})).await;
    assert_eq!(said(&error), ["kind: is needed", "every: is needed"]);
    for (form, expected) in [
        (json!({ "kind": "url" }), "url: is needed"),
        (json!({ "kind": "machine" }), "address: is needed"),
        (json!({ "kind": "dns" }), "kind: is neither url nor machine"),
        (json!({ "kind": "url", "url": "ftp://example.com/" }), "url: \"ftp://example.com/\": only http and https are served"),
        (json!({ "kind": "url", "url": "http://u:p@example.com/" }), "url: a URL can't carry a user name or password"),
        (json!({ "kind": "url", "url": "http://example.com/#a" }), "url: has a fragment (#…), which is never sent"),
        (json!({ "kind": "url", "url": "http://exämple.com/" }), "url: has the character 'ä'"),
        (json!({ "kind": "url", "url": "http://a.skep.internal/" }), "url: leads to a worker of this host"),
        (json!({ "kind": "url", "url": "http:///x" }), "url: \"http:///x\" names no host"),
        (json!({ "kind": "url", "url": "http://a/", "every": "10ms" }), "every: \"10ms\" is out of range; it goes from 1s to 366d"),
        (json!({ "kind": "machine", "address": "http://nas/" }), "address: is a URL"),
        (json!({ "kind": "machine", "address": "nas:22" }), "address: has a port"),
        (json!({ "kind": "machine", "address": "10.0.0.0/8" }), "address: is neither a name nor an address"),
        (json!({ "kind": "machine", "address": "*.example.com" }), "address: is neither a name nor an address"),
        (json!({ "kind": "machine", "address": "a", "tcp": 65_536 }), "tcp: must be a port from 1 to 65535"),
        (json!({ "kind": "machine", "address": "a", "contains": "x" }), "contains: a machine has none"),
    ] {
        let (status, error) = host.post("monitors", form.clone()).await;
        assert_eq!(status, 422, "{form}");
        assert!(said(&error).iter().any(|said| said == expected), "{form}: {:?}", said(&error));
    }
    assert_eq!(answer(host.request(Method::POST, "monitors").body("[]")).await.0, 400);
    assert!(host.fleet.files().is_empty());
    // What only the folder knows is told by field, too.
    std::fs::remove_file(host.fleet.dir.path().join("plugins/poller.wasm")).unwrap();
    let (status, error) = host.post("monitors", json!({ "kind": "url", "url": "http://a/", "every": "1m" })).await;
    assert_eq!((status, &error["problems"][0]["field"]), (422, &json!("kind")), "{error}");
}

const EDITED: &str = "\
# Watched by us.
[[worker]]
name = \"pages\"  # never rename
component = \"poller.wasm\"
schedule = { every = \"30s\" } # often
checks = { confirm = 5 }

[worker.config]
redirects = 2  # they move
urls = [
  # the shop
  { url = \"http://shop.lan/\", headers = { accept = \"text/html\" }, contains = \"ok\" },
]
[worker.grants.http]
allow = [\"config:urls\"]
lan = true
";

#[tokio::test]
async fn a_change_sets_what_differs_and_keeps_the_rest() {
    let host = host(&[("pages.toml", EDITED)]).await;
    let (_, mut form) = host.get("monitors/pages").await;
    assert_eq!((&form["url"], &form["contains"], &form["lan"]), (&json!("http://shop.lan/"), &json!("ok"), &json!(true)));
    // Sent back as it came, it changes nothing.
    let (status, plan) = host.put("monitors/pages", form.clone()).await;
    assert_eq!((status, &plan["applied"], &plan["steps"]), (200, &json!(false), &json!([])), "{plan}");
    assert_eq!(host.fleet.text("pages.toml"), EDITED);

    form["url"] = json!("http://shop.lan/health");
    form["contains"] = Value::Null;
    form["every"] = json!("1m");
    form["timeout"] = json!("30s");
    form["title"] = json!("Shop \"A\"");
    let (status, plan) = host.put("monitors/pages?dry_run", form.clone()).await;
    assert_eq!((status, &plan["applied"], &plan["steps"][0]["verb"]), (200, &json!(false), &json!("update")), "{plan}");
    assert_eq!(host.fleet.text("pages.toml"), EDITED);
    assert_eq!(host.put("monitors/pages", form.clone()).await.0, 200);
    let expected = EDITED
        .replace("\"http://shop.lan/\"", "\"http://shop.lan/health\"")
        .replace(", contains = \"ok\" }", ", timeout = \"30s\" }")
        .replace("\"30s\" } # often", "\"1m\" } # often")
        .replace("checks = { confirm = 5 }\n", "checks = { confirm = 5 }\ntitle = 'Shop \"A\"'\nlimits = { timeout = \"1m 31s\" }\n");
    assert_eq!(host.fleet.text("pages.toml"), expected);

    // It was read before that change: whoever still has that is told.
    form["title"] = json!("Too late");
    let stale = form["base"].as_str().unwrap();
    let (status, error) = host.put(&format!("monitors/pages?base={stale}"), form.clone()).await;
    assert_eq!(status, 409, "{error}");
    assert_eq!(host.fleet.text("pages.toml"), expected);
    for (field, value, said_of_it) in
        [("name", "other", "name: can't be changed: its history goes by it"), ("kind", "machine", "kind: can't be changed")]
    {
        let mut wrong = form.clone();
        wrong[field] = json!(value);
        let (status, error) = host.put("monitors/pages", wrong).await;
        assert!(status == 422 && said(&error).iter().any(|said| said == said_of_it), "{error:#}");
    }
}

const MACHINES: &str = "\
[[worker]]
name = \"pinger\"
title = \"Machines\"
component = \"pinger.wasm\"
each = \"machines\"
schedule = { every = \"60s\" }
grants = { ping = { allow = [\"config:machines.address\"] } }

[worker.config]
timeout = \"1s\"

# In the cellar.
[[worker.config.machines]]
name = \"nas\"
address = \"192.168.1.10\"  # static
packets = 5

[[worker.config.machines]]
name = \"router\"
address = \"192.168.1.1\"
";

#[tokio::test]
async fn one_machine_of_a_list_is_changed_in_its_own_table() {
    let host = host(&[("pinger.toml", MACHINES)]).await;
    let (status, mut form) = host.get("monitors/pinger%2Fnas").await;
    assert_eq!((status, &form["item"], &form["title"]), (200, &json!(true), &json!("Machines")), "{form}");
    assert_eq!((&form["every"], &form["timeout"]), (&json!("1m"), &json!("1s")), "what the list says for all");
    form["address"] = json!("192.168.1.11");
    form["every"] = json!("10s");
    form["title"] = json!("NAS");
    form["group"] = json!("home");
    form["tcp"] = json!(445);
    let (status, plan) = host.put("monitors/pinger%2Fnas", form.clone()).await;
    assert_eq!(status, 200, "{plan}");
    let touched: Vec<_> = plan["steps"].as_array().unwrap().iter().map(|step| &step["worker"]).collect();
    assert_eq!(touched, ["pinger/nas"], "its sibling is left alone");
    let expected = MACHINES.replace(
        "\"192.168.1.10\"  # static\npackets = 5\n",
        "\"192.168.1.11\"  # static\npackets = 5\ntitle = \"NAS\"\ngroup = \"home\"\nevery = \"10s\"\ntcp = 445\n",
    );
    assert_eq!(host.fleet.text("pinger.toml"), expected);
    let (_, shown) = host.get("monitors/pinger%2Fnas").await;
    for key in ["address", "every", "title", "group", "tcp"] {
        assert_eq!(shown[key], form[key], "{key}");
    }
    // Back to the list's own: its keys go.
    let mut back = shown.clone();
    (back["title"], back["group"], back["tcp"]) = (Value::Null, Value::Null, Value::Null);
    assert_eq!(host.put("monitors/pinger%2Fnas", back).await.0, 200);
    assert!(!host.fleet.text("pinger.toml").contains("title = \"NAS\""));
    assert_eq!(host.get("monitors/pinger%2Fnas").await.1["title"], "Machines");
    // A name needs lan, which the list grants.
    let mut named = shown;
    named["address"] = json!("nas.lan");
    assert_eq!(host.put("monitors/pinger%2Fnas", named).await.0, 200);
    assert!(host.fleet.text("pinger.toml").contains("allow = [\"config:machines.address\"], lan = true } }"));
}

#[tokio::test]
async fn what_is_more_than_a_form_can_show_says_so() {
    let url = |name: &str, rest: &str| format!("[[worker]]\nname = \"{name}\"\ncomponent = \"poller.wasm\"\n{rest}\n");
    let every = "schedule = { every = \"1m\" }";
    let allow = "grants = { http = { allow = [\"config:urls\"] } }";
    let text = [
        url("two", &format!("{every}\nconfig = {{ urls = [\"http://a/\", \"http://b/\"] }}\n{allow}")),
        url("cron", &format!("schedule = {{ cron = \"*/5 * * * *\" }}\nconfig = {{ urls = [\"http://a/\"] }}\n{allow}")),
        url("named", &format!("{every}\nconfig = {{ urls = [\"http://a/\"] }}\ngrants = {{ http = {{ allow = [\"http://a\"] }} }}")),
        url("other", every).replace("poller.wasm", "other.wasm"),
    ];
    let host = host(&[]).await;
    host.fleet.plugin("other.wasm", POLLER);
    let (status, plan) = answer(host.request(Method::PUT, "files/all.toml").body(text.concat())).await;
    assert_eq!(status, 200, "{plan}");
    for (name, why) in
        [("two", "watches more than one"), ("cron", "no interval"), ("named", "destinations one by one"), ("other", "runs other.wasm")]
    {
        let (status, error) = host.get(&format!("monitors/{name}")).await;
        assert_eq!((status, &error["hint"]), (409, &json!("edit its manifest instead")), "{name}");
        assert!(error["error"].as_str().unwrap().contains(why), "{name}: {error}");
        assert_eq!(host.put(&format!("monitors/{name}"), json!({})).await.0, 409, "{name}");
    }
    assert_eq!(host.get("monitors/nobody").await.0, 404);
}

#[tokio::test]
async fn what_a_monitor_depends_on_is_part_of_its_form() {
    let host = host(&[("pages.toml", EDITED)]).await;
    let form = json!({ "kind": "machine", "name": "gateway", "address": "192.168.1.1", "every": "10s" });
    assert_eq!(host.post("monitors", form).await.0, 200);
    let mut nas = json!({ "kind": "machine", "name": "nas", "address": "192.168.1.10", "every": "10s", "parent": "gatewya" });
    let (status, error) = host.post("monitors", nas.clone()).await;
    assert_eq!(status, 422);
    assert_eq!(said(&error), ["parent: there is no worker \"gatewya\""]);
    nas["parent"] = json!("gateway");
    assert_eq!(host.post("monitors", nas).await.0, 200);
    assert!(host.fleet.text("nas.toml").contains("checks = { parent = \"gateway\" }\n"));
    assert_eq!(host.get("monitors/nas").await.1["parent"], "gateway");

    // Beside what stands there, and out again.
    let (_, mut pages) = host.get("monitors/pages").await;
    pages["parent"] = json!("gateway");
    assert_eq!(host.put("monitors/pages", pages.clone()).await.0, 200);
    assert_eq!(host.fleet.text("pages.toml"), EDITED.replace("{ confirm = 5 }", "{ confirm = 5, parent = \"gateway\" }"));
    pages["parent"] = Value::Null;
    assert_eq!(host.put("monitors/pages", pages).await.0, 200);
    assert_eq!(host.fleet.text("pages.toml"), EDITED);
}
