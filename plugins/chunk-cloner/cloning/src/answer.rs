//! What the exchange's public API answered, both generations, as entries or as its own refusal.
//!
//! Numbers that are money stay the text they came as. Must not repair: JSON that isn't what the API promises is an error, so that the
//! request is made again, and no trade is ever half read.

use serde::Deserialize;

use crate::{
    messages::{ClonedEntry, Side},
    window::Window,
};

/// The most trades that one answer holds: this many means that there may be more.
pub const CAP: usize = 1_000;
/// How much of an answer that makes no sense is quoted, in characters.
const QUOTED: usize = 80;

/// Which API is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Generation {
    /// `GET /public?command=returnTradeHistory`, with a range.
    #[default]
    Legacy,
    /// `GET /markets/{BASE_QUOTE}/trades`: the newest 1,000, no range.
    Today,
}

/// A body that could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// As the API has them: newest first.
    Trades(Vec<ClonedEntry>),
    /// The API's own sentence.
    Refused(String),
}

impl Generation {
    /// Path and query of the request for a window.
    pub fn path(self, pair: &str, window: Window) -> String {
        match self {
            Self::Legacy => {
                format!("/public?command=returnTradeHistory&currencyPair={pair}&start={}&end={}", window.from(), window.until())
            }
            Self::Today => format!("/markets/{}/trades?limit={CAP}", symbol(pair)),
        }
    }

    /// An error is a sentence.
    pub fn read(self, body: &[u8]) -> Result<Body, String> {
        match self {
            Self::Legacy => read::<LegacyTrade>(body),
            Self::Today => read::<TodayTrade>(body),
        }
    }
}

/// The legacy API says what one pays with first (BTC_ETH), today's what one gets (ETH_BTC).
pub fn symbol(pair: &str) -> String {
    match pair.split_once('_') {
        Some((pays, gets)) => format!("{gets}_{pays}"),
        None => pair.to_owned(),
    }
}

/// The API's own sentence, where the body is an error object of either generation.
pub fn refusal(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Refusal {
        #[serde(alias = "message")]
        error: String,
    }
    serde_json::from_slice::<Refusal>(body).ok().map(|refusal| refusal.error)
}

fn read<T: for<'de> Deserialize<'de> + Into<Result<ClonedEntry, String>>>(body: &[u8]) -> Result<Body, String> {
    match serde_json::from_slice::<Vec<T>>(body) {
        Ok(trades) => trades.into_iter().map(Into::into).collect::<Result<_, _>>().map(Body::Trades),
        Err(error) => match refusal(body) {
            Some(sentence) => Ok(Body::Refused(sentence)),
            None => Err(format!("the answer is no list of trades: {error}; it begins with \"{}\"", quoted(body))),
        },
    }
}

pub fn quoted(body: &[u8]) -> String {
    let start = body.get(..body.len().min(QUOTED * 4)).unwrap_or(body);
    String::from_utf8_lossy(start).chars().take(QUOTED).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[derive(Deserialize)]
struct LegacyTrade {
    #[serde(rename = "tradeID")]
    trade_id: Id,
    date: String,
    #[serde(rename = "type")]
    side: Word,
    rate: String,
    amount: String,
    total: String,
}

/// `quantity` is counted in what one gets, `amount` in what one pays: the legacy amount and total.
#[derive(Deserialize)]
struct TodayTrade {
    id: Id,
    price: String,
    quantity: String,
    amount: String,
    #[serde(rename = "takerSide")]
    side: Word,
    #[serde(rename = "createTime")]
    create_time_ms: i64,
}

/// A number, or the same as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Number(i64),
    Text(String),
}

#[derive(Clone, Copy, Deserialize)]
enum Word {
    #[serde(rename = "buy", alias = "BUY")]
    Buy,
    #[serde(rename = "sell", alias = "SELL")]
    Sell,
}

impl From<LegacyTrade> for Result<ClonedEntry, String> {
    fn from(trade: LegacyTrade) -> Self {
        let date = seconds_of(&trade.date).ok_or_else(|| format!("\"{}\" is no date", quoted(trade.date.as_bytes())))?;
        Ok(ClonedEntry {
            trade_id: trade.trade_id.narrow()?,
            date: date_of(date)?,
            side: trade.side.side(),
            rate: trade.rate,
            amount: trade.amount,
            total: trade.total,
        })
    }
}

impl From<TodayTrade> for Result<ClonedEntry, String> {
    fn from(trade: TodayTrade) -> Self {
        Ok(ClonedEntry {
            trade_id: trade.id.narrow()?,
            date: date_of(trade.create_time_ms.div_euclid(1_000))?,
            side: trade.side.side(),
            rate: trade.price,
            amount: trade.quantity,
            total: trade.amount,
        })
    }
}

