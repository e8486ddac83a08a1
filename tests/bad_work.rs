//! Bad input while it runs, through the real binary: each kind the documented answer, nothing lost, and no incarnation harmed.
//!
//! What a subject's own tests show already is not shown again; [`SHOWN`] says where every kind stands.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{
    Host, eventually,
    web::{ask, post},
};

/// Kinds of bad input, and the test that shows what comes of each: file and function.
const SHOWN: &[(&str, &str, &str)] = &[
    ("malformed protobuf", "cloner/answers.rs", "a_payload_that_is_no_chunk_is_a_dead_letter_with_a_sentence"),
    ("JSON that isn't what the API promises", "bad_work.rs", "whatever_an_api_answers_a_chunk_is_answered"),
    ("an error object with HTTP 200", "bad_work.rs", "whatever_an_api_answers_a_chunk_is_answered"),
    ("cut connections, of an API", "bad_work.rs", "whatever_an_api_answers_a_chunk_is_answered"),
    ("cut connections, of a client", "bad_work.rs", "whatever_a_client_sends_the_counter_counts_on"),
    ("slow drip, of an API", "bad_work.rs", "whatever_an_api_answers_a_chunk_is_answered"),
    ("slow drip, of a client", "ingress/bodies.rs", "a_body_that_drips_is_given_up"),
    ("huge bodies, of an API", "bad_work.rs", "whatever_an_api_answers_a_chunk_is_answered"),
    ("huge bodies, of a client", "bad_work.rs", "whatever_a_client_sends_the_counter_counts_on"),
    ("huge bodies, of a worker", "ingress/host.rs", "every_bad_end_has_its_status_and_harms_nobody_else"),
    ("wrong methods", "bad_work.rs", "whatever_a_client_sends_the_counter_counts_on"),
    ("missing data", "work_api.rs", "data_comes_in_the_query_or_as_json_and_is_missed_when_it_is_missing"),
    ("negative increments", "bad_work.rs", "whatever_a_client_sends_the_counter_counts_on"),
    ("empty labels", "bad_work.rs", "whatever_a_client_sends_the_counter_counts_on"),
    ("labels of 1 MB", "bad_work.rs", "whatever_a_client_sends_the_counter_counts_on"),
    ("unknown queue", "bad_work.rs", "what_is_not_there_is_said_so"),
    ("unknown worker", "bad_work.rs", "what_is_not_there_is_said_so"),
    ("a call to itself", "registry.rs", "whoever_would_wait_for_itself_hears_so_and_nobody_is_harmed"),
    ("a request to itself", "registry.rs", "a_loop_over_http_is_an_error_within_the_deadline"),
    ("an unresolvable name", "bad_work.rs", "what_is_not_there_is_said_so"),
];

#[test]
fn every_kind_of_bad_input_has_its_test() {
    for (kind, file, test) in SHOWN {
        let text = std::fs::read_to_string(format!("tests/{file}")).unwrap_or_default();
        assert!(text.contains(&format!("fn {test}()")), "{kind}: no test {test} in tests/{file}");
    }
}

/// What a worker's bad input leaves alone.
fn unharmed(host: &Host, name: &str) -> Value {
    let worker = host.worker(name).unwrap();
    json!([worker["incarnation"], worker["restarts"], worker["state"], worker["events"]["trapped"]])
}

/// What an API sends back, and what of it reaches whoever asked: the end of the chunk's message, and attempts.
struct Api {
    pair: &'static str,
    sends: fn(&mut TcpStream) -> std::io::Result<()>,
    says: &'static str,
}

