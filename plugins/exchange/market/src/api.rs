//! Both generations of the exchange's public API, answered from the made-up trades.
//!
//! | request | answer |
//! |---|---|
//! | `GET /public?command=returnTradeHistory&currencyPair=BTC_ETH&start=UNIX&end=UNIX` | its trades, newest first, at most 1,000; without a range the last 200; errors as `{"error": …}` with status 200 |
//! | `GET /markets/ETH_BTC/trades?limit=500` | the newest, at most 1,000; errors as `{"code": …, "message": …}` with status 400 |
//!
//! Must not count or limit: the door does.

use serde::Serialize;

use crate::{
    date,
    trades::{Trade, Trades},
};

/// The most trades of one answer.
pub const CAP: usize = 1_000;
/// Of a legacy request without a range.
const LAST: usize = 200;
/// Of today's request without a limit.
const LIMIT: usize = 500;
/// The longest range: a month.
const LONGEST: i64 = 31 * 86_400;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// In seconds; goes with 429.
    pub retry_after: Option<u64>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json(status: u16, value: &impl Serialize) -> Self {
        // Nothing here has a key that isn't text, so this can't fail.
        Self { status, retry_after: None, body: serde_json::to_vec(value).unwrap_or_default() }
    }
}

/// What is traded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    pub trades: Trades,
    /// As the legacy API names them.
    pub pairs: Vec<String>,
}

#[derive(Serialize)]
struct LegacyTrade {
    #[serde(rename = "globalTradeID")]
    global_trade_id: i64,
    #[serde(rename = "tradeID")]
    trade_id: i64,
    date: String,
    #[serde(rename = "type")]
    side: &'static str,
    rate: String,
    amount: String,
    total: String,
}

#[derive(Serialize)]
struct TodayTrade {
    id: String,
    price: String,
    quantity: String,
    amount: String,
    #[serde(rename = "takerSide")]
    side: &'static str,
    ts: i64,
    #[serde(rename = "createTime")]
    create_time: i64,
}

#[derive(Serialize)]
struct LegacyError<'e> {
    error: &'e str,
}

#[derive(Serialize)]
struct TodayError<'e> {
    code: u16,
    message: &'e str,
}

impl Api {
    /// `now`: seconds since 1970; nothing is traded after it.
    pub fn answer(&self, method: &str, path_with_query: &str, now: i64) -> Reply {
        let (path, query) = path_with_query.split_once('?').unwrap_or((path_with_query, ""));
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        if method != "GET" {
            return Reply::json(405, &LegacyError { error: "Only GET is answered." });
        }
        match segments.as_slice() {
            ["public"] => self.legacy(query, now),
            ["markets", symbol, "trades"] => self.today(symbol, query, now),
            _ => Reply::json(
                404,
                &LegacyError { error: "There is nothing here; try /public?command=returnTradeHistory or /markets/ETH_BTC/trades." },
            ),
        }
    }

    fn legacy(&self, query: &str, now: i64) -> Reply {
        let refused = |error| Reply::json(200, &LegacyError { error });
        if field(query, "command") != Some("returnTradeHistory") {
            return refused("Invalid command.");
        }
        let Some(pair) = field(query, "currencyPair").filter(|pair| self.pairs.iter().any(|known| known == pair)) else {
            return refused("Invalid currency pair.");
        };
        let (from, until, limit) = match (field(query, "start"), field(query, "end")) {
            (None, None) => (now - LONGEST, now, LAST),
            (start, end) => {
                let (Some(start), Some(end)) = (second(start, 0), second(end, now)) else {
                    return refused("Invalid time range.");
                };
                (start, end, CAP)
            }
        };
        if from > until {
            return refused("Invalid time range.");
        }
        if until - from > LONGEST {
            return refused("Time range must not exceed a month.");
        }
        let trades = self.trades.newest(pair, from, until.min(now), limit);
        Reply::json(200, &trades.iter().map(LegacyTrade::of).collect::<Vec<_>>())
    }

    fn today(&self, symbol: &str, query: &str, now: i64) -> Reply {
        let refused = |message| Reply::json(400, &TodayError { code: 400, message });
        let named = |pair: &&String| pair.split_once('_').is_some_and(|(pays, gets)| symbol.split_once('_') == Some((gets, pays)));
        let Some(pair) = self.pairs.iter().find(named) else {
            return refused("Invalid symbol");
        };
        let limit = match field(query, "limit").map(str::parse) {
            None => LIMIT,
            Some(Ok(limit @ 1..=CAP)) => limit,
            Some(_) => return refused("Invalid limit"),
        };
        let trades = self.trades.newest(pair, now - LONGEST, now, limit);
        Reply::json(200, &trades.iter().map(TodayTrade::of).collect::<Vec<_>>())
    }
}

