//! The door of the exchange: counts calls, refuses those beyond the limit, and spoils every so many on purpose.
//!
//! Must not read a clock: calls come with their time.

use std::collections::VecDeque;

use serde::Deserialize;

use crate::api::{Api, Reply};

const SECOND_NS: u64 = 1_000_000_000;

/// Every n-th call that the limit lets in goes wrong in a way of its own; 0: none does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Answers 500.
    pub error: u64,
    /// Answers 200 with a page instead of JSON.
    pub garbage: u64,
    /// Answers 200 with half of the JSON.
    pub cut: u64,
}

#[derive(Debug, Clone)]
pub struct Front {
    api: Api,
    faults: Faults,
    /// Calls in any second; 0: as many as come.
    limit: usize,
    /// When calls of the last second came, in nanoseconds.
    recent: VecDeque<u64>,
    served: u64,
}

impl Front {
    pub fn new(api: Api, limit: usize, faults: Faults) -> Self {
        Self { api, faults, limit, recent: VecDeque::new(), served: 0 }
    }

    /// `now_ns` is of a clock that never goes back, `now` is seconds since 1970.
    pub fn serve(&mut self, method: &str, path_with_query: &str, now_ns: u64, now: i64) -> Reply {
        if let Some(wait_ns) = self.beyond(now_ns) {
            let body = br#"{"error":"You are making requests too quickly."}"#.to_vec();
            return Reply { status: 429, retry_after: Some(wait_ns.div_ceil(SECOND_NS).max(1)), body };
        }
        self.served += 1;
        let due = |every: u64| every > 0 && self.served.is_multiple_of(every);
        if due(self.faults.error) {
            return Reply { status: 500, retry_after: None, body: br#"{"error":"Internal error. Please try again."}"#.to_vec() };
        }
        if due(self.faults.garbage) {
            return Reply { status: 200, retry_after: None, body: b"<html><title>Just a moment...</title></html>".to_vec() };
        }
        let mut reply = self.api.answer(method, path_with_query, now);
        if due(self.faults.cut) {
            reply.body.truncate(reply.body.len() / 2);
        }
        reply
    }

    /// Takes a place in this second; how long until there is one when there is none.
    fn beyond(&mut self, now_ns: u64) -> Option<u64> {
        if self.limit == 0 {
            return None;
        }
        while self.recent.front().is_some_and(|then| now_ns.saturating_sub(*then) >= SECOND_NS) {
            self.recent.pop_front();
        }
        if self.recent.len() >= self.limit {
            return self.recent.front().map(|then| (then + SECOND_NS).saturating_sub(now_ns));
        }
        self.recent.push_back(now_ns);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trades::Trades;

    const PATH: &str = "/public?command=returnTradeHistory&currencyPair=BTC_ETH&start=1590969600&end=1590980000";

    fn front(limit: usize, faults: Faults) -> Front {
        Front::new(Api { trades: Trades::default(), pairs: vec!["BTC_ETH".into()] }, limit, faults)
    }

    #[test]
    fn calls_beyond_the_limit_are_told_when_to_come_back() {
        let mut front = front(2, Faults::default());
        let mut at = |ms: u64| {
            let reply = front.serve("GET", PATH, ms * 1_000_000, 1_600_000_000);
            (reply.status, reply.retry_after)
        };
        assert_eq!([at(0), at(400), at(900)], [(200, None), (200, None), (429, Some(1))]);
        assert_eq!([at(1_000), at(1_399), at(1_400)], [(200, None), (429, Some(1)), (200, None)]);
    }

    #[test]
    fn faults_come_round() {
        let mut front = front(0, Faults { error: 2, garbage: 3, cut: 5 });
        let replies: Vec<_> = (0..6).map(|_| front.serve("GET", PATH, 0, 1_600_000_000)).collect();
        assert_eq!(replies.iter().map(|reply| reply.status).collect::<Vec<_>>(), [200, 500, 200, 500, 200, 500]);
        assert!(replies[2].body.starts_with(b"<html>"));
        assert_eq!(replies[4].body, replies[0].body[..replies[0].body.len() / 2]);
        assert!(serde_json::from_slice::<serde_json::Value>(&replies[4].body).is_err());
    }
}
