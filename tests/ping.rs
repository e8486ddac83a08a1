//! Pings through the capability as a guest meets it: loopback for real, loss and lateness with a scripted way out, grants, bounds.

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::{BoxFuture, join_all};
use proptest::prelude::*;
use skep::{
    capability::{
        bindings::skep::worker::{
            errors::Error,
            ping::{EchoReport, Host as _},
        },
        ping::{
            Ping, Pinger, Sent, Transport, missing,
            packet::{Family, Heard, Mark, read, request},
        },
        resolve::Resolve,
    },
    clock::Clock,
    manifest::{
        Parser,
        spec::{Grants, PingGrant},
    },
};
use tokio::time::{Instant, sleep_until};

/// Names and what they resolve to; `silent.test` never does.
struct Names(HashMap<&'static str, Vec<IpAddr>>);

impl Resolve for Names {
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        if host == "silent.test" {
            return Box::pin(std::future::pending());
        }
        let found = self.0.get(host).map(|ips| ips.iter().map(|ip| SocketAddr::new(*ip, port)).collect());
        Box::pin(std::future::ready(found.ok_or_else(|| io::Error::other("Name or service not known"))))
    }
}

fn names() -> Arc<Names> {
    let of = |ips: &[&str]| ips.iter().map(|ip| ip.parse().unwrap()).collect();
    Arc::new(Names(HashMap::from([
        ("here.test", of(&["127.0.0.1"])),
        ("both.test", of(&["10.0.0.7", "192.0.2.7"])),
        ("mapped.test", of(&["::ffff:127.0.0.1"])),
        ("cloud.test", of(&["169.254.169.254"])),
        ("empty.test", of(&[])),
    ])))
}

/// What comes of each packet, in order: the answer after a while, the word that it can't be delivered (zero), or nothing.
struct Script(Mutex<VecDeque<Option<Duration>>>);

impl Transport for Script {
    fn send(&self, _: SocketAddr) -> BoxFuture<'_, Result<Sent, String>> {
        let next = self.0.lock().unwrap().pop_front();
        let at = Instant::now();
        let answer = async move {
            match next {
                None => return std::future::pending().await,
                Some(None) => return None,
                Some(Some(after)) => sleep_until(at + after).await,
            }
            Some(Instant::now())
        };
        Box::pin(std::future::ready(Ok(Sent { at, answer: Box::pin(answer) })))
    }
}

/// Milliseconds until the answer; -1: it can't be delivered. Past the end nothing answers.
fn script(answers: &[i64]) -> Arc<Script> {
    let of = |ms: &i64| u64::try_from(*ms).ok().map(Duration::from_millis);
    Arc::new(Script(Mutex::new(answers.iter().map(of).collect())))
}

fn grant(written: &str) -> Option<PingGrant> {
    let text = format!("[[worker]]\nname = \"w\"\ncomponent = \"w.wasm\"\ngrants = {{ ping = {written} }}\n");
    let parsed = Parser::new(None).parse("w.toml", &text);
    let spec = parsed.spec.unwrap_or_else(|| panic!("{written}: {:?}", parsed.problems));
    Grants::clone(&spec.workers[0].run.grants).ping
}

/// One instance with a grant, on this machine's own sockets.
fn real(written: &str) -> Ping {
    Ping { pings: Pinger::new(Clock::system(), names()).worker("w", grant(written).as_ref()) }
}

fn scripted(written: &str, answers: &[i64]) -> Ping {
    Ping { pings: Pinger::with_transport(Clock::system(), names(), script(answers)).worker("w", grant(written).as_ref()) }
}

const LOOPBACK: &str = "{ allow = [\"127.0.0.0/8\", \"::1\", \"here.test\", \"mapped.test\"], lan = true }";

/// Fails where a setting of this machine is missing, with the sentence that names it; none where it has no IPv6.
async fn loopback(host: &str) -> Option<EchoReport> {
    match real(LOOPBACK).echo(host.to_owned(), 3, 10, 2_000).await {
        Ok(report) => Some(report),
        Err(Error::Unavailable(why)) if host == "::1" && (why.contains("no IPv6") || why.contains("no route")) => {
            eprintln!("not tested: {why}");
            None
        }
        Err(error) => panic!("{host}: {error:?}"),
    }
}

