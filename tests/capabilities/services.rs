//! kv, limiter, registry and topics as a guest meets them.

use std::{sync::Arc, time::Duration};

use skep::{
    capability::{
        bindings::skep::worker::{errors::Error, kv, limiter, registry, topics},
        caller::Chain,
        services::CallFault,
    },
    manifest::spec::Grants,
    store::{MAX_KEY_BYTES, MAX_MANY, MAX_VALUE_BYTES, Sums, Swapped},
};

use super::{
    fakes::{World, grants},
    no, says,
};

#[tokio::test]
async fn the_own_bucket_needs_no_grant_and_others_do() {
    let world = World::new();
    let mut item = world.worker("pinger/nas", grants("{ kv = [\"shared\"] }"));
    for bucket in ["", "pinger/nas", "shared"] {
        kv::Host::get(&mut item, bucket.into(), "k".into()).await.unwrap();
    }
    assert_eq!(world.kv.asked(), ["get pinger/nas k", "get pinger/nas k", "get shared k"]);
    says(kv::Host::get(&mut item, "pinger".into(), "k".into()).await, "denied", "add \"pinger\" to grants.kv");
    says(kv::Host::delete(&mut item, "pinger/tv".into(), "k".into()).await, "invalid", "names no bucket");
    says(kv::Host::set(&mut item, "other".into(), "k".into(), vec![], None).await, "denied", "grants.kv");
    says(kv::Host::increment(&mut item, "other".into(), "k".into(), 1).await, "denied", "grants.kv");
    says(kv::Host::increment_many(&mut item, "other".into(), vec![], 1).await, "denied", "grants.kv");
    says(kv::Host::entries(&mut item, "other".into(), String::new(), None, 1).await, "denied", "grants.kv");
    assert_eq!(world.kv.asked(), [""; 0]);
}

#[tokio::test]
async fn keys_values_and_counts_are_held_to_their_bounds() {
    let world = World::new();
    let mut a = world.worker("a", Grants::default());
    let own = String::new;
    let long = "k".repeat(MAX_KEY_BYTES + 1);
    says(kv::Host::get(&mut a, own(), own()).await, "invalid", "1 to 512 bytes");
    says(kv::Host::get(&mut a, own(), long.clone()).await, "too-large", "at most 512");
    says(kv::Host::set(&mut a, own(), "k".into(), vec![0; MAX_VALUE_BYTES + 1], None).await, "too-large", "(1 MiB)");
    for ttl in [0, 367 * 86_400_000, u64::MAX] {
        says(kv::Host::set(&mut a, own(), "k".into(), vec![], Some(ttl)).await, "invalid", "from 1 ms to 366 days");
    }
    says(kv::Host::increment_many(&mut a, own(), vec!["k".into(); MAX_MANY + 1], 1).await, "too-large", "at most 10000");
    says(kv::Host::increment_many(&mut a, own(), vec!["k".into(), long.clone()], 1).await, "too-large", "at most 512");
    says(kv::Host::entries(&mut a, own(), long.clone(), None, 1).await, "too-large", "the prefix");
    says(kv::Host::entries(&mut a, own(), own(), Some(long), 1).await, "too-large", "to start after");
    says(kv::Host::entries(&mut a, own(), own(), None, 10_001).await, "too-large", "at most 10000");
    assert_eq!(kv::Host::increment_many(&mut a, own(), vec![], 1).await.unwrap(), [0; 0]);
    assert_eq!(world.kv.asked(), [""; 0], "nothing of that reached the store");
}

#[tokio::test]
async fn a_conflict_says_what_is_there_and_a_sum_that_can_t_be_says_why() {
    let world = World::new();
    let mut a = world.worker("a", Grants::default());
    let mut swap = async |expected| kv::Host::compare_and_set(&mut a, String::new(), "k".into(), expected, vec![], Some(5)).await;
    swap(0).await.unwrap();
    *world.kv.swapped.lock().unwrap() = Some(Swapped::Conflict(Some(7)));
    says(swap(3).await, "conflict", "key \"k\" has revision 7: read it again");
    *world.kv.swapped.lock().unwrap() = Some(Swapped::Conflict(None));
    says(swap(3).await, "conflict", "there is no key \"k\"");
    assert_eq!(world.kv.asked()[..2], ["set a k 0 bytes Some(5ms) Absent", "set a k 0 bytes Some(5ms) Revision(3)"]);
    assert_eq!(kv::Host::increment(&mut a, String::new(), "k".into(), -4).await.unwrap(), -4);
    *world.kv.sums.lock().unwrap() = Some(Sums::NotANumber("k".into()));
    says(kv::Host::increment(&mut a, String::new(), "k".into(), 1).await, "invalid", "key \"k\" holds no number");
    *world.kv.sums.lock().unwrap() = Some(Sums::Overflow("k".into()));
    says(kv::Host::increment(&mut a, String::new(), "k".into(), 1).await, "invalid", "does not fit");
}

