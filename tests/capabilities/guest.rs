//! The imports as a real guest meets them: the probe, linked to a scope over services in memory.

use std::sync::OnceLock;

use serde_json::{Value, json};
use skep::{
    capability::{
        self,
        bindings::exports::skep::worker::{call_handler, job_handler},
        scope::Scope,
    },
    manifest::spec::Grants,
};
use uuid::Uuid;
use wasmtime::{
    Engine, Store,
    component::{Component, InstancePre, Linker, ResourceTable},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::fakes::{World, grants};
use crate::support::plugins;

struct Data {
    wasi: WasiCtx,
    table: ResourceTable,
    scope: Scope,
}

impl WasiView for Data {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

fn linked() -> &'static InstancePre<Data> {
    static LINKED: OnceLock<InstancePre<Data>> = OnceLock::new();
    LINKED.get_or_init(|| {
        let engine = Engine::default();
        let probe = Component::from_file(&engine, plugins().join("probe.wasm")).unwrap();
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
        capability::link(&mut linker, |data: &mut Data| &mut data.scope).unwrap();
        // Log, checks and ping stand on other things than a scope.
        for (import, functions) in [("errors", &[][..]), ("log", &["write"]), ("checks", &["report"]), ("ping", &["echo", "connect"])] {
            let mut instance = linker.instance(&format!("skep:worker/{import}@0.1.0")).unwrap();
            for function in functions {
                instance.func_new(function, |_, _, _, _| Err(wasmtime::Error::msg("not asked for"))).unwrap();
            }
        }
        linker.instantiate_pre(&probe).unwrap()
    })
}

struct Guest {
    store: Store<Data>,
    call: call_handler::Guest,
    job: job_handler::Guest,
}

impl Guest {
    async fn new(scope: Scope) -> Self {
        let pre = linked();
        let data = Data { wasi: WasiCtx::builder().build(), table: ResourceTable::new(), scope };
        let mut store = Store::new(pre.engine(), data);
        let instance = pre.instantiate_async(&mut store).await.unwrap();
        let call = call_handler::GuestIndices::new(pre).unwrap().load(&mut store, &instance).unwrap();
        let job = job_handler::GuestIndices::new(pre).unwrap().load(&mut store, &instance).unwrap();
        Self { store, call, job }
    }

    async fn ask(&mut self, method: &str, with: Value) -> Value {
        let answer = self.call.call_call(&mut self.store, method, with.to_string().as_bytes()).await.unwrap();
        serde_json::from_slice(&answer.unwrap_or_else(|sentence| panic!("{method}: {sentence}"))).unwrap()
    }

    async fn handle(&mut self, payload: Value) -> wasmtime::Result<Result<Option<Vec<u8>>, job_handler::JobError>> {
        let id = Uuid::now_v7();
        self.store.data_mut().scope.begin(2, None, Some((id, 1)));
        let job = job_handler::Job {
            id: id.to_string(),
            queue: "todo".into(),
            payload: payload.to_string().into_bytes(),
            attempt: 1,
            max_attempts: 3,
            priority: 0,
            unique_key: None,
            pushed_ms: 0,
            timeout_ms: 10_000,
        };
        self.job.call_handle(&mut self.store, &job).await
    }
}

const ALL: &str = "{ queue = { push = [\"out\"] }, kv = [\"shared\"], call = [\"b\"], \
                     limiter = { acquire = [\"api\"], set_rate = [\"api\"] }, publish = [\"news.*\"] }";

#[tokio::test]
async fn every_function_of_every_import_answers_a_guest() {
    let world = World::new().limiters(&[("api", "1000/s")]);
    world.directory.have("b", 1);
    let mut guest = Guest::new(world.worker("a", grants(ALL))).await;
    let id = guest.ask("queue.push", json!({ "queue": "out", "payload": "x" })).await["ok"].clone();
    let many = guest.ask("queue.push-many", json!({ "queue": "out", "payloads": ["x", "y"] })).await;
    assert_eq!(many["ok"].as_array().unwrap().len(), 2);
    let b = json!({ "name": "b/1", "worker": "b", "replica": 1, "state": "running", "busy": false, "waiting": 3 });
    for (method, with, answer) in [
        (
            "queue.status",
            json!({ "id": id }),
            json!({ "id": id, "queue": "out", "state": "waiting", "attempts": 0, "max_attempts": 20, "progress": null, "last_error": null }),
        ),
        ("queue.outcome", json!({ "id": id }), Value::Null),
        ("queue.cancel", json!({ "id": id }), json!(true)),
        ("kv.get", json!({ "key": "k" }), Value::Null),
        ("kv.set", json!({ "key": "k", "value": "v" }), json!(1)),
        ("kv.delete", json!({ "bucket": "shared", "key": "k" }), json!(false)),
        ("kv.compare-and-set", json!({ "key": "k", "expected": 4, "value": "v", "ttl_ms": 9 }), json!(1)),
        ("kv.increment", json!({ "key": "k", "by": 3 }), json!(3)),
        ("kv.increment-many", json!({ "keys": ["k", "l"], "by": -3 }), json!([-3, -3])),
        ("kv.entries", json!({ "prefix": "k" }), json!([])),
        ("limiter.acquire", json!({ "name": "api", "timeout_ms": 1_000 }), Value::Null),
        ("limiter.set-rate", json!({ "name": "api", "rate": "5/s" }), Value::Null),
        ("registry.whereis", json!({ "name": "b" }), json!([b])),
        ("registry.members", json!({ "prefix": "" }), json!([b])),
        ("registry.call", json!({ "name": "b", "method": "m", "payload": "pay" }), json!("pay")),
        ("registry.cast", json!({ "name": "b", "method": "m" }), Value::Null),
        ("topics.publish", json!({ "topic": "news.x", "payload": "p" }), json!(2)),
    ] {
        assert_eq!(guest.ask(method, with).await, json!({ "ok": answer }), "{method}");
    }
    let state = guest.ask("queue.wait", json!({ "id": id, "timeout_ms": 1 })).await["ok"]["state"].clone();
    assert_eq!(state, "cancelled");
    assert!(guest.ask("limiter.try-acquire", json!({ "name": "api" })).await["ok"].is_boolean());
}

#[tokio::test]
async fn without_grants_every_import_links_and_says_which_line_is_missing() {
    let world = World::new();
    let mut guest = Guest::new(world.worker("a", Grants::default())).await;
    for (method, with, line) in [
        ("queue.push", json!({ "queue": "out" }), "add \"out\" to grants.queue.push"),
        ("kv.get", json!({ "bucket": "shared", "key": "k" }), "add \"shared\" to grants.kv"),
        ("limiter.acquire", json!({ "name": "api" }), "add \"api\" to grants.limiter.acquire"),
        ("limiter.set-rate", json!({ "name": "api", "rate": "1/s" }), "add \"api\" to grants.limiter.set_rate"),
        ("registry.call", json!({ "name": "b" }), "add \"b\" to grants.call"),
        ("topics.publish", json!({ "topic": "news" }), "add \"news\" to grants.publish"),
    ] {
        let answer = guest.ask(method, with).await;
        assert_eq!(answer["error"], "denied", "{method}: {answer}");
        assert!(answer["sentence"].as_str().unwrap().ends_with(line), "{method}: {answer}");
    }
}

#[tokio::test]
async fn a_handler_leaves_its_pushes_and_a_trap_leaves_them_behind() {
    let world = World::new();
    let mut guest = Guest::new(world.worker("a", grants(ALL))).await;
    let push = |then: &str| json!({ "do": "push", "queue": "out", "payload": "x", "on_ack": true, "then": then });
    assert_eq!(guest.handle(push("ok")).await.unwrap().unwrap(), None);
    assert_eq!(guest.store.data_mut().scope.take_pushes().len(), 1);
    let dead = guest.handle(json!({ "do": "dead", "reason": "no use" })).await.unwrap();
    assert!(matches!(dead, Err(job_handler::JobError::Dead(reason)) if reason == "no use"));
    let later = guest.handle(json!({ "do": "retry-first", "attempts": 1, "after_ms": 7 })).await.unwrap();
    assert!(matches!(later, Err(job_handler::JobError::Retry(later)) if later.after_ms == Some(7)));
    let third = guest.handle(json!({ "do": "trap-first", "attempts": 0, "then": { "do": "ok", "result": "x" } })).await.unwrap();
    assert_eq!(third.unwrap(), Some(b"x".to_vec()));
    guest.handle(push("trap")).await.unwrap_err();
    let scope = &mut guest.store.data_mut().scope;
    scope.begin(3, None, None);
    assert!(scope.take_pushes().is_empty());
    assert!(world.jobs.pushed.lock().unwrap().is_empty(), "nothing was pushed before its acknowledgement");
}
