//! What an answer means: delivered, to be tried again, or no use. Pure.

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    Answer {
        status: u16,
        retry_after: Option<String>,
    },
    /// No answer, in a sentence.
    Nothing(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Delivered,
    /// `after_ms`: not sooner, as it asked itself.
    Again {
        reason: String,
        after_ms: Option<u64>,
    },
    /// The same request would be refused again.
    Refused(String),
}

/// The longest wait that a target may ask for, in milliseconds.
const MAX_AFTER_MS: u64 = 3_600_000;

pub fn judge(heard: Heard) -> Verdict {
    let (status, retry_after) = match heard {
        Heard::Nothing(reason) => return Verdict::Again { reason, after_ms: None },
        Heard::Answer { status, retry_after } => (status, retry_after),
    };
    match status {
        200..=299 => Verdict::Delivered,
        300..=399 => Verdict::Refused(format!("answered {status}, a redirect: write the URL it leads to")),
        // Too early, too slow, too many: the same request may pass later. The rest of 4xx won't.
        408 | 425 | 429 | 500.. => {
            let seconds = retry_after.and_then(|text| text.trim().parse::<u64>().ok());
            Verdict::Again { reason: format!("answered {status}"), after_ms: seconds.map(|s| s.saturating_mul(1_000).min(MAX_AFTER_MS)) }
        }
        _ => Verdict::Refused(format!("answered {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_later_is_tried_again() {
        let answer = |status, after: Option<&str>| judge(Heard::Answer { status, retry_after: after.map(str::to_owned) });
        assert_eq!(answer(204, None), Verdict::Delivered);
        assert_eq!(answer(429, Some("7")), Verdict::Again { reason: "answered 429".into(), after_ms: Some(7_000) });
        assert_eq!(answer(503, Some("Fri, 27 Nov 2026 10:00:00 GMT")), Verdict::Again { reason: "answered 503".into(), after_ms: None });
        assert_eq!(answer(500, Some("999999999999")), Verdict::Again { reason: "answered 500".into(), after_ms: Some(MAX_AFTER_MS) });
        assert!(matches!(answer(404, None), Verdict::Refused(_)));
        assert!(matches!(answer(301, None), Verdict::Refused(_)));
        assert!(matches!(judge(Heard::Nothing("refused".into())), Verdict::Again { after_ms: None, .. }));
    }
}