const LIMITED: &str = "{ limiter = { acquire = [\"api\", \"gone\"], set_rate = [\"api\", \"gone\"] } }";

#[tokio::test(start_paused = true)]
async fn waiting_for_a_permit_is_the_limiters_time_not_the_events() {
    let world = World::new().limiters(&[("api", "1/s"), ("slow", "1/m")]);
    let (mut a, waits) = world.worker_timed("a", grants(LIMITED));
    limiter::Host::acquire(&mut a, "api".into(), 0).await.unwrap();
    assert!(!limiter::Host::try_acquire(&mut a, "api".into()).unwrap());
    says(limiter::Host::acquire(&mut a, "api".into(), 400).await, "timeout", "no permit of limiter \"api\" (1/s) within 400ms");
    limiter::Host::acquire(&mut a, "api".into(), u64::MAX).await.unwrap();
    let waited = waits.waited();
    assert!((Duration::from_millis(990)..Duration::from_millis(1_010)).contains(&waited), "{waited:?}");
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(waits.waited(), waited, "what the guest does itself is not waiting");
    assert!(limiter::Host::try_acquire(&mut a, "api".into()).unwrap());
    waits.reset();
    assert_eq!(waits.waited(), Duration::ZERO);
}

#[tokio::test]
async fn an_unknown_limiter_is_answered_with_the_ones_there_are_and_an_ungranted_one_is_not() {
    let world = World::new().limiters(&[("api", "1/s"), ("slow", "1/m")]);
    let mut a = world.worker("a", grants(LIMITED));
    let there = "no [[limiter]] is called \"gone\": there is \"api\", \"slow\"";
    says(limiter::Host::acquire(&mut a, "gone".into(), 1).await, "not-found", there);
    says(limiter::Host::try_acquire(&mut a, "gone".into()), "not-found", there);
    says(limiter::Host::set_rate(&mut a, "gone".into(), "1/s".into()).await, "not-found", there);
    says(limiter::Host::acquire(&mut a, "slow".into(), 1).await, "denied", "add \"slow\" to grants.limiter.acquire");
    says(limiter::Host::set_rate(&mut a, "slow".into(), "9/s".into()).await, "denied", "add \"slow\" to grants.limiter.set_rate");
    says(limiter::Host::acquire(&mut World::new().worker("a", grants(LIMITED)), "api".into(), 1).await, "not-found", "none is declared");
}

#[tokio::test]
async fn a_rate_is_in_force_at_once_and_written_down() {
    let world = World::new().limiters(&[("api", "1/s")]);
    let mut a = world.worker("a", grants(LIMITED));
    limiter::Host::set_rate(&mut a, "api".into(), "6/s".into()).await.unwrap();
    let rate = || world.services.limiters.get("api").unwrap().rate().to_string();
    assert_eq!((rate(), world.rates.written.lock().unwrap().clone()), ("6/s".into(), vec!["api 6/s".to_owned()]));
    says(limiter::Host::set_rate(&mut a, "api".into(), "fast".into()).await, "invalid", "\"fast\" is no rate: write events per span");
    says(limiter::Host::set_rate(&mut a, "api".into(), "0/s".into()).await, "invalid", "from 1 to 1000000");
    assert_eq!(rate(), "6/s");
    *world.rates.fault.lock().unwrap() = Some("the manifests folder is read-only".into());
    let failed = limiter::Host::set_rate(&mut a, "api".into(), "9/s".into()).await;
    says(failed, "unavailable", "runs at 9/s now, but only until its manifest is read again: the manifests folder is read-only");
    assert_eq!(rate(), "9/s");
}

