//! What becomes of a chunk after its request: an answer for whoever cloned it, two halves, or another try.
//!
//! ```text
//! heard ──▶ trades, fewer than 1,000, all inside the window ─────────▶ COMPLETE
//!       ──▶ 1,000 or more ─▶ WINDOW_TOO_BIG (with `split`: two halves instead)
//!       ──▶ the API's own refusal, whatever the HTTP status ─────────▶ RANDOM_ERROR with its sentence
//!       ──▶ 429, 5xx, another status, nothing, nonsense ─▶ again; after the last attempt RANDOM_ERROR with the reason
//! ```
//!
//! Nothing else can happen: a chunk that was taken is answered, or is tried again. Must not talk to anybody.

use crate::{
    answer::{Body, CAP, Generation, quoted, refusal},
    messages::{ChunkResult, ClonedChunk, ClonedEntry, TodoChunk},
    window::Window,
};

/// The reference's own words.
pub const TOO_BIG: &str = "More than 1000 elements";
/// The longest silence that an answer may ask for.
const LONGEST_WAIT_MS: u64 = 3_600_000;
/// The longest sentence of the API that is passed on, in characters.
const SENTENCE: usize = 500;

/// What came back of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    Answer {
        status: u16,
        /// As it came.
        retry_after: Option<String>,
        body: Vec<u8>,
    },
    /// No whole answer; why.
    Nothing(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Goes to `finished-chunks`, and ends the job.
    Answered(ClonedChunk),
    /// The halves go back to `todo-chunks`; the answer is only for whoever asked for this very chunk.
    Halved(ClonedChunk, [TodoChunk; 2]),
    Again {
        reason: String,
        /// Milliseconds; none: the queue's backoff.
        after_ms: Option<u64>,
    },
}

/// Judges what was heard. `last`: there is no further attempt, so that "again" would be a silent gap.
pub fn judge(generation: Generation, split: bool, chunk: &TodoChunk, window: Window, heard: Heard, last: bool) -> Verdict {
    let verdict = first(generation, split, chunk, window, heard);
    match verdict {
        Verdict::Again { reason, .. } if last => {
            Verdict::Answered(ClonedChunk::of(ChunkResult::RandomError, chunk.clone(), Vec::new(), sentence(&reason)))
        }
        verdict => verdict,
    }
}

fn first(generation: Generation, split: bool, chunk: &TodoChunk, window: Window, heard: Heard) -> Verdict {
    let again = |reason: String| Verdict::Again { reason, after_ms: None };
    let failed = |message: &str| Verdict::Answered(ClonedChunk::of(ChunkResult::RandomError, chunk.clone(), Vec::new(), sentence(message)));
    let (status, retry_after, body) = match heard {
        Heard::Nothing(reason) => return again(reason),
        Heard::Answer { status, retry_after, body } => (status, retry_after, body),
    };
    if status == 429 || status >= 500 {
        let reason = format!("the API answered {status}: \"{}\"", quoted(&body));
        return Verdict::Again { reason, after_ms: retry_after.as_deref().and_then(wait_of) };
    }
    if status != 200 {
        return match refusal(&body) {
            Some(message) => failed(&message),
            None => again(format!("the API answered {status}: \"{}\"", quoted(&body))),
        };
    }
    let trades = match generation.read(&body) {
        Ok(Body::Trades(trades)) => trades,
        Ok(Body::Refused(message)) => return failed(&message),
        Err(reason) => return again(reason),
    };
    match generation {
        Generation::Legacy => ranged(split, chunk, window, trades).unwrap_or_else(again),
        Generation::Today => newest(chunk, window, trades).unwrap_or_else(|message| failed(&message)),
    }
}