fn whole(to: &mut TcpStream, body: &str) -> std::io::Result<()> {
    write!(to, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

const APIS: &[Api] = &[
    Api { pair: "BTC_TEXT", sends: |to| whole(to, "hello"), says: "hello" },
    Api { pair: "BTC_EMPTY", sends: |to| whole(to, ""), says: "" },
    Api { pair: "BTC_OBJECT", sends: |to| whole(to, r#"{"trades":[]}"#), says: "trades" },
    Api { pair: "BTC_NUMBERS", sends: |to| whole(to, "[1,2]"), says: "" },
    Api { pair: "BTC_HALF", sends: |to| whole(to, r#"[{"tradeID":1,"date":"2020-06-01 00:00:00""#), says: "" },
    Api { pair: "BTC_LACKS", sends: |to| whole(to, r#"[{"tradeID":1,"date":"2020-06-01 00:00:00"}]"#), says: "" },
    Api { pair: "BTC_DEEP", sends: |to| whole(to, &"[".repeat(500_000)), says: "" },
    Api { pair: "BTC_ERROR", sends: |to| whole(to, r#"{"error":"Invalid currency pair."}"#), says: "Invalid currency pair." },
    Api { pair: "BTC_NOTHTTP", sends: |to| to.write_all(b"220 mail.example ESMTP\r\n"), says: "" },
    Api { pair: "BTC_NOTHING", sends: |_| Ok(()), says: "" },
    Api { pair: "BTC_CUT", sends: |to| to.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[{\"trade"), says: "" },
    Api { pair: "BTC_HUGE", sends: endless, says: "" },
    Api { pair: "BTC_DRIP", sends: drip, says: "" },
];

fn endless(to: &mut TcpStream) -> std::io::Result<()> {
    to.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    let piece = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    loop {
        to.write_all(piece.as_bytes())?;
    }
}

fn drip(to: &mut TcpStream) -> std::io::Result<()> {
    to.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")?;
    loop {
        to.write_all(b" ")?;
        thread::sleep(Duration::from_millis(50));
    }
}

/// Answers each connection as its path says; its address.
fn api() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || {
                let mut stream = stream.unwrap();
                let mut head = [0; 4096];
                let read = stream.read(&mut head).unwrap_or_default();
                let head = String::from_utf8_lossy(&head[..read]).into_owned();
                if let Some(api) = APIS.iter().find(|api| head.contains(&format!("currencyPair={}&", api.pair))) {
                    // Whoever hangs up has heard enough.
                    let _ = (api.sends)(&mut stream);
                }
            });
        }
    });
    format!("http://{address}")
}

#[test]
fn whatever_an_api_answers_a_chunk_is_answered() {
    let url = api();
    let host = Host::with(&["chunk-cloner"]);
    let text = format!(
        "[[queue]]\nname = \"todo-chunks\"\nbackoff = \"5ms\"\nmax_attempts = 2\n\n\
         [[worker]]\nname = \"chunk-cloner\"\ncomponent = \"chunk-cloner.wasm\"\njobs = {{ queue = \"todo-chunks\", concurrency = 4 }}\n\
         config = {{ api = \"{url}\" }}\nlimits = {{ timeout = \"4s\" }}\n\
         grants = {{ http = {{ allow = [\"{url}\"] }}, queue = {{ push = [\"todo-chunks\", \"finished-chunks\"] }} }}\n\n\
         [[worker]]\nname = \"cloner\"\ncomponent = \"chunk-cloner.wasm\"\ninstance = \"per-event\"\nlimits = {{ timeout = \"1m\" }}\n\
         config = {{ api = \"{url}\", wait = \"30s\" }}\ngrants = {{ queue = {{ push = [\"todo-chunks\"] }} }}\n"
    );
    host.drop_manifest("cloner.toml", &text);
    for name in ["chunk-cloner", "cloner"] {
        host.worker_when(name, "running", |worker| worker["state"] == "running");
    }
    let before = unharmed(&host, "chunk-cloner");
    thread::scope(|scope| {
        let host = &host;
        let asked = APIS.iter().map(|api| {
            let task = json!({ "currency_pair": api.pair, "from_unix_ts": 1_590_969_600, "until_unix_ts": 1_590_969_659, "task_dbid": 7 });
            scope.spawn(move || (api, host.call("cloner", "add_task", &task.to_string())))
        });
        for one in asked.collect::<Vec<_>>() {
            let (api, answer) = one.join().unwrap();
            let message = answer["possible_error_message"].as_str().unwrap_or_default();
            assert_eq!(answer["chunk_result"], "RANDOM_ERROR", "{}: {answer:#}", api.pair);
            assert!(!message.is_empty() && message.contains(api.says), "{}: {message}", api.pair);
            assert_eq!(answer["entries"], json!([]), "{}", api.pair);
        }
    });
    assert_eq!(unharmed(&host, "chunk-cloner"), before, "nobody crashed of it:\n{}", host.ok(&["traps"]));
    let left = |queue: &str, state: &str| {
        let (_, body) = host.api(&format!("/api/v1/queues/{queue}"));
        serde_json::from_str::<Value>(&body).unwrap()[state].as_u64()
    };
    assert_eq!(left("finished-chunks", "waiting"), Some(APIS.len() as u64), "each was answered, once");
    assert_eq!((left("todo-chunks", "waiting"), left("todo-chunks", "dead")), (Some(0), Some(0)));
}

#[test]
fn whatever_a_client_sends_the_counter_counts_on() {
    let host = Host::with(&["counter"]);
    host.drop_manifest("counter.toml", include_str!("../manifests/counter.toml"));
    let good = r#"{"labels":["good"],"increment":1}"#;
    let counted = eventually("the route", || Some(post(&host.listen, "/metrics", "", good)).filter(|answer| answer.status == 200)).json();
    let mut count = counted["good"].as_i64().unwrap();
    let before = unharmed(&host, "counter");
    let invalid = Some(r#"{"error":"Invalid Request"}"#);
    let labelled = |label: &str| json!({ "labels": [label], "increment": 1 }).to_string();
    for (kind, method, path, body, status, says) in [
        ("a negative increment", "POST", "/metrics", r#"{"labels":["good"],"increment":-5}"#.to_owned(), 400, invalid),
        ("an empty label", "POST", "/metrics", labelled(""), 400, invalid),
        ("a label of spaces", "POST", "/metrics", labelled("  "), 400, invalid),
        ("no labels", "POST", "/metrics", r#"{"labels":[],"increment":1}"#.to_owned(), 400, invalid),
        ("a label of 1 MB", "POST", "/metrics", labelled(&"x".repeat(1_000_000)), 400, invalid),
        ("a huge body", "POST", "/metrics", labelled(&"x".repeat(3 << 20)), 413, None),
        ("no JSON", "POST", "/metrics", "\u{0}\u{1}".to_owned(), 400, invalid),
        ("no body", "POST", "/metrics", String::new(), 400, invalid),
        ("an unknown path", "GET", "/metrics/elsewhere", String::new(), 404, None),
        ("a wrong method", "DELETE", "/metrics", String::new(), 405, None),
        ("a wrong method", "PUT", "/metrics", String::new(), 405, None),
        ("a wrong method for the path", "POST", "/metrics/query", String::new(), 405, None),
    ] {
        let answer = match method {
            "POST" => post(&host.listen, path, "", &body),
            _ => ask(&host.listen, method, path, &[]),
        };
        assert_eq!(answer.status, status, "{kind}: {answer:?}");
        assert!(answer.json()["error"].is_string() && says.is_none_or(|says| answer.body == says), "{kind}: {answer:?}");
        count += 1;
        assert_eq!(post(&host.listen, "/metrics", "", good).json(), json!({ "good": count }), "after {kind}");
    }
    // Half a request, then nothing more: by closing, and by a reset.
    let address = host.listen.strip_prefix("http://").unwrap();
    for half in ["POST /metr", "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 33\r\n\r\n{\"labels\"", "\u{16}\u{3}\u{1}\u{0}"] {
        for _ in 0..10 {
            TcpStream::connect(address).unwrap().write_all(half.as_bytes()).unwrap();
        }
    }
    // A body in drops is a body.
    let mut slow = TcpStream::connect(address).unwrap();
    write!(slow, "POST /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", good.len()).unwrap();
    for byte in good.bytes() {
        slow.write_all(&[byte]).unwrap();
        thread::sleep(Duration::from_millis(10));
    }
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(&json!({ "good": count + 1 }).to_string()), "{answer}");
    assert_eq!(unharmed(&host, "counter"), before);
}

#[test]
fn what_is_not_there_is_said_so() {
    let host = Host::with(&["probe", "unruly"]);
    host.running(
        "a",
        "[[worker]]\nname = \"a\"\ncomponent = \"probe.wasm\"\n\
         grants = { call = [\"nobody\"], queue = { push = [\"undeclared\"] }, ping = { allow = [\"nobody.invalid\"] } }\n",
    );
    host.running(
        "web",
        "[[worker]]\nname = \"web\"\ncomponent = \"unruly.wasm\"\ninstance = \"resident\"\nhttp = { routes = [\"/web\"] }\n\
         grants = { http = { allow = [\"http://nobody.invalid\"] } }\n",
    );
    let before = (unharmed(&host, "a"), unharmed(&host, "web"));
    for (method, with, error, says) in [
        ("registry.call", json!({ "name": "nobody", "method": "x" }), "not-found", "nobody"),
        ("registry.cast", json!({ "name": "nobody", "method": "x" }), "not-found", "nobody"),
        ("registry.whereis", json!({ "name": "nobody/3" }), "not-found", "nobody/3"),
        ("queue.push", json!({ "queue": "No Queue" }), "invalid", "names no queue"),
        ("queue.status", json!({ "id": "0198c5a0-0000-7000-8000-000000000000" }), "not-found", "there was none"),
        ("queue.status", json!({ "id": "one" }), "invalid", "is no job's id"),
        ("ping.echo", json!({ "host": "nobody.invalid" }), "not-found", "nobody.invalid"),
        ("ping.connect", json!({ "host": "nobody.invalid", "port": 80 }), "not-found", "nobody.invalid"),
    ] {
        let answer = host.call("a", method, &with.to_string());
        assert_eq!(answer["error"], error, "{method} {with}: {answer}");
        assert!(answer["sentence"].as_str().unwrap().contains(says), "{method} {with}: {answer}");
    }
    for url in ["http://nobody.invalid/", "http://nobody.skep.internal/"] {
        let answer = ask(&host.listen, "GET", &format!("/web/forward?url={url}"), &[]);
        assert!(answer.status == 200 && answer.body.starts_with("error: "), "{url}: {answer:?}");
    }
    let said = host.fails(3, &["call", "nobody", "x", ""]);
    assert!(said.contains("no worker \"nobody\""), "{said}");

    // A queue nobody declared is one with the defaults, from the first push on.
    let (status, leased) = lease(&host, "undeclared");
    assert_eq!((status, leased), (200, json!([])), "nothing in it, and no error");
    assert_eq!(host.json(&["queue", "ls"]), json!([]), "asking makes no queue");
    let id = host.call("a", "queue.push", r#"{"queue":"undeclared","payload":"kept"}"#)["ok"].clone();
    let (_, leased) = lease(&host, "undeclared");
    assert_eq!((&leased[0]["id"], &leased[0]["payload"]["text"]), (&id, &json!("kept")), "{leased:#}");
    assert_eq!((unharmed(&host, "a"), unharmed(&host, "web")), before);
}

fn lease(host: &Host, queue: &str) -> (u16, Value) {
    let token = std::fs::read_to_string(host.data().join("admin.token")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("{}/api/v1/queues/{queue}/lease", host.admin);
        let request = reqwest::Client::new().post(url).bearer_auth(token.trim()).json(&json!({ "holder": "me" }));
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    })
}
