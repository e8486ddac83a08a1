//! The worker's config, as written → checked. Every error is one sentence that opens with the field it is about. Pure.
//!
//! ```toml
//! each = "machines"
//! [worker.config]
//! packets = 3
//! [[worker.config.machines]]
//! name = "nas"
//! address = "192.168.1.10"
//! ```

use std::time::Duration;

use crate::{
    duration,
    json::{self, Json, Table},
};

const MAX_PACKETS: u64 = 20;
const INTERVAL: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(10));
const TIMEOUT: Duration = Duration::from_secs(60);
/// DNS has no longer names.
const MAX_ADDRESS_BYTES: usize = 253;

/// Every key that a machine and the config itself (as defaults) may have.
const KEYS: &str = "packets, interval, timeout, tolerate, degraded_after and tcp";
/// Keys of a machine that are the host's: they are the worker's own, not the guest's.
const OF_THE_HOST: [&str; 6] = ["name", "every", "title", "notes", "group", "payload"];

/// The machine that this worker watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// A name or an address.
    pub address: String,
    pub rules: Rules,
}

/// How a machine is asked and judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    pub packets: u32,
    /// Between two packets.
    pub interval: Duration,
    /// For the last answer, or for the connection.
    pub timeout: Duration,
    /// Lost packets that are no reason to worry.
    pub tolerate: u32,
    /// A longer average is degraded.
    pub degraded_after: Option<Duration>,
    /// A TCP connection to this port, instead of ICMP.
    pub tcp: Option<u16>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            packets: 3,
            interval: Duration::from_millis(200),
            timeout: Duration::from_secs(2),
            tolerate: 0,
            degraded_after: None,
            tcp: None,
        }
    }
}

impl Machine {
    /// What the check is called.
    pub fn subject(&self) -> String {
        match self.rules.tcp {
            None => self.address.clone(),
            Some(port) if self.address.contains(':') => format!("[{}]:{port}", self.address),
            Some(port) => format!("{}:{port}", self.address),
        }
    }
}

/// Checks the JSON that `init` gets.
pub fn parse(json: &str) -> Result<Machine, String> {
    let Ok(Json::Table(mut config)) = serde_json::from_str(json) else {
        return Err("config: must be a table".into());
    };
    let machines = match json::take(&mut config, "machines") {
        Some(Json::List(machines)) => machines,
        Some(_) => return Err("config.machines: must be a list of tables; write [[worker.config.machines]]".into()),
        None => return Err("config.machines: is missing; write [[worker.config.machines]] with a name and an address".into()),
    };
    let defaults = Rules::default().with("config", config)?;
    let many = machines.len();
    let [Json::Table(machine)] = <[Json; 1]>::try_from(machines).map_err(|_| match many {
        0 => "config.machines: is empty; write [[worker.config.machines]] with a name and an address".to_owned(),
        _ => {
            format!("config.machines: has {many} machines; write each = \"machines\" in [[worker]], so that each gets a worker of its own")
        }
    })?
    else {
        return Err("config.machines[0]: must be a table like { name = \"nas\", address = \"192.168.1.10\" }".into());
    };
    check("config.machines[0]", machine, defaults)
}

fn check(field: &str, mut machine: Table, defaults: Rules) -> Result<Machine, String> {
    machine.retain(|(key, _)| !OF_THE_HOST.contains(&key.as_str()));
    let address = match json::take(&mut machine, "address") {
        None => return Err(format!("{field}.address: is missing; write address = \"192.168.1.10\"")),
        Some(Json::Text(address)) => address,
        Some(_) => return Err(format!("{field}.address: must be a text in quotes, like \"192.168.1.10\"")),
    };
    match address.len() {
        0 => return Err(format!("{field}.address: is empty; write a name or an address")),
        1..=MAX_ADDRESS_BYTES => {}
        long => return Err(format!("{field}.address: is {long} bytes long; at most {MAX_ADDRESS_BYTES}")),
    }
    let rules = defaults.with(field, machine)?;
    if rules.tolerate >= rules.packets {
        let Rules { packets, tolerate, .. } = rules;
        return Err(format!(
            "{field}.tolerate: is {tolerate} of {packets} packets; when none comes back the machine is down, so at most {}",
            packets - 1
        ));
    }
    Ok(Machine { address, rules })
}

impl Rules {
    /// These rules with `table`'s keys over them.
    fn with(mut self, field: &str, table: Table) -> Result<Self, String> {
        for (key, value) in table {
            self.set(&key, value).map_err(|why| format!("{field}.{key}: {why}"))?;
        }
        Ok(self)
    }

    fn set(&mut self, key: &str, value: Json) -> Result<(), String> {
        match key {
            "packets" => self.packets = number(value, 1, MAX_PACKETS)?,
            "tolerate" => self.tolerate = number(value, 0, MAX_PACKETS - 1)?,
            "tcp" => self.tcp = Some(number(value, 1, u16::MAX.into())?),
            "interval" => self.interval = span(value, INTERVAL.0, INTERVAL.1)?,
            "timeout" => self.timeout = span(value, Duration::from_millis(1), TIMEOUT)?,
            "degraded_after" => self.degraded_after = Some(span(value, Duration::from_millis(1), TIMEOUT)?),
            _ => return Err(format!("unknown key; known are {KEYS}")),
        }
        Ok(())
    }
}

