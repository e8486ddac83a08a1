//! What came of a ping → what the check says. Pure: judges one result; whether a machine is down for good is the host's to confirm.

use std::time::Duration;

use crate::config::Machine;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Up,
    Degraded,
    Down,
    Unknown,
}

/// What the host answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// ICMP: where it went, how many, and the mean of those that came back.
    Echoed { address: String, sent: u32, received: u32, mean_us: Option<u64> },
    /// TCP: who answered, and how soon.
    Connected { address: String, took_us: u64 },
    /// The machine, or the way to it, failed.
    Failed(String),
    /// It could not be tried: says nothing about the machine.
    Untried(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub status: Status,
    pub latency_us: Option<u64>,
    pub detail: String,
}

pub fn judge(machine: &Machine, finding: Finding) -> Verdict {
    let verdict = |status, latency_us, detail: String| Verdict { status, latency_us, detail };
    match finding {
        Finding::Untried(why) => verdict(Status::Unknown, None, why),
        Finding::Failed(why) => verdict(Status::Down, None, why),
        Finding::Connected { address, took_us } => timed(machine, took_us, format!("{address} answers after {}", shown(took_us))),
        Finding::Echoed { address, sent, received, mean_us } => {
            let whom = if address == machine.address { address } else { format!("{} ({address})", machine.address) };
            let Some(mean_us) = mean_us.filter(|_| received > 0) else {
                return verdict(Status::Down, None, format!("no answer from {whom}: {} lost", packets(sent)));
            };
            let lost = sent.saturating_sub(received);
            let detail = match lost {
                0 => format!("{whom} answers after {}", shown(mean_us)),
                _ => format!("{whom} answers after {}: {lost} of {} lost", shown(mean_us), packets(sent)),
            };
            match lost > machine.rules.tolerate {
                true => verdict(Status::Degraded, Some(mean_us), detail),
                false => timed(machine, mean_us, detail),
            }
        }
    }
}

/// Up, unless it took too long.
fn timed(machine: &Machine, took_us: u64, detail: String) -> Verdict {
    match machine.rules.degraded_after.map(|limit| limit.as_micros()) {
        Some(limit) if u128::from(took_us) > limit => {
            let limit = shown(u64::try_from(limit).unwrap_or(u64::MAX));
            Verdict { status: Status::Degraded, latency_us: Some(took_us), detail: format!("{detail}, slower than {limit}") }
        }
        _ => Verdict { status: Status::Up, latency_us: Some(took_us), detail },
    }
}

fn packets(count: u32) -> String {
    format!("{count} {}", if count == 1 { "packet" } else { "packets" })
}

fn shown(us: u64) -> String {
    let span = Duration::from_micros(us);
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{}.{} ms", span.as_millis(), us % 1_000 / 100),
        _ => format!("{}.{} s", span.as_secs(), span.subsec_millis() / 100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Rules, parse};

    fn machine(rules: Rules) -> Machine {
        Machine { address: "192.168.1.10".into(), rules }
    }

    fn echoed(sent: u32, received: u32, mean_us: u64) -> Finding {
        Finding::Echoed { address: "192.168.1.10".into(), sent, received, mean_us: (received > 0).then_some(mean_us) }
    }

    #[test]
    fn all_some_or_none_come_back() {
        let judged = |finding| {
            let Verdict { status, latency_us, detail } = judge(&machine(Rules::default()), finding);
            (status, latency_us, detail)
        };
        assert_eq!(judged(echoed(3, 3, 1_250)), (Status::Up, Some(1_250), "192.168.1.10 answers after 1.2 ms".into()));
        assert_eq!(
            judged(echoed(3, 2, 900)),
            (Status::Degraded, Some(900), "192.168.1.10 answers after 900 µs: 1 of 3 packets lost".into())
        );
        assert_eq!(judged(echoed(3, 0, 0)), (Status::Down, None, "no answer from 192.168.1.10: 3 packets lost".into()));
        assert_eq!(judged(echoed(1, 0, 0)).2, "no answer from 192.168.1.10: 1 packet lost");
    }

    #[test]
    fn loss_is_tolerated_and_slowness_is_not_as_configured() {
        let rules = Rules { tolerate: 1, degraded_after: Some(Duration::from_millis(50)), ..Rules::default() };
        let judged = |finding| judge(&machine(rules.clone()), finding);
        assert_eq!(judged(echoed(3, 2, 50_000)).status, Status::Up);
        assert_eq!(judged(echoed(3, 1, 50_000)).status, Status::Degraded);
        let slow = judged(echoed(3, 3, 1_250_000));
        assert_eq!((slow.status, slow.detail.as_str()), (Status::Degraded, "192.168.1.10 answers after 1.2 s, slower than 50.0 ms"));
        let port = judged(Finding::Connected { address: "192.168.1.10:22".into(), took_us: 60_000 });
        assert_eq!((port.status, port.latency_us), (Status::Degraded, Some(60_000)));
    }

    #[test]
    fn what_could_not_be_tried_says_nothing_of_the_machine() {
        let untried = judge(&machine(Rules::default()), Finding::Untried("this host may not send pings".into()));
        assert_eq!((untried.status, untried.detail.as_str()), (Status::Unknown, "this host may not send pings"));
        let failed = judge(&machine(Rules::default()), Finding::Failed("refused".into()));
        assert_eq!((failed.status, failed.detail.as_str()), (Status::Down, "refused"));
    }

    #[test]
    fn a_name_is_shown_with_its_address() {
        let machine = parse(r#"{"machines":[{"name":"nas","address":"nas.lan"}]}"#).unwrap();
        let verdict = judge(&machine, Finding::Echoed { address: "10.0.0.7".into(), sent: 2, received: 0, mean_us: None });
        assert_eq!(verdict.detail, "no answer from nas.lan (10.0.0.7): 2 packets lost");
    }
}
