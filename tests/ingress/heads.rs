//! Heads: whose a request is, what is refused before any worker hears of it, what is taken off on the way.

use skep::facts::Traffic;

use super::fake::{full, serving, specs, worker};

#[tokio::test]
async fn no_route_a_wrong_method_and_a_bad_request_are_small_json_answers() {
    let served = serving(&worker("a", "", ", methods = [\"GET\", \"POST\"]")).await;
    let told = served.told("GET /nowhere?secret=1", "").await;
    assert_eq!((told.status, told.error().as_str()), (404, "no worker has a route here"));
    let told = served.told("DELETE /a/b", "").await;
    assert_eq!((told.status, told.header("allow")), (405, Some("GET, POST")));
    assert_eq!(served.told("CONNECT a:80", "").await.status, 404, "a tunnel leads to no worker");
    for (line, headers) in [("GET /a/../b", ""), ("GET /a/%2e%2E/b", ""), ("GET /a", "Host: other\r\n"), ("GET /x", "Host: other\r\n")] {
        assert_eq!(served.told(line, headers).await.status, 400, "{line} {headers}");
    }
    let mut client = served.connect().await;
    client.send("GET /a HTTP/1.1\r\n\r\n").await;
    assert_eq!(client.answer().await.error(), "the request has no Host header");
    assert!(client.rest().await.is_empty(), "and the connection ends");
    let traffic = served.ingress.traffic();
    let answers: Vec<_> = traffic.iter().map(|Traffic { worker, answers, .. }| (worker.as_deref(), *answers)).collect();
    assert_eq!(answers, [(None, [0, 0, 0, 7, 0]), (Some("a"), [0, 0, 0, 1, 0])]);
}

#[tokio::test]
async fn heads_are_bounded() {
    let served = serving(&worker("a", "", "")).await;
    let many: String = (0..120).map(|number| format!("x-{number}: 1\r\n")).collect();
    for headers in [many, format!("x-long: {}\r\n", "x".repeat(70 << 10))] {
        let mut client = served.connect().await;
        client.send(&format!("GET /a HTTP/1.1\r\nHost: test\r\n{headers}\r\n")).await;
        assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 431 "));
    }
}

#[tokio::test]
async fn what_belongs_to_one_connection_stays_on_it() {
    let mut served = serving(&worker("a", "", "")).await;
    let mut client = served.connect().await;
    let request = "GET /a/b?c=d HTTP/1.1\r\nHost: test:81\r\nConnection: keep-alive, x-mine\r\nx-mine: 1\r\nKeep-Alive: 9\r\nTE: trailers\r\n\
                   Upgrade: h2c\r\nX-Forwarded-For: 192.0.2.1\r\nX-Other: 2\r\n\r\n";
    client.send(request).await;
    let asked = served.next().await;
    assert_eq!((asked.worker.as_str(), asked.event.title.as_str(), asked.event.body_bytes), ("a", "GET /a/b", 0));
    let exchange = asked.take();
    assert_eq!(exchange.request.uri().path_and_query().unwrap(), "/a/b?c=d");
    let mut names: Vec<_> = exchange.request.headers().keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["host", "x-forwarded-for", "x-other"]);
    let response = http::Response::builder()
        .header("transfer-encoding", "gzip")
        .header("connection", "x-inner")
        .header("x-inner", "1")
        .header("content-length", "not a number")
        .header("x-kept", "1");
    exchange.respond.send(Ok(response.body(full("hello")).unwrap())).unwrap();
    asked.well();
    let told = client.answer().await;
    assert_eq!((told.status, told.body.as_str(), told.header("x-kept")), (200, "hello", Some("1")));
    assert!(told.header("date").is_some(), "{told:?}");
    for name in ["transfer-encoding", "connection", "x-inner"] {
        assert_eq!(told.header(name), None, "{told:?}");
    }
    // The same connection serves the next one.
    client.get("/a").await;
    served.next().await.answer(201, "again");
    assert_eq!(client.answer().await.status, 201);
}

#[tokio::test]
async fn head_goes_where_get_goes_and_its_answer_has_no_body() {
    let mut served = serving(&worker("a", "", ", methods = [\"GET\"]")).await;
    let mut client = served.connect().await;
    client.send("HEAD /a HTTP/1.1\r\nHost: test\r\n\r\nGET /a HTTP/1.1\r\nHost: test\r\n\r\n").await;
    let asked = served.next().await;
    let exchange = asked.take();
    assert_eq!(exchange.request.method(), "HEAD");
    exchange.respond.send(Ok(http::Response::builder().header("content-length", "5").body(full("hello")).unwrap())).unwrap();
    asked.well();
    let head = client.until("\r\n\r\n").await;
    assert!(head.contains("content-length: 5"), "{head}");
    // What follows on the connection is the next answer's head, not a body.
    served.next().await.answer(200, "hello");
    assert_eq!(client.answer().await.body, "hello");
}

#[tokio::test]
async fn routes_follow_the_manifests() {
    let mut served = serving(&worker("a", "", "")).await;
    assert_eq!(served.told("GET /b", "").await.status, 404);
    let [b] = specs(&worker("b", "", "")).try_into().unwrap();
    served.ingress.set(&b);
    let mut client = served.connect().await;
    client.get("/b").await;
    served.next().await.answer(200, "b");
    assert_eq!(client.answer().await.body, "b");
    // A route changes hands: the new owner may be told before the old one is.
    let [c] = specs(&worker("c", "", "").replace("/c\"", "/a\"")).try_into().unwrap();
    served.ingress.set(&c);
    served.ingress.remove("a");
    client.get("/a").await;
    let asked = served.next().await;
    assert_eq!(asked.worker, "c");
    asked.answer(200, "c");
    assert_eq!(client.answer().await.body, "c");
    let [paused] = specs(&worker("b", "paused = true", "")).try_into().unwrap();
    served.ingress.set(&paused);
    let told = served.told("GET /b", "").await;
    assert_eq!((told.status, told.error().as_str()), (503, "the worker is paused"));
    let traffic = served.ingress.traffic();
    assert_eq!(traffic.iter().find(|one| one.worker.as_deref() == Some("b")).unwrap().answers, [0, 1, 0, 0, 1], "counts go on");
    served.ingress.remove("b");
    assert_eq!(served.told("GET /b", "").await.status, 404);
}
