//! From worker to worker: any path, the same answers as outside, no loops.

use std::sync::Arc;

use http_body_util::BodyExt;
use skep::capability::{
    caller::Chain,
    http::{Internal, Unreached},
};

use super::fake::{Served, full, serving, worker};

fn from(names: &[&str]) -> Arc<Chain> {
    let link = |before: Option<Arc<Chain>>, name: &&str| Some(Arc::new(Chain { worker: (*name).into(), before, call: None }));
    names.iter().fold(None, link).unwrap()
}

fn asking(served: &Served, chain: Arc<Chain>, name: &'static str, body: &str) -> tokio::task::JoinHandle<Result<(u16, String), Unreached>> {
    let request = http::Request::post(format!("http://{name}.skep.internal/not/routed")).header("host", format!("{name}.skep.internal"));
    let (ingress, request) = (served.ingress.clone(), request.body(full(body)).unwrap());
    tokio::spawn(async move {
        let response = ingress.send(chain, name, request).await?;
        let status = response.status().as_u16();
        Ok((status, String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()))
    })
}

#[tokio::test]
async fn another_worker_is_reached_by_name_with_whose_calls_led_there() {
    let mut served = serving(&format!("{}{}", worker("b", "", ", body = \"10B\""), worker("c", "instance = \"resident\"", ""))).await;
    for name in ["b", "c"] {
        let answer = asking(&served, from(&["x", "a"]), name, "hello");
        let asked = served.next().await;
        assert_eq!(asked.worker, name);
        let chain: Vec<_> = asked.event.chain.as_ref().unwrap().workers().map(ToString::to_string).collect();
        assert_eq!(chain, ["a", "x"], "the nearest first");
        let exchange = asked.take();
        assert_eq!(exchange.request.uri().authority().unwrap(), format!("{name}.skep.internal").as_str());
        let (parts, body) = exchange.request.into_parts();
        assert_eq!((parts.uri.path(), &body.collect().await.unwrap().to_bytes()[..]), ("/not/routed", &b"hello"[..]));
        exchange.respond.send(Ok(http::Response::builder().status(201).body(full("there")).unwrap())).unwrap();
        asked.well();
        assert_eq!(answer.await.unwrap(), Ok((201, "there".to_owned())));
    }
    let (status, body) = asking(&served, from(&["a"]), "b", "elevenbytes").await.unwrap().unwrap();
    assert_eq!((status, body.contains("larger than 10B")), (413, true), "bounds are the worker's, whoever asks");
    assert_eq!(served.ingress.traffic()[1].answers, [0, 1, 0, 1, 0], "counted as any other");
}

#[tokio::test]
async fn loops_and_absent_workers_are_refused() {
    let served = serving(&worker("b", "", "")).await;
    assert_eq!(
        asking(&served, from(&["b", "a"]), "b", "").await.unwrap(),
        Err(Unreached::Loop("b → a → b would wait for itself".to_owned()))
    );
    assert_eq!(asking(&served, from(&["b"]), "b", "").await.unwrap(), Err(Unreached::Loop("b → b would wait for itself".to_owned())));
    assert!(matches!(asking(&served, from(&["a"]), "gone", "").await.unwrap(), Err(Unreached::NotFound(_))));
}
