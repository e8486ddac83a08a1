//! Grants by name and topics' patterns, as pure questions.

use std::sync::Arc;

use proptest::prelude::*;
use skep::{
    capability::grant::{Denied, Wish, may},
    manifest::{spec::Grants, topics},
};

use super::fakes::grants;

fn asked(grants: &Grants, wish: Wish<'_>) -> String {
    may(&Arc::from("a"), grants, wish).map_or_else(|denied| denied.to_string(), |()| "yes".to_owned())
}

#[test]
fn a_refusal_names_the_line_that_would_grant_it() {
    let none = Grants::default();
    for (wish, sentence) in [
        (Wish::Push("todo"), "worker \"a\" may not push to \"todo\": add \"todo\" to grants.queue.push"),
        (Wish::Keep("shared"), "worker \"a\" may not use bucket \"shared\": add \"shared\" to grants.kv"),
        (Wish::Call("b"), "worker \"a\" may not call \"b\": add \"b\" to grants.call"),
        (Wish::Call("b/2"), "worker \"a\" may not call \"b/2\": add \"b\" to grants.call"),
        (Wish::Call("pinger/nas"), "worker \"a\" may not call \"pinger/nas\": add \"pinger/nas\" to grants.call"),
        (Wish::See("b"), "worker \"a\" may not ask about \"b\": add \"b\" to grants.call"),
        (Wish::Acquire("api"), "worker \"a\" may not acquire permits of \"api\": add \"api\" to grants.limiter.acquire"),
        (Wish::SetRate("api"), "worker \"a\" may not set the rate of \"api\": add \"api\" to grants.limiter.set_rate"),
        (Wish::Publish("x.y"), "worker \"a\" may not publish on \"x.y\": add \"x.y\" to grants.publish"),
    ] {
        assert_eq!(asked(&none, wish), sentence);
    }
}

#[test]
fn a_grant_covers_what_it_names_and_nothing_else() {
    let grants = grants(
        "{ queue = { push = [\"todo\"] }, kv = [\"shared\"], call = [\"pinger\", \"cell/one\"], \
         limiter = { acquire = [\"api\"], set_rate = [\"slow\"] }, publish = [\"orders.*\", \"done\"] }",
    );
    for wish in [
        Wish::Push("todo"),
        Wish::Keep("shared"),
        Wish::Call("pinger"),
        Wish::Call("pinger/2"),
        Wish::Call("pinger/nas"),
        Wish::See("pinger/nas/1"),
        Wish::Call("cell/one"),
        Wish::Call("cell/one/3"),
        Wish::See("a"),
        Wish::See("a/1"),
        Wish::Acquire("api"),
        Wish::SetRate("slow"),
        Wish::Publish("orders.new"),
        Wish::Publish("orders.new.paid"),
        Wish::Publish("done"),
    ] {
        assert_eq!(asked(&grants, wish), "yes", "{wish:?}");
    }
    for wish in [
        Wish::Push("todos"),
        Wish::Keep("a"),
        Wish::Call("pingers"),
        Wish::Call("cell"),
        Wish::Call("cell/two"),
        Wish::Call("a"),
        Wish::Acquire("slow"),
        Wish::SetRate("api"),
        Wish::Publish("orders"),
        Wish::Publish("done.x"),
    ] {
        assert!(asked(&grants, wish).contains("add \""), "{wish:?}");
    }
}