#[tokio::test]
async fn loopback_answers_over_both_families() {
    for (host, address) in [("127.0.0.1", "127.0.0.1"), ("127.0.0.2", "127.0.0.2"), ("::1", "::1"), ("here.test", "127.0.0.1")] {
        let Some(report) = loopback(host).await else { continue };
        assert_eq!((report.address.as_str(), report.sent, report.received), (address, 3, 3));
        let (min, avg, max) = (report.min_us.unwrap(), report.avg_us.unwrap(), report.max_us.unwrap());
        assert!(0 < max && min <= avg && avg <= max && max < 2_000_000, "{min} {avg} {max}");
    }
    let report = loopback("mapped.test").await.unwrap();
    assert_eq!((report.address.as_str(), report.received), ("127.0.0.1", 3), "IPv4 in IPv6's clothes");
}

#[tokio::test]
async fn many_pings_share_a_socket_and_each_gets_its_own_answers() {
    let pinger = Pinger::new(Clock::system(), names());
    let grant = grant(LOOPBACK);
    let pings = (1..=50_u8).map(|last| {
        let mut ping = Ping { pings: pinger.worker(&format!("w{last}"), grant.as_ref()) };
        async move { (last, ping.echo(format!("127.0.0.{last}"), 4, 10, 2_000).await.unwrap()) }
    });
    let sockets = || std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    let before = sockets().filter(|link| link.to_string_lossy().starts_with("socket:")).count();
    let (reports, during) = tokio::join!(join_all(pings), async {
        tokio::time::sleep(Duration::from_millis(15)).await;
        sockets().filter(|link| link.to_string_lossy().starts_with("socket:")).count()
    });
    for (last, report) in reports {
        assert_eq!((report.address, report.sent, report.received), (format!("127.0.0.{last}"), 4, 4));
    }
    // Other tests run meanwhile; fifty of one's own would show.
    assert!(during < before + 40, "{before} sockets before, {during} during");
}

#[tokio::test(start_paused = true)]
async fn loss_is_counted_and_times_are_of_those_that_came_back() {
    let began = Instant::now();
    let report = scripted(LOOPBACK, &[10, 30, -1, 20]).echo("127.0.0.1".to_owned(), 5, 100, 1_000).await.unwrap();
    assert_eq!((report.sent, report.received), (5, 3), "one can't be delivered, one is never heard of");
    assert_eq!((report.min_us, report.avg_us, report.max_us), (Some(10_000), Some(20_000), Some(30_000)));
    assert_eq!(began.elapsed(), Duration::from_millis(4 * 100 + 1_000), "the last one is waited for");

    let began = Instant::now();
    let report = scripted(LOOPBACK, &[250, 20]).echo("127.0.0.1".to_owned(), 2, 100, 1_000).await.unwrap();
    assert_eq!((report.received, report.max_us), (2, Some(250_000)), "an answer may come after the next packet");
    assert_eq!(began.elapsed(), Duration::from_millis(250), "nothing is waited for once all are in");

    let report = scripted(LOOPBACK, &[1_001]).echo("127.0.0.1".to_owned(), 1, 100, 1_000).await.unwrap();
    assert_eq!((report.received, report.min_us, report.avg_us), (0, None, None), "too late is lost");
    let began = Instant::now();
    let report = scripted(LOOPBACK, &[-1, -1]).echo("127.0.0.1".to_owned(), 2, 100, 9_000).await.unwrap();
    assert_eq!((report.received, began.elapsed()), (0, Duration::from_millis(100)), "what can't be delivered isn't waited for");
}