impl Id {
    /// The message has 32 bits. A cut number would be another trade's.
    fn narrow(self) -> Result<i32, String> {
        let wide = match self {
            Self::Number(number) => Some(number),
            Self::Text(ref text) => text.parse().ok(),
        };
        let fits = wide.and_then(|wide| i32::try_from(wide).ok());
        fits.ok_or_else(|| match self {
            Self::Number(number) => format!("trade id {number} does not fit into the 32 bits that ClonedEntry has for it"),
            Self::Text(text) => format!("trade id \"{}\" is no number of 32 bits", quoted(text.as_bytes())),
        })
    }
}

impl Word {
    fn side(self) -> i32 {
        match self {
            Self::Buy => Side::Buy.into(),
            Self::Sell => Side::Sell.into(),
        }
    }
}

fn date_of(seconds: i64) -> Result<i32, String> {
    i32::try_from(seconds).map_err(|_| format!("a trade's date, {seconds} s since 1970, does not fit into 32 bits"))
}

/// `2018-10-22 15:03:57`, UTC, as seconds since 1970.
fn seconds_of(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let marks = [(4, b'-'), (7, b'-'), (10, b' '), (13, b':'), (16, b':')];
    if bytes.len() != 19 || marks.iter().any(|(at, mark)| bytes.get(*at) != Some(mark)) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = text.get(range)?;
        if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in_month = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days_in_month).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Days since 1970 of a date in the civil calendar, years counted from March so that the leap day comes last.
    let (shifted_year, shifted_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEGACY: &str = r#"[{"globalTradeID":394127361,"tradeID":44977,"date":"2018-10-22 15:03:57","type":"buy",
        "rate":"0.03104400","amount":"0.60000000","total":"0.01862640"}]"#;
    const TODAY: &str = r#"[{"id":"194","price":"1.9","quantity":"110","amount":"209.00","takerSide":"SELL","ts":1648690080545,
        "createTime":1648634905695}]"#;

    #[test]
    fn legacy_trades_keep_their_digits() {
        let Ok(Body::Trades(trades)) = Generation::Legacy.read(LEGACY.as_bytes()) else { panic!() };
        let [trade] = trades.as_slice() else { panic!("{trades:?}") };
        assert_eq!((trade.trade_id, trade.date, trade.side()), (44_977, 1_540_220_637, Side::Buy));
        assert_eq!((trade.rate.as_str(), trade.amount.as_str(), trade.total.as_str()), ("0.03104400", "0.60000000", "0.01862640"));
    }

    #[test]
    fn todays_trades_mean_the_same() {
        let Ok(Body::Trades(trades)) = Generation::Today.read(TODAY.as_bytes()) else { panic!() };
        let [trade] = trades.as_slice() else { panic!("{trades:?}") };
        assert_eq!((trade.trade_id, trade.date, trade.side()), (194, 1_648_634_905, Side::Sell));
        assert_eq!((trade.rate.as_str(), trade.amount.as_str(), trade.total.as_str()), ("1.9", "110", "209.00"));
    }

    #[test]
    fn refusals_are_the_apis_own_words() {
        let refused = |sentence: &str| Ok(Body::Refused(sentence.to_owned()));
        assert_eq!(Generation::Legacy.read(br#"{"error":"Invalid currency pair."}"#), refused("Invalid currency pair."));
        assert_eq!(Generation::Today.read(br#"{"code":21604,"message":"Invalid symbol"}"#), refused("Invalid symbol"));
    }

    #[test]
    fn what_the_api_never_promised_is_an_error() {
        let wrong = |from: &str, to: &str| Generation::Legacy.read(LEGACY.replace(from, to).as_bytes()).unwrap_err();
        assert!(wrong("44977", "5000000000").contains("does not fit into the 32 bits"));
        assert!(wrong("44977", "\"x\"").contains("is no number of 32 bits"));
        assert!(wrong("2018-10-22 15:03:57", "2018-02-29 15:03:57").contains("is no date"));
        assert!(wrong("2018-10-22", "9018-10-22").contains("does not fit into 32 bits"));
        assert!(wrong("\"buy\"", "\"lend\"").contains("no list of trades"));
        assert!(wrong("\"0.03104400\"", "0.03104400").contains("no list of trades"), "a float would lose digits");
        for body in ["", "<html>busy</html>", "{}", "null", "[1]", &LEGACY[..40]] {
            assert!(Generation::Legacy.read(body.as_bytes()).unwrap_err().contains("no list of trades"), "{body}");
        }
        assert!(Generation::Legacy.read(&[b'['; 100_000]).is_err());
    }

    #[test]
    fn requests() {
        let window = Window::new(1, 2).unwrap();
        assert_eq!(Generation::Legacy.path("BTC_ETH", window), "/public?command=returnTradeHistory&currencyPair=BTC_ETH&start=1&end=2");
        assert_eq!(Generation::Today.path("BTC_ETH", window), "/markets/ETH_BTC/trades?limit=1000");
    }

    proptest! {
        #[test]
        fn bodies_of_any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Generation::Legacy.read(&bytes);
            let _ = Generation::Today.read(&bytes);
        }

        #[test]
        fn dates_of_any_text_never_panic(text in "\\PC{0,19}", numbers in "[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}") {
            let _ = seconds_of(&text);
            let _ = seconds_of(&numbers);
        }
    }
}