fn number<N: TryFrom<u64>>(value: Json, least: u64, most: u64) -> Result<N, String> {
    let wrong = || format!("must be a number from {least} to {most}");
    match value {
        Json::Number(number) if (least..=most).contains(&number) => N::try_from(number).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

fn span(value: Json, least: Duration, most: Duration) -> Result<Duration, String> {
    let Json::Text(text) = value else { return Err("must be a text in quotes, like \"2s\" or \"200ms\"".into()) };
    let span = duration::parse(&text)?;
    if (least..=most).contains(&span) { Ok(span) } else { Err(format!("\"{text}\" is out of range; it goes from {least:?} to {most:?}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_and_its_address_are_enough() {
        let machine =
            parse(r#"{"machines":[{"name":"nas","address":"192.168.1.10","every":"10s","title":"NAS","payload":{"a":1}}]}"#).unwrap();
        assert_eq!(machine, Machine { address: "192.168.1.10".into(), rules: Rules::default() });
        assert_eq!(machine.subject(), "192.168.1.10");
    }

    #[test]
    fn a_machines_keys_go_over_the_defaults() {
        let machine = parse(
            r#"{"packets":5,"timeout":"1s","machines":[{"name":"a","address":"fd00::1","packets":10,"tolerate":2,"interval":"10ms","tcp":22,
               "degraded_after":"80ms"}]}"#,
        )
        .unwrap();
        let Rules { packets, interval, timeout, tolerate, degraded_after, tcp } = machine.rules;
        assert_eq!((packets, tolerate, tcp), (10, 2, Some(22)));
        assert_eq!((interval, timeout), (Duration::from_millis(10), Duration::from_secs(1)));
        assert_eq!(degraded_after, Some(Duration::from_millis(80)));
        assert_eq!(machine.subject(), "[fd00::1]:22");
        let machine = parse(r#"{"tcp":443,"machines":[{"name":"a","address":"nas.lan"}]}"#).unwrap();
        assert_eq!(machine.subject(), "nas.lan:443");
    }

    #[test]
    fn every_error_names_its_field() {
        let item = |more: &str| format!(r#"{{"machines":[{{"name":"a","address":"h"{more}}}]}}"#);
        for (json, says) in [
            ("[]".to_owned(), "config: must be a table"),
            ("{".into(), "config: must be a table"),
            ("{}".into(), "config.machines: is missing"),
            (r#"{"machines":[]}"#.into(), "config.machines: is empty"),
            (r#"{"machines":"nas"}"#.into(), "config.machines: must be a list"),
            (r#"{"machines":["nas"]}"#.into(), "config.machines[0]: must be a table"),
            (r#"{"machines":[{"name":"a"},{"name":"b"}]}"#.into(), "config.machines: has 2 machines; write each = \"machines\""),
            (r#"{"machines":[{"name":"a"}]}"#.into(), "config.machines[0].address: is missing"),
            (r#"{"machines":[{"name":"a","address":7}]}"#.into(), "config.machines[0].address: must be a text"),
            (r#"{"machines":[{"name":"a","address":""}]}"#.into(), "config.machines[0].address: is empty"),
            (item(r#","adress":"x""#), "config.machines[0].adress: unknown key; known are packets"),
            (item(r#","packets":0"#), "config.machines[0].packets: must be a number from 1 to 20"),
            (item(r#","packets":21"#), "config.machines[0].packets: must be a number from 1 to 20"),
            (item(r#","packets":2,"tolerate":2"#), "config.machines[0].tolerate: is 2 of 2 packets"),
            (item(r#","tcp":0"#), "config.machines[0].tcp: must be a number from 1 to 65535"),
            (item(r#","tcp":65536"#), "config.machines[0].tcp: must be a number"),
            (item(r#","interval":"1ms""#), "config.machines[0].interval: \"1ms\" is out of range; it goes from 10ms to 10s"),
            (item(r#","timeout":2"#), "config.machines[0].timeout: must be a text in quotes"),
            (item(r#","timeout":"61s""#), "config.machines[0].timeout: \"61s\" is out of range"),
            (item(r#","timeout":"soon""#), "config.machines[0].timeout: \"soon\" is not a duration"),
            (r#"{"paket":1,"machines":[]}"#.into(), "config.paket: unknown key"),
        ] {
            let error = parse(&json).unwrap_err();
            assert!(error.starts_with(says), "{json}\n  says: {error}\n  not:  {says}");
        }
        let long = "h".repeat(254);
        assert!(parse(&format!(r#"{{"machines":[{{"name":"a","address":"{long}"}}]}}"#)).unwrap_err().contains("at most 253"));
    }
}
