//! A host in memory: what is sent where, over crashes, refusals and batches.

use std::collections::BTreeMap;

use super::*;
use crate::config;

#[derive(Default)]
struct Fake {
    keys: BTreeMap<String, (Vec<u8>, u64)>,
    revision: u64,
    now: u64,
    /// Pushed and not yet acknowledged: payload, key, when it is due.
    pushed: Vec<(Vec<u8>, String, u64)>,
    posts: Vec<(String, String, Vec<u8>)>,
    /// Answers by target's authority; 200 where there is none.
    answers: BTreeMap<String, u16>,
    /// So many more writes, then the worker is gone.
    writes_left: Option<usize>,
}

impl Fake {
    fn write(&mut self) -> Result<(), String> {
        match &mut self.writes_left {
            Some(0) => Err("crash".to_owned()),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn posts_to(&self, authority: &str) -> usize {
        self.posts.iter().filter(|(to, ..)| to == authority).count()
    }
}

impl Desk for Fake {
    fn get(&mut self, key: &str) -> Result<Option<(Vec<u8>, u64)>, String> {
        Ok(self.keys.get(key).cloned())
    }

    fn set(&mut self, key: &str, value: &[u8], _: u64) -> Result<(), String> {
        self.write()?;
        self.revision += 1;
        self.keys.insert(key.to_owned(), (value.to_vec(), self.revision));
        Ok(())
    }

    fn swap(&mut self, key: &str, expected: u64, value: &[u8], ttl: u64) -> Result<bool, String> {
        if self.keys.get(key).map_or(0, |(_, revision)| *revision) != expected {
            return Ok(false);
        }
        self.set(key, value, ttl).map(|()| true)
    }

    fn delete(&mut self, key: &str) -> Result<(), String> {
        self.write()?;
        self.keys.remove(key);
        Ok(())
    }

    fn entries(&mut self, prefix: &str, most: usize) -> Result<Vec<(String, Vec<u8>)>, String> {
        let found = self.keys.iter().filter(|(key, _)| key.starts_with(prefix)).take(most);
        Ok(found.map(|(key, (value, _))| (key.clone(), value.clone())).collect())
    }

    fn push_on_ack(&mut self, payload: &[u8], key: String, delay_ms: u64) -> Result<(), String> {
        self.pushed.push((payload.to_vec(), key, self.now + delay_ms));
        Ok(())
    }

    fn now_ms(&mut self) -> u64 {
        self.now
    }

    fn post(&mut self, target: &Target, id: &str, body: &[u8]) -> Heard {
        self.posts.push((target.url.authority.clone(), id.to_owned(), body.to_vec()));
        let status = self.answers.get(&target.url.authority).copied().unwrap_or(200);
        if status == 0 { Heard::Nothing("nobody there".to_owned()) } else { Heard::Answer { status, retry_after: Some("3".to_owned()) } }
    }

    fn say(&mut self, _: bool, _: &str) {}
}

fn config(batch: &str) -> Config {
    let json = format!(r#"{{{batch}"targets":[{{"kind":"webhook","url":"http://a/"}},{{"kind":"slack","url":"http://b/"}}]}}"#);
    config::parse(&json).unwrap()
}

fn payload(n: usize) -> Vec<u8> {
    format!(r#"{{"id":"id-{n:04}","kind":"check","summary":"down: {n}","to":"down","at":"t","host":"h"}}"#).into_bytes()
}

#[test]
fn one_target_that_fails_does_not_make_another_hear_it_twice() {
    let (mut desk, config) = (Fake::default(), config(""));
    desk.answers.insert("b".into(), 503);
    let again = handle(&mut desk, &config, &payload(1)).unwrap_err();
    assert_eq!(again, Setback::Again { reason: "slack at b answered 503".into(), after_ms: Some(3_000) });
    desk.answers.insert("b".into(), 0);
    assert!(matches!(handle(&mut desk, &config, &payload(1)), Err(Setback::Again { after_ms: None, .. })));
    desk.answers.clear();
    handle(&mut desk, &config, &payload(1)).unwrap();
    assert_eq!((desk.posts_to("a"), desk.posts_to("b")), (1, 3));
    assert!(desk.posts.iter().all(|(_, id, _)| id == "id-0001"), "the flip's id, every time");
    handle(&mut desk, &config, &payload(1)).unwrap();
    assert_eq!(desk.posts.len(), 4, "a job that comes once more sends nothing");
}

#[test]
fn what_is_refused_is_dead_once_the_others_have_it() {
    let (mut desk, config) = (Fake::default(), config(""));
    desk.answers.extend([("a".to_owned(), 404), ("b".to_owned(), 500)]);
    assert!(matches!(handle(&mut desk, &config, &payload(1)), Err(Setback::Again { .. })));
    desk.answers.insert("b".into(), 200);
    assert_eq!(handle(&mut desk, &config, &payload(1)), Err(Setback::Dead("webhook at a answered 404".into())));
    assert_eq!((desk.posts_to("a"), desk.posts_to("b")), (1, 2));
    assert!(matches!(handle(&mut desk, &config, b"{}"), Err(Setback::Dead(_))));
}

/// Runs the jobs that were pushed, each key once, in the order they are due, as the queue would.
fn run_pushed(desk: &mut Fake, config: &Config) {
    while !desk.pushed.is_empty() {
        let mut pushed = std::mem::take(&mut desk.pushed);
        pushed.sort_by_key(|(.., due)| *due);
        pushed.dedup_by(|a, b| a.1 == b.1);
        for (payload, _, due) in pushed {
            desk.now = desk.now.max(due);
            let mut tries = 0;
            while handle(desk, config, &payload).is_err() {
                tries += 1;
                assert!(tries < 100);
                desk.writes_left = None;
            }
        }
    }
}

#[test]
fn alerts_of_a_window_go_as_one_and_later_ones_as_another() {
    let (mut desk, config) = (Fake::default(), config(r#""batch":"10s","#));
    for n in 0..5 {
        desk.now += 1_000;
        handle(&mut desk, &config, &payload(n)).unwrap();
    }
    assert!(desk.posts.is_empty());
    run_pushed(&mut desk, &config);
    assert_eq!((desk.posts_to("a"), desk.posts_to("b")), (1, 1));
    let whole: serde_json::Value = serde_json::from_slice(&desk.posts[0].2).unwrap();
    let ids: Vec<_> = whole["alerts"].as_array().unwrap().iter().map(|alert| alert["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, ["id-0000", "id-0001", "id-0002", "id-0003", "id-0004"]);
    handle(&mut desk, &config, &payload(9)).unwrap();
    run_pushed(&mut desk, &config);
    assert_eq!(desk.posts_to("a"), 2);
    assert_eq!(desk.posts.last().unwrap().1, "id-0009");
    assert!(!desk.keys.keys().any(|key| key.starts_with("wait/")), "{:?}", desk.keys.keys());
    // A test goes at once.
    handle(&mut desk, &config, br#"{"id":"t","kind":"test","summary":"test","to":"test"}"#).unwrap();
    assert_eq!(desk.posts_to("a"), 3);
}

#[test]
fn a_batch_that_is_tried_again_is_the_same_wherever_it_broke_off() {
    for writes in 0..14 {
        let (mut desk, config) = (Fake::default(), config(r#""batch":"10s","#));
        for n in 0..4 {
            handle(&mut desk, &config, &payload(n)).unwrap();
        }
        desk.writes_left = Some(writes);
        run_pushed(&mut desk, &config);
        let to_a: Vec<_> = desk.posts.iter().filter(|(to, ..)| to == "a").collect();
        // A crash between an answer and its note is the one case of two; then both are the same.
        assert!(to_a.windows(2).all(|pair| pair[0] == pair[1]), "{writes}: {to_a:?}");
        assert!(matches!(to_a.len(), 1 | 2), "{writes}: {}", to_a.len());
        let whole: serde_json::Value = serde_json::from_slice(&to_a[0].2).unwrap();
        assert_eq!(whole["alerts"].as_array().unwrap().len(), 4);
    }
}

#[test]
fn an_alert_that_joins_while_its_batch_closes_is_in_one_of_the_two() {
    let (mut desk, config) = (Fake::default(), config(r#""batch":"10s","#));
    handle(&mut desk, &config, &payload(0)).unwrap();
    desk.set("closed/id-0000", b"", 1).unwrap();
    let late = handle(&mut desk, &config, &payload(1)).unwrap_err();
    assert_eq!(late, soon("its batch was closed meanwhile"));
    desk.now = 10_000;
    handle(&mut desk, &config, &payload(1)).unwrap();
    run_pushed(&mut desk, &config);
    assert_eq!(desk.posts.iter().filter(|(to, ..)| to == "a").map(|(_, id, _)| id.as_str()).collect::<Vec<_>>(), ["id-0000", "id-0001"]);
}

#[test]
fn more_than_one_message_holds_go_in_several() {
    let (mut desk, config) = (Fake::default(), config(r#""batch":"10s","#));
    for n in 0..MOST + 10 {
        handle(&mut desk, &config, &payload(n)).unwrap();
    }
    run_pushed(&mut desk, &config);
    let told: usize = desk
        .posts
        .iter()
        .filter(|(to, ..)| to == "a")
        .map(|(.., body)| serde_json::from_slice::<serde_json::Value>(body).unwrap()["alerts"].as_array().unwrap().len())
        .sum();
    assert_eq!((desk.posts_to("a"), told), (2, MOST + 10));
}