/// The legacy API answers the window asked for. An error is worth another try.
fn ranged(split: bool, chunk: &TodoChunk, window: Window, trades: Vec<ClonedEntry>) -> Result<Verdict, String> {
    // An API that overlooked the range answers its last trades instead: leaving those out would make a gap look complete.
    if let Some(stray) = trades.iter().find(|trade| !window.contains(trade.date.into())) {
        return Err(format!("the answer has a trade of second {}, outside the window asked for", stray.date));
    }
    if trades.len() < CAP {
        return Ok(Verdict::Answered(ClonedChunk::of(ChunkResult::Complete, chunk.clone(), trades, "")));
    }
    let too_big = |message: String| ClonedChunk::of(ChunkResult::WindowTooBig, chunk.clone(), Vec::new(), message);
    Ok(match window.halves() {
        None => Verdict::Answered(too_big(format!("{TOO_BIG} in one second, which can't be split"))),
        Some(_) if !split => Verdict::Answered(too_big(TOO_BIG.to_owned())),
        Some(halves) => {
            let [low, high] = halves;
            let into = format!("{TOO_BIG}; split into {}..{} and {}..{}", low.from(), low.until(), high.from(), high.until());
            Verdict::Halved(too_big(into), halves.map(|half| chunk.at(half)))
        }
    })
}

/// Today's API answers the newest trades, whatever the window. An error is final: asking again shows newer ones still.
fn newest(chunk: &TodoChunk, window: Window, mut trades: Vec<ClonedEntry>) -> Result<Verdict, String> {
    let oldest = trades.iter().map(|trade| trade.date).min();
    // In the oldest second itself there may have been more.
    if let Some(oldest) = oldest.filter(|oldest| trades.len() >= CAP && *oldest >= window.from()) {
        return Err(format!(
            "today's API shows only the newest {CAP} trades, which reach back to second {oldest}; the window begins at {}",
            window.from()
        ));
    }
    trades.retain(|trade| window.contains(trade.date.into()));
    Ok(Verdict::Answered(ClonedChunk::of(ChunkResult::Complete, chunk.clone(), trades, "")))
}

/// Retry-After in seconds; its other form, a date, is left to the backoff.
fn wait_of(retry_after: &str) -> Option<u64> {
    let seconds: u64 = retry_after.trim().parse().ok()?;
    Some(seconds.saturating_mul(1_000).min(LONGEST_WAIT_MS))
}

