//! What is done with a job: sent to every target that wants it, once each; or kept until its batch is sent. Pure, over a [`Desk`].
//!
//! What was sent where is on disk before the job is acknowledged, so a job that comes again (a crash, another target that failed) sends
//! only what is missing. What a batch is made of is on disk before it is sent: every try sends the same, under the same id.
//!
//! ```text
//! sent/MESSAGE/TARGET   delivered there, or refused by it
//! open                  the window that alerts join: WINDOW UNTIL
//! wait/WINDOW/ALERT     an alert that waits for its batch
//! closed/WINDOW         too late for that one
//! made/MESSAGE          the alerts of a batch, by id
//! ```

use serde::Deserialize;

use crate::{
    alert::Alert,
    config::{Config, Target},
    message::Message,
    verdict::{Heard, Verdict, judge},
};

/// How long it is remembered what was sent, in milliseconds: longer than any job is tried.
const REMEMBERED_MS: u64 = 7 * 86_400_000;
/// Alerts of one message.
const MOST: usize = 1_000;
/// When a window closes while an alert joins it, the alert looks again after this long, in milliseconds.
const SOON_MS: u64 = 500;

/// The host, as much of it as is needed. An error is a sentence.
pub trait Desk {
    fn get(&mut self, key: &str) -> Result<Option<(Vec<u8>, u64)>, String>;
    fn set(&mut self, key: &str, value: &[u8], ttl_ms: u64) -> Result<(), String>;
    /// False: its revision is another meanwhile (0: it is there).
    fn swap(&mut self, key: &str, expected: u64, value: &[u8], ttl_ms: u64) -> Result<bool, String>;
    fn delete(&mut self, key: &str) -> Result<(), String>;
    /// Keys that begin so, with their values, in order; at most `most`.
    fn entries(&mut self, prefix: &str, most: usize) -> Result<Vec<(String, Vec<u8>)>, String>;
    /// Pushes into the queue that the job at hand came from, when that is acknowledged.
    fn push_on_ack(&mut self, payload: &[u8], unique_key: String, delay_ms: u64) -> Result<(), String>;
    fn now_ms(&mut self) -> u64;
    fn post(&mut self, target: &Target, id: &str, body: &[u8]) -> Heard;
    fn say(&mut self, bad: bool, line: &str);
}

/// Why a job isn't done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setback {
    Again { reason: String, after_ms: Option<u64> },
    Dead(String),
}

impl From<String> for Setback {
    fn from(reason: String) -> Self {
        Self::Again { reason, after_ms: None }
    }
}

/// What a batch's own job holds beside what any alert does.
#[derive(Deserialize)]
struct Batch {
    window: String,
}

pub fn handle(desk: &mut impl Desk, config: &Config, payload: &[u8]) -> Result<(), Setback> {
    let alert = Alert::read(payload).map_err(Setback::Dead)?;
    match (alert.kind.as_str(), config.batch_ms) {
        ("batch", _) => {
            let batch: Batch = serde_json::from_slice(payload).map_err(|_| Setback::Dead("a batch without a window".to_owned()))?;
            send_batch(desk, config, &alert, &batch.window)
        }
        // Whoever asks for a test waits for it.
        ("test", _) | (_, None) => deliver(desk, config, &alert.id.clone(), &[(alert, payload.to_vec())]),
        (_, Some(_)) if !config.targets.iter().any(|target| target.wants(&alert)) => Ok(()),
        (_, Some(span)) => join(desk, &alert, payload, span),
    }
}

/// Puts an alert into the window that is open, or opens one.
fn join(desk: &mut impl Desk, alert: &Alert, payload: &[u8], span: u64) -> Result<(), Setback> {
    let now = desk.now_ms();
    let open = desk.get("open")?;
    let known = open.as_ref().and_then(|(value, _)| {
        let (window, until) = std::str::from_utf8(value).ok()?.split_once(' ')?;
        let until: u64 = until.parse().ok()?;
        // A clock that was set back must not leave a window open for ever.
        (now < until && until - now <= span).then(|| (window.to_owned(), until))
    });
    let (window, until) = match known {
        Some(known) => known,
        None => {
            let fresh = (alert.id.clone(), now.saturating_add(span));
            let revision = open.map_or(0, |(_, revision)| revision);
            if !desk.swap("open", revision, format!("{} {}", fresh.0, fresh.1).as_bytes(), REMEMBERED_MS)? {
                return Err(soon("another alert opened a batch meanwhile"));
            }
            fresh
        }
    };
    let place = format!("wait/{window}/{}", alert.id);
    desk.set(&place, payload, REMEMBERED_MS)?;
    // Asked after it was put in: either the batch sees it, or this sees that the batch is closed.
    if desk.get(&format!("closed/{window}"))?.is_some() {
        if desk.get(&format!("made/{window}"))?.is_some_and(|(made, _)| listed(&made).any(|id| id == alert.id)) {
            return Ok(());
        }
        desk.delete(&place)?;
        return Err(soon("its batch was closed meanwhile"));
    }
    desk.push_on_ack(&batch_job(&window, &window, alert), format!("batch/{window}"), until.saturating_sub(now))?;
    Ok(())
}

