//! Topics: what a name is, and which patterns cover it. The one matcher for grants, subscriptions and whoever shows them.
//!
//! Pure. Must not know who publishes or listens.

use std::str::Split;

/// The longest topic, in bytes.
pub const MAX_TOPIC_BYTES: usize = 255;

/// Why `topic` is none that can be published on, in a few words; None when it is fine.
pub fn fault(topic: &str) -> Option<&'static str> {
    if topic.len() > MAX_TOPIC_BYTES {
        return Some("a topic has at most 255 bytes");
    }
    (!topic.split('.').all(is_word)).then_some("a topic is made of words of a-z, A-Z, 0-9, \"-\" and \"_\" with dots between them")
}

/// Whether a subscription or a grant of `pattern` is for `topic`: word by word, `*` standing for one or more.
pub fn covers(pattern: &str, topic: &str) -> bool {
    let (mut pattern, mut topic) = (pattern.split('.'), topic.split('.'));
    // Where to go on when what follows the last `*` doesn't fit: it takes one word more. An earlier one never has to.
    let mut star: Option<(Split<'_, char>, Split<'_, char>)> = None;
    loop {
        match (pattern.next(), topic.next()) {
            (None, None) => return true,
            (Some("*"), Some(_)) => star = Some((pattern.clone(), topic.clone())),
            (Some(wanted), Some(word)) if wanted == word => {}
            _ => {
                let Some((after, from)) = &mut star else { return false };
                if from.next().is_none() {
                    return false;
                }
                (pattern, topic) = (after.clone(), from.clone());
            }
        }
    }
}

/// One word of a topic.
pub(super) fn is_word(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}
