//! A peer that says "too many requests": who is told, for how long, and who is not.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimePrinter;
use skep::{clock::Clock, limiter::Limiter, manifest::spec::HttpGrant};

use super::{Server, Worker, client, grant};

/// The silence a named limiter keeps after one answer; none: it was not told.
async fn silence(status: u16, retry_after: &str) -> Option<Duration> {
    let server = Server::plain().await;
    let clock = Clock::system();
    let limiter = Limiter::new("100/s".parse().unwrap(), 1, clock);
    let named = HttpGrant { limiter: Some("api".to_owned()), ..grant(&[&server.url("")]) };
    let worker = Worker::of(&client().0, &named, Some(limiter.clone()));
    let path = format!("/says?{status}={}", retry_after.replace(' ', "+"));
    assert_eq!(worker.get(&server.url(&path)).await.unwrap().0, status, "the guest sees the answer as it is");
    limiter.standing().paused_until.map(|until| until - clock.now())
}

fn about(silence: Option<Duration>, seconds: u64) -> bool {
    silence
        .is_some_and(|silence| silence <= Duration::from_secs(seconds) && silence + Duration::from_secs(5) > Duration::from_secs(seconds))
}

#[tokio::test]
async fn a_named_limiter_keeps_the_silence_that_was_asked_for() {
    assert!(about(silence(429, "120").await, 120));
    assert!(about(silence(503, "120").await, 120), "unavailable until then");
    assert!(about(silence(429, "99999999999999999999").await, 600), "ten minutes at most");
    let date = Clock::system().wall() + Duration::from_secs(90);
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&date).unwrap();
    assert!(about(silence(429, &date).await, 90), "{date}");
}

#[tokio::test]
async fn too_many_requests_without_a_time_is_a_second() {
    for retry_after in ["", "soon", "-5", "0", "Sun, 06 Nov 1994 08:49:37 GMT"] {
        let silence = silence(429, retry_after).await;
        assert!(silence.is_some_and(|silence| silence <= Duration::from_secs(1)), "{retry_after:?}: {silence:?}");
    }
}

#[tokio::test]
async fn other_answers_silence_nobody() {
    assert_eq!(silence(503, "").await, None);
    assert_eq!(silence(200, "120").await, None);
    assert_eq!(silence(404, "120").await, None);
}

#[tokio::test]
async fn a_rate_of_the_workers_own_is_not_silenced_by_one_of_its_peers() {
    let server = Server::plain().await;
    let own = HttpGrant { rate: Some("100/s".parse().unwrap()), ..grant(&[&server.url("")]) };
    let limiter = Limiter::new("100/s".parse().unwrap(), 1, Clock::system());
    let worker = Worker::of(&client().0, &own, Some(limiter.clone()));
    worker.get(&server.url("/says?429=120")).await.unwrap();
    assert_eq!(limiter.standing().paused_until, None);
}
