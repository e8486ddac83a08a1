//! Limiters over HTTP: rates that are written down, permits for programs outside.

use std::{fs, os::unix::fs::PermissionsExt};

use reqwest::Method;
use serde_json::json;
use skep::{appliance::rates::ManifestRates, capability::services::Rates};

use super::whole::{Whole, answer};

const MANIFEST: &str = "# Theirs.\n[[limiter]]\nname = \"exchange\" # shared\nrate = \"2/h\"   # as they ask\n\n# Ours.\n[[limiter]]\nname = \"own\"\nrate = \"5/s\"\nburst = 3\n";

#[tokio::test]
async fn a_rate_is_written_into_its_manifest_and_nothing_else_is() {
    let host = Whole::with(&[("limits.toml", MANIFEST)]).await;
    let (_, all) = host.get("limiters").await;
    assert_eq!((all.as_array().unwrap().len(), &all[0]["name"], &all[1]["burst"]), (2, &json!("exchange"), &json!(3)));
    assert_eq!((&all[1]["rate"], &all[1]["effective_per_second"], &all[1]["line"]), (&json!("5/s"), &json!(5.0), &json!(7)));

    let (status, plan) = host.put("limiters/exchange", json!({ "rate": "6/s" })).await;
    assert_eq!((status, &plan["applied"], &plan["files"]), (200, &json!(true), &json!(["limits.toml"])));
    assert_eq!(host.fleet.text("limits.toml"), MANIFEST.replace("\"2/h\"", "\"6/s\""));
    let told = host.fleet.runner.limiters.lock().unwrap().iter().map(|spec| spec.rate.to_string()).collect::<Vec<_>>();
    assert_eq!(told, ["6/s", "5/s"], "whoever runs the limiters is told before this answers");
    let (_, plan) = host.put("limiters/exchange", json!({ "rate": "6/s" })).await;
    assert_eq!(plan["applied"], false, "nothing to do");

    let (status, missing) = host.put("limiters/exchnge", json!({ "rate": "6/s" })).await;
    assert_eq!((status, &missing["hint"]), (404, &json!("did you mean \"exchange\"?")));
    let (status, refused) = host.put("limiters/own", json!({ "rate": "fast" })).await;
    assert_eq!((status, &refused["error"]), (400, &json!("rate: \"fast\" is no rate")));
}

#[tokio::test]
async fn a_worker_with_the_grant_writes_the_same_edit() {
    let host = Whole::with(&[("limits.toml", MANIFEST)]).await;
    let rates = ManifestRates(host.fleet.fleet().clone());
    rates.set_rate("own", "7/s".parse().unwrap()).await.unwrap();
    assert_eq!(host.fleet.text("limits.toml"), MANIFEST.replace("5/s", "7/s"));
    assert_eq!(rates.set_rate("none", "7/s".parse().unwrap()).await.unwrap_err(), "no limiter \"none\"");
}

#[tokio::test]
async fn a_folder_that_can_not_be_written_is_a_conflict() {
    let host = Whole::with(&[("limits.toml", MANIFEST)]).await;
    let folder = host.fleet.manifests();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    let writable = fs::write(folder.join("probe"), "").is_ok();
    let (status, refused) = host.put("limiters/own", json!({ "rate": "6/s" })).await;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    // The superuser writes anywhere.
    if !writable {
        assert_eq!(status, 409, "{refused}");
        assert_eq!(host.fleet.text("limits.toml"), MANIFEST);
    }
}

#[tokio::test]
async fn permits_are_given_first_come_first_served_or_refused_in_time() {
    let host = Whole::with(&[("limits.toml", MANIFEST)]).await;
    let (status, permit) = host.post("limiters/exchange/acquire", json!({})).await;
    assert_eq!((status, &permit["limiter"]), (200, &json!("exchange")));
    let (status, refused) = host.post("limiters/exchange/acquire", json!({ "timeout": "1ms" })).await;
    assert_eq!((status, &refused["error"]), (429, &json!("no permit of \"exchange\" in time (2/h)")));
    assert_eq!(answer(host.request(Method::POST, "limiters/exchange/try")).await.0, 429);
    assert_eq!(answer(host.request(Method::POST, "limiters/own/try")).await.0, 200);
    assert_eq!(host.post("limiters/own/acquire", json!({ "timeout": "2m" })).await.0, 400);
    assert_eq!(answer(host.request(Method::POST, "limiters/none/try")).await.0, 404);
    assert!(host.metrics().await.contains("skep_limiter_effective_per_second{limiter=\"own\"} 5\n"));
}