impl LegacyTrade {
    fn of(trade: &Trade) -> Self {
        Self {
            global_trade_id: 300_000_000 + trade.id,
            trade_id: trade.id,
            date: date::text(trade.second),
            side: if trade.buy { "buy" } else { "sell" },
            rate: decimal(trade.rate),
            amount: decimal(trade.amount),
            total: decimal(trade.total()),
        }
    }
}

impl TodayTrade {
    fn of(trade: &Trade) -> Self {
        let ms = trade.second * 1_000 + trade.id % 1_000;
        Self {
            id: trade.id.to_string(),
            price: decimal(trade.rate),
            quantity: decimal(trade.amount),
            amount: decimal(trade.total()),
            side: if trade.buy { "BUY" } else { "SELL" },
            ts: ms + 15,
            create_time: ms,
        }
    }
}

/// Units of 10⁻⁸ as the exchange writes them.
pub fn decimal(units: u64) -> String {
    format!("{}.{:08}", units / 100_000_000, units % 100_000_000)
}

fn field<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
}

/// None: no second.
fn second(written: Option<&str>, otherwise: i64) -> Option<i64> {
    written.map_or(Some(otherwise), |text| text.parse().ok().filter(|second| *second >= 0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_600_000_000;

    fn asked(path: &str) -> (u16, Value) {
        let api = Api { trades: Trades::default(), pairs: vec!["BTC_ETH".into()] };
        let reply = api.answer("GET", path, NOW);
        (reply.status, serde_json::from_slice(&reply.body).unwrap())
    }

    #[test]
    fn legacy_answers_its_fields_newest_first_and_at_most_a_thousand() {
        let (status, trades) = asked("/public?command=returnTradeHistory&currencyPair=BTC_ETH&start=1590969600&end=1591401600");
        let trades = trades.as_array().unwrap();
        assert_eq!((status, trades.len()), (200, 1_000));
        let keys: Vec<_> = trades[0].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["amount", "date", "globalTradeID", "rate", "total", "tradeID", "type"]);
        assert!(trades.windows(2).all(|pair| pair[0]["tradeID"].as_i64() > pair[1]["tradeID"].as_i64()));
        assert!(trades[0]["rate"].as_str().unwrap().split_once('.').unwrap().1.len() == 8);
        assert!(trades[0]["date"].as_str().unwrap() <= "2020-06-06 00:00:00");
    }

    #[test]
    fn legacy_without_a_range_answers_the_last_200() {
        let (_, trades) = asked("/public?command=returnTradeHistory&currencyPair=BTC_ETH");
        assert_eq!(trades.as_array().unwrap().len(), 200);
        assert!(trades[0]["date"].as_str().unwrap() <= "2020-09-13 12:26:40");
    }

    #[test]
    fn errors_are_as_documented() {
        let legacy = |query: &str| asked(&format!("/public?command=returnTradeHistory&{query}"));
        assert_eq!(legacy("currencyPair=BTC_NO"), (200, json!({ "error": "Invalid currency pair." })));
        assert_eq!(legacy("currencyPair=BTC_ETH&start=x&end=1"), (200, json!({ "error": "Invalid time range." })));
        assert_eq!(legacy("currencyPair=BTC_ETH&start=2&end=1"), (200, json!({ "error": "Invalid time range." })));
        assert_eq!(legacy("currencyPair=BTC_ETH&start=0&end=9999999"), (200, json!({ "error": "Time range must not exceed a month." })));
        assert_eq!(asked("/public?command=returnNothing"), (200, json!({ "error": "Invalid command." })));
        assert_eq!(asked("/markets/BTC_ETH/trades"), (400, json!({ "code": 400, "message": "Invalid symbol" })));
        assert_eq!(asked("/markets/ETH_BTC/trades?limit=1001"), (400, json!({ "code": 400, "message": "Invalid limit" })));
        assert_eq!(asked("/").0, 404);
    }

    #[test]
    fn today_answers_the_newest_with_the_same_trades() {
        let (status, trades) = asked("/markets/ETH_BTC/trades?limit=1000");
        assert_eq!((status, trades.as_array().unwrap().len()), (200, 1_000));
        let (_, legacy) = asked("/public?command=returnTradeHistory&currencyPair=BTC_ETH");
        assert_eq!(trades[0]["id"].as_str().unwrap(), legacy[0]["tradeID"].to_string());
        assert_eq!(trades[0]["price"], legacy[0]["rate"]);
        assert_eq!((&trades[0]["quantity"], &trades[0]["amount"]), (&legacy[0]["amount"], &legacy[0]["total"]));
    }

    proptest! {
        #[test]
        fn any_request_is_answered(path in "/(public|markets/ETH_BTC/trades|\\PC{0,9})(\\?\\PC{0,40})?", now in 0..2_000_000_000_i64) {
            let api = Api { trades: Trades::default(), pairs: vec!["BTC_ETH".into()] };
            let reply = api.answer("GET", &path, now);
            prop_assert!(serde_json::from_slice::<Value>(&reply.body).is_ok());
        }
    }
}