#[tokio::test]
async fn a_worker_sees_itself_and_whom_it_may_call() {
    let world = World::new();
    for (worker, replica) in [("a", 1), ("b", 1), ("b", 2), ("c", 1), ("pinger/nas", 1)] {
        world.directory.have(worker, replica);
    }
    let mut a = world.worker("a", grants("{ call = [\"b\", \"pinger\", \"nobody\"] }"));
    let names = |members: Vec<registry::Member>| members.into_iter().map(|member| member.name).collect::<Vec<_>>();
    assert_eq!(names(registry::Host::members(&mut a, String::new())), ["a/1", "b/1", "b/2", "pinger/nas/1"]);
    assert_eq!(names(registry::Host::members(&mut a, "pin".into())), ["pinger/nas/1"]);
    assert_eq!(names(registry::Host::whereis(&mut a, "a".into()).unwrap()), ["a/1"]);
    let found = registry::Host::whereis(&mut a, "b".into()).unwrap();
    assert_eq!((&*found[1].worker, found[1].replica, &*found[1].state, found[1].busy, found[1].waiting), ("b", 2, "running", true, 3));
    says(registry::Host::whereis(&mut a, "nobody".into()), "not-found", "there is no worker \"nobody\"");
    says(registry::Host::whereis(&mut a, "c".into()), "denied", "worker \"a\" may not ask about \"c\": add \"c\" to grants.call");
}

fn refused(answer: Result<Vec<u8>, registry::CallError>) -> Result<Vec<u8>, Error> {
    answer.map_err(|error| match error {
        registry::CallError::Refused(error) => error,
        registry::CallError::Failed(sentence) => panic!("failed: {sentence}"),
    })
}

#[tokio::test]
async fn a_call_carries_who_asks_and_whose_calls_led_there() {
    let world = World::new();
    let mut a = world.worker("a", grants("{ call = [\"b\"] }"));
    let first = Arc::new(Chain { worker: "first".into(), before: None, call: None });
    a.begin(9, Some(Arc::new(Chain { worker: "second".into(), before: Some(first), call: None })), None);
    assert_eq!(refused(registry::Host::call(&mut a, "b/2".into(), "m".into(), b"x".to_vec(), u64::MAX).await).unwrap(), b"x");
    registry::Host::cast(&mut a, "b".into(), "m".into(), vec![]).unwrap();
    let by = "a#9 via [\"second\", \"first\"]";
    assert_eq!(world.directory.asked(), [format!("{by}: call b/2 m within 3600s"), format!("{by}: cast b m")]);
}

#[tokio::test]
async fn why_a_call_brought_nothing_is_told_apart() {
    let world = World::new();
    let mut a = world.worker("a", grants("{ call = [\"b\"] }"));
    let mut call = async |name: &str, method: &str, payload| registry::Host::call(&mut a, name.into(), method.into(), payload, 10).await;
    says(refused(call("c", "m", vec![]).await), "denied", "add \"c\" to grants.call");
    says(refused(call("b", &"m".repeat(257), vec![]).await), "too-large", "at most 256");
    says(refused(call("b", "m", vec![0; (1 << 20) + 1]).await), "too-large", "(1 MiB)");
    for (fault, case) in [
        (CallFault::NotFound("so".into()), "not-found"),
        (CallFault::Cycle("so".into()), "conflict"),
        (CallFault::Timeout("so".into()), "timeout"),
        (CallFault::TooLarge("so".into()), "too-large"),
        (CallFault::Unavailable("so".into()), "unavailable"),
    ] {
        *world.directory.answer.lock().unwrap() = Some(fault);
        assert_eq!(no(refused(call("b", "m", vec![]).await)), (case, "so".to_owned()));
    }
    *world.directory.answer.lock().unwrap() = Some(CallFault::Failed("its own words".into()));
    assert!(matches!(call("b", "m", vec![]).await, Err(registry::CallError::Failed(sentence)) if sentence == "its own words"));
    *world.directory.answer.lock().unwrap() = Some(CallFault::Unavailable("full".into()));
    says(registry::Host::cast(&mut a, "b".into(), "m".into(), vec![]), "unavailable", "full");
    says(registry::Host::cast(&mut a, "c".into(), "m".into(), vec![]), "denied", "may not call \"c\"");
}

#[tokio::test]
async fn a_message_goes_out_on_granted_topics_only() {
    let world = World::new();
    let mut a = world.worker("a", grants("{ publish = [\"orders.*\"] }"));
    let mut publish = |topic: &str, payload| topics::Host::publish(&mut a, topic.into(), payload);
    assert_eq!(publish("orders.new", vec![7; 3]).unwrap(), 2);
    says(publish("orders", vec![]), "denied", "add \"orders\" to grants.publish");
    says(publish("orders.*", vec![]), "invalid", "names no topic");
    says(publish("orders.new", vec![0; (1 << 20) + 1]), "too-large", "(1 MiB)");
    assert_eq!(world.directory.asked(), ["a#1 via []: publish orders.new 3 bytes"]);
}
