//! Key-value state over HTTP.

use reqwest::Method;
use serde_json::{Value, json};

use super::whole::{Whole, answer};

#[tokio::test]
async fn keys_are_set_read_listed_and_deleted() {
    let host = Whole::with(&[]).await;
    assert_eq!(host.put("kv/counter/a%2Fb", json!({ "value": "one" })).await, (200, json!({ "revision": 1 })));
    let (_, entry) = host.get("kv/counter/a%2Fb").await;
    assert_eq!(entry, json!({ "bucket": "counter", "key": "a/b", "value": { "text": "one" }, "revision": 1, "expires_at": null }));

    let raw = host.request(Method::PUT, "kv/counter/raw?ttl=1h").header("content-type", "application/octet-stream").body(vec![0, 255]);
    assert_eq!(answer(raw).await.0, 200);
    assert_eq!(host.get("kv/counter/raw").await.1["value"], json!({ "base64": "AP8=" }));
    let bytes = host.request(Method::GET, "kv/counter/raw").header("accept", "application/octet-stream").send().await.unwrap();
    assert_eq!(bytes.headers()["content-type"], "application/octet-stream");
    assert_eq!(&bytes.bytes().await.unwrap()[..], [0, 255]);

    assert_eq!(host.get("kv").await.1, json!([{ "name": "counter", "keys": 2, "bytes": 5 }]));
    let keys = |listed: Value| listed.as_array().unwrap().iter().map(|one| one["key"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(keys(host.get("kv/counter").await.1), ["a/b", "raw"]);
    assert_eq!(keys(host.get("kv/counter?prefix=r").await.1), ["raw"]);
    assert_eq!(keys(host.get("kv/counter?after=a%2Fb&limit=5").await.1), ["raw"]);
    assert!(host.metrics().await.contains("skep_kv_keys{bucket=\"counter\"} 2\n"));

    assert_eq!(answer(host.request(Method::DELETE, "kv/counter/raw")).await, (204, Value::Null));
    assert_eq!(answer(host.request(Method::DELETE, "kv/counter/raw")).await.0, 404);
    let (status, missing) = host.get("kv/conter").await;
    assert_eq!((status, &missing["hint"]), (404, &json!("did you mean \"counter\"?")));
}

#[tokio::test]
async fn a_conditional_set_says_what_is_there_instead() {
    let host = Whole::with(&[]).await;
    let set = |body: Value| host.put("kv/b/k", body);
    let (status, refused) = set(json!({ "value": "x", "expect": 3 })).await;
    assert_eq!((status, &refused["error"]), (409, &json!("there is no key \"k\"; nothing was changed")));
    assert_eq!(set(json!({ "value": "x", "expect": "absent" })).await.1["revision"], 1);
    let (status, refused) = set(json!({ "value": "y", "expect": "absent" })).await;
    assert_eq!((status, &refused["error"]), (409, &json!("key \"k\" has revision 1; nothing was changed")));
    assert_eq!(set(json!({ "value": "y", "expect": 1 })).await.1["revision"], 2);
    assert_eq!(set(json!({ "value": "y", "expect": "soon" })).await.0, 400);
    assert_eq!(set(json!({ "value": "y", "ttl": "0s" })).await.0, 400);
    assert_eq!(set(json!({ "value": "x".repeat((1 << 20) + 1) })).await.0, 413);
    assert_eq!(host.put(&format!("kv/b/{}", "k".repeat(513)), json!({ "value": "" })).await.0, 400);
    assert_eq!(host.get("kv/b/k").await.1["value"], json!({ "text": "y" }));
}

#[tokio::test]
async fn increments_count_and_refuse_what_is_no_number() {
    let host = Whole::with(&[]).await;
    assert_eq!(host.post("kv/b/n/increment", json!({ "by": 40 })).await, (200, json!({ "value": 40 })));
    assert_eq!(answer(host.request(Method::POST, "kv/b/n/increment")).await, (200, json!({ "value": 41 })), "no body: one more");
    assert_eq!(host.post("kv/b/n/increment", json!({ "by": i64::MAX })).await.0, 409);
    host.put("kv/b/t", json!({ "value": "text" })).await;
    let (status, refused) = host.post("kv/b/t/increment", json!({})).await;
    assert_eq!((status, &refused["error"]), (409, &json!("key \"t\" holds no whole number; nothing was changed")));
    assert_eq!(host.post("kv/b/n/increment", json!({ "by": 0.5 })).await.0, 400);
}
