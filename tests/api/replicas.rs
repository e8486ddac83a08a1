//! Replicas over HTTP.

use serde_json::json;

use super::whole::Whole;

#[tokio::test]
async fn replicas_are_told_by_number() {
    let host = Whole::with(&[]).await;
    let manifest = "[[worker]]\nname = \"echo\"\ncomponent = \"echo.wasm\"\ninstance = \"per-event\"\nreplicas = 2\n";
    host.supervised.run(manifest).await;
    host.supervised.running(1).await;
    let (_, replicas) = host.get("workers/echo/replicas").await;
    let numbers: Vec<_> = replicas.as_array().unwrap().iter().map(|one| one["replica"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2]);
    assert_eq!((&replicas[0]["busy"], &replicas[0]["waiting"]), (&json!(false), &json!(0)));
    assert_eq!(host.get("workers/ecko/replicas").await.1["hint"], "did you mean \"echo\"?");
}
