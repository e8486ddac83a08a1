//! The public status page and badges: off by default, titles and statuses only, markup shown as text.

use serde_json::Value;

use crate::support::{
    Host,
    site::Site,
    web::{Answer, ask},
};

fn get(host: &Host, path: &str) -> Answer {
    ask(&host.admin, "GET", path, &[])
}

/// A poller of one URL.
fn poller(name: &str, url: &str, more: &str) -> String {
    format!(
        "[[worker]]\nname = \"{name}\"\ncomponent = \"poller.wasm\"\nschedule = {{ every = \"1h\" }}\n{more}\n\
         config = {{ urls = [\"{url}\"] }}\ngrants = {{ http = {{ allow = [\"config:urls\"] }} }}\nchecks = {{ confirm = 1 }}\n"
    )
}

fn with_settings(guests: &[&str], settings: &str) -> Host {
    let host = Host::folders(guests);
    std::fs::write(host.data().join("skep.toml"), settings).unwrap();
    host.started()
}

#[test]
fn nothing_is_public_unless_it_is_switched_on() {
    let off = ["", "[status]\ntitle = \"Ours\"\n", "[status]\non = false\n"];
    for settings in off {
        let host = with_settings(&["echo"], settings);
        host.drop_manifest("e.toml", "[[worker]]\nname = \"e\"\ncomponent = \"echo.wasm\"\n");
        host.worker_when("e", "running", |worker| worker["state"] == "running");
        for path in ["/status", "/status.json", "/badge/e.svg"] {
            let answer = get(&host, path);
            assert_eq!(answer.status, 404, "{settings:?} {path}");
            assert!(answer.json()["hint"].as_str().unwrap().contains("[status] with on = true"), "{answer:?}");
        }
    }
}

#[test]
fn everyone_sees_titles_and_statuses_and_nothing_else() {
    let (site, gone) = (Site::up(), Site::up());
    let (up, mut gone) = (site.url(), gone);
    let down = gone.url();
    gone.down();
    let settings = "[admin]\nhosts = [\"status.example.com\"]\n[status]\non = true\ntitle = \"<img src=x onerror=alert(1)> & co\"\n";
    let host = with_settings(&["poller"], settings);
    let evil = "title = \"<script>alert('1')</script>\"\ngroup = \"\\\"><svg onload=alert(1)>\"\nnotes = \"secret notes\"";
    host.drop_manifest("evil.toml", &poller("evil", &up, evil));
    host.drop_manifest("shop.toml", &poller("shop", &down, "title = \"Shop\"\ngroup = \"Ours\""));
    host.drop_manifest("bare.toml", &poller("bare", &format!("{up}bare"), ""));
    host.check_when(&up, "up");
    host.check_when(&down, "down");
    host.check_when(&format!("{up}bare"), "up");

    // Gathered at most once a second: what was asked for before may be shown once more.
    let page = crate::support::eventually("the page shows all three", || {
        Some(get(&host, "/status")).filter(|page| page.body.contains("Shop") && page.body.contains("bare") && page.body.contains("alert"))
    });
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(page.header("cache-control"), Some("public, max-age=10"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    let body = &page.body;
    for markup in ["<script", "<img", "onload=alert(1)>", "\"><svg onload"] {
        assert!(!body.contains(markup), "{markup}: {body}");
    }
    assert!(body.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;") && body.contains("&amp; co"), "{body}");
    assert!(body.contains("1 down of 3") && body.contains("<span aria-hidden=\"true\">✕</span>down"), "{body}");
    assert!(body.contains("aria-label=\"last 1 results: 1 up\""), "{body}");
    // Who has a title is not shown by address; who has none is.
    assert!(!body.contains(&down) && !body.contains("secret notes") && !body.contains("refused"), "{body}");
    assert!(body.contains(&format!("{up}bare")));

    let view = get(&host, "/status.json");
    assert_eq!((view.status, view.header("cache-control")), (200, Some("public, max-age=10")));
    let json = view.json();
    assert_eq!((&json["status"], json["checks"].as_array().unwrap().len()), (&Value::from("down"), 3));
    assert!(!view.body.contains(&down) && !view.body.contains("secret"), "{}", view.body);
    let shop = json["checks"].as_array().unwrap().iter().find(|check| check["name"] == "Shop").unwrap();
    assert_eq!((&shop["status"], &shop["group"], &shop["beats"][0]["status"]), (&"down".into(), &"Ours".into(), &"down".into()));

    for (path, says) in [
        ("/badge/shop.svg", "aria-label=\"Shop: down\""),
        ("/badge/shop.svg?of=uptime", "aria-label=\"Shop: "),
        ("/badge/bare.svg", "aria-label=\"bare: up\""),
        ("/badge/evil.svg", "aria-label=\"&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;: up\""),
    ] {
        let badge = get(&host, path);
        assert_eq!((badge.status, badge.header("content-type")), (200, Some("image/svg+xml")), "{path}");
        assert_eq!(
            (badge.header("cache-control"), badge.header("cross-origin-resource-policy")),
            (Some("public, max-age=10"), Some("cross-origin"))
        );
        assert!(badge.body.contains(says) && !badge.body.contains("<script"), "{path}: {}", badge.body);
    }
    for path in ["/badge/nobody.svg", "/badge/shop", "/badge/shop.png"] {
        assert_eq!(get(&host, path).status, 404, "{path}");
    }
    assert_eq!(get(&host, "/badge/shop.svg?of=secrets").status, 400);
    // A proxy that is named may show it; who comes by another name, or with a form, may not.
    assert_eq!(ask(&host.admin, "GET", "/status", &[("Host", "status.example.com")]).status, 200);
    assert_eq!(ask(&host.admin, "GET", "/status", &[("Host", "evil.example")]).status, 421);
    assert_eq!(ask(&host.admin, "POST", "/status", &[]).status, 405);
    assert_eq!(get(&host, "/api/v1/checks").status, 401, "the rest stays shut");
}

#[test]
fn groups_and_workers_that_are_named_are_all_that_is_shown() {
    let site = Site::up();
    let settings = "[status]\non = true\ngroups = [\"open\"]\nworkers = [\"named\", \"e\"]\n";
    let host = with_settings(&["poller", "echo"], settings);
    for (name, more) in
        [("grouped", "group = \"open\""), ("named", "title = \"Named\""), ("closed", "group = \"closed\"\ntitle = \"Closed\"")]
    {
        host.drop_manifest(&format!("{name}.toml"), &poller(name, &format!("{}{name}", site.url()), more));
        host.check_when(&format!("{}{name}", site.url()), "up");
    }
    host.drop_manifest("e.toml", "[[worker]]\nname = \"e\"\ncomponent = \"echo.wasm\"\n");
    host.worker_when("e", "running", |worker| worker["state"] == "running");
    let json = crate::support::eventually("both are shown", || {
        Some(get(&host, "/status.json").json()).filter(|json| json["checks"].as_array().unwrap().len() == 2)
    });
    let names: Vec<_> = json["checks"].as_array().unwrap().iter().map(|check| check["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["Named".to_owned(), format!("{}grouped", site.url())]);
    assert_eq!(json["title"], "Status");
    crate::support::eventually("a worker without checks, named", || (get(&host, "/badge/e.svg").body.contains("e: running")).then_some(()));
    assert_eq!(get(&host, "/badge/closed.svg").status, 404);
    assert!(!get(&host, "/status").body.contains("Closed"));
}
