//! The manifests folder as files: read, edited whole, guarded against edits made meanwhile; where a worker is declared.

use reqwest::Method;
use serde_json::{Value, json};

use super::whole::{Whole, answer};
use crate::fleet::support::worker;

async fn put(host: &Whole, path: &str, text: &str) -> (u16, Value) {
    answer(host.request(Method::PUT, path).body(text.to_owned())).await
}

/// The digest of a file, as its `ETag` has it.
async fn base(host: &Whole, file: &str) -> String {
    let response = host.request(Method::GET, &format!("files/{file}")).send().await.unwrap();
    response.headers()["etag"].to_str().unwrap().trim_matches('"').to_owned()
}

#[tokio::test]
async fn files_are_listed_and_read_with_their_problems() {
    let both = format!("# two\n{}\n[[limiter]]\nname = \"l\"\nrate = \"1/s\"\n", worker("a", "1s"));
    let host = Whole::with(&[("a.toml", &both), ("bad.toml", "[[worker]]\nname = \"b\"\nspeed = 1\n")]).await;
    let (status, files) = host.get("files").await;
    assert_eq!(status, 200);
    assert_eq!(files[0]["name"], "a.toml");
    assert_eq!(files[0]["tables"], json!([{ "kind": "worker", "name": "a" }, { "kind": "limiter", "name": "l" }]));
    assert_eq!(files[0]["problems"], json!([]));
    assert_eq!(files[0]["base"], base(&host, "a.toml").await);
    assert_eq!((&files[1]["name"], &files[1]["tables"][0]["name"]), (&json!("bad.toml"), &json!("b")));
    assert!(files[1]["problems"].as_array().unwrap().iter().any(|problem| problem["field"] == "speed"), "{files:#}");
    assert_eq!(host.get("files/a.toml").await, (200, json!(both)));
    let (status, error) = host.get("files/nothing.toml").await;
    assert_eq!((status, &error["error"]), (404, &json!("no file \"nothing.toml\" in the manifests folder")));
    assert_eq!(host.get("files/..%2Fsecret.toml").await.0, 404);
}

#[tokio::test]
async fn a_whole_file_is_written_as_it_is_given_after_its_plan_was_shown() {
    let host = Whole::with(&[("a.toml", &format!("# mine\n{}", worker("a", "1s")))]).await;
    let known = base(&host, "a.toml").await;
    let wanted = format!("# still mine\n{}\n{}", worker("a", "2s"), worker("b", "1s"));
    let (status, plan) = put(&host, &format!("files/a.toml?dry_run&base={known}"), &wanted).await;
    assert_eq!((status, &plan["applied"], &plan["files"]), (200, &json!(false), &json!(["a.toml"])), "{plan}");
    assert_eq!((&plan["steps"][0]["verb"], &plan["steps"][1]["verb"]), (&json!("update"), &json!("create")), "{plan}");
    assert!(host.fleet.text("a.toml").starts_with("# mine\n"), "only shown");

    let (status, plan) = put(&host, &format!("files/a.toml?base={known}"), &wanted).await;
    assert_eq!((status, &plan["applied"]), (200, &json!(true)));
    assert_eq!(host.fleet.text("a.toml"), wanted);
    assert_eq!(host.fleet.names(), ["a", "b"]);

    // Whoever edits what is no longer there is told, and nothing is lost.
    let (status, error) = put(&host, &format!("files/a.toml?base={known}"), "").await;
    assert_eq!(status, 409);
    assert!(error["error"].as_str().unwrap().contains("changed meanwhile"), "{error}");
    assert_eq!(put(&host, "files/a.toml?base=", "").await.0, 409, "it was to be new");
    assert_eq!(host.fleet.text("a.toml"), wanted);
    host.fleet.drop_file("a.toml", &worker("a", "3s"));
    let stale = base(&host, "a.toml").await;
    host.fleet.drop_file("a.toml", &worker("a", "4s"));
    assert_eq!(put(&host, &format!("files/a.toml?base={stale}"), &wanted).await.0, 409, "an editor was faster");

    // A new file, a blank one, names that are none.
    assert_eq!(put(&host, "files/new.toml?base=", &worker("n", "1s")).await.0, 200);
    let (_, plan) = put(&host, "files/new.toml", " \n").await;
    assert_eq!((&plan["steps"][0]["verb"], &plan["steps"][0]["worker"]), (&json!("remove"), &json!("n")));
    assert_eq!(host.fleet.files(), ["a.toml"]);
    for name in ["..%2Fout.toml", "a.txt", ".hidden.toml", "%2Ftmp%2Fx.toml", "a%20b.toml", "a%0A.toml"] {
        let (status, error) = put(&host, &format!("files/{name}"), &worker("n", "1s")).await;
        assert_eq!((status, &error["problems"][0]["field"]), (422, &json!("file")), "{name}: {error}");
    }
    let (status, error) = answer(host.request(Method::PUT, "files/b.toml").body(vec![b'#', 0xff])).await;
    assert_eq!(status, 422, "{error}");
    let (status, error) = put(&host, "files/a.toml?drY_run", "").await;
    assert_eq!(status, 400, "a misspelt parameter changes nothing: {error}");
}