fn soon(reason: &str) -> Setback {
    Setback::Again { reason: reason.to_owned(), after_ms: Some(SOON_MS) }
}

/// The payload of a batch's job: an alert as any other, for whoever lists them.
fn batch_job(id: &str, window: &str, first: &Alert) -> Vec<u8> {
    let summary = format!("alerts since {}, in one message", first.at);
    let job = serde_json::json!({
        "id": id, "kind": "batch", "at": first.at, "host": first.host, "summary": summary, "to": "batch", "window": window,
    });
    job.to_string().into_bytes()
}

fn send_batch(desk: &mut impl Desk, config: &Config, job: &Alert, window: &str) -> Result<(), Setback> {
    desk.set(&format!("closed/{window}"), b"", REMEMBERED_MS)?;
    let made = format!("made/{}", job.id);
    let prefix = format!("wait/{window}/");
    let mut waiting = desk.entries(&prefix, MOST + 1)?;
    let ids: Vec<String> = match desk.get(&made)? {
        Some((ids, _)) => listed(&ids).map(str::to_owned).collect(),
        None => {
            let ids: Vec<String> = waiting.iter().take(MOST).filter_map(|(key, _)| Some(key.strip_prefix(&prefix)?.to_owned())).collect();
            desk.set(&made, ids.join(" ").as_bytes(), REMEMBERED_MS)?;
            ids
        }
    };
    waiting.retain(|(key, _)| key.strip_prefix(&prefix).is_some_and(|id| ids.iter().any(|made| made == id)));
    let all: Vec<(Alert, Vec<u8>)> = waiting.into_iter().filter_map(|(_, payload)| Some((Alert::read(&payload).ok()?, payload))).collect();
    if !all.is_empty() {
        deliver(desk, config, &job.id, &all)?;
    }
    for id in &ids {
        desk.delete(&format!("{prefix}{id}"))?;
    }
    if let Some((key, _)) = desk.entries(&prefix, 1)?.first()
        && let Some(next) = key.strip_prefix(&prefix)
    {
        desk.push_on_ack(&batch_job(next, window, job), format!("batch/{window}/{next}"), 0)?;
    }
    Ok(())
}

fn listed(ids: &[u8]) -> impl Iterator<Item = &str> {
    std::str::from_utf8(ids).unwrap_or_default().split_ascii_whitespace()
}

/// Sends to each target that wants any of it and has not got it yet.
fn deliver(desk: &mut impl Desk, config: &Config, id: &str, all: &[(Alert, Vec<u8>)]) -> Result<(), Setback> {
    let (mut again, mut refused, mut after_ms) = (Vec::new(), Vec::new(), None);
    for target in &config.targets {
        let wanted: Vec<(Alert, Vec<u8>)> = all.iter().filter(|(alert, _)| target.wants(alert)).cloned().collect();
        let message = match (wanted.as_slice(), all) {
            ([], _) => continue,
            // Its own id stays its own.
            ([(alert, payload)], [_]) if alert.id == id => Message::one(alert.clone(), payload),
            (wanted, _) => Message::batch(id, wanted),
        };
        let sent = format!("sent/{id}/{}", target.key);
        if let Some((said, _)) = desk.get(&sent)? {
            // What a target refused is not asked again, and not forgotten.
            if !said.is_empty() {
                refused.push(String::from_utf8_lossy(&said).into_owned());
            }
            continue;
        }
        let heard = desk.post(target, id, &message.body(target));
        match judge(heard) {
            Verdict::Delivered => {
                desk.set(&sent, b"", REMEMBERED_MS)?;
                desk.say(false, &format!("{}: {}", target.shown, message.alert.summary));
            }
            Verdict::Again { reason, after_ms: asked } => {
                after_ms = after_ms.max(asked);
                again.push(format!("{} {reason}", target.shown));
            }
            Verdict::Refused(reason) => {
                let said = format!("{} {reason}", target.shown);
                desk.set(&sent, said.as_bytes(), REMEMBERED_MS)?;
                desk.say(true, &format!("{said}: not delivered: {}", message.alert.summary));
                refused.push(said);
            }
        }
    }
    if !again.is_empty() {
        return Err(Setback::Again { reason: again.join("; "), after_ms });
    }
    if refused.is_empty() { Ok(()) } else { Err(Setback::Dead(refused.join("; "))) }
}

#[cfg(test)]
mod tests;
