//! The worker's config, as written → checked. Every error is one sentence that opens with the field it is about. Pure.
//!
//! ```toml
//! config = { pairs = ["BTC_ETH"], limit = 6, bursts = false, faults = { error = 10, garbage = 11, cut = 13 } }
//! ```

use market::{
    api::Api,
    front::{Faults, Front},
    trades::Trades,
};
use serde::Deserialize;

/// Calls a second that may be counted.
const MAX_LIMIT: usize = 100_000;
const MAX_PAIRS: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    pairs: Vec<String>,
    limit: usize,
    bursts: bool,
    faults: Faults,
}

impl Default for Written {
    fn default() -> Self {
        let pairs = ["BTC_ETH", "BTC_XMR", "USDT_BTC"].map(str::to_owned).to_vec();
        Self { pairs, limit: 6, bursts: false, faults: Faults::default() }
    }
}

/// Checks the JSON that `init` gets.
pub fn parse(json: &str) -> Result<Front, String> {
    let written: Written = serde_json::from_str(json).map_err(|error| format!("config: {error}"))?;
    if written.limit > MAX_LIMIT {
        return Err(format!("config.limit: at most {MAX_LIMIT} calls a second are counted; write 0 for no limit"));
    }
    if written.pairs.is_empty() || written.pairs.len() > MAX_PAIRS {
        return Err(format!("config.pairs: names {} pairs; from 1 to {MAX_PAIRS} are traded", written.pairs.len()));
    }
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if let Some(wrong) = written.pairs.iter().find(|pair| !pair.split_once('_').is_some_and(|(pays, gets)| plain(pays) && plain(gets))) {
        return Err(format!("config.pairs: \"{wrong}\" is no pair such as BTC_ETH"));
    }
    Ok(open(written))
}

/// What nothing written makes.
pub fn usual() -> Front {
    open(Written::default())
}

fn open(written: Written) -> Front {
    let api = Api { trades: Trades { bursts: written.bursts }, pairs: written.pairs };
    Front::new(api, written.limit, written.faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_calls_a_second_unless_it_says_otherwise() {
        let allowed = |json: &str| {
            let mut front = parse(json).unwrap();
            (0..20).filter(|_| front.serve("GET", "/", 0, 0).status != 429).count()
        };
        assert_eq!(allowed("{}"), 6);
        assert_eq!(allowed(r#"{"limit":2}"#), 2);
        assert_eq!(allowed(r#"{"limit":0}"#), 20);
    }

    #[test]
    fn every_error_names_its_field() {
        for (json, says) in [
            (r#"{"limit":100001}"#, "config.limit: at most 100000"),
            (r#"{"limit":-1}"#, "config: invalid value"),
            (r#"{"pairs":[]}"#, "config.pairs: names 0 pairs"),
            (r#"{"pairs":["BTC"]}"#, "config.pairs: \"BTC\" is no pair"),
            (r#"{"faults":{"err":1}}"#, "config: unknown field `err`"),
            (r#"{"pears":[]}"#, "config: unknown field `pears`"),
        ] {
            let error = parse(json).unwrap_err();
            assert!(error.starts_with(says), "{json}\n  says: {error}\n  not:  {says}");
        }
    }
}