#[tokio::test]
async fn a_file_with_problems_is_refused_whole() {
    let host = Whole::with(&[("a.toml", &worker("a", "1s")), ("b.toml", &worker("b", "1s"))]).await;
    let text =
        format!("{}[[worker]]\nname = \"b\"\ncomponent = \"poller.wasm\"\nspeed = 1\nschedule = {{ every = \"1x\" }}\n", worker("a", "2s"));
    let (status, error) = put(&host, "files/a.toml", &text).await;
    assert_eq!(status, 422);
    let fields: Vec<_> = error["problems"].as_array().unwrap().iter().map(|problem| (&problem["line"], &problem["field"])).collect();
    assert_eq!(fields, [(&json!(8), &json!("speed")), (&json!(9), &json!("schedule.every"))], "{error:#}");
    // A name that another file has.
    let (status, error) = put(&host, "files/a.toml", &format!("{}{}", worker("a", "2s"), worker("b", "1s"))).await;
    assert_eq!(status, 422, "{error}");
    assert_eq!(host.fleet.text("a.toml"), worker("a", "1s"));
}

#[tokio::test]
async fn a_workers_manifest_is_found_with_its_comments() {
    let items = "[[worker]]\nname = \"p\"\ncomponent = \"poller.wasm\"\neach = \"m\"\nschedule = { every = \"1m\" }\n\n\
                 # The first.\n[[worker.config.m]]\nname = \"a\"\ngroup = \"home\"\n\n[[worker.config.m]]\nname = \"b\"\n";
    let file = format!("# A worker.\n{}\n{items}", worker("w", "1s"));
    let host = Whole::with(&[("all.toml", &file)]).await;
    let (status, manifest) = host.get("workers/w/manifest").await;
    assert_eq!(status, 200);
    assert_eq!((&manifest["file"], &manifest["line"], &manifest["item"]), (&json!("all.toml"), &json!(1), &json!(false)));
    assert_eq!(manifest["text"], format!("# A worker.\n{}", worker("w", "1s")));
    assert_eq!(manifest["base"], base(&host, "all.toml").await);
    let (_, manifest) = host.get("workers/p%2Fa/manifest").await;
    assert_eq!((&manifest["line"], &manifest["item"]), (&json!(13), &json!(true)), "{manifest}");
    assert_eq!(manifest["text"], "# The first.\n[[worker.config.m]]\nname = \"a\"\ngroup = \"home\"\n");
    assert_eq!(host.get("workers/nobody/manifest").await.0, 404);
    let unit = host.fleet.fleet().desired();
    assert_eq!(unit.unit("p/a").unwrap().spec.live.group.as_deref(), Some("home"), "an item has a group of its own");
    assert_eq!(unit.unit("p/b").unwrap().spec.live.group, None);

    // One item leaves its list, and its siblings do not notice.
    let delete = |query: &str| host.request(Method::DELETE, &format!("workers/p%2Fa{query}"));
    let (status, plan) = answer(delete("?dry_run")).await;
    assert_eq!((status, &plan["steps"]), (200, &json!([{ "verb": "remove", "worker": "p/a", "changes": [] }])));
    assert_eq!(host.fleet.text("all.toml"), file);
    host.fleet.calls();
    assert_eq!(answer(delete("")).await.0, 200);
    assert_eq!(host.fleet.calls(), ["remove p/a"]);
    assert_eq!(host.fleet.text("all.toml"), file.replace("# The first.\n[[worker.config.m]]\nname = \"a\"\ngroup = \"home\"\n\n", ""));
    assert_eq!(answer(delete("")).await.0, 404);
    assert_eq!(answer(host.request(Method::DELETE, "workers/p%2Fb")).await.0, 200);
    assert!(host.fleet.text("all.toml").contains("m = []"), "{}", host.fleet.text("all.toml"));
    assert_eq!(host.fleet.names(), ["w"]);
}