fn sentence(text: &str) -> String {
    text.chars().take(SENTENCE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk() -> (TodoChunk, Window) {
        let window = Window::new(1_000_000, 1_003_599).unwrap();
        (TodoChunk::of("BTC_ETH", window, 1), window)
    }

    fn judged(generation: Generation, split: bool, heard: Heard, last: bool) -> Verdict {
        let (chunk, window) = chunk();
        judge(generation, split, &chunk, window, heard, last)
    }

    fn answer(status: u16, body: &str) -> Heard {
        Heard::Answer { status, retry_after: None, body: body.as_bytes().to_vec() }
    }

    fn legacy(second: i64, times: usize) -> String {
        let (days, rest) = (second / 86_400, second % 86_400);
        assert_eq!(days, 11, "the test's window is on 12 January 1970");
        let date = format!("1970-01-12 {:02}:{:02}:{:02}", rest / 3_600, rest / 60 % 60, rest % 60);
        let trade = format!(r#"{{"tradeID":1,"date":"{date}","type":"sell","rate":"1","amount":"1","total":"1"}}"#);
        format!("[{}]", vec![trade; times].join(","))
    }

    fn today(ms: i64, times: usize) -> String {
        let trade = format!(r#"{{"id":1,"price":"1","quantity":"1","amount":"1","takerSide":"BUY","createTime":{ms}}}"#);
        format!("[{}]", vec![trade; times].join(","))
    }

    fn error_of(verdict: Verdict) -> String {
        let Verdict::Answered(cloned) = verdict else { panic!("{verdict:?}") };
        assert_eq!(cloned.chunk_result(), ChunkResult::RandomError);
        cloned.possible_error_message
    }

    #[test]
    fn fewer_than_a_thousand_are_complete_and_a_thousand_may_be_more() {
        for (times, complete) in [(0, true), (999, true), (1_000, false), (1_001, false)] {
            let verdict = judged(Generation::Legacy, false, answer(200, &legacy(1_003_599, times)), false);
            let Verdict::Answered(cloned) = verdict else { panic!("{times}: {verdict:?}") };
            assert_eq!(cloned.chunk_result() == ChunkResult::Complete, complete, "{times}");
            assert_eq!(cloned.entries.len(), if complete { times } else { 0 });
            assert_eq!(cloned.possible_error_message, if complete { "" } else { "More than 1000 elements" });
        }
    }

    #[test]
    fn a_window_that_overflows_is_halved_where_config_says_so_and_a_second_can_not_be() {
        let Verdict::Halved(answer_to_caller, [low, high]) = judged(Generation::Legacy, true, answer(200, &legacy(1_000_000, 1_000)), true)
        else {
            panic!()
        };
        assert_eq!(answer_to_caller.chunk_result(), ChunkResult::WindowTooBig);
        assert_eq!((low.from_unix_ts, low.until_unix_ts), (1_000_000, 1_001_799));
        assert_eq!((high.from_unix_ts, high.until_unix_ts), (1_001_800, 1_003_599));
        let second = Window::new(1_000_000, 1_000_000).unwrap();
        let verdict = judge(Generation::Legacy, true, &chunk().0.at(second), second, answer(200, &legacy(1_000_000, 1_000)), false);
        let Verdict::Answered(cloned) = verdict else { panic!("{verdict:?}") };
        assert_eq!(cloned.chunk_result(), ChunkResult::WindowTooBig);
        assert!(cloned.possible_error_message.contains("can't be split"));
    }

    #[test]
    fn an_error_object_is_an_answer_with_any_status() {
        for status in [200, 400, 404, 422] {
            let verdict = judged(Generation::Legacy, false, answer(status, r#"{"error":"Invalid currency pair."}"#), false);
            assert_eq!(error_of(verdict), "Invalid currency pair.");
        }
    }

    #[test]
    fn fault_a_non_200_is_dropped_silently() {
        for heard in [
            Heard::Nothing("connection refused".into()),
            answer(500, r#"{"error":"Internal error."}"#),
            answer(429, ""),
            answer(403, "<html>"),
            answer(301, ""),
            answer(204, ""),
            answer(200, "<html>"),
            answer(200, &legacy(1_000_000, 3)[..100]),
            answer(200, &legacy(1_003_600, 1)),
        ] {
            let first = judged(Generation::Legacy, false, heard.clone(), false);
            assert!(matches!(first, Verdict::Again { .. }), "{heard:?} is tried again, not {first:?}");
            let said = error_of(judged(Generation::Legacy, false, heard, true));
            assert!(!said.is_empty(), "the last attempt says why");
        }
    }

    #[test]
    fn a_busy_api_says_when() {
        let after = |text: &str| {
            let heard = Heard::Answer { status: 429, retry_after: Some(text.into()), body: Vec::new() };
            let Verdict::Again { after_ms, .. } = judged(Generation::Legacy, false, heard, false) else { panic!() };
            after_ms
        };
        assert_eq!(after("2"), Some(2_000));
        assert_eq!(after("99999999999"), Some(3_600_000));
        assert_eq!(after("Wed, 21 Oct 2026 07:28:00 GMT"), None);
    }

    #[test]
    fn todays_api_is_honest_about_what_it_can_not_show() {
        let complete = |body: &str| {
            let verdict = judged(Generation::Today, true, answer(200, body), false);
            let Verdict::Answered(cloned) = verdict else { panic!("{verdict:?}") };
            (cloned.chunk_result(), cloned.entries.len())
        };
        assert_eq!(complete(&today(1_000_000_000, 999)), (ChunkResult::Complete, 999));
        assert_eq!(complete(&today(999_999_999, 1_000)), (ChunkResult::Complete, 0), "all are older, so the window is empty");
        let said = error_of(judged(Generation::Today, true, answer(200, &today(1_000_000_000, 1_000)), false));
        assert!(said.contains("newest 1000 trades, which reach back to second 1000000; the window begins at 1000000"), "{said}");
    }
}