#[tokio::test(start_paused = true)]
async fn arguments_and_pings_under_way_are_bounded() {
    let mut ping = scripted(LOOPBACK, &[]);
    for (packets, interval, timeout, says) in [
        (0, 100, 100, "packets is 0; it goes from 1 to 20"),
        (21, 100, 100, "packets is 21"),
        (1, 9, 100, "interval-ms is 9; it goes from 10 to 10000"),
        (1, 10_001, 100, "interval-ms is 10001"),
        (1, 10, 0, "timeout-ms is 0; it goes from 1 to 60000"),
        (1, 10, 60_001, "timeout-ms is 60001"),
    ] {
        let Err(Error::Invalid(why)) = ping.echo("127.0.0.1".to_owned(), packets, interval, timeout).await else { panic!("{says}") };
        assert!(why.starts_with(says), "{why}");
    }
    for (host, says) in [(String::new(), "host is empty"), ("h".repeat(254), "host has 254 bytes")] {
        let Err(Error::Invalid(why)) = ping.echo(host, 1, 10, 10).await else { panic!("{says}") };
        assert!(why.starts_with(says), "{why}");
    }
    assert!(matches!(ping.connect("127.0.0.1".to_owned(), 0, 100).await, Err(Error::Invalid(_))));

    let many = join_all((0..65).map(|_| {
        let mut ping = ping.clone();
        async move { ping.echo("127.0.0.1".to_owned(), 1, 10, 50).await }
    }));
    let refused: Vec<_> = many.await.into_iter().filter_map(Result::err).collect();
    assert_eq!(refused.len(), 1);
    assert!(matches!(&refused[0], Error::TooLarge(why) if why.contains("worker \"w\" has 64 pings under way")), "{refused:?}");
    assert!(ping.echo("127.0.0.1".to_owned(), 1, 10, 50).await.is_ok(), "room is given back");
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_is_given_up_gives_its_room_back() {
    let ping = scripted(LOOPBACK, &[]);
    for _ in 0..200 {
        let mut ping = ping.clone();
        let asked = tokio::time::timeout(Duration::from_millis(1), ping.echo("127.0.0.1".to_owned(), 1, 10, 60_000)).await;
        assert!(asked.is_err());
    }
    assert!(ping.clone().echo("127.0.0.1".to_owned(), 1, 10, 1).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn only_what_is_granted_is_asked() {
    let no = |host: &str| format!("worker \"w\" may not ping {host}");
    for (written, host, says) in [
        ("{ allow = [] }", "nas.lan", no("nas.lan: add \"nas.lan\" to grants.ping.allow")),
        ("{ allow = [\"10.0.0.7\"] }", "10.0.0.8", no("10.0.0.8: add \"10.0.0.8\" to grants.ping.allow")),
        (
            "{ allow = [\"here.test\"] }",
            "here.test",
            no("here.test: it resolves to 127.0.0.1, a loopback address: set grants.ping.lan = true"),
        ),
        ("{ allow = [\"mapped.test\"] }", "MAPPED.test.", no("mapped.test: it resolves to 127.0.0.1, a loopback address: set")),
        (
            "{ allow = [\"cloud.test\"], lan = true }",
            "cloud.test",
            no("cloud.test: it resolves to 169.254.169.254, a cloud's metadata service: ask for 169.254.169.254 itself and add it"),
        ),
        ("{ allow = [\"0.0.0.0/0\"] }", "10.0.0.7", no("10.0.0.7: that is a private address: add \"10.0.0.7\" to grants.ping.allow")),
        ("{ allow = [\"169.254.0.0/16\"], lan = true }", "169.254.169.254", no("169.254.169.254: that is a cloud's metadata service")),
        ("{ allow = [\"*.skep.internal\"] }", "counter.skep.internal", no("counter.skep.internal: names below skep.internal are routes")),
        ("{ allow = [\"http://here.test\"], lan = true }", "here.test", no("here.test: add \"here.test\"")),
        ("{ allow = [\"*.lan\"] }", "lan", no("lan: add \"lan\"")),
    ] {
        let answer = scripted(written, &[1]).echo(host.to_owned(), 1, 10, 100).await;
        let Err(Error::Denied(why)) = answer else { panic!("{written} {host}: {answer:?}") };
        assert!(why.starts_with(&says), "{written} {host}\n  says: {why}\n  not:  {says}");
    }
    for (written, host, asked) in [
        ("{ allow = [\"10.0.0.7\"] }", "10.0.0.7", "10.0.0.7"),
        ("{ allow = [\"10.0.0.0/8\"] }", "10.0.0.7", "10.0.0.7"),
        ("{ allow = [\"0.0.0.0/0\"], lan = true }", "10.0.0.7", "10.0.0.7"),
        ("{ allow = [\"0.0.0.0/0\", \"10.0.0.7\"] }", "10.0.0.7", "10.0.0.7"),
        ("{ allow = [\"169.254.169.254\"] }", "169.254.169.254", "169.254.169.254"),
        ("{ allow = [\"fd00::7\"] }", "[fd00::7]", "fd00::7"),
        ("{ allow = [\"here.test\"], lan = true }", "Here.Test.", "127.0.0.1"),
        ("{ allow = [\"*.test\"] }", "both.test", "192.0.2.7"),
    ] {
        let report = scripted(written, &[1]).echo(host.to_owned(), 1, 10, 100).await.unwrap_or_else(|error| panic!("{written}: {error:?}"));
        assert_eq!(report.address, asked, "{written}");
    }
    let nothing = Ping { pings: Pinger::with_transport(Clock::system(), names(), script(&[])).worker("w", None) };
    assert!(
        matches!(nothing.clone().echo("127.0.0.1".to_owned(), 1, 10, 10).await, Err(Error::Denied(_))),
        "nothing is granted by default"
    );
}

#[tokio::test(start_paused = true)]
async fn names_that_lead_nowhere_say_so() {
    let mut ping = scripted("{ allow = [\"*.test\"] }", &[]);
    let mut ask = async |host: &str| ping.echo(host.to_owned(), 1, 10, 100).await.unwrap_err();
    assert!(matches!(ask("nobody.test").await, Error::NotFound(why) if why == "nobody.test doesn't resolve: Name or service not known"));
    assert!(matches!(ask("empty.test").await, Error::NotFound(why) if why == "empty.test resolves to no address"));
    assert!(matches!(ask("silent.test").await, Error::Timeout(why) if why == "silent.test didn't resolve within 100 ms"));
}

#[tokio::test]
async fn a_connection_is_timed_refused_or_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut ping = real("{ allow = [\"127.0.0.1\", \"here.test\", \"silent.test\"], lan = true }");
    let report = ping.connect("here.test".to_owned(), address.port(), 2_000).await.unwrap();
    assert_eq!(report.address, address.to_string());
    assert!(report.latency_us > 0);

    drop(listener);
    let Err(Error::Unavailable(why)) = ping.connect("127.0.0.1".to_owned(), address.port(), 2_000).await else { panic!("it is closed") };
    assert_eq!(why, format!("{address} refuses connections: nothing listens there"));
    let Err(Error::Timeout(why)) = ping.connect("silent.test".to_owned(), 22, 20).await else { panic!("it never resolves") };
    assert_eq!(why, "silent.test port 22 didn't answer within 20 ms");
    assert!(matches!(ping.connect("127.0.0.2".to_owned(), 22, 100).await, Err(Error::Denied(_))));

    // An origin in the grant is its port's, and no other's.
    let mut ping = real(&format!("{{ allow = [\"http://127.0.0.1:{}\"] }}", address.port()));
    assert!(matches!(ping.connect("127.0.0.1".to_owned(), address.port(), 2_000).await, Err(Error::Unavailable(_))));
    assert!(matches!(ping.connect("127.0.0.1".to_owned(), 1, 2_000).await, Err(Error::Denied(_))));
}

#[test]
fn a_missing_setting_is_named_with_what_to_write() {
    let said = missing(Some("1\t0\n"), 1_000);
    for part in [
        "net.ipv4.ping_group_range is \"1 0\" and its group is 1000",
        "no CAP_NET_RAW",
        "sysctl -w",
        "setcap cap_net_raw+ep",
        "AmbientCapabilities",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(missing(None, 0).contains("can't be read"));
}

/// A packet in an IP header of its family.
fn wrapped(family: Family, message: &[u8]) -> Vec<u8> {
    let mut packet = match family {
        Family::V4 => vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 1, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1],
        Family::V6 => [&[0x60, 0, 0, 0, 0, 0, 58, 64][..], &[0; 32]].concat(),
    };
    packet.extend(message);
    packet
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn answers_bring_back_what_was_sent(identifier: u16, sequence: u16, cookie: u64, v4: bool) {
        let mark = Mark { identifier, sequence, cookie };
        let family = if v4 { Family::V4 } else { Family::V6 };
        let (reply, unreachable) = if v4 { (0, 3) } else { (129, 1) };
        let sent = request(family, mark);
        prop_assert_eq!(read(family, false, &sent), None, "one's own request is no answer");
        let mut answer = sent.clone();
        answer[0] = reply;
        prop_assert_eq!(read(family, false, &answer), Some(Heard::Reply(mark)));
        if v4 {
            prop_assert_eq!(read(family, true, &wrapped(family, &answer)), Some(Heard::Reply(mark)));
            let sum = sent.chunks(2).fold(0_u32, |sum, pair| sum + u32::from(u16::from_be_bytes([pair[0], pair[1]])));
            prop_assert_eq!(((sum & 0xffff) + (sum >> 16)) % 0xffff, 0, "the checksum holds");
        }
        let quote = [&[unreachable, 1, 0, 0, 0, 0, 0, 0][..], &wrapped(family, &sent)].concat();
        prop_assert_eq!(read(family, false, &quote), Some(Heard::Undeliverable(mark)));
        prop_assert_eq!(read(family, false, &quote[..quote.len() - 60]), None, "cut before the cookie");
    }

    #[test]
    fn anything_may_come_in(bytes in proptest::collection::vec(any::<u8>(), 0..120), v4: bool, raw: bool) {
        let _ = read(if v4 { Family::V4 } else { Family::V6 }, raw, &bytes);
    }
}
