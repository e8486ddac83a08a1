//! The reference's requests, and the ones that should not hurt.

use std::collections::BTreeMap;

use web::{Method, Request};

use super::{Counter, Store, Trouble};

#[derive(Default)]
struct Memory {
    counts: BTreeMap<String, i64>,
    loads: usize,
    notes: Vec<String>,
    broken: Option<Trouble>,
}

impl Store for &mut Memory {
    fn load(&mut self) -> Result<BTreeMap<String, i64>, Trouble> {
        self.loads += 1;
        self.broken.clone().map_or(Ok(self.counts.clone()), Err)
    }

    fn increment(&mut self, labels: &[String], by: i64) -> Result<Vec<i64>, Trouble> {
        if let Some(trouble) = self.broken.clone() {
            return Err(trouble);
        }
        let add = |label: &String| {
            let count = self.counts.entry(label.clone()).or_default();
            *count += by;
            *count
        };
        Ok(labels.iter().map(add).collect())
    }

    fn note(&mut self, sentence: &str) {
        self.notes.push(sentence.to_owned());
    }
}

fn get(target: &str) -> Request {
    Request::new(Method::Get, target, vec![])
}

fn post(body: &str) -> Request {
    Request::new(Method::Post, "/metrics", body.as_bytes().to_vec())
}

fn ask(counter: &mut Counter<&mut Memory>, request: &Request) -> (u16, String) {
    let answer = counter.answer(request);
    (answer.status, answer.body)
}

#[test]
fn the_references_own_sequence() {
    let mut memory = Memory::default();
    let mut counter = Counter::new(&mut memory, 10_000);
    let mut says =
        |request: Request, status: u16, body: &str| assert_eq!(ask(&mut counter, &request), (status, body.to_owned()), "{request:?}");
    says(get("/metrics"), 200, "{}");
    says(post(r#"{"labels":["b","a"],"increment":10}"#), 200, r#"{"a":10,"b":10}"#);
    says(post(r#"{"labels":["a"],"increment":5}"#), 200, r#"{"a":15,"b":10}"#);
    says(post(r#"{"labels":["c"],"increment":0}"#), 200, r#"{"a":15,"b":10,"c":0}"#);
    says(get("/metrics"), 200, r#"{"a":15,"b":10,"c":0}"#);
    says(get("/metrics/query?expression=a,b"), 200, r#"{"a":15,"b":10}"#);
    says(get("/metrics/query?expression=%20a%20,+nobody,c"), 200, r#"{"a":15,"c":0}"#);
    says(get("/metrics/query?expression=nobody"), 404, r#"{"error":"not found"}"#);
    says(get("/metrics/query?expression=,"), 404, r#"{"error":"not found"}"#);
    says(get("/metrics/query?expression="), 200, r#"{"a":15,"b":10,"c":0}"#);
    says(get("/metrics/query"), 200, r#"{"a":15,"b":10,"c":0}"#);
    assert_eq!(memory.loads, 1, "read once");
}

#[test]
fn what_makes_no_sense_is_invalid_and_changes_nothing() {
    let mut memory = Memory::default();
    let mut counter = Counter::new(&mut memory, 2);
    let long = "x".repeat(257);
    let many = format!(r#"{{"labels":[{}"a"],"increment":1}}"#, r#""a","#.repeat(10_000));
    let wrong = [
        "",
        "{}",
        "[]",
        "null",
        "not json",
        r#"{"labels":["a"],"increment":1"#,
        r#"{"labels":["a"]}"#,
        r#"{"increment":1}"#,
        r#"{"labels":[],"increment":1}"#,
        r#"{"labels":"a","increment":1}"#,
        r#"{"labels":[1],"increment":1}"#,
        r#"{"labels":["a",""],"increment":1}"#,
        r#"{"labels":[" "],"increment":1}"#,
        r#"{"labels":["a"],"increment":-1}"#,
        r#"{"labels":["a"],"increment":"10"}"#,
        r#"{"labels":["a"],"increment":1.5}"#,
        r#"{"labels":["a"],"increment":null}"#,
        r#"{"labels":["a"],"increment":99999999999999999999}"#,
        r#"{"labels":["a","b","c"],"increment":1}"#,
        &format!(r#"{{"labels":["{long}"],"increment":1}}"#),
        &many,
        &"[".repeat(100_000),
    ];
    for body in wrong {
        let expected = (400, r#"{"error":"Invalid Request"}"#.to_owned());
        assert_eq!(ask(&mut counter, &post(body)), expected, "{}", body.chars().take(80).collect::<String>());
    }
    assert_eq!(counter.answer(&Request { body: vec![0xff], ..post("") }).status, 400);
    assert_eq!(ask(&mut counter, &get("/metrics")), (200, "{}".to_owned()));
    assert_eq!(memory.notes.len(), wrong.len() + 1, "the log says why, each time");
    assert_eq!(memory.notes[13], "refused: increment is -1, less than 0");
}

#[test]
fn the_same_label_twice_counts_twice() {
    let mut memory = Memory::default();
    let mut counter = Counter::new(&mut memory, 10);
    assert_eq!(ask(&mut counter, &post(r#"{"labels":["a","a"],"increment":10}"#)).1, r#"{"a":20}"#);
}

#[test]
fn other_methods_and_paths_are_told() {
    let mut memory = Memory::default();
    let mut counter = Counter::new(&mut memory, 10);
    let answer = counter.answer(&Request::new(Method::Other, "/metrics", vec![]));
    assert_eq!((answer.status, answer.allow), (405, Some("GET, POST")));
    assert_eq!(counter.answer(&Request::new(Method::Post, "/metrics/query?expression=a", vec![])).allow, Some("GET"));
    assert_eq!(ask(&mut counter, &get("/metrics/other")), (404, r#"{"error":"not found"}"#.to_owned()));
    assert_eq!(counter.answer(&get("/metrics/")).status, 200);
}

#[test]
fn a_store_that_fails_is_said_and_tried_again() {
    let mut memory = Memory { broken: Some(Trouble::Unavailable("the disk is full".to_owned())), ..Memory::default() };
    let mut counter = Counter::new(&mut memory, 10);
    assert_eq!(ask(&mut counter, &get("/metrics")), (503, r#"{"error":"the disk is full"}"#.to_owned()));
    counter.store.broken = None;
    assert_eq!(ask(&mut counter, &post(r#"{"labels":["a"],"increment":1}"#)).1, r#"{"a":1}"#);
    counter.store.broken = Some(Trouble::Invalid("the sum does not fit".to_owned()));
    assert_eq!(ask(&mut counter, &post(r#"{"labels":["a"],"increment":1}"#)).0, 400);
    assert_eq!(ask(&mut counter, &get("/metrics")).1, r#"{"a":1}"#);
}