#[test]
fn nonsense_is_not_answered_with_a_line_that_no_manifest_takes() {
    let long = "x".repeat(64);
    for (wish, words) in [
        (Wish::Push(""), "\"\" names no queue: a name can't be empty"),
        (Wish::Push("Todo"), "\"Todo\" names no queue"),
        (Wish::Keep(&long), "at most 63"),
        (Wish::Keep("pinger/nas"), "names no bucket"),
        (Wish::Call("b/0"), "replicas are numbered from 1"),
        (Wish::Call("b/"), "replicas are numbered from 1"),
        (Wish::Call("/1"), "a name can't be empty"),
        (Wish::Call("b/c/d"), "names no worker"),
        (Wish::Call("7"), "all digits"),
        (Wish::See("b/99999999999"), "replicas are numbered from 1"),
        (Wish::Acquire("no such"), "names no limiter"),
        (Wish::Publish("orders.*"), "names no topic"),
        (Wish::Publish("a..b"), "names no topic"),
        (Wish::Publish(&"x".repeat(256)), "at most 255 bytes"),
    ] {
        let said = asked(&Grants::default(), wish);
        assert!(said.contains(words) && !said.contains("grants."), "{wish:?}: {said}");
    }
}

/// What the refusal says, done.
fn with_line(mut grants: Grants, list: &str, add: String) -> Grants {
    match list {
        "queue.push" => grants.queue_push.push(add),
        "kv" => grants.kv.push(add),
        "call" => grants.call.push(add),
        "limiter.acquire" => grants.limiter_acquire.push(add),
        "limiter.set_rate" => grants.limiter_set_rate.push(add),
        "publish" => grants.publish.push(add),
        other => panic!("there is no list {other}"),
    }
    grants
}

/// The same by recursion.
fn slowly_covers(pattern: &[&str], topic: &[&str]) -> bool {
    match (pattern, topic) {
        ([], []) => true,
        (["*", rest @ ..], [_, ..]) => (1..=topic.len()).any(|taken| slowly_covers(rest, &topic[taken..])),
        ([wanted, rest @ ..], [word, more @ ..]) => wanted == word && slowly_covers(rest, more),
        _ => false,
    }
}

proptest! {
    #[test]
    fn patterns_cover_as_the_slow_reading_says(
        pattern in prop::collection::vec(prop::sample::select(vec!["a", "b", "*"]), 1..7),
        topic in prop::collection::vec(prop::sample::select(vec!["a", "b"]), 1..9),
    ) {
        prop_assert_eq!(topics::covers(&pattern.join("."), &topic.join(".")), slowly_covers(&pattern, &topic));
    }

    #[test]
    fn whoever_adds_the_line_gets_a_yes(kind in 0..7, name in "[a-z][a-z0-9-]{0,6}(/[a-z]{1,4})?(/[1-9])?") {
        let plain = name.split('/').next().unwrap();
        let wish = match kind {
            0 => Wish::Push(plain),
            1 => Wish::Keep(plain),
            2 => Wish::Call(&name),
            3 => Wish::See(&name),
            4 => Wish::Acquire(plain),
            5 => Wish::SetRate(plain),
            _ => Wish::Publish(plain),
        };
        let worker = Arc::from("somebody-else");
        let Err(Denied::NotGranted { list, add, .. }) = may(&worker, &Grants::default(), wish) else {
            panic!("{wish:?} is granted by nothing");
        };
        prop_assert_eq!(may(&worker, &with_line(Grants::default(), list, add), wish), Ok(()));
    }
}

#[test]
fn a_star_stands_for_one_or_more_words() {
    for (pattern, topic, covers) in [
        ("*", "a", true),
        ("*", "a.b.c", true),
        ("orders.*", "orders", false),
        ("orders.*", "orders.x.y", true),
        ("*.done", "done", false),
        ("*.done", "a.done.done", true),
        ("a.*.b.*.c", "a.b.b.c.c", true),
        ("a.*.b.*.c", "a.b.c.c", false),
        ("orders", "orders.x", false),
    ] {
        assert_eq!(topics::covers(pattern, topic), covers, "{pattern} on {topic}");
    }
}

#[test]
fn a_long_pattern_is_matched_in_no_time() {
    let (pattern, topic) = (["*.a"; 60].join("."), ["a"; 120].join("."));
    assert!(topics::covers(&pattern, &topic));
    assert!(!topics::covers(&format!("{pattern}.b"), &topic));
}
