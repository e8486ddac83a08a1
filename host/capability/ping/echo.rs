//! A series of echo requests to one address: sent in step, awaited together, counted. Knows no socket: a [`Transport`] sends.

use std::{net::SocketAddr, time::Duration};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};

/// Sends echo requests.
pub trait Transport: Send + Sync + 'static {
    /// One request. Err: nothing was sent, with a sentence that says why.
    fn send(&self, to: SocketAddr) -> BoxFuture<'_, Result<Sent, String>>;
}

/// One request on its way.
pub struct Sent {
    pub at: Instant,
    /// When the answer came; none: it can't be delivered. Waits for ever when nothing comes; dropped, the answer is nobody's.
    pub answer: BoxFuture<'static, Option<Instant>>,
}

/// How many requests, how far apart, and how long the last one is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub packets: u32,
    pub interval: Duration,
    pub timeout: Duration,
}

/// What came of a series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub sent: u32,
    pub received: u32,
    pub shortest: Option<Duration>,
    pub longest: Option<Duration>,
    total: Duration,
}

impl Tally {
    fn count(&mut self, took: Duration) {
        self.received += 1;
        self.total += took;
        self.shortest = Some(self.shortest.map_or(took, |least| least.min(took)));
        self.longest = Some(self.longest.map_or(took, |most| most.max(took)));
    }

    pub fn mean(&self) -> Option<Duration> {
        self.total.checked_div(self.received)
    }
}

/// Runs a series; ends when all have an answer, or the last one was waited for. Err: it can't be sent, in a sentence.
pub(super) async fn run(transport: &dyn Transport, to: SocketAddr, plan: Plan) -> Result<Tally, String> {
    let mut tally = Tally::default();
    let mut under_way = FuturesUnordered::new();
    while tally.sent < plan.packets {
        let Sent { at, answer } = transport.send(to).await?;
        tally.sent += 1;
        under_way.push(async move { answer.await.map(|heard| heard.saturating_duration_since(at)) });
        let last = tally.sent == plan.packets;
        let until = at + if last { plan.timeout } else { plan.interval };
        while !(last && under_way.is_empty()) {
            tokio::select! {
                biased;
                Some(answer) = under_way.next() => if let Some(took) = answer { tally.count(took) },
                () = sleep_until(until) => break,
            }
        }
    }
    Ok(tally)
}
