//! The made-up exchange over HTTP, as whoever clones it meets it.

use serde_json::json;

use super::{START, exchange};
use crate::support::{Host, web::ask};

fn host(config: &str) -> Host {
    let host = Host::with(&["exchange"]);
    host.running("exchange", &exchange(config));
    host
}

#[test]
fn both_generations_answer_the_same_trades() {
    let host = host("limit = 0");
    let path = format!("/public?command=returnTradeHistory&currencyPair=BTC_ETH&start={START}&end={}", START + 86_399);
    let legacy = ask(&host.listen, "GET", &path, &[]);
    assert_eq!((legacy.status, legacy.header("content-type")), (200, Some("application/json")));
    let legacy = legacy.json();
    let first = &super::truth("BTC_ETH", START, START + 86_399)[0];
    assert_eq!((&legacy[0]["tradeID"], &legacy[0]["rate"]), (&json!(first.trade_id), &json!(first.rate)));
    let today = ask(&host.listen, "GET", "/markets/ETH_BTC/trades?limit=5", &[]).json();
    assert_eq!(today.as_array().unwrap().len(), 5);
    assert!(today[0]["takerSide"] == "BUY" || today[0]["takerSide"] == "SELL");
}

#[test]
fn errors_and_the_limit_are_as_documented() {
    let host = host("limit = 2");
    let refused = ask(&host.listen, "GET", "/public?command=returnTradeHistory&currencyPair=BTC_NO", &[]);
    assert_eq!((refused.status, refused.json()), (200, json!({ "error": "Invalid currency pair." })));
    let busy = (0..50).map(|_| ask(&host.listen, "GET", "/public", &[])).find(|answer| answer.status == 429);
    assert_eq!(busy.expect("the third call of a second is refused").header("retry-after"), Some("1"));
}
